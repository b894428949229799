import { PutObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { within } from "../../support/deadline.ts";
import { testArchive } from "./fixture.ts";

const storage = testArchive();
const bucket = storage.config.bucket;
const put = (Key: string, Body: Uint8Array) => storage.s3.send(new PutObjectCommand({ Bucket: bucket, Key, Body }));
const read = (url: string) => storage.archive.readImport(url, within());

describe("a file to import", () => {
  test("is read as it is, under any name below imports/ of the deployment's prefix", async () => {
    const bytes = Buffer.from("orders,0,17\n");
    await put("kept/imports/2025/größe + %20.csv", bytes);
    expect(Buffer.from(await read(`s3://${bucket}/kept/imports/2025/größe + %20.csv`))).toEqual(bytes);
  });

  test.each([
    `s3://${bucket}/imports/offsets.csv`, // without the prefix
    `s3://${bucket}/kept/snapshots/offsets.csv`,
    `s3://${bucket}/kept/imports/`,
    `s3://${bucket}-2/kept/imports/offsets.csv`,
    "https://example.test/kept/imports/offsets.csv",
  ])("anywhere else is refused, with the place for it: %s", async (url) => {
    await expect(read(url)).rejects.toThrow(
      new RegExp(
        `^InvalidRequest: snapshot_url: only objects below s3://${bucket}/kept/imports/ are read, .*aws s3 cp FILE`,
      ),
    );
  });

  test("that is not there is refused", async () => {
    await expect(read(`s3://${bucket}/kept/imports/offsets.csv`)).rejects.toThrow(
      /^InvalidRequest: snapshot_url: there is no object "s3:/,
    );
  });

  test("over 64 MB is refused before it is read", async () => {
    await put("kept/imports/large.csv", Buffer.alloc(64 * 2 ** 20 + 1));
    await expect(read(`s3://${bucket}/kept/imports/large.csv`)).rejects.toThrow(
      /^InvalidRequest: snapshot_url: .* is over 64 MB/,
    );
  });
});
