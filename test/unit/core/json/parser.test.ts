import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeJson } from "../../../../functions/shared/core/json/json.ts";
import { parseExactly, RepeatedKey, UnexpectedText } from "../../../../functions/shared/core/json/parser.ts";
import { json } from "../../../support/arbitraries.ts";
import { spoil } from "../../../support/spoil.ts";

const outcomeOf = (parse: () => unknown) => {
  try {
    return { value: parse() };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { refused: error.message };
  }
};

/** A value with its integers as `JSON.parse` rounds them. */
const rounded = (value: unknown): unknown => {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== "object" || value === null) return value;
  const copy = { ...value };
  for (const [key, entry] of Object.entries(value)) {
    Object.defineProperty(copy, key, { value: rounded(entry), enumerable: true, configurable: true, writable: true });
  }
  return copy;
};

/** Requires that a text is parsed as JSON.parse does, or refused as it does; only the depth is limited. */
function parsesAsTheEngineDoes(text: string): void {
  const own = outcomeOf(() => parseExactly(text));
  if (own.refused === "nested too deeply") return;
  const engine = outcomeOf((): unknown => JSON.parse(text));
  expect(own.refused === undefined, `${text.slice(0, 200)}: ${own.refused} / ${engine.refused}`).toBe(
    engine.refused === undefined,
  );
  expect(rounded(own.value)).toEqual(engine.value);
  if (engine.value !== undefined) expect(JSON.stringify(rounded(own.value))).toBe(JSON.stringify(engine.value));
}

describe("parseExactly", () => {
  test("parses any JSON as JSON.parse does", () => {
    fc.assert(fc.property(json, (value) => parsesAsTheEngineDoes(encodeJson(value))));
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(0, 1, "\t", "\r\n "), (text, indent) => {
        parsesAsTheEngineDoes(JSON.stringify(JSON.parse(text), null, indent));
      }),
    );
  });

  test("refuses what JSON.parse refuses", () => {
    fc.assert(
      fc.property(json, spoil, (value, change) => parsesAsTheEngineDoes(change(encodeJson(value)))),
      {
        numRuns: 500,
      },
    );
    const characters = fc.constantFrom(...'[]{},:"\\-+.0019eEtrufalsn \n\u0001é');
    fc.assert(
      fc.property(fc.array(characters, { maxLength: 8 }), (text) => parsesAsTheEngineDoes(text.join(""))),
      {
        numRuns: 3_000,
      },
    );
  });

  test.each([
    ...["", " ", "[", "[1", "[1,", "[1,]", "[,1]", "{", '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', "{a:1}"],
    ...["01", "-", "+1", ".5", "1.", "1e", "1e+", "NaN", "Infinity", "-Infinity", "0x10", "1 2", "[1 2]", "tru", "nul"],
    ...['"', '"\\', '"\\"', '"\\x"', '"\\u12"', '"\u0001"', '"\n"', "'a'", "\u00a01", "\ufeff1", "[]]", "{}{}"],
    ...["-0", "1e999", "-1e-999", '"\\u0041\\ud800"', '"\u2028"', "[[],{}]", '{"__proto__":{"a":1}}', '{"":{"":0}}'],
    ...['{"1":1,"b":2,"0":3}', '{"a":1,"a":2}', '"a text that is longer than twelve characters \\n"'],
    ...['{"a"=1}', '{"a";1}', '{xa":1}', '{"a" 1}'],
  ])("treats %j as JSON.parse does", (text) => parsesAsTheEngineDoes(text));

  test("gives objects whose fields can be changed, as JSON.parse does, __proto__ too", () => {
    const text = '{"a":1,"__proto__":2}';
    expect(Object.getOwnPropertyDescriptors(parseExactly(text))).toEqual(
      Object.getOwnPropertyDescriptors(JSON.parse(text)),
    );
  });

  test.each([
    ["[1,", "unexpected end", 3],
    ['{"a":"b', "unexpected end", 7],
    ["[1,x]", "unexpected character", 3],
    ["{} {}", "unexpected character", 3],
  ])("refuses %j with the place: %s at %i", (text, what, at) => {
    expect(() => parseExactly(text)).toThrow(new UnexpectedText(what, at));
  });

  test("keeps integers of up to 40 digits exact", () => {
    const text = `[9007199254740993, -9223372036854775808, ${"9".repeat(40)}, ${"9".repeat(41)}, 9007199254740993.0]`;
    expect(parseExactly(text)).toEqual([
      ...[9007199254740993n, -9223372036854775808n, BigInt("9".repeat(40))],
      ...[Number("9".repeat(41)), 9007199254740992],
    ]);
  });

  test("refuses nesting that could overflow the stack", () => {
    for (const [open, close] of [
      ["[", "]"],
      ['{"a":', "}"],
    ] as const) {
      const nested = (levels: number) => `${open.repeat(levels)}1${close.repeat(levels)}`;
      expect(JSON.stringify(parseExactly(nested(500)))).toBe(nested(500));
      for (const levels of [501, 1_000_000]) {
        expect(() => parseExactly(nested(levels))).toThrow(new SyntaxError("nested too deeply"));
      }
    }
  });

  test.each([
    ['{"a":1,"b":2,"a":1}', "a"],
    ['{"a":[{"b":{"c":1,"c":2}}]}', "c"],
    ['{"a":1,"\\u0061":2}', "a"],
    ['{"__proto__":1,"__proto__":2}', "__proto__"],
    ['{"":1,"":2}', ""],
  ])("refuses %s for the repeated key, if asked to", (text, key) => {
    expect(() => parseExactly(text, "refused")).toThrow(RepeatedKey);
    expect(() => parseExactly(text, "refused")).toThrow(expect.objectContaining({ key }));
    parsesAsTheEngineDoes(text);
  });

  test("accepts a key again in another object, and names of JavaScript's own properties", () => {
    const text = '{"a":{"a":[{"a":1},{"a":1}]},"b":"a","constructor":1,"toString":2,"hasOwnProperty":3}';
    expect(JSON.stringify(parseExactly(text, "refused"))).toBe(text);
  });
});
