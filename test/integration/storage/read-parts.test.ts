import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { expect, test } from "vitest";
import { DeadlineExceeded, StorageUnavailable } from "../../../functions/shared/core/errors.ts";
import type { Commits, Snapshot } from "../../../functions/shared/core/model.ts";
import type { WantedPart } from "../../../functions/shared/core/snapshot.ts";
import type { SnapshotEntry } from "../../../functions/shared/storage/index-entry.ts";
import { createUnreadable } from "../../../functions/shared/storage/unreadable.ts";
import { within } from "../../support/deadline.ts";
import { ana, content, second, testArchive } from "./fixture.ts";

const storage = testArchive();
const wanted: WantedPart = { group: (name) => name === "__proto__", partition: (key) => key === "orders-1" };
const at = (id: string) => ({ Bucket: storage.config.bucket, Key: `kept/snapshots/${id}.json.gz` });

/** Commits of three groups; those on `orders-1` are `offset`. */
const commits = (offset: bigint): Commits =>
  new Map(
    ["42", "__proto__", "orders-streams"].map((group) => [
      group,
      new Map([
        ["orders-0", { offset: 1n, metadata: '{"}' }],
        ["orders-1", { offset, metadata: "" }],
      ]),
    ]),
  );

/** Saves snapshots, and returns what the index says of them, newest first. */
async function save(snapshots: number): Promise<readonly SnapshotEntry[]> {
  const saving = Array.from({ length: snapshots }, (_, n) =>
    storage.archive.save(content({ consumerGroups: commits(BigInt(n)) }), second(n), within()),
  );
  return (await Promise.all(saving)).map(({ entry }) => entry).reverse();
}

/** Reads the parts of snapshots to the end. */
async function readAll(entries: readonly SnapshotEntry[], archive = storage.archive) {
  const unreadable = createUnreadable("the history");
  const parts: Snapshot[] = [];
  for await (const part of archive.readParts(entries, wanted, unreadable, within())) parts.push(part);
  const offsets = parts.map(({ consumerGroups }) => consumerGroups.get("__proto__")?.get("orders-1")?.offset);
  return { parts, offsets, warnings: unreadable.warnings() };
}

/** The offsets of so many snapshots, newest first, without some. */
const downFrom = (snapshots: number, ...without: readonly number[]) =>
  Array.from({ length: snapshots }, (_, n) => n)
    .filter((n) => !without.includes(n))
    .map(BigInt)
    .reverse();

const idOf = (n: number) => `snapshot-2025-01-15T10:30:${String(n).padStart(2, "0")}Z`;

async function alter(id: string): Promise<void> {
  const found = await storage.s3.send(new GetObjectCommand(at(id)));
  const body = Buffer.from((await found.Body?.transformToByteArray()) ?? []);
  const last = body.length - 1;
  body[last] = (body[last] ?? 0) ^ 1;
  await storage.s3.send(new PutObjectCommand({ ...at(id), Body: body }));
}

test("the wanted parts of many snapshots come in the order of their entries", async () => {
  const entries = await save(50);
  const { parts, offsets, warnings } = await readAll(entries);
  expect(offsets).toEqual(downFrom(50));
  expect(parts.map(({ snapshotId }) => snapshotId)).toEqual(entries.map(({ snapshotId }) => snapshotId));
  expect(parts.flatMap(({ consumerGroups }) => [...consumerGroups.keys()])).toEqual(parts.map(() => "__proto__"));
  expect(parts.every(({ consumerGroups }) => consumerGroups.get("__proto__")?.size === 1)).toBe(true);
  expect(warnings).toEqual([]);
  expect(await readAll([])).toEqual({ parts: [], offsets: [], warnings: [] });
});

test("several bodies are read at once, and not many more than were asked for", async () => {
  const entries = await save(40);
  const parts = storage.shaky.readParts(entries, wanted, createUnreadable("the history"), within());
  expect((await parts.next()).value?.snapshotId).toBe(entries[0]?.snapshotId);
  const begun = storage.faults.calls.filter((action) => action === "GetObject").length;
  expect(begun).toBeGreaterThan(1);
  expect(begun).toBeLessThanOrEqual(17);
  await parts.return(undefined);
});

test("a body that is corrupt, missing, or of another index item is left out with a warning; the others are read", async () => {
  const entries = await save(30);
  await alter(idOf(3));
  await storage.s3.send(new DeleteObjectCommand(at(idOf(7))));
  await storage.s3.send(new PutObjectCommand({ ...at(idOf(11)), Body: Buffer.from("none") }));
  const changed = entries.map((entry) => {
    if (entry.snapshotId === idOf(20)) return { ...entry, sha256: "0".repeat(64) };
    return entry.snapshotId === idOf(21) ? { ...entry, warnings: 1 } : entry;
  });
  const { offsets, warnings } = await readAll(changed);
  expect(offsets).toEqual(downFrom(30, 3, 7, 11, 20, 21));
  expect(warnings).toEqual([
    expect.stringContaining(`the index item of ${idOf(21)} does not agree with the snapshot's body: warnings is 1`),
    expect.stringMatching(`${idOf(20)} is not what was written: its SHA-256 is .*, the index says 0000`),
    expect.stringMatching(`${idOf(11)} is not what was written: its SHA-256 is .* \\(4 bytes\\)`),
    expect.stringContaining(`the body of ${idOf(7)} is missing from the bucket`),
    expect.stringMatching(`${idOf(3)} is not what was written: its SHA-256`),
  ]);
});

test("a snapshot that is deleted meanwhile is left out without a warning", async () => {
  const entries = await save(30);
  storage.faults.before("GetObject", () => storage.archive.remove(idOf(2), ana, within()));
  const { offsets, warnings } = await readAll(entries, storage.shaky);
  expect(offsets).toEqual(downFrom(30, 2));
  expect(warnings).toEqual([]);
});

test("what was read ahead, but not asked for, gives no warning", async () => {
  const entries = await save(5);
  await alter(idOf(3));
  const unreadable = createUnreadable("the history");
  const parts = storage.shaky.readParts(entries, wanted, unreadable, within());
  expect((await parts.next()).value?.snapshotId).toBe(idOf(4));
  await expect.poll(() => storage.faults.calls.filter((action) => action === "GetObject").length).toBe(5);
  await parts.return(undefined);
  expect(unreadable.warnings()).toEqual([]);
});

test("time that ends while a body is read is DeadlineExceeded, and ends the other requests", async () => {
  const entries = await save(20);
  for (const fault of ["hangs", "stalls"] as const) {
    const deadline = storage.faults.deadlineAt("GetObject", fault);
    const parts = storage.shaky.readParts(entries, wanted, createUnreadable("the history"), deadline);
    const reading = async () => {
      for await (const { snapshotId } of parts) expect(entries.map((entry) => entry.snapshotId)).toContain(snapshotId);
    };
    await expect(reading()).rejects.toThrow(DeadlineExceeded);
  }
  await expect.poll(() => storage.faults.abandoned).toContain("GetObject");
});

test("a bucket that does not answer is StorageUnavailable, not a body that is left out", async () => {
  const entries = await save(3);
  storage.faults.on("GetObject", "breaks");
  await expect(readAll(entries, storage.shaky)).rejects.toThrow(StorageUnavailable);
});
