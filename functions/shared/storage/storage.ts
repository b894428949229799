import type { Deadline } from "../core/deadline.ts";
import type { StoredResult } from "./bodies.ts";
import { type Clients, lazyBodies, type StorageConfig, sharedClients } from "./clients.ts";
import { createJournal, type Journal } from "./journal.ts";
import { createLease, type RollbackLease } from "./lease.ts";
import { createSnapshots, type Snapshots } from "./snapshots.ts";

/** What a deployment keeps: snapshots, the journal of rollbacks, the lease, and results too large for an answer. */
export interface Storage {
  readonly snapshots: Snapshots;
  readonly journal: Journal;
  readonly lease: RollbackLease;
  /** Stores a result that is too large for an answer. Everyone who has the URL can read it until it expires. */
  storeResult(text: string, deadline: Deadline): Promise<StoredResult>;
}

/** The storage in a bucket and a table. Clients are those of the process unless others are given. */
export function createStorage(config: StorageConfig, clients: Clients = sharedClients()): Storage {
  const bodies = lazyBodies(config, clients);
  return {
    snapshots: createSnapshots(config, clients),
    journal: createJournal(config, clients),
    lease: createLease(config, clients),
    storeResult: async (text, deadline) => (await bodies()).putResult(text, deadline),
  };
}
