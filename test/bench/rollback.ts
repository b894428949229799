import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { withCluster } from "../../functions/shared/kafka/connection/access.ts";
import { readCommits } from "../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets } from "../../functions/shared/kafka/groups/write-commits.ts";
import { freshStateDir, removeState, type Say } from "../../localstack/process.ts";
import { within } from "../support/deadline.ts";
import { expectAccepted } from "../support/outcomes.ts";
import {
  type Bed,
  type BenchCloud,
  commitsOf,
  expectTotal,
  insideLogs,
  invoke,
  PARTITIONS,
  TOPICS,
  totalOf,
  withBed,
} from "./bed.ts";
import { expectSame, type Figures, inTurns, ratioOf, timed } from "./figures.ts";
import { openRawConnections, rawCommitsOf } from "./raw-commits.ts";
import { consumerGroupsTool, startAdminClient, startKafkaJs } from "./rivals.ts";

/** The number of groups for kafkajs, which is slow because it joins each group. */
const KAFKAJS_GROUPS = 10;
/** The number of groups for kafka-consumer-groups. */
const FILE_GROUPS = 1_000;

/** What to measure. */
export interface RollbackBench {
  readonly version: string;
  readonly brokers: 1 | 3;
  readonly cloud: BenchCloud;
  readonly quick: boolean;
  /** Whether to measure kafka-consumer-groups and kafkajs, too. */
  readonly slowRivals: boolean;
  readonly say: Say;
}

/** Measures commits of many groups with their read-back, and other clients that only commit. */
export async function benchRollback(
  figures: Figures,
  { version, brokers, cloud, quick, slowRivals, say }: RollbackBench,
): Promise<void> {
  await withBed({ version, brokers, shape: insideLogs, say }, async (bed) => {
    let generation = 0;
    const folder = freshStateDir("bench-rivals");
    const adminClient = await startAdminClient(bed.kafka, folder);
    try {
      for (const groups of quick ? [1_000] : [1_000, 10_000]) {
        await bed.commit(groups, ++generation);
        const connections: number[] = [];
        const ours = async () => {
          const { ms, opened } = await commitAndRead(bed, groups, ++generation);
          connections.push(opened);
          return ms;
        };
        for (let warmUp = 0; warmUp < 2; warmUp++) await ours();
        const most = Math.max(...connections);
        const aBroker = Math.ceil(most / brokers);
        const raw = () => rawCommits(bed, groups, ++generation, aBroker);
        const times = await inTurns({ ours, raw }, { rounds: quick ? 3 : 5, warmUps: 0 });

        const alters: number[] = [];
        for (let round = 0; round < (groups > FILE_GROUPS ? 1 : 2); round++) {
          const command = [groups, PARTITIONS, TOPICS, bed.shape.span, ++generation];
          const { ms, count, sum } = await adminClient.run("alter", ...command);
          expectTotal("alterConsumerGroupOffsets", { count, sum }, bed.shape, groups, generation);
          await bed.expectAt(groups, generation);
          alters.push(ms);
        }
        const wholes = await inTurns(
          { whole: () => wholeRollback(bed, cloud, groups, ++generation) },
          { rounds: 3, warmUps: 1 },
        );

        const rowOf = (what: string, rounds: readonly number[], note = "") =>
          figures.row({ what, brokers, groups, rounds, beside: { what: "AdminClient", rounds: alters }, note });
        rowOf("commits, and reading them back (Kafka part of a rollback)", times("ours"), `${most} connections`);
        rowOf(
          "raw limit: a bare loop of OffsetCommit",
          times("raw"),
          `${aBroker * brokers} connections, not read back`,
        );
        rowOf("AdminClient: alterConsumerGroupOffsets of all at once", alters, alters.length === 1 ? "once" : "");
        rowOf("whole rollback: the handler, with plan, safety snapshot and journal", wholes("whole"));
        if (slowRivals && groups === FILE_GROUPS) await benchSlow(figures, bed, brokers, folder);
        if (groups < 10_000) continue;
        const name = `rollback of 10,000 groups, Kafka ${version}, ${brokers} broker(s), beside`;
        const target = (whom: string, others: readonly number[], limit: number) =>
          figures.target({ name: `${name} ${whom}`, value: ratioOf(times("ours"), others), limit, unit: "×" });
        if (version.startsWith("4.1.")) target("AdminClient's alter", alters, 0.1);
        target("the raw limit", times("raw"), 2);
      }
    } finally {
      adminClient.stop();
      removeState(folder);
    }
  });
}

/** Commits all groups and reads them back, as a rollback does. All connections but the first are opened during that time. */
function commitAndRead(bed: Bed, groups: number, generation: number): Promise<{ ms: number; opened: number }> {
  const commits = commitsOf(bed.shape, groups, generation);
  const keys = new Map([...commits].map(([group, partitions]) => [group, [...partitions.keys()]]));
  let opened = 0;
  const onSocket = () => {
    opened++;
  };
  subscribe("net.client.socket", onSocket);
  return withCluster(bed.access, within(600_000), async (cluster) => {
    const started = performance.now();
    const outcomes = await commitOffsets(cluster, commits);
    const found = await readCommits(cluster, keys);
    const ms = performance.now() - started;
    expectAccepted(outcomes);
    expectTotal("readCommits", totalOf(found.commits), bed.shape, groups, generation);
    return { ms, opened };
  }).finally(() => unsubscribe("net.client.socket", onSocket));
}

/** Sends the same commits, encoded before, on this many open connections per broker, and reads them back afterwards. */
async function rawCommits(bed: Bed, groups: number, generation: number, aBroker: number): Promise<number> {
  const commits = commitsOf(bed.shape, groups, generation);
  const { addresses, coordinatorOf } = await withCluster(bed.access, within(60_000), async (cluster) => {
    await readCommits(cluster, new Map([...commits.keys()].map((group) => [group, []])));
    const { brokers } = await cluster.metadata([]);
    return { addresses: brokers, coordinatorOf: new Map(cluster.coordinators) };
  });
  const lines = await Promise.all(
    addresses.map(async ({ nodeId, host, port }) => {
      const own = [...commits].filter(([group]) => coordinatorOf.get(group) === nodeId);
      return { frames: rawCommitsOf(own), connections: await openRawConnections(host, port, aBroker) };
    }),
  );
  try {
    expectSame(
      "the groups of all coordinators",
      lines.reduce((sum, { frames }) => sum + frames.length, 0),
      groups,
    );
    return await timed(async () => {
      await Promise.all(lines.map(({ frames, connections }) => connections.sendAll(frames)));
    });
  } finally {
    for (const { connections } of lines) connections.close();
    await bed.expectAt(groups, generation);
  }
}

/** Takes a snapshot, moves all groups, and measures the rollback. */
async function wholeRollback(bed: Bed, cloud: BenchCloud, groups: number, generation: number): Promise<number> {
  await bed.commit(groups, generation);
  const { snapshot_id } = await invoke(bed, cloud, "snapshot", { groups: ["*"] });
  await bed.commit(groups, generation + 1);
  const ms = await timed(async () => {
    const { status } = await invoke(bed, cloud, "rollback", { snapshot_id });
    expectSame("rollback", status, "success");
  });
  await bed.expectAt(groups, generation);
  return ms;
}

async function benchSlow(figures: Figures, bed: Bed, brokers: 1 | 3, folder: string): Promise<void> {
  const file = join(folder, "offsets.csv");
  const generation = 77;
  const lines = [...commitsOf(bed.shape, FILE_GROUPS, generation)].flatMap(([group, partitions]) =>
    [...partitions].map(([key, { offset }]) => {
      const dash = key.lastIndexOf("-");
      return `"${group}","${key.slice(0, dash)}",${key.slice(dash + 1)},${offset}`;
    }),
  );
  writeFileSync(file, `${lines.join("\n")}\n`);
  const args = ["--reset-offsets", "--all-groups", "--from-file", file, "--execute"];
  const { ms } = await consumerGroupsTool(bed.kafka, ...args);
  await bed.expectAt(FILE_GROUPS, generation);
  figures.row({
    what: "kafka-consumer-groups --reset-offsets --from-file --execute",
    brokers,
    groups: FILE_GROUPS,
    rounds: [ms],
    note: "a process: start of the JVM included",
  });
  const kafkaJs = await startKafkaJs(bed.kafka);
  const set = await timed(() => kafkaJs.setOffsets(KAFKAJS_GROUPS, PARTITIONS, 123));
  await kafkaJs.stop();
  figures.row({ what: "kafkajs' setOffsets, all at once", brokers, groups: KAFKAJS_GROUPS, rounds: [set] });
}
