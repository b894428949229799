import { expect, test } from "vitest";
import config from "../../vitest.config.ts";

test("suites that run at the same time have equally many workers: otherwise vitest runs no test at all", () => {
  const workers = new Map<number, Set<unknown>>();
  for (const { test } of Object(config).test.projects) {
    const { sequence, maxWorkers, fileParallelism = true } = test;
    const others = workers.get(sequence.groupOrder) ?? [];
    workers.set(sequence.groupOrder, new Set([...others, fileParallelism ? maxWorkers : 1]));
  }
  expect(workers.size).toBeGreaterThan(5);
  for (const [order, different] of workers) expect([order, ...different]).toHaveLength(2);
});
