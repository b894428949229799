import { expect, test } from "vitest";
import { isRefusal, measurementsOf } from "../../../functions/rollback/measure.ts";
import {
  ClusterMismatch,
  GroupNotEmpty,
  InvalidRequest,
  KafkaUnavailable,
  PlanChanged,
  RollbackBlocked,
  RollbackInProgress,
  SnapshotNotFound,
} from "../../../functions/shared/core/errors.ts";

test("a rollback is counted by its outcome, and once more unless it was a success", () => {
  expect(measurementsOf("success")).toEqual([{ name: "Rollbacks", value: 1, by: { outcome: "success" } }]);
  for (const outcome of ["partial_success", "failed", "interrupted", "refused"] as const) {
    expect(measurementsOf(outcome)).toEqual([
      { name: "Rollbacks", value: 1, by: { outcome } },
      { name: "UnsuccessfulRollbacks", value: 1, by: {} },
    ]);
  }
});

test("a rollback counts as refused because of the state of its groups, not because of its request", () => {
  for (const kind of [RollbackBlocked, GroupNotEmpty, ClusterMismatch, PlanChanged]) {
    expect(isRefusal(new kind("x"))).toBe(true);
  }
  for (const kind of [InvalidRequest, SnapshotNotFound, RollbackInProgress, KafkaUnavailable]) {
    expect(isRefusal(new kind("x"))).toBe(false);
  }
});
