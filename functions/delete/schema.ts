import * as z from "zod/mini";
import { type Documentation, described, unbundled } from "../shared/lambda/documentation.ts";
import { requestedBy, snapshotId } from "../shared/lambda/request-fields.ts";

/** One id: `latest` and times are refused, so that a snapshot to be deleted is named exactly. */
export const request = z.strictObject({
  snapshot_id: described(
    snapshotId.check(z.refine((id) => id !== "latest", { error: "must be the id of one snapshot to be deleted" })),
    "The id of the snapshot.",
  ),
  requested_by: described(
    z.optional(requestedBy),
    "Who asks, in a direct invocation. Over HTTP it is the caller's IAM ARN.",
  ),
});

export const result = /* @__PURE__ */ unbundled(() =>
  z.strictObject({
    snapshot_id: described(z.string(), "The id of the snapshot."),
    deleted: described(z.literal(true), "Always true."),
  }),
);
export type DeleteResult = z.output<typeof result>;

export const documentation = {
  summary: "Deletes a snapshot. The bucket keeps its body as an earlier version for some days.",
  routes: [{ method: "DELETE", path: "/snapshots/{snapshot_id}" }],
  example: {
    request: { snapshot_id: "snapshot-2025-01-15T10:30:00Z" },
    result: { snapshot_id: "snapshot-2025-01-15T10:30:00Z", deleted: true },
  },
} as const satisfies Documentation<typeof request, typeof result>;
