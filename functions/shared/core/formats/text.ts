import { isUtf8 } from "node:buffer";
import { gunzipSync } from "node:zlib";
import { InvalidRequest } from "../errors.ts";
import { LONGEST_IMPORT } from "./names.ts";

/**
 * The text of a file, which may be gzip'd.
 *
 * @throws InvalidRequest for other bytes, and for more than 64 MB
 */
export function textOf(file: Uint8Array): string {
  const bytes = file[0] === 0x1f && file[1] === 0x8b ? unzip(file) : file;
  if (bytes.length > LONGEST_IMPORT) throw tooLong();
  if (!isUtf8(bytes)) throw new InvalidRequest("the content is not UTF-8 text.");
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}

function unzip(file: Uint8Array): Uint8Array {
  try {
    return gunzipSync(file, { maxOutputLength: LONGEST_IMPORT });
  } catch (cause) {
    if (cause instanceof RangeError) throw tooLong();
    throw new InvalidRequest("the content begins like gzip, but is damaged.", { cause });
  }
}

const tooLong = () =>
  new InvalidRequest(`the content is longer than ${LONGEST_IMPORT / 2 ** 20} MB.`, {
    next: "Import it in parts, by group.",
  });
