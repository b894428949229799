import {
  GroupNotEmpty,
  type OperationError,
  PlanChanged,
  RollbackBlocked,
  RollbackIncomplete,
} from "../shared/core/errors.ts";
import type { Json } from "../shared/core/json/json.ts";
import type { Plan } from "../shared/core/rollback/plan.ts";
import { blockerDocument, extraDocument, planDocument } from "../shared/core/rollback/plan-document.ts";
import type { GroupResult, Settlement } from "../shared/core/rollback/settle.ts";
import { commitDocument } from "../shared/core/snapshot.ts";
import { count, nameSome } from "../shared/core/text.ts";
import { verificationDocument } from "../shared/core/verify.ts";
import type { Result } from "../shared/lambda/operation.ts";

/** A plan, as a dry run is answered. */
export function dryRunDocument(plan: Plan) {
  return { dry_run: true, ...planDocument(plan) } satisfies Json;
}

/** What the result of an execution says beside what became of the groups. */
export interface Execution {
  readonly rollbackId: string;
  readonly snapshotId: string;
  /** Null when nothing had to be committed. */
  readonly safetySnapshotId: string | null;
  readonly warnings: readonly string[];
  /** Whether an earlier call had begun it. */
  readonly resumed: boolean;
  readonly durationMs: number;
}

const groupDocument = ({ source, status, partitions, error }: GroupResult): Json => ({
  source,
  status,
  partitions: new Map(
    [...partitions].map(([key, { outcome, from, to, asked, actual, inDoubt }]) => [
      key,
      {
        outcome,
        from: commitDocument(from),
        to: commitDocument(to),
        asked: asked === undefined ? undefined : commitDocument(asked),
        actual: actual === undefined ? undefined : commitDocument(actual),
        in_doubt: inDoubt,
      },
    ]),
  ),
  error,
});

/** The result of an execution, as it is answered and as the journal keeps it. */
export function resultDocument(execution: Execution, plan: Plan, settlement: Settlement) {
  return {
    rollback_id: execution.rollbackId,
    status: settlement.status,
    snapshot_id: execution.snapshotId,
    safety_snapshot_id: execution.safetySnapshotId,
    groups_rolled_back: settlement.groupsRolledBack,
    groups_failed: settlement.groupsFailed,
    groups_skipped: settlement.groupsSkipped,
    offsets_restored: settlement.offsetsRestored,
    offsets_deleted: settlement.offsetsDeleted,
    groups: new Map([...settlement.groups].map(([group, result]) => [group, groupDocument(result)])),
    extra: settlement.extra.map(extraDocument),
    skipped: plan.skipped.map(blockerDocument),
    verification: verificationDocument(settlement.verification),
    warnings: execution.warnings,
    resumed: execution.resumed || undefined,
    duration_ms: execution.durationMs,
  } satisfies Json;
}

/** The error of a plan that is refused: it names the first reasons, and its details are the whole plan. */
export function refusal(plan: Plan, what: string): OperationError {
  const { blockers } = plan;
  const shown = blockers.slice(0, 3).map(({ kind, message }) => `[${kind}] ${message}`);
  const rest =
    blockers.length > shown.length ? ` And ${blockers.length - shown.length} more: a dry run shows all.` : "";
  const message = `${what} was refused, and nothing was touched. ${shown.join(" ")}${rest}`;
  const options = { details: dryRunDocument(plan) };
  return blockers.every(({ kind }) => kind === "group_not_empty")
    ? new GroupNotEmpty(message, options)
    : new RollbackBlocked(message, options);
}

/** The error of a plan that is not the one that the caller has seen. */
export function planChanged(plan: Plan, seen: string): PlanChanged {
  return new PlanChanged(
    `the plan that the digest ${seen.slice(0, 12)}… stands for is not what a rollback to ${plan.snapshotId} would do now ` +
      `(${plan.digest.slice(0, 12)}…): commits, topics, blocked groups or options are not the same. Nothing was touched. ` +
      `${plan.blockers.length > 0 ? `There are ${count(plan.blockers.length, "blocker")} now. ` : ""}Look at a new dry run, ` +
      "and send its plan_digest.",
    { details: dryRunDocument(plan) },
  );
}

/** The error of a rollback that ran and did not reach all its targets. */
export function incomplete(
  execution: Execution,
  settlement: Settlement,
  details: Result,
  unclosed: string | undefined,
): RollbackIncomplete {
  const { rollbackId, snapshotId, safetySnapshotId } = execution;
  const failed = [...settlement.groups].filter(([, { status }]) => status === "failed" || status === "partial_success");
  return new RollbackIncomplete(
    `${rollbackId} to ${snapshotId} ended as ${settlement.status}: ${settlement.groupsRolledBack} of ` +
      `${count(settlement.groups.size, "group")} stand at their targets, ${nameSome(failed.map(([group]) => group))} ` +
      `${failed.length === 1 ? "does" : "do"} not (${failed[0]?.[1].error}). Safety snapshot ` +
      `${safetySnapshotId ?? "(none: nothing had to be committed)"} has the state from before. ` +
      (unclosed ??
        `{"resume": "${rollbackId}"} does what is left, {"rollback_id": "${rollbackId}"} of rollbacks shows it all.`),
    { details },
  );
}
