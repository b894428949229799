import { isUtf8 } from "node:buffer";
import { promisify } from "node:util";
import { gunzip, gunzipSync, gzipSync, type ZlibOptions } from "node:zlib";
import { type Keep, keepEntries } from "./entries.ts";
import { encodeJson, type Json, parseJson } from "./json.ts";

/** How long a stored JSON text may be, so that one that unpacks without end is not believed: some three million offsets. */
const LONGEST = 256 * 1024 * 1024;

/**
 * How many values such a text may have: a value of two characters can need 200 bytes of memory once it is parsed. In a large
 * snapshot a value has at least eleven characters with its key.
 */
const mostValues = (bytes: number) => 4_000_000 + Math.floor(bytes / 12);

/** Bytes of a piece when a text is unzipped in the background. */
const [SMALLEST_CHUNK, LARGEST_CHUNK] = [1_024, 16 * 1024 * 1024];

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
  return parseText(text);
}

/**
 * The same value with only some entries of its objects: see `keepEntries`. Several calls unzip in parallel. The bytes must be
 * known to be what `packJson` gave.
 *
 * @throws UnpackError as `unpackJson` does, except for what is left out
 */
export async function unpackPart(bytes: Uint8Array, keep: (key: string) => Keep): Promise<unknown> {
  const text = await unzip(bytes, { ...limit, chunkSize: chunkSizeFor(bytes) }).catch((cause: unknown) => {
    throw notUnzipped(cause);
  });
  return parseText(text, keep);
}

const limit = { maxOutputLength: LONGEST };
const unzip = promisify<Uint8Array, ZlibOptions, Buffer>(gunzip);

/** Gzip ends with the length of the text. Unzipped in one piece, it takes one turn of a thread, not one for each 16 kB. */
function chunkSizeFor(gzip: Uint8Array): number {
  if (gzip.length < 4) return SMALLEST_CHUNK;
  const length = new DataView(gzip.buffer, gzip.byteOffset, gzip.byteLength).getUint32(gzip.length - 4, true);
  return Math.min(Math.max(length + 1, SMALLEST_CHUNK), LARGEST_CHUNK);
}

function notUnzipped(cause: unknown): UnpackError {
  const tooLong = cause instanceof RangeError;
  return new UnpackError(tooLong ? `it is longer than ${LONGEST / 2 ** 20} MB` : "it is not gzip", { cause });
}

function parseText(text: Buffer, keep?: (key: string) => Keep): unknown {
  try {
    const part = keep === undefined ? text : keepEntries(text, keep);
    if (!isUtf8(part)) throw new UnpackError("it is not UTF-8");
    if (hasTooManyValues(part)) throw new UnpackError(`it has more than ${mostValues(part.length)} values`);
    return parseJson(part.toString("utf8"));
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
