import { expect, test } from "vitest";
import { executionOf } from "../../../functions/shared/core/execution.ts";

const run = { name: "hourly", executionId: "3a1f", scheduledTime: "2025-01-15T10:30:00Z" };

test("all attempts of a run are the same execution, which no other run is", () => {
  const attempt = { ...run, executionId: "another" };
  expect(executionOf(attempt)).toBe(executionOf(run));
  const others = [
    { ...run, name: "daily" },
    { ...run, scheduledTime: "2025-01-15T11:30:00Z" },
    { ...run, name: 'hourly","2025-01-15T10:30:00Z' },
  ];
  expect(new Set([run, ...others].map(executionOf)).size).toBe(4);
});

test("a run without a time is no execution: none of its deliveries counts as repeated", () => {
  expect(executionOf({ ...run, scheduledTime: "<aws.scheduler.scheduled-time>" })).toBeUndefined();
  expect(executionOf({ ...run, executionId: "<aws.scheduler.execution-id>" })).toBe(executionOf(run));
});
