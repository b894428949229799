import { encodeJson, entriesOf, type Fields, isFields, type Json } from "./json.ts";

/**
 * A document whose fields have at most so many bytes of JSON. A larger one is left out, so that it does not look empty.
 *
 * @param deep whether a large list keeps its first entries, as many as fit, and a large object is shortened in the same way,
 *   to fields of at most half the size
 * @returns `omitted`: how many entries were left out of each field, by its path
 */
export function withoutLarge(
  document: Fields,
  largest: number,
  deep: boolean,
): { readonly small: Fields; readonly omitted: ReadonlyMap<string, number> } {
  const small: [string, Json | undefined][] = [];
  const omitted = new Map<string, number>();
  for (const [name, value] of entriesOf(document)) {
    const parts = partsOf(value);
    const fitting = howManyFit(parts, largest);
    if (fitting === parts.length) {
      small.push([name, value]);
      continue;
    }
    const inner = deep && isFields(value) ? withoutLarge(value, largest / 2, deep) : undefined;
    if (inner !== undefined && howManyFit([inner.small], largest) === 1) {
      small.push([name, inner.small]);
      for (const [path, n] of inner.omitted) omitted.set(`${name}.${path}`, n);
      continue;
    }
    const first = deep && isList(value) ? value.slice(0, fitting) : [];
    if (first.length > 0) small.push([name, first]);
    omitted.set(name, parts.length - first.length);
  }
  return { small: Object.fromEntries(small), omitted };
}

const isList = (value: Json): value is readonly Json[] => Array.isArray(value);

/** The entries of a list, map or object; a value of another kind is its only part. */
const partsOf = (value: Json): readonly Json[] => {
  if (isList(value)) return value;
  return typeof value === "object" && value !== null ? entriesOf(value) : [value];
};

/** How many of the first parts have at most so many bytes of JSON together. */
function howManyFit(parts: readonly Json[], largest: number): number {
  let size = 2;
  const end = parts.findIndex((part) => {
    size += Buffer.byteLength(encodeJson(part)) + 1;
    return size > largest;
  });
  return end < 0 ? parts.length : end;
}
