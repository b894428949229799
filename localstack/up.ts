import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { type Choice, choose } from "./choice.ts";
import { type Cloud, openCloud, useOrStartCloud } from "./cloud.ts";
import { deploy, localDeployment } from "./deploy.ts";
import { type Kafka, openKafka, useOrStartKafka } from "./kafka.ts";
import { localDir, main, type Say } from "./process.ts";
import { outputsFile, readUpState, upDir, upStack, writeUpState } from "./up-state.ts";

const howToStop = () => (existsSync(upDir) ? "\n`npm run local:down` stops what was started." : "");

/** `npm run local:up`: Kafka, the local cloud and the deployed stack, left running. Safe to repeat. */
await main(async (say) => {
  const earlier = await startedEarlier();
  const choice = await choose({ kafka: true, cloud: true }, environmentBeside(earlier));
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      console.error(`Interrupted.${howToStop()}`);
      process.exit(1);
    });
  }
  try {
    await up(choice, earlier, say);
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}${howToStop()}`, { cause: error });
  }
});

/** What an earlier `local:up` has started, running or not. */
interface Earlier {
  readonly kafka: (Kafka & { readonly runs: boolean }) | undefined;
  readonly cloud: (Cloud & { readonly runs: boolean }) | undefined;
}

async function startedEarlier(): Promise<Earlier> {
  const { kafka, cloud } = readUpState();
  const own = async <T extends Kafka | Cloud>(each: T | undefined) =>
    each === undefined || each.kind === "external" ? undefined : { ...each, runs: await each.isUp() };
  return { kafka: await own(kafka && openKafka(kafka)), cloud: await own(cloud && openCloud(cloud)) };
}

/** The environment without the addresses of what this command itself has started: the shell has them from its output. */
function environmentBeside({ kafka, cloud }: Earlier): NodeJS.ProcessEnv {
  const env = { ...process.env };
  if (env.KAFKA_BOOTSTRAP_SERVERS === kafka?.bootstrapServers) delete env.KAFKA_BOOTSTRAP_SERVERS;
  if (env.AWS_ENDPOINT_URL === cloud?.endpointUrl) delete env.AWS_ENDPOINT_URL;
  const running = [kafka, cloud].find((each) => each?.runs);
  if (running === undefined) return env;
  const asked = running.kind === "docker" ? "localstack" : "ministack";
  if (env.LOCAL_AWS && env.LOCAL_AWS !== asked) {
    throw new Error(`What is up was started with LOCAL_AWS=${asked}: npm run local:down first`);
  }
  return { ...env, LOCAL_AWS: asked };
}

async function up(choice: Choice, earlier: Earlier, say: Say): Promise<void> {
  const kafka = await kafkaFor(choice, earlier.kafka, say);
  writeUpState({ ...readUpState(), kafka });
  const cloud = await cloudFor(choice, earlier.cloud, say);
  writeUpState({ kafka, cloud });
  const { bootstrapServers, toolCommand } = kafka;
  const deployment = localDeployment(kafka, cloud);
  const outputs = await deploy({ cloud, stackName: upStack, deployment, bootstrapServers, stateDir: upDir, say });
  mkdirSync(localDir, { recursive: true });
  writeFileSync(outputsFile, `${JSON.stringify(outputs, null, 2)}\n`);
  say("");
  say(`Kafka      ${bootstrapServers}`);
  const emulator = cloud.flavour === "ministack" ? "MiniStack" : "LocalStack";
  say(`Cloud      ${cloud.endpointUrl} (${emulator}, ${cloud.region})`);
  say(`API        ${outputs.api_url}`);
  say(`Bucket     ${outputs.bucket}`);
  say(`Table      ${outputs.table}`);
  say(`Functions  ${Object.values(outputs.functions).join("  ")}`);
  say("");
  say("All of this is in .local/outputs.json. For the AWS CLI and Kafka's own tools, in a shell:");
  for (const [name, value] of Object.entries(cloud.environment)) say(`  export ${name}=${value}`);
  const servers = `--bootstrap-server ${toolCommand.bootstrapServers}`;
  say(`  kafka() { ${toolCommand.program} "org.apache.kafka.tools.$1" ${servers} "\${@:2}"; }`);
  say("`npm run local:down` stops it.");
}

async function kafkaFor(choice: Choice, earlier: Earlier["kafka"], say: Say): Promise<Kafka> {
  if (earlier?.runs && choice.givenKafka === undefined) {
    if (earlier.brokers !== choice.brokers && process.env.KAFKA_BROKERS) {
      throw new Error(`Kafka runs with ${earlier.brokers} broker(s) already: npm run local:down first`);
    }
    say(`Kafka is up already, at ${earlier.bootstrapServers}`);
    return earlier;
  }
  await earlier?.stop();
  return useOrStartKafka(choice, { stateDir: upDir, preferredPort: 9092, detached: true, say });
}

async function cloudFor(choice: Choice, earlier: Earlier["cloud"], say: Say): Promise<Cloud> {
  if (earlier?.runs && choice.givenCloud === undefined) {
    say(`The local cloud is up already, at ${earlier.endpointUrl}`);
    return earlier;
  }
  await earlier?.stop();
  return useOrStartCloud(choice, { stateDir: upDir, preferredPort: 4566, detached: true, say });
}
