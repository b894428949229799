import { describe, expect, test } from "vitest";
import { onTopics, topicProblems, topicWarnings } from "../../../functions/shared/core/topics.ts";
import { at } from "../../support/states.ts";

const commitsOf = (...keys: string[]) => new Map([["g", new Map(keys.map((key) => [key, at(1n)]))]]);
const commits = commitsOf("t-0", "t-1", "t-10", "t-1-0", "u-1");
const left = (...topics: string[]) => [...(onTopics(commits, topics).get("g")?.keys() ?? [])];

describe("onTopics", () => {
  test("returns commits unchanged if no topics are named", () => {
    expect(onTopics(commits, undefined)).toBe(commits);
  });
  test("keeps groups whose commits are all on other topics", () => {
    expect(onTopics(commits, ["z"])).toEqual(new Map([["g", new Map()]]));
  });
  test.each([
    [["t"], ["t-0", "t-1", "t-10"]],
    [["t:1"], ["t-1"]],
    [["t:0,10"], ["t-0", "t-10"]],
    [
      ["t:0", "t:1"],
      ["t-0", "t-1"],
    ],
    [
      ["t:0", "t"],
      ["t-0", "t-1", "t-10"],
    ],
    [["t-1:0"], ["t-1-0"]],
    [
      ["t:1", "u:1"],
      ["t-1", "u-1"],
    ],
    [["*:1"], ["t-1", "u-1"]],
    [["t*:0,1"], ["t-0", "t-1", "t-1-0"]],
    [["t:2"], []],
  ])("%j leaves %j", (topics, expected) => {
    expect(left(...topics)).toEqual(expected);
  });
  test("reads a name in an object literally", () => {
    expect(onTopics(commits, [{ name: "t" }]).get("g")?.size).toBe(3);
  });
});

describe("topicWarnings", () => {
  const warnings = (...topics: string[]) => topicWarnings(topics, [commitsOf("t-0"), commits], "s");

  test("picks groups without commits if no topics are named", () => {
    expect(topicWarnings(undefined, [], "s")).toEqual([]);
  });
  test("names patterns that match no topic, and partitions that none has, beside others that match", () => {
    expect(warnings("t", "z*", "?:1,4,5", "y*:0")).toEqual([
      'The pattern "z*" matches no topic.',
      'No partition matches "?:4", "?:5", "y*:0".',
    ]);
  });
  test("refuses a topic without commits", () => {
    expect(() => warnings("t", "v")).toThrow(
      /^InvalidRequest: topics: in s no selected group has a commit on "v"; there are commits on "t", "t-1", "u"\./,
    );
    expect(() => topicWarnings(["t"], [], "s")).toThrow(/there are commits on no topic\./);
  });
  test("refuses a partition without commits, and names the partitions of its topic", () => {
    expect(() => warnings("u", "t:1,2,3")).toThrow(
      /no selected group has a commit on "t:2", "t:3"; .* on "t:0,1,10"\./,
    );
    expect(() => warnings("v:0")).toThrow(/a commit on "v:0"; there are commits on "t", "t-1", "u"\./);
  });
  test("names the first 20 partitions of a topic, in order", () => {
    const first = (n: number) => Array.from({ length: n }, (_, i) => i);
    const keys = (n: number) => first(n).map((i) => `t-${n - 1 - i}`);
    const naming = (n: number) => () => topicWarnings(["t:99"], [commitsOf(...keys(n))], "s");
    expect(naming(3)).toThrow('there are commits on "t:0,1,2".');
    expect(naming(20)).toThrow(`there are commits on "t:${first(20)}".`);
    expect(naming(21)).toThrow(`there are commits on "t:${first(20)},…".`);
  });
  test("refuses patterns if none matches, and an empty list", () => {
    expect(() => warnings("z*")).toThrow(/^InvalidRequest: topics: in s no selected .*"z\*"/);
    expect(() => warnings("t*:7")).toThrow(/^InvalidRequest: topics: in s no selected .*"t\*:7"; .* "t", "t-1", "u"/);
    expect(() => warnings()).toThrow(/^InvalidRequest: topics: /);
  });
  test("looks up 10,000 partitions in milliseconds", () => {
    const keys = Array.from({ length: 10_000 }, (_, i) => i);
    const all = commitsOf(...keys.map((i) => `t-${i}`));
    const started = performance.now();
    expect(topicWarnings([`t:${keys}`], [all], "s")).toEqual([]);
    expect(onTopics(all, [`t:${keys}`]).get("g")?.size).toBe(10_000);
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});

describe("topicProblems", () => {
  test.each([["orders"], ["orders*"], ["orders:0"], ["orders:0,3,2147483647"], ["o?ders:7"], ["a.b_c-d:1"]])(
    "accepts %j",
    (selector) => {
      expect(topicProblems(selector)).toEqual([]);
      expect(topicProblems({ name: "orders" })).toEqual([]);
    },
  );
  const number = "is not a number from 0 to 2147483647";
  test.each([
    ["a b", ['"a b" cannot be a topic: letters, digits, ".", "_" and "-", at most 249 of them']],
    [":0", [expect.stringMatching(/^"" cannot be a topic/)]],
    ["t:", [`partition "" ${number}`]],
    ["t:0,,1-2,x,-1,01,+1,2147483648", [`partition "", "1-2", "x" and 4 more ${number}`]],
    ["t:3,0,3,3,0", ['partition "3", "0" is named twice']],
    ["t u:0,0,x", [expect.stringMatching(/^"t u"/), `partition "x" ${number}`, 'partition "0" is named twice']],
    ["t:0:1", [`partition "0:1" ${number}`]],
    ["t".repeat(250), [expect.stringMatching(/at most 249/)]],
  ])("says everything that is wrong with %j", (selector, problems) => {
    expect(topicProblems(selector)).toEqual(problems);
  });
  test("refuses wildcards and partitions in a literal name", () => {
    expect(topicProblems({ name: "t*" })).toHaveLength(1);
    expect(topicProblems({ name: "t:0" })).toHaveLength(1);
  });
});
