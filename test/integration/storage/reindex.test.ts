import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { DeleteObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import type { Deadline } from "../../../functions/shared/core/deadline.ts";
import { StorageUnavailable } from "../../../functions/shared/core/errors.ts";
import { executionOf } from "../../../functions/shared/core/execution.ts";
import type { SnapshotContent } from "../../../functions/shared/core/model.ts";
import { within } from "../../support/deadline.ts";
import type { Stored } from "../../support/stored.ts";
import { ana, content, directly, type Item, second, testArchive } from "./fixture.ts";

const storage = testArchive();
const { bucket: Bucket } = storage.config;
const { keyOf, put, putBody, removeBody, bodyOf, loseRows } = directly(storage);
const idOf = (n: number) => `snapshot-2025-01-15T10:30:${String(n).padStart(2, "0")}Z`;
const nothing = { added: [], repaired: [], orphanRows: [], unreadable: [], remaining: 0, warnings: [] };

const reindex = (dryRun = false) => storage.archive.reindex(dryRun, within());
const bySortKey = (items: readonly Item[]) =>
  items.toSorted((a, b) => (`${a.pk?.S} ${a.sk?.S}` < `${b.pk?.S} ${b.sk?.S}` ? -1 : 1));
const items = async () => bySortKey(await storage.items());
async function rowOf(id: string): Promise<Item> {
  const found = (await storage.items("snapshot")).find(({ snapshot_id }) => snapshot_id?.S === id);
  return found ?? expect.fail(`there is no row of ${id}`);
}

const save = async (n: number, more: Partial<SnapshotContent> = {}) =>
  (await storage.archive.save(content(more), second(n), within())).entry.snapshotId;

/** Snapshots of all kinds. The last four are of this second: deliveries of their execution may be repeated. */
async function saveAll(): Promise<void> {
  const run = { name: "hourly", executionId: "execution-1", scheduledTime: "2025-01-15T10:30:00Z" };
  await save(1, { description: "ü".repeat(1_024) });
  await save(1, { trigger: "api", selection: { groups: ["orders-*", { name: "a*b" }], exclude: ["x"] } });
  await save(2, { trigger: "safety", cluster: { name: "local", clusterId: null } });
  await save(3, { trigger: "schedule", schedule: run, atRisk: { partitions: 3, groups: 2, unknown: 1 } });
  const groups = Array.from({ length: 2_000 }, (_, n) => `group-${n}`);
  await save(4, { selection: { groups, exclude: [] }, errors: [{ group: "g", error: "E", message: "m" }] });
  const topics = new Map([["unseen", null]]);
  await save(5, { consumerGroups: new Map(), observed: { groups: new Map(), topics }, warnings: ["w"] });
  const source = {
    name: "a.csv",
    format: "kafka-csv",
    sha256: "0",
    snapshotId: null,
    createdAt: null,
    clusterId: null,
  };
  await save(6, { trigger: "imported", source, labels: new Map([["env", 'a" \u{1F600}']]), held: true });
  const now = new Date();
  await storage.archive.save(content({ trigger: "schedule", schedule: run }), now, within(), executionOf(run));
  const unnamed = { ...run, scheduledTime: "<aws.scheduler.scheduled-time>" }; // as the emulators leave it
  await storage.archive.save(content({ trigger: "schedule", schedule: unnamed }), now, within());
  await storage.archive.save(content({ trigger: "schedule", schedule: unnamed }), now, within());
  await storage.archive.save(content(), now, within());
}

describe("a lost table", () => {
  test("is made again from the bodies, row by row as it was", async () => {
    await saveAll();
    const [before, listed] = [await items(), await storage.archive.list({ limit: 100 }, within())];
    await loseRows();
    const added = listed.entries.map(({ snapshotId }) => snapshotId);

    expect(await reindex(true)).toEqual({ ...nothing, indexed: 11, added });
    expect(await items()).toEqual([]);

    expect(await reindex()).toEqual({ ...nothing, indexed: 11, added });
    expect(await items()).toEqual(before);
    expect(await storage.archive.list({ limit: 100 }, within())).toEqual(listed);

    expect(await reindex()).toEqual({ ...nothing, indexed: 11 });
    expect(await items()).toEqual(before);
  });

  test("of an earlier release is made again as that release wrote it, from bodies of all versions", async () => {
    const file = join(import.meta.dirname, "../../fixtures/stored/2026-11-28.json");
    const stored: Stored = JSON.parse(readFileSync(file, "utf8"));
    const rows = stored.items.filter(({ pk }) => pk?.S === "snapshot");
    const bodies = rows.map(({ snapshot_id }) => {
      const id = snapshot_id?.S ?? "";
      return { id, body: Buffer.from(stored.objects[`snapshots/${id}.json.gz`] ?? "", "base64") };
    });
    for (const { id, body } of bodies) await putBody(id, body);
    expect(await reindex()).toMatchObject({ indexed: rows.length, unreadable: [] });
    const withoutToken = rows.map(({ write_token: _, ...row }) => row);
    expect(bySortKey(await storage.items("snapshot"))).toEqual(bySortKey(withoutToken)); // these copies have no token

    await loseRows();
    for (const version of [1, 2, 3]) {
      for (const { id, body } of bodies) {
        const text = gunzipSync(body)
          .toString()
          .replace(/"schema_version":\d+/, `"schema_version":${version}`);
        await putBody(id, gzipSync(text));
      }
      expect(await reindex()).toMatchObject({ indexed: rows.length, unreadable: [] });
      await loseRows();
    }
  });

  test("can be used while it is made again: a snapshot that is taken meanwhile has one row", async () => {
    await save(1);
    await loseRows();
    storage.faults.before("PutItem", () => reindex());
    const taken = await storage.shaky.save(content(), second(2), within());
    expect(taken).toMatchObject({ repeated: false, snapshot: { snapshotId: idOf(2) } });
    expect(await storage.items("snapshot")).toHaveLength(2);
    expect(await storage.archive.load(idOf(2), within())).toEqual(taken.snapshot);
  });

  test("lists one snapshot of a scheduled execution whose deliveries are repeated meanwhile", async () => {
    const run = { name: "hourly", executionId: "execution-1", scheduledTime: "2025-01-15T10:30:00Z" };
    const scheduled = content({ trigger: "schedule", schedule: run });
    const now = new Date();
    const deliver = (archive = storage.archive) => archive.save(scheduled, now, within(), executionOf(run));
    // The body of the second delivery is written when the first one is listed.
    const { snapshot } = await deliver();
    const [, second = expect.fail("no body")] = [snapshot, await bodyOf(snapshot.snapshotId)];
    const copy = gunzipSync(second).toString().replaceAll(snapshot.snapshotId, `${snapshot.snapshotId}-2`);
    await putBody(`${snapshot.snapshotId}-2`, gzipSync(copy));
    expect(await reindex()).toEqual({
      ...nothing,
      indexed: 1,
      warnings: [
        `Not listed, because another snapshot of the same scheduled execution is listed: ${snapshot.snapshotId}-2.`,
      ],
    });
    await removeBody(`${snapshot.snapshotId}-2`);

    // Reindex is first to list the body of a delivery: that delivery has taken the snapshot.
    await loseRows();
    await removeBody(snapshot.snapshotId);
    storage.faults.before("TransactWriteItems", () => reindex());
    const first = await deliver(storage.shaky);
    expect(first.repeated).toBe(false);
    expect((await deliver()).snapshot).toEqual(first.snapshot);
    expect(await storage.items("snapshot")).toHaveLength(1);
  });
});

describe("a deleted snapshot", () => {
  test("does not come back while its deletion is not finished, nor where only its body is left", async () => {
    const [hidden, left] = [await save(1), await save(2)];
    storage.faults.on("DeleteObject", "breaks");
    await expect(storage.shaky.remove(hidden, ana, within())).rejects.toThrow(StorageUnavailable);
    await loseRows(({ snapshot_id }) => snapshot_id?.S === left);
    // A repeated deletion writes another record: the last one counts.
    for (const ms of [-60_000, 60_000]) {
      const S = new Date(Date.now() + ms).toISOString();
      await put({ pk: { S: "deletion" }, sk: { S: `${S}#${left}#1` }, snapshot_id: { S: left }, deleted_at: { S } });
    }
    const before = await items();
    expect(await reindex()).toEqual({
      ...nothing,
      indexed: 0,
      warnings: [
        `Not listed, because the snapshots were deleted, although their bodies are still in the bucket: ${left}. To list one ` +
          "again, copy the version of its object over itself, which is newer than the deletion, and call reindex again.",
        `A deletion has hidden ${hidden}, and has not ended: call delete again to finish it.`,
      ],
    });
    expect(await items()).toEqual(before);
    storage.faults.clear();
    await storage.archive.remove(hidden, ana, within());
  });

  test("comes back where a person has put its body back", async () => {
    const id = await save(1);
    const body = await bodyOf(id);
    await storage.archive.remove(id, ana, within());
    await putBody(id, body);
    expect(await reindex()).toEqual({ ...nothing, indexed: 1, added: [id] });
    expect((await storage.archive.load(id, within())).snapshotId).toBe(id);
  });

  test.each(["ListObjectsV2", "GetObject"])("before %s is neither listed nor reported", async (action) => {
    const id = await save(1);
    storage.faults.before(action, () => storage.archive.remove(id, ana, within()));
    expect(await storage.shaky.reindex(false, within())).toEqual({ ...nothing, indexed: 0 });
    expect(await storage.items("snapshot")).toEqual([]);
  });
});

describe("a row that another call writes meanwhile is neither replaced nor passed over in silence", () => {
  async function meanwhile(id: string, written: Item): Promise<void> {
    storage.faults.before("PutItem", () => put(written));
    const changed = `Other calls wrote the rows of ${id} meanwhile: call reindex again to compare them.`;
    expect(await storage.shaky.reindex(false, within())).toEqual({ ...nothing, indexed: 0, warnings: [changed] });
    expect(await items()).toEqual([written]);
  }

  test("where there was none", async () => {
    const id = await save(1);
    const row = await rowOf(id);
    await loseRows();
    await meanwhile(id, { ...row, write_token: { S: "another" } });
  });

  test("where it was damaged", async () => {
    const id = await save(1);
    const { status: _, ...damaged } = await rowOf(id);
    await put(damaged);
    await meanwhile(id, { ...damaged, sha256: { S: "another" } });
  });
});

describe("what cannot be indexed", () => {
  test("is a row without a body: it is reported, and stays", async () => {
    const id = await save(1);
    await save(2);
    await removeBody(id);
    await put({ pk: { S: "snapshot" }, sk: { S: "a person's" } });
    const before = await items();
    expect(await reindex()).toEqual({ ...nothing, indexed: 1, orphanRows: ["a person's", id] });
    expect(await items()).toEqual(before);
  });

  test("is a row whose body goes away meanwhile", async () => {
    const id = await save(1);
    storage.faults.before("GetObject", () => removeBody(id));
    expect(await storage.shaky.reindex(false, within())).toEqual({ ...nothing, indexed: 0, orphanRows: [id] });
  });

  test("is a body without a token, if another call lists other bytes without a token under its id meanwhile", async () => {
    const id = await save(1);
    const { write_token: _, ...row } = await rowOf(id);
    await putBody(id, await bodyOf(id));
    await loseRows();
    const other = { ...row, sha256: { S: "0".repeat(64) } };
    storage.faults.before("PutItem", () => put(other));
    const warnings = [`Other calls wrote the rows of ${id} meanwhile: call reindex again to compare them.`];
    expect(await storage.shaky.reindex(false, within())).toEqual({ ...nothing, indexed: 0, warnings });
    expect(await items()).toEqual([other]);
  });

  test("is a body that cannot be unpacked or decoded, is of another snapshot, of a newer version, or no body", async () => {
    await save(1);
    const body = await bodyOf(idOf(1));
    const text = gunzipSync(body).toString();
    await loseRows();
    await putBody(idOf(2), Buffer.from("none"));
    await putBody(idOf(3), body);
    await putBody(idOf(4), gzipSync(text.replaceAll(idOf(1), idOf(4)).replace(/"offset":17/, '"offset":-1')));
    await putBody(
      idOf(5),
      gzipSync(text.replaceAll(idOf(1), idOf(5)).replace(/"schema_version":\d+/, '"schema_version":99')),
    );
    await putBody("notes", Buffer.from("a person's"));
    const { unreadable, ...rest } = await reindex();
    expect(rest).toEqual({ ...nothing, indexed: 1, added: [idOf(1)], unreadable: undefined });
    expect(unreadable).toEqual([
      { key: keyOf("notes"), message: expect.stringContaining("its name is not that of a snapshot's body") },
      { key: keyOf(idOf(5)), message: expect.stringMatching(/schema_version is 99.*deploy a newer one/) },
      { key: keyOf(idOf(4)), message: expect.stringContaining("offset") },
      { key: keyOf(idOf(3)), message: expect.stringContaining("another snapshot's body") },
      { key: keyOf(idOf(2)), message: expect.stringContaining("it is not gzip") },
    ]);
    expect(await storage.items("snapshot")).toHaveLength(1);
  });

  test("is a body whose row has the checksum of other bytes, or none: the row stays as it is", async () => {
    const [other, none] = [await save(1), await save(2)];
    const was = await rowOf(other);
    await putBody(other, gzipSync(gunzipSync(await bodyOf(other)), { level: 9 }));
    const { sha256: _, ...without } = await rowOf(none);
    await put(without);
    const before = await items();
    const { unreadable, ...rest } = await reindex();
    expect(rest).toEqual({ ...nothing, indexed: 0, unreadable: undefined });
    expect(unreadable).toEqual([
      { key: keyOf(none), message: expect.stringContaining("the index has none. Nothing was changed") },
      { key: keyOf(other), message: expect.stringContaining(`the index says ${was.sha256?.S}. Nothing was changed`) },
    ]);
    expect(await items()).toEqual(before);

    // A person decides that the body is right.
    await loseRows(({ snapshot_id }) => snapshot_id?.S === other);
    expect(await reindex()).toMatchObject({ added: [other], unreadable: [{ key: keyOf(none) }] });
    expect((await storage.archive.load(other, within())).snapshotId).toBe(other);
  });
});

test("a damaged row whose checksum is that of the body is made again, with its token", async () => {
  const ids = [await save(1), await save(2), await save(3), await save(4)];
  const before = await items();
  const [missing, wrong, counts, fine] = await Promise.all(ids.map(rowOf));
  const { trigger: _, ...rest } = missing ?? {};
  await put(rest);
  await put({ ...wrong, status: { S: "partial" } });
  await put({ ...counts, offsets: { N: "2" } });
  expect(fine).toBeDefined();
  const repaired = ids.slice(0, 3).reverse();
  expect(await reindex(true)).toEqual({ ...nothing, indexed: 4, repaired });
  expect(await reindex()).toEqual({ ...nothing, indexed: 4, repaired });
  expect(await items()).toEqual(before);
});

describe("holds", () => {
  const holdKey = (id: string) => `kept/holds/${id}.json`;
  const hold = (id: string, held: boolean) =>
    storage.archive.hold(id, { held, reason: held ? "audit" : null }, ana, within());
  const holdOf = async (id: string) => (await storage.archive.entry(id, within())).hold;

  test("of a lost table are as they were changed last", async () => {
    const ids = [
      await save(1, { held: true }),
      await save(2),
      await save(3, { held: true }),
      await save(4),
      await save(5),
    ];
    const [, later = "", released = "", both = "", deleted = ""] = ids;
    await hold(later, true);
    await hold(released, false);
    for (const held of [true, false, true]) await hold(both, held);
    for (const held of [true, false]) await hold(deleted, held);
    await storage.archive.remove(deleted, ana, within());
    await storage.s3.send(new PutObjectCommand({ Bucket, Key: holdKey("notes"), Body: "a person's" }));
    const before = await items();
    await loseRows(({ pk }) => pk?.S === "snapshot");
    expect(await reindex()).toEqual({ ...nothing, indexed: 4, added: ids.slice(0, 4).reverse() });
    expect(await items()).toEqual(before);
    expect((await Promise.all(ids.slice(0, 4).map(holdOf))).map((hold) => hold?.reason)).toEqual([
      null,
      "audit",
      undefined,
      "audit",
    ]);
    expect(await reindex()).toEqual({ ...nothing, indexed: 4 });
  });

  test("of a table that was restored to an earlier time are those of the bucket", async () => {
    const [held, released] = [await save(1), await save(2, { held: true })];
    const earlier = await items();
    await hold(held, true);
    await hold(released, false);
    const before = await items();
    for (const row of earlier) await put(row);
    expect(await reindex(true)).toEqual({ ...nothing, indexed: 2, repaired: [released, held] });
    expect(await reindex()).toEqual({ ...nothing, indexed: 2, repaired: [released, held] });
    expect(await items()).toEqual(before);
  });

  test("of a damaged row are kept, also where the bucket has none", async () => {
    const [known, alone, first] = [await save(1), await save(2), await save(3, { held: true })];
    for (const id of [known, alone]) await hold(id, true);
    await storage.s3.send(new DeleteObjectCommand({ Bucket, Key: holdKey(alone) }));
    const before = await items();
    for (const { status: _, ...row } of before) await put(row);
    expect(await reindex()).toEqual({ ...nothing, indexed: 3, repaired: [first, alone, known] });
    expect(await items()).toEqual(before);
    // A row that lost its hold only is damaged, too.
    const { hold: __, ...unheld } = await rowOf(first);
    await put(unheld);
    expect(await reindex()).toEqual({ ...nothing, indexed: 3, repaired: [first] });
    expect(await items()).toEqual(before);
  });

  test("that cannot be read are reported, and their snapshots are held if no row says otherwise", async () => {
    const [listed, lost] = [await save(1), await save(2)];
    for (const id of [listed, lost]) {
      await hold(id, false);
      await storage.s3.send(new PutObjectCommand({ Bucket, Key: holdKey(id), Body: '{"held": "maybe"}' }));
    }
    await loseRows(({ snapshot_id }) => snapshot_id?.S === lost);
    const unreadable = [lost, listed].map((id) => ({
      key: holdKey(id),
      message: expect.stringMatching(/held must be true or false, .* counts as held\. Call hold with /),
    }));
    expect(await reindex()).toEqual({ ...nothing, indexed: 2, added: [lost], unreadable });
    expect([await holdOf(listed), await holdOf(lost)]).toEqual([
      undefined,
      { at: null, by: null, byProven: false, reason: "its object below holds/ cannot be read" },
    ]);
    await expect(storage.archive.remove(lost, ana, within())).rejects.toThrow(/is held \("its object below holds/);
    await hold(lost, false);
    await storage.archive.remove(lost, ana, within());
  });

  test("that are changed meanwhile stay", async () => {
    const id = await save(1);
    const { status: _, ...damaged } = await rowOf(id);
    await put(damaged);
    storage.faults.before("PutItem", () => hold(id, true));
    const warnings = [`Other calls wrote the rows of ${id} meanwhile: call reindex again to compare them.`];
    expect(await storage.shaky.reindex(false, within())).toEqual({ ...nothing, indexed: 0, warnings });
    expect((await rowOf(id)).hold?.S).toContain('"by":"ana"');
    expect(await reindex()).toEqual({ ...nothing, indexed: 1, repaired: [id] });
    expect(await holdOf(id)).toMatchObject({ by: "ana" });

    // Between the two writes of a hold, reindex finishes it.
    storage.faults.before("UpdateItem", () => reindex());
    await storage.shaky.hold(id, { held: false, reason: null }, ana, within());
    expect(await holdOf(id)).toBeUndefined();
    expect(await reindex()).toEqual({ ...nothing, indexed: 1 });
  });
});

describe("when the time ends", () => {
  /** A deadline that is near once so many bodies were read. */
  function nearAfter(bodies: number): Deadline {
    const far = within();
    const read = () => storage.faults.calls.filter((action) => action === "GetObject").length;
    return { ...far, signal: far.signal, remainingMs: () => (read() > bodies ? 1 : 100_000) };
  }

  test("says how many bodies are left, and goes on with those without a row when it is called again", async () => {
    const saved = Array.from({ length: 40 }, (_, n) => save(n));
    await Promise.all(saved);
    await loseRows(({ snapshot_id }) => (snapshot_id?.S ?? "") < idOf(30));
    const first = await storage.shaky.reindex(false, nearAfter(3));
    expect(first.remaining).toBeGreaterThan(0);
    expect(first.indexed + first.remaining).toBe(40);
    expect(first.added).toEqual(Array.from({ length: first.indexed }, (_, n) => idOf(29 - n)));
    expect(first.warnings).toEqual([
      `The time ended before ${first.remaining} bodies could be read: call reindex again to go on.`,
    ]);
    const { added, ...rest } = await reindex();
    expect(rest).toEqual({ ...nothing, indexed: 40, added: undefined });
    expect([...first.added, ...added]).toEqual(Array.from({ length: 30 }, (_, n) => idOf(29 - n)));
  });
});

test("a table or a bucket that is too busy is asked again; one that stays so is an error, and a repetition goes on", async () => {
  await Promise.all(Array.from({ length: 5 }, (_, n) => save(n)));
  const before = await items();
  await loseRows();
  storage.faults.on("PutItem", "throttled", 8);
  storage.faults.on("GetObject", "throttled", 8);
  expect(await storage.shaky.reindex(false, within())).toMatchObject({ indexed: 5, remaining: 0 });
  expect(await items()).toEqual(before);

  await loseRows();
  storage.faults.clear();
  storage.faults.on("PutItem", "denied");
  const denied = storage.shaky.reindex(false, within());
  await expect(denied).rejects.toThrow(/dynamodb:PutItem.*call reindex again/);
  expect(await reindex()).toMatchObject({ indexed: 5 });
});
