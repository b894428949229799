import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compileSelection,
  compileSelectors,
  coverage,
  type Selector,
  selectNames,
} from "../../../functions/shared/core/selectors.ts";

const matches = (selector: string | { name: string }, name: string) => compileSelectors([selector]).matches(name);

describe("selectors", () => {
  test.each([
    ["orders", "orders", true],
    ["orders", "Orders", false],
    ["orders*", "orders", true],
    ["orders*", "orders-streams", true],
    ["*-streams", "orders-streams", true],
    ["o?ders", "orders", true],
    ["o?ders", "oders", false],
    ["?", "\u{1F600}", true],
    ["a*b*c", "a-b-b-c", true],
    ["a*b*c", "a-c-b", false],
    ["a.c", "abc", false],
    ["[a]*", "[a]1", true],
    ["ab*ba", "aba", false], // what is before the star and after it cannot overlap
    ["ab*ba", "abba", true],
    ["*", "", true],
  ])("%s on %s: %s", (pattern, name, expected) => {
    expect(matches(pattern, name)).toBe(expected);
  });

  test("match {name} literally", () => {
    expect(matches({ name: "a*b" }, "a*b")).toBe(true);
    expect(matches({ name: "a*b" }, "axb")).toBe(false);
  });

  test("match like a regular expression built from the pattern", () => {
    const letter = fc.constantFrom("a", "b", "-");
    fc.assert(
      fc.property(
        fc.array(fc.oneof(letter, fc.constantFrom("*", "?")), { maxLength: 10 }),
        fc.array(letter, { maxLength: 12 }).map((letters) => letters.join("")),
        (pattern, name) => {
          const regex = new RegExp(`^${pattern.map((c) => (c === "*" ? ".*" : c === "?" ? "." : c)).join("")}$`);
          expect(matches(pattern.join(""), name)).toBe(regex.test(name));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("match a pattern with 200 stars in milliseconds", () => {
    expect(matches(`${"*a".repeat(200)}b`, "a".repeat(5000))).toBe(false);
  });

  test("report which literals are missing and which patterns match nothing", () => {
    expect(selectNames(["b*", "z*", "gone", { name: "a*" }], ["b2", "a*", "b1"])).toEqual({
      names: ["a*", "b1", "b2"],
      missingLiterals: ["gone"],
      idlePatterns: ["z*"],
    });
  });

  test("each report whether they matched, even if another selector matched the same names", () => {
    expect(selectNames(["orders", "o*", "*s", "x*"], ["orders"])).toEqual({
      names: ["orders"],
      missingLiterals: [],
      idlePatterns: ["x*"],
    });
  });

  test("pick all names, each once and in code point order, if no selectors are given", () => {
    expect(selectNames(undefined, ["b", "a", "b"])).toEqual({
      names: ["a", "b"],
      missingLiterals: [],
      idlePatterns: [],
    });
    expect(selectNames([], ["a"]).names).toEqual([]);
  });

  test("leave out excluded names", () => {
    const picks = compileSelection({ groups: ["*"], exclude: ["tmp-*", { name: "x?" }] });
    expect(["a", "tmp-1", "x?", "xy"].filter(picks)).toEqual(["a", "xy"]);
  });
});

/** The positions of a pattern after one more character; a character that no pattern has stands for all of those. */
function advance(pattern: readonly string[], positions: ReadonlySet<number>, character: string): Set<number> {
  const after = [...positions].flatMap((at) => {
    const symbol = pattern[at];
    return symbol === "*" ? [at] : symbol === "?" || symbol === character ? [at + 1] : [];
  });
  return withStars(pattern, after);
}

/** A star matches nothing, too. */
function withStars(pattern: readonly string[], positions: readonly number[]): Set<number> {
  const all = new Set(positions);
  for (const at of all) if (pattern[at] === "*") all.add(at + 1);
  return all;
}

/** Which of two patterns match, for each kind of name that there is: all pairs of sets of positions that a name leads to. */
function kindsOfNames(a: readonly string[], b: readonly string[]) {
  const pending = [{ ofA: withStars(a, [0]), ofB: withStars(b, [0]) }];
  const seen = new Set<string>();
  const kinds: { a: boolean; b: boolean }[] = [];
  for (const { ofA, ofB } of pending) {
    const key = `${[...ofA].sort()} ${[...ofB].sort()}`;
    if (seen.has(key)) continue;
    seen.add(key);
    kinds.push({ a: ofA.has(a.length), b: ofB.has(b.length) });
    for (const character of ["a", "b", "other"]) {
      pending.push({ ofA: advance(a, ofA, character), ofB: advance(b, ofB, character) });
    }
  }
  return kinds;
}

const anyPattern = (maxLength: number) =>
  fc
    .array(fc.constantFrom("a", "a", "b", "?", "*", "*"), { minLength: 1, maxLength })
    .filter((symbols) => /[*?]/.test(symbols.join("")));

describe("coverage", () => {
  const uncovered = (groups: readonly Selector[], wanted: readonly Selector[]) =>
    coverage({ groups, exclude: [] }, wanted).uncovered;

  test("is whole if all groups were captured, also under a pattern of several stars and beside other patterns", () => {
    expect(uncovered(["*"], ["orders", "o*", { name: "x*" }])).toEqual([]);
    expect(uncovered(["orders*", "**"], ["t*"])).toEqual([]);
  });

  test("lacks a name that no pattern includes, or that is excluded", () => {
    const selection = { groups: ["o*"], exclude: ["old"] };
    expect(coverage(selection, ["orders", "old", "payments"])).toEqual({
      uncovered: ["old", "payments"],
      exclusions: [],
    });
  });

  test("does not read the literal name * as a pattern", () => {
    expect(uncovered([{ name: "*" }, "o*"], ["t*", { name: "*" }, "o*"])).toEqual(["t*"]);
  });

  test.each([
    ["orders*", "orders-*", true],
    ["orders-*", "orders*", false],
    ["a*b*", "a?b", true],
    ["a*b*", "a*b", true],
    ["a*b", "a*b*", false],
    ["?*", "*?", true],
    ["*?", "??*", true],
    ["*?", "*a*", true],
    ["??*", "*a*", false],
    ["*a?*b*", "*a*b*b", true],
    ["*a?b*", "a*b", false],
    ["*-streams", "t*", false],
    ["a*", "t*", false],
    ["?", "*", false],
    ["*?????", "?????*", true],
    ["\u{1F600}?", "??", false],
    ["??", "\u{1F600}?", true],
  ])("%s covers %s: %s", (selected, wanted, expected) => {
    expect(uncovered([selected], [wanted])).toEqual(expected ? [] : [wanted]);
  });

  test("of a pattern by a pattern is exactly that each name of the one is a name of the other", () => {
    fc.assert(
      fc.property(anyPattern(8), anyPattern(8), (wide, narrow) => {
        const covers = kindsOfNames(wide, narrow).every(({ a, b }) => a || !b);
        expect(uncovered([wide.join("")], [narrow.join("")])).toEqual(covers ? [] : [narrow.join("")]);
      }),
      { numRuns: 4000 },
    );
  });

  test("lacks of a pattern exactly the exclusions that share a name with it, and all of it under one that covers it", () => {
    fc.assert(
      fc.property(anyPattern(7), anyPattern(7), (wanted, excluded) => {
        const [pattern, exclusion] = [wanted.join(""), excluded.join("")];
        const kinds = kindsOfNames(wanted, excluded);
        const isWhole = kinds.every(({ a, b }) => b || !a);
        const isPart = kinds.some(({ a, b }) => a && b);
        expect(coverage({ groups: ["*"], exclude: [exclusion] }, [pattern])).toEqual({
          uncovered: isWhole ? [pattern] : [],
          exclusions: isPart && !isWhole ? [exclusion] : [],
        });
      }),
      { numRuns: 4000 },
    );
  });

  test.each([
    ["a*", "b?", false],
    ["a*", "a?", true],
    ["b?", "a*", false],
    ["ab*", "b?", false],
    ["?b*", "a*c", true],
    ["a*c", "?b*", true],
    ["a*b", "*c", false],
    ["a*?", "*b", true],
    ["a?c*", "abd*", false],
  ])("of %s without %s lacks a part: %s", (wanted, excluded, expected) => {
    expect(coverage({ groups: ["*"], exclude: [excluded] }, [wanted])).toEqual({
      uncovered: [],
      exclusions: expected ? [excluded] : [],
    });
  });

  test("names an exclusion that leaves out a part of one of the patterns", () => {
    const selection = { groups: ["*"], exclude: ["orders-test-*", "tmp-*"] };
    expect(coverage(selection, ["billing-*", "orders-*"]).exclusions).toEqual(["orders-test-*"]);
  });

  test("lacks of a pattern the names that are excluded literally", () => {
    const selection = { groups: ["*"], exclude: ["orders-test", "tmp", { name: "orders-*" }, "billing-*"] };
    expect(coverage(selection, ["orders-*", "tmp?"])).toEqual({
      uncovered: [],
      exclusions: ["orders-test", { name: "orders-*" }],
    });
  });

  test("of long patterns is found in milliseconds", () => {
    const long = `${"*a".repeat(1000)}b*`;
    expect(coverage({ groups: [long], exclude: [`${long}c`] }, [`${"a*".repeat(1000)}c`])).toEqual({
      uncovered: [`${"a*".repeat(1000)}c`],
      exclusions: [],
    });
  });
});
