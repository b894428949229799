import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InvalidRequest, JournalCorrupt } from "../../../functions/shared/core/errors.ts";
import { callOutcomes } from "../../../functions/shared/core/model.ts";
import { stretchOf } from "../../../functions/shared/storage/index-entry.ts";
import {
  type JournalRecord,
  mayBeOf,
  pointerItem,
  pointerKey,
  recordAt,
  recordItem,
  recordKey,
  sortKeyOf,
  textsOf,
} from "../../../functions/shared/storage/journal-record.ts";
import { decodeToken } from "../../../functions/shared/storage/paging.ts";
import { groupName } from "../../support/arbitraries.ts";
import { spoilItem } from "../../support/spoil.ts";

const rollbackId = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9:._-]{1,128}$/),
  fc.constantFrom("rollback-2025-01-15T10:30:00Z-1a2b3c4d", "0", "-", "__proto__", "a".repeat(128)),
);
const time = fc
  .date({ min: new Date(0), max: new Date("9999-12-31T23:59:59.999Z"), noInvalidDate: true })
  .map((date) => date.toISOString());
const name = fc.string({ unit: "grapheme", maxLength: 40 });
const stored = fc.record({
  name: fc.uuid(),
  sha256: fc.stringMatching(/^[\da-f]{64}$/),
});
const ended = (status: "success" | "partial_success" | "failed") =>
  fc.record({ status: fc.constant(status), endedAt: time, result: stored });
const statusFields = fc.oneof(
  fc.constant({ status: "running" as const }),
  fc.record({ status: fc.constant("superseded" as const), supersededBy: rollbackId }),
  ended("success"),
  fc
    .tuple(
      fc.constantFrom("partial_success" as const, "failed" as const).chain(ended),
      fc.option(rollbackId, { nil: undefined }),
    )
    .map(([end, supersededBy]) => (supersededBy === undefined ? end : { ...end, supersededBy })),
);

const call = fc.record({
  attempt: fc.integer({ min: 1, max: 1_000 }),
  requestedBy: fc.option(name),
  callerArn: fc.option(name),
  requestId: fc.option(name),
  startedAt: time,
});
const calls = fc.array(
  fc.oneof(
    call,
    fc
      .tuple(call, fc.constantFrom(...callOutcomes), time)
      .map(([one, outcome, endedAt]) => ({ ...one, outcome, endedAt })),
  ),
  { minLength: 1, maxLength: 10 },
);

/** Records of every status, with any texts. */
const record: fc.Arbitrary<JournalRecord> = fc
  .record({
    rollbackId,
    snapshotId: name,
    safetySnapshotId: fc.option(name),
    requestedBy: fc.option(name),
    callerArn: fc.option(name),
    startedAt: time,
    resumedAt: fc.option(time, { nil: undefined }),
    groups: fc.array(groupName, { maxLength: 5 }),
    description: fc.string({ unit: "grapheme" }),
    fingerprint: name,
    planDigest: name,
    attempts: fc.integer({ min: 1, max: 1_000 }),
    calls,
    writeToken: fc.uuid(),
    plan: stored,
    statusFields,
  })
  .map(({ groups, description, resumedAt, statusFields, ...rest }) => ({
    ...rest,
    ...(resumedAt !== undefined && { resumedAt }),
    ...textsOf(groups, description),
    ...statusFields,
  }));

const sample: JournalRecord = {
  rollbackId: "r-1",
  status: "success",
  snapshotId: "snapshot-2025-01-15T10:30:00Z",
  safetySnapshotId: null,
  requestedBy: "ana",
  callerArn: "arn:aws:iam::111122223333:user/ana",
  description: "d",
  startedAt: "2025-01-15T10:30:00.000Z",
  endedAt: "2025-01-15T10:30:01.000Z",
  groups: 1,
  groupNames: ["a"],
  fingerprint: "f",
  planDigest: "p",
  attempts: 1,
  calls: [
    {
      attempt: 1,
      requestedBy: "ana",
      callerArn: "arn:aws:iam::111122223333:user/ana",
      requestId: "request-1",
      startedAt: "2025-01-15T10:30:00.000Z",
    },
  ],
  writeToken: "t",
  plan: { name: "0".repeat(36), sha256: "0".repeat(64) },
  result: { name: "1".repeat(36), sha256: "1".repeat(64) },
};

describe("a record of the journal", () => {
  test("is read from its item as it was written, and its pointer has its key", () => {
    fc.assert(
      fc.property(record, (written) => {
        const item = recordItem.encode(written);
        expect(recordItem.decode(item)).toEqual(written);
        const pointer = pointerItem.encode(written);
        expect({ pk: pointer.pk, sk: pointer.sk }).toEqual(pointerKey(written.rollbackId));
        expect(recordKey(pointerItem.decode(pointer))).toEqual({ pk: item.pk, sk: item.sk });
        expect(recordKey(pointerItem.decode(pointer))).toEqual(recordKey(written));
      }),
    );
  });

  test("is sorted by its start time", () => {
    fc.assert(
      fc.property(record, record, (a, b) => {
        fc.pre(a.startedAt < b.startedAt);
        expect(Buffer.compare(Buffer.from(recordKey(a).sk.S), Buffer.from(recordKey(b).sk.S))).toBe(-1);
      }),
    );
  });

  test("stays small and has valid Unicode, with any number of groups and any description", () => {
    const many = Array.from({ length: 10_000 }, (_, i) => `group-${i}`);
    const { groupNames: _, ...base } = sample;
    const large = { ...base, ...textsOf(many, "\u{1F600}\ud83d".repeat(5_000)) };
    const texts = Object.values(recordItem.encode(large)).flatMap(({ S }) => S ?? []);
    expect(Buffer.byteLength(texts.join(""))).toBeLessThan(6_000);
    expect(texts.every((value) => value.isWellFormed())).toBe(true);
    expect(large.groups).toBe(10_000);
    expect([...large.description]).toHaveLength(1_024);
    expect(large.groupNames).toBeUndefined();
  });

  test("has the names of its groups if they fit into 8 kB, and otherwise none", () => {
    const fits = ["a".repeat(4_000), "b".repeat(4_000), "c".repeat(181)];
    expect(JSON.stringify(fits)).toHaveLength(8_191);
    expect(textsOf([...fits.slice(0, 2), "c".repeat(182)], "").groupNames).toHaveLength(3);
    expect(textsOf([...fits.slice(0, 2), "c".repeat(183)], "")).toEqual({ groups: 3, description: "" });
    expect(textsOf(["\u{1F600}".repeat(2_048)], "")).not.toHaveProperty("groupNames");
  });
});

describe("an item of the journal is rejected as JournalCorrupt, with the name of the attribute:", () => {
  test.each([
    ["rollback_id", undefined, "rollback_id is missing"],
    ["rollback_id", { S: "r-2" }, "belongs under another key"],
    ["rollback_id", { S: "a/b" }, "rollback_id must be the id of a rollback"],
    ["status", { S: "done" }, "status must be one of running, success, partial_success, failed, superseded"],
    ["status", { S: "superseded" }, "superseded_by is missing"],
    ["started_at", { S: "2025-01-15T10:30:00Z" }, "started_at must be a time"],
    ["started_at", { S: "2025-01-15T10:30:00.001Z" }, "belongs under another key"],
    ["ended_at", undefined, "ended_at is missing"],
    ["ended_at", { S: "yesterday" }, "ended_at must be a time"],
    ["resumed_at", { N: "3" }, "resumed_at must be a time such as 2025-01-15T10:30:00.000Z, not 3"],
    ["groups", { N: "1.5" }, "groups must be a count"],
    ["group_names", { S: "{" }, "group_names is not JSON"],
    ["group_names", { S: "[3]" }, "group_names[0] must be a string"],
    ["attempts", undefined, "attempts is missing"],
    ["write_token", undefined, "write_token is missing"],
    ["plan_name", { S: "../../etc/passwd" }, "plan_name must be the name of an object"],
    ["plan_sha256", { S: "x" }, "plan_sha256 must be a SHA-256"],
    ["result_name", undefined, "result_name is missing"],
    ["result_sha256", { S: "x" }, "result_sha256 must be a SHA-256"],
  ])("%s as %j", (attribute, value, problem) => {
    const { [attribute]: _, ...rest } = recordItem.encode(sample);
    const item = value === undefined ? rest : { ...rest, [attribute]: value };
    const read = () => recordItem.decode(item);
    expect(read).toThrow(JournalCorrupt);
    expect(read).toThrow(problem);
    expect(read).toThrow('the item rollback / "2025-01-15T10:30:00.000Z#r-1" is not what was written');
  });

  test.each(["", "r-1", "2025-01-15T10:30:00.000Z#r-2", "2025-01-15T10:30:00Z#r-1", "2025-01-15T10:30:00.000Z#"])(
    "a pointer to %j",
    (record) => {
      const read = () => pointerItem.decode({ ...pointerItem.encode(sample), record: { S: record } });
      expect(read).toThrow(JournalCorrupt);
      expect(read).toThrow('the item rollback-id / "r-1" is not what was written: record is');
    },
  );

  test("changed attributes, unless the item is still valid", () => {
    fc.assert(
      fc.property(record, spoilItem, (written, change) => {
        try {
          const read = recordItem.decode(change(recordItem.encode(written)));
          expect(recordItem.decode(recordItem.encode(read))).toEqual(read);
          pointerItem.decode(change(pointerItem.encode(written)));
        } catch (error) {
          if (!(error instanceof JournalCorrupt)) throw error;
          expect(error.message).toMatch(/ is not what was written: [a-z_0-9]+\S* /);
        }
      }),
      { numRuns: 500 },
    );
  });
});

const tokenAfter = (last: JournalRecord) => Buffer.from(sortKeyOf(last)).toString("base64url");

describe("the token of a page", () => {
  test("has the sort key of the last record of the page before", () => {
    fc.assert(
      fc.property(record, (last) => {
        expect(decodeToken(tokenAfter(last), recordAt)).toEqual(recordKey(last));
      }),
    );
  });

  test.each([
    "",
    "x",
    "!!",
    Buffer.from("snapshot-2025-01-15T10:30:04Z").toString("base64url"),
    Buffer.from("2025-01-15T10:30:00Z#r-1").toString("base64url"),
    Buffer.from("2025-01-15T10:30:00.000Z#").toString("base64url"),
    Buffer.from("2025-01-15T10:30:00.000Z#a/b").toString("base64url"),
    Buffer.from("2025-13-15T10:30:00.000Z#r-1").toString("base64url"),
    Buffer.from("-271821-04-20T00:00:00.000Z#r-1").toString("base64url"),
    Buffer.from("+275760-09-13T00:00:00.000Z#r-1").toString("base64url"),
    Buffer.from("0000-01-01T00:00:00.000Z#r-1\u0000").toString("base64url"),
    `${tokenAfter(sample)}=`,
  ])("is refused if it is malformed: %j", (token) => {
    expect(() => decodeToken(token, recordAt)).toThrow(InvalidRequest);
    expect(() => decodeToken(token, recordAt)).toThrow(/next_token/);
  });

  test("is refused, or is that of a record which a list can begin after, whatever it is", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 200 }),
      fc
        .tuple(fc.constantFrom("", "+", "-", "~"), fc.date({ noInvalidDate: true }), fc.string({ maxLength: 5 }))
        .map(([sign, date, rest]) => `${sign}${date.toISOString()}#r${rest}`),
    );
    const token = fc.oneof(
      text,
      text.map((id) => Buffer.from(id).toString("base64url")),
    );
    fc.assert(
      fc.property(token, (token) => {
        for (const read of [
          () => decodeToken(token, recordAt).sk.S,
          () => stretchOf({ limit: 1, nextToken: token }).after,
        ]) {
          try {
            expect(read()).toMatch(/^\d{4}-.*Z#/);
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidRequest);
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test.each(["", "a b", "a/b", "a\u0000", "größe", "a".repeat(129)])("no rollback can have the id %j", (id) => {
    expect(pointerKey(id)).toBeUndefined();
  });
});

describe("an item that is no readable record", () => {
  const key = { pk: { S: "rollback" }, sk: { S: "2025-01-15T10:30:00.000Z#r-1" } };
  const naming = (S: string) => ({ ...key, group_names: { S } });

  test("may be the record of a rollback of groups, unless it names others or has no record's key", () => {
    expect(mayBeOf(naming('["a","b"]'), ["b", "c"])).toBe(true);
    expect(mayBeOf(naming('["a","b"]'), ["c"])).toBe(false);
    expect(mayBeOf(naming('["a","b"]'), undefined)).toBe(true);
    for (const item of [key, naming("["), naming("{}")]) expect(mayBeOf(item, ["c"])).toBe(true);
    for (const sk of ["zzz", "2025-01-15T10:30:00.000Z", "2025-01-15#r-1"]) {
      expect(mayBeOf({ ...key, sk: { S: sk } }, ["c"])).toBe(false);
    }
    expect(mayBeOf({ pk: key.pk }, undefined)).toBe(false);
  });
});
