import * as z from "zod/mini";
import { callOutcomes, recordStatuses } from "../shared/core/model.ts";
import { described, optional, type Route, resultObject } from "../shared/lambda/documentation.ts";
import { nextToken, pageSize, rollbackId } from "../shared/lambda/request-fields.ts";
import * as fields from "../shared/lambda/result-fields.ts";

/** Which page of the list, or which rollback. */
export const request = z
  .strictObject({
    limit: optional(pageSize, "How many rollbacks a page has at most; 50 unless given."),
    next_token: nextToken,
    rollback_id: optional(rollbackId, "The one rollback to show."),
  })
  .check(
    z.refine(
      ({ rollback_id: one, limit, next_token }) =>
        one === undefined || (limit === undefined && next_token === undefined),
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
    "`running` while it holds the lease or has no plan yet, `unfinished` where its function ended without a result.",
  ),
  snapshot_id: described(z.string(), "The snapshot it rolled back to; without a plan, as the request names it."),
  safety_snapshot_id: fields.safetySnapshotId,
  requested_by: fields.requestedBy,
  caller: fields.caller,
  started_at: described(z.string(), "When it started."),
  resumed_at: optional(z.string(), "When it was resumed the last time."),
  ended_at: optional(z.string(), "When it ended."),
  groups: described(fields.count, "How many groups it was to roll back; 0 without a plan."),
  description: fields.description,
  superseded_by: optional(z.string(), "The rollback that superseded it."),
  attempts: described(fields.count, "1, and 1 more for each time it was resumed."),
});

const call = () =>
  z.strictObject({
    attempt: described(fields.count, "1 for the call that began it, 1 more for each that resumed it."),
    requested_by: fields.requestedBy,
    caller: fields.caller,
    request_id: described(fields.textOrNull, "The id of its invocation, which its log has."),
    started_at: described(z.string(), "When it opened the journal record, or resumed it."),
    ended_at: optional(z.string(), "When it ended; absent where it did not."),
    outcome: optional(
      z.enum([...callOutcomes, "running", "unfinished"]),
      "How it ended. `unfinished`: it ended without a result. `interrupted`: the same, and another call has resumed or " +
        "superseded the rollback.",
    ),
  });

export const pageResult = /* @__PURE__ */ resultObject(() => ({
  rollbacks: described(z.array(z.strictObject(row())), "The rollbacks of the page."),
  warnings: described(fields.sentences, "What was left out because it could not be read, in sentences."),
  next_token: optional(z.string(), "Present if and only if there are more rollbacks."),
}));

/** The plan and the result are those of the version that wrote them: today's are in the result of rollback. */
export const recordResult = /* @__PURE__ */ resultObject(() => ({
  ...row(),
  unplanned: described(
    fields.mark,
    "True where it has no plan: it waits or is planned, or ended before that. It has moved nothing, and no list has it.",
  ),
  error: optional(
    z.strictObject({ name: z.string(), message: z.string() }),
    "Why it ended without a plan: the error that its call was answered with.",
  ),
  calls: described(z.array(call()), "Each call that began or resumed it: the first, and the last nine."),
  warnings: described(fields.sentences, "What could not be read, in sentences."),
  plan_digest: optional(z.string(), "The digest of its plan; this and what follows is absent without a plan."),
  request: optional(z.unknown(), "The request, as it was made."),
  plan: optional(z.unknown(), "The plan, as a dry run shows it."),
  cluster_id: optional(z.unknown(), "The id of the Kafka cluster."),
  topic_ids: optional(z.unknown(), "The ids of the topics of its plan."),
  leader_epochs: optional(z.unknown(), "The leader epochs of their partitions when it was planned."),
  result: optional(z.unknown(), "Its result; absent until it ends."),
}));

export const result = /* @__PURE__ */ z.union([pageResult, recordResult]);
export type RollbacksResult = z.output<typeof result>;

export const summary = "Lists rollbacks, newest first, or shows one whole: with its request, its plan and its result.";
export const routes: readonly Route[] = [
  { method: "GET", path: "/rollbacks" },
  { method: "GET", path: "/rollbacks/{rollback_id}" },
];
