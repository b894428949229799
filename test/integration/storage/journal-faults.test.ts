import { describe, expect, test } from "vitest";
import { Configuration, DeadlineExceeded, StorageUnavailable } from "../../../functions/shared/core/errors.ts";
import type { Journal } from "../../../functions/shared/storage/journal.ts";
import type { JournalRecord } from "../../../functions/shared/storage/journal-record.ts";
import { within } from "../../support/deadline.ts";
import { required } from "../../support/required.ts";
import { second } from "./fixture.ts";
import { bob, opening, result, testJournal, unreadable } from "./journal-fixture.ts";

const { storage, journal, shaky, open, closed, found, listed } = testJournal();

const all = Number.POSITIVE_INFINITY;
const calls = (action: string) => storage.faults.calls.filter((call) => call === action).length;

describe("opening, if", () => {
  test.each([
    ["PutObject", "lost", 1],
    ["PutObject", "breaks", 2],
    ["TransactWriteItems", "lost", 1],
    ["TransactWriteItems", "lost", 2],
    ["TransactWriteItems", "lost", all],
    ["TransactWriteItems", "breaks", 2],
    ["TransactWriteItems", "conflicts", 3],
  ] as const)(
    "calls of %s fail (%s, %s times), creates one record with its plan, which can be closed",
    async (action, fault, times) => {
      storage.faults.on(action, fault, times);
      const opened = await open("r-1", 0, shaky());
      storage.faults.clear();
      expect(await found()).toEqual(opened.record);
      expect(await listed()).toEqual(["r-1"]);
      expect(await journal().plan(await found(), within())).toHaveProperty("text");
      expect(await opened.close("success", result, second(9), within())).toBe("closed");
    },
  );

  test("an answer is lost and another call has the id, returns taken", async () => {
    const { record } = await open();
    storage.faults.on("TransactWriteItems", "lost", 1);
    expect(await shaky().open(opening(), second(0), within())).toBe("taken");
    expect(await found()).toEqual(record);
  });
});

describe("a record that cannot be opened", () => {
  test.each([
    ["PutObject", "breaks", StorageUnavailable],
    ["PutObject", "denied", Configuration],
    ["TransactWriteItems", "breaks", StorageUnavailable],
    ["TransactWriteItems", "denied", Configuration],
    ["TransactWriteItems", "conflicts", StorageUnavailable],
  ] as const)("does not exist: %s %s", async (action, fault, kind) => {
    storage.faults.on(action, fault);
    const failed = shaky().open(opening(), second(0), within());
    await expect(failed).rejects.toThrow(kind);
    await expect(failed).rejects.toThrow(/the plan of r-1|opening the journal of r-1/);
    await expect(failed).rejects.toThrow("The journal does not have r-1.");
    expect(await storage.items()).toEqual([]);
    expect((await open()).record.rollbackId).toBe("r-1");
  });

  test("is reported as unknown if it may exist", async () => {
    storage.faults.on("TransactWriteItems", "lost");
    storage.faults.on("GetItem", "breaks");
    const failed = shaky().open(opening(), second(0), within());
    await expect(failed).rejects.toThrow(StorageUnavailable);
    await expect(failed).rejects.toThrow("Whether the journal has r-1 is not known: call rollbacks to see it");
    expect((await found()).status).toBe("running");
  });

  test.each(["PutObject", "TransactWriteItems"])("fails at the deadline if %s is not answered", async (action) => {
    const deadline = storage.faults.deadlineAt(action, "hangs");
    await expect(shaky().open(opening(), second(0), deadline)).rejects.toThrow(DeadlineExceeded);
    expect(await storage.items()).toEqual([]);
  });
});

describe("closing, if", () => {
  test.each([
    ["PutObject", "lost", 1],
    ["PutObject", "breaks", 2],
    ["UpdateItem", "lost", 1],
    ["UpdateItem", "lost", 2],
    ["UpdateItem", "lost", all],
    ["UpdateItem", "breaks", 2],
  ] as const)("calls of %s fail (%s, %s times), closes the record with the result", async (action, fault, times) => {
    const opened = await open("r-1", 0, shaky());
    storage.faults.on(action, fault, times);
    expect(await opened.close("failed", result, second(9), within())).toBe("closed");
    storage.faults.clear();
    expect(await found()).toMatchObject({ status: "failed", endedAt: "2025-01-15T10:30:09.000Z" });
    expect(await journal().result(await found(), within())).toHaveProperty("offset");
  });

  test("its answer is lost and another call resumed the record, returns lost", async () => {
    const opened = await open("r-1", 0, shaky());
    storage.faults.on("UpdateItem", "lost", 1);
    storage.faults.when({ action: "UpdateItem", at: "answer" }, async () => {
      required(await journal().resume(await found(), bob, second(20), within()));
      return undefined;
    });
    expect(await opened.close("failed", result, second(9), within())).toBe("lost");
    expect(await found()).toMatchObject({ status: "running", attempts: 2 });
  });

  test.each([
    ["PutObject", "breaks", StorageUnavailable],
    ["PutObject", "denied", Configuration],
    ["UpdateItem", "breaks", StorageUnavailable],
    ["UpdateItem", "denied", Configuration],
  ] as const)(
    "%s fails (%s), reports that the record stays running, and can be repeated",
    async (action, fault, kind) => {
      const opened = await open("r-1", 0, shaky());
      storage.faults.on(action, fault);
      const failed = opened.close("success", result, second(9), within());
      await expect(failed).rejects.toThrow(kind);
      await expect(failed).rejects.toThrow("The record of r-1 was not closed: it counts as unfinished.");
      expect(await found()).toEqual(opened.record);

      storage.faults.clear();
      expect(await opened.close("success", result, second(9), within())).toBe("closed");
    },
  );

  test("its outcome is unknown, reports that, and can be repeated", async () => {
    const opened = await open("r-1", 0, shaky());
    storage.faults.on("UpdateItem", "lost");
    storage.faults.on("GetItem", "breaks");
    await expect(opened.close("success", result, second(9), within())).rejects.toThrow(
      "Whether the record of r-1 was closed is not known: call rollbacks to see it.",
    );
    storage.faults.clear();
    expect(await opened.close("success", result, second(10), within())).toBe("closed");
    expect((await found()).endedAt).toBe("2025-01-15T10:30:09.000Z");
  });

  test.each(["PutObject", "UpdateItem"])("%s is not answered, fails at the deadline", async (action) => {
    const opened = await open("r-1", 0, shaky());
    const deadline = storage.faults.deadlineAt(action, "hangs");
    await expect(opened.close("success", result, second(9), deadline)).rejects.toThrow(DeadlineExceeded);
  });
});

describe("resuming, if", () => {
  test.each([
    ["lost", 1],
    ["lost", 2],
    ["lost", all],
    ["breaks", 2],
  ] as const)("calls fail (%s, %s times), resumes the record once", async (fault, times) => {
    const before = await closed("failed");
    storage.faults.on("UpdateItem", fault, times);
    const again = required(await shaky().resume(before, bob, second(20), within()));
    storage.faults.clear();
    expect(await found()).toEqual(again.record);
    expect(again.record.attempts).toBe(2);
    expect(await again.close("success", result, second(30), within())).toBe("closed");
  });

  test("an answer is lost and another call resumed it, is refused", async () => {
    const before = await closed("failed");
    storage.faults.on("UpdateItem", "breaks", 1);
    storage.faults.before("UpdateItem", () => journal().resume(before, bob, second(20), within()));
    expect(await shaky().resume(before, bob, second(21), within())).toBeUndefined();
    expect((await found()).resumedAt).toBe("2025-01-15T10:30:20.000Z");
  });

  test("it fails, does not change the record", async () => {
    const before = await closed("failed");
    storage.faults.on("UpdateItem", "breaks");
    const failed = shaky().resume(before, bob, second(20), within());
    await expect(failed).rejects.toThrow(StorageUnavailable);
    await expect(failed).rejects.toThrow("The record of r-1 is unchanged.");
    expect(await found()).toEqual(before);
  });

  test("its outcome is unknown, reports that, and can be repeated", async () => {
    const before = await closed("failed");
    storage.faults.on("UpdateItem", "lost");
    storage.faults.on("GetItem", "breaks");
    await expect(shaky().resume(before, bob, second(20), within())).rejects.toThrow(/is not known: .*in either case/);
    expect((await found()).attempts).toBe(2);
    const again = required(await journal().resume(await found(), bob, second(21), within()));
    expect(await again.close("success", result, second(30), within())).toBe("closed");
  });
});

describe("superseding, if", () => {
  test.each([
    ["lost", 1],
    ["lost", 2],
    ["breaks", 2],
  ] as const)("calls fail (%s, %s times), supersedes the record once", async (fault, times) => {
    const { record } = await open();
    storage.faults.on("UpdateItem", fault, times);
    await shaky().supersede(record, "r-2", within());
    expect(await found()).toEqual({ ...record, status: "superseded", supersededBy: "r-2" });
  });

  test.each(["breaks", "lost"] as const)("it fails (%s), can be repeated", async (fault) => {
    const { record } = await open();
    storage.faults.on("UpdateItem", fault);
    const failed = shaky().supersede(record, "r-2", within());
    await expect(failed).rejects.toThrow(StorageUnavailable);
    await expect(failed).rejects.toThrow("The journal may not say that r-1 is superseded.");
    storage.faults.clear();
    await journal().supersede(record, "r-2", within());
    expect(await found()).toMatchObject({ status: "superseded", supersededBy: "r-2" });
  });
});

describe("a failed read is an error, never an empty result:", () => {
  const reads: [string, string, (of: Journal, record: JournalRecord) => Promise<unknown>][] = [
    ["find", "GetItem", (of) => of.find("r-1", within())],
    ["list", "Query", (of) => of.list({ limit: 5 }, within())],
    ["newest first", "Query", (of) => of.newestFirst(undefined, unreadable, within()).next()],
    ["the plan", "GetObject", (of, record) => of.plan(record, within())],
    ["the result", "GetObject", (of, record) => of.result(record, within())],
  ];

  test.each(reads)("%s, %s failing", async (_, action, read) => {
    const record = await closed("success");
    storage.faults.on(action, "breaks");
    await expect(read(shaky(), record)).rejects.toThrow(StorageUnavailable);
    expect(calls(action)).toBeGreaterThan(0);
  });

  test.each(reads)("%s, %s denied: Configuration that names the right", async (_, action, read) => {
    const record = await closed("success");
    storage.faults.on(action, "denied");
    await expect(read(shaky(), record)).rejects.toThrow(Configuration);
    await expect(read(shaky(), record)).rejects.toThrow(new RegExp(`role needs (s3|dynamodb):${action} `));
  });

  test("the record, after its pointer was read", async () => {
    await closed("success");
    storage.faults.when({ action: "GetItem", nth: 2 }, () => {
      storage.faults.on("GetItem", "breaks");
      return "breaks";
    });
    await expect(shaky().find("r-1", within())).rejects.toThrow(StorageUnavailable);
  });
});
