import * as z from "zod/mini";
import { changes } from "../shared/core/diff.ts";
import { described, type Route, resultObject } from "../shared/lambda/documentation.ts";
import { detail, restriction, snapshot } from "../shared/lambda/request-fields.ts";
import { byPartition, commit, comparisonWarnings, count, int64 } from "../shared/lambda/result-fields.ts";

/** `to` is another snapshot, or `"live"`: what is committed now. */
export const request = z.strictObject({
  from: described(snapshot, "The snapshot to compare: an id, `latest`, or the newest at or before a time."),
  to: described(z._default(snapshot, "live"), "What to compare it with: another snapshot, or `live`: the commits now."),
  ...restriction,
  detail,
});

/** The field of the request that the snapshot in the path is for. */
export const snapshotField = "from";

export const result = /* @__PURE__ */ resultObject(() => ({
  from: described(z.string(), "The id of the snapshot."),
  to: described(z.string(), "The id of the other snapshot, or `live`."),
  summary: described(
    z.strictObject({
      advanced: count,
      rewound: count,
      metadata: count,
      added: count,
      removed: count,
      unchanged: count,
    }),
    "How many commits changed, by kind of change, and how many did not.",
  ),
  consumer_groups: described(
    byPartition(z.strictObject({ change: z.enum(changes), from: commit, to: commit, offset_delta: z.optional(int64) })),
    "The changes only, by group and topic-partition. `offset_delta` is `to` − `from`.",
  ),
  warnings: comparisonWarnings,
}));
export type DiffResult = z.output<typeof result>;

export const summary = "Compares a snapshot with another, or with what is committed now.";
export const routes: readonly Route[] = [{ method: "GET", path: "/snapshots/{snapshot_id}/diff" }];
