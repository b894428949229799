import type { Encoded } from "../shared/lambda/result-fields.ts";
import { callerOf, operation } from "../shared/operation.ts";
import { type HoldResult, request } from "./schema.ts";

/** Holds or releases a snapshot. */
export const handler = operation({
  name: "hold",
  request,
  async run({ snapshot_id, held, reason = null, requested_by }, work): Promise<Encoded<HoldResult>> {
    const { storage, deadline } = work;
    await storage.snapshots.hold(snapshot_id, { held, reason }, callerOf(work, requested_by), deadline);
    return { snapshot_id, held };
  },
});
