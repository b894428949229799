import { isUtf8 } from "node:buffer";
import { gunzipSync, gzipSync } from "node:zlib";
import { encodeJson, type Json, parseJson } from "./json.ts";

/** How long a stored JSON text may be, so that one that unpacks without end is not believed: some three million offsets. */
const LONGEST = 256 * 1024 * 1024;

/** A value is too large to be stored; the message says how much is allowed. */
export class PackError extends Error {}

/** Bytes are not a packed JSON value; the message says why: `it is not gzip`. */
export class UnpackError extends Error {}

/**
 * A value as it is stored: one line of JSON, gzip'd.
 *
 * @throws PackError where it would be longer than what `unpackJson` reads
 */
export function packJson(value: Json): Uint8Array {
  try {
    const text = encodeJson(value);
    if (Buffer.byteLength(text) <= LONGEST) return gzipSync(text, { level: 1 });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // a RangeError: longer than any string
  }
  throw new PackError(`more than the ${LONGEST / 2 ** 20} MB of JSON that can be stored`);
}

/**
 * The value of such bytes, as `parseJson` gives it.
 *
 * @throws UnpackError where they are not gzip'd JSON, or too long a text
 */
export function unpackJson(bytes: Uint8Array): unknown {
  const text = unzip(bytes);
  if (!isUtf8(text)) throw new UnpackError("it is not UTF-8");
  try {
    return parseJson(text.toString("utf8"));
  } catch (cause) {
    throw cause instanceof SyntaxError ? new UnpackError("it is not JSON", { cause }) : cause;
  }
}

function unzip(bytes: Uint8Array): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: LONGEST });
  } catch (cause) {
    const tooLong = cause instanceof RangeError;
    throw new UnpackError(tooLong ? `it is longer than ${LONGEST / 2 ** 20} MB` : "it is not gzip", { cause });
  }
}
