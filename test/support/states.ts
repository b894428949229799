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

/** The largest offset. */
export const MAX = 2n ** 63n - 1n;

/** A group as it was observed, of those that have had consumers. */
export const groupOf = (type: string | null, state: string | null, members: number | null): ObservedGroup => ({
  type,
  state,
  members,
  protocolType: "consumer",
  asOf: null,
});

const empty = groupOf("classic", "Empty", 0);

/** A snapshot of these commits. */
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

/** Topics with all partitions that the commits name, their logs wide enough for any offset. */
export function topicsFor(...all: Commits[]): Map<string, ObservedTopic> {
  const topics = new Map<string, { topicId: string; partitions: Map<number, ReturnType<typeof log>> }>();
  for (const partitions of all.flatMap((one) => [...one.values()])) {
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

/** A partition's log. */
export const log = (logStartOffset: bigint | null, logEndOffset: bigint | null, leaderEpoch: number | null = 5) => ({
  logStartOffset,
  logEndOffset,
  leaderEpoch,
});

/** A cluster in which these are committed, and all groups are empty. */
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
    observed: { groups: new Map([...live.keys()].map((group) => [group, empty])), topics },
    ...more,
  };
}

/** The same cluster later, when these are committed: the groups that it did not have before are empty. */
export function later(live: LiveState, commits: Commits): LiveState {
  const before = live.observed.groups;
  return {
    ...live,
    commits,
    missing: new Set([...live.missing].filter((group) => !commits.has(group))),
    observed: {
      ...live.observed,
      groups: new Map([...before, ...[...commits.keys()].map((group) => [group, before.get(group) ?? empty] as const)]),
    },
  };
}

/** What a plan sends to Kafka: what to commit, and null for what to delete. */
export const writesOf = (plan: Plan): Map<string, Map<string, Commit | null>> => {
  const writes = new Map<string, Map<string, Commit | null>>();
  for (const [group, partitions] of commitsOf(plan)) writes.set(group, new Map(partitions));
  for (const [group, keys] of deletesOf(plan)) {
    writes.set(group, new Map([...(writes.get(group) ?? []), ...keys.map((key) => [key, null] as const)]));
  }
  return writes;
};

/** What Kafka would hold after these writes. */
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

/** What the broker says when it takes everything. */
export const accepted = (plan: Plan) =>
  new Map([...writesOf(plan)].map(([group, writes]) => [group, outcomes(writes.keys(), { kind: "accepted" })]));
/** The same outcome for several partitions. */
export const outcomes = (keys: Iterable<string>, outcome: CommitOutcome) =>
  new Map([...keys].map((key) => [key, outcome]));

/** The policy that refuses whatever is in the way, and deletes nothing. */
export const refuse: Policy = { exact: false, outOfRange: "refuse", skipBlocked: false };

/** The plan from one state to another, with nothing in the way. */
export const planOf = (saved: Commits, live: Commits, policy: Partial<Policy> = {}) => {
  const topics = topicsFor(saved, live);
  const snapshot = snapshotOf(saved, { observed: { groups: new Map(), topics } });
  return planRollback(snapshot, restrict(snapshot, {}), liveOf(live, topics), { ...refuse, ...policy });
};

/** A plan as the journal has it, made on this live state. */
export const journaled = (plan: Plan, live: LiveState): PlannedRollback => ({
  request: { snapshot_id: plan.snapshotId },
  plan,
  origin: originOf(plan, live),
});

/** Commits of the one group "g". */
export const group = (partitions: Record<string, Commit>): Commits =>
  new Map([["g", new Map(Object.entries(partitions))]]);
/** A commit. */
export const at = (offset: bigint, metadata = "", leaderEpoch?: number): Commit =>
  leaderEpoch === undefined ? { offset, metadata } : { offset, metadata, leaderEpoch };
