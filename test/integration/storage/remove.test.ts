import { isDeepStrictEqual } from "node:util";
import { DeleteItemCommand } from "@aws-sdk/client-dynamodb";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SnapshotNotFound, StorageUnavailable } from "../../../functions/shared/core/errors.ts";
import { within } from "../../support/deadline.ts";
import { ana, content, second, testArchive } from "./fixture.ts";

const storage = testArchive();

/** The writes of a deletion, in their order. */
const steps = ["UpdateItem", "PutItem", "DeleteObject", "DeleteItem"];

async function save(): Promise<string> {
  return (await storage.archive.save(content(), second(0), within())).snapshot.snapshotId;
}

async function expectGone(snapshotId: string): Promise<void> {
  await expect(storage.archive.load(snapshotId, within())).rejects.toThrow(SnapshotNotFound);
  expect((await storage.archive.list({ limit: 5 }, within())).entries).toEqual([]);
}

describe("a deleted snapshot", () => {
  test("is deleted from the list, the index and the bucket, and others are kept", async () => {
    const kept = (await storage.archive.save(content(), second(1), within())).snapshot;
    const snapshotId = await save();
    await storage.archive.remove(snapshotId, ana, within());

    await expect(storage.archive.load(snapshotId, within())).rejects.toThrow(SnapshotNotFound);
    expect(await storage.keys()).toEqual([`kept/snapshots/${kept.snapshotId}.json.gz`]);
    expect(await storage.items("snapshot")).toHaveLength(1);
    expect(await storage.archive.load(kept.snapshotId, within())).toEqual(kept);
  });

  test("cannot be deleted again", async () => {
    const snapshotId = await save();
    await storage.archive.remove(snapshotId, ana, within());
    await expect(storage.archive.remove(snapshotId, ana, within())).rejects.toThrow(SnapshotNotFound);
  });

  test("is SnapshotNotFound, not corrupt, for a call that is loading it", async () => {
    const snapshotId = await save();
    storage.faults.before("GetObject", () => storage.archive.remove(snapshotId, ana, within()));
    await expect(storage.shaky.load(snapshotId, within())).rejects.toThrow(SnapshotNotFound);
  });

  test("does not delete a new snapshot that gets the same id", async () => {
    const snapshotId = await save();
    storage.faults.before("DeleteItem", async () => {
      await storage.archive.remove(snapshotId, ana, within());
      expect(await save()).toBe(snapshotId);
    });
    await storage.shaky.remove(snapshotId, ana, within());
    expect((await storage.archive.load(snapshotId, within())).snapshotId).toBe(snapshotId);
  });

  test("keeps its id in use until its second is over", async () => {
    const now = new Date();
    const { snapshot } = await storage.archive.save(content(), now, within());
    const hidden = Promise.withResolvers<void>();
    storage.faults.when({ action: "UpdateItem", at: "answer" }, () => {
      hidden.resolve();
      return undefined;
    });
    const removed = storage.shaky.remove(snapshot.snapshotId, ana, within());
    await hidden.promise;
    await expectGone(snapshot.snapshotId);
    const other = await storage.archive.save(content(), now, within());
    expect(other.snapshot.snapshotId).toBe(`${snapshot.snapshotId}-2`);
    await removed;
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(snapshot.createdAt) + 2_000);
    expect(await storage.keys()).toEqual([`kept/snapshots/${snapshot.snapshotId}-2.json.gz`]);
  });

  test("is deleted once by two calls at the same time", async () => {
    const snapshotId = await save();
    const both = [storage.archive.remove(snapshotId, ana, within()), storage.archive.remove(snapshotId, ana, within())];
    const outcomes = (await Promise.allSettled(both)).map(({ status }) => status);
    expect(outcomes).toContain("fulfilled");
    expect(await storage.items("snapshot")).toEqual([]);
    expect(await storage.keys()).toEqual([]);
  });
});

describe("a deletion", () => {
  test.each(steps.slice(1))(
    "that fails before %s hides the snapshot, and a repeated deletion completes it",
    async (action) => {
      const snapshotId = await save();
      storage.faults.on(action, "breaks");
      const failed = storage.shaky.remove(snapshotId, ana, within());
      await expect(failed).rejects.toThrow(StorageUnavailable);
      await expect(failed).rejects.toThrow(/delete it again to finish/);
      await expectGone(snapshotId);
      expect(await storage.items("snapshot")).toHaveLength(1);

      storage.faults.clear();
      await storage.shaky.remove(snapshotId, ana, within());
      await expectGone(snapshotId);
      expect(await storage.items("snapshot")).toEqual([]);
      expect(await storage.keys()).toEqual([]);
    },
  );

  test("that fails before its first step changes nothing", async () => {
    const snapshotId = await save();
    storage.faults.on("UpdateItem", "breaks");
    await expect(storage.shaky.remove(snapshotId, ana, within())).rejects.toThrow(StorageUnavailable);
    expect((await storage.archive.load(snapshotId, within())).snapshotId).toBe(snapshotId);
    expect(await storage.items("deletion")).toEqual([]);
  });

  test.each(["UpdateItem", "PutItem", "DeleteItem"])("waits if %s conflicts with another call", async (action) => {
    const snapshotId = await save();
    storage.faults.on(action, "conflicts", 2);
    await storage.shaky.remove(snapshotId, ana, within());
    await expectGone(snapshotId);
    expect(await storage.items()).toEqual(await storage.items("deletion"));
  });

  test.each(steps)("succeeds if an answer to %s is lost", async (action) => {
    const snapshotId = await save();
    storage.faults.on(action, "lost", 1);
    await storage.shaky.remove(snapshotId, ana, within());
    expect(storage.faults.calls.filter((call) => call === action)).toHaveLength(2);
    await expectGone(snapshotId);
    expect(await storage.keys()).toEqual([]);
  });

  test.each(steps)("can be completed if all answers to %s are lost", async (action) => {
    const snapshotId = await save();
    storage.faults.on(action, "lost");
    await expect(storage.shaky.remove(snapshotId, ana, within())).rejects.toThrow(StorageUnavailable);
    await expectGone(snapshotId);

    storage.faults.clear();
    await storage.shaky
      .remove(snapshotId, ana, within())
      .catch((error: unknown) => expect(error).toBeInstanceOf(SnapshotNotFound));
    expect(await storage.items("snapshot")).toEqual([]);
    expect(await storage.keys()).toEqual([]);
  });
});

describe("a deletion that is killed", () => {
  /** Deletes a snapshot by a call that ends before one of its writes, or right after it. */
  async function kill(snapshotId: string, { step, at }: { step: string; at: "call" | "answer" }): Promise<void> {
    const over = new AbortController();
    storage.faults.when({ action: step, at }, () => {
      over.abort();
      return at === "call" ? "hangs" : "lost";
    });
    const deadline = { signal: over.signal, remainingMs: () => (over.signal.aborted ? 0 : 25_000) };
    const ended = storage.shaky.remove(snapshotId, ana, deadline).then(
      () => "completed",
      (error: unknown) => Object(error).name,
    );
    expect(["DeadlineExceeded", "SnapshotNotFound"]).toContain(await ended);
    storage.faults.clear();
  }

  /** What a list, a rollback and a reindex are told of the snapshot, and what is left of it. */
  async function stateOf(snapshotId: string) {
    const { entries } = await storage.archive.list({ limit: 5 }, within());
    const loaded = await storage.archive.load(snapshotId, within()).then(
      () => "loaded",
      (error: unknown) => Object(error).name,
    );
    const [rows, bodies, records] = [
      await storage.items("snapshot"),
      await storage.keys(),
      await storage.items("deletion"),
    ];
    const { added, repaired, orphanRows, unreadable, warnings } = await storage.archive.reindex(false, within());
    expect({ added, repaired, orphanRows, unreadable }).toEqual({
      added: [],
      repaired: [],
      orphanRows: [],
      unreadable: [],
    });
    expect(await storage.items("snapshot")).toEqual(rows);
    const unfinished = warnings.some((warning) => warning.includes("call delete again to finish it"));
    return {
      listed: entries.length,
      loaded,
      rows: rows.length,
      bodies: bodies.length,
      recorded: records.length > 0,
      unfinished,
    };
  }

  const whole = { listed: 1, loaded: "loaded", rows: 1, bodies: 1, recorded: false, unfinished: false };
  const hidden = { listed: 0, loaded: "SnapshotNotFound", rows: 1, bodies: 1, recorded: false, unfinished: true };
  const recorded = { ...hidden, recorded: true };
  const bodyless = { ...recorded, bodies: 0 };
  const gone = { ...bodyless, rows: 0, unfinished: false };
  /** What holds before the first write, and after each of them. */
  const states = [whole, hidden, recorded, bodyless, gone];
  const moments = steps.flatMap((step, i) => [
    { step, at: "call" as const, state: states[i] },
    { step, at: "answer" as const, state: states[i + 1] },
  ]);

  test.each(moments)("at the $at of $step leaves what list, load and reindex agree on", async (moment) => {
    const snapshotId = await save();
    await kill(snapshotId, moment);
    expect(await stateOf(snapshotId)).toEqual(moment.state);
    await complete(snapshotId);
  });

  test("any number of times, at any moment, is completed by the next call that is not", async () => {
    const kills = fc.array(fc.constantFrom(...moments), { minLength: 2, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(kills, async (kills) => {
        const snapshotId = await save();
        let reached = 0;
        for (const moment of kills) {
          await kill(snapshotId, moment);
          const state = await stateOf(snapshotId);
          const now = states.findIndex((known) => isDeepStrictEqual(known, state));
          expect(now).toBeGreaterThanOrEqual(reached);
          reached = now;
          if (state.listed === 0 && state.rows === 0) break;
        }
        await complete(snapshotId);
        for (const { pk, sk } of await storage.items("deletion")) {
          if (pk && sk)
            await storage.dynamodb.send(new DeleteItemCommand({ TableName: storage.config.table, Key: { pk, sk } }));
        }
      }),
      { numRuns: 10 },
    );
  });

  async function complete(snapshotId: string): Promise<void> {
    const isGone = isDeepStrictEqual(await stateOf(snapshotId), gone);
    const again = storage.archive.remove(snapshotId, ana, within());
    if (isGone) await expect(again).rejects.toThrow(SnapshotNotFound);
    else await again;
    expect(await stateOf(snapshotId)).toEqual(gone);
  }
});

describe("the audit item of a deletion", () => {
  test("has the snapshot, the caller, the request and the time", async () => {
    const snapshotId = await save();
    const before = new Date().toISOString();
    await storage.archive.remove(snapshotId, ana, within());
    const after = new Date().toISOString();

    const [note, ...others] = await storage.items("deletion");
    expect(others).toEqual([]);
    expect(note).toEqual({
      pk: { S: "deletion" },
      sk: { S: expect.stringMatching(`^${note?.deleted_at?.S}#${snapshotId}#[\\da-f-]{36}$`) },
      snapshot_id: { S: snapshotId },
      requested_by: { S: "ana" },
      request_id: { S: "request-1" },
      deleted_at: { S: expect.toSatisfy((time: string) => before <= time && time <= after) },
    });
  });

  test("has no caller if the request named none", async () => {
    const snapshotId = await save();
    await storage.archive.remove(snapshotId, { requestedBy: null, callerArn: null, requestId: "request-2" }, within());
    const [note] = await storage.items("deletion");
    expect(note).toMatchObject({ snapshot_id: { S: snapshotId }, request_id: { S: "request-2" } });
    expect(note).not.toHaveProperty("requested_by");
  });

  test("is not written for a snapshot that does not exist", async () => {
    await expect(storage.archive.remove("snapshot-2025-01-15T10:30:00Z", ana, within())).rejects.toThrow(
      SnapshotNotFound,
    );
    await expect(storage.archive.remove("latest", ana, within())).rejects.toThrow(SnapshotNotFound);
    expect(await storage.items()).toEqual([]);
  });

  test("is written when the snapshot is hidden, and once more by the call that completes the deletion", async () => {
    const snapshotId = await save();
    storage.faults.on("DeleteObject", "breaks");
    await expect(storage.shaky.remove(snapshotId, ana, within())).rejects.toThrow(StorageUnavailable);
    expect(await storage.items("deletion")).toMatchObject([{ requested_by: { S: "ana" } }]);

    storage.faults.clear();
    await storage.shaky.remove(snapshotId, { requestedBy: "ben", callerArn: null, requestId: "request-2" }, within());
    const notes = await storage.items("deletion");
    expect(notes.map(({ requested_by }) => requested_by?.S).sort()).toEqual(["ana", "ben"]);
  });
});
