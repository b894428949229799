import type { Deadline } from "../shared/core/deadline.ts";
import { InvalidRequest, OperationError, RollbackIncomplete } from "../shared/core/errors.ts";
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
import type { Invocation, Result } from "../shared/lambda/operation.ts";
import type { Journal, JournalEntry, OpenJournal } from "../shared/storage/journal.ts";
import type { Lease } from "../shared/storage/lease.ts";
import type { Archive } from "../shared/storage/snapshots.ts";
import { fingerprintOf, type Request, requestDocument } from "./request.ts";
import { type Execution, incomplete, resultDocument } from "./result.ts";

/** What an execution works with. */
export interface Job {
  readonly wanted: Request;
  readonly archive: Archive;
  readonly journal: Journal;
  readonly cluster: Cluster;
  readonly deadline: Deadline;
  readonly log: Invocation["log"];
  /** Who asks: the IAM ARN over HTTP, what the request says otherwise. */
  readonly requestedBy: string | null;
  /** When the invocation began. */
  readonly startedAt: Date;
  /** Called before the first commit is sent: from there on a failure may leave something behind. */
  onCommit(entry: JournalEntry): void;
}

/**
 * What is left of the time when the last commit is sent, by the number of commits: they are to be read back. Kafka may wait
 * for its commits with the answer, for 5 s (offsets.commit.timeout.ms) while a replica is dead.
 */
function reserveFor(commits: number, deadline: Deadline): number {
  return Math.min(7_000 + commits * 0.05, deadline.remainingMs() / 3);
}

/** The error of a rollback that failed in a way that nobody foresaw, after its first commit may have been sent. */
export function interrupted({ rollbackId, safetySnapshotId }: JournalEntry, cause: unknown): RollbackIncomplete {
  return new RollbackIncomplete(
    `${rollbackId} was interrupted (${cause instanceof Error ? cause.message : String(cause)}): some groups may ` +
      `have moved, others not. Safety snapshot ${safetySnapshotId ?? "(none: nothing had to be committed)"} has the state ` +
      `from before. {"resume": "${rollbackId}"} looks what is left and does it.`,
    { cause, details: { rollback_id: rollbackId, safety_snapshot_id: safetySnapshotId } },
  );
}

/** Keeps the state that the plan was made from: undoing a rollback is one more rollback. */
export async function saveSafetySnapshot(
  { archive, wanted, deadline }: Job,
  plan: Plan,
  live: LiveState,
  rollbackId: string,
): Promise<string> {
  const groups = [...plan.groups].filter(([, group]) => takesPart(group)).map(([group]) => group);
  const none: ReadonlyMap<string, Commit> = new Map();
  const { snapshot } = await archive.save(
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
  { journal, wanted, deadline, requestedBy }: Job,
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
    plan: plannedDocument({ request: requestDocument(wanted), plan, origin: originOf(plan, live) }),
  };
  const opened = await journal.open(opening, new Date(), deadline);
  if (opened !== "taken") return opened;
  throw new InvalidRequest(`rollback_id: ${rollbackId} is in use already. Choose another id. Nothing was touched.`);
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
): Promise<Result> {
  const { wanted, deadline, log, requestedBy, startedAt } = job;
  const { rollbackId, safetySnapshotId } = open.entry;
  const audit = { rollback_id: rollbackId, snapshot_id: plan.snapshotId, requested_by: requestedBy };
  log.info("rollback commits", { ...audit, safety_snapshot_id: safetySnapshotId, resumed });
  job.onCommit(open.entry);
  const settlement = await commitAndSettle(job, plan, lease).catch((cause: unknown) => {
    throw interrupted(open.entry, cause);
  });
  const execution: Execution = {
    rollbackId,
    snapshotId: plan.snapshotId,
    safetySnapshotId,
    warnings: plan.warnings,
    resumed,
    durationMs: Date.now() - startedAt.getTime(),
  };
  const result = resultDocument(execution, plan, settlement);
  const unclosed = await close(open, result, deadline);
  const { status, groups_rolled_back, groups_failed, offsets_restored } = result;
  log.info("rollback ended", {
    ...audit,
    safety_snapshot_id: safetySnapshotId,
    status,
    groups_rolled_back,
    groups_failed,
    offsets_restored,
    ...(unclosed !== undefined && { journal: unclosed }),
  });
  const { verification, ...withoutVerification } = result;
  const told = {
    ...withoutVerification,
    verification: wanted.verify ? verification : undefined,
    warnings: unclosed === undefined ? result.warnings : [...result.warnings, unclosed],
  };
  if (status !== "success") throw incomplete(execution, settlement, told, unclosed);
  return told;
}

async function commitAndSettle({ cluster }: Job, plan: Plan, lease: Lease): Promise<Settlement> {
  const commits = commitsOf(plan);
  const permit: WriteOptions["permit"] = () => {
    if (lease.lost)
      return { failed: { error: "LeaseLost", message: "the rollback's lease was lost, or could not be renewed" } };
    if (lease.remainingMs() >= WRITE_TIMEOUT_MS) return undefined;
    return {
      again: { error: "LeaseLost", message: "the rollback's lease was about to end, and could not be renewed yet" },
    };
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
 * Deletes what a plan deletes, of groups whose commits were all accepted, and that are still empty and where the plan found
 * them: unlike a commit, Kafka lets anybody delete where a group has members, except on topics that they are subscribed to.
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

/** Looks at groups once more, and says why a group's commits must not be deleted now, if so. */
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
      return moved === undefined ? undefined : `Group "${group}", ${moved} has been moved since.`;
    };
  } catch (error) {
    if (!(error instanceof OperationError)) throw error;
    return () => error.message;
  }
}

/** Closes the journal. A failure to do so changes nothing about what was done: it is told, and `resume` mends it. */
async function close(
  open: OpenJournal,
  result: ReturnType<typeof resultDocument>,
  deadline: Deadline,
): Promise<string | undefined> {
  const { rollbackId } = open.entry;
  try {
    if ((await open.close(result.status, result, new Date(), deadline)) === "closed") return undefined;
    return `The journal of ${rollbackId} was taken over by another call meanwhile: look at both results.`;
  } catch (error) {
    return (
      `The journal could not be closed (${error instanceof Error ? error.message : String(error)}), so that it shows ` +
      `${rollbackId} as unfinished: {"resume": "${rollbackId}"} mends that.`
    );
  }
}
