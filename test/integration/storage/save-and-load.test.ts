import { createHash } from "node:crypto";
import { DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SnapshotNotFound } from "../../../functions/shared/core/errors.ts";
import type { Commits } from "../../../functions/shared/core/model.ts";
import { snapshot as anySnapshot } from "../../support/arbitraries.ts";
import { within } from "../../support/deadline.ts";
import { ana, content, second, testArchive } from "./fixture.ts";

const storage = testArchive();
const ids = async () =>
  (await storage.archive.list({ limit: 100 }, within())).entries.map(({ snapshotId }) => snapshotId);

describe("a stored snapshot", () => {
  test("is loaded as it was saved: special names, offsets up to 2^63 − 1, empty groups", async () => {
    const consumerGroups: Commits = new Map([
      ["42", new Map([["orders-0", { offset: 2n ** 63n - 1n, metadata: "m", leaderEpoch: 7 }]])],
      ["__proto__", new Map([["a-1-2", { offset: 9007199254740993n, metadata: "" }]])],
      ["größe \u{1F600}", new Map([["orders-11", { offset: 0n, metadata: "línea\n" }]])],
      ["a\nb", new Map([["__proto__-0", { offset: 1n, metadata: "" }]])],
      ["empty", new Map()],
    ]);
    const kept = content({
      consumerGroups,
      errors: [{ group: "gone", error: "KafkaUnavailable", message: "no coordinator" }],
      warnings: ["a pattern matched nothing"],
      schedule: { name: "hourly", executionId: "run-1", scheduledTime: "2025-01-15T10:30:00Z" },
    });
    const { entry, snapshot, repeated } = await storage.archive.save(kept, second(0), within());

    expect(repeated).toBe(false);
    expect(snapshot).toEqual({
      ...kept,
      snapshotId: "snapshot-2025-01-15T10:30:00Z",
      createdAt: "2025-01-15T10:30:00Z",
    });
    expect(await storage.archive.load(snapshot.snapshotId, within())).toEqual(snapshot);
    expect(entry).toMatchObject({
      status: "partial",
      groups: 5,
      offsets: 4,
      errors: 1,
      warnings: 1,
      schedule: "hourly",
    });
    expect(await storage.archive.entry(snapshot.snapshotId, within())).toEqual(entry);
  });

  test("is loaded as it was saved, with any content", async () => {
    await fc.assert(
      fc.asyncProperty(anySnapshot, async ({ snapshotId: _, createdAt, ...kept }) => {
        const { snapshot, entry } = await storage.archive.save(kept, new Date(createdAt), within());
        expect(snapshot).toEqual({ ...kept, snapshotId: snapshot.snapshotId, createdAt });
        expect(await storage.archive.load(snapshot.snapshotId, within())).toEqual(snapshot);
        expect(await storage.archive.entry(snapshot.snapshotId, within())).toEqual(entry);
      }),
      { numRuns: 30 },
    );
  });

  test("is an object of gzip'd JSON under its id, with a checksum and its write token", async () => {
    const { snapshot, entry } = await storage.archive.save(content(), second(0), within());
    const Key = `kept/snapshots/${snapshot.snapshotId}.json.gz`;
    const head = await storage.s3.send(
      new HeadObjectCommand({ Bucket: storage.config.bucket, Key, ChecksumMode: "ENABLED" }),
    );

    expect(await storage.keys()).toEqual([Key]);
    expect(head).toMatchObject({
      ContentType: "application/json",
      ContentEncoding: "gzip",
      ContentLength: entry.bytes,
    });
    expect(Buffer.from(head.ChecksumSHA256 ?? "", "base64").toString("hex")).toBe(entry.sha256);
    expect(head.Metadata?.["write-token"]).toMatch(/^[\da-f-]{36}$/);
    expect(await storage.items()).toMatchObject([{ write_token: { S: head.Metadata?.["write-token"] } }]);
  });

  test("has a small index item even if it is large, and can still be resolved by group", async () => {
    const consumerGroups = new Map(
      Array.from({ length: 3_000 }, (_, i) => [
        `group-${i}`,
        new Map([["orders-0", { offset: BigInt(i), metadata: "" }]]),
      ]),
    );
    const groups = [...consumerGroups.keys()].map((name) => ({ name }));
    const large = content({
      consumerGroups,
      selection: { groups, exclude: [] },
      description: "\u{1F600}".repeat(5_000),
      warnings: Array.from({ length: 1_000 }, (_, i) => `warning ${i}`),
    });
    const { snapshot, entry } = await storage.archive.save(large, second(0), within());

    expect(JSON.stringify(await storage.items()).length).toBeLessThan(6_000);
    expect([...entry.description]).toHaveLength(1_024);
    expect(entry).toMatchObject({ groups: 3_000, offsets: 3_000, warnings: 1_000 });
    expect((await storage.archive.load(snapshot.snapshotId, within())).description).toBe(large.description);
    const { snapshot: newest } = await storage.archive.open("latest", ["group-2999"], within());
    expect(newest.snapshotId).toBe(snapshot.snapshotId);
    await expect(storage.archive.open("latest", ["group-3000"], within())).rejects.toThrow(SnapshotNotFound);
  });
});

describe("ids", () => {
  test("of one second are numbered, except the first", async () => {
    for (const expected of ["", "-2", "-3"]) {
      const { snapshot } = await storage.archive.save(content(), new Date(second(0).getTime() + 999), within());
      expect(snapshot.snapshotId).toBe(`snapshot-2025-01-15T10:30:00Z${expected}`);
    }
    expect(await ids()).toEqual(["-3", "-2", ""].map((n) => `snapshot-2025-01-15T10:30:00Z${n}`));
  });

  test("of ten snapshots taken at the same time differ, are listed by number, and have their own bodies", async () => {
    const saved = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        storage.archive.save(content({ description: `no ${i}` }), second(0), within()),
      ),
    );
    const expected = Array.from(
      { length: 10 },
      (_, i) => `snapshot-2025-01-15T10:30:00Z${i === 9 ? "" : `-${10 - i}`}`,
    );
    expect(await ids()).toEqual(expected);
    expect(new Set(saved.map(({ snapshot }) => snapshot.snapshotId)).size).toBe(10);
    for (const { snapshot } of saved) {
      expect(await storage.archive.load(snapshot.snapshotId, within())).toEqual(snapshot);
    }
  });

  test("with the body of an interrupted call are not used again", async () => {
    const Key = "kept/snapshots/snapshot-2025-01-15T10:30:00Z.json.gz";
    await storage.s3.send(new PutObjectCommand({ Bucket: storage.config.bucket, Key, Body: "an orphan" }));
    const { snapshot } = await storage.archive.save(content(), second(0), within());

    expect(snapshot.snapshotId).toBe("snapshot-2025-01-15T10:30:00Z-2");
    expect(await ids()).toEqual([snapshot.snapshotId]);
    const orphan = await storage.s3.send(new GetObjectCommand({ Bucket: storage.config.bucket, Key }));
    expect(await orphan.Body?.transformToString()).toBe("an orphan");
  });

  test.each([undefined, "run"])("in the index are not used again, even without a body (execution %s)", async (run) => {
    const { entry } = await storage.archive.save(content(), second(0), within());
    const [Key] = await storage.keys();
    await storage.s3.send(new DeleteObjectCommand({ Bucket: storage.config.bucket, Key }));
    const { snapshot } = await storage.archive.save(content({ description: "another" }), second(0), within(), run);

    expect(snapshot.snapshotId).toBe("snapshot-2025-01-15T10:30:00Z-2");
    expect(await storage.archive.entry(entry.snapshotId, within())).toEqual(entry);
  });

  test.each([
    "snapshot-2025-01-15T10:30:01Z",
    "snapshot-2025-01-15T10:30:00Z-2",
    "snapshot-2025-01-15T10:30:00Z-1",
    "latest",
    "../../etc/passwd",
    "a\u0000b",
    "",
  ])("that do not exist are SnapshotNotFound: %j", async (id) => {
    await storage.archive.save(content(), second(0), within());
    await expect(storage.archive.load(id, within())).rejects.toThrow(SnapshotNotFound);
    await expect(storage.archive.entry(id, within())).rejects.toThrow(
      /SnapshotNotFound: there is no snapshot .*latest/,
    );
    await expect(storage.archive.remove(id, ana, within())).rejects.toThrow(SnapshotNotFound);
    expect(await ids()).toHaveLength(1);
  });
});

describe("a large result", () => {
  test("can be fetched completely by its link", async () => {
    const text = JSON.stringify({ many: Array.from({ length: 300_000 }, (_, i) => i), text: "größe \u{1F600}" });
    const { url, expiresInSeconds } = await storage.archive.storeResult(text, "application/json", within());
    const fetched = await fetch(url);

    expect(expiresInSeconds).toBe(3_600);
    expect(new URL(url).searchParams.get("X-Amz-Expires")).toBe("3600");
    expect([...new URL(url).searchParams.keys()].filter((name) => /crc|checksum/i.test(name))).toEqual([]);
    expect(fetched.headers.get("content-type")).toBe("application/json");
    expect(await fetched.text()).toBe(text);
    const [Key] = await storage.keys();
    expect(Key).toMatch(/^kept\/results\/[\da-f-]{36}\.json$/);
    const object = { Bucket: storage.config.bucket, Key };
    const head = await storage.s3.send(new HeadObjectCommand({ ...object, ChecksumMode: "ENABLED" }));
    const stored = await storage.s3.send(new GetObjectCommand(object));
    const bytes = (await stored.Body?.transformToByteArray()) ?? new Uint8Array();
    expect(head.ChecksumSHA256).toBe(createHash("sha256").update(bytes).digest("base64"));
  });

  test("is opened by a browser with its own content type", async () => {
    const { url } = await storage.archive.storeResult("<!doctype html>", "text/html; charset=utf-8", within());
    const fetched = await fetch(url);
    expect(fetched.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(await fetched.text()).toBe("<!doctype html>");
    expect(new URL(url).pathname).toMatch(/\.html$/);
  });
});
