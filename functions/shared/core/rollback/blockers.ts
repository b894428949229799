import type { Json } from "../json/json.ts";
import {
  type Commit,
  type LiveState,
  noCommits,
  type ObservedGroup,
  type ObservedPartition,
  type ObservedTopic,
  placeOf,
  type Targets,
  topicPartition,
} from "../model.ts";
import { commitOrNull } from "../snapshot.ts";
import { count, nameSome, quote } from "../text.ts";

/** Why a rollback is blocked. `moved_since` only blocks a rollback that is resumed. */
export const blockerKinds = [
  "group_not_empty",
  "cluster_mismatch",
  "topic_missing",
  "partition_missing",
  "topic_recreated",
  "below_log_start",
  "above_log_end",
  "log_truncated",
  "range_unknown",
  "pending_transaction",
  "not_captured",
  "unsupported_type",
  "moved_since",
] as const;
export type BlockerKind = (typeof blockerKinds)[number];

/** The kinds that can end without a new plan: members leave, transactions end. */
const temporaryKinds: readonly BlockerKind[] = ["group_not_empty", "pending_transaction"];

/** Whether a blocker stays, however long a caller waits. */
export const isPermanent = ({ kind }: Pick<Blocker, "kind">): boolean => !temporaryKinds.includes(kind);

/** One reason not to roll back, with the figures, and a message that names the next step. */
export interface Blocker {
  readonly kind: BlockerKind;
  readonly group: string;
  readonly topic?: string;
  readonly partition?: number;
  readonly expected?: Json;
  readonly actual?: Json;
  readonly message: string;
}

/** The cluster and the topics that the targets of a plan are valid for, as they were when the targets were read. */
export interface Origin {
  /** The snapshot's id. */
  readonly name: string;
  readonly clusterId: string | null;
  /** A topic that is absent did not exist; one that is null, or has no id, cannot be distinguished from a new topic of the same name. */
  readonly topics: ReadonlyMap<string, OriginTopic | null>;
}

/** A topic of the origin. The leader epochs of its logs are those of when the targets were read, or known to be in the logs. */
export interface OriginTopic {
  readonly topicId: string | null;
  readonly partitions?: ReadonlyMap<number, Pick<ObservedPartition, "leaderEpoch">>;
}

/** Makes the blockers of a group, or of one of its partitions. Their messages are sentences about it: they begin with its name. */
const blockersOf =
  (group: string, where?: { readonly topic: string; readonly partition: number }) =>
  (kind: BlockerKind, message: string, figures: Pick<Blocker, "expected" | "actual"> = {}): Blocker => {
    const name = where === undefined ? "" : `, ${topicPartition(where.topic, where.partition)}`;
    return { kind, group, ...where, ...figures, message: `Group ${quote(group)}${name}${message}` };
  };

/**
 * Blockers of a group as a whole, independent of what is to be committed.
 *
 * @param sourceType the type of the group that the targets were read from; null is unknown
 */
export function* groupBlockers(
  origin: Origin,
  group: string,
  sourceType: string | null,
  live: LiveState,
): Generator<Blocker> {
  const blocker = blockersOf(group);
  const current = live.cluster.clusterId;
  if (origin.clusterId !== current) {
    yield blocker(
      "cluster_mismatch",
      `: ${origin.name} was taken on cluster ${origin.clusterId ?? "(unknown)"}, and this cluster is ` +
        `${current ?? "(unknown)"}. Offsets are valid only on their own cluster: invoke the deployment of that cluster.`,
      { expected: origin.clusterId, actual: current },
    );
  }
  const observed = live.observed.groups.get(group);
  if (observed === undefined) return;
  const { type, state, members, pending } = observed;
  if (pending !== undefined) {
    yield blocker(
      "pending_transaction",
      ` has a transaction with a commit pending on ${nameSome(pending)}, which would overwrite the restored offsets. Wait ` +
        "until its producer or Kafka (transaction.timeout.ms) has ended it, then try again. If it does not end, look for a " +
        "hanging transaction (kafka-transactions.sh find-hanging).",
      { actual: pending },
    );
  }
  if ((type === "share") !== (sourceType === "share")) {
    yield blocker(
      "unsupported_type",
      ` is ${ofType(type)}, and its targets were read from ${ofType(sourceType)}: the start offsets of a share group and ` +
        "the commits of another group cannot replace each other. Name the groups to roll back without it.",
      { expected: sourceType, actual: type },
    );
  }
  if (state !== "Empty" || (members ?? 0) > 0) {
    yield blocker("group_not_empty", membership(observed), { expected: 0, actual: members });
  }
}

const typeOf = (type: string | null) => (type === null ? "group of unknown type" : `${type} group`);
const ofType = (type: string | null) => `a ${typeOf(type)}`;

/** The message about a group that has members, or may have some, without the name of the group: how many, and the next step. */
function membership({ type, state, members }: ObservedGroup): string {
  if (state === "Dead") {
    return (
      " is listed, and its coordinator describes it as Dead: it is being removed, or the broker does not report its type. " +
      "Kafka cannot report whether it has members. Stop its consumers, then try again."
    );
  }
  const group = `${typeOf(type)}, state ${state ?? "unknown"}`;
  const held = !members
    ? `may have members (${group}, number of members ${members ?? "not known"})`
    : `has ${count(members, "member")} (${group}), which would overwrite the restored offsets`;
  return (
    ` ${held}. Stop its consumers, then try again. Static members and Kafka Streams stay members until their session times ` +
    "out: wait for that, or set wait_for_empty_seconds."
  );
}

/** A commit that is to be made, or deleted (`target` is null), and where. */
export interface Place {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly target: Commit | null;
  /**
   * What the target follows from, where the snapshot has no commit: the present log, or in a resumed rollback the log when it
   * was planned. `unknown`: it would be the log end in the snapshot, which did not observe it.
   */
  readonly basis?: "log" | "plan" | "unknown";
  /** Whether it is on a repartition topic of Kafka Streams. */
  readonly isRepartition?: boolean;
}

/**
 * The leader epoch whose end shows whether the log below a target was replaced since (KIP-320): that of the commit; of a commit
 * without one, that of the log in the snapshot, or when an earlier call planned, which had no later records. Null where
 * neither is known.
 */
export function epochOf(
  { topics }: Pick<Origin, "topics">,
  { topic, partition, target, basis }: Omit<Place, "group">,
): number | null {
  if (target === null || basis === "log") return null;
  return target.leaderEpoch ?? topics.get(topic)?.partitions?.get(partition)?.leaderEpoch ?? null;
}

/**
 * The leader epochs to ask for, by partition: those below the current one of the log, of targets, and of logs in the snapshot
 * on which only the live groups have commits.
 */
export function epochsInQuestion(
  origin: Origin,
  groups: ReadonlyMap<string, Targets>,
  { commits, observed }: Pick<LiveState, "commits" | "observed">,
): Map<string, Set<number>> {
  const epochs = new Map<string, Set<number>>();
  for (const [group, targets] of groups) {
    const lacking = [...(commits.get(group) ?? noCommits)].filter(([key]) => !targets.has(key));
    const others = lacking.map(([key, { leaderEpoch: _, ...commit }]) => [key, commit] as const);
    for (const [key, target] of [...targets, ...others]) {
      const place = placeOf(key);
      const epoch = epochOf(origin, { ...place, target });
      const current = observed.topics.get(place.topic)?.partitions.get(place.partition)?.leaderEpoch ?? null;
      if (epoch === null || current === null || epoch >= current) continue;
      epochs.set(key, (epochs.get(key) ?? new Set()).add(epoch));
    }
  }
  return epochs;
}

/** Whether the leader of a log changed since a target was saved, and nothing tells whether the log was truncated then. */
export function isTruncationUnknown(
  origin: Pick<Origin, "topics">,
  place: Omit<Place, "group">,
  topic: ObservedTopic | null | undefined,
): boolean {
  const { leaderEpoch: current = null, epochEnds } = topic?.partitions.get(place.partition) ?? {};
  if (place.target === null || place.basis !== undefined || current === null || current === 0) return false;
  if (origin.topics.get(place.topic) === null) return false; // it may even be another topic
  const epoch = epochOf(origin, place);
  return epoch === null || epochEnds?.get(epoch) === null; // ends are known only of epochs below the current one
}

const withoutTopic = "To roll back without it, name the other topics in `topics`.";
const withoutPartition =
  'To roll back without it, name the other topics, or their partitions ("orders:0,3"), in `topics`.';
const orSkip = (bound: bigint) =>
  `or set out_of_range: "clamp" commits offset ${bound} instead, "skip" leaves this partition as it is. ${withoutPartition}`;

/** What a target outside of the log is clamped to: the log start, or if it is above that, where the log or an epoch ends. */
export const nearestEnd = (start: bigint, end: bigint): bigint => (end > start ? end : start);

/** Blockers of one partition. A target outside of the log comes last, with the offset where the log begins or ends. */
export function* partitionBlockers(
  origin: Origin,
  { group, topic, partition, target, basis, isRepartition }: Place,
  live: ObservedTopic | null | undefined,
): Generator<Blocker> {
  const blocker = blockersOf(group, { topic, partition });
  if (live === undefined) {
    const deleting = target === null ? ", and Kafka deletes no commits on topics that do not exist" : "";
    yield blocker("topic_missing", `: topic "${topic}" does not exist${deleting}. ${withoutTopic}`);
    return;
  }
  if ((target === null || basis !== undefined) && origin.topics.get(topic) === null) {
    yield blocker(
      "not_captured",
      `: topic "${topic}" could not be observed when ${origin.name} was taken. Whether the group had commits on it then is ` +
        `not known, so none can be deleted or moved. Set uncommitted to "keep". ${withoutTopic}`,
    );
    return;
  }
  if (target === null) return;
  const log = live?.partitions.get(partition);
  if (live !== null && log === undefined) {
    const { size } = live.partitions;
    const message = `: topic "${topic}" has no partition ${partition}, it has ${count(size, "partition")}. ${withoutPartition}`;
    yield blocker("partition_missing", message, { actual: size });
    return;
  }
  const recreated = (expected: Json, actual: Json, how: string) =>
    blocker(
      "topic_recreated",
      `: topic "${topic}" was deleted and created again since (${how}): offset ${target.offset} now points to other ` +
        `records. ${withoutTopic}`,
      { expected, actual },
    );
  if (basis === "unknown") {
    yield blocker(
      "not_captured",
      `: ${origin.name} has no commit on this partition, and could not observe where its log ended. What was appended since ` +
        'is not known. Set uncommitted to "keep" (the group stays at its commit). "log_start" replays the whole log; with ' +
        `"delete", auto.offset.reset decides. ${withoutTopic}`,
    );
  }
  const savedId = origin.topics.get(topic)?.topicId ?? null;
  const liveId = live?.topicId ?? null;
  const epoch = target.leaderEpoch ?? null;
  const liveEpoch = log?.leaderEpoch ?? null;
  const fromLog = basis === "log"; // an offset of the topic that exists now
  if (!fromLog && !origin.topics.has(topic)) {
    yield recreated(null, liveId, "it did not exist when the snapshot was taken");
  } else if (!fromLog && savedId !== null && liveId !== null && savedId !== liveId) {
    yield recreated(savedId, liveId, `its id was ${savedId} and is ${liveId}`);
  } else if (epoch !== null && liveEpoch !== null && epoch > liveEpoch) {
    yield recreated(epoch, liveEpoch, `the saved leader epoch ${epoch} is above the current one, ${liveEpoch}`);
  }
  const { offset } = target;
  const start = log?.logStartOffset ?? null;
  const end = log?.logEndOffset ?? null;
  const savedEpoch = epochOf(origin, { topic, partition, target, ...(basis && { basis }) });
  const epochEnd = savedEpoch === null ? null : (log?.epochEnds?.get(savedEpoch) ?? null);
  if (start === null || end === null) {
    yield blocker(
      "range_unknown",
      `: the start and end of the log could not be read, so whether offset ${offset} is in it is not known. Check that the ` +
        `partition has a leader and that the principal may describe the topic. ${withoutPartition}`,
      { expected: offset },
    );
  } else if (offset < start) {
    const why = isRepartition
      ? `. That is normal for a repartition topic: Kafka Streams deletes its records once they are consumed. ${withoutTopic}`
      : `: the records before it were deleted. Use a later snapshot, ${orSkip(start)}`;
    yield blocker("below_log_start", `: offset ${offset} is below the log start offset ${start}${why}`, {
      expected: offset,
      actual: start,
    });
  } else if (epochEnd !== null && offset > epochEnd) {
    const when =
      epoch === null
        ? "the last that the log had when the target was known to be in it"
        : "which was saved with the target";
    yield blocker(
      "log_truncated",
      `: the log was truncated below offset ${offset}. The records of leader epoch ${savedEpoch}, ${when}, now end at offset ` +
        `${epochEnd}; from there on the log has other records. Use an earlier snapshot, ${orSkip(nearestEnd(start, epochEnd))}`,
      { expected: offset, actual: epochEnd },
    );
  } else if (offset > end) {
    yield blocker(
      "above_log_end",
      `: offset ${offset} is above the log end offset ${end}: the log was truncated or replaced. Use an earlier snapshot, ` +
        orSkip(nearestEnd(start, end)),
      { expected: offset, actual: end },
    );
  }
}

/** A commit in a message. If the commit that it is compared with has the same offset, it says what may differ. */
export function commitText(commit: Commit | null, comparedWith: Commit | null = null): string {
  if (commit === null) return "no commit";
  const isAlike = commit.offset === comparedWith?.offset;
  return `offset ${commit.offset}${isAlike ? " with other metadata or another leader epoch" : ""}`;
}

/** The blocker of a partition that stands neither where an earlier call found it nor at its target. */
export function movedSince(
  { group, topic, partition, target }: Place,
  found: Commit | null,
  actual: Commit | null,
): Blocker {
  return blockersOf(group, { topic, partition })(
    "moved_since",
    ` stands at ${commitText(actual)}: neither at the commit that the rollback found (${commitText(found, actual)}) nor at ` +
      `its target (${commitText(target, actual)}). It is not rewound again. Start a new rollback for it, or resume with ` +
      "skip_blocked, which leaves this group where it stands.",
    { expected: commitOrNull.encode(found), actual: commitOrNull.encode(actual) },
  );
}
