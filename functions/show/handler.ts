import { type Snapshot, statusOf, topicsOf } from "../shared/core/model.ts";
import { restrict } from "../shared/core/restrict.ts";
import { snapshotDocument } from "../shared/core/snapshot.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import { operation } from "../shared/operation.ts";
import type { SnapshotEntry } from "../shared/storage/index-entry.ts";
import { type DocumentResult, type FormatResult, request } from "./schema.ts";

/** Shows a snapshot's document, or the part of it that was asked for, in the format that was asked for. */
export const handler = operation({
  name: "show",
  request,
  async run(
    { snapshot_id, groups, topics, format },
    { storage, deadline },
  ): Promise<Encoded<DocumentResult> | Encoded<FormatResult>> {
    const { snapshot, entry, warnings } = await storage.snapshots.open(snapshot_id, groups, deadline);
    const part = restrict(snapshot, { groups, topics });
    const names = topicsOf(part.commits);
    const isWhole = groups === undefined && topics === undefined;
    const shown: Snapshot = {
      ...snapshot,
      consumerGroups: part.commits,
      errors: part.errors,
      warnings: [...snapshot.warnings, ...warnings, ...part.warnings],
      observed: isWhole
        ? snapshot.observed
        : {
            groups: new Map([...snapshot.observed.groups].filter(([group]) => part.commits.has(group))),
            topics: new Map([...snapshot.observed.topics].filter(([topic]) => names.has(topic))),
          },
    };
    const document = () => ({ ...snapshotDocument.encode(shown), status: statusOf(snapshot), ...marks(entry) });
    if (format === "json") return document();
    if (format === "html") {
      const { htmlReport } = await import("../shared/report/html.ts");
      const content_type = "text/html; charset=utf-8";
      const { url, expiresInSeconds } = await storage.storeResult(
        htmlReport("show", document()),
        content_type,
        deadline,
      );
      return {
        snapshot_id: snapshot.snapshotId,
        format,
        content_type,
        content: undefined,
        result_url: url,
        expires_in_seconds: expiresInSeconds,
        warnings: shown.warnings,
      };
    }
    const { exportSnapshot } = await import("../shared/core/formats/export.ts");
    const exported = exportSnapshot(format, shown, groups);
    return {
      snapshot_id: snapshot.snapshotId,
      format,
      content_type: exported.contentType,
      content: exported.content,
      result_url: undefined,
      expires_in_seconds: undefined,
      warnings: [...shown.warnings, ...exported.warnings],
    };
  },
});

/** Whether it is held now, and since when, by whom and why. */
function marks({ hold }: SnapshotEntry): Pick<Encoded<DocumentResult>, "held" | "hold"> {
  if (hold === undefined) return { held: undefined, hold: undefined };
  const { at, by, byProven, reason } = hold;
  return { held: true, hold: { at, by, by_proven: byProven, reason } };
}
