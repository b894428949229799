import * as z from "zod/mini";
import { snapshotStatuses, triggers } from "../shared/core/model.ts";
import { described, optional, type Route, resultObject } from "../shared/lambda/documentation.ts";
import { label, labels, nextToken, pageSize, time } from "../shared/lambda/request-fields.ts";
import * as fields from "../shared/lambda/result-fields.ts";

/** Times are inclusive. What is not a page or a time is a filter: see `Filters` in storage/index-entry.ts. */
export const request = z.strictObject({
  limit: described(z._default(pageSize, 50), "How many snapshots a page has at most."),
  next_token: nextToken,
  since: optional(time, "Only snapshots taken at this time or later."),
  until: optional(time, "Only snapshots taken at this time or earlier."),
  status: optional(z.enum(snapshotStatuses), "Only snapshots with this status."),
  schedule: optional(label(64), "Only snapshots of the schedule with this name."),
  trigger: optional(z.enum(triggers), "Only snapshots that were taken by this."),
  labels: optional(labels, "Only snapshots that have all of these labels. In a query: `labels=key:value`, repeated."),
  held: optional(z.boolean(), "Only snapshots that are held, or only those that are not."),
});

/** A list request, read. */
export type Request = z.output<typeof request>;

const row = () => ({
  ...fields.aboutSnapshot,
  ...fields.sizeOfSnapshot,
  trigger: fields.trigger,
  schedule: optional(z.string(), "The name of the schedule that asked for it."),
  ...fields.marksOfSnapshot,
  at_risk: fields.atRisk,
  kept_by: optional(z.array(z.string()), "Why the last run of prune has kept it; absent before the first."),
  expires_at: optional(z.string(), "When it expires; absent where it never does."),
});

export const result = /* @__PURE__ */ resultObject(() => ({
  snapshots: described(z.array(z.strictObject(row())), "The snapshots of the page."),
  warnings: described(fields.sentences, "What was left out because it could not be read, in sentences."),
  next_token: optional(z.string(), "Present if and only if there are more snapshots."),
}));
export type ListResult = z.output<typeof result>;

export const summary = "Lists snapshots, newest first.";
export const routes: readonly Route[] = [{ method: "GET", path: "/snapshots" }];
