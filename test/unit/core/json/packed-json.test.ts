import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { encodeJson, type Json } from "../../../../functions/shared/core/json/json.ts";
import {
  PackError,
  packJson,
  UnpackError,
  unpackJson,
  unpackPart,
} from "../../../../functions/shared/core/json/packed-json.ts";

const errorOf = (act: () => unknown) => {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe("packed JSON", () => {
  test("is unpacked to what was packed", () => {
    expect(unpackJson(packJson({ offset: 2n ** 60n, name: "\u{1F600}" }))).toEqual({
      offset: 2n ** 60n,
      name: "\u{1F600}",
    });
  });

  test("is small: it is compressed", () => {
    expect(packJson("a".repeat(10_000)).length).toBeLessThan(200);
  });

  test("is refused if it is longer than the limit of unpacking", () => {
    const half = "é".repeat(64 * 2 ** 20); // 128 MB as UTF-8
    const error = errorOf(() => packJson([half, half]));
    expect(error).toBeInstanceOf(PackError);
    expect(error).toMatchObject({ message: "more than the 256 MB of JSON that can be stored" });
  });

  /** A value for which JSON.stringify throws this error. */
  const failing = (error: Error): Json => {
    const broken = new Map([["a", null]]);
    broken.get = () => {
      throw error;
    };
    return broken;
  };

  test("is refused if it is longer than the longest string of the engine", () => {
    expect(() => packJson(failing(new RangeError("Invalid string length")))).toThrow(PackError);
  });

  test("passes on errors that are not about length", () => {
    const fault = new TypeError("a fault");
    expect(() => packJson(failing(fault))).toThrow(fault);
  });

  test.each([
    ["not gzip", Buffer.from("plain"), "it is not gzip"],
    ["cut off", gzipSync("[1,2,3]").subarray(0, 12), "it is not gzip"],
    ["not JSON", gzipSync("{"), "it is not JSON"],
    ["not UTF-8", gzipSync(Buffer.from([0x22, 0xff, 0x22])), "it is not UTF-8"],
  ])("is refused with the reason and the cause if it is %s", (_what, bytes, message) => {
    const error = errorOf(() => unpackJson(bytes));
    expect(error).toBeInstanceOf(UnpackError);
    expect(error).toMatchObject({ message });
    if (message !== "it is not UTF-8") expect(error).toMatchObject({ cause: expect.any(Error) });
  });

  test("is unpacked where only its texts have so many commas and brackets", () => {
    const text = `a quote " and a backslash \\ ${"[{,".repeat(5_000_000)}`;
    expect(unpackJson(packJson([text, 1]))).toEqual([text, 1]);
  });

  test("is refused, like any that could not be unpacked, if it has too many values", () => {
    const zeros = (n: number): Json => new Array<number>(n).fill(0);
    // A list of 9.6 MB: four million values, and one more for each twelve bytes, the list itself among them.
    expect(unpackJson(packJson(zeros(4_799_998)))).toHaveLength(4_799_998);
    expect(errorOf(() => packJson(zeros(4_799_999)))).toBeInstanceOf(PackError);
    const error = errorOf(() => unpackJson(gzipSync(encodeJson(zeros(4_799_999)), { level: 1 })));
    expect(error).toBeInstanceOf(UnpackError);
    expect(error).toMatchObject({ message: "it has more than 4799999 values" });
  });

  test("is refused also if its many values follow a text", () => {
    const packed = gzipSync(`["a"${",0".repeat(5_000_000)}]`, { level: 1 });
    expect(errorOf(() => unpackJson(packed))).toBeInstanceOf(UnpackError);
  });

  test("is refused if it is long and ends within a text, or after a backslash in one", () => {
    for (const end of ["", "\\"]) {
      const packed = gzipSync(`["${"a".repeat(5_000_000)}${end}`, { level: 1 });
      expect(errorOf(() => unpackJson(packed))).toMatchObject({ message: "it is not JSON" });
    }
  });

  test("is unpacked up to a limit only", () => {
    const megabytes = gzipSync(Buffer.alloc(16 * 2 ** 20, " "), { level: 1 });
    const bomb = Buffer.concat(Array.from({ length: 17 }, () => megabytes));
    expect(errorOf(() => unpackJson(bomb))).toMatchObject({
      message: "it is longer than 256 MB",
      cause: expect.any(RangeError),
    });
  });
});

describe("a part of packed JSON", () => {
  test("has the wanted entries, with exact integers", async () => {
    const packed = packJson(
      new Map([
        ["a", 2n ** 60n],
        ["b", 1n],
        ["__proto__", 3n ** 39n],
      ]),
    );
    expect(await unpackPart(packed, (key) => key === "a")).toEqual({ a: 2n ** 60n });
    const apart: unknown = await unpackPart(packed, (key) => key === "__proto__");
    expect(Object.getOwnPropertyDescriptor(apart, "__proto__")?.value).toBe(3n ** 39n);
    expect(await unpackPart(packJson([1, 2]), () => false)).toEqual([1, 2]);
  });

  test("is read from gzip whose last four bytes are not the length of the text", async () => {
    const members = ['{"a":"', "a".repeat(3_000_000), '"}'].map((part) => gzipSync(part));
    expect(await unpackPart(Buffer.concat(members), () => true)).toEqual({ a: "a".repeat(3_000_000) });
  });

  test("is refused if it has too many values, and is read beside too many", async () => {
    const packed = gzipSync(`{"a":[0${",0".repeat(5_000_000)}],"b":1}`, { level: 1 });
    await expect(unpackPart(packed, () => true)).rejects.toThrow(/it has more than \d+ values/);
    expect(await unpackPart(packed, (key) => key === "b")).toEqual({ b: 1 });
  });

  test.each([
    ["not gzip", Buffer.from("plain"), "it is not gzip"],
    ["shorter than a length", Buffer.from([0x1f]), "it is not gzip"],
    ["cut off", gzipSync("[1,2,3]").subarray(0, 12), "it is not gzip"],
    ["not JSON", gzipSync('{"a":'), "it is not JSON"],
    ["not UTF-8", gzipSync(Buffer.from([0x22, 0xff, 0x22])), "it is not UTF-8"],
  ])("is refused with the reason if it is %s", async (_what, bytes, message) => {
    const error = await unpackPart(bytes, () => true).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnpackError);
    expect(error).toMatchObject({ message });
  });
});
