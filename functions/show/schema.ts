import * as z from "zod/mini";
import { textFormats } from "../shared/core/formats/names.ts";
import { described, optional, type Route, resultObject } from "../shared/lambda/documentation.ts";
import { restriction, snapshot } from "../shared/lambda/request-fields.ts";
import * as fields from "../shared/lambda/result-fields.ts";
import { byName, byPartition, commit, int64, int64OrNull, textOrNull } from "../shared/lambda/result-fields.ts";

/** The formats that are not the result itself. A page is always a link: a browser opens it. */
const fileFormats = [...textFormats, "html"] as const;
export type FileFormat = (typeof fileFormats)[number];

export const request = z.strictObject({
  snapshot_id: snapshot,
  ...restriction,
  format: described(
    z._default(z.enum(["json", ...fileFormats]), "json"),
    "`json`: the document itself. `html`: a link to a page. Any other: `content` in that format, or over 5 MB a link to it.",
  ),
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
export const documentResult = /* @__PURE__ */ resultObject(() => ({
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
  at_risk: fields.atRisk,
  source: optional(
    fields.importSource,
    "What it was imported from: name, format, SHA-256, and what the content says of itself.",
  ),
  ...fields.marksOfSnapshot,
  hold: optional(
    z.strictObject({ at: textOrNull, by: textOrNull, by_proven: z.boolean(), reason: textOrNull }),
    "Since when, by whom and why it is held now. `by_proven`: API Gateway has established who; otherwise it is claimed.",
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
export type DocumentResult = z.output<typeof documentResult>;

/** The snapshot in another format. */
export const formatResult = /* @__PURE__ */ resultObject(() => ({
  snapshot_id: fields.snapshotId,
  format: described(z.enum(fileFormats), "The format of the content."),
  content_type: described(z.string(), "The media type of the content, for a file or a browser."),
  content: optional(
    z.string(),
    "The snapshot in that format. Absent where it is over 5 MB, and for `html`: then `result_url` gives it.",
  ),
  result_url: optional(z.string(), "A link to the content itself. Everyone who has it can read it until it expires."),
  expires_in_seconds: optional(z.int(), "How long the link can be used."),
  warnings: described(fields.sentences, "What the snapshot lacks, and what the format has no place for, in sentences."),
}));
export type FormatResult = z.output<typeof formatResult>;

export const result = /* @__PURE__ */ z.union([documentResult, formatResult]);

export const summary = "Shows a snapshot's document, or the part of it that the request names.";
export const routes: readonly Route[] = [{ method: "GET", path: "/snapshots/{snapshot_id}" }];
