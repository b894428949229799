import { isRecreated, lagOf, type Point, readUntil } from "./sight.ts";

/** The lag of a partition at its last point. */
export interface LagFigures {
  /** In offsets; null where the log end is unknown. */
  readonly lag: bigint | null;
  /** For how long the first record after the commit had been in the log, in seconds; null is unknown. */
  readonly lagSeconds: number | null;
  /** By how much that can be wrong, in both directions; null where it is unknown. */
  readonly lagSecondsError: number | null;
  /** What is known where that record is older than all points: it waits for at least so many seconds. */
  readonly lagSecondsAtLeast?: number;
}

const seconds = (ms: number) => Math.round(ms) / 1_000;
const noLag = { lagSeconds: 0, lagSecondsError: 0 };
const unknown = { lagSeconds: null, lagSecondsError: null };

/**
 * The lag at the last point, in offsets and in seconds. The log ends of the points show between which two of them the record
 * at the committed offset was appended. The time in between is interpolated, as if records came evenly. The error covers all
 * that is possible: each moment between the two points, and the time that a snapshot takes.
 *
 * @param points oldest first; those before the topic was last created do not count
 */
export function lagFigures(points: readonly Point[]): LagFigures {
  const last = points.at(-1);
  const lag = last === undefined ? null : lagOf(last);
  if (last === undefined || lag === null) return { lag, ...unknown };
  if (lag === 0n) return { lag, ...noLag };
  const { offset } = last.commit;
  let later = last;
  let identified = last;
  for (const point of points.slice(0, -1).reverse()) {
    if (isRecreated(point, identified)) break;
    if (point.topicId !== null) identified = point;
    if (point.logEnd === null) continue;
    if (point.logEnd <= offset) return { lag, ...between(point, later, last) };
    if (point.topicId === identified.topicId) later = point; // without an id it may be of a former topic
  }
  return { lag, ...unknown, lagSecondsAtLeast: seconds(Math.max(0, last.readSince - readUntil(later))) };
}

/** How old the record at the commit was at the last point, if it was appended between two points. */
function between(earlier: Point, later: Point, last: Point) {
  const [low, high] = [earlier.logEnd ?? 0n, later.logEnd ?? 0n];
  const share = (Number(last.commit.offset - low) + 0.5) / Number(high - low);
  const appended = earlier.taken.time + share * (later.taken.time - earlier.taken.time);
  const least = Math.max(0, last.readSince - readUntil(later));
  const most = readUntil(last) - earlier.readSince;
  const age = Math.min(Math.max(last.taken.time - appended, least), most);
  return { lagSeconds: seconds(age), lagSecondsError: seconds(Math.max(most - age, age - least)) };
}

/**
 * How many offsets a second the commit advanced on average, from the first point to the last; null where there is no time
 * between them.
 *
 * @param points between which the commit only advanced by processing
 */
export function ratePerSecond(points: readonly Point[]): number | null {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || first.readSince >= last.readSince) return null;
  const rate = Number(last.commit.offset - first.commit.offset) / seconds(last.readSince - first.readSince);
  return Number(rate.toPrecision(6));
}
