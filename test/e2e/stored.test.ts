import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ScanCommand } from "@aws-sdk/client-dynamodb";
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

/** What the deployment has stored of these snapshots and rollbacks. */
async function storedOf(snapshotIds: readonly string[], rollbackIds: readonly string[]): Promise<Stored> {
  const { dynamodb, s3 } = createClients();
  const bodies = await s3();
  const { table: TableName, bucket: Bucket } = stack.outputs;
  const ids = new RegExp(`(${[...snapshotIds, ...rollbackIds].join("|")})(?![\\w-])`);
  const items: Item[] = [];
  for (let ExclusiveStartKey: Item | undefined; ; ) {
    const page = await dynamodb.send(new ScanCommand({ TableName, ConsistentRead: true, ExclusiveStartKey }));
    items.push(...(page.Items ?? []).filter((item) => ids.test(JSON.stringify(item))));
    if (page.LastEvaluatedKey === undefined) break;
    ExclusiveStartKey = page.LastEvaluatedKey;
  }
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

/** STORED_FIXTURE=1.2.0 keeps it as `test/fixtures/stored/1.2.0.json`, which later versions must read. */
test("what a snapshot, a rollback and one that leaves a group out have stored can be read", async () => {
  const [topic, free, busy] = [await stack.topic(2), uniqueGroup("free"), uniqueGroup("busy")];
  await stack.commit(new Map([...commitsOn(free, topic, [5n, 5n]), ...commitsOn(busy, topic, [5n, 5n])]));
  const schedule = { name: "hourly", execution_id: randomUUID(), scheduled_time: "2025-01-15T10:30:00Z" };
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
