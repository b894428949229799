import * as z from "zod/mini";
import { described, type Route, unbundled } from "../shared/lambda/documentation.ts";
import { selectors, snapshotRef, topicSelectors } from "../shared/lambda/request-fields.ts";
import { count, mismatches, warnings } from "../shared/lambda/result-fields.ts";

export const request = z.strictObject({
  snapshot_id: described(snapshotRef, "The snapshot: an id, `latest`, or the newest at or before a time."),
  groups: described(z.optional(selectors), "Only these groups: names, or patterns with `*` and `?`."),
  topics: described(z.optional(topicSelectors), "Only commits on these topics: names, or patterns with `*` and `?`."),
  fail_on_mismatch: described(z._default(z.boolean(), false), "Whether a mismatch is the error VerificationMismatch."),
});

export const result = /* @__PURE__ */ unbundled(() =>
  z.strictObject({
    verified: described(z.boolean(), "Whether every commit is as in the snapshot, and every group could be compared."),
    snapshot_id: described(z.string(), "The id of the snapshot."),
    checked: described(count, "How many partitions were compared."),
    mismatches: described(mismatches, "Every difference: what the snapshot has, and what is committed now."),
    warnings: described(warnings, "What was not compared, in sentences."),
  }),
);
export type VerifyResult = z.output<typeof result>;

export const summary = "Compares the groups of a snapshot with what they have committed now.";
export const routes: readonly Route[] = [{ method: "POST", path: "/snapshots/{snapshot_id}/verify" }];
