import { isDeepStrictEqual } from "node:util";
import type { Deadline } from "../core/deadline.ts";
import {
  IndexIncomplete,
  JournalCorrupt,
  OperationError,
  SnapshotCorrupt,
  SnapshotHeld,
  SnapshotNotFound,
  StorageUnavailable,
} from "../core/errors.ts";
import {
  applyRetention,
  BODY_DAMAGED,
  BODY_MISSING,
  type Candidate,
  type KeptSnapshot,
  type Retention,
} from "../core/retention.ts";
import { parseSnapshotId } from "../core/snapshot-id.ts";
import { count, listSome } from "../core/text.ts";
import { startAhead } from "./ahead.ts";
import { pause } from "./aws-call.ts";
import type { Bodies } from "./bodies.ts";
import { type Clients, lazyBodies, type StorageConfig } from "./clients.ts";
import { entryItem, idAt, type SnapshotEntry } from "./index-entry.ts";
import { createIndexTable, type IndexTable } from "./index-table.ts";
import type { Caller, Item } from "./items.ts";
import { createJournal, type Journal } from "./journal.ts";
import { createSnapshots } from "./snapshots.ts";
import { createUnreadable } from "./unreadable.ts";

/** What to forget, and for whom. */
export interface PruneRequest {
  /** Undefined: no snapshot. */
  readonly retention: Retention | undefined;
  readonly by: Caller;
  readonly now: Date;
  /** Whether to look only. */
  readonly dryRun: boolean;
}

/** What was deleted; in a dry run, what would be. Snapshots are listed newest first. */
export interface Pruned {
  readonly kept: readonly KeptSnapshot[];
  readonly deleted: readonly string[];
  /** The snapshots whose deletion was finished: it was interrupted, or their body was still there. */
  readonly orphans: readonly string[];
  /** What could not be deleted. */
  readonly failed: readonly { readonly snapshotId: string; readonly error: OperationError }[];
  /** How many were to be deleted when the time ended. */
  readonly remaining: number;
  /** How many bodies and rows could not be judged, because one lacks the other, or is damaged: warnings name them. */
  readonly unjudged: number;
  readonly warnings: readonly string[];
}

/** What is to be deleted: a listed snapshot, one whose deletion was interrupted, or the body of a deleted one. */
interface Target {
  readonly snapshotId: string;
  readonly kind: "expired" | "hidden" | "body";
  readonly bytes: number;
}

const DAY_MS = 24 * 60 * 60 * 1_000;
/** Lambda ends a function by then: a body without a row that is older is of no snapshot that is being taken. */
const LONGEST_CALL_MS = 15 * 60 * 1_000;
/** How long what rollbacks need is not read again. */
const KNOWN_FOR_MS = 10_000;
/** What is kept of the time for the deletions that are running when it ends, and for the answer. */
const [RESERVED_SHARE, MOST_RESERVED_MS] = [0.25, 20_000];
/** How often a deletion is tried again. */
const MOST_RETRIES = 3;
/** How many bodies the index may lack, and which share of all bodies: more are the sign of a lost index. */
const [FEW_BODIES, FEW_OF_ALL] = [2, 0.1];

/**
 * Deletes the snapshots that the rules do not keep, the oldest first, as `Snapshots.remove` does. Removes too, after a day, what
 * interrupted deletions have left. A body without a row is never deleted for its age, or for what it says: if the index is lost, or
 * is not the only one of this bucket, such a body is a snapshot. What the bucket says of holds counts beside the index, which may be
 * a restored one. A deletion that fails does not stop the others.
 *
 * @throws IndexIncomplete where the index lacks many of the bodies: nothing was deleted
 * @throws JournalCorrupt where it is not known which snapshots a rollback needs: nothing was deleted
 */
export async function prune(
  config: StorageConfig,
  clients: Clients,
  { retention, by, now, dryRun }: PruneRequest,
  deadline: Deadline,
): Promise<Pruned> {
  const bodies = await lazyBodies(config, clients)();
  const index = createIndexTable(clients.dynamodb, config.table);
  const snapshots = createSnapshots(config, clients);
  const reservedMs = Math.min(MOST_RESERVED_MS, deadline.remainingMs() * RESERVED_SHARE);

  // Rows before bodies: a snapshot that is taken meanwhile is a body without a row here, never a row without a body.
  const rows = await readIndex(index, deadline);
  const journal = createJournal(config, clients);
  const readNeeded = () => neededByRollbacks(journal, retention, now, deadline);
  const needed = await readNeeded();
  const { sizes, orphans, hidden, strays } = await survey(bodies, index, rows, now, deadline);
  const bodiless = await stillListed(
    [...rows.listed.keys()].filter((id) => !sizes.has(id)),
    index,
    deadline,
  );
  const [candidates, damaged] = partition(
    [...rows.listed.values()].filter(({ snapshotId }) => sizes.has(snapshotId)),
    ({ snapshotId, bytes }) => sizes.get(snapshotId) === bytes,
  );
  const sorted = applyRetention(candidates, retention, needed.reasons, now);
  const heldInBucket = await heldInBucketOf(sorted.expired, bodies, deadline);
  const spared = sorted.expired.flatMap((snapshotId): KeptSnapshot[] => {
    const because = [...(heldInBucket.has(snapshotId) ? ["held"] : []), ...needed.ofAll];
    return because.length > 0 ? [{ snapshotId, because }] : [];
  });
  const kept = [...sorted.kept, ...spared];
  const sparedIds = new Set(spared.map(({ snapshotId }) => snapshotId));
  const expired = sorted.expired.filter((id) => !sparedIds.has(id));

  const targets = [
    ...expired.toReversed().map((snapshotId): Target => ({ snapshotId, kind: "expired", bytes: 0 })),
    ...hidden.map((snapshotId): Target => ({ snapshotId, kind: "hidden", bytes: 0 })),
    ...orphans.map((snapshotId): Target => ({ snapshotId, kind: "body", bytes: 0 })),
  ];
  let begun = 0;
  function* inTime<T>(items: readonly T[]) {
    for (const item of items) {
      if (deadline.remainingMs() < reservedMs) return;
      begun++;
      yield item;
    }
  }
  // Rollbacks begin while snapshots are deleted, too.
  const neededNow = readAgainAfter(KNOWN_FOR_MS, readNeeded);
  const removeOnce = async ({ snapshotId, kind }: Target): Promise<"deleted" | readonly string[]> => {
    if (kind === "body") {
      await index.recordDeletion(snapshotId, by, deadline);
      await bodies.remove(snapshotId, deadline);
      return "deleted";
    }
    if (kind === "expired") {
      const { reasons, ofAll } = await neededNow();
      const because = [...(reasons.get(snapshotId) ?? []), ...ofAll];
      if (because.length > 0) return because;
    }
    await snapshots.remove(snapshotId, by, deadline);
    return "deleted";
  };
  const remove = async (target: Target): Promise<"deleted" | "gone" | readonly string[] | OperationError> => {
    if (dryRun) return "deleted";
    for (let attempt = 0; ; attempt++) {
      try {
        return await removeOnce(target);
      } catch (error) {
        // After an attempt whose answer was lost, it is that one which has deleted it.
        if (error instanceof SnapshotNotFound) return attempt > 0 ? "deleted" : "gone";
        if (error instanceof SnapshotHeld) return ["held"]; // since the index was read
        if (!(error instanceof OperationError)) throw error;
        if (!(error instanceof StorageUnavailable) || attempt === MOST_RETRIES) return error;
        await pause(attempt + 2, deadline);
      }
    }
  };
  const deleted: Target[] = [];
  const keptSince: KeptSnapshot[] = [];
  const failed: { readonly snapshotId: string; readonly error: OperationError }[] = [];
  for (const { item, done } of startAhead(inTime(targets), remove)) {
    const { snapshotId } = item;
    const outcome = await done;
    if (outcome === "deleted") deleted.push(item);
    else if (outcome instanceof OperationError) failed.push({ snapshotId, error: outcome });
    else if (outcome !== "gone") keptSince.push({ snapshotId, because: outcome });
  }
  const remaining = targets.length - begun;
  const notes = kept
    .filter(({ snapshotId, because }) => !isDeepStrictEqual(because, rows.listed.get(snapshotId)?.keptBy))
    .map((snapshot) => ({ ...snapshot, bytes: 0 }));
  let unnoted = 0;
  const note = async ({ snapshotId, because }: KeptSnapshot) => {
    if (!dryRun && retention !== undefined) await index.noteKept(snapshotId, because, deadline);
  };
  for (const { done } of startAhead(inTime(notes), note)) await done.catch(() => unnoted++);

  const idsOf = (kind: Target["kind"]) =>
    deleted.flatMap((target) => (target.kind === kind ? [target.snapshotId] : []));
  return {
    kept: [
      ...kept,
      ...keptSince,
      ...bodiless.map((snapshotId) => ({ snapshotId, because: [BODY_MISSING] })),
      ...damaged.map(({ snapshotId }) => ({ snapshotId, because: [BODY_DAMAGED] })),
    ],
    deleted: idsOf("expired").toReversed(),
    orphans: [...idsOf("hidden"), ...idsOf("body")],
    failed,
    remaining,
    unjudged: bodiless.length + damaged.length + strays.length + rows.unreadable,
    warnings: [
      ...sorted.warnings,
      ...rows.warnings,
      ...needed.warnings,
      ...named(
        [...heldInBucket],
        (ids) => `The bucket says of ${ids} that they are held, the index does not. Call reindex to correct the index.`,
      ),
      ...named(
        bodiless,
        (ids) => `The bodies of ${ids} are missing from the bucket: restore or delete these snapshots.`,
      ),
      ...named(
        damaged.map(
          ({ snapshotId, bytes }) => `${snapshotId} (${sizes.get(snapshotId)} bytes, and the index says ${bytes})`,
        ),
        (ids) =>
          `Damaged bodies: ${ids}. No rule counts these snapshots. Call reindex with {"dry_run": true} to see how to restore each.`,
      ),
      ...named(
        strays,
        (ids) => `The bucket has bodies that no row of the index lists: ${ids}. Call reindex to list them.`,
      ),
      ...named(
        idsOf("body"),
        (ids) =>
          `${dryRun ? "To be deleted" : "Deleted"}, because a deletion of the snapshots is recorded: the bodies of ${ids}. To ` +
          "restore one, copy the version of its object over itself, and call reindex; to remove its delete marker is not enough.",
      ),
      ...(unnoted > 0 ? [`In list, kept_by of ${count(unnoted, "snapshot")} is that of an earlier run.`] : []),
      ...(remaining > 0
        ? [`The time ended before ${count(remaining, "more deletion")}: call prune again, or wait for its next run.`]
        : []),
    ],
  };
}

/** What the index says of a snapshot. */
type Listed = Candidate & Pick<SnapshotEntry, "bytes" | "keptBy">;

/** What the rows of the index say. */
interface Rows {
  readonly listed: ReadonlyMap<string, Listed>;
  /** Snapshots that a deletion has hidden. */
  readonly hidden: readonly string[];
  /** Those that have a row of any kind, also one that cannot be read. */
  readonly known: ReadonlySet<string>;
  /** How many cannot be read. */
  readonly unreadable: number;
  readonly warnings: readonly string[];
}

async function readIndex(index: IndexTable, deadline: Deadline): Promise<Rows> {
  const unreadable = createUnreadable("what is deleted");
  const listed = new Map<string, Listed>();
  const hidden: string[] = [];
  const known = new Set<string>();
  async function* visible(): AsyncGenerator<Item> {
    for await (const row of index.rows(deadline)) {
      const id = idAt(row.sk?.S ?? "");
      known.add(id);
      if (row.deleting === undefined) yield row;
      else hidden.push(id);
    }
  }
  for await (const entry of entryItem.decodeAll(visible(), unreadable)) {
    const { snapshotId, createdAt, status, trigger, schedule, offsets, hold, bytes, keptBy } = entry;
    listed.set(snapshotId, {
      snapshotId,
      createdAt,
      status,
      trigger,
      schedule,
      offsets,
      held: hold !== undefined,
      bytes,
      ...(keptBy && { keptBy }),
    });
  }
  const unread = known.size - listed.size - hidden.length;
  return { listed, hidden, known, unreadable: unread, warnings: unreadable.warnings() };
}

/** Why rollbacks need snapshots. */
interface Needed {
  /** By the ids of the snapshots. */
  readonly reasons: ReadonlyMap<string, readonly string[]>;
  /** Why any of them may be needed. */
  readonly ofAll: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Why rollbacks need snapshots: those that are being planned, all that can be resumed, and those that can be undone, which a call
 * ran in the days that safety snapshots are kept.
 */
async function neededByRollbacks(
  journal: Journal,
  retention: Retention | undefined,
  now: Date,
  deadline: Deadline,
): Promise<Needed> {
  const reasons = new Map<string, string[]>();
  const ofAll: string[] = [];
  /** A snapshot is named by its id, or as `latest` or by a time: then it may be any. */
  const need = (reason: string, ...references: readonly (string | null)[]) => {
    for (const id of references) {
      if (id === null) continue;
      if (parseSnapshotId(id) === undefined) ofAll.push(reason);
      else reasons.set(id, [...(reasons.get(id) ?? []), reason]);
    }
  };
  if (retention === undefined) return { reasons, ofAll, warnings: [] };
  const named = createUnreadable(
    "the rollbacks that can be undone or resumed",
    "The snapshots that they name are kept.",
  );
  const unreadable = {
    ...named,
    add(error: OperationError, item: Item = {}) {
      const { snapshot_id, safety_snapshot_id } = item;
      if (snapshot_id?.S === undefined || (safety_snapshot_id !== undefined && safety_snapshot_id.S === undefined)) {
        throw new JournalCorrupt(`it is not known which snapshots a rollback needs. ${error.summary}`, {
          next: "Then call prune again.",
        });
      }
      named.add(error);
      need("named by a rollback that cannot be read", snapshot_id.S, safety_snapshot_id?.S ?? null);
    },
  };
  // First those without a plan: when one gets its plan, it has a record at once.
  for await (const { rollbackId, snapshotId } of journal.planning(now, unreadable, deadline)) {
    const chosen = parseSnapshotId(snapshotId) !== undefined;
    need(`${rollbackId} has begun${chosen ? "" : ", and its snapshot is not known yet"}`, snapshotId);
  }
  for await (const { rollbackId, snapshotId, safetySnapshotId } of journal.resumable(unreadable, deadline)) {
    need(`${rollbackId} can be resumed`, snapshotId, safetySnapshotId);
  }
  const since = new Date(now.getTime() - retention.safetyDays * DAY_MS);
  for await (const { rollbackId, snapshotId, safetySnapshotId } of journal.movedSince(since, unreadable, deadline)) {
    if (safetySnapshotId !== null) need(`${rollbackId} can be undone`, snapshotId, safetySnapshotId);
  }
  return { reasons, ofAll, warnings: named.warnings() };
}

/** Reads when it is called, unless it did so a short time ago. Calls at the same time read once. */
function readAgainAfter<T>(keptMs: number, read: () => Promise<T>): () => Promise<T> {
  let last: { readonly at: number; readonly read: Promise<T> } | undefined;
  return () => {
    if (last === undefined || performance.now() - last.at >= keptMs) last = { at: performance.now(), read: read() };
    return last.read;
  };
}

/** Those of the snapshots that the bucket says are held, or of which it cannot be read whether they are. */
async function heldInBucketOf(
  ids: readonly string[],
  bodies: Bodies,
  deadline: Deadline,
): Promise<ReadonlySet<string>> {
  const changed = ids.length === 0 ? new Set<string>() : await bodies.heldOrReleased(deadline);
  const items = ids.filter((id) => changed.has(id)).map((id) => ({ id, bytes: 0 }));
  const isHeld = async ({ id }: { readonly id: string }) => {
    try {
      return (await bodies.getHold(id, deadline))?.held === true;
    } catch (error) {
      if (error instanceof SnapshotCorrupt) return true;
      throw error;
    }
  };
  const held = new Set<string>();
  for (const { item, done } of startAhead(items, isHeld)) if (await done) held.add(item.id);
  return held;
}

/**
 * Compares the bodies with the rows. `sizes` has the length of each body, `orphans` are bodies without a row that can be deleted,
 * `strays` those that cannot; `hidden` are snapshots whose deletion was interrupted.
 *
 * @throws IndexIncomplete
 */
async function survey(
  bodies: Bodies,
  index: IndexTable,
  { listed, hidden, known }: Rows,
  now: Date,
  deadline: Deadline,
) {
  const yesterday = now.getTime() - DAY_MS;
  const sizes = new Map<string, number>();
  const unlisted: { readonly snapshotId: string; readonly writtenAt: number }[] = [];
  for await (const { snapshotId, bytes, writtenAt } of bodies.list(deadline)) {
    if (snapshotId === undefined) continue;
    sizes.set(snapshotId, bytes);
    if (!known.has(snapshotId)) unlisted.push({ snapshotId, writtenAt: writtenAt.getTime() });
  }
  const deletions = unlisted.length + hidden.length > 0 ? await index.deletions(deadline) : new Map<string, string>();
  const deletedAt = (snapshotId: string) => Date.parse(deletions.get(snapshotId) ?? "");
  // What was written after the deletion is a copy, by which a person has restored the snapshot.
  const [deleted, others] = partition(unlisted, (body) => body.writtenAt <= deletedAt(body.snapshotId));
  const unexplained = others.filter(({ writtenAt }) => writtenAt < now.getTime() - LONGEST_CALL_MS);
  const few = Math.max(FEW_BODIES, sizes.size * FEW_OF_ALL);
  if (unexplained.length > few || (unexplained.length > 0 && listed.size === 0)) {
    throw new IndexIncomplete(
      `the bucket has ${count(sizes.size, "body", "bodies")}, the index lists ${count(listed.size, "snapshot")}. No row has ` +
        `the bodies of ${listSome(unexplained, ({ snapshotId }) => snapshotId)}.`,
      { next: 'Call reindex with {"dry_run": true} to see what it would list, then reindex, then prune again.' },
    );
  }
  return {
    sizes,
    orphans: deleted.map(({ snapshotId }) => snapshotId).filter((id) => deletedAt(id) < yesterday),
    strays: unexplained.map(({ snapshotId }) => snapshotId),
    // One that was interrupted before it was recorded has no time.
    hidden: hidden.filter((id) => !(deletedAt(id) >= yesterday)),
  };
}

/** Those of the snapshots that are listed now: others were deleted meanwhile. */
async function stillListed(ids: readonly string[], index: IndexTable, deadline: Deadline): Promise<string[]> {
  const items = ids.map((id) => ({ id, bytes: 0 }));
  const listed: string[] = [];
  for (const { item, done } of startAhead(items, ({ id }) => index.row(id, deadline))) {
    const row = await done;
    if (row !== undefined && row.deleting === undefined) listed.push(item.id);
  }
  return listed;
}

/** The items that fit, and the others. */
function partition<T>(items: readonly T[], fits: (item: T) => boolean): [T[], T[]] {
  return [items.filter(fits), items.filter((item) => !fits(item))];
}

/** A sentence about snapshots, if there are any. */
const named = (ids: readonly string[], sentence: (ids: string) => string): string[] =>
  ids.length === 0 ? [] : [sentence(listSome(ids, String, 5))];
