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

/** One declaration of how a value is written and read. `decode` gives what `encode` was given, and throws for other values. */
export interface Codec<T, Encoded extends Json | undefined = Json> {
  encode(value: T): Encoded;
  readonly decode: Decoder<T>;
}

/** An error from inside of a place, as it is seen from outside. */
function inside(place: string, error: unknown): unknown {
  if (!(error instanceof DecodeError)) return error;
  const dot = error.path === "" || /^[.[]/.test(error.path) ? "" : ".";
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

/** A value that is written as it is; `read` gives undefined for any other value. */
export const plain = <T extends Json>(expected: string, read: (value: unknown) => T | undefined): Codec<T, T> => ({
  encode: (value) => value,
  decode(value, path) {
    const found = read(value);
    if (found === undefined) throw wrong(path, expected, value);
    return found;
  },
});

/** Any text. */
export const text = plain("a string", (value) => (typeof value === "string" ? value : undefined));

/** A text of this form. */
export const matching = (form: RegExp, expected: string) =>
  plain(expected, (value) => (typeof value === "string" && form.test(value) ? value : undefined));

/** One of the given texts. */
export const oneOf = <T extends string>(allowed: readonly T[]) =>
  plain(`one of ${allowed.join(", ")}`, (value) => allowed.find((candidate) => candidate === value));

/** True or false. */
export const flag = plain("true or false", (value) => (typeof value === "boolean" ? value : undefined));

/** True: for a field that is absent otherwise. */
export const mark = plain("true", (value) => (value === true ? value : undefined));

/** An integer within int32. */
export const int32 = plain(
  "a 32-bit integer",
  (value) => (typeof value === "number" && (value | 0) === value ? value | 0 : undefined), // -0 is 0
);

const isSafeInteger = (value: unknown): value is number => Number.isSafeInteger(value);

/** A number of things. */
export const count = plain("a count", (value) => (isSafeInteger(value) && value >= 0 ? value : undefined));

/** An integer, exact: `parseJson` keeps those beyond 2^53 as bigint. */
const integerOf = (value: unknown): bigint | undefined => {
  if (typeof value === "bigint") return value;
  return isSafeInteger(value) ? BigInt(value) : undefined;
};

/** An integer within int64, exact. */
export const int64 = plain("a 64-bit integer", (value) => {
  const integer = integerOf(value);
  return integer !== undefined && BigInt.asIntN(64, integer) === integer ? integer : undefined;
});

/** A sum of values within int64 that are not negative: an exact integer, which may be beyond int64 itself. */
export const sum = plain("an integer that is not negative", (value) => {
  const integer = integerOf(value);
  return integer !== undefined && integer >= 0n ? integer : undefined;
});

/** The same without values below zero. */
export const notNegative = <T extends number | bigint>({ encode, decode }: Codec<T, T>): Codec<T, T> => ({
  encode,
  decode(value, path) {
    const found = decode(value, path);
    if (found < 0) throw new DecodeError(path, `must not be negative, but is ${found}`);
    return found;
  },
});

/** The value, or null. */
export const nullable = <T, E extends Json>({ encode, decode }: Codec<T, E>): Codec<T | null, E | null> => ({
  encode: (value) => (value === null ? null : encode(value)),
  decode: (value, path) => (value === null ? null : decode(value, path)),
});

/** The value, or null, which is also what is read where the field is absent. */
export const nullIfAbsent = <T, E extends Json>(codec: Codec<T, E>): Codec<T | null, E | null> => {
  const { encode, decode } = nullable(codec);
  return { encode, decode: (value, path) => decode(value ?? null, path) };
};

/** The value of a field that may be absent. */
export const optional = <T, E extends Json>(codec: Codec<T, E>): Codec<T | undefined, E | undefined> => ({
  encode: (value) => (value === undefined ? undefined : codec.encode(value)),
  decode: (value, path) => (value === undefined ? undefined : codec.decode(value, path)),
});

/** A value that is written in another form than the one in which the program has it. `read` may throw a DecodeError. */
export const converted = <T, Form, E extends Json>(
  form: Codec<Form, E>,
  write: (value: T) => Form,
  read: (form: Form, path: string) => T,
): Codec<T, E> => ({
  encode: (value) => form.encode(write(value)),
  decode: (value, path) => read(form.decode(value, path), path),
});

/** How deeply lists and objects may be nested in each other: all that is done with them goes down the stack. */
const DEEPEST = 100;

/** Any value that `parseJson` gives, as it will be written again: objects whose keys JavaScript would move are maps. */
export const json: Codec<Json> = { encode: (value) => value, decode: (value, path) => jsonAt(value, path, 0) };

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
export const list = <T, E extends Json>(entries: Codec<T, E>): Codec<readonly T[], readonly E[]> => ({
  encode: (values) => values.map((value) => entries.encode(value)),
  decode(value, path) {
    if (!Array.isArray(value)) throw wrong(path, "a list", value);
    return value.map((entry: unknown, i) => {
      try {
        return entries.decode(entry, "");
      } catch (error) {
        throw inside(`${path}[${i}]`, error);
      }
    });
  },
});

/** Any text as the key of a map: names of groups and topics. */
export const anyKey = (key: string) => key;

/** An object with keys from outside, as a map. */
export const mapOf = <K extends string | number, V, E extends Json>(
  key: (key: string, path: string) => K,
  entries: Codec<V, E>,
): Codec<ReadonlyMap<K, V>, ReadonlyMap<string, E>> => ({
  encode: (map) => new Map([...map].map(([key, value]) => [String(key), entries.encode(value)])),
  decode(value, path) {
    if (!isObject(value)) throw wrong(path, "an object", value);
    const result = new Map<K, V>();
    for (const name of Object.keys(value)) {
      try {
        result.set(key(name, ""), entries.decode(value[name], ""));
      } catch (error) {
        throw inside(`${path}[${JSON.stringify(name)}]`, error);
      }
    }
    return result;
  },
});

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The codec of each field, by its name in the document. */
type Fields = {
  readonly [name: string]: Pick<Codec<never, Json | undefined>, "encode"> & Pick<Codec<unknown>, "decode">;
};
type Read<F extends Fields, Name extends keyof F> = ReturnType<F[Name]["decode"]>;
type Optional<F extends Fields> = { [Name in keyof F]: undefined extends Read<F, Name> ? Name : never }[keyof F];
type CamelCase<Name> = Name extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<CamelCase<Tail>>}` : Name;

/** An object of the program with these fields, under their names in camelCase; a field that can be undefined is optional. */
type Model<F extends Fields> = {
  readonly [Name in Exclude<keyof F, Optional<F>> as CamelCase<Name>]: Read<F, Name>;
} & { readonly [Name in Optional<F> as CamelCase<Name>]?: Exclude<Read<F, Name>, undefined> };

/** The same as a document. */
type Document<F extends Fields> = { readonly [Name in keyof F]: ReturnType<F[Name]["encode"]> };

/**
 * A document: an object with fields whose names are known, in snake_case and in this order. An unknown field is refused,
 * unless they are to be ignored: where a newer deployment may have added some.
 */
export function document<F extends Fields>(fields: F, unknown?: "ignored"): Codec<Model<F>, Document<F>>;
export function document(
  fields: { readonly [name: string]: Codec<unknown, Json | undefined> },
  unknown?: "ignored",
): Codec<{ readonly [property: string]: unknown }, { readonly [name: string]: Json | undefined }> {
  const all = Object.entries(fields).map(([name, codec]) => ({ name, property: camelCase(name), codec }));
  const known = new Set(Object.keys(fields));
  return {
    encode(value) {
      const encoded: { [name: string]: Json | undefined } = {};
      for (const { name, property, codec } of all) encoded[name] = codec.encode(value[property]);
      return encoded;
    },
    decode(value, path) {
      if (!isObject(value)) throw wrong(path, "an object", value);
      const at = (name: string) => (path === "" ? name : `${path}.${name}`);
      const unknownField = unknown === "ignored" ? undefined : Object.keys(value).find((name) => !known.has(name));
      if (unknownField !== undefined) {
        const shown = /^\w+$/.test(unknownField) ? unknownField : show(unknownField);
        throw new DecodeError(at(shown), "is not a field of this document");
      }
      const decoded: { [property: string]: unknown } = {};
      for (const { name, property, codec } of all) {
        try {
          const field = codec.decode(value[name], "");
          if (field !== undefined) decoded[property] = field;
        } catch (error) {
          throw inside(at(name), error);
        }
      }
      return decoded;
    },
  };
}

const camelCase = (name: string) => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
