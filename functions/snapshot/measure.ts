import { lagOf, logOf } from "../shared/core/formats/format.ts";
import type { Measurement, MetricName } from "../shared/core/metrics.ts";
import { countOffsets, placeOf, type Snapshot, statusOf } from "../shared/core/model.ts";
import { countRisk, type RetentionRisk } from "../shared/core/retention-risk.ts";
import { compileSelectors } from "../shared/core/selectors.ts";

/** What a snapshot that was taken counts as. Only those of schedules have figures: the others have a reader. */
export function measurementsOf(
  snapshot: Snapshot,
  risk: RetentionRisk | undefined,
  durationMs: number,
): readonly Measurement[] {
  const status = statusOf(snapshot);
  const taken: Measurement = { name: "Snapshots", value: 1, by: { status } };
  if (snapshot.schedule === undefined) return [taken];
  const schedule = snapshot.schedule.name;
  const { consumerGroups, observed, warnings, unlisted, selection } = snapshot;
  const asksForList = compileSelectors(selection.groups).patterns.length > 0;
  const figures: readonly (readonly [MetricName, number | null | undefined])[] = [
    ["SnapshotGroups", consumerGroups.size],
    ["SnapshotOffsets", countOffsets(consumerGroups)],
    ["SnapshotDuration", Math.round(durationMs)],
    ["SnapshotWarnings", warnings.length],
    ["SnapshotPending", [...observed.groups.values()].reduce((n, { pending = [] }) => n + pending.length, 0)],
    ["SnapshotUnlisted", unlisted === undefined && asksForList ? 0 : unlisted?.offsetsPartitions.length],
    ["Lag", totalLag(snapshot)],
    ["PartitionsBelowLogStart", risk?.below.length],
    ["PartitionsAtRisk", risk && countRisk(risk).partitions],
    ["PartitionsRiskUnknown", risk?.unknown],
  ];
  return [
    taken,
    { name: "Snapshots", value: 1, by: { schedule, status } },
    ...figures.flatMap(([name, value]) =>
      value === undefined || value === null ? [] : [{ name, value, by: { schedule } }],
    ),
  ];
}

/** The lag of all commits on topics that exist; null where a log end is not known. A commit above the log end has none. */
function totalLag(snapshot: Snapshot): number | null {
  let total = 0n;
  for (const commits of snapshot.consumerGroups.values()) {
    for (const [key, { offset }] of commits) {
      const { topic, partition } = placeOf(key);
      if (!snapshot.observed.topics.has(topic)) continue;
      const lag = lagOf(offset, logOf(snapshot, topic, partition));
      if (lag === null) return null;
      if (lag > 0n) total += lag;
    }
  }
  return Number(total);
}
