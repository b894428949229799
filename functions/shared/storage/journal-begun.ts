import { converted, document, nullIfAbsent, oneOf, optional, text } from "../core/json/codec.ts";
import { isoTime, itemCodec } from "./items.ts";
import { idOfRollback, type JournalRecord, pointerPartition, stored } from "./journal-record.ts";

/**
 * A rollback without a plan: its call still waits or plans (`running`), ended before it had a plan (`failed`), or was killed
 * (`running`, after `endsBy`). It has moved nothing. It stands where the journal says otherwise where the record of the rollback
 * is, so it is in no list and no search: it is found by its id alone. Times are ISO 8601, UTC, milliseconds.
 */
export interface BegunRollback {
  readonly rollbackId: string;
  readonly status: "running" | "failed";
  /** The snapshot as the request names it: an id, `latest` or `at:<time>`. */
  readonly snapshotId: string;
  /** As in `Caller`. */
  readonly requestedBy: string | null;
  readonly callerArn: string | null;
  readonly requestId: string;
  readonly description: string;
  readonly startedAt: string;
  /** The call has ended by then, whatever became of it. */
  readonly endsBy: string;
  /** The same for two requests that ask for the same rollback. */
  readonly fingerprint: string;
  /** Identifies the call that writes it. */
  readonly writeToken: string;
  /** Why it ended. There, with `endedAt`, if and only if it failed. */
  readonly error?: { readonly name: string; readonly message: string };
  readonly endedAt?: string;
}

/** Whether a rollback has no plan. */
export const isBegun = (found: BegunRollback | JournalRecord): found is BegunRollback => !("plan" in found);

/** Whether the call of a rollback without a plan may still plan it. */
export const mayBePlanned = ({ status, endsBy }: BegunRollback, now: Date): boolean =>
  status === "running" && now.getTime() <= Date.parse(endsBy);

/** The items of rollbacks without a plan. */
export const begunItem = itemCodec(
  converted(
    document(
      {
        pk: oneOf([pointerPartition]),
        sk: idOfRollback,
        status: oneOf(["running", "failed"] as const),
        snapshot_id: text,
        requested_by: nullIfAbsent(text),
        caller_arn: nullIfAbsent(text),
        request_id: text,
        description: text,
        started_at: isoTime,
        ends_by: isoTime,
        ended_at: optional(text),
        fingerprint: text,
        write_token: text,
        error_name: optional(text),
        error_message: optional(text),
      },
      "ignored",
    ),
    ({ rollbackId, error, ...begun }: BegunRollback) => ({
      ...begun,
      pk: pointerPartition,
      sk: rollbackId,
      ...(error && { errorName: error.name, errorMessage: error.message }),
    }),
    ({ pk, sk: rollbackId, errorName, errorMessage, endedAt, ...begun }): BegunRollback => {
      if (begun.status === "running") return { ...begun, rollbackId };
      const error = {
        name: text.decode(errorName, "error_name"),
        message: text.decode(errorMessage, "error_message"),
      };
      return { ...begun, rollbackId, error, endedAt: isoTime.decode(endedAt, "ended_at") };
    },
  ),
  stored,
);
