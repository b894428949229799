import type { Deadline } from "../shared/core/deadline.ts";
import { InvalidRequest, OperationError } from "../shared/core/errors.ts";
import { type Commit, type CommitOutcome, countOffsets, type LiveState, sameCommit } from "../shared/core/model.ts";
import { groupBlockers } from "../shared/core/rollback/blockers.ts";
import { commitsOf, deletesOf, type Plan, shareGroupsOf, takesPart } from "../shared/core/rollback/plan.ts";
import { plannedDocument } from "../shared/core/rollback/plan-document.ts";
import { originOf, partitionsOf } from "../shared/core/rollback/resume.ts";
import { type Settlement, settle } from "../shared/core/rollback/settle.ts";
import type { Cluster } from "../shared/kafka/connection/cluster.ts";
import { observe, readCommits } from "../shared/kafka/groups/capture.ts";
import {
  commitOffsets,
  deleteOffsets,
  type Outcomes,
  WRITE_TIMEOUT_MS,
  type WriteOptions,
} from "../shared/kafka/groups/write-commits.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import type { OpenJournal } from "../shared/storage/journal.ts";
import type { Lease } from "../shared/storage/lease.ts";
import type { Job } from "./look.ts";
import { fingerprintOf, requestDocument } from "./request.ts";
import { incomplete, type Run, resultDocument } from "./result.ts";
import type { RollbackResult } from "./schema.ts";

/**
 * How much time must be left when the last commit is sent, by the number of commits: they are read back afterwards. Kafka may
 * delay an answer by 5 s (offsets.commit.timeout.ms) while a replica is dead.
 */
function reserveFor(commits: number, deadline: Deadline): number {
  return Math.min(7_000 + commits * 0.05, deadline.remainingMs() / 3);
}

/** Saves the state that the plan was made from: an undo is a rollback to it. */
export async function saveSafetySnapshot(
  { storage: { snapshots }, wanted, deadline }: Job,
  plan: Plan,
  live: LiveState,
  rollbackId: string,
): Promise<string> {
  const groups = [...plan.groups].filter(([, group]) => takesPart(group)).map(([group]) => group);
  const none: ReadonlyMap<string, Commit> = new Map();
  const { snapshot } = await snapshots.save(
    {
      description: `Before ${rollbackId} to ${plan.snapshotId}${wanted.description ? `: ${wanted.description}` : ""}`,
      trigger: "safety",
      selection: { groups: groups.map((name) => ({ name })), exclude: [] },
      cluster: live.cluster,
      consumerGroups: new Map(groups.map((group) => [group, live.commits.get(group) ?? none])),
      errors: [],
      warnings: live.warnings,
      observed: live.observed,
    },
    new Date(),
    deadline,
  );
  return snapshot.snapshotId;
}

/** Writes the journal of a new rollback. */
export async function openJournal(
  { storage: { journal }, wanted, deadline, requestedBy }: Job,
  plan: Plan,
  live: LiveState,
  rollbackId: string,
  safetySnapshotId: string | null,
): Promise<OpenJournal> {
  const opening = {
    rollbackId,
    snapshotId: plan.snapshotId,
    safetySnapshotId,
    requestedBy,
    description: wanted.description ?? "",
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
export async function carryOut(
  job: Job,
  plan: Plan,
  open: OpenJournal,
  lease: Lease,
  resumed: boolean,
): Promise<Encoded<RollbackResult>> {
  const { wanted, deadline, log, requestedBy, startedAt } = job;
  const { rollbackId, safetySnapshotId } = open.record;
  const audit = {
    rollback_id: rollbackId,
    snapshot_id: plan.snapshotId,
    requested_by: requestedBy,
    safety_snapshot_id: safetySnapshotId,
  };
  log.info("rollback commits", { ...audit, resumed });
  const settlement = await commitAndSettle(job, plan, lease);
  const run: Run = {
    rollbackId,
    snapshotId: plan.snapshotId,
    safetySnapshotId,
    warnings: plan.warnings,
    resumed,
    durationMs: Date.now() - startedAt.getTime(),
  };
  const result = resultDocument(run, plan, settlement);
  const unclosed = await close(open, result, deadline);
  const { status, groups_rolled_back, groups_failed, offsets_restored } = result;
  log.info("rollback ended", {
    ...audit,
    status,
    groups_rolled_back,
    groups_failed,
    offsets_restored,
    ...(unclosed !== undefined && { journal: unclosed }),
  });
  const answer = {
    ...result,
    verification: wanted.verify ? result.verification : undefined,
    warnings: unclosed === undefined ? result.warnings : [...result.warnings, unclosed],
  };
  if (status !== "success") throw incomplete(run, settlement, answer, unclosed);
  return answer;
}

async function commitAndSettle({ cluster }: Job, plan: Plan, lease: Lease): Promise<Settlement> {
  const commits = commitsOf(plan);
  const problem = (message: string) => ({ error: "LeaseLost", message });
  const permit: WriteOptions["permit"] = () => {
    if (lease.lost) return { failed: problem("the rollback's lease was lost, or could not be renewed") };
    if (lease.remainingMs() >= WRITE_TIMEOUT_MS) return undefined;
    return { again: problem("the rollback's lease was about to end, and could not be renewed yet") };
  };
  const shareGroups = shareGroupsOf(plan);
  const writing = { reserveMs: reserveFor(countOffsets(commits), cluster.deadline), permit, shareGroups };
  const sent = await commitOffsets(cluster, commits, writing);
  for (const [group, outcomes] of await deleteAfter(sent, cluster, plan, writing)) {
    sent.set(group, new Map([...(sent.get(group) ?? []), ...outcomes]));
  }
  const partitions = new Map([...partitionsOf(plan)].map(([group, keys]) => [group, keys.keys()]));
  return settle(plan, sent, await readCommits(cluster, partitions, shareGroups));
}

/**
 * Deletes the commits that a plan deletes, in groups whose commits were all accepted, that are still empty and where the plan
 * found them: Kafka accepts a deletion in a group that has members, except on topics that they are subscribed to.
 */
async function deleteAfter(sent: Outcomes, cluster: Cluster, plan: Plan, writing: WriteOptions): Promise<Outcomes> {
  const planned = deletesOf(plan);
  const deletes = new Map<string, string[]>();
  const kept: Outcomes = new Map();
  const reasonAgainst = planned.size === 0 ? () => undefined : await deletionCheck(cluster, plan, planned);
  for (const [group, keys] of planned) {
    const refused = [...(sent.get(group)?.values() ?? [])].some(({ kind }) => kind !== "accepted");
    const message = refused ? `Group "${group}": its commits were not all accepted.` : reasonAgainst(group, keys);
    if (message === undefined) deletes.set(group, keys);
    else {
      const outcome: CommitOutcome = {
        kind: "not_attempted",
        error: "RollbackIncomplete",
        message: `${message} None of its commits was deleted.`,
      };
      kept.set(group, new Map(keys.map((key) => [key, outcome])));
    }
  }
  return new Map([...kept, ...(await deleteOffsets(cluster, deletes, writing))]);
}

/** Observes groups once more; returns a function that gives the reason not to delete a group's commits, if there is one. */
async function deletionCheck(
  cluster: Cluster,
  plan: Plan,
  planned: ReadonlyMap<string, readonly string[]>,
): Promise<(group: string, keys: readonly string[]) => string | undefined> {
  try {
    const live = await observe(
      cluster,
      new Map([...planned].map(([group, keys]) => [group, new Map(keys.map((key) => [key, null]))])),
    );
    const origin = originOf(plan, live);
    return (group, keys) => {
      const planned = plan.groups.get(group);
      const [blocker] = groupBlockers(origin, group, planned?.type ?? null, live);
      if (blocker !== undefined) return blocker.message;
      const moved = keys.find(
        (key) => !sameCommit(live.commits.get(group)?.get(key) ?? null, planned?.partitions.get(key)?.from ?? null),
      );
      return moved === undefined ? undefined : `Group "${group}", ${moved} was moved after the plan was made.`;
    };
  } catch (error) {
    if (!(error instanceof OperationError)) throw error;
    return () => error.message;
  }
}

/** Closes the journal. A failure does not change the result: it becomes a warning, and `resume` closes the journal later. */
async function close(
  open: OpenJournal,
  result: Encoded<RollbackResult>,
  deadline: Deadline,
): Promise<string | undefined> {
  const { rollbackId } = open.record;
  try {
    if ((await open.close(result.status, result, new Date(), deadline)) === "closed") return undefined;
    return `Another call has resumed or superseded ${rollbackId} meanwhile: check both results.`;
  } catch (error) {
    return (
      `The journal could not be closed (${error instanceof Error ? error.message : String(error)}), so it shows ` +
      `${rollbackId} as unfinished. To close it, send {"resume": "${rollbackId}"}.`
    );
  }
}
