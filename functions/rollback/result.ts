import {
  type Details,
  GroupNotEmpty,
  type OperationError,
  RollbackBlocked,
  RollbackIncomplete,
} from "../shared/core/errors.ts";
import { anyKey, document, mapOf, mark, oneOf, optional, text } from "../shared/core/json/codec.ts";
import { entriesOf, isFields } from "../shared/core/json/json.ts";
import type { Plan } from "../shared/core/rollback/plan.ts";
import { encodeLeftOut, extraCommits } from "../shared/core/rollback/plan-document.ts";
import { type GroupResult, groupStatuses, partitionOutcomes, type Settlement } from "../shared/core/rollback/settle.ts";
import { commitOrNull } from "../shared/core/snapshot.ts";
import { count, nameSome } from "../shared/core/text.ts";
import { verificationDocument } from "../shared/core/verify.ts";
import type { Result } from "../shared/lambda/handler.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import { encodeDryRun } from "../shared/planning/dry-run.ts";
import type { JournalRecord } from "../shared/storage/journal-record.ts";
import type { RollbackResult } from "./schema.ts";

/** A result, or the details of an error, as a summary is made from it: it names the groups that failed. */
export function forSummary(result: Details): Details {
  const { groups, groups_failed } = result;
  if (groups_failed === undefined || groups === undefined) return result;
  const all = entriesOf(groups);
  const failed = all.flatMap(([group, outcome]) => {
    const { status, error } = isFields(outcome) ? outcome : {};
    return status === "failed" || status === "partial_success" ? [{ group, status, error }] : [];
  });
  return { ...result, groups: new Map(all), failed_groups: failed };
}

const groupResults = mapOf(
  anyKey,
  document({
    source: optional(text),
    status: oneOf(groupStatuses),
    partitions: mapOf(
      anyKey,
      document({
        outcome: oneOf(partitionOutcomes),
        from: commitOrNull,
        to: commitOrNull,
        asked: optional(commitOrNull),
        actual: optional(commitOrNull),
        in_doubt: optional(mark),
        error: optional(text),
      }),
    ),
    error: optional(text),
  }),
);

/** The result of a rollback, as it is answered and as the journal keeps it. */
export function encodeResult(
  { rollbackId, snapshotId, safetySnapshotId, attempts }: JournalRecord,
  plan: Plan,
  settlement: Settlement,
  durationMs: number,
): Encoded<RollbackResult> {
  return {
    rollback_id: rollbackId,
    status: settlement.status,
    snapshot_id: snapshotId,
    safety_snapshot_id: safetySnapshotId,
    groups_rolled_back: settlement.groupsRolledBack,
    groups_failed: settlement.groupsFailed,
    groups_skipped: settlement.groupsSkipped,
    offsets_restored: settlement.offsetsRestored,
    offsets_deleted: settlement.offsetsDeleted,
    groups: groupResults.encode(settlement.groups),
    extra: extraCommits.encode(settlement.extra),
    ...encodeLeftOut(plan),
    failed_groups: undefined,
    verification: verificationDocument.encode(settlement.verification),
    warnings: plan.warnings,
    resumed: attempts > 1 || undefined,
    repeated: undefined,
    duration_ms: durationMs,
  };
}

/** A result with these warnings after its own. */
export function addWarnings(result: Result, more: readonly string[]): Result {
  if (more.length === 0) return result;
  const { warnings } = result;
  return { ...result, warnings: [...(Array.isArray(warnings) ? warnings : []), ...more] };
}

/**
 * The error of a plan that is refused: it names the first blockers, and its details are the whole plan.
 *
 * @param what what was refused: `the rollback to snapshot-…`
 * @param advice the next step beside those that the blockers name
 * @param waitedSeconds how long the call waited for groups to be empty
 */
export function refusal(plan: Plan, what: string, advice: string | undefined, waitedSeconds: number): OperationError {
  const { blockers } = plan;
  const onlyMembers = blockers.every(({ kind }) => kind === "group_not_empty");
  const shown = blockers.slice(0, 3).map(({ kind, message }) => `[${kind}] ${message}`);
  const rest =
    blockers.length > shown.length ? ` And ${blockers.length - shown.length} more: a dry run shows all.` : "";
  const message = `${what} was refused. ${shown.join(" ")}${rest}`;
  const waited =
    onlyMembers && waitedSeconds > 0
      ? `This call waited ${waitedSeconds} s: as long as wait_for_empty_seconds and the time of the call (27 s over HTTP) allow.`
      : undefined;
  const next = [advice, waited].filter((part) => part !== undefined);
  const options = { ...(next.length > 0 && { next: next.join(" ") }), details: encodeDryRun(plan) };
  return onlyMembers ? new GroupNotEmpty(message, options) : new RollbackBlocked(message, options);
}

const safetyOf = (safetySnapshotId: string | null) =>
  safetySnapshotId === null
    ? "There is no safety snapshot: nothing had to be committed."
    : `Safety snapshot ${safetySnapshotId} has the state before the rollback.`;

const seeIt = (rollbackId: string) => `call rollbacks {"rollback_id": "${rollbackId}"}`;

const resumeIt = (rollbackId: string) =>
  `To resume the remaining groups, send {"resume": "${rollbackId}"}; to see everything, ${seeIt(rollbackId)}.`;

/** What to do about groups that another client has moved since. */
const planAgain = (rollbackId: string, moved: number) =>
  "Stop the client that committed (consumers, scripts, MirrorMaker). Then make a new dry run for " +
  `${moved === 1 ? "this group" : "these groups"}: resume does not move ${moved === 1 ? "it" : "them"} again. To see ` +
  `everything, ${seeIt(rollbackId)}.`;

/** What to do where another client has moved some of the groups, or may have, and others are to be resumed. */
const resumeOthers = (rollbackId: string) =>
  `To resume the groups that failed, send {"resume": "${rollbackId}", "skip_blocked": true}. Groups that another client has ` +
  `moved since are left where they stand: they need a new dry run. To see everything, ${seeIt(rollbackId)}.`;

/** Whether a group is not at its targets only because another client has moved it since. */
const isMovedSince = ({ partitions }: GroupResult) =>
  [...partitions.values()].every(({ outcome }) => outcome !== "failed" && outcome !== "not_attempted");

/** The error of a rollback that ran and did not reach all its targets. */
export function incomplete(
  { rollbackId, snapshotId, safetySnapshotId }: JournalRecord,
  settlement: Settlement,
  details: Encoded<RollbackResult>,
  unclosed: string | undefined,
): RollbackIncomplete {
  const failed = [...settlement.groups].filter(([, { status }]) => status === "failed" || status === "partial_success");
  const moved = failed.filter(([, group]) => isMovedSince(group)).length;
  const advice =
    moved === 0
      ? resumeIt(rollbackId)
      : moved === failed.length
        ? planAgain(rollbackId, moved)
        : resumeOthers(rollbackId);
  return new RollbackIncomplete(
    `${rollbackId} to ${snapshotId} ended as ${settlement.status}. At their targets: ${settlement.groupsRolledBack} of ` +
      `${count(settlement.groups.size, "group")}. Not at their targets: ${nameSome(failed.map(([group]) => group))} ` +
      `(${failed[0]?.[1].error}). ${safetyOf(safetySnapshotId)}`,
    { next: unclosed ?? advice, details },
  );
}

/** The error of a rollback that ended unexpectedly after its first commit may have been sent. */
export function interrupted({ rollbackId, safetySnapshotId }: JournalRecord, cause: unknown): RollbackIncomplete {
  return new RollbackIncomplete(
    `${rollbackId} was interrupted (${cause instanceof Error ? cause.message : String(cause)}): some groups may have been ` +
      `moved, others not. ${safetyOf(safetySnapshotId)}`,
    { next: resumeIt(rollbackId), details: { rollback_id: rollbackId, safety_snapshot_id: safetySnapshotId }, cause },
  );
}

/** The error of a rollback that an earlier call ended without reaching all its targets; `details` is its result. */
export function repeatedFailure(record: JournalRecord, details: Details): RollbackIncomplete {
  const { rollbackId, snapshotId, status, endedAt, safetySnapshotId, supersededBy } = record;
  return new RollbackIncomplete(
    `${rollbackId} to ${snapshotId} ended as ${status} at ${endedAt}, and this call committed nothing: the details are the ` +
      `recorded result. ${safetyOf(safetySnapshotId)}`,
    {
      next:
        supersededBy === undefined
          ? resumeOthers(rollbackId)
          : `${supersededBy} has superseded it: ${seeIt(supersededBy)}.`,
      details,
    },
  );
}
