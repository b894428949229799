import * as z from "zod/mini";
import { rollbackStatuses } from "../shared/core/model.ts";
import { actions, outOfRangePolicies } from "../shared/core/rollback/plan.ts";
import { groupStatuses, partitionOutcomes } from "../shared/core/rollback/settle.ts";
import { uncommittedPolicies } from "../shared/core/rollback/uncommitted.ts";
import { described, optional, type Route, resultObject } from "../shared/lambda/documentation.ts";
import * as wanted from "../shared/lambda/request-fields.ts";
import * as fields from "../shared/lambda/result-fields.ts";
import { byName, commit, count, int64OrNull, mark, targets, textOrNull } from "../shared/lambda/result-fields.ts";

/** What the journal of a rollback has, so that a request to resume it must not say it again. */
const fromJournal = [
  "groups",
  "topics",
  "exact",
  "uncommitted",
  "out_of_range",
  "plan_digest",
  "rollback_id",
  "group_map",
  "description",
] as const;

const digest = z
  .string()
  .check(z.regex(/^[0-9a-f]{64}$/, { error: "must be the plan_digest of a dry run: 64 hexadecimal digits" }));

const flag = (preset: boolean, description: string) => described(z._default(z.boolean(), preset), description);

export const request = z
  .strictObject({
    snapshot_id: optional(
      wanted.snapshot,
      "The snapshot: an id, or with `groups` also `latest` or the newest at or before a time.",
    ),
    resume: optional(
      wanted.rollbackId,
      "An unfinished, partial or failed rollback to resume instead of `snapshot_id`.",
    ),
    ...wanted.restriction,
    dry_run: flag(false, "Whether to return the plan and change nothing."),
    verify: flag(true, "Whether the result has a comparison of all targets with what is committed afterwards."),
    exact: optional(z.boolean(), '`true` is the same as `uncommitted: "delete"`.'),
    uncommitted: optional(
      z.enum(uncommittedPolicies),
      "What to do with commits on partitions that the snapshot lacks: keep them (the default); delete them, so that " +
        "`auto.offset.reset` of the consumers decides; go to the log start; or go to where the log ended when the snapshot " +
        "was taken, never forward.",
    ),
    out_of_range: optional(
      z.enum(outOfRangePolicies),
      "What to do when a target offset is no longer in the log: refuse; clamp it to the log; or skip the partition, whose " +
        "commit then stays as it is.",
    ),
    skip_blocked: flag(false, "Whether to leave out groups that are blocked, and roll back the others."),
    plan_digest: optional(digest, "The `plan_digest` of a dry run: the rollback fails if the plan is another one now."),
    wait_for_empty_seconds: described(
      z._default(z.int().check(z.minimum(0), z.maximum(840)), 0),
      "How long to wait for groups to have no members.",
    ),
    rollback_id: optional(wanted.rollbackId, "An id that makes repetitions safe: one id, one rollback."),
    group_map: optional(
      wanted.groupMap,
      "For each group of the snapshot, the group that gets its commits; an entry with one `*` on each side is a pattern.",
    ),
    detail: wanted.detail,
    requested_by: wanted.requestedBy,
    description: optional(wanted.description, "A text that is kept with the rollback."),
  })
  .check(
    z.superRefine((asked, context) => {
      const problem = (field: string, message: string) => context.addIssue({ code: "custom", path: [field], message });
      if (asked.resume !== undefined) {
        if (asked.snapshot_id === "latest" || typeof asked.snapshot_id === "object") {
          problem("snapshot_id", "comes from the journal when a rollback is resumed: leave it out, or repeat its id");
        }
        for (const field of fromJournal) {
          if (asked[field] !== undefined)
            problem(field, "comes from the journal when a rollback is resumed: leave it out");
        }
        return;
      }
      if (asked.snapshot_id === undefined) {
        problem("snapshot_id", "is missing: name the snapshot to roll back to, or resume with the id of a rollback");
        return;
      }
      if (
        asked.exact !== undefined &&
        asked.uncommitted !== undefined &&
        asked.exact !== (asked.uncommitted === "delete")
      ) {
        problem("uncommitted", `is "${asked.uncommitted}", and exact is ${asked.exact}: set only one of them`);
      }
      const named = asked.groups !== undefined || asked.group_map !== undefined;
      if (named || (typeof asked.snapshot_id === "string" && asked.snapshot_id !== "latest")) return;
      problem(
        "snapshot_id",
        "must be an id when no groups are named: a rollback of all groups must name its snapshot exactly",
      );
    }),
  );

/** A rollback request, read. */
export type Request = z.output<typeof request>;

const moved = (description: string) =>
  described(
    z.strictObject({ to: int64OrNull, replayed: int64OrNull }),
    `${description}: the offset (\`to\`), and how much is replayed.`,
  );

const uncommitted = () =>
  optional(
    z.strictObject({
      acknowledged: described(
        int64OrNull,
        "How many of the offsets appended since the snapshot the commit acknowledges.",
      ),
      delete: described(
        z.strictObject({ replayed: int64OrNull, skipped: int64OrNull }),
        "`replayed` by a consumer with `auto.offset.reset=earliest`, `skipped` by one with `latest`.",
      ),
      log_start: moved("Replaying everything"),
      snapshot_end: moved("Replaying what was appended since the snapshot"),
    }),
    "Where the snapshot has no commit: what each choice of `uncommitted` replays or skips, at most; null is unknown.",
  );

const inBoth = () => ({
  snapshot_id: fields.snapshotId,
  left_out: described(fields.blockers, "The blockers of everything that is left out because the caller asked for it."),
  skipped: described(fields.blockers, "The former name of `left_out`, for one version."),
  warnings: described(fields.sentences, "What to know beside the plan or the result, in sentences."),
  extra: described(
    z.array(z.strictObject({ ...fields.place, commit, uncommitted: uncommitted() })),
    "Commits on partitions that the snapshot lacks, which are kept.",
  ),
});

const partitionPlan = () =>
  z.strictObject({
    action: z.enum(actions),
    ...targets,
    done: mark,
    replayed: int64OrNull,
    skipped: int64OrNull,
    uncommitted: uncommitted(),
  });

const groupPlan = () =>
  z.strictObject({
    source: z.optional(z.string()),
    type: textOrNull,
    state: textOrNull,
    left_out: mark,
    replayed: int64OrNull,
    skipped: int64OrNull,
    partitions: byName(partitionPlan()),
  });

const planTotals = () =>
  z.strictObject({
    groups: count,
    partitions: count,
    replayed: int64OrNull,
    skipped: int64OrNull,
    actions: byName(count),
    blockers: byName(count),
  });

export const dryRunResult = /* @__PURE__ */ resultObject(() => ({
  dry_run: described(z.literal(true), "True in the answer to a dry run."),
  ...inBoth(),
  plan_digest: described(z.string(), "A digest over snapshot, options, targets, live commits and topic ids."),
  totals: described(
    planTotals(),
    "Sums over all groups; partitions by action and blockers by kind, also those that do not occur.",
  ),
  blockers: described(fields.blockers, "Why the rollback would be refused; none: it would run."),
  groups: described(byName(groupPlan()), "The plan by group and topic-partition."),
}));
export type DryRunResult = z.output<typeof dryRunResult>;

const partitionResult = () =>
  z.strictObject({
    outcome: z.enum(partitionOutcomes),
    ...targets,
    actual: z.optional(commit),
    in_doubt: mark,
    error: z.optional(z.string()),
  });

const groupResult = () =>
  z.strictObject({
    source: z.optional(z.string()),
    status: z.enum(groupStatuses),
    partitions: byName(partitionResult()),
    error: z.optional(z.string()),
  });

export const rollbackResult = /* @__PURE__ */ resultObject(() => ({
  rollback_id: described(z.string(), "The id of the rollback."),
  status: described(
    z.enum(rollbackStatuses),
    "`success`, `partial_success` or `failed`; anything but `success` is the error RollbackIncomplete.",
  ),
  ...inBoth(),
  safety_snapshot_id: fields.safetySnapshotId,
  groups_rolled_back: described(count, "How many groups stand at their targets."),
  groups_failed: described(count, "How many groups do not."),
  groups_skipped: described(count, "How many groups were left out."),
  offsets_restored: described(count, "How many partitions were committed and stand at their targets."),
  offsets_deleted: described(count, "How many commits were deleted."),
  groups: described(byName(groupResult()), "The result by group and topic-partition."),
  failed_groups: optional(
    z.array(z.strictObject({ group: z.string(), status: z.enum(groupStatuses), error: z.optional(z.string()) })),
    "In a summary: the groups that do not stand at their targets, and why.",
  ),
  verification: optional(
    z.strictObject({ verified: z.boolean(), checked: count, mismatches: fields.mismatches }),
    "The comparison of all targets with what is committed; absent with `verify: false`.",
  ),
  resumed: described(mark, "True where this call resumed an earlier one."),
  repeated: described(mark, "True where this call did nothing, and the result is that of an earlier call."),
  duration_ms: described(count, "How long it took."),
}));
export type RollbackResult = z.output<typeof rollbackResult>;

export const result = /* @__PURE__ */ z.union([dryRunResult, rollbackResult]);

export const summary =
  "Rolls groups back to a snapshot, or shows what that would do (dry run). If anything is blocked, nothing is changed.";
export const routes: readonly Route[] = [{ method: "POST", path: "/snapshots/{snapshot_id}/rollback" }];
