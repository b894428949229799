import { randomBytes } from "node:crypto";
import type { Admin, Kafka as KafkaJs } from "kafkajs";
import { describe, inject, it, onTestFinished, type TestFunction } from "vitest";
import type { Commit, Commits, LiveState } from "../../../functions/shared/core/model.ts";
import { type Cluster, connectCluster, type KafkaConfig } from "../../../functions/shared/kafka/connection/cluster.ts";
import { commitOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { GROUPS, parseDescription } from "../../../localstack/console.ts";
import { type Kafka, openKafka } from "../../../localstack/kafka.ts";
import { isBefore } from "../../../localstack/kafka-tools.ts";
import { within } from "../../support/deadline.ts";
import { kafkaClient } from "../../support/kafka-client.ts";
import { expectAccepted } from "../../support/outcomes.ts";
import { createTopic, distinctValues, produce } from "../../support/topics.ts";

/** A name that no other test and no other run uses. */
export const unique = (name: string) => `${name}.${randomBytes(4).toString("hex")}`;

/** The settings of a cluster for the code under test. */
export function configOf(bootstrapServers: string): KafkaConfig {
  return {
    clusterName: "test",
    bootstrapServers: bootstrapServers.split(","),
    security: { protocol: "PLAINTEXT" },
  };
}

/** The cluster of the tests, and Kafka's own tools. */
export const kafka = (): Kafka => openKafka(inject("kafka"));

const testServers = () => inject("kafka").bootstrapServers;

/** Tests of a feature that brokers have since a release. They are skipped on older brokers, with the reason in their titles. */
export function since(release: string, feature: string) {
  const { version } = inject("kafka");
  const lacking = isBefore(version, release);
  const named = (name: string) =>
    lacking ? `${name} (not on Kafka ${version}: ${feature} came with ${release})` : name;
  return {
    it: (name: string, test: TestFunction, timeout?: number) => it.skipIf(lacking)(named(name), test, timeout),
    describe: (name: string, tests: () => void) => describe.skipIf(lacking)(named(name), tests),
  };
}

/** The type that the brokers report for classic groups: none before 3.8. */
export const classic = () => (isBefore(inject("kafka").version, "3.8") ? null : "classic");

/** A connection of the code under test, closed when the test ends. */
export async function connect(ms = 50_000, servers = testServers()): Promise<Cluster> {
  const cluster = await connectCluster(configOf(servers), within(ms));
  onTestFinished(() => cluster.close());
  return cluster;
}

/** A kafkajs client for what is not under test: topics, records, members, transactions. */
export function independentClient(servers = testServers()): KafkaJs {
  return kafkaClient(servers, { clientId: "test", requestTimeout: 60_000 });
}

/** Runs work with a kafkajs admin client. */
export async function administer<T>(work: (admin: Admin) => Promise<T>, servers = testServers()): Promise<T> {
  const admin = independentClient(servers).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

/** Creates a topic that all brokers know, with this many records per partition. It is deleted when the test ends. */
export async function topicOf(
  partitions: number,
  records = 0,
  servers = testServers(),
  { topic = unique("topic"), replicas = 3 } = {},
): Promise<string> {
  const cluster = await connect(50_000, servers);
  const client = independentClient(servers);
  onTestFinished(() => administer((admin) => admin.deleteTopics({ topics: [topic] }), servers).then(ignore, ignore));
  await createTopic(client, cluster, { topic, partitions, replicas });
  if (records > 0) await produce(client, topic, partitions, distinctValues(partitions * records));
  return topic;
}

/** Deletes groups when the test ends. Groups that do not exist then are ignored. */
export function forget(groups: readonly string[]): void {
  onTestFinished(() => administer((admin) => admin.deleteGroups([...groups])).then(ignore, ignore));
}

const ignore = () => {};

/** Commits of one group, from `[key, offset]` pairs. */
export const at = (...offsets: readonly (readonly [string, number | bigint])[]): ReadonlyMap<string, Commit> =>
  new Map(offsets.map(([key, offset]) => [key, { offset: BigInt(offset), metadata: "" }]));

/** Creates groups with these commits. They are deleted when the test ends. */
export async function groupsWith(cluster: Cluster, commits: Commits): Promise<void> {
  forget([...commits.keys()]);
  expectAccepted(await commitOffsets(cluster, commits));
}

/** A selection of groups. */
export const select = (...groups: string[]) => ({ groups, exclude: [] });

/** The rows of `kafka-consumer-groups --describe`: current and log end offset by `group topic partition`. */
export async function describedByKafka(...groups: readonly string[]): Promise<Map<string, string>> {
  const selection = groups.length > 0 ? groups.flatMap((group) => ["--group", group]) : ["--all-groups"];
  const args = ["--timeout", "50000", "--describe", ...selection];
  const { stdout } = await kafka().tool(GROUPS, args);
  return new Map(
    parseDescription(stdout).map(({ group, topic, partition, offset, logEndOffset }) => [
      `${group} ${topic} ${partition}`,
      `${offset ?? "-"} ${logEndOffset ?? "-"}`,
    ]),
  );
}

/** The same rows from a captured state. */
export function rowsOf(state: LiveState): Map<string, string> {
  const rows = new Map<string, string>();
  for (const [group, commits] of state.commits) {
    for (const [key, { offset }] of commits) {
      const dash = key.lastIndexOf("-");
      const [topic, partition] = [key.slice(0, dash), key.slice(dash + 1)];
      const end = state.observed.topics.get(topic)?.partitions.get(Number(partition))?.logEndOffset;
      rows.set(`${group} ${topic} ${partition}`, `${offset} ${end}`);
    }
  }
  return rows;
}
