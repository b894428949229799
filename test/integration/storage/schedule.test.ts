import { type AttributeValue, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
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
const find = (execution = run) => storage.archive.findExecution(execution, within());
const none = { found: undefined, warnings: [] };

const run0 = { executionId: run, scheduledTime: "2025-01-15T10:30:00Z" };

describe("a scheduled execution", () => {
  test("has no snapshot before it took one, and has it afterwards", async () => {
    expect(await find()).toEqual(none);
    const { entry, snapshot } = await storage.archive.save(scheduled, second(0), within(), run);
    expect(await find()).toEqual({ found: { entry, snapshot }, warnings: [] });
    expect(await find("another")).toEqual(none);
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
    expect(await storage.keys()).toEqual([`kept/snapshots/${snapshotId}.json.gz`]);
  });

  test("expires in DynamoDB after two days", async () => {
    await storage.archive.save(scheduled, second(0), within(), run);
    const [item] = (await storage.items()).filter(({ pk }) => pk?.S === "execution");
    expect(item).toMatchObject({ sk: { S: run }, expires_at: { N: String(second(0).getTime() / 1_000 + 172_800) } });
  });

  test("whose snapshot was deleted may take another", async () => {
    const { snapshot } = await storage.archive.save(scheduled, second(0), within(), run);
    await storage.archive.remove(snapshot.snapshotId, ana, within());
    expect(await find()).toEqual(none);

    const again = await storage.archive.save(scheduled, second(60), within(), run);
    expect(again.repeated).toBe(false);
    expect((await find()).found?.entry).toEqual(again.entry);
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

  test("keeps the body of its snapshot if the answer to its transaction is lost and another delivery comes", async () => {
    storage.faults.on("TransactWriteItems", "lost", 1);
    const [first, second_] = await Promise.all([
      storage.shaky.save(scheduled, second(0), within(), run),
      storage.archive.save(scheduled, second(0), within(), run),
    ]);
    expect(first.snapshot).toEqual(second_.snapshot);
    expect(await storage.archive.load(first.snapshot.snapshotId, within())).toEqual(first.snapshot);
    expect(await storage.keys()).toHaveLength(1);
  });

  test("is answered if the body that nothing lists cannot be deleted", async () => {
    const { snapshot } = await storage.archive.save(scheduled, second(0), within(), run);
    storage.faults.on("DeleteObject", "denied");
    expect(await storage.shaky.save(scheduled, second(1), within(), run)).toMatchObject({ snapshot, repeated: true });
  });

  const deleteBodies = async () => {
    const { s3, config, keys } = storage;
    for (const Key of await keys()) await s3.send(new DeleteObjectCommand({ Bucket: config.bucket, Key }));
  };
  const change = async (partition: string, more: Record<string, AttributeValue>) => {
    const [item] = await storage.items(partition);
    await storage.dynamodb.send(new PutItemCommand({ TableName: storage.config.table, Item: { ...item, ...more } }));
  };

  test.each<[string, () => Promise<unknown>, RegExp]>([
    ["body", deleteBodies, /the body of snapshot-\S+ is missing from the bucket/],
    ["index item", () => change("snapshot", { groups: { S: "3" } }), /the item snapshot .* groups must be a count/],
    [
      "execution's item",
      () => change("execution", { snapshot_id: { N: "3" } }),
      /the item execution .* snapshot_id is missing/,
    ],
  ])("whose %s cannot be read takes another snapshot, with a warning", async (_, spoil, what) => {
    await storage.archive.save(scheduled, second(0), within(), run);
    await spoil();
    expect(await find()).toEqual({ found: undefined, warnings: [expect.stringMatching(what)] });

    const again = await storage.archive.save(scheduled, second(1), within(), run);
    expect(again.repeated).toBe(false);
    expect((await find()).found?.snapshot).toEqual(again.snapshot);
    expect(await storage.archive.save(scheduled, second(2), within(), run)).toEqual({ ...again, repeated: true });
  });
});

describe("the last snapshot of a schedule", () => {
  const log = { logStartOffset: 5n, logEndOffset: 40n, leaderEpoch: 0 };
  const observed = {
    groups: new Map(),
    topics: new Map([
      ["orders", { topicId: "id", partitions: new Map([[0, log]]) }],
      ["hidden", null],
    ] as const),
  };
  const partial = { errors: [{ group: "x", error: "KafkaUnavailable", message: "no answer" }] };
  const ofSchedule = (name: string) => ({ ...scheduled, observed, schedule: { ...run0, name } });

  test("is the newest complete one, with all topics and without groups", async () => {
    const { archive } = storage;
    await archive.save(ofSchedule("hourly"), second(0), within());
    await archive.save({ ...ofSchedule("hourly"), ...partial }, second(1), within());
    await archive.save(ofSchedule("daily"), second(2), within());
    await archive.save(content(), second(3), within());

    const { last, warnings } = await archive.lastOfSchedule("hourly", within());

    expect([last?.snapshotId, warnings]).toEqual(["snapshot-2025-01-15T10:30:00Z", []]);
    expect([last?.consumerGroups.size, last?.observed.topics]).toEqual([0, observed.topics]);
  });

  test("is undefined where there is none", async () => {
    await storage.archive.save({ ...ofSchedule("hourly"), ...partial }, second(0), within());
    expect(await storage.archive.lastOfSchedule("hourly", within())).toEqual({ last: undefined, warnings: [] });
  });
});
