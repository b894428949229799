import { expect, test } from "vitest";
import { InvalidExpression, longestGap } from "../../../functions/shared/core/longest-gap.ts";

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

test.each(["at(2030-01-01T00:00:00)", "cron(0 0 1 1 ? 2030)", "cron(0 0 29 2 ? 2097-2105)"])(
  "%s runs at most once",
  (expression) => {
    expect(longestGap(expression)).toBeUndefined();
  },
);

test.each([
  ["cron(60 * * * ? *)", '"60" in its field minutes: must be 0 to 59'],
  ["cron(0 8-24 * * ? *)", '"24" in its field hours: must be 0 to 23'],
  ["cron(0 0 0 * ? *)", '"0" in its field day-of-month: must be 1 to 31'],
  ["cron(0 0 32W * ? *)", '"32" in its field day-of-month: must be 1 to 31'],
  ["cron(0 0 1 13 ? *)", '"13" in its field month: must be 1 to 12, or JAN to DEC'],
  ["cron(0 0 ? * 0 *)", '"0" in its field day-of-week: must be 1 to 7, or SUN to SAT'],
  ["cron(0 0 ? * MON-FOO *)", '"FOO" in its field day-of-week'],
  ["cron(0 0 ? * MON#6 *)", '"6" in its field day-of-week after #: must be 1 to 5'],
  ["cron(0 0 1 1 ? 1969)", '"1969" in its field year: must be 1970 to 2199'],
  ["cron(0/0 * * * ? *)", '"0" in its field minutes: must be 1 to 59'],
  ["cron(0/60 * * * ? *)", '"60" in its field minutes: must be 1 to 59'],
  ["cron(5/ * * * ? *)", '"" in its field minutes'],
  ["cron(1-2-3 * * * ? *)", '"1-2-3" in its field minutes: must be like 5, 5-10, 0/15 or *'],
  ["cron(0/5/5 * * * ? *)", '"0/5/5" in its field minutes: must be like'],
  ["cron(0 0 31 2 ? *)", "names no day that exists"],
  ["cron(0 0 ? * ? *)", 'must be "rate(1 hour)"'],
  ["cron(0 0 1 * 1 *)", 'must be "rate(1 hour)"'],
  ["cron(0 0 1 * ?)", 'must be "rate(1 hour)"'],
  ["rate(0 hours)", 'must be "rate(1 hour)"'],
  ["hourly", 'must be "rate(1 hour)"'],
  ["at(2030-02-30T00:00:00)", "must be a time that exists, without a zone"],
  ["at(2030-01-01T00:00:00Z)", "must be a time that exists, without a zone"],
  ["at(2030-01-01)", "must be a time that exists, without a zone"],
])("%s is refused, with what it must be", (expression, message) => {
  expect(() => longestGap(expression)).toThrow(InvalidExpression);
  expect(() => longestGap(expression)).toThrow(message);
});
