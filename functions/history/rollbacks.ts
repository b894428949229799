import type { Deadline } from "../shared/core/deadline.ts";
import { JournalCorrupt } from "../shared/core/errors.ts";
import { type KnownRollback, stepsOf, unmovedIn } from "../shared/core/history/rollbacks.ts";
import { framesOf } from "../shared/core/history/sights.ts";
import type { Snapshot } from "../shared/core/model.ts";
import { plannedDocument } from "../shared/core/rollback/plan-document.ts";
import { nameSome } from "../shared/core/text.ts";
import { decodeStored, type Journal } from "../shared/storage/journal.ts";
import type { JournalRecord } from "../shared/storage/journal-record.ts";
import { createUnreadable } from "../shared/storage/unreadable.ts";

/** How much earlier than the first snapshot a rollback may have started that ran until after it: it may have been resumed. */
const LONGEST_RUN_MS = 24 * 60 * 60_000;
/** Lambda ends a function by then: one that rolls back, and one that takes a snapshot, which began to read that much before. */
const LONGEST_CALL_MS = 15 * 60_000;
/** Plans are no longer read when so little time is left. */
const RESERVED_MS = 2_000;

/** A rollback that may explain moves, and who asked for it. */
export interface AskedRollback extends KnownRollback, Pick<JournalRecord, "requestedBy" | "callerArn"> {}

/**
 * What a history does not show: what a rollback did whose safety snapshot, taken before it, is the last that shows the group.
 *
 * @param parts oldest first
 * @param rollbacks newest first
 * @param until whether snapshots after a time were left out
 */
export function unshownMoves(
  parts: readonly Snapshot[],
  groups: readonly string[],
  rollbacks: readonly AskedRollback[],
  until: boolean,
): readonly string[] {
  const frames = framesOf(parts);
  const last = new Map(
    groups.map((group) => [group, frames.findLast(({ gapOf }) => gapOf(group) === undefined)?.taken.snapshotId]),
  );
  return rollbacks.flatMap(({ rollbackId, safetySnapshotId, groups: moved }) => {
    const unshown = groups.filter((group) => last.get(group) === safetySnapshotId && (moved.get(group)?.size ?? 0) > 0);
    if (unshown.length === 0) return [];
    return [
      `The last point of ${nameSome(unshown)} is ${safetySnapshotId}, from before ${rollbackId}: status and lag are those from ` +
        `before it, and what it did does not show. Take a snapshot, and ask again${until ? ' without "until"' : ""}.`,
    ];
  });
}

interface Reading {
  readonly storage: { readonly journal: Pick<Journal, "newestFirst" | "plan" | "result"> };
  readonly deadline: Deadline;
}

/**
 * The rollbacks that may have moved wanted groups between the snapshots, newest first.
 *
 * @param parts oldest first
 * @param warnings gets what could not be read
 */
export async function rollbacksDuring(
  parts: readonly Snapshot[],
  isWanted: (group: string) => boolean,
  { storage: { journal }, deadline }: Reading,
  warnings: string[],
): Promise<readonly AskedRollback[]> {
  const [first, last] = [parts[0], parts.at(-1)].map((part) => Date.parse(part?.createdAt ?? ""));
  if (first === undefined || last === undefined) return [];
  const consequence = "A move by such a rollback may be shown as unexplained.";
  const unreadable = createUnreadable("the search for rollbacks that explain moves", consequence);
  const rollbacks: AskedRollback[] = [];
  const unread: string[] = [];
  for await (const record of journal.newestFirst(new Date(first - LONGEST_RUN_MS), unreadable, deadline)) {
    const { rollbackId, safetySnapshotId, startedAt, endedAt, resumedAt = startedAt, groupNames } = record;
    const { requestedBy, callerArn } = record;
    const from = Date.parse(startedAt);
    const until = endedAt === undefined ? Date.parse(resumedAt) + LONGEST_CALL_MS : Date.parse(endedAt);
    const mayConcern = groupNames === undefined || groupNames.some(isWanted);
    if (!mayConcern || until < first - LONGEST_CALL_MS || from > last + 1_000) continue;
    if (deadline.remainingMs() < RESERVED_MS) unread.push(rollbackId);
    else {
      const groups = await stepsIn(record);
      rollbacks.push({ rollbackId, safetySnapshotId, requestedBy, callerArn, from, until, groups });
    }
  }
  warnings.push(...unreadable.warnings());
  if (unread.length > 0) {
    warnings.push(
      `There was no time to read the plans of ${unread.length} rollbacks, such as ${unread[0]}. ${consequence}`,
    );
  }
  return rollbacks;

  async function stepsIn(record: JournalRecord): Promise<KnownRollback["groups"]> {
    try {
      const mayLackSome = record.attempts === 1 && record.status !== "success";
      const [plan, result] = await Promise.all([
        journal.plan(record, deadline),
        mayLackSome ? journal.result(record, deadline) : undefined,
      ]);
      return decodeStored(record, () => {
        const isUnmoved = result === undefined ? undefined : unmovedIn(result);
        return stepsOf(plannedDocument.decode(plan, "plan").plan, isWanted, isUnmoved);
      });
    } catch (error) {
      if (!(error instanceof JournalCorrupt)) throw error;
      unreadable.add(error);
      return new Map();
    }
  }
}
