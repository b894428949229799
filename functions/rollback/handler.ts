import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { unreadable } from "../shared/core/checks.ts";
import { lasting, sooner } from "../shared/core/deadline.ts";
import { OperationError, RollbackInProgress, SnapshotCorrupt } from "../shared/core/errors.ts";
import type { LiveState, Snapshot } from "../shared/core/model.ts";
import { mapGroups, onTopics, restrict, type SnapshotPart } from "../shared/core/restrict.ts";
import type { Blocker } from "../shared/core/rollback/blockers.ts";
import { commitsOf, deletesOf, type Plan, shareGroupsOf, takesPart } from "../shared/core/rollback/plan.ts";
import { planRollback } from "../shared/core/rollback/planning.ts";
import { partitionsOf, planResume, targetsHold } from "../shared/core/rollback/resume.ts";
import { isoSeconds } from "../shared/core/snapshot-id.ts";
import { nameSome } from "../shared/core/text.ts";
import { withCluster } from "../shared/kafka/connection/access.ts";
import { observe } from "../shared/kafka/groups/capture.ts";
import { settings } from "../shared/lambda/config.ts";
import { type Invocation, operation, type Result } from "../shared/lambda/operation.ts";
import { createJournal, type JournalEntry } from "../shared/storage/journal.ts";
import { createLease, type Lease, type RollbackLease } from "../shared/storage/lease.ts";
import { createArchive } from "../shared/storage/snapshots.ts";
import { carryOut, interrupted, type Job, openJournal, saveSafetySnapshot } from "./execution.ts";
import { type Earlier, findEarlier, isClosed, plannedRollback, recordedResult, supersede } from "./history.ts";
import { groupsOf, policyOf, type Request, request } from "./request.ts";
import { dryRunDocument, planChanged, refusal } from "./result.ts";

/** What is left for the journal and the answer when all work with Kafka has ended. */
const CLOSING_TIME_MS = 3_000;
/** Of the time of an invocation, what waiting for empty groups must leave for the rollback itself. */
const ROLLBACK_TIME_MS = 10_000;
const POLL_MS = 1_000;
/** How long freeing the lease may take where the time is over already: Lambda ends the function soon. */
const RELEASE_TIME_MS = 500;

/** Puts groups back where a snapshot says they stood. */
export const handler = operation({
  name: "rollback",
  request,
  hasEffects: true,
  storeResult: (text, deadline) => createArchive(settings().archive).storeResult(text, deadline),
  async run(wanted, invocation) {
    let committing: JournalEntry | undefined;
    try {
      return await rollBack(wanted, invocation, (entry) => {
        committing = entry;
      });
    } catch (error) {
      if (committing !== undefined && !(error instanceof OperationError)) throw interrupted(committing, error);
      const silent = error instanceof OperationError && error.name !== "RollbackIncomplete";
      if (silent && !committing && !error.message.includes("othing was touched")) {
        error.message += " Nothing was touched: this call committed no offset.";
      }
      throw error;
    }
  },
});

/** Whether what is in the way stays there, whoever waits. */
const lasts = ({ kind }: Blocker) => kind !== "group_not_empty" && kind !== "pending_transaction";

/** A plan, and the state that it was made from. */
interface Look {
  readonly plan: Plan;
  readonly live: LiveState;
}

async function rollBack(wanted: Request, invocation: Invocation, onCommit: Job["onCommit"]): Promise<Result> {
  const { deadline, log } = invocation;
  const configured = settings();
  const journal = createJournal(configured.archive);
  const archive = createArchive(configured.archive);
  const startedAt = new Date();
  const ignored = wanted.dry_run && wanted.resume === undefined;
  const known = ignored ? undefined : await findEarlier(journal, wanted, startedAt, deadline);
  if (known?.named && isClosed(known, wanted)) return recordedResult(journal, known.entry, wanted, deadline);

  const fresh = wanted.resume || known?.named ? undefined : await freshPlanner(wanted, archive, deadline);
  const kafkaDeadline = sooner(deadline, Math.min(CLOSING_TIME_MS, deadline.remainingMs() / 8));
  return withCluster(configured.kafka, kafkaDeadline, async (cluster) => {
    const requestedBy = invocation.caller ?? wanted.requested_by ?? null;
    const job: Job = { wanted, archive, journal, cluster, deadline, log, requestedBy, startedAt, onCommit };
    const look = () => (fresh === undefined ? lookAgain(job, required(known).entry) : fresh(job));
    if (wanted.dry_run) {
      const { plan } = await look();
      if (wanted.plan_digest !== undefined && wanted.plan_digest !== plan.digest) {
        throw planChanged(plan, wanted.plan_digest);
      }
      return dryRunDocument(plan);
    }
    const waited = await waitUntilEmpty(job, look);
    try {
      return await execute(job, fresh, createLease(configured.archive));
    } catch (error) {
      if (waited > 0 && error instanceof OperationError && error.name === "GroupNotEmpty") {
        const most = "as long as wait_for_empty_seconds, and the time of the call (27 s over HTTP), allow";
        error.message += ` This call waited ${waited} s for that: ${most}.`;
      }
      throw error;
    }
  });
}

type FreshPlanner = (job: Job) => Promise<Look>;

/** Loads what a request names of a snapshot; what comes back observes and plans, as often as it is asked to. */
async function freshPlanner(
  wanted: Request,
  archive: Job["archive"],
  deadline: Job["deadline"],
): Promise<FreshPlanner> {
  const { snapshot_id = "", topics, group_map } = wanted;
  const groups = groupsOf(wanted);
  const snapshot: Snapshot = await archive.load(await archive.resolve(snapshot_id, groups, deadline), deadline);
  const selected = restrict(snapshot, { groups, topics });
  const part: SnapshotPart = group_map === undefined ? selected : mapGroups(selected, group_map);
  return async ({ cluster }) => {
    const live = await observe(cluster, part.commits);
    requireObserved(live);
    const plan = planRollback(snapshot, part, { ...live, commits: onTopics(live.commits, topics) }, policyOf(wanted));
    return { live, plan: { ...plan, warnings: [...part.warnings, ...live.warnings, ...plan.warnings] } };
  };
}

/** Observes what an earlier call has planned, and plans what is left of it: `strict`, whatever is in the way blocks. */
async function lookAgain(
  { cluster, journal, deadline, wanted }: Job,
  entry: JournalEntry,
): Promise<Look & { readonly strict: Plan }> {
  const planned = await plannedRollback(journal, entry, deadline);
  const live = await observe(cluster, partitionsOf(planned.plan));
  requireObserved(live);
  return { live, plan: planResume(planned, live, wanted.skip_blocked), strict: planResume(planned, live, false) };
}

/** A pending transaction is a blocker; a group that could not be read for another reason leaves nothing to plan with. */
function requireObserved(live: LiveState): void {
  const failed = live.errors.filter(({ error }) => error !== "PendingTransaction");
  if (failed.length > 0) throw unreadable(failed, "Nothing was touched. Solve that, or name other groups.");
}

/**
 * Looks until no group has members, or the time that the request gives for that is over, or something else is in the way
 * that does not pass by itself. Nothing is held meanwhile. The seconds that it took.
 */
async function waitUntilEmpty({ wanted, deadline, log }: Job, look: () => Promise<Look>): Promise<number> {
  const patience = Math.min(wanted.wait_for_empty_seconds * 1_000, deadline.remainingMs() - ROLLBACK_TIME_MS);
  const began = performance.now();
  const waited = () => performance.now() - began;
  while (waited() < patience) {
    const { plan } = await look();
    const [first] = [...plan.blockers, ...plan.skipped].filter(({ kind }) => kind === "group_not_empty");
    const changed = wanted.plan_digest !== undefined && wanted.plan_digest !== plan.digest;
    if (first === undefined || changed || plan.blockers.some(lasts)) break;
    log.info("rollback waits for groups to be empty", { group: first.group, members: first.actual });
    await delay(Math.min(POLL_MS, Math.max(0, patience - waited())), undefined, { signal: deadline.signal }).catch(
      () => {},
    );
  }
  return wanted.wait_for_empty_seconds > 0 ? Math.round(waited() / 1_000) : 0;
}

/** Does what is asked for, under the lease: takes up what an earlier call has begun, or begins afresh. */
async function execute(job: Job, fresh: FreshPlanner | undefined, leases: RollbackLease): Promise<Result> {
  const { wanted, journal, deadline, log, requestedBy, startedAt } = job;
  const newId = wanted.rollback_id ?? `rollback-${isoSeconds(startedAt)}-${randomUUID().slice(0, 8)}`;
  const holder = (rollbackId: string) => ({ rollbackId, requestedBy, startedAt: startedAt.toISOString() });
  const find = () => findEarlier(journal, wanted, startedAt, deadline);

  const before = await find();
  const leaseId = before === undefined || isClosed(before, wanted) ? newId : before.entry.rollbackId;
  let lease = await leases.acquire(holder(leaseId), deadline);
  try {
    const earlier = await find(); // whoever had the lease until now may have ended it, or begun it
    if (earlier !== undefined) {
      if (earlier.named && isClosed(earlier, wanted))
        return await recordedResult(journal, earlier.entry, wanted, deadline);
      const taken = await takeUp(job, earlier, lease);
      if (taken !== undefined) return taken;
    }
    if (leaseId !== newId) {
      await lease.release(deadline);
      lease = await leases.acquire(holder(newId), deadline);
    }
    const { plan, live } = await required(fresh)(job);
    if (wanted.plan_digest !== undefined && wanted.plan_digest !== plan.digest)
      throw planChanged(plan, wanted.plan_digest);
    if (plan.blockers.length > 0) throw refuse(job, plan, newId, `the rollback to ${plan.snapshotId}`);
    log.info("rollback starts", { rollback_id: newId, snapshot_id: plan.snapshotId, requested_by: requestedBy });
    const moves = commitsOf(plan).size > 0 || deletesOf(plan).size > 0;
    const safetySnapshotId = moves ? await saveSafetySnapshot(job, plan, live, newId) : null;
    const open = await openJournal(job, plan, live, newId, safetySnapshotId);
    const groups = new Set([...plan.groups].filter(([, group]) => takesPart(group)).map(([group]) => group));
    const superseded = await supersede(journal, groups, newId, deadline);
    return await carryOut(job, { ...plan, warnings: [...plan.warnings, ...superseded] }, open, lease, false);
  } finally {
    await lease.release(lasting(Math.max(RELEASE_TIME_MS, deadline.remainingMs())));
  }
}

/**
 * Answers with the result of an earlier call where that still stands, or does what it has left. Undefined where the rollback
 * is to be planned afresh: the caller did not name it, and something lasting is in its way now (a group was moved since, a
 * log has lost its target), or its journal cannot be read.
 */
async function takeUp(job: Job, earlier: Earlier, lease: Lease): Promise<Result | undefined> {
  const { wanted, journal, deadline } = job;
  const { entry, named } = earlier;
  try {
    if (isClosed(earlier, wanted)) {
      const { plan } = await plannedRollback(journal, entry, deadline);
      if (!targetsHold(plan, await observe(job.cluster, partitionsOf(plan)))) return undefined;
      return withDoubt(await recordedResult(journal, entry, wanted, deadline), plan);
    }
    const { plan, strict } = await lookAgain(job, entry);
    return named || !strict.blockers.some(lasts) ? await resume(job, entry, plan, lease) : undefined;
  } catch (error) {
    if (named || !(error instanceof SnapshotCorrupt)) throw error;
    job.log.warn("an earlier journal of the same request cannot be read", { rollback_id: entry.rollbackId });
    return undefined;
  }
}

/** Does what is left of a rollback that an earlier call has begun. */
async function resume(job: Job, entry: JournalEntry, plan: Plan, lease: Lease): Promise<Result> {
  const { journal, deadline, log, requestedBy } = job;
  const { rollbackId, snapshotId } = entry;
  if (plan.blockers.length > 0) {
    const error = refuse(job, plan, rollbackId, `what is left of ${rollbackId} to ${snapshotId}`);
    error.message +=
      " Its groups and policies are those of its journal: start a new rollback, or resume with skip_blocked.";
    throw error;
  }
  log.info("rollback resumes", { rollback_id: rollbackId, snapshot_id: snapshotId, requested_by: requestedBy });
  const open = await journal.reopen(entry, new Date(), deadline);
  if (open === undefined) {
    throw new RollbackInProgress(
      `another call has taken up ${rollbackId} at the same time. This one committed nothing. Look at it with rollbacks ` +
        `{"rollback_id": "${rollbackId}"}.`,
    );
  }
  return carryOut(job, plan, open, lease, true);
}

/** A repeated result, with a warning where it may look like more than it is: acknowledgements do not move start offsets. */
function withDoubt(result: Result, plan: Plan): Result {
  const groups = shareGroupsOf(plan);
  if (groups.size === 0) return result;
  const warning =
    `This call did nothing, as the start offsets of share group ${nameSome(groups)} stand at their targets. What was ` +
    "acknowledged since does not show in them: to have it delivered again, give the request a rollback_id of its own.";
  const { warnings } = result;
  return { ...result, warnings: [...(Array.isArray(warnings) ? warnings : []), warning] };
}

function refuse({ log, requestedBy }: Job, plan: Plan, rollbackId: string, what: string): OperationError {
  log.warn("rollback refused", {
    rollback_id: rollbackId,
    snapshot_id: plan.snapshotId,
    requested_by: requestedBy,
    blockers: plan.blockers.length,
  });
  return refusal(plan, what);
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("a rollback has either a snapshot or an earlier call to go by");
  return value;
}
