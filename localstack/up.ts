import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { type Cloud, chooseCloud, openCloud, startCloud } from "./cloud.ts";
import { deploy, localDeployment } from "./deploy.ts";
import { brokersFromEnvironment, connectKafka, type Kafka, openKafka, startKafka } from "./kafka.ts";
import { localDir, main, type Say } from "./process.ts";
import { outputsFile, readUpState, upDir, upStack, writeUpState } from "./up-state.ts";

const howToStop = () => (existsSync(upDir) ? "\n`npm run local:down` stops what was started." : "");

/** `npm run local:up`: Kafka, the local cloud and the deployed stack, left running. Safe to repeat. */
await main(async (say) => {
  await chooseCloud();
  brokersFromEnvironment();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      console.error(`Interrupted.${howToStop()}`);
      process.exit(1);
    });
  }
  try {
    await up(say);
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}${howToStop()}`, { cause: error });
  }
});

async function up(say: Say): Promise<void> {
  const kafka = await kafkaFor(say);
  writeUpState({ ...readUpState(), kafka });
  const cloud = await cloudFor(say);
  writeUpState({ kafka, cloud });
  const { bootstrapServers } = kafka;
  const deployment = localDeployment(kafka);
  const outputs = await deploy({ cloud, stackName: upStack, deployment, bootstrapServers, stateDir: upDir, say });
  mkdirSync(localDir, { recursive: true });
  writeFileSync(outputsFile, `${JSON.stringify(outputs, null, 2)}\n`);
  say("");
  say(`Kafka      ${bootstrapServers}`);
  say(
    `Cloud      ${cloud.endpointUrl} (${cloud.flavour === "ministack" ? "MiniStack" : "LocalStack"}, ${cloud.region})`,
  );
  say(`API        ${outputs.api_url}`);
  say(`Bucket     ${outputs.bucket}`);
  say(`Table      ${outputs.table}`);
  say(`Functions  ${Object.values(outputs.functions).join("  ")}`);
  say("");
  say("All of this is in .local/outputs.json. For the AWS CLI:");
  for (const [name, value] of Object.entries(cloud.environment)) say(`  export ${name}=${value}`);
  say("`npm run local:down` stops it.");
}

async function kafkaFor(say: Say): Promise<Kafka> {
  const earlier = readUpState().kafka;
  const given = process.env.KAFKA_BOOTSTRAP_SERVERS;
  if (given && given !== earlier?.bootstrapServers) {
    if (earlier && earlier.kind !== "external") await openKafka(earlier).stop();
    return connectKafka(given, upDir);
  }
  const brokers = brokersFromEnvironment();
  if (earlier && earlier.kind !== "external") {
    const kafka = openKafka(earlier);
    if (await kafka.isUp()) {
      if (kafka.brokers !== brokers && process.env.KAFKA_BROKERS) {
        throw new Error(`Kafka runs with ${kafka.brokers} broker(s) already: npm run local:down first`);
      }
      say(`Kafka is up already, at ${kafka.bootstrapServers}`);
      return kafka;
    }
    await kafka.stop();
  }
  return startKafka({ brokers, stateDir: upDir, preferredPort: 9092, detached: true, say });
}

async function cloudFor(say: Say): Promise<Cloud> {
  const earlier = readUpState().cloud;
  if (earlier && earlier.kind !== "external") {
    const cloud = openCloud(earlier);
    const given = process.env.AWS_ENDPOINT_URL; // that of this very cloud, after the exports that it prints
    if ((!given || given === cloud.endpointUrl) && (await cloud.isUp())) {
      say(`The local cloud is up already, at ${cloud.endpointUrl}`);
      return cloud;
    }
    await cloud.stop();
  }
  return startCloud({ stateDir: upDir, preferredPort: 4566, detached: true, say });
}
