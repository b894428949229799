import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MalformedAnswer, Reader, Writer } from "../../../../functions/shared/kafka/wire/bytes.ts";

/** A primitive: how to write a value, and how to read it. */
interface Primitive<T> {
  readonly values: fc.Arbitrary<T>;
  write(writer: Writer, value: T): void;
  read(reader: Reader): T;
}

const text = fc.string({ unit: "grapheme", maxLength: 300 });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const uuid = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .filter((bytes) => bytes.some((byte) => byte !== 0))
  .map((bytes) => Buffer.from(bytes).toString("base64url"));

const primitive = <T>(
  name: string,
  values: fc.Arbitrary<T>,
  write: Primitive<T>["write"],
  read: Primitive<T>["read"],
) => ({ name, ...check({ values, write, read }) });

/** The checks of a primitive: a written value is read back, and one that is cut short is rejected. */
function check<T>({ values, write, read }: Primitive<T>) {
  const written = (value: T) => {
    const writer = new Writer();
    write(writer, value);
    return writer.bytes();
  };
  return {
    roundTrip: () =>
      fc.assert(
        fc.property(values, (value) => {
          const reader = new Reader(written(value));
          expect(read(reader)).toEqual(value);
          reader.end();
        }),
      ),
    truncation: () =>
      fc.assert(
        fc.property(values, (value) => {
          const bytes = written(value);
          for (let length = 0; length < bytes.length; length++) {
            expect(() => read(new Reader(bytes.subarray(0, length)))).toThrow(MalformedAnswer);
          }
        }),
        { numRuns: 30 },
      ),
  };
}

const primitives = [
  primitive(
    "int8",
    fc.integer({ min: -128, max: 127 }),
    (w, v) => w.int8(v),
    (r) => r.int8(),
  ),
  primitive(
    "int16",
    fc.integer({ min: -32768, max: 32767 }),
    (w, v) => w.int16(v),
    (r) => r.int16(),
  ),
  primitive(
    "int32",
    fc.integer(),
    (w, v) => w.int32(v),
    (r) => r.int32(),
  ),
  primitive(
    "int64",
    int64,
    (w, v) => w.int64(v),
    (r) => r.int64(),
  ),
  primitive(
    "boolean",
    fc.boolean(),
    (w, v) => w.boolean(v),
    (r) => r.boolean(),
  ),
  primitive(
    "uvarint",
    fc.integer({ min: 0, max: 0xffffffff }),
    (w, v) => w.uvarint(v),
    (r) => r.uvarint(),
  ),
  primitive(
    "uuid",
    fc.option(uuid),
    (w, v) => w.uuid(v),
    (r) => r.uuid(),
  ),
  primitive(
    "string",
    text,
    (w, v) => w.string(v),
    (r) => r.string(),
  ),
  primitive(
    "nullable string",
    fc.option(text),
    (w, v) => w.nullableString(v),
    (r) => r.nullableString(),
  ),
  primitive(
    "classic string",
    text,
    (w, v) => w.classicString(v),
    (r) => r.classicString(),
  ),
  primitive(
    "array",
    fc.array(int64),
    (w, v) => w.array(v, (e) => w.int64(e)),
    (r) => r.array(() => r.int64()),
  ),
  primitive(
    "classic array",
    fc.array(text),
    (w, v) => w.classicArray(v, (e) => w.classicString(e)),
    (r) => r.classicArray(() => r.classicString()),
  ),
];

const reader = (...bytes: number[]) => new Reader(Buffer.from(bytes));

describe("Kafka's primitives", () => {
  it.each(primitives)("$name is read as it was written", ({ roundTrip }) => roundTrip());

  it.each(primitives)("$name cut short anywhere is malformed", ({ truncation }) => truncation());

  it("are malformed if bytes are left over", () => {
    expect(() => reader(0).end()).toThrow(/1 bytes are left over/);
  });

  it("are malformed if a string is not UTF-8, and keep a real U+FFFD", () => {
    expect(() => reader(2, 0xff).string()).toThrow(MalformedAnswer);
    expect(reader(4, 0xef, 0xbf, 0xbd).string()).toBe("\uFFFD");
  });

  it("are malformed if a value must not be null", () => {
    expect(() => reader(0).string()).toThrow(/a string must not be null/);
    expect(() => reader(0).array(() => 0)).toThrow(MalformedAnswer);
  });

  it("are malformed if a length exceeds the answer", () => {
    expect(() => reader(0xff, 0xff, 0xff, 0xff, 0x0f).array(() => 0)).toThrow(MalformedAnswer);
    expect(() => reader(0x7f, 0xff, 0xff, 0xff).classicArray(() => 0)).toThrow(MalformedAnswer);
    expect(() => reader(0xff, 0xff).classicString()).toThrow(MalformedAnswer);
  });

  it("are malformed if a varint is longer than 32 bits, or a boolean is neither 0 nor 1", () => {
    expect(() => reader(0xff, 0xff, 0xff, 0xff, 0x1f).uvarint()).toThrow(MalformedAnswer);
    expect(() => reader(2).boolean()).toThrow(MalformedAnswer);
  });

  it("skip tagged fields, known or not", () => {
    const tagged = reader(2, 0, 1, 9, 5, 2, 9, 9, 7);
    tagged.skipTags();
    expect(tagged.int8()).toBe(7);
    tagged.end();
  });

  it("reject a string that Kafka cannot read", () => {
    expect(() => new Writer().string("x".repeat(32_768))).toThrow(RangeError);
  });
});
