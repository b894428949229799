import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  anyKey,
  type Codec,
  converted,
  count,
  DecodeError,
  document,
  flag,
  int32,
  int64,
  json as jsonCodec,
  jsonObject,
  list,
  mapOf,
  mark,
  matching,
  notNegative,
  nullable,
  nullIfAbsent,
  oneOf,
  optional,
  sum,
  text,
} from "../../../../functions/shared/core/json/codec.ts";
import { encodeJson, parseJson } from "../../../../functions/shared/core/json/json.ts";
import { json } from "../../../support/arbitraries.ts";

describe("json", () => {
  test("is written as it was read, with any keys and integers", () => {
    fc.assert(
      fc.property(json, (value) => {
        const text = encodeJson(value);
        expect(encodeJson(jsonCodec.decode(parseJson(text), "at"))).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  test("keeps the order of fields, and of keys that JavaScript objects would move to the front", () => {
    for (const text of [
      '{"b":1,"a":{"d":null,"c":[true]}}',
      '{"10":1,"9":2,"__proto__":3,"a":4}',
      '[9007199254740993,-9223372036854775808,0.5,"42"]',
    ]) {
      expect(encodeJson(jsonCodec.decode(parseJson(text), ""))).toBe(text);
    }
  });

  test("reads a name that only ends with digits as the name of a field", () => {
    expect(jsonCodec.decode(parseJson('{"a1":1,"1a":2}'), "")).toEqual({ a1: 1, "1a": 2 });
  });

  test("may contain 100 nested levels, and no more", () => {
    const nested = (open: string, close: string, levels: number) =>
      parseJson(`${open.repeat(levels)}1${close.repeat(levels)}`);
    for (const [open, close] of [
      ["[", "]"],
      ['{"a":', "}"],
      ['{"7":', "}"],
    ] as const) {
      const deepest = nested(open, close, 101);
      expect(encodeJson(jsonCodec.decode(deepest, "at"))).toBe(`${open.repeat(101)}1${close.repeat(101)}`);
      expect(() => jsonCodec.decode(nested(open, close, 102), "at")).toThrow(
        /^at\S+ is nested more than 100 levels deep$/,
      );
    }
    expect(() => jsonObject(nested('{"a":', "}", 102), "at")).toThrow(/ is nested more than 100 levels deep$/);
  });

  test("is a map if JavaScript objects would treat a key specially", () => {
    expect(jsonCodec.decode(parseJson('{"__proto__":{"a":1}}'), "")).toEqual(new Map([["__proto__", { a: 1 }]]));
    expect(jsonCodec.decode(parseJson('{"a":1,"42":2}'), "")).toEqual(
      new Map([
        ["42", 2],
        ["a", 1],
      ]),
    );
  });

  test("names the place of a value that is not JSON", () => {
    const value = { list: [1, { "42": Symbol("s") }] };
    expect(() => jsonCodec.decode(value, "request")).toThrow(DecodeError);
    expect(() => jsonCodec.decode(value, "request")).toThrow(/^request\.list\[1\]\.42 must be JSON, not symbol/);
    expect(() => jsonCodec.decode(undefined, "request")).toThrow(/^request is missing/);
  });
});

describe("flag", () => {
  test("is true or false, and no similar value", () => {
    expect([flag.decode(true, ""), flag.decode(false, "")]).toEqual([true, false]);
    for (const value of [0, 1, "true", null, {}]) {
      expect(() => flag.decode(value, "done")).toThrow(/^done must be true or false, not /);
    }
    expect(() => flag.decode(undefined, "done")).toThrow(/^done is missing/);
  });
});

describe("int64 and sum", () => {
  const most = 2n ** 63n - 1n;

  test("are exact, and a sum may be beyond int64", () => {
    expect([int64.decode(-5, ""), int64.decode(most, ""), int64.decode(-most - 1n, "")]).toEqual([
      -5n,
      most,
      -most - 1n,
    ]);
    expect([sum.decode(0, ""), sum.decode(7, ""), sum.decode(most * 3n, "")]).toEqual([0n, 7n, most * 3n]);
  });

  test("refuse a value that is not an integer, and show it", () => {
    expect(() => int64.decode(most + 1n, "offset")).toThrow(
      /^offset must be a 64-bit integer, not 9223372036854775808/,
    );
    for (const value of [-1, -1n, 0.5, 2 ** 60, "1", null]) {
      expect(() => sum.decode(value, "replayed")).toThrow(/^replayed must be an integer that is not negative, not /);
    }
    expect(() => sum.decode(undefined, "replayed")).toThrow(/^replayed is missing/);
  });
});

describe("int32", () => {
  test("is an integer of 32 bits, and not -0", () => {
    expect([int32.decode(-(2 ** 31), ""), int32.decode(2 ** 31 - 1, ""), Object.is(int32.decode(-0, ""), 0)]).toEqual([
      -(2 ** 31),
      2 ** 31 - 1,
      true,
    ]);
    for (const value of [2 ** 31, 0.5, 5n, "5", true, null]) {
      expect(() => int32.decode(value, "at")).toThrow(/^at must be a 32-bit integer, not /);
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
    expect(() => flag.decode(value, "at")).toThrow(new DecodeError("at", `must be true or false, not ${text}`));
  });

  test("that is a long text is shown by its first 60 characters", () => {
    expect(() => flag.decode("x".repeat(58), "at")).toThrow(
      new DecodeError("at", `must be true or false, not "${"x".repeat(58)}"`),
    );
    expect(() => flag.decode("x".repeat(59), "at")).toThrow(
      new DecodeError("at", `must be true or false, not "${"x".repeat(58)}…`),
    );
    const long = 'a"'.repeat(50);
    expect(() => flag.decode(long, "at")).toThrow(/^at must be true or false, not .{60}$/);
  });
});

describe("the place of an error", () => {
  const a = document({ a: text });
  const codecs: [string, Pick<Codec<unknown>, "decode">, unknown, string][] = [
    ["in a list", list(text), ["a", 1], "at[1]"],
    ["in a list of lists", list(list(text)), [["a"], ["b", 1]], "at[1][1]"],
    ["in a map", mapOf(anyKey, text), { 'a"b': 1 }, 'at["a\\"b"]'],
    ["in a field", a, { a: 1 }, "at.a"],
    ["in a field of an entry", list(document({ a: optional(text) })), [{}, { a: 1 }], "at[1].a"],
    ["in a list in a field", document({ a: list(text) }), { a: [1] }, "at.a[0]"],
    ["in a nullable value", nullable(text), 1, "at"],
    ["a field that is unknown", a, { b: 1 }, "at.b"],
    ["an unknown field with a space in its name", a, { "b c": 1 }, 'at."b c"'],
    ["an unknown field that ends with a space", a, { "b ": 1 }, 'at."b "'],
    ["an unknown field that begins with a space", a, { " b": 1 }, 'at." b"'],
  ];
  test.each(codecs)("is named: %s", (_what, codec, value, path) => {
    try {
      codec.decode(value, "at");
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(DecodeError);
      expect(error).toMatchObject({ path });
    }
  });

  test("is named from the top where the path is empty", () => {
    expect(() => a.decode({ a: 1 }, "")).toThrow(/^a must be a string/);
    expect(() => a.decode({ b: 1 }, "")).toThrow(/^b is not a field/);
    expect(() => list(a).decode([{ b: 1 }], "")).toThrow(/^\[0\]\.b is not a field/);
    expect(() => text.decode(1, "")).toThrow(/^the document must be a string, not 1$/);
  });

  test("is cut off if it is long, and so is the problem", () => {
    expect(new DecodeError("p".repeat(600), "q".repeat(300)).message).toBe(`${"p".repeat(600)} ${"q".repeat(300)}`);
    expect(new DecodeError("p".repeat(601), "q".repeat(301)).message).toBe(`${"p".repeat(599)}… ${"q".repeat(299)}…`);
  });

  test("is not added to errors other than DecodeError", () => {
    const fault = new TypeError("a fault");
    const broken: Codec<string> = {
      encode: (value) => value,
      decode() {
        throw fault;
      },
    };
    expect(() => list(broken).decode([1], "at")).toThrow(fault);
    expect(() => mapOf(anyKey, broken).decode({ a: 1 }, "at")).toThrow(fault);
    expect(() => document({ a: broken }).decode({ a: 1 }, "at")).toThrow(fault);
  });
});

describe("a document", () => {
  const person = document({
    full_name: text,
    nick_name: optional(text),
    born_in: nullIfAbsent(text),
    age: nullable(count),
  });
  const ana = { fullName: "Ana", nickName: "A", bornIn: "x", age: 7 };

  test("has its fields in snake_case and in the order of its declaration", () => {
    const { age, ...rest } = ana;
    expect(encodeJson(person.encode({ age, ...rest }))).toBe(
      '{"full_name":"Ana","nick_name":"A","born_in":"x","age":7}',
    );
    expect(person.decode(person.encode(ana), "")).toStrictEqual(ana);
  });

  test("omits an absent optional field when it is written and when it is read", () => {
    const { nickName: _, ...rest } = ana;
    expect(encodeJson(person.encode(rest))).toBe('{"full_name":"Ana","born_in":"x","age":7}');
    expect(person.decode({ full_name: "Ana", born_in: "x", age: 7 }, "")).toStrictEqual(rest);
  });

  test("reads an absent field as null if the codec allows that, and refuses its absence otherwise", () => {
    expect(person.decode({ full_name: "Ana", age: null }, "")).toStrictEqual({
      fullName: "Ana",
      bornIn: null,
      age: null,
    });
    expect(() => person.decode({ full_name: "Ana" }, "")).toThrow(/^age is missing$/);
    expect(() => person.decode({ full_name: "Ana", nick_name: null, age: 1 }, "")).toThrow(
      /^nick_name must be a string/,
    );
  });

  test("ignores unknown fields only if it is declared so", () => {
    const { full_name, more } = { full_name: "Ana", more: 1 };
    expect(document({ full_name: text }, "ignored").decode({ full_name, more }, "")).toStrictEqual({ fullName: "Ana" });
    expect(() => document({ full_name: text }).decode({ full_name, more }, "")).toThrow(/^more is not a field/);
  });

  test.each([null, [], "text", 1, undefined])("is not %j", (value) => {
    expect(() => person.decode(value, "at")).toThrow(/^at (must be an object, not|is missing)/);
  });
});

describe("a converted value", () => {
  const hours = converted(
    int32,
    (time: { hours: number }) => time.hours,
    (hours, path) => {
      if (hours > 23) throw new DecodeError(path, `is ${hours} o'clock`);
      return { hours };
    },
  );

  test("is written in its stored form and read from it, with the errors of both codecs", () => {
    expect(hours.encode({ hours: 7 })).toBe(7);
    expect(hours.decode(7, "")).toEqual({ hours: 7 });
    expect(() => document({ at: hours }).decode({ at: "7" }, "")).toThrow(/^at must be a 32-bit integer/);
    expect(() => document({ at: hours }).decode({ at: 24 }, "x")).toThrow(/^x\.at is 24 o'clock$/);
  });
});

describe("plain values, lists and maps", () => {
  test("are written in the form in which they are read", () => {
    const colours = mapOf(anyKey, list(oneOf(["red", "blue"])));
    const json = '{"a":["red"],"b":["blue","red"],"c":[]}';
    const read = colours.decode(parseJson(json), "");
    expect(read.get("b")).toEqual(["blue", "red"]);
    expect(encodeJson(colours.encode(read))).toBe(json);
    const partitions = mapOf(Number, matching(/^\d+$/, "digits"));
    expect(partitions.encode(new Map([[10, "7"]]))).toEqual(new Map([["10", "7"]]));
  });

  test("are refused if their type or range is wrong", () => {
    const wrong: [Pick<Codec<unknown>, "decode">, unknown[], RegExp][] = [
      [text, [1, null, {}], /^at must be a string, not /],
      [oneOf(["a", "b"]), ["c", 1, null], /^at must be one of a, b, not /],
      [matching(/^\d+$/, "digits"), ["1a", 1], /^at must be digits, not /],
      [mark, [false, 1, "true"], /^at must be true, not /],
      [count, [-1, 1.5, 2 ** 53, "1", 5n, Number.NaN], /^at must be a count, not /],
    ];
    for (const [codec, values, problem] of wrong) {
      for (const value of values) expect(() => codec.decode(value, "at")).toThrow(problem);
      expect(() => codec.decode(undefined, "at")).toThrow(/^at is missing$/);
    }
    expect([count.decode(0, ""), count.decode(2 ** 53 - 1, "")]).toEqual([0, 2 ** 53 - 1]);
    expect([oneOf(["a", "b"]).decode("b", ""), matching(/^\d+$/, "digits").decode("12", "")]).toEqual(["b", "12"]);
    expect([mark.decode(true, ""), text.decode("", "")]).toEqual([true, ""]);
  });

  test("that must not be negative may be zero", () => {
    expect(notNegative(int64).decode(0, "")).toBe(0n);
    expect(() => notNegative(int64).decode(-1, "at")).toThrow(/^at must not be negative, but is -1$/);
    expect(() => notNegative(int32).decode(-5, "at")).toThrow(/^at must not be negative, but is -5$/);
  });
});
