import {
  type CaptureError,
  type Commit,
  type CommitOutcome,
  type Commits,
  type RollbackStatus,
  rollbackStatuses,
  sameCommit,
} from "../model.ts";
import { count } from "../text.ts";
import { type Verification, verifyCommits } from "../verify.ts";
import type { Blocker } from "./blockers.ts";
import { type Action, type ExtraCommit, type GroupPlan, type PartitionPlan, type Plan, skipsAll } from "./plan.ts";

/**
 * The outcome of a partition. `moved_since`: Kafka accepted the commit, and the read-back shows another one. `skipped`: it
 * was blocked and the caller asked to skip that.
 */
export const partitionOutcomes = [
  "restored",
  "unchanged",
  "deleted",
  "moved_since",
  "failed",
  "not_attempted",
  "skipped",
] as const;
export type PartitionOutcome = (typeof partitionOutcomes)[number];

/**
 * `actual` is present where it was read and is not the target, or does not prove the commit; null is no commit. `asked` is
 * as in the plan. `inDoubt`: a commit was sent and not answered: the broker may still carry it out.
 */
export interface PartitionResult {
  readonly outcome: PartitionOutcome;
  readonly from: Commit | null;
  readonly to: Commit | null;
  readonly asked?: Commit | null;
  readonly actual?: Commit | null;
  readonly inDoubt?: true;
}

/** The statuses of a group in a result. */
export const groupStatuses = [...rollbackStatuses, "skipped"] as const;

/** The result of a group, decided by what was read back. */
export interface GroupResult {
  readonly status: (typeof groupStatuses)[number];
  /** As in the plan. */
  readonly source?: string;
  readonly partitions: ReadonlyMap<string, PartitionResult>;
  /** Why it does not stand at its targets; a reason that Kafka gave begins with the error's name. */
  readonly error?: string;
}

/** The result of a plan. */
export interface Settlement {
  readonly status: RollbackStatus;
  /** Groups that stand at their targets. */
  readonly groupsRolledBack: number;
  readonly groupsFailed: number;
  /** Groups that were blocked, and skipped because the caller asked for that. */
  readonly groupsSkipped: number;
  /** Partitions that were committed and stand at their targets. */
  readonly offsetsRestored: number;
  /** Partitions whose commits were deleted and are gone. */
  readonly offsetsDeleted: number;
  readonly groups: ReadonlyMap<string, GroupResult>;
  readonly extra: readonly ExtraCommit[];
  /** Of the groups that could be read back; not verified where one could not. */
  readonly verification: Verification;
}

/** The commits of some groups as read back, and the groups that could not be read. */
export interface ReadBack {
  readonly commits: Commits;
  readonly errors: readonly CaptureError[];
}

function settlePartition(plan: PartitionPlan, sent: CommitOutcome | undefined, actual: Commit | null): PartitionResult {
  const { action, from, to, asked, done } = plan;
  const places = { from, to, ...(asked !== undefined && { asked }) };
  // Where a share group is rewound to its present start offset, the read-back proves nothing: Kafka's answer decides.
  const proven = action === "unchanged" || !sameCommit(from, to) || sent?.kind === "accepted";
  const atTarget = sameCommit(to, actual) && proven;
  const result = (outcome: PartitionOutcome): PartitionResult =>
    atTarget ? { outcome, ...places } : { outcome, ...places, actual };
  if (action === "skip") return { outcome: "skipped", ...places };
  if (action === "unchanged") return result(atTarget ? "unchanged" : "moved_since");
  if (atTarget) return result(action === "delete" ? "deleted" : "restored");
  if (done) return result("moved_since");
  if (sent === undefined || sent.kind === "not_attempted") return result("not_attempted");
  if (sent.kind === "unknown") return { ...result("failed"), inDoubt: true };
  return result(sent.kind === "accepted" ? "moved_since" : "failed");
}

function settleGroup(
  partitions: ReadonlyMap<string, PartitionPlan>,
  sent: ReadonlyMap<string, CommitOutcome> | undefined,
  actual: ReadonlyMap<string, Commit>,
): GroupResult {
  const results = new Map(
    [...partitions].map(([key, plan]) => [key, settlePartition(plan, sent?.get(key), actual.get(key) ?? null)]),
  );
  const elsewhere = [...results.values()].filter((result) => result.actual !== undefined);
  if (elsewhere.length === 0) return { status: "success", partitions: results };
  const complaint = [...(sent?.values() ?? [])].find((outcome) => outcome.kind !== "accepted");
  const moved = elsewhere.filter(({ outcome }) => outcome === "moved_since").length;
  const reached = [...results.values()].some(({ outcome }) => outcome === "restored" || outcome === "deleted");
  return {
    status: reached ? "partial_success" : "failed",
    partitions: results,
    error:
      complaint === undefined
        ? `${moved} of ${count(partitions.size, "partition")} no longer stand at their targets: a consumer has probably started`
        : `${complaint.error}: ${complaint.message}` +
          (elsewhere.some(({ inDoubt }) => inDoubt)
            ? ". The commit was sent and not answered: the broker may still carry it out, and resume checks that"
            : ""),
  };
}

/** A group that could not be read back: its result only says what Kafka answered to its commits. */
function unreadGroup(
  partitions: ReadonlyMap<string, PartitionPlan>,
  sent: ReadonlyMap<string, CommitOutcome> | undefined,
  reason: string,
): GroupResult {
  const outcomeOf = (key: string, action: Action): PartitionOutcome => {
    if (action === "skip") return "skipped";
    const kind = sent?.get(key)?.kind;
    return kind === undefined || kind === "not_attempted" ? "not_attempted" : "failed";
  };
  const accepted = [...(sent?.values() ?? [])].filter(({ kind }) => kind === "accepted").length;
  return {
    status: "failed",
    partitions: new Map(
      [...partitions].map(([key, { action, from, to, asked }]): [string, PartitionResult] => [
        key,
        {
          outcome: outcomeOf(key, action),
          from,
          to,
          ...(asked !== undefined && { asked }),
          ...(sent?.get(key)?.kind === "unknown" && { inDoubt: true }),
        },
      ]),
    ),
    error: `Kafka accepted ${count(accepted, "commit")} of ${sent?.size ?? 0}, but the group's commits could not be read back: ${reason}`,
  };
}

/** A group that was skipped. */
function skippedGroup({ partitions }: GroupPlan, reason: Blocker | undefined): GroupResult {
  return {
    status: "skipped",
    partitions: new Map([...partitions].map(([key, one]) => [key, settlePartition(one, undefined, one.from)])),
    ...(reason !== undefined && { error: `[${reason.kind}] ${reason.message}` }),
  };
}

/**
 * Decides the result of a rollback: compares the plan with the commits read back afterwards. Answers of the broker only
 * explain it: a commit that was refused, or whose answer was lost, counts as restored if the read-back shows it. What the
 * caller asked to skip does not lower the status.
 */
export function settle(
  plan: Plan,
  sent: ReadonlyMap<string, ReadonlyMap<string, CommitOutcome>>,
  readBack: ReadBack,
): Settlement {
  const groups = new Map<string, GroupResult>();
  const targets = new Map<string, Map<string, Commit | null>>();
  const standing = new Map<string, Map<string, Commit>>();
  const reasons = new Map(plan.leftOut.toReversed().map((blocker) => [blocker.group, blocker])); // the first of each
  const failures = new Map(readBack.errors.map(({ group, message }) => [group, message]));
  let unread = 0;
  for (const [group, planned] of plan.groups) {
    const { source, partitions } = planned;
    const add = (result: GroupResult) => groups.set(group, { ...(source !== undefined && { source }), ...result });
    if (skipsAll(planned)) {
      add(skippedGroup(planned, reasons.get(group)));
      continue;
    }
    const actual = partitions.size === 0 ? new Map<string, Commit>() : readBack.commits.get(group);
    const failure = failures.get(group);
    if (actual === undefined || failure !== undefined) {
      unread++;
      add(unreadGroup(partitions, sent.get(group), failure ?? "Kafka's answer left the group out"));
      continue;
    }
    add(settleGroup(partitions, sent.get(group), actual));
    const [wanted, found] = [new Map<string, Commit | null>(), new Map<string, Commit>()];
    for (const [key, { action, to }] of partitions) {
      if (action === "skip") continue;
      wanted.set(key, to);
      const commit = actual.get(key);
      if (commit !== undefined) found.set(key, commit);
    }
    targets.set(group, wanted);
    standing.set(group, found);
  }
  const results = [...groups.values()];
  const withStatus = (status: GroupResult["status"]) => results.filter((result) => result.status === status).length;
  const [groupsRolledBack, groupsSkipped] = [withStatus("success"), withStatus("skipped")];
  let [offsetsRestored, offsetsDeleted] = [0, 0];
  for (const { partitions } of results) {
    for (const { outcome } of partitions.values()) {
      if (outcome === "restored") offsetsRestored++;
      if (outcome === "deleted") offsetsDeleted++;
    }
  }
  const groupsFailed = results.length - groupsRolledBack - groupsSkipped;
  const compared = verifyCommits(targets, standing);
  const reached = groupsRolledBack > 0 || offsetsRestored > 0 || offsetsDeleted > 0;
  return {
    status: groupsFailed === 0 ? "success" : reached ? "partial_success" : "failed",
    groupsRolledBack,
    groupsFailed,
    groupsSkipped,
    offsetsRestored,
    offsetsDeleted,
    groups,
    extra: plan.extra,
    verification: { ...compared, verified: compared.verified && unread === 0 && groupsFailed === 0 },
  };
}
