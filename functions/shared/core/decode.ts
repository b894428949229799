import type { Json } from "./json.ts";

/** A value is not what it should be; `path` names where. */
export class DecodeError extends Error {
  readonly path: string;
  constructor(path: string, problem: string) {
    super(`${path || "the document"} ${problem}`);
    this.path = path;
  }
}

/** Turns a parsed JSON value into a typed one, or throws a DecodeError that names the place. */
export type Decoder<T> = (value: unknown, path: string) => T;

const show = (value: unknown) => {
  const text = typeof value === "bigint" ? `${value}` : (JSON.stringify(value) ?? typeof value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
};

const wrong = (path: string, expected: string, value: unknown) =>
  new DecodeError(path, value === undefined ? "is missing" : `must be ${expected}, not ${show(value)}`);

/** Any text. */
export const text: Decoder<string> = (value, path) => {
  if (typeof value !== "string") throw wrong(path, "a string", value);
  return value;
};

/** One of the given texts. */
export const oneOf =
  <T extends string>(...allowed: readonly T[]): Decoder<T> =>
  (value, path) => {
    const found = allowed.find((candidate) => candidate === value);
    if (found === undefined) throw wrong(path, `one of ${allowed.join(", ")}`, value);
    return found;
  };

/** An integer within int32. */
export const int32: Decoder<number> = (value, path) => {
  if (typeof value !== "number" || (value | 0) !== value) throw wrong(path, "a 32-bit integer", value);
  return value;
};

/** An integer within int64, exact: `parseJson` keeps those beyond 2^53 as bigint. */
export const int64: Decoder<bigint> = (value, path) => {
  const integer =
    typeof value === "bigint"
      ? value
      : typeof value === "number" && Number.isSafeInteger(value)
        ? BigInt(value)
        : undefined;
  if (integer === undefined || BigInt.asIntN(64, integer) !== integer) throw wrong(path, "a 64-bit integer", value);
  return integer;
};

/** The value, or null. */
export const nullable =
  <T>(decode: Decoder<T>): Decoder<T | null> =>
  (value, path) =>
    value === null ? null : decode(value, path);

/** True or false. */
export const flag: Decoder<boolean> = (value, path) => {
  if (typeof value !== "boolean") throw wrong(path, "true or false", value);
  return value;
};

/** Any value that `parseJson` gives, as it will be written again: objects whose keys JavaScript would move are maps. */
export const jsonValue: Decoder<Json> = (value, path) => {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (Array.isArray(value)) return value.map((entry: unknown, i) => jsonValue(entry, `${path}[${i}]`));
  const fields = jsonObject(value, path);
  const moved = Object.keys(fields).some((key) => key === "__proto__" || /^\d+$/.test(key));
  return moved ? new Map(Object.entries(fields)) : fields;
};

/** An object of such values, whose keys are names of ours. */
export const jsonObject: Decoder<{ readonly [key: string]: Json }> = (value, path) => {
  if (!isObject(value)) throw wrong(path, "JSON", value);
  const entries = Object.entries(value);
  return Object.fromEntries(entries.map(([key, entry]) => [key, jsonValue(entry, `${path}.${key}`)]));
};

/** A list of such values. */
export const list =
  <T>(decode: Decoder<T>): Decoder<T[]> =>
  (value, path) => {
    if (!Array.isArray(value)) throw wrong(path, "a list", value);
    return value.map((entry: unknown, i) => decode(entry, `${path}[${i}]`));
  };

/** An object with keys from outside, as a map. The decoder of an entry may look at its key. */
export const mapOf =
  <K, V>(key: (key: string, path: string) => K, decode: Decoder<V>): Decoder<Map<K, V>> =>
  (value, path) => {
    if (!isObject(value)) throw wrong(path, "an object", value);
    const result = new Map<K, V>();
    for (const [name, entry] of Object.entries(value)) {
      const at = `${path}[${JSON.stringify(name)}]`;
      result.set(key(name, at), decode(entry, at));
    }
    return result;
  };

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Reads the fields of an object, and refuses fields that nobody read. */
export function fieldsOf(value: unknown, path: string, known: readonly string[]) {
  if (!isObject(value)) throw wrong(path, "an object", value);
  const at = (name: string) => (path === "" ? name : `${path}.${name}`);
  const stranger = Object.keys(value).find((name) => !known.includes(name));
  if (stranger !== undefined) throw new DecodeError(at(stranger), "is not a field of this document");
  return {
    required: <T>(name: string, decode: Decoder<T>): T => decode(value[name], at(name)),
    optional: <T>(name: string, decode: Decoder<T>): T | undefined =>
      value[name] === undefined ? undefined : decode(value[name], at(name)),
  };
}
