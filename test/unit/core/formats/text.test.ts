import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { textOf } from "../../../../functions/shared/core/formats/text.ts";

describe("the text of a file", () => {
  test("is UTF-8, gzip'd or not", () => {
    expect(textOf(Buffer.from("größe"))).toBe("größe");
    expect(textOf(gzipSync("größe"))).toBe("größe");
  });

  test.each<[string, Uint8Array, RegExp]>([
    ["bytes that are no text", Buffer.from([0x67, 0xff]), /^InvalidRequest: the content is not UTF-8/],
    ["gzip that ends too early", gzipSync("text".repeat(100)).subarray(0, 15), /begins like gzip, but is damaged/],
    ["gzip that unpacks to more than 64 MB", gzipSync(Buffer.alloc(64 * 2 ** 20 + 1)), /longer than 64 MB.*by group/],
    ["a text over 64 MB", Buffer.alloc(64 * 2 ** 20 + 1, "a"), /longer than 64 MB/],
  ])("%s is refused", (_, bytes, message) => {
    expect(() => textOf(bytes)).toThrow(message);
  });
});
