import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { count, cut, listSome, nameSome } from "../../../functions/shared/core/text.ts";

describe("cut", () => {
  test("leaves a text that is short enough as it is", () => {
    expect(cut("abcdef", 6)).toBe("abcdef");
    expect(cut("äöü", 6, 2)).toBe("äöü");
  });

  test("leaves out the end, or the middle", () => {
    expect(cut("abcdefghij", 8)).toBe("abcde…");
    expect(cut("abcdefghij", 8, 2)).toBe("abc…ij");
  });

  test("leaves out the parts of a cut character, and keeps a U+FFFD of the text itself", () => {
    expect(cut("a\u{1F600}bcdefgh\u{1F600}z", 11, 4)).toBe("a…z");
    expect(cut(`a\uFFFDb${"x".repeat(30)}y\uFFFDz`, 17, 6)).toBe("a\uFFFDbxxx…xy\uFFFDz");
  });

  test("has at most so many bytes, and no part of a character", () => {
    const text = fc.string({ unit: "grapheme", minLength: 10 }).filter((text) => !text.includes("\uFFFD"));
    fc.assert(
      fc.property(text, fc.integer({ min: 8, max: 40 }), fc.nat(4), (text, most, end) => {
        const shown = cut(text, most, end);
        expect(Buffer.byteLength(shown)).toBeLessThanOrEqual(Math.max(most, 0));
        expect(shown).not.toContain("\uFFFD");
        const [beginning = "", rest = ""] = shown === text ? [text] : shown.split("…");
        expect(text.startsWith(beginning)).toBe(true);
        expect(text.endsWith(rest)).toBe(true);
      }),
    );
  });
});

describe("nameSome", () => {
  test("shows a long name with its beginning and its length", () => {
    expect(nameSome(["a".repeat(255)])).toBe(`"${"a".repeat(255)}"`);
    expect(nameSome(["a".repeat(32_767), "b"])).toBe(`"${"a".repeat(252)}…" (32767 characters), "b"`);
  });

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

test("listSome shows things as they are to be shown", () => {
  expect(listSome([3, 5], String)).toBe("3, 5");
  expect(listSome(new Set([1, 2, 3]), (n) => `<${n}>`, 2)).toBe("<1>, <2> and 1 more");
});

describe("count", () => {
  test("uses the plural for every number except one", () => {
    expect([0, 1, 2].map((n) => count(n, "group"))).toEqual(["0 groups", "1 group", "2 groups"]);
  });
});
