import { type Snapshot, statusOf, topicsOf } from "../shared/core/model.ts";
import { restrict } from "../shared/core/restrict.ts";
import { snapshotDocument } from "../shared/core/snapshot.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import { operation } from "../shared/operation.ts";
import { request, type ShowResult } from "./schema.ts";

/** Shows a snapshot's document, or the part of it that was asked for. */
export const handler = operation({
  name: "show",
  request,
  async run({ snapshot_id, groups, topics }, { storage, deadline }): Promise<Encoded<ShowResult>> {
    const { snapshot, warnings } = await storage.snapshots.open(snapshot_id, groups, deadline);
    const part = restrict(snapshot, { groups, topics });
    const shown: Snapshot = {
      ...snapshot,
      consumerGroups: part.commits,
      errors: part.errors,
      warnings: [...snapshot.warnings, ...warnings, ...part.warnings],
    };
    const document = (of: Snapshot) => ({ ...snapshotDocument.encode(of), status: statusOf(snapshot) });
    if (groups === undefined && topics === undefined) return document(shown);
    const names = topicsOf(part.commits);
    const observed = {
      groups: new Map([...snapshot.observed.groups].filter(([group]) => part.commits.has(group))),
      topics: new Map([...snapshot.observed.topics].filter(([topic]) => names.has(topic))),
    };
    return document({ ...shown, observed });
  },
});
