import type { Consumer, Kafka } from "kafkajs";
import { onTestFinished } from "vitest";

/** The only member of a group, which has been assigned these topics and commits nothing. It leaves when the test ends. */
export async function joinedConsumer(client: Kafka, groupId: string, topics: string[]): Promise<Consumer> {
  const consumer = client.consumer({ groupId });
  onTestFinished(() => consumer.disconnect());
  const joined = new Promise((done) => consumer.on(consumer.events.GROUP_JOIN, done));
  await consumer.connect();
  await consumer.subscribe({ topics });
  await consumer.run({ autoCommit: false, eachMessage: async () => {} });
  await joined;
  return consumer;
}
