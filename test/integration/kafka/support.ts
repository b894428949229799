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

/** A name that no other test, and no other run, uses. */
export const unique = (name: string) => `${name}.${randomBytes(4).toString("hex")}`;

/** How our code is told of a cluster. */
export function configOf(bootstrapServers: string): KafkaConfig {
  return {
    clusterName: "test",
    bootstrapServers: bootstrapServers.split(","),
    security: { protocol: "PLAINTEXT" },
  };
}

/** The cluster of the tests, and Kafka's own tools. */
export const kafka = (): Kafka => openKafka(inject("kafka"));

const ofTheTests = () => inject("kafka").bootstrapServers;

/** Tests of what brokers have since a release. On older ones they are skipped, and their names say why. */
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

/** The type of classic groups as the brokers of the tests tell it: not at all before 3.8. */
export const classic = () => (isBefore(inject("kafka").version, "3.8") ? null : "classic");

/** A connection of ours, closed when the test ends. */
export async function connect(ms = 50_000, servers = ofTheTests()): Promise<Cluster> {
  const cluster = await connectCluster(configOf(servers), within(ms));
  onTestFinished(() => cluster.close());
  return cluster;
}

/** An independent client for what is not under test: topics, records, members, transactions. */
export function independentClient(servers = ofTheTests()): KafkaJs {
  return kafkaClient(servers, { clientId: "test", requestTimeout: 60_000 });
}

/** Does something with an independent admin client. */
export async function administer<T>(work: (admin: Admin) => Promise<T>, servers = ofTheTests()): Promise<T> {
  const admin = independentClient(servers).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

/** A topic that goes when the test ends, known to all brokers, with some records in each partition. */
export async function topicOf(
  partitions: number,
  records = 0,
  servers = ofTheTests(),
  { topic = unique("topic"), replicas = 3 } = {},
): Promise<string> {
  const cluster = await connect(50_000, servers);
  const client = independentClient(servers);
  onTestFinished(() => administer((admin) => admin.deleteTopics({ topics: [topic] }), servers).then(ignore, ignore));
  await createTopic(client, cluster, { topic, partitions, replicas });
  if (records > 0) await produce(client, topic, partitions, distinctValues(partitions * records));
  return topic;
}

/** Deletes groups when the test ends; those that are gone by then are fine. */
export function forget(groups: readonly string[]): void {
  onTestFinished(() => administer((admin) => admin.deleteGroups([...groups])).then(ignore, ignore));
}

const ignore = () => {};

/** Commits of one group, from `[key, offset]` pairs. */
export const at = (...offsets: readonly (readonly [string, number | bigint])[]): ReadonlyMap<string, Commit> =>
  new Map(offsets.map(([key, offset]) => [key, { offset: BigInt(offset), metadata: "" }]));

/** Makes groups with these commits. They go when the test ends. */
export async function groupsWith(cluster: Cluster, commits: Commits): Promise<void> {
  forget([...commits.keys()]);
  expectAccepted(await commitOffsets(cluster, commits));
}

/** A selection of groups. */
export const select = (...groups: string[]) => ({ groups, exclude: [] });

/** What `kafka-consumer-groups --describe` says: `group topic partition` to current and log end offset. */
export async function describedByKafka(...groups: readonly string[]): Promise<Map<string, string>> {
  const chosen = groups.length > 0 ? groups.flatMap((group) => ["--group", group]) : ["--all-groups"];
  const args = ["--timeout", "50000", "--describe", ...chosen];
  const { stdout } = await kafka().tool(GROUPS, args);
  return new Map(
    parseDescription(stdout).map(({ group, topic, partition, offset, logEndOffset }) => [
      `${group} ${topic} ${partition}`,
      `${offset ?? "-"} ${logEndOffset ?? "-"}`,
    ]),
  );
}

/** The same rows, out of a state that we read. */
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
