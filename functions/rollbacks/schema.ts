import * as z from "zod/mini";
import { recordStatuses } from "../shared/core/model.ts";
import { described, type Route, unbundled } from "../shared/lambda/documentation.ts";
import { pageSize, pageToken, rollbackId } from "../shared/lambda/request-fields.ts";
import { count } from "../shared/lambda/result-fields.ts";

/** Which page of the list, or which rollback. */
export const request = z
  .strictObject({
    limit: described(z.optional(pageSize), "How many rollbacks a page has at most; 50 unless given."),
    next_token: described(z.optional(pageToken), "The `next_token` of the page before, unchanged."),
    rollback_id: described(z.optional(rollbackId), "The one rollback to show."),
  })
  .check(
    z.refine(
      ({ limit, next_token, rollback_id }) =>
        rollback_id === undefined || (limit === undefined && next_token === undefined),
      {
        path: ["rollback_id"],
        error: "names one rollback, which has no pages: leave it out, or leave out limit and next_token",
      },
    ),
  );

const row = () => ({
  rollback_id: described(z.string(), "The id of the rollback."),
  status: described(
    z.enum([...recordStatuses, "unfinished"]),
    "`running` while it holds the lease, `unfinished` where its function ended without a result.",
  ),
  snapshot_id: described(z.string(), "The snapshot it rolled back to."),
  safety_snapshot_id: described(
    z.nullable(z.string()),
    "The snapshot of the state before its first commit; null where nothing had to be committed.",
  ),
  requested_by: described(z.nullable(z.string()), "The caller: proven over HTTP, claimed in a direct invocation."),
  started_at: described(z.string(), "When it started."),
  resumed_at: described(z.optional(z.string()), "When it was resumed the last time."),
  ended_at: described(z.optional(z.string()), "When it ended."),
  groups: described(count, "How many groups it was to roll back."),
  description: described(z.string(), "What its caller wrote."),
  superseded_by: described(z.optional(z.string()), "The rollback that replaced it."),
  attempts: described(count, "1, and 1 more for each time it was resumed."),
});

export const pageResult = /* @__PURE__ */ unbundled(() =>
  z.strictObject({
    rollbacks: described(z.array(z.strictObject(row())), "The rollbacks of the page."),
    next_token: described(z.optional(z.string()), "Present if and only if there are more rollbacks."),
  }),
);

/** The plan and the result are those of the version that wrote them: today's are in the result of rollback. */
export const recordResult = /* @__PURE__ */ unbundled(() =>
  z.strictObject({
    ...row(),
    plan_digest: described(z.string(), "The digest of its plan."),
    request: described(z.unknown(), "The request, as it was made."),
    plan: described(z.unknown(), "The plan, as a dry run shows it."),
    cluster_id: described(z.unknown(), "The id of the Kafka cluster."),
    topic_ids: described(z.optional(z.unknown()), "The ids of the topics of its plan."),
    result: described(z.optional(z.unknown()), "Its result; absent until it ends."),
  }),
);

export const result = /* @__PURE__ */ unbundled(() => z.union([pageResult, recordResult]));
export type RollbacksResult = z.output<typeof result>;

export const summary = "Lists rollbacks, newest first, or shows one whole: with its request, its plan and its result.";
export const routes: readonly Route[] = [
  { method: "GET", path: "/rollbacks" },
  { method: "GET", path: "/rollbacks/{rollback_id}" },
];
