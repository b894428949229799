const [space, tab, newline, carriageReturn] = [0x20, 0x09, 0x0a, 0x0d];
const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a];
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * What to keep of a value: all of it; nothing; it, unless it is a list or an object; or of an object only some entries, by their
 * keys.
 */
export type Keep = boolean | "scalar" | ((key: string) => Keep);

/** Where a text ends whose first character is at `start`: after its quote, or beyond the end of the bytes. */
function endOfText(json: Uint8Array, start: number): number {
  let at = start;
  for (;;) {
    const byte = json[at++];
    if (byte === quote || byte === undefined) return at;
    if (byte === backslash) at++;
  }
}

/** Where the list or object at `start` ends: after its bracket, or beyond the end of the bytes. */
function endOfNested(json: Uint8Array, start: number): number {
  let at = start;
  let depth = 0;
  do {
    const byte = json[at++];
    if (byte === quote) at = endOfText(json, at);
    else if (byte === undefined) return at;
    else if (byte === openObject || byte === openList) depth++;
    else if (byte === closeObject || byte === closeList) depth--;
  } while (depth > 0);
  return at;
}

/**
 * Shortens a JSON text to some entries of its objects, so that only these have to be parsed: some ten times as fast. What is
 * kept stays as it was written, and is checked by parsing it. What is left out is not checked beyond where it ends: for texts
 * that are known to be JSON.
 *
 * @param json the text; its bytes are overwritten
 * @returns the beginning of the same bytes
 * @throws SyntaxError where it cannot be seen where a value ends
 */
export function keepEntries(json: Buffer, keep: (key: string) => Keep): Buffer {
  /** What was read, and what of it was kept: never more. */
  let at = 0;
  let kept = 0;

  const unexpected = () => new SyntaxError(`unexpected ${at < json.length ? "character" : "end"} at ${at}`);

  /** The next byte that is not white space; undefined at the end. */
  function peek(): number | undefined {
    for (;;) {
      const byte = json[at];
      if (byte !== space && byte !== newline && byte !== carriageReturn && byte !== tab) return byte;
      at++;
    }
  }

  function keepFrom(start: number): void {
    if (kept < start) json.copyWithin(kept, start, at);
    kept += at - start;
  }

  function keepByte(byte: number): void {
    json[kept++] = byte;
  }

  function skipNested(): void {
    at = endOfNested(json, at);
    if (at > json.length) throw unexpected();
  }

  function skipText(): void {
    at = endOfText(json, at + 1);
    if (at > json.length) throw unexpected();
  }

  function skipValue(): void {
    const first = peek();
    if (first === quote) skipText();
    else if (first === openObject || first === openList) skipNested();
    else while (at < json.length && json[at] !== comma && json[at] !== closeObject) at++;
  }

  function readKey(): string {
    if (peek() !== quote) throw unexpected();
    const start = at;
    skipText();
    const key = json.toString("utf8", start + 1, at - 1);
    return key.includes("\\") ? String(JSON.parse(`"${key}"`)) : key;
  }

  function readObject(keep: (key: string) => Keep): void {
    at++;
    keepByte(openObject);
    let follows = peek() === closeObject ? closeObject : comma;
    if (follows === closeObject) at++;
    let isFirst = true;
    while (follows === comma) {
      peek();
      const start = at;
      const wanted = keep(readKey());
      if (peek() !== colon) throw unexpected();
      at++;
      const next = peek();
      if (wanted === false || (wanted === "scalar" && (next === openObject || next === openList))) skipValue();
      else {
        if (!isFirst) keepByte(comma);
        isFirst = false;
        const some = typeof wanted === "function" && next === openObject ? wanted : undefined;
        if (some === undefined) skipValue();
        keepFrom(start);
        if (some !== undefined) readObject(some);
      }
      const end = peek();
      if (end !== comma && end !== closeObject) throw unexpected();
      follows = end;
      at++;
    }
    keepByte(closeObject);
  }

  if (peek() === openObject) readObject(keep);
  const rest = at;
  at = json.length;
  keepFrom(rest);
  return json.subarray(0, kept);
}
