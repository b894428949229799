import * as z from "zod/mini";
import { described, type Route, resultObject } from "../shared/lambda/documentation.ts";
import * as fields from "../shared/lambda/result-fields.ts";

export const request = z.strictObject({
  dry_run: described(z._default(z.boolean(), false), "Whether to look only, and write no row."),
});

const ids = () => z.array(z.string());

export const result = /* @__PURE__ */ resultObject(() => ({
  indexed: described(fields.count, "How many snapshots are listed now, and have a body that is what was written."),
  added: described(ids(), "Snapshots that had a body and no row in the index, newest first."),
  repaired: described(ids(), "Snapshots whose row was damaged, or did not agree with the body that it is of."),
  orphan_rows: described(ids(), "Listed snapshots without a body. Their rows stay."),
  unreadable: described(
    z.array(z.strictObject({ key: z.string(), message: z.string() })),
    "Objects of the bucket that are not what was written, or no bodies, and what to do about each. Their rows stay.",
  ),
  remaining: described(fields.count, "How many bodies were not read, because the time ended."),
  warnings: described(fields.sentences, "What was not listed, or is not finished, and why, in sentences."),
  dry_run: described(z.boolean(), "Whether no row was written: the fields say then what a call without it would do."),
}));
export type ReindexResult = z.output<typeof result>;

export const summary =
  "Makes the index again from the bodies of the snapshots: adds and repairs rows, and deletes nothing.";
/** None: it is for people who recover a deployment. */
export const routes: readonly Route[] = [];
