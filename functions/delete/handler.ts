import * as z from "zod/mini";
import { archiveSettings } from "../shared/lambda/config.ts";
import { operation } from "../shared/lambda/operation.ts";
import { requestedBy, snapshotId } from "../shared/lambda/request-fields.ts";
import { createArchive } from "../shared/storage/snapshots.ts";

/** What a delete request says: one id. `latest` and times are refused: what goes for good is named exactly. */
export const request = z.strictObject({
  snapshot_id: snapshotId.check(
    z.refine((id) => id !== "latest", { error: "must be the id of one snapshot to be deleted" }),
  ),
  requested_by: z.optional(requestedBy),
});

/** Deletes a snapshot. */
export const handler = operation({
  name: "delete",
  request,
  storeResult: (text, deadline) => createArchive(archiveSettings()).storeResult(text, deadline),
  async run({ snapshot_id, requested_by }, { deadline, log, caller, requestId }) {
    const by = { requestedBy: caller ?? requested_by ?? null, requestId };
    await createArchive(archiveSettings()).remove(snapshot_id, by, deadline);
    log.info("snapshot deleted", { snapshot_id, requested_by: by.requestedBy, request_id: requestId });
    return { snapshot_id, deleted: true };
  },
});
