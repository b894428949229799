import type { Api } from "../../../functions/shared/kafka/wire/api.ts";
import { Reader, Writer } from "../../../functions/shared/kafka/wire/bytes.ts";

/** Numbers from 0 up to, not including, `below`: the same ones for the same seed. */
export type Chance = (below: number) => number;

/** The chance of a seed (mulberry32). */
export function chanceOf(seed: number): Chance {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const texts = ["", "consumer", "Stable", "orders", "größe", "a\nb", "\uFFFD", "__proto__", "x".repeat(255)];
const int64s = [0n, -1n, 17n, 9007199254740993n, 2n ** 63n - 1n, -(2n ** 63n)];

/**
 * Instead of reading it makes up what would be read, and writes that down: whatever a codec reads is an answer of its API,
 * without anybody having to write one by hand.
 */
class Inventor extends Reader {
  readonly writer = new Writer();
  readonly #chance: Chance;

  constructor(chance: Chance) {
    super(Buffer.alloc(0));
    this.#chance = chance;
  }

  #one<T>(of: readonly T[], otherwise: T): T {
    return of[this.#chance(of.length)] ?? otherwise;
  }

  override int8(): number {
    const value = this.#chance(256) - 128;
    this.writer.int8(value);
    return value;
  }

  override int16(): number {
    const value = this.#one([0, 0, 0, -1, 16, 29, 88, 999], 0);
    this.writer.int16(value);
    return value;
  }

  override int32(): number {
    const value = this.#one([0, 1, 2, 3, -1, 0x7fffffff, -0x80000000], 0);
    this.writer.int32(value);
    return value;
  }

  override int64(): bigint {
    const value = this.#one(int64s, 0n);
    this.writer.int64(value);
    return value;
  }

  override boolean(): boolean {
    const value = this.#chance(2) === 1;
    this.writer.boolean(value);
    return value;
  }

  override uvarint(): number {
    const value = this.#one([0, 1, 127, 128, 0xffffffff], 0);
    this.writer.uvarint(value);
    return value;
  }

  override uuid(): string | null {
    const value = this.#chance(2) === 1 ? "_R3dOrNYSLyXVCxrrPhnOQ" : null;
    this.writer.uuid(value);
    return value;
  }

  override string(): string {
    const value = this.#one(texts, "");
    this.writer.string(value);
    return value;
  }

  override nullableString(): string | null {
    if (this.#chance(3) > 0) return this.string();
    this.writer.nullableString(null);
    return null;
  }

  override classicString(): string {
    const value = this.#one(texts, "");
    this.writer.classicString(value);
    return value;
  }

  override bytes(): Buffer {
    const value = Buffer.from(Array.from({ length: this.#chance(40) }, () => this.#chance(256)));
    this.writer.array([...value], (byte) => this.writer.int8((byte << 24) >> 24));
    return value;
  }

  override skipBytes(count = 1): void {
    for (let i = 0; i < count; i++) this.nullableString();
  }

  override array<T>(element: () => T): T[] {
    const list: T[] = [];
    this.writer.array(this.#some(), () => void list.push(element()));
    return list;
  }

  override nullableArray<T>(element: () => T): T[] {
    if (this.#chance(3) > 0) return this.array(element);
    this.writer.nullableArray(null, () => {});
    return [];
  }

  override classicArray<T>(element: () => T): T[] {
    const list: T[] = [];
    this.writer.classicArray(this.#some(), () => void list.push(element()));
    return list;
  }

  override nullable<T>(fields: () => T): T | null {
    const present = this.#chance(3) > 0;
    this.writer.int8(present ? 1 : -1);
    return present ? this.structure(fields) : null;
  }

  override skipTags(): void {
    const tags = this.#some();
    this.writer.uvarint(tags.length);
    for (const tag of tags) {
      this.writer.uvarint(tag);
      this.writer.uvarint(1); // its length
      this.writer.int8(7);
    }
  }

  override end(): void {}

  /** A list of none to three. */
  #some(): number[] {
    return Array.from({ length: this.#chance(4) }, (_, i) => i);
  }
}

/** An answer of an API in a version, as a broker might write it. */
export function inventAnswer(api: Api<never, unknown>, version: number, chance: Chance): Buffer {
  const inventor = new Inventor(chance);
  if (api.flexible) inventor.skipTags();
  api.decode(inventor, version);
  if (api.flexible) inventor.skipTags();
  return inventor.writer.bytes();
}
