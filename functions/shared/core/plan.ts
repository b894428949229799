import { createHash } from "node:crypto";
import { encodeJson, type Json } from "./json.ts";
import {
  type Commit,
  type Commits,
  type GroupCommits,
  type LiveState,
  type ObservedPartition,
  type ObservedTopic,
  placeOf,
  type Snapshot,
  sameCommit,
  topicPartition,
  topicsOf,
} from "./model.ts";
import type { SnapshotPart } from "./restrict.ts";
import { commitDocument, commitsDocument } from "./snapshot.ts";
import { count, nameSome } from "./text.ts";

/** What a rollback will do to a partition. `metadata`: same offset, but metadata or leader epoch come back. */
export type Action = "rewind" | "fast_forward" | "unchanged" | "metadata" | "create";

/**
 * One partition of a plan. `replayed` and `skipped` are distances in offsets between the two commits inside the present
 * log: an upper bound of the records, since compaction and transactions leave gaps. Null where the log is unknown, or
 * where there is no commit to start from.
 */
export interface PartitionPlan {
  readonly action: Action;
  readonly from: Commit | null;
  readonly to: Commit | null;
  readonly replayed: bigint | null;
  readonly skipped: bigint | null;
}

/** A group of a plan. The sums are null where one of their parts is. */
export interface GroupPlan {
  /** The group's state now; null where it does not exist, or is unknown. */
  readonly state: string | null;
  readonly replayed: bigint | null;
  readonly skipped: bigint | null;
  readonly partitions: ReadonlyMap<string, PartitionPlan>;
}

/** Why a rollback cannot be done. */
export type BlockerKind =
  | "group_not_empty"
  | "cluster_mismatch"
  | "topic_missing"
  | "partition_missing"
  | "topic_recreated"
  | "below_log_start"
  | "above_log_end"
  | "range_unknown"
  | "pending_transaction"
  | "not_captured"
  | "unsupported_type";

/** One reason not to roll back, with the figures, and a message that says what to do. */
export interface Blocker {
  readonly kind: BlockerKind;
  readonly group: string;
  readonly topic?: string;
  readonly partition?: number;
  readonly expected?: Json;
  readonly actual?: Json;
  readonly message: string;
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
  /** SHA-256 over the snapshot, the targets, the live commits and the topic ids; not over log ends or members. */
  readonly digest: string;
  readonly blockers: readonly Blocker[];
  readonly warnings: readonly string[];
  /** The groups that can be planned for: one that has a transaction pending is only among the blockers. */
  readonly groups: ReadonlyMap<string, GroupPlan>;
  readonly extra: readonly ExtraCommit[];
}

const noCommits: GroupCommits = new Map();
const emptyStates = new Set(["Empty", "Dead"]);

/**
 * Plans a rollback: what has to be committed so that the groups stand where the part of the snapshot says, and every
 * reason not to. Pure: the same snapshot and the same live state give the same plan. A partition is in
 * exactly one place: among a group's partitions if the snapshot has it, in `extra` if only the live state has.
 *
 * @param part the groups and topics that were asked for, see `restrict`
 * @param live the state of exactly those groups, with the logs of all partitions of `part` observed
 */
export function planRollback(snapshot: Snapshot, part: SnapshotPart, live: LiveState): Plan {
  const blockers: Blocker[] = [];
  const groups = new Map<string, GroupPlan>();
  const extra: ExtraCommit[] = [];
  const unreadable = new Set(live.errors.map(({ group }) => group));
  for (const { group, error, message } of part.errors) {
    blockers.push({
      kind: "not_captured",
      group,
      message:
        `Group "${group}" is not in ${snapshot.snapshotId}: it could not be captured (${error}: ${message}). ` +
        "Name the groups to roll back without it, or use another snapshot.",
    });
  }
  for (const [group, targets] of part.commits) {
    blockers.push(...groupBlockers(snapshot, group, live));
    if (unreadable.has(group)) continue;
    const current = live.commits.get(group) ?? noCommits;
    const partitions = new Map<string, PartitionPlan>();
    for (const [key, target] of targets) {
      const { topic, partition } = placeOf(key);
      const observed = live.observed.topics.get(topic);
      blockers.push(...partitionBlockers(snapshot, { group, topic, partition, target }, observed));
      partitions.set(key, planPartition(current.get(key) ?? null, target, observed?.partitions.get(partition)));
    }
    for (const [key, commit] of current) if (!targets.has(key)) extra.push({ group, ...placeOf(key), commit });
    groups.set(group, {
      state: live.observed.groups.get(group)?.state ?? null,
      replayed: sum(partitions.values(), "rewind", ({ replayed }) => replayed),
      skipped: sum(partitions.values(), "fast_forward", ({ skipped }) => skipped),
      partitions,
    });
  }
  return {
    snapshotId: snapshot.snapshotId,
    digest: digestOf(snapshot, part.commits, live),
    blockers,
    warnings: warningsOf(snapshot, part.commits, live, extra),
    groups,
    extra,
  };
}

/** The commits that carry out a plan: everything but what already stands where it should. */
export function commitsOf(plan: Plan): Commits {
  const commits = new Map<string, Map<string, Commit>>();
  for (const [group, { partitions }] of plan.groups) {
    const changed = [...partitions].flatMap(([key, { action, to }]) =>
      action === "unchanged" || to === null ? [] : [[key, to] as const],
    );
    if (changed.length > 0) commits.set(group, new Map(changed));
  }
  return commits;
}

function warningsOf(snapshot: Snapshot, targets: Commits, live: LiveState, extra: readonly ExtraCommit[]): string[] {
  const warnings: string[] = [];
  if (extra.length > 0) {
    warnings.push(
      `${count(extra.length, "commit")} of ${nameSome(new Set(extra.map(({ group }) => group)))} on partitions that the ` +
        "snapshot lacks are kept: see extra. To remove them, use kafka-consumer-groups --delete-offsets.",
    );
  }
  const unproven = [...topicsOf(targets)].filter((topic) => {
    const [saved, now] = [snapshot.observed.topics.get(topic), live.observed.topics.get(topic)];
    return saved === null || saved?.topicId === null || now?.topicId === null;
  });
  if (unproven.length > 0) {
    warnings.push(
      `Whether ${nameSome(unproven)} was deleted and created again since cannot be told: its id is not known on both sides.`,
    );
  }
  return warnings;
}

function planPartition(from: Commit | null, to: Commit, log: ObservedPartition | undefined): PartitionPlan {
  if (from === null) return { action: "create", from, to, replayed: null, skipped: null };
  if (sameCommit(from, to)) return { action: "unchanged", from, to, replayed: 0n, skipped: 0n };
  if (from.offset === to.offset) return { action: "metadata", from, to, replayed: 0n, skipped: 0n };
  return to.offset < from.offset
    ? { action: "rewind", from, to, replayed: distance(to.offset, from.offset, log), skipped: 0n }
    : { action: "fast_forward", from, to, replayed: 0n, skipped: distance(from.offset, to.offset, log) };
}

/** How many offsets of [low, high) are inside the log; null where its bounds are unknown. */
function distance(low: bigint, high: bigint, log: ObservedPartition | undefined): bigint | null {
  if (log === undefined || log.logStartOffset === null || log.logEndOffset === null) return null;
  const start = low > log.logStartOffset ? low : log.logStartOffset;
  const end = high < log.logEndOffset ? high : log.logEndOffset;
  return end > start ? end - start : 0n;
}

/** Null where a part is unknown; a commit that is created has nothing to be counted from. */
function sum(
  partitions: Iterable<PartitionPlan>,
  action: Action,
  part: (partition: PartitionPlan) => bigint | null,
): bigint | null {
  let total = 0n;
  for (const partition of partitions) {
    if (partition.action === "create") return null;
    if (partition.action !== action) continue;
    const value = part(partition);
    if (value === null) return null;
    total += value;
  }
  return total;
}

function* groupBlockers(snapshot: Snapshot, group: string, live: LiveState): Generator<Blocker> {
  const saved = snapshot.cluster.clusterId;
  const current = live.cluster.clusterId;
  if (saved !== current) {
    yield {
      kind: "cluster_mismatch",
      group,
      expected: saved,
      actual: current,
      message:
        `${snapshot.snapshotId} was taken on cluster ${saved ?? "(unknown)"}, and this one is ${current ?? "(unknown)"}. ` +
        "Offsets of one cluster mean nothing on another: invoke the deployment of the cluster it was taken on.",
    };
  }
  const failure = live.errors.find((error) => error.group === group);
  if (failure !== undefined) {
    yield {
      kind: "pending_transaction",
      group,
      message: `Group "${group}" cannot be read: ${failure.message}. Wait until its transaction ends, then try again.`,
    };
  }
  const observed = live.observed.groups.get(group);
  if (observed === undefined) return;
  if (observed.type === "share") {
    yield {
      kind: "unsupported_type",
      group,
      expected: "classic, consumer or streams",
      actual: observed.type,
      message: `Group "${group}" is a share group, and its offsets cannot be committed as a consumer group's.`,
    };
  }
  const known = observed.state === null ? observed.members === 0 : emptyStates.has(observed.state);
  if (!known || (observed.members ?? 0) > 0) {
    const members = observed.members === null ? "members" : count(observed.members, "member");
    yield {
      kind: "group_not_empty",
      group,
      expected: 0,
      actual: observed.members,
      message:
        `Group "${group}" has ${members} (state ${observed.state ?? "unknown"}): they would overwrite what is restored. ` +
        "Stop its consumers, then try again. Static members and Kafka Streams stay until their session times out: " +
        "wait for that (a later version will wait by itself, with wait_for_empty_seconds).",
    };
  }
}

const withoutTopic = "To roll back without it, name the other topics in `topics`.";

interface Target {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly target: Commit;
}

function* partitionBlockers(
  snapshot: Snapshot,
  { group, topic, partition, target }: Target,
  live: ObservedTopic | null | undefined,
): Generator<Blocker> {
  const where = { group, topic, partition };
  const name = topicPartition(topic, partition);
  const what = `Group "${group}", ${name}`;
  if (live === undefined) {
    yield {
      kind: "topic_missing",
      ...where,
      message: `${what}: topic "${topic}" does not exist. ${withoutTopic}`,
    };
    return;
  }
  const log = live?.partitions.get(partition);
  if (live !== null && log === undefined) {
    yield {
      kind: "partition_missing",
      ...where,
      actual: live.partitions.size,
      message: `${what}: topic "${topic}" has no partition ${partition}, it has ${count(live.partitions.size, "partition")}.`,
    };
    return;
  }
  const savedId = snapshot.observed.topics.get(topic)?.topicId ?? null;
  const liveId = live?.topicId ?? null;
  const epoch = target.leaderEpoch ?? null;
  const liveEpoch = log?.leaderEpoch ?? null;
  const isNew = !snapshot.observed.topics.has(topic);
  const recreated = (expected: Json, actual: Json, how: string): Blocker => ({
    kind: "topic_recreated",
    ...where,
    expected,
    actual,
    message:
      `${what}: topic "${topic}" was deleted and created again since (${how}), so that offset ${target.offset} ` +
      `means other records now. ${withoutTopic}`,
  });
  if (isNew) {
    yield recreated(null, liveId, "it did not exist when the snapshot was taken");
  } else if (savedId !== null && liveId !== null && savedId !== liveId) {
    yield recreated(savedId, liveId, `its id was ${savedId} and is ${liveId}`);
  } else if (epoch !== null && liveEpoch !== null && epoch > liveEpoch) {
    yield recreated(epoch, liveEpoch, `the saved leader epoch ${epoch} is above the current one, ${liveEpoch}`);
  }
  const start = log?.logStartOffset ?? null;
  const end = log?.logEndOffset ?? null;
  if (start === null || end === null) {
    yield {
      kind: "range_unknown",
      ...where,
      expected: target.offset,
      message:
        `${what}: the log's range cannot be read, so nobody can tell whether offset ${target.offset} is in it. ` +
        "Check that the partition has a leader and that the principal may describe the topic.",
    };
  } else if (target.offset < start) {
    yield {
      kind: "below_log_start",
      ...where,
      expected: target.offset,
      actual: start,
      message:
        `${what}: offset ${target.offset} is below the log start offset, ${start}: the records up to there are gone. ` +
        `Use a later snapshot. ${withoutTopic}`,
    };
  } else if (target.offset > end) {
    yield {
      kind: "above_log_end",
      ...where,
      expected: target.offset,
      actual: end,
      message:
        `${what}: offset ${target.offset} is above the log end offset, ${end}: the log was truncated or is another. ` +
        `Use an earlier snapshot. ${withoutTopic}`,
    };
  }
}

function digestOf(snapshot: Snapshot, targets: Commits, live: LiveState): string {
  const topicIds = new Map<string, Json>();
  for (const partitions of targets.values()) {
    for (const key of partitions.keys()) {
      const { topic } = placeOf(key);
      topicIds.set(topic, live.observed.topics.get(topic)?.topicId ?? null);
    }
  }
  const made = {
    snapshot_id: snapshot.snapshotId,
    targets: commitsDocument(targets),
    live: new Map(
      [...targets.keys()].map((group): [string, Json] => [
        group,
        new Map([...(live.commits.get(group) ?? noCommits)].map(([key, commit]) => [key, commitDocument(commit)])),
      ]),
    ),
    topic_ids: topicIds,
  };
  return createHash("sha256").update(encodeJson(made)).digest("hex");
}
