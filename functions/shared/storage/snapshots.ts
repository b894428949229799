import { randomUUID } from "node:crypto";
import type { Deadline } from "../core/deadline.ts";
import { SnapshotCorrupt, SnapshotNotFound } from "../core/errors.ts";
import type { Selection, Snapshot, SnapshotContent } from "../core/model.ts";
import { coverage, type Selector, textOf } from "../core/selectors.ts";
import { decodeSnapshot, encodeSnapshot } from "../core/snapshot.ts";
import { formatSnapshotId, isoSeconds } from "../core/snapshot-id.ts";
import { nameSome } from "../core/text.ts";
import { type Clients, lazyBodies, type StorageConfig, sharedClients } from "./clients.ts";
import {
  indexEntryOf,
  keysBetween,
  type ListRequest,
  requireAgreement,
  type SnapshotEntry,
  stretchOf,
  topicsNamed,
} from "./index-entry.ts";
import { createIndexTable, type Deletion } from "./index-table.ts";
import { type Page, readPage } from "./paging.ts";

/** How a snapshot is named: by its id, as `latest`, or as the newest at a time. */
type SnapshotReference = string | { readonly at: Date };

/** The snapshot that a reference stands for, and what to know of how it was chosen, in sentences. */
export interface Chosen {
  readonly snapshotId: string;
  readonly warnings: readonly string[];
}

const mostFormer = 50;

/** The snapshots of a deployment: see `createSnapshots`. */
export type Snapshots = ReturnType<typeof createSnapshots>;

/**
 * The snapshots that are kept: bodies in S3, each written once, and an index in DynamoDB. Clients are those of the process
 * unless others are given.
 *
 * All methods throw DeadlineExceeded when the deadline passes, StorageUnavailable when S3 or DynamoDB fail or do not
 * answer, Configuration when a right, the bucket or the table is missing, and SnapshotCorrupt when what was stored is not
 * what was written. What could not be read is an error, never an empty answer.
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

  /**
   * A snapshot as it was written.
   *
   * @throws SnapshotNotFound where none of that id is listed
   */
  const load = async (snapshotId: string, deadline: Deadline): Promise<Snapshot> => {
    const listed = await entry(snapshotId, deadline);
    const body = await (await bodies()).get(snapshotId, deadline);
    if (body !== undefined) {
      const snapshot = decodeSnapshot(body, { snapshotId, sha256: listed.sha256 });
      requireAgreement(listed, snapshot, body.byteLength);
      return snapshot;
    }
    await entry(snapshotId, deadline); // deleted in between?
    throw new SnapshotCorrupt(
      `the body of ${snapshotId} is missing from the bucket, but the index lists the snapshot.`,
      {
        next: "Use another snapshot, or restore the object: the bucket is versioned.",
      },
    );
  };

  const selectionOf = async ({ selection, snapshotId }: SnapshotEntry, deadline: Deadline) =>
    selection ?? (await load(snapshotId, deadline)).selection;

  /**
   * The id that a reference stands for. `latest` is the newest complete snapshot that is not a safety snapshot and was
   * asked to cover everything that `wanted` selects (undefined: whatever it covers), except for what it excluded from a
   * pattern: a warning names that. `{at}` is the same, but taken at that time or before. Any other text is taken for an id
   * and not looked up.
   *
   * @throws SnapshotNotFound whose message says why the newest ones do not fit
   */
  const resolve = async (
    reference: SnapshotReference,
    wanted: readonly Selector[] | undefined,
    deadline: Deadline,
  ): Promise<Chosen> => {
    if (typeof reference === "string" && reference !== "latest") return { snapshotId: reference, warnings: [] };
    const at = typeof reference === "string" ? undefined : reference.at;
    const unfit: string[] = [];
    for await (const candidate of index.newestFirst({ ...keysBetween(undefined, at), expect: 25 }, deadline)) {
      const { snapshotId } = candidate;
      const { unfit: reason, exclusions = [] } = await fitOf(candidate, () => selectionOf(candidate, deadline), wanted);
      if (reason === undefined) return { snapshotId, warnings: exclusionWarnings(snapshotId, exclusions) };
      if (unfit.length < 3) unfit.push(`${snapshotId} ${reason}`);
    }
    throw nothingFits(at, wanted, unfit);
  };

  return {
    entry,
    load,

    /**
     * Saves a snapshot under an id made of `now`: body first, index second, so that a listed snapshot has its body, and a
     * returned one is listed. No two calls get the same id, except those with the same `executionId`: an execution of a
     * schedule has one snapshot, whichever of its deliveries comes first. `repeated`: an earlier one took it.
     *
     * @throws StorageUnavailable, whose message says whether the snapshot may be listed
     */
    async save(content: SnapshotContent, now: Date, deadline: Deadline, executionId?: string) {
      const createdAt = isoSeconds(now);
      const writeToken = randomUUID();
      for (let number = 1; ; number++) {
        const snapshotId = formatSnapshotId({ createdAt, number });
        const snapshot: Snapshot = { ...content, snapshotId, createdAt };
        const encoded = encodeSnapshot(snapshot);
        if ((await (await bodies()).put(snapshotId, encoded, writeToken, deadline)) === "taken") continue;
        const written = indexEntryOf(snapshot, { sha256: encoded.sha256, bytes: encoded.body.byteLength });
        const listed = await index.insert(written, writeToken, deadline, executionId);
        if (listed === "listed") return { entry: written, snapshot, repeated: false };
        if (listed === "taken") continue;
        const { winner } = listed;
        return { entry: winner, snapshot: await load(winner.snapshotId, deadline), repeated: true };
      }
    },

    /** The snapshot that a scheduled execution has already taken. */
    findExecution: index.findExecution,

    resolve,

    /**
     * The snapshot that a reference stands for, see `resolve`, as it was written.
     *
     * @throws SnapshotNotFound
     */
    async open(reference: SnapshotReference, wanted: readonly Selector[] | undefined, deadline: Deadline) {
      const { snapshotId, warnings } = await resolve(reference, wanted, deadline);
      return { snapshot: await load(snapshotId, deadline), warnings };
    },

    /**
     * The topics that the last snapshot names which covers a selection, is complete and not a safety snapshot: those that it
     * has commits on, and those that could not be observed then. None where none of the 50 newest snapshots is such a one.
     *
     * @throws SnapshotNotFound where it is deleted meanwhile
     */
    async formerTopics({ groups, exclude }: Selection, deadline: Deadline): Promise<readonly string[]> {
      const excludedToo = new Set(exclude.map((selector) => JSON.stringify(selector)));
      let looked = 0;
      for await (const candidate of index.newestFirst({ ...keysBetween(undefined, undefined), expect: 5 }, deadline)) {
        if (++looked > mostFormer) break;
        const selection = async () => {
          const asked = await selectionOf(candidate, deadline);
          return { ...asked, exclude: asked.exclude.filter((selector) => !excludedToo.has(JSON.stringify(selector))) };
        };
        const { unfit, exclusions = [] } = await fitOf(candidate, selection, groups);
        if (unfit !== undefined || exclusions.length > 0) continue;
        return candidate.topics ?? topicsNamed(await load(candidate.snapshotId, deadline));
      }
      return [];
    },

    /**
     * The entries of snapshots, newest first; pages are full except for the last.
     *
     * @throws InvalidRequest where the times exclude each other, or the token is not of an earlier page of the same list
     */
    list: async (request: ListRequest, deadline: Deadline): Promise<Page<SnapshotEntry>> =>
      readPage(index.newestFirst(stretchOf(request), deadline), request.limit, ({ snapshotId }) => snapshotId),

    /**
     * Deletes a snapshot, and records who did. After the first step, which writes that record, no other method finds it;
     * calling again finishes what was interrupted, and writes another record.
     *
     * @throws SnapshotNotFound where there is none of that id (any more)
     */
    async remove(snapshotId: string, by: Deletion, deadline: Deadline): Promise<void> {
      if (!(await index.hide(snapshotId, by, deadline))) throw notFound(snapshotId);
      await (await bodies()).remove(snapshotId, deadline);
      await index.forget(snapshotId, deadline);
    },
  };
}

const notFound = (snapshotId: string) =>
  new SnapshotNotFound(`there is no snapshot ${JSON.stringify(snapshotId.slice(0, 100))}.`, {
    next: 'Call list to see all snapshots; "latest" is the newest complete one.',
  });

/** Why a snapshot is not what `latest` or a time stands for; else what it excluded from the patterns that are wanted. */
async function fitOf(
  entry: SnapshotEntry,
  selection: () => Promise<Selection>,
  wanted: readonly Selector[] | undefined,
): Promise<{ readonly unfit?: string; readonly exclusions?: readonly Selector[] }> {
  if (entry.trigger === "safety") return { unfit: "is a safety snapshot" };
  if (entry.status === "partial") return { unfit: "is partial" };
  if (wanted === undefined) return {};
  const { uncovered, exclusions } = coverage(await selection(), wanted);
  return uncovered.length === 0 ? { exclusions } : { unfit: `was not asked for ${nameSelectors(uncovered)}` };
}

const exclusionWarnings = (snapshotId: string, exclusions: readonly Selector[]) =>
  exclusions.length === 0
    ? []
    : [
        `${snapshotId} was taken with exclude ${nameSelectors(exclusions)}: it has no groups that match this, also where ` +
          'the requested "groups" match them. To include them, take a snapshot without this exclude.',
      ];

const nameSelectors = (selectors: readonly Selector[]) => nameSome(selectors.map(textOf));

function nothingFits(at: Date | undefined, wanted: readonly Selector[] | undefined, unfit: readonly string[]) {
  const what = `complete snapshot${wanted === undefined ? "" : ` of ${nameSelectors(wanted)}`}`;
  const when = at === undefined ? "" : ` taken at or before ${at.toISOString()}`;
  const none = at === undefined ? "There is none at all" : "There is none that old";
  const why = unfit.length === 0 ? none : `The newest: ${unfit.join("; ")}`;
  return new SnapshotNotFound(`there is no ${what}${when}. ${why}.`, {
    next: "Take one, or name a snapshot by its id.",
  });
}
