import { describe, expect, test } from "vitest";
import { SnapshotNotFound, StorageUnavailable } from "../../../functions/shared/core/errors.ts";
import { content, second, testArchive, within } from "./fixture.ts";

const storage = testArchive();

async function save(): Promise<string> {
  return (await storage.archive.save(content(), second(0), within())).snapshot.snapshotId;
}

async function expectGone(snapshotId: string): Promise<void> {
  await expect(storage.archive.load(snapshotId, within())).rejects.toThrow(SnapshotNotFound);
  expect((await storage.archive.list({ limit: 5 }, within())).entries).toEqual([]);
}

describe("a deleted snapshot", () => {
  test("is gone from the list, the index and the bucket, and from nowhere else", async () => {
    const kept = (await storage.archive.save(content(), second(1), within())).snapshot;
    const snapshotId = await save();
    await storage.archive.remove(snapshotId, within());

    await expect(storage.archive.load(snapshotId, within())).rejects.toThrow(SnapshotNotFound);
    expect(await storage.keys()).toEqual([`kept/snapshots/${kept.snapshotId}.json.gz`]);
    expect(await storage.items()).toHaveLength(1);
    expect(await storage.archive.load(kept.snapshotId, within())).toEqual(kept);
  });

  test("cannot be deleted again", async () => {
    const snapshotId = await save();
    await storage.archive.remove(snapshotId, within());
    await expect(storage.archive.remove(snapshotId, within())).rejects.toThrow(SnapshotNotFound);
  });

  test("is SnapshotNotFound, not corrupt, for whoever is just loading it", async () => {
    const snapshotId = await save();
    storage.faults.before("GetObject", () => storage.archive.remove(snapshotId, within()));
    await expect(storage.shaky.load(snapshotId, within())).rejects.toThrow(SnapshotNotFound);
  });

  test("whose id is given again at once does not take the new one with it", async () => {
    const snapshotId = await save();
    storage.faults.before("DeleteItem", async () => {
      await storage.archive.remove(snapshotId, within());
      expect(await save()).toBe(snapshotId);
    });
    await storage.shaky.remove(snapshotId, within());
    expect((await storage.archive.load(snapshotId, within())).snapshotId).toBe(snapshotId);
  });

  test("is deleted once by two who delete it at the same time", async () => {
    const snapshotId = await save();
    const both = [storage.archive.remove(snapshotId, within()), storage.archive.remove(snapshotId, within())];
    const outcomes = (await Promise.allSettled(both)).map(({ status }) => status);
    expect(outcomes).toContain("fulfilled");
    expect(await storage.items()).toEqual([]);
    expect(await storage.keys()).toEqual([]);
  });
});

describe("a deletion", () => {
  test.each(["DeleteObject", "DeleteItem"])(
    "that ends before %s hides the snapshot, and the next one finishes it",
    async (action) => {
      const snapshotId = await save();
      storage.faults.on(action, "breaks");
      const failed = storage.shaky.remove(snapshotId, within());
      await expect(failed).rejects.toThrow(StorageUnavailable);
      await expect(failed).rejects.toThrow(/delete it again to finish/);
      await expectGone(snapshotId);
      expect(await storage.items()).toHaveLength(1);

      storage.faults.clear();
      await storage.shaky.remove(snapshotId, within());
      await expectGone(snapshotId);
      expect(await storage.items()).toEqual([]);
      expect(await storage.keys()).toEqual([]);
    },
  );

  test("that ends before its first step changes nothing", async () => {
    const snapshotId = await save();
    storage.faults.on("UpdateItem", "breaks");
    await expect(storage.shaky.remove(snapshotId, within())).rejects.toThrow(StorageUnavailable);
    expect((await storage.archive.load(snapshotId, within())).snapshotId).toBe(snapshotId);
  });

  test.each(["UpdateItem", "DeleteObject", "DeleteItem"])("succeeds though an answer to %s is lost", async (action) => {
    const snapshotId = await save();
    storage.faults.on(action, "lost", 1);
    await storage.shaky.remove(snapshotId, within());
    expect(storage.faults.calls.filter((call) => call === action)).toHaveLength(2);
    await expectGone(snapshotId);
    expect(await storage.keys()).toEqual([]);
  });

  test.each(["UpdateItem", "DeleteObject", "DeleteItem"])(
    "can be finished though all answers to %s are lost",
    async (action) => {
      const snapshotId = await save();
      storage.faults.on(action, "lost");
      await expect(storage.shaky.remove(snapshotId, within())).rejects.toThrow(StorageUnavailable);
      await expectGone(snapshotId);

      storage.faults.clear();
      await storage.shaky
        .remove(snapshotId, within())
        .catch((error: unknown) => expect(error).toBeInstanceOf(SnapshotNotFound));
      expect(await storage.items()).toEqual([]);
      expect(await storage.keys()).toEqual([]);
    },
  );
});
