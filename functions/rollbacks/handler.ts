import { shownCaller } from "../shared/core/caller.ts";
import type { Deadline } from "../shared/core/deadline.ts";
import { JournalCorrupt, RollbackNotFound } from "../shared/core/errors.ts";
import { json, jsonObject } from "../shared/core/json/codec.ts";
import { isFields } from "../shared/core/json/json.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import { operation } from "../shared/operation.ts";
import { decodeStored } from "../shared/storage/journal.ts";
import { type BegunRollback, isBegun, mayBePlanned } from "../shared/storage/journal-begun.ts";
import type { JournalRecord } from "../shared/storage/journal-record.ts";
import type { Storage } from "../shared/storage/storage.ts";
import { type RollbacksResult, request } from "./schema.ts";

/** Lists rollbacks, newest first, or shows one whole: with its request, its plan and its result. */
export const handler = operation({
  name: "rollbacks",
  request,
  async run(wanted, { storage, deadline }): Promise<Encoded<RollbacksResult>> {
    const { limit = 50, next_token: nextToken, rollback_id } = wanted;
    if (rollback_id !== undefined) return show(rollback_id, storage, deadline);
    const page = await storage.journal.list({ limit, nextToken }, deadline);
    const { rollbacks, warnings } = await withStatus(page.entries, storage, deadline);
    return {
      rollbacks: rollbacks.map(row),
      warnings: [...page.warnings, ...warnings],
      next_token: page.nextToken,
    };
  },
});

async function show(rollbackId: string, storage: Storage, deadline: Deadline): Promise<Encoded<RollbacksResult>> {
  const { journal } = storage;
  const found = await journal.find(rollbackId, deadline);
  if (found !== undefined && isBegun(found)) return showBegun(found);
  const { rollbacks, warnings } = await withStatus(found === undefined ? [] : [found], storage, deadline);
  const [rollback] = rollbacks;
  if (rollback === undefined) {
    throw new RollbackNotFound(`there is no rollback ${JSON.stringify(rollbackId)}.`, {
      next:
        "Call rollbacks without rollback_id to see all that have a plan. If it was sent with this rollback_id, look again for 60 s " +
        "after it was sent: it is found once its function runs. Dry runs are not recorded, nor are rollbacks without a rollback_id " +
        "before they have a plan: if its call may still be running, look again until 15 minutes after it was sent.",
    });
  }
  const stored = await Promise.all([journal.plan(rollback, deadline), journal.result(rollback, deadline)]);
  // Not decoded further: a plan that another version wrote can still be shown.
  const [planned, result] = decodeStored(rollback, () => [
    jsonObject(stored[0], "plan"),
    stored[1] === undefined ? undefined : json.decode(stored[1], "result"),
  ]);
  const { request, plan, cluster_id, topic_ids, leader_epochs } = planned;
  return {
    ...row(rollback),
    unplanned: undefined,
    error: undefined,
    calls: callsOf(rollback),
    warnings,
    plan_digest: rollback.planDigest,
    request,
    plan: isFields(plan) && plan.skipped !== undefined ? { left_out: plan.skipped, ...plan } : plan, // its former name
    cluster_id,
    topic_ids,
    leader_epochs,
    result,
  };
}

/** A rollback without a plan. It is unfinished once its call must have ended. */
function showBegun(begun: BegunRollback): Encoded<RollbacksResult> {
  const { rollbackId, snapshotId, requestedBy, callerArn, requestId, startedAt, endedAt, description, error } = begun;
  const status = begun.status === "failed" || mayBePlanned(begun, new Date()) ? begun.status : "unfinished";
  const by = { requested_by: requestedBy, caller: shownCaller(callerArn) };
  const call = { ...by, started_at: startedAt, ended_at: endedAt };
  return {
    rollback_id: rollbackId,
    status,
    snapshot_id: snapshotId,
    safety_snapshot_id: null,
    ...call,
    resumed_at: undefined,
    groups: 0,
    description,
    superseded_by: undefined,
    attempts: 1,
    unplanned: true,
    error,
    calls: [{ attempt: 1, request_id: requestId, ...call, outcome: status }],
    warnings: [],
    plan_digest: undefined,
    request: undefined,
    plan: undefined,
    cluster_id: undefined,
    topic_ids: undefined,
    leader_epochs: undefined,
    result: undefined,
  };
}

/** A record of the journal, with the status of its rollback. */
type Rollback = Omit<JournalRecord, "status"> & { readonly status: JournalRecord["status"] | "unfinished" };

/**
 * A record with the status `running` is unfinished unless its rollback holds the lease: its function ended before. Where the
 * lease cannot be read, it stays `running`, with a warning.
 */
async function withStatus(
  records: readonly JournalRecord[],
  { journal, lease }: Storage,
  deadline: Deadline,
): Promise<{ readonly rollbacks: readonly Rollback[]; readonly warnings: readonly string[] }> {
  if (records.every(({ status }) => status !== "running")) return { rollbacks: records, warnings: [] };
  try {
    const holder = await lease.holder(deadline);
    const rollbacks = records.map(async (record): Promise<Rollback> => {
      if (record.status !== "running" || record.rollbackId === holder?.rollbackId) return record;
      // It may have ended, or have been resumed, since the record was read.
      const now = (await journal.reread(record, deadline)) ?? record;
      return now.status === "running" && now.attempts === record.attempts ? { ...now, status: "unfinished" } : now;
    });
    return { rollbacks: await Promise.all(rollbacks), warnings: [] };
  } catch (error) {
    if (!(error instanceof JournalCorrupt)) throw error;
    const warning =
      "Whether a rollback is running is not known, so rollbacks without an end are shown as running, also those whose " +
      `function has ended: ${error.summary}`;
    return { rollbacks: records, warnings: [warning] };
  }
}

/** The calls that ran a rollback. The last one stands as the rollback does. */
const callsOf = ({ calls, attempts, status, endedAt }: Rollback) =>
  calls.map((call) => {
    const current = status === "superseded" ? "interrupted" : status;
    const isLast = call.attempt === attempts;
    return {
      attempt: call.attempt,
      requested_by: call.requestedBy,
      caller: shownCaller(call.callerArn),
      request_id: call.requestId,
      started_at: call.startedAt,
      ended_at: isLast ? endedAt : call.endedAt,
      outcome: isLast ? current : call.outcome,
    };
  });

const row = (record: Rollback) => ({
  rollback_id: record.rollbackId,
  status: record.status,
  snapshot_id: record.snapshotId,
  safety_snapshot_id: record.safetySnapshotId,
  requested_by: record.requestedBy,
  caller: shownCaller(record.callerArn),
  started_at: record.startedAt,
  resumed_at: record.resumedAt,
  ended_at: record.endedAt,
  groups: record.groups,
  description: record.description,
  superseded_by: record.supersededBy,
  attempts: record.attempts,
});
