import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { SnapshotCorrupt } from "../../../functions/shared/core/errors.ts";
import { within } from "../../support/deadline.ts";
import { ana, content, second, testArchive } from "./fixture.ts";

const storage = testArchive();
const run = "3a1f-execution";
const scheduled = content({
  trigger: "schedule",
  schedule: { name: "hourly", executionId: run, scheduledTime: "2025-01-15T10:30:00Z" },
});
const ids = async () =>
  (await storage.archive.list({ limit: 100 }, within())).entries.map(({ snapshotId }) => snapshotId);

describe("a scheduled execution", () => {
  test("has no snapshot before it took one, and has it afterwards", async () => {
    expect(await storage.archive.findExecution(run, within())).toBeUndefined();
    const { entry } = await storage.archive.save(scheduled, second(0), within(), run);
    expect(await storage.archive.findExecution(run, within())).toEqual(entry);
    expect(await storage.archive.findExecution("another", within())).toBeUndefined();
  });

  test("that is delivered twice takes one snapshot, which both deliveries return", async () => {
    const first = await storage.archive.save(scheduled, second(0), within(), run);
    const again = await storage.archive.save({ ...scheduled, description: "later" }, second(60), within(), run);

    expect(first.repeated).toBe(false);
    expect(again).toEqual({ ...first, repeated: true });
    expect(await ids()).toEqual([first.snapshot.snapshotId]);
  });

  test("that is delivered five times at once takes one snapshot", async () => {
    const saved = await Promise.all(
      Array.from({ length: 5 }, (_, i) => storage.archive.save(scheduled, second(i % 2), within(), run)),
    );
    expect(saved.filter(({ repeated }) => !repeated)).toHaveLength(1);
    const [snapshotId] = await ids();
    expect(await ids()).toHaveLength(1);
    expect(new Set(saved.map(({ snapshot }) => snapshot.snapshotId))).toEqual(new Set([snapshotId]));
  });

  test("expires in DynamoDB after two days", async () => {
    await storage.archive.save(scheduled, second(0), within(), run);
    const [item] = (await storage.items()).filter(({ pk }) => pk?.S === "execution");
    expect(item).toMatchObject({ sk: { S: run }, expires_at: { N: String(second(0).getTime() / 1_000 + 172_800) } });
  });

  test("whose snapshot was deleted may take another", async () => {
    const { snapshot } = await storage.archive.save(scheduled, second(0), within(), run);
    await storage.archive.remove(snapshot.snapshotId, ana, within());
    expect(await storage.archive.findExecution(run, within())).toBeUndefined();

    const again = await storage.archive.save(scheduled, second(60), within(), run);
    expect(again.repeated).toBe(false);
    expect(await storage.archive.findExecution(run, within())).toEqual(again.entry);
  });

  test("waits if its transaction conflicts with that of another delivery", async () => {
    storage.faults.on("TransactWriteItems", "conflicts", 2);
    const { repeated } = await storage.shaky.save(scheduled, second(0), within(), run);
    expect(repeated).toBe(false);
    expect(await ids()).toHaveLength(1);
  });

  test.each([1, Number.POSITIVE_INFINITY])(
    "takes one snapshot if %i answers to its transaction are lost",
    async (times) => {
      storage.faults.on("TransactWriteItems", "lost", times);
      const { snapshot, repeated } = await storage.shaky.save(scheduled, second(0), within(), run);
      expect(repeated).toBe(false);
      expect(await ids()).toEqual([snapshot.snapshotId]);
      expect((await storage.archive.save(scheduled, second(1), within(), run)).repeated).toBe(true);
    },
  );

  test("whose snapshot cannot be read fails", async () => {
    await storage.archive.save(scheduled, second(0), within(), run);
    const { s3, config, keys } = storage;
    for (const Key of await keys()) await s3.send(new DeleteObjectCommand({ Bucket: config.bucket, Key }));
    await expect(storage.archive.save(scheduled, second(1), within(), run)).rejects.toThrow(SnapshotCorrupt);
  });
});
