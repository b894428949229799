import * as z from "zod/mini";
import { importFormats } from "../shared/core/formats/names.ts";
import { described, optional, type Route, resultObject } from "../shared/lambda/documentation.ts";
import { description, groupMap, label, marks, selectors } from "../shared/lambda/request-fields.ts";
import * as fields from "../shared/lambda/result-fields.ts";

export const request = z
  .strictObject({
    format: described(z.enum(importFormats), "The format of the content."),
    content: optional(
      // The media type says that it is the content of a file: the command line reads it from one.
      z
        .string()
        .check(
          z.minLength(1, { error: "is empty: there is nothing to import" }),
          z.meta({ contentMediaType: "text/plain" }),
        ),
      "The content itself. A request of Lambda has at most 6 MB; for more, use `snapshot_url`.",
    ),
    snapshot_url: optional(
      z.string().check(z.maxLength(2_048), z.regex(/^s3:\/\/[^/]+\/.+$/, 'must look like "s3://bucket/imports/name"')),
      "The content as an object in the deployment's own bucket, below `imports/`: at most 64 MB, also after gzip.",
    ),
    source: optional(label(1024), "What the content is, such as the name of a file. It is kept with the snapshot."),
    groups: optional(
      selectors,
      "Only these groups of the content: names, or patterns with `*` and `?`. The one group of content that names none.",
    ),
    group_map: optional(
      groupMap,
      "For groups of the content, the groups that get their commits: names, or patterns with one `*` on both sides.",
    ),
    description: described(z._default(description, ""), "A text that is kept with the snapshot."),
    ...marks,
    dry_run: described(z._default(z.boolean(), false), "Whether to answer what would be written, and write nothing."),
  })
  .check(
    z.superRefine(({ content, snapshot_url }, context) => {
      if ((content === undefined) !== (snapshot_url === undefined)) return;
      const message = "give either content or snapshot_url";
      context.addIssue({ code: "custom", path: ["content"], message });
    }),
  );

/** An import's request, read. */
export type Request = z.output<typeof request>;

/** The snapshot, or in a dry run the one that would be written. */
export const result = /* @__PURE__ */ resultObject(() => ({
  snapshot_id: described(fields.textOrNull, "The id of the snapshot; null in a dry run."),
  created_at: described(fields.textOrNull, "When it was imported; null in a dry run."),
  description: fields.description,
  status: fields.aboutSnapshot.status,
  ...fields.sizeOfSnapshot,
  ...fields.problemsOfSnapshot,
  skipped: described(
    z.array(z.strictObject({ line: z.nullable(z.int()), message: z.string() })),
    "Lines that add nothing, and why. The line is null in JSON, where the message has the path.",
  ),
  ...fields.marksOfSnapshot,
  source: described(fields.importSource, "What was imported."),
  dry_run: described(z.boolean(), "Whether nothing was written."),
  consumer_groups: optional(
    fields.byPartition(fields.commit),
    "In a dry run: the commits that the snapshot would have, by group and topic-partition.",
  ),
}));
export type ImportResult = z.output<typeof result>;

export const summary =
  "Makes a snapshot of this cluster from offsets in the format of another tool, or from a document.";
export const routes: readonly Route[] = [];
