import { type ObservedPartition, type ObservedTopic, placeOf, topicPartition } from "../../core/model.ts";
import { count, nameSome } from "../../core/text.ts";
import {
  type Attempt,
  failureOfCode,
  failureOfException,
  NoAnswer,
  type Problem,
  type Settled,
  unavailable,
} from "../calls/problems.ts";
import { batchesOf, inParallel, settleAll, type TimeLeft } from "../calls/retry.ts";
import type { Cluster } from "../connection/cluster.ts";
import { errorCodes } from "../wire/codes.ts";
import {
  type LeaderEpochEnd,
  listOffsets,
  logEnd,
  offsetForLeaderEpoch,
  type TopicMetadata,
} from "../wire/metadata.ts";

/** Topics, as in `Observed`. */
export interface TopicsObserved {
  readonly topics: ReadonlyMap<string, ObservedTopic | null>;
  readonly warnings: readonly string[];
}

/** Longer than a leader election; what is unknown then is a warning, as only offsets are required. */
const LIMIT_MS = 15_000;
const TOPICS_PER_REQUEST = 2_000;
const PARTITIONS_PER_REQUEST = 20_000;
const ANSWERS_OF_ABSENCE = 3;
/** How long a certain broker is asked, where any can answer. */
const OTHER_BROKER_MS = 1_000;

/**
 * Observes topics: id and partitions, with log start, log end and leader epoch of each. A missing topic or partition is
 * absent, after a third answer: a broker may not know yet what has just been created. A topic that cannot be described
 * is null and a log that cannot be read has nulls, both with a warning. Throws internal errors only.
 *
 * @param wanted the topics, with the number of partitions that each needs to have
 */
export async function observeTopics(cluster: Cluster, wanted: ReadonlyMap<string, number>): Promise<TopicsObserved> {
  const topics = new Map<string, ObservedTopic | null>();
  const warnings: string[] = [];
  const leaders: Leader[] = [];
  const described = await describeTopics(cluster, wanted);
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

/**
 * Metadata of topics by name; undefined for one that is missing. What is missing, a topic or one of its wanted
 * partitions, is missing in three answers, of at least two brokers if there are several. Throws internal errors only.
 *
 * @param wanted the topics, with the number of partitions that each needs to have
 */
export function describeTopics(
  cluster: Cluster,
  wanted: ReadonlyMap<string, number>,
): Promise<Map<string, Settled<TopicMetadata | undefined>>> {
  const lacking = new Map<string, number>();
  const largest = new Map<string, TopicMetadata>();
  return askForTopics<TopicMetadata | undefined>(cluster, wanted.keys(), "observing topics", (answer) => {
    const { topic, code, partitions } = answer;
    if (code === errorCodes.INVALID_TOPIC_EXCEPTION) return { done: undefined };
    const isUnknown = code === errorCodes.UNKNOWN_TOPIC_OR_PARTITION;
    const isShort = code === errorCodes.NONE && partitions.length < (wanted.get(topic) ?? 0);
    if (isUnknown || isShort) {
      const answers = (lacking.get(topic) ?? 0) + 1;
      lacking.set(topic, answers);
      if (isShort && partitions.length >= (largest.get(topic)?.partitions.length ?? 0)) largest.set(topic, answer);
      const known = isShort ? `only ${count(partitions.length, "partition")} of topic` : "no topic";
      if (answers < ANSWERS_OF_ABSENCE) return { again: unavailable(`a broker knows ${known} ${nameSome([topic])}`) };
      return { done: largest.get(topic) };
    }
    if (code === errorCodes.NONE) return { done: answer };
    const topicRight = `DESCRIBE on topic ${nameSome([topic])}`;
    return failureOfCode(code, { doing: `describe topic ${nameSome([topic])}`, topicRight });
  });
}

/**
 * Asks for the metadata of topics, and where `attempt` says so again: each time another broker, if it answers. Throws internal
 * errors only.
 */
export function askForTopics<R>(
  cluster: Cluster,
  names: Iterable<string>,
  doing: string,
  attempt: (answer: TopicMetadata) => Attempt<R>,
): Promise<Map<string, Settled<R>>> {
  const limits = { deadline: cluster.deadline, doing, maxMs: LIMIT_MS };
  let round = 0;
  return settleAll<string, R>(names, limits, async (pending, report, leftMs) => {
    const { nodes } = cluster;
    const next = round === 0 ? undefined : nodes[round % nodes.length];
    round++;
    for (const asked of batchesOf(pending, TOPICS_PER_REQUEST)) {
      const fromAny = () => cluster.metadata(asked, undefined, leftMs());
      const fromNext = (node: number) =>
        cluster.metadata(asked, node, Math.min(leftMs(), OTHER_BROKER_MS)).catch((error: unknown) => {
          if (error instanceof NoAnswer) return fromAny();
          throw error; // a broker of another cluster, for example, is not passed over
        });
      const { topics } = next === undefined ? await fromAny() : await fromNext(next);
      for (const answer of topics) report(answer.topic, attempt(answer));
    }
  });
}

/** A partition, and its leader if that is known. */
interface Led {
  readonly topic: string;
  readonly partition: number;
  readonly leader?: number;
}

/** A partition as its topic was described. */
interface Leader extends Required<Led> {
  readonly leaderEpoch: number;
}

type Log = Pick<ObservedPartition, "logStartOffset" | "logEndOffset">;

/** Log start and end of partitions, with two requests per leader. */
const readLogs = (cluster: Cluster, partitions: readonly Leader[]): Promise<Map<Leader, Settled<Log>>> =>
  perLeader<Leader, Log>(cluster, partitions, "reading log start and end offsets", async (leader, asked, leftMs) => {
    const byTopic = Map.groupBy(asked, ({ topic }) => topic);
    const topics = [...byTopic].map(([topic, keys]) => ({ topic, partitions: keys.map(({ partition }) => partition) }));
    const [starts, ends] = await Promise.all(
      [logEnd.earliest, logEnd.latest].map(async (end) =>
        byPartition(await cluster.send(leader, listOffsets, { end, topics }, leftMs())),
      ),
    );
    return ({ topic, partition }) => {
      const name = topicPartition(topic, partition);
      const start = starts?.get(name);
      const end = ends?.get(name);
      if (start === undefined || end === undefined) return undefined;
      const failed = start.code === errorCodes.NONE ? end.code : start.code;
      const subject = { doing: `read the log of ${name}`, topicRight: `DESCRIBE on topic ${nameSome([topic])}` };
      return failed === errorCodes.NONE
        ? { done: { logStartOffset: start.offset, logEndOffset: end.offset } }
        : failureOfCode(failed, subject);
    };
  });

const byPartition = <T extends { readonly topic: string; readonly partition: number }>(answers: readonly T[]) =>
  new Map(answers.map((answer) => [topicPartition(answer.topic, answer.partition), answer]));

/** A leader epoch of a partition. */
interface Epoch extends Led {
  readonly leaderEpoch: number;
}

/**
 * Observes where earlier leader epochs end in the logs of observed topics, with one request per leader. What cannot be
 * observed is absent, with a warning. Throws internal errors only.
 *
 * @param epochs those in question, by partition
 */
export async function observeEpochEnds(
  cluster: Cluster,
  topics: TopicsObserved["topics"],
  epochs: ReadonlyMap<string, ReadonlySet<number>>,
): Promise<TopicsObserved> {
  const asked = [...epochs].flatMap(([key, wanted]) =>
    [...wanted].map((leaderEpoch): Epoch => ({ ...placeOf(key), leaderEpoch })),
  );
  const settled = await perLeader<Epoch, bigint>(cluster, asked, "reading the ends of leader epochs", readEpochEnds);
  const ends = new Map<string, Map<number, bigint | null>>();
  const unread = new Map<string, Problem>();
  for (const [{ topic, partition, leaderEpoch }, result] of settled) {
    const key = topicPartition(topic, partition);
    if ("failed" in result) unread.set(key, result.failed);
    else ends.set(key, (ends.get(key) ?? new Map()).set(leaderEpoch, result.done < 0n ? null : result.done));
  }
  const withEnds = (topic: string, observed: ObservedTopic): ObservedTopic => ({
    ...observed,
    partitions: new Map(
      [...observed.partitions].map(([partition, log]) => {
        const epochEnds = ends.get(topicPartition(topic, partition));
        return [partition, epochEnds === undefined ? log : { ...log, epochEnds }];
      }),
    ),
  });
  const what = "could not be checked for truncation";
  return {
    topics: new Map([...topics].map(([topic, observed]) => [topic, observed && withEnds(topic, observed)])),
    warnings: unread.size > 0 ? [warningOf(unread, "log", what)] : [],
  };
}

async function readEpochEnds(
  leader: number,
  asked: readonly Epoch[],
  leftMs: TimeLeft,
  cluster: Cluster,
): Promise<(epoch: Epoch) => Attempt<bigint> | undefined> {
  const answers = new Map<Epoch, LeaderEpochEnd>();
  // A request has one epoch of a partition.
  const byKey = Map.groupBy(asked, ({ topic, partition }) => topicPartition(topic, partition));
  const most = Math.max(...[...byKey.values()].map(({ length }) => length));
  for (let i = 0; i < most; i++) {
    const epochs = [...byKey.values()].flatMap((ofPartition) => ofPartition.slice(i, i + 1));
    const topics = [...Map.groupBy(epochs, ({ topic }) => topic)].map(([topic, partitions]) => ({ topic, partitions }));
    const ends = byPartition(await cluster.send(leader, offsetForLeaderEpoch, { topics }, leftMs()));
    for (const epoch of epochs) {
      const end = ends.get(topicPartition(epoch.topic, epoch.partition));
      if (end !== undefined) answers.set(epoch, end);
    }
  }
  return (epoch) => {
    const answer = answers.get(epoch);
    if (answer === undefined) return undefined;
    const { topic, partition } = epoch;
    if (answer.code === errorCodes.NONE) return { done: answer.endOffset };
    return failureOfCode(answer.code, {
      doing: `read the end of leader epoch ${epoch.leaderEpoch} of ${topicPartition(topic, partition)}`,
      topicRight: `DESCRIBE on topic ${nameSome([topic])}`,
    });
  };
}

/**
 * Asks the leaders of partitions, all in parallel; where that fails for now, the current leaders again.
 *
 * @param ask sends requests about some partitions to their leader; returns what each of them has been answered, undefined
 *   for nothing
 */
function perLeader<P extends Led, R>(
  cluster: Cluster,
  partitions: readonly P[],
  doing: string,
  ask: (
    leader: number,
    asked: readonly P[],
    leftMs: TimeLeft,
    cluster: Cluster,
  ) => Promise<(partition: P) => Attempt<R> | undefined>,
): Promise<Map<P, Settled<R>>> {
  const limits = { deadline: cluster.deadline, doing, maxMs: LIMIT_MS };
  let isFirst = true;
  return settleAll<P, R>(partitions, limits, async (pending, report, leftMs) => {
    const known = isFirst && pending.every(({ leader }) => leader !== undefined);
    const leaderOf = known ? ({ leader = -1 }: P) => leader : await leadersNow(cluster, pending, leftMs);
    isFirst = false;
    const byLeader = Map.groupBy(pending, leaderOf);
    await inParallel([...byLeader], byLeader.size, async ([leader, led]) => {
      for (const asked of batchesOf(led, PARTITIONS_PER_REQUEST)) {
        if (leader < 0) {
          for (const key of asked) {
            report(key, { again: unavailable(`${topicPartition(key.topic, key.partition)} has no leader`) });
          }
          continue;
        }
        try {
          const answerOf = await ask(leader, asked, leftMs, cluster);
          for (const key of asked) {
            const attempt = answerOf(key);
            if (attempt !== undefined) report(key, attempt); // without one it fails, see settleAll
          }
        } catch (error) {
          const attempt = failureOfException(error);
          for (const key of asked) report(key, attempt);
        }
      }
    });
  });
}

async function leadersNow(
  cluster: Cluster,
  partitions: readonly Led[],
  leftMs: TimeLeft,
): Promise<(partition: Led) => number> {
  const names = [...new Set(partitions.map(({ topic }) => topic))];
  const { topics } = await cluster.metadata(names, undefined, leftMs());
  const leaders = new Map<string, number>();
  for (const { topic, partitions } of topics) {
    for (const { partition, leader } of partitions) leaders.set(topicPartition(topic, partition), leader);
  }
  return ({ topic, partition }) => leaders.get(topicPartition(topic, partition)) ?? -1;
}
