import { type Commit, type CommitOutcome, type Commits, placeOf, topicPartition } from "../../core/model.ts";
import { nameSome } from "../../core/text.ts";
import {
  type Failure,
  failureOfCode,
  failureOfException,
  NoAnswer,
  type Problem,
  type Settled,
} from "../calls/problems.ts";
import { READ_PATIENCE_MS, type Report, type TimeLeft } from "../calls/retry.ts";
import type { Cluster, Sender } from "../connection/cluster.ts";
import { errorCodeName, errorCodes, errorCodeText, isTransient } from "../wire/codes.ts";
import { type CommitRequest, offsetCommit, offsetDelete, type PartitionCode } from "../wire/offsets.ts";
import { alterShareGroupOffsets } from "../wire/share.ts";
import { perCoordinator } from "./coordinators.ts";
import { byTopics } from "./read-commits.ts";

/** Brokers refuse to write a batch near 1 MB; in their log, each commit and each deletion repeats the group's id. */
const WRITE_BYTES = 400_000;

/** The start offset that stands for none. (DeleteShareGroupOffsets deletes those of whole topics only.) */
const UNINITIALIZED = -1n;

/**
 * How long a commit or a deletion may take from the moment that it is permitted. Then its connection is dropped: what was
 * not sent by then never is, what was sent is doubtful, and is tried again.
 */
export const WRITE_TIMEOUT_MS = 8_000;
/** What a request needs at least to be begun: one that ends as doubtful is worse than one that was not attempted. */
const WRITE_MARGIN_MS = 1_000;

/** Some partitions of one group: what goes into one request. */
interface Slice {
  readonly group: string;
  readonly keys: readonly string[];
}

/** What the broker said to each partition of a slice. */
type Codes = ReadonlyMap<string, number>;

/** What became of each partition, by group and key: every one that was to be written is there. */
export type Outcomes = Map<string, Map<string, CommitOutcome>>;

/** Until when, and as long as what, to write. */
export interface WriteOptions {
  /** How much of the time is left, at the least, when all writing has ended. What was not sent by then is `not_attempted`. */
  readonly reserveMs?: number;
  /**
   * Asked right before each request, which it lets pass by saying nothing; from then on the request takes
   * `WRITE_TIMEOUT_MS` at most. `again`: the request waits, and asks again. `failed`: its partitions are
   * `not_attempted`. Either way the problem is told.
   */
  readonly permit?: () => Failure | undefined;
  /** The groups that are share groups, or become ones: what is written are their start offsets (KIP-932). */
  readonly shareGroups?: ReadonlySet<string>;
}

/**
 * Commits offsets from outside of the groups, which coordinators accept only while a group has no members. A request
 * carries one group; groups are committed in parallel, a large one in several requests. What fails on the way is sent
 * again until the deadline is near, or nothing has succeeded for 45 s: the same commit twice is the same. Every partition
 * is in the result. Never throws, but for faults of ours.
 */
export function commitOffsets(cluster: Cluster, commits: Commits, writing: WriteOptions = {}): Promise<Outcomes> {
  const slices = [...commits].flatMap(([group, partitions]) => slicesOf(group, partitions));
  const work = { doing: "committing the offsets", rightOn: () => "READ", ...writing };
  return write(cluster, slices, work, async (broker, slice, timeoutMs) => {
    const request = commitRequest(slice, (key) => commits.get(slice.group)?.get(key));
    return writing.shareGroups?.has(slice.group)
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
 * Deletes commits (OffsetDelete, KIP-496); start offsets of a share group are set back to uninitialized, as they are until
 * a record is acknowledged. Same promises as `commitOffsets`, but members of a group (other than a share group) protect only
 * what they are subscribed to: other topics are deleted under them. Where there is no commit, or no group, it is accepted: nothing
 * is left to be deleted. A partition of a topic that does not exist is refused: Kafka deletes those commits itself.
 */
export function deleteOffsets(
  cluster: Cluster,
  partitions: ReadonlyMap<string, Iterable<string>>,
  writing: WriteOptions = {},
): Promise<Outcomes> {
  const slices = [...partitions].flatMap(([group, keys]) =>
    slicesOf(group, new Map([...keys].map((key) => [key, {}]))),
  );
  const isShare = (group: string) => writing.shareGroups?.has(group) === true;
  const rightOn = (group: string) => (isShare(group) ? "READ" : "DELETE");
  const work = { doing: "deleting the commits", rightOn, ...writing };
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

/** Of an answer that may refuse the whole request. */
const codesOfAll = (
  { keys }: Slice,
  answer: { readonly code: number; readonly partitions: readonly PartitionCode[] },
) => (answer.code === errorCodes.NONE ? codesOf(answer.partitions) : new Map(keys.map((key) => [key, answer.code])));

function slicesOf(group: string, partitions: ReadonlyMap<string, { readonly metadata?: string }>): Slice[] {
  const slices: string[][] = [];
  let room = 0;
  for (const [key, { metadata = "" }] of partitions) {
    const bytes = Buffer.byteLength(group) + Buffer.byteLength(key) + Buffer.byteLength(metadata) + 64;
    const slice = slices.at(-1);
    if (slice === undefined || bytes > room) {
      slices.push([key]);
      room = WRITE_BYTES - bytes;
    } else {
      slice.push(key);
      room -= bytes;
    }
  }
  return slices.map((keys) => ({ group, keys }));
}

/** Sends slices where they belong, and tells for each partition what is known of it in the end. */
async function write(
  cluster: Cluster,
  slices: readonly Slice[],
  { permit, rightOn, ...trial }: WriteOptions & { readonly doing: string; readonly rightOn: (group: string) => string },
  send: (broker: Sender, slice: Slice, timeoutMs: number) => Promise<Codes>,
): Promise<Outcomes> {
  const late = {
    error: "DeadlineExceeded",
    message: `${trial.doing}: there was no time left to begin with this group`,
  };
  const doubtful = new Set<Slice>(); // a request was sent, and whether it had effect is not known
  const margin = Math.min(WRITE_MARGIN_MS, (cluster.deadline.remainingMs() - (trial.reserveMs ?? 0)) / 5);
  const attempt = async (broker: Sender, slice: Slice, report: Report<Slice, Codes>, leftMs: TimeLeft) => {
    const left = leftMs();
    if (left <= margin) return report(slice, { failed: late });
    const denied = permit?.();
    if (denied !== undefined) return report(slice, denied);
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
  const work = { groupOf: ({ group }: Slice) => group, stallMs: READ_PATIENCE_MS, ...trial };
  const written = await perCoordinator<Slice, Codes>(cluster, slices, work, (node, asked, report, leftMs) =>
    cluster.spread(node, asked, (slice, broker) => attempt(broker, slice, report, leftMs)),
  );
  const outcomes: Outcomes = new Map();
  for (const [slice, result] of written) {
    const { group, keys } = slice;
    const ofGroup = outcomes.get(group) ?? new Map<string, CommitOutcome>();
    outcomes.set(group, ofGroup);
    for (const key of keys) ofGroup.set(key, outcomeOf(slice, key, result, doubtful.has(slice), rightOn(group)));
  }
  return outcomes;
}

function outcomeOf(
  { group }: Slice,
  key: string,
  result: Settled<Codes>,
  doubtful: boolean,
  right: string,
): CommitOutcome {
  if ("failed" in result) return { kind: doubtful ? "unknown" : notSent(result.failed), ...result.failed };
  const answered = result.done.get(key);
  if (answered === errorCodes.NONE) return { kind: "accepted" };
  if (answered === undefined) {
    const message = `group ${nameSome([group])}, ${key}: the answer of Kafka left it out`;
    return { kind: "unknown", error: "KafkaUnavailable", message };
  }
  return { kind: doubtful ? "unknown" : "refused", ...refusal(group, key, answered, right) };
}

/** A right that is missing, found before anything was sent, is a refusal; anything else is no attempt. */
const notSent = ({ error }: Problem) => (error === "KafkaAuthorization" ? "refused" : "not_attempted");

function refusal(group: string, key: string, number: number, right: string): Problem {
  const where = `group ${nameSome([group])}, ${key}`;
  switch (number) {
    case errorCodes.UNKNOWN_MEMBER_ID:
    case errorCodes.ILLEGAL_GENERATION:
    case errorCodes.REBALANCE_IN_PROGRESS:
    case errorCodes.STALE_MEMBER_EPOCH:
    case errorCodes.NON_EMPTY_GROUP:
    case errorCodes.GROUP_SUBSCRIBED_TO_TOPIC:
      return {
        error: "GroupNotEmpty",
        message: `${where}: the group has got members, and Kafka lets nobody else write (${errorCodeText(number)})`,
      };
    case errorCodes.GROUP_ID_NOT_FOUND:
      return { error: "GroupNotFound", message: `${where}: there is no such group (${errorCodeText(number)})` };
  }
  const attempt = failureOfCode(number, {
    doing: `write to ${where}`,
    groupRight: `${right} on group ${nameSome([group])}`,
    topicRight: `READ on topic ${nameSome([placeOf(key).topic])}`,
  });
  return "failed" in attempt ? attempt.failed : { error: errorCodeName(number), message: attempt.again.message };
}
