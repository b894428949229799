import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { printableName, printableText } from "../../../functions/shared/report/printable.ts";
import { names } from "./samples.ts";

describe("names on a terminal", () => {
  test.each(["orders-streams", "Pedidos España", "群组-1", "हिन्दी", "👨‍👩‍👧", "1️⃣", "a\\nb", 'a"b', "none"])(
    "%s is shown as it is",
    (name) => {
      expect(printableName(name)).toBe(name);
    },
  );

  test.each([
    ["", '""'],
    ["-", '"-"'],
    [" a", '" a"'],
    ["a  b", '"a  b"'],
    ['"a"', '"\\"a\\""'],
    ["a\nb\\", '"a\\nb\\\\"'],
    ["\u001B[2J", '"\\u001b[2J"'],
    ["\u009B2J", '"\\u009b2J"'],
    ["\u202Eabc", '"\\u202eabc"'],
    ["a\u200Db", '"a\\u200db"'],
    ["\u{E0041}", '"\\u{e0041}"'],
    ["\uD800", '"\\ud800"'],
    ["e\u0301", '"e\\u0301"'],
  ])("%j is shown as %s", (name, shown) => {
    expect(printableName(name)).toBe(shown);
  });

  test("are different if the names are", () => {
    fc.assert(
      fc.property(names, names, (a, b) => {
        expect(printableName(a) === printableName(b)).toBe(a === b);
      }),
    );
  });

  test("have nothing that a terminal acts on or does not show", () => {
    fc.assert(
      fc.property(names, (name) => {
        const withoutEmoji = printableName(name).replace(/\p{RGI_Emoji}/gv, "");
        expect(withoutEmoji).not.toMatch(/[[\p{C}\p{Z}\p{DI}]--[ ]]/v);
        expect(printableText(name).replace(/\p{RGI_Emoji}/gv, "")).not.toMatch(/[[\p{C}\p{Z}\p{DI}]--[ ]]/v);
      }),
    );
  });
});
