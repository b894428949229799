import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InvalidRequest } from "../../../functions/shared/core/errors.ts";
import { entryProblem, groupsIn, mapGroups } from "../../../functions/shared/core/group-map.ts";
import { restrict } from "../../../functions/shared/core/restrict.ts";
import { groupName } from "../../support/arbitraries.ts";
import { at, snapshotOf } from "../../support/states.ts";

const partOf = (...groups: string[]) =>
  restrict(snapshotOf(new Map(groups.map((group) => [group, new Map([["t-0", at(1n)]])]))), {});
const mapOf = (entries: Record<string, string>) => new Map(Object.entries(entries));
/** The target of each group. */
const mapped = (groups: string[], entries: Record<string, string>) =>
  Object.fromEntries(
    [...mapGroups(partOf(...groups), mapOf(entries)).sources].map(([target, group]) => [group, target]),
  );

describe("an entry of a group map", () => {
  test.each([
    ["a", "b"],
    ["a*", "b"], // the name of a group may have a star
    ["a", "b*"],
    ["a?", "b"],
    ["orders-*", "orders-*-v2"],
    ["*", "*?"],
  ])("may be %j: %j", (source, target) => {
    expect(entryProblem(source, target)).toBeUndefined();
  });
  test.each([
    ["a", "a", /^maps the group onto itself/],
    ["a*", "a*", /^maps the group onto itself/],
    ["a**", "b*", /exactly one \* in the source and one in the target/],
    ["a*b*", "*", /exactly one/],
    ["a*", "b**", /exactly one/],
    ["a?*", "b*", /no \? in the source/],
  ])("cannot be %j: %j", (source, target, problem) => {
    expect(entryProblem(source, target)).toMatch(problem);
  });
  test("is a selector: a pattern if both sides have a star, else a literal name", () => {
    expect(groupsIn(mapOf({ a: "b", "c*": "d*", "e*": "f", "42": "g" }))).toEqual([
      { name: "42" },
      { name: "a" },
      "c*",
      { name: "e*" },
    ]);
  });
});

describe("mapGroups", () => {
  const lost = { group: "lost", error: "KafkaAuthorization", message: "no right" };
  const snapshot = snapshotOf(
    new Map([
      ["a", new Map([["t-0", at(1n)]])],
      ["b", new Map([["t-0", at(2n)]])],
    ]),
    { errors: [lost] },
  );
  const part = restrict(snapshot, {});

  test("renames every group, including those that were not captured, and records their names in the snapshot", () => {
    const result = mapGroups(part, mapOf({ a: "c", b: "d", lost: "found" }));
    expect(result.commits).toEqual(
      new Map([
        ["c", new Map([["t-0", at(1n)]])],
        ["d", new Map([["t-0", at(2n)]])],
      ]),
    );
    expect(result.errors).toEqual([{ ...lost, group: "found" }]);
    expect(result.sources).toEqual(mapOf({ c: "a", d: "b", found: "lost" }));
    expect(result.warnings).toBe(part.warnings);
    expect(part.sources.size).toBe(0);
  });

  test("accepts names that JavaScript objects treat specially", () => {
    const odd = mapGroups(partOf("__proto__", "42"), new Map([...mapOf({ "42": "constructor" }), ["__proto__", "7"]]));
    expect(odd.sources).toEqual(mapOf({ "7": "__proto__", constructor: "42" }));
    const pattern = mapGroups(partOf("__proto__"), mapOf({ "__*__": "__*__-v2" }));
    expect(pattern.sources).toEqual(new Map([["__proto__-v2", "__proto__"]]));
  });

  test("puts the text of the star of a pattern in the place of the star of its target", () => {
    expect(mapped(["orders-a", "orders-", "orders-*"], { "orders-*": "v2-*-x" })).toEqual({
      "orders-a": "v2-a-x",
      "orders-": "v2--x",
      "orders-*": "v2-*-x",
    });
    expect(mapped(["a-$&-b"], { "a*b": "c*d" })).toEqual({ "a-$&-b": "c-$&-d" });
    expect(() => mapped(["aba"], { "ab*ba": "c*" })).toThrow(/selected, but without a target: "aba"/);
  });

  test("uses for each group the pattern that matches it", () => {
    expect(mapped(["orders-a", "billing-a"], { "billing-*": "b-*", "orders-*": "o-*" })).toEqual({
      "orders-a": "o-a",
      "billing-a": "b-a",
    });
  });

  test("accepts a target of 32,767 characters, the longest name of a group", () => {
    const [target] = Object.values(mapped(["a".repeat(7)], { "*": `*${"b".repeat(32_760)}` }));
    expect(target).toHaveLength(32_767);
  });

  test("prefers the name of a group to patterns, and accepts patterns that agree", () => {
    expect(mapped(["orders-a", "orders-b"], { "orders-*": "x-*", "orders-b": "y" })).toEqual({
      "orders-a": "x-a",
      "orders-b": "y",
    });
    expect(mapped(["orders-ab"], { "orders-*": "x-*", "orders-a*": "x-a*" })).toEqual({ "orders-ab": "x-ab" });
  });

  test("reports all problems at once", () => {
    const wrong = mapOf({ a: "x", b: "x", strange: "y", other: "y", "none*": "z*" });
    try {
      mapGroups(part, wrong);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidRequest);
      expect(error).toMatchObject({
        message:
          'InvalidRequest: group_map: selected, but without a target: "lost"; not selected: "strange", "other", "none*"; ' +
          'target of more than one group: "x". Nothing was changed.',
        details: {
          problems: [
            'group_map: selected, but without a target: "lost"',
            'group_map: not selected: "strange", "other", "none*"',
            'group_map: target of more than one group: "x"',
          ],
        },
      });
    }
  });

  test.each<[string, string[], Record<string, string>, RegExp]>([
    ["a group without a target", ["a", "b"], { a: "x" }, /selected, but without a target: "b"/],
    ["a group that is not selected", ["a"], { a: "x", c: "w" }, /not selected: "c"/],
    ["a pattern that matches no group that is selected", ["a"], { a: "x", "c*": "w*" }, /not selected: "c\*"/],
    ["a target named twice", ["a", "b"], { a: "x", b: "x" }, /target of more than one group: "x"/],
    [
      "two groups that a pattern and a name put onto one",
      ["a1", "b"],
      { "a*": "x*", b: "x1" },
      /target of more than one group: "x1"/,
    ],
    [
      "two targets for one group",
      ["ab"],
      { "a*": "x*", "*b": "y*" },
      /with different targets by several patterns \(map by name\): "ab"/,
    ],
    [
      "a target of an earlier run",
      ["o", "o-v2"],
      { "*": "*-v2" },
      /mapped by a pattern onto a group that is selected itself \(name the groups to map in groups\): "o"/,
    ],
    [
      "a selected target, also of a group whose name is the text of the pattern",
      ["a*", "b*"],
      { "a*": "b*", "b*": "c*" },
      /mapped by a pattern onto a group that is selected itself .*: "a\*"/,
    ],
    ["a group that a pattern maps onto itself", ["aa"], { "a*": "*a" }, /mapped onto itself: "aa"/],
    ["an empty name", ["a"], { "a*": "*" }, /mapped onto a name that no group can have: "a"/],
    ["a name that is too long", ["a".repeat(8)], { "*": `*${"b".repeat(32_760)}` }, /onto a name that no group can/],
  ])("refuses %s, and reports only that", (_what, groups, entries, message) => {
    const attempt = () => mapped(groups, entries);
    expect(attempt).toThrow(/^InvalidRequest: group_map: [^;]*\.( |$)/);
    expect(attempt).toThrow(message);
  });

  test("lets groups change places if they are named one by one", () => {
    const { sources } = mapGroups(partOf("a", "b", "c"), mapOf({ a: "b", b: "a", "c*": "d*" }));
    expect(sources).toEqual(new Map(Object.entries({ b: "a", a: "b", d: "c" })));
  });

  test("never puts two groups onto one, or by a pattern onto one that is selected", () => {
    const text = fc.oneof(groupName, fc.constantFrom("a", "b", "a*", "*a", "*", "b*", "*b"));
    fc.assert(
      fc.property(fc.uniqueArray(groupName, { maxLength: 5 }), fc.array(fc.tuple(text, text)), (groups, entries) => {
        const all = new Map([...entries, ["*", "*-v2"] as const]);
        if ([...all].some((entry) => entryProblem(...entry) !== undefined)) return;
        try {
          const { sources, commits } = mapGroups(partOf(...groups), all);
          expect(new Set(sources.values())).toEqual(new Set(groups));
          expect(commits.size).toBe(groups.length);
          const isLiteral = (group: string | undefined) => entries.some(([source]) => source === group);
          const overwritten = [...commits.keys()].filter((target) => groups.includes(target));
          expect(overwritten.filter((target) => !isLiteral(sources.get(target)))).toEqual([]);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidRequest);
        }
      }),
    );
  });

  test("maps 10,000 groups, by names and by patterns", () => {
    const groups = Array.from({ length: 10_000 }, (_, i) => `orders-${i}`);
    const many = partOf(...groups);
    expect(mapGroups(many, new Map(groups.map((group) => [group, `${group}-v2`]))).sources.size).toBe(10_000);
    expect(mapGroups(many, mapOf({ "orders-*": "v2-*" })).sources.size).toBe(10_000);
  });
});
