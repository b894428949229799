import { InvalidRequest, JournalCorrupt, OperationError, RollbackNotFound } from "../shared/core/errors.ts";
import { jsonObject } from "../shared/core/json/codec.ts";
import { takesPart } from "../shared/core/rollback/plan.ts";
import { type PlannedRollback, plannedDocument } from "../shared/core/rollback/plan-document.ts";
import type { Result } from "../shared/lambda/handler.ts";
import { decodeStored } from "../shared/storage/journal.ts";
import { type BegunRollback, isBegun, mayBePlanned } from "../shared/storage/journal-begun.ts";
import { type JournalRecord, mayBeOf } from "../shared/storage/journal-record.ts";
import type { Unreadable } from "../shared/storage/unreadable.ts";
import { type Call, fingerprintOf } from "./request.ts";
import { addWarnings, repeatedFailure } from "./result.ts";

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
 * newest that was asked for with the same request in the last 15 minutes. One that has not ended as a success counts only as
 * long as no newer rollback has rolled back its groups, or may have.
 *
 * @throws RollbackNotFound when there is none to resume
 * @throws InvalidRequest when a newer one has superseded or followed it, or `rollback_id` belongs to another request
 * @throws JournalCorrupt when a newer one may have followed it, whose record cannot be read
 */
export async function findEarlier(call: Call): Promise<Earlier | undefined> {
  const { wanted, storage, startedAt, deadline, unreadable } = call;
  const { journal } = storage;
  const id = wanted.resume ?? wanted.rollback_id;
  const fingerprint = fingerprintOf(wanted);
  if (id === undefined) {
    const since = startedAt.getTime() - SAME_REQUEST_MS;
    for await (const record of journal.newestFirst(new Date(since - LONGEST_RUN_MS), unreadable, deadline)) {
      if (record.fingerprint !== fingerprint) continue;
      const recent = Date.parse(record.endedAt ?? record.resumedAt ?? record.startedAt) >= since;
      if (!recent || record.supersededBy !== undefined) return undefined;
      const closed = record.status === "success";
      return closed || (await followerOf(call, record)) === undefined ? { record, named: false, closed } : undefined;
    }
    return undefined;
  }
  const record = await journal.find(id, deadline);
  if (record === undefined || isBegun(record)) {
    if (wanted.resume !== undefined) throw notResumable(id, record);
    if (record !== undefined && record.fingerprint !== fingerprint && mayBePlanned(record, startedAt)) {
      throw idOfAnother(record);
    }
    return undefined;
  }
  if (wanted.resume !== undefined && (wanted.snapshot_id ?? record.snapshotId) !== record.snapshotId) {
    throw new InvalidRequest(`snapshot_id: ${id} is a rollback to ${record.snapshotId}.`, {
      next: "Leave snapshot_id out, or repeat that id.",
    });
  }
  if (wanted.resume === undefined && record.fingerprint !== fingerprint) {
    throw idOfAnother(record);
  }
  if (record.supersededBy !== undefined && (wanted.resume !== undefined || record.status === "superseded")) {
    throw new InvalidRequest(
      `${id} was superseded by ${record.supersededBy}, which planned some of its groups again: it cannot be resumed.`,
      { next: "Start a new rollback." },
    );
  }
  const closed = record.status === "success" || (record.status !== "running" && wanted.resume === undefined);
  const follower = closed ? undefined : await followerOf(call, record);
  if (follower === undefined) return { record, named: true, closed };
  if (follower instanceof JournalCorrupt) {
    throw new JournalCorrupt(
      `whether a newer rollback moved the groups of ${id} is not known, and resuming ${id} could revert that: ` +
        follower.what,
      {
        next:
          "If a newer version wrote it, deploy that version. Otherwise restore it from the table's point-in-time recovery; do " +
          "not delete it in order to resume. Or start a new rollback, with a dry run first.",
        cause: follower,
      },
    );
  }
  throw new InvalidRequest(
    `${id} was followed by ${follower.rollbackId} (${follower.status}, started ${follower.startedAt}), which rolled back ` +
      `some of its groups, too. Resuming ${id} could revert that rollback, so it is refused.`,
    {
      next:
        `To start a new rollback, send the request of ${id} again with "dry_run": true and a new rollback_id, without ` +
        `plan_digest: call rollbacks {"rollback_id": "${id}"} to see its groups and options.`,
    },
  );
}

const idOfAnother = ({ rollbackId, snapshotId, startedAt }: JournalRecord | BegunRollback) =>
  new InvalidRequest(
    `rollback_id: ${rollbackId} is the id of another request (to ${snapshotId}, started ${startedAt}).`,
    { next: "Choose another id, or repeat that request as it was." },
  );

/** The error of a request to resume a rollback that has no plan. */
function notResumable(id: string, begun: BegunRollback | undefined): RollbackNotFound {
  if (begun === undefined) {
    return new RollbackNotFound(`there is no rollback ${JSON.stringify(id)} to resume.`, {
      next: "Call rollbacks to see all of them.",
    });
  }
  const why = begun.error ? `it ended before it was planned (${begun.error.name})` : "it has not been planned";
  return new RollbackNotFound(`${id} has nothing to resume: ${why}, and moved nothing.`, {
    next: `Send its request again, with the same rollback_id: it is planned afresh. To see it, call rollbacks {"rollback_id": "${id}"}.`,
  });
}

/**
 * The newest rollback that started after this one and rolled back some of its groups, whatever became of it. One whose plan
 * cannot be read counts as one that rolled back all groups that its record names. The error of a record that cannot be read,
 * where that may be such a rollback.
 */
async function followerOf(call: Call, record: JournalRecord): Promise<JournalRecord | JournalCorrupt | undefined> {
  const { storage, deadline } = call;
  const names = await namesOf(call, record);
  let doubt: JournalCorrupt | undefined;
  const unreadable: Unreadable = {
    ...call.unreadable,
    add(error, item) {
      call.unreadable.add(error, item);
      if (item !== undefined && error instanceof JournalCorrupt && mayBeOf(item, names)) doubt ??= error;
    },
  };
  const isOf = (groups: readonly string[] | undefined) =>
    names === undefined || groups === undefined || groups.some((group) => names.includes(group));
  for await (const newer of storage.journal.newestFirst(new Date(record.startedAt), unreadable, deadline)) {
    if (newer.rollbackId === record.rollbackId) return doubt;
    if (isOf(newer.groupNames) && isOf(await groupsOfPlan(call, newer, "that take part"))) return newer;
  }
  return doubt;
}

/**
 * The recorded result of a rollback that ended, marked as repeated.
 *
 * @throws RollbackIncomplete with it, unless it was a success
 * @throws JournalCorrupt where it is not what was written
 */
export async function recordedResult(call: Call, record: JournalRecord): Promise<Result> {
  const { wanted, storage, deadline, unreadable } = call;
  const stored = await storage.journal.result(record, deadline);
  const recorded = decodeStored(record, () => jsonObject(stored, "result"));
  const { verification, ...rest } = recorded;
  const whole = { ...rest, verification: wanted.verify ? verification : undefined, repeated: true };
  const result = addWarnings(whole, unreadable.warnings());
  if (record.status === "success") return result;
  throw repeatedFailure(record, result);
}

/**
 * A rollback as it was planned.
 *
 * @throws JournalCorrupt where its plan is not what was written
 */
export async function plannedRollback({ storage, deadline }: Call, record: JournalRecord): Promise<PlannedRollback> {
  const stored = await storage.journal.plan(record, deadline);
  return decodeStored(record, () => plannedDocument.decode(stored, ""));
}

/**
 * The rollbacks of these groups that did not reach all their targets, and that started before a time if one is given. One whose
 * plan cannot be read counts as one of them.
 */
export async function findUnfinished(
  call: Call,
  groups: ReadonlySet<string>,
  before?: string,
): Promise<readonly JournalRecord[]> {
  const { storage, deadline, unreadable } = call;
  const found: JournalRecord[] = [];
  for await (const record of storage.journal.resumable(unreadable, deadline)) {
    if (before !== undefined && record.startedAt >= before) continue;
    const names = await namesOf(call, record);
    if (names === undefined || names.some((group) => groups.has(group))) found.push(record);
  }
  return found;
}

/**
 * Marks unfinished rollbacks as superseded by the rollback `by`: they can no longer be resumed. Returns a warning for each: its
 * safety snapshot is older than that of the new rollback. A failure is a warning, too: since `by` is newer, they cannot be
 * resumed in any case.
 */
export async function supersede(call: Call, records: readonly JournalRecord[], by: string): Promise<string[]> {
  const warnings: string[] = [];
  for (const record of records) {
    const { rollbackId, safetySnapshotId } = record;
    const safety =
      safetySnapshotId === null
        ? ""
        : ` Safety snapshot ${safetySnapshotId} has the state from before ${rollbackId}; the safety snapshot of this ` +
          `rollback has the state that ${rollbackId} left.`;
    warnings.push(
      `Rollback ${rollbackId} had not reached all its targets. This rollback supersedes it: ${rollbackId} can no longer be ` +
        `resumed.${safety}`,
    );
    try {
      await call.storage.journal.supersede(record, by, call.deadline);
    } catch (error) {
      if (!(error instanceof OperationError)) throw error;
      warnings.push(
        `The journal may still show ${rollbackId} as unfinished, because it could not be marked: ${error.summary}`,
      );
    }
  }
  return warnings;
}

const namesOf = async (call: Call, record: JournalRecord) => record.groupNames ?? groupsOfPlan(call, record, "all");

/** The groups of a rollback's plan; undefined where that cannot be read. */
async function groupsOfPlan(call: Call, record: JournalRecord, which: "all" | "that take part") {
  try {
    const { plan } = await plannedRollback(call, record);
    return [...plan.groups].filter(([, group]) => which === "all" || takesPart(group)).map(([name]) => name);
  } catch (error) {
    if (error instanceof JournalCorrupt) return undefined;
    throw error;
  }
}
