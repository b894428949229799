import type { Json } from "./json.ts";

/** A value is not what it should be; `path` names where. */
export class DecodeError extends Error {
  readonly path: string;
  readonly problem: string;
  constructor(path: string, problem: string) {
    super(`${short(path, 600) || "the document"} ${short(problem, 300)}`);
    this.path = path;
    this.problem = problem;
  }
}

/**
 * Turns a parsed JSON value into a typed one, or throws a DecodeError that names the place. What is inside of a list or an
 * object gets an empty path: the rest is put before it only when there is an error, not for each of a million values.
 */
export type Decoder<T> = (value: unknown, path: string) => T;

/** An error from inside of a place, as it is seen from outside. */
function inside(place: string, error: unknown): unknown {
  if (!(error instanceof DecodeError)) return error;
  const dot = error.path === "" || place === "" || /^[.[]/.test(error.path) ? "" : ".";
  return new DecodeError(`${place}${dot}${error.path}`, error.problem);
}

const short = (text: string, most: number) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** A value in a few characters, whatever it is, and however much. */
const show = (value: unknown) => {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value === "bigint") return short(`${value}`, 60);
  return short(JSON.stringify(typeof value === "string" ? value.slice(0, 60) : value) ?? typeof value, 60);
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
  return value | 0; // -0 is 0
};

/** An integer, exact: `parseJson` keeps those beyond 2^53 as bigint. */
const integerOf = (value: unknown): bigint | undefined => {
  if (typeof value === "bigint") return value;
  return typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : undefined;
};

/** An integer within int64, exact. */
export const int64: Decoder<bigint> = (value, path) => {
  const integer = integerOf(value);
  if (integer === undefined || BigInt.asIntN(64, integer) !== integer) throw wrong(path, "a 64-bit integer", value);
  return integer;
};

/** A sum of values within int64 that are not negative: an exact integer, which may be beyond int64 itself. */
export const sum: Decoder<bigint> = (value, path) => {
  const integer = integerOf(value);
  if (integer === undefined || integer < 0n) throw wrong(path, "an integer that is not negative", value);
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

/** How deeply lists and objects may be nested in each other: all that is done with them goes down the stack. */
const DEEPEST = 100;

/** Any value that `parseJson` gives, as it will be written again: objects whose keys JavaScript would move are maps. */
export const jsonValue: Decoder<Json> = (value, path) => jsonAt(value, path, 0);

/** An object of such values, whose keys are names of fields. */
export const jsonObject: Decoder<{ readonly [key: string]: Json }> = (value, path) => jsonFieldsAt(value, path, 0);

function jsonAt(value: unknown, path: string, depth: number): Json {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (depth > DEEPEST) throw new DecodeError(path, `is nested more than ${DEEPEST} levels deep`);
  if (Array.isArray(value)) return value.map((entry: unknown, i) => jsonAt(entry, `${path}[${i}]`, depth + 1));
  const fields = jsonFieldsAt(value, path, depth);
  const moved = Object.keys(fields).some((key) => key === "__proto__" || /^\d+$/.test(key));
  return moved ? new Map(Object.entries(fields)) : fields;
}

function jsonFieldsAt(value: unknown, path: string, depth: number): { readonly [key: string]: Json } {
  if (!isObject(value)) throw wrong(path, "JSON", value);
  const entries = Object.entries(value);
  return Object.fromEntries(entries.map(([key, entry]) => [key, jsonAt(entry, `${path}.${key}`, depth + 1)]));
}

/** A list of such values. */
export const list =
  <T>(decode: Decoder<T>): Decoder<T[]> =>
  (value, path) => {
    if (!Array.isArray(value)) throw wrong(path, "a list", value);
    return value.map((entry: unknown, i) => {
      try {
        return decode(entry, "");
      } catch (error) {
        throw inside(`${path}[${i}]`, error);
      }
    });
  };

/** An object with keys from outside, as a map. The decoder of an entry may look at its key. */
export const mapOf =
  <K, V>(key: (key: string, path: string) => K, decode: Decoder<V>): Decoder<Map<K, V>> =>
  (value, path) => {
    if (!isObject(value)) throw wrong(path, "an object", value);
    const result = new Map<K, V>();
    for (const name of Object.keys(value)) {
      try {
        result.set(key(name, ""), decode(value[name], ""));
      } catch (error) {
        throw inside(`${path}[${JSON.stringify(name)}]`, error);
      }
    }
    return result;
  };

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Reads the fields of an object, and refuses unknown fields. */
export function fieldsOf(value: unknown, path: string, known: readonly string[]) {
  if (!isObject(value)) throw wrong(path, "an object", value);
  const at = (name: string) => (path === "" ? name : `${path}.${name}`);
  const stranger = Object.keys(value).find((name) => !known.includes(name));
  if (stranger !== undefined) {
    throw new DecodeError(at(/^\w+$/.test(stranger) ? stranger : show(stranger)), "is not a field of this document");
  }
  const required = <T>(name: string, decode: Decoder<T>): T => {
    try {
      return decode(value[name], "");
    } catch (error) {
      throw inside(at(name), error);
    }
  };
  return {
    required,
    optional: <T>(name: string, decode: Decoder<T>): T | undefined =>
      value[name] === undefined ? undefined : required(name, decode),
  };
}
