import { join } from "node:path";
import type { SnapshotContent } from "../../functions/shared/core/model.ts";
import { envNames } from "../../functions/shared/lambda/env.ts";
import { createSnapshots } from "../../functions/shared/storage/snapshots.ts";
import { nodeOptions } from "../../infra/operation-function.ts";
import { freshStateDir, removeState, type Say } from "../../localstack/process.ts";
import { within } from "../support/deadline.ts";
import { groupOf } from "../support/states.ts";
import { type BenchCloud, commitsOf, groupName, PARTITIONS, topicNames, totalOf, wide } from "./bed.ts";
import { expectSame, type Figures, inTurns, median } from "./figures.ts";
import { buildBundle, runProcess } from "./one-process.ts";

const GROUPS = 1_000;
/** The group whose history is read. */
const GROUP = 777;
/** How many bodies are read at once where nothing is done with them, as in `readParts`. */
const AT_ONCE = 16;
const handlerFile = join(import.meta.dirname, "../../functions/history/handler.ts");

/** Each contestant returns the snapshots, offsets and sum that it found of the group; `bytes` the bytes of the bodies. */
const contestants = {
  ours: `
    import { handler as history } from ${JSON.stringify(handlerFile)};
    export async function handler({ group, since, until }, context) {
      const { snapshots, groups } = await history({ groups: [group], since, until }, context);
      const points = Object.values(groups[group].partitions).flatMap(({ points }) => points);
      const sum = points.reduce((sum, [, offset]) => sum + offset, 0);
      return { status: snapshots.length + " snapshots, sum " + sum, groups: 1, offsets: points.length };
    }`,
  plain: `
    import { gunzipSync } from "node:zlib";
    import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
    export async function handler({ bucket, keys, group }) {
      const s3 = new S3Client({ forcePathStyle: true });
      let [offsets, sum] = [0, 0];
      for (const Key of keys) {
        const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key }));
        const { consumer_groups } = JSON.parse(gunzipSync(await Body.transformToByteArray()));
        for (const { offset } of Object.values(consumer_groups[group].partitions)) {
          offsets++;
          sum += offset;
        }
      }
      return { status: keys.length + " snapshots, sum " + sum, groups: 1, offsets };
    }`,
  bytes: `
    import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
    export async function handler({ bucket, keys }) {
      const s3 = new S3Client({ forcePathStyle: true });
      let [bytes, next] = [0, 0];
      const readOn = async () => {
        while (next < keys.length) {
          const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: keys[next++] }));
          const { length } = await Body.transformToByteArray();
          bytes += length;
        }
      };
      await Promise.all(Array.from({ length: ${AT_ONCE} }, readOn));
      return { status: "", groups: 0, offsets: bytes };
    }`,
} as const;
type Contestant = keyof typeof contestants;

/** What was saved of a snapshot. */
interface Saved {
  readonly snapshotId: string;
  readonly createdAt: string;
  readonly bytes: number;
  /** The sum of the offsets of the group. */
  readonly sum: number;
}

const hour = (n: number) => new Date(Date.UTC(2026, 0, 1, n));

/** Saves hourly snapshots of 1,000 groups, oldest first. */
export async function saveHourly(cloud: BenchCloud, snapshots: number): Promise<readonly Saved[]> {
  const archive = createSnapshots(cloud.archive);
  const saved: Saved[] = [];
  for (let n = 0; n < snapshots; n++) {
    const { content, sum } = contentAt(n);
    const { entry } = await archive.save(content, hour(n), within(60_000));
    saved.push({ snapshotId: entry.snapshotId, createdAt: entry.createdAt, bytes: entry.bytes, sum });
  }
  return saved;
}

function contentAt(generation: number): { readonly content: SnapshotContent; readonly sum: number } {
  const consumerGroups = commitsOf(wide, GROUPS, generation);
  const range = { logStartOffset: 0n, logEndOffset: BigInt(wide.span), leaderEpoch: 0 };
  const partitions = new Map(Array.from({ length: PARTITIONS }, (_, partition) => [partition, range]));
  const observed = {
    groups: new Map([...consumerGroups.keys()].map((group) => [group, groupOf("classic", "Empty", 0)])),
    topics: new Map(topicNames.map((topic) => [topic, { topicId: "AAAAAAAAAAAAAAAAAAAAAA", partitions }])),
  };
  const content: SnapshotContent = {
    description: "",
    trigger: "schedule",
    selection: { groups: ["*"], exclude: [] },
    cluster: { name: "bench", clusterId: "bench" },
    consumerGroups,
    errors: [],
    warnings: [],
    observed,
  };
  const ofGroup = consumerGroups.get(groupName(GROUP)) ?? new Map();
  return { content, sum: totalOf(new Map([[groupName(GROUP), ofGroup]])).sum };
}

/**
 * Measures the history of one group over many snapshots of 1,000 groups, in processes with the bundle of the function, beside
 * a plain loop over the same bodies. What the emulator needs to serve the bodies is a figure of its own.
 */
export async function benchHistory(figures: Figures, cloud: BenchCloud, quick: boolean, say: Say): Promise<void> {
  const folder = freshStateDir("bench-history");
  const sizes = quick ? [10, 50] : [100, 1_000];
  const { bucket, table } = cloud.archive;
  const environment = {
    [envNames.bucket]: bucket,
    [envNames.table]: table,
    [envNames.clusterName]: "bench",
    [envNames.bootstrapServers]: "127.0.0.1:9",
  };
  const memory = new Map<string, number[]>();
  const build = (name: Contestant) => buildBundle(folder, name, contestants[name]);
  const bundles = { ours: build("ours"), plain: build("plain"), bytes: build("bytes") };
  try {
    const most = Math.max(...sizes);
    const all = await saveHourly(cloud, most);
    say(`  saved ${most} snapshots`);
    for (const snapshots of sizes) {
      const chosen = all.slice(-snapshots);
      const sum = chosen.reduce((sum, saved) => sum + saved.sum, 0);
      const bytes = chosen.reduce((bytes, saved) => bytes + saved.bytes, 0);
      const event = {
        bucket,
        group: groupName(GROUP),
        keys: chosen.map(({ snapshotId }) => `snapshots/${snapshotId}.json.gz`),
        since: chosen[0]?.createdAt,
        until: chosen.at(-1)?.createdAt,
      };
      const run = (name: Contestant) => async () => {
        const node = nodeOptions("history");
        const report = await runProcess({ bundle: bundles[name], environment, node, event, invocations: 1 });
        const [found] = report.results;
        const expected = name === "bytes" ? bytes : snapshots * PARTITIONS;
        expectSame(`${name}: offsets or bytes`, found?.offsets, expected);
        if (name !== "bytes") expectSame(`${name}: the sum`, found?.status, `${snapshots} snapshots, sum ${sum}`);
        memory.set(`${name} ${snapshots}`, [...(memory.get(`${name} ${snapshots}`) ?? []), report.maxRssMb]);
        return report.invocations[0] ?? Number.NaN;
      };
      const times = await inTurns(
        { ours: run("ours"), plain: run("plain"), bytes: run("bytes") },
        { rounds: quick ? 1 : 3, warmUps: 0 },
      );
      const what = `history of a group over ${snapshots.toLocaleString("en")} snapshots`;
      const beside = { what: "the plain loop", rounds: times("plain") };
      const note = `the first call of a process; ${(bytes / 1e6).toFixed(0)} MB of bodies, gzip'd`;
      figures.row({ what, groups: GROUPS, rounds: times("ours"), beside, note });
      figures.row({ what: "… its resident memory at most", rounds: memory.get(`ours ${snapshots}`) ?? [], unit: "MB" });
      figures.row({ what: "… JSON.parse(gunzipSync(body)), one after another", rounds: times("plain") });
      const served = `MiniStack's part: the same bodies, ${AT_ONCE} at once, not decoded`;
      figures.row({ what: "… only the bodies' bytes", rounds: times("bytes"), note: served });
      const limit = snapshots === most ? 10_000 : 1_500;
      figures.target({ name: what, value: median(times("ours")), limit, unit: "ms" });
      const resident = Math.max(...(memory.get(`ours ${snapshots}`) ?? []));
      figures.target({ name: `resident memory of a ${what}`, value: resident, limit: 512, unit: "MB" });
    }
  } finally {
    removeState(folder);
  }
}
