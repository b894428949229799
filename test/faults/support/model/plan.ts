import type { Commit } from "../../../../functions/shared/core/model.ts";
import type { Blocker } from "./blockers.ts";
import { endOf, inLog, type Uncommitted } from "./uncommitted.ts";
import { type Group, placeOf, same, type Topic, type World } from "./world.ts";

/** The actions that totals count. */
export const actionWords = ["rewind", "fast_forward", "unchanged", "metadata", "create", "delete", "skip"] as const;

/** The plan of a partition. `asked` is the target before it was clamped or skipped; `done` is for a resumed rollback. */
export interface Step {
  readonly action: (typeof actionWords)[number];
  readonly from: Commit | null;
  readonly to: Commit | null;
  readonly asked?: Commit | null;
  readonly uncommitted?: Uncommitted;
  readonly done?: true;
  readonly replayed: bigint | null;
  readonly skipped: bigint | null;
}

/** The plan of a group, its blockers, and the blockers of partitions that are skipped. */
export interface GroupPlan {
  readonly source: string | undefined;
  readonly type: string | null;
  readonly state: string | null;
  readonly leftOut: boolean;
  readonly steps: ReadonlyMap<string, Step>;
  readonly blockers: readonly Blocker[];
  readonly skippedBlockers: readonly Blocker[];
}

/** A commit that the snapshot lacks and the rollback keeps. */
export interface Extra {
  readonly group: string;
  readonly key: string;
  readonly commit: Commit;
  readonly uncommitted: Uncommitted;
}

/** The plan of a rollback. */
export interface Plan {
  readonly snapshotId: string;
  readonly blockers: readonly Blocker[];
  readonly leftOutBlockers: readonly Blocker[];
  readonly warnings: readonly RegExp[];
  readonly groups: ReadonlyMap<string, GroupPlan>;
  readonly extra: readonly Extra[];
  /** Everything that the plan digest covers. */
  readonly digest: string;
  /** The creations of the topics that the targets are valid for. */
  readonly creations: ReadonlyMap<string, number>;
  /** The groups and topics that were observed. */
  readonly observed: { readonly groups: ReadonlyMap<string, Group>; readonly topics: ReadonlyMap<string, Topic> };
}

/** The action from one commit to another, and the number of offsets between them in the log. */
export function stepTo(world: World, key: string, from: Commit | null, to: Commit | null): Step {
  const { topic, partition } = placeOf(key);
  const log = world.topics.get(topic)?.logs[partition];
  const between = (low: bigint, high: bigint) => inLog(log, low, high);
  if (same(from, to)) return { action: "unchanged", from, to, replayed: 0n, skipped: 0n };
  if (from === null) return { action: "create", from, to, replayed: null, skipped: null };
  if (to === null) {
    return {
      action: "delete",
      from,
      to,
      replayed: between(0n, from.offset),
      skipped: between(from.offset, endOf(log)),
    };
  }
  if (to.offset < from.offset) {
    return { action: "rewind", from, to, replayed: between(to.offset, from.offset), skipped: 0n };
  }
  if (to.offset > from.offset) {
    return { action: "fast_forward", from, to, replayed: 0n, skipped: between(from.offset, to.offset) };
  }
  return { action: "metadata", from, to, replayed: 0n, skipped: 0n };
}

/** A step that leaves the present commit. */
export const skipping = (current: Commit | null, asked: Commit | null, uncommitted?: Uncommitted): Step => {
  const of = uncommitted === undefined ? {} : { uncommitted };
  return { action: "skip", from: current, to: current, asked, replayed: 0n, skipped: 0n, ...of };
};

/** Whether at least one partition of a group is rolled back. */
export const takesPart = ({ leftOut, steps }: GroupPlan) =>
  !leftOut && [...steps.values()].some(({ action }) => action !== "skip");

/** The groups that a plan rolls back. */
export const groupsIn = ({ groups }: Plan) =>
  [...groups].filter(([, planned]) => takesPart(planned)).map(([group]) => group);

/** Whether the commit of a step is still to be made. */
export const isPending = ({ action, done }: Step) => action !== "unchanged" && action !== "skip" && done === undefined;
