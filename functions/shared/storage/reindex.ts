import { isDeepStrictEqual } from "node:util";
import type { Deadline } from "../core/deadline.ts";
import { SnapshotCorrupt, StorageUnavailable } from "../core/errors.ts";
import { executionOf } from "../core/execution.ts";
import { decodeSnapshot, decodeSnapshotPart, sha256 } from "../core/snapshot.ts";
import { parseSnapshotId } from "../core/snapshot-id.ts";
import { count, listSome } from "../core/text.ts";
import { startAhead } from "./ahead.ts";
import { pause } from "./aws-call.ts";
import type { Bodies, FoundObject } from "./bodies.ts";
import { type Clients, lazyBodies, type StorageConfig } from "./clients.ts";
import type { HoldChange } from "./hold.ts";
import {
  entryItem,
  firstHold,
  holdAfter,
  holdIn,
  idAt,
  indexEntryOf,
  requireAgreement,
  sortKeyOf,
  withHold,
} from "./index-entry.ts";
import { createIndexTable, type IndexTable, mayBeRepeated, reindexing } from "./index-table.ts";
import type { Item } from "./items.ts";

/** How the index compares with the bodies, once it was made from them. */
export interface Reindexed {
  /** How many snapshots are listed now, and have a body that is what was written. */
  readonly indexed: number;
  /** Snapshots that had a body and no row, newest first. */
  readonly added: readonly string[];
  /** Snapshots whose row was damaged, or did not agree with the body that it is of. */
  readonly repaired: readonly string[];
  /** Listed snapshots without a body. */
  readonly orphanRows: readonly string[];
  /** Objects that are no bodies, or not what was written. */
  readonly unreadable: readonly { readonly key: string; readonly message: string }[];
  /** How many bodies were not read before the time ended. */
  readonly remaining: number;
  readonly warnings: readonly string[];
}

/** A body, and the row of its snapshot. */
interface Body extends FoundObject {
  readonly snapshotId: string;
  readonly sortKey: string;
  readonly row: Item | undefined;
}

/** What became of a body; `gone`: it is not in the bucket any more; `changed`: its row was written meanwhile. */
type Outcome =
  | "listed"
  | "added"
  | "repaired"
  | "deleted"
  | "repeated"
  | "gone"
  | "changed"
  | { readonly unreadable: string };

type Kind = Extract<Outcome, string>;

/** What is kept of the time for the bodies that are being read when it ends, and for the answer. */
const [RESERVED_SHARE, MOST_RESERVED_MS] = [0.25, 20_000];
/** How often a body is tried again: a new table accepts fewer rows a second than are written. */
const MOST_RETRIES = 5;

/**
 * Makes the rows of the index from the bodies in the bucket: first adds those that are missing, then repairs those that are
 * damaged. It deletes nothing. It replaces no row that has the SHA-256 of other bytes, which is the only witness of what was
 * written. Each row is written on a condition: this may run beside snapshots, deletions and another of itself, and be repeated.
 *
 * @param dryRun whether to look only
 * @throws what `callAws` throws; rows that were written by then are right
 */
export async function reindex(
  config: StorageConfig,
  clients: Clients,
  dryRun: boolean,
  deadline: Deadline,
): Promise<Reindexed> {
  const bodies = await lazyBodies(config, clients)();
  const index = createIndexTable(clients.dynamodb, config.table);
  const reservedMs = Math.min(MOST_RESERVED_MS, deadline.remainingMs() * RESERVED_SHARE);

  const { unlisted, listed, rest, unreadable } = await survey(bodies, index, deadline);
  // After the rows: a hold that is written meanwhile differs from its row, which is then seen to have changed.
  const holds = await bodies.heldOrReleased(deadline);
  const deletions: ReadonlyMap<string, string> = unlisted.length > 0 ? await index.deletions(deadline) : new Map();

  const unreadableHolds = new Map<string, string>();
  /** What was written last of the hold of a snapshot. */
  async function changeOf(snapshotId: string): Promise<HoldChange | "unreadable" | undefined> {
    if (!holds.has(snapshotId)) return undefined;
    try {
      return await bodies.getHold(snapshotId, deadline);
    } catch (error) {
      if (!(error instanceof SnapshotCorrupt)) throw error;
      unreadableHolds.set(bodies.holdKey(snapshotId), error.summary);
      return "unreadable";
    }
  }

  /** Lists a snapshot that has no row. */
  async function add({ snapshotId, writtenAt }: Body): Promise<Outcome> {
    const deletedAt = deletions.get(snapshotId);
    // What was written after the deletion is a copy, by which a person has restored the snapshot.
    if (deletedAt !== undefined && writtenAt.getTime() <= Date.parse(deletedAt)) return "deleted";
    const found = await bodies.getWithToken(snapshotId, deadline);
    if (found === undefined) return "gone";
    const { body, writeToken } = found;
    const stored = { snapshotId, sha256: sha256(body), bytes: body.byteLength };
    const snapshot = decodeSnapshot(body, stored);
    if (dryRun) return "added";
    const { schedule, createdAt } = snapshot;
    const id = schedule && mayBeRepeated(createdAt) ? executionOf(schedule) : undefined;
    const execution = id === undefined ? undefined : { id, read: (winner: string) => index.get(winner, deadline) };
    const change = await changeOf(snapshotId);
    const entry = indexEntryOf(snapshot, stored);
    const held =
      change === undefined ? entry : withHold(entry, change === "unreadable" ? heldInDoubt : holdAfter(change));
    const outcome = await index.insert(held, writeToken, deadline, execution, reindexing);
    if (typeof outcome === "object") return "repeated";
    return outcome === "listed" ? "added" : "changed";
  }

  /** Compares a body with the row that lists it. */
  async function compare({ snapshotId, sortKey }: Body, row: Item): Promise<Outcome> {
    const found = await bodies.getWithToken(snapshotId, deadline);
    if (found === undefined) {
      rest.set(sortKey, row);
      return "gone";
    }
    const { body, writeToken } = found;
    const stored = { snapshotId, sha256: sha256(body), bytes: body.byteLength };
    if (row.sha256?.S !== stored.sha256) return { unreadable: disagreement(row, stored) };
    const change = await changeOf(snapshotId);
    const last = typeof change === "object" ? holdAfter(change) : undefined;
    if (await isEntryOf(row, body, stored, last, change === "unreadable")) return "listed";
    const entry = indexEntryOf(decodeSnapshot(body, stored), stored);
    // Where the bucket does not know of a change that the row has, or cannot say which, the row does.
    const ofRow = change === "unreadable" || row.hold_change !== undefined ? holdIn(row) : undefined;
    const state = last ?? ofRow;
    const repaired = state === undefined ? entry : withHold(entry, state);
    return dryRun || (await index.repair(repaired, writeToken, row.hold_change?.S, deadline)) ? "repaired" : "changed";
  }

  const work = async (found: Body): Promise<Outcome> => {
    for (let attempt = 0; ; attempt++) {
      try {
        return await (found.row === undefined ? add(found) : compare(found, found.row));
      } catch (error) {
        if (error instanceof SnapshotCorrupt) return { unreadable: error.summary };
        if (!(error instanceof StorageUnavailable) || attempt === MOST_RETRIES) throw error;
        await pause(attempt + 2, deadline);
      }
    }
  };
  const waiting = [...newestFirst(unlisted), ...newestFirst(listed)];
  let begun = 0;
  function* inTime() {
    for (const body of waiting) {
      if (deadline.remainingMs() < reservedMs) return;
      begun++;
      yield body;
    }
  }
  const ids: Readonly<Record<Kind, string[]>> = {
    listed: [],
    added: [],
    repaired: [],
    deleted: [],
    repeated: [],
    gone: [],
    changed: [],
  };
  for (const { item, done } of startAhead(inTime(), work)) {
    const outcome = await done;
    if (typeof outcome === "string") ids[outcome].push(item.snapshotId);
    else unreadable.push({ key: item.key, message: outcome.unreadable });
  }

  for (const [key, message] of unreadableHolds) unreadable.push({ key, message });
  const { orphanRows, hidden } = await withoutBodies(rest, index, deadline);
  const remaining = waiting.length - begun;
  const warnings = [
    ...named(
      ids.deleted,
      (ids) =>
        `Not listed, because the snapshots were deleted, although their bodies are still in the bucket: ${ids}. To list one again, ` +
        "copy the version of its object over itself, which is newer than the deletion, and call reindex again.",
    ),
    ...named(
      ids.repeated,
      (ids) => `Not listed, because another snapshot of the same scheduled execution is listed: ${ids}.`,
    ),
    ...named(
      ids.changed,
      (ids) => `Other calls wrote the rows of ${ids} meanwhile: call reindex again to compare them.`,
    ),
    ...named(hidden, (ids) => `A deletion has hidden ${ids}, and has not ended: call delete again to finish it.`),
    ...(remaining > 0
      ? [`The time ended before ${count(remaining, "body", "bodies")} could be read: call reindex again to go on.`]
      : []),
  ];
  return {
    indexed: ids.listed.length + ids.added.length + ids.repaired.length,
    added: ids.added,
    repaired: ids.repaired,
    orphanRows,
    unreadable,
    remaining,
    warnings,
  };
}

/** The bodies with their rows, the rows that are left, and the objects that are no bodies. */
async function survey(bodies: Bodies, index: IndexTable, deadline: Deadline) {
  // Rows before bodies: a snapshot that is taken meanwhile is a body without a row here, never a row without a body.
  const rest = new Map<string, Item>();
  for await (const row of index.rows(deadline)) rest.set(row.sk?.S ?? "", row);
  const [unlisted, listed]: [Body[], Body[]] = [[], []];
  const unreadable: { readonly key: string; readonly message: string }[] = [];
  for await (const object of bodies.list(deadline)) {
    const { key, snapshotId = "" } = object;
    const parts = parseSnapshotId(snapshotId);
    if (parts === undefined) {
      unreadable.push({ key, message: "it was not read: its name is not that of a snapshot's body." });
      continue;
    }
    const sortKey = sortKeyOf(parts);
    const row = rest.get(sortKey);
    if (row?.deleting !== undefined) continue;
    rest.delete(sortKey);
    (row === undefined ? unlisted : listed).push({ ...object, snapshotId, sortKey, row });
  }
  return { unlisted, listed, rest, unreadable };
}

/** The snapshots of rows without a body that are still there: those that are listed, and those that a deletion has hidden. */
async function withoutBodies(rows: ReadonlyMap<string, Item>, index: IndexTable, deadline: Deadline) {
  const [orphanRows, hidden]: [string[], string[]] = [[], []];
  const waiting = [...rows].map(([sortKey, row]) => ({
    id: idAt(sortKey),
    isKnown: idAt(sortKey) !== sortKey,
    row,
    bytes: 0,
  }));
  const reading = startAhead(waiting, async ({ id, isKnown, row }) =>
    isKnown && row.deleting === undefined ? index.row(id, deadline) : row,
  );
  for (const { item, done } of reading) {
    const row = await done;
    if (row !== undefined) (row.deleting === undefined ? orphanRows : hidden).push(item.id);
  }
  return { orphanRows, hidden };
}

/** A snapshot that was held or released, and it is not known which, is held. */
const heldInDoubt = { hold: { at: null, by: null, byProven: false, reason: "its object below holds/ cannot be read" } };

/** A sentence about snapshots, if there are any. */
const named = (ids: readonly string[], sentence: (ids: string) => string): string[] =>
  ids.length === 0 ? [] : [sentence(listSome(ids, String, 5))];

const newestFirst = (bodies: readonly Body[]) => bodies.toSorted((a, b) => (a.sortKey < b.sortKey ? 1 : -1));

/** What is stored under the id of a snapshot. */
interface Stored {
  readonly snapshotId: string;
  readonly sha256: string;
  readonly bytes: number;
}

/**
 * Whether a row says of a body what a new one would say. The commits are counted, and not decoded: the checksum proves them.
 *
 * @throws SnapshotCorrupt where the body cannot be decoded
 */
async function isEntryOf(
  row: Item,
  body: Uint8Array,
  stored: Stored,
  last: ReturnType<typeof holdAfter> | undefined,
  trustsRow: boolean,
): Promise<boolean> {
  let offsets = 0;
  const counted = { group: () => true, partition: () => ++offsets < 0 };
  const part = await decodeSnapshotPart(body, stored, counted);
  try {
    const entry = entryItem.decode(row);
    requireAgreement(entry, part, stored.bytes, true);
    const { hold, holdChange } = entry;
    const first = trustsRow || holdChange !== undefined ? { hold, holdChange } : { hold: firstHold(part) };
    if (!isDeepStrictEqual({ hold: undefined, holdChange: undefined, ...(last ?? first) }, { hold, holdChange }))
      return false;
    return entry.groups === part.consumerGroups.size && entry.offsets === offsets;
  } catch (error) {
    if (error instanceof SnapshotCorrupt) return false;
    throw error;
  }
}

/** Why a body is not listed, or not any more: its row is of other bytes. */
function disagreement(row: Item, { snapshotId, sha256, bytes }: Stored): string {
  const listed = row.sha256?.S === undefined ? "the index has none" : `the index says ${row.sha256.S}`;
  return (
    `the body of ${snapshotId} has the SHA-256 ${sha256} (${bytes} bytes), and ${listed}. Nothing was changed: only the index ` +
    "shows which bytes were written. Restore the version of the object that has this SHA-256: the bucket is versioned. If you " +
    "know that the body is right, delete the item of the snapshot from the table, and call reindex again."
  );
}
