import { lagOf, type Point } from "./sight.ts";

/**
 * How a partition does, by the rules of Burrow ("Consumer Lag Evaluation Rules", github.com/linkedin/Burrow/wiki, and
 * core/internal/evaluator/caching.go there), from the worst to the best; `UNKNOWN` is ours.
 */
export const partitionStatuses = ["REWIND", "STOP", "STALL", "WARNING", "OK", "UNKNOWN"] as const;
export type PartitionStatus = (typeof partitionStatuses)[number];

/** How a group does: `ERROR` if one of its partitions is rewound, stopped or stalled. */
export const groupStatuses = ["ERROR", "WARNING", "OK", "UNKNOWN"] as const;
export type GroupStatus = (typeof groupStatuses)[number];

/** How many points are evaluated: as many commits as Burrow keeps by default (`intervals`). */
const WINDOW = 10;

/**
 * The status of a partition at its last point. Burrow evaluates commits. A snapshot does not show a commit that repeats an
 * offset, so here a commit counts where the offset changed, and whether the group has members decides between `STOP` and
 * `STALL` where none did. `now` is the time of the last point.
 *
 * @param all the points of the partition, oldest first
 */
export function partitionStatus(all: readonly Point[]): PartitionStatus {
  const points = all.slice(-WINDOW);
  const lags = points.map(lagOf);
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return "UNKNOWN";
  if (lags.some((lag) => lag === 0n)) return "OK";
  if (points.length < 2 || lags.some((lag) => lag === null)) return "UNKNOWN";
  const pairs = points
    .slice(1)
    .map((point, i) => ({ before: points[i] ?? point, point, lagBefore: lags[i], lag: lags[i + 1] }));
  if (pairs.some(({ before, point }) => point.commit.offset < before.commit.offset)) return "REWIND";
  const lastMove = pairs.findLast(({ before, point }) => point.commit.offset !== before.commit.offset)?.point;
  if (lastMove === undefined) return last.members === 0 ? "STOP" : "STALL";
  if (last.taken.time - lastMove.taken.time > lastMove.taken.time - first.taken.time) return "STOP";
  const isFallingBehind = pairs.every(({ lagBefore, lag }) => (lag ?? 0n) >= (lagBefore ?? 0n));
  return isFallingBehind ? "WARNING" : "OK";
}

/** The status of a group with such partitions. */
export function groupStatus(partitions: Iterable<PartitionStatus>): GroupStatus {
  const all = new Set(partitions);
  if (all.has("REWIND") || all.has("STOP") || all.has("STALL")) return "ERROR";
  if (all.has("WARNING")) return "WARNING";
  return all.has("OK") ? "OK" : "UNKNOWN";
}
