import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Commits,
  type LiveState,
  type ObservedGroup,
  type ObservedTopic,
  sameCommit,
} from "../../functions/shared/core/model.ts";
import { type BlockerKind, commitsOf, type Plan, planRollback } from "../../functions/shared/core/plan.ts";
import { restrict } from "../../functions/shared/core/restrict.ts";
import { commits } from "../support/arbitraries.ts";
import { apply, at, group, liveOf, log, MAX, planOf, snapshotOf, topicsFor } from "../support/states.ts";

describe("a plan", () => {
  test("applied to the live state gives the snapshot, beside the extra commits that it reports", () => {
    fc.assert(
      fc.property(commits, commits, (saved, live) => {
        const plan = planOf(saved, live);
        expect(plan.blockers).toEqual([]);
        const after = apply(live, commitsOf(plan));
        for (const [group, partitions] of saved) {
          const extra = plan.extra.filter((one) => one.group === group);
          const found = after.get(group) ?? new Map();
          expect(found.size).toBe(partitions.size + extra.length);
          for (const [key, commit] of partitions) expect(sameCommit(found.get(key), commit)).toBe(true);
        }
      }),
    );
  });

  test("has every partition of the snapshot and of its groups' live commits exactly once", () => {
    fc.assert(
      fc.property(commits, commits, (saved, live) => {
        const plan = planOf(saved, live);
        const planned = [...plan.groups].flatMap(([group, { partitions }]) =>
          [...partitions.keys()].map((key) => JSON.stringify([group, key])),
        );
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

  test("has nothing to commit when the live state is the snapshot", () => {
    fc.assert(
      fc.property(commits, (saved) => {
        const plan = planOf(saved, saved);
        expect(commitsOf(plan).size).toBe(0);
        expect(plan.extra).toEqual([]);
      }),
    );
  });

  test("has a digest that follows targets, live commits and topic ids, and nothing else", () => {
    const saved = group({ "t-0": at(5n) });
    const live = group({ "t-0": at(9n) });
    const digest = (a: Commits, b: Commits, change: Partial<LiveState> = {}, topics = topicsFor(a, b)) => {
      const snapshot = snapshotOf(a);
      return planRollback(snapshot, restrict(snapshot, {}), { ...liveOf(b, topics), ...change }).digest;
    };
    const first = digest(saved, live);
    expect(digest(group({ "t-0": at(5n) }), group({ "t-0": at(9n) }))).toBe(first);
    expect(digest(saved, live, { warnings: ["w"] })).toBe(first);
    const grown = new Map([["t", { topicId: "id of t", partitions: new Map([[0, log(3n, 70n)]]) }]]);
    expect(digest(saved, live, {}, grown)).toBe(first);
    expect(digest(saved, group({ "t-0": at(10n) }))).not.toBe(first);
    expect(digest(group({ "t-0": at(5n, "m") }), live)).not.toBe(first);
    const recreated = new Map([["t", { topicId: "another", partitions: new Map([[0, log(0n, MAX)]]) }]]);
    expect(digest(saved, live, {}, recreated)).not.toBe(first);
  });

  test("counts replayed and skipped offsets inside the present log only", () => {
    const saved = group({
      "t-0": at(5n),
      "t-1": at(5n),
      "t-2": at(50n),
      "t-3": at(7n),
      "t-4": at(7n, "m"),
      "t-5": at(5n),
    });
    const live = group({ "t-0": at(20n), "t-1": at(200n), "t-2": at(10n), "t-4": at(7n), "t-5": at(5n) });
    const partitions = new Map([0, 1, 2, 3, 4, 5].map((n) => [n, log(3n, 100n)]));
    const snapshot = snapshotOf(saved);
    const plan = planRollback(
      snapshot,
      restrict(snapshot, {}),
      liveOf(live, new Map([["t", { topicId: "x", partitions }]])),
    );
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
    ]);
    expect(plan.groups.get("g")).toMatchObject({ replayed: null, skipped: null, state: "Empty" });
    const known = new Map([...(saved.get("g") ?? [])].filter(([key]) => key !== "t-3"));
    const whole = snapshotOf(new Map([["g", known]]));
    const sums = planRollback(
      whole,
      restrict(whole, {}),
      liveOf(live, new Map([["t", { topicId: "x", partitions }]])),
    ).groups.get("g");
    expect(sums).toMatchObject({ replayed: 110n, skipped: 40n });
  });

  test("invents no impact where the log is unknown", () => {
    const snapshot = snapshotOf(group({ "t-0": at(5n) }));
    const unknown = new Map([["t", { topicId: "x", partitions: new Map([[0, log(null, null)]]) }]]);
    const plan = planRollback(snapshot, restrict(snapshot, {}), liveOf(group({ "t-0": at(9n) }), unknown));
    expect(plan.groups.get("g")).toMatchObject({ replayed: null });
  });
});

describe("blockers", () => {
  const saved = group({ "t-1": at(50n, "", 3) });
  const topic = (partition: ReturnType<typeof log>, topicId = "id") =>
    new Map([["t", { topicId, partitions: new Map([[1, partition]]) }]]);
  const usual = topic(log(0n, 100n));
  const snapshot = snapshotOf(saved, { observed: { groups: new Map(), topics: usual } });
  const blocked = (live: LiveState, from = snapshot): Plan["blockers"] =>
    planRollback(from, restrict(from, {}), live).blockers;
  const withGroup = (description: ObservedGroup) =>
    liveOf(saved, usual, { observed: { groups: new Map([["g", description]]), topics: usual } });

  test("are none when all is well, at both ends of the log too", () => {
    expect(blocked(liveOf(saved, usual))).toEqual([]);
    expect(blocked(liveOf(saved, topic(log(50n, 100n))))).toEqual([]);
    expect(blocked(liveOf(saved, topic(log(0n, 50n))))).toEqual([]);
  });

  test("are none for a group that does not exist any more", () => {
    const gone = liveOf(new Map(), usual, { missing: new Set(["g"]) });
    expect(blocked({ ...gone, observed: { groups: new Map(), topics: usual } })).toEqual([]);
  });

  const cases: [BlockerKind, string, LiveState, RegExp][] = [
    [
      "group_not_empty",
      "members",
      withGroup({ type: "classic", state: "Stable", members: 2 }),
      /"g" has 2 members .*wait_for_empty_seconds/,
    ],
    [
      "group_not_empty",
      "an active state whose members are unknown",
      withGroup({ type: "streams", state: "Assigning", members: null }),
      /has members/,
    ],
    [
      "group_not_empty",
      "members in a state that was empty a moment ago",
      withGroup({ type: "classic", state: "Empty", members: 1 }),
      /has 1 member/,
    ],
    [
      "group_not_empty",
      "a group of which nothing is known",
      withGroup({ type: null, state: null, members: null }),
      /state unknown/,
    ],
    ["unsupported_type", "a share group", withGroup({ type: "share", state: "Empty", members: 0 }), /share group/],
    [
      "cluster_mismatch",
      "another cluster",
      liveOf(saved, usual, { cluster: { name: "test", clusterId: "c2" } }),
      /cluster c1, and this one is c2/,
    ],
    [
      "cluster_mismatch",
      "a cluster without id",
      liveOf(saved, usual, { cluster: { name: "test", clusterId: null } }),
      /unknown/,
    ],
    ["topic_missing", "a topic that is gone", liveOf(saved, new Map()), /topic "t" does not exist/],
    [
      "partition_missing",
      "a partition that is gone",
      liveOf(saved, new Map([["t", { topicId: "id", partitions: new Map() }]])),
      /no partition 1, it has 0/,
    ],
    ["topic_recreated", "another topic id", liveOf(saved, topic(log(0n, 100n), "new")), /its id was id and is new/],
    [
      "topic_recreated",
      "a leader epoch above the current one",
      liveOf(saved, topic(log(0n, 100n, 2))),
      /saved leader epoch 3 is above the current one, 2/,
    ],
    [
      "below_log_start",
      "an offset below the log",
      liveOf(saved, topic(log(51n, 100n))),
      /offset 50 is below the log start offset, 51/,
    ],
    [
      "above_log_end",
      "an offset above the log",
      liveOf(saved, topic(log(0n, 49n))),
      /offset 50 is above the log end offset, 49/,
    ],
    ["range_unknown", "an unknown range", liveOf(saved, topic(log(null, 100n))), /range cannot be read/],
    [
      "range_unknown",
      "a topic that cannot be described",
      liveOf(saved, new Map([["t", null]])),
      /range cannot be read/,
    ],
    [
      "pending_transaction",
      "a pending transaction",
      liveOf(new Map(), usual, { errors: [{ group: "g", error: "PendingTransaction", message: "m" }] }),
      /Wait until its transaction ends/,
    ],
  ];
  test.each(cases)("name %s for %s", (kind, _what, live, message) => {
    const blockers = blocked(live);
    expect(blockers.map((one) => one.kind)).toEqual([kind]);
    expect(blockers[0]?.group).toBe("g");
    expect(blockers[0]?.message).toMatch(message);
  });

  test("name a topic that did not exist when the snapshot was taken, and does now", () => {
    const orphan = snapshotOf(saved, { observed: { groups: new Map(), topics: new Map() } });
    expect(blocked(liveOf(saved, usual), orphan)).toMatchObject([
      { kind: "topic_recreated", message: expect.stringContaining("did not exist when the snapshot was taken") },
    ]);
  });

  test("are a warning where nobody can tell whether the topic is the same", () => {
    const old = topicsFor(saved);
    const unknown = new Map([...old].map(([name, one]) => [name, { ...one, topicId: null }]));
    const plan = (then: ReadonlyMap<string, ObservedTopic | null>, now: ReadonlyMap<string, ObservedTopic | null>) => {
      const from = snapshotOf(saved, { observed: { groups: new Map(), topics: then } });
      return planRollback(from, restrict(from, {}), liveOf(saved, now));
    };
    expect(plan(old, old).warnings).toEqual([]);
    for (const [then, now] of [
      [unknown, old],
      [old, unknown],
      [new Map([["t", null]]), old],
    ] as const) {
      expect(plan(then, now)).toMatchObject({ blockers: [], warnings: [expect.stringContaining("cannot be told")] });
    }
  });

  test("leave a group whose transaction is pending out of the plan: nothing is claimed of its commits", () => {
    const pending = liveOf(new Map(), usual, { errors: [{ group: "g", error: "PendingTransaction", message: "m" }] });
    expect(planRollback(snapshot, restrict(snapshot, {}), pending).groups.size).toBe(0);
  });

  test("name a group that the snapshot could not capture", () => {
    const partial = snapshotOf(saved, {
      observed: snapshot.observed,
      errors: [{ group: "lost", error: "KafkaAuthorization", message: "no right" }],
    });
    expect(blocked(liveOf(saved, usual), partial)).toMatchObject([{ kind: "not_captured", group: "lost" }]);
  });

  test("are all reported at once", () => {
    const all = withGroup({ type: "classic", state: "Stable", members: 1 });
    const live = {
      ...all,
      cluster: { name: "x", clusterId: "c9" },
      observed: { ...all.observed, topics: topic(log(60n, 100n), "new") },
    };
    expect(blocked(live).map(({ kind }) => kind)).toEqual([
      "cluster_mismatch",
      "group_not_empty",
      "topic_recreated",
      "below_log_start",
    ]);
  });
});
