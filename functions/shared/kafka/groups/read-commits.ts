import { setTimeout as delay } from "node:timers/promises";
import { type Commit, type GroupCommits, placeOf, topicPartition } from "../../core/model.ts";
import { nameSome } from "../../core/text.ts";
import { type Attempt, type Failure, failureOfCode, failureOfException, type Settled } from "../calls/problems.ts";
import { batchesOf, inParallel, READ_LIMIT_MS } from "../calls/retry.ts";
import type { Cluster } from "../connection/cluster.ts";
import type { Api } from "../wire/api.ts";
import { errorCodes } from "../wire/codes.ts";
import {
  type FetchedGroup,
  type FetchedOffset,
  type FetchGroup,
  lastOffsetFetch,
  offsetFetch,
  type TopicPartitions,
} from "../wire/offsets.ts";
import { perCoordinator } from "./coordinators.ts";

const GROUPS_PER_REQUEST = 1_000;
/** Some 1 MB: an answer that is lost is asked for again. */
const PARTITIONS_PER_ANSWER = 25_000;
/** The first groups of a coordinator show how many partitions the others have. */
const GROUPS_TO_LEARN_FROM = 100;
const IN_FLIGHT = 64;
const PENDING_LIMIT_MS = 2_000;
const PENDING_POLL_MS = 25;

/** The commits of a group, when they were requested (see `ObservedGroup`), and what is special about some of them. */
export interface CommitsRead {
  readonly commits: GroupCommits;
  readonly asOf: string;
  /** The partitions with a pending transactional commit; their commits are the last ones before it. */
  readonly pending: ReadonlySet<string>;
  /** Negative offsets that were committed; they are no commits. */
  readonly negative: ReadonlyMap<string, bigint>;
}

type FetchApi = Api<readonly FetchGroup[], readonly FetchedGroup[]>;
type Read = Map<FetchGroup, Settled<CommitsRead>>;

/** The time for which pending transactions are waited for, from the first call on, in all reads that share it. */
export function pendingPatience(): () => number {
  let end: number | undefined;
  return () => {
    end ??= performance.now() + PENDING_LIMIT_MS;
    return end - performance.now();
  };
}

/**
 * Fetches the commits of groups: all, or those of the partitions in `topics`; many groups per request, many requests in
 * parallel. The result has every group, with its commits (none if it does not exist) or a problem.
 *
 * Stable commits are asked for (KIP-447). Partitions with a pending transactional commit are asked for again for 2 s at
 * most; then their last commit is taken, which stands until the transaction ends, and they are in `pending`.
 */
export async function fetchCommits(
  cluster: Cluster,
  groups: readonly FetchGroup[],
  patience: () => number = pendingPatience(),
): Promise<Read> {
  const read = await fetchOffsets(cluster, groups, offsetFetch);
  for (let last = false; !last; ) {
    const unstable = new Map<FetchGroup, FetchGroup>();
    for (const [wanted, result] of read) {
      if ("failed" in result || result.done.pending.size === 0) continue;
      unstable.set({ ...wanted, topics: byTopics(result.done.pending) }, wanted);
    }
    if (unstable.size === 0) break;
    last = patience() < PENDING_POLL_MS || cluster.deadline.signal.aborted;
    if (!last) await delay(PENDING_POLL_MS, undefined, { signal: cluster.deadline.signal }).catch(() => {});
    const again = await fetchOffsets(cluster, [...unstable.keys()], last ? lastOffsetFetch : offsetFetch);
    for (const [asked, result] of again) {
      const wanted = unstable.get(asked) ?? asked;
      const before = read.get(wanted);
      if (before === undefined || "failed" in before) continue;
      read.set(wanted, "failed" in result ? result : { done: merge(before.done, result.done, last) });
    }
  }
  return read;
}

/** What was read before, with what was read again of its pending partitions. */
const merge = (before: CommitsRead, again: CommitsRead, last: boolean): CommitsRead => ({
  asOf: before.asOf,
  commits: new Map([...before.commits, ...again.commits]),
  negative: new Map([...before.negative, ...again.negative]),
  pending: last ? before.pending : again.pending,
});

/**
 * Fetches offsets with an API of the coordinators, once: a partition whose offset is not stable is in `pending`, without
 * a commit. The size of the answers is limited, not only their number of groups.
 */
export function fetchOffsets(cluster: Cluster, groups: readonly FetchGroup[], api: FetchApi): Promise<Read> {
  const work = { groupOf: ({ group }: FetchGroup) => group, doing: "reading the commits", maxMs: READ_LIMIT_MS };
  const keyOf = sharedKeys();
  return perCoordinator<FetchGroup, CommitsRead>(cluster, groups, work, async (node, asked, report, leftMs) => {
    let answered = 0;
    let offsets = 0;
    const fetchBatch = async (batch: readonly FetchGroup[]) => {
      const asOf = new Date().toISOString();
      try {
        const answers = await cluster.send(node, api, batch, leftMs());
        const byGroup = new Map(answers.map((answer) => [answer.group, answer]));
        for (const wanted of batch) {
          const answer = byGroup.get(wanted.group);
          if (answer === undefined) continue;
          answered++;
          offsets += answer.offsets.length;
          const attempt = commitsFrom(wanted, answer, keyOf);
          report(wanted, "done" in attempt ? { done: { ...attempt.done, asOf } } : attempt);
        }
      } catch (error) {
        const attempt = failureOfException(error);
        for (const wanted of batch) report(wanted, attempt);
      }
    };
    const sizeOf = ({ topics }: FetchGroup) =>
      topics?.reduce((sum, { partitions }) => sum + partitions.length, 0) ?? offsets / Math.max(1, answered);
    const first = asked.slice(0, GROUPS_TO_LEARN_FROM);
    const learns = asked.length > 2 * first.length && asked.some(({ topics }) => topics === null);
    for (const some of learns ? [first, asked.slice(first.length)] : [asked]) {
      const batches = batchesOf(some, GROUPS_PER_REQUEST, PARTITIONS_PER_ANSWER, sizeOf);
      await inParallel(batches, IN_FLIGHT, fetchBatch);
    }
  });
}

function commitsFrom(
  { group, topics }: FetchGroup,
  answer: FetchedGroup,
  keyOf: typeof topicPartition,
): Attempt<Omit<CommitsRead, "asOf">> {
  const doing = () => `read the commits of group ${nameSome([group])}`;
  if (answer.code !== errorCodes.NONE) {
    return failureOfCode(answer.code, { doing: doing(), groupRight: `DESCRIBE on group ${nameSome([group])}` });
  }
  const commits = new Map<string, Commit>();
  let pending: Set<string> | undefined;
  let negative: Map<string, bigint> | undefined;
  let failure: Failure | undefined;
  for (const fetched of answer.offsets) {
    const key = keyOf(fetched.topic, fetched.partition);
    if (fetched.code === errorCodes.UNSTABLE_OFFSET_COMMIT) {
      pending = (pending ?? new Set()).add(key);
    } else if (fetched.code !== errorCodes.NONE) {
      const attempt = failureOfCode(fetched.code, {
        doing: `${doing()} on ${key}`,
        topicRight: `DESCRIBE on topic ${nameSome([fetched.topic])}`,
      });
      if (failure === undefined || "failed" in attempt) failure = attempt;
    } else if (fetched.offset >= 0n) {
      commits.set(key, commitFrom(fetched));
    } else if (fetched.offset !== NO_COMMIT) {
      negative = (negative ?? new Map()).set(key, fetched.offset);
    }
  }
  if (failure !== undefined) return failure;
  if (topics !== null) {
    const answered = new Set(answer.offsets.map(({ topic, partition }) => keyOf(topic, partition)));
    const asked = topics.flatMap(({ topic, partitions }) => partitions.map((partition) => keyOf(topic, partition)));
    const omitted = asked.find((key) => !answered.has(key));
    if (omitted !== undefined) {
      const message = `could not ${doing()}: Kafka's answer omits ${omitted}`;
      return { failed: { error: "KafkaUnavailable", message } };
    }
  }
  return { done: { commits, pending: pending ?? noPartitions, negative: negative ?? noOffsets } };
}

const NO_COMMIT = -1n;
/** What almost all groups have: they share it. */
const noPartitions: ReadonlySet<string> = new Set();
const noOffsets: ReadonlyMap<string, bigint> = new Map();

/** Returns one string per partition, to save memory: many groups have commits on the same partitions. */
function sharedKeys(): typeof topicPartition {
  const topics = new Map<string, Map<number, string>>();
  return (topic, partition) => {
    const keys = topics.get(topic) ?? new Map<number, string>();
    const key = keys.get(partition) ?? topicPartition(topic, partition);
    if (keys.size === 0) topics.set(topic, keys);
    keys.set(partition, key);
    return key;
  };
}

function commitFrom({ offset, metadata, leaderEpoch }: FetchedOffset): Commit {
  return leaderEpoch < 0 ? { offset, metadata } : { offset, metadata, leaderEpoch };
}

/** Groups partition keys by topic. Throws an internal error for an invalid key. */
export function byTopics(keys: Iterable<string>): TopicPartitions[] {
  const topics = new Map<string, number[]>();
  for (const key of keys) {
    const { topic, partition } = placeOf(key);
    const partitions = topics.get(topic);
    if (partitions === undefined) topics.set(topic, [partition]);
    else partitions.push(partition);
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
}
