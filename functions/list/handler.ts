import type { Encoded } from "../shared/lambda/result-fields.ts";
import { operation } from "../shared/operation.ts";
import type { OnlyFilters } from "../shared/storage/index-entry.ts";
import { measurementsOf } from "./measure.ts";
import { type ListResult, request } from "./schema.ts";

/** Lists snapshots, newest first. */
export const handler = operation({
  name: "list",
  request,
  async run(wanted, { storage, deadline, measure }): Promise<Encoded<ListResult>> {
    const { limit, next_token: nextToken, since, until, ...filters } = wanted;
    filters satisfies OnlyFilters<typeof filters>;
    const page = await storage.snapshots.list({ limit, nextToken, since, until, filters }, deadline);
    measure(measurementsOf(wanted, page.entries, Date.now()));
    return {
      snapshots: page.entries.map((entry) => ({
        snapshot_id: entry.snapshotId,
        created_at: entry.createdAt,
        description: entry.description,
        status: entry.status,
        groups: entry.groups,
        offsets: entry.offsets,
        trigger: entry.trigger,
        schedule: entry.schedule,
        labels: entry.labels,
        held: entry.hold && true,
        at_risk: entry.atRisk,
        kept_by: entry.keptBy && [...entry.keptBy],
        expires_at: entry.expiresAt,
      })),
      warnings: page.warnings,
      next_token: page.nextToken,
    };
  },
});
