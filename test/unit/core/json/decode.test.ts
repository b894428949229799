import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DecodeError, flag, int64, jsonValue, sum } from "../../../../functions/shared/core/json/decode.ts";
import { encodeJson, parseJson } from "../../../../functions/shared/core/json/json.ts";
import { json } from "../../../support/arbitraries.ts";

describe("jsonValue", () => {
  test("is written again as it was read, whatever its keys and integers are", () => {
    fc.assert(
      fc.property(json, (value) => {
        const text = encodeJson(value);
        expect(encodeJson(jsonValue(parseJson(text), "at"))).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  test("keeps the order of fields, and of keys that JavaScript's objects would put first", () => {
    for (const text of [
      '{"b":1,"a":{"d":null,"c":[true]}}',
      '{"10":1,"9":2,"__proto__":3,"a":4}',
      '[9007199254740993,-9223372036854775808,0.5,"42"]',
    ]) {
      expect(encodeJson(jsonValue(parseJson(text), ""))).toBe(text);
    }
  });

  test("is a map where JavaScript's objects would treat a key apart", () => {
    expect(jsonValue(parseJson('{"__proto__":{"a":1}}'), "")).toEqual(new Map([["__proto__", { a: 1 }]]));
    expect(jsonValue(parseJson('{"a":1,"42":2}'), "")).toEqual(
      new Map([
        ["42", 2],
        ["a", 1],
      ]),
    );
  });

  test("names the place of what is no JSON", () => {
    const value = { list: [1, { "42": Symbol("s") }] };
    expect(() => jsonValue(value, "request")).toThrow(DecodeError);
    expect(() => jsonValue(value, "request")).toThrow(/^request\.list\[1\]\.42 must be JSON, not symbol/);
    expect(() => jsonValue(undefined, "request")).toThrow(/^request is missing/);
  });
});

describe("flag", () => {
  test("is true or false, and nothing that is like it", () => {
    expect([flag(true, ""), flag(false, "")]).toEqual([true, false]);
    for (const value of [0, 1, "true", null, {}]) {
      expect(() => flag(value, "done")).toThrow(/^done must be true or false, not /);
    }
    expect(() => flag(undefined, "done")).toThrow(/^done is missing/);
  });
});

describe("int64 and sum", () => {
  const most = 2n ** 63n - 1n;

  test("are exact, and a sum may be beyond int64", () => {
    expect([int64(-5, ""), int64(most, ""), int64(-most - 1n, "")]).toEqual([-5n, most, -most - 1n]);
    expect([sum(0, ""), sum(7, ""), sum(most * 3n, "")]).toEqual([0n, 7n, most * 3n]);
  });

  test("refuse what is none, and name it", () => {
    expect(() => int64(most + 1n, "offset")).toThrow(/^offset must be a 64-bit integer, not 9223372036854775808/);
    for (const value of [-1, -1n, 0.5, 2 ** 60, "1", null]) {
      expect(() => sum(value, "replayed")).toThrow(/^replayed must be an integer that is not negative, not /);
    }
    expect(() => sum(undefined, "replayed")).toThrow(/^replayed is missing/);
  });
});
