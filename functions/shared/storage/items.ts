import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import type { JournalCorrupt, SnapshotCorrupt } from "../core/errors.ts";
import { DecodeError, type Decoder, text } from "../core/json/decode.ts";
import { parseJson } from "../core/json/json.ts";

/** An item of the table. */
export type Item = Record<string, AttributeValue>;

/** The key of an item. */
export type Key = { readonly pk: AttributeValue.SMember; readonly sk: AttributeValue.SMember };

/** A text of at most so many characters, whole ones; an ellipsis stands for the rest. */
export const cap = (value: string, characters: number): string => {
  const all = [...value.slice(0, 2 * characters).toWellFormed()];
  return all.length > characters ? `${all.slice(0, characters - 1).join("")}…` : all.join("");
};

/** A number as an attribute. */
export const number = (value: number) => ({ N: String(value) });

/** A text attribute, or none where the value is absent: for `...`. */
export const optionalText = (name: string, value: string | null | undefined): Item =>
  value === null || value === undefined ? {} : { [name]: { S: value } };

/** A value that is stored as JSON in a text attribute. */
export const fromJson =
  <T>(decode: Decoder<T>): Decoder<T> =>
  (value, path) => {
    let parsed: unknown;
    try {
      parsed = parseJson(text(value, path));
    } catch (cause) {
      throw cause instanceof SyntaxError ? new DecodeError(path, "is not JSON") : cause;
    }
    return decode(parsed, path);
  };

/** The attributes of an item, strictly of their types: S is a string, N a number that counts something. */
function attributesOf(item: Item) {
  const value = (name: string, type: "S" | "N"): string | undefined => {
    const attribute = item[name];
    if (attribute !== undefined && attribute[type] === undefined) throw new DecodeError(name, `is not of type ${type}`);
    return attribute?.[type];
  };
  const optional = <T>(name: string, decode: Decoder<T>): T | undefined => {
    const found = value(name, "S");
    return found === undefined ? undefined : decode(found, name);
  };
  const optionalCount = (name: string): number | undefined => {
    const found = value(name, "N");
    if (found === undefined) return undefined;
    const n = Number(found);
    if (!Number.isSafeInteger(n) || n < 0) throw new DecodeError(name, `must be a count, not ${found}`);
    return n;
  };
  const present = <T>(name: string, found: T | undefined): T => {
    if (found === undefined) throw new DecodeError(name, "is missing");
    return found;
  };
  return {
    optional,
    optionalCount,
    required: <T>(name: string, decode: Decoder<T>): T => present(name, optional(name, decode)),
    count: (name: string): number => present(name, optionalCount(name)),
  };
}

/** How an item is named, and which error it is, when it is not what was written. */
export interface Stored {
  readonly Corrupt: typeof JournalCorrupt | typeof SnapshotCorrupt;
  /** What to do then, as whole sentences. */
  readonly next: string;
}

/**
 * Reads an item, trusting nothing. Attributes that no decoder reads are ignored: a newer deployment may have added them.
 *
 * @throws the error that `stored` names, with the item and the first attribute that is missing or wrong
 */
export function decodeItem<T>(
  item: Item,
  { Corrupt, next }: Stored,
  decode: (attributes: ReturnType<typeof attributesOf>) => T,
): T {
  try {
    return decode(attributesOf(item));
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    const key = `${item.pk?.S} / ${JSON.stringify(item.sk?.S ?? null)}`;
    throw new Corrupt(`the item ${key} is not what was written: ${cause.message}.`, { next, cause });
  }
}

/** A time in the form that `toISOString` gives: ISO 8601, UTC, milliseconds. */
export const isoTime: Decoder<string> = (value, path) => {
  const found = text(value, path);
  if (isIsoTime(found)) return found;
  throw new DecodeError(path, `must be a time such as 2025-01-15T10:30:00.000Z, not ${JSON.stringify(found)}`);
};

/** Whether a text is a time in that form. */
export const isIsoTime = (value: string): boolean =>
  !Number.isNaN(Date.parse(value)) && new Date(value).toISOString() === value;
