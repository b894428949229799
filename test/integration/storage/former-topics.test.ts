import { PutItemCommand } from "@aws-sdk/client-dynamodb";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import type { ObservedTopic, Selection, SnapshotContent } from "../../../functions/shared/core/model.ts";
import { within } from "../../support/deadline.ts";
import { content, second, testArchive } from "./fixture.ts";

const storage = testArchive();

/** The content of a snapshot with commits on these topics; the `hidden` ones have none and could not be observed. */
const naming = (topics: readonly string[], hidden: readonly string[] = []): Partial<SnapshotContent> => ({
  consumerGroups: new Map([["g", new Map(topics.map((topic) => [`${topic}-0`, { offset: 1n, metadata: "" }]))]]),
  observed: {
    groups: new Map(),
    topics: new Map<string, ObservedTopic | null>([
      ...topics.map((topic) => [topic, { topicId: null, partitions: new Map() }] as const),
      ...hidden.map((topic) => [topic, null] as const),
    ]),
  },
});

const save = (at: number, more: Partial<SnapshotContent>) => storage.archive.save(content(more), second(at), within());
const select = (groups: Selection["groups"], exclude: Selection["exclude"] = []) => ({ groups, exclude });
const former = async (selection: Selection) => (await storage.archive.formerTopics(selection, within())).topics;

describe("the topics of the last snapshot", () => {
  test("are those with commits or not observed, and none if there is no snapshot", async () => {
    expect(await former(select(["*"]))).toEqual([]);
    await save(0, naming(["orders", "a"], ["hidden"]));
    expect(await former(select(["*"]))).toEqual(["a", "hidden", "orders"]);
    await save(1, naming(["later"]));
    expect(await former(select(["*"]))).toEqual(["later"]);
  });

  test("are those of the last complete snapshot that covers the selection and is not a safety snapshot", async () => {
    const error = { group: "h", error: "KafkaAuthorization", message: "no" };
    await save(0, naming(["right"]));
    await save(1, { ...naming(["partial"]), errors: [error] });
    await save(2, { ...naming(["safety"]), trigger: "safety" });
    await save(3, { ...naming(["others"]), selection: select(["other-*"]) });
    await save(4, { ...naming(["fewer"]), selection: select(["*"], ["*-tmp"]) });
    expect(await former(select(["*"]))).toEqual(["right"]);
    expect(await former(select(["g"]))).toEqual(["fewer"]);
    expect(await former(select(["other-*"]))).toEqual(["others"]);
  });

  test("are those of a snapshot that excludes only what the selection excludes", async () => {
    await save(0, { ...naming(["a"]), selection: select(["*"], ["tmp-*", { name: "x" }]) });
    expect(await former(select(["*"], [{ name: "x" }, "tmp-*", "more"]))).toEqual(["a"]);
    expect(await former(select(["*"], ["tmp-*"]))).toEqual([]);
    expect(await former(select(["*"], ["tmp-*", "x*"]))).toEqual([]);
  });

  test("are read from the index, or from the body if the index lacks them or they are too many for it", async () => {
    const { snapshot } = await save(0, naming(["few"]));
    const Key = `kept/snapshots/${snapshot.snapshotId}.json.gz`;
    const [item] = await storage.items("snapshot");
    if (item === undefined) throw new Error("the snapshot is not in the index");
    const { topics: _, ...old } = item;
    await storage.dynamodb.send(new PutItemCommand({ TableName: storage.config.table, Item: old }));
    expect(await former(select(["*"]))).toEqual(["few"]);
    await storage.dynamodb.send(new PutItemCommand({ TableName: storage.config.table, Item: item }));
    await storage.s3.send(new DeleteObjectCommand({ Bucket: storage.config.bucket, Key }));
    expect(await former(select(["*"]))).toEqual(["few"]);

    const many = Array.from({ length: 800 }, (_, i) => `topic-number-${String(i).padStart(4, "0")}`);
    await save(1, naming(many, ["zzz"]));
    expect(await former(select(["*"]))).toEqual([...many, "zzz"]);
  });

  test("are those of the snapshot before, with a warning, if those of the last one cannot be read", async () => {
    await save(0, naming(["before"]));
    const { snapshot } = await save(1, naming(["few"]));
    const [, item] = await storage.items("snapshot");
    if (item === undefined) throw new Error("the snapshot is not in the index");
    const { topics: _, ...old } = item;
    await storage.dynamodb.send(new PutItemCommand({ TableName: storage.config.table, Item: old }));
    const Key = `kept/snapshots/${snapshot.snapshotId}.json.gz`;
    await storage.s3.send(new DeleteObjectCommand({ Bucket: storage.config.bucket, Key }));
    const leftOut = /^Left out of the search for topics .*, because it cannot be read: /;
    const read = () => storage.archive.formerTopics(select(["*"]), within());
    expect(await read()).toEqual({ topics: ["before"], warnings: [expect.stringMatching(leftOut)] });
    await storage.dynamodb.send(
      new PutItemCommand({ TableName: storage.config.table, Item: { ...item, topics: { S: "{" } } }),
    );
    expect(await read()).toEqual({ topics: ["before"], warnings: [expect.stringMatching(leftOut)] });
  });

  test("are searched only in the 50 newest snapshots", async () => {
    await save(0, naming(["old"]));
    for (let i = 1; i < 50; i++) await save(i, { ...naming(["x"]), trigger: "safety" });
    expect(await former(select(["*"]))).toEqual(["old"]);
    await save(50, { ...naming(["x"]), trigger: "safety" });
    expect(await former(select(["*"]))).toEqual([]);
  });
});
