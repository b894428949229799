import {
  type Commit,
  type Commits,
  type LiveState,
  type ObservedGroup,
  type ObservedTopic,
  type Snapshot,
  splitTopicPartition,
} from "../../functions/shared/core/model.ts";
import { planRollback } from "../../functions/shared/core/plan.ts";
import { restrict } from "../../functions/shared/core/restrict.ts";
import type { CommitOutcome } from "../../functions/shared/core/settle.ts";

/** The largest offset. */
export const MAX = 2n ** 63n - 1n;
const empty: ObservedGroup = { type: "classic", state: "Empty", members: 0 };

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

/** What Kafka would hold after these commits were accepted. */
export function apply(live: Commits, committed: Commits): Commits {
  const result = new Map([...live].map(([group, partitions]) => [group, new Map(partitions)]));
  for (const [group, partitions] of committed) {
    const target = result.get(group) ?? new Map<string, Commit>();
    for (const [key, commit] of partitions) target.set(key, commit);
    result.set(group, target);
  }
  return result;
}

/** What the broker says when it takes everything. */
export const accepted = (committed: Commits) =>
  new Map([...committed].map(([group, partitions]) => [group, outcomes(partitions.keys(), { kind: "accepted" })]));
/** The same outcome for several partitions. */
export const outcomes = (keys: Iterable<string>, outcome: CommitOutcome) =>
  new Map([...keys].map((key) => [key, outcome]));

/** The plan from one state to another, with nothing in the way. */
export const planOf = (saved: Commits, live: Commits) => {
  const topics = topicsFor(saved, live);
  const snapshot = snapshotOf(saved, { observed: { groups: new Map(), topics } });
  return planRollback(snapshot, restrict(snapshot, {}), liveOf(live, topics));
};

/** Commits of the one group "g". */
export const group = (partitions: Record<string, Commit>): Commits =>
  new Map([["g", new Map(Object.entries(partitions))]]);
/** A commit. */
export const at = (offset: bigint, metadata = "", leaderEpoch?: number): Commit =>
  leaderEpoch === undefined ? { offset, metadata } : { offset, metadata, leaderEpoch };
