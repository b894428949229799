import { shownCaller } from "../core/caller.ts";
import type { ErrorName } from "../core/error-names.ts";
import type { OperationError } from "../core/errors.ts";
import type { Transport } from "./http.ts";

/** The errors by which an operation refuses a request because of the state that it met. It has changed nothing. */
export const refusals: ReadonlySet<string> = new Set<ErrorName>([
  "ClusterMismatch",
  "GroupNotEmpty",
  "PlanChanged",
  "RollbackBlocked",
  "RollbackInProgress",
  "SnapshotHeld",
]);

/** What an invocation worked on: ids of requests, results, and what an operation adds while it runs. */
const idNames = ["snapshot_id", "from", "to", "rollback_id", "resume", "safety_snapshot_id"] as const;

/** Ids by the names that requests and results have for them. */
export type Ids = { readonly [Name in (typeof idNames)[number]]?: string | null };

/** The ids that a request or a result has. Only what was parsed is passed: ids are short. */
export function idsIn(value: unknown): Ids {
  if (typeof value !== "object" || value === null) return {};
  const ids = idNames.map((name) => [name, Reflect.get(value, name)]);
  return Object.fromEntries(ids.filter(([, id]) => typeof id === "string"));
}

/** What is known of an invocation when it ends. */
export interface Ending {
  readonly operation: string;
  readonly transport: Transport;
  /** The ARN that API Gateway has established. */
  readonly caller: string | null;
  /** What the request says of its sender. */
  readonly requestedBy: string | undefined;
  readonly requestId: string;
  /** The id of the request in the access logs of API Gateway. */
  readonly apiRequestId: string | undefined;
  readonly ids: Ids;
  readonly durationMs: number;
  readonly error?: OperationError;
}

/**
 * The fields of the one line that ends the log of each invocation. `outcome` is `ok`, `refused` (see `refusals`), or the name of
 * an error. Who asked is `caller`; `requested_by` is what a direct invocation says of itself.
 */
export function finalLine({ ids, error, ...ending }: Ending) {
  return {
    operation: ending.operation,
    transport: ending.transport,
    caller: shownCaller(ending.caller),
    requested_by: ending.requestedBy,
    request_id: ending.requestId,
    api_request_id: ending.apiRequestId,
    ...ids,
    outcome: error === undefined ? "ok" : refusals.has(error.name) ? "refused" : error.name,
    duration_ms: ending.durationMs,
    ...(error && {
      error_name: error.name,
      retryable: error.retryable,
      ...(error.cause instanceof Error && { cause: error.cause }),
    }),
  };
}
