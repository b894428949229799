import { SnapshotCorrupt } from "../core/errors.ts";
import { DecodeError, type Decoder, text } from "../core/json/decode.ts";
import { attributesOf, type Item } from "./index-entry.ts";

/**
 * Reads an item, trusting nothing.
 *
 * @param remedy what to do about an item that is not what was written
 * @throws SnapshotCorrupt that names the item and the first attribute that is missing or is not what it should be
 */
export function decodeItem<T>(item: Item, remedy: string, decode: (attributes: Attributes) => T): T {
  try {
    return decode(attributesOf(item));
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    const key = `${item.pk?.S} / ${JSON.stringify(item.sk?.S ?? null)}`;
    throw new SnapshotCorrupt(`the item ${key} is not what was written: ${cause.message}. ${remedy}`, { cause });
  }
}

type Attributes = ReturnType<typeof attributesOf>;

/** A time in the form that `toISOString` gives: ISO 8601, UTC, milliseconds. */
export const isoTime: Decoder<string> = (value, path) => {
  const found = text(value, path);
  if (isIsoTime(found)) return found;
  throw new DecodeError(path, `must be a time such as 2025-01-15T10:30:00.000Z, not ${JSON.stringify(found)}`);
};

/** Whether a text is a time in that form. */
export const isIsoTime = (value: string): boolean =>
  !Number.isNaN(Date.parse(value)) && new Date(value).toISOString() === value;
