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
  if (last.logEnd === null) return "UNKNOWN";
  if (lagOf(last) === 0n) return "OK";
  const points = all.slice(-WINDOW).flatMap(({ commit: { offset }, logEnd, taken: { time } }) => {
    return logEnd === null ? [] : [{ offset, logEnd, time, isCaughtUp: logEnd <= offset }];
  });
  const [first, before] = [points[0], points.at(-2)];
  if (first === undefined || before === undefined) return "UNKNOWN";
  const {
    commit: { offset },
    taken,
  } = last;
  if (points.some((point) => point.offset > offset)) return "REWIND";
  const wasCaughtUp = points.some(({ isCaughtUp }) => isCaughtUp);
  const lastMove = points[points.findLastIndex((point) => point.offset !== offset) + 1] ?? first;
  if (taken.time - lastMove.time > lastMove.time - first.time && before.logEnd > offset) {
    return lastMove === first && !wasCaughtUp && last.members !== 0 ? "STALL" : "STOP";
  }
  if (wasCaughtUp) return "OK";
  const lags = points.map((point) => point.logEnd - point.offset);
  return lags.every((lag, i) => lag >= (lags[i - 1] ?? lag)) ? "WARN" : "OK";
}

/** The status of a group with such partitions. */
export function groupStatus(partitions: Iterable<PartitionStatus>): GroupStatus {
  const all = new Set(partitions);
  if (all.has("REWIND") || all.has("STOP") || all.has("STALL")) return "ERR";
  if (all.has("WARN")) return "WARN";
  if (all.has("UNKNOWN")) return "UNKNOWN";
  return all.has("OK") ? "OK" : "NOTFOUND";
}
