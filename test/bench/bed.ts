import { randomUUID } from "node:crypto";
import { CreateTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import type { Commits } from "../../functions/shared/core/model.ts";
import { type KafkaAccess, withCluster } from "../../functions/shared/kafka/connection/access.ts";
import { readCommits } from "../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets } from "../../functions/shared/kafka/groups/write-commits.ts";
import { envNames } from "../../functions/shared/lambda/env.ts";
import type { StorageConfig } from "../../functions/shared/storage/clients.ts";
import { choose } from "../../localstack/choice.ts";
import { type Cloud, useOrStartCloud } from "../../localstack/cloud.ts";
import { type Kafka, startKafka } from "../../localstack/kafka.ts";
import { freshStateDir, removeState, type Say, until } from "../../localstack/process.ts";
import { run, type Verb } from "../faults/support/handlers.ts";
import { within } from "../support/deadline.ts";
import { kafkaClient } from "../support/kafka-client.ts";
import { expectAccepted } from "../support/outcomes.ts";
import { expectSame } from "./figures.ts";

/** The number of topics; each has `PARTITIONS`. */
export const TOPICS = 10;
/** The number of partitions on which a group has commits, all of one topic. */
export const PARTITIONS = 12;

/** The offsets of the groups. */
export interface Shape {
  /** Offsets are below this. */
  readonly span: number;
  readonly partitions: number;
}

/** For snapshots: offsets as different as those of real groups, above the ends of the empty logs. */
export const wide: Shape = { span: 100_000_000, partitions: PARTITIONS };
/** For rollbacks: offsets inside the logs, which `withBed` fills. */
export const insideLogs: Shape = { span: 500, partitions: PARTITIONS };

/** A cluster with groups of a known shape. */
export interface Bed {
  readonly kafka: Kafka;
  readonly access: KafkaAccess;
  readonly shape: Shape;
  /** Commits the offsets of a generation for this many groups, and creates those that do not exist. */
  commit(groups: number, generation?: number): Promise<void>;
  /** Throws unless this many groups have the offsets of a generation. */
  expectAt(groups: number, generation: number): Promise<void>;
}

/** What to start. */
export interface BedOptions {
  readonly brokers: 1 | 3;
  readonly shape?: Shape;
  readonly version?: string;
  readonly say: Say;
}

export const groupName = (group: number): string => `bench-${group}`;
export const groupNames = (groups: number): string[] => Array.from({ length: groups }, (_, group) => groupName(group));
export const topicName = (topic: number): string => `bench-topic-${topic}`;
export const topicNames: readonly string[] = Array.from({ length: TOPICS }, (_, topic) => topicName(topic));

/** The offset of a group in a partition: the same formula as in Rivals.java. */
function offsetOf({ span, partitions }: Shape, group: number, partition: number, generation: number): number {
  return ((group * partitions + partition) * 2_654_435_761 + generation) % span;
}

/** The commits of this many groups. */
export function commitsOf(shape: Shape, groups: number, generation = 0): Commits {
  return new Map(
    Array.from({ length: groups }, (_, group) => {
      const topic = topicName(group % TOPICS);
      const commits = Array.from({ length: shape.partitions }, (_, partition) => {
        const offset = BigInt(offsetOf(shape, group, partition, generation));
        return [`${topic}-${partition}`, { offset, metadata: "", leaderEpoch: 0 }] as const;
      });
      return [groupName(group), new Map(commits)];
    }),
  );
}

/** The number of offsets and their sum, which each client must have found. */
export function totalOf(commits: Commits): { readonly count: number; readonly sum: number } {
  let count = 0;
  let sum = 0;
  for (const partitions of commits.values()) {
    for (const { offset } of partitions.values()) {
      count++;
      sum += Number(offset);
    }
  }
  return { count, sum };
}

/** Throws unless these are the offsets of this many groups. */
export function expectTotal(
  what: string,
  found: { readonly count: number; readonly sum: number },
  shape: Shape,
  groups: number,
  generation = 0,
): void {
  const expected = totalOf(commitsOf(shape, groups, generation));
  expectSame(`${what}: the number of offsets`, found.count, expected.count);
  expectSame(`${what}: the sum of the offsets`, found.sum, expected.sum);
}

/** Runs work with a new cluster that has topics and no groups. */
export async function withBed<T>(options: BedOptions, work: (bed: Bed) => Promise<T>): Promise<T> {
  const { brokers, say, shape = wide, version } = options;
  const stateDir = freshStateDir(`bench-${brokers}`);
  try {
    const kafka = await startKafka({ brokers, stateDir, say, ...(version !== undefined && { version }) });
    try {
      return await work(await makeBed(kafka, shape));
    } finally {
      await kafka.stop();
    }
  } finally {
    removeState(stateDir);
  }
}

/** Creates the topics of a cluster. */
export async function makeBed(kafka: Kafka, shape: Shape): Promise<Bed> {
  const access: KafkaAccess = {
    clusterName: "bench",
    bootstrapServers: kafka.bootstrapServers.split(","),
    protocol: "PLAINTEXT",
    sasl: undefined,
  };
  await makeTopics(access, shape === insideLogs ? shape.span : 0);
  return {
    kafka,
    access,
    shape,
    commit: (groups, generation) =>
      withCluster(access, within(300_000), async (cluster) => {
        expectAccepted(await commitOffsets(cluster, commitsOf(shape, groups, generation)));
      }),
    expectAt: (groups, generation) =>
      withCluster(access, within(300_000), async (cluster) => {
        const expected = commitsOf(shape, groups, generation);
        const keys = new Map([...expected].map(([group, partitions]) => [group, partitions.keys()]));
        const { commits } = await readCommits(cluster, keys);
        expectTotal("reading back", totalOf(commits), shape, groups, generation);
      }),
  };
}

async function makeTopics(access: KafkaAccess, recordsEach: number): Promise<void> {
  const kafkaJs = kafkaClient(access.bootstrapServers.join(","));
  const admin = kafkaJs.admin();
  await admin.connect();
  const topics = topicNames.map((topic) => ({ topic, numPartitions: PARTITIONS }));
  await admin.createTopics({ waitForLeaders: false, topics });
  await admin.disconnect();
  if (!(await until(() => allLed(access), 60_000))) throw new Error("The topics have no leaders after a minute");
  if (recordsEach === 0) return;
  const producer = kafkaJs.producer();
  await producer.connect();
  for (const topic of topicNames) {
    const messages = Array.from({ length: PARTITIONS * recordsEach }, (_, i) => ({
      partition: i % PARTITIONS,
      value: null,
    }));
    await producer.send({ topic, messages });
  }
  await producer.disconnect();
}

/** Whether every broker knows a leader of every partition. */
function allLed(access: KafkaAccess): Promise<boolean> {
  return withCluster(access, within(30_000), async (cluster) => {
    const views = await Promise.all(cluster.nodes.map((node) => cluster.metadata(topicNames, node)));
    const led = views.map(({ topics }) => topics.flatMap(({ partitions }) => partitions).filter((p) => p.leader >= 0));
    return led.every((partitions) => partitions.length === TOPICS * PARTITIONS);
  });
}

/** A local cloud with a bucket and a table, set in the environment of this process. */
export interface BenchCloud {
  readonly cloud: Cloud;
  readonly archive: StorageConfig;
}

/** Runs work with a new local cloud. Call it once per process: the AWS clients of the handlers keep their endpoint. */
export async function withCloud<T>(say: Say, work: (cloud: BenchCloud) => Promise<T>): Promise<T> {
  const stateDir = freshStateDir("bench-cloud");
  try {
    const cloud = await useOrStartCloud(await choose({ cloud: true }), { stateDir, say });
    const archive = { bucket: `offsets-${randomUUID()}`, prefix: "", table: `offsets-${randomUUID()}` };
    Object.assign(process.env, cloud.environment);
    await new S3Client({ forcePathStyle: true }).send(new CreateBucketCommand({ Bucket: archive.bucket }));
    await new DynamoDBClient().send(
      new CreateTableCommand({
        TableName: archive.table,
        BillingMode: "PAY_PER_REQUEST",
        AttributeDefinitions: ["pk", "sk"].map((AttributeName) => ({ AttributeName, AttributeType: "S" })),
        KeySchema: [
          { AttributeName: "pk", KeyType: "HASH" },
          { AttributeName: "sk", KeyType: "RANGE" },
        ],
      }),
    );
    try {
      return await work({ cloud, archive });
    } finally {
      await cloud.stop();
    }
  } finally {
    removeState(stateDir);
  }
}

/** The environment of a function with this Kafka and archive. */
export function functionEnvironment({ access }: Bed, { archive }: BenchCloud): Record<string, string> {
  return {
    [envNames.bucket]: archive.bucket,
    [envNames.table]: archive.table,
    [envNames.clusterName]: access.clusterName,
    [envNames.bootstrapServers]: access.bootstrapServers.join(","),
  };
}

/** Runs a handler in this process. @throws its error */
export async function invoke(
  bed: Bed,
  cloud: BenchCloud,
  verb: Verb,
  event: unknown,
): Promise<Record<string, unknown>> {
  Object.assign(process.env, functionEnvironment(bed, cloud));
  const { result, error } = Object(JSON.parse(await run(verb, event, 900_000)));
  if (error !== undefined) throw new Error(`${verb} failed: ${Object(error).message}`);
  return Object(result);
}
