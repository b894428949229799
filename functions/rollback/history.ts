import type { Deadline } from "../shared/core/deadline.ts";
import { InvalidRequest, RollbackIncomplete, RollbackNotFound, SnapshotCorrupt } from "../shared/core/errors.ts";
import { DecodeError, jsonObject } from "../shared/core/json/decode.ts";
import { decodePlanned, type PlannedRollback } from "../shared/core/rollback/plan-document.ts";
import type { Result } from "../shared/lambda/operation.ts";
import type { Journal, JournalEntry } from "../shared/storage/journal.ts";
import { fingerprintOf, type Request } from "./request.ts";

/** How long the same request is taken for the same rollback: AWS clients send an invocation again that took over 60 s. */
const SAME_REQUEST_MS = 15 * 60_000;
/** How much longer ago it may have begun: it may have run for long, or have been taken up again. */
const LONGEST_STORY_MS = 24 * 60 * 60_000;

/** What earlier calls have left of a rollback that is asked for. */
export interface Earlier {
  readonly entry: JournalEntry;
  /** Whether the caller named it, so that nothing else will do. */
  readonly named: boolean;
}

/**
 * The rollback that a request means, if an earlier call has begun it: the one of its `resume` or `rollback_id`, or else the
 * newest that was asked for with the same request in the last 15 minutes.
 *
 * @throws RollbackNotFound when there is none to resume
 * @throws InvalidRequest when a newer one has superseded it, or `rollback_id` was another request's
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
    for await (const entry of journal.newestFirst(new Date(since - LONGEST_STORY_MS), deadline)) {
      if (entry.fingerprint !== fingerprint) continue;
      const recent = Date.parse(entry.endedAt ?? entry.resumedAt ?? entry.startedAt) >= since;
      return recent && entry.supersededBy === undefined ? { entry, named: false } : undefined;
    }
    return undefined;
  }
  const entry = await journal.find(id, deadline);
  if (entry === undefined) {
    if (wanted.resume === undefined) return undefined;
    throw new RollbackNotFound(
      `there is no rollback ${JSON.stringify(id)} to resume. \`rollbacks\` lists those there are. Nothing was touched.`,
    );
  }
  if (wanted.resume !== undefined && (wanted.snapshot_id ?? entry.snapshotId) !== entry.snapshotId) {
    throw new InvalidRequest(
      `snapshot_id: ${id} is a rollback to ${entry.snapshotId}. Leave snapshot_id out, or repeat that id. Nothing was touched.`,
    );
  }
  if (wanted.resume === undefined && entry.fingerprint !== fingerprint) {
    throw new InvalidRequest(
      `rollback_id: ${id} is the id of another request (to ${entry.snapshotId}, started ${entry.startedAt}). Choose ` +
        "another id, or repeat that request as it was. Nothing was touched.",
    );
  }
  if (entry.supersededBy !== undefined && (wanted.resume !== undefined || entry.status === "superseded")) {
    throw new InvalidRequest(
      `${id} was superseded by ${entry.supersededBy}, which plans some of its groups afresh: it cannot be taken up again. ` +
        "Start a new rollback. Nothing was touched.",
    );
  }
  return { entry, named: true };
}

/** Whether a record has to be answered with what it says, instead of being taken up again. */
export function isClosed({ entry, named }: Earlier, wanted: Request): boolean {
  if (entry.status === "running") return false;
  return entry.status === "success" || (named && wanted.resume === undefined);
}

/**
 * The recorded result of a rollback that ended, marked as repeated.
 *
 * @throws RollbackIncomplete with it, unless it was a success
 */
export async function recordedResult(
  journal: Journal,
  entry: JournalEntry,
  { verify }: Request,
  deadline: Deadline,
): Promise<Result> {
  const recorded = await reading(entry, async () => jsonObject(await journal.result(entry, deadline), "result"));
  const { verification, ...rest } = recorded;
  const result = { ...rest, verification: verify ? verification : undefined, repeated: true };
  if (entry.status === "success") return result;
  throw new RollbackIncomplete(
    `${entry.rollbackId} to ${entry.snapshotId} ended as ${entry.status} at ${entry.endedAt}, and this call did nothing: the ` +
      `details are its result. Safety snapshot ${entry.safetySnapshotId ?? "(none: nothing had to be committed)"} has the ` +
      `state from before. ${
        entry.supersededBy === undefined
          ? `{"resume": "${entry.rollbackId}"} does what is left.`
          : `${entry.supersededBy} has come in its place.`
      }`,
    { details: result },
  );
}

/**
 * A rollback as it was planned.
 *
 * @throws SnapshotCorrupt where its journal is not what was written
 */
export function plannedRollback(journal: Journal, entry: JournalEntry, deadline: Deadline): Promise<PlannedRollback> {
  return reading(entry, async () => decodePlanned(await journal.plan(entry, deadline), ""));
}

async function reading<T>(entry: JournalEntry, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw error instanceof DecodeError ? corrupt(entry, error.message, error) : error;
  }
}

const corrupt = (entry: JournalEntry, what: string, cause?: unknown) =>
  new SnapshotCorrupt(
    `the journal of ${entry.rollbackId} is not what was written: ${what}. It cannot be taken up again: start a new rollback.`,
    { cause },
  );

/**
 * Marks those rollbacks as superseded that did not reach all their targets and had to do with these groups: the rollback
 * `by` plans them afresh, and nobody may take the old ones up again. One whose plan cannot be read is taken for one of them.
 * What it says of each is for the result: its safety snapshot is older than that of the new one.
 */
export async function supersede(
  journal: Journal,
  groups: ReadonlySet<string>,
  by: string,
  deadline: Deadline,
): Promise<string[]> {
  const told: string[] = [];
  for await (const entry of journal.resumable(deadline)) {
    if (entry.rollbackId === by) continue;
    const names = entry.groupNames ?? (await namesOf(journal, entry, deadline));
    if (names !== undefined && !names.some((group) => groups.has(group))) continue;
    await journal.supersede(entry, by, deadline);
    const safety = entry.safetySnapshotId === null ? "" : `: ${entry.safetySnapshotId} has the state from before it`;
    told.push(`${entry.rollbackId}, which had not reached all its targets, is superseded by this rollback${safety}.`);
  }
  return told;
}

async function namesOf(journal: Journal, entry: JournalEntry, deadline: Deadline): Promise<string[] | undefined> {
  try {
    return [...(await plannedRollback(journal, entry, deadline)).plan.groups.keys()];
  } catch (error) {
    if (error instanceof SnapshotCorrupt) return undefined;
    throw error;
  }
}
