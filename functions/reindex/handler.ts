import type { Encoded } from "../shared/lambda/result-fields.ts";
import { operation } from "../shared/operation.ts";
import { type ReindexResult, request } from "./schema.ts";

/** Makes the index again from the bodies of the snapshots. */
export const handler = operation({
  name: "reindex",
  request,
  hasEffects: true,
  async run({ dry_run }, { storage, deadline, log }): Promise<Encoded<ReindexResult>> {
    const { indexed, added, repaired, orphanRows, unreadable, remaining, warnings } = await storage.reindex(
      dry_run,
      deadline,
    );
    if (!dry_run) log.info("index made again", { indexed, added: added.length, repaired: repaired.length, remaining });
    return { indexed, added, repaired, orphan_rows: orphanRows, unreadable, remaining, warnings, dry_run };
  },
});
