import { type CaptureError, type Commit, type Commits, sameCommit } from "./model.ts";
import type { ExtraCommit, PartitionPlan, Plan } from "./plan.ts";
import { count } from "./text.ts";
import { type Verification, verifyCommits } from "./verify.ts";

/**
 * What the broker said to a commit. `unknown`: sent, but no answer came back; `not_attempted`: the time was over before.
 * It only explains a result; the result itself is read back.
 */
export type CommitOutcome =
  | { readonly kind: "accepted" }
  | { readonly kind: "refused" | "unknown" | "not_attempted"; readonly error: string; readonly message: string };

/** What became of a partition. `moved_since`: accepted, but the group stands elsewhere by now. */
export type PartitionOutcome = "restored" | "unchanged" | "moved_since" | "failed" | "not_attempted";

/** `actual` is there where it is not the target; null is no commit. */
export interface PartitionResult {
  readonly outcome: PartitionOutcome;
  readonly from: Commit | null;
  readonly to: Commit | null;
  readonly actual?: Commit | null;
}

/** `success`: all stands at the targets; `failed`: nothing that had to be committed does; else `partial_success`. */
export type RollbackStatus = "success" | "partial_success" | "failed";

/** What became of a group, decided by what was read back. */
export interface GroupResult {
  readonly status: RollbackStatus;
  readonly partitions: ReadonlyMap<string, PartitionResult>;
  readonly error?: string;
}

/** What became of a plan. */
export interface Settlement {
  readonly status: RollbackStatus;
  /** Groups that stand at their targets. */
  readonly groupsRolledBack: number;
  readonly groupsFailed: number;
  /** Partitions that were committed and stand at their targets. */
  readonly offsetsRestored: number;
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
  const { from, to } = plan;
  const atTarget = sameCommit(to, actual);
  const result = (outcome: PartitionOutcome): PartitionResult =>
    atTarget ? { outcome, from, to } : { outcome, from, to, actual };
  if (plan.action === "unchanged") return result(atTarget ? "unchanged" : "moved_since");
  if (sent === undefined || sent.kind === "not_attempted") return result("not_attempted");
  if (atTarget) return result("restored");
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
  const restored = [...results.values()].some(({ outcome }) => outcome === "restored");
  return {
    status: restored ? "partial_success" : "failed",
    partitions: results,
    error:
      complaint?.message ??
      `${moved} of ${count(partitions.size, "partition")} stand elsewhere by now: a consumer has probably started`,
  };
}

/** A group that could not be read back: nothing is claimed for it, and what Kafka answered to its commits is told. */
function unreadGroup(
  partitions: ReadonlyMap<string, PartitionPlan>,
  sent: ReadonlyMap<string, CommitOutcome> | undefined,
  reason: string,
): GroupResult {
  const outcomeOf = (key: string): PartitionOutcome => {
    const kind = sent?.get(key)?.kind;
    return kind === undefined || kind === "not_attempted" ? "not_attempted" : "failed";
  };
  const accepted = [...(sent?.values() ?? [])].filter(({ kind }) => kind === "accepted").length;
  return {
    status: "failed",
    partitions: new Map([...partitions].map(([key, { from, to }]) => [key, { outcome: outcomeOf(key), from, to }])),
    error: `Kafka accepted ${count(accepted, "commit")} of ${sent?.size ?? 0}, but where the group stands could not be read back: ${reason}`,
  };
}

/**
 * Decides what a rollback did: the plan against what was read back afterwards. Answers of the broker only explain; a
 * commit that was refused, or whose answer was lost, counts as restored where the read-back shows it.
 */
export function settle(
  plan: Plan,
  sent: ReadonlyMap<string, ReadonlyMap<string, CommitOutcome>>,
  readBack: ReadBack,
): Settlement {
  const groups = new Map<string, GroupResult>();
  const targets = new Map<string, Map<string, Commit>>();
  const failures = new Map(readBack.errors.map(({ group, message }) => [group, message]));
  let unread = 0;
  for (const [group, { partitions }] of plan.groups) {
    const actual = partitions.size === 0 ? new Map<string, Commit>() : readBack.commits.get(group);
    const failure = failures.get(group);
    if (actual === undefined || failure !== undefined) {
      unread++;
      groups.set(group, unreadGroup(partitions, sent.get(group), failure ?? "the answer left the group out"));
      continue;
    }
    groups.set(group, settleGroup(partitions, sent.get(group), actual));
    targets.set(group, new Map([...partitions].flatMap(([key, { to }]) => (to === null ? [] : [[key, to] as const]))));
  }
  const results = [...groups.values()];
  const groupsRolledBack = results.filter(({ status }) => status === "success").length;
  const offsetsRestored = results
    .flatMap(({ partitions }) => [...partitions.values()])
    .filter(({ outcome }) => outcome === "restored").length;
  const compared = verifyCommits(targets, withoutExtra(readBack.commits, targets));
  return {
    status:
      groupsRolledBack === results.length
        ? "success"
        : groupsRolledBack > 0 || offsetsRestored > 0
          ? "partial_success"
          : "failed",
    groupsRolledBack,
    groupsFailed: results.length - groupsRolledBack,
    offsetsRestored,
    groups,
    extra: plan.extra,
    verification: { ...compared, verified: compared.verified && unread === 0 },
  };
}

function withoutExtra(commits: Commits, targets: ReadonlyMap<string, ReadonlyMap<string, Commit>>): Commits {
  return new Map(
    [...commits].map(([group, partitions]) => [
      group,
      new Map([...partitions].filter(([key]) => targets.get(group)?.has(key) === true)),
    ]),
  );
}
