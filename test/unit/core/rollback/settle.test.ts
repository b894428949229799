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
import {
  commitsOf,
  deletesOf,
  type GroupPlan,
  type PartitionPlan,
  type Plan,
} from "../../../../functions/shared/core/rollback/plan.ts";
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

  test("is a success when everything was accepted and is read back so, for any state", () => {
    fc.assert(
      fc.property(commits, commits, fc.boolean(), (saved, live, exact) => {
        const plan = unblockedPlan(saved, live, { exact });
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
        const partitions = [...result.groups.values()].flatMap((one) => [...one.partitions.values()]);
        expect(partitions.length).toBe(countOffsets(saved) + deleted.length);
      }),
    );
  });

  const saved = group({ "t-0": at(5n), "t-1": at(6n) });
  const live = group({ "t-0": at(9n), "t-1": at(9n) });
  const outcomesOf = (result: ReturnType<typeof settled>) =>
    [...(result.groups.get("g")?.partitions.values() ?? [])].map(({ outcome }) => outcome);
  const refused = outcomes(["t-0", "t-1"], { kind: "refused", error: "GroupNotEmpty", message: "it has got members" });
  const lost = outcomes(["t-0", "t-1"], { kind: "unknown", error: "KafkaUnavailable", message: "no answer" });

  test("calls a commit restored whose answer was lost, when it took effect", () => {
    const result = settled(saved, live, saved, new Map([["g", lost]]));
    expect(outcomesOf(result)).toEqual(["restored", "restored"]);
    expect(result.status).toBe("success");
  });

  test("calls a refused commit failed, with the broker's reason", () => {
    const result = settled(saved, live, live, new Map([["g", refused]]));
    expect(outcomesOf(result)).toEqual(["failed", "failed"]);
    expect(result).toMatchObject({ status: "failed", groupsFailed: 1, verification: { verified: false } });
    expect(result.groups.get("g")?.error).toBe("GroupNotEmpty: it has got members");
  });

  test("calls an accepted commit moved_since when the group stands elsewhere by now", () => {
    const result = settled(saved, live, group({ "t-0": at(7n), "t-1": at(6n) }));
    expect(outcomesOf(result)).toEqual(["moved_since", "restored"]);
    expect(result.status).toBe("partial_success");
    expect(result.groups.get("g")?.partitions.get("t-0")).toMatchObject({ actual: at(7n) });
  });

  test("never takes an accepted commit for restored that reads back as nothing", () => {
    const result = settled(saved, live, group({ "t-1": at(6n) }));
    expect(result.groups.get("g")?.partitions.get("t-0")).toMatchObject({ outcome: "moved_since", actual: null });
    expect(result.status).not.toBe("success");
  });

  test("is a failure when the read-back failed, whatever the broker answered", () => {
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

  test("says that a commit without an answer may take effect yet, where it has not", () => {
    const result = settled(saved, live, group({ "t-0": at(5n), "t-1": at(9n) }), new Map([["g", lost]]));
    const partitions = result.groups.get("g")?.partitions;
    expect(partitions?.get("t-0")).not.toHaveProperty("inDoubt");
    expect(partitions?.get("t-1")).toMatchObject({ outcome: "failed", inDoubt: true, actual: at(9n) });
    expect(result.groups.get("g")?.error).toMatch(
      /^KafkaUnavailable: no answer\. .*may still carry it out, and resume checks that$/,
    );
  });

  test("says not_attempted of what was not sent", () => {
    expect(outcomesOf(settled(saved, live, live, new Map()))).toEqual(["not_attempted", "not_attempted"]);
  });

  test("leaves extra commits out of the verification, and reports them", () => {
    const more = group({ "t-0": at(9n), "t-1": at(6n), "t-2": at(1n) });
    const result = settled(saved, more, group({ "t-0": at(5n), "t-1": at(6n), "t-2": at(1n) }));
    expect(result).toMatchObject({ status: "success", verification: { verified: true, checked: 2 } });
    expect(result.extra).toMatchObject([{ topic: "t", partition: 2, commit: { offset: 1n } }]);
  });

  const undone = group({ "t-0": at(5n), "t-1": at(6n), "t-2": at(1n) });
  const exactly = unblockedPlan(saved, undone, { exact: true });

  test("calls a commit deleted that is gone, whatever the broker answered", () => {
    const untold = new Map([["g", outcomes(["t-2"], { kind: "unknown", error: "KafkaUnavailable", message: "lost" })]]);
    for (const sent of [accepted(exactly), untold]) {
      const result = settle(exactly, sent, { commits: saved, errors: [] });
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

  test("never takes an accepted delete for done that reads back as a commit", () => {
    const result = settle(exactly, accepted(exactly), { commits: undone, errors: [] });
    expect(result).toMatchObject({ status: "failed", groupsFailed: 1, offsetsDeleted: 0 });
    expect(result.groups.get("g")?.partitions.get("t-2")).toMatchObject({ outcome: "moved_since", actual: at(1n) });
    expect(result.verification).toMatchObject({ verified: false, mismatches: [{ partition: 2, kind: "extra" }] });
  });

  test("skips a partition without lowering the status, wherever it stands by now", () => {
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

  test("skips a group that is left out, says why, and does not lower the status", () => {
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

  test("is partial where one group stands at its targets and another could not be read back", () => {
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

  /** What became of a partition, from where it was, where it was to be, and where it is. */
  function outcomeOf(plan: PartitionPlan, sent: CommitOutcome | undefined, actual: Commit | null): PartitionOutcome {
    if (plan.action === "skip") return "skipped";
    const wasThere = sameCommit(plan.from, plan.to);
    if (sameCommit(actual, plan.to)) return wasThere ? "unchanged" : plan.to === null ? "deleted" : "restored";
    if (wasThere || plan.done || sent?.kind === "accepted") return "moved_since";
    return sent === undefined || sent.kind === "not_attempted" ? "not_attempted" : "failed";
  }

  test("agrees with where everything was, was to be and is, whatever was answered, lost, moved or unreadable", () => {
    const answers = ["accepted", "refused", "unknown", "not_attempted", "never asked"] as const;
    fc.assert(
      fc.property(unblockedSituation, fc.gen(), (one, pick) => {
        let [plan, live] = [one.plan, one.live];
        const some = (writes: ReturnType<typeof writesOf>) =>
          new Map([...writes].map(([name, keys]) => [name, new Map([...keys].filter(() => pick(fc.boolean)))]));
        if (pick(fc.boolean)) {
          live = later(live, apply(live.commits, some(writesOf(plan))));
          plan = planResume(journaled(plan, one.live), live, one.policy.skipBlocked);
          expect(plan.blockers).toEqual([]);
        }
        const writes = writesOf(plan);
        const sent = new Map<string, Map<string, CommitOutcome>>();
        for (const [name, keys] of writes) {
          const told = new Map<string, CommitOutcome>();
          for (const key of keys.keys()) {
            const kind = pick(fc.constantFrom, ...answers);
            if (kind === "accepted") told.set(key, { kind });
            else if (kind !== "never asked") told.set(key, { kind, error: "E", message: `${kind}` });
          }
          sent.set(name, told);
        }
        const after = new Map<string, Map<string, Commit>>();
        for (const [name, keys] of apply(live.commits, some(writes))) after.set(name, new Map(keys));
        for (const [name, { partitions }] of plan.groups) {
          const there = after.get(name) ?? new Map<string, Commit>();
          after.set(name, there);
          for (const key of partitions.keys()) {
            const moved = pick(fc.option, fc.option(nearCommit), { nil: undefined, freq: 1 });
            if (moved !== undefined && pick(fc.boolean)) {
              if (moved === null) there.delete(key);
              else there.set(key, moved);
            }
          }
        }
        const errors: { group: string; error: string; message: string }[] = [];
        for (const name of plan.groups.keys()) {
          const fate = pick(fc.nat, { max: 9 });
          if (fate === 0) errors.push({ group: name, error: "KafkaUnavailable", message: "gone" });
          if (fate <= 1) after.delete(name);
        }

        const result = settle(plan, sent, { commits: after, errors });
        const expected = { success: 0, failed: 0, partial_success: 0, skipped: 0 };
        const reached = { restored: 0, deleted: 0 };
        let [compared, unread] = [0, 0];
        const elsewhere = new Set<string>();
        for (const [name, planned] of plan.groups) {
          const found: GroupResult | undefined = result.groups.get(name);
          const all = [...planned.partitions];
          const mine = all.filter(([, { action }]) => action !== "skip");
          expect(found?.source).toBe(planned.source);
          expect([...(found?.partitions.keys() ?? [])]).toEqual([...planned.partitions.keys()]);
          for (const [key, { from, to, asked }] of all) {
            expect(found?.partitions.get(key)).toMatchObject({ from, to, ...(asked !== undefined && { asked }) });
          }
          if (planned.leftOut || (all.length > 0 && mine.length === 0)) {
            const reasons = plan.leftOut.filter((blocker) => blocker.group === name);
            expect(found?.status).toBe("skipped");
            expect(reasons.map(({ kind, message }) => `[${kind}] ${message}`)).toContain(found?.error);
            expect([...(found?.partitions.values() ?? [])].every(({ outcome }) => outcome === "skipped")).toBe(true);
            expected.skipped++;
            continue;
          }
          const there = after.get(name) ?? (all.length === 0 ? new Map<string, Commit>() : undefined);
          if (there === undefined || errors.some((error) => error.group === name)) {
            expect(found).toMatchObject({ status: "failed", error: expect.stringMatching(/^Kafka accepted /) });
            for (const [key, { action }] of all) {
              const kind = sent.get(name)?.get(key)?.kind ?? "not_attempted";
              const claimed = found?.partitions.get(key);
              expect(claimed).not.toHaveProperty("actual");
              expect(claimed?.outcome).toBe(
                action === "skip" ? "skipped" : kind === "not_attempted" ? "not_attempted" : "failed",
              );
            }
            expected.failed++;
            unread++;
            continue;
          }
          let [standing, moved] = [0, 0];
          for (const [key, wanted] of all) {
            const actual = there.get(key) ?? null;
            const outcome = outcomeOf(wanted, sent.get(name)?.get(key), actual);
            const told = found?.partitions.get(key);
            expect(told?.outcome).toBe(outcome);
            if (wanted.action === "skip" || sameCommit(actual, wanted.to)) expect(told).not.toHaveProperty("actual");
            else expect(told?.actual).toEqual(actual);
            if (outcome === "restored" || outcome === "deleted") {
              reached[outcome]++;
              moved++;
            }
            if (wanted.action === "skip") continue;
            if (sameCommit(actual, wanted.to)) standing++;
            else elsewhere.add(JSON.stringify([name, key]));
          }
          const status = standing === mine.length ? "success" : moved > 0 ? "partial_success" : "failed";
          expect(found?.status).toBe(status);
          expect(found?.error !== undefined).toBe(status !== "success");
          expected[status]++;
          compared += mine.length;
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

describe("the result of a group", () => {
  const one = (action: PartitionPlan["action"], from: Commit | null, to: Commit | null): PartitionPlan => ({
    ...{ action, from, to, replayed: 0n, skipped: 0n },
  });
  const planWith = (partitions: Record<string, PartitionPlan>, type = "classic"): Plan => {
    const plan: GroupPlan = {
      type,
      state: "Empty",
      replayed: 0n,
      skipped: 0n,
      partitions: new Map(Object.entries(partitions)),
    };
    const empty = { blockers: [], leftOut: [], warnings: [], extra: [] };
    return { snapshotId: "s", digest: "d", ...empty, groups: new Map([["g", plan]]) };
  };
  const refusal = { kind: "refused", error: "KafkaAuthorization", message: "no right" } as const;
  const lost = { kind: "unknown", error: "KafkaUnavailable", message: "no answer" } as const;
  const ok = { kind: "accepted" } as const;
  const sent = (answers: Record<string, CommitOutcome>) => new Map([["g", new Map(Object.entries(answers))]]);
  const two = planWith({ "t-0": one("rewind", at(9n), at(5n)), "t-1": one("rewind", at(9n), at(6n)) });
  const nothingSent = new Map<string, never>();
  const resultOf = (plan: Plan, answers: ReturnType<typeof sent>, after: Commits) => {
    const result = settle(plan, answers, { commits: after, errors: [] });
    return { ...result, group: result.groups.get("g") };
  };

  test("counts the partitions that have moved, where Kafka refused nothing", () => {
    const moved = group({ "t-0": at(7n), "t-1": at(9n) });
    const result = resultOf(two, sent({ "t-0": ok }), moved);
    expect(result.group?.error).toMatch(/^1 of 2 partitions no longer stand at their targets/);
    expect(result.group?.status).toBe("failed");
  });

  test("counts those too where no commit was sent at all", () => {
    const still = planWith({ "t-0": one("unchanged", at(5n), at(5n)), "t-1": one("unchanged", at(5n), at(5n)) });
    expect(resultOf(still, nothingSent, group({ "t-0": at(5n), "t-1": at(6n) })).group?.error).toMatch(
      /^1 of 2 partitions no longer stand/,
    );
  });

  test("has the reason that Kafka gave, though it accepted other commits", () => {
    const result = resultOf(two, sent({ "t-0": ok, "t-1": refusal }), group({ "t-0": at(5n), "t-1": at(9n) }));
    expect(result.group).toMatchObject({ status: "partial_success", error: "KafkaAuthorization: no right" });
    expect(result).toMatchObject({ status: "partial_success", offsetsRestored: 1, groupsFailed: 1 });
    expect(result.verification.verified).toBe(false);
  });

  test("warns of a commit that may still be carried out, beside another that was refused", () => {
    const result = resultOf(two, sent({ "t-0": lost, "t-1": refusal }), group({ "t-0": at(9n), "t-1": at(9n) }));
    expect(result.group?.error).toMatch(/^KafkaUnavailable: no answer\. The commit was sent and not answered: /);
  });

  test("is partial where commits were deleted, and others could not be", () => {
    const plan = planWith({ "t-0": one("delete", at(9n), null), "t-1": one("delete", at(9n), null) });
    const result = resultOf(plan, sent({ "t-0": ok, "t-1": refusal }), group({ "t-1": at(9n) }));
    expect(result.group?.status).toBe("partial_success");
    expect(result).toMatchObject({ status: "partial_success", offsetsDeleted: 1, offsetsRestored: 0 });
  });

  test("is not verified where nothing proves a commit that was refused, though the read-back shows its target", () => {
    const share = planWith({ "t-0": one("rewind", at(5n), at(5n)) }, "share");
    const result = resultOf(share, sent({ "t-0": refusal }), group({ "t-0": at(5n) }));
    expect(result).toMatchObject({ status: "failed", verification: { verified: false, mismatches: [] } });
  });

  test("has no fields for what there is not", () => {
    const { group: found } = resultOf(
      planWith({ "t-0": one("rewind", at(9n), at(5n)) }),
      sent({ "t-0": ok }),
      group({ "t-0": at(5n) }),
    );
    expect(found).toStrictEqual({
      status: "success",
      partitions: new Map([["t-0", { outcome: "restored", from: at(9n), to: at(5n) }]]),
    });
  });

  describe("that could not be read back", () => {
    const partitions = {
      "t-0": one("rewind", at(9n), at(5n)),
      "t-1": one("rewind", at(9n), at(5n)),
      "t-2": { ...one("skip", at(9n), at(9n)), asked: at(5n) },
      "t-3": one("rewind", at(9n), at(5n)),
      "t-4": one("rewind", at(9n), at(5n)),
    };
    const answers = sent({ "t-0": ok, "t-1": lost, "t-3": { ...lost, kind: "not_attempted" } });
    const errors = [{ group: "g", error: "KafkaUnavailable", message: "no coordinator" }];

    test("says of each partition what Kafka answered, and which commits may still be carried out", () => {
      const result = settle(planWith(partitions), answers, { commits: new Map(), errors });
      expect(result.groups.get("g")).toStrictEqual({
        status: "failed",
        error: "Kafka accepted 1 commit of 3, but the group's commits could not be read back: no coordinator",
        partitions: new Map(
          Object.entries({
            "t-0": { outcome: "failed", from: at(9n), to: at(5n) },
            "t-1": { outcome: "failed", from: at(9n), to: at(5n), inDoubt: true },
            "t-2": { outcome: "skipped", from: at(9n), to: at(9n), asked: at(5n) },
            "t-3": { outcome: "not_attempted", from: at(9n), to: at(5n) },
            "t-4": { outcome: "not_attempted", from: at(9n), to: at(5n) },
          }),
        ),
      });
      expect(result).toMatchObject({
        status: "failed",
        groupsFailed: 1,
        verification: { verified: false, checked: 0 },
      });
    });

    test("says so where nothing was sent, and where some of its commits were read all the same", () => {
      const result = settle(planWith(partitions), new Map(), { commits: group({ "t-0": at(5n) }), errors });
      expect(result.groups.get("g")?.error).toMatch(
        /^Kafka accepted 0 commits of 0, but .* read back: no coordinator$/,
      );
      expect(settle(planWith(partitions), answers, { commits: new Map(), errors: [] }).groups.get("g")?.error).toMatch(
        /: Kafka's answer left the group out$/,
      );
    });
  });
});
