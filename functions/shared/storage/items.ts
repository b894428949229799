import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import type { JournalCorrupt, SnapshotCorrupt } from "../core/errors.ts";
import { type Codec, DecodeError, plain, text } from "../core/json/codec.ts";
import { encodeJson, parseJson } from "../core/json/json.ts";
import type { Unreadable } from "./unreadable.ts";

/** An item of the table. */
export type Item = Record<string, AttributeValue>;

/** The key of an item. */
export type Key = { readonly pk: AttributeValue.SMember; readonly sk: AttributeValue.SMember };

/** A text of at most so many characters, whole ones; an ellipsis stands for the rest. */
export const cap = (value: string, characters: number): string => {
  const all = [...value.slice(0, 2 * characters).toWellFormed()];
  return all.length > characters ? `${all.slice(0, characters - 1).join("")}…` : all.join("");
};

/** A value as JSON in a text attribute. */
export const inText = <T>(codec: Codec<T>): Codec<T, string> => ({
  encode: (value) => encodeJson(codec.encode(value)),
  decode(value, path) {
    try {
      return codec.decode(parseJson(text.decode(value, path)), path);
    } catch (cause) {
      throw cause instanceof SyntaxError ? new DecodeError(path, "is not JSON") : cause;
    }
  },
});

/** A time in the form that `toISOString` gives: ISO 8601, UTC, milliseconds. */
export const isoTime = plain("a time such as 2025-01-15T10:30:00.000Z", (value) =>
  typeof value === "string" && isIsoTime(value) ? value : undefined,
);

/** Whether a text is a time in that form. */
export const isIsoTime = (value: string): boolean =>
  /^\d{4}-/.test(value) && !Number.isNaN(Date.parse(value)) && new Date(value).toISOString() === value;

/** The attributes of an item: texts, and numbers that count something. Where one is null or undefined, there is none. */
type Attributes = { readonly [name: string]: string | number | null | undefined };

/** Who makes a change, and by which request. */
export interface Caller {
  /** The caller's ARN over HTTP, and otherwise what the request says of its sender. */
  readonly requestedBy: string | null;
  /** The caller's ARN where API Gateway has established it; null in a direct invocation. */
  readonly callerArn: string | null;
  readonly requestId: string;
}

/** Which error it is when an item is not what was written. */
export interface Stored {
  readonly Corrupt: typeof JournalCorrupt | typeof SnapshotCorrupt;
  /** What to do then, as whole sentences. */
  readonly next: string;
}

/**
 * Writes and reads items of a kind, trusting nothing. `attributes` should ignore unknown ones: a newer deployment may have
 * added them. `decode` throws the error that `stored` names, with the item and the first attribute that is missing or wrong.
 */
export const itemCodec = <T>(attributes: Codec<T, Attributes>, { Corrupt, next }: Stored) => {
  const decode = (item: Item): T => {
    const values = Object.entries(item).map(([name, { S, N, ...other }]) => [name, S ?? (N ? Number(N) : other)]);
    try {
      return attributes.decode(Object.fromEntries(values), "");
    } catch (cause) {
      if (!(cause instanceof DecodeError)) throw cause;
      const key = `${item.pk?.S} / ${JSON.stringify(item.sk?.S ?? null)}`;
      throw new Corrupt(`the item ${key} is not what was written: ${cause.message}.`, { next, cause });
    }
  };
  return {
    encode: (value: T): Item => itemOf(attributes.encode(value)),
    decode,
    /** Decodes the items of a list; those that are not what was written are left out, and added to `unreadable`. */
    async *decodeAll(items: AsyncIterable<Item>, unreadable: Unreadable) {
      for await (const item of items) {
        try {
          yield decode(item);
        } catch (error) {
          if (!(error instanceof Corrupt)) throw error;
          unreadable.add(error, item);
        }
      }
    },
  };
};

/** The item that has these attributes. */
export const itemOf = (attributes: Attributes): Item =>
  Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]) => {
      if (value === null || value === undefined) return [];
      return [[name, typeof value === "number" ? { N: String(value) } : { S: value }]];
    }),
  );
