import fc from "fast-check";
import { expect, test } from "vitest";
import { type explainBy, stepsOf } from "../../../../functions/shared/core/history/rollbacks.ts";
import { actions, type PartitionPlan, type Plan } from "../../../../functions/shared/core/rollback/plan.ts";
import { partitionOf } from "./series.ts";

const commit = (offset: bigint) => ({ offset, metadata: "" });
const planned = (action: PartitionPlan["action"], to: bigint | null): PartitionPlan => ({
  action,
  from: commit(10n),
  to: to === null ? null : commit(to),
  replayed: null,
  skipped: null,
});
const groups = (partitions: Readonly<Record<string, PartitionPlan>>, leftOut?: true): Plan["groups"] =>
  new Map([
    [
      "g",
      {
        type: null,
        state: null,
        replayed: null,
        skipped: null,
        partitions: new Map(Object.entries(partitions)),
        ...(leftOut && { leftOut }),
      },
    ],
  ]);

test("the steps of a plan are those that commit another offset, or delete", () => {
  const plans = Object.fromEntries(actions.map((action) => [`${action}-0`, planned(action, 5n)]));
  const steps = stepsOf({ groups: groups(plans) }, () => true).get("g");
  expect([...(steps ?? [])].map(([key, { step }]) => [key, step])).toEqual([
    ["rewind-0", "rewind"],
    ["fast_forward-0", "fast_forward"],
    ["create-0", "create"],
    ["delete-0", "delete"],
  ]);
});

test("a group that is not wanted, or was left out of the plan, has no steps", () => {
  const plans = { "t-0": planned("rewind", 5n) };
  expect(stepsOf({ groups: groups(plans) }, (group) => group !== "g")).toEqual(new Map());
  expect(stepsOf({ groups: groups(plans, true) }, () => true)).toEqual(new Map());
});

test("of two rollbacks that fit, the newer one explains a move", () => {
  const steps = stepsOf({ groups: groups({ "t-0": planned("rewind", 5n) }) }, () => true);
  const at = Date.parse("2025-01-15T10:05:00Z");
  const rollbacks = ["newer", "older"].map((rollbackId, n) => ({
    rollbackId,
    safetySnapshotId: null,
    from: at - n,
    until: at,
    groups: steps,
  }));
  expect(partitionOf([{ offset: 10n }, { offset: 5n }], rollbacks).events).toMatchObject([{ rollbackId: "newer" }]);
});

test("no rollback explains what it cannot have done: the target lies between where the commit was and where it is", () => {
  const offset = fc.bigInt({ min: 0n, max: 20n });
  fc.assert(
    fc.property(offset, offset, offset, (from, to, target) => {
      const steps = stepsOf({ groups: groups({ "t-0": planned("rewind", target) }) }, () => true);
      const at = Date.parse("2025-01-15T10:05:00Z");
      const explain = (rollbacks: Parameters<typeof explainBy>[0]) =>
        partitionOf([{ offset: from }, { offset: to }], rollbacks).events.some(({ rollbackId }) => rollbackId === "r");
      expect(explain([{ rollbackId: "r", safetySnapshotId: null, from: at, until: at, groups: steps }])).toBe(
        to < from && target <= to,
      );
    }),
  );
});
