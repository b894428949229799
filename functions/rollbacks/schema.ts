import * as z from "zod/mini";
import { recordStatuses } from "../shared/core/model.ts";
import type { Documentation } from "../shared/lambda/documentation.ts";
import { pageSize, pageToken, rollbackId } from "../shared/lambda/request-fields.ts";
import { count } from "../shared/lambda/result-fields.ts";

/** Which page of the list, or which rollback. */
export const request = z
  .strictObject({
    limit: z.optional(pageSize),
    next_token: z.optional(pageToken),
    rollback_id: z.optional(rollbackId),
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

const row = {
  rollback_id: z.string(),
  status: z.enum([...recordStatuses, "unfinished"]),
  snapshot_id: z.string(),
  safety_snapshot_id: z.nullable(z.string()),
  requested_by: z.nullable(z.string()),
  started_at: z.string(),
  resumed_at: z.optional(z.string()),
  ended_at: z.optional(z.string()),
  groups: count,
  description: z.string(),
  superseded_by: z.optional(z.string()),
  attempts: count,
} as const;

export const pageResult = z.strictObject({
  rollbacks: z.array(z.strictObject(row)),
  next_token: z.optional(z.string()),
});

/** The plan and the result are those of the version that wrote them: today's are in the result of rollback. */
export const recordResult = z.strictObject({
  ...row,
  plan_digest: z.string(),
  request: z.unknown(),
  plan: z.unknown(),
  cluster_id: z.unknown(),
  topic_ids: z.optional(z.unknown()),
  result: z.optional(z.unknown()),
});

export const result = z.union([pageResult, recordResult]);
export type RollbacksResult = z.output<typeof result>;

export const documentation = {
  summary: "Lists rollbacks, newest first, or shows one whole: with its request, its plan and its result.",
  routes: [
    { method: "GET", path: "/rollbacks" },
    { method: "GET", path: "/rollbacks/{rollback_id}" },
  ],
  request: {
    limit: "How many rollbacks a page has at most; 50 unless given.",
    next_token: "The `next_token` of the page before, unchanged.",
    rollback_id: "The one rollback to show.",
  },
  result: {
    rollbacks: "The rollbacks of the page.",
    next_token: "Present if and only if there are more rollbacks.",
    rollback_id: "The id of the rollback.",
    status: "`running` while it holds the lease, `unfinished` where its function ended without a result.",
    snapshot_id: "The snapshot it rolled back to.",
    safety_snapshot_id: "The snapshot of the state before its first commit; null where nothing had to be committed.",
    requested_by: "The caller: proven over HTTP, claimed in a direct invocation.",
    started_at: "When it started.",
    resumed_at: "When it was resumed the last time.",
    ended_at: "When it ended.",
    groups: "How many groups it was to roll back.",
    description: "What its caller wrote.",
    superseded_by: "The rollback that replaced it.",
    attempts: "1, and 1 more for each time it was resumed.",
    plan_digest: "The digest of its plan.",
    request: "The request, as it was made.",
    plan: "The plan, as a dry run shows it.",
    cluster_id: "The id of the Kafka cluster.",
    topic_ids: "The ids of the topics of its plan.",
    result: "Its result; absent until it ends.",
  },
  example: {
    request: { limit: 1 },
    result: {
      rollbacks: [
        {
          rollback_id: "rollback-2025-01-15T11:00:00Z-1f0c9a2b",
          status: "success",
          snapshot_id: "snapshot-2025-01-15T10:30:00Z",
          safety_snapshot_id: "snapshot-2025-01-15T11:00:00Z",
          requested_by: "ana",
          started_at: "2025-01-15T11:00:00.120Z",
          ended_at: "2025-01-15T11:00:01.480Z",
          groups: 1,
          description: "",
          attempts: 1,
        },
      ],
    },
  },
} as const satisfies Documentation<typeof request, typeof result>;
