import * as z from "zod/mini";
import { changes } from "../shared/core/diff.ts";
import { described, type Route, unbundled } from "../shared/lambda/documentation.ts";
import { selectors, snapshotRef, topicSelectors } from "../shared/lambda/request-fields.ts";
import { byPartition, commit, count, int64, warnings } from "../shared/lambda/result-fields.ts";

/** `to` is another snapshot, or `"live"`: what is committed now. */
export const request = z.strictObject({
  from: described(snapshotRef, "The snapshot to compare: an id, `latest`, or the newest at or before a time."),
  to: described(
    z._default(snapshotRef, "live"),
    "What to compare it with: another snapshot, or `live`, which is what is committed now.",
  ),
  groups: described(z.optional(selectors), "Only these groups: names, or patterns with `*` and `?`."),
  topics: described(z.optional(topicSelectors), "Only commits on these topics: names, or patterns with `*` and `?`."),
});

/** The field of the request that the snapshot in the path is for. */
export const snapshotField = "from";

export const result = /* @__PURE__ */ unbundled(() =>
  z.strictObject({
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
      byPartition(
        z.strictObject({ change: z.enum(changes), from: commit, to: commit, offset_delta: z.optional(int64) }),
      ),
      "The changes only, by group and topic-partition. `offset_delta` is `to` − `from`.",
    ),
    warnings: described(warnings, "What was not compared, in sentences."),
  }),
);
export type DiffResult = z.output<typeof result>;

export const summary = "Compares a snapshot with another, or with what is committed now.";
export const routes: readonly Route[] = [{ method: "GET", path: "/snapshots/{snapshot_id}/diff" }];
