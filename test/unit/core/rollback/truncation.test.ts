import { describe, expect, test } from "vitest";
import type { Commit } from "../../../../functions/shared/core/model.ts";
import {
  epochsInQuestion,
  isTruncationUnknown,
  type Origin,
} from "../../../../functions/shared/core/rollback/blockers.ts";
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

  test("replays from the log start without regard to an epoch that ended below it: that target is in the present log", () => {
    const none = new Map([["g", new Map()]]);
    const other = snapshotOf(none, { observed: { groups: new Map(), topics: theTopic(log(0n, 80n, 0)) } });
    const plan = planFor(other, live(30n, 20n), { uncommitted: "log_start" });
    expect(plan.blockers).toEqual([]);
    expect(plan.groups.get("g")?.partitions.get("t-0")).toMatchObject({ action: "rewind", to: at(30n), replayed: 60n });
  });
});

describe("whether a log was truncated below a target that has no leader epoch", () => {
  const warningsWith = (epochThen: number | null, epochNow: number | null) => {
    const saved = { observed: { groups: new Map(), topics: theTopic(log(0n, 80n, epochThen)) } };
    const live = liveOf(group({ "t-0": at(90n) }), theTopic(log(0n, 90n, epochNow)));
    return planFor(snapshotOf(group({ "t-0": at(80n) }), saved), live).warnings;
  };

  test.each([
    ["cannot be known if the leader may have changed since", null, 5, true],
    ["follows from the epoch of the log in the snapshot, if that is the current one", 5, 5, false],
    ["is known if the log never had another leader", null, 0, false],
    ["is not asked on brokers that report no leader epochs", null, null, false],
  ])("%s", (_what, then, now, isUnknown) => {
    const warnings = isUnknown ? [expect.stringMatching(/^Not known for 1 partition of "g" \("t-0"\): whether /)] : [];
    expect(warningsWith(then, now)).toEqual(warnings);
  });

  test("is not asked for a deletion", () => {
    const [topic] = theTopic(log(0n, 90n, 5)).values();
    const unknown = { topics: theTopic(log(0n, 80n, null)) };
    const place = { topic: "t", partition: 0 };
    expect(isTruncationUnknown(unknown, { ...place, target: at(80n) }, topic)).toBe(true);
    expect(isTruncationUnknown(unknown, { ...place, target: null }, topic)).toBe(false);
  });
});

describe("the leader epochs in question", () => {
  const origin: Origin = {
    name: "snapshot-2025-01-15T10:30:00Z",
    clusterId: "c1",
    topics: theTopic(log(0n, 100n, 4)),
  };
  const epochsOf = (target: Commit | null, current: number | null, others: Record<string, Commit> = {}) =>
    epochsInQuestion(
      origin,
      new Map([["g", new Map([["t-0", target]])]]),
      liveOf(group(others), theTopic(log(0n, 100n, current))),
    );

  test.each([
    ["that of the commit, if the log has a later one", at(5n, "", 3), 5, [3]],
    ["that of the log in the snapshot, for a commit without one", at(5n), 5, [4]],
    ["none if the leader is the same", at(5n, "", 5), 5, undefined],
    ["none if the current one is unknown", at(5n, "", 3), null, undefined],
    ["none for a deletion", null, 5, undefined],
  ])("are %s", (_what, target, current, epochs) => {
    expect(epochsOf(target, current)).toEqual(new Map(epochs ? [["t-0", new Set(epochs)]] : []));
  });

  test("are those of the logs in the snapshot where only the live group has a commit", () => {
    expect(epochsOf(at(5n, "", 5), 5, { "t-0": at(9n, "", 5) })).toEqual(new Map());
    expect(
      epochsInQuestion(
        origin,
        new Map([["g", new Map()]]),
        liveOf(group({ "t-0": at(9n, "", 5) }), theTopic(log(0n, 100n, 5))),
      ),
    ).toEqual(new Map([["t-0", new Set([4])]]));
  });

  test("are none on a topic or a partition that does not exist now", () => {
    const targets = new Map([["g", new Map([["t-0", at(5n, "", 3)]])]]);
    for (const topics of [new Map(), theTopic()]) {
      expect(epochsInQuestion(origin, targets, liveOf(group({}), topics))).toEqual(new Map());
    }
  });
});
