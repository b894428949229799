import { describe, expect, test } from "vitest";
import { RollbackInProgress, StorageUnavailable } from "../../../functions/shared/core/errors.ts";
import type { JournalBeginning } from "../../../functions/shared/storage/journal.ts";
import { within } from "../../support/deadline.ts";
import { required } from "../../support/required.ts";
import { second } from "./fixture.ts";
import { opening, testJournal, unreadable } from "./journal-fixture.ts";

const { storage, journal, shaky, open, found, listed } = testJournal();

const beginning = (more: Partial<JournalBeginning> = {}): JournalBeginning => ({
  rollbackId: "r-1",
  snapshotId: "latest",
  requestedBy: "ana",
  callerArn: null,
  requestId: "request-1",
  description: "Back",
  fingerprint: "f".repeat(64),
  endsBy: second(900).toISOString(),
  ...more,
});
const begin = (at = 0, more: Partial<JournalBeginning> = {}, of = journal()) =>
  of.begin(beginning(more), second(at), within());
const known = (id = "r-1") => journal().find(id, within());
const refused = new RollbackInProgress("another one is running");
const failed = { name: "RollbackInProgress", message: refused.message };

describe("a rollback that begins", () => {
  test("is found by its id at once, and is in no list and no search", async () => {
    const begun = required(await begin());
    expect(begun).toEqual({
      ...beginning(),
      status: "running",
      startedAt: "2025-01-15T10:30:00.000Z",
      writeToken: expect.stringMatching(/^[\da-f-]{36}$/),
    });
    expect(await known()).toEqual(begun);
    expect(await listed()).toEqual([]);
    for (const records of [
      journal().newestFirst(undefined, unreadable, within()),
      journal().resumable(unreadable, within()),
    ]) {
      expect(await Array.fromAsync(records)).toEqual([]);
    }
    expect(await storage.keys()).toEqual([]);
  });

  test("becomes the record that it opens, which is then in the list", async () => {
    await begin();
    const { record } = await open("r-1", 60);
    expect(await found()).toEqual(record);
    expect(record.startedAt).toBe("2025-01-15T10:31:00.000Z");
    expect(await listed()).toEqual(["r-1"]);
    expect(await journal().open(opening(), second(61), within())).toBe("taken");
  });

  test("is failed with the reason, which no search has either, and its id is free for another request", async () => {
    const begun = required(await begin());
    await journal().fail(begun, failed, second(5), within());
    expect(await known()).toEqual({ ...begun, status: "failed", error: failed, endedAt: "2025-01-15T10:30:05.000Z" });
    expect(await listed()).toEqual([]);

    const other = required(await begin(6, { fingerprint: "other", requestedBy: null }));
    expect(await known()).toEqual(other);
    expect(other).toMatchObject({ status: "running", requestedBy: null });
    expect(other).not.toHaveProperty("error");
  });

  test("is not failed once it has a plan, or a later call has begun it", async () => {
    const first = required(await begin(0));
    const later = required(await begin(901));
    await journal().fail(first, failed, second(902), within());
    expect(await known()).toEqual(later);
    const { record } = await open("r-1", 903);
    await journal().fail(later, failed, second(904), within());
    expect(await found()).toEqual(record);
  });

  test("stays with its call when the same request is repeated, until that call must have ended", async () => {
    const begun = required(await begin(0));
    expect(await begin(60, { endsBy: second(89).toISOString() })).toBeUndefined();
    expect(await known()).toEqual(begun);
    await journal().fail(begun, failed, second(70), within());
    expect(await begin(71)).toMatchObject({ status: "running", startedAt: second(71).toISOString() });
  });

  test("keeps its id from another request until its call must have ended", async () => {
    const begun = await begin();
    expect(await begin(899, { fingerprint: "other" })).toBeUndefined();
    expect(await known()).toEqual(begun);
    expect(await begin(901, { fingerprint: "other" })).toMatchObject({ fingerprint: "other" });
  });

  test("leaves a record as it is", async () => {
    const { record } = await open();
    expect(await begin(1)).toBeUndefined();
    expect(await found()).toEqual(record);
  });

  test.each([1, Number.POSITIVE_INFINITY])("is found if %i answers to its request are lost", async (times) => {
    storage.faults.on("PutItem", "lost", times);
    const begun = await begin(0, {}, shaky());
    expect(begun).toMatchObject({ rollbackId: "r-1" });
    storage.faults.clear();
    expect(await known()).toEqual(begun);
  });

  test("says that the journal does not have it where the table cannot be written", async () => {
    storage.faults.on("PutItem", "breaks", Number.POSITIVE_INFINITY);
    const error = await begin(0, {}, shaky()).catch((thrown: unknown) => thrown);
    storage.faults.clear();
    expect(error).toBeInstanceOf(StorageUnavailable);
    expect(error).toMatchObject({ message: expect.stringContaining("The journal does not have r-1.") });
    expect(await known()).toBeUndefined();
  });
});
