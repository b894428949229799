import * as z from "zod/mini";
import { described, type Route, unbundled } from "../shared/lambda/documentation.ts";
import { selectors, snapshotRef, topicSelectors } from "../shared/lambda/request-fields.ts";
import {
  byName,
  byPartition,
  captureErrors,
  commit,
  int64,
  selection,
  snapshotStatus,
  trigger,
  warnings,
} from "../shared/lambda/result-fields.ts";

export const request = z.strictObject({
  snapshot_id: described(snapshotRef, "The snapshot: an id, `latest`, or the newest at or before a time."),
  groups: described(z.optional(selectors), "Only these groups: names, or patterns with `*` and `?`."),
  topics: described(z.optional(topicSelectors), "Only commits on these topics: names, or patterns with `*` and `?`."),
  format: described(z._default(z.literal("json", { error: 'must be "json"' }), "json"), "The format of the document."),
});

/** The snapshot document, or a part of it. */
export const result = /* @__PURE__ */ unbundled(() =>
  z.strictObject({
    snapshot_id: described(z.string(), "The id of the snapshot."),
    description: described(z.string(), "What its caller wrote."),
    created_at: described(z.string(), "When it was taken."),
    consumer_groups: described(
      byPartition(commit),
      "Commits by group and topic-partition. A group without commits has no partitions.",
    ),
    schema_version: described(z.int(), "The version of the document."),
    status: described(
      snapshotStatus,
      "`complete`: every selected group is in it; `partial`: the groups in `errors` are not.",
    ),
    errors: described(captureErrors, "The groups that could not be captured, and why."),
    warnings: described(warnings, "What may be missing or unknown, in sentences."),
    trigger: described(trigger, "What it was taken by."),
    schedule: described(
      z.optional(z.strictObject({ name: z.string(), execution_id: z.string(), scheduled_time: z.string() })),
      "The schedule's execution that took it.",
    ),
    selection: described(selection, "The groups that were asked for, and those excluded."),
    cluster: described(
      z.strictObject({ name: z.string(), cluster_id: z.nullable(z.string()) }),
      "The deployment's name for the Kafka cluster, and Kafka's own id.",
    ),
    observed: described(
      z.strictObject({
        groups: byName(
          z.strictObject({
            type: z.nullable(z.string()),
            state: z.nullable(z.string()),
            members: z.nullable(z.int()),
            protocol_type: z.nullable(z.string()),
            as_of: z.nullable(z.string()),
          }),
        ),
        topics: byName(
          z.nullable(
            z.strictObject({
              topic_id: z.nullable(z.string()),
              partitions: byName(
                z.strictObject({
                  log_start_offset: z.nullable(int64),
                  log_end_offset: z.nullable(int64),
                  leader_epoch: z.nullable(z.int()),
                }),
              ),
            }),
          ),
        ),
      }),
      "Groups and topics as they were then; null is not known.",
    ),
  }),
);
export type ShowResult = z.output<typeof result>;

export const summary = "Shows a snapshot's document, or the part of it that the request names.";
export const routes: readonly Route[] = [{ method: "GET", path: "/snapshots/{snapshot_id}" }];
