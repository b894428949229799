import { type Commit, type Commits, type Targets, topicsOf } from "../model.ts";
import type { Blocker } from "./blockers.ts";
import type { Uncommitted, UncommittedPolicy } from "./uncommitted.ts";

/**
 * What a rollback will do to a partition. `metadata`: the offset stays, metadata or leader epoch return. `skip`: nothing,
 * because it is blocked and the caller asked to skip that. A partition of a share group is rewound even where its start
 * offset is the target: acknowledgements beyond the start offset do not show in it.
 */
export const actions = ["rewind", "fast_forward", "unchanged", "metadata", "create", "delete", "skip"] as const;
export type Action = (typeof actions)[number];

/** What to do about a target outside of the log: refuse, take the nearest end of the log, or skip the partition. */
export const outOfRangePolicies = ["refuse", "clamp", "skip"] as const;

/**
 * One partition of a plan. `replayed` and `skipped` are distances in offsets between the two commits inside the present
 * log: an upper bound of the records, since compaction and transactions leave gaps. Of a deletion, `replayed` is that of a
 * consumer with `auto.offset.reset=earliest`, `skipped` that of one with `latest`. Null where the log is unknown, or where
 * there is no commit now. Of a share group all up to the log end may be replayed: Kafka forgets what was acknowledged.
 */
export interface PartitionPlan {
  readonly action: Action;
  readonly from: Commit | null;
  /** What the plan commits; null is no commit. */
  readonly to: Commit | null;
  /** The snapshot's commit, where the plan commits another (clamped) or none (skipped). */
  readonly asked?: Commit | null;
  /** An earlier call has committed it already. */
  readonly done?: true;
  readonly replayed: bigint | null;
  readonly skipped: bigint | null;
  /** Where the snapshot has no commit, and `to` is what the policy has set. */
  readonly uncommitted?: Uncommitted;
}

/** A group of a plan. The sums are null where one of their parts is. */
export interface GroupPlan {
  /** The group of the snapshot whose commits this group gets, where that is another. */
  readonly source?: string;
  /** The group's type now; where it does not exist, the one that it had. Null where that is unknown. */
  readonly type: string | null;
  /** The group's state now; null where it does not exist, or is unknown. */
  readonly state: string | null;
  /** It is blocked, and left out because the caller asked to skip blocked groups. */
  readonly leftOut?: true;
  readonly replayed: bigint | null;
  readonly skipped: bigint | null;
  readonly partitions: ReadonlyMap<string, PartitionPlan>;
}

/** What to do about blockers, and about commits that the snapshot lacks. */
export interface Policy {
  readonly uncommitted: UncommittedPolicy;
  readonly outOfRange: (typeof outOfRangePolicies)[number];
  /** Leave out groups that are blocked. */
  readonly skipBlocked: boolean;
}

/** A live commit on a partition for which the snapshot has none. It is reported and kept. */
export interface ExtraCommit {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly commit: Commit;
  /** Absent in journals of former versions. */
  readonly uncommitted?: Uncommitted;
}

/** What a rollback would do, and whether it may. */
export interface Plan {
  readonly snapshotId: string;
  /** SHA-256 over the snapshot, the options, the targets, the live commits and the topic ids; not log ends or members. */
  readonly digest: string;
  /** With one of these, the rollback is refused. */
  readonly blockers: readonly Blocker[];
  /** The blockers of everything that the plan leaves out because the caller asked to skip it. */
  readonly leftOut: readonly Blocker[];
  readonly warnings: readonly string[];
  /** All groups that were asked for; one that was not captured only if it is left out. */
  readonly groups: ReadonlyMap<string, GroupPlan>;
  readonly extra: readonly ExtraCommit[];
}

/**
 * Whether a rollback restores something of a group, even if the group already stands at its targets. Other groups are not
 * read again, may have members, and are not part of an undo.
 */
export function takesPart({ leftOut, partitions }: GroupPlan): boolean {
  return !leftOut && [...partitions.values()].some(({ action }) => action !== "skip");
}

/** What a plan commits in a group, without the partitions that it skips. */
export function targetsOf({ partitions }: GroupPlan): Targets {
  return new Map([...partitions].flatMap(([key, { action, to }]) => (action === "skip" ? [] : [[key, to] as const])));
}

/** The topics of a plan, those of skipped partitions too. */
export function topicsIn(groups: Plan["groups"]): Set<string> {
  return topicsOf(new Map([...groups].map(([group, { partitions }]) => [group, partitions])));
}

/** The partitions of a group where something is left to do: not those that stand at their targets or are skipped. */
const pendingOf = ({ partitions }: GroupPlan) =>
  [...partitions].filter(([, { action, done }]) => action !== "unchanged" && action !== "skip" && done === undefined);

/** The commits that carry out a plan, without partitions that stand at their targets and those to be deleted. */
export function commitsOf(plan: Plan): Commits {
  const commits = new Map<string, Map<string, Commit>>();
  for (const [group, planned] of plan.groups) {
    const changed = pendingOf(planned).flatMap(([key, { to }]) => (to === null ? [] : [[key, to] as const]));
    if (changed.length > 0) commits.set(group, new Map(changed));
  }
  return commits;
}

/** The commits that a plan deletes, by group. */
export function deletesOf(plan: Plan): Map<string, string[]> {
  const deletes = new Map<string, string[]>();
  for (const [group, planned] of plan.groups) {
    const keys = pendingOf(planned).flatMap(([key, { to }]) => (to === null ? [key] : []));
    if (keys.length > 0) deletes.set(group, keys);
  }
  return deletes;
}

/** The groups of a plan whose start offsets are written (KIP-932), instead of commits. */
export function shareGroupsOf(plan: Plan): Set<string> {
  return new Set([...plan.groups].filter(([, { type }]) => type === "share").map(([group]) => group));
}
