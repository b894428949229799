import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeJson, parseJson } from "../../../../functions/shared/core/json/json.ts";
import {
  type Commit,
  type Commits,
  type LiveState,
  placeOf,
  sameCommit,
} from "../../../../functions/shared/core/model.ts";
import { restrict } from "../../../../functions/shared/core/restrict.ts";
import { epochsInQuestion } from "../../../../functions/shared/core/rollback/blockers.ts";
import { commitsOf, deletesOf, type Plan } from "../../../../functions/shared/core/rollback/plan.ts";
import { plannedDocument } from "../../../../functions/shared/core/rollback/plan-document.ts";
import { planRollback } from "../../../../functions/shared/core/rollback/planning.ts";
import { originOf, partitionsOf, planResume, targetsHold } from "../../../../functions/shared/core/rollback/resume.ts";
import { settle } from "../../../../functions/shared/core/rollback/settle.ts";
import { commitOrNull } from "../../../../functions/shared/core/snapshot.ts";
import { nearCommit, unblockedSituation } from "../../../support/arbitraries.ts";
import {
  apply,
  at,
  group,
  groupOf,
  journaled,
  later,
  liveOf,
  log,
  refuse,
  snapshotOf,
  topicsFor,
  unblockedPlan,
  writesOf,
} from "../../../support/states.ts";

/** The partitions of a plan without those that it skips. */
const targetsIn = (plan: Plan) =>
  [...plan.groups].flatMap(([name, { leftOut, partitions }]) =>
    [...partitions].flatMap(([key, { from, to, action }]) =>
      leftOut || action === "skip" ? [] : [{ group: name, key, from, to }],
    ),
  );

/** Whether each partition is skipped. */
const skipsEach = (partitions: ReadonlyMap<string, { action: string }>) =>
  [...partitions.values()].every(({ action }) => action === "skip");

const commitAt = (commits: Commits, name: string, key: string) => commits.get(name)?.get(key) ?? null;

/** The state after an attempt that made some of the plan's writes. */
function interrupted(plan: Plan, live: LiveState, pick: fc.GeneratorValue): LiveState {
  const some = [...writesOf(plan)].map(([name, keys]) => {
    return [name, new Map([...keys].filter(() => pick(fc.boolean)))] as const;
  });
  return later(live, apply(live.commits, new Map(some)));
}

/** The state after another writer moved some commits: neither where the plan found them nor at their targets. */
function movedByOthers(plan: Plan, live: LiveState, pick: fc.GeneratorValue) {
  const moves = new Map<string, Map<string, Commit | null>>();
  for (const { group: name, key, from, to } of targetsIn(plan)) {
    const elsewhere = pick(fc.option, nearCommit);
    if (pick(fc.nat, { max: 3 }) > 0 || sameCommit(elsewhere, from) || sameCommit(elsewhere, to)) continue;
    moves.set(name, new Map([...(moves.get(name) ?? []), [key, elsewhere] as const]));
  }
  return { moves, after: later(live, apply(live.commits, moves)) };
}

/** The same state, with members in these groups. */
const withMembers = (live: LiveState, groups: Iterable<string>): LiveState => ({
  ...live,
  observed: {
    ...live.observed,
    groups: new Map([
      ...live.observed.groups,
      ...[...groups].map((name) => [name, groupOf("classic", "Stable", 2)] as const),
    ]),
  },
});

describe("a resumed plan", () => {
  test("completes the rollback after any interruption, and then writes nothing more", () => {
    fc.assert(
      fc.property(unblockedSituation, fc.gen(), ({ plan, live }, pick) => {
        const planned = journaled(plan, live);
        const now = interrupted(plan, live, pick);
        const rest = planResume(planned, now, false);
        expect(rest.blockers).toEqual([]);
        expect(rest.leftOut).toEqual(plan.leftOut);
        const end = later(now, apply(now.commits, writesOf(rest)));
        for (const { group: name, key, to } of targetsIn(plan)) expect(commitAt(end.commits, name, key)).toEqual(to);
        expect(targetsHold(plan, end)).toBe(true);
        const again = planResume(planned, end, false);
        expect(again.blockers).toEqual([]);
        expect(writesOf(again).size).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  test("writes only what the first plan writes, and nothing that is already at its target", () => {
    fc.assert(
      fc.property(unblockedSituation, fc.gen(), ({ plan, live }, pick) => {
        const now = interrupted(plan, live, pick);
        const writes = writesOf(planResume(journaled(plan, live), now, false));
        const first = writesOf(plan);
        for (const [name, keys] of writes) {
          for (const [key, to] of keys) {
            expect(first.get(name)?.get(key)).toEqual(to);
            expect(sameCommit(commitAt(now.commits, name, key), to)).toBe(false);
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  test("equals the first plan except for partitions that are done", () => {
    fc.assert(
      fc.property(unblockedSituation, fc.gen(), ({ plan, live }, pick) => {
        const now = interrupted(plan, live, pick);
        const rest = planResume(journaled(plan, live), now, false);
        const same = ({ snapshotId, digest, extra, warnings, leftOut }: Plan) => ({
          snapshotId,
          digest,
          extra,
          warnings,
          leftOut,
        });
        expect(same(rest)).toEqual(same(plan));
        expect([...rest.groups.keys()]).toEqual([...plan.groups.keys()]);
        for (const [name, before] of plan.groups) {
          const after = rest.groups.get(name);
          if (before.leftOut) expect(after).toEqual(before);
          expect([after?.source, after?.leftOut]).toEqual([before.source, before.leftOut]);
          expect([...(after?.partitions.keys() ?? [])]).toEqual([...before.partitions.keys()]);
          for (const [key, { action, from, to, asked }] of before.partitions) {
            const isAtTarget = !before.leftOut && action !== "skip" && sameCommit(commitAt(now.commits, name, key), to);
            const found = after?.partitions.get(key);
            expect(found).toMatchObject({ action, from, to, ...(asked !== undefined && { asked }) });
            expect(found?.done).toBe(isAtTarget && action !== "unchanged" ? true : undefined);
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  test("is blocked exactly by partitions that are neither where the plan found them nor at their targets", () => {
    fc.assert(
      fc.property(unblockedSituation, fc.gen(), ({ plan, live }, pick) => {
        const { moves, after } = movedByOthers(plan, interrupted(plan, live, pick), pick);
        const { blockers } = planResume(journaled(plan, live), after, false);
        const found = blockers.map(({ kind, group: name, topic, partition, expected, actual }) => {
          return { kind, name, key: `${topic}-${partition}`, expected, actual };
        });
        const expected = targetsIn(plan).flatMap(({ group: name, key, from }) => {
          const elsewhere = moves.get(name)?.get(key);
          if (elsewhere === undefined) return [];
          const [was, is] = [commitOrNull.encode(from), commitOrNull.encode(elsewhere)];
          return [{ kind: "moved_since", name, key, expected: was, actual: is }];
        });
        expect(found).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });

  test("leaves out groups that were moved since, if the request skips blocked groups, and rolls back the others", () => {
    fc.assert(
      fc.property(unblockedSituation, fc.gen(), ({ plan, live }, pick) => {
        const { moves, after } = movedByOthers(plan, interrupted(plan, live, pick), pick);
        const rest = planResume(journaled(plan, live), after, true);
        const writes = writesOf(rest);
        const end = apply(after.commits, writes);
        for (const name of moves.keys()) {
          expect(writes.has(name)).toBe(false);
          expect(rest.groups.get(name)?.leftOut).toBe(true);
        }
        for (const { group: name, key, to } of targetsIn(plan)) {
          if (!moves.has(name)) expect(commitAt(end, name, key)).toEqual(to);
        }
        const others = [...plan.groups].filter(([name, { leftOut }]) => !leftOut && !moves.has(name));
        const left = rest.blockers.length > 0 ? rest.blockers : rest.leftOut.slice(plan.leftOut.length);
        expect(left.map(({ kind }) => kind)).toEqual(
          [...moves.values()].flatMap((keys) => [...keys].map(() => "moved_since")),
        );
        if (moves.size > 0)
          expect(rest.blockers.length > 0).toBe(others.every(([, groupPlan]) => skipsEach(groupPlan.partitions)));
      }),
      { numRuns: 200 },
    );
  });

  test("has the present commit and the target of each partition that it leaves out", () => {
    fc.assert(
      fc.property(unblockedSituation, fc.gen(), ({ plan, live }, pick) => {
        const { moves, after } = movedByOthers(plan, interrupted(plan, live, pick), pick);
        const rest = planResume(journaled(plan, live), after, true);
        for (const name of moves.keys()) {
          const before = plan.groups.get(name)?.partitions ?? new Map();
          const partitions = rest.groups.get(name)?.partitions ?? new Map();
          expect([...partitions.keys()]).toEqual([...before.keys()]);
          for (const [key, partitionPlan] of partitions) {
            const { action, to, asked = to, uncommitted } = before.get(key);
            const now = action === "skip" ? to : commitAt(after.commits, name, key);
            const places = { from: now, to: now, asked, uncommitted };
            expect(partitionPlan).toEqual({ action: "skip", ...places, replayed: 0n, skipped: 0n });
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  const saved = group({ "t-0": at(5n), "t-1": at(6n, "m", 2) });
  const live = liveOf(group({ "t-0": at(9n), "t-1": at(9n) }), topicsFor(saved));
  const plan = unblockedPlan(saved, live.commits);
  const half = later(live, group({ "t-0": at(5n), "t-1": at(9n) }));

  test("commits only the partitions that an earlier call did not", () => {
    const rest = planResume(journaled(plan, live), half, false);
    expect(commitsOf(rest)).toEqual(group({ "t-1": at(6n, "m", 2) }));
    expect(rest.groups.get("g")?.partitions.get("t-0")).toMatchObject({ action: "rewind", from: at(9n), done: true });
  });

  test("deletes only the commits that an earlier call did not", () => {
    const exact = unblockedPlan(group({}), live.commits, { uncommitted: "delete" });
    const rest = planResume(journaled(exact, live), later(live, group({ "t-1": at(9n) })), false);
    expect(rest.blockers).toEqual([]);
    expect(deletesOf(rest)).toEqual(new Map([["g", ["t-1"]]]));
    expect(planResume(journaled(exact, live), later(live, group({ "t-1": at(8n) })), true)).toMatchObject({
      blockers: [{ kind: "moved_since", expected: { offset: 9n }, actual: { offset: 8n } }],
      groups: new Map([["g", { leftOut: true }]]),
    });
  });

  test("names in a moved_since blocker the present commit, the one the plan found, the target and the next step", () => {
    const { blockers } = planResume(journaled(plan, live), later(live, group({ "t-0": at(7n) })), false);
    expect(blockers).toMatchObject([
      {
        kind: "moved_since",
        group: "g",
        topic: "t",
        partition: 0,
        expected: { offset: 9n },
        actual: { offset: 7n },
        message: expect.stringMatching(
          /^Group "g", t-0 stands at offset 7: .*the rollback found \(offset 9\).*target \(offset 5\)\. .*new rollback.*skip_blocked, which leaves this group where it stands\.$/,
        ),
      },
      { partition: 1, expected: { offset: 9n }, actual: null, message: expect.stringContaining("stands at no commit") },
    ]);
  });

  test("says in a moved_since blocker what may differ where the offset is the same", () => {
    const { blockers } = planResume(
      journaled(plan, live),
      later(live, group({ "t-0": at(9n, "other"), "t-1": at(9n) })),
      false,
    );
    expect(blockers).toMatchObject([
      {
        message: expect.stringMatching(
          /stands at offset 9: .* found \(offset 9 with other metadata or another leader epoch\) nor .* \(offset 5\)/,
        ),
      },
    ]);
  });

  test("is blocked by members of a group that is not done, but not by members of a group that is done", () => {
    expect(planResume(journaled(plan, live), withMembers(half, ["g"]), false).blockers).toMatchObject([
      { kind: "group_not_empty", group: "g", actual: 2 },
    ]);
    fc.assert(
      fc.property(unblockedSituation, ({ plan: drawnPlan, live: before }) => {
        const done = later(before, apply(before.commits, writesOf(drawnPlan)));
        const rest = planResume(journaled(drawnPlan, before), withMembers(done, drawnPlan.groups.keys()), false);
        expect(rest.blockers).toEqual([]);
        expect(writesOf(rest).size).toBe(0);
      }),
    );
  });

  test("is blocked if a target is not valid any more", () => {
    const planned = journaled(plan, live);
    const blockedBy = (change: (half: LiveState) => LiveState) =>
      planResume(planned, change(half), false).blockers.map(({ kind, partition }) => [kind, partition]);
    const withTopics = (topicId: string, start: bigint) => ({
      ...half,
      observed: {
        ...half.observed,
        topics: new Map([["t", { topicId, partitions: new Map([log(start, 99n), log(start, 99n)].entries()) }]]),
      },
    });
    expect(blockedBy(() => withTopics("id of t", 0n))).toEqual([]);
    expect(blockedBy(() => withTopics("another id", 0n))).toEqual([["topic_recreated", 1]]);
    expect(blockedBy(() => withTopics("id of t", 7n))).toEqual([["below_log_start", 1]]);
    expect(blockedBy((now) => ({ ...now, observed: { ...now.observed, topics: new Map() } }))).toEqual([
      ["topic_missing", 1],
    ]);
    expect(blockedBy((now) => ({ ...now, cluster: { name: "x", clusterId: "c9" } }))).toEqual([
      ["cluster_mismatch", undefined],
    ]);
  });

  test("keeps a clamped target, even if the log end has changed", () => {
    const topics = (end: bigint) => new Map([["t", { topicId: "id", partitions: new Map([[0, log(0n, end)]]) }]]);
    const snapshot = snapshotOf(group({ "t-0": at(50n, "", 1) }), {
      observed: { groups: new Map(), topics: topics(99n) },
    });
    const before = liveOf(group({ "t-0": at(3n) }), topics(40n));
    const clamped = planRollback(snapshot, restrict(snapshot, {}), before, { ...refuse, outOfRange: "clamp" });
    const now = { ...before, observed: { ...before.observed, topics: topics(45n) } };
    const rest = planResume(journaled(clamped, before), now, false);
    expect(commitsOf(rest)).toEqual(group({ "t-0": at(40n) }));
    expect(rest.groups.get("g")?.partitions.get("t-0")).toMatchObject({ to: at(40n), asked: at(50n, "", 1) });
  });

  test.each([
    ["a commit without leader epoch", at(50n), "keep"],
    ["a commit that the snapshot lacks", undefined, "snapshot_end"],
  ] as const)("is refused for %s if the log was truncated since it was planned", (_, target, uncommitted) => {
    const topics = (more: object) =>
      new Map([["t", { topicId: "id", partitions: new Map([[0, { ...log(0n, 50n, 1), ...more }]]) }]]);
    const snapshot = snapshotOf(group(target === undefined ? {} : { "t-0": target }), {
      observed: { groups: new Map(), topics: topics({}) },
    });
    const before = liveOf(group({ "t-0": at(55n) }), topics({ logEndOffset: 60n }));
    const first = journaled(planRollback(snapshot, restrict(snapshot, {}), before, { ...refuse, uncommitted }), before);
    const planned = plannedDocument.decode(parseJson(encodeJson(plannedDocument.encode(first))), "");
    const now = (more: object) => ({ ...before, observed: { ...before.observed, topics: topics(more) } });
    const epochs = epochsInQuestion(planned.origin, partitionsOf(planned.plan), now({ leaderEpoch: 2 }));
    const rest = (epochEnd: bigint) =>
      planResume(planned, now({ leaderEpoch: 2, logEndOffset: 60n, epochEnds: new Map([[1, epochEnd]]) }), false);

    expect(first.plan.blockers).toEqual([]);
    expect(epochs).toEqual(new Map([["t-0", new Set([1])]]));
    expect(rest(49n).blockers).toMatchObject([{ kind: "log_truncated", expected: 50n, actual: 49n }]);
    expect(rest(50n).blockers).toEqual([]);
  });

  test("is refused because of a group with a pending transaction, or leaves it out", () => {
    const two = unblockedPlan(new Map([...saved, ["h", new Map([["t-0", at(5n)]])] as const]), live.commits);
    const groups = new Map(live.observed.groups);
    groups.set("g", { ...groupOf("classic", "Empty", 0), pending: ["t-0"] });
    const now = { ...live, observed: { ...live.observed, groups } };
    const refused = planResume(journaled(two, live), now, false);
    expect(refused.blockers).toMatchObject([{ kind: "pending_transaction", group: "g" }]);
    expect([...refused.groups.keys()]).toEqual(["g", "h"]);
    const named = new Map(
      [...two.groups].map(([name, groupPlan]) => [name, { ...groupPlan, source: `${name} source` }]),
    );
    const rest = planResume(journaled({ ...two, groups: named }, live), now, true);
    expect(rest).toMatchObject({ blockers: [], leftOut: [{ kind: "pending_transaction", group: "g" }] });
    expect(rest.groups.get("g")).toMatchObject({ leftOut: true, source: "g source" });
    expect([...writesOf(rest).keys()]).toEqual(["h"]);
  });

  test("settles partitions of the earlier call as done, and reports those that were moved since", () => {
    const rest = planResume(journaled(plan, live), half, false);
    const sent = new Map([["g", new Map([["t-1", { kind: "accepted" } as const]])]]);
    expect(settle(rest, sent, { commits: saved, errors: [] })).toMatchObject({ status: "success", offsetsRestored: 2 });
    const again = settle(rest, sent, { commits: group({ "t-0": at(8n), "t-1": at(6n, "m", 2) }), errors: [] });
    expect(again.status).toBe("partial_success");
    expect(again.groups.get("g")?.partitions.get("t-0")).toMatchObject({ outcome: "moved_since", actual: at(8n) });
  });
});

describe("targetsHold", () => {
  test("is true exactly if every partition that the plan does not skip is at its target", () => {
    fc.assert(
      fc.property(unblockedSituation, fc.gen(), ({ plan, live }, pick) => {
        const now = interrupted(plan, live, pick);
        const all = targetsIn(plan).every(({ group: name, key, to }) =>
          sameCommit(commitAt(now.commits, name, key), to),
        );
        expect(targetsHold(plan, now)).toBe(all);
      }),
      { numRuns: 200 },
    );
  });

  test("is false if a group could not be read, even if all its commits are to be deleted", () => {
    const live = group({ "t-0": at(9n) });
    const plan = unblockedPlan(group({}), live, { uncommitted: "delete" });
    const failed = (name: string) => [{ group: name, error: "KafkaUnavailable", message: "m" }];
    expect(targetsHold(plan, { commits: group({}), errors: [] })).toBe(true);
    expect(targetsHold(plan, { commits: new Map(), errors: [] })).toBe(true); // it does not exist any more
    expect(targetsHold(plan, { commits: new Map(), errors: failed("g") })).toBe(false);
    expect(targetsHold(plan, { commits: group({}), errors: failed("h") })).toBe(true);
  });
});

describe("partitionsOf and originOf", () => {
  test("give every partition that a plan does not skip, the ids of their topics, and the leader epochs of their logs", () => {
    fc.assert(
      fc.property(unblockedSituation, ({ plan, live }) => {
        const partitions = partitionsOf(plan);
        const keys = [...partitions].flatMap(([name, ofGroup]) => [...ofGroup.keys()].map((key) => [name, key]));
        expect(keys).toEqual(targetsIn(plan).map(({ group: name, key }) => [name, key]));
        const planned = [...plan.groups].filter(
          ([, groupPlan]) => !groupPlan.leftOut && !skipsEach(groupPlan.partitions),
        );
        expect([...partitions.keys()]).toEqual(planned.map(([name]) => name));
        const { topics, ...rest } = originOf(plan, live);
        expect(rest).toEqual({ name: plan.snapshotId, clusterId: live.cluster.clusterId });
        for (const { key } of targetsIn(plan)) {
          const { topic, partition } = placeOf(key);
          const observed = live.observed.topics.get(topic);
          expect(topics.get(topic)?.topicId).toBe(observed?.topicId ?? null);
          const { leaderEpoch } = observed?.partitions.get(partition) ?? {};
          expect(topics.get(topic)?.partitions?.get(partition)?.leaderEpoch).toBe(leaderEpoch ?? undefined);
        }
      }),
    );
  });
});
