import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { DeleteItemCommand, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { JournalCorrupt } from "../../../functions/shared/core/errors.ts";
import { within } from "../../support/deadline.ts";
import { second } from "./fixture.ts";
import { bob, opening, testJournal } from "./journal-fixture.ts";

const { storage, journal, open, closed, found } = testJournal();

describe("a changed part of the journal is JournalCorrupt:", () => {
  const bodies: ["plan" | "result", string][] = [
    ["plan", "the plan in the journal of r-1"],
    ["result", "the result in the journal of r-1"],
  ];
  const read = async (part: "plan" | "result") => journal()[part](await found(), within());
  const placeOf = async (part: "plan" | "result") => ({
    Bucket: storage.config.bucket,
    Key: `kept/rollbacks/r-1/${(await found())[part]?.name}.json.gz`,
  });

  test.each(bodies)("the %s, altered by one byte or cut", async (part, name) => {
    await closed("success");
    const place = await placeOf(part);
    const got = await storage.s3.send(new GetObjectCommand(place));
    const body = Buffer.from((await got.Body?.transformToByteArray()) ?? []);
    const altered = Buffer.from(body);
    altered[12] = (altered[12] ?? 0) ^ 1;
    for (const Body of [altered, body.subarray(0, -1), Buffer.alloc(0)]) {
      await storage.s3.send(new PutObjectCommand({ ...place, Body }));
      await expect(read(part)).rejects.toThrow(JournalCorrupt);
      await expect(read(part)).rejects.toThrow(`${name} is not what was written: its SHA-256 is`);
      await expect(read(part)).rejects.toThrow(`(${Body.length} bytes). Nothing was changed.`);
    }
    await storage.s3.send(new PutObjectCommand({ ...place, Body: body }));
    expect(await read(part)).toBeDefined();
  });

  test.each(bodies)("the %s, replaced by one that would need gigabytes, with its checksum", async (part, name) => {
    await closed("success");
    const place = await placeOf(part);
    const Body = gzipSync(`{"groups":[${"{},".repeat(10_000_000)}{}]}`, { level: 1 });
    await storage.s3.send(new PutObjectCommand({ ...place, Body }));
    const [item] = await storage.items("rollback");
    const sha256 = { S: createHash("sha256").update(Body).digest("hex") };
    const Item = { ...item, [`${part}_sha256`]: sha256 };
    await storage.dynamodb.send(new PutItemCommand({ TableName: storage.config.table, Item }));
    await expect(read(part)).rejects.toThrow(JournalCorrupt);
    await expect(read(part)).rejects.toThrow(
      `${name} is not what was written, though its SHA-256 is right: it has more`,
    );
  });

  test.each(bodies)("the %s, deleted", async (part, name) => {
    await closed("success");
    const place = await placeOf(part);
    await storage.s3.send(new DeleteObjectCommand(place));
    await expect(read(part)).rejects.toThrow(JournalCorrupt);
    await expect(read(part)).rejects.toThrow(`${name} is missing from the bucket, but the journal names it.`);
    await expect(read(part)).rejects.toThrow(place.Key);
  });

  test("a record without an attribute, if it is asked for", async () => {
    const { record } = await open();
    const [{ fingerprint: _, ...rest } = {}] = await storage.items("rollback");
    await storage.dynamodb.send(new PutItemCommand({ TableName: storage.config.table, Item: rest }));
    for (const reads of [
      () => journal().find("r-1", within()),
      () => journal().resume({ ...record, writeToken: "another" }, bob, second(1), within()),
    ]) {
      await expect(reads()).rejects.toThrow(JournalCorrupt);
      await expect(reads()).rejects.toThrow(
        'the item rollback / "2025-01-15T10:30:00.000Z#r-1" is not what was written: fingerprint is missing.',
      );
    }
  });

  test("a record that was deleted while its pointer exists", async () => {
    const { record } = await open();
    const Key = { pk: { S: "rollback" }, sk: { S: `${record.startedAt}#r-1` } };
    await storage.dynamodb.send(new DeleteItemCommand({ TableName: storage.config.table, Key }));
    await expect(journal().find("r-1", within())).rejects.toThrow(JournalCorrupt);
    await expect(journal().find("r-1", within())).rejects.toThrow(
      "the journal has the id r-1, but its record is missing",
    );
    expect(await journal().open(opening(), second(1), within())).toBe("taken");
  });
});
