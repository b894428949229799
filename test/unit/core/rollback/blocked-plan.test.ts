import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mapGroups } from "../../../../functions/shared/core/group-map.ts";
import {
  type Commit,
  type Commits,
  type LiveState,
  placeOf,
  sameCommit,
} from "../../../../functions/shared/core/model.ts";
import { restrict } from "../../../../functions/shared/core/restrict.ts";
import {
  type Blocker,
  groupBlockers,
  type Origin,
  partitionBlockers,
} from "../../../../functions/shared/core/rollback/blockers.ts";
import {
  commitsOf,
  type PartitionPlan,
  type Plan,
  type Policy,
} from "../../../../functions/shared/core/rollback/plan.ts";
import { planRollback } from "../../../../functions/shared/core/rollback/planning.ts";
import { targetOf, uncommittedAt } from "../../../../functions/shared/core/rollback/uncommitted.ts";
import { planIn, type Situation, situation } from "../../../support/arbitraries.ts";
import {
  at,
  group,
  groupOf,
  liveOf,
  log,
  planFor,
  refuse,
  snapshotOf,
  theTopic,
  topicsFor,
  writesOf,
} from "../../../support/states.ts";

describe("a plan with blockers", () => {
  /** The blockers of a group, and by partition those that the policy clamps or skips. */
  function blockersOf(
    { snapshot, part, live, policy }: Situation,
    group: string,
    targets: ReadonlyMap<string, Commit | null>,
  ) {
    const origin: Origin = {
      name: snapshot.snapshotId,
      clusterId: snapshot.cluster.clusterId,
      topics: snapshot.observed.topics,
    };
    // The snapshots of `situation` observed no types. For a group without commits in them, a plan uses its type now.
    const hadCommits = snapshot.consumerGroups.get(part.sources.get(group) ?? group)?.size !== 0;
    const sourceType = hadCommits ? null : (live.observed.groups.get(group)?.type ?? null);
    const restoresNothing = targets.size === 0 && policy.uncommitted === "keep";
    const blocking = [...groupBlockers(origin, group, sourceType, live)].filter(
      ({ kind }) => !(restoresNothing && (kind === "group_not_empty" || kind === "pending_transaction")),
    );
    const outOfRange = new Map<string, Blocker>();
    for (const [key, target] of targets) {
      const place = placeOf(key);
      const topics = [snapshot, live].map(({ observed }) => observed.topics.get(place.topic));
      const current = live.commits.get(group)?.get(key);
      const isComputed = !part.commits.get(group)?.has(key) && current !== undefined;
      const lacking = isComputed ? uncommittedAt(current, place.partition, topics[0], topics[1]) : undefined;
      const isUnknown =
        policy.uncommitted === "snapshot_end" && lacking?.snapshotEnd.to === null && lacking.logStart.to !== null;
      const basis = lacking && { basis: isUnknown ? ("unknown" as const) : ("log" as const) };
      for (const blocker of partitionBlockers(origin, { group, ...place, target, ...basis }, topics[1])) {
        const isOutside = ["below_log_start", "above_log_end", "log_truncated"].includes(blocker.kind);
        if (isOutside && isComputed && target !== null && sameCommit(current, target)) continue; // it stays where it is
        if (isOutside && policy.outOfRange !== "refuse") outOfRange.set(key, blocker);
        else blocking.push(blocker);
      }
    }
    return { blocking, outOfRange };
  }

  test("refuses, clamps, skips or leaves out exactly as the policy says", () => {
    fc.assert(
      fc.property(situation, (drawn) => {
        const { part, live, policy } = drawn;
        const plan = planIn(drawn);
        const messages = [...plan.blockers, ...plan.leftOut].map(({ message }) => message);
        const expected: string[] = [];
        let clamped = 0;
        for (const { group } of part.errors) {
          expect(messages.some((message) => message.includes(JSON.stringify(part.sources.get(group) ?? group)))).toBe(
            true,
          );
          expect(plan.groups.get(group)?.leftOut).toBe(policy.skipBlocked ? true : undefined);
        }
        for (const [group, saved] of part.commits) {
          const current = live.commits.get(group) ?? new Map<string, Commit>();
          const targets = new Map<string, Commit | null>(saved);
          for (const [key, commit] of current) {
            const { topic, partition } = placeOf(key);
            const [then, now] = [drawn.snapshot, live].map(({ observed }) => observed.topics.get(topic));
            if (policy.uncommitted === "keep" || saved.has(key)) continue;
            targets.set(key, targetOf(policy.uncommitted, commit, uncommittedAt(commit, partition, then, now)));
          }
          const { blocking, outOfRange } = blockersOf(drawn, group, targets);
          expected.push(...blocking.map(({ message }) => message));
          const planned = plan.groups.get(group);
          const isLeftOut = policy.skipBlocked && blocking.length > 0;
          expect(planned?.leftOut).toBe(isLeftOut ? true : undefined);
          expect(planned?.source).toBe(part.sources.get(group));
          expect([...(planned?.partitions.keys() ?? [])]).toEqual([...targets.keys()]);
          for (const [key, target] of targets) {
            const found: Partial<PartitionPlan> = planned?.partitions.get(key) ?? {};
            const from = current.get(key) ?? null;
            expect(found.from).toEqual(from);
            const outside = outOfRange.get(key);
            const skips = outside !== undefined && policy.outOfRange === "skip";
            if (skips) expected.push(outside.message);
            if (isLeftOut || skips) {
              expect(found).toMatchObject({ action: "skip", replayed: 0n, skipped: 0n });
              expect(found.to).toEqual(from);
              expect(found.asked).toEqual(target);
            } else if (outside !== undefined) {
              const bound = outside.actual;
              expect(found.to).toEqual({ offset: bound, metadata: target?.metadata });
              expect(found.asked).toEqual(target);
              clamped++;
            } else {
              expect(found.to).toEqual(target);
              expect(found).not.toHaveProperty("asked");
            }
          }
        }
        const uncaptured = [...plan.blockers, ...plan.leftOut].filter(
          ({ kind, topic }) => kind === "not_captured" && topic === undefined,
        );
        expect([...messages].sort()).toEqual([...expected, ...uncaptured.map(({ message }) => message)].sort());
        expect(uncaptured.length).toBe(part.errors.length);
        const warned = plan.warnings.filter((warning) => warning.includes("clamped to"));
        expect(warned.map((warning) => /^(\d+) offsets? /.exec(warning)?.[1])).toEqual(
          clamped > 0 ? [`${clamped}`] : [],
        );
      }),
      { numRuns: 1000 },
    );
  });

  test("keeps its blockers beside a skipped partition if nothing remains to roll back", () => {
    const both = new Map(["g", "h"].map((name) => [name, new Map([["t-0", at(5n)]])]));
    const topics = theTopic(log(10n, 100n));
    const empty = groupOf("classic", "Empty", 0);
    const groups = new Map([
      ["g", empty],
      ["h", { ...empty, pending: ["t-0"] }],
    ]);
    const live = liveOf(group({ "t-0": at(20n) }), topics, { observed: { groups, topics } });
    const plan = planFor(snapshotOf(both, { observed: { groups: new Map(), topics } }), live, { outOfRange: "skip" });
    expect(plan).toMatchObject({
      blockers: [{ kind: "pending_transaction", group: "h" }],
      leftOut: [
        { kind: "below_log_start", group: "g" },
        { kind: "below_log_start", group: "h" },
      ],
    });
  });

  test("is refused if every group or partition would be left out or skipped", () => {
    fc.assert(
      fc.property(situation, (drawn) => {
        const plan = planIn(drawn);
        const planned = [...plan.groups.values()];
        const something = planned.some(
          ({ leftOut, partitions }) => !leftOut && [...partitions.values()].some(({ action }) => action !== "skip"),
        );
        if (!something && plan.blockers.length === 0) expect(plan.leftOut).toEqual([]);
        if (drawn.policy.skipBlocked && something) expect(plan.blockers).toEqual([]);
        if (plan.blockers.length > 0 && drawn.policy.skipBlocked) expect(plan.leftOut).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  const saved = group({ "t-0": at(5n), "t-1": at(50n, "m", 3) });
  const before = group({ "t-0": at(9n), "t-1": at(60n) });
  const inLog = (start: bigint | null, end: bigint | null, policy: Partial<Policy>, live: Commits = before) =>
    planFor(
      snapshotOf(saved, { observed: { groups: new Map(), topics: theTopic(log(0n, 100n), log(0n, 100n)) } }),
      liveOf(live, theTopic(log(0n, 100n), log(start, end))),
      policy,
    );
  const secondOf = (plan: Plan) => plan.groups.get("g")?.partitions.get("t-1");

  test("clamps a target to the log start or end, without its leader epoch, and keeps the snapshot's commit in `asked`", () => {
    const up = inLog(55n, 100n, { outOfRange: "clamp" });
    expect(up).toMatchObject({ blockers: [], leftOut: [] });
    expect(secondOf(up)).toEqual({
      action: "rewind",
      from: at(60n),
      to: at(55n, "m"),
      asked: at(50n, "m", 3),
      replayed: 5n,
      skipped: 0n,
    });
    expect(commitsOf(up).get("g")?.get("t-1")).toEqual(at(55n, "m"));
    expect(up.warnings).toEqual([
      expect.stringMatching(/^1 offset outside of the log is clamped .*: "g t-1: 50 becomes 55"/),
    ]);
    const down = inLog(0n, 40n, { outOfRange: "clamp" });
    expect(secondOf(down)).toMatchObject({ to: at(40n, "m"), asked: at(50n, "m", 3) });
    expect(down.warnings).toEqual([expect.stringContaining('"g t-1: 50 becomes 40"')]);
  });

  test("neither clamps nor skips a target at the log start or log end", () => {
    for (const outOfRange of ["clamp", "skip"] as const) {
      for (const plan of [inLog(50n, 100n, { outOfRange }), inLog(0n, 50n, { outOfRange })]) {
        expect(plan).toMatchObject({ blockers: [], leftOut: [], warnings: [] });
        expect(secondOf(plan)).toEqual({
          action: "rewind",
          from: at(60n),
          to: at(50n, "m", 3),
          replayed: expect.anything(),
          skipped: 0n,
        });
      }
    }
  });

  test("skips a partition with a target outside of the log, keeps its commit, and lists it", () => {
    const plan = inLog(55n, 100n, { outOfRange: "skip" });
    expect(plan).toMatchObject({
      blockers: [],
      leftOut: [{ kind: "below_log_start", group: "g", topic: "t", partition: 1, expected: 50n, actual: 55n }],
    });
    expect(secondOf(plan)).toEqual({
      action: "skip",
      from: at(60n),
      to: at(60n),
      asked: at(50n, "m", 3),
      replayed: 0n,
      skipped: 0n,
    });
    expect(commitsOf(plan)).toEqual(group({ "t-0": at(5n) }));
    const uncommitted = inLog(0n, 49n, { outOfRange: "skip" }, group({ "t-0": at(9n) }));
    expect(uncommitted.leftOut).toMatchObject([{ kind: "above_log_end", actual: 49n }]);
    expect(secondOf(uncommitted)).toMatchObject({ action: "skip", from: null, to: null });
    expect(writesOf(uncommitted)).toEqual(group({ "t-0": at(5n) }));
  });

  test.each(["clamp", "skip"] as const)("is refused if a range cannot be read, also with %s", (outOfRange) => {
    for (const plan of [inLog(null, 100n, { outOfRange }), inLog(0n, null, { outOfRange })]) {
      expect(plan).toMatchObject({ blockers: [{ kind: "range_unknown" }], leftOut: [], warnings: [] });
    }
  });

  test.each(["clamp", "skip"] as const)("is refused if a topic was created again, also with %s", (outOfRange) => {
    const savedTopics = new Map([["t", { topicId: "old", partitions: new Map() }]]);
    const snapshot = snapshotOf(saved, { observed: { groups: new Map(), topics: savedTopics } });
    const live = liveOf(before, theTopic(log(0n, 100n), log(55n, 100n)));
    expect(planFor(snapshot, live, { outOfRange }).blockers.map(({ kind }) => kind)).toEqual([
      "topic_recreated",
      "topic_recreated",
    ]);
  });

  const withMembers = (live: LiveState, members: ReadonlyMap<string, number>): LiveState => ({
    ...live,
    observed: {
      ...live.observed,
      groups: new Map([...members].map(([name, n]) => [name, groupOf("classic", "Stable", n)])),
    },
  });
  const both = new Map([...saved, ["h", new Map([["t-0", at(1n)]])] as const]);
  const snapshot = snapshotOf(both, { observed: { groups: new Map(), topics: topicsFor(both) } });
  const bothLive = liveOf(new Map([...before, ["h", new Map([["t-0", at(2n)]])] as const]), topicsFor(both));

  test("leaves out a group with members if the policy skips blocked groups, and names it", () => {
    const live = withMembers(bothLive, new Map([["h", 2]]));
    expect(planFor(snapshot, live).blockers).toMatchObject([{ kind: "group_not_empty", group: "h" }]);
    const plan = planFor(snapshot, live, { skipBlocked: true });
    expect(plan).toMatchObject({ blockers: [], leftOut: [{ kind: "group_not_empty", group: "h", actual: 2 }] });
    expect(plan.groups.get("h")).toMatchObject({ leftOut: true, state: "Stable" });
    expect(commitsOf(plan)).toEqual(saved);
  });

  test("ignores the members of a group without commits to restore, unless it is exact", () => {
    const bare = snapshotOf(new Map<string, ReadonlyMap<string, Commit>>([...saved, ["h", new Map()]]), {
      observed: { groups: new Map(), topics: topicsFor(both) },
    });
    const live = withMembers(bothLive, new Map([["h", 2]]));
    const plan = planFor(bare, live);
    expect(plan.blockers).toEqual([]);
    expect(plan.groups.get("h")).toMatchObject({ state: "Stable", partitions: new Map() });
    expect(plan.extra).toMatchObject([{ group: "h" }]);
    // Its members could commit at any time what an exact rollback is to delete.
    for (const commits of [live.commits, before]) {
      expect(planFor(bare, { ...live, commits }, { uncommitted: "delete" }).blockers).toMatchObject([
        { kind: "group_not_empty", group: "h" },
      ]);
    }
    // Commits by the group's members do not change the plan.
    const onward = liveOf(new Map([...bothLive.commits, ["h", new Map([["t-0", at(3n)]])]]), topicsFor(both));
    expect(planFor(bare, withMembers(onward, new Map([["h", 2]]))).digest).toBe(plan.digest);
    // A rollback of this group alone would restore nothing, so it is refused.
    const members = new Map(["g", "h"].map((name) => [name, 1] as const));
    expect(planFor(bare, withMembers(bothLive, members), { skipBlocked: true })).toMatchObject({
      blockers: [{ kind: "group_not_empty", group: "g" }],
      leftOut: [],
    });
    const elsewhere = { ...live, cluster: { ...live.cluster, clusterId: "c2" } };
    expect(planFor(bare, elsewhere).blockers.map(({ kind, group }) => [kind, group])).toEqual([
      ["cluster_mismatch", "g"],
      ["cluster_mismatch", "h"],
    ]);
  });

  test("is refused if every group would be left out", () => {
    const live = withMembers(
      bothLive,
      new Map([
        ["g", 1],
        ["h", 2],
      ]),
    );
    const plan = planFor(snapshot, live, { skipBlocked: true });
    expect(plan.blockers.map(({ group }) => group)).toEqual(["g", "h"]);
    expect(plan.leftOut).toEqual([]);
    expect(writesOf(plan).size).toBe(0);
  });

  test("is refused because of a group that was not captured or has a pending transaction, or leaves it out", () => {
    const partial = {
      ...snapshot,
      errors: [{ group: "lost", error: "KafkaAuthorization", message: "no right" }],
    };
    const groups = new Map(bothLive.observed.groups);
    groups.set("h", { ...groupOf("classic", "Empty", 0), pending: ["t-0"] });
    const pending = { ...bothLive, observed: { ...bothLive.observed, groups } };
    const refused = planFor(partial, pending);
    expect(refused.blockers).toMatchObject([
      {
        kind: "not_captured",
        group: "lost",
        message: expect.stringMatching(/"lost".*KafkaAuthorization: no right.*another snapshot/),
      },
      { kind: "pending_transaction", group: "h" },
    ]);
    expect([...refused.groups.keys()]).toEqual(["g", "h"]);
    const plan = planFor(partial, pending, { skipBlocked: true });
    expect(plan.blockers).toEqual([]);
    expect(plan.leftOut.map(({ kind, group }) => [kind, group])).toEqual([
      ["not_captured", "lost"],
      ["pending_transaction", "h"],
    ]);
    expect(plan.groups.get("lost")).toEqual({
      type: null,
      state: null,
      leftOut: true,
      replayed: 0n,
      skipped: 0n,
      partitions: new Map(),
    });
    expect(plan.groups.get("h")).toMatchObject({ state: "Empty", leftOut: true, replayed: 0n, skipped: 0n });
    expect(commitsOf(plan)).toEqual(saved);
  });

  test("names the snapshot's group in the message about a mapped group", () => {
    const partial = { ...snapshot, errors: [{ group: "lost", error: "KafkaAuthorization", message: "no right" }] };
    const map = new Map([
      ["g", "g2"],
      ["h", "h2"],
      ["lost", "lost2"],
    ]);
    const live = liveOf(new Map([["g2", new Map([["t-7", at(3n)]])]]), topicsFor(both, group({ "t-7": at(3n) })));
    const plan = planRollback(partial, mapGroups(restrict(partial, {}), map), live, { ...refuse, skipBlocked: true });
    expect(plan.leftOut).toMatchObject([
      { kind: "not_captured", group: "lost2", message: expect.stringContaining('"lost"') },
    ]);
    expect([...plan.groups].map(([name, { source, leftOut }]) => [name, leftOut ? "left out" : source])).toEqual([
      ["lost2", "left out"],
      ["g2", "g"],
      ["h2", "h"],
    ]);
    expect(commitsOf(plan)).toEqual(new Map([...both].map(([name, commits]) => [`${name}2`, commits])));
    expect(plan.extra).toMatchObject([{ group: "g2", topic: "t", partition: 7 }]);
  });

  test("has all blockers at once, group by group", () => {
    const observed = {
      groups: new Map([["g", groupOf("classic", "Stable", 1)]]),
      topics: new Map([["t", { topicId: "new", partitions: new Map([[1, log(60n, 100n)]]) }]]),
    };
    const live = liveOf(before, observed.topics, { cluster: { name: "x", clusterId: "c9" }, observed });
    expect(planFor(snapshot, live).blockers.map(({ kind, group, partition }) => [kind, group, partition])).toEqual([
      ["cluster_mismatch", "g", undefined],
      ["group_not_empty", "g", undefined],
      ["partition_missing", "g", 0],
      ["topic_recreated", "g", 1],
      ["below_log_start", "g", 1],
      ["cluster_mismatch", "h", undefined],
      ["partition_missing", "h", 0],
    ]);
  });
});
