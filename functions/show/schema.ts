import * as z from "zod/mini";
import { described, optional, type Route, resultObject } from "../shared/lambda/documentation.ts";
import { restriction, snapshot } from "../shared/lambda/request-fields.ts";
import * as fields from "../shared/lambda/result-fields.ts";
import { byName, byPartition, commit, int64, int64OrNull, textOrNull } from "../shared/lambda/result-fields.ts";

export const request = z.strictObject({
  snapshot_id: snapshot,
  ...restriction,
  format: described(z._default(z.literal("json", { error: 'must be "json"' }), "json"), "The format of the document."),
});

const observedGroup = () =>
  z.strictObject({
    type: textOrNull,
    state: textOrNull,
    members: z.nullable(z.int()),
    protocol_type: textOrNull,
    protocol: textOrNull,
    as_of: textOrNull,
    pending: z.optional(z.array(z.string())),
    negative: z.optional(byName(int64)),
  });

const observedTopic = () =>
  z.strictObject({
    topic_id: textOrNull,
    partitions: byName(
      z.strictObject({ log_start_offset: int64OrNull, log_end_offset: int64OrNull, leader_epoch: z.nullable(z.int()) }),
    ),
  });

const selection = () => {
  const selectors = z.array(z.union([z.string(), z.strictObject({ name: z.string() })]));
  return z.strictObject({ groups: selectors, exclude: selectors });
};

/** The snapshot document, or a part of it, with its fields in the order that they have there. */
export const result = /* @__PURE__ */ resultObject(() => ({
  snapshot_id: fields.snapshotId,
  description: fields.description,
  created_at: fields.aboutSnapshot.created_at,
  consumer_groups: described(
    byPartition(commit),
    "Commits by group and topic-partition. A group without commits has no partitions.",
  ),
  schema_version: described(z.int(), "The version of the document."),
  status: fields.aboutSnapshot.status,
  ...fields.problemsOfSnapshot,
  trigger: fields.trigger,
  schedule: optional(
    z.strictObject({ name: z.string(), execution_id: z.string(), scheduled_time: z.string() }),
    "The schedule's execution that took it.",
  ),
  selection: described(selection(), "The groups that were asked for, and those excluded."),
  cluster: described(
    z.strictObject({ name: z.string(), cluster_id: textOrNull }),
    "The deployment's name for the Kafka cluster, and Kafka's own id.",
  ),
  observed: described(
    z.strictObject({ groups: byName(observedGroup()), topics: byName(z.nullable(observedTopic())) }),
    "Groups and topics as they were then; null is not known.",
  ),
}));
export type ShowResult = z.output<typeof result>;

export const summary = "Shows a snapshot's document, or the part of it that the request names.";
export const routes: readonly Route[] = [{ method: "GET", path: "/snapshots/{snapshot_id}" }];
