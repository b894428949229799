import type { Commit, Commits } from "../model.ts";
import type { Blocker } from "./blockers.ts";

/**
 * What a rollback will do to a partition. `metadata`: same offset, but metadata or leader epoch come back. `skip`: nothing,
 * because the caller asked for what is in the way to be left out. A partition of a share group is rewound even to where it
 * stands: what was acknowledged beyond its start offset does not show in it.
 */
export type Action = "rewind" | "fast_forward" | "unchanged" | "metadata" | "create" | "delete" | "skip";

/**
 * One partition of a plan. `replayed` and `skipped` are distances in offsets between the two commits inside the present
 * log: an upper bound of the records, since compaction and transactions leave gaps. Null where the log is unknown, or
 * where one of the commits is none. Of a share group all up to the log end may be replayed: Kafka forgets what was acknowledged.
 */
export interface PartitionPlan {
  readonly action: Action;
  readonly from: Commit | null;
  /** Where the plan puts it; null is no commit. */
  readonly to: Commit | null;
  /** What the snapshot says, where the plan puts it elsewhere: clamped, or skipped. */
  readonly asked?: Commit | null;
  /** An earlier attempt has put it there already. */
  readonly done?: true;
  readonly replayed: bigint | null;
  readonly skipped: bigint | null;
}

/** A group of a plan. The sums are null where one of their parts is. */
export interface GroupPlan {
  /** The group of the snapshot that is put into this one, where that is another. */
  readonly source?: string;
  /** The group's type now; where it does not exist, the one that it had. Null where that is unknown. */
  readonly type: string | null;
  /** The group's state now; null where it does not exist, or is unknown. */
  readonly state: string | null;
  /** It is blocked, and left out because the caller asked for that. */
  readonly leftOut?: true;
  readonly replayed: bigint | null;
  readonly skipped: bigint | null;
  readonly partitions: ReadonlyMap<string, PartitionPlan>;
}

/** What the caller wants done about what is in the way, and about what the snapshot lacks. */
export interface Policy {
  /** Delete commits on partitions that the snapshot lacks. */
  readonly exact: boolean;
  /** What to do about an offset outside of the log: refuse, take the nearest end of the log, or leave the partition out. */
  readonly outOfRange: "refuse" | "clamp" | "skip";
  /** Leave out groups that are blocked. */
  readonly skipBlocked: boolean;
}

/** A live commit on a partition for which the snapshot has none. It is reported and kept. */
export interface ExtraCommit {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly commit: Commit;
}

/** What a rollback would do, and whether it may. */
export interface Plan {
  readonly snapshotId: string;
  /** SHA-256 over the snapshot, the options, the targets, the live commits and the topic ids; not log ends or members. */
  readonly digest: string;
  /** Why it may not be done; none: it may. */
  readonly blockers: readonly Blocker[];
  /** What was in the way of all that the plan leaves out because the caller asked for it. */
  readonly skipped: readonly Blocker[];
  readonly warnings: readonly string[];
  /** The groups that can be planned for: one that has a transaction pending is only among the blockers. */
  readonly groups: ReadonlyMap<string, GroupPlan>;
  readonly extra: readonly ExtraCommit[];
}

/** Whether nothing is to be done about a group, because the caller asked for what is in the way to be left out. */
export function skipsAll({ leftOut, partitions }: GroupPlan): boolean {
  return leftOut === true || (partitions.size > 0 && [...partitions.values()].every(({ action }) => action === "skip"));
}

/**
 * Whether a rollback has to do with a group: there is something of it to restore, which is not left out, wherever it stands
 * already. The others are not looked at again, may have members, and are not what an undo puts back.
 */
export function takesPart(plan: GroupPlan): boolean {
  return plan.partitions.size > 0 && !skipsAll(plan);
}

/** What is left to be done to a partition: nothing, where it stands at its target or is skipped. */
const isPending = ({ action, done }: PartitionPlan) =>
  action !== "unchanged" && action !== "skip" && done === undefined;

/** The commits that carry out a plan: everything but what stands where it should already, and what is to be deleted. */
export function commitsOf(plan: Plan): Commits {
  const commits = new Map<string, Map<string, Commit>>();
  for (const [group, { partitions }] of plan.groups) {
    const changed = [...partitions].flatMap(([key, one]) =>
      isPending(one) && one.to !== null ? [[key, one.to] as const] : [],
    );
    if (changed.length > 0) commits.set(group, new Map(changed));
  }
  return commits;
}

/** The commits that a plan deletes, by group. */
export function deletesOf(plan: Plan): Map<string, string[]> {
  const deletes = new Map<string, string[]>();
  for (const [group, { partitions }] of plan.groups) {
    const keys = [...partitions].filter(([, one]) => isPending(one) && one.to === null).map(([key]) => key);
    if (keys.length > 0) deletes.set(group, keys);
  }
  return deletes;
}

/** The groups of a plan whose start offsets are written (KIP-932), instead of commits. */
export function shareGroupsOf(plan: Plan): Set<string> {
  return new Set([...plan.groups].filter(([, { type }]) => type === "share").map(([group]) => group));
}
