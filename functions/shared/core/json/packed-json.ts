import { isUtf8 } from "node:buffer";
import { promisify } from "node:util";
import { gunzip, gunzipSync, gzipSync } from "node:zlib";
import { encodeJson, type Json, parseJson } from "./json.ts";
import { type Keep, parseExactly } from "./parser.ts";

/** How long a stored JSON text may be, so that one that unpacks without end is not believed: some three million offsets. */
const LONGEST = 256 * 1024 * 1024;

/**
 * How many values such a text may have: a value of two characters can need 200 bytes of memory once it is parsed. In a large
 * snapshot a value has at least eleven characters with its key.
 */
const mostValues = (bytes: number) => 4_000_000 + Math.floor(bytes / 12);

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
    const text = Buffer.from(encodeJson(value));
    if (text.length <= LONGEST && !hasTooManyValues(text)) return gzipSync(text, { level: 1 });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // a RangeError: longer than any string
  }
  throw new PackError(`more than the ${LONGEST / 2 ** 20} MB of JSON that can be stored`);
}

/**
 * The value of such bytes, as `parseJson` gives it.
 *
 * @throws UnpackError where they are not gzip'd JSON, too long a text, or too many values to be parsed
 */
export function unpackJson(bytes: Uint8Array): unknown {
  let text: Buffer;
  try {
    text = gunzipSync(bytes, limit);
  } catch (cause) {
    throw notUnzipped(cause);
  }
  return parseText(text, parseJson);
}

/**
 * A part of the same value, as `parseExactly` gives it; several calls unzip in parallel. The bytes must be known to be what
 * `packJson` gave.
 *
 * @throws UnpackError as `unpackJson` does
 */
export async function unpackPart(bytes: Uint8Array, keep: Keep): Promise<unknown> {
  const text = await unzip(bytes, limit).catch((cause: unknown) => {
    throw notUnzipped(cause);
  });
  return parseText(text, (json) => parseExactly(json, "last", keep));
}

const unzip = promisify<Uint8Array, typeof limit, Buffer>(gunzip);
const limit = { maxOutputLength: LONGEST };

function notUnzipped(cause: unknown): UnpackError {
  const tooLong = cause instanceof RangeError;
  return new UnpackError(tooLong ? `it is longer than ${LONGEST / 2 ** 20} MB` : "it is not gzip", { cause });
}

function parseText(text: Buffer, parse: (json: string) => unknown): unknown {
  if (!isUtf8(text)) throw new UnpackError("it is not UTF-8");
  if (hasTooManyValues(text)) throw new UnpackError(`it has more than ${mostValues(text.length)} values`);
  try {
    return parse(text.toString("utf8"));
  } catch (cause) {
    throw cause instanceof SyntaxError ? new UnpackError("it is not JSON", { cause }) : cause;
  }
}

const [quote, backslash] = [0x22, 0x5c];
/** The bytes after which a value begins, except at the end of an empty list or object. */
const opening = new Uint8Array(256);
for (const character of "[{,") opening[character.charCodeAt(0)] = 1;

/** Whether a JSON text has more values than are parsed, with a look at each byte. */
function hasTooManyValues(json: Uint8Array): boolean {
  const most = mostValues(json.length);
  if (json.length <= most) return false;
  let values = 1;
  let at = 0;
  while (at < json.length) {
    const byte = json[at++] ?? 0;
    if (byte !== quote) {
      values += opening[byte] ?? 0;
      continue;
    }
    for (let next = json[at++]; next !== quote && next !== undefined; next = json[at++]) if (next === backslash) at++;
  }
  return values > most;
}
