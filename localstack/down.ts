import { existsSync } from "node:fs";
import { openCloud } from "./cloud.ts";
import { destroy, localDeployment } from "./deploy.ts";
import { dockerProblem, removeAll } from "./docker.ts";
import { openKafka } from "./kafka.ts";
import { main, servicesIn, stopService } from "./process.ts";
import { readUpState, removeUpState, upDir, upStack } from "./up-state.ts";

/** `npm run local:down`: stops what `local:up` started and removes its state. Safe to repeat. */
await main(async (say) => {
  const { kafka, cloud } = readUpState();
  const noDocker = dockerProblem();
  if (noDocker !== undefined && (kafka?.kind === "docker" || cloud?.kind === "docker")) {
    throw new Error(`What is up was started in Docker, and ${noDocker}. Start the engine and run this again.`);
  }
  let remains: string | undefined;
  if (kafka && cloud?.kind === "external" && (await openCloud(cloud).isUp())) {
    const { bootstrapServers } = kafka;
    const deployment = localDeployment(kafka, cloud);
    try {
      await destroy({ cloud, stackName: upStack, deployment, bootstrapServers, stateDir: upDir, say });
    } catch (error) {
      remains = `The stack ${upStack} could not be removed from ${cloud.endpointUrl}; run this again. ${error}`;
    }
  }
  if (cloud?.kind === "processes") await openCloud(cloud).stop();
  if (kafka?.kind === "processes") await openKafka(kafka).stop();
  // An interrupted local:up may have started more than it wrote down, and its folder may be gone.
  for (const service of servicesIn(upDir)) await stopService(service);
  const inDocker = noDocker === undefined && (await removeAll(upDir));
  if (remains !== undefined) throw new Error(remains); // and the state stays, by which a repeat finds it
  const wasUp = existsSync(upDir) || inDocker;
  removeUpState();
  say(wasUp ? "Kafka and the local cloud are down." : "Nothing is up.");
});
