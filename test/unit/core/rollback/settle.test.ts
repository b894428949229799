import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Commit,
  type CommitOutcome,
  type Commits,
  countOffsets,
  sameCommit,
} from "../../../../functions/shared/core/model.ts";
import { restrict } from "../../../../functions/shared/core/restrict.ts";
import { commitsOf, deletesOf, type PartitionPlan } from "../../../../functions/shared/core/rollback/plan.ts";
import { planRollback } from "../../../../functions/shared/core/rollback/planning.ts";
import { planResume } from "../../../../functions/shared/core/rollback/resume.ts";
import { type GroupResult, type PartitionOutcome, settle } from "../../../../functions/shared/core/rollback/settle.ts";
import { commits, nearCommit, unblockedSituation } from "../../../support/arbitraries.ts";
import {
  accepted,
  apply,
  at,
  group,
  groupOf,
  journaled,
  later,
  liveOf,
  log,
  outcomes,
  refuse,
  snapshotOf,
  unblockedPlan,
  writesOf,
} from "../../../support/states.ts";

describe("settle", () => {
  const settled = (saved: Commits, live: Commits, after: Commits, sent = accepted(unblockedPlan(saved, live))) =>
    settle(unblockedPlan(saved, live), sent, { commits: after, errors: [] });

  test("is a success if every write was accepted and is read back, in any state", () => {
    fc.assert(
      fc.property(commits, commits, fc.boolean(), (saved, live, exact) => {
        const plan = unblockedPlan(saved, live, { uncommitted: exact ? "delete" : "keep" });
        const after = apply(live, writesOf(plan));
        const result = settle(plan, accepted(plan), { commits: after, errors: [] });
        const deleted = [...deletesOf(plan).values()].flat();
        expect(result).toMatchObject({
          status: "success",
          groupsRolledBack: saved.size,
          groupsFailed: 0,
          groupsSkipped: 0,
          offsetsRestored: countOffsets(commitsOf(plan)),
          offsetsDeleted: deleted.length,
          extra: plan.extra,
          verification: { verified: true, mismatches: [] },
        });
        const partitions = [...result.groups.values()].flatMap((group) => [...group.partitions.values()]);
        expect(partitions.length).toBe(countOffsets(saved) + deleted.length);
      }),
    );
  });

  const saved = group({ "t-0": at(5n), "t-1": at(6n) });
  const live = group({ "t-0": at(9n), "t-1": at(9n) });
  const outcomesOf = (result: ReturnType<typeof settled>) =>
    [...(result.groups.get("g")?.partitions.values() ?? [])].map(({ outcome }) => outcome);
  const refused = outcomes(["t-0", "t-1"], { kind: "refused", error: "GroupNotEmpty", message: "it has members" });
  const lost = outcomes(["t-0", "t-1"], { kind: "unknown", error: "KafkaUnavailable", message: "no answer" });

  test("reports a commit whose answer was lost as restored if it took effect", () => {
    const result = settled(saved, live, saved, new Map([["g", lost]]));
    expect(outcomesOf(result)).toEqual(["restored", "restored"]);
    expect(result.status).toBe("success");
  });

  test("reports a refused commit as failed, with the broker's reason", () => {
    const result = settled(saved, live, live, new Map([["g", refused]]));
    expect(outcomesOf(result)).toEqual(["failed", "failed"]);
    expect(result).toMatchObject({ status: "failed", groupsFailed: 1, verification: { verified: false } });
    expect(result.groups.get("g")?.error).toBe(
      'GroupNotEmpty: it has members. 2 of 2 commits were not accepted: "t-0", "t-1"',
    );
  });

  test("names the reason of each refused commit, also if the group cannot be read back", () => {
    const heavy: CommitOutcome = { kind: "refused", error: "OFFSET_METADATA_TOO_LARGE", message: "5000 characters" };
    const mixed = new Map([
      [
        "g",
        new Map<string, CommitOutcome>([
          ["t-0", { kind: "accepted" }],
          ["t-1", heavy],
        ]),
      ],
    ]);
    const result = settled(saved, live, group({ "t-0": at(5n), "t-1": at(9n) }), mixed).groups.get("g");
    expect(result?.partitions.get("t-0")).not.toHaveProperty("error");
    expect(result?.partitions.get("t-1")).toMatchObject({
      outcome: "failed",
      error: "OFFSET_METADATA_TOO_LARGE: 5000 characters",
    });
    expect(result).toMatchObject({ status: "partial_success", error: "OFFSET_METADATA_TOO_LARGE: 5000 characters" });

    const unread = { commits: new Map(), errors: [{ group: "g", error: "KafkaUnavailable", message: "gone" }] };
    const unknown = settle(unblockedPlan(saved, live), mixed, unread).groups.get("g");
    expect(unknown?.error).toMatch(/^Kafka accepted 1 commit of 2, .*: gone\. OFFSET_METADATA_TOO_LARGE: 5000/);
    expect(unknown?.partitions.get("t-1")?.error).toMatch(/^OFFSET_METADATA_TOO_LARGE/);
  });

  test("reports an accepted commit as moved_since if the read-back shows another commit", () => {
    const result = settled(saved, live, group({ "t-0": at(7n), "t-1": at(6n) }));
    expect(outcomesOf(result)).toEqual(["moved_since", "restored"]);
    expect(result.status).toBe("partial_success");
    expect(result.groups.get("g")?.partitions.get("t-0")).toMatchObject({ actual: at(7n) });
  });

  test.each([
    [
      "has",
      groupOf("classic", "Stable", 2),
      /\. The group has 2 members now \(state Stable\): a consumer has started$/,
    ],
    ["has not", groupOf("classic", "Empty", 0), /\. The group has no members now\. The commit came from a script, /],
    ["may have", groupOf("classic", null, null), /\. Whether the group has members now is not known$/],
    ["was not observed to have", undefined, /\. Whether the group has members now is not known$/],
  ])("says of a commit that followed the rollback's where it stands, if the group %s members now", (_, now, who) => {
    const plan = unblockedPlan(saved, live);
    const moved = { commits: group({ "t-0": at(7n), "t-1": at(6n) }), errors: [] };
    const result = settle(plan, accepted(plan), moved, new Map(now && [["g", now]]));
    const error = result.groups.get("g")?.error;
    expect(error).toMatch(
      /^No longer at their targets: 1 of 2 partitions\. .*another client followed \(t-0 at offset 7 instead of offset 5\)/,
    );
    expect(error).toMatch(who);
  });

  test("says of a commit with the target's offset what may differ, and how many more were moved", () => {
    const keys = [0, 1, 2, 3].map((partition) => `t-${partition}`);
    const all = (commit: ReturnType<typeof at>) => group(Object.fromEntries(keys.map((key) => [key, commit])));
    const error = settled(all(at(5n)), all(at(9n)), all(at(5n, "other"))).groups.get("g")?.error;
    expect(error).toContain(
      "(t-0 at offset 5 instead of offset 5 with other metadata or another leader epoch, t-1 at ",
    );
    expect(error).toContain(" and 1 more). ");
  });

  test("does not report an accepted commit as restored if the read-back shows no commit", () => {
    const result = settled(saved, live, group({ "t-1": at(6n) }));
    expect(result.groups.get("g")?.partitions.get("t-0")).toMatchObject({ outcome: "moved_since", actual: null });
    expect(result.status).not.toBe("success");
  });

  test("is a failure if the read-back failed, even if the broker accepted every write", () => {
    const plan = unblockedPlan(saved, live);
    const unread = { commits: new Map(), errors: [{ group: "g", error: "KafkaUnavailable", message: "gone" }] };
    const result = settle(plan, accepted(plan), unread);
    expect(result).toMatchObject({
      status: "failed",
      groupsRolledBack: 0,
      verification: { verified: false, checked: 0, mismatches: [] },
    });
    expect(result.groups.get("g")?.error).toContain("Kafka accepted 2 commits of 2");
    expect(settle(plan, accepted(plan), { commits: new Map(), errors: [] }).status).toBe("failed");
  });

  test("warns that a commit without an answer may still take effect", () => {
    const result = settled(saved, live, group({ "t-0": at(5n), "t-1": at(9n) }), new Map([["g", lost]]));
    const partitions = result.groups.get("g")?.partitions;
    expect(partitions?.get("t-0")).not.toHaveProperty("inDoubt");
    expect(partitions?.get("t-1")).toMatchObject({ outcome: "failed", inDoubt: true, actual: at(9n) });
    expect(result.groups.get("g")?.error).toMatch(
      /^KafkaUnavailable: no answer\. .*may still carry it out, and resume checks that$/,
    );
  });

  test("reports a commit that was not sent as not_attempted", () => {
    expect(outcomesOf(settled(saved, live, live, new Map()))).toEqual(["not_attempted", "not_attempted"]);
  });

  test("leaves extra commits out of the verification, and reports them", () => {
    const more = group({ "t-0": at(9n), "t-1": at(6n), "t-2": at(1n) });
    const result = settled(saved, more, group({ "t-0": at(5n), "t-1": at(6n), "t-2": at(1n) }));
    expect(result).toMatchObject({ status: "success", verification: { verified: true, checked: 2 } });
    expect(result.extra).toMatchObject([{ topic: "t", partition: 2, commit: { offset: 1n } }]);
  });

  const withExtra = group({ "t-0": at(5n), "t-1": at(6n), "t-2": at(1n) });
  const exactPlan = unblockedPlan(saved, withExtra, { uncommitted: "delete" });

  test("reports a commit as deleted if the read-back shows none, with any answer of the broker", () => {
    const unanswered = new Map([
      ["g", outcomes(["t-2"], { kind: "unknown", error: "KafkaUnavailable", message: "lost" })],
    ]);
    for (const sent of [accepted(exactPlan), unanswered]) {
      const result = settle(exactPlan, sent, { commits: saved, errors: [] });
      expect(result).toMatchObject({
        status: "success",
        groupsRolledBack: 1,
        offsetsRestored: 0,
        offsetsDeleted: 1,
        extra: [],
        verification: { verified: true, checked: 3 },
      });
      expect(outcomesOf(result)).toEqual(["unchanged", "unchanged", "deleted"]);
      expect(result.groups.get("g")?.partitions.get("t-2")).toEqual({ outcome: "deleted", from: at(1n), to: null });
    }
  });

  test("does not report an accepted delete as deleted if the read-back shows a commit", () => {
    const result = settle(exactPlan, accepted(exactPlan), { commits: withExtra, errors: [] });
    expect(result).toMatchObject({ status: "failed", groupsFailed: 1, offsetsDeleted: 0 });
    expect(result.groups.get("g")?.partitions.get("t-2")).toMatchObject({ outcome: "moved_since", actual: at(1n) });
    expect(result.verification).toMatchObject({ verified: false, mismatches: [{ partition: 2, kind: "extra" }] });
  });

  test("does not lower the status because of a skipped partition, even if it was moved", () => {
    const topics = new Map([["t", { topicId: "id", partitions: new Map([log(0n, 99n), log(7n, 99n)].entries()) }]]);
    const snapshot = snapshotOf(saved, { observed: { groups: new Map(), topics } });
    const plan = planRollback(snapshot, restrict(snapshot, {}), liveOf(live, topics), {
      ...refuse,
      outOfRange: "skip",
    });
    const result = settle(plan, accepted(plan), { commits: group({ "t-0": at(5n), "t-1": at(30n) }), errors: [] });
    expect(result).toMatchObject({
      status: "success",
      groupsRolledBack: 1,
      groupsSkipped: 0,
      offsetsRestored: 1,
      verification: { verified: true, checked: 1 },
    });
    expect(result.groups.get("g")?.partitions.get("t-1")).toEqual({
      outcome: "skipped",
      from: at(9n),
      to: at(9n),
      asked: at(6n),
    });
  });

  test("reports a left-out group as skipped with the reason, and does not lower the status", () => {
    const both = new Map([...saved, ["h", new Map([["t-0", at(1n)]])] as const]);
    const now = liveOf(new Map([...live, ["h", new Map([["t-0", at(2n)]])] as const]), new Map());
    const { topics } = liveOf(
      both,
      new Map([["t", { topicId: "id", partitions: new Map([log(0n, 99n), log(0n, 99n)].entries()) }]]),
    ).observed;
    const held = new Map([...now.observed.groups, ["h", groupOf("classic", "Stable", 2)] as const]);
    const snapshot = snapshotOf(both, { observed: { groups: new Map(), topics } });
    const plan = planRollback(
      snapshot,
      restrict(snapshot, {}),
      { ...now, observed: { groups: held, topics } },
      { ...refuse, skipBlocked: true },
    );
    const result = settle(plan, accepted(plan), { commits: saved, errors: [] });
    expect(result).toMatchObject({ status: "success", groupsRolledBack: 1, groupsFailed: 0, groupsSkipped: 1 });
    expect(result.groups.get("h")).toEqual({
      status: "skipped",
      partitions: new Map([["t-0", { outcome: "skipped", from: at(2n), to: at(2n), asked: at(1n) }]]),
      error: expect.stringMatching(/^\[group_not_empty\] Group "h" has 2 members/),
    });
    expect(result.verification).toEqual({ verified: true, checked: 2, mismatches: [] });
  });

  test("is a partial success if one group is at its targets and another could not be read back", () => {
    const two = new Map([...saved, ["h", new Map([["t-0", at(1n)]])] as const]);
    const plan = unblockedPlan(two, live);
    const errors = [{ group: "h", error: "KafkaUnavailable", message: "no answer from broker 2" }];
    const result = settle(plan, accepted(plan), { commits: saved, errors });
    expect(result).toMatchObject({
      status: "partial_success",
      groupsRolledBack: 1,
      groupsFailed: 1,
      offsetsRestored: 2,
      verification: { verified: false, checked: 2, mismatches: [] },
    });
    expect(result.groups.get("h")?.error).toMatch(/^Kafka accepted 1 commit of 1, .*no answer from broker 2$/);
  });

  /** The outcome of a partition, from the plan, the broker's answer and the commit that is read back. */
  function outcomeOf(plan: PartitionPlan, sent: CommitOutcome | undefined, actual: Commit | null): PartitionOutcome {
    if (plan.action === "skip") return "skipped";
    const wasThere = sameCommit(plan.from, plan.to);
    if (sameCommit(actual, plan.to)) return wasThere ? "unchanged" : plan.to === null ? "deleted" : "restored";
    if (wasThere || plan.done || sent?.kind === "accepted") return "moved_since";
    return sent === undefined || sent.kind === "not_attempted" ? "not_attempted" : "failed";
  }

  test("follows from plan, answers and read-back, with answers lost, commits moved and groups unreadable", () => {
    const answers = ["accepted", "refused", "unknown", "not_attempted", "not sent"] as const;
    fc.assert(
      fc.property(unblockedSituation, fc.gen(), (drawn, pick) => {
        let [plan, live] = [drawn.plan, drawn.live];
        const someOf = (writes: ReturnType<typeof writesOf>) =>
          new Map([...writes].map(([name, keys]) => [name, new Map([...keys].filter(() => pick(fc.boolean)))]));
        if (pick(fc.boolean)) {
          live = later(live, apply(live.commits, someOf(writesOf(plan))));
          plan = planResume(journaled(plan, drawn.live), live, drawn.policy.skipBlocked);
          expect(plan.blockers).toEqual([]);
        }
        const writes = writesOf(plan);
        const sent = new Map<string, Map<string, CommitOutcome>>();
        for (const [name, keys] of writes) {
          const answered = new Map<string, CommitOutcome>();
          for (const key of keys.keys()) {
            const kind = pick(fc.constantFrom, ...answers);
            if (kind === "accepted") answered.set(key, { kind });
            else if (kind !== "not sent") answered.set(key, { kind, error: "E", message: `${kind}` });
          }
          sent.set(name, answered);
        }
        const after = new Map<string, Map<string, Commit>>();
        for (const [name, keys] of apply(live.commits, someOf(writes))) after.set(name, new Map(keys));
        for (const [name, { partitions }] of plan.groups) {
          const commitsAfter = after.get(name) ?? new Map<string, Commit>();
          after.set(name, commitsAfter);
          for (const key of partitions.keys()) {
            const moved = pick(fc.option, fc.option(nearCommit), { nil: undefined, freq: 1 });
            if (moved !== undefined && pick(fc.boolean)) {
              if (moved === null) commitsAfter.delete(key);
              else commitsAfter.set(key, moved);
            }
          }
        }
        const errors: { group: string; error: string; message: string }[] = [];
        for (const name of plan.groups.keys()) {
          const draw = pick(fc.nat, { max: 9 }); // 0: the group cannot be read back; 1: it does not exist
          if (draw === 0) errors.push({ group: name, error: "KafkaUnavailable", message: "gone" });
          if (draw <= 1) after.delete(name);
        }

        const result = settle(plan, sent, { commits: after, errors });
        const expected = { success: 0, failed: 0, partial_success: 0, skipped: 0 };
        const reached = { restored: 0, deleted: 0 };
        let [compared, unread] = [0, 0];
        const elsewhere = new Set<string>();
        for (const [name, planned] of plan.groups) {
          const found: GroupResult | undefined = result.groups.get(name);
          const all = [...planned.partitions];
          const targeted = all.filter(([, { action }]) => action !== "skip");
          expect(found?.source).toBe(planned.source);
          expect([...(found?.partitions.keys() ?? [])]).toEqual([...planned.partitions.keys()]);
          for (const [key, { from, to, asked }] of all) {
            expect(found?.partitions.get(key)).toMatchObject({ from, to, ...(asked !== undefined && { asked }) });
          }
          if (planned.leftOut || (all.length > 0 && targeted.length === 0)) {
            const reasons = plan.leftOut.filter((blocker) => blocker.group === name);
            expect(found?.status).toBe("skipped");
            expect(reasons.map(({ kind, message }) => `[${kind}] ${message}`)).toContain(found?.error);
            expect([...(found?.partitions.values() ?? [])].every(({ outcome }) => outcome === "skipped")).toBe(true);
            expected.skipped++;
            continue;
          }
          const commitsAfter = after.get(name) ?? (all.length === 0 ? new Map<string, Commit>() : undefined);
          if (commitsAfter === undefined || errors.some((error) => error.group === name)) {
            expect(found).toMatchObject({ status: "failed", error: expect.stringMatching(/^Kafka accepted /) });
            for (const [key, { action }] of all) {
              const kind = sent.get(name)?.get(key)?.kind ?? "not_attempted";
              const reported = found?.partitions.get(key);
              expect(reported).not.toHaveProperty("actual");
              expect(reported?.outcome).toBe(
                action === "skip" ? "skipped" : kind === "not_attempted" ? "not_attempted" : "failed",
              );
            }
            expected.failed++;
            unread++;
            continue;
          }
          let [atTarget, moved] = [0, 0];
          for (const [key, wanted] of all) {
            const actual = commitsAfter.get(key) ?? null;
            const outcome = outcomeOf(wanted, sent.get(name)?.get(key), actual);
            const reported = found?.partitions.get(key);
            expect(reported?.outcome).toBe(outcome);
            if (wanted.action === "skip" || sameCommit(actual, wanted.to))
              expect(reported).not.toHaveProperty("actual");
            else expect(reported?.actual).toEqual(actual);
            if (outcome === "restored" || outcome === "deleted") {
              reached[outcome]++;
              moved++;
            }
            if (wanted.action === "skip") continue;
            if (sameCommit(actual, wanted.to)) atTarget++;
            else elsewhere.add(JSON.stringify([name, key]));
          }
          const status = atTarget === targeted.length ? "success" : moved > 0 ? "partial_success" : "failed";
          expect(found?.status).toBe(status);
          expect(found?.error !== undefined).toBe(status !== "success");
          expected[status]++;
          compared += targeted.length;
        }
        const failed = expected.failed + expected.partial_success;
        const any = expected.success + reached.restored + reached.deleted > 0;
        expect(result).toMatchObject({
          status: failed === 0 ? "success" : any ? "partial_success" : "failed",
          groupsRolledBack: expected.success,
          groupsFailed: failed,
          groupsSkipped: expected.skipped,
          offsetsRestored: reached.restored,
          offsetsDeleted: reached.deleted,
          extra: plan.extra,
          verification: { verified: elsewhere.size === 0 && unread === 0, checked: compared },
        });
        expect(
          new Set(
            result.verification.mismatches.map(({ group: name, topic, partition }) =>
              JSON.stringify([name, `${topic}-${partition}`]),
            ),
          ),
        ).toEqual(elsewhere);
      }),
      { numRuns: 400 },
    );
  });
});
