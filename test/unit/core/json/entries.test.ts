import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Keep, keepEntries } from "../../../../functions/shared/core/json/entries.ts";
import { encodeJson } from "../../../../functions/shared/core/json/json.ts";
import { json } from "../../../support/arbitraries.ts";
import { spoil } from "../../../support/spoil.ts";

const shorten = (text: string, keep: (key: string) => Keep) => keepEntries(Buffer.from(text), keep).toString();

/** What `keepEntries` must keep of a value that was parsed. */
function kept(value: unknown, keep: Keep): unknown {
  if (typeof keep !== "function" || typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).flatMap(([key, entry]): [string, unknown][] => {
    const wanted = keep(key);
    const isNested = typeof entry === "object" && entry !== null;
    return wanted === false || (wanted === "scalar" && isNested) ? [] : [[key, kept(entry, wanted)]];
  });
  return Object.fromEntries(entries); // it defines `__proto__` as any other key
}

/** Decisions that depend on the key, on its place among the keys and on the depth, but not on anything else. */
const decisions = fc
  .array(fc.constantFrom<boolean | "scalar" | "deeper">(true, false, "scalar", "deeper", "deeper"), { minLength: 1 })
  .map((choices) => {
    const decide =
      (depth: number) =>
      (key: string): Keep => {
        const sum = [...key].reduce((sum, character) => sum + (character.codePointAt(0) ?? 0), depth);
        const choice = choices[sum % choices.length] ?? true;
        return choice === "deeper" ? depth < 5 && decide(depth + 1) : choice;
      };
    return decide(0);
  });

describe("keepEntries", () => {
  test("keeps of any JSON what is wanted, and nothing else", () => {
    fc.assert(
      fc.property(json, decisions, (value, keep) => {
        const text = encodeJson(value);
        expect(JSON.parse(shorten(text, keep))).toEqual(kept(JSON.parse(text), keep));
      }),
      { numRuns: 1_000 },
    );
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(0, 1, "\t", "\r\n "), decisions, (text, indent, keep) => {
        const spaced = JSON.stringify(JSON.parse(text), null, indent);
        expect(JSON.parse(shorten(spaced, keep))).toEqual(kept(JSON.parse(text), keep));
      }),
      { numRuns: 1_000 },
    );
  });

  test("keeps every byte of what is wanted as it was written", () => {
    const text = '{"a":1.50e3,"skip":[1],"b":"\\u0041é","c":[1, 2 ,{"skip":1}],"d":{"skip":{"a":1},"e":-0},"f":true}';
    const keep = (key: string): Keep => key !== "skip" && (key !== "d" || keep);
    expect(shorten(text, keep)).toBe('{"a":1.50e3,"b":"\\u0041é","c":[1, 2 ,{"skip":1}],"d":{"e":-0},"f":true}');
    expect(shorten(text, () => true)).toBe(text);
    expect(shorten(text, () => false)).toBe("{}");
  });

  test.each([
    ["__proto__", '"__proto__"'],
    ["constructor", '"constructor"'],
    ["7", '"7"'],
    ["", '""'],
    ['a"b\\', '"a\\"b\\\\"'],
    ["a", '"\\u0061"'],
    ["}],{", '"}],{"'],
    ["\u{1F600}é", '"\u{1F600}é"'],
    ["\u{1F600}", '"\\ud83d\\ude00"'],
  ])("knows the key %j as it is decoded", (key, written) => {
    const text = `{"x":{"a":"\\"}"},${written}:{"0":{"b":[{}]}},"y":[]}`;
    expect(shorten(text, (name) => name === key)).toBe(`{${written}:{"0":{"b":[{}]}}}`);
    expect(shorten(text, (name) => name !== key)).toBe('{"x":{"a":"\\"}"},"y":[]}');
  });

  test("keeps numbers, texts and words where lists and objects are not wanted", () => {
    const text = '{"a":null,"b":{"c":1},"d":[],"e":"{","f":-1,"g":true}';
    expect(shorten(text, () => "scalar")).toBe('{"a":null,"e":"{","f":-1,"g":true}');
  });

  test.each(["[1,2]", "1", '"a"', "null", "", "x", "[{]"])("leaves %j, which is no object, as it is", (text) => {
    expect(shorten(text, () => false)).toBe(text);
  });

  test.each([
    ...["{", '{"a', '{"a"', '{"a":', '{"a":{', '{"a":{"', '{"a":{"b\\', '{"a":[', '{"a":1', '{"a":1,', '{"a":1,}'],
    ...["{a:1}", '{"a" 1}', '{"\\x":1}', '{"a":{"b":1}', '{"a":"\\"}', "{,}"],
  ])("refuses %j, wherever its values are wanted", (text) => {
    for (const wanted of [true, false, "scalar"] as const) {
      expect(() => JSON.parse(shorten(text, () => wanted)), `${wanted}`).toThrow(SyntaxError);
    }
  });

  test.each(['{"a":1;"b":2}', '{"a":1 "b":2}', '{"a":tru}', '{"a":{"b":01}}', '{"a":[1,]}', '{"a":{]}'])(
    "refuses %j only where that value is wanted",
    (text) => {
      expect(() => JSON.parse(shorten(text, () => true))).toThrow(SyntaxError);
      expect(shorten(text, () => false)).toBe("{}");
    },
  );

  test("never makes JSON of a text that is none if all is wanted, and fails with nothing but SyntaxError", () => {
    /** Whether a text is JSON. */
    const isJson = (text: () => string) => {
      try {
        JSON.parse(text());
        return true;
      } catch (error) {
        expect(error).toBeInstanceOf(SyntaxError);
        return false;
      }
    };
    fc.assert(
      fc.property(json, spoil, decisions, (value, change, keep) => {
        const text = change(encodeJson(value));
        const accepted = isJson(() => text);
        expect(isJson(() => shorten(text, () => true))).toBe(accepted);
        if (accepted) expect(isJson(() => shorten(text, keep))).toBe(true);
        else isJson(() => shorten(text, keep));
      }),
      { numRuns: 1_000 },
    );
  });

  test("skips values however deeply they are nested", () => {
    const deep = `${'{"a":['.repeat(100_000)}1${"]}".repeat(100_000)}`;
    expect(shorten(`{"skip":${deep},"a":1}`, (key) => key !== "skip")).toBe('{"a":1}');
  });
});
