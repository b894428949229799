import { Kafka, type KafkaConfig, logLevel } from "kafkajs";
import RequestQueue from "kafkajs/src/network/requestQueue/index.js";

// kafkajs 2.2.4 sets a timer of a negative time after each request, even when nothing is pending. Node warns of it, and it
// fires every millisecond for as long as the client lives.
const schedule = RequestQueue.prototype.scheduleCheckPendingRequests;
RequestQueue.prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
  if (this.pending.length > 0) schedule.call(this);
};

/** kafkajs' own client, for what is not under test: topics, records, members, transactions. It logs nothing. */
export const kafkaClient = (bootstrapServers: string, options: Omit<KafkaConfig, "brokers"> = {}): Kafka =>
  new Kafka({ brokers: bootstrapServers.split(","), logLevel: logLevel.NOTHING, ...options });
