import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Commits, countOffsets } from "../../functions/shared/core/model.ts";
import { commitsOf } from "../../functions/shared/core/plan.ts";
import { settle } from "../../functions/shared/core/settle.ts";
import { commits } from "../support/arbitraries.ts";
import { accepted, apply, at, group, outcomes, planOf } from "../support/states.ts";

describe("settle", () => {
  const settled = (saved: Commits, live: Commits, after: Commits, sent = accepted(commitsOf(planOf(saved, live)))) =>
    settle(planOf(saved, live), sent, { commits: after, errors: [] });

  test("is a success when everything was accepted and is read back so, for any state", () => {
    fc.assert(
      fc.property(commits, commits, (saved, live) => {
        const plan = planOf(saved, live);
        const committed = commitsOf(plan);
        const result = settle(plan, accepted(committed), { commits: apply(live, committed), errors: [] });
        expect(result).toMatchObject({
          status: "success",
          groupsRolledBack: saved.size,
          groupsFailed: 0,
          offsetsRestored: countOffsets(committed),
          verification: { verified: true, mismatches: [] },
        });
        const partitions = [...result.groups.values()].flatMap((one) => [...one.partitions.values()]);
        expect(partitions.length).toBe(countOffsets(saved));
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
    expect(result.groups.get("g")?.error).toBe("it has got members");
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
    const plan = planOf(saved, live);
    const unread = { commits: new Map(), errors: [{ group: "g", error: "KafkaUnavailable", message: "gone" }] };
    const result = settle(plan, accepted(commitsOf(plan)), unread);
    expect(result).toMatchObject({
      status: "failed",
      groupsRolledBack: 0,
      verification: { verified: false, checked: 0, mismatches: [] },
    });
    expect(result.groups.get("g")?.error).toContain("Kafka accepted 2 commits of 2");
    expect(settle(plan, accepted(commitsOf(plan)), { commits: new Map(), errors: [] }).status).toBe("failed");
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
});
