import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { type AttributeValue, DeleteItemCommand, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import {
  Configuration,
  DeadlineExceeded,
  InvalidRequest,
  JournalCorrupt,
  StorageUnavailable,
} from "../../../functions/shared/core/errors.ts";
import type { Json } from "../../../functions/shared/core/json/json.ts";
import { createClients } from "../../../functions/shared/storage/clients.ts";
import {
  createJournal,
  type Journal,
  type JournalOpening,
  type OpenJournal,
} from "../../../functions/shared/storage/journal.ts";
import type { JournalRecord } from "../../../functions/shared/storage/journal-record.ts";
import { createUnreadable, type Unreadable } from "../../../functions/shared/storage/unreadable.ts";
import { within } from "../../support/deadline.ts";
import { second, testArchive } from "./fixture.ts";

const storage = testArchive();
const journal = () => createJournal(storage.config, storage.clients);
/** A journal through the proxy, with new clients: the SDK stops retrying after many failures. */
const shaky = () => createJournal(storage.config, createClients(storage.faults.url));
const all = Number.POSITIVE_INFINITY;
/** The caller that resumes a rollback. */
const bob = { requestedBy: "bob", requestId: "request-2" };
/** What was left out of a read: nothing, unless a test says so. */
const unreadable = createUnreadable("the read");

const plan: Json = { groups: new Map([["42", { "orders-0": { to: 2n ** 63n - 1n } }]]), text: "größe \u{1F600}" };
const result: Json = { status: "success", offset: 9007199254740993n };

const opening = (rollbackId = "r-1", more: Partial<JournalOpening> = {}): JournalOpening => ({
  rollbackId,
  snapshotId: "snapshot-2025-01-15T10:30:00Z",
  safetySnapshotId: "snapshot-2025-01-15T10:31:00Z",
  requestedBy: "ana",
  description: "Back to before the deploy",
  fingerprint: "f".repeat(64),
  planDigest: "d".repeat(64),
  requestId: "request-1",
  groups: ["orders", "42"],
  plan,
  ...more,
});

async function open(rollbackId = "r-1", at = 0, of: Journal = journal()): Promise<OpenJournal> {
  const opened = await of.open(opening(rollbackId), second(at), within());
  if (opened === "taken") throw new Error(`${rollbackId} is taken`);
  return opened;
}

/** A record that was closed with this status. */
async function closed(status: "success" | "partial_success" | "failed", rollbackId = "r-1"): Promise<JournalRecord> {
  expect(await (await open(rollbackId)).close(status, result, second(9), within())).toBe("closed");
  return found(rollbackId);
}

async function found(rollbackId = "r-1"): Promise<JournalRecord> {
  const record = await journal().find(rollbackId, within());
  if (record === undefined) throw new Error(`${rollbackId} is not in the journal`);
  return record;
}

const listed = async () =>
  (await journal().list({ limit: 1_000 }, within())).entries.map(({ rollbackId }) => rollbackId);
const calls = (action: string) => storage.faults.calls.filter((call) => call === action).length;
const isDefined = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error("is undefined");
  return value;
};

describe("a record", () => {
  test("is found and listed as soon as it is opened, with its plan", async () => {
    const { record } = await open();
    expect(record).toEqual({
      rollbackId: "r-1",
      status: "running",
      snapshotId: "snapshot-2025-01-15T10:30:00Z",
      safetySnapshotId: "snapshot-2025-01-15T10:31:00Z",
      requestedBy: "ana",
      description: "Back to before the deploy",
      startedAt: "2025-01-15T10:30:00.000Z",
      groups: 2,
      groupNames: ["orders", "42"],
      fingerprint: "f".repeat(64),
      planDigest: "d".repeat(64),
      attempts: 1,
      calls: [{ attempt: 1, requestedBy: "ana", requestId: "request-1", startedAt: "2025-01-15T10:30:00.000Z" }],
      writeToken: expect.stringMatching(/^[\da-f-]{36}$/),
      plan: { name: expect.stringMatching(/^[\da-f-]{36}$/), sha256: expect.stringMatching(/^[\da-f]{64}$/) },
    });
    expect(await found()).toEqual(record);
    expect(await journal().list({ limit: 5 }, within())).toEqual({ entries: [record], warnings: [] });
    expect(await journal().plan(record, within())).toEqual({
      groups: { 42: { "orders-0": { to: 2n ** 63n - 1n } } },
      text: "größe \u{1F600}",
    });
    expect(await journal().result(record, within())).toBeUndefined();
  });

  test("has no safety snapshot and no caller if none was given", async () => {
    await journal().open(opening("r-1", { safetySnapshotId: null, requestedBy: null }), second(0), within());
    expect(await found()).toMatchObject({ safetySnapshotId: null, requestedBy: null });
  });

  test("is closed with its result", async () => {
    const opened = await open();
    expect(await opened.close("partial_success", result, second(9), within())).toBe("closed");
    const record = await found();
    expect(record).toEqual({
      ...opened.record,
      status: "partial_success",
      endedAt: "2025-01-15T10:30:09.000Z",
      result: { name: expect.stringMatching(/^[\da-f-]{36}$/), sha256: expect.stringMatching(/^[\da-f]{64}$/) },
    });
    expect(await journal().result(record, within())).toEqual({ status: "success", offset: 9007199254740993n });
    expect(await journal().plan(record, within())).toHaveProperty("text");
  });

  test("keeps its first result if it is closed again", async () => {
    const opened = await open();
    expect(await opened.close("success", { a: 1 }, second(8), within())).toBe("closed");
    const record = await found();
    expect(await opened.close("failed", { a: 2 }, second(9), within())).toBe("closed");
    expect(await found()).toEqual(record);
    expect(await journal().result(record, within())).toEqual({ a: 1 });
  });

  test("is stored under the documented keys of bucket and table", async () => {
    const opened = await open();
    await opened.close("success", result, second(9), within());
    const record = await found();
    const keyOf = (stored?: { name: string }) => `kept/rollbacks/r-1/${stored?.name}.json.gz`;

    expect((await storage.keys()).sort()).toEqual([keyOf(record.plan), keyOf(record.result)].sort());
    const place = { Bucket: storage.config.bucket, Key: keyOf(record.result) };
    const head = await storage.s3.send(new HeadObjectCommand({ ...place, ChecksumMode: "ENABLED" }));
    expect(head).toMatchObject({ ContentType: "application/json", ContentEncoding: "gzip" });
    expect(Buffer.from(head.ChecksumSHA256 ?? "", "base64").toString("hex")).toBe(record.result?.sha256);
    expect(await storage.items("rollback")).toMatchObject([{ sk: { S: "2025-01-15T10:30:00.000Z#r-1" } }]);
    expect(await storage.items("rollback-id")).toEqual([
      { pk: { S: "rollback-id" }, sk: { S: "r-1" }, record: { S: "2025-01-15T10:30:00.000Z#r-1" } },
    ]);
    expect(await storage.items()).toHaveLength(2);
  });

  test("stays small with 10,000 groups and a long description, and keeps its whole plan", async () => {
    const groups = Array.from({ length: 10_000 }, (_, i) => `group-${i}`);
    const large = opening("r-1", { groups, plan: groups, description: "\u{1F600}".repeat(5_000) });
    await journal().open(large, second(0), within());
    expect(JSON.stringify(await storage.items()).length).toBeLessThan(6_000);
    const record = await found();
    expect(record.groups).toBe(10_000);
    expect(record.groupNames).toBeUndefined();
    expect([...record.description]).toHaveLength(1_024);
    expect(await journal().plan(record, within())).toEqual(groups);
  });

  test.each(["0", "a:b.c_d-e", "rollback-2025-01-15T10:30:00Z-1a2b3c4d", "__proto__", "a".repeat(128)])(
    "may have the id %j",
    async (rollbackId) => {
      const { record } = await open(rollbackId);
      expect(await found(rollbackId)).toEqual(record);
      expect(await journal().plan(record, within())).toHaveProperty("text");
      expect(await listed()).toEqual([rollbackId]);
    },
  );

  test.each(["r-2", "", "a".repeat(129), "a".repeat(3_000), "a/b", "R-1", "r-1 ", "r", "a\u0000"])(
    "is not found under another id: %j",
    async (rollbackId) => {
      await open();
      expect(await journal().find(rollbackId, within())).toBeUndefined();
    },
  );
});

describe("an id is taken", () => {
  test.each(["running", "success", "superseded"])("if its record has the status %s", async (status) => {
    const opened = await open();
    if (status === "success") await opened.close("success", result, second(9), within());
    if (status === "superseded") await journal().supersede(opened.record, "r-2", within());
    const record = await found();
    for (const at of [0, 1]) expect(await journal().open(opening(), second(at), within())).toBe("taken");
    expect(await found()).toEqual(record);
    expect(await listed()).toEqual(["r-1"]);
  });

  test("for one of two calls that open it at the same time", async () => {
    for (let round = 0; round < 5; round++) {
      const both = await Promise.all(
        [0, 1].map((at) => journal().open(opening(`r-${round}`), second(round % 2 ? at : 0), within())),
      );
      expect(both.filter((outcome) => outcome === "taken")).toHaveLength(1);
    }
    expect(await listed()).toHaveLength(5);
  });
});

describe("resuming", () => {
  test.each(["partial_success", "failed"] as const)(
    "sets a record with the status %s to running, without a result",
    async (end) => {
      const before = await closed(end);
      const again = isDefined(await journal().resume(before, bob, second(20), within()));
      const { endedAt: _, result: __, ...kept } = before;
      expect(again.record).toEqual({
        ...kept,
        status: "running",
        resumedAt: "2025-01-15T10:30:20.000Z",
        attempts: 2,
        calls: [
          { ...before.calls[0], outcome: end, endedAt: before.endedAt },
          { attempt: 2, requestedBy: "bob", requestId: "request-2", startedAt: "2025-01-15T10:30:20.000Z" },
        ],
        writeToken: expect.not.stringMatching(before.writeToken),
      });
      expect(await found()).toEqual(again.record);
      expect(await journal().plan(again.record, within())).toHaveProperty("text");
      expect(await journal().result(again.record, within())).toBeUndefined();

      expect(await again.close("success", { again: true }, second(30), within())).toBe("closed");
      expect(await found()).toMatchObject({ status: "success", attempts: 2, endedAt: "2025-01-15T10:30:30.000Z" });
      expect(await journal().result(await found(), within())).toEqual({ again: true });
      expect(await listed()).toEqual(["r-1"]);
    },
  );

  test("makes an earlier call lose its record that is still running", async () => {
    const first = await open();
    const again = isDefined(await journal().resume(await found(), bob, second(20), within()));
    expect(await first.close("failed", { old: true }, second(21), within())).toBe("lost");
    expect(await found()).toEqual(again.record);
    expect(await again.close("success", { new: true }, second(22), within())).toBe("closed");
    expect(await first.close("failed", { old: true }, second(23), within())).toBe("lost");
    expect(await journal().result(await found(), within())).toEqual({ new: true });
  });

  test("counts attempts", async () => {
    const first = await open();
    const next = isDefined(await journal().resume(first.record, bob, second(1), within()));
    const third = isDefined(await journal().resume(next.record, bob, second(2), within()));
    expect(await journal().resume(first.record, bob, second(3), within())).toBeUndefined();
    expect(await journal().resume(next.record, bob, second(3), within())).toBeUndefined();
    expect(await found()).toEqual(third.record);
    expect(third.record.attempts).toBe(3);
    expect(await next.close("failed", result, second(3), within())).toBe("lost");
    expect(await third.close("success", result, second(3), within())).toBe("closed");
  });

  test("succeeds for one of two calls at the same time", async () => {
    const before = await closed("failed");
    const both = await Promise.all([1, 2].map((at) => journal().resume(before, bob, second(at), within())));
    expect(both.filter((outcome) => outcome === undefined)).toHaveLength(1);
    expect((await found()).attempts).toBe(2);
  });

  test("is refused if the record has changed since it was read", async () => {
    const opened = await open();
    const asRead = await found();
    await opened.close("partial_success", result, second(9), within());
    expect(await journal().resume(asRead, bob, second(20), within())).toBeUndefined();
    expect((await found()).status).toBe("partial_success");
  });

  test("is refused for a success and for a superseded record", async () => {
    expect(await journal().resume(await closed("success", "r-1"), bob, second(20), within())).toBeUndefined();
    await journal().supersede(await closed("failed", "r-2"), "r-9", within());
    expect(await journal().resume(await found("r-2"), bob, second(20), within())).toBeUndefined();
    await journal().supersede((await open("r-3")).record, "r-9", within());
    expect(await journal().resume(await found("r-3"), bob, second(20), within())).toBeUndefined();
    expect(
      (await Promise.all(["r-1", "r-2", "r-3"].map(found))).map(({ status, attempts }) => [status, attempts]),
    ).toEqual([
      ["success", 1],
      ["failed", 1],
      ["superseded", 1],
    ]);
  });

  test("is refused if the record was superseded after it was read", async () => {
    const unfinished = (await open("r-1")).record;
    await journal().supersede(unfinished, "r-9", within());
    expect(await journal().resume(unfinished, bob, second(20), within())).toBeUndefined();
    const partial = await closed("partial_success", "r-2");
    await journal().supersede(partial, "r-9", within());
    expect(await journal().resume(partial, bob, second(20), within())).toBeUndefined();
  });
});

describe("superseding", () => {
  test("ends a running record, which its writer then cannot close", async () => {
    const opened = await open();
    await journal().supersede(opened.record, "r-2", within());
    expect(await found()).toEqual({ ...opened.record, status: "superseded", supersededBy: "r-2" });
    expect(await opened.close("success", result, second(9), within())).toBe("lost");
    expect((await found()).status).toBe("superseded");
    expect(await journal().result(await found(), within())).toBeUndefined();
  });

  test.each(["partial_success", "failed"] as const)(
    "keeps the status %s, and adds the id of the other rollback",
    async (status) => {
      const before = await closed(status);
      await journal().supersede(before, "r-2", within());
      expect(await found()).toEqual({ ...before, supersededBy: "r-2" });
      expect(await journal().result(await found(), within())).toBeDefined();
    },
  );

  test("does not change a success or a superseded record", async () => {
    const success = await closed("success", "r-1");
    await journal().supersede(success, "r-9", within());
    expect(await found("r-1")).toEqual(success);

    await journal().supersede((await open("r-2")).record, "r-8", within());
    await journal().supersede(await found("r-2"), "r-9", within());
    expect((await found("r-2")).supersededBy).toBe("r-8");
  });

  test("depends on the present status, not on the status that was read", async () => {
    const [a, b, c] = [await open("a"), await open("b"), await open("c")];
    await a.close("success", result, second(9), within());
    await b.close("failed", result, second(9), within());
    await journal().resume(c.record, bob, second(20), within());
    for (const { record } of [a, b, c]) await journal().supersede(record, "r-9", within());

    expect(await found("a")).toMatchObject({ status: "success" });
    expect(await found("a")).not.toHaveProperty("supersededBy");
    expect(await found("b")).toMatchObject({ status: "failed", supersededBy: "r-9" });
    expect(await found("c")).toMatchObject({ status: "superseded", supersededBy: "r-9", attempts: 2 });
  });

  test("does not create a deleted record again", async () => {
    const { record } = await open();
    for (const { pk, sk } of await storage.items()) {
      const Key = { pk: pk ?? { S: "" }, sk: sk ?? { S: "" } };
      await storage.dynamodb.send(new DeleteItemCommand({ TableName: storage.config.table, Key }));
    }
    await journal().supersede(record, "r-9", within());
    expect(await storage.items()).toEqual([]);
  });
});

describe("the list", () => {
  /** Every page, as ids. */
  async function pages(limit: number): Promise<string[][]> {
    const seen: string[][] = [];
    let nextToken: string | undefined;
    do {
      const page = await journal().list({ limit, nextToken }, within());
      seen.push(page.entries.map(({ rollbackId }) => rollbackId));
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
    return seen;
  }

  test("of nothing is empty, and has no next page", async () => {
    expect(await journal().list({ limit: 10 }, within())).toEqual({ entries: [], warnings: [] });
  });

  test("has each record once, newest first, and every page but the last is full", async () => {
    const expected = ["e", "d", "c-2", "c-1", "b", "a"];
    for (const [id, at] of [
      ["b", 1],
      ["a", 0],
      ["d", 3],
      ["c-1", 2],
      ["c-2", 2],
      ["e", 4],
    ] as const)
      await open(id, at);
    for (const limit of [1, 2, 3, 4, 5, 6, 7]) {
      const seen = await pages(limit);
      expect(seen.flat()).toEqual(expected);
      for (const page of seen.slice(0, -1)) expect(page).toHaveLength(limit);
      expect(seen.at(-1)).not.toEqual([]);
    }
  });

  test("takes one query per page", async () => {
    for (const at of [0, 1, 2]) await open(`r-${at}`, at);
    await shaky().list({ limit: 2 }, within());
    expect(storage.faults.calls).toEqual(["Query"]);
  });

  test("refuses a token that it did not return", async () => {
    await open();
    for (const nextToken of ["", "x", Buffer.from("snapshot-2025-01-15T10:30:00Z").toString("base64url")]) {
      const refused = journal().list({ limit: 2, nextToken }, within());
      await expect(refused).rejects.toThrow(InvalidRequest);
      await expect(refused).rejects.toThrow(/next_token/);
    }
  });

  test("since a time has the newest record first, and ends with records of that time", async () => {
    for (const at of [0, 1, 2, 3]) await open(`r-${at}`, at);
    const since = async (time: Date | undefined) => {
      const ids: string[] = [];
      for await (const { rollbackId } of journal().newestFirst(time, unreadable, within())) ids.push(rollbackId);
      return ids;
    };
    expect(await since(undefined)).toEqual(["r-3", "r-2", "r-1", "r-0"]);
    expect(await since(second(2))).toEqual(["r-3", "r-2"]);
    expect(await since(new Date(second(2).getTime() + 1))).toEqual(["r-3"]);
    expect(await since(second(4))).toEqual([]);
  });

  test("reads further records only when they are consumed", async () => {
    for (let i = 0; i < 30; i++) await open(`r-${i}`, i);
    for await (const { rollbackId } of shaky().newestFirst(undefined, unreadable, within())) {
      expect(rollbackId).toBe("r-29");
      break;
    }
    expect(storage.faults.calls).toEqual(["Query"]);
    const ids: string[] = [];
    for await (const { rollbackId } of shaky().newestFirst(undefined, unreadable, within())) ids.push(rollbackId);
    expect(ids).toHaveLength(30);
    expect(storage.faults.calls).toEqual(["Query", "Query", "Query"]); // 25 at a time
  });
});

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
      isDefined(await journal().resume(await found(), bob, second(20), within()));
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
    const again = isDefined(await shaky().resume(before, bob, second(20), within()));
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
    const again = isDefined(await journal().resume(await found(), bob, second(21), within()));
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

describe("a changed part of the journal is JournalCorrupt:", () => {
  const bodies: ["plan" | "result", string][] = [
    ["plan", "the plan in the journal of r-1"],
    ["result", "the result in the journal of r-1"],
  ];
  const read = async (part: "plan" | "result") => journal()[part](await found(), within());
  const placeOf = async (part: "plan" | "result") => ({
    Bucket: storage.config.bucket,
    Key: `kept/rollbacks/r-1/${(await found())[part]?.name}.json.gz`,
  });

  test.each(bodies)("the %s, altered by one byte or cut", async (part, name) => {
    await closed("success");
    const place = await placeOf(part);
    const got = await storage.s3.send(new GetObjectCommand(place));
    const body = Buffer.from((await got.Body?.transformToByteArray()) ?? []);
    const altered = Buffer.from(body);
    altered[12] = (altered[12] ?? 0) ^ 1;
    for (const Body of [altered, body.subarray(0, -1), Buffer.alloc(0)]) {
      await storage.s3.send(new PutObjectCommand({ ...place, Body }));
      await expect(read(part)).rejects.toThrow(JournalCorrupt);
      await expect(read(part)).rejects.toThrow(`${name} is not what was written: its SHA-256 is`);
      await expect(read(part)).rejects.toThrow(`(${Body.length} bytes). Nothing was changed.`);
    }
    await storage.s3.send(new PutObjectCommand({ ...place, Body: body }));
    expect(await read(part)).toBeDefined();
  });

  test.each(bodies)("the %s, replaced by one that would need gigabytes, with its checksum", async (part, name) => {
    await closed("success");
    const place = await placeOf(part);
    const Body = gzipSync(`{"groups":[${"{},".repeat(10_000_000)}{}]}`, { level: 1 });
    await storage.s3.send(new PutObjectCommand({ ...place, Body }));
    const [item] = await storage.items("rollback");
    const sha256 = { S: createHash("sha256").update(Body).digest("hex") };
    const Item = { ...item, [`${part}_sha256`]: sha256 };
    await storage.dynamodb.send(new PutItemCommand({ TableName: storage.config.table, Item }));
    await expect(read(part)).rejects.toThrow(JournalCorrupt);
    await expect(read(part)).rejects.toThrow(
      `${name} is not what was written, though its SHA-256 is right: it has more`,
    );
  });

  test.each(bodies)("the %s, deleted", async (part, name) => {
    await closed("success");
    const place = await placeOf(part);
    await storage.s3.send(new DeleteObjectCommand(place));
    await expect(read(part)).rejects.toThrow(JournalCorrupt);
    await expect(read(part)).rejects.toThrow(`${name} is missing from the bucket, but the journal names it.`);
    await expect(read(part)).rejects.toThrow(place.Key);
  });

  test("a record without an attribute, if it is asked for", async () => {
    const { record } = await open();
    const [{ fingerprint: _, ...rest } = {}] = await storage.items("rollback");
    await storage.dynamodb.send(new PutItemCommand({ TableName: storage.config.table, Item: rest }));
    for (const reads of [
      () => journal().find("r-1", within()),
      () => journal().resume({ ...record, writeToken: "another" }, bob, second(1), within()),
    ]) {
      await expect(reads()).rejects.toThrow(JournalCorrupt);
      await expect(reads()).rejects.toThrow(
        'the item rollback / "2025-01-15T10:30:00.000Z#r-1" is not what was written: fingerprint is missing.',
      );
    }
  });

  test("a record that was deleted while its pointer exists", async () => {
    const { record } = await open();
    const Key = { pk: { S: "rollback" }, sk: { S: `${record.startedAt}#r-1` } };
    await storage.dynamodb.send(new DeleteItemCommand({ TableName: storage.config.table, Key }));
    await expect(journal().find("r-1", within())).rejects.toThrow(JournalCorrupt);
    await expect(journal().find("r-1", within())).rejects.toThrow(
      "the journal has the id r-1, but its record is missing",
    );
    expect(await journal().open(opening(), second(1), within())).toBe("taken");
  });
});

describe("records that cannot be read", () => {
  const put = (sk: string, more: Record<string, AttributeValue> = {}) =>
    storage.dynamodb.send(
      new PutItemCommand({ TableName: storage.config.table, Item: { pk: { S: "rollback" }, sk: { S: sk }, ...more } }),
    );
  const ids = async (records: AsyncIterable<JournalRecord>) => {
    const found: string[] = [];
    for await (const { rollbackId } of records) found.push(rollbackId);
    return found;
  };
  const stray = ["zzz", "2025-01-15T10:30:01.000Z#r-9", "0"];
  const all = stray.map((key) => expect.stringContaining(`because it cannot be read: the item rollback / "${key}" `));
  async function three() {
    for (const at of [0, 1, 2]) await open(`r-${at}`, at);
    for (const key of stray) await put(key, { status: { S: "paused" } });
  }

  test.each([1, 2, 3])(
    "are left out of the list with %i per page: pages stay full, and each is named once",
    async (limit) => {
      await three();
      const [seen, warnings]: [string[], string[]] = [[], []];
      for (let nextToken: string | undefined, first = true; first || nextToken !== undefined; first = false) {
        const page = await journal().list({ limit, nextToken }, within());
        nextToken = page.nextToken;
        expect(page.entries.length === limit || nextToken === undefined).toBe(true);
        seen.push(...page.entries.map(({ rollbackId }) => rollbackId));
        warnings.push(...page.warnings);
      }
      expect(seen).toEqual(["r-2", "r-1", "r-0"]);
      expect(warnings).toEqual(all);
    },
  );

  test("are left out of the searches, with a warning each", async () => {
    await three();
    for (const read of [
      (unreadable: Unreadable) => journal().newestFirst(undefined, unreadable, within()),
      (unreadable: Unreadable) => journal().resumable(unreadable, within()),
    ]) {
      const unreadable = createUnreadable("the search");
      expect(await ids(read(unreadable))).toEqual(["r-2", "r-1", "r-0"]);
      expect(unreadable.warnings()).toEqual(all);
      await ids(read(unreadable));
      expect(unreadable.warnings()).toEqual(all);
    }
  });

  test("are named if they may have the safety snapshot that is looked for", async () => {
    const safetySnapshotId = "snapshot-2025-01-15T10:31:00Z";
    for (const [rollbackId, at] of [
      ["r-0", 59],
      ["r-1", 60],
      ["r-2", 61],
      ["r-3", 60 + 901],
    ] as const) {
      await journal().open(opening(rollbackId, { safetySnapshotId }), second(at), within());
    }
    await journal().open(opening("r-4", { safetySnapshotId: null }), second(62), within());
    await put("2025-01-15T10:31:01.000Z#r-9");
    await put("zzz");
    const { records, warnings } = await journal().undoneWith(safetySnapshotId, within());
    expect(records.map(({ rollbackId }) => rollbackId)).toEqual(["r-2", "r-1"]);
    expect(warnings).toEqual([expect.stringContaining('/ "2025-01-15T10:31:01.000Z#r-9" ')]);
    expect(await journal().undoneWith("anything", within())).toEqual({ records: [], warnings: [] });
  });
});

describe("the calls of a record", () => {
  const resume = async (at: number, requestId = `request-${at}`) =>
    isDefined(await journal().resume(await found(), { requestedBy: null, requestId }, second(at), within()));
  const outcomes = async () => (await found()).calls.map(({ attempt, outcome }) => [attempt, outcome]);

  test("show one that was killed as interrupted once another has resumed the rollback", async () => {
    await open();
    await resume(1);
    expect((await found()).calls).toEqual([
      {
        attempt: 1,
        requestedBy: "ana",
        requestId: "request-1",
        startedAt: "2025-01-15T10:30:00.000Z",
        outcome: "interrupted",
      },
      { attempt: 2, requestedBy: null, requestId: "request-1", startedAt: "2025-01-15T10:30:01.000Z" },
    ]);
  });

  test("are the first and the last nine", async () => {
    await (await open()).close("failed", result, second(1), within());
    for (let at = 2; at <= 13; at++) await resume(at);
    expect(await outcomes()).toEqual([
      [1, "failed"],
      ...[5, 6, 7, 8, 9, 10, 11, 12].map((attempt) => [attempt, "interrupted"]),
      [13, undefined],
    ]);
    expect((await found()).attempts).toBe(13);
  });

  test("are the first alone in a record of a version without them, and are counted when it is resumed", async () => {
    await open();
    const [{ calls: _, ...rest } = {}] = await storage.items("rollback");
    await storage.dynamodb.send(
      new PutItemCommand({ TableName: storage.config.table, Item: { ...rest, attempts: { N: "3" } } }),
    );
    const first = { attempt: 1, requestedBy: "ana", requestId: null, startedAt: "2025-01-15T10:30:00.000Z" };
    expect((await found()).calls).toEqual([first]);
    await resume(9);
    expect((await found()).calls).toEqual([first, expect.objectContaining({ attempt: 4, requestId: "request-9" })]);
  });
});
