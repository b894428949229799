import type { Deadline } from "../core/deadline.ts";
import { type Clients, lazyBodies, type StorageConfig, sharedClients } from "./clients.ts";
import { createJournal } from "./journal.ts";
import { createLease } from "./lease.ts";
import type { PruneRequest } from "./prune.ts";
import { createSnapshots } from "./snapshots.ts";

/** The storage of a deployment: see `createStorage`. */
export type Storage = ReturnType<typeof createStorage>;

/**
 * What a deployment keeps in a bucket and a table: snapshots, the journal of rollbacks, the lease, and results too large for
 * an answer. Clients are those of the process unless others are given.
 */
export function createStorage(config: StorageConfig, clients: Clients = sharedClients()) {
  const bodies = lazyBodies(config, clients);
  return {
    snapshots: createSnapshots(config, clients),
    journal: createJournal(config, clients),
    lease: createLease(config, clients),
    /**
     * The bytes of a file below `imports/` in the bucket.
     *
     * @throws InvalidRequest for any other place, where nothing is there, and for a file that is too large
     */
    readImport: async (url: string, deadline: Deadline) => (await bodies()).getImport(url, deadline),
    /** Makes the index again from the bodies, see `reindex`. */
    reindex: async (dryRun: boolean, deadline: Deadline) =>
      (await import("./reindex.ts")).reindex(config, clients, dryRun, deadline),
    /** Deletes what the rules do not keep, see `prune`. */
    prune: async (request: PruneRequest, deadline: Deadline) =>
      (await import("./prune.ts")).prune(config, clients, request, deadline),
    /**
     * Stores what is too large for an answer, or is for a browser. Everyone who has the URL can read it until it expires.
     */
    storeResult: async (text: string, contentType: string, deadline: Deadline) =>
      (await bodies()).putResult(text, contentType, deadline),
  };
}
