import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { metrics } from "../../../functions/shared/core/metrics.ts";
import type { ObservedGroup, Snapshot } from "../../../functions/shared/core/model.ts";
import { measurementsOf } from "../../../functions/snapshot/measure.ts";
import { snapshot as anySnapshot } from "../../support/arbitraries.ts";

const commit = (offset: bigint) => ({ offset, metadata: "" });
const group = { type: "classic", state: "Empty", members: 0, protocolType: "", protocol: null, asOf: null };
const scheduled: Snapshot = {
  snapshotId: "snapshot-2025-01-15T10:30:00Z",
  createdAt: "2025-01-15T10:30:00Z",
  description: "",
  trigger: "schedule",
  schedule: { name: "hourly", executionId: "run-1", scheduledTime: "2025-01-15T10:30:00Z" },
  selection: { groups: ["*"], exclude: [] },
  cluster: { name: "local", clusterId: "c" },
  consumerGroups: new Map([
    [
      "orders",
      new Map([
        ["events-0", commit(5n)],
        ["events-1", commit(12n)],
        ["gone-0", commit(1n)],
      ]),
    ],
    ["idle", new Map()],
  ]),
  errors: [],
  warnings: ["one"],
  observed: {
    groups: new Map<string, ObservedGroup>([
      ["orders", { ...group, pending: ["events-0", "events-1"] }],
      ["idle", group],
    ]),
    topics: new Map([
      [
        "events",
        {
          topicId: "id",
          partitions: new Map([0, 1].map((i) => [i, { logStartOffset: 0n, logEndOffset: 10n, leaderEpoch: 0 }])),
        },
      ],
    ]),
  },
};
const risk = {
  below: [{ group: "orders", key: "events-0", offset: 5n, logStart: 7n }],
  soon: [{ group: "orders", key: "events-1", offset: 9n, logStart: 7n }],
  unknown: 4,
};

const figuresOf = (...args: Parameters<typeof measurementsOf>) =>
  Object.fromEntries(measurementsOf(...args).flatMap(({ name, value, by }) => ("status" in by ? [] : [[name, value]])));

describe("the metrics of a snapshot", () => {
  test("of a schedule have its figures, by the schedule's name", () => {
    expect(figuresOf(scheduled, risk, 1_234.5)).toEqual({
      SnapshotGroups: 2,
      SnapshotOffsets: 3,
      SnapshotDuration: 1_235,
      SnapshotWarnings: 1,
      SnapshotPending: 2,
      SnapshotUnlisted: 0,
      Lag: 5, // a commit above the log end has none, and neither has one on a topic that does not exist
      PartitionsBelowLogStart: 1,
      PartitionsAtRisk: 2,
      PartitionsRiskUnknown: 4,
    });
    expect(measurementsOf(scheduled, risk, 0).filter(({ name }) => name === "Snapshots")).toEqual([
      { name: "Snapshots", value: 1, by: { status: "complete" } },
      { name: "Snapshots", value: 1, by: { schedule: "hourly", status: "complete" } },
    ]);
  });

  test("of any other caller count it only", () => {
    const { schedule: _, ...direct } = scheduled;
    const partial = { ...direct, errors: [{ group: "x", error: "KafkaUnavailable", message: "" }] };
    expect(measurementsOf(partial, undefined, 5)).toEqual([{ name: "Snapshots", value: 1, by: { status: "partial" } }]);
  });

  test("have no value for what was not measured, instead of 0", () => {
    const { observed } = scheduled;
    const unknownEnd = { ...scheduled, observed: { ...observed, topics: new Map([["events", null]]) } };
    expect(figuresOf(unknownEnd, undefined, 5)).not.toHaveProperty("Lag");
    expect(figuresOf(unknownEnd, undefined, 5)).not.toHaveProperty("PartitionsAtRisk");
    const named = { ...scheduled, selection: { groups: ["orders", "idle"], exclude: [] } };
    expect(figuresOf(named, risk, 5)).not.toHaveProperty("SnapshotUnlisted");
    const unlisted = { ...scheduled, unlisted: { offsetsPartitions: [3, 4], message: "no leader" } };
    expect(figuresOf(unlisted, risk, 5)).toMatchObject({ SnapshotUnlisted: 2 });
  });

  test("are finite numbers by the dimensions that the table has, for any snapshot", () => {
    fc.assert(
      fc.property(anySnapshot, (snapshot) => {
        for (const { name, value, by } of measurementsOf(snapshot, risk, 1)) {
          expect(Number.isFinite(value) && value >= 0).toBe(true);
          const sets: readonly (readonly string[])[] = metrics[name].by;
          expect(sets).toContainEqual(Object.keys(by));
        }
      }),
    );
  });
});
