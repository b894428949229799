import type { ConsumerConfig } from "kafkajs";
import { onTestFinished } from "vitest";
import { independentClient } from "../../integration/kafka/support.ts";
import type { FaultHarness, Scenario } from "./harness.ts";

/** A consumer of a topic. When `joins` resolves, it has joined its group and is reading. */
export async function member(
  faults: FaultHarness,
  scenario: Scenario,
  group: string,
  more: Partial<ConsumerConfig> = {},
) {
  const consumer = independentClient(faults.kafka.bootstrapServers).consumer({ groupId: group, ...more });
  onTestFinished(() => consumer.disconnect());
  await consumer.connect();
  await consumer.subscribe({ topics: [scenario.topic] });
  const { promise: reads, resolve } = Promise.withResolvers<void>();
  consumer.on(consumer.events.FETCH_START, () => resolve()); // before that, it ignores commits and disconnects
  return {
    joins(eachMessage: () => Promise<void> = async () => {}) {
      consumer.run({ autoCommit: false, eachMessage }).catch(() => {});
      return reads;
    },
    moves: (offset: bigint) =>
      consumer.commitOffsets([0, 1].map((partition) => ({ topic: scenario.topic, partition, offset: `${offset}` }))),
    leaves: () => consumer.disconnect(),
  };
}
