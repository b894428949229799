import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type Deadline, deadlineExceeded } from "../core/deadline.ts";
import { SnapshotCorrupt, SnapshotHeld, SnapshotNotFound } from "../core/errors.ts";
import type { Selection, Snapshot, SnapshotContent } from "../core/model.ts";
import { coverage, type Selector, textOf } from "../core/selectors.ts";
import { decodeSnapshot, decodeSnapshotPart, encodeSnapshot, type WantedPart } from "../core/snapshot.ts";
import { formatSnapshotId, isoSeconds, parseSnapshotId } from "../core/snapshot-id.ts";
import { nameSome, quote } from "../core/text.ts";
import { startAhead } from "./ahead.ts";
import { pause } from "./aws-call.ts";
import { type Clients, lazyBodies, type StorageConfig, sharedClients } from "./clients.ts";
import type { Hold, HoldChange } from "./hold.ts";
import {
  holdIn,
  indexEntryOf,
  keysBetween,
  type ListRequest,
  requireAgreement,
  type SnapshotEntry,
  stretchOf,
  topicsNamed,
} from "./index-entry.ts";
import { createIndexTable } from "./index-table.ts";
import type { Caller } from "./items.ts";
import { type Page, readPage } from "./paging.ts";
import { createUnreadable, type Unreadable } from "./unreadable.ts";

/** How a snapshot is named: by its id, as `latest`, or as the newest at a time. */
type SnapshotReference = string | { readonly at: Date };

/** A snapshot, and what the index says of it. */
export interface Kept {
  readonly snapshot: Snapshot;
  readonly entry: SnapshotEntry;
}

const mostFormer = 50;
/** The largest body that is read for its topics alone, gzip'd: some two million offsets. */
const mostBytesForTopics = 8_000_000;
/** How long after its second an id is not free, by any clock. */
const sameSecondMs = 2_000;

/** The snapshots of a deployment: see `createSnapshots`. */
export type Snapshots = ReturnType<typeof createSnapshots>;

/**
 * The snapshots that are kept: bodies in S3, each written once, and an index in DynamoDB. Clients are those of the process
 * unless others are given.
 *
 * All methods throw DeadlineExceeded when the deadline passes, StorageUnavailable when S3 or DynamoDB fail or do not
 * answer, Configuration when a right, the bucket or the table is missing, and SnapshotCorrupt when what was stored is not
 * what was written. What could not be read is an error or a warning, never an empty answer.
 */
export function createSnapshots(config: StorageConfig, clients: Clients = sharedClients()) {
  const bodies = lazyBodies(config, clients);
  const index = createIndexTable(clients.dynamodb, config.table);

  /**
   * What the index says of a snapshot.
   *
   * @throws SnapshotNotFound where none of that id is listed
   */
  const entry = async (snapshotId: string, deadline: Deadline): Promise<SnapshotEntry> => {
    const found = await index.get(snapshotId, deadline);
    if (found === undefined) throw notFound(snapshotId);
    return found;
  };

  /** The snapshot of an entry, or a part of it. */
  const readBody = async (listed: SnapshotEntry, wanted: WantedPart | undefined, deadline: Deadline): Promise<Kept> => {
    const { snapshotId } = listed;
    const body = await (await bodies()).get(snapshotId, deadline);
    if (body !== undefined) {
      const snapshot =
        wanted === undefined ? decodeSnapshot(body, listed) : await decodeSnapshotPart(body, listed, wanted);
      requireAgreement(listed, snapshot, body.byteLength, wanted !== undefined);
      return { snapshot, entry: listed };
    }
    await entry(snapshotId, deadline); // deleted in between?
    throw new SnapshotCorrupt(
      `the body of ${snapshotId} is missing from the bucket, but the index lists the snapshot.`,
      {
        next: "Use another snapshot, or restore the object: the bucket is versioned.",
      },
    );
  };

  const read = async (snapshotId: string, deadline: Deadline): Promise<Kept> =>
    readBody(await entry(snapshotId, deadline), undefined, deadline);

  /** What was read; undefined where the snapshot was deleted meanwhile, or cannot be read: then `unreadable` names it. */
  const ifReadable = async (reading: Promise<Kept>, unreadable: Unreadable): Promise<Kept | undefined> => {
    try {
      return await reading;
    } catch (error) {
      if (error instanceof SnapshotCorrupt) unreadable.add(error);
      else if (!(error instanceof SnapshotNotFound)) throw error;
      return undefined;
    }
  };

  const readIfReadable = (snapshotId: string, unreadable: Unreadable, deadline: Deadline) =>
    ifReadable(read(snapshotId, deadline), unreadable);

  const selectionOf = async ({ selection, snapshotId }: SnapshotEntry, unreadable: Unreadable, deadline: Deadline) =>
    selection ?? (await readIfReadable(snapshotId, unreadable, deadline))?.snapshot.selection;

  const load = async (snapshotId: string, deadline: Deadline) => (await read(snapshotId, deadline)).snapshot;

  return {
    entry,

    /**
     * A snapshot as it was written.
     *
     * @throws SnapshotNotFound where none of that id is listed
     */
    load,

    /**
     * Saves a snapshot under an id made of `now`: body first, index second, so that a listed snapshot has its body, and a
     * returned one is listed. No two calls get the same id, except those with the same `executionId`: an execution of a
     * schedule has one snapshot, whichever of its deliveries comes first. `repeated`: an earlier one took it. One that cannot
     * be read is replaced.
     *
     * @throws StorageUnavailable, whose message says whether the snapshot may be listed
     */
    async save(content: SnapshotContent, now: Date, deadline: Deadline, executionId?: string) {
      const createdAt = isoSeconds(now);
      const writeToken = randomUUID();
      const unreadable = createUnreadable("the deliveries of this execution"); // `findExecution` has warned of it
      const read = (snapshotId: string) => readIfReadable(snapshotId, unreadable, deadline);
      const execution = executionId === undefined ? undefined : { id: executionId, read };
      for (let number = 1; ; number++) {
        const snapshotId = formatSnapshotId({ createdAt, number });
        const snapshot: Snapshot = { ...content, snapshotId, createdAt };
        const encoded = encodeSnapshot(snapshot);
        if ((await (await bodies()).put(snapshotId, encoded, writeToken, deadline)) === "taken") continue;
        const written = indexEntryOf(snapshot, { sha256: encoded.sha256, bytes: encoded.body.byteLength });
        const listed = await index.insert(written, writeToken, deadline, execution);
        if (listed === "listed") return { entry: written, snapshot, repeated: false };
        if (listed === "taken") continue;
        // Nothing lists this body, and nothing can: a late request to list it finds the execution taken, too.
        await (await bodies()).remove(snapshotId, deadline).catch(() => {});
        return { ...listed.winner, repeated: true };
      }
    },

    /** The snapshot that a scheduled execution has already taken; none, with a warning, where it cannot be read. */
    async findExecution(executionId: string, deadline: Deadline) {
      const unreadable = createUnreadable("the search for an earlier delivery of this execution");
      const snapshotId = await index.findExecution(executionId, unreadable, deadline);
      const found = snapshotId === undefined ? undefined : await readIfReadable(snapshotId, unreadable, deadline);
      return { found, warnings: unreadable.warnings() };
    },

    /**
     * The snapshot that a reference stands for, as it was written, with its entry. `latest` is the newest complete snapshot that is neither a
     * safety snapshot nor an import, and was asked to cover everything that `wanted` selects (undefined: whatever it covers), except for
     * what it excluded from a pattern: a warning names that. `{at}` is the same, but taken at that time or before. One that
     * cannot be read is not chosen: a warning names it, too. Any other text is an id.
     *
     * @throws SnapshotNotFound whose message says why the newest ones do not fit
     */
    async open(reference: SnapshotReference, wanted: readonly Selector[] | undefined, deadline: Deadline) {
      if (typeof reference === "string" && reference !== "latest") {
        return { ...(await read(reference, deadline)), warnings: [] };
      }
      const at = typeof reference === "string" ? undefined : reference.at;
      const unreadable = createUnreadable("the search for the newest snapshot");
      const unfit: string[] = [];
      const covers = coverageOf(wanted);
      const candidates = index.newestFirst({ ...keysBetween(undefined, at), expect: 25 }, unreadable, deadline);
      for await (const candidate of candidates) {
        const { snapshotId } = candidate;
        const { unfit: reason, exclusions = [] } = await fitOf(
          candidate,
          () => selectionOf(candidate, unreadable, deadline),
          covers,
        );
        if (deadline.remainingMs() === 0) throw deadlineExceeded("looking for the newest snapshot");
        if (reason === undefined) {
          const found = await readIfReadable(snapshotId, unreadable, deadline);
          const warnings = [...exclusionWarnings(snapshotId, exclusions), ...unreadable.warnings()];
          if (found !== undefined) return { ...found, warnings };
        }
        if (unfit.length < 3) unfit.push(`${snapshotId} ${reason ?? "cannot be read"}`);
      }
      throw nothingFits(at, wanted, unfit, unreadable.warnings());
    },

    /**
     * The topics that the last snapshot names which covers a selection, is complete, and neither a safety snapshot nor an import: those that it
     * has commits on, and those that could not be observed then. None where none of the 50 newest snapshots is such a one.
     * Those that cannot be read are left out, with a warning.
     */
    async formerTopics({ groups, exclude }: Selection, deadline: Deadline) {
      const excludedToo = new Set(exclude.map((selector) => JSON.stringify(selector)));
      const unreadable = createUnreadable("the search for topics that the principal may no longer describe");
      const covers = coverageOf(groups);
      let looked = 0;
      const candidates = index.newestFirst({ ...keysBetween(undefined, undefined), expect: 5 }, unreadable, deadline);
      for await (const candidate of candidates) {
        if (++looked > mostFormer) break;
        const selection = async () => {
          const asked = await selectionOf(candidate, unreadable, deadline);
          return (
            asked && {
              ...asked,
              exclude: asked.exclude.filter((selector) => !excludedToo.has(JSON.stringify(selector))),
            }
          );
        };
        const { unfit, exclusions = [] } = await fitOf(candidate, selection, covers);
        if (unfit !== undefined || exclusions.length > 0) continue;
        const { snapshotId, topics } = candidate;
        const found = topics === undefined ? await readIfReadable(snapshotId, unreadable, deadline) : undefined;
        const named = topics ?? (found && topicsNamed(found.snapshot));
        if (named !== undefined) return { topics: named, warnings: unreadable.warnings() };
      }
      return { topics: [], warnings: unreadable.warnings() };
    },

    /**
     * The newest complete snapshot of a schedule, with its topics and without its groups; undefined where there is none, and
     * with a warning where it is too large for this. Items of the index that cannot be read are passed over, with a warning.
     */
    async lastOfSchedule(schedule: string, deadline: Deadline) {
      const unreadable = createUnreadable(`the search for the last snapshot of schedule ${schedule}`);
      const filters = { status: "complete", schedule };
      const stretch = { ...keysBetween(undefined, undefined), filters, expect: 1 };
      for await (const candidate of index.newestFirst(stretch, unreadable, deadline)) {
        if (candidate.bytes > mostBytesForTopics) {
          const tooLarge = `${candidate.snapshotId}, the last snapshot of schedule ${schedule}, is too large to be read again.`;
          return { last: undefined, warnings: [...unreadable.warnings(), tooLarge] };
        }
        const { snapshot } = await readBody(candidate, onlyTopics, deadline);
        return { last: snapshot, warnings: unreadable.warnings() };
      }
      return { last: undefined, warnings: unreadable.warnings() };
    },

    /**
     * The entries of snapshots, newest first; pages are full except for the last. Those that cannot be read are left out,
     * with a warning.
     *
     * @throws InvalidRequest where the times exclude each other, or the token is not of an earlier page of the same list
     */
    list: async (request: ListRequest, deadline: Deadline): Promise<Page<SnapshotEntry>> =>
      readPage(
        (unreadable) => index.newestFirst(stretchOf(request), unreadable, deadline),
        request.limit,
        ({ snapshotId }) => snapshotId,
      ),

    /**
     * The wanted part of each of these snapshots, in their order: read in parallel, ahead of the caller by a few. Those that
     * were deleted meanwhile are left out, those that cannot be read as well: `unreadable` names them.
     */
    async *readParts(
      entries: readonly SnapshotEntry[],
      wanted: WantedPart,
      unreadable: Unreadable,
      deadline: Deadline,
    ): AsyncGenerator<Snapshot> {
      const readings = startAhead(entries, (entry) => readBody(entry, wanted, deadline));
      for (const { done } of readings) {
        const found = await ifReadable(done, unreadable);
        if (found !== undefined) yield found.snapshot;
      }
    },

    /**
     * Holds a snapshot, so that it cannot be deleted, or releases it: first in the bucket, then in the index, which counts.
     * Another hold or release at the same time comes before or after this one. A deletion at the same time ends with
     * SnapshotHeld, or this call with SnapshotNotFound.
     *
     * @throws SnapshotNotFound where there is none of that id (any more)
     */
    async hold(
      snapshotId: string,
      wanted: Pick<HoldChange, "held" | "reason">,
      { requestedBy: by, callerArn }: Caller,
      deadline: Deadline,
    ): Promise<void> {
      for (let attempt = 0; ; attempt++) {
        const row = await index.row(snapshotId, deadline);
        if (row === undefined || row.deleting !== undefined) throw notFound(snapshotId, "");
        const { held, reason } = wanted;
        const byProven = callerArn !== null;
        const change: HoldChange = { held, reason, by, byProven, at: new Date().toISOString(), change: randomUUID() };
        await (await bodies()).putHold(snapshotId, change, deadline);
        if (await index.setHold(snapshotId, change, row.hold_change?.S, deadline)) return;
        await pause(attempt, deadline); // another call was between the two: this one comes after it
      }
    },

    /**
     * Deletes a snapshot, and records who did. Its steps may be interrupted between any two: after the first one no other method
     * finds the snapshot, its body goes only after the record is written, and its row goes last. Calling again finishes what was
     * interrupted, and writes another record. The id stays in use until its second is over, so that no other snapshot gets it.
     *
     * @throws SnapshotNotFound where there is none of that id (any more), and SnapshotHeld where it is held
     */
    async remove(snapshotId: string, by: Caller, deadline: Deadline): Promise<void> {
      while (!(await index.hide(snapshotId, by, deadline))) {
        const row = await index.row(snapshotId, deadline);
        if (row === undefined) throw notFound(snapshotId, "");
        const { hold } = holdIn(row);
        if (hold !== undefined) throw isHeld(snapshotId, hold); // else it was released in between
      }
      const age = Date.now() - Date.parse(parseSnapshotId(snapshotId)?.createdAt ?? "");
      if (age < sameSecondMs) {
        const rest = Math.min(sameSecondMs, sameSecondMs - age);
        await delay(rest, undefined, { signal: deadline.signal }).catch(() => {}); // the next call says that time is up
      }
      await (await bodies()).remove(snapshotId, deadline);
      await index.forget(snapshotId, deadline);
    },
  };
}

function isHeld(snapshotId: string, { at, by, byProven, reason }: Hold) {
  const who = byProven ? by : `${by} (claimed)`;
  const since = [...(at === null ? [] : [`since ${at}`]), ...(by === null ? [] : [`by ${who}`])].join(" ");
  const why = reason === null ? "" : ` (${quote(reason)})`;
  return new SnapshotHeld(`${snapshotId} is held${since && ` ${since}`}${why}.`, {
    next: `To delete it, release it first: call hold with {"snapshot_id": "${snapshotId}", "held": false}.`,
    details: { snapshot_id: snapshotId, hold: { at, by, by_proven: byProven, reason } },
  });
}

const notFound = (snapshotId: string, latest = '; "latest" is the newest complete one') =>
  new SnapshotNotFound(`there is no snapshot ${JSON.stringify(snapshotId.slice(0, 100))}.`, {
    next: `Call list to see all snapshots${latest}.`,
  });

const onlyTopics: WantedPart = { group: () => false, partition: () => false, topic: () => true };

/** The `coverage` of what is wanted; undefined wants nothing in particular. It is worked out once for each selection. */
function coverageOf(wanted: readonly Selector[] | undefined) {
  if (wanted === undefined) return undefined;
  const known = new Map<string, ReturnType<typeof coverage>>();
  return (asked: Selection) => {
    const key = JSON.stringify(asked);
    const covered = known.get(key) ?? coverage(asked, wanted);
    known.set(key, covered);
    return covered;
  };
}

/** Why a snapshot is not what `latest` or a time stands for; else what it excluded from the patterns that are wanted. */
async function fitOf(
  entry: SnapshotEntry,
  selection: () => Promise<Selection | undefined>,
  covers: ReturnType<typeof coverageOf>,
): Promise<{ readonly unfit?: string; readonly exclusions?: readonly Selector[] }> {
  if (entry.trigger === "safety") return { unfit: "is a safety snapshot" };
  if (entry.trigger === "imported") return { unfit: "is an import" };
  if (entry.status === "partial") return { unfit: "is partial" };
  if (covers === undefined) return {};
  const asked = await selection();
  if (asked === undefined) return { unfit: "cannot be read" };
  const { uncovered, exclusions } = covers(asked);
  return uncovered.length === 0 ? { exclusions } : { unfit: `was not asked for ${nameSelectors(uncovered)}` };
}

const exclusionWarnings = (snapshotId: string, exclusions: readonly Selector[]) =>
  exclusions.length === 0
    ? []
    : [
        `${snapshotId} was taken with exclude ${nameSelectors(exclusions)}: groups that match it are not in the snapshot and ` +
          'are left out here, even if "groups" matches them. To include them, use another snapshot.',
      ];

const nameSelectors = (selectors: readonly Selector[]) => nameSome(selectors.map(textOf));

function nothingFits(
  at: Date | undefined,
  wanted: readonly Selector[] | undefined,
  unfit: readonly string[],
  warnings: readonly string[],
) {
  const what = `complete snapshot${wanted === undefined ? "" : ` of ${nameSelectors(wanted)}`}`;
  const when = at === undefined ? "" : ` taken at or before ${at.toISOString()}`;
  const none = at === undefined ? "There is none at all" : "There is none that old";
  const why = unfit.length === 0 ? none : `The newest: ${unfit.join("; ")}`;
  const leftOut = warnings.slice(0, 3).map((warning) => ` ${warning}`);
  return new SnapshotNotFound(`there is no ${what}${when}. ${why}.${leftOut.join("")}`, {
    next: "Call list, and name a snapshot by its id. A new snapshot would have the present offsets.",
  });
}
