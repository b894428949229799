import type { Encoded } from "../shared/lambda/result-fields.ts";
import { operation } from "../shared/operation.ts";
import { type DeleteResult, request } from "./schema.ts";

/** Deletes a snapshot. */
export const handler = operation({
  name: "delete",
  request,
  async run({ snapshot_id, requested_by }, work): Promise<Encoded<DeleteResult>> {
    const { storage, deadline, log, caller, requestId } = work;
    const by = { requestedBy: caller ?? requested_by ?? null, requestId };
    await storage.snapshots.remove(snapshot_id, by, deadline);
    log.info("snapshot deleted", { snapshot_id, requested_by: by.requestedBy, request_id: requestId });
    return { snapshot_id, deleted: true };
  },
});
