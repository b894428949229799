import { expect } from "vitest";
import type { Json } from "../../../functions/shared/core/json/json.ts";
import { createClients } from "../../../functions/shared/storage/clients.ts";
import {
  createJournal,
  type Journal,
  type JournalOpening,
  type OpenJournal,
} from "../../../functions/shared/storage/journal.ts";
import { isBegun } from "../../../functions/shared/storage/journal-begun.ts";
import type { JournalRecord } from "../../../functions/shared/storage/journal-record.ts";
import { createUnreadable } from "../../../functions/shared/storage/unreadable.ts";
import { within } from "../../support/deadline.ts";
import { second, testArchive } from "./fixture.ts";

/** The caller that resumes a rollback. */
export const bob = { requestedBy: "bob", callerArn: "arn:aws:iam::111122223333:user/bob", requestId: "request-2" };

/** What was left out of a read: nothing, unless a test says so. */
export const unreadable = createUnreadable("the read");

const plan: Json = { groups: new Map([["42", { "orders-0": { to: 2n ** 63n - 1n } }]]), text: "größe \u{1F600}" };
export const result: Json = { status: "success", offset: 9007199254740993n };

/** What a rollback writes when it opens its record. */
export const opening = (rollbackId = "r-1", more: Partial<JournalOpening> = {}): JournalOpening => ({
  rollbackId,
  snapshotId: "snapshot-2025-01-15T10:30:00Z",
  safetySnapshotId: "snapshot-2025-01-15T10:31:00Z",
  requestedBy: "ana",
  callerArn: null,
  description: "Back to before the deploy",
  fingerprint: "f".repeat(64),
  planDigest: "d".repeat(64),
  requestId: "request-1",
  groups: ["orders", "42"],
  plan,
  ...more,
});

/** The journal of a test file, in an archive of its own. */
export function testJournal() {
  const storage = testArchive();
  const journal = () => createJournal(storage.config, storage.clients);
  /** A journal through the proxy, with new clients: the SDK stops retrying after many failures. */
  const shaky = () => createJournal(storage.config, createClients(storage.faults.url));

  async function open(rollbackId = "r-1", at = 0, of: Journal = journal()): Promise<OpenJournal> {
    const opened = await of.open(opening(rollbackId), second(at), within());
    if (opened === "taken") throw new Error(`${rollbackId} is taken`);
    return opened;
  }

  /** A record that was closed with this status. */
  async function closed(status: "success" | "partial_success" | "failed", rollbackId = "r-1"): Promise<JournalRecord> {
    expect(await (await open(rollbackId)).close(status, result, second(9), within())).toBe("closed");
    return found(rollbackId);
  }

  async function found(rollbackId = "r-1"): Promise<JournalRecord> {
    const record = await journal().find(rollbackId, within());
    if (record === undefined || isBegun(record)) throw new Error(`${rollbackId} is not in the journal`);
    return record;
  }

  const listed = async () =>
    (await journal().list({ limit: 1_000 }, within())).entries.map(({ rollbackId }) => rollbackId);

  return { storage, journal, shaky, open, closed, found, listed };
}
