import { type Commit, type CommitOutcome, type Commits, placeOf, topicPartition } from "../../core/model.ts";
import { count, nameSome } from "../../core/text.ts";
import {
  type Failure,
  failureOfCode,
  failureOfException,
  NoAnswer,
  type Problem,
  type Settled,
} from "../calls/problems.ts";
import { batchesOf, READ_LIMIT_MS, type Report, type TimeLeft } from "../calls/retry.ts";
import type { Cluster, Sender } from "../connection/cluster.ts";
import { errorCodeName, errorCodes, errorCodeText, isTransient } from "../wire/codes.ts";
import { type CommitRequest, offsetCommit, offsetDelete, type PartitionCode } from "../wire/offsets.ts";
import { alterShareGroupOffsets } from "../wire/share.ts";
import { perCoordinator } from "./coordinators.ts";
import { byTopics } from "./read-commits.ts";

/** Brokers reject a batch near 1 MB; each commit and each deletion in their log repeats the group's id. */
const WRITE_BYTES = 400_000;

/** The start offset that means none. (DeleteShareGroupOffsets only deletes those of whole topics.) */
const UNINITIALIZED = -1n;

/**
 * How long a permitted commit or deletion may take. Then its connection is closed: what was not sent is never sent;
 * what was sent may have had effect, and is tried again.
 */
export const WRITE_TIMEOUT_MS = 8_000;
/** The least time left to start a request: an unknown outcome is worse than `not_attempted`. */
const WRITE_MARGIN_MS = 1_000;

/** The partitions of one group in one request. */
interface Slice {
  readonly group: string;
  readonly keys: readonly string[];
}

/** The error code for each partition of a slice. */
type Codes = ReadonlyMap<string, number>;

/** The outcome of every partition, by group and key. */
export type Outcomes = Map<string, Map<string, CommitOutcome>>;

/** How long and under which condition to write. */
export interface WriteOptions {
  /** The time to leave unused at the end. What is not sent by then is `not_attempted`. */
  readonly reserveMs?: number;
  /**
   * Called right before each request. `undefined` permits it; it then takes at most `WRITE_TIMEOUT_MS`. `again`: called
   * again later. `failed`: its partitions are `not_attempted`. The outcomes carry the problem.
   */
  readonly permit?: () => Failure | undefined;
  /** The groups that are or become share groups: their start offsets are written (KIP-932). */
  readonly shareGroups?: ReadonlySet<string>;
}

/**
 * Commits offsets from outside the groups, which coordinators accept only while a group has no members. A request has
 * one group; groups are committed in parallel, large ones in several requests. Transient failures are retried until the
 * deadline is near or nothing has succeeded for 45 s: commits are idempotent. The result has every partition. Throws
 * internal errors only.
 */
export function commitOffsets(cluster: Cluster, commits: Commits, options: WriteOptions = {}): Promise<Outcomes> {
  const slices = [...commits].flatMap(([group, partitions]) =>
    slicesOf(
      group,
      [...partitions].map(([key, { metadata }]) => [key, metadata]),
    ),
  );
  const metadataOf = (group: string, key: string) => commits.get(group)?.get(key)?.metadata;
  const work = { doing: "committing the offsets", rightOn: () => "READ", metadataOf, ...options };
  return write(cluster, slices, work, async (broker, slice, timeoutMs) => {
    const request = commitRequest(slice, (key) => commits.get(slice.group)?.get(key));
    return options.shareGroups?.has(slice.group)
      ? codesOfAll(slice, await broker.send(alterShareGroupOffsets, request, timeoutMs))
      : codesOf(await broker.send(offsetCommit, request, timeoutMs));
  });
}

function commitRequest({ group, keys }: Slice, commitAt: (key: string) => Commit | undefined): CommitRequest {
  const byTopic = Map.groupBy(keys, (key) => placeOf(key).topic);
  const topics = [...byTopic].map(([topic, keysOfTopic]) => ({
    topic,
    partitions: keysOfTopic.flatMap((key) => {
      const commit = commitAt(key);
      return commit ? [{ leaderEpoch: -1, ...commit, partition: placeOf(key).partition }] : [];
    }),
  }));
  return { group, topics };
}

/**
 * Deletes commits (OffsetDelete, KIP-496). Start offsets of a share group become uninitialized, as before the first
 * acknowledgement. Promises as `commitOffsets`, but members of a group (other than a share group) block only the topics
 * that they are subscribed to. A missing commit or group is `accepted`. A partition of a missing topic is `refused`:
 * Kafka deletes those commits itself.
 */
export function deleteOffsets(
  cluster: Cluster,
  partitions: ReadonlyMap<string, Iterable<string>>,
  options: WriteOptions = {},
): Promise<Outcomes> {
  const slices = [...partitions].flatMap(([group, keys]) =>
    slicesOf(
      group,
      [...keys].map((key) => [key, ""]),
    ),
  );
  const isShare = (group: string) => options.shareGroups?.has(group) === true;
  const rightOn = (group: string) => (isShare(group) ? "READ" : "DELETE");
  const work = { doing: "deleting the commits", rightOn, metadataOf: () => undefined, ...options };
  return write(cluster, slices, work, async (broker, slice, timeoutMs) => {
    const { group, keys } = slice;
    if (isShare(group)) {
      const request = commitRequest(slice, () => ({ offset: UNINITIALIZED, metadata: "" }));
      return codesOfAll(slice, await broker.send(alterShareGroupOffsets, request, timeoutMs));
    }
    const answer = await broker.send(offsetDelete, { group, topics: byTopics(keys) }, timeoutMs);
    if (answer.code === errorCodes.GROUP_ID_NOT_FOUND) return new Map(keys.map((key) => [key, errorCodes.NONE]));
    return codesOfAll(slice, answer);
  });
}

const codesOf = (partitions: readonly PartitionCode[]): Codes =>
  new Map(partitions.map((answer) => [topicPartition(answer.topic, answer.partition), answer.code]));

/** For an answer that may reject all of it. */
const codesOfAll = (
  { keys }: Slice,
  answer: { readonly code: number; readonly partitions: readonly PartitionCode[] },
) => (answer.code === errorCodes.NONE ? codesOf(answer.partitions) : new Map(keys.map((key) => [key, answer.code])));

function slicesOf(group: string, partitions: Iterable<readonly [key: string, metadata: string]>): Slice[] {
  const bytesOf = ([key, metadata]: readonly [string, string]) =>
    Buffer.byteLength(group) + Buffer.byteLength(key) + Buffer.byteLength(metadata) + 64;
  return batchesOf(partitions, Number.POSITIVE_INFINITY, WRITE_BYTES, bytesOf).map((batch) => ({
    group,
    keys: batch.map(([key]) => key),
  }));
}

/** What is written, for the messages about what Kafka rejects. */
interface Writing {
  readonly doing: string;
  rightOn(group: string): string;
  metadataOf(group: string, key: string): string | undefined;
}

/** Sends slices to their coordinators and returns the outcome of each partition. */
async function write(
  cluster: Cluster,
  slices: readonly Slice[],
  { permit, rightOn, metadataOf, ...limits }: WriteOptions & Writing,
  send: (broker: Sender, slice: Slice, timeoutMs: number) => Promise<Codes>,
): Promise<Outcomes> {
  const tooLate = { error: "DeadlineExceeded", message: `${limits.doing}: no time was left to start this group` };
  const doubtful = new Set<Slice>(); // sent at least once, with an unknown effect
  const margin = Math.min(WRITE_MARGIN_MS, (cluster.deadline.remainingMs() - (limits.reserveMs ?? 0)) / 5);
  const attempt = async (broker: Sender, slice: Slice, report: Report<Slice, Codes>, leftMs: TimeLeft) => {
    const left = leftMs();
    if (left <= margin) return report(slice, { failed: tooLate });
    const notPermitted = permit?.();
    if (notPermitted !== undefined) return report(slice, notPermitted);
    try {
      const codes = await send(broker, slice, Math.min(WRITE_TIMEOUT_MS, left));
      const transientCode = [...codes.values()].find(isTransient);
      if (transientCode === undefined) return report(slice, { done: codes });
      doubtful.add(slice);
      report(slice, failureOfCode(transientCode, { doing: `write to group ${nameSome([slice.group])}` }));
    } catch (error) {
      if (error instanceof NoAnswer && error.sent) doubtful.add(slice);
      report(slice, failureOfException(error));
    }
  };
  const work = { groupOf: ({ group }: Slice) => group, stallMs: READ_LIMIT_MS, ...limits };
  const written = await perCoordinator<Slice, Codes>(cluster, slices, work, (node, asked, report, leftMs) =>
    cluster.spread(node, asked, (slice, broker) => attempt(broker, slice, report, leftMs)),
  );
  const outcomes: Outcomes = new Map();
  for (const [slice, result] of written) {
    const { group, keys } = slice;
    const ofGroup = outcomes.get(group) ?? new Map<string, CommitOutcome>();
    outcomes.set(group, ofGroup);
    for (const key of keys) {
      const reasonOf = (code: number) => refusal(group, key, code, rightOn(group), metadataOf(group, key));
      ofGroup.set(key, outcomeOf(slice, key, result, doubtful.has(slice), reasonOf));
    }
  }
  return outcomes;
}

function outcomeOf(
  { group }: Slice,
  key: string,
  result: Settled<Codes>,
  isDoubtful: boolean,
  reasonOf: (code: number) => Problem,
): CommitOutcome {
  if ("failed" in result) return { kind: isDoubtful ? "unknown" : kindOfUnsent(result.failed), ...result.failed };
  const code = result.done.get(key);
  if (code === errorCodes.NONE) return { kind: "accepted" };
  if (code === undefined) {
    const message = `group ${nameSome([group])}, ${key}: missing in Kafka's answer`;
    return { kind: "unknown", error: "KafkaUnavailable", message };
  }
  return { kind: isDoubtful ? "unknown" : "refused", ...reasonOf(code) };
}

/** Before anything was sent, a missing right is a refusal; any other failure is no attempt. */
const kindOfUnsent = ({ error }: Problem) => (error === "KafkaAuthorization" ? "refused" : "not_attempted");

function refusal(group: string, key: string, code: number, right: string, metadata = ""): Problem {
  const where = `group ${nameSome([group])}, ${key}`;
  switch (code) {
    case errorCodes.UNKNOWN_MEMBER_ID:
    case errorCodes.ILLEGAL_GENERATION:
    case errorCodes.REBALANCE_IN_PROGRESS:
    case errorCodes.STALE_MEMBER_EPOCH:
    case errorCodes.NON_EMPTY_GROUP:
    case errorCodes.GROUP_SUBSCRIBED_TO_TOPIC:
      return {
        error: "GroupNotEmpty",
        message: `${where}: the group has active members; Kafka rejects other writers (${errorCodeText(code)})`,
      };
    case errorCodes.GROUP_ID_NOT_FOUND:
      return { error: "GroupNotFound", message: `${where}: the group does not exist (${errorCodeText(code)})` };
    case errorCodes.OFFSET_METADATA_TOO_LARGE:
      return {
        error: errorCodeName(code),
        message:
          `${where}: the metadata of the commit has ${count(metadata.length, "character")}, more than ` +
          `offset.metadata.max.bytes of the brokers allows (${errorCodeText(code)}). Raise that setting and resume, or ` +
          "start a new rollback with the other partitions in `topics`",
      };
  }
  const attempt = failureOfCode(code, {
    doing: `write to ${where}`,
    groupRight: `${right} on group ${nameSome([group])}`,
    topicRight: `READ on topic ${nameSome([placeOf(key).topic])}`,
  });
  return "failed" in attempt ? attempt.failed : { error: errorCodeName(code), message: attempt.again.message };
}
