import { GetObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { SnapshotHeld, SnapshotNotFound, StorageUnavailable } from "../../../functions/shared/core/errors.ts";
import type { SnapshotContent } from "../../../functions/shared/core/model.ts";
import { within } from "../../support/deadline.ts";
import { ana, content, second, testArchive } from "./fixture.ts";

const storage = testArchive();
const id = "snapshot-2025-01-15T10:30:00Z";
const key = `kept/holds/${id}.json`;

const ben = { requestedBy: "ben", callerArn: null, requestId: "request-2" };

const save = async (more: Partial<SnapshotContent> = {}) => {
  const { entry } = await storage.archive.save(content(more), second(0), within());
  expect(entry.snapshotId).toBe(id);
};
const hold = (held = true, { hold: call } = storage.archive) =>
  call(id, { held, reason: held ? "audit" : null }, ben, within());
const remove = ({ remove: call } = storage.archive) => call(id, ana, within());
const rows = () => storage.items("snapshot");

/** What the bucket says of the hold. */
async function inBucket(): Promise<unknown> {
  const { Body } = await storage.s3.send(new GetObjectCommand({ Bucket: storage.config.bucket, Key: key }));
  return JSON.parse((await Body?.transformToString()) ?? "");
}

/** Whether the snapshot is held, by the index; the bucket has to say the same, by the same change. */
async function isHeld(): Promise<boolean> {
  const { hold, holdChange } = await storage.archive.entry(id, within());
  const held = hold !== undefined;
  expect(await inBucket()).toMatchObject({ held, change: holdChange });
  return held;
}

/** Expects that nothing of the snapshot was deleted. */
async function expectThere(): Promise<void> {
  expect((await storage.archive.load(id, within())).snapshotId).toBe(id);
  expect(await storage.items("deletion")).toEqual([]);
}

async function expectGone(): Promise<void> {
  await expect(storage.archive.load(id, within())).rejects.toThrow(SnapshotNotFound);
  expect(await rows()).toEqual([]);
  expect((await storage.keys()).filter((key) => key.includes("/snapshots/"))).toEqual([]);
}

describe("a held snapshot", () => {
  test("cannot be deleted: the error says since when, by whom, why, and how to release it", async () => {
    await save();
    await hold();
    const refused = remove();
    await expect(refused).rejects.toThrow(SnapshotHeld);
    await expect(refused).rejects.toThrow(
      /^SnapshotHeld: snapshot-2025-01-15T10:30:00Z is held since 20\S+Z by ben \(claimed\) \("audit"\)\. Nothing was changed\. .* call hold with \{"snapshot_id": "snapshot-2025-01-15T10:30:00Z", "held": false\}\.$/,
    );
    await expectThere();

    await hold(false);
    expect(await isHeld()).toBe(false);
    await remove();
    await expectGone();
  });

  test("can be held again, which changes the reason", async () => {
    await save();
    await hold();
    const arn = "arn:aws:iam::111122223333:role/oncall";
    const proven = { requestedBy: arn, callerArn: arn, requestId: "request-3" };
    await storage.archive.hold(id, { held: true, reason: "second" }, proven, within());
    expect((await storage.archive.entry(id, within())).hold).toEqual({
      at: expect.stringMatching(/Z$/),
      by: arn,
      byProven: true,
      reason: "second",
    });
    await expect(remove()).rejects.toThrow(/is held since \S+ by arn:\S+oncall \("second"\)/);
  });

  test("was never without its hold, if it was taken with one", async () => {
    // What is listed is held, whenever it is looked at.
    storage.faults.when({ action: "PutItem", at: "answer" }, () => "lost");
    const taken = storage.shaky.save(content({ held: true }), second(0), within());
    await taken.catch(() => {});
    await expect(remove()).rejects.toThrow(/is held since 2025-01-15T10:30:00\.000Z\. Nothing was changed/);
    await expectThere();
    await hold(false);
    await remove();
    await expectGone();
  });

  test("is held in the bucket first, then in the index, with all that is known of it", async () => {
    await save();
    await hold(true, storage.shaky);
    expect(storage.faults.calls).toEqual(["GetItem", "PutObject", "UpdateItem"]);
    const { hold: held, holdChange } = await storage.archive.entry(id, within());
    expect(held).toEqual({ at: expect.stringMatching(/^20.*Z$/), by: "ben", byProven: false, reason: "audit" });
    const { byProven: by_proven, ...rest } = held ?? {};
    expect(await inBucket()).toEqual({ held: true, ...rest, by_proven, change: holdChange });
  });
});

describe("a hold is refused", () => {
  test("where there is no snapshot, and nothing is written", async () => {
    await expect(hold()).rejects.toThrow(SnapshotNotFound);
    await expect(storage.archive.hold("x", { held: true, reason: null }, ben, within())).rejects.toThrow(
      SnapshotNotFound,
    );
    expect([await storage.keys(), await storage.items()]).toEqual([[], []]);
  });

  test("where a deletion has begun, also one that was interrupted", async () => {
    await save();
    storage.faults.on("DeleteObject", "breaks");
    await expect(remove(storage.shaky)).rejects.toThrow(StorageUnavailable);
    await expect(hold()).rejects.toThrow(SnapshotNotFound);
    storage.faults.clear();
    await remove(storage.shaky);
    await expectGone();
  });
});

describe("a hold and a deletion at the same time", () => {
  test("end with the snapshot deleted and the hold refused, if the deletion is first", async () => {
    await save();
    storage.faults.before("UpdateItem", () => remove());
    await expect(hold(true, storage.shaky)).rejects.toThrow(SnapshotNotFound);
    await expectGone();
  });

  test("end with the snapshot held and there, if the hold is first", async () => {
    await save();
    storage.faults.before("UpdateItem", () => hold());
    await expect(remove(storage.shaky)).rejects.toThrow(SnapshotHeld);
    expect(await isHeld()).toBe(true);
    await expectThere();
  });

  test("end in one of these two ways, whatever the order of their steps", async () => {
    for (let i = 0; i < 30; i++) {
      await save();
      const work = i % 2 === 0 ? [() => hold(), () => remove()] : [() => remove(), () => hold()];
      const outcomes = await Promise.allSettled(work.map((call) => call()));
      const [held, deleted] = i % 2 === 0 ? outcomes : outcomes.toReversed();
      const end = `${held?.status}, ${deleted?.status}`;
      if (end === "fulfilled, rejected") {
        await expectThere();
        await hold(false);
        await remove();
      } else {
        expect(end).toBe("rejected, fulfilled");
        await expectGone();
      }
      for (const refused of outcomes.filter((one) => one.status === "rejected")) {
        expect(refused.reason).toBeInstanceOf(end === "fulfilled, rejected" ? SnapshotHeld : SnapshotNotFound);
      }
    }
  });

  test("go on, if the snapshot is released between the refusal and the look at its hold", async () => {
    await save();
    await hold();
    storage.faults.before("GetItem", () => hold(false));
    await remove(storage.shaky);
    await expectGone();
  });
});

describe("two changes of a hold at the same time", () => {
  test.each([
    [true, false],
    [false, true],
  ])("leave bucket and index with the same one: %s during %s", async (inner, outer) => {
    await save();
    storage.faults.before("UpdateItem", () => hold(inner));
    await hold(outer, storage.shaky);
    expect(await isHeld()).toBe(outer);
  });

  test("leave them with the same one even if the first is undone by a third", async () => {
    await save();
    storage.faults.before("UpdateItem", async () => {
      await hold(true);
      await hold(false);
    });
    await hold(true, storage.shaky);
    expect(await isHeld()).toBe(true);
  });

  test("leave them with the same one, whatever the order of their steps", async () => {
    await save();
    for (let i = 0; i < 10; i++) {
      await Promise.all([hold(true), hold(false), hold(i % 2 === 0)]);
      await isHeld();
    }
  });
});

describe("a hold whose call fails", () => {
  test.each(["PutObject", "UpdateItem"])("takes effect if an answer to %s is lost", async (action) => {
    await save();
    storage.faults.on(action, "lost", 1);
    await hold(true, storage.shaky);
    expect(await isHeld()).toBe(true);
  });

  test.each(["PutObject", "UpdateItem"])("before %s is no hold, and can be repeated", async (action) => {
    await save();
    storage.faults.on(action, "breaks");
    const failed = hold(true, storage.shaky);
    await expect(failed).rejects.toThrow(StorageUnavailable);
    await expect(failed).rejects.toThrow(/The index did not change: call hold again\./);
    expect((await storage.archive.entry(id, within())).hold).toBeUndefined();
    storage.faults.clear();
    await hold(true, storage.shaky);
    expect(await isHeld()).toBe(true);
  });
});
