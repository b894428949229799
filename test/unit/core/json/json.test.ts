import { types } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareCodePoints } from "../../../../functions/shared/core/json/code-points.ts";
import {
  encodeJson,
  entriesOf,
  isFields,
  parseJson,
  toSerializable,
} from "../../../../functions/shared/core/json/json.ts";

describe("encodeJson", () => {
  test("writes 64-bit integers exactly", () => {
    expect(encodeJson({ offset: 9007199254740993n, last: 2n ** 63n - 1n })).toBe(
      '{"offset":9007199254740993,"last":9223372036854775807}',
    );
  });

  test("orders the keys of maps by code point, including integer-like keys and __proto__", () => {
    const map = new Map(["b", "10", "9", "__proto__", "a", "\u{1F600}", "\uFFFD"].map((key) => [key, 1]));
    expect(encodeJson(map)).toBe('{"10":1,"9":1,"__proto__":1,"a":1,"b":1,"\uFFFD":1,"\u{1F600}":1}');
  });

  test("orders the keys of nested maps, in another map or in a list", () => {
    const map = new Map(["b", "10", "9", "__proto__"].map((key) => [key, 2n ** 60n]));
    const text =
      '{"10":1152921504606846976,"9":1152921504606846976,"__proto__":1152921504606846976,"b":1152921504606846976}';
    expect(encodeJson(new Map([["g", { partitions: map }]]))).toBe(`{"g":{"partitions":${text}}}`);
    expect(encodeJson({ list: [map, new Map(), {}] })).toBe(`{"list":[${text},{},{}]}`);
  });

  test("leaves out undefined fields", () => {
    expect(encodeJson({ a: undefined, b: null })).toBe('{"b":null}');
  });
});

describe("toSerializable", () => {
  test("keeps the order of a map with keys that objects would move to the front", () => {
    const map = new Map(["b", "10", "9", "__proto__", "a1", "1a"].map((key) => [key, 2n ** 60n]));
    for (const value of [map, { "10": 1, a: undefined, b: map }, [map, 5n, -5n, null, "a", 1.5, true]]) {
      expect(JSON.stringify(toSerializable(value))).toBe(encodeJson(value));
    }
  });

  test("keeps the order of a map whose keys are all integers: 10 is before 9", () => {
    const map = new Map([
      ["9", 1],
      ["10", 2],
    ]);
    expect(JSON.stringify(toSerializable(map))).toBe('{"10":2,"9":1}');
  });

  test("gives plain objects without undefined fields, and plain numbers for integers that are exact in them", () => {
    const value = { a: undefined, b: 5n, c: -(2n ** 53n) + 1n, d: new Map([["a1", [2n ** 53n - 1n]]]) };
    expect(toSerializable(value)).toStrictEqual({ b: 5, c: -(2 ** 53) + 1, d: { a1: [2 ** 53 - 1] } });
  });

  test("needs a proxy, which is slow to write, only for a map with a key that would move", () => {
    const isProxy = (...keys: string[]) => types.isProxy(toSerializable(new Map(keys.map((key) => [key, 1]))));
    expect(isProxy("a", "0")).toBe(true);
    expect(isProxy("a1", "1a", "orders-0", "__proto__")).toBe(false);
    expect(types.isProxy(toSerializable({ "0": 1, a: 2 }))).toBe(false);
  });

  test("gives JSON.stringify the text of encodeJson, for any map and integer", () => {
    const key = fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("42", "7", "__proto__", "100"));
    const value = fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.string(), fc.boolean());
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value)), (entries) => {
        const json = { groups: new Map(entries), list: [new Map(entries)] };
        expect(JSON.stringify(toSerializable(json))).toBe(encodeJson(json));
      }),
    );
  });
});

describe("parseJson", () => {
  test("keeps every int64 exact", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (integer) => {
        const parsed = parseJson(`[${integer}, "1234567890123456789"]`);
        expect(parsed).toEqual([
          Number.isSafeInteger(Number(integer)) ? Number(integer) : integer,
          "1234567890123456789",
        ]);
      }),
    );
  });

  test("keeps integers of 16 digits exact wherever they stand", () => {
    for (const before of ["", " ", "\n", "-"]) {
      const integer = BigInt(`${before.trim()}9007199254740993`);
      expect(parseJson(`${before}9007199254740993`)).toBe(integer);
      expect(parseJson(`[${before}9007199254740993,${before}9007199254740993]`)).toEqual([integer, integer]);
      expect(parseJson(`{"offset":${before}9007199254740993}`)).toEqual({ offset: integer });
    }
  });

  test("reads fractions and exponents as numbers", () => {
    expect(parseJson("[1.2345678901234567, 1e300, 12345678901234567]")).toEqual([
      1.2345678901234567,
      1e300,
      12345678901234567n,
    ]);
  });
});

describe("parseJson of integers", () => {
  test("is exact up to 40 digits, and rounds longer integers", () => {
    const [forty, more] = ["9".repeat(40), "9".repeat(41)];
    expect(parseJson(`[${forty}, -${forty}, ${more}]`)).toEqual([BigInt(forty), -BigInt(forty), Number(more)]);
    expect(parseJson(`{"a": "${forty}", "b": ${2 ** 53 - 1}, "c": ${2 ** 53}, "d": 1234567890123456.5e3}`)).toEqual({
      ...{ a: forty, b: 2 ** 53 - 1, c: 2n ** 53n },
      d: 1234567890123456.5e3,
    });
  });

  test("refuses text that is not JSON, with and without long integers", () => {
    expect(() => parseJson("{")).toThrow(SyntaxError);
    expect(() => parseJson("[1234567890123456789")).toThrow(SyntaxError);
  });

  test("refuses nesting that would overflow the stack", () => {
    const deep = `${"[".repeat(200_000)}1234567890123456789${"]".repeat(200_000)}`;
    expect(() => parseJson(deep)).toThrow(SyntaxError);
  });

  test("reads any nesting that JSON.parse reads where no integer is long", () => {
    const deep = `${"[".repeat(1_000)}123456789012345${"]".repeat(1_000)}`;
    expect(JSON.stringify(parseJson(deep))).toBe(deep);
  });
});

describe("isFields", () => {
  test("accepts objects whose keys are names of fields, and no map, list or other value", () => {
    expect([{}, { a: 1 }].map(isFields)).toEqual([true, true]);
    expect([new Map(), [], null, undefined, "a", 1, 1n, true].filter((value) => isFields(value))).toEqual([]);
  });
});

describe("entriesOf", () => {
  test("lists the entries of a map by code point, and of an object as they are written", () => {
    const map = new Map([
      ["9", 1],
      ["10", 2],
    ]);
    expect(entriesOf(map)).toEqual([
      ["10", 2],
      ["9", 1],
    ]);
    expect(entriesOf({ b: 1, none: undefined, a: null })).toEqual([
      ["b", 1],
      ["a", null],
    ]);
  });

  test.each([[null], [undefined], [[1, 2]], ["text"], [7], [true]])("is empty for %j", (value) => {
    expect(entriesOf(value)).toEqual([]);
  });
});

describe("compareCodePoints", () => {
  test.each([
    ["", "", 0],
    ["a", "a", 0],
    ["a", "ab", -1],
    ["ab", "a", 1],
    ["ab", "b", -1],
    ["\uFFFD", "\u{1F600}", -1],
    ["\u{1F600}", "\uFFFD", 1],
    ["\u{1F600}", "\u{1F601}", -1],
    ["\uE000", "\uD7FF", 1],
    ["z", "\u{1F600}", -1],
  ])("compares %j with %j", (a, b, sign) => {
    expect(Math.sign(compareCodePoints(a, b))).toBe(sign);
  });

  test("orders texts as their UTF-8 bytes", () => {
    const text = fc.string({ unit: "binary" });
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareCodePoints(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
  });
});
