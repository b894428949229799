import {
  type AtRisk,
  type Commits,
  type Observed,
  type ObservedPartition,
  type ObservedTopic,
  placeOf,
} from "./model.ts";
import { isRepartitionTopic } from "./streams.ts";
import { count, listSome, quote } from "./text.ts";

/** What was observed of the logs at a time, in milliseconds since 1970. */
export interface LogsAt {
  readonly time: number;
  readonly topics: Observed["topics"];
}

/** A partition with a saved offset that the log does not have, or will not have soon. */
export interface PartitionAtRisk {
  readonly group: string;
  readonly key: string;
  readonly offset: bigint;
  readonly logStart: bigint;
}

/** Which saved offsets are below the log start, which will be in some hours, and of how many that is not known. */
export interface RetentionRisk {
  readonly below: readonly PartitionAtRisk[];
  readonly soon: readonly PartitionAtRisk[];
  readonly unknown: number;
}

const HOUR_MS = 3_600_000n;

/**
 * Which saved offsets the logs do not have any more, or will not have in some hours if logs go on as they did since an earlier
 * snapshot: a rollback to these offsets is blocked then, and what a group has not read from there is lost.
 *
 * A log start moves by whole segments, so the rate between two snapshots may be 0 for a long time, and the forecast is no
 * promise. What cannot be known is `unknown`, never safe: without an earlier snapshot, of a topic that was not in it or has been
 * created again since, or where a bound of a log is missing. Left out are commits on topics that do not exist, and those on
 * repartition topics of the group's own Kafka Streams application: Streams deletes what it has read.
 */
export function retentionRisk(saved: Commits, now: LogsAt, earlier: LogsAt | undefined, hours: number): RetentionRisk {
  const found = { below: [] as PartitionAtRisk[], soon: [] as PartitionAtRisk[], unknown: 0 };
  for (const [group, commits] of saved) {
    for (const [key, { offset }] of commits) {
      const { topic, partition } = placeOf(key);
      const observed = now.topics.get(topic);
      if (observed === undefined || isRepartitionTopic(group, topic)) continue;
      const log = observed?.partitions.get(partition);
      const logStart = log?.logStartOffset ?? null;
      const moved = observed === null ? undefined : movementOf(observed, earlier?.topics.get(topic), partition);
      const verdict = verdictOn(offset, log, moved, earlier && BigInt(now.time - earlier.time), hours);
      if (logStart === null || verdict === "unknown") found.unknown++;
      else if (verdict !== "safe") found[verdict].push({ group, key, offset, logStart });
    }
  }
  return found;
}

/** By how much the start and the end of a log have moved. */
interface Movement {
  readonly start: bigint;
  readonly end: bigint;
}

/** The movement of a log that is known to be the same and to have lost no end; undefined otherwise. */
function movementOf(
  { topicId, partitions }: ObservedTopic,
  earlier: ObservedTopic | null | undefined,
  partition: number,
): Movement | undefined {
  const [now, before] = [partitions.get(partition), earlier?.partitions.get(partition)];
  if (topicId !== (earlier?.topicId ?? null)) return undefined;
  const start = difference(now?.logStartOffset, before?.logStartOffset);
  const end = difference(now?.logEndOffset, before?.logEndOffset);
  return start === undefined || end === undefined ? undefined : { start, end };
}

/** Undefined where a bound is unknown, or went back: then the log was truncated or created again. */
function difference(now: bigint | null | undefined, before: bigint | null | undefined): bigint | undefined {
  if (typeof now !== "bigint" || typeof before !== "bigint" || now < before) return undefined;
  return now - before;
}

/** A log start never passes the log end: an offset is at risk only if both will be above it. */
function verdictOn(
  offset: bigint,
  log: ObservedPartition | undefined,
  moved: Movement | undefined,
  elapsed: bigint | undefined,
  hours: number,
): "below" | "soon" | "safe" | "unknown" {
  if (log === undefined || log.logStartOffset === null) return "unknown";
  if (offset < log.logStartOffset) return "below";
  if (moved === undefined || elapsed === undefined || elapsed <= 0n || log.logEndOffset === null) return "unknown";
  const ahead = BigInt(hours) * HOUR_MS;
  const passes = (bound: bigint, by: bigint) => by * ahead > (offset - bound) * elapsed;
  return passes(log.logStartOffset, moved.start) && passes(log.logEndOffset, moved.end) ? "soon" : "safe";
}

/** The numbers of a risk. */
export function countRisk({ below, soon, unknown }: RetentionRisk): AtRisk {
  const all = [...below, ...soon];
  return { partitions: all.length, groups: new Set(all.map(({ group }) => group)).size, unknown };
}

/** What a risk means, in sentences: none where no partition is known to be at risk. */
export function riskWarnings({ below, soon }: RetentionRisk, hours: number): string[] {
  const name = (some: readonly PartitionAtRisk[]) =>
    listSome(some, ({ group, key, offset, logStart }) => `${quote(group)} ${key}: ${offset}, log start ${logStart}`);
  return [
    below.length > 0 &&
      `${count(below.length, "saved offset")} ${below.length === 1 ? "is" : "are"} below the log start (${name(below)}). ` +
        "What these groups have not read up to there is deleted, and a rollback to these offsets is blocked.",
    soon.length > 0 &&
      `${count(soon.length, "saved offset")} will be below the log start within ${count(hours, "hour")}, at the rate since ` +
        `the schedule's last complete snapshot (${name(soon)}). What is not read by then is deleted. Let the groups catch ` +
        "up, or raise the topics' retention.",
  ].filter((warning) => warning !== false);
}
