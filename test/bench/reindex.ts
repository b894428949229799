import { join } from "node:path";
import { DeleteItemCommand, DynamoDBClient, ScanCommand } from "@aws-sdk/client-dynamodb";
import { envNames } from "../../functions/shared/lambda/env.ts";
import { nodeOptions } from "../../infra/operation-function.ts";
import { freshStateDir, removeState, type Say } from "../../localstack/process.ts";
import type { BenchCloud } from "./bed.ts";
import { expectSame, type Figures, inTurns, median } from "./figures.ts";
import { saveHourly } from "./history.ts";
import { buildBundle, runProcess } from "./one-process.ts";

const handlerFile = join(import.meta.dirname, "../../functions/reindex/handler.ts");

/** Each contestant returns how many snapshots it has listed, or found to be listed. The loop writes rows that nothing reads. */
const contestants = {
  ours: `
    import { handler as reindex } from ${JSON.stringify(handlerFile)};
    export async function handler(event, context) {
      const { indexed, remaining, unreadable } = await reindex({}, context);
      return { status: remaining + " left, " + unreadable.length + " unreadable", groups: 1, offsets: indexed };
    }`,
  plain: `
    import { createHash } from "node:crypto";
    import { gunzipSync } from "node:zlib";
    import { DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
    import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
    export async function handler({ bucket, table, keys }) {
      const s3 = new S3Client({ forcePathStyle: true });
      const dynamodb = new DynamoDBClient();
      let listed = 0;
      for (const Key of keys) {
        const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key }));
        const body = await Body.transformToByteArray();
        const { snapshot_id, consumer_groups } = JSON.parse(gunzipSync(body));
        const groups = Object.values(consumer_groups);
        const offsets = groups.reduce((sum, { partitions }) => sum + Object.keys(partitions).length, 0);
        const texts = { pk: "plain", sk: snapshot_id, sha256: createHash("sha256").update(body).digest("hex") };
        const Item = { offsets: { N: String(offsets) } };
        for (const [name, S] of Object.entries(texts)) Item[name] = { S };
        await dynamodb.send(new PutItemCommand({ TableName: table, Item }));
        listed++;
      }
      return { status: "0 left, 0 unreadable", groups: 1, offsets: listed };
    }`,
} as const;
type Contestant = keyof typeof contestants;

/** Removes all rows of the table. */
export async function loseRows(TableName: string): Promise<void> {
  const dynamodb = new DynamoDBClient();
  for (;;) {
    const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName, Limit: 500 }));
    if (Items.length === 0) return;
    await Promise.all(
      Items.flatMap(({ pk, sk }) =>
        pk && sk ? dynamodb.send(new DeleteItemCommand({ TableName, Key: { pk, sk } })) : [],
      ),
    );
  }
}

/**
 * Measures how long the index of many snapshots of 1,000 groups takes to be made from their bodies, in processes with the bundle
 * of the function, beside a plain loop that reads the same bodies and writes a row for each; and to be compared with them.
 */
export async function benchReindex(figures: Figures, cloud: BenchCloud, quick: boolean, say: Say): Promise<void> {
  const folder = freshStateDir("bench-reindex");
  // Other sections have bodies in the same bucket, and rows in the same table.
  const archive = { ...cloud.archive, prefix: "reindex/" };
  const { bucket, table, prefix } = archive;
  const environment = {
    [envNames.bucket]: bucket,
    [envNames.bucketPrefix]: prefix,
    [envNames.table]: table,
  };
  const build = (name: Contestant) => buildBundle(folder, name, contestants[name]);
  const bundles = { ours: build("ours"), plain: build("plain") };
  const memory: number[] = [];
  try {
    await loseRows(table);
    const saved = await saveHourly({ ...cloud, archive }, quick ? 50 : 1_000);
    const snapshots = saved.length;
    say(`  saved ${snapshots} snapshots`);
    const event = { bucket, table, keys: saved.map(({ snapshotId }) => `${prefix}snapshots/${snapshotId}.json.gz`) };
    const run = (name: Contestant, isLost: boolean) => async () => {
      if (isLost) await loseRows(table);
      const node = nodeOptions("reindex");
      const report = await runProcess({ bundle: bundles[name], environment, node, event, invocations: 1 });
      expectSame(`${name}: snapshots`, report.results[0]?.offsets, snapshots);
      expectSame(`${name}: status`, report.results[0]?.status, "0 left, 0 unreadable");
      if (name === "ours") memory.push(report.maxRssMb);
      return report.invocations[0] ?? Number.NaN;
    };
    const times = await inTurns(
      { plain: run("plain", true), made: run("ours", true), compared: run("ours", false) },
      { rounds: quick ? 1 : 3, warmUps: 0 },
    );
    const bytes = saved.reduce((sum, { bytes }) => sum + bytes, 0);
    const what = `index of ${snapshots.toLocaleString("en")} snapshots, made from their bodies`;
    const beside = { what: "the plain loop", rounds: times("plain") };
    const note = `the first call of a process; ${(bytes / 1e6).toFixed(0)} MB of bodies, gzip'd`;
    figures.row({ what, groups: 1_000, rounds: times("made"), beside, note });
    figures.row({ what: "… compared with them, when it is whole", rounds: times("compared") });
    figures.row({ what: "… its resident memory at most", rounds: memory, unit: "MB" });
    figures.row({ what: "… read, unpacked and written one after another, unchecked", rounds: times("plain") });
    figures.target({ name: what, value: median(times("made")), limit: 60_000, unit: "ms" });
    figures.target({ name: `resident memory: ${what}`, value: Math.max(...memory), limit: 512, unit: "MB" });
  } finally {
    removeState(folder);
  }
}
