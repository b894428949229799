import type { Encoded } from "../shared/lambda/result-fields.ts";
import { retention } from "../shared/lambda/retention.ts";
import { callerOf, operation } from "../shared/operation.ts";
import { answerOf, measurementsOf } from "./answer.ts";
import { type PruneResult, request } from "./schema.ts";

/** Deletes the snapshots that the deployment's retention does not keep. */
export const handler = operation({
  name: "prune",
  request,
  hasEffects: true,
  async run({ dry_run, requested_by }, work): Promise<Encoded<PruneResult>> {
    const { storage, deadline, log, measure } = work;
    const by = callerOf(work, requested_by ?? "offset-prune");
    const asked = { retention: retention(), by, now: new Date(), dryRun: dry_run };
    const pruned = await storage.prune(asked, deadline);
    if (!dry_run) {
      measure(measurementsOf(pruned));
      const { kept, deleted, orphans, failed, remaining, warnings } = pruned;
      log.info("snapshots deleted by rule", { deleted, kept: kept.length, orphans, remaining });
      for (const { snapshotId, error } of failed)
        log.warn("a snapshot was not deleted", { snapshotId, cause: String(error) });
      for (const warning of warnings) log.warn(warning); // a run of the stack's schedule has no reader
    }
    return answerOf(pruned, dry_run);
  },
});
