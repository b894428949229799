import type { Kafka as KafkaJs } from "kafkajs";
import { expect } from "vitest";
import type { Cluster } from "../../functions/shared/kafka/connection/cluster.ts";

/** A topic, each of whose partitions has this many replicas. */
export interface TopicShape {
  readonly topic: string;
  readonly partitions: number;
  readonly replicas: number;
}

/** Waits until every broker knows a topic with this many partitions that have leaders; with none, until none knows it. */
export async function knownToAll(cluster: Cluster, topic: string, partitions: number): Promise<void> {
  const known = async (node: number) => {
    const [answer] = (await cluster.metadata([topic], node)).topics;
    return answer?.partitions.filter(({ leader }) => leader >= 0).length === partitions;
  };
  const allKnow = async () => (await Promise.all(cluster.nodes.map(known))).every((yes) => yes);
  await expect.poll(allKnow, { timeout: 60_000 }).toBe(true);
}

/** Creates a topic, and comes back when all brokers know it: kafkajs' own wait fails where one does not yet. */
export async function createTopic(client: KafkaJs, cluster: Cluster, shape: TopicShape): Promise<void> {
  const { topic, partitions, replicas } = shape;
  const replicationFactor = Math.min(replicas, cluster.nodes.length);
  const admin = client.admin();
  await admin.connect();
  try {
    const topics = [{ topic, numPartitions: partitions, replicationFactor }];
    await admin.createTopics({ topics, waitForLeaders: false, timeout: 60_000 });
  } finally {
    await admin.disconnect();
  }
  await knownToAll(cluster, topic, partitions);
}

/**
 * Sends records to the partitions of a topic in turns. Each is there once: a batch is sent again where a partition is not
 * ready yet, which is seen to by an idempotent producer only.
 */
export async function produce(
  client: KafkaJs,
  topic: string,
  partitions: number,
  values: readonly string[],
): Promise<void> {
  const producer = client.producer({ idempotent: true });
  await producer.connect();
  try {
    await producer.send({ topic, messages: values.map((value, i) => ({ value, partition: i % partitions })) });
  } finally {
    await producer.disconnect();
  }
}

/** As many values, all different. */
export const someValues = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);
