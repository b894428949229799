import { compareCodePoints } from "./code-points.ts";
import { parseExactly } from "./parser.ts";

/**
 * A JSON value as the project handles it: 64-bit integers are `bigint`, and objects with keys from outside (group and
 * topic names) are maps, since JavaScript's objects put integer keys first and treat `__proto__` apart. Maps are
 * written in code point order of their keys, objects in the order of their literals, without `undefined` entries.
 */
export type Json = null | boolean | number | bigint | string | readonly Json[] | ReadonlyMap<string, Json> | Fields;

/** An object whose keys are names of fields. */
export type Fields = { readonly [key: string]: Json | undefined };

declare global {
  // ECMAScript 2026, in Node since 22; TypeScript's library does not have it yet.
  interface JSON {
    rawJSON(text: string): object;
  }
}

const isMap = (value: object): value is ReadonlyMap<string, Json> => value instanceof Map;
const isList = (value: object): value is readonly Json[] => Array.isArray(value);

/** Whether a value is an object whose keys are names of fields. */
export const isFields = (value: Json | undefined): value is Fields =>
  typeof value === "object" && value !== null && !isMap(value) && !isList(value);

/**
 * Writes a value as one line of JSON. Equal values give equal text, whatever order their maps were filled in. Maps are
 * written entry by entry: beside the text there is never more than a copy of one of them.
 */
export function encodeJson(value: Json): string {
  const pieces: string[] = [];
  writeJson(value, pieces);
  return pieces.join("");
}

/** Entries of maps, and all that is no object, are written by the engine: several times as fast as piece by piece. */
function writeJson(value: Json, pieces: string[]): void {
  if (typeof value !== "object" || value === null || isList(value)) {
    pieces.push(JSON.stringify(toSerializable(value)));
    return;
  }
  const start = pieces.push("{");
  for (const key of keysOf(value)) {
    const entry = isMap(value) ? value.get(key) : value[key];
    if (entry === undefined) continue;
    pieces.push(`${pieces.length > start ? "," : ""}${JSON.stringify(key)}:`);
    if (isMap(value)) pieces.push(JSON.stringify(toSerializable(entry)));
    else writeJson(entry, pieces);
  }
  pieces.push("}");
}

/**
 * The same value for another `JSON.stringify`, that of the Lambda runtime: its text is that of `encodeJson`, exact
 * integers and order of keys included.
 */
export function toSerializable(value: Json): unknown {
  if (typeof value === "bigint") {
    return BigInt.asIntN(54, value) === value ? Number(value) : JSON.rawJSON(value.toString());
  }
  if (typeof value !== "object" || value === null) return value;
  if (isList(value)) return value.map(toSerializable);
  const keys = keysOf(value);
  const object: { [key: string]: unknown } = {};
  let moved = false;
  for (const key of keys) {
    const entry = isMap(value) ? value.get(key) : value[key];
    if (entry === undefined) continue;
    const written = toSerializable(entry);
    if (key === "__proto__") Object.defineProperty(object, key, { value: written, enumerable: true });
    else object[key] = written;
    moved ||= /^\d+$/.test(key);
  }
  // Integer-like keys come first in any plain object; only a proxy can list its keys in another order.
  return moved && isMap(value) ? new Proxy(object, { ownKeys: () => keys }) : object;
}

/** The keys of a value in the order in which they are written. */
const keysOf = (value: ReadonlyMap<string, Json> | Fields): string[] =>
  isMap(value) ? [...value.keys()].sort(compareCodePoints) : Object.keys(value);

/** The entries of a map or of an object, in the order in which they are written, without undefined ones; none of any other value. */
export function entriesOf(value: Json | undefined): (readonly [string, Json])[];
export function entriesOf(value: unknown): (readonly [string, unknown])[];
export function entriesOf(value: unknown): (readonly [string, unknown])[] {
  if (typeof value !== "object" || value === null || isList(value)) return [];
  const entries: [unknown, unknown][] = isMap(value) ? [...value] : Object.entries(value);
  const named = entries.flatMap(([key, entry]) => (entry === undefined ? [] : [[String(key), entry] as const]));
  return isMap(value) ? named.sort(([a], [b]) => compareCodePoints(a, b)) : named;
}

/**
 * `JSON.parse`, except that integers beyond 2^53, of up to 40 digits, come out as exact `bigint`s instead of rounded numbers.
 *
 * @throws SyntaxError as `JSON.parse` does, and where such integers are nested too deeply
 */
export function parseJson(text: string): unknown {
  return /(?:^|[:,[\s-])\d{16}/.test(text) ? parseExactly(text) : JSON.parse(text);
}
