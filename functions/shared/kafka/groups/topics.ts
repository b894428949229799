import { type ObservedPartition, type ObservedTopic, topicPartition } from "../../core/model.ts";
import { count, nameSome } from "../../core/text.ts";
import {
  type Attempt,
  failureOfCode,
  failureOfException,
  type Problem,
  type Settled,
  unavailable,
} from "../calls/problems.ts";
import { batchesOf, inParallel, type Report, settleAll, type TimeLeft } from "../calls/retry.ts";
import type { Cluster } from "../connection/cluster.ts";
import { errorCodes } from "../wire/codes.ts";
import { listOffsets, logEnd, type TopicMetadata } from "../wire/metadata.ts";

/** Topics, as in `Observed`. */
export interface TopicsObserved {
  readonly topics: ReadonlyMap<string, ObservedTopic | null>;
  readonly warnings: readonly string[];
}

/** Longer than a leader election; what is unknown then is a warning, as only offsets are required. */
const LIMIT_MS = 15_000;
const TOPICS_PER_REQUEST = 2_000;
const PARTITIONS_PER_REQUEST = 20_000;

/**
 * Observes topics: id and partitions, with log start, log end and leader epoch of each. A missing topic is absent,
 * after a second answer: a broker that has just started may not know it yet. A topic that cannot be described is null
 * and a log that cannot be read has nulls, both with a warning. Throws internal errors only.
 */
export async function observeTopics(cluster: Cluster, names: Iterable<string>): Promise<TopicsObserved> {
  const topics = new Map<string, ObservedTopic | null>();
  const warnings: string[] = [];
  const leaders: Leader[] = [];
  const described = await describeTopics(cluster, names);
  const unseen = new Map<string, Problem>();
  for (const [name, result] of described) {
    if ("failed" in result) {
      topics.set(name, null);
      unseen.set(name, result.failed);
    } else if (result.done !== undefined) {
      for (const { partition, leader, leaderEpoch } of result.done.partitions) {
        leaders.push({ topic: name, partition, leader, leaderEpoch });
      }
    }
  }
  const ranges = await readLogs(cluster, leaders);
  const unread = new Map<string, Problem>();
  const logs = new Map<string, Map<number, ObservedPartition>>();
  for (const [{ topic, partition, leaderEpoch }, range] of ranges) {
    if ("failed" in range) unread.set(topicPartition(topic, partition), range.failed);
    const log = "done" in range ? range.done : { logStartOffset: null, logEndOffset: null };
    const partitions = logs.get(topic) ?? new Map<number, ObservedPartition>();
    logs.set(topic, partitions.set(partition, { ...log, leaderEpoch: leaderEpoch < 0 ? null : leaderEpoch }));
  }
  for (const [name, result] of described) {
    if ("failed" in result || result.done === undefined) continue;
    topics.set(name, { topicId: result.done.topicId, partitions: logs.get(name) ?? new Map() });
  }
  if (unseen.size > 0) warnings.push(warningOf(unseen, "topic", "could not be observed"));
  if (unread.size > 0) warnings.push(warningOf(unread, "log", "could not be read for start and end offsets"));
  return { topics, warnings };
}

function warningOf(problems: ReadonlyMap<string, Problem>, noun: string, what: string): string {
  const [first] = problems.values();
  return `${count(problems.size, noun)} ${what}: ${nameSome(problems.keys())} (${first?.error}: ${first?.message}).`;
}

/** Metadata of topics by name; undefined for one that is missing in two answers. Throws internal errors only. */
export function describeTopics(
  cluster: Cluster,
  names: Iterable<string>,
): Promise<Map<string, Settled<TopicMetadata | undefined>>> {
  const reportedUnknown = new Set<string>();
  return askForTopics<TopicMetadata | undefined>(cluster, names, "observing topics", (answer) => {
    const { topic } = answer;
    if (answer.code === errorCodes.NONE) return { done: answer };
    if (answer.code === errorCodes.INVALID_TOPIC_EXCEPTION) return { done: undefined };
    if (answer.code === errorCodes.UNKNOWN_TOPIC_OR_PARTITION) {
      if (reportedUnknown.has(topic)) return { done: undefined };
      reportedUnknown.add(topic);
      return { again: unavailable(`a broker does not know topic ${nameSome([topic])}`) };
    }
    const topicRight = `DESCRIBE on topic ${nameSome([topic])}`;
    return failureOfCode(answer.code, { doing: `describe topic ${nameSome([topic])}`, topicRight });
  });
}

/** Asks for the metadata of topics, and again where `attempt` says so. Throws internal errors only. */
export function askForTopics<R>(
  cluster: Cluster,
  names: Iterable<string>,
  doing: string,
  attempt: (answer: TopicMetadata) => Attempt<R>,
): Promise<Map<string, Settled<R>>> {
  const limits = { deadline: cluster.deadline, doing, maxMs: LIMIT_MS };
  return settleAll<string, R>(names, limits, async (pending, report, leftMs) => {
    for (const asked of batchesOf(pending, TOPICS_PER_REQUEST)) {
      const { topics } = await cluster.metadata(asked, undefined, leftMs());
      for (const answer of topics) report(answer.topic, attempt(answer));
    }
  });
}

/** A partition and its leader when the topic was described. */
interface Leader {
  readonly topic: string;
  readonly partition: number;
  readonly leader: number;
  readonly leaderEpoch: number;
}

type Log = Pick<ObservedPartition, "logStartOffset" | "logEndOffset">;

/** Log start and end of partitions, with two requests per leader. */
async function readLogs(cluster: Cluster, partitions: readonly Leader[]): Promise<Map<Leader, Settled<Log>>> {
  const limits = { deadline: cluster.deadline, doing: "reading log start and end offsets", maxMs: LIMIT_MS };
  let leaderOf = ({ leader }: Leader) => leader;
  let first = true;
  return settleAll<Leader, Log>(partitions, limits, async (pending, report, leftMs) => {
    if (!first) leaderOf = await leadersNow(cluster, pending, leftMs);
    first = false;
    const byLeader = Map.groupBy(pending, leaderOf);
    await inParallel([...byLeader], byLeader.size, async ([leader, led]) => {
      for (const asked of batchesOf(led, PARTITIONS_PER_REQUEST))
        await readLogsOf(cluster, leader, asked, report, leftMs);
    });
  });
}

async function leadersNow(
  cluster: Cluster,
  partitions: readonly Leader[],
  leftMs: TimeLeft,
): Promise<(partition: Leader) => number> {
  const names = [...new Set(partitions.map(({ topic }) => topic))];
  const { topics } = await cluster.metadata(names, undefined, leftMs());
  const leaders = new Map<string, number>();
  for (const { topic, partitions } of topics) {
    for (const { partition, leader } of partitions) leaders.set(topicPartition(topic, partition), leader);
  }
  return ({ topic, partition }) => leaders.get(topicPartition(topic, partition)) ?? -1;
}

async function readLogsOf(
  cluster: Cluster,
  leader: number,
  asked: readonly Leader[],
  report: Report<Leader, Log>,
  leftMs: TimeLeft,
): Promise<void> {
  if (leader < 0) {
    for (const key of asked) {
      report(key, { again: unavailable(`${topicPartition(key.topic, key.partition)} has no leader`) });
    }
    return;
  }
  const byTopic = Map.groupBy(asked, ({ topic }) => topic);
  const topics = [...byTopic].map(([topic, keys]) => ({ topic, partitions: keys.map(({ partition }) => partition) }));
  try {
    const [starts, ends] = await Promise.all(
      [logEnd.earliest, logEnd.latest].map(async (end) => {
        const offsets = await cluster.send(leader, listOffsets, { end, topics }, leftMs());
        return new Map(offsets.map((offset) => [topicPartition(offset.topic, offset.partition), offset]));
      }),
    );
    for (const key of asked) {
      const name = topicPartition(key.topic, key.partition);
      const start = starts?.get(name);
      const end = ends?.get(name);
      if (start === undefined || end === undefined) continue; // a failure, see settleAll
      const failed = start.code === errorCodes.NONE ? end.code : start.code;
      const subject = { doing: `read the log of ${name}`, topicRight: `DESCRIBE on topic ${nameSome([key.topic])}` };
      report(
        key,
        failed === errorCodes.NONE
          ? { done: { logStartOffset: start.offset, logEndOffset: end.offset } }
          : failureOfCode(failed, subject),
      );
    }
  } catch (error) {
    const attempt = failureOfException(error);
    for (const key of asked) report(key, attempt);
  }
}
