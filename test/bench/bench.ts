import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Kafka as KafkaJs, logLevel } from "kafkajs";
import type { Commit, Commits, LiveState } from "../../functions/shared/core/model.ts";
import { countOffsets } from "../../functions/shared/core/model.ts";
import { encodeSnapshot } from "../../functions/shared/core/snapshot.ts";
import { withCluster } from "../../functions/shared/kafka/access.ts";
import { capture, commitOffsets } from "../../functions/shared/kafka/group-offsets.ts";
import { buildHandler, verbs } from "../../infra/operation-function.ts";
import { startKafka } from "../../localstack/kafka.ts";
import { freshStateDir, localDir, main, removeState, type Say } from "../../localstack/process.ts";

const GROUPS = 1_000;
const PARTITIONS = 12;
const ROUNDS = 5;
/** What the kafkajs manual and most scripts do: many groups at a time, one call each. */
const KAFKAJS_IN_FLIGHT = 50;

interface Row {
  readonly brokers: number;
  readonly what: string;
  readonly medianMs: number;
  readonly ratio: number;
  readonly requests: string;
  readonly rounds: readonly number[];
}

async function benchBrokers(brokers: 1 | 3, say: Say): Promise<Row[]> {
  const stateDir = freshStateDir(`bench-${brokers}`);
  const kafka = await startKafka({ brokers, stateDir, say });
  try {
    const access = {
      clusterName: "bench",
      bootstrapServers: kafka.bootstrapServers.split(","),
      protocol: "PLAINTEXT" as const,
      sasl: undefined,
    };
    const groups = Array.from({ length: GROUPS }, (_, i) => `bench-${i}`);
    say(`Committing ${GROUPS} groups × ${PARTITIONS} partitions…`);
    await createTopic(access.bootstrapServers);
    await withCluster(access, deadlineIn(120_000), async (cluster) => {
      const outcomes = await commitOffsets(cluster, commitsOf(groups));
      const refused = [...outcomes.values()]
        .flatMap((one) => [...one.values()])
        .filter(({ kind }) => kind !== "accepted");
      if (refused.length > 0) throw new Error(`${refused.length} commits were not accepted`);
    });

    const ours: number[] = [];
    const theirs: number[] = [];
    let requests = new Map<string, number>();
    let theirRequests = 0;
    let bodyBytes = 0;
    for (let round = 0; round <= ROUNDS; round++) {
      const captured = await timed(() =>
        withCluster(access, deadlineIn(120_000), async (cluster) => {
          const live = await capture(cluster, { groups: ["bench-*"], exclude: [] });
          const { body } = encodeSnapshot({
            ...contentOf(live),
            snapshotId: "snapshot-2026-01-01T00:00:00Z",
            createdAt: "2026-01-01T00:00:00Z",
          });
          bodyBytes = body.length;
          requests = new Map(cluster.requests);
          return live.commits;
        }),
      );
      const fetched = await timed(() => withKafkaJs(access.bootstrapServers, groups));
      if (countOffsets(captured.result) !== GROUPS * PARTITIONS || fetched.result.offsets !== GROUPS * PARTITIONS) {
        throw new Error(`${countOffsets(captured.result)} and ${fetched.result.offsets} offsets were read`);
      }
      theirRequests = fetched.result.requests;
      if (round === 0) continue; // both have compiled by now
      ours.push(captured.ms);
      theirs.push(fetched.ms);
    }
    const sent = [...requests].map(([api, n]) => `${api} ${n}`).join(", ");
    const total = [...requests.values()].reduce((sum, n) => sum + n, 0);
    const row = (what: string, rounds: number[], text: string): Row => ({
      brokers,
      what,
      medianMs: median(rounds),
      ratio: median(rounds) / median(theirs),
      requests: text,
      rounds,
    });
    return [
      row(
        "snapshot: connect, list, offsets, log ranges, encode",
        ours,
        `${total} (${sent}); body ${Math.round(bodyBytes / 1000)} kB`,
      ),
      row(`kafkajs admin.fetchOffsets, ${KAFKAJS_IN_FLIGHT} in flight, offsets only`, theirs, `${theirRequests}`),
    ];
  } finally {
    await kafka.stop();
    removeState(stateDir);
  }
}

const contentOf = (live: LiveState) => ({
  description: "",
  trigger: "invoke" as const,
  selection: { groups: ["*"], exclude: [] },
  cluster: live.cluster,
  consumerGroups: live.commits,
  errors: live.errors,
  warnings: live.warnings,
  observed: live.observed,
});

/** Offsets that differ as those of real groups do, so that the body does not compress to nothing. */
function commitsOf(groups: readonly string[]): Commits {
  const offsets = (seed: number) =>
    new Map<string, Commit>(
      Array.from({ length: PARTITIONS }, (_, n) => [
        `bench-${n}`,
        { offset: BigInt((seed * PARTITIONS + n) * 2_654_435_761) % 100_000_000n, metadata: "", leaderEpoch: 0 },
      ]),
    );
  return new Map(groups.map((group, i) => [group, offsets(i)]));
}

async function createTopic(brokers: string[]): Promise<void> {
  const admin = new KafkaJs({ brokers, logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic: "bench", numPartitions: PARTITIONS }] });
  await admin.disconnect();
}

/** Reads the same offsets through kafkajs' public API, connecting as well, and counts them. */
async function withKafkaJs(
  brokers: string[],
  groups: readonly string[],
): Promise<{ offsets: number; requests: number }> {
  const admin = new KafkaJs({ brokers, logLevel: logLevel.NOTHING }).admin();
  let requests = 0;
  admin.on(admin.events.REQUEST, () => requests++);
  await admin.connect();
  const queue = groups.values();
  let offsets = 0;
  const worker = async () => {
    for (const groupId of queue) {
      for (const { partitions } of await admin.fetchOffsets({ groupId })) offsets += partitions.length;
    }
  };
  await Promise.all(Array.from({ length: KAFKAJS_IN_FLIGHT }, worker));
  await admin.disconnect();
  return { offsets, requests };
}

async function timed<T>(work: () => Promise<T>): Promise<{ result: T; ms: number }> {
  const started = performance.now();
  const result = await work();
  return { result, ms: performance.now() - started };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function deadlineIn(ms: number) {
  const end = performance.now() + ms;
  return { signal: AbortSignal.timeout(ms), remainingMs: () => Math.max(0, end - performance.now()) };
}

function bundleSizes(): Record<string, number> {
  const folder = freshStateDir("bundles");
  try {
    return Object.fromEntries(
      verbs.map((verb) => {
        const file = join(folder, `${verb}.mjs`);
        buildHandler(verb, file);
        return [verb, statSync(file).size];
      }),
    );
  } finally {
    removeState(folder);
  }
}

/** `npm run bench`: a snapshot's reads beside kafkajs' own admin client, in turns on the same cluster; and the bundles. */
await main(async (say) => {
  const rows = [...(await benchBrokers(1, say)), ...(await benchBrokers(3, say))];
  const bundles = bundleSizes();
  mkdirSync(localDir, { recursive: true });
  const file = join(localDir, "bench.json");
  writeFileSync(file, `${JSON.stringify({ groups: GROUPS, partitions: PARTITIONS, rows, bundles }, null, 2)}\n`);

  say(`\n${GROUPS} groups × ${PARTITIONS} partitions, median of ${ROUNDS} rounds:`);
  say("| brokers | what | ms | × kafkajs | requests |\n|---|---|---|---|---|");
  for (const { brokers, what, medianMs, ratio, requests } of rows) {
    say(`| ${brokers} | ${what} | ${medianMs.toFixed(0)} | ${ratio.toFixed(2)} | ${requests} |`);
  }
  say("\n| function | bundle, kB |\n|---|---|");
  for (const [verb, bytes] of Object.entries(bundles)) say(`| ${verb} | ${Math.round(bytes / 1000)} |`);
  say(`\nRaw results: ${file}`);
});
