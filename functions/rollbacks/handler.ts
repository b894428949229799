import * as z from "zod/mini";
import type { Deadline } from "../shared/core/deadline.ts";
import { RollbackNotFound } from "../shared/core/errors.ts";
import { jsonValue, mapOf } from "../shared/core/json/decode.ts";
import { archiveSettings } from "../shared/lambda/config.ts";
import { operation, type Result } from "../shared/lambda/operation.ts";
import { pageSize, pageToken, rollbackId } from "../shared/lambda/request-fields.ts";
import { createJournal, type Journal, type JournalEntry } from "../shared/storage/journal.ts";
import { createLease } from "../shared/storage/lease.ts";
import { createArchive } from "../shared/storage/snapshots.ts";

/** What a rollbacks request may say: which page of the list, or which rollback. */
export const request = z
  .strictObject({
    limit: z.optional(pageSize),
    next_token: z.optional(pageToken),
    rollback_id: z.optional(rollbackId),
  })
  .check(
    z.refine(
      ({ limit, next_token, rollback_id }) =>
        rollback_id === undefined || (limit === undefined && next_token === undefined),
      {
        path: ["rollback_id"],
        error: "names one rollback, which has no pages: leave it out, or leave out limit and next_token",
      },
    ),
  );

/** Lists rollbacks, newest first, or shows one whole: with its request, its plan and its result. */
export const handler = operation({
  name: "rollbacks",
  request,
  storeResult: (text, deadline) => createArchive(archiveSettings()).storeResult(text, deadline),
  async run({ limit = 50, next_token: nextToken, rollback_id }, { deadline }) {
    const journal = createJournal(archiveSettings());
    if (rollback_id !== undefined) return show(rollback_id, journal, deadline);
    const page = await journal.list({ limit, nextToken }, deadline);
    const records = await asTheyStand(page.entries, journal, deadline);
    return { rollbacks: records.map(row), next_token: page.nextToken };
  },
});

async function show(rollbackId: string, journal: Journal, deadline: Deadline): Promise<Result> {
  const found = await journal.find(rollbackId, deadline);
  const [record] = await asTheyStand(found === undefined ? [] : [found], journal, deadline);
  if (record === undefined) {
    throw new RollbackNotFound(
      `there is no rollback ${JSON.stringify(rollbackId)}. Look at the list, which is the answer without rollback_id. ` +
        "Dry runs and rollbacks that were refused are not recorded.",
    );
  }
  const [plan, result] = await Promise.all([
    journal.plan(record.entry, deadline),
    journal.result(record.entry, deadline),
  ]);
  const summary = { ...row(record), plan_digest: record.entry.planDigest };
  const written = Object.fromEntries(mapOf(String, jsonValue)(plan, "the plan"));
  return {
    ...summary, // in front, and what it says is not for the plan to say
    ...written,
    ...summary,
    ...(result !== undefined && { result: jsonValue(result, "the result") }),
  };
}

/** A record of the journal, and what became of its rollback as far as can be told. */
interface Rollback {
  readonly entry: JournalEntry;
  readonly status: JournalEntry["status"] | "unfinished";
}

/** A record that says `running` is believed only while its rollback holds the lease: else that ended without a word. */
async function asTheyStand(
  entries: readonly JournalEntry[],
  journal: Journal,
  deadline: Deadline,
): Promise<readonly Rollback[]> {
  if (entries.every(({ status }) => status !== "running")) return entries.map(recorded);
  const holder = await createLease(archiveSettings()).holder(deadline);
  return Promise.all(
    entries.map(async (entry) => {
      if (entry.status !== "running" || entry.rollbackId === holder?.rollbackId) return recorded(entry);
      // It may have ended, or have been taken up again, since the record was read.
      const now = (await journal.find(entry.rollbackId, deadline)) ?? entry;
      if (now.status !== "running" || now.attempts !== entry.attempts) return recorded(now);
      return { entry: now, status: "unfinished" as const };
    }),
  );
}

const recorded = (entry: JournalEntry): Rollback => ({ entry, status: entry.status });

const row = ({ entry, status }: Rollback) => ({
  rollback_id: entry.rollbackId,
  status,
  snapshot_id: entry.snapshotId,
  safety_snapshot_id: entry.safetySnapshotId,
  requested_by: entry.requestedBy,
  started_at: entry.startedAt,
  resumed_at: entry.resumedAt,
  ended_at: entry.endedAt,
  groups: entry.groups,
  description: entry.description,
  superseded_by: entry.supersededBy,
  attempts: entry.attempts,
});
