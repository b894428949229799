import * as z from "zod/mini";
import { described, type Route, resultObject } from "../shared/lambda/documentation.ts";
import { requestedBy } from "../shared/lambda/request-fields.ts";
import * as fields from "../shared/lambda/result-fields.ts";

export const request = z.strictObject({
  dry_run: described(z._default(z.boolean(), false), "Whether to look only, and delete nothing."),
  requested_by: requestedBy,
});

export const result = /* @__PURE__ */ resultObject(() => ({
  kept: described(
    z.array(z.strictObject({ snapshot_id: z.string(), because: z.array(z.string()) })),
    "Snapshots that stay, with every reason for it.",
  ),
  deleted: described(z.array(z.string()), "Snapshots that no rule keeps."),
  orphans_deleted: described(
    fields.count,
    "How many interrupted deletions were finished, a day after they were recorded.",
  ),
  orphans: described(z.array(z.string()), "The snapshots of these deletions."),
  failed: described(
    z.array(z.strictObject({ snapshot_id: z.string(), error: z.string(), message: z.string() })),
    "What could not be deleted, and why. Where there is any, the call fails: the message of its error names the first ones, and " +
      "the first that were deleted. The log of the function has all.",
  ),
  remaining: described(fields.count, "How many deletions were left when the time ended. The next call continues."),
  warnings: described(fields.sentences, "What was kept because it could not be judged, in sentences."),
  dry_run: described(z.boolean(), "Whether nothing was deleted: the fields say then what a call without it would do."),
}));
export type PruneResult = z.output<typeof result>;

export const summary = "Deletes the snapshots that the deployment's retention does not keep.";
/** None: the stack calls it daily. */
export const routes: readonly Route[] = [];
