import { compareCodePoints } from "./text.ts";

/**
 * A JSON value as the project handles it: 64-bit integers are `bigint`, and objects with keys from outside (group and
 * topic names) are maps, since JavaScript's objects put integer keys first and treat `__proto__` apart. Maps are
 * written in code point order of their keys, objects in the order of their literals, without `undefined` entries.
 */
export type Json =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Json[]
  | ReadonlyMap<string, Json>
  | { readonly [key: string]: Json | undefined };

declare global {
  // ECMAScript 2026, in Node since 22; TypeScript's library does not have it yet.
  interface JSON {
    rawJSON(text: string): object;
    parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown;
  }
}

const isMap = (value: object): value is ReadonlyMap<string, Json> => value instanceof Map;
const isList = (value: object): value is readonly Json[] => Array.isArray(value);

function* entriesOf(
  value: ReadonlyMap<string, Json> | { readonly [key: string]: Json | undefined },
): Generator<[string, Json]> {
  if (isMap(value)) {
    yield* [...value].sort(([a], [b]) => compareCodePoints(a, b));
    return;
  }
  for (const [key, entry] of Object.entries(value)) if (entry !== undefined) yield [key, entry];
}

/** Writes a value as one line of JSON. Equal values give equal text, whatever order their maps were filled in. */
export function encodeJson(value: Json): string {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (isList(value)) return `[${value.map(encodeJson).join(",")}]`;
  const parts: string[] = [];
  for (const [key, entry] of entriesOf(value)) parts.push(`${JSON.stringify(key)}:${encodeJson(entry)}`);
  return `{${parts.join(",")}}`;
}

/**
 * The same value for somebody else's `JSON.stringify` (the Lambda runtime's): its text is that of `encodeJson`, exact
 * integers and order of keys included.
 */
export function toSerializable(value: Json): unknown {
  if (typeof value === "bigint") {
    return BigInt.asIntN(54, value) === value ? Number(value) : JSON.rawJSON(value.toString());
  }
  if (typeof value !== "object" || value === null) return value;
  if (isList(value)) return value.map(toSerializable);
  const entries = [...entriesOf(value)].map(([key, entry]) => [key, toSerializable(entry)] as const);
  const object = Object.fromEntries(entries);
  if (!isMap(value)) return object;
  const keys = entries.map(([key]) => key);
  // Integer-like keys come first in any plain object; only a proxy can list its keys in another order.
  return keys.some((key) => /^\d+$/.test(key)) ? new Proxy(object, { ownKeys: () => keys }) : object;
}

/**
 * `JSON.parse`, except that integers beyond 2^53 come out as exact `bigint`s instead of rounded numbers.
 *
 * @throws SyntaxError as `JSON.parse` does.
 */
export function parseJson(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key, value: unknown, { source }) =>
    typeof value === "number" && !Number.isSafeInteger(value) && source !== undefined && /^-?\d+$/.test(source)
      ? BigInt(source)
      : value,
  );
}
