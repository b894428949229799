import { type AttributeValue, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { CopyObjectCommand, DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { SnapshotCorrupt, SnapshotNotFound } from "../../../functions/shared/core/errors.ts";
import { within } from "../../support/deadline.ts";
import { ana, content, second, testArchive } from "./fixture.ts";

const storage = testArchive();
const snapshotId = "snapshot-2025-01-15T10:30:00Z";
const at = (id: string) => ({ Bucket: storage.config.bucket, Key: `kept/snapshots/${id}.json.gz` });

async function bodyOf(id: string): Promise<Buffer> {
  const found = await storage.s3.send(new GetObjectCommand(at(id)));
  return Buffer.from((await found.Body?.transformToByteArray()) ?? []);
}

async function corrupt(): Promise<unknown> {
  const error = await storage.archive.load(snapshotId, within()).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(SnapshotCorrupt);
  return error;
}

describe("a snapshot body is SnapshotCorrupt if", () => {
  test("one byte of it was changed", async () => {
    await storage.archive.save(content(), second(0), within());
    const body = await bodyOf(snapshotId);
    for (const place of [0, 12, body.length >> 1, body.length - 1]) {
      const altered = Buffer.from(body);
      altered[place] = (altered[place] ?? 0) ^ 1;
      await storage.s3.send(new PutObjectCommand({ ...at(snapshotId), Body: altered }));
      expect(await corrupt()).toHaveProperty("message", expect.stringMatching(`${snapshotId} .*SHA-256`));
    }
    await storage.s3.send(new PutObjectCommand({ ...at(snapshotId), Body: body }));
    expect((await storage.archive.load(snapshotId, within())).snapshotId).toBe(snapshotId);
  });

  test.each([0, 1, 100])("only %i bytes are left of it", async (bytes) => {
    await storage.archive.save(content(), second(0), within());
    const Body = (await bodyOf(snapshotId)).subarray(0, bytes);
    await storage.s3.send(new PutObjectCommand({ ...at(snapshotId), Body }));
    expect(await corrupt()).toHaveProperty("message", expect.stringContaining(`(${bytes} bytes)`));
  });

  test("it is the body of another snapshot", async () => {
    await storage.archive.save(content(), second(0), within());
    const other = await storage.archive.save(content(), second(1), within());
    const CopySource = `${storage.config.bucket}/${at(other.snapshot.snapshotId).Key}`;
    await storage.s3.send(new CopyObjectCommand({ ...at(snapshotId), CopySource }));
    expect(await corrupt()).toHaveProperty("message", expect.stringContaining("SHA-256"));

    const [item] = (await storage.items()).filter(({ snapshot_id }) => snapshot_id?.S === snapshotId);
    await putItem({ ...item, sha256: { S: other.entry.sha256 } });
    expect(await corrupt()).toHaveProperty("message", expect.stringContaining("another snapshot's body"));
  });

  test("it was deleted", async () => {
    await storage.archive.save(content(), second(0), within());
    await storage.s3.send(new DeleteObjectCommand(at(snapshotId)));
    expect(await corrupt()).toHaveProperty(
      "message",
      expect.stringMatching(`the body of ${snapshotId} is missing from the bucket.*versioned`),
    );
  });
});

const putItem = (Item: Record<string, AttributeValue>) =>
  storage.dynamodb.send(new PutItemCommand({ TableName: storage.config.table, Item }));

describe("an index item that does not agree with its body is SnapshotCorrupt with the name of the field:", () => {
  test.each<[string, AttributeValue | undefined, string]>([
    ["status", { S: "partial" }, 'status is "partial" in the index, and "complete" in the body'],
    ["trigger", { S: "safety" }, 'trigger is "safety" in the index, and "invoke" in the body'],
    ["description", { S: "another" }, 'description is "another" in the index, and "Before consuming'],
    ["groups", { N: "3" }, "groups is 3 in the index, and 1 in the body"],
    ["offsets", { N: "0" }, "offsets is 0 in the index, and 1 in the body"],
    ["errors", { N: "1" }, "errors is 1 in the index, and 0 in the body"],
    ["warnings", { N: "1" }, "warnings is 1 in the index, and 0 in the body"],
    ["schedule", { S: "hourly" }, 'schedule is "hourly" in the index, and absent in the body'],
    ["cluster_id", { S: "kafka-2" }, 'cluster is {"name":"local","clusterId":"kafka-2"} in the index, and'],
    ["cluster_id", undefined, 'cluster is {"name":"local","clusterId":null} in the index, and'],
    ["selection", { S: '{"groups":["a"],"exclude":[]}' }, 'selection is {"groups":["a"],"exclude":[]} in the index'],
    ["bytes", { N: "1" }, "bytes is 1 in the index, and"],
  ])("%s as %j", async (name, value, message) => {
    await storage.archive.save(content(), second(0), within());
    const [written] = await storage.items();
    const { [name]: _, ...rest } = written ?? {};
    await putItem(value === undefined ? rest : { ...rest, [name]: value });
    const expected = `the index item of ${snapshotId} does not agree with the snapshot's body: ${message}`;
    expect(await corrupt()).toHaveProperty("message", expect.stringContaining(expected));
  });

  test("what an item may lack, or has of a newer deployment, is no difference", async () => {
    await storage.archive.save(content(), second(0), within());
    const [written] = await storage.items();
    const { selection: _, topics: __, ...rest } = written ?? {};
    await putItem({ ...rest, expires_at: { N: "4000000000" }, more: { S: "x" } });
    expect((await storage.archive.load(snapshotId, within())).snapshotId).toBe(snapshotId);
  });
});

describe("a changed index item is SnapshotCorrupt with the name of the attribute:", () => {
  test.each([
    ["description", undefined, "description is missing"],
    ["groups", undefined, "groups is missing"],
    ["groups", { S: "3" }, "groups must be a count, not "],
    ["bytes", { N: "1.5" }, "bytes must be a count"],
    ["sha256", { N: "3" }, "sha256 must be a string, not 3"],
    ["status", { S: "done" }, "status must be one of complete, partial"],
    ["selection", { S: "{" }, "selection is not JSON"],
    ["selection", { S: '{"groups":[],"exclude":[3]}' }, "selection.exclude[0] must be an object"],
    ["snapshot_id", { S: "snapshot-2025-01-15T10:30:00Z-2" }, "belongs under another key"],
  ] satisfies [string, AttributeValue | undefined, string][])("%s as %j", async (name, value, message) => {
    await storage.archive.save(content(), second(0), within());
    const [written] = await storage.items();
    const { [name]: _, ...rest } = written ?? {};
    await putItem(value === undefined ? rest : { ...rest, [name]: value });

    expect(await corrupt()).toHaveProperty("message", expect.stringContaining(message));
    const { entries, warnings } = await storage.archive.list({ limit: 5 }, within());
    expect(entries).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining(message)]);
    const latest = storage.archive.open("latest", undefined, within());
    await expect(latest).rejects.toThrow(SnapshotNotFound);
    await expect(latest).rejects.toThrow(warnings[0]?.slice(warnings[0].indexOf("the item snapshot / ")));
    await storage.archive.remove(snapshotId, ana, within());
    expect(await storage.items("snapshot")).toEqual([]);
  });
});
