import { expect, it } from "vitest";
import { type Api, decodeAnswer } from "../../../../functions/shared/kafka/wire/api.ts";
import { MalformedAnswer, Writer } from "../../../../functions/shared/kafka/wire/bytes.ts";

/** The largest int64, and so the largest offset. */
export const MAX = 2n ** 63n - 1n;
/** A topic id. */
export const id = "_R3dOrNYSLyXVCxrrPhnOQ";

/** The bytes of an answer, written by hand according to Kafka's message definitions. */
export function answer(write: (writer: Writer) => void): Buffer {
  const writer = new Writer();
  write(writer);
  return writer.bytes();
}

/** The fields of a described group up to its members, which `member` writes. */
export const groupAnswer = (w: Writer, group: string, state: string, member: () => void) => {
  w.string(group);
  w.string(state);
  member();
};

/** An answer as Kafka writes it, and what it is decoded to. */
interface Example {
  readonly api: Api<never, unknown>;
  readonly version: number;
  readonly bytes: Buffer;
  readonly decoded: unknown;
}

export const example = <Answer>(api: Api<never, Answer>, version: number, bytes: Buffer, decoded: Answer): Example => ({
  api,
  version,
  bytes,
  decoded,
});

/** The tests of each example: it is decoded, and rejected if bytes are missing or left over. */
export function checkExamples(examples: readonly Example[]): void {
  it.each(examples)("$api.name v$version is read as Kafka writes it", ({ api, version, bytes, decoded }) => {
    expect(decodeAnswer(api, version, bytes)).toEqual(decoded);
  });

  it.each(examples)("$api.name v$version cut short anywhere is malformed", ({ api, version, bytes }) => {
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeAnswer(api, version, bytes.subarray(0, length))).toThrow(MalformedAnswer);
    }
  });

  it.each(examples)("$api.name v$version with a byte too many is malformed", ({ api, version, bytes }) => {
    expect(() => decodeAnswer(api, version, Buffer.concat([bytes, Buffer.of(0)]))).toThrow(MalformedAnswer);
  });
}
