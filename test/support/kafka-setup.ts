import type { TestProject } from "vitest/node";
import { type KafkaDescriptor, useOrStartKafka } from "../../localstack/kafka.ts";
import { freshStateDir, removeState } from "../../localstack/process.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The cluster of the tests; `openKafka(inject("kafka"))` has its tools, and kills and restarts its brokers. */
    kafka: KafkaDescriptor;
  }
}

/** Three brokers, of the project's version if it has one, or the cluster at KAFKA_BOOTSTRAP_SERVERS, for the tests against a real Kafka. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const stateDir = freshStateDir("kafka");
  const { KAFKA_VERSION: ofProject } = project.config.env;
  const say = (line: string) => console.log(line);
  const kafka = await useOrStartKafka({ brokers: 3, stateDir, say, ...(ofProject && { version: ofProject }) });
  const { kind, bootstrapServers, functionBootstrapServers, brokers, version, ports } = kafka;
  project.provide("kafka", { kind, bootstrapServers, functionBootstrapServers, brokers, version, stateDir, ports });
  return async () => {
    await kafka.stop();
    removeState(stateDir);
  };
}
