import * as z from "zod/mini";
import { rollbackStatuses } from "../shared/core/model.ts";
import { groupStatuses, partitionOutcomes } from "../shared/core/rollback/settle.ts";
import { described, optional, type Route, resultObject } from "../shared/lambda/documentation.ts";
import * as wanted from "../shared/lambda/request-fields.ts";
import * as fields from "../shared/lambda/result-fields.ts";
import { byName, commit, count, mark, targets } from "../shared/lambda/result-fields.ts";
import { dryRunResult, inBoth, planFields, planProblems } from "../shared/planning/schema.ts";

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

const flag = (preset: boolean, description: string) => described(z._default(z.boolean(), preset), description);

const wait = described(
  z._default(z.int().check(z.minimum(0), z.maximum(840)), 0),
  "How long to wait for groups to have no members.",
);
const verify = flag(true, "Whether the result has a comparison of all targets with what is committed afterwards.");
const keptText = optional(wanted.description, "A text that is kept with the rollback.");

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
    ...planFields,
    dry_run: flag(false, "Whether to return the plan and change nothing."),
    verify,
    wait_for_empty_seconds: wait,
    rollback_id: optional(wanted.rollbackId, "An id that makes repetitions safe: one id, one rollback."),
    requested_by: wanted.requestedBy,
    description: keptText,
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
      for (const [field, message] of planProblems(asked)) problem(field, message);
    }),
  );

const { exact: _, detail: __, ...laterPlan } = planFields;

/** The path whose requests run after their callers were answered. */
export const laterPath = "/rollbacks";

/** What `POST /rollbacks` takes: a rollback that runs after its caller was answered, and is looked up by its id. */
export const laterRequest = z.strictObject({
  rollback_id: described(wanted.rollbackId, "The id under which to look it up, and which makes repetitions safe."),
  snapshot_id: described(
    wanted.snapshot,
    "The snapshot: an id, or with `groups` also `latest` or the newest at or before a time.",
  ),
  ...laterPlan,
  verify,
  wait_for_empty_seconds: wait,
  requested_by: wanted.requestedBy,
  description: keptText,
});

/** A rollback request, read. */
export type Request = z.output<typeof request>;

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
export const routes: readonly Route[] = [
  { method: "POST", path: "/snapshots/{snapshot_id}/rollback" },
  { method: "POST", path: laterPath, later: laterRequest },
];
