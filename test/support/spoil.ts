import fc from "fast-check";
import type { Item } from "../../functions/shared/storage/items.ts";

const DEEP = 30_000;

/** Other types, numbers out of range, texts that are not Unicode, nesting 30,000 levels deep, and text that is not JSON. */
const replacements = [
  ...["null", "true", "-1", "-0", "1.5", "1e999", "8640000000001", "9007199254740993", "9223372036854775808"],
  ...["9".repeat(5_000), `"${"x".repeat(100_000)}"`, '""', '"\\ud800"', '"\\u0000"', '"0"', '"-0"', '"__proto__"'],
  ...["[]", "{}", '{"__proto__":1}', "[9007199254740993]", '{"offset":9007199254740993}', "nonsense", ""],
  "[".repeat(DEEP) + "]".repeat(DEEP),
  `${"[".repeat(DEEP)}9007199254740993${"]".repeat(DEEP)}`,
  `${'{"a":'.repeat(DEEP)}9007199254740993${"}".repeat(DEEP)}`,
];

const damage = fc.record({
  at: fc.nat(),
  how: fc.constantFrom("replace", "replace", "remove", "add"),
  what: fc.nat({ max: replacements.length - 1 }).map((index) => `§${index}§`), // a short placeholder, filled in last
});

/** One to three changes of a JSON text: values and names are replaced, removed or added. */
export const spoil: fc.Arbitrary<(json: string) => string> = fc
  .array(damage, { minLength: 1, maxLength: 3 })
  .map((damages) => (json: string) => {
    const spoiled = damages.reduce((text, change) => spoilOnce(text, change), json);
    return spoiled.replace(/§(\d+)§/g, (_, index) => replacements[index] ?? "");
  });

function spoilOnce(json: string, { at, how, what }: { at: number; how: string; what: string }): string {
  const tokens = [...json.matchAll(/"(?:[^"\\]|\\.)*"|[\w.+§-]+|[[\]{}:,]/g)];
  const begins = tokens.flatMap(({ 0: token }, i) => (/^[\]}:,]/.test(token) ? [] : [i]));
  const first = begins[at % begins.length];
  if (first === undefined) return what;
  const [token, next] = [tokens[first]?.[0], tokens[first + 1]?.[0]];
  const isName = next === ":";
  const last = isName && how === "remove" ? endOf(first + 2) : endOf(first);
  const comma = tokens[last + 1]?.[0] === "," ? 1 : 0;
  const [start, end] = [startOf(first), startOf(last + 1)];
  if (how === "remove") return json.slice(0, start) + json.slice(startOf(last + 1 + comma));
  if (how === "replace" || (token !== "{" && token !== "[")) return json.slice(0, start) + what + json.slice(end);
  const added = (token === "{" ? `"strange":${what}` : what) + (/[\]}]/.test(next ?? "") ? "" : ",");
  return json.slice(0, start + 1) + added + json.slice(start + 1);

  /** The last token of the value that begins with this one. */
  function endOf(begin: number): number {
    let depth = 0;
    for (let i = begin; i < tokens.length; i++) {
      const token = tokens[i]?.[0];
      if (token === "{" || token === "[") depth++;
      if (token === "}" || token === "]") depth--;
      if (depth <= 0) return i;
    }
    return tokens.length - 1;
  }

  function startOf(index: number): number {
    return tokens[index]?.index ?? json.length;
  }
}

/** An attribute of any type with any value. */
const attribute: fc.Arbitrary<Item[string]> = fc.oneof(
  fc
    .oneof(fc.constantFrom(...replacements, "~", "2025-13-15T10:30:00.000Z"), fc.string({ unit: "binary" }))
    .map((S) => ({ S })),
  fc.constantFrom("0", "-1", "1.5", "1e999", "8640000000001", "9007199254740991", "", "x").map((N) => ({ N })),
  fc.constantFrom<Item[string]>({ BOOL: true }, { NULL: true }, { L: [] }, { M: {} }, { SS: ["a"] }),
);

/** One to three changes of an item: attributes are removed or replaced, or the JSON in them is changed by `spoil`. */
export const spoilItem: fc.Arbitrary<(item: Item) => Item> = fc
  .array(fc.tuple(fc.nat(), fc.oneof(fc.constant(undefined), attribute, spoil)), { minLength: 1, maxLength: 3 })
  .map((changes) => (item: Item) => {
    const spoiled = { ...item };
    for (const [at, change] of changes) {
      const names = Object.keys(spoiled);
      const name = names[at % Math.max(1, names.length)] ?? "sk";
      if (change === undefined) delete spoiled[name];
      else spoiled[name] = typeof change === "function" ? { S: change(spoiled[name]?.S ?? "") } : change;
    }
    return spoiled;
  });
