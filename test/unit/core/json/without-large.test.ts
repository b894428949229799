import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeJson } from "../../../../functions/shared/core/json/json.ts";
import { withoutLarge } from "../../../../functions/shared/core/json/without-large.ts";
import { json } from "../../../support/arbitraries.ts";

const cut = (...args: Parameters<typeof withoutLarge>) => {
  const { small, omitted } = withoutLarge(...args);
  return { ...small, omitted: Object.fromEntries(omitted) };
};
const large = "x".repeat(50);

describe("withoutLarge", () => {
  test("leaves out large fields, and counts their entries", () => {
    const document = {
      status: "success",
      none: undefined,
      text: large,
      list: [large, 1],
      map: new Map([["a", large]]),
      fields: { a: large, b: 1, c: undefined },
    };
    expect(cut(document, 40, false)).toStrictEqual({
      status: "success",
      omitted: { text: 1, list: 2, map: 1, fields: 2 },
    });
  });

  test("counts two brackets, and each part with a comma", () => {
    expect(cut({ list: ["a", "b"] }, 10, false)).toEqual({ list: ["a", "b"], omitted: {} });
    expect(cut({ list: ["a", "b"] }, 9, false)).toEqual({ omitted: { list: 2 } });
    expect(cut({ list: ["a", "b"] }, 9, true)).toEqual({ list: ["a"], omitted: { list: 1 } });
    expect(cut({ none: null, empty: [] }, 7, false)).toEqual({ none: null, empty: [], omitted: {} });
    expect(cut({ none: null, empty: [] }, 6, false)).toEqual({ empty: [], omitted: { none: 1 } });
  });

  test("that is deep keeps the first entries of lists, and the small fields of objects; maps are left out whole", () => {
    const document = {
      list: ["first", "second", large.repeat(3), "last"],
      verification: {
        verified: false,
        mismatches: ["first", large.repeat(2), "last"],
        inner: { kinds: [large, 1], n: 1 },
      },
      groups: new Map([["a", { error: large.repeat(3), n: 1 }]]),
    };
    expect(cut(document, 130, true)).toEqual({
      list: ["first", "second"],
      verification: { verified: false, mismatches: ["first"], inner: { n: 1 } },
      omitted: { list: 2, "verification.mismatches": 2, "verification.inner.kinds": 2, groups: 1 },
    });
  });

  test("that is deep has no empty list where no entry fits, and no object that is too large even so", () => {
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`group-${i}`, i]));
    expect(cut({ blockers: [large, 1], groups: many }, 30, true)).toEqual({ omitted: { blockers: 2, groups: 20 } });
    expect(cut({ empty: [], none: {} }, 2, true)).toEqual({ empty: [], none: {}, omitted: {} });
  });

  test("keeps every field below the size, and counts everything else", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), json),
        fc.integer({ min: 2, max: 60 }),
        fc.boolean(),
        (document, most, deep) => {
          const { small, omitted } = withoutLarge(document, most, deep);
          for (const [name, value] of Object.entries(small)) {
            expect(Buffer.byteLength(encodeJson(value ?? null))).toBeLessThanOrEqual(most);
            const isWhole = ![...omitted.keys()].some((path) => path === name || path.startsWith(`${name}.`));
            if (isWhole) expect(value).toEqual(document[name]);
            else if (Array.isArray(value)) expect(document[name]).toHaveLength(value.length + (omitted.get(name) ?? 0));
          }
          for (const name of Object.keys(document)) {
            if (!(name in small)) expect(omitted.has(name)).toBe(true);
          }
        },
      ),
    );
  });
});
