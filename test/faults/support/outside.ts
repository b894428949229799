import { expect } from "vitest";
import type { Commit } from "../../../functions/shared/core/model.ts";
import type { Cluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { kafkaClient } from "../../support/kafka-client.ts";
import { createTopic, distinctValues, produce, waitUntilAllKnow } from "../../support/topics.ts";

/** What groups have committed, without leader epochs: by group and partition. */
export type Said = ReadonlyMap<string, ReadonlyMap<string, Pick<Commit, "offset" | "metadata">>>;

/** A consumer in a group. It consumes nothing of the topics of a history. */
export interface Member {
  commit(topic: string, partition: number, commit: Pick<Commit, "offset" | "metadata">): Promise<void>;
  /** Gives when the group is empty again. */
  leave(): Promise<void>;
}

/** Kafka in the hands of an independent client. All of it gives when what was to be done shows on every broker. */
export interface Outside {
  createTopic(topic: string, partitions: number): Promise<void>;
  deleteTopic(topic: string): Promise<void>;
  /** Makes the topic have this many partitions. */
  addPartitions(topic: string, partitions: number): Promise<void>;
  /** Adds so many records to each of the partitions. */
  produce(topic: string, partitions: number, each: number): Promise<void>;
  deleteRecords(topic: string, partition: number, below: bigint): Promise<void>;
  deleteGroups(groups: readonly string[]): Promise<void>;
  /** The groups of the cluster. */
  groups(): Promise<ReadonlySet<string>>;
  commitsOf(groups: readonly string[]): Promise<Said>;
  join(group: string): Promise<Member>;
}

/** The topic that members subscribe to. */
export const HELD = "held";
const soon = { timeout: 20_000, interval: 20 };

/**
 * Does something with an independent client.
 *
 * @param cluster a connection of ours to all brokers, which are asked what they know
 */
export async function withOutside<T>(
  bootstrapServers: string,
  cluster: Cluster,
  work: (outside: Outside) => Promise<T>,
): Promise<T> {
  const kafkaJs = kafkaClient(bootstrapServers);
  const admin = kafkaJs.admin();
  await admin.connect();

  const stateIs = (group: string, state: string) =>
    expect.poll(async () => (await admin.describeGroups([group])).groups[0]?.state, soon).toBe(state);

  try {
    return await work({
      async createTopic(topic, partitions) {
        await createTopic(kafkaJs, cluster, { topic, partitions, replicas: 1 });
      },
      async deleteTopic(topic) {
        await admin.deleteTopics({ topics: [topic] });
        await waitUntilAllKnow(cluster, topic, 0);
      },
      async addPartitions(topic, partitions) {
        await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] });
        await waitUntilAllKnow(cluster, topic, partitions);
      },
      async produce(topic, partitions, each) {
        // One of its own: what it has learnt of a topic does not survive the topic's deletion.
        await produce(kafkaJs, topic, partitions, distinctValues(partitions * each));
      },
      async deleteRecords(topic, partition, below) {
        const another = kafkaJs.admin(); // for the same reason
        await another.connect();
        const deleted = async () => {
          await another.fetchTopicOffsets(topic); // it only knows leaders once it has asked for something else
          return another.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(below) }] });
        };
        await expect
          .poll(() => deleted().then(() => "deleted", String), soon)
          .toBe("deleted")
          .finally(() => another.disconnect());
      },
      async deleteGroups(groups) {
        await admin.deleteGroups([...groups]);
      },
      groups: async () => new Set((await admin.listGroups()).groups.map(({ groupId }) => groupId)),
      commitsOf: async (groups) =>
        new Map(
          await Promise.all(
            groups.map(async (groupId) => {
              const commits = (await admin.fetchOffsets({ groupId })).flatMap(({ topic, partitions }) =>
                partitions
                  .filter(({ offset }) => offset !== "-1")
                  .map(({ partition, offset, metadata }) => {
                    return [`${topic}-${partition}`, { offset: BigInt(offset), metadata: metadata ?? "" }] as const;
                  }),
              );
              return [groupId, new Map(commits)] as const;
            }),
          ),
        ),
      async join(groupId) {
        const consumer = kafkaJs.consumer({ groupId });
        await consumer.connect();
        await consumer.subscribe({ topics: [HELD] });
        await consumer.run({ autoCommit: false, eachMessage: async () => {} });
        await stateIs(groupId, "Stable");
        return {
          commit: (topic, partition, { offset, metadata }) =>
            consumer.commitOffsets([{ topic, partition, offset: String(offset), metadata }]),
          async leave() {
            await consumer.disconnect();
            await stateIs(groupId, "Empty");
          },
        };
      },
    });
  } finally {
    await admin.disconnect();
  }
}
