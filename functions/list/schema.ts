import * as z from "zod/mini";
import { snapshotStatuses } from "../shared/core/model.ts";
import { described, type Route, unbundled } from "../shared/lambda/documentation.ts";
import { pageSize, pageToken, time } from "../shared/lambda/request-fields.ts";
import { count, snapshotStatus, trigger } from "../shared/lambda/result-fields.ts";

/** Times are inclusive. What is not a page or a time is a filter: see `filters` in storage/index-entry.ts. */
export const request = z.strictObject({
  limit: described(z._default(pageSize, 50), "How many snapshots a page has at most."),
  next_token: described(z.optional(pageToken), "The `next_token` of the page before, unchanged."),
  since: described(z.optional(time), "Only snapshots taken at this time or later."),
  until: described(z.optional(time), "Only snapshots taken at this time or earlier."),
  status: described(z.optional(z.enum(snapshotStatuses)), "Only snapshots with this status."),
});

export const result = /* @__PURE__ */ unbundled(() =>
  z.strictObject({
    snapshots: described(
      z.array(
        z.strictObject({
          snapshot_id: z.string(),
          created_at: z.string(),
          description: z.string(),
          status: snapshotStatus,
          groups: count,
          offsets: count,
          trigger,
          expires_at: z.optional(z.string()),
        }),
      ),
      "The snapshots of the page. `groups` and `offsets` are numbers; `expires_at` is absent where it never expires.",
    ),
    next_token: described(z.optional(z.string()), "Present if and only if there are more snapshots."),
  }),
);
export type ListResult = z.output<typeof result>;

export const summary = "Lists snapshots, newest first.";
export const routes: readonly Route[] = [{ method: "GET", path: "/snapshots" }];
