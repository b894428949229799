import type { Json } from "../shared/core/json.ts";
import type { Blocker, ExtraCommit, Plan } from "../shared/core/plan.ts";
import type { Settlement } from "../shared/core/settle.ts";
import { commitDocument } from "../shared/core/snapshot.ts";
import { verificationDocument } from "../shared/core/verify.ts";

const perKey = <V>(map: ReadonlyMap<string, V>, document: (value: V) => Json): Map<string, Json> =>
  new Map([...map].map(([key, value]) => [key, document(value)]));

const blockerDocument = (blocker: Blocker): Json => ({ ...blocker });

const extraDocument = ({ commit, ...place }: ExtraCommit): Json => ({ ...place, commit: commitDocument(commit) });

/** A plan as a dry run shows it. */
export function planDocument(plan: Plan, warnings: readonly string[]) {
  return {
    dry_run: true,
    snapshot_id: plan.snapshotId,
    plan_digest: plan.digest,
    blockers: plan.blockers.map(blockerDocument),
    warnings,
    groups: perKey(plan.groups, ({ state, replayed, skipped, partitions }) => ({
      state,
      replayed,
      skipped,
      partitions: perKey(partitions, (partition) => ({
        action: partition.action,
        from: commitDocument(partition.from),
        to: commitDocument(partition.to),
        replayed: partition.replayed,
        skipped: partition.skipped,
      })),
    })),
    extra: plan.extra.map(extraDocument),
  } satisfies Json;
}

/** What the result of an execution says beside what became of the groups. */
export interface Execution {
  readonly rollbackId: string;
  readonly snapshotId: string;
  /** Null when nothing had to be committed. */
  readonly safetySnapshotId: string | null;
  readonly warnings: readonly string[];
  /** Whether the caller wants to see the verification. */
  readonly verify: boolean;
  readonly durationMs: number;
}

/** The result of an execution. */
export function resultDocument(execution: Execution, settlement: Settlement) {
  return {
    rollback_id: execution.rollbackId,
    status: settlement.status,
    snapshot_id: execution.snapshotId,
    safety_snapshot_id: execution.safetySnapshotId,
    groups_rolled_back: settlement.groupsRolledBack,
    groups_failed: settlement.groupsFailed,
    offsets_restored: settlement.offsetsRestored,
    groups: perKey(settlement.groups, ({ status, partitions, error }) => ({
      status,
      partitions: perKey(partitions, ({ outcome, from, to, actual }) => ({
        outcome,
        from: commitDocument(from),
        to: commitDocument(to),
        actual: actual === undefined ? undefined : commitDocument(actual),
      })),
      error,
    })),
    extra: settlement.extra.map(extraDocument),
    verification: execution.verify ? verificationDocument(settlement.verification) : undefined,
    warnings: execution.warnings,
    duration_ms: execution.durationMs,
  } satisfies Json;
}
