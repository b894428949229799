import { existsSync } from "node:fs";
import { openCloud } from "./cloud.ts";
import { destroy, localDeployment } from "./deploy.ts";
import { dockerAnswers, removeFromCompose } from "./docker.ts";
import { openKafka } from "./kafka.ts";
import { main, servicesIn, stopService } from "./process.ts";
import { readUpState, removeUpState, upDir, upStack } from "./up-state.ts";

/** `npm run local:down`: stops what `local:up` started and removes its state. Safe to repeat. */
await main(async (say) => {
  if (!existsSync(upDir)) {
    say("Nothing is up.");
    return;
  }
  const { kafka, cloud } = readUpState();
  let remains: string | undefined;
  if (kafka && cloud?.kind === "external" && (await openCloud(cloud).isUp())) {
    const { bootstrapServers } = kafka;
    const deployment = localDeployment(kafka);
    try {
      await destroy({ cloud, stackName: upStack, deployment, bootstrapServers, stateDir: upDir, say });
    } catch (error) {
      remains = `The stack ${upStack} could not be removed from ${cloud.endpointUrl}; run this again. ${error}`;
    }
  }
  if (cloud) await openCloud(cloud).stop();
  if (kafka) await openKafka(kafka).stop();
  // An interrupted local:up may have started more than it wrote down.
  for (const service of servicesIn(upDir)) await stopService(service);
  if (!(kafka && cloud) && dockerAnswers()) {
    await removeFromCompose(upDir, ["kafka-1", "kafka-2", "kafka-3", "localstack"]);
  }
  if (remains !== undefined) throw new Error(remains); // and the state stays, by which a repeat finds it
  removeUpState();
  say("Kafka and the local cloud are down.");
});
