import { describe, expect, test } from "vitest";
import { mapGroups } from "../../../../functions/shared/core/group-map.ts";
import type { Commits, ObservedGroup } from "../../../../functions/shared/core/model.ts";
import { restrict } from "../../../../functions/shared/core/restrict.ts";
import { planRollback } from "../../../../functions/shared/core/rollback/planning.ts";
import { planResume } from "../../../../functions/shared/core/rollback/resume.ts";
import {
  at,
  group,
  groupOf,
  journaled,
  liveOf,
  log,
  planFor,
  refuse,
  snapshotOf,
  topicsFor,
  unblockedPlan,
} from "../../../support/states.ts";

describe("the warnings of a plan about Kafka Streams on the classic protocol", () => {
  const purged = "g-by-key-repartition";
  const both = group({ "t-0": at(5n), [`${purged}-0`]: at(5n) });
  const planAt = (now: Commits, then: ObservedGroup, groupMap?: ReadonlyMap<string, string>) => {
    const topics = topicsFor(both);
    const snapshot = snapshotOf(both, { observed: { groups: new Map([["g", then]]), topics } });
    const part = restrict(snapshot, {});
    const live = liveOf(now, topics);
    return planRollback(snapshot, groupMap ? mapGroups(part, groupMap) : part, live, refuse).warnings;
  };
  const member = { ...groupOf("classic", "Stable", 1), protocol: "stream" };
  const empty = groupOf("classic", "Empty", 0);
  const rewound = group({ "t-0": at(9n), [`${purged}-0`]: at(9n) });
  const saved = group({ "t-0": at(5n) });
  const stores = expect.stringMatching(/^"g(-replay)?" is a Kafka Streams application: state stores do not move/);

  test("list the partitions of repartition topics that move, with the request that leaves them out", () => {
    const warnings = [
      stores,
      expect.stringMatching(
        /^1 partition of repartition topics .* moves too: "g-by-key-repartition-0"\. .* processed twice\. .*"topics": \["t"\]\.$/,
      ),
    ];
    expect(planAt(rewound, empty)).toEqual(warnings);
    const replay = new Map([["g-replay", rewound.get("g") ?? new Map()]]);
    expect(planAt(replay, empty, new Map([["g", "g-replay"]]))).toEqual(warnings);
  });

  test("keep the deletions of a plan in the request that leaves them out", () => {
    const live = group({ "t-0": at(9n), "t-1": at(9n), [`${purged}-0`]: at(9n) });
    const then = group({ "t-0": at(5n), [`${purged}-0`]: at(5n) });
    expect(unblockedPlan(then, live, { uncommitted: "delete" }).warnings.join(" ")).toMatch(/"topics": \["t"\]\./);
  });

  test("say to leave the group out if all its partitions are on such topics", () => {
    const [then, now] = [5n, 9n].map((offset) => group({ [`${purged}-0`]: at(offset) }));
    expect(unblockedPlan(then ?? group({}), now ?? group({})).warnings[1]).toMatch(
      /All planned partitions are on such topics: leave the group out of `groups`\.$/,
    );
  });

  test("name the topics to leave out if the list of all others is too long for a sentence", () => {
    const topics = Array.from({ length: 300 }, (_, i) => `orders-${i}-0`);
    const all = (offset: bigint) =>
      group(Object.fromEntries([...topics, `${purged}-0`].map((key) => [key, at(offset)])));
    expect(unblockedPlan(all(5n), all(9n)).warnings[1]).toMatch(
      /To leave them out, name in `topics` all topics but "g-by-key-repartition"\.$/,
    );
  });

  test("recognise an application by its members' protocol in the snapshot, or by its repartition topics", () => {
    const moved = group({ "t-0": at(9n), [`${purged}-0`]: at(5n) });
    expect(planAt(moved, empty)).toEqual([stores]);
    const without = (then: ObservedGroup) =>
      planFor(
        snapshotOf(saved, { observed: { groups: new Map([["g", then]]), topics: topicsFor(saved) } }),
        liveOf(group({ "t-0": at(9n) }), topicsFor(saved)),
      ).warnings;
    expect(without(member)).toEqual([stores]);
    expect(without({ ...member, protocol: "range" })).toEqual([]);
  });

  test("do not take a topic of another application for a repartition topic", () => {
    const others = group({ "h-by-key-repartition-0": at(5n), "g-repartitions-0": at(5n) });
    const moved = group({ "h-by-key-repartition-0": at(9n), "g-repartitions-0": at(9n) });
    expect(unblockedPlan(others, moved).warnings).toEqual([]);
  });

  test("do not list partitions of repartition topics that the plan skips", () => {
    const topics = new Map([...topicsFor(both), [purged, { topicId: "id", partitions: new Map([[0, log(6n, 9n)]]) }]]);
    const snapshot = snapshotOf(both, { observed: { groups: new Map(), topics } });
    const plan = planFor(snapshot, liveOf(rewound, topics), { outOfRange: "skip" });
    expect(plan).toMatchObject({ blockers: [], leftOut: [{ kind: "below_log_start", topic: purged }] });
    expect(plan.warnings).toEqual([stores]);
  });

  test("name whole topics in the request that leaves them out, and of other topics the planned partitions, in order", () => {
    const orders = Array.from({ length: 12 }, (_, partition) => `orders-${partition}`);
    const topics = topicsFor(
      new Map([["g", new Map([...orders, "audit-0", `${purged}-0`, `${purged}-1`].map((key) => [key, at(0n)]))]]),
    );
    const atOffset = (offset: bigint) =>
      group(
        Object.fromEntries(
          ["orders-10", "orders-2", "audit-0", `${purged}-0`, `${purged}-1`].map((key) => [key, at(offset)]),
        ),
      );
    const snapshot = snapshotOf(atOffset(5n), { observed: { groups: new Map(), topics } });
    expect(planFor(snapshot, liveOf(atOffset(9n), topics)).warnings).toEqual([
      stores,
      expect.stringMatching(
        /^2 partitions of repartition topics .* move too: .*"topics": \["audit","orders:2,10"\]\.$/,
      ),
    ]);
  });

  test("name in that request the planned partitions of a topic that cannot be described now", () => {
    const topics = topicsFor(both);
    const snapshot = snapshotOf(both, { observed: { groups: new Map(), topics } });
    const plan = planFor(snapshot, liveOf(rewound, new Map([...topics, ["t", null]])));
    expect(plan.blockers).toMatchObject([{ kind: "range_unknown", topic: "t" }]);
    expect(plan.warnings.join(" ")).toMatch(/"topics": \["t:0"\]\./);
  });
});

test("a target that Kafka Streams has purged is called normal: of the application, of its copy, and in a resumed rollback", () => {
  const key = "g-by-key-repartition-0";
  const saved = group({ [key]: at(5n) });
  const topics = (start: bigint) =>
    new Map([["g-by-key-repartition", { topicId: "id", partitions: new Map([[0, log(start, 20n)]]) }]]);
  const snapshot = snapshotOf(saved, { observed: { groups: new Map(), topics: topics(0n) } });
  const copied = mapGroups(restrict(snapshot, {}), new Map([["g", "g-copy"]]));
  const live = (start: bigint, name: string) => liveOf(new Map([[name, new Map([[key, at(9n)]])]]), topics(start));
  const planned = journaled(planRollback(snapshot, copied, live(0n, "g-copy"), refuse), live(0n, "g-copy"));
  expect(planned.plan.blockers).toEqual([]);
  for (const { blockers } of [
    planFor(snapshot, live(6n, "g")),
    planRollback(snapshot, copied, live(6n, "g-copy"), refuse),
    planResume(planned, live(6n, "g-copy"), false),
  ]) {
    expect(blockers).toMatchObject([
      {
        kind: "below_log_start",
        expected: 5n,
        actual: 6n,
        message: expect.stringContaining("is normal for a repartition"),
      },
    ]);
  }
});
