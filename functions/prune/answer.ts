import { Configuration, StorageUnavailable } from "../shared/core/errors.ts";
import type { Measurement } from "../shared/core/metrics.ts";
import { count, listSome } from "../shared/core/text.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import type { Pruned } from "../shared/storage/prune.ts";
import type { PruneResult } from "./schema.ts";

/** What is counted of a run. */
export const measurementsOf = ({ deleted, failed, remaining }: Pruned): readonly Measurement[] => [
  { name: "PrunedSnapshots", value: deleted.length, by: {} },
  { name: "PruneLeft", value: failed.length + remaining, by: {} },
];

/**
 * The answer to a call.
 *
 * @throws Configuration or StorageUnavailable where deletions failed, with the answer as its details: a run of the stack's schedule
 *   has no reader, so only a failure shows
 */
export function answerOf(pruned: Pruned, dryRun: boolean): Encoded<PruneResult> {
  const { kept, deleted, orphansDeleted, failed, remaining, warnings } = pruned;
  const answer = {
    kept: kept.map(({ snapshotId, because }) => ({ snapshot_id: snapshotId, because: [...because] })),
    deleted: [...deleted],
    orphans_deleted: orphansDeleted,
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
  throw new Failure(
    `${count(failed.length, "deletion")} failed, and ${deleted.length} succeeded. ` +
      listSome(failed, ({ snapshotId, error }) => `${snapshotId}: ${error.what}`),
    { next: "Call prune again: it also finishes what was interrupted, after a day.", details: answer },
  );
}
