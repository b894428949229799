/** The namespace of all metrics in CloudWatch. */
export const metricsNamespace = "OffsetRollback";

/** How a metric is measured: its unit, the sets of dimensions that it is counted by beside the deployment, what it says. */
interface Definition {
  readonly unit: "Count" | "Seconds" | "Milliseconds";
  readonly by: readonly (readonly Dimension[])[];
  readonly means: string;
}

/**
 * What a metric is counted by: names of schedules of the config, and words of this program. So there are few values. Every
 * metric has the dimension `service` too: the deployment, `<name_prefix>offset-rollback`.
 */
export const dimensions = ["schedule", "status", "outcome", "error"] as const;
export type Dimension = (typeof dimensions)[number];

/** A metric of the scheduled snapshots, by schedule. */
const ofSchedules = (means: string, unit: Definition["unit"] = "Count"): Definition => ({
  unit,
  by: [["schedule"]],
  means,
});

/** All metrics. What could not be measured has no value: it is never 0. */
export const metrics = {
  Snapshots: {
    unit: "Count",
    by: [["status"], ["schedule", "status"]],
    means: "snapshots taken, `complete` or `partial`; by schedule, the scheduled ones",
  },
  SnapshotGroups: ofSchedules("groups in a snapshot"),
  SnapshotOffsets: ofSchedules("committed offsets in a snapshot"),
  SnapshotDuration: ofSchedules("how long a snapshot took", "Milliseconds"),
  SnapshotWarnings: ofSchedules("warnings of a snapshot"),
  SnapshotPending: ofSchedules("partitions with a pending transactional commit"),
  SnapshotUnlisted: ofSchedules("partitions of `__consumer_offsets` whose groups could not be listed"),
  SnapshotAge: ofSchedules("age of the newest complete snapshot of a schedule that has offsets", "Seconds"),
  Lag: ofSchedules("total lag of the groups in a snapshot; absent if a log end is unknown"),
  PartitionsBelowLogStart: ofSchedules("partitions whose saved offset is below the log start"),
  PartitionsAtRisk: ofSchedules("these, and those that will be within `retention_risk_hours`"),
  PartitionsRiskUnknown: ofSchedules("partitions of which that is not known"),
  FailedScheduledSnapshots: { unit: "Count", by: [[]], means: "scheduled snapshots that failed, for any reason" },
  Rollbacks: {
    unit: "Count",
    by: [["outcome"]],
    means: "rollbacks, no dry runs: `success`, `partial_success`, `failed`, `interrupted`, `refused`",
  },
  UnsuccessfulRollbacks: { unit: "Count", by: [[]], means: "the same with any other outcome than `success`" },
  PrunedSnapshots: { unit: "Count", by: [[]], means: "snapshots that `prune` has deleted" },
  PruneLeft: { unit: "Count", by: [[]], means: "deletions that `prune` left: they failed, or the time ended" },
  PruneUnjudged: {
    unit: "Count",
    by: [[]],
    means: "rows and bodies that `prune` kept because one lacks the other, or is damaged: its log names them",
  },
  Errors: { unit: "Count", by: [["error"]], means: "errors of all operations, by name" },
  Faults: {
    unit: "Count",
    by: [[]],
    means: "errors that a caller cannot correct (HTTP 5xx), except those of the two metrics above that page",
  },
} as const satisfies Readonly<Record<string, Definition>>;

export type MetricName = keyof typeof metrics;

/** A value of a metric, and what it is counted by: one of the metric's sets of dimensions. */
export interface Measurement {
  readonly name: MetricName;
  readonly value: number;
  readonly by: { readonly [Name in Dimension]?: string };
}
