import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Commits, placeOf, sameCommit } from "../../../../functions/shared/core/model.ts";
import { deletesOf, type Plan } from "../../../../functions/shared/core/rollback/plan.ts";
import { commits, planIn, situation } from "../../../support/arbitraries.ts";
import {
  apply,
  at,
  group,
  groupOf,
  liveOf,
  log,
  MAX,
  planFor,
  snapshotOf,
  theTopic,
  topicsFor,
  unblockedPlan,
  writesOf,
} from "../../../support/states.ts";

const partitionsIn = (plan: Plan) =>
  [...plan.groups].flatMap(([group, { partitions }]) => [...partitions].map(([key, one]) => ({ group, key, ...one })));

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
    const plan = planFor(snapshotOf(saved, { observed: gone.observed }), gone);
    expect(plan.blockers).toEqual([]);
    const created = { action: "create", from: null, to: at(5n), replayed: null, skipped: null };
    expect(plan.groups.get("g")).toStrictEqual({
      type: null,
      state: null,
      replayed: null,
      skipped: null,
      partitions: new Map([["t-0", created]]),
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
