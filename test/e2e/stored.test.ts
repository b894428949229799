import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DeleteItemCommand, ScanCommand } from "@aws-sdk/client-dynamodb";
import { GetObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClients } from "../../functions/shared/storage/clients.ts";
import type { Item } from "../../functions/shared/storage/items.ts";
import { joinedConsumer } from "../support/members.ts";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";
import { expectJournal, expectSnapshots, type Stored } from "../support/stored.ts";

const stack = openStack();
const before = { ...process.env };
beforeAll(() => {
  Object.assign(process.env, stack.cloud.environment);
});
afterAll(() => {
  process.env = before;
});

/** All items of the table. */
async function allItems(): Promise<Item[]> {
  const items: Item[] = [];
  for (let ExclusiveStartKey: Item | undefined; ; ) {
    const page = await createClients().dynamodb.send(
      new ScanCommand({ TableName: stack.outputs.table, ConsistentRead: true, ExclusiveStartKey }),
    );
    items.push(...(page.Items ?? []));
    if (page.LastEvaluatedKey === undefined) return items;
    ExclusiveStartKey = page.LastEvaluatedKey;
  }
}

/** What the deployment has stored of these snapshots and rollbacks. */
async function storedOf(snapshotIds: readonly string[], rollbackIds: readonly string[]): Promise<Stored> {
  const bodies = await createClients().s3();
  const { bucket: Bucket } = stack.outputs;
  const ids = new RegExp(`(${[...snapshotIds, ...rollbackIds].join("|")})(?![\\w-])`);
  const items = (await allItems()).filter((item) => ids.test(JSON.stringify(item)));
  const keys = snapshotIds.map((id) => `snapshots/${id}.json.gz`);
  for (const id of rollbackIds) {
    const { Contents = [] } = await bodies.send(new ListObjectsV2Command({ Bucket, Prefix: `rollbacks/${id}/` }));
    keys.push(...Contents.map(({ Key = "" }) => Key));
  }
  const objects: Record<string, string> = {};
  for (const Key of keys) {
    const { Body } = await bodies.send(new GetObjectCommand({ Bucket, Key }));
    objects[Key] = (await Body?.transformToString("base64")) ?? "";
  }
  return { items, objects };
}

/** What the deployment lists, by id. The schedule may take further snapshots at any time. */
async function listed() {
  const { snapshots, next_token } = await stack.call("list", { limit: 1_000 });
  expect(next_token).toBeUndefined();
  return new Map(snapshots.map((snapshot) => [snapshot.snapshot_id, snapshot]));
}

test("a table that has lost the rows of all snapshots is made again from their bodies, for a rollback like any other", async () => {
  const [topic, group] = [await stack.topic(2), uniqueGroup("lost")];
  await stack.commit(commitsOn(group, topic, [5n, 6n]));
  const schedule = { name: "hourly", execution_id: randomUUID(), scheduled_time: new Date().toISOString() };
  const { snapshot_id } = await stack.call("snapshot", { groups: [group], description: "before the loss" });
  await stack.call("snapshot", { groups: [group], schedule });
  expect((await stack.http("POST", "/snapshots", { groups: [group] })).status).toBe(200);
  await stack.commit(commitsOn(group, topic, [9n, 9n]));
  await stack.call("rollback", { snapshot_id });
  await stack.commit(commitsOn(group, topic, [8n, 8n]));
  const before = await listed();
  expect(before.get(snapshot_id)).toMatchObject({ description: "before the loss", trigger: "invoke", groups: 1 });

  const { dynamodb } = createClients();
  for (const { pk, sk } of await allItems()) {
    if (pk === undefined || sk === undefined || !["snapshot", "execution"].includes(pk.S ?? "")) continue;
    await dynamodb.send(new DeleteItemCommand({ TableName: stack.outputs.table, Key: { pk, sk } }));
  }
  expect((await stack.failure("show", { snapshot_id })).name).toBe("SnapshotNotFound");
  const looked = await stack.call("reindex", { dry_run: true });
  // Other files of the suite have damaged bodies on purpose: they are named, and their snapshots are not listed again.
  const damaged = new Set(looked.unreadable.map(({ key }) => key.replace(/^.*snapshots\/|\.json\.gz$/g, "")));
  const whole = new Map([...before].filter(([id]) => !damaged.has(id)));
  expect(whole.has(snapshot_id)).toBe(true);
  expect(looked).toMatchObject({ added: expect.arrayContaining([...whole.keys()]), remaining: 0, dry_run: true });
  expect((await stack.failure("show", { snapshot_id })).name).toBe("SnapshotNotFound");

  const made = await stack.call("reindex", {});
  expect(made).toMatchObject({ added: expect.arrayContaining(looked.added), orphan_rows: [], remaining: 0 });
  const after = await listed();
  expect(new Map([...whole.keys()].map((id) => [id, after.get(id)]))).toEqual(whole);
  expect(await stack.call("snapshot", { groups: [group], schedule })).toMatchObject({ repeated: true });
  expect(await stack.call("rollback", { snapshot_id })).toMatchObject({ status: "success", offsets_restored: 2 });
  expect(await stack.committed(group)).toEqual({ [`${topic}-0`]: 5n, [`${topic}-1`]: 6n });
});

/** STORED_FIXTURE=1.2.0 keeps it as `test/fixtures/stored/1.2.0.json`, which later versions must read. */
test("what a snapshot, a rollback and one that leaves a group out have stored can be read", async () => {
  const [topic, free, busy] = [await stack.topic(2), uniqueGroup("free"), uniqueGroup("busy")];
  await stack.commit(new Map([...commitsOn(free, topic, [5n, 5n]), ...commitsOn(busy, topic, [5n, 5n])]));
  const schedule = { name: "hourly", execution_id: randomUUID(), scheduled_time: new Date().toISOString() };
  const { snapshot_id } = await stack.call("snapshot", { groups: [free, busy], schedule });
  const moved = () => stack.commit(commitsOn(free, topic, [9n, 9n]));
  await moved();
  const whole = await stack.call("rollback", { snapshot_id, rollback_id: `whole-${randomUUID()}` });
  await moved();
  await joinedConsumer(stack.kafkaJs, busy, [topic]);
  const part = await stack.call("rollback", { snapshot_id, rollback_id: `part-${randomUUID()}`, skip_blocked: true });

  const safety = [whole, part].map(({ safety_snapshot_id }) => String(safety_snapshot_id));
  const stored = await storedOf([snapshot_id, ...safety], [whole.rollback_id, part.rollback_id]);
  expectSnapshots(stored);
  expectJournal(stored);
  expect(stored.items.map(({ pk }) => pk?.S).sort()).toEqual([
    ...["execution", "rollback", "rollback", "rollback-id", "rollback-id", "snapshot", "snapshot", "snapshot"],
  ]);
  expect(Object.keys(stored.objects)).toHaveLength(7);
  const name = process.env.STORED_FIXTURE;
  if (name === undefined) return;
  const file = join(import.meta.dirname, "../fixtures/stored", `${name}.json`);
  writeFileSync(file, `${JSON.stringify(stored)}\n`);
});
