import {
  type Commit,
  type CommitOutcome,
  type GroupCommits,
  type LiveState,
  noCommits,
  type Observed,
  type ObservedGroup,
  type RollbackStatus,
  rollbackStatuses,
  sameCommit,
  type Targets,
} from "../model.ts";
import { count, listSome, nameSome } from "../text.ts";
import { type Verification, verifyCommits } from "../verify.ts";
import { type Blocker, commitText } from "./blockers.ts";
import { type Action, type GroupPlan, type PartitionPlan, type Plan, takesPart, targetsOf } from "./plan.ts";

/**
 * The outcome of a partition. `moved_since`: Kafka accepted the commit, and the read-back shows another one, of whatever client. `skipped`: it
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
 * `actual` is present where it was read and is not the target, or does not prove the commit; null is no commit.
 * `inDoubt`: a commit was sent and not answered: the broker may still carry it out. `error` says why a commit failed.
 */
interface PartitionResult extends Pick<PartitionPlan, "from" | "to" | "asked"> {
  readonly outcome: PartitionOutcome;
  readonly actual?: Commit | null;
  readonly inDoubt?: true;
  readonly error?: string;
}

/** The statuses of a group in a result. */
export const groupStatuses = [...rollbackStatuses, "skipped"] as const;

/** The result of a group, decided by what was read back. */
export interface GroupResult extends Pick<GroupPlan, "source"> {
  readonly status: (typeof groupStatuses)[number];
  readonly partitions: ReadonlyMap<string, PartitionResult>;
  /** Why it does not stand at its targets; a reason that Kafka gave begins with the error's name. */
  readonly error?: string;
}

/** The result of a plan. */
export interface Settlement extends Pick<Plan, "extra"> {
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
  /** Of the groups that could be read back; not verified where one could not. */
  readonly verification: Verification;
}

/** Whether a partition was committed, or its commit deleted, and stands at its target. */
const tookEffect = ({ outcome }: PartitionResult) => outcome === "restored" || outcome === "deleted";

/** The outcome of a partition that stands at its target, by action; any other action has restored it. */
const outcomeAtTarget: Partial<Record<Action, PartitionOutcome>> = {
  unchanged: "unchanged",
  delete: "deleted",
  skip: "skipped",
};

/**
 * Decides the outcome of a partition.
 *
 * @param actual what was read back; undefined where the group could not be read
 */
function settlePartition(
  { action, from, to, asked, done }: PartitionPlan,
  sent: CommitOutcome | undefined,
  actual: Commit | null | undefined,
): PartitionResult {
  const places = { from, to, ...(asked !== undefined && { asked }) };
  // Where a share group is rewound to its present start offset, the read-back proves nothing: Kafka's answer decides.
  const proven = action === "unchanged" || !sameCommit(from, to) || sent?.kind === "accepted";
  const atTarget = actual !== undefined && sameCommit(to, actual) && proven;
  if (atTarget || action === "skip") return { outcome: outcomeAtTarget[action] ?? "restored", ...places };
  const moved = actual !== undefined && (action === "unchanged" || done || sent?.kind === "accepted");
  const missed = sent === undefined || sent.kind === "not_attempted" ? "not_attempted" : "failed";
  return {
    outcome: moved ? "moved_since" : missed,
    ...places,
    ...(actual !== undefined && { actual }),
    ...(sent?.kind === "unknown" && { inDoubt: true }),
    ...((sent?.kind === "unknown" || sent?.kind === "refused") && { error: reasonOf(sent) }),
  };
}

const reasonOf = ({ error, message }: { readonly error: string; readonly message: string }) => `${error}: ${message}`;

/**
 * Decides the status of a group from its partitions.
 *
 * @param answers what Kafka answered, by partition
 * @param failure why the group could not be read back: its result then only says what Kafka answered
 * @param now the group after the read-back; undefined where it was not observed
 */
function judgeGroup(
  results: ReadonlyMap<string, PartitionResult>,
  answers: ReadonlyMap<string, CommitOutcome>,
  failure: string | undefined,
  now: ObservedGroup | undefined,
): Pick<GroupResult, "status" | "error"> {
  // A commit whose answer was lost may have had effect all the same.
  const complaints = [...answers].flatMap(([key, answer]) => {
    if (answer.kind === "accepted") return [];
    return failure !== undefined || results.get(key)?.actual !== undefined ? [{ key, reason: reasonOf(answer) }] : [];
  });
  const keys = complaints.map(({ key }) => key);
  const complaint = complaints[0]?.reason;
  const others =
    keys.length > 1 ? `. ${keys.length} of ${answers.size} commits were not accepted: ${nameSome(keys)}` : "";
  if (failure !== undefined) {
    const accepted = count(answers.size - keys.length, "commit");
    const unread = `but the group's commits could not be read back: ${failure}`;
    const error = `Kafka accepted ${accepted} of ${answers.size}, ${unread}${complaint ? `. ${complaint}${others}` : ""}`;
    return { status: "failed", error };
  }
  const elsewhere = [...results.values()].filter(({ actual }) => actual !== undefined);
  if (elsewhere.length === 0) return { status: "success" };
  const status = [...results.values()].some(tookEffect) ? "partial_success" : "failed";
  if (complaint === undefined) return { status, error: movedAway(results, now) };
  const doubt = elsewhere.some(({ inDoubt }) => inDoubt)
    ? ". The commit was sent and not answered: the broker may still carry it out, and resume checks that"
    : "";
  return { status, error: `${complaint}${doubt}${others}` };
}

/** What is known of a group that another client has moved since: where it stands, and whether it has members now. */
function movedAway(results: ReadonlyMap<string, PartitionResult>, now: ObservedGroup | undefined): string {
  const moved = [...results].filter(([, { outcome }]) => outcome === "moved_since");
  const places = listSome(
    moved,
    ([key, { to, actual = null }]) => `${key} at ${commitText(actual)} instead of ${commitText(to, actual)}`,
  );
  const { members = null, state = null } = now ?? {};
  const who =
    members === null
      ? "Whether the group has members now is not known"
      : members > 0
        ? `The group has ${count(members, "member")} now (state ${state ?? "unknown"}): a consumer has started`
        : "The group has no members now. The commit came from a script, a MirrorMaker sync, a consumer with assigned " +
          "partitions, or a consumer that has left";
  return (
    `No longer at their targets: ${moved.length} of ${count(results.size, "partition")}. A commit or deletion of another ` +
    `client followed (${places}). ${who}`
  );
}

/** The result of a group that was skipped. */
const skipped = (reason: Blocker | undefined) =>
  ({ status: "skipped", ...(reason && { error: `[${reason.kind}] ${reason.message}` }) }) as const;

/**
 * Decides the result of a rollback: compares the plan with the commits read back afterwards. Answers of the broker only
 * explain it: a commit that was refused, or whose answer was lost, counts as restored if the read-back shows it. What the
 * caller asked to skip does not lower the status.
 *
 * @param readBack the commits of the groups, and the groups that could not be read
 * @param now the groups as they were observed after that, where they were
 */
export function settle(
  plan: Plan,
  sent: ReadonlyMap<string, ReadonlyMap<string, CommitOutcome>>,
  readBack: Pick<LiveState, "commits" | "errors">,
  now: Observed["groups"] = new Map(),
): Settlement {
  const groups = new Map<string, GroupResult>();
  const targets = new Map<string, Targets>();
  const standing = new Map<string, GroupCommits>();
  const reasons = new Map(plan.leftOut.toReversed().map((blocker) => [blocker.group, blocker])); // the first of each
  const failures = new Map(readBack.errors.map(({ group, message }) => [group, message]));
  for (const [group, planned] of plan.groups) {
    const { source, leftOut } = planned;
    const answers = sent.get(group) ?? new Map<string, CommitOutcome>();
    const read = planned.partitions.size === 0 ? noCommits : readBack.commits.get(group);
    const failure = failures.get(group) ?? (read === undefined ? "Kafka's answer left the group out" : undefined);
    const actual = failure === undefined ? read : undefined;
    const partitions = new Map(
      [...planned.partitions].map(([key, one]) => {
        const standsAt = actual && (actual.get(key) ?? null);
        return [key, settlePartition(one, answers.get(key), standsAt)];
      }),
    );
    const isSkipped = leftOut || (partitions.size > 0 && !takesPart(planned));
    const judged = isSkipped ? skipped(reasons.get(group)) : judgeGroup(partitions, answers, failure, now.get(group));
    groups.set(group, { ...(source !== undefined && { source }), partitions, ...judged });
    if (actual === undefined) continue;
    const wanted = targetsOf(planned);
    targets.set(group, wanted);
    standing.set(group, new Map([...actual].filter(([key]) => wanted.has(key))));
  }
  const results = [...groups.values()];
  const outcomes = results.flatMap(({ partitions }) => [...partitions.values()]);
  const withStatus = (status: GroupResult["status"]) => results.filter((result) => result.status === status).length;
  const withOutcome = (outcome: PartitionOutcome) => outcomes.filter((result) => result.outcome === outcome).length;
  const [groupsRolledBack, groupsSkipped] = [withStatus("success"), withStatus("skipped")];
  const groupsFailed = results.length - groupsRolledBack - groupsSkipped;
  const compared = verifyCommits(targets, standing);
  const incomplete = groupsRolledBack > 0 || outcomes.some(tookEffect) ? "partial_success" : "failed";
  return {
    status: groupsFailed === 0 ? "success" : incomplete,
    groupsRolledBack,
    groupsFailed,
    groupsSkipped,
    offsetsRestored: withOutcome("restored"),
    offsetsDeleted: withOutcome("deleted"),
    groups,
    extra: plan.extra,
    verification: { ...compared, verified: compared.verified && groupsFailed === 0 },
  };
}
