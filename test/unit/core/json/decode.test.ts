import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  DecodeError,
  type Decoder,
  fieldsOf,
  flag,
  int32,
  int64,
  jsonObject,
  jsonValue,
  list,
  mapOf,
  nullable,
  sum,
  text,
} from "../../../../functions/shared/core/json/decode.ts";
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

  test("takes a name that only ends with digits for the name of a field", () => {
    expect(jsonValue(parseJson('{"a1":1,"1a":2}'), "")).toEqual({ a1: 1, "1a": 2 });
  });

  test("may be nested 100 levels deep inside of itself, and no deeper", () => {
    const nested = (open: string, close: string, levels: number) =>
      parseJson(`${open.repeat(levels)}1${close.repeat(levels)}`);
    for (const [open, close] of [
      ["[", "]"],
      ['{"a":', "}"],
      ['{"7":', "}"],
    ] as const) {
      const deepest = nested(open, close, 101);
      expect(encodeJson(jsonValue(deepest, "at"))).toBe(`${open.repeat(101)}1${close.repeat(101)}`);
      expect(() => jsonValue(nested(open, close, 102), "at")).toThrow(/^at\S+ is nested more than 100 levels deep$/);
    }
    expect(() => jsonObject(nested('{"a":', "}", 102), "at")).toThrow(/ is nested more than 100 levels deep$/);
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

describe("int32", () => {
  test("is a whole number within 32 bits, and zero has no sign", () => {
    expect([int32(-(2 ** 31), ""), int32(2 ** 31 - 1, ""), Object.is(int32(-0, ""), 0)]).toEqual([
      -(2 ** 31),
      2 ** 31 - 1,
      true,
    ]);
    for (const value of [2 ** 31, 0.5, 5n, "5", true, null]) {
      expect(() => int32(value, "at")).toThrow(/^at must be a 32-bit integer, not /);
    }
  });
});

describe("a value of another type", () => {
  const shown: [string, unknown, string][] = [
    ["a list", [1], "a list"],
    ["an object", { a: 1 }, "an object"],
    ["null", null, "null"],
    ["a number", 1.5, "1.5"],
    ["an integer beyond 2^53", 2n ** 60n, "1152921504606846976"],
    ["a very long integer", 10n ** 80n, `1${"0".repeat(58)}…`],
    ["a function", () => 1, "function"],
  ];
  test.each(shown)("is shown in a few characters: %s", (_what, value, text) => {
    expect(() => flag(value, "at")).toThrow(new DecodeError("at", `must be true or false, not ${text}`));
  });

  test("is shown by the beginning of a long text, in 60 characters", () => {
    expect(() => flag("x".repeat(58), "at")).toThrow(
      new DecodeError("at", `must be true or false, not "${"x".repeat(58)}"`),
    );
    expect(() => flag("x".repeat(59), "at")).toThrow(
      new DecodeError("at", `must be true or false, not "${"x".repeat(58)}…`),
    );
    const long = 'a"'.repeat(50);
    expect(() => flag(long, "at")).toThrow(/^at must be true or false, not .{60}$/);
  });
});

describe("the place of an error", () => {
  const decoders: [string, Decoder<unknown>, unknown, string][] = [
    ["in a list", list(text), ["a", 1], "at[1]"],
    ["in a list of lists", list(list(text)), [["a"], ["b", 1]], "at[1][1]"],
    ["in a map", mapOf((key) => key, text), { 'a"b': 1 }, 'at["a\\"b"]'],
    ["in a field", (value, path) => fieldsOf(value, path, ["a"]).required("a", text), { a: 1 }, "at.a"],
    [
      "in a field of an entry",
      list((value, path) => fieldsOf(value, path, ["a"]).optional("a", text)),
      [{}, { a: 1 }],
      "at[1].a",
    ],
    [
      "in a list in a field",
      (value, path) => fieldsOf(value, path, ["a"]).required("a", list(text)),
      { a: [1] },
      "at.a[0]",
    ],
    ["behind what may be null", nullable(text), 1, "at"],
    ["a field that is unknown", (value, path) => fieldsOf(value, path, ["a"]), { b: 1 }, "at.b"],
    ["an unknown field with an odd name", (value, path) => fieldsOf(value, path, ["a"]), { "b c": 1 }, 'at."b c"'],
    ["an unknown field that ends oddly", (value, path) => fieldsOf(value, path, ["a"]), { "b ": 1 }, 'at."b "'],
    ["an unknown field that begins oddly", (value, path) => fieldsOf(value, path, ["a"]), { " b": 1 }, 'at." b"'],
  ];
  test.each(decoders)("is named: %s", (_what, decode, value, path) => {
    try {
      decode(value, "at");
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(DecodeError);
      expect(error).toMatchObject({ path });
    }
  });

  test("is named from the top where the path is empty", () => {
    expect(() => fieldsOf({ a: 1 }, "", ["a"]).required("a", text)).toThrow(/^a must be a string/);
    expect(() => fieldsOf({ b: 1 }, "", ["a"])).toThrow(/^b is not a field/);
    expect(() => list((value, path) => fieldsOf(value, path, ["a"]))([{ b: 1 }], "")).toThrow(
      /^\[0\]\.b is not a field/,
    );
    expect(() => text(1, "")).toThrow(/^the document must be a string, not 1$/);
  });

  test("is cut off where it is long, and so is the problem", () => {
    expect(new DecodeError("p".repeat(600), "q".repeat(300)).message).toBe(`${"p".repeat(600)} ${"q".repeat(300)}`);
    expect(new DecodeError("p".repeat(601), "q".repeat(301)).message).toBe(`${"p".repeat(599)}… ${"q".repeat(299)}…`);
  });

  test("is not added to what is no error of decoding", () => {
    const fault = new TypeError("a fault");
    const broken = () => {
      throw fault;
    };
    expect(() => list(broken)([1], "at")).toThrow(fault);
    expect(() => mapOf((key) => key, broken)({ a: 1 }, "at")).toThrow(fault);
    expect(() => fieldsOf({ a: 1 }, "at", ["a"]).required("a", broken)).toThrow(fault);
  });

  test("is none where an optional field is absent", () => {
    expect(fieldsOf({}, "", ["a"]).optional("a", text)).toBeUndefined();
    expect(fieldsOf({ a: "b" }, "", ["a"]).optional("a", text)).toBe("b");
  });
});
