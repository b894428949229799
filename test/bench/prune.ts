import { join } from "node:path";
import type { SnapshotContent } from "../../functions/shared/core/model.ts";
import { envNames } from "../../functions/shared/lambda/env.ts";
import { createSnapshots } from "../../functions/shared/storage/snapshots.ts";
import { nodeOptions } from "../../infra/operation-function.ts";
import { freshStateDir, removeState, type Say } from "../../localstack/process.ts";
import { within } from "../support/deadline.ts";
import type { BenchCloud } from "./bed.ts";
import { expectSame, type Figures, inTurns, median } from "./figures.ts";
import { buildBundle, runProcess } from "./one-process.ts";
import { loseRows } from "./reindex.ts";

const handlerFile = join(import.meta.dirname, "../../functions/prune/handler.ts");

/** How many the rules keep. */
const KEPT = 100;

/**
 * Each contestant returns how many snapshots it has deleted. The loop makes the same writes for each, one after another, and
 * decides nothing.
 */
const contestants = {
  ours: `
    import { handler as prune } from ${JSON.stringify(handlerFile)};
    export async function handler(event, context) {
      const { kept, deleted, remaining } = await prune({}, context);
      return { status: remaining + " left, " + kept.length + " kept", groups: 1, offsets: deleted.length };
    }`,
  plain: `
    import { DeleteItemCommand, DynamoDBClient, PutItemCommand, UpdateItemCommand } from "@aws-sdk/client-dynamodb";
    import { DeleteObjectCommand, S3Client } from "@aws-sdk/client-s3";
    export async function handler({ bucket, table, prefix, deleted, kept }) {
      const s3 = new S3Client({ forcePathStyle: true });
      const dynamodb = new DynamoDBClient();
      for (let n = 0; n < deleted; n++) {
        const createdAt = new Date(Date.UTC(2020, 0, 1, n)).toISOString().slice(0, 19) + "Z";
        const id = "snapshot-" + createdAt;
        const Key = { pk: { S: "snapshot" }, sk: { S: createdAt + "#000001" } };
        const hide = { UpdateExpression: "SET deleting = :true", ExpressionAttributeValues: { ":true": { BOOL: true } } };
        await dynamodb.send(new UpdateItemCommand({ TableName: table, Key, ...hide }));
        const Item = { pk: { S: "deletion" }, sk: { S: new Date().toISOString() + id }, snapshot_id: { S: id } };
        await dynamodb.send(new PutItemCommand({ TableName: table, Item }));
        await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: prefix + "snapshots/" + id + ".json.gz" }));
        await dynamodb.send(new DeleteItemCommand({ TableName: table, Key }));
      }
      return { status: "0 left, " + kept + " kept", groups: 1, offsets: deleted };
    }`,
} as const;
type Contestant = keyof typeof contestants;

/** The snapshot of a run, an hour after the one before. Its size does not matter: no body is read. */
const contentOf = (n: number): SnapshotContent => ({
  description: "Every hour",
  trigger: "schedule",
  schedule: { name: "hourly", executionId: `execution-${n}`, scheduledTime: new Date(n * 3_600_000).toISOString() },
  selection: { groups: ["*"], exclude: [] },
  cluster: { name: "bench", clusterId: "bench" },
  consumerGroups: new Map([["orders", new Map([["orders-0", { offset: BigInt(n), metadata: "" }]])]]),
  errors: [],
  warnings: [],
  observed: { groups: new Map(), topics: new Map() },
});

/** Saves the snapshots of so many hours, 16 at a time. */
async function saveAll({ archive }: BenchCloud, snapshots: number): Promise<void> {
  const saver = createSnapshots(archive);
  let next = 0;
  const save = async () => {
    for (let n = next++; n < snapshots; n = next++) {
      const { repeated } = await saver.save(contentOf(n), new Date(Date.UTC(2020, 0, 1, n)), within(60_000));
      if (repeated) throw new Error("the snapshot exists already");
    }
  };
  await Promise.all(Array.from({ length: 16 }, save));
}

/** Measures how long it takes to delete most of many snapshots by rule, beside a plain loop with the same writes. */
export async function benchPrune(figures: Figures, cloud: BenchCloud, quick: boolean, say: Say): Promise<void> {
  const folder = freshStateDir("bench-prune");
  const archive = { ...cloud.archive, prefix: "prune/" };
  const { bucket, table, prefix } = archive;
  const environment = {
    [envNames.bucket]: bucket,
    [envNames.bucketPrefix]: prefix,
    [envNames.table]: table,
    [envNames.retention]: JSON.stringify({ schedules: { hourly: { keep_last: KEPT } }, safety_days: 30 }),
  };
  const build = (name: Contestant) => buildBundle(folder, name, contestants[name]);
  const bundles = { ours: build("ours"), plain: build("plain") };
  const snapshots = quick ? 300 : 2_000;
  const event = { bucket, table, prefix, deleted: snapshots - KEPT, kept: KEPT };
  const memory: number[] = [];
  try {
    await loseRows(table); // other sections have rows in the same table
    const run = (name: Contestant) => async () => {
      await saveAll({ ...cloud, archive }, snapshots);
      say(`  saved ${snapshots} snapshots`);
      const request = name === "ours" ? {} : event;
      const node = nodeOptions("prune");
      const report = await runProcess({ bundle: bundles[name], environment, node, event: request, invocations: 1 });
      expectSame(`${name}: snapshots`, report.results[0]?.offsets, snapshots - KEPT);
      expectSame(`${name}: status`, report.results[0]?.status, `0 left, ${KEPT} kept`);
      if (name === "ours") memory.push(report.maxRssMb);
      await removeAll({ ...cloud, archive });
      return report.invocations[0] ?? Number.NaN;
    };
    const times = await inTurns({ plain: run("plain"), ours: run("ours") }, { rounds: quick ? 1 : 2, warmUps: 0 });
    const what = `prune of ${snapshots.toLocaleString("en")} snapshots, of which ${KEPT} are kept`;
    const beside = { what: "the plain loop", rounds: times("plain") };
    figures.row({ what, rounds: times("ours"), beside, note: "the first call of a process" });
    figures.row({ what: "… its resident memory", rounds: memory, unit: "MB" });
    figures.row({ what: "… the same writes, one after another", rounds: times("plain") });
    figures.target({ name: what, value: median(times("ours")), limit: 60_000, unit: "ms" });
  } finally {
    removeState(folder);
  }
}

/** Removes the snapshots that were kept. */
async function removeAll({ archive }: BenchCloud): Promise<void> {
  const saver = createSnapshots(archive);
  const by = { requestedBy: "bench", callerArn: null, requestId: "request-1" };
  const { entries } = await saver.list({ limit: 10_000 }, within(60_000));
  for (const { snapshotId } of entries) await saver.remove(snapshotId, by, within(60_000));
}
