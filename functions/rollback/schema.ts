import * as z from "zod/mini";
import { rollbackStatuses } from "../shared/core/model.ts";
import { actions, outOfRangePolicies } from "../shared/core/rollback/plan.ts";
import { groupStatuses, partitionOutcomes } from "../shared/core/rollback/settle.ts";
import { described, type Route, unbundled } from "../shared/lambda/documentation.ts";
import {
  description,
  groupMap,
  requestedBy,
  rollbackId,
  selectors,
  snapshotRef,
  topicSelectors,
} from "../shared/lambda/request-fields.ts";
import { blocker, byName, commit, count, int64, mismatches, warnings } from "../shared/lambda/result-fields.ts";

/** What the journal of a rollback has, so that a request to resume it must not say it again. */
const fromJournal = [
  "groups",
  "topics",
  "exact",
  "out_of_range",
  "plan_digest",
  "rollback_id",
  "group_map",
  "description",
] as const;

export const request = z
  .strictObject({
    snapshot_id: described(
      z.optional(snapshotRef),
      "The snapshot: an id, or with `groups` also `latest` or the newest at or before a time.",
    ),
    resume: described(
      z.optional(rollbackId),
      "The id of an unfinished, partial or failed rollback to resume, instead of `snapshot_id`.",
    ),
    groups: described(z.optional(selectors), "Only these groups: names, or patterns with `*` and `?`."),
    topics: described(z.optional(topicSelectors), "Only commits on these topics: names, or patterns with `*` and `?`."),
    dry_run: described(z._default(z.boolean(), false), "Whether to return the plan and change nothing."),
    verify: described(
      z._default(z.boolean(), true),
      "Whether the result has a comparison of all targets with what is committed afterwards.",
    ),
    exact: described(z.optional(z.boolean()), "Whether to delete commits on partitions that the snapshot lacks."),
    out_of_range: described(
      z.optional(z.enum(outOfRangePolicies)),
      "What to do when a target offset is no longer in the log: refuse, clamp it to the log, or skip it.",
    ),
    skip_blocked: described(
      z._default(z.boolean(), false),
      "Whether to leave out groups that are blocked, and roll back the others.",
    ),
    plan_digest: described(
      z.optional(
        z
          .string()
          .check(z.regex(/^[0-9a-f]{64}$/, { error: "must be the plan_digest of a dry run: 64 hexadecimal digits" })),
      ),
      "The `plan_digest` of a dry run: the rollback fails if the plan is another one now.",
    ),
    wait_for_empty_seconds: described(
      z._default(z.int().check(z.minimum(0), z.maximum(840)), 0),
      "How long to wait for groups to have no members.",
    ),
    rollback_id: described(
      z.optional(rollbackId),
      "An id that makes repetitions safe: the same id is the same rollback.",
    ),
    group_map: described(z.optional(groupMap), "For each group of the snapshot, the group that gets its commits."),
    requested_by: described(
      z.optional(requestedBy),
      "Who asks, in a direct invocation. Over HTTP it is the caller's IAM ARN.",
    ),
    description: described(z.optional(description), "A text that is kept with the rollback."),
  })
  .check(
    z.superRefine((wanted, context) => {
      const problem = (field: string, message: string) => context.addIssue({ code: "custom", path: [field], message });
      if (wanted.resume !== undefined) {
        if (wanted.snapshot_id === "latest" || typeof wanted.snapshot_id === "object") {
          problem("snapshot_id", "comes from the journal when a rollback is resumed: leave it out, or repeat its id");
        }
        for (const field of fromJournal) {
          if (wanted[field] !== undefined)
            problem(field, "comes from the journal when a rollback is resumed: leave it out");
        }
        return;
      }
      if (wanted.snapshot_id === undefined) {
        problem("snapshot_id", "is missing: name the snapshot to roll back to, or resume with the id of a rollback");
        return;
      }
      const named = wanted.groups !== undefined || wanted.group_map !== undefined;
      if (named || (typeof wanted.snapshot_id === "string" && wanted.snapshot_id !== "latest")) return;
      problem(
        "snapshot_id",
        "must be an id when no groups are named: a rollback of all groups must name its snapshot exactly",
      );
    }),
  );

/** A rollback request, read. */
export type Request = z.output<typeof request>;

const left_out = /* @__PURE__ */ unbundled(() => z.array(blocker));
const extra = /* @__PURE__ */ unbundled(() =>
  z.array(z.strictObject({ group: z.string(), topic: z.string(), partition: z.int(), commit })),
);

export const dryRunResult = /* @__PURE__ */ unbundled(() =>
  z.strictObject({
    dry_run: described(z.literal(true), "True in the answer to a dry run."),
    snapshot_id: described(z.string(), "The id of the snapshot."),
    plan_digest: described(z.string(), "A digest over snapshot, options, targets, live commits and topic ids."),
    blockers: described(z.array(blocker), "Why the rollback would be refused; none: it would run."),
    left_out: described(left_out, "The blockers of everything that is left out because the caller asked for it."),
    skipped: described(left_out, "The former name of `left_out`, for one version."),
    warnings: described(warnings, "What to know beside the plan or the result, in sentences."),
    groups: described(
      byName(
        z.strictObject({
          source: z.optional(z.string()),
          type: z.nullable(z.string()),
          state: z.nullable(z.string()),
          left_out: z.optional(z.literal(true)),
          replayed: z.nullable(int64),
          skipped: z.nullable(int64),
          partitions: byName(
            z.strictObject({
              action: z.enum(actions),
              from: commit,
              to: commit,
              asked: z.optional(commit),
              done: z.optional(z.literal(true)),
              replayed: z.nullable(int64),
              skipped: z.nullable(int64),
            }),
          ),
        }),
      ),
      "The plan or the result by group and topic-partition.",
    ),
    extra: described(extra, "Commits on partitions that the snapshot lacks, which are kept."),
  }),
);
export type DryRunResult = z.output<typeof dryRunResult>;

export const rollbackResult = /* @__PURE__ */ unbundled(() =>
  z.strictObject({
    rollback_id: described(z.string(), "The id of the rollback."),
    status: described(
      z.enum(rollbackStatuses),
      "`success`, `partial_success` or `failed`; anything but `success` is the error RollbackIncomplete.",
    ),
    snapshot_id: described(z.string(), "The id of the snapshot."),
    safety_snapshot_id: described(
      z.nullable(z.string()),
      "The snapshot of the state before the first commit; null where nothing had to be committed.",
    ),
    groups_rolled_back: described(count, "How many groups stand at their targets."),
    groups_failed: described(count, "How many groups do not."),
    groups_skipped: described(count, "How many groups were left out."),
    offsets_restored: described(count, "How many partitions were committed and stand at their targets."),
    offsets_deleted: described(count, "How many commits were deleted."),
    groups: described(
      byName(
        z.strictObject({
          source: z.optional(z.string()),
          status: z.enum(groupStatuses),
          partitions: byName(
            z.strictObject({
              outcome: z.enum(partitionOutcomes),
              from: commit,
              to: commit,
              asked: z.optional(commit),
              actual: z.optional(commit),
              in_doubt: z.optional(z.literal(true)),
            }),
          ),
          error: z.optional(z.string()),
        }),
      ),
      "The plan or the result by group and topic-partition.",
    ),
    extra: described(extra, "Commits on partitions that the snapshot lacks, which are kept."),
    left_out: described(left_out, "The blockers of everything that is left out because the caller asked for it."),
    skipped: described(left_out, "The former name of `left_out`, for one version."),
    verification: described(
      z.optional(z.strictObject({ verified: z.boolean(), checked: count, mismatches })),
      "The comparison of all targets with what is committed; absent with `verify: false`.",
    ),
    warnings: described(warnings, "What to know beside the plan or the result, in sentences."),
    resumed: described(z.optional(z.literal(true)), "True where this call resumed an earlier one."),
    repeated: described(
      z.optional(z.literal(true)),
      "True where this call did nothing, and the result is that of an earlier call.",
    ),
    duration_ms: described(count, "How long it took."),
  }),
);
export type RollbackResult = z.output<typeof rollbackResult>;

export const result = /* @__PURE__ */ unbundled(() => z.union([dryRunResult, rollbackResult]));

export const summary =
  "Rolls groups back to a snapshot, or shows what that would do (dry run). If anything is blocked, nothing is changed.";
export const routes: readonly Route[] = [{ method: "POST", path: "/snapshots/{snapshot_id}/rollback" }];
