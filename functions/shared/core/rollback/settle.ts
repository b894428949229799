import { type CaptureError, type Commit, type CommitOutcome, type Commits, sameCommit } from "../model.ts";
import { count } from "../text.ts";
import { type Verification, verifyCommits } from "../verify.ts";
import type { Blocker } from "./blockers.ts";
import { type Action, type ExtraCommit, type GroupPlan, type PartitionPlan, type Plan, skipsAll } from "./plan.ts";

/**
 * What became of a partition. `moved_since`: accepted, but the group stands elsewhere by now. `skipped`: nothing was to be
 * done, because the caller asked for what was in the way to be left out.
 */
export type PartitionOutcome =
  | "restored"
  | "unchanged"
  | "deleted"
  | "moved_since"
  | "failed"
  | "not_attempted"
  | "skipped";

/**
 * `actual` is there where it was read and is not the target, or does not show whether it was committed; null is no commit. `asked` is as in the plan. `inDoubt`: a
 * commit was sent and never answered, so that a broker that hung may carry it out yet.
 */
export interface PartitionResult {
  readonly outcome: PartitionOutcome;
  readonly from: Commit | null;
  readonly to: Commit | null;
  readonly asked?: Commit | null;
  readonly actual?: Commit | null;
  readonly inDoubt?: true;
}

/** `success`: all stands at the targets; `failed`: no group does, and nothing that was committed; else `partial_success`. */
export type RollbackStatus = "success" | "partial_success" | "failed";

/** What became of a group, decided by what was read back. */
export interface GroupResult {
  readonly status: RollbackStatus | "skipped";
  /** As in the plan. */
  readonly source?: string;
  readonly partitions: ReadonlyMap<string, PartitionResult>;
  /** Why it does not stand at its targets; where Kafka said so, it begins with the error's name. */
  readonly error?: string;
}

/** What became of a plan. */
export interface Settlement {
  readonly status: RollbackStatus;
  /** Groups that stand at their targets. */
  readonly groupsRolledBack: number;
  readonly groupsFailed: number;
  /** Groups of which nothing was to be rolled back, because the caller asked for what is in the way to be skipped. */
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
  // Of a share group that is rewound to where it stands, reading back tells nothing: there Kafka's word has to do.
  const shows = action === "unchanged" || !sameCommit(from, to) || sent?.kind === "accepted";
  const atTarget = sameCommit(to, actual) && shows;
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
        ? `${moved} of ${count(partitions.size, "partition")} stand elsewhere by now: a consumer has probably started`
        : `${complaint.error}: ${complaint.message}` +
          (elsewhere.some(({ inDoubt }) => inDoubt)
            ? ". It was sent and not answered: the broker may carry it out yet, and resume looks again"
            : ""),
  };
}

/** A group that could not be read back: nothing is claimed for it, and what Kafka answered to its commits is told. */
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
    error: `Kafka accepted ${count(accepted, "commit")} of ${sent?.size ?? 0}, but where the group stands could not be read back: ${reason}`,
  };
}

/** A group of which nothing was to be done. */
function skippedGroup({ partitions }: GroupPlan, reason: Blocker | undefined): GroupResult {
  return {
    status: "skipped",
    partitions: new Map([...partitions].map(([key, one]) => [key, settlePartition(one, undefined, one.from)])),
    ...(reason !== undefined && { error: `[${reason.kind}] ${reason.message}` }),
  };
}

/**
 * Decides what a rollback did: the plan against what was read back afterwards. Answers of the broker only explain; a
 * commit that was refused, or whose answer was lost, counts as restored where the read-back shows it. What the caller
 * asked to be skipped does not lower the status.
 */
export function settle(
  plan: Plan,
  sent: ReadonlyMap<string, ReadonlyMap<string, CommitOutcome>>,
  readBack: ReadBack,
): Settlement {
  const groups = new Map<string, GroupResult>();
  const targets = new Map<string, Map<string, Commit | null>>();
  const standing = new Map<string, Map<string, Commit>>();
  const reasons = new Map(plan.skipped.toReversed().map((blocker) => [blocker.group, blocker])); // the first of each
  const failures = new Map(readBack.errors.map(({ group, message }) => [group, message]));
  let unread = 0;
  for (const [group, planned] of plan.groups) {
    const { source, partitions } = planned;
    const tell = (result: GroupResult) => groups.set(group, { ...(source !== undefined && { source }), ...result });
    if (skipsAll(planned)) {
      tell(skippedGroup(planned, reasons.get(group)));
      continue;
    }
    const actual = partitions.size === 0 ? new Map<string, Commit>() : readBack.commits.get(group);
    const failure = failures.get(group);
    if (actual === undefined || failure !== undefined) {
      unread++;
      tell(unreadGroup(partitions, sent.get(group), failure ?? "the answer left the group out"));
      continue;
    }
    tell(settleGroup(partitions, sent.get(group), actual));
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
