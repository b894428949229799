import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mapGroups } from "../../../../functions/shared/core/group-map.ts";
import type { CommitOutcome, Commits, LiveState, Observed } from "../../../../functions/shared/core/model.ts";
import { restrict } from "../../../../functions/shared/core/restrict.ts";
import { commitsOf, deletesOf, type Policy, shareGroupsOf } from "../../../../functions/shared/core/rollback/plan.ts";
import { planRollback } from "../../../../functions/shared/core/rollback/planning.ts";
import { planResume } from "../../../../functions/shared/core/rollback/resume.ts";
import { settle } from "../../../../functions/shared/core/rollback/settle.ts";
import {
  accepted,
  apply,
  at,
  group,
  groupOf,
  journaled,
  liveOf,
  log,
  outcomes,
  refuse,
  snapshotOf,
  writesOf,
} from "../../../support/states.ts";

const topics: Observed["topics"] = new Map([
  ["t", { topicId: "id", partitions: new Map([0, 1, 2].map((partition) => [partition, log(2n, 10n)])) }],
]);
const share = new Map([["g", groupOf("share", "Empty", 0)]]);
const snapshotAt = (saved: Commits, groups: Observed["groups"] = share) =>
  snapshotOf(saved, { observed: { groups, topics } });
const liveAt = (live: Commits, groups: Observed["groups"] = share): LiveState =>
  liveOf(live, topics, { observed: { groups, topics } });
const planOf = (saved: Commits, live: LiveState, policy: Partial<Policy> = {}) => {
  const snapshot = snapshotAt(saved);
  return planRollback(snapshot, restrict(snapshot, {}), live, { ...refuse, ...policy });
};

describe("a plan for a share group", () => {
  const saved = group({ "t-0": at(4n), "t-1": at(5n), "t-2": at(6n) });

  test("rewinds partitions at their targets too: Kafka does not show what was acknowledged beyond the start offset", () => {
    const plan = planOf(saved, liveAt(group({ "t-0": at(9n), "t-1": at(5n), "t-2": at(3n) })));
    expect(plan.blockers).toEqual([]);
    expect(Object.fromEntries(plan.groups.get("g")?.partitions ?? [])).toMatchObject({
      "t-0": { action: "rewind", replayed: 6n, skipped: 0n },
      "t-1": { action: "rewind", from: at(5n), to: at(5n), replayed: 5n, skipped: 0n },
      "t-2": { action: "fast_forward", replayed: 4n, skipped: 3n },
    });
    expect(commitsOf(plan)).toEqual(saved);
    expect(shareGroupsOf(plan)).toEqual(new Set(["g"]));
  });

  test("lists only share groups in shareGroupsOf, beside another group", () => {
    const both = new Map(["g", "h"].map((name) => [name, new Map([["t-0", at(4n)]])]));
    const groups = new Map([...share, ["h", groupOf("classic", "Empty", 0)]]);
    const snapshot = snapshotAt(both, groups);
    const plan = planRollback(snapshot, restrict(snapshot, {}), liveAt(both, groups), refuse);
    expect([...plan.groups.keys()]).toEqual(["g", "h"]);
    expect(shareGroupsOf(plan)).toEqual(new Set(["g"]));
  });

  test("deletes all start offsets if the group did not exist at the snapshot: this undoes its creation", () => {
    const snapshot = snapshotAt(group({}), new Map());
    const live = liveAt(saved);
    const plan = planRollback(snapshot, restrict(snapshot, {}), live, { ...refuse, uncommitted: "delete" });
    expect(plan.blockers).toEqual([]);
    expect([...deletesOf(plan)]).toEqual([["g", ["t-0", "t-1", "t-2"]]]);
    expect(shareGroupsOf(plan)).toEqual(new Set(["g"]));
  });

  test("warns that start offsets do not include acknowledgements", () => {
    expect(planOf(saved, liveAt(saved)).warnings).toEqual([
      expect.stringMatching(/^"g" is a share group: records acknowledged .* are delivered again/),
    ]);
  });

  test("creates missing start offsets, and un-initializes extra ones only if it is exact", () => {
    const [saved, live] = [group({ "t-0": at(4n) }), group({ "t-1": at(5n) })];
    const kept = planOf(saved, liveAt(live));
    expect(kept.groups.get("g")?.partitions.get("t-0")).toMatchObject({ action: "create", from: null, to: at(4n) });
    // Other values of uncommitted would deliver all up to the log end, 10, again.
    const uncommitted = { delete: { replayed: 8n }, logStart: { replayed: 8n }, snapshotEnd: { to: 5n, replayed: 5n } };
    expect(kept.extra).toMatchObject([{ group: "g", topic: "t", partition: 1, uncommitted }]);
    const exact = planOf(saved, liveAt(live), { uncommitted: "delete" });
    expect(exact.blockers).toEqual([]);
    expect(deletesOf(exact)).toEqual(new Map([["g", ["t-1"]]]));
  });

  test("creates a share group that does not exist, also under another name", () => {
    const noGroups = liveOf(new Map(), topics, { missing: new Set(["g"]) });
    expect(shareGroupsOf(planOf(saved, noGroups))).toEqual(new Set(["g"]));
    const snapshot = snapshotAt(saved);
    const part = mapGroups(restrict(snapshot, {}), new Map([["g", "h"]]));
    const other = planRollback(snapshot, part, liveOf(new Map(), topics, { missing: new Set(["h"]) }), refuse);
    expect(other.blockers).toEqual([]);
    expect([...other.groups].map(([name, { type }]) => [name, type])).toEqual([["h", "share"]]);
  });

  test.each([
    ["share", "classic"],
    ["classic", "share"],
    [null, "share"],
  ])("is refused if the snapshot has a %s group and the cluster has a %s group", (savedType, liveType) => {
    const snapshot = snapshotAt(saved, new Map([["g", groupOf(savedType, "Empty", 0)]]));
    const live = liveAt(saved, new Map([["h", groupOf(liveType, "Empty", 0)]]));
    const part = mapGroups(restrict(snapshot, {}), new Map([["g", "h"]]));
    const plan = planRollback(snapshot, part, live, refuse);
    expect(plan.blockers).toMatchObject([
      { kind: "unsupported_type", group: "h", expected: savedType, actual: liveType },
    ]);
  });

  test("is blocked if its topic does not exist any more, and what would be replayed is not known", () => {
    const gone = { ...liveAt(saved), observed: { groups: share, topics: new Map() } };
    const plan = planOf(saved, gone);
    expect(plan.blockers).toMatchObject(Array.from({ length: 3 }, () => ({ kind: "topic_missing", topic: "t" })));
    expect(plan.groups.get("g")).toMatchObject({ replayed: null, skipped: 0n });
  });

  test("is blocked by members and by the log range like other groups", () => {
    const withMembers = liveAt(saved, new Map([["g", groupOf("share", "Stable", 2)]]));
    expect(planOf(group({ "t-0": at(11n), "t-1": at(1n) }), withMembers).blockers.map(({ kind }) => kind)).toEqual([
      "group_not_empty",
      "above_log_end",
      "below_log_start",
    ]);
  });
});

describe("the result of a share group that was rewound to its present start offset", () => {
  const saved = group({ "t-0": at(4n), "t-1": at(5n) });
  const live = liveAt(saved);
  const plan = planOf(saved, live);
  const answeredWith = (outcome: CommitOutcome) => new Map([["g", outcomes(["t-0", "t-1"], outcome)]]);
  const readBack = { commits: saved, errors: [] };

  test("follows Kafka's answer: the read-back cannot show whether it was rewound", () => {
    expect(settle(plan, answeredWith({ kind: "accepted" }), readBack)).toMatchObject({
      status: "success",
      offsetsRestored: 2,
    });
  });

  test.each([
    ["refused", "failed", { error: "KafkaUnavailable: m" }],
    ["unknown", "failed", { error: "KafkaUnavailable: m", inDoubt: true }],
    ["not_attempted", "not_attempted", {}],
  ] as const)(
    "is not a success if Kafka's answer is %s, even if the start offset equals its target",
    (kind, outcome, more) => {
      const result = settle(plan, answeredWith({ kind, error: "KafkaUnavailable", message: "m" }), readBack);
      expect(result).toMatchObject({ status: "failed", groupsRolledBack: 0, groupsFailed: 1, offsetsRestored: 0 });
      expect(result.groups.get("g")).toMatchObject({
        status: "failed",
        error: expect.stringMatching(/^KafkaUnavailable: m/),
      });
      expect(result.groups.get("g")?.partitions.get("t-0")).toEqual({
        ...{ outcome, from: at(4n), to: at(4n), actual: at(4n) },
        ...more,
      });
    },
  );

  test("lets a resume rewind it again, but not a partition whose start offset changed", () => {
    const moved = planOf(group({ "t-0": at(4n), "t-1": at(6n) }), live);
    const now = liveAt(group({ "t-0": at(4n), "t-1": at(6n) }));
    const rest = planResume(journaled(moved, live), now, false);
    expect(rest.blockers).toEqual([]);
    expect(writesOf(rest)).toEqual(new Map([["g", new Map([["t-0", at(4n)]])]]));
    expect(rest.groups.get("g")?.partitions.get("t-1")).toMatchObject({ done: true });
  });
});

test("a share group is at its targets after its rollback, from any start offsets", () => {
  const near = fc.option(fc.bigInt({ min: 2n, max: 10n }), { freq: 3 });
  const offsets = fc
    .array(near, { minLength: 3, maxLength: 3 })
    .map((all) => group(Object.fromEntries(all.flatMap((o, i) => (o === null ? [] : [[`t-${i}`, at(o)] as const])))));
  fc.assert(
    fc.property(offsets, offsets, fc.boolean(), (saved, live, exact) => {
      const plan = planOf(saved, liveAt(live), { uncommitted: exact ? "delete" : "keep" });
      const after = apply(live, writesOf(plan));
      const result = settle(plan, accepted(plan), { commits: after, errors: [] });
      expect(result).toMatchObject({ status: "success", verification: { verified: true } });
      for (const [key, commit] of saved.get("g") ?? []) expect(after.get("g")?.get(key)).toEqual(commit);
      if (exact) expect(after.get("g")?.size).toBe(saved.get("g")?.size);
    }),
  );
});
