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
import { executionOf } from "../core/execution.ts";
import { applyRetention, type Candidate, type KeptSnapshot, type Retention } from "../core/retention.ts";
import { decodeSnapshotPart, sha256, type WantedPart } from "../core/snapshot.ts";
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
  /** How many remains of deletions and of repeated deliveries were removed. */
  readonly orphansDeleted: number;
  /** What could not be deleted. */
  readonly failed: readonly { readonly snapshotId: string; readonly error: OperationError }[];
  /** How many were to be deleted when the time ended. */
  readonly remaining: number;
  readonly warnings: readonly string[];
}

/** What is to be deleted: a listed snapshot, one whose deletion was interrupted, or a body that nothing lists. */
interface Target {
  readonly snapshotId: string;
  readonly kind: "expired" | "hidden" | "body";
  readonly bytes: number;
}

const DAY_MS = 24 * 60 * 60 * 1_000;
/** What is kept of the time for the deletions that are running when it ends, and for the answer. */
const [RESERVED_SHARE, MOST_RESERVED_MS] = [0.25, 20_000];
/** How often a deletion is tried again. */
const MOST_RETRIES = 3;
/** How many bodies the index may lack, and which share of all bodies: more are the sign of a lost index. */
const [FEW_BODIES, FEW_OF_ALL] = [2, 0.1];

/**
 * Deletes the snapshots that the rules do not keep, the oldest first, as `Snapshots.remove` does. Removes too, after a day, what
 * interrupted deletions and repeated deliveries have left. A body without a row is not deleted for its age: if the index is lost,
 * no body has a row. A deletion that fails does not stop the others.
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
  const needed = await neededByRollbacks(createJournal(config, clients), retention, now, deadline);
  const { withBody, orphans, hidden, strays } = await survey(bodies, index, rows, now, deadline);
  const bodiless = await stillListed(
    [...rows.listed.keys()].filter((id) => !withBody.has(id)),
    index,
    deadline,
  );
  const candidates = [...rows.listed.values()].filter(({ snapshotId }) => withBody.has(snapshotId));
  const { kept, expired, warnings } = applyRetention(candidates, retention, needed.reasons, now);

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
  const remove = async ({ snapshotId, kind }: Target): Promise<"deleted" | "gone" | "held" | OperationError> => {
    for (let attempt = 0; ; attempt++) {
      try {
        if (dryRun) return "deleted";
        await (kind === "body" ? bodies.remove(snapshotId, deadline) : snapshots.remove(snapshotId, by, deadline));
        return "deleted";
      } catch (error) {
        if (error instanceof SnapshotNotFound) return "gone";
        if (error instanceof SnapshotHeld) return "held"; // since the index was read
        if (!(error instanceof OperationError)) throw error;
        if (!(error instanceof StorageUnavailable) || attempt === MOST_RETRIES) return error;
        await pause(attempt + 2, deadline);
      }
    }
  };
  const deleted: Target[] = [];
  const held: string[] = [];
  const failed: { readonly snapshotId: string; readonly error: OperationError }[] = [];
  for (const { item, done } of startAhead(inTime(targets), remove)) {
    const outcome = await done;
    if (outcome === "deleted") deleted.push(item);
    else if (outcome === "held") held.push(item.snapshotId);
    else if (outcome !== "gone") failed.push({ snapshotId: item.snapshotId, error: outcome });
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

  return {
    kept: [
      ...kept,
      ...held.map((snapshotId) => ({ snapshotId, because: ["held"] })),
      ...bodiless.map((snapshotId) => ({ snapshotId, because: ["its body is missing from the bucket"] })),
    ],
    deleted: deleted.flatMap(({ snapshotId, kind }) => (kind === "expired" ? [snapshotId] : [])).toReversed(),
    orphansDeleted: deleted.filter(({ kind }) => kind !== "expired").length,
    failed,
    remaining,
    warnings: [
      ...warnings,
      ...rows.warnings,
      ...needed.warnings,
      ...named(
        bodiless,
        (ids) => `The bodies of ${ids} are missing from the bucket: restore or delete these snapshots.`,
      ),
      ...named(
        strays,
        (ids) => `The bucket has bodies that no row of the index lists: ${ids}. Call reindex to list them.`,
      ),
      ...(unnoted > 0 ? [`In list, kept_by of ${count(unnoted, "snapshot")} is that of an earlier run.`] : []),
      ...(remaining > 0
        ? [`The time ended before ${count(remaining, "more deletion")}: call prune again, or wait for its next run.`]
        : []),
    ],
  };
}

/** What the rows of the index say. */
interface Rows {
  readonly listed: ReadonlyMap<string, Candidate & Pick<SnapshotEntry, "keptBy">>;
  /** Snapshots that a deletion has hidden. */
  readonly hidden: readonly string[];
  /** Those that have a row of any kind, also one that cannot be read. */
  readonly known: ReadonlySet<string>;
  readonly warnings: readonly string[];
}

async function readIndex(index: IndexTable, deadline: Deadline): Promise<Rows> {
  const unreadable = createUnreadable("what is deleted");
  const listed = new Map<string, Candidate & Pick<SnapshotEntry, "keptBy">>();
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
    const { snapshotId, createdAt, status, trigger, schedule, offsets, hold, keptBy } = entry;
    listed.set(snapshotId, {
      snapshotId,
      createdAt,
      status,
      trigger,
      schedule,
      offsets,
      held: hold !== undefined,
      ...(keptBy && { keptBy }),
    });
  }
  return { listed, hidden, known, warnings: unreadable.warnings() };
}

/**
 * Why rollbacks need snapshots: all that can be resumed, and those that can be undone, which started in the days that safety
 * snapshots are kept.
 */
async function neededByRollbacks(
  journal: Journal,
  retention: Retention | undefined,
  now: Date,
  deadline: Deadline,
): Promise<{ readonly reasons: ReadonlyMap<string, readonly string[]>; readonly warnings: readonly string[] }> {
  const reasons = new Map<string, string[]>();
  const need = (reason: string, ...ids: readonly (string | null)[]) => {
    for (const id of ids) if (id !== null) reasons.set(id, [...(reasons.get(id) ?? []), reason]);
  };
  if (retention === undefined) return { reasons, warnings: [] };
  const named = createUnreadable(
    "the rollbacks that can be undone or resumed",
    "The snapshots that they name are kept.",
  );
  const unreadable = {
    ...named,
    add(error: OperationError, item: Item = {}) {
      const { snapshot_id, safety_snapshot_id = { S: "" } } = item;
      if (snapshot_id?.S === undefined || safety_snapshot_id.S === undefined) {
        throw new JournalCorrupt(`it is not known which snapshots a rollback needs. ${error.summary}`, {
          next: "Then call prune again.",
        });
      }
      named.add(error);
      need("named by a rollback that cannot be read", snapshot_id.S, safety_snapshot_id.S);
    },
  };
  for await (const { rollbackId, snapshotId, safetySnapshotId } of journal.resumable(unreadable, deadline)) {
    need(`${rollbackId} can be resumed`, snapshotId, safetySnapshotId);
  }
  const since = new Date(now.getTime() - retention.safetyDays * DAY_MS);
  for await (const { rollbackId, snapshotId, safetySnapshotId } of journal.newestFirst(since, unreadable, deadline)) {
    if (safetySnapshotId !== null) need(`${rollbackId} can be undone`, snapshotId, safetySnapshotId);
  }
  return { reasons, warnings: named.warnings() };
}

/**
 * Compares the bodies with the rows. `orphans` are bodies without a row that can be deleted, `strays` those that cannot;
 * `hidden` are snapshots whose deletion was interrupted.
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
  const isOld = (time: number) => time < yesterday;
  const withBody = new Set<string>();
  const unlisted: { readonly snapshotId: string; readonly writtenAt: number }[] = [];
  for await (const { snapshotId, writtenAt } of bodies.list(deadline)) {
    if (snapshotId === undefined) continue;
    withBody.add(snapshotId);
    const body = { snapshotId, writtenAt: writtenAt.getTime() };
    if (!known.has(snapshotId) && isOld(body.writtenAt)) unlisted.push(body);
  }
  const deletions = unlisted.length + hidden.length > 0 ? await index.deletions(deadline) : new Map<string, string>();
  const deletedAt = (snapshotId: string) => Date.parse(deletions.get(snapshotId) ?? "");
  // What was written after the deletion is a copy, by which a person has restored the snapshot.
  const [deleted, unexplained] = partition(unlisted, (body) => body.writtenAt <= deletedAt(body.snapshotId));
  const few = Math.max(FEW_BODIES, withBody.size * FEW_OF_ALL);
  if (unexplained.length > few || (unexplained.length > 0 && listed.size === 0)) {
    throw new IndexIncomplete(
      `the bucket has ${count(withBody.size, "body", "bodies")}, the index lists ${count(listed.size, "snapshot")}. No row has ` +
        `the bodies of ${listSome(unexplained, ({ snapshotId }) => snapshotId)}.`,
      { next: 'Call reindex with {"dry_run": true} to see what it would list, then reindex, then prune again.' },
    );
  }
  const [orphans, strays] = [
    deleted.map(({ snapshotId }) => snapshotId).filter((id) => isOld(deletedAt(id))),
    [] as string[],
  ];
  for (const { snapshotId } of unexplained) {
    const isRepeated = await isRepeatedDelivery(snapshotId, bodies, index, listed, deadline);
    (isRepeated ? orphans : strays).push(snapshotId);
  }
  return {
    withBody,
    orphans,
    strays,
    // One that was interrupted before it was recorded has no time.
    hidden: hidden.filter((id) => !(deletedAt(id) >= yesterday)),
  };
}

/** Whether a body is of a scheduled execution that has another snapshot, which is listed. */
async function isRepeatedDelivery(
  snapshotId: string,
  bodies: Bodies,
  index: IndexTable,
  listed: Rows["listed"],
  deadline: Deadline,
): Promise<boolean> {
  const body = await bodies.get(snapshotId, deadline);
  if (body === undefined) return false;
  try {
    const stored = { snapshotId, sha256: sha256(body), bytes: body.byteLength };
    const { schedule } = await decodeSnapshotPart(body, stored, nothing);
    const id = schedule && executionOf(schedule);
    const winner = id === undefined ? undefined : await index.findExecution(id, undefined, deadline);
    return winner !== undefined && winner !== snapshotId && listed.has(winner);
  } catch (error) {
    if (error instanceof SnapshotCorrupt) return false;
    throw error;
  }
}

const nothing: WantedPart = { group: () => false, partition: () => false };

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
