import { OperationError } from "../shared/core/errors.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import { callerOf, operation } from "../shared/operation.ts";
import { type DeleteResult, request } from "./schema.ts";

/** Deletes a snapshot. */
export const handler = operation({
  name: "delete",
  request,
  async run({ snapshot_id, requested_by }, work): Promise<Encoded<DeleteResult>> {
    const { storage, deadline } = work;
    const { records, warnings } = await storage.journal
      .undoneWith(snapshot_id, deadline)
      .catch(OperationError.withoutEffect("Nothing was deleted: delete it again."));
    await storage.snapshots.remove(snapshot_id, callerOf(work, requested_by), deadline);
    const undone = records.map(
      ({ rollbackId, snapshotId, startedAt }) =>
        `${snapshot_id} was the safety snapshot of ${rollbackId} (to ${snapshotId}, started ${startedAt}): ${rollbackId} can ` +
        "no longer be undone. To get the snapshot back, copy the version of its object over itself (the bucket keeps it for " +
        "noncurrent_days of the deployment; to remove its delete marker is not enough), and call reindex.",
    );
    return { snapshot_id, deleted: true, warnings: [...undone, ...warnings] };
  },
});
