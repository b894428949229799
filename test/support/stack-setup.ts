import type { TestProject } from "vitest/node";
import { choose } from "../../localstack/choice.ts";
import { type CloudDescriptor, useOrStartCloud } from "../../localstack/cloud.ts";
import { deploy, destroy, localDeployment, type Outputs } from "../../localstack/deploy.ts";
import { type KafkaDescriptor, useOrStartKafka } from "../../localstack/kafka.ts";
import { freshStateDir, removeState } from "../../localstack/process.ts";
import { plain } from "./plain.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The deployed stack, its Kafka and its cloud. */
    stack: { name: string; outputs: Outputs; kafka: KafkaDescriptor; cloud: CloudDescriptor };
  }
}

/** Deploys the stack to three new brokers and a new local cloud, or to those that the environment names, which keep running. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const choice = await choose({ kafka: true, cloud: true });
  const stateDir = freshStateDir("e2e");
  const say = (line: string) => console.log(line);
  const [kafka, cloud] = await Promise.all([
    useOrStartKafka(choice, { brokers: 3, stateDir, say }),
    useOrStartCloud(choice, { stateDir, say }),
  ]);
  const external = cloud.kind === "external";
  const deployment = {
    ...localDeployment(kafka, cloud),
    name_prefix: external ? `e2e-${process.pid}-` : "",
    schedules: [
      { name: "e2e", expression: "rate(1 minute)", groups: ["e2e-schedule*"], description: "e2e" },
      { name: "e2e-pruned", expression: "rate(1 day)", enabled: false },
    ],
    retention: { schedules: { "e2e-pruned": { keep_last: 1 } } },
  };
  const stackName = external ? `OffsetRollbackE2e${process.pid}` : "OffsetRollback";
  const stack = { cloud, stackName, deployment, bootstrapServers: kafka.bootstrapServers, stateDir, say };
  const outputs = await deploy(stack);
  project.provide("stack", { name: stackName, outputs, kafka: plain(kafka), cloud: plain(cloud) });
  return async () => {
    if (external) await destroy(stack);
    await Promise.all([kafka.stop(), cloud.stop()]);
    removeState(stateDir);
  };
}
