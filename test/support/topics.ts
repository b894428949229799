import type { Admin, Kafka as KafkaJs } from "kafkajs";
import { expect } from "vitest";
import type { Cluster } from "../../functions/shared/kafka/connection/cluster.ts";

/** A topic. `replicas` is the number of replicas of each partition. */
export interface TopicShape {
  readonly topic: string;
  readonly partitions: number;
  readonly replicas: number;
}

/** Waits until on every broker the topic has this many partitions with a leader; with 0, until no broker has the topic. */
export async function waitUntilAllKnow(cluster: Cluster, topic: string, partitions: number): Promise<void> {
  const isKnownTo = async (node: number) => {
    const [answer] = (await cluster.metadata([topic], node)).topics;
    return answer?.partitions.filter(({ leader }) => leader >= 0).length === partitions;
  };
  const allKnow = async () => (await Promise.all(cluster.nodes.map(isKnownTo))).every(Boolean);
  await expect.poll(allKnow, { timeout: 60_000 }).toBe(true);
}

/** Creates a topic, and waits until all brokers have it: kafkajs' own wait fails on a broker that does not have it yet. */
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
  await waitUntilAllKnow(cluster, topic, partitions);
}

/**
 * Sends records to the partitions of a topic in turns. Each record is appended once: kafkajs sends a batch again if a
 * partition is not ready, and only an idempotent producer then appends it once.
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

/**
 * Gives a partition of `__consumer_offsets` these replicas, and waits until it has them. With one replica, its groups have no
 * coordinator while that broker is down.
 */
export async function reassignOffsets(admin: Admin, partition: number, replicas: number[]): Promise<void> {
  const partitionAssignment = [{ partition, replicas }];
  await admin.alterPartitionReassignments({ topics: [{ topic: "__consumer_offsets", partitionAssignment }] });
  const moving = async () => (await admin.listPartitionReassignments({})).topics.length;
  await expect.poll(moving, { timeout: 30_000 }).toBe(0);
}

/** The leader of a partition of `__consumer_offsets`; −1 if it has none. */
export async function offsetsLeader(cluster: Cluster, partition: number): Promise<number | undefined> {
  const [offsets] = (await cluster.metadata(["__consumer_offsets"])).topics;
  return offsets?.partitions.find((each) => each.partition === partition)?.leader;
}

/** This many different values. */
export const distinctValues = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);
