import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod/mini";
import { deadlineIn, endingBefore } from "../shared/core/deadline.ts";
import { JournalCorrupt, OperationError, RollbackIncomplete, RollbackInProgress } from "../shared/core/errors.ts";
import { isPermanent } from "../shared/core/rollback/blockers.ts";
import { type Plan, shareGroupsOf, takesPart } from "../shared/core/rollback/plan.ts";
import { partitionsOf, targetsHold } from "../shared/core/rollback/resume.ts";
import { isoSeconds } from "../shared/core/snapshot-id.ts";
import { nameSome } from "../shared/core/text.ts";
import { withCluster } from "../shared/kafka/connection/access.ts";
import { observe } from "../shared/kafka/groups/capture.ts";
import type { Result } from "../shared/lambda/handler.ts";
import { toOperationError } from "../shared/lambda/http.ts";
import { rollbackId } from "../shared/lambda/request-fields.ts";
import { callerOf, type KafkaWork, kafkaOperation } from "../shared/operation.ts";
import { encodeDryRun, requireSeen } from "../shared/planning/dry-run.ts";
import { loadDestination } from "../shared/planning/look.ts";
import type { BegunRollback } from "../shared/storage/journal-begun.ts";
import type { JournalRecord } from "../shared/storage/journal-record.ts";
import type { Lease } from "../shared/storage/lease.ts";
import { createUnreadable } from "../shared/storage/unreadable.ts";
import { carryOut, openRollback } from "./commit.ts";
import { type Earlier, findEarlier, findUnfinished, plannedRollback, recordedResult, supersede } from "./earlier.ts";
import { type Goal, type Job, look, lookAgain, withAllWarnings } from "./look.ts";
import { isRefusal, measurementsOf } from "./measure.ts";
import { beginningOf, type Call, refusedBeginning } from "./request.ts";
import { addWarnings, forSummary, interrupted, refusal } from "./result.ts";
import { laterPath, laterRequest, request } from "./schema.ts";

/** What is kept for the journal and the answer when all work with Kafka has ended. */
const CLOSING_TIME_MS = 3_000;
/** What waiting for empty groups must leave of the invocation's time for the rollback itself. */
const ROLLBACK_TIME_MS = 10_000;
const POLL_MS = 1_000;
/** How long releasing the lease may take when no time is left: Lambda ends the function soon. */
const RELEASE_TIME_MS = 500;

/** Rolls groups back to a snapshot. */
export const handler = kafkaOperation({
  name: "rollback",
  request,
  hasEffects: true,
  forSummary,
  later: { path: laterPath, request: laterRequest, refused: recordRefused },
  async run(wanted, work) {
    const { deadline } = work;
    const call: Call = {
      ...work,
      ...callerOf(work, wanted.requested_by),
      wanted,
      startedAt: new Date(),
      unreadable: createUnreadable(
        "the search for earlier rollbacks",
        "An unfinished rollback of the same groups may not have been recognised: check rollbacks before you undo.",
      ),
    };
    const ignoresJournal = wanted.dry_run && wanted.resume === undefined;
    let committing: JournalRecord | undefined;
    let begun: BegunRollback | undefined;
    try {
      const earlier = ignoresJournal ? undefined : await findEarlier(call);
      if (earlier?.named && earlier.closed) return await recordedResult(call, earlier.record);
      if (earlier === undefined) begun = await begin(call);
      const goal = earlier?.named ? { resume: earlier.record } : await loadDestination(call);
      const kafkaDeadline = endingBefore(deadline, Math.min(CLOSING_TIME_MS, deadline.remainingMs() / 8));
      return await withCluster(work.kafka, kafkaDeadline, (cluster) => {
        const onCommit = (record: JournalRecord) => {
          committing = record;
        };
        const job: Job = { ...call, cluster, waitedSeconds: 0, onCommit };
        return wanted.dry_run ? dryRun(job, goal) : rollBack(job, goal, earlier);
      });
    } catch (error) {
      if (error instanceof RollbackIncomplete) throw error;
      if (committing !== undefined) {
        work.measure(measurementsOf("interrupted"));
        throw interrupted(committing, error);
      }
      if (!wanted.dry_run && isRefusal(error)) work.measure(measurementsOf("refused"));
      if (error instanceof OperationError) error.withoutEffect("No offset was committed.");
      if (begun !== undefined) await closeWithout(begun, call, error);
      throw error;
    }
  },
});

/** What is read of a request to run later that breaks the contract. */
const refusedRequest = z.object({ rollback_id: rollbackId, snapshot_id: z.unknown() });

/** Records a request to run later that breaks the contract, where it names its id: its caller looks it up by that. */
async function recordRefused(carried: unknown, error: OperationError, work: KafkaWork): Promise<void> {
  const named = refusedRequest.safeParse(carried);
  if (!named.success) return;
  const { rollback_id, snapshot_id } = named.data;
  const now = new Date();
  try {
    const beginning = refusedBeginning(rollback_id, snapshot_id, work, now);
    const begun = await work.storage.journal.begin(beginning, now, work.deadline);
    if (begun !== undefined) await closeWithout(begun, work, error);
  } catch (cause) {
    work.log.warn("a refused request could not be recorded", { rollback_id, cause: String(cause) });
  }
}

/** Writes the rollback into the journal before it has a plan, if it can be looked up: see `beginningOf`. */
async function begin(call: Call): Promise<BegunRollback | undefined> {
  const beginning = beginningOf(call);
  return beginning && call.storage.journal.begin(beginning, call.startedAt, call.deadline);
}

/** Closes a rollback that ended before it had a plan. A failure to do so is logged: the caller is to know the first error. */
async function closeWithout(begun: BegunRollback, { storage, deadline, requestId, log }: KafkaWork, thrown: unknown) {
  const { name, message } = toOperationError(thrown, requestId);
  const closing = deadlineIn(Math.max(RELEASE_TIME_MS, deadline.remainingMs()));
  try {
    await storage.journal.fail(begun, { name, message }, new Date(), closing);
  } catch (error) {
    log.warn("the journal could not be closed", { rollback_id: begun.rollbackId, cause: String(error) });
  } finally {
    closing.stop();
  }
}

async function dryRun(job: Job, goal: Goal): Promise<Result> {
  const { plan } = await withAllWarnings(job, goal, await look(job, goal));
  requireSeen(job.wanted, plan);
  return addWarnings(encodeDryRun(plan), job.unreadable.warnings());
}

/** Rolls back under the lease: resumes or repeats what an earlier call has begun, or starts a new rollback. */
async function rollBack(connected: Job, goal: Goal, before: Earlier | undefined): Promise<Result> {
  const { wanted, storage, deadline, requestedBy, startedAt } = connected;
  const job = { ...connected, waitedSeconds: await waitUntilEmpty(connected, goal) };
  const newId = wanted.rollback_id ?? `rollback-${isoSeconds(startedAt)}-${randomUUID().slice(0, 8)}`;
  const acquire = (rollbackId: string) =>
    storage.lease.acquire({ rollbackId, requestedBy, startedAt: startedAt.toISOString() }, deadline);
  const firstId = before === undefined || before.closed ? newId : before.record.rollbackId;
  let held = { id: firstId, lease: await acquire(firstId) };
  /** Acquires the lease anew under another id: it names the rollback that runs, which `rollbacks` shows as running. */
  const holdFor = async (id: string): Promise<Lease> => {
    if (held.id !== id) {
      await held.lease.release(deadline);
      held = { id, lease: await acquire(id) };
    }
    return held.lease;
  };
  const carryOutHeld = async (): Promise<Result> => {
    // The call that held the lease until now may have begun the same rollback, or ended it.
    const earlier = await findEarlier(job);
    if (earlier?.named && earlier.closed) return recordedResult(job, earlier.record);
    const { repeated, rest } = earlier === undefined ? {} : await continueEarlier(job, earlier);
    if (repeated !== undefined) return repeated;
    if (earlier !== undefined && rest !== undefined) {
      return resume(job, earlier.record, rest, await holdFor(earlier.record.rollbackId));
    }
    return start(job, goal, newId, await holdFor(newId));
  };
  const release = () => held.lease.release(deadlineIn(Math.max(RELEASE_TIME_MS, deadline.remainingMs())));
  const result = await carryOutHeld().catch(async (error: unknown) => {
    await release();
    throw error;
  });
  await release();
  const { refused } = held.lease;
  return addWarnings(
    result,
    refused === undefined
      ? []
      : [`The lease could not be kept as it must. Until it expires, it blocks others. ${refused}`],
  );
}

/**
 * Observes until no group has members, until the time that the request allows for that is over, until a permanent blocker
 * shows, or until the plan is not the one that the caller has seen. The lease is not held meanwhile. Returns the seconds that
 * it took, 0 if the request does not wait.
 */
async function waitUntilEmpty(job: Job, goal: Goal): Promise<number> {
  const { wanted, deadline, log } = job;
  const patience = Math.min(wanted.wait_for_empty_seconds * 1_000, deadline.remainingMs() - ROLLBACK_TIME_MS);
  const began = performance.now();
  const waited = () => performance.now() - began;
  while (waited() < patience) {
    const { plan } = await look(job, goal);
    const [first] = [...plan.blockers, ...plan.leftOut].filter(({ kind }) => kind === "group_not_empty");
    const changed = wanted.plan_digest !== undefined && wanted.plan_digest !== plan.digest;
    if (first === undefined || changed || plan.blockers.some(isPermanent)) break;
    log.info("rollback waits for groups to be empty", { group: first.group, members: first.actual });
    const pause = Math.min(POLL_MS, Math.max(0, patience - waited()));
    await delay(pause, undefined, { signal: deadline.signal }).catch(() => {});
  }
  return wanted.wait_for_empty_seconds > 0 ? Math.round(waited() / 1_000) : 0;
}

/**
 * What to do about a rollback that an earlier call began:
 * - It ended, and its targets still hold: `repeated`, the recorded result.
 * - It did not end, or did not reach all targets: `rest`, the plan to carry out.
 * - The caller did not name it, and it ended but its targets no longer hold, or it has a permanent blocker now (a group was
 *   moved since, a log has lost the target), or its journal cannot be read: neither, and a new rollback starts.
 */
async function continueEarlier(
  job: Job,
  { record, named, closed }: Earlier,
): Promise<{ readonly repeated?: Result; readonly rest?: Plan }> {
  try {
    if (closed) {
      const { plan } = await plannedRollback(job, record);
      if (!targetsHold(plan, await observe(job.cluster, partitionsOf(plan)))) return {};
      return { repeated: withDoubt(await recordedResult(job, record), plan) };
    }
    const { plan, strict } = await lookAgain(job, record);
    return named || !strict.blockers.some(isPermanent) ? { rest: plan } : {};
  } catch (error) {
    if (named || !(error instanceof JournalCorrupt)) throw error;
    job.unreadable.add(error);
    return {};
  }
}

/** Carries out the rest of a rollback that an earlier call has begun. */
async function resume(job: Job, record: JournalRecord, plan: Plan, lease: Lease): Promise<Result> {
  const { rollbackId, snapshotId } = record;
  job.note({ rollback_id: rollbackId, snapshot_id: snapshotId });
  const next = "Its groups and policies are those of its journal: start a new rollback, or resume with skip_blocked.";
  requireUnblocked(job, plan, `the rest of ${rollbackId} to ${snapshotId}`, next);
  const older = await findUnfinished(job, takingPart(plan), record.startedAt); // the call that began it may have left them
  const open = await job.storage.journal.resume(record, job, new Date(), job.deadline);
  if (open !== undefined) return carryOut(job, await superseding(job, plan, older, rollbackId), open, lease);
  throw new RollbackInProgress(`another call resumed ${rollbackId} at the same time.`, {
    next: `Call rollbacks {"rollback_id": "${rollbackId}"} to see it.`,
  });
}

/** Plans and carries out a new rollback: safety snapshot, journal, commits. */
async function start(job: Job, goal: Goal, rollbackId: string, lease: Lease): Promise<Result> {
  const planned = await withAllWarnings(job, goal, await look(job, goal));
  const { plan } = planned;
  const { snapshotId } = plan;
  job.note({ rollback_id: rollbackId, snapshot_id: snapshotId });
  requireSeen(job.wanted, plan);
  requireUnblocked(job, plan, `the rollback to ${snapshotId}`);
  const groups = takingPart(plan);
  const older = await findUnfinished(job, groups);
  const open = await openRollback(job, planned, groups, rollbackId);
  return carryOut(job, await superseding(job, plan, older, rollbackId), open, lease);
}

const takingPart = ({ groups }: Plan) =>
  new Set([...groups].flatMap(([name, group]) => (takesPart(group) ? name : [])));

/** Marks older rollbacks as superseded. Returns the plan with all warnings about them, and about what could not be read. */
async function superseding(job: Job, plan: Plan, older: readonly JournalRecord[], by: string): Promise<Plan> {
  const warnings = [...(await supersede(job, older, by)), ...job.unreadable.warnings()];
  return { ...plan, warnings: [...plan.warnings, ...warnings] };
}

/** @throws GroupNotEmpty or RollbackBlocked if a plan has blockers */
function requireUnblocked(job: Job, plan: Plan, what: string, advice?: string): void {
  if (plan.blockers.length === 0) return;
  throw refusal(plan, what, advice, job.waitedSeconds);
}

/** A repeated result, with a warning for share groups: acknowledgements do not move their start offsets. */
function withDoubt(result: Result, plan: Plan): Result {
  const groups = shareGroupsOf(plan);
  if (groups.size === 0) return result;
  const warning =
    `This call did nothing: the start offsets of share group ${nameSome(groups)} stand at their targets. Records ` +
    "acknowledged since do not show in them: to have them delivered again, give the request a rollback_id of its own.";
  return addWarnings(result, [warning]);
}
