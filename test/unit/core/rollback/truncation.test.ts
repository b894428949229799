import { describe, expect, test } from "vitest";
import { at, group, liveOf, log, planFor, snapshotOf, theTopic } from "../../../support/states.ts";

describe("a plan for a log that was truncated below a target", () => {
  const snapshot = snapshotOf(group({ "t-0": at(80n, "m", 0) }), {
    observed: { groups: new Map(), topics: theTopic(log(0n, 80n, 0)) },
  });
  const live = (start: bigint, epochEnd: bigint | null) =>
    liveOf(group({ "t-0": at(90n) }), theTopic({ ...log(start, 90n, 1), ...{ epochEnds: new Map([[0, epochEnd]]) } }));

  test("is refused, clamps to the end of the saved epoch, or to the log start if that is above it", () => {
    expect(planFor(snapshot, live(0n, 50n)).blockers).toMatchObject([
      { kind: "log_truncated", group: "g", expected: 80n, actual: 50n },
    ]);
    for (const [start, to] of [
      [0n, 50n],
      [60n, 60n],
    ] as const) {
      const clamped = planFor(snapshot, live(start, 50n), { outOfRange: "clamp" });
      expect(clamped.blockers).toEqual([]);
      expect(clamped.groups.get("g")?.partitions.get("t-0")).toMatchObject({
        action: "rewind",
        to: at(to, "m"),
        asked: at(80n, "m", 0),
        replayed: 90n - to,
      });
    }
    const skipped = planFor(snapshot, live(0n, 50n), { outOfRange: "skip" });
    expect(skipped.blockers).toMatchObject([{ kind: "log_truncated" }]); // nothing else is to be rolled back
  });

  test("warns if the leader does not know the epoch", () => {
    const plan = planFor(snapshot, live(0n, null));
    expect(plan.blockers).toEqual([]);
    expect(plan.warnings).toEqual([
      expect.stringMatching(
        /^Not known for 1 partition of "g" \("t-0"\): whether the log was truncated below the target\./,
      ),
    ]);
    expect(planFor(snapshot, live(0n, 80n)).warnings).toEqual([]);
  });

  test("rereads from the end of the epoch what was appended to a partition without a commit in the snapshot", () => {
    const other = snapshotOf(group({}), { observed: { groups: new Map(), topics: theTopic(log(0n, 80n, 0)) } });
    const [extra] = planFor({ ...other, consumerGroups: new Map([["g", new Map()]]) }, live(0n, 50n)).extra;
    expect(extra?.uncommitted?.snapshotEnd).toEqual({ to: 50n, replayed: 40n });
  });
});
