import { shownCaller } from "../shared/core/caller.ts";
import { pendingWarnings } from "../shared/core/checks.ts";
import { InvalidRequest } from "../shared/core/errors.ts";
import {
  type Commit,
  type CommitOutcome,
  countOffsets,
  noCommits,
  type SnapshotContent,
  sameCommit,
} from "../shared/core/model.ts";
import { groupBlockers } from "../shared/core/rollback/blockers.ts";
import { commitsOf, deletesOf, type Plan, shareGroupsOf } from "../shared/core/rollback/plan.ts";
import { plannedDocument } from "../shared/core/rollback/plan-document.ts";
import { originOf, partitionsOf } from "../shared/core/rollback/resume.ts";
import { type Settlement, settle } from "../shared/core/rollback/settle.ts";
import { quote } from "../shared/core/text.ts";
import type { Cluster } from "../shared/kafka/connection/cluster.ts";
import { observe, readCommits } from "../shared/kafka/groups/capture.ts";
import {
  commitOffsets,
  deleteOffsets,
  type Outcomes,
  WRITE_TIMEOUT_MS,
  type WriteOptions,
} from "../shared/kafka/groups/write-commits.ts";
import type { Result } from "../shared/lambda/handler.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import type { Look } from "../shared/planning/look.ts";
import type { OpenJournal } from "../shared/storage/journal.ts";
import type { Lease } from "../shared/storage/lease.ts";
import type { Job } from "./look.ts";
import { measurementsOf } from "./measure.ts";
import { fingerprintOf, requestDocument } from "./request.ts";
import { encodeResult, incomplete } from "./result.ts";
import type { RollbackResult } from "./schema.ts";

/** Opens a new rollback: stores the safety snapshot, which an undo rolls back to, and the record of the journal. */
export async function openRollback(
  { storage: { snapshots, journal }, wanted, deadline, requestedBy, callerArn, requestId }: Job,
  { plan, live }: Look,
  groups: ReadonlySet<string>,
  rollbackId: string,
): Promise<OpenJournal> {
  const { description = "" } = wanted;
  const safety: SnapshotContent = {
    description: `Before ${rollbackId} to ${plan.snapshotId}${description && `: ${description}`}`,
    trigger: "safety",
    selection: { groups: [...groups].map((name) => ({ name })), exclude: [] },
    cluster: live.cluster,
    consumerGroups: new Map([...groups].map((group) => [group, live.commits.get(group) ?? new Map<string, Commit>()])),
    errors: [],
    warnings: live.warnings,
    observed: live.observed,
  };
  const moves = commitsOf(plan).size > 0 || deletesOf(plan).size > 0;
  const saved = moves ? await snapshots.save(safety, new Date(), deadline) : undefined;
  const opening = {
    rollbackId,
    snapshotId: plan.snapshotId,
    safetySnapshotId: saved?.snapshot.snapshotId ?? null,
    requestedBy,
    callerArn,
    requestId,
    description,
    fingerprint: fingerprintOf(wanted),
    planDigest: plan.digest,
    groups: [...plan.groups.keys()],
    plan: plannedDocument.encode({ request: requestDocument(wanted), plan, origin: originOf(plan, live) }),
  };
  const opened = await journal.open(opening, new Date(), deadline);
  if (opened !== "taken") return opened;
  throw new InvalidRequest(`rollback_id: ${rollbackId} is in use already.`, { next: "Choose another id." });
}

/**
 * Carries out a plan whose journal is open: commits, deletes, reads back, settles, closes the journal.
 *
 * @throws RollbackIncomplete unless every group that was not to be skipped stands at its targets
 */
export async function carryOut(job: Job, plan: Plan, open: OpenJournal, lease: Lease): Promise<Result> {
  const { record } = open;
  const ids = {
    rollback_id: record.rollbackId,
    snapshot_id: record.snapshotId,
    safety_snapshot_id: record.safetySnapshotId,
  };
  job.note(ids);
  job.onCommit(record);
  // Should the function be killed, this is its last line.
  const by = { caller: shownCaller(job.callerArn), requested_by: job.requestedBy };
  job.log.info("rollback commits", { ...ids, ...by, resumed: record.attempts > 1 });
  const { settlement, warnings } = await commitAndSettle(job, plan, lease);
  const planned = { ...plan, warnings: [...plan.warnings, ...warnings] };
  const result = encodeResult(record, planned, settlement, Date.now() - job.startedAt.getTime());
  const unclosed = await close(job, open, result);
  const { status } = result;
  job.measure(measurementsOf(status));
  if (unclosed !== undefined) job.log.warn(unclosed, ids);
  const answer = {
    ...result,
    verification: job.wanted.verify ? result.verification : undefined,
    warnings: unclosed === undefined ? result.warnings : [...result.warnings, unclosed],
  };
  if (status !== "success") throw incomplete(record, settlement, answer, unclosed);
  return answer;
}

async function commitAndSettle(
  { cluster }: Job,
  plan: Plan,
  lease: Lease,
): Promise<{ readonly settlement: Settlement; readonly warnings: readonly string[] }> {
  const commits = commitsOf(plan);
  const problem = (message: string) => ({ error: "LeaseLost", message });
  const permit: WriteOptions["permit"] = () => {
    if (lease.lost) return { failed: problem("the rollback's lease was lost, or could not be renewed") };
    if (lease.remainingMs() >= WRITE_TIMEOUT_MS) return undefined;
    return { again: problem("the rollback's lease was about to end, and could not be renewed yet") };
  };
  const shareGroups = shareGroupsOf(plan);
  // Commits are read back afterwards. Kafka may delay an answer by 5 s (offsets.commit.timeout.ms) while a replica is dead.
  const reserveMs = Math.min(7_000 + countOffsets(commits) * 0.05, cluster.deadline.remainingMs() / 3);
  const writing = { reserveMs, permit, shareGroups };
  const sent = await commitOffsets(cluster, commits, writing);
  for (const [group, outcomes] of await deleteAfter(sent, cluster, plan, writing)) {
    sent.set(group, new Map([...(sent.get(group) ?? []), ...outcomes]));
  }
  const partitions = new Map([...partitionsOf(plan)].map(([group, keys]) => [group, keys.keys()]));
  const readBack = await readCommits(cluster, partitions, shareGroups);
  const warnings = pendingWarnings(
    readBack.pending,
    ", which began after the plan was made. When that transaction is committed, it overwrites the restored offsets. Stop " +
      "its application, wait until the transaction has ended, then call verify.",
  );
  const settlement = settle(plan, sent, readBack);
  const moved = movedGroups(settlement);
  if (moved.size === 0) return { settlement, warnings };
  const { observed } = await observe(cluster, new Map([...moved].map((group) => [group, noCommits])));
  return { settlement: settle(plan, sent, readBack, observed.groups), warnings };
}

/** The groups that another client has moved after the commits. */
const movedGroups = ({ groups }: Settlement) =>
  new Set(
    [...groups]
      .filter(([, { partitions }]) => [...partitions.values()].some(({ outcome }) => outcome === "moved_since"))
      .map(([group]) => group),
  );

/**
 * Deletes the commits that a plan deletes, in groups whose commits were all accepted, that are still empty and where the plan
 * found them: Kafka accepts a deletion in a group that has members, except on topics that they are subscribed to.
 */
async function deleteAfter(sent: Outcomes, cluster: Cluster, plan: Plan, writing: WriteOptions): Promise<Outcomes> {
  const planned = deletesOf(plan);
  if (planned.size === 0) return new Map();
  const reasonAgainst = await deletionCheck(cluster, plan, planned);
  const deletes = new Map<string, string[]>();
  const kept: Outcomes = new Map();
  for (const [group, keys] of planned) {
    const refused = [...(sent.get(group)?.values() ?? [])].some(({ kind }) => kind !== "accepted");
    const reason = refused ? `Group ${quote(group)}: its commits were not all accepted.` : reasonAgainst(group, keys);
    if (reason === undefined) {
      deletes.set(group, keys);
      continue;
    }
    const message = `${reason} None of its commits was deleted.`;
    const outcome: CommitOutcome = { kind: "not_attempted", error: "RollbackIncomplete", message };
    kept.set(group, new Map(keys.map((key) => [key, outcome])));
  }
  return new Map([...kept, ...(await deleteOffsets(cluster, deletes, writing))]);
}

/** Observes groups once more; returns a function that gives the reason not to delete a group's commits, if there is one. */
async function deletionCheck(cluster: Cluster, plan: Plan, planned: ReadonlyMap<string, readonly string[]>) {
  const partitions = new Map([...planned].map(([group, keys]) => [group, new Map(keys.map((key) => [key, null]))]));
  const live = await observe(cluster, partitions);
  const origin = originOf(plan, live);
  return (group: string, keys: readonly string[]) => {
    const unread = live.errors.find((error) => error.group === group);
    if (unread !== undefined) return `Group ${quote(group)} could not be read again: ${unread.message}.`;
    const before = plan.groups.get(group);
    const [blocker] = groupBlockers(origin, group, before?.type ?? null, live);
    if (blocker !== undefined) return blocker.message;
    const now = live.commits.get(group);
    const moved = keys.find((key) => !sameCommit(now?.get(key) ?? null, before?.partitions.get(key)?.from ?? null));
    return moved === undefined ? undefined : `Group ${quote(group)}, ${moved} was moved after the plan was made.`;
  };
}

/** Closes the journal. A failure does not change the result: it becomes a warning, and `resume` closes the journal later. */
async function close({ deadline }: Job, open: OpenJournal, result: Encoded<RollbackResult>) {
  const { rollbackId } = open.record;
  try {
    if ((await open.close(result.status, result, new Date(), deadline)) === "closed") return undefined;
    return (
      `Another call has resumed or superseded ${rollbackId} meanwhile. Call rollbacks {"rollback_id": "${rollbackId}"}, and ` +
      "compare its result, or that of its superseded_by, with this one."
    );
  } catch (error) {
    return (
      `The journal could not be closed (${error instanceof Error ? error.message : String(error)}), so it shows ` +
      `${rollbackId} as unfinished. To close it, send {"resume": "${rollbackId}"}.`
    );
  }
}
