import { randomUUID } from "node:crypto";
import * as z from "zod";
import { type Archive, createArchive } from "../shared/archive/archive.ts";
import { unreadable } from "../shared/core/checks.ts";
import type { Deadline } from "../shared/core/deadline.ts";
import { GroupNotEmpty, OperationError, RollbackBlocked, RollbackIncomplete } from "../shared/core/errors.ts";
import { type Commit, countOffsets, type LiveState } from "../shared/core/model.ts";
import { commitsOf, type Plan, planRollback } from "../shared/core/plan.ts";
import { onTopics, restrict } from "../shared/core/restrict.ts";
import { type Settlement, settle } from "../shared/core/settle.ts";
import { isoSeconds } from "../shared/core/snapshot-id.ts";
import { count, nameSome } from "../shared/core/text.ts";
import { withCluster } from "../shared/kafka/access.ts";
import type { Cluster } from "../shared/kafka/cluster.ts";
import { commitOffsets, observe, readCommits } from "../shared/kafka/group-offsets.ts";
import { settings } from "../shared/lambda/config.ts";
import { type Invocation, operation, type Result } from "../shared/lambda/operation.ts";
import { description, selectors, snapshotRef, topicSelectors } from "../shared/lambda/request-fields.ts";
import { planDocument, resultDocument } from "./result.ts";

/** What a rollback request may say. */
export const request = z
  .strictObject({
    snapshot_id: snapshotRef,
    groups: selectors.optional(),
    topics: topicSelectors.optional(),
    dry_run: z.boolean().default(false),
    verify: z.boolean().default(true),
    requested_by: z.string().min(1).max(256).optional(),
    description: description.optional(),
  })
  .superRefine(({ snapshot_id, groups }, context) => {
    if (groups !== undefined || (typeof snapshot_id === "string" && snapshot_id !== "latest")) return;
    context.addIssue({
      code: "custom",
      path: ["snapshot_id"],
      message:
        "must be an id when no groups are named: rolling back all groups to whatever is newest is too easy to regret",
    });
  });

type Request = z.output<typeof request>;

/** Puts groups back where a snapshot says they stood. */
export const handler = operation({
  name: "rollback",
  request,
  hasEffects: true,
  storeResult: (text, deadline) => createArchive(settings().archive).storeResult(text, deadline),
  async run(wanted, invocation) {
    let committing = false;
    try {
      return await rollBack(wanted, invocation, () => {
        committing = true;
      });
    } catch (error) {
      if (error instanceof OperationError && !committing && !error.message.includes("othing was touched")) {
        error.message += " Nothing was touched: no offset was committed.";
      }
      throw error;
    }
  },
});

async function rollBack(wanted: Request, { deadline, log, caller }: Invocation, onCommit: () => void): Promise<Result> {
  const started = performance.now();
  const { snapshot_id, groups, topics } = wanted;
  const configured = settings();
  const archive = createArchive(configured.archive);
  const snapshot = await archive.load(await archive.resolve(snapshot_id, groups, deadline), deadline);
  const part = restrict(snapshot, { groups, topics });
  return withCluster(configured.kafka, deadline, async (cluster) => {
    const live = await observe(cluster, part.commits);
    requireObserved(live);
    const plan = planRollback(snapshot, part, { ...live, commits: onTopics(live.commits, topics) });
    const warnings = [...part.warnings, ...live.warnings, ...plan.warnings];
    if (wanted.dry_run) return planDocument(plan, warnings);
    if (plan.blockers.length > 0) throw refusal(plan, warnings);

    const rollbackId = `rollback-${isoSeconds(new Date())}-${randomUUID().slice(0, 8)}`;
    const audit = {
      rollback_id: rollbackId,
      snapshot_id: plan.snapshotId,
      requested_by: caller ?? wanted.requested_by ?? null,
    };
    log.info("rollback starts", audit);
    const task = { archive, cluster, plan, live, rollbackId, wanted, deadline, log, onCommit };
    const { safetySnapshotId, settlement } = await execute(task);
    const durationMs = Math.round(performance.now() - started);
    const execution = {
      rollbackId,
      snapshotId: plan.snapshotId,
      safetySnapshotId,
      warnings,
      verify: wanted.verify,
      durationMs,
    };
    const result = resultDocument(execution, settlement);
    const { status, groups_rolled_back, groups_failed, offsets_restored } = result;
    log.info("rollback ended", {
      ...audit,
      safety_snapshot_id: safetySnapshotId,
      status,
      groups_rolled_back,
      groups_failed,
      offsets_restored,
    });
    if (status !== "success") throw incomplete(rollbackId, plan, safetySnapshotId, settlement, result);
    return result;
  });
}

/** A pending transaction is a blocker; a group that could not be read for another reason leaves nothing to plan with. */
function requireObserved(live: LiveState): void {
  const failed = live.errors.filter(({ error }) => error !== "PendingTransaction");
  if (failed.length > 0) throw unreadable(failed, "Nothing was touched. Solve that, or name other groups.");
}

function refusal(plan: Plan, warnings: readonly string[]): OperationError {
  const { blockers, snapshotId } = plan;
  const shown = blockers.slice(0, 3).map(({ kind, message }) => `[${kind}] ${message}`);
  const rest =
    blockers.length > shown.length ? ` And ${blockers.length - shown.length} more: a dry run shows all.` : "";
  const message = `the rollback to ${snapshotId} was refused, and nothing was touched. ${shown.join(" ")}${rest}`;
  const options = { details: planDocument(plan, warnings) };
  return blockers.every(({ kind }) => kind === "group_not_empty")
    ? new GroupNotEmpty(message, options)
    : new RollbackBlocked(message, options);
}

/** What the read-back, the result and the answer need of the time, by the number of commits. */
function reserveFor(commits: number, deadline: Deadline): number {
  return Math.min(3_000 + commits * 0.05, deadline.remainingMs() / 3);
}

interface Task {
  readonly archive: Archive;
  readonly cluster: Cluster;
  readonly plan: Plan;
  readonly live: LiveState;
  readonly rollbackId: string;
  readonly wanted: Request;
  readonly deadline: Deadline;
  readonly log: Invocation["log"];
  /** Called before the first commit is sent: from there on a failure may leave something behind. */
  onCommit(): void;
}

/** The safety snapshot, the commits, the read-back. When nothing has to be committed, only the read-back. */
async function execute(task: Task): Promise<{ safetySnapshotId: string | null; settlement: Settlement }> {
  const { cluster, plan } = task;
  const commits = commitsOf(plan);
  const safetySnapshotId = commits.size > 0 ? await saveSafetySnapshot(task) : null;
  task.log.info("rollback commits", { rollback_id: task.rollbackId, safety_snapshot_id: safetySnapshotId });
  task.onCommit();
  try {
    const sent = await commitOffsets(cluster, commits, reserveFor(countOffsets(commits), task.deadline));
    const keys = new Map([...plan.groups].map(([group, { partitions }]) => [group, [...partitions.keys()]]));
    return { safetySnapshotId, settlement: settle(plan, sent, await readCommits(cluster, keys)) };
  } catch (cause) {
    throw new RollbackIncomplete(
      `${task.rollbackId} was interrupted (${cause instanceof Error ? cause.message : String(cause)}): some groups may ` +
        `have moved, others not. Safety snapshot ${safetySnapshotId ?? "(none: nothing was committed)"} has the state ` +
        `from before. Verify against ${plan.snapshotId}, then roll back again.`,
      { cause, details: { rollback_id: task.rollbackId, safety_snapshot_id: safetySnapshotId } },
    );
  }
}

async function saveSafetySnapshot({ archive, plan, live, rollbackId, wanted, deadline }: Task): Promise<string> {
  const groups = [...plan.groups.keys()];
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

function incomplete(
  rollbackId: string,
  plan: Plan,
  safetySnapshotId: string | null,
  settlement: Settlement,
  details: ReturnType<typeof resultDocument>,
): RollbackIncomplete {
  const failed = [...settlement.groups].filter(([, { status }]) => status !== "success");
  return new RollbackIncomplete(
    `${rollbackId} to ${plan.snapshotId} ended as ${settlement.status}: ${settlement.groupsRolledBack} of ` +
      `${count(plan.groups.size, "group")} stand at their targets, ${nameSome(failed.map(([group]) => group))} ` +
      `${failed.length === 1 ? "does" : "do"} not (${failed[0]?.[1].error}). Safety snapshot ` +
      `${safetySnapshotId ?? "(none: nothing had to be committed)"} has the state from before. A dry run shows what is left to do.`,
    { details },
  );
}
