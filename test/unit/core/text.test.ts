import { describe, expect, test } from "vitest";
import { count, nameSome } from "../../../functions/shared/core/text.ts";

describe("nameSome", () => {
  test("names all where they are few, quoted", () => {
    expect(nameSome([])).toBe("");
    expect(nameSome(["a"])).toBe('"a"');
    expect(nameSome(new Set(["a", "b c", "d\ne"]))).toBe('"a", "b c", "d\\ne"');
  });

  test("counts those beyond the first three, or as many as it is asked for", () => {
    expect(nameSome(["a", "b", "c", "d", "e"])).toBe('"a", "b", "c" and 2 more');
    expect(nameSome(["a", "b"], 1)).toBe('"a" and 1 more');
  });
});

describe("count", () => {
  test("has the plural for any number but one", () => {
    expect([0, 1, 2].map((n) => count(n, "group"))).toEqual(["0 groups", "1 group", "2 groups"]);
  });
});
