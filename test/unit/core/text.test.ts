import { describe, expect, test } from "vitest";
import { count, nameSome } from "../../../functions/shared/core/text.ts";

describe("nameSome", () => {
  test("quotes all names if there are few", () => {
    expect(nameSome([])).toBe("");
    expect(nameSome(["a"])).toBe('"a"');
    expect(nameSome(new Set(["a", "b c", "d\ne"]))).toBe('"a", "b c", "d\\ne"');
  });

  test("counts the names after the first three, or after the given number", () => {
    expect(nameSome(["a", "b", "c", "d", "e"])).toBe('"a", "b", "c" and 2 more');
    expect(nameSome(["a", "b"], 1)).toBe('"a" and 1 more');
  });
});

describe("count", () => {
  test("uses the plural for every number except one", () => {
    expect([0, 1, 2].map((n) => count(n, "group"))).toEqual(["0 groups", "1 group", "2 groups"]);
  });
});
