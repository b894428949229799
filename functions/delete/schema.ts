import * as z from "zod/mini";
import { described, type Route, resultObject } from "../shared/lambda/documentation.ts";
import { oneSnapshot, requestedBy } from "../shared/lambda/request-fields.ts";
import * as fields from "../shared/lambda/result-fields.ts";

export const request = z.strictObject({ snapshot_id: oneSnapshot, requested_by: requestedBy });

export const result = /* @__PURE__ */ resultObject(() => ({
  snapshot_id: fields.snapshotId,
  deleted: described(z.literal(true), "Always true."),
  warnings: described(fields.sentences, "Which rollbacks can no longer be undone, in sentences."),
}));
export type DeleteResult = z.output<typeof result>;

export const summary =
  "Deletes a snapshot that is not held. The bucket keeps its body as an earlier version for some days.";
export const routes: readonly Route[] = [{ method: "DELETE", path: "/snapshots/{snapshot_id}" }];
