import { ClusterMismatch, GroupNotEmpty, PlanChanged, RollbackBlocked } from "../shared/core/errors.ts";
import type { Measurement } from "../shared/core/metrics.ts";
import type { RollbackStatus } from "../shared/core/model.ts";

/** How a call ended that was to move offsets. `interrupted`: what it changed is not known; `refused`: it changed nothing. */
type Outcome = RollbackStatus | "interrupted" | "refused";

const refusals = [RollbackBlocked, GroupNotEmpty, ClusterMismatch, PlanChanged];

/** Whether an error refuses a rollback because of the state of its groups, not because of a mistake in its request. */
export const isRefusal = (error: unknown): boolean => refusals.some((kind) => error instanceof kind);

/** What a rollback counts as that ended so. */
export function measurementsOf(outcome: Outcome): readonly Measurement[] {
  const ended: Measurement = { name: "Rollbacks", value: 1, by: { outcome } };
  return outcome === "success" ? [ended] : [ended, { name: "UnsuccessfulRollbacks", value: 1, by: {} }];
}
