import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compileSelection,
  compileSelectors,
  selectNames,
  uncovered,
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

describe("uncovered", () => {
  const all = { groups: ["*"], exclude: [] };
  test("is empty if all groups were captured", () => {
    expect(uncovered(all, ["orders", "o*", { name: "x*" }])).toEqual([]);
  });
  test("has a name that no pattern includes, or that is excluded", () => {
    expect(uncovered({ groups: ["o*"], exclude: ["old"] }, ["orders", "old", "payments"])).toEqual(["old", "payments"]);
  });
  test("has a pattern that may pick more than was captured", () => {
    expect(uncovered({ groups: ["orders*"], exclude: [] }, ["o*", "orders*"])).toEqual(["o*"]);
    expect(uncovered({ groups: ["*"], exclude: ["tmp"] }, ["t*"])).toEqual(["t*"]);
  });
  test("is empty under a pattern of stars only, also beside other patterns", () => {
    expect(uncovered({ groups: ["orders*", "**"], exclude: [] }, ["t*"])).toEqual([]);
  });
  test("has a pattern that the captured patterns cover only in part or not at all", () => {
    expect(uncovered({ groups: ["*-streams"], exclude: [] }, ["t*"])).toEqual(["t*"]);
    expect(uncovered({ groups: ["a*"], exclude: [] }, ["t*"])).toEqual(["t*"]);
  });
  test("does not read the literal name * as a pattern", () => {
    expect(uncovered({ groups: [{ name: "*" }, "o*"], exclude: [] }, ["t*", { name: "*" }, "o*"])).toEqual(["t*"]);
  });
});
