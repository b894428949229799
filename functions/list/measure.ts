import type { Measurement } from "../shared/core/metrics.ts";
import type { SnapshotEntry } from "../shared/storage/index-entry.ts";
import type { Request } from "./schema.ts";

/**
 * A list of the complete snapshots of a schedule, and of nothing less, shows the age of the newest that has offsets: the
 * stack's alarms request such a list regularly. Where none on the page has offsets, nothing was measured.
 */
export function measurementsOf(
  { limit: _, schedule, status, ...others }: Request,
  entries: readonly Pick<SnapshotEntry, "createdAt" | "offsets">[],
  now: number,
): readonly Measurement[] {
  const isAsked = schedule !== undefined && status === "complete";
  if (!isAsked || Object.values(others).some((value) => value !== undefined)) return [];
  const newest = entries.find(({ offsets }) => offsets > 0);
  if (newest === undefined) return [];
  const age = Math.round((now - Date.parse(newest.createdAt)) / 1_000);
  return [{ name: "SnapshotAge", value: age, by: { schedule } }];
}
