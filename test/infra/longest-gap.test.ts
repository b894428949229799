import { expect, test } from "vitest";
import { longestGap } from "../../infra/longest-gap.ts";

const [minute, hour, day] = [60, 3_600, 86_400];

test.each([
  ["rate(5 minutes)", 5 * minute],
  ["rate(1 hour)", hour],
  ["rate(30 days)", 30 * day],
  ["cron(0/5 * * * ? *)", 5 * minute],
  ["cron(0 * * * ? *)", hour],
  ["cron(10,40 * * * ? *)", 30 * minute],
  ["cron(50 1 * * ? *)", day],
  ["cron(0 8-18 * * ? *)", 14 * hour],
  ["cron(0 8 ? * MON-FRI *)", 3 * day],
  ["cron(0 8-18 ? * 2-6 *)", 2 * day + 14 * hour],
  ["cron(0 8 ? * SAT-MON *)", 5 * day],
  ["cron(0 8 ? * 1 *)", 7 * day],
  ["cron(0 0 1 * ? *)", 31 * day],
  ["cron(0 0 L * ? *)", 31 * day],
  ["cron(0 0 31 * ? *)", 61 * day],
  ["cron(0 0 ? * MON#1 *)", 35 * day],
  ["cron(0 0 ? * 6L *)", 35 * day],
  ["cron(0 0 LW * ? *)", 33 * day],
  ["cron(0 0 1 1,7 ? *)", 184 * day],
  ["cron(0 0 29 2 ? *)", (8 * 365 + 1) * day],
  ["cron(0 0 1 1 ? 2030-2032)", 365 * day],
])("the longest time between two runs of %s is %i s", (expression, seconds) => {
  expect(longestGap(expression)).toBe(seconds);
});

test.each(["at(2030-01-01T00:00:00)", "cron(0 0 1 1 ? 2030)", "cron(0 0 31 2 ? *)"])(
  "%s runs at most once",
  (expression) => {
    expect(longestGap(expression)).toBeUndefined();
  },
);
