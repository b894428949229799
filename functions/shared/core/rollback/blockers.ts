import type { Json } from "../json/json.ts";
import { type Commit, type LiveState, type ObservedTopic, topicPartition } from "../model.ts";
import { count } from "../text.ts";

/** Why a rollback is blocked. `moved_since` only blocks a rollback that is resumed. */
export const blockerKinds = [
  "group_not_empty",
  "cluster_mismatch",
  "topic_missing",
  "partition_missing",
  "topic_recreated",
  "below_log_start",
  "above_log_end",
  "range_unknown",
  "pending_transaction",
  "not_captured",
  "unsupported_type",
  "moved_since",
] as const;
export type BlockerKind = (typeof blockerKinds)[number];

/** The kinds that can end without a new plan: members leave, transactions end. */
const temporary: readonly BlockerKind[] = ["group_not_empty", "pending_transaction"];

/** Whether a blocker stays, however long a caller waits. */
export const isPermanent = ({ kind }: Pick<Blocker, "kind">): boolean => !temporary.includes(kind);

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
  readonly topics: ReadonlyMap<string, Pick<ObservedTopic, "topicId"> | null>;
}

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
  const current = live.cluster.clusterId;
  if (origin.clusterId !== current) {
    yield {
      kind: "cluster_mismatch",
      group,
      expected: origin.clusterId,
      actual: current,
      message:
        `Group "${group}": ${origin.name} was taken on cluster ${origin.clusterId ?? "(unknown)"}, and this cluster is ` +
        `${current ?? "(unknown)"}. Offsets are valid only on their own cluster: invoke the deployment of that cluster.`,
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
  const { type, state, members } = observed;
  if ((type === "share") !== (sourceType === "share")) {
    yield {
      kind: "unsupported_type",
      group,
      expected: sourceType,
      actual: type,
      message:
        `Group "${group}" is ${ofType(type)}, and its targets were read from ${ofType(sourceType)}: the start offsets of a ` +
        "share group and the commits of another group cannot replace each other. Name the groups to roll back without it.",
    };
  }
  if (state === "Empty" && (members ?? 0) === 0) return;
  const held = `Group "${group}" has ${count(members ?? 0, "member")} (${type ?? "unknown"} group, state ${state ?? "unknown"})`;
  const wait =
    "Stop its consumers, then try again. Static members and Kafka Streams stay members until their session times out: " +
    "wait for that, or set wait_for_empty_seconds.";
  yield {
    kind: "group_not_empty",
    group,
    expected: 0,
    actual: members,
    message:
      state === "Dead"
        ? `Group "${group}" is listed, and its coordinator describes it as Dead: it is being removed, or the broker does ` +
          "not report its type. Kafka cannot report whether it has members. Stop its consumers, then try again."
        : members === null || (members === 0 && state === null)
          ? `Group "${group}" may have members (${type ?? "unknown"} group, state ${state ?? "unknown"}, number of members not known). ${wait}`
          : `${held}, which would overwrite the restored offsets. ${wait}`,
  };
}

const ofType = (type: string | null) => (type === null ? "a group of unknown type" : `a ${type} group`);

/** A commit that is to be made, or deleted (`target` is null), and where. */
export interface Place {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly target: Commit | null;
}

const withoutTopic = "To roll back without it, name the other topics in `topics`.";
const orSkip = 'or set out_of_range to "skip" or "clamp".';

/** Blockers of one partition. A target outside of the log comes last, with the offset where the log begins or ends. */
export function* partitionBlockers(
  origin: Origin,
  { group, topic, partition, target }: Place,
  live: ObservedTopic | null | undefined,
): Generator<Blocker> {
  const where = { group, topic, partition };
  const what = `Group "${group}", ${topicPartition(topic, partition)}`;
  if (live === undefined) {
    const deleting = target === null ? ", and Kafka deletes no commits on topics that do not exist" : "";
    yield {
      kind: "topic_missing",
      ...where,
      message: `${what}: topic "${topic}" does not exist${deleting}. ${withoutTopic}`,
    };
    return;
  }
  if (target === null) {
    if (origin.topics.get(topic) !== null) return;
    yield {
      kind: "not_captured",
      ...where,
      message:
        `${what}: topic "${topic}" could not be observed when ${origin.name} was taken. Whether the group had commits on it ` +
        `then is not known, so none can be deleted. ${withoutTopic}`,
    };
    return;
  }
  const log = live?.partitions.get(partition);
  if (live !== null && log === undefined) {
    yield {
      kind: "partition_missing",
      ...where,
      actual: live.partitions.size,
      message: `${what}: topic "${topic}" has no partition ${partition}, it has ${count(live.partitions.size, "partition")}. ${withoutTopic}`,
    };
    return;
  }
  const savedId = origin.topics.get(topic)?.topicId ?? null;
  const liveId = live?.topicId ?? null;
  const epoch = target.leaderEpoch ?? null;
  const liveEpoch = log?.leaderEpoch ?? null;
  const recreated = (expected: Json, actual: Json, how: string): Blocker => ({
    kind: "topic_recreated",
    ...where,
    expected,
    actual,
    message:
      `${what}: topic "${topic}" was deleted and created again since (${how}): offset ${target.offset} now ` +
      `points to other records. ${withoutTopic}`,
  });
  if (!origin.topics.has(topic)) {
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
        `${what}: the start and end of the log could not be read, so whether offset ${target.offset} is in it is not known. ` +
        "Check that the partition has a leader and that the principal may describe the topic.",
    };
  } else if (target.offset < start) {
    yield {
      kind: "below_log_start",
      ...where,
      expected: target.offset,
      actual: start,
      message:
        `${what}: offset ${target.offset} is below the log start offset ${start}: the records before it were deleted. ` +
        `Use a later snapshot, ${orSkip} ${withoutTopic}`,
    };
  } else if (target.offset > end) {
    yield {
      kind: "above_log_end",
      ...where,
      expected: target.offset,
      actual: end,
      message:
        `${what}: offset ${target.offset} is above the log end offset ${end}: the log was truncated or replaced. ` +
        `Use an earlier snapshot, ${orSkip} ${withoutTopic}`,
    };
  }
}
