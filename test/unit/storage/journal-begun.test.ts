import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { JournalCorrupt } from "../../../functions/shared/core/errors.ts";
import { type BegunRollback, begunItem, mayBePlanned } from "../../../functions/shared/storage/journal-begun.ts";

const sample: BegunRollback = {
  rollbackId: "r-1",
  status: "failed",
  snapshotId: "at:2025-01-15T10:30:00Z",
  requestedBy: "ana",
  callerArn: "arn:aws:iam::111122223333:user/ana",
  requestId: "request-1",
  description: "",
  startedAt: "2025-01-15T10:30:00.000Z",
  endsBy: "2025-01-15T10:45:00.000Z",
  fingerprint: "f",
  writeToken: "t",
  error: { name: "GroupNotEmpty", message: "GroupNotEmpty: the group has members." },
  endedAt: "2025-01-15T10:30:01.000Z",
};
const { error: _, endedAt: __, ...open } = sample;
const running: BegunRollback = { ...open, status: "running" };

test("a rollback without a plan is read as it was written", () => {
  const texts = fc.record({ snapshotId: fc.string(), description: fc.string(), fingerprint: fc.string() });
  fc.assert(
    fc.property(texts, fc.option(fc.string()), fc.constantFrom(sample, running), (more, requestedBy, begun) => {
      const written = { ...begun, ...more, requestedBy, callerArn: requestedBy };
      expect(begunItem.decode(begunItem.encode(written))).toEqual(written);
    }),
  );
});

test("its call may plan it until its time is over, unless it failed", () => {
  const [before, after] = [new Date("2025-01-15T10:45:00.000Z"), new Date("2025-01-15T10:45:00.001Z")];
  expect([mayBePlanned(running, before), mayBePlanned(running, after), mayBePlanned(sample, before)]).toEqual([
    true,
    false,
    false,
  ]);
});

describe("an item that is not what was written is JournalCorrupt:", () => {
  test.each([
    ["status", { S: "success" }, "status must be one of running, failed"],
    ["error_name", undefined, "error_name is missing"],
    ["ended_at", { S: "x" }, "ended_at must be a time"],
    ["ends_by", undefined, "ends_by is missing"],
    ["sk", { S: "a/b" }, "sk must be the id of a rollback"],
  ])("%s as %j", (attribute, value, problem) => {
    const { [attribute]: _, ...rest } = begunItem.encode(sample);
    const read = () => begunItem.decode(value === undefined ? rest : { ...rest, [attribute]: value });
    expect(read).toThrow(JournalCorrupt);
    expect(read).toThrow(problem);
  });
});
