import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ObservedTopic } from "../../../../functions/shared/core/model.ts";
import { restrict } from "../../../../functions/shared/core/restrict.ts";
import type { Policy } from "../../../../functions/shared/core/rollback/plan.ts";
import { planRollback } from "../../../../functions/shared/core/rollback/planning.ts";
import { planResume } from "../../../../functions/shared/core/rollback/resume.ts";
import { type UncommittedPolicy, uncommittedAt } from "../../../../functions/shared/core/rollback/uncommitted.ts";
import { nearCommit } from "../../../support/arbitraries.ts";
import {
  at,
  group,
  groupOf,
  journaled,
  later,
  liveOf,
  log,
  planFor,
  refuse,
  snapshotOf,
  theTopic,
} from "../../../support/states.ts";

const topic = (log0: ReturnType<typeof log> | undefined, topicId: string | null = "id"): ObservedTopic => ({
  topicId,
  partitions: new Map(log0 && [[0, log0]]),
});
const now = topic(log(2n, 20n));
const withEpochEnd = (end: bigint | null) => topic({ ...log(2n, 20n, 4), ...{ epochEnds: new Map([[3, end]]) } });

describe("what a commit at 12 means in a log from 2 to 20, if the snapshot has none,", () => {
  const meaning = { delete: { replayed: 10n, skipped: 8n }, logStart: { to: 2n, replayed: 10n } };
  test.each<[string, ObservedTopic | null | undefined, bigint | null, bigint | null]>([
    ["where the log ended then", topic(log(0n, 7n)), 7n, 5n],
    ["never further than the commit", topic(log(0n, 15n)), 12n, 0n],
    ["where the log starts now if the records up to there were deleted", topic(log(0n, 1n)), 2n, 10n],
    ["where the log starts if the partition is newer", topic(undefined), 2n, 10n],
    ["where the log starts if the topic was created again", topic(log(0n, 7n), "other"), 2n, 10n],
    ["where the log ended then if a topic id is unknown", topic(log(0n, 7n), null), 7n, 5n],
    ["where the log starts if the snapshot does not have the topic", undefined, 2n, 10n],
    ["unknown if the topic could not be observed", null, null, null],
    ["unknown if the log end could not be observed", topic(log(0n, null)), null, null],
  ])("snapshot_end is %s", (_, then, to, replayed) => {
    const snapshotEnd = { to, replayed };
    expect(uncommittedAt(at(12n), 0, then, now)).toEqual({ ...meaning, acknowledged: replayed, snapshotEnd });
  });

  test.each<[string, ObservedTopic, bigint]>([
    ["where the log ended then if the present topic id is unknown", topic(log(2n, 20n), null), 7n],
    ["where the log's epoch ended, if the log was truncated there", withEpochEnd(5n), 5n],
    ["where the log ended then if its epoch went on after the snapshot", withEpochEnd(15n), 7n],
    ["where the log ended then if the leader does not know the end of its epoch", withEpochEnd(null), 7n],
  ])("snapshot_end is %s", (_, present, to) => {
    expect(uncommittedAt(at(12n), 0, topic(log(0n, 7n, 3)), present)).toMatchObject({
      acknowledged: 12n - to,
      snapshotEnd: { to, replayed: 12n - to },
    });
  });

  test("everything is unknown if the present log is", () => {
    for (const unknown of [undefined, null, topic(undefined), topic(log(null, null))]) {
      expect(uncommittedAt(at(12n), 0, topic(log(0n, 7n)), unknown)).toEqual({
        acknowledged: null,
        delete: { replayed: null, skipped: null },
        logStart: { to: null, replayed: null },
        snapshotEnd: { to: null, replayed: null },
      });
    }
  });

  test("a share group replays everything up to the log end", () => {
    expect(uncommittedAt(at(12n), 0, topic(log(0n, 7n)), now, true)).toMatchObject({
      acknowledged: 5n,
      delete: { replayed: 18n },
      logStart: { replayed: 18n },
      snapshotEnd: { to: 7n, replayed: 13n },
    });
  });
});

describe("a plan with commits that the snapshot lacks", () => {
  const saved = group({ "u-0": at(1n) });
  const live = group({ "u-0": at(1n), "t-0": at(12n, "m", 3) });
  const u = topic(log(0n, 9n), "u");
  const planWith = (
    uncommitted: UncommittedPolicy,
    then: ObservedTopic | null = topic(log(0n, 7n)),
    present: ObservedTopic | null | "absent" = now,
    more: Partial<Policy> = {},
  ) => {
    const topicsAt = (t: ObservedTopic | null | "absent") =>
      new Map<string, ObservedTopic | null>([["u", u], ...(t === "absent" ? [] : [["t", t] as const])]);
    const snapshot = snapshotOf(saved, { observed: { groups: new Map(), topics: topicsAt(then) } });
    const state = liveOf(live, topicsAt(present));
    return { state, plan: planRollback(snapshot, restrict(snapshot, {}), state, { ...refuse, uncommitted, ...more }) };
  };
  const ofT = ({ plan }: ReturnType<typeof planWith>) => plan.groups.get("g")?.partitions.get("t-0");

  test("says of each what every choice means, whatever the choice is", () => {
    const meaning = uncommittedAt(at(12n), 0, topic(log(0n, 7n)), now);
    expect(planWith("keep").plan.extra).toMatchObject([{ topic: "t", partition: 0, uncommitted: meaning }]);
    for (const policy of ["delete", "log_start", "snapshot_end"] as const) {
      const planned = planWith(policy);
      expect(planned.plan).toMatchObject({ blockers: [], extra: [] });
      expect(ofT(planned)?.uncommitted).toEqual(meaning);
    }
  });

  test("says so also of a group that is left out, whose commits stay", () => {
    const held = new Map([["g", groupOf("classic", "Stable", 1)]]);
    const two = new Map([...live, ["h", new Map([["u-0", at(5n)]])] as const]);
    const both = new Map([...saved, ["h", new Map([["u-0", at(1n)]])] as const]);
    const topics = new Map([
      ["u", u],
      ["t", now],
    ]);
    const snapshot = snapshotOf(both, { observed: { groups: new Map(), topics } });
    const state = liveOf(two, topics, { observed: { groups: held, topics } });
    const plan = planFor(snapshot, state, { uncommitted: "log_start", skipBlocked: true });
    expect(plan).toMatchObject({ blockers: [], leftOut: [{ kind: "group_not_empty", group: "g" }] });
    expect(plan.groups.get("g")?.partitions.get("t-0")).toEqual({
      action: "skip",
      from: at(12n, "m", 3),
      to: at(12n, "m", 3),
      asked: at(2n),
      replayed: 0n,
      skipped: 0n,
      uncommitted: uncommittedAt(at(12n), 0, now, now),
    });
  });

  test("has the target of the policy, without metadata and leader epoch, and its distance", () => {
    expect(ofT(planWith("delete"))).toMatchObject({ action: "delete", to: null, replayed: 10n, skipped: 8n });
    expect(ofT(planWith("log_start"))).toMatchObject({ action: "rewind", replayed: 10n, skipped: 0n });
    expect(ofT(planWith("log_start"))?.to).toEqual({ offset: 2n, metadata: "" });
    expect(ofT(planWith("snapshot_end"))?.to).toEqual({ offset: 7n, metadata: "" });
    expect(planWith("snapshot_end").plan.groups.get("g")).toMatchObject({ replayed: 5n, skipped: 0n });
  });

  test("leaves a commit that is at the target already, with its metadata and leader epoch", () => {
    expect(ofT(planWith("snapshot_end", topic(log(0n, 15n))))).toMatchObject({
      action: "unchanged",
      to: at(12n, "m", 3),
    });
  });

  test("never moves a group forward with snapshot_end, in any log that was not cut below the commit", () => {
    const ends = fc.option(fc.bigInt({ min: 0n, max: 12n }));
    fc.assert(
      fc.property(nearCommit, ends, fc.bigInt({ min: 0n, max: 12n }), (commit, end, start) => {
        const { snapshotEnd } = uncommittedAt(commit, 0, topic(log(0n, end)), topic(log(start, 12n)));
        if (snapshotEnd.to !== null) expect(snapshotEnd.to <= commit.offset).toBe(true);
        if (end === null) expect(snapshotEnd.to).toBeNull();
      }),
    );
  });

  test.each<[string, UncommittedPolicy, ObservedTopic | null, ObservedTopic | null | "absent", string]>([
    ["the topic is missing now", "log_start", now, "absent", "topic_missing"],
    ["the partition is missing now", "snapshot_end", now, topic(undefined), "partition_missing"],
    ["the present log is unknown", "log_start", now, topic(log(null, 20n)), "range_unknown"],
    ["the present topic cannot be observed", "snapshot_end", now, null, "range_unknown"],
    ["the snapshot could not observe the topic", "log_start", null, now, "not_captured"],
    ["the snapshot could not observe the topic", "snapshot_end", null, now, "not_captured"],
    ["the snapshot could not observe the log end", "snapshot_end", topic(log(0n, null)), now, "not_captured"],
  ])("is blocked if %s and the choice is %s", (_, policy, then, present, kind) => {
    const { plan } = planWith(policy, then, present);
    expect(plan.blockers).toMatchObject([{ kind, group: "g", topic: "t", partition: 0 }]);
    expect(planWith(policy, then, present, { skipBlocked: true }).plan.blockers).toMatchObject([{ kind }]);
  });

  test("names the other choices if the snapshot could not observe the log end", () => {
    const { plan } = planWith("snapshot_end", topic(log(0n, null)));
    expect(plan.blockers[0]?.message).toMatch(
      /^Group "g", t-0: snapshot-\S+ has no commit on this partition, .*Set uncommitted to "keep" \(the group stays at its commit\)\. "log_start"/,
    );
    expect(planWith("log_start", topic(log(0n, null))).plan.blockers).toEqual([]);
  });

  test("is blocked by members, also if the snapshot has no commit of the group at all", () => {
    const none = group({});
    const snapshot = snapshotOf(none, { observed: { groups: new Map(), topics: new Map([["t", now]]) } });
    const held = liveOf(group({ "t-0": at(12n) }), new Map([["t", now]]));
    const groups = new Map([["g", groupOf("classic", "Stable", 1)]]);
    const state = { ...held, observed: { ...held.observed, groups } };
    const planOf = (uncommitted: UncommittedPolicy) =>
      planRollback(snapshot, restrict(snapshot, {}), state, { ...refuse, uncommitted });
    expect(planOf("keep").blockers.filter(({ kind }) => kind === "group_not_empty")).toEqual([]);
    for (const policy of ["delete", "log_start", "snapshot_end"] as const) {
      expect(planOf(policy).blockers).toMatchObject([{ kind: "group_not_empty" }]);
    }
  });

  test("has a digest of its own for each choice", () => {
    const digests = (["keep", "delete", "log_start", "snapshot_end"] as const).map((one) => planWith(one).plan.digest);
    expect(new Set(digests).size).toBe(4);
    const unmoved = (["log_start", "snapshot_end"] as const).map(
      (one) => planWith(one, topic(log(0n, 2n)), topic(log(12n, 20n))).plan.digest,
    );
    expect(unmoved[0]).not.toBe(unmoved[1]);
  });

  test("is resumed to the targets that it had, even if the log start has moved since", () => {
    const { plan, state } = planWith("log_start");
    const before = journaled(plan, state);
    const resumed = planResume(before, later(state, live), false);
    expect(resumed.blockers).toEqual([]);
    expect(resumed.groups.get("g")?.partitions.get("t-0")).toEqual(plan.groups.get("g")?.partitions.get("t-0"));
    const cut = {
      ...state,
      observed: {
        ...state.observed,
        topics: new Map([
          ["u", u],
          ["t", topic(log(5n, 20n))],
        ]),
      },
    };
    expect(planResume(before, cut, false).blockers).toMatchObject([{ kind: "below_log_start", expected: 2n }]);
  });
});

test("a commit that snapshot_end leaves where it is need not be in the log", () => {
  const saved = { ...snapshotOf(group({}), { observed: { groups: new Map(), topics: theTopic(log(0n, 50n)) } }) };
  const snapshot = { ...saved, consumerGroups: new Map([["g", new Map()]]) };
  const live = liveOf(group({ "t-0": at(5n) }), theTopic(log(10n, 60n)));
  for (const outOfRange of ["refuse", "clamp", "skip"] as const) {
    const plan = planFor(snapshot, live, { uncommitted: "snapshot_end", outOfRange });
    expect(plan.blockers).toEqual([]);
    expect(plan.groups.get("g")?.partitions.get("t-0")).toMatchObject({ action: "unchanged", to: at(5n) });
  }
});

test("a commit that snapshot_end left where it was, and another client has moved since, is refused for that alone", () => {
  const topics = theTopic(log(0n, 50n), log(0n, 50n));
  const snapshot = snapshotOf(group({ "t-1": at(1n) }), { observed: { groups: new Map(), topics } });
  const live = liveOf(group({ "t-0": at(5n), "t-1": at(9n) }), topics);
  const planned = journaled(planFor(snapshot, live, { uncommitted: "snapshot_end" }), live);
  expect(planned.plan.groups.get("g")?.partitions.get("t-0")).toMatchObject({ action: "unchanged", to: at(5n) });
  const cut = { ...live, observed: { ...live.observed, topics: theTopic(log(6n, 50n), log(0n, 50n)) } };
  const moved = later(cut, group({ "t-0": at(7n), "t-1": at(9n) }));
  expect(planResume(planned, moved, false).blockers).toMatchObject([
    { kind: "moved_since", partition: 0, expected: { offset: 5n }, actual: { offset: 7n } },
  ]);
});
