import { Configuration, StorageUnavailable } from "../shared/core/errors.ts";
import type { Measurement } from "../shared/core/metrics.ts";
import { count, listSome } from "../shared/core/text.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import type { Pruned } from "../shared/storage/prune.ts";
import type { PruneResult } from "./schema.ts";

/** How many deleted snapshots an error names. */
const MOST_NAMED = 20;

/** What is counted of a run. */
export const measurementsOf = ({ deleted, failed, remaining, unjudged }: Pruned): readonly Measurement[] => [
  { name: "PrunedSnapshots", value: deleted.length, by: {} },
  { name: "PruneLeft", value: failed.length + remaining, by: {} },
  { name: "PruneUnjudged", value: unjudged, by: {} },
];

/**
 * The answer to a call.
 *
 * @throws Configuration or StorageUnavailable where deletions failed, whose message names the first ones of both: a run of the
 *   stack's schedule has no reader, so only a failure shows
 */
export function answerOf(pruned: Pruned, dryRun: boolean): Encoded<PruneResult> {
  const { kept, deleted, orphans, failed, remaining, warnings } = pruned;
  const answer = {
    kept: kept.map(({ snapshotId, because }) => ({ snapshot_id: snapshotId, because: [...because] })),
    deleted: [...deleted],
    orphans_deleted: orphans.length,
    orphans: [...orphans],
    failed: failed.map(({ snapshotId, error: { name, summary } }) => ({
      snapshot_id: snapshotId,
      error: name,
      message: summary,
    })),
    remaining,
    warnings: [...warnings],
    dry_run: dryRun,
  };
  if (failed.length === 0) return answer;
  const Failure = failed.some(({ error }) => error instanceof Configuration) ? Configuration : StorageUnavailable;
  const all = [...deleted, ...orphans];
  throw new Failure(
    `${count(failed.length, "deletion")} failed. ${listSome(failed, ({ snapshotId, error }) => `${snapshotId}: ${error.what}`)}`,
    {
      next:
        `${all.length} succeeded${all.length > 0 ? `: ${listSome(all, String, MOST_NAMED)}` : ""}. The log of the function has all ids. ` +
        "Call prune again: it also finishes what was interrupted, after a day.",
      details: answer,
    },
  );
}
