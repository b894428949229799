import { PutItemCommand } from "@aws-sdk/client-dynamodb";
import { HeadObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { within } from "../../support/deadline.ts";
import { required } from "../../support/required.ts";
import { second } from "./fixture.ts";
import { opening, result, testJournal } from "./journal-fixture.ts";

const { storage, journal, open, found, listed } = testJournal();

describe("a record", () => {
  test("is found and listed as soon as it is opened, with its plan", async () => {
    const { record } = await open();
    expect(record).toEqual({
      rollbackId: "r-1",
      status: "running",
      snapshotId: "snapshot-2025-01-15T10:30:00Z",
      safetySnapshotId: "snapshot-2025-01-15T10:31:00Z",
      requestedBy: "ana",
      callerArn: null,
      description: "Back to before the deploy",
      startedAt: "2025-01-15T10:30:00.000Z",
      groups: 2,
      groupNames: ["orders", "42"],
      fingerprint: "f".repeat(64),
      planDigest: "d".repeat(64),
      attempts: 1,
      calls: [
        {
          attempt: 1,
          requestedBy: "ana",
          callerArn: null,
          requestId: "request-1",
          startedAt: "2025-01-15T10:30:00.000Z",
        },
      ],
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

describe("the calls of a record", () => {
  const resume = async (at: number, requestId = `request-${at}`) =>
    required(
      await journal().resume(await found(), { requestedBy: null, callerArn: null, requestId }, second(at), within()),
    );
  const outcomes = async () => (await found()).calls.map(({ attempt, outcome }) => [attempt, outcome]);

  test("show one that was killed as interrupted once another has resumed the rollback", async () => {
    await open();
    await resume(1);
    expect((await found()).calls).toEqual([
      {
        attempt: 1,
        requestedBy: "ana",
        callerArn: null,
        requestId: "request-1",
        startedAt: "2025-01-15T10:30:00.000Z",
        outcome: "interrupted",
      },
      { attempt: 2, requestedBy: null, callerArn: null, requestId: "request-1", startedAt: "2025-01-15T10:30:01.000Z" },
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
    const first = {
      attempt: 1,
      requestedBy: "ana",
      callerArn: null,
      requestId: null,
      startedAt: "2025-01-15T10:30:00.000Z",
    };
    expect((await found()).calls).toEqual([first]);
    await resume(9);
    expect((await found()).calls).toEqual([first, expect.objectContaining({ attempt: 4, requestId: "request-9" })]);
  });
});
