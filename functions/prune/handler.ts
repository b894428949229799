import { Configuration, StorageUnavailable } from "../shared/core/errors.ts";
import { count, listSome } from "../shared/core/text.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import { retention } from "../shared/lambda/retention.ts";
import { callerOf, operation } from "../shared/operation.ts";
import { type PruneResult, request } from "./schema.ts";

/** Deletes the snapshots that the deployment's retention does not keep. */
export const handler = operation({
  name: "prune",
  request,
  hasEffects: true,
  async run({ dry_run, requested_by }, work): Promise<Encoded<PruneResult>> {
    const { storage, deadline, log, measure } = work;
    const by = callerOf(work, requested_by ?? "offset-prune");
    const { kept, deleted, orphansDeleted, failed, remaining, warnings } = await storage.prune(
      { retention: retention(), by, now: new Date(), dryRun: dry_run },
      deadline,
    );
    if (!dry_run) {
      measure([
        { name: "PrunedSnapshots", value: deleted.length, by: {} },
        { name: "PruneLeft", value: failed.length + remaining, by: {} },
      ]);
      log.info("snapshots deleted by rule", { deleted, kept: kept.length, orphans: orphansDeleted, remaining });
    }
    const result = {
      kept: kept.map(({ snapshotId, because }) => ({ snapshot_id: snapshotId, because: [...because] })),
      deleted: [...deleted],
      orphans_deleted: orphansDeleted,
      failed: failed.map(({ snapshotId, error }) => ({
        snapshot_id: snapshotId,
        error: error.name,
        message: error.summary,
      })),
      remaining,
      warnings: [...warnings],
      dry_run,
    };
    if (failed.length === 0) return result;
    const Failure = failed.some(({ error }) => error instanceof Configuration) ? Configuration : StorageUnavailable;
    throw new Failure(
      `${count(failed.length, "deletion")} failed, and ${deleted.length} succeeded. ` +
        listSome(failed, ({ snapshotId, error }) => `${snapshotId}: ${error.what}`),
      { next: "Call prune again: it also finishes what was interrupted, after a day.", details: result },
    );
  },
});
