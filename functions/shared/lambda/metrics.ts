import type { OperationError } from "../core/errors.ts";
import type { Measurement } from "../core/metrics.ts";
import { envNames } from "./env.ts";
import { statusOf } from "./http.ts";

/**
 * What a failed call counts as. A mistake of the caller is counted by its name only: the caller has the answer. The answer to a
 * schedule has no reader, so each of its errors is a failed snapshot.
 */
export function errorMeasurements(error: OperationError, isScheduled: boolean): readonly Measurement[] {
  const named: Measurement = { name: "Errors", value: 1, by: { error: error.name } };
  if (isScheduled) return [named, { name: "FailedScheduledSnapshots", value: 1, by: {} }];
  // A rollback that did not complete is counted as such.
  const isFault = statusOf(error) >= 500 && error.name !== "RollbackIncomplete";
  return isFault ? [named, { name: "Faults", value: 1, by: {} }] : [named];
}

/**
 * Writes the measurements of an invocation. The deployment's name is in the environment; without it, nothing is written. A
 * failure is logged only: the answer is more important.
 */
export async function emit(measurements: readonly Measurement[], log: Pick<Console, "warn">): Promise<void> {
  const deployment = process.env[envNames.deployment];
  if (deployment === undefined || measurements.length === 0) return;
  try {
    const { writeMetrics } = await import("./emf.ts"); // not read by a cold start
    writeMetrics(measurements, deployment);
  } catch (cause) {
    log.warn("the metrics of this invocation could not be written", { cause: String(cause) });
  }
}
