import { Kafka, type KafkaConfig, logLevel } from "kafkajs";
import RequestQueue from "kafkajs/src/network/requestQueue/index.js";

// kafkajs 2.2.4 sets a timer with a negative time after each request, even if no request is pending. Node warns, and the
// timer fires every millisecond until the client is disconnected.
const schedule = RequestQueue.prototype.scheduleCheckPendingRequests;
RequestQueue.prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
  if (this.pending.length > 0) schedule.call(this);
};

/** A kafkajs client that logs nothing. It sets up what is not under test: topics, records, members, transactions. */
export const kafkaClient = (bootstrapServers: string, options: Omit<KafkaConfig, "brokers"> = {}): Kafka =>
  new Kafka({ brokers: bootstrapServers.split(","), logLevel: logLevel.NOTHING, ...options });
