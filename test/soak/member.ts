/** A consumer in a process of its own, that reads a topic and commits where it stands until it is killed. */
import { Kafka, logLevel } from "kafkajs";

const [bootstrapServers = "", groupId = "", topic = ""] = process.argv.slice(2);
const kafka = new Kafka({ brokers: bootstrapServers.split(","), logLevel: logLevel.NOTHING, retry: { retries: 100 } });
const consumer = kafka.consumer({ groupId, sessionTimeout: 10_000 });
process.once("disconnect", () => process.exit());
await consumer.connect();
await consumer.subscribe({ topics: [topic], fromBeginning: true });
await consumer.run({ autoCommitInterval: 500, eachMessage: async () => {} });
