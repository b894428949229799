import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { Commit } from "../../../functions/shared/core/model.ts";
import type { Cluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { kafkaClient } from "../../support/kafka-client.ts";
import { createTopic, distinctValues, produce, waitUntilAllKnow } from "../../support/topics.ts";
import { MEMBER_TOPIC } from "./model/world.ts";

/** Commits without leader epochs, by group and partition. */
export type OutsideCommits = ReadonlyMap<string, ReadonlyMap<string, Pick<Commit, "offset" | "metadata">>>;

/** A consumer in a group. It does not read the topics of a history. */
export interface Member {
  commit(topic: string, partition: number, commit: Pick<Commit, "offset" | "metadata">): Promise<void>;
  /** Resolves when the group is empty. */
  leave(): Promise<void>;
}

/** A transaction of a producer, which has a commit of a group pending. */
export interface Transaction {
  /** Ends it. */
  end(how: "commit" | "abort"): Promise<void>;
}

/** Operations by kafkajs. Each resolves when its effect is visible on every broker. */
export interface Outside {
  createTopic(topic: string, partitions: number): Promise<void>;
  deleteTopic(topic: string): Promise<void>;
  /** Raises the number of partitions to this. */
  addPartitions(topic: string, partitions: number): Promise<void>;
  /** Appends this many records to each partition. */
  produce(topic: string, partitions: number, each: number): Promise<void>;
  deleteRecords(topic: string, partition: number, below: bigint): Promise<void>;
  deleteGroups(groups: readonly string[]): Promise<void>;
  /** The groups of the cluster. */
  groups(): Promise<ReadonlySet<string>>;
  commitsOf(groups: readonly string[]): Promise<OutsideCommits>;
  join(group: string): Promise<Member>;
  /** Begins a transaction with a commit of a group, without metadata. */
  transact(group: string, topic: string, partition: number, offset: bigint): Promise<Transaction>;
}

const soon = { timeout: 20_000, interval: 20 };

/**
 * Runs work with a kafkajs client.
 *
 * @param cluster a connection of the code under test, by which each broker is asked for its topics
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
        // A new producer: a producer caches the metadata of a topic, even after the topic was created again.
        await produce(kafkaJs, topic, partitions, distinctValues(partitions * each));
      },
      async deleteRecords(topic, partition, below) {
        const another = kafkaJs.admin(); // for the same reason
        await another.connect();
        const deleted = async () => {
          await another.fetchTopicOffsets(topic); // this loads the leaders, which deleteTopicRecords needs
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
      async transact(consumerGroupId, topic, partition, offset) {
        const transactionalId = randomUUID();
        const producer = kafkaJs.producer({ transactionalId, maxInFlightRequests: 1, idempotent: true });
        await producer.connect();
        const transaction = await producer.transaction();
        const topics = [{ topic, partitions: [{ partition, offset: String(offset) }] }];
        await transaction.sendOffsets({ consumerGroupId, topics });
        return {
          async end(how) {
            await transaction[how]();
            await producer.disconnect();
          },
        };
      },
      async join(groupId) {
        const consumer = kafkaJs.consumer({ groupId });
        await consumer.connect();
        await consumer.subscribe({ topics: [MEMBER_TOPIC] });
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
