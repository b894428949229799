import { describe, expect, test } from "vitest";
import type { Commit, CommitOutcome, Commits } from "../../../../functions/shared/core/model.ts";
import type { GroupPlan, PartitionPlan, Plan } from "../../../../functions/shared/core/rollback/plan.ts";
import { settle } from "../../../../functions/shared/core/rollback/settle.ts";
import { at, group } from "../../../support/states.ts";

describe("the result of a group", () => {
  const partitionPlan = (action: PartitionPlan["action"], from: Commit | null, to: Commit | null): PartitionPlan => ({
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
  const two = planWith({
    "t-0": partitionPlan("rewind", at(9n), at(5n)),
    "t-1": partitionPlan("rewind", at(9n), at(6n)),
  });
  const nothingSent = new Map<string, never>();
  const resultOf = (plan: Plan, answers: ReturnType<typeof sent>, after: Commits) => {
    const result = settle(plan, answers, { commits: after, errors: [] });
    return { ...result, group: result.groups.get("g") };
  };

  test("counts the partitions that were moved since, if Kafka refused no commit", () => {
    const moved = group({ "t-0": at(7n), "t-1": at(9n) });
    const result = resultOf(two, sent({ "t-0": ok }), moved);
    expect(result.group?.error).toMatch(/^No longer at their targets: 1 of 2 partitions\. /);
    expect(result.group?.status).toBe("failed");
  });

  test("counts partitions that were moved since even if no commit was sent", () => {
    const still = planWith({
      "t-0": partitionPlan("unchanged", at(5n), at(5n)),
      "t-1": partitionPlan("unchanged", at(5n), at(5n)),
    });
    expect(resultOf(still, nothingSent, group({ "t-0": at(5n), "t-1": at(6n) })).group?.error).toMatch(
      /^No longer at their targets: 1 of 2 partitions\. /,
    );
  });

  test("has the reason of a refused commit beside accepted commits", () => {
    const result = resultOf(two, sent({ "t-0": ok, "t-1": refusal }), group({ "t-0": at(5n), "t-1": at(9n) }));
    expect(result.group).toMatchObject({ status: "partial_success", error: "KafkaAuthorization: no right" });
    expect(result).toMatchObject({ status: "partial_success", offsetsRestored: 1, groupsFailed: 1 });
    expect(result.verification.verified).toBe(false);
  });

  test("warns of a commit that may still take effect, beside a refused commit", () => {
    const result = resultOf(two, sent({ "t-0": lost, "t-1": refusal }), group({ "t-0": at(9n), "t-1": at(9n) }));
    expect(result.group?.error).toMatch(/^KafkaUnavailable: no answer\. The commit was sent and not answered: /);
  });

  test("is a partial success if some deletes were refused", () => {
    const plan = planWith({
      "t-0": partitionPlan("delete", at(9n), null),
      "t-1": partitionPlan("delete", at(9n), null),
    });
    const result = resultOf(plan, sent({ "t-0": ok, "t-1": refusal }), group({ "t-1": at(9n) }));
    expect(result.group?.status).toBe("partial_success");
    expect(result).toMatchObject({ status: "partial_success", offsetsDeleted: 1, offsetsRestored: 0 });
  });

  test("is not verified if a share group's offset was refused and equals its target only because it did before", () => {
    const share = planWith({ "t-0": partitionPlan("rewind", at(5n), at(5n)) }, "share");
    const result = resultOf(share, sent({ "t-0": refusal }), group({ "t-0": at(5n) }));
    expect(result).toMatchObject({ status: "failed", verification: { verified: false, mismatches: [] } });
  });

  test("has no fields for absent values", () => {
    const { group: found } = resultOf(
      planWith({ "t-0": partitionPlan("rewind", at(9n), at(5n)) }),
      sent({ "t-0": ok }),
      group({ "t-0": at(5n) }),
    );
    expect(found).toStrictEqual({
      status: "success",
      partitions: new Map([["t-0", { outcome: "restored", from: at(9n), to: at(5n) }]]),
    });
    expect(found?.partitions.get("t-0")).toStrictEqual({ outcome: "restored", from: at(9n), to: at(5n) });
  });

  describe("that could not be read back", () => {
    const partitions = {
      "t-0": partitionPlan("rewind", at(9n), at(5n)),
      "t-1": partitionPlan("rewind", at(9n), at(5n)),
      "t-2": { ...partitionPlan("skip", at(9n), at(9n)), asked: at(5n) },
      "t-3": partitionPlan("rewind", at(9n), at(5n)),
      "t-4": partitionPlan("rewind", at(9n), at(5n)),
    };
    const answers = sent({ "t-0": ok, "t-1": lost, "t-3": { ...lost, kind: "not_attempted" } });
    const errors = [{ group: "g", error: "KafkaUnavailable", message: "no coordinator" }];

    test("has Kafka's answer for each partition, and names commits that may still take effect", () => {
      const result = settle(planWith(partitions), answers, { commits: new Map(), errors });
      expect(result.groups.get("g")).toStrictEqual({
        status: "failed",
        error:
          "Kafka accepted 1 commit of 3, but the group's commits could not be read back: no coordinator. " +
          'KafkaUnavailable: no answer. 2 of 3 commits were not accepted: "t-1", "t-3"',
        partitions: new Map(
          Object.entries({
            "t-0": { outcome: "failed", from: at(9n), to: at(5n) },
            "t-1": { outcome: "failed", from: at(9n), to: at(5n), inDoubt: true, error: "KafkaUnavailable: no answer" },
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

    test("has an error about the read-back, also if nothing was sent or some commits were read", () => {
      const result = settle(planWith(partitions), new Map(), { commits: group({ "t-0": at(5n) }), errors });
      expect(result.groups.get("g")?.partitions.get("t-0")).toEqual({
        outcome: "not_attempted",
        from: at(9n),
        to: at(5n),
      });
      expect(result.verification).toEqual({ verified: false, checked: 0, mismatches: [] });
      expect(result.groups.get("g")?.error).toMatch(
        /^Kafka accepted 0 commits of 0, but .* read back: no coordinator$/,
      );
      expect(settle(planWith(partitions), answers, { commits: new Map(), errors: [] }).groups.get("g")?.error).toMatch(
        /: Kafka's answer left the group out\. KafkaUnavailable/,
      );
    });
  });
});
