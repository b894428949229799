import * as z from "zod/mini";
import { type Snapshot, statusOf, topicsOf } from "../shared/core/model.ts";
import { restrict } from "../shared/core/restrict.ts";
import { snapshotDocument } from "../shared/core/snapshot.ts";
import { archiveSettings } from "../shared/lambda/config.ts";
import { operation } from "../shared/lambda/operation.ts";
import { selectors, snapshotRef, topicSelectors } from "../shared/lambda/request-fields.ts";
import { createArchive } from "../shared/storage/snapshots.ts";

/** What a show request may say. */
export const request = z.strictObject({
  snapshot_id: snapshotRef,
  groups: z.optional(selectors),
  topics: z.optional(topicSelectors),
  format: z._default(z.literal("json", { error: 'must be "json"' }), "json"),
});

/** Shows a snapshot's document, or the part of it that was asked for. */
export const handler = operation({
  name: "show",
  request,
  storeResult: (text, deadline) => createArchive(archiveSettings()).storeResult(text, deadline),
  async run({ snapshot_id, groups, topics }, { deadline }) {
    const archive = createArchive(archiveSettings());
    const snapshot = await archive.load(await archive.resolve(snapshot_id, groups, deadline), deadline);
    const part = restrict(snapshot, { groups, topics });
    const shown: Snapshot = { ...snapshot, consumerGroups: part.commits, errors: part.errors };
    const document = { ...snapshotDocument(shown), status: statusOf(snapshot) };
    if (groups === undefined && topics === undefined) return document;
    const names = topicsOf(part.commits);
    const { observed } = snapshotDocument({
      ...shown,
      observed: {
        groups: new Map([...snapshot.observed.groups].filter(([group]) => part.commits.has(group))),
        topics: new Map([...snapshot.observed.topics].filter(([topic]) => names.has(topic))),
      },
    });
    return { ...document, warnings: [...snapshot.warnings, ...part.warnings], observed };
  },
});
