import * as z from "zod/mini";
import { described, optional, type Route, resultObject } from "../shared/lambda/documentation.ts";
import { label, oneSnapshot, requestedBy } from "../shared/lambda/request-fields.ts";
import * as fields from "../shared/lambda/result-fields.ts";

export const request = z.strictObject({
  snapshot_id: oneSnapshot,
  held: described(z.boolean(), "Whether to hold it, so that it cannot be deleted. False releases it."),
  reason: optional(label(256), "Why: an attempt to delete it is answered with this."),
  requested_by: requestedBy,
});

export const result = /* @__PURE__ */ resultObject(() => ({
  snapshot_id: fields.snapshotId,
  held: described(z.boolean(), "Whether it is held."),
}));
export type HoldResult = z.output<typeof result>;

export const summary = "Holds a snapshot, so that nothing deletes it, or releases it.";
export const routes: readonly Route[] = [{ method: "PUT", path: "/snapshots/{snapshot_id}/hold" }];
