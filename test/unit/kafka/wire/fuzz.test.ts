import { readdirSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Api, decodeAnswer } from "../../../../functions/shared/kafka/wire/api.ts";
import { MalformedAnswer } from "../../../../functions/shared/kafka/wire/bytes.ts";
import { randomAnswer, randomOf } from "../random-answers.ts";

const isApi = (value: unknown): value is Api<never, unknown> =>
  typeof value === "object" && value !== null && "decode" in value && "versions" in value;

/** Every API and version of all files in `wire`. */
const wire = new URL("../../../../functions/shared/kafka/wire/", import.meta.url);
const modules: object[] = await Promise.all(readdirSync(wire).map((file) => import(new URL(file, wire).href)));
const codecs = modules
  .flatMap((module) => Object.values(module))
  .filter(isApi)
  .flatMap((api) => {
    const [min, max] = api.versions;
    return Array.from({ length: max - min + 1 }, (_, i) => ({ api, version: min + i }));
  });

const seed = fc.integer();
const bytes = (maxLength: number) => fc.uint8Array({ minLength: 1, maxLength }).map((drawn) => Buffer.from(drawn));
/** Impossible lengths: the largest of each encoding, and negative ones. */
const lengths = ["ffffffff0f", "ffffffff07", "80808008", "7fffffff", "ffffffff", "80000000", "7fff", "8000"].map(
  (hex) => Buffer.from(hex, "hex"),
);

/** Requires that a codec decodes untrusted bytes or throws MalformedAnswer, within 2 s. */
function readOrRefuse(api: Api<never, unknown>, version: number, answer: Buffer): "read" | "refused" {
  const started = performance.now();
  try {
    decodeAnswer(api, version, answer);
    return "read";
  } catch (error) {
    if (error instanceof MalformedAnswer) return "refused";
    throw error;
  } finally {
    const ms = performance.now() - started;
    if (ms > 2_000) expect.fail(`${api.name} v${version} took ${ms} ms for ${answer.length} bytes`);
  }
}

describe.each(codecs)("an answer to $api.name v$version", ({ api, version }) => {
  const answerOf = (seed: number) => randomAnswer(api, version, randomOf(seed));

  it("is read with any values, and rejected if bytes are missing or left over", () => {
    fc.assert(
      fc.property(seed, bytes(20), (seed, tail) => {
        const answer = answerOf(seed);
        expect(readOrRefuse(api, version, answer)).toBe("read");
        expect(readOrRefuse(api, version, Buffer.concat([answer, tail]))).toBe("refused");
        const step = Math.ceil(answer.length / 200);
        for (let length = 0; length < answer.length; length += step) {
          if (readOrRefuse(api, version, answer.subarray(0, length)) === "read")
            expect.fail(`read the first ${length} bytes of ${answer.length}`);
        }
      }),
      { numRuns: 30 },
    );
  });

  it("is read or rejected if bytes are changed, added or removed", () => {
    const damage = fc.record({
      at: fc.nat(),
      removed: fc.nat(8),
      inserted: fc.oneof(bytes(8), fc.constantFrom(...lengths)),
    });
    fc.assert(
      fc.property(seed, fc.array(damage, { minLength: 1, maxLength: 3 }), (seed, damages) => {
        let answer = answerOf(seed);
        for (const { at, removed, inserted } of damages) {
          const start = at % (answer.length + 1);
          answer = Buffer.concat([answer.subarray(0, start), inserted, answer.subarray(start + removed)]);
        }
        readOrRefuse(api, version, answer);
      }),
      { numRuns: 300 },
    );
  });

  it("is read or rejected if it is noise", () => {
    fc.assert(
      fc.property(bytes(2_000), (noise) => void readOrRefuse(api, version, noise)),
      { numRuns: 100 },
    );
  });

  it("takes memory in proportion to its size, with any lengths in it", () => {
    const large = [0x00, 0x01, 0x02, 0x7f].map((byte) => Buffer.alloc(1_000_000, byte));
    for (const length of lengths) {
      const answer = answerOf(1);
      for (let at = 0; at < answer.length; at += Math.ceil(answer.length / 30)) {
        large.push(Buffer.concat([answer.subarray(0, at), length, answer.subarray(at)]));
      }
    }
    for (const answer of large) {
      const before = process.memoryUsage();
      readOrRefuse(api, version, answer);
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      expect(heapUsed - before.heapUsed).toBeLessThan(150_000_000);
      expect(arrayBuffers - before.arrayBuffers).toBeLessThan(10_000_000);
    }
  });
});
