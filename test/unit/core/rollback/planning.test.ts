import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mapGroups } from "../../../../functions/shared/core/group-map.ts";
import {
  type Commit,
  type Commits,
  type LiveState,
  type ObservedTopic,
  placeOf,
  type Snapshot,
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
  deletesOf,
  type PartitionPlan,
  type Plan,
  type Policy,
} from "../../../../functions/shared/core/rollback/plan.ts";
import { planRollback } from "../../../../functions/shared/core/rollback/planning.ts";
import { targetOf, uncommittedAt } from "../../../../functions/shared/core/rollback/uncommitted.ts";
import { commits, type Situation, situation } from "../../../support/arbitraries.ts";
import {
  apply,
  at,
  group,
  groupOf,
  liveOf,
  log,
  MAX,
  refuse,
  snapshotOf,
  topicsFor,
  unblockedPlan,
  writesOf,
} from "../../../support/states.ts";

const planFor = (snapshot: Snapshot, live: LiveState, policy: Partial<Policy> = {}) =>
  planRollback(snapshot, restrict(snapshot, {}), live, { ...refuse, ...policy });
const planIn = ({ snapshot, part, live, policy }: Situation) => planRollback(snapshot, part, live, policy);
const partitionsIn = (plan: Plan) =>
  [...plan.groups].flatMap(([group, { partitions }]) => [...partitions].map(([key, one]) => ({ group, key, ...one })));
const theTopic = (...logs: ReturnType<typeof log>[]): Map<string, ObservedTopic> =>
  new Map([["t", { topicId: "id", partitions: new Map(logs.entries()) }]]);

describe("a plan", () => {
  test("applied to the live state gives the snapshot, and keeps the extra commits that it reports", () => {
    fc.assert(
      fc.property(commits, commits, (saved, live) => {
        const plan = unblockedPlan(saved, live);
        expect(plan.blockers).toEqual([]);
        expect(deletesOf(plan).size).toBe(0);
        const after = apply(live, writesOf(plan));
        for (const [group, partitions] of saved) {
          const extra = plan.extra.filter((commit) => commit.group === group);
          const found = after.get(group) ?? new Map();
          expect(found.size).toBe(partitions.size + extra.length);
          for (const [key, commit] of partitions) expect(sameCommit(found.get(key), commit)).toBe(true);
          for (const { topic, partition, commit } of extra) expect(found.get(`${topic}-${partition}`)).toEqual(commit);
        }
      }),
    );
  });

  test("that is exact gives exactly the snapshot's commits, and changes no group that the snapshot lacks", () => {
    fc.assert(
      fc.property(commits, commits, (saved, live) => {
        const plan = unblockedPlan(saved, live, { uncommitted: "delete" });
        expect(plan).toMatchObject({ blockers: [], extra: [] });
        const after = apply(live, writesOf(plan));
        for (const [group, partitions] of saved) expect(after.get(group) ?? new Map()).toEqual(partitions);
        for (const [group, partitions] of live) if (!saved.has(group)) expect(after.get(group)).toEqual(partitions);
      }),
    );
  });

  test("has every partition of the snapshot and of the live commits of its groups exactly once", () => {
    fc.assert(
      fc.property(commits, commits, fc.boolean(), (saved, live, exact) => {
        const plan = unblockedPlan(saved, live, { uncommitted: exact ? "delete" : "keep" });
        const planned = partitionsIn(plan).map(({ group, key }) => JSON.stringify([group, key]));
        const extra = plan.extra.map(({ group, topic, partition }) => JSON.stringify([group, `${topic}-${partition}`]));
        const expected = [...saved].flatMap(([group, partitions]) =>
          [...new Set([...partitions.keys(), ...(live.get(group)?.keys() ?? [])])].map((key) =>
            JSON.stringify([group, key]),
          ),
        );
        expect([...planned, ...extra].sort()).toEqual(expected.sort());
      }),
    );
  });

  test("writes nothing if the live state equals the snapshot", () => {
    fc.assert(
      fc.property(commits, fc.boolean(), (saved, exact) => {
        const plan = unblockedPlan(saved, saved, { uncommitted: exact ? "delete" : "keep" });
        expect(writesOf(plan).size).toBe(0);
        expect(plan.extra).toEqual([]);
        expect(partitionsIn(plan).every(({ action }) => action === "unchanged")).toBe(true);
      }),
    );
  });

  test("commits every changed target, deletes every target that is null, and leaves equal commits", () => {
    fc.assert(
      fc.property(situation, (drawn) => {
        const plan = planIn(drawn);
        const writes = writesOf(plan);
        // The start offset of a share group is written also where it stays.
        const changed = partitionsIn(plan).filter(
          ({ action, from, to }) => action === "rewind" || !sameCommit(from, to),
        );
        for (const { group, key, to } of changed) expect(writes.get(group)?.get(key)).toEqual(to);
        expect([...writes.values()].reduce((n, { size }) => n + size, 0)).toBe(changed.length);
        expect([...writes.values()].every(({ size }) => size > 0)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test("counts replayed and skipped offsets only inside the present log", () => {
    const saved = group({
      "t-0": at(5n),
      "t-1": at(5n),
      "t-2": at(50n),
      "t-3": at(7n),
      "t-4": at(7n, "m"),
      "t-5": at(5n),
    });
    const live = group({
      "t-0": at(20n),
      "t-1": at(200n),
      "t-2": at(10n),
      "t-4": at(7n),
      "t-5": at(5n),
      "t-6": at(9n),
    });
    const topics = theTopic(...Array.from({ length: 7 }, () => log(3n, 100n)));
    const plan = planFor(snapshotOf(saved), liveOf(live, topics), { uncommitted: "delete" });
    const actions = [...(plan.groups.get("g")?.partitions ?? [])].map(([key, { action, replayed, skipped }]) => [
      key,
      action,
      replayed,
      skipped,
    ]);
    expect(actions).toEqual([
      ["t-0", "rewind", 15n, 0n],
      ["t-1", "rewind", 95n, 0n],
      ["t-2", "fast_forward", 0n, 40n],
      ["t-3", "create", null, null],
      ["t-4", "metadata", 0n, 0n],
      ["t-5", "unchanged", 0n, 0n],
      ["t-6", "delete", 6n, 91n],
    ]);
    expect(plan.groups.get("g")).toMatchObject({ replayed: null, skipped: null, state: "Empty" });
    const known = new Map([...(saved.get("g") ?? [])].filter(([key]) => key !== "t-3"));
    const sums = planFor(snapshotOf(new Map([["g", known]])), liveOf(live, topics)).groups.get("g");
    expect(sums).toMatchObject({ replayed: 110n, skipped: 40n });
  });

  test("counts the offsets that are between the two commits and inside the log", () => {
    fc.assert(
      fc.property(situation, (drawn) => {
        for (const { group, key, from, to, action, replayed, skipped } of partitionsIn(planIn(drawn))) {
          if (drawn.live.observed.groups.get(group)?.type === "share") continue; // all is delivered again
          const { topic, partition } = placeOf(key);
          const found = drawn.live.observed.topics.get(topic)?.partitions.get(partition);
          if (from === null) {
            expect([replayed, skipped]).toEqual(action === "skip" || from === to ? [0n, 0n] : [null, null]);
            continue;
          }
          const between = (low: bigint, high: bigint) => {
            if (low >= high) return 0n;
            const [start, end] = [found?.logStartOffset ?? null, found?.logEndOffset ?? null];
            if (start === null || end === null) return null;
            const inside = (offset: bigint) => (offset < start ? start : offset > end ? end : offset);
            return inside(high) - inside(low);
          };
          // After a deletion, a consumer starts at the beginning or at the end of the log.
          const [low, high] = to === null ? [-1n, found?.logEndOffset ?? MAX] : [to.offset, to.offset];
          const isKnown = to !== null || (found?.logStartOffset != null && found.logEndOffset != null);
          const expected = [between(low, from.offset), between(from.offset, high)];
          expect([replayed, skipped]).toEqual(isKnown ? expected : [null, null]);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("has null for replayed and skipped if the log is unknown", () => {
    const unknown = theTopic(log(null, null));
    const plan = planFor(snapshotOf(group({ "t-0": at(5n) })), liveOf(group({ "t-0": at(9n) }), unknown));
    expect(plan.groups.get("g")).toMatchObject({ replayed: null, skipped: 0n });
  });

  test("has the state of each group, null for one that does not exist", () => {
    const saved = group({ "t-0": at(5n) });
    const gone = liveOf(new Map(), topicsFor(saved), { missing: new Set(["g"]) });
    expect(planFor(snapshotOf(saved, { observed: gone.observed }), gone)).toMatchObject({
      blockers: [],
      groups: new Map([["g", { state: null }]]),
    });
  });
});

describe("the type of a group in a plan", () => {
  const saved = group({ "t-0": at(5n) });
  const typed = (type: string) => new Map([["g", groupOf(type, "Empty", 0)]]);
  const planned = (
    savedType: string | undefined,
    liveType: string | undefined,
    savedCommits: Commits = saved,
    live: Commits = saved,
  ) => {
    const topics = topicsFor(saved);
    const groups = (type: string | undefined) => (type === undefined ? new Map() : typed(type));
    const plan = planFor(
      snapshotOf(savedCommits, { observed: { groups: groups(savedType), topics } }),
      liveOf(live, topics, { observed: { groups: groups(liveType), topics } }),
    );
    return { kinds: plan.blockers.map(({ kind }) => kind), group: plan.groups.get("g") };
  };

  test("is its type now, or its type in the snapshot if it does not exist", () => {
    expect(planned("classic", "consumer")).toMatchObject({ kinds: [], group: { type: "consumer" } });
    expect(planned("classic", undefined, saved, new Map())).toMatchObject({ kinds: [], group: { type: "classic" } });
  });

  test("decides about commits at their targets: a share group is rewound, another group is unchanged", () => {
    const actionOf = ({ group }: ReturnType<typeof planned>) => group?.partitions.get("t-0")?.action;
    expect(actionOf(planned("share", "share"))).toBe("rewind");
    for (const [savedType, liveType] of [
      ["classic", "share"],
      ["share", "classic"],
    ] as const) {
      expect(planned(savedType, liveType).kinds).toEqual(["unsupported_type"]);
      expect(actionOf(planned(savedType, liveType))).toBe("unchanged");
    }
  });

  test("blocks a change from share even without commits, and a share group whose saved commits have no type", () => {
    const none = new Map([["g", new Map()]]);
    expect(planned("share", "classic", none).kinds).toEqual(["unsupported_type"]);
    expect(planned(undefined, "share").kinds).toEqual(["unsupported_type"]);
    expect(planned(undefined, "share", none).kinds).toEqual([]);
  });
});

describe("the figures of a plan", () => {
  const figures = (saved: bigint, live: bigint, partitionLog: ReturnType<typeof log>) => {
    const topics = theTopic(partitionLog);
    const snapshot = snapshotOf(group({ "t-0": at(saved) }), { observed: { groups: new Map(), topics } });
    const { replayed, skipped } = planFor(snapshot, liveOf(group({ "t-0": at(live) }), topics)).groups.get("g") ?? {};
    return { replayed, skipped };
  };

  test("do not count offsets outside of the log", () => {
    expect(figures(5n, 9n, log(20n, 100n))).toEqual({ replayed: 0n, skipped: 0n });
    expect(figures(5n, 30n, log(20n, 100n))).toEqual({ replayed: 10n, skipped: 0n });
    expect(figures(90n, 150n, log(20n, 100n))).toEqual({ replayed: 10n, skipped: 0n });
    expect(figures(9n, 5n, log(20n, 100n))).toEqual({ replayed: 0n, skipped: 0n });
  });

  test("are unknown if the log start or the log end is unknown", () => {
    expect(figures(5n, 9n, log(null, 100n))).toEqual({ replayed: null, skipped: 0n });
    expect(figures(5n, 9n, log(0n, null))).toEqual({ replayed: null, skipped: 0n });
  });
});

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

  test("equals the digest of former versions, also with a group that is left out", () => {
    expect(first).toBe("a3e649c6659e1d1f4ab5897e6ca8e280c1bc4adfec04324de0e595d09c512039");
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

describe("a plan to a snapshot with commits that were pending or negative", () => {
  const topics = theTopic(log(0n, 100n), log(0n, 100n));
  const special = { ...groupOf("classic", "Empty", 0), pending: ["t-0"], negative: new Map([["t-1", -1001n]]) };
  const groups = new Map([["g", special]]);
  const snapshot = snapshotOf(group({ "t-0": at(5n) }), { observed: { groups, topics } });

  test("says that the output of the transaction may be produced again, and what cannot be restored", () => {
    const plan = planFor(snapshot, liveOf(group({ "t-0": at(9n), "t-1": at(9n) }), topics));
    expect(plan.blockers).toEqual([]);
    expect(plan.warnings.filter((warning) => !warning.includes("keeps"))).toEqual([
      'The targets of "g" on "t-0" were captured while a transaction was pending: they are the offsets from before it. ' +
        "What that transaction wrote may be produced a second time. If its output must not be produced twice, use another " +
        "snapshot.",
      `${snapshot.snapshotId} has no targets for "g" on "t-1" (-1001): negative offsets cannot be restored. A commit there ` +
        "now counts as one that the snapshot lacks: uncommitted decides.",
    ]);
  });

  test("says so of negative offsets now, which an undo cannot restore", () => {
    const { pending: _, ...negative } = special;
    const live = liveOf(group({ "t-0": at(9n) }), topics, { observed: { groups: new Map([["g", negative]]), topics } });
    const plan = planFor(snapshotOf(group({ "t-0": at(5n) }), { observed: { groups: new Map(), topics } }), live);
    expect(plan.warnings).toEqual([
      expect.stringMatching(/"g" has committed negative offsets on "t-1" .*no rollback or undo/),
    ]);
  });

  test("says nothing of negative offsets on partitions that the request does not name", () => {
    const live = liveOf(group({ "t-0": at(9n) }), topics, { observed: { groups, topics } });
    const plan = planRollback(snapshot, restrict(snapshot, { topics: ["t:0"] }), live, refuse);
    expect(plan.warnings.filter((warning) => warning.includes("negative"))).toEqual([]);
  });
});

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
    expect(planFor(bare, live, { uncommitted: "delete" }).blockers).toMatchObject([
      { kind: "group_not_empty", group: "h" },
    ]);
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
