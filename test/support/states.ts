import {
  type Commit,
  type CommitOutcome,
  type Commits,
  type LiveState,
  type ObservedGroup,
  type ObservedTopic,
  type Snapshot,
  splitTopicPartition,
} from "../../functions/shared/core/model.ts";
import { restrict } from "../../functions/shared/core/restrict.ts";
import { commitsOf, deletesOf, type Plan, type Policy } from "../../functions/shared/core/rollback/plan.ts";
import type { PlannedRollback } from "../../functions/shared/core/rollback/plan-document.ts";
import { planRollback } from "../../functions/shared/core/rollback/planning.ts";
import { originOf } from "../../functions/shared/core/rollback/resume.ts";

/** The largest int64, and so the largest offset. */
export const MAX = 2n ** 63n - 1n;

/** A group as it was observed. Its protocol type is `consumer`, as of every group that has had consumers. */
export const groupOf = (type: string | null, state: string | null, members: number | null): ObservedGroup => ({
  type,
  state,
  members,
  protocolType: "consumer",
  protocol: null,
  asOf: null,
});

const emptyGroup = groupOf("classic", "Empty", 0);

/**
 * A complete snapshot of these commits, taken on cluster `c1`. It observed no topics: a plan blocks every target, because its
 * topic did not exist when the snapshot was taken. To plan a rollback without blockers, pass the observed topics in `more`.
 */
export function snapshotOf(consumerGroups: Commits, more: Partial<Snapshot> = {}): Snapshot {
  return {
    snapshotId: "snapshot-2025-01-15T10:30:00Z",
    description: "",
    createdAt: "2025-01-15T10:30:00Z",
    trigger: "invoke",
    selection: { groups: ["*"], exclude: [] },
    cluster: { name: "test", clusterId: "c1" },
    consumerGroups,
    errors: [],
    warnings: [],
    observed: { groups: new Map(), topics: new Map() },
    ...more,
  };
}

/**
 * The topics of these commits, with the partitions that they name and no others. Topic ids depend on the name only. Logs start
 * at 0 and end at the largest offset; leader epochs are the largest int32. So no offset from 0 on is out of range, and no
 * leader epoch of a commit is above the current one.
 */
export function topicsFor(...all: Commits[]): Map<string, ObservedTopic> {
  const topics = new Map<string, { topicId: string; partitions: Map<number, ReturnType<typeof log>> }>();
  for (const partitions of all.flatMap((commits) => [...commits.values()])) {
    for (const key of partitions.keys()) {
      const place = splitTopicPartition(key);
      if (place === undefined) throw new Error(key);
      const topic = topics.get(place.topic) ?? { topicId: `id of ${place.topic}`, partitions: new Map() };
      topic.partitions.set(place.partition, log(0n, MAX, 0x7fffffff));
      topics.set(place.topic, topic);
    }
  }
  return topics;
}

/** A partition's log; null where a value could not be read. */
export const log = (logStartOffset: bigint | null, logEndOffset: bigint | null, leaderEpoch: number | null = 5) => ({
  logStartOffset,
  logEndOffset,
  leaderEpoch,
});

/** The topic "t" with these logs. */
export const theTopic = (...logs: ReturnType<typeof log>[]): Map<string, ObservedTopic> =>
  new Map([["t", { topicId: "id", partitions: new Map(logs.entries()) }]]);

/**
 * Cluster `c1`, where groups have these commits. Each of them is a classic group, `Empty`, without members, and could be read.
 * Other groups were not observed; a plan treats them as groups that do not exist.
 */
export function liveOf(
  live: Commits,
  topics: ReadonlyMap<string, ObservedTopic | null>,
  more: Partial<LiveState> = {},
): LiveState {
  return {
    cluster: { name: "test", clusterId: "c1" },
    commits: live,
    errors: [],
    missing: new Set(),
    warnings: [],
    observed: { groups: new Map([...live.keys()].map((group) => [group, emptyGroup])), topics },
    ...more,
  };
}

/**
 * The same cluster later, with these commits instead. Groups that it had before keep their type, state and members; new ones
 * are classic, `Empty` and without members.
 */
export function later(live: LiveState, commits: Commits): LiveState {
  const before = live.observed.groups;
  return {
    ...live,
    commits,
    missing: new Set([...live.missing].filter((group) => !commits.has(group))),
    observed: {
      ...live.observed,
      groups: new Map([
        ...before,
        ...[...commits.keys()].map((group) => [group, before.get(group) ?? emptyGroup] as const),
      ]),
    },
  };
}

/** The commits that a plan makes; null for one that it deletes. */
export const writesOf = (plan: Plan): Map<string, Map<string, Commit | null>> => {
  const writes = new Map<string, Map<string, Commit | null>>();
  for (const [group, partitions] of commitsOf(plan)) writes.set(group, new Map(partitions));
  for (const [group, keys] of deletesOf(plan)) {
    writes.set(group, new Map([...(writes.get(group) ?? []), ...keys.map((key) => [key, null] as const)]));
  }
  return writes;
};

/** The commits after these writes. A group whose commits are all deleted stays, without any. */
export function apply(live: Commits, writes: ReadonlyMap<string, ReadonlyMap<string, Commit | null>>): Commits {
  const result = new Map([...live].map(([group, partitions]) => [group, new Map(partitions)]));
  for (const [group, partitions] of writes) {
    const target = result.get(group) ?? new Map<string, Commit>();
    for (const [key, commit] of partitions) {
      if (commit === null) target.delete(key);
      else target.set(key, commit);
    }
    result.set(group, target);
  }
  return result;
}

/** The outcomes of a plan's writes if the broker accepts all of them. */
export const accepted = (plan: Plan) =>
  new Map([...writesOf(plan)].map(([group, writes]) => [group, outcomes(writes.keys(), { kind: "accepted" })]));
/** The same outcome for several partitions. */
export const outcomes = (keys: Iterable<string>, outcome: CommitOutcome) =>
  new Map([...keys].map((key) => [key, outcome]));

/** The default policy: any blocker blocks the rollback, and extra commits are kept. */
export const refuse: Policy = { uncommitted: "keep", outOfRange: "refuse", skipBlocked: false };

/**
 * The plan that returns the groups from `live` to `saved`. It has no blockers with any policy, because for each kind its cause
 * is absent:
 *
 * - cluster: snapshot and cluster have the same id;
 * - topics and partitions: both have every partition of both sides, with the same topic ids (`topicsFor`);
 * - range and epoch: logs contain every offset from 0 on, at the largest leader epoch, and no earlier epoch has an end;
 * - groups: they have no members, no transaction is pending, and none is a share group (`liveOf`);
 * - capture: the snapshot has no errors, and observed every topic;
 * - `moved_since` blocks only a rollback that is resumed.
 *
 * The cause of a new kind has to be excluded here.
 */
export const unblockedPlan = (saved: Commits, live: Commits, policy: Partial<Policy> = {}) => {
  const topics = topicsFor(saved, live);
  const snapshot = snapshotOf(saved, { observed: { groups: new Map(), topics } });
  return planRollback(snapshot, restrict(snapshot, {}), liveOf(live, topics), { ...refuse, ...policy });
};

/** The plan of a rollback of a whole snapshot, with the default policy unless another is given. */
export const planFor = (snapshot: Snapshot, live: LiveState, policy: Partial<Policy> = {}) =>
  planRollback(snapshot, restrict(snapshot, {}), live, { ...refuse, ...policy });

/** A plan that was made on this live state, as the journal has it. */
export const journaled = (plan: Plan, live: LiveState): PlannedRollback => ({
  request: { snapshot_id: plan.snapshotId },
  plan,
  origin: originOf(plan, live),
});

/** Commits of the group "g". */
export const group = (partitions: Record<string, Commit>): Commits =>
  new Map([["g", new Map(Object.entries(partitions))]]);
/** A commit at this offset. */
export const at = (offset: bigint, metadata = "", leaderEpoch?: number): Commit =>
  leaderEpoch === undefined ? { offset, metadata } : { offset, metadata, leaderEpoch };
