import * as z from "zod/mini";
import type { Documentation } from "../shared/lambda/documentation.ts";
import { selectors, snapshotRef, topicSelectors } from "../shared/lambda/request-fields.ts";
import { count, mismatches, warnings } from "../shared/lambda/result-fields.ts";

export const request = z.strictObject({
  snapshot_id: snapshotRef,
  groups: z.optional(selectors),
  topics: z.optional(topicSelectors),
  fail_on_mismatch: z._default(z.boolean(), false),
});

export const result = z.strictObject({
  verified: z.boolean(),
  snapshot_id: z.string(),
  checked: count,
  mismatches,
  warnings,
});
export type VerifyResult = z.output<typeof result>;

export const documentation = {
  summary: "Compares the groups of a snapshot with what they have committed now.",
  routes: [{ method: "POST", path: "/snapshots/{snapshot_id}/verify" }],
  request: {
    snapshot_id: "The snapshot: an id, `latest`, or the newest at or before a time.",
    groups: "Only these groups: names, or patterns with `*` and `?`.",
    topics: "Only commits on these topics: names, or patterns with `*` and `?`.",
    fail_on_mismatch: "Whether a mismatch is the error VerificationMismatch.",
  },
  result: {
    verified: "Whether every commit is as in the snapshot, and every group could be compared.",
    snapshot_id: "The id of the snapshot.",
    checked: "How many partitions were compared.",
    mismatches: "Every difference: what the snapshot has, and what is committed now.",
    warnings: "What was not compared, in sentences.",
  },
  example: {
    request: { snapshot_id: "snapshot-2025-01-15T10:30:00Z" },
    result: {
      verified: false,
      snapshot_id: "snapshot-2025-01-15T10:30:00Z",
      checked: 3,
      mismatches: [
        {
          group: "orders-streams",
          topic: "orders",
          partition: 0,
          kind: "offset",
          expected: { offset: 17, metadata: "", leader_epoch: 4 },
          actual: { offset: 25, metadata: "", leader_epoch: 4 },
        },
      ],
      warnings: [],
    },
  },
} as const satisfies Documentation<typeof request, typeof result>;
