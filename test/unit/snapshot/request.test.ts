import { describe, expect, test } from "vitest";
import { InvalidRequest } from "../../../functions/shared/core/errors.ts";
import { compileSelection } from "../../../functions/shared/core/selectors.ts";
import { parseRequest } from "../../../functions/shared/lambda/handler.ts";
import { request } from "../../../functions/snapshot/schema.ts";

/** What is wrong with a request, and how many milliseconds of this thread it took to say so. */
function problemsOf(fields: object) {
  const before = process.threadCpuUsage();
  let problems: unknown;
  try {
    parseRequest(request, fields);
  } catch (error) {
    if (!(error instanceof InvalidRequest)) throw error;
    problems = error.details?.problems;
  }
  return { problems, ms: process.threadCpuUsage(before).user / 1_000 };
}

const longest = 32_767;

describe("a request for a snapshot", () => {
  test("is refused if it excludes a group that it names", () => {
    expect(problemsOf({ groups: ["a", "b*"], exclude: ["a*"] }).problems).toEqual([
      'exclude: excludes "a", named in groups',
    ]);
  });

  test("is refused as a dry run of a schedule, and for what else is wrong with it", () => {
    const schedule = { name: "hourly", execution_id: "1", scheduled_time: "2025-01-15T10:30:00Z" };
    expect(problemsOf({ groups: ["a"], exclude: ["a"], dry_run: true, schedule }).problems).toEqual([
      "schedule: is of no dry run: leave one of them out",
      'exclude: excludes "a", named in groups',
    ]);
  });

  test.each([
    [
      "201 patterns",
      Array.from({ length: 201 }, (_, i) => `*${i}`),
      "exclude: has 201 patterns; at most 200 are allowed",
    ],
    [
      "six patterns of 16,000 characters",
      Array.from({ length: 6 }, (_, i) => `${"*a".repeat(8_000)}${i}`),
      "exclude: has 96006 characters in patterns; at most 5000 are allowed",
    ],
    [
      "16 names of 32,767 characters",
      Array.from({ length: 16 }, (_, i) => `${i}`.padEnd(longest, "-")),
      "exclude: has 524272 characters; at most 500000 are allowed",
    ],
  ])("is refused with %s, before they are matched", (_what, exclude, problem) => {
    const { problems, ms } = problemsOf({ groups: ["a".repeat(longest)], exclude });
    expect(problems).toEqual([problem]);
    expect(ms).toBeLessThan(500);
  });

  test("is refused with all that is wrong with its labels, and with the rest", () => {
    const labels = { env: "production", "1x": "a", "a:b": "", ["k".repeat(65)]: "x\ny", n: 5, long: "ü".repeat(129) };
    const key = 'must have a key of 1 to 64 letters, digits, ".", "_", "/" and "-", a letter first';
    const text = "must be a text of 1 to 128 characters, without control characters";
    expect(problemsOf({ labels, groups: ["a"], exclude: ["a"], hold: "yes" }).problems).toEqual([
      `labels.1x: ${key}`,
      `labels.a:b: ${key}`,
      `labels.a:b: ${text}`,
      `labels.${"k".repeat(65)}: ${key}`,
      `labels.${"k".repeat(65)}: ${text}`,
      `labels.n: ${text}`,
      `labels.long: ${text}`,
      expect.stringMatching(/^hold: /),
    ]);
    // Across the fields, too: labels that are wrong do not hide it.
    expect(problemsOf({ labels: {}, groups: ["a"], exclude: ["a"] }).problems).toEqual([
      "labels: names nothing: leave it out",
      'exclude: excludes "a", named in groups',
    ]);
  });

  test("has at most 16 labels, with any text without control characters as values", () => {
    const many = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, "x"]));
    expect(problemsOf({ labels: many(17) }).problems).toEqual(["labels: has 17 labels; at most 16 are allowed"]);
    expect(problemsOf({ labels: many(16) }).problems).toBeUndefined();
    for (const labels of [[], "env=a", null]) {
      expect(problemsOf({ labels }).problems).toEqual(['labels: must be an object such as {"env": "production"}']);
    }
    expect(problemsOf({ labels: JSON.parse('{"__proto__": "x"}') }).problems).toEqual([
      expect.stringMatching(/^labels\.__proto__: must have a key/),
    ]);
    const value = 'https://x/?a="b"&c=\\d, \u{1F680}';
    expect(parseRequest(request, { labels: { "a/b.c_d-E9": value, constructor: "x" } }).labels).toEqual(
      new Map([
        ["a/b.c_d-E9", value],
        ["constructor", "x"],
      ]),
    );
  });

  test.each([
    ["stars", `${"*a".repeat(2_499)}b`],
    ["one long part", `*${"a".repeat(4_998)}b`],
    ["question marks", `*${"?".repeat(4_998)}b`],
  ])(
    "with as many and as long names and patterns as are allowed is checked in less than a second: %s",
    (_what, pattern) => {
      const groups = Array.from({ length: 15 }, (_, i) => `${"a".repeat(longest - 2)}${10 + i}`);
      const { problems, ms } = problemsOf({ groups, exclude: [pattern] });
      expect(problems).toBeUndefined();
      expect(ms).toBeLessThan(1_000);
    },
  );

  test("with the longest patterns is matched with the longest names of a cluster in milliseconds", () => {
    const picks = compileSelection({ groups: [`*${"a?".repeat(2_499)}b`], exclude: [`*${"a".repeat(4_998)}b`] });
    const before = process.threadCpuUsage();
    expect(picks("a".repeat(longest))).toBe(false);
    expect(process.threadCpuUsage(before).user).toBeLessThan(300_000);
  });
});
