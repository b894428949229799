import type { Archive } from "../shared/archive/archive.ts";
import type { Journal, OpenJournal } from "../shared/archive/journal.ts";
import type { Lease } from "../shared/archive/lease.ts";
import type { Deadline } from "../shared/core/deadline.ts";
import { InvalidRequest, RollbackIncomplete } from "../shared/core/errors.ts";
import { type Commit, countOffsets, type LiveState } from "../shared/core/model.ts";
import { commitsOf, deletesOf, type Plan } from "../shared/core/plan.ts";
import { plannedDocument } from "../shared/core/plan-document.ts";
import { originOf, partitionsOf } from "../shared/core/resume.ts";
import { type CommitOutcome, type Settlement, settle } from "../shared/core/settle.ts";
import type { Cluster } from "../shared/kafka/cluster.ts";
import {
  commitOffsets,
  deleteOffsets,
  readCommits,
  WRITE_TIMEOUT_MS,
  type Writing,
} from "../shared/kafka/group-offsets.ts";
import type { Invocation, Result } from "../shared/lambda/operation.ts";
import { supersede } from "./history.ts";
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
  onCommit(): void;
}

/** What is left of the time when the last commit is sent, by the number of commits: they are to be read back. */
function reserveFor(commits: number, deadline: Deadline): number {
  return Math.min(4_000 + commits * 0.05, deadline.remainingMs() / 3);
}

/** Keeps the state that the plan was made from: undoing a rollback is one more rollback. */
export async function saveSafetySnapshot(
  { archive, wanted, deadline }: Job,
  plan: Plan,
  live: LiveState,
  rollbackId: string,
): Promise<string> {
  const groups = [...plan.groups].filter(([, { leftOut }]) => !leftOut).map(([group]) => group);
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

/** Writes the journal of a new rollback, after those that it supersedes have been marked. */
export async function openJournal(
  { journal, wanted, deadline, requestedBy }: Job,
  plan: Plan,
  live: LiveState,
  rollbackId: string,
  safetySnapshotId: string | null,
): Promise<OpenJournal> {
  const groups = [...plan.groups.keys()];
  await supersede(journal, new Set(groups), rollbackId, deadline);
  const opening = {
    rollbackId,
    snapshotId: plan.snapshotId,
    safetySnapshotId,
    requestedBy,
    description: wanted.description ?? "",
    fingerprint: fingerprintOf(wanted),
    planDigest: plan.digest,
    groups,
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
  job.onCommit();
  const settlement = await commitAndSettle(job, plan, lease).catch((cause: unknown) => {
    throw new RollbackIncomplete(
      `${rollbackId} was interrupted (${cause instanceof Error ? cause.message : String(cause)}): some groups may ` +
        `have moved, others not. Safety snapshot ${safetySnapshotId ?? "(none: nothing had to be committed)"} has the state ` +
        `from before. {"resume": "${rollbackId}"} looks what is left and does it.`,
      { cause, details: { rollback_id: rollbackId, safety_snapshot_id: safetySnapshotId } },
    );
  });
  const execution: Execution = {
    rollbackId,
    snapshotId: plan.snapshotId,
    safetySnapshotId,
    warnings: plan.warnings,
    resumed,
    durationMs: Date.now() - startedAt.getTime(),
  };
  const result = resultDocument(execution, settlement);
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
  if (status !== "success") throw incomplete(execution, settlement, told);
  return told;
}

async function commitAndSettle({ cluster }: Job, plan: Plan, lease: Lease): Promise<Settlement> {
  const commits = commitsOf(plan);
  const permit: Writing["permit"] = () => {
    if (lease.lost)
      return { failed: { error: "LeaseLost", message: "the rollback's lease was lost, or could not be renewed" } };
    if (lease.remainingMs() >= WRITE_TIMEOUT_MS) return undefined;
    return {
      again: { error: "LeaseLost", message: "the rollback's lease was about to end, and could not be renewed yet" },
    };
  };
  const writing = { reserveMs: reserveFor(countOffsets(commits), cluster.deadline), permit };
  const sent = await commitOffsets(cluster, commits, writing);
  const deletes = new Map<string, string[]>();
  for (const [group, keys] of deletesOf(plan)) {
    const refused = [...(sent.get(group)?.values() ?? [])].find(({ kind }) => kind !== "accepted");
    if (refused === undefined) deletes.set(group, keys);
    else sent.set(group, new Map([...(sent.get(group) ?? []), ...keys.map((key) => [key, undeleted(group)] as const)]));
  }
  for (const [group, outcomes] of await deleteOffsets(cluster, deletes, writing)) {
    sent.set(group, new Map([...(sent.get(group) ?? []), ...outcomes]));
  }
  const partitions = new Map([...partitionsOf(plan)].map(([group, keys]) => [group, keys.keys()]));
  return settle(plan, sent, await readCommits(cluster, partitions));
}

const undeleted = (group: string): CommitOutcome => ({
  kind: "not_attempted",
  error: "RollbackIncomplete",
  message: `group ${JSON.stringify(group)}: its commits were not all accepted, so that none was deleted`,
});

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
