import { EventEmitter } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Deadline } from "../../../functions/shared/core/deadline.ts";
import { Configuration, DeadlineExceeded, StorageUnavailable } from "../../../functions/shared/core/errors.ts";
import { createClients } from "../../../functions/shared/storage/clients.ts";
import { createSnapshots } from "../../../functions/shared/storage/snapshots.ts";
import { within } from "../../support/deadline.ts";
import { ana, content, second, testArchive } from "./fixture.ts";

const storage = testArchive();
const snapshotId = "snapshot-2025-01-15T10:30:00Z";
const listed = async () =>
  (await storage.archive.list({ limit: 100 }, within())).entries.map((entry) => entry.snapshotId);
const all = Number.POSITIVE_INFINITY;

describe("a snapshot is stored once, under the id that is returned, even if", () => {
  test.each([
    ["PutObject", 1],
    ["PutObject", 2],
    ["PutItem", 1],
    ["PutItem", all],
    ["HeadObject", 1],
  ])("answers to %s are lost: %i", async (action, times) => {
    storage.faults.on("PutObject", "lost", 1);
    storage.faults.on(action, "lost", times);
    const { snapshot } = await storage.shaky.save(content(), second(0), within());

    expect(snapshot.snapshotId).toBe(snapshotId);
    expect(await listed()).toEqual([snapshotId]);
    expect(await storage.keys()).toHaveLength(1);
    expect(await storage.archive.load(snapshotId, within())).toEqual(snapshot);
  });

  test.each(["PutObject", "PutItem"])("two calls of %s fail before one succeeds", async (action) => {
    storage.faults.on(action, "breaks", 2);
    await storage.shaky.save(content(), second(0), within());
    expect(await listed()).toEqual([snapshotId]);
  });

  test("another call writes to its key at the same time", async () => {
    storage.faults.on("PutObject", "conflicts", 3);
    await storage.shaky.save(content(), second(0), within());
    expect(await listed()).toEqual([snapshotId]);
  });

  test("an answer is lost, and another call has the id", async () => {
    await storage.archive.save(content({ description: "first" }), second(0), within());
    storage.faults.on("PutObject", "lost", 1);
    const { snapshot } = await storage.shaky.save(content({ description: "second" }), second(0), within());

    expect(snapshot.snapshotId).toBe(`${snapshotId}-2`);
    expect((await storage.archive.load(snapshotId, within())).description).toBe("first");
    expect((await storage.archive.load(`${snapshotId}-2`, within())).description).toBe("second");
  });
});

describe("a snapshot that cannot be stored", () => {
  test("is StorageUnavailable, and not listed, if S3 fails", async () => {
    storage.faults.on("PutObject", "breaks");
    const failed = storage.shaky.save(content(), second(0), within());
    await expect(failed).rejects.toThrow(StorageUnavailable);
    await expect(failed).rejects.toThrow(
      /S3 PutObject on bucket offsets-.* failed while writing the body of snapshot-2025-01-15T10:30:00Z: SlowDown: .*Nothing was listed: take the snapshot again/,
    );
    expect(await storage.items()).toEqual([]);
    expect(await storage.keys()).toEqual([]);
  });

  test("is StorageUnavailable, and not listed, if DynamoDB fails after its body was written", async () => {
    storage.faults.on("PutItem", "breaks");
    const failed = storage.shaky.save(content(), second(0), within());
    await expect(failed).rejects.toThrow(StorageUnavailable);
    await expect(failed).rejects.toThrow(
      /DynamoDB PutItem on table .* listing snapshot-2025-01-15T10:30:00Z: InternalServerError: .*Nothing was listed/,
    );
    expect(await storage.items()).toEqual([]);
    expect((await storage.archive.save(content(), second(0), within())).snapshot.snapshotId).toBe(`${snapshotId}-2`);
  });

  test.each([1, all])("has an error that it may be listed after %i lost answers", async (times) => {
    storage.faults.on("PutItem", "lost", times);
    storage.faults.on("GetItem", "breaks");
    const failed = storage.shaky.save(content(), second(0), within());
    await expect(failed).rejects.toThrow(StorageUnavailable);
    await expect(failed).rejects.toThrow(/Whether it was listed is not known: check the list/);
  });

  test("fails if other calls never stop writing", async () => {
    storage.faults.on("TransactWriteItems", "conflicts");
    const failed = storage.shaky.save(content(), second(0), within(), "run");
    await expect(failed).rejects.toThrow(StorageUnavailable);
    expect(await storage.items()).toEqual([]);
  });
});

const fileToImport = `s3://${storage.config.bucket}/kept/imports/offsets.csv`;

describe("a failed read is an error, never an empty result:", () => {
  const reads: [string, string, (archive: typeof storage.archive) => Promise<unknown>][] = [
    ["list", "Query", (archive) => archive.list({ limit: 5 }, within())],
    ["latest", "Query", (archive) => archive.open("latest", undefined, within())],
    ["entry", "GetItem", (archive) => archive.entry(snapshotId, within())],
    ["a scheduled execution", "GetItem", (archive) => archive.findExecution("run", within())],
    ["the index, at load", "GetItem", (archive) => archive.load(snapshotId, within())],
    ["the body, at load", "GetObject", (archive) => archive.load(snapshotId, within())],
    ["a file to import", "GetObject", (archive) => archive.readImport(fileToImport, within())],
    ["a result", "PutObject", (archive) => archive.storeResult("{}", "application/json", within())],
  ];

  test.each(reads)("%s, %s failing", async (_, action, read) => {
    await storage.archive.save(content(), second(0), within());
    storage.faults.on(action, "breaks");
    const failed = read(storage.shaky);
    await expect(failed).rejects.toThrow(StorageUnavailable);
    await expect(failed).rejects.toThrow(action);
    await expect(failed).rejects.toHaveProperty("retryable", true);
    await expect(failed).rejects.toHaveProperty("cause");
  });

  test.each(reads)("%s, %s denied: Configuration that names the right", async (_, action, read) => {
    await storage.archive.save(content(), second(0), within());
    storage.faults.on(action, "denied");
    const failed = read(storage.shaky);
    await expect(failed).rejects.toThrow(Configuration);
    await expect(failed).rejects.toThrow(new RegExp(`role needs (s3|dynamodb):${action} on (bucket|table) offsets-`));
  });
});

describe("a wrong deployment is Configuration:", () => {
  test("no such bucket", async () => {
    const archive = createSnapshots({ ...storage.config, bucket: "no-such-bucket-anywhere" });
    const failed = archive.save(content(), second(0), within());
    await expect(failed).rejects.toThrow(Configuration);
    await expect(failed).rejects.toThrow(/NoSuchBucket.*no bucket no-such-bucket-anywhere/);
    expect(await storage.items()).toEqual([]);
  });

  test("no such table", async () => {
    const archive = createSnapshots({ ...storage.config, table: "no-such-table-anywhere" });
    for (const read of [
      () => archive.list({ limit: 5 }, within()),
      () => archive.load(snapshotId, within()),
      () => archive.remove(snapshotId, ana, within()),
      () => archive.save(content(), second(0), within()),
    ]) {
      const failed = read();
      await expect(failed).rejects.toThrow(Configuration);
      await expect(failed).rejects.toThrow(/ResourceNotFound.*no table no-such-table-anywhere/);
    }
  });
});

describe("an endpoint", () => {
  const sockets = new Set<Socket>();
  const asked = new EventEmitter();
  const silent = createServer((socket) => {
    sockets.add(socket);
    socket.on("data", () => asked.emit("request"));
  });
  beforeAll(() => new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", () => resolve())));
  afterAll(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  test("that refuses connections is StorageUnavailable within seconds", async () => {
    const started = performance.now();
    const archive = createSnapshots(storage.config, createClients("http://127.0.0.1:1"));
    await expect(archive.list({ limit: 5 }, within())).rejects.toThrow(/StorageUnavailable: .*ECONNREFUSED/);
    await expect(archive.save(content(), second(0), within())).rejects.toThrow(/StorageUnavailable: .*ECONNREFUSED/);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test("that never answers is DeadlineExceeded with the name of the interrupted step", async () => {
    const address = silent.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const archive = createSnapshots(storage.config, createClients(`http://127.0.0.1:${port}`));
    for (const [work, doing] of [
      [(deadline) => archive.list({ limit: 5 }, deadline), "reading the list"],
      [(deadline) => archive.load(snapshotId, deadline), `looking up ${snapshotId}`],
      [(deadline) => archive.save(content(), second(0), deadline), `writing the body of ${snapshotId}`],
      [(deadline) => archive.remove(snapshotId, ana, deadline), `hiding ${snapshotId}`],
    ] satisfies [(deadline: Deadline) => Promise<unknown>, string][]) {
      const over = new AbortController();
      let overSince = Number.NaN;
      asked.once("request", () =>
        setTimeout(() => {
          overSince = performance.now();
          over.abort();
        }, 300),
      );
      const failed = work({ signal: over.signal, remainingMs: () => (over.signal.aborted ? 0 : 25_000) });
      await expect(failed).rejects.toThrow(DeadlineExceeded);
      expect(performance.now() - overSince).toBeLessThan(1_000);
      await expect(failed).rejects.toThrow(doing);
    }
  });

  test("that stops in the middle of an answer is DeadlineExceeded too", async () => {
    await storage.archive.save(content(), second(0), within());
    for (const fault of ["hangs", "stalls"] as const) {
      const deadline = storage.faults.deadlineAt("GetObject", fault);
      await expect(storage.shaky.load(snapshotId, deadline)).rejects.toThrow(DeadlineExceeded);
    }
    const failed = storage.shaky.save(content(), second(1), storage.faults.deadlineAt("PutItem", "hangs"));
    await expect(failed).rejects.toThrow(/DeadlineExceeded: .*Whether it was listed is not known/);
  });

  const works: [string, (archive: typeof storage.archive, deadline: Deadline) => Promise<unknown>][] = [
    ["PutObject", (archive, deadline) => archive.save(content(), second(1), deadline)],
    ["PutItem", (archive, deadline) => archive.save(content(), second(1), deadline)],
    ["TransactWriteItems", (archive, deadline) => archive.save(content(), second(1), deadline, "run")],
    ["HeadObject", (archive, deadline) => archive.save(content(), second(0), deadline)],
    ["GetItem", (archive, deadline) => archive.entry(snapshotId, deadline)],
    ["GetObject", (archive, deadline) => archive.load(snapshotId, deadline)],
    ["Query", (archive, deadline) => archive.list({ limit: 5 }, deadline)],
    ["UpdateItem", (archive, deadline) => archive.remove(snapshotId, ana, deadline)],
    ["DeleteObject", (archive, deadline) => archive.remove(snapshotId, ana, deadline)],
    ["DeleteItem", (archive, deadline) => archive.remove(snapshotId, ana, deadline)],
  ];
  test.each(works)("has no open request for %s after the deadline", async (action, work) => {
    await storage.archive.save(content(), second(0), within());
    const deadline = storage.faults.deadlineAt(action, "hangs");
    await expect(work(storage.shaky, deadline)).rejects.toThrow(DeadlineExceeded);
    await expect.poll(() => storage.faults.abandoned).toContain(action);
  });

  test("that closes the connection within a body is StorageUnavailable, not a shorter body", async () => {
    await storage.archive.save(content(), second(0), within());
    storage.faults.on("GetObject", "cut");
    await expect(storage.shaky.load(snapshotId, within())).rejects.toThrow(StorageUnavailable);
  });

  test("gets no request after the deadline", async () => {
    const over = { signal: AbortSignal.abort(), remainingMs: () => 0 };
    await expect(storage.shaky.list({ limit: 5 }, over)).rejects.toThrow(DeadlineExceeded);
    expect(storage.faults.calls).toEqual([]);
  });
});
