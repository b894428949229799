import type { TestProject } from "vitest/node";
import { choose } from "../../localstack/choice.ts";
import { type KafkaDescriptor, startKafka, useOrStartKafka } from "../../localstack/kafka.ts";
import { freshStateDir, removeState } from "../../localstack/process.ts";
import { plain } from "./plain.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The cluster of the tests; `openKafka(inject("kafka"))` has its tools, and kills and restarts its brokers. */
    kafka: KafkaDescriptor;
  }
}

/**
 * Starts three brokers, or uses the cluster at KAFKA_BOOTSTRAP_SERVERS. A Vitest project that sets KAFKA_VERSION always gets
 * brokers of that version.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const choice = await choose({ kafka: true, brokerProcesses: true });
  const stateDir = freshStateDir("kafka");
  const { KAFKA_VERSION: projectVersion } = project.config.env;
  const options = { brokers: 3, stateDir, say: (line: string) => console.log(line) } as const;
  const kafka = await (projectVersion
    ? startKafka({ ...options, version: projectVersion, way: "processes" })
    : useOrStartKafka(choice, options));
  project.provide("kafka", plain(kafka));
  return async () => {
    await kafka.stop();
    removeState(stateDir);
  };
}
