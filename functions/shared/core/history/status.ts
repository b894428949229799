import { lagOf, type Point } from "./sight.ts";

/**
 * How a partition does, by the rules and in the words of Burrow: "Consumer Lag Evaluation Rules" at
 * github.com/linkedin/Burrow/wiki, and core/internal/evaluator/caching.go there, with pull requests 338 and 716. `NOTFOUND`:
 * it has no commit any more. `UNKNOWN` is ours.
 */
export const partitionStatuses = ["REWIND", "STOP", "STALL", "WARN", "OK", "UNKNOWN", "NOTFOUND"] as const;
export type PartitionStatus = (typeof partitionStatuses)[number];

/** How a group does: `ERR` if one of its partitions is rewound, stopped or stalled. `NOTFOUND`: it has no commits any more. */
export const groupStatuses = ["ERR", "WARN", "OK", "UNKNOWN", "NOTFOUND"] as const;
export type GroupStatus = (typeof groupStatuses)[number];

/** How many points are evaluated: as many commits as Burrow keeps by default (`intervals`). */
const WINDOW = 10;

/** A point whose log end is known. */
interface Evaluated {
  readonly point: Point;
  readonly offset: bigint;
  readonly time: number;
  readonly lag: bigint;
}

/**
 * The status of a partition at its last point. Burrow evaluates commits; a snapshot does not show one that repeats an offset. So
 * here a commit counts where the offset changed, and `STALL` (the consumer commits the same offset again and again) is where the
 * group has members. Burrow's `now` is the time of the last point, and its recent log ends are those of the last two points.
 *
 * @param all the points of the partition, oldest first
 */
export function partitionStatus(all: readonly Point[]): PartitionStatus {
  const last = all.at(-1);
  if (last === undefined) return "NOTFOUND";
  const lag = lagOf(last);
  if (lag === null) return "UNKNOWN";
  if (lag === 0n) return "OK";
  const points = all.slice(-WINDOW).flatMap((point): Evaluated[] => {
    const lag = lagOf(point);
    return lag === null ? [] : [{ point, offset: point.commit.offset, time: point.taken.time, lag }];
  });
  const first = points[0];
  if (first === undefined || points.length < 2) return "UNKNOWN";
  if (isRewound(points)) return "REWIND";
  const wasCaughtUp = points.some(({ lag }) => lag === 0n);
  const lastMove = points.findLast(({ offset }, i) => offset !== (points[i - 1]?.offset ?? offset)) ?? first;
  const recentLogEnd = points.at(-2)?.point.logEnd ?? null;
  const isBehindRecent = recentLogEnd === null || recentLogEnd > last.commit.offset;
  if (last.taken.time - lastMove.time > lastMove.time - first.time && isBehindRecent) {
    const isStalled = lastMove === first && !wasCaughtUp && last.members !== 0;
    return isStalled ? "STALL" : "STOP";
  }
  if (wasCaughtUp) return "OK";
  return points.every(({ lag }, i) => lag >= (points[i - 1]?.lag ?? lag)) ? "WARN" : "OK";
}

/** Whether the offset went back, and has not reached where it was since. */
function isRewound(points: readonly Evaluated[]): boolean {
  const last = points.at(-1)?.offset ?? 0n;
  return points.some(
    ({ offset }, i) => offset < (points[i - 1]?.offset ?? offset) && last < (points[i - 1]?.offset ?? 0n),
  );
}

/** The status of a group with such partitions. */
export function groupStatus(partitions: Iterable<PartitionStatus>): GroupStatus {
  const all = new Set(partitions);
  if (all.has("REWIND") || all.has("STOP") || all.has("STALL")) return "ERR";
  if (all.has("WARN")) return "WARN";
  if (all.has("UNKNOWN")) return "UNKNOWN";
  return all.has("OK") ? "OK" : "NOTFOUND";
}
