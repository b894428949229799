import type { Deadline } from "../shared/core/deadline.ts";
import { InvalidRequest, JournalCorrupt, RollbackNotFound } from "../shared/core/errors.ts";
import { DecodeError, jsonObject } from "../shared/core/json/codec.ts";
import { type PlannedRollback, plannedDocument } from "../shared/core/rollback/plan-document.ts";
import type { Result } from "../shared/lambda/handler.ts";
import type { Journal } from "../shared/storage/journal.ts";
import type { JournalRecord } from "../shared/storage/journal-record.ts";
import { fingerprintOf } from "./request.ts";
import { repeatedFailure } from "./result.ts";
import type { Request } from "./schema.ts";

/** How long an equal request counts as the same rollback: AWS clients repeat an invocation that took over 60 s. */
const SAME_REQUEST_MS = 15 * 60_000;
/** How much earlier that rollback may have begun: it may have run for long, or have been resumed. */
const LONGEST_STORY_MS = 24 * 60 * 60_000;

/** The record of an earlier call for the rollback that is asked for. */
export interface Earlier {
  readonly record: JournalRecord;
  /** Whether the caller named it, by `resume` or `rollback_id`. */
  readonly named: boolean;
}

/**
 * The rollback that a request stands for, if an earlier call has begun it: the one of its `resume` or `rollback_id`, or else the
 * newest that was asked for with the same request in the last 15 minutes.
 *
 * @throws RollbackNotFound when there is none to resume
 * @throws InvalidRequest when a newer one has superseded it, or `rollback_id` belongs to another request
 */
export async function findEarlier(
  journal: Journal,
  wanted: Request,
  now: Date,
  deadline: Deadline,
): Promise<Earlier | undefined> {
  const id = wanted.resume ?? wanted.rollback_id;
  const fingerprint = fingerprintOf(wanted);
  if (id === undefined) {
    const since = now.getTime() - SAME_REQUEST_MS;
    for await (const record of journal.newestFirst(new Date(since - LONGEST_STORY_MS), deadline)) {
      if (record.fingerprint !== fingerprint) continue;
      const recent = Date.parse(record.endedAt ?? record.resumedAt ?? record.startedAt) >= since;
      return recent && record.supersededBy === undefined ? { record, named: false } : undefined;
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
  return { record, named: true };
}

/** Whether the answer is the recorded result, instead of resuming the rollback. */
export function isClosed({ record, named }: Earlier, wanted: Request): boolean {
  if (record.status === "running") return false;
  return record.status === "success" || (named && wanted.resume === undefined);
}

/**
 * The recorded result of a rollback that ended, marked as repeated.
 *
 * @throws RollbackIncomplete with it, unless it was a success
 * @throws JournalCorrupt where it is not what was written
 */
export async function recordedResult(
  journal: Journal,
  record: JournalRecord,
  { verify }: Request,
  deadline: Deadline,
): Promise<Result> {
  const recorded = await reading(record, async () => jsonObject(await journal.result(record, deadline), "result"));
  const { verification, ...rest } = recorded;
  const result = { ...rest, verification: verify ? verification : undefined, repeated: true };
  if (record.status === "success") return result;
  throw repeatedFailure(record, result);
}

/**
 * A rollback as it was planned.
 *
 * @throws JournalCorrupt where its plan is not what was written
 */
export function plannedRollback(journal: Journal, record: JournalRecord, deadline: Deadline): Promise<PlannedRollback> {
  return reading(record, async () => plannedDocument.decode(await journal.plan(record, deadline), ""));
}

async function reading<T>(record: JournalRecord, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw error instanceof DecodeError ? corrupt(record, error.message, error) : error;
  }
}

const corrupt = (record: JournalRecord, what: string, cause: unknown) =>
  new JournalCorrupt(`the journal of ${record.rollbackId} is not what was written: ${what}. It cannot be resumed.`, {
    next: "Start a new rollback.",
    cause,
  });

/**
 * Marks rollbacks of these groups that did not reach all their targets as superseded by the rollback `by`: they can no longer
 * be resumed. One whose plan cannot be read counts as one of them. Returns a warning for each: its safety snapshot is older
 * than that of the new rollback.
 */
export async function supersede(
  journal: Journal,
  groups: ReadonlySet<string>,
  by: string,
  deadline: Deadline,
): Promise<string[]> {
  const warnings: string[] = [];
  for await (const record of journal.resumable(deadline)) {
    if (record.rollbackId === by) continue;
    const names = record.groupNames ?? (await namesOf(journal, record, deadline));
    if (names !== undefined && !names.some((group) => groups.has(group))) continue;
    await journal.supersede(record, by, deadline);
    const safety = record.safetySnapshotId === null ? "" : `: ${record.safetySnapshotId} has the state before it`;
    warnings.push(
      `${record.rollbackId}, which had not reached all its targets, is superseded by this rollback${safety}.`,
    );
  }
  return warnings;
}

async function namesOf(journal: Journal, record: JournalRecord, deadline: Deadline): Promise<string[] | undefined> {
  try {
    return [...(await plannedRollback(journal, record, deadline)).plan.groups.keys()];
  } catch (error) {
    if (error instanceof JournalCorrupt) return undefined;
    throw error;
  }
}
