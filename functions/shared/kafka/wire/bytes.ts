import { isUtf8 } from "node:buffer";

/** An answer that breaks its API's definition: truncated, with extra bytes, or with an impossible value. */
export class MalformedAnswer extends Error {
  constructor(problem: string) {
    super(problem);
    this.name = "MalformedAnswer";
  }
}

const LONGEST_STRING = 0x7fff;

/**
 * Reads Kafka's primitive types from an answer and never beyond its end. Plain names are the encodings of flexible
 * versions (KIP-482: compact lengths, tagged fields); `classic…` are the older encodings.
 */
export class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Skips `length` bytes and returns where they start. */
  #take(length: number, what: string): number {
    const start = this.#at;
    if (length < 0 || length > this.#bytes.length - start) {
      throw new MalformedAnswer(
        `${what} of ${length} bytes at byte ${start} does not fit in the answer of ${this.#bytes.length} bytes`,
      );
    }
    this.#at = start + length;
    return start;
  }

  int8(): number {
    return this.#bytes.readInt8(this.#take(1, "an int8"));
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2, "an int16"));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4, "an int32"));
  }

  int64(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8, "an int64"));
  }

  boolean(): boolean {
    const value = this.int8();
    if (value !== 0 && value !== 1) throw new MalformedAnswer(`a boolean is ${value}`);
    return value === 1;
  }

  /** An unsigned 32-bit number in one to five bytes of seven bits. */
  uvarint(): number {
    const first = this.#bytes[this.#at]; // most have one byte
    if (first !== undefined && first < 0x80) {
      this.#at++;
      return first;
    }
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes.readUInt8(this.#take(1, "a varint"));
      if (shift === 28 && byte > 0x0f) throw new MalformedAnswer("a varint is longer than 32 bits");
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  /** A topic id as Kafka prints it (base64url), or null. */
  uuid(): string | null {
    const start = this.#take(16, "a uuid");
    const bytes = this.#bytes.subarray(start, start + 16);
    return bytes.every((byte) => byte === 0) ? null : bytes.toString("base64url");
  }

  #text(length: number): string {
    if (length === 0) return "";
    const start = this.#take(length, "a string");
    const text = this.#bytes.toString("utf8", start, start + length);
    if (text.includes("\uFFFD") && !isUtf8(this.#bytes.subarray(start, start + length))) {
      throw new MalformedAnswer(`the string at byte ${start} is not UTF-8`);
    }
    return text;
  }

  nullableString(): string | null {
    const length = this.uvarint();
    return length === 0 ? null : this.#text(length - 1);
  }

  string(): string {
    return present(this.nullableString(), "a string");
  }

  classicString(): string {
    const length = this.int16();
    return this.#text(length);
  }

  /** A byte sequence; empty if it is null. */
  bytes(): Buffer {
    const length = this.uvarint();
    if (length === 0) return Buffer.alloc(0);
    const start = this.#take(length - 1, "a sequence");
    return this.#bytes.subarray(start, start + length - 1);
  }

  /** Skips so many byte sequences or strings, null or not. */
  skipBytes(count = 1): void {
    for (let left = count; left > 0; left--) {
      const length = this.uvarint();
      if (length > 0) this.#take(length - 1, "a sequence");
    }
  }

  #elements<T>(length: number, element: () => T): T[] {
    if (length < 0 || length > this.#bytes.length - this.#at) {
      throw new MalformedAnswer(`a list of ${length} does not fit in the answer of ${this.#bytes.length} bytes`);
    }
    const list: T[] = [];
    for (let i = 0; i < length; i++) list.push(element());
    return list;
  }

  array<T>(element: () => T): T[] {
    const length = this.uvarint();
    return this.#elements(length - 1, element);
  }

  /** A list; empty if it is null. */
  nullableArray<T>(element: () => T): T[] {
    const length = this.uvarint();
    return length === 0 ? [] : this.#elements(length - 1, element);
  }

  classicArray<T>(element: () => T): T[] {
    return this.#elements(this.int32(), element);
  }

  /** A structure: its fields, and the tagged fields after them. */
  structure<T>(fields: () => T): T {
    const read = fields();
    this.skipTags();
    return read;
  }

  /** A structure, or null. */
  nullable<T>(fields: () => T): T | null {
    return this.int8() < 0 ? null : this.structure(fields);
  }

  /** A list of structures. */
  structures<T>(fields: () => T): T[] {
    return this.array(() => this.structure(fields));
  }

  /** Skips the tagged fields: this program uses none of them. */
  skipTags(): void {
    for (let left = this.uvarint(); left > 0; left--) {
      this.uvarint();
      this.#take(this.uvarint(), "a tagged field");
    }
  }

  /** Throws if any bytes are unread. */
  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left > 0) throw new MalformedAnswer(`${left} bytes are left over at the end of the answer`);
  }
}

function present<T>(value: T | null, what: string): T {
  if (value === null) throw new MalformedAnswer(`${what} must not be null`);
  return value;
}

/** Writes Kafka's primitive types, as `Reader` reads them. */
export class Writer {
  #bytes = Buffer.allocUnsafe(1024);
  #at = 0;

  #grow(length: number): number {
    const start = this.#at;
    const end = start + length;
    if (end > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(end, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, start);
      this.#bytes = larger;
    }
    this.#at = end;
    return start;
  }

  int8(value: number): void {
    const at = this.#grow(1);
    this.#bytes.writeInt8(value, at);
  }

  int16(value: number): void {
    const at = this.#grow(2);
    this.#bytes.writeInt16BE(value, at);
  }

  int32(value: number): void {
    const at = this.#grow(4);
    this.#bytes.writeInt32BE(value, at);
  }

  int64(value: bigint): void {
    const at = this.#grow(8);
    this.#bytes.writeBigInt64BE(value, at);
  }

  boolean(value: boolean): void {
    this.int8(value ? 1 : 0);
  }

  uvarint(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#byte((rest & 0x7f) | 0x80);
    this.#byte(rest);
  }

  #byte(value: number): void {
    const at = this.#grow(1);
    this.#bytes[at] = value;
  }

  uuid(value: string | null): void {
    const at = this.#grow(16);
    this.#bytes.fill(0, at, at + 16);
    if (value !== null) this.#bytes.write(value, at, 16, "base64url");
  }

  #text(value: string, length: number): void {
    const at = this.#grow(length);
    this.#bytes.write(value, at, length, "utf8");
  }

  string(value: string): void {
    const length = lengthOf(value);
    this.uvarint(length + 1);
    this.#text(value, length);
  }

  nullableString(value: string | null): void {
    if (value === null) this.uvarint(0);
    else this.string(value);
  }

  classicString(value: string): void {
    const length = lengthOf(value);
    this.int16(length);
    this.#text(value, length);
  }

  array<T>(list: readonly T[], element: (value: T) => void): void {
    this.uvarint(list.length + 1);
    for (const value of list) element(value);
  }

  nullableArray<T>(list: readonly T[] | null, element: (value: T) => void): void {
    if (list === null) this.uvarint(0);
    else this.array(list, element);
  }

  classicArray<T>(list: readonly T[], element: (value: T) => void): void {
    this.int32(list.length);
    for (const value of list) element(value);
  }

  /** A list of structures, without tagged fields. */
  structures<T>(list: readonly T[], fields: (value: T) => void): void {
    this.array(list, (value) => {
      fields(value);
      this.noTags();
    });
  }

  /** An empty list of tagged fields. */
  noTags(): void {
    this.uvarint(0);
  }

  /** The bytes written so far. */
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }
}

/** The length of a string in UTF-8. Brokers close the connection on a string that is too long. */
function lengthOf(text: string): number {
  const length = Buffer.byteLength(text, "utf8");
  if (length > LONGEST_STRING) {
    throw new RangeError(`${JSON.stringify(text.slice(0, 40))}… has ${length} bytes; Kafka's limit is 32,767`);
  }
  return length;
}
