import type { Api } from "../../../functions/shared/kafka/wire/api.ts";
import { Reader, Writer } from "../../../functions/shared/kafka/wire/bytes.ts";

/** Random integers from 0 to `below` − 1. */
export type Random = (below: number) => number;

/** A generator with a seed (mulberry32): the same seed gives the same numbers. */
export function randomOf(seed: number): Random {
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
 * A reader that returns random values instead of reading, and writes each of them. After a codec has read from it, `writer`
 * has a valid answer of the codec's API. So no answer has to be written by hand.
 */
class RandomReader extends Reader {
  readonly writer = new Writer();
  readonly #random: Random;

  constructor(random: Random) {
    super(Buffer.alloc(0));
    this.#random = random;
  }

  #pick<T>(of: readonly T[], otherwise: T): T {
    return of[this.#random(of.length)] ?? otherwise;
  }

  override int8(): number {
    const value = this.#random(256) - 128;
    this.writer.int8(value);
    return value;
  }

  override int16(): number {
    const value = this.#pick([0, 0, 0, -1, 16, 29, 88, 999], 0);
    this.writer.int16(value);
    return value;
  }

  override int32(): number {
    const value = this.#pick([0, 1, 2, 3, -1, 0x7fffffff, -0x80000000], 0);
    this.writer.int32(value);
    return value;
  }

  override int64(): bigint {
    const value = this.#pick(int64s, 0n);
    this.writer.int64(value);
    return value;
  }

  override boolean(): boolean {
    const value = this.#random(2) === 1;
    this.writer.boolean(value);
    return value;
  }

  override uvarint(): number {
    const value = this.#pick([0, 1, 127, 128, 0xffffffff], 0);
    this.writer.uvarint(value);
    return value;
  }

  override uuid(): string | null {
    const value = this.#random(2) === 1 ? "_R3dOrNYSLyXVCxrrPhnOQ" : null;
    this.writer.uuid(value);
    return value;
  }

  override string(): string {
    const value = this.#pick(texts, "");
    this.writer.string(value);
    return value;
  }

  override nullableString(): string | null {
    if (this.#random(3) > 0) return this.string();
    this.writer.nullableString(null);
    return null;
  }

  override classicString(): string {
    const value = this.#pick(texts, "");
    this.writer.classicString(value);
    return value;
  }

  override bytes(): Buffer {
    const value = Buffer.from(Array.from({ length: this.#random(40) }, () => this.#random(256)));
    this.writer.array([...value], (byte) => this.writer.int8((byte << 24) >> 24));
    return value;
  }

  override skipBytes(count = 1): void {
    for (let i = 0; i < count; i++) this.nullableString();
  }

  override array<T>(element: () => T): T[] {
    const list: T[] = [];
    this.writer.array(this.#upToThree(), () => void list.push(element()));
    return list;
  }

  override nullableArray<T>(element: () => T): T[] {
    if (this.#random(3) > 0) return this.array(element);
    this.writer.nullableArray(null, () => {});
    return [];
  }

  override classicArray<T>(element: () => T): T[] {
    const list: T[] = [];
    this.writer.classicArray(this.#upToThree(), () => void list.push(element()));
    return list;
  }

  override nullable<T>(fields: () => T): T | null {
    const present = this.#random(3) > 0;
    this.writer.int8(present ? 1 : -1);
    return present ? this.structure(fields) : null;
  }

  override skipTags(): void {
    const tags = this.#upToThree();
    this.writer.uvarint(tags.length);
    for (const tag of tags) {
      this.writer.uvarint(tag);
      this.writer.uvarint(1); // its length
      this.writer.int8(7);
    }
  }

  override end(): void {}

  /** The numbers from 0 on, at most three of them. */
  #upToThree(): number[] {
    return Array.from({ length: this.#random(4) }, (_, i) => i);
  }
}

/** A random valid answer of an API in a version. */
export function randomAnswer(api: Api<never, unknown>, version: number, random: Random): Buffer {
  const reader = new RandomReader(random);
  if (api.flexible) reader.skipTags();
  api.decode(reader, version);
  if (api.flexible) reader.skipTags();
  return reader.writer.bytes();
}
