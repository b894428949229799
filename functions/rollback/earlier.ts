import { InvalidRequest, JournalCorrupt, RollbackNotFound } from "../shared/core/errors.ts";
import { DecodeError, jsonObject } from "../shared/core/json/codec.ts";
import { type PlannedRollback, plannedDocument } from "../shared/core/rollback/plan-document.ts";
import type { Result } from "../shared/lambda/handler.ts";
import type { JournalRecord } from "../shared/storage/journal-record.ts";
import { type Call, fingerprintOf } from "./request.ts";
import { repeatedFailure } from "./result.ts";

/** How long an equal request counts as the same rollback: AWS clients repeat an invocation that took over 60 s. */
const SAME_REQUEST_MS = 15 * 60_000;
/** How much earlier that rollback may have begun: it may have run for long, or have been resumed. */
const LONGEST_RUN_MS = 24 * 60 * 60_000;

/** The record of an earlier call for the rollback that is asked for. */
export interface Earlier {
  readonly record: JournalRecord;
  /** Whether the caller named it, by `resume` or `rollback_id`. */
  readonly named: boolean;
  /** Whether the answer is the recorded result, instead of resuming the rollback. */
  readonly closed: boolean;
}

/**
 * The rollback that a request stands for, if an earlier call has begun it: the one of its `resume` or `rollback_id`, or else the
 * newest that was asked for with the same request in the last 15 minutes.
 *
 * @throws RollbackNotFound when there is none to resume
 * @throws InvalidRequest when a newer one has superseded it, or `rollback_id` belongs to another request
 */
export async function findEarlier({ wanted, storage, startedAt, deadline }: Call): Promise<Earlier | undefined> {
  const { journal } = storage;
  const id = wanted.resume ?? wanted.rollback_id;
  const fingerprint = fingerprintOf(wanted);
  if (id === undefined) {
    const since = startedAt.getTime() - SAME_REQUEST_MS;
    for await (const record of journal.newestFirst(new Date(since - LONGEST_RUN_MS), deadline)) {
      if (record.fingerprint !== fingerprint) continue;
      const recent = Date.parse(record.endedAt ?? record.resumedAt ?? record.startedAt) >= since;
      if (!recent || record.supersededBy !== undefined) return undefined;
      return { record, named: false, closed: record.status === "success" };
    }
    return undefined;
  }
  const record = await journal.find(id, deadline);
  if (record === undefined) {
    if (wanted.resume === undefined) return undefined;
    throw new RollbackNotFound(`there is no rollback ${JSON.stringify(id)} to resume.`, {
      next: "Call rollbacks to see all of them.",
    });
  }
  if (wanted.resume !== undefined && (wanted.snapshot_id ?? record.snapshotId) !== record.snapshotId) {
    throw new InvalidRequest(`snapshot_id: ${id} is a rollback to ${record.snapshotId}.`, {
      next: "Leave snapshot_id out, or repeat that id.",
    });
  }
  if (wanted.resume === undefined && record.fingerprint !== fingerprint) {
    throw new InvalidRequest(
      `rollback_id: ${id} is the id of another request (to ${record.snapshotId}, started ${record.startedAt}).`,
      { next: "Choose another id, or repeat that request as it was." },
    );
  }
  if (record.supersededBy !== undefined && (wanted.resume !== undefined || record.status === "superseded")) {
    throw new InvalidRequest(
      `${id} was superseded by ${record.supersededBy}, which planned some of its groups again: it cannot be resumed.`,
      { next: "Start a new rollback." },
    );
  }
  const closed = record.status === "success" || (record.status !== "running" && wanted.resume === undefined);
  return { record, named: true, closed };
}

/**
 * The recorded result of a rollback that ended, marked as repeated.
 *
 * @throws RollbackIncomplete with it, unless it was a success
 * @throws JournalCorrupt where it is not what was written
 */
export async function recordedResult({ wanted, storage, deadline }: Call, record: JournalRecord): Promise<Result> {
  const read = async () => jsonObject(await storage.journal.result(record, deadline), "result");
  const recorded = await reading(record, read);
  const { verification, ...rest } = recorded;
  const result = { ...rest, verification: wanted.verify ? verification : undefined, repeated: true };
  if (record.status === "success") return result;
  throw repeatedFailure(record, result);
}

/**
 * A rollback as it was planned.
 *
 * @throws JournalCorrupt where its plan is not what was written
 */
export function plannedRollback({ storage, deadline }: Call, record: JournalRecord): Promise<PlannedRollback> {
  return reading(record, async () => plannedDocument.decode(await storage.journal.plan(record, deadline), ""));
}

async function reading<T>({ rollbackId }: JournalRecord, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new JournalCorrupt(
      `the journal of ${rollbackId} is not what was written: ${cause.message}. It cannot be resumed.`,
      { next: "Start a new rollback.", cause },
    );
  }
}

/**
 * Marks rollbacks of these groups that did not reach all their targets as superseded by the rollback `by`: they can no longer
 * be resumed. One whose plan cannot be read counts as one of them. Returns a warning for each: its safety snapshot is older
 * than that of the new rollback.
 */
export async function supersede(call: Call, groups: ReadonlySet<string>, by: string): Promise<string[]> {
  const { storage, deadline } = call;
  const warnings: string[] = [];
  for await (const record of storage.journal.resumable(deadline)) {
    if (record.rollbackId === by) continue;
    const names = record.groupNames ?? (await namesOf(call, record));
    if (names !== undefined && !names.some((group) => groups.has(group))) continue;
    await storage.journal.supersede(record, by, deadline);
    const safety = record.safetySnapshotId === null ? "" : `: ${record.safetySnapshotId} has the state before it`;
    warnings.push(
      `${record.rollbackId}, which had not reached all its targets, is superseded by this rollback${safety}.`,
    );
  }
  return warnings;
}

async function namesOf(call: Call, record: JournalRecord): Promise<string[] | undefined> {
  try {
    return [...(await plannedRollback(call, record)).plan.groups.keys()];
  } catch (error) {
    if (error instanceof JournalCorrupt) return undefined;
    throw error;
  }
}
