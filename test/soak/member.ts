import { kafkaClient } from "../support/kafka-client.ts";

/** A consumer in a separate process, which reads a topic and commits its offsets until it is killed. */

const [bootstrapServers = "", groupId = "", topic = ""] = process.argv.slice(2);
const kafka = kafkaClient(bootstrapServers, { retry: { retries: 100 } });
const consumer = kafka.consumer({ groupId, sessionTimeout: 10_000 });
process.once("disconnect", () => process.exit());
await consumer.connect();
await consumer.subscribe({ topics: [topic], fromBeginning: true });
await consumer.run({ autoCommitInterval: 500, eachMessage: async () => {} });
