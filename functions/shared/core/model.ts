import type { Selector } from "./selectors.ts";

/**
 * What a group has committed for one partition. `leaderEpoch` is absent where the commit carries none (−1 on the wire):
 * KIP-320. Metadata is never null: Kafka stores an empty string for none.
 */
export interface Commit {
  readonly offset: bigint;
  readonly metadata: string;
  readonly leaderEpoch?: number;
}

/**
 * A group's commits by topic-partition (`orders-0`). No commit is absence. Of a share group (KIP-932) they are its start
 * offsets, which have no metadata and no leader epoch.
 */
export type GroupCommits = ReadonlyMap<string, Commit>;

/** Commits by group. A group with an empty map exists and has none. */
export type Commits = ReadonlyMap<string, GroupCommits>;

/** The commits of a group that has none. */
export const noCommits: GroupCommits = new Map();

/** The commits that a group is to have: null is none. */
export type Targets = ReadonlyMap<string, Commit | null>;

/** `orders-0`, the key of a partition in documents and results. */
export function topicPartition(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}

/** The parts of a key, split at its last dash; undefined where it is not the key of a partition. */
export function splitTopicPartition(key: string): { topic: string; partition: number } | undefined {
  const dash = key.lastIndexOf("-");
  const digits = key.slice(dash + 1);
  if (dash < 1 || !/^(0|[1-9]\d{0,9})$/.test(digits)) return undefined;
  const partition = Number(digits);
  return partition > 0x7fffffff ? undefined : { topic: key.slice(0, dash), partition };
}

/** The parts of what is known to be the key of a partition. Throws for anything else, which would be a fault of this program. */
export function placeOf(key: string): { topic: string; partition: number } {
  const place = splitTopicPartition(key);
  if (place === undefined) throw new Error(`${key} is not the key of a partition`);
  return place;
}

/** The topics of the partitions that groups have, whatever they have there. */
export function topicsOf(groups: ReadonlyMap<string, ReadonlyMap<string, unknown>>): Set<string> {
  return new Set(leastPartitions(groups.values()).keys());
}

/** By topic, the number of partitions that it needs to have for these partitions to exist. */
export function leastPartitions(partitions: Iterable<ReadonlyMap<string, unknown>>): Map<string, number> {
  const keys = new Set([...partitions].flatMap((ofGroup) => [...ofGroup.keys()]));
  const counts = new Map<string, number>();
  for (const { topic, partition } of [...keys].map(placeOf)) {
    counts.set(topic, Math.max(counts.get(topic) ?? 0, partition + 1));
  }
  return counts;
}

/** Whether two commits are the same in offset, metadata and leader epoch; null is no commit. */
export function sameCommit(a: Commit | null, b: Commit | null): boolean {
  if (a === null || b === null) return a === b;
  return a.offset === b.offset && a.metadata === b.metadata && a.leaderEpoch === b.leaderEpoch;
}

/** A group as its coordinator describes it. Null is unknown: an old broker, or an answer that could not be had. */
export interface ObservedGroup {
  /** `classic`, `consumer` (KIP-848), `streams` (KIP-1071) or `share` (KIP-932). */
  readonly type: string | null;
  /** `Empty`, `Stable`, `Dead`, …; a group that does not exist is not observed at all. */
  readonly state: string | null;
  readonly members: number | null;
  /** What its members speak: `consumer`, `connect`, …; empty for a simple group, which has never had any. */
  readonly protocolType: string | null;
  /** The protocol that its members have agreed on, as classic groups have it: `range`, `stream` (Kafka Streams), …. */
  readonly protocol: string | null;
  /**
   * Right before the commits were asked for: ISO 8601, UTC, with milliseconds. What was committed by then is among them, or
   * a later commit in its place. All of a group's are of one instant from then on; the start offsets of a share group, and
   * what a safety snapshot had to ask for by name, may each be of another; pending partitions are of up to 2 s later. Null in
   * documents of deployments that did not record it.
   */
  readonly asOf: string | null;
  /**
   * The partitions with a transactional commit that was pending: what they have committed is the commit before it, which
   * stands until the transaction ends. Absent without any.
   */
  readonly pending?: readonly string[];
  /** Negative offsets, which some clients commit: they are no commits. Absent without any. */
  readonly negative?: ReadonlyMap<string, bigint>;
}

/** The log of a partition: offsets from `logStartOffset` up to, not including, `logEndOffset` can be read. */
export interface ObservedPartition {
  readonly logStartOffset: bigint | null;
  readonly logEndOffset: bigint | null;
  /** The partition's current leader epoch. */
  readonly leaderEpoch: number | null;
  /**
   * Where the records of earlier leader epochs, and of those before them, end in the log; null if the leader does not know.
   * Only of epochs that were asked for, and not in documents.
   */
  readonly epochEnds?: ReadonlyMap<number, bigint | null>;
}

/** How many offsets of [low, high) are inside a log; null where its bounds are unknown. */
export function distance(low: bigint, high: bigint, log: ObservedPartition | undefined): bigint | null {
  if (log === undefined || log.logStartOffset === null || log.logEndOffset === null) return null;
  const start = low > log.logStartOffset ? low : log.logStartOffset;
  const end = high < log.logEndOffset ? high : log.logEndOffset;
  return end > start ? end - start : 0n;
}

/** A topic that exists. Its id changes when it is deleted and created again (KIP-516); old brokers have none. */
export interface ObservedTopic {
  readonly topicId: string | null;
  readonly partitions: ReadonlyMap<number, ObservedPartition>;
}

/**
 * The surroundings of the commits: the topics that groups have commits on or members read. A topic that is null could not be
 * observed; of these, one that is absent does not exist.
 */
export interface Observed {
  readonly groups: ReadonlyMap<string, ObservedGroup>;
  readonly topics: ReadonlyMap<string, ObservedTopic | null>;
}

/** `success`: every group stands at its targets; `failed`: none does, and no commit took effect; else `partial_success`. */
export const rollbackStatuses = ["success", "partial_success", "failed"] as const;
export type RollbackStatus = (typeof rollbackStatuses)[number];

/** The statuses in the journal: `running` also where the function crashed, `superseded` where another rollback replaced it. */
export const recordStatuses = ["running", ...rollbackStatuses, "superseded"] as const;
export type RecordStatus = (typeof recordStatuses)[number];

/** How a call that ran a rollback ended: `interrupted`: without a result, and another call has resumed the rollback since. */
export const callOutcomes = ["interrupted", ...rollbackStatuses] as const;
export type CallOutcome = (typeof callOutcomes)[number];

/**
 * What the broker answered to a commit. `unknown`: it was sent, but no answer came; `not_attempted`: the time had ended
 * before. It only explains a result; the result itself is read back.
 */
export type CommitOutcome =
  | { readonly kind: "accepted" }
  | { readonly kind: "refused" | "unknown" | "not_attempted"; readonly error: string; readonly message: string };

/** A group that could not be read, with the name of the error that says why. */
export interface CaptureError {
  readonly group: string;
  readonly error: string;
  readonly message: string;
}

/** The cluster that was read. The id is Kafka's own; the name is the deployment's. */
export interface ClusterIdentity {
  readonly name: string;
  readonly clusterId: string | null;
}

/** Groups that could not be listed: those on partitions of `__consumer_offsets` whose leader is missing or does not answer. */
export interface Unlisted {
  readonly offsetsPartitions: readonly number[];
  readonly message: string;
}

/** What was asked for: which groups, minus which. */
export interface Selection {
  readonly groups: readonly Selector[];
  readonly exclude: readonly Selector[];
}

/**
 * The state of some groups as read from a cluster. Every group that was asked for is in exactly one of `commits`,
 * `errors` and `missing` (it does not exist).
 */
export interface LiveState {
  readonly cluster: ClusterIdentity;
  readonly commits: Commits;
  readonly errors: readonly CaptureError[];
  readonly missing: ReadonlySet<string>;
  /** Present where patterns could not be tried on all groups. */
  readonly unlisted?: Unlisted;
  readonly warnings: readonly string[];
  readonly observed: Observed;
}

/**
 * What a snapshot was taken by: a direct invocation, the API, a schedule, or a rollback before its first commit; `imported`: it
 * was made from what another tool has written.
 */
export const triggers = ["invoke", "api", "schedule", "safety", "imported"] as const;
export type Trigger = (typeof triggers)[number];

/** The schedule that asked for a snapshot, and the execution of it (EventBridge Scheduler's word) that did. */
export interface ScheduleRun {
  readonly name: string;
  readonly executionId: string;
  readonly scheduledTime: string;
}

/**
 * How many partitions of how many groups have a saved offset that is below the log start, or will be soon, and of how many
 * partitions that is not known: see `retentionRisk`.
 */
export interface AtRisk {
  readonly partitions: number;
  readonly groups: number;
  readonly unknown: number;
}

/** What a caller has noted about a snapshot: values by keys. */
export type Labels = ReadonlyMap<string, string>;

/** What a snapshot was imported from. What the content does not say of itself is null. */
export interface ImportSource {
  /** What the caller says that it is, or where it was read. */
  readonly name: string | null;
  readonly format: string;
  /** SHA-256 of the content as it was given, in hexadecimal. */
  readonly sha256: string;
  readonly snapshotId: string | null;
  readonly createdAt: string | null;
  readonly clusterId: string | null;
}

/** A snapshot before it has an id. It is `partial` with errors or unlisted groups, `complete` otherwise. */
export interface SnapshotContent extends Pick<LiveState, "cluster" | "errors" | "unlisted" | "warnings" | "observed"> {
  readonly description: string;
  readonly trigger: Trigger;
  readonly schedule?: ScheduleRun;
  /** Of a scheduled snapshot. */
  readonly atRisk?: AtRisk;
  /** Of an import. */
  readonly source?: ImportSource;
  /** Absent without any. */
  readonly labels?: Labels;
  /** Whether it was to be held from the first moment. Whether it is held now, the index says. */
  readonly held?: true;
  readonly selection: Selection;
  readonly consumerGroups: Commits;
}

/** A snapshot of the offsets that groups have committed. */
export interface Snapshot extends SnapshotContent {
  readonly snapshotId: string;
  /** ISO 8601, UTC, whole seconds. */
  readonly createdAt: string;
}

/** `complete`: every selected group is in it; `partial`: those in `errors`, or `unlisted`, are not. */
export const snapshotStatuses = ["complete", "partial"] as const;
export type SnapshotStatus = (typeof snapshotStatuses)[number];

/** The status of a snapshot follows from what it lacks. */
export function statusOf({ errors, unlisted }: Pick<SnapshotContent, "errors" | "unlisted">): SnapshotStatus {
  return errors.length === 0 && unlisted === undefined ? "complete" : "partial";
}

/** The number of commits in all groups. */
export function countOffsets(commits: Commits): number {
  return [...commits.values()].reduce((n, { size }) => n + size, 0);
}
