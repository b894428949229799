import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareCodePoints } from "../../../../functions/shared/core/json/code-points.ts";
import { encodeJson, parseJson, toSerializable } from "../../../../functions/shared/core/json/json.ts";

describe("encodeJson", () => {
  test("writes 64-bit integers exactly", () => {
    expect(encodeJson({ offset: 9007199254740993n, last: 2n ** 63n - 1n })).toBe(
      '{"offset":9007199254740993,"last":9223372036854775807}',
    );
  });

  test("orders the keys of maps by code point, integer-like and __proto__ ones too", () => {
    const map = new Map(["b", "10", "9", "__proto__", "a", "\u{1F600}", "\uFFFD"].map((key) => [key, 1]));
    expect(encodeJson(map)).toBe('{"10":1,"9":1,"__proto__":1,"a":1,"b":1,"\uFFFD":1,"\u{1F600}":1}');
  });

  test("orders them wherever a map is, in an entry of another map or in a list", () => {
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

  test("leaves fractions and exponents alone", () => {
    expect(parseJson("[1.2345678901234567, 1e300, 12345678901234567]")).toEqual([
      1.2345678901234567,
      1e300,
      12345678901234567n,
    ]);
  });
});

describe("compareCodePoints", () => {
  test("orders as the bytes of UTF-8 do", () => {
    const text = fc.string({ unit: "binary" });
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareCodePoints(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
  });
});
