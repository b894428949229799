import { Kafka, logLevel } from "kafkajs";
import { expect, inject, test } from "vitest";
import { startProcesses, stopProcesses } from "../../localstack/brokers.ts";
import { freshStateDir, ownServices, removeState } from "../../localstack/process.ts";

test("a local cluster whose process was killed starts again with its topics", async () => {
  const { version } = inject("faults").kafka;
  const stateDir = freshStateDir("local-cluster");
  ownServices(stateDir);
  const started = async () => {
    const { bootstrapServers } = await startProcesses({ brokers: 1, version, stateDir, say: () => {} });
    return new Kafka({ brokers: [bootstrapServers], logLevel: logLevel.NOTHING }).admin();
  };
  try {
    const first = await started();
    await first.createTopics({ topics: [{ topic: "kept" }], waitForLeaders: true });
    await first.disconnect();
    await stopProcesses(stateDir, version, [1]);
    const again = await started();
    expect(await again.listTopics()).toContain("kept");
    await again.disconnect();
  } finally {
    removeState(stateDir);
  }
});
