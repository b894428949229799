import { describe, expect, test } from "vitest";
import { mapGroups } from "../../../../functions/shared/core/group-map.ts";
import type { Commits, LiveState } from "../../../../functions/shared/core/model.ts";
import { restrict } from "../../../../functions/shared/core/restrict.ts";
import type { Policy } from "../../../../functions/shared/core/rollback/plan.ts";
import { planRollback } from "../../../../functions/shared/core/rollback/planning.ts";
import {
  at,
  group,
  groupOf,
  liveOf,
  log,
  MAX,
  planFor,
  refuse,
  snapshotOf,
  theTopic,
  topicsFor,
} from "../../../support/states.ts";

describe("a plan's digest", () => {
  const saved = group({ "t-0": at(5n) });
  const live = group({ "t-0": at(9n) });
  const digest = (
    a: Commits,
    b: Commits,
    change: Partial<LiveState> = {},
    topics = topicsFor(a, b),
    policy: Partial<Policy> = {},
    snapshotId = "snapshot-2025-01-15T10:30:00Z",
  ) => {
    const snapshot = snapshotOf(a, { snapshotId, observed: { groups: new Map(), topics: topicsFor(a, b) } });
    return planFor(snapshot, { ...liveOf(b, topics), ...change }, policy).digest;
  };
  const first = digest(saved, live);
  const withTopic = (topicId: string, partition: ReturnType<typeof log>) =>
    digest(saved, live, {}, new Map([["t", { topicId, partitions: new Map([[0, partition]]) }]]));

  test("does not depend on log ends, members and warnings", () => {
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(digest(group({ "t-0": at(5n) }), group({ "t-0": at(9n) }))).toBe(first);
    expect(digest(saved, live, { warnings: ["w"] })).toBe(first);
    expect(withTopic("id of t", log(3n, 70n, 2))).toBe(first);
    const withMembers = new Map([["g", groupOf("classic", "Stable", 3)]]);
    expect(digest(saved, live, { observed: { groups: withMembers, topics: topicsFor(saved) } })).toBe(first);
  });

  test("equals the digest of former versions, also of an exact plan, and with a group that is left out", () => {
    expect(first).toBe("a3e649c6659e1d1f4ab5897e6ca8e280c1bc4adfec04324de0e595d09c512039");
    expect(digest(saved, live, {}, topicsFor(saved), { uncommitted: "delete" })).toBe(
      "3ca1957c12b4ed7eaeee67795f47a0ccebb3ca2487772565e86fe81136d417e8",
    );
    const both = new Map([...saved, ["h", new Map([["t-0", at(5n)]])] as const]);
    const now = liveOf(both, theTopic(log(0n, 100n)));
    const groups = new Map([...now.observed.groups, ["h", groupOf("classic", "Stable", 1)] as const]);
    const snapshot = snapshotOf(both, { observed: now.observed });
    const plan = planFor(snapshot, { ...now, observed: { ...now.observed, groups } }, { skipBlocked: true });
    expect(plan.leftOut).toMatchObject([{ kind: "group_not_empty", group: "h" }]);
    expect(plan.digest).toBe("aeac711868f6e9f6b0de0417e1bf157a037305b4bd0a291385a907e901967ad3");
  });

  test("does not depend on the order in which groups, partitions and topics were read", () => {
    const keys = ["t-2", "t-0", "u-0", "t-1", "a-0"];
    const of = (names: string[], inOrder: string[], offset: bigint) =>
      new Map(names.map((name) => [name, new Map(inOrder.map((key) => [key, at(offset)]))]));
    const reversed = [...keys].reverse();
    const sorted = [...keys].sort();
    const digests = [
      digest(of(["b", "c", "a"], keys, 5n), of(["b", "c", "a"], keys, 9n)),
      digest(of(["a", "c", "b"], reversed, 5n), of(["c", "a", "b"], keys, 9n)),
      digest(of(["c", "b", "a"], sorted, 5n), of(["a", "b", "c"], reversed, 9n)),
      digest(of(["a", "b", "c"], keys, 5n), of(["a", "b", "c"], sorted, 9n)),
    ];
    expect(new Set(digests).size).toBe(1);
  });

  test("changes with the snapshot, targets, live commits, topic ids and every option", () => {
    const all = topicsFor(saved);
    const others = [
      digest(saved, live, {}, all, {}, "snapshot-2025-01-15T10:30:01Z"),
      digest(group({ "t-0": at(5n, "m") }), live),
      digest(group({ "t-0": at(5n, "", 1) }), live),
      digest(saved, group({ "t-0": at(10n) })),
      digest(saved, group({ "t-0": at(9n), "t-1": at(1n) })),
      withTopic("another", log(0n, MAX)),
      digest(saved, live, {}, all, { uncommitted: "delete" }),
      digest(saved, live, {}, all, { outOfRange: "clamp" }),
      digest(saved, live, {}, all, { outOfRange: "skip" }),
      digest(saved, live, {}, all, { skipBlocked: true }),
    ];
    expect(new Set([first, ...others]).size).toBe(others.length + 1);
  });

  test("changes with the source of a group", () => {
    const two = new Map([
      ["a", new Map([["t-0", at(5n)]])],
      ["b", new Map([["t-0", at(5n)]])],
    ]);
    const snapshot = snapshotOf(two);
    const mapped = (source: string) =>
      planRollback(
        snapshot,
        mapGroups(restrict(snapshot, { groups: [source] }), new Map([[source, "g"]])),
        liveOf(live, topicsFor(two)),
        refuse,
      ).digest;
    expect(mapped("a")).not.toBe(mapped("b"));
    expect(mapped("a")).not.toBe(first);
  });

  test("changes if a partition is no longer skipped, or a group no longer left out", () => {
    const two = group({ "t-0": at(5n), "t-1": at(50n) });
    const withEnd = (end: bigint) => {
      const now = liveOf(live, theTopic(log(0n, 100n), log(0n, end)));
      return planFor(snapshotOf(two, { observed: now.observed }), now, { outOfRange: "skip" });
    };
    expect(withEnd(49n).leftOut.length).toBe(1);
    expect(withEnd(49n).digest).not.toBe(withEnd(50n).digest);
    expect(withEnd(49n).digest).toBe(withEnd(40n).digest);
    const both = new Map([...saved, ["h", new Map([["t-0", at(5n)]])] as const]);
    const withMembers = (members: number) => {
      const groups = new Map([
        ["g", groupOf("classic", "Empty", members)],
        ["h", groupOf("classic", "Empty", 0)],
      ]);
      const now = liveOf(both, theTopic(log(0n, 100n)));
      const snapshot = snapshotOf(both, { observed: now.observed });
      return planFor(snapshot, { ...now, observed: { ...now.observed, groups } }, { skipBlocked: true });
    };
    expect(withMembers(1)).toMatchObject({ blockers: [], leftOut: [{ kind: "group_not_empty", group: "g" }] });
    expect(withMembers(1).digest).not.toBe(withMembers(0).digest);
    expect(withMembers(1).digest).toBe(withMembers(2).digest);
    const alone = snapshotOf(both, { observed: { groups: new Map(), topics: theTopic(log(0n, 100n)) } });
    const h = restrict(alone, { groups: ["h"] });
    const ofOne = planRollback(alone, h, liveOf(both, theTopic(log(0n, 100n))), { ...refuse, skipBlocked: true });
    expect(ofOne.blockers).toEqual([]);
    expect(withMembers(1).digest).not.toBe(ofOne.digest);
  });
});
