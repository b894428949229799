import * as z from "zod/mini";
import { described, type Route, resultObject } from "../shared/lambda/documentation.ts";
import { detail, restriction, snapshot } from "../shared/lambda/request-fields.ts";
import * as fields from "../shared/lambda/result-fields.ts";

export const request = z.strictObject({
  snapshot_id: snapshot,
  ...restriction,
  detail,
  fail_on_mismatch: described(z._default(z.boolean(), false), "Whether a mismatch is the error VerificationMismatch."),
});

export const result = /* @__PURE__ */ resultObject(() => ({
  verified: described(z.boolean(), "Whether every commit is as in the snapshot, and every group could be compared."),
  snapshot_id: fields.snapshotId,
  checked: described(fields.count, "How many partitions were compared."),
  mismatches: described(fields.mismatches, "Every difference: what the snapshot has, and what is committed now."),
  warnings: fields.comparisonWarnings,
}));
export type VerifyResult = z.output<typeof result>;

export const summary = "Compares the groups of a snapshot with what they have committed now.";
export const routes: readonly Route[] = [{ method: "POST", path: "/snapshots/{snapshot_id}/verify" }];
