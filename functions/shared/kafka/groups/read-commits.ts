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
  offsetFetch,
  type TopicPartitions,
} from "../wire/offsets.ts";
import { perCoordinator } from "./coordinators.ts";

const GROUPS_PER_REQUEST = 1_000;
const PARTITIONS_PER_REQUEST = 50_000;
const IN_FLIGHT = 64;

/** The commits of a group, and when they were requested: see `ObservedGroup`. */
export interface CommitsRead {
  readonly commits: GroupCommits;
  readonly asOf: string;
}

/**
 * Fetches the commits of groups: all, or those of the partitions in `topics`; many groups per request, many requests in
 * parallel. The result has every group, with its commits (none if it does not exist) or a problem. Waits at most 45 s
 * for a pending transaction; then the problem is `PendingTransaction`.
 *
 * @param api the API for the coordinators; another one for share groups, see `fetchStartOffsets`
 */
export function fetchCommits(
  cluster: Cluster,
  groups: readonly FetchGroup[],
  api: Api<readonly FetchGroup[], readonly FetchedGroup[]> = offsetFetch,
): Promise<Map<FetchGroup, Settled<CommitsRead>>> {
  const work = { groupOf: ({ group }: FetchGroup) => group, doing: "reading the commits", maxMs: READ_LIMIT_MS };
  const keyOf = sharedKeys();
  return perCoordinator<FetchGroup, CommitsRead>(cluster, groups, work, async (node, asked, report, leftMs) => {
    const batches = batchesOf(asked, GROUPS_PER_REQUEST, PARTITIONS_PER_REQUEST, partitionsOf);
    await inParallel(batches, IN_FLIGHT, async (batch) => {
      const asOf = new Date().toISOString();
      try {
        const answers = await cluster.send(node, api, batch, leftMs());
        const byGroup = new Map(answers.map((answer) => [answer.group, answer]));
        for (const wanted of batch) {
          const answer = byGroup.get(wanted.group);
          if (answer === undefined) continue;
          const attempt = commitsFrom(wanted, answer, keyOf);
          report(wanted, "done" in attempt ? { done: { commits: attempt.done, asOf } } : attempt);
        }
      } catch (error) {
        const attempt = failureOfException(error);
        for (const wanted of batch) report(wanted, attempt);
      }
    });
  });
}

const partitionsOf = ({ topics }: FetchGroup): number =>
  topics?.reduce((sum, { partitions }) => sum + partitions.length, 0) ?? 0;

function commitsFrom(
  { group, topics }: FetchGroup,
  answer: FetchedGroup,
  keyOf: typeof topicPartition,
): Attempt<GroupCommits> {
  const doing = () => `read the commits of group ${nameSome([group])}`;
  if (answer.code !== errorCodes.NONE) {
    return failureOfCode(answer.code, { doing: doing(), groupRight: `DESCRIBE on group ${nameSome([group])}` });
  }
  const commits = new Map<string, Commit>();
  let failure: Failure | undefined;
  for (const fetched of answer.offsets) {
    const key = keyOf(fetched.topic, fetched.partition);
    if (fetched.code !== errorCodes.NONE) {
      const attempt = failureOfCode(fetched.code, {
        doing: `${doing()} on ${key}`,
        topicRight: `DESCRIBE on topic ${nameSome([fetched.topic])}`,
      });
      if (failure === undefined || "failed" in attempt) failure = attempt;
    } else if (fetched.offset >= 0n) {
      commits.set(key, commitFrom(fetched));
    }
  }
  if (failure !== undefined) return failure;
  if (topics === null) return { done: commits };
  const answered = new Set(answer.offsets.map(({ topic, partition }) => keyOf(topic, partition)));
  const asked = topics.flatMap(({ topic, partitions }) => partitions.map((partition) => keyOf(topic, partition)));
  const omitted = asked.find((key) => !answered.has(key));
  if (omitted === undefined) return { done: commits };
  const message = `could not ${doing()}: Kafka's answer omits ${omitted}`;
  return { failed: { error: "KafkaUnavailable", message } };
}

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
