import { randomUUID } from "node:crypto";
import {
  type AttributeValue,
  CreateTableCommand,
  DeleteItemCommand,
  DeleteTableCommand,
  DynamoDBClient,
  PutItemCommand,
  ScanCommand,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, expect, inject } from "vitest";
import type { SnapshotContent } from "../../../functions/shared/core/model.ts";
import { type Clients, createClients, type StorageConfig } from "../../../functions/shared/storage/clients.ts";
import type { Snapshots } from "../../../functions/shared/storage/snapshots.ts";
import { createStorage, type Storage } from "../../../functions/shared/storage/storage.ts";
import { type Faults, startFaults } from "./faults.ts";

type Archive = Snapshots & Pick<Storage, "storeResult" | "readImport" | "reindex" | "prune">;

/** The archive of a test file, with direct access to its bucket and table. */
export interface TestArchive {
  readonly archive: Archive;
  readonly config: StorageConfig;
  readonly s3: S3Client;
  readonly dynamodb: DynamoDBClient;
  /** The same archive through a proxy that injects `faults`. */
  readonly shaky: Archive;
  /** Clients without the proxy. */
  readonly clients: Clients;
  readonly faults: Faults;
  /** The keys of all objects in the bucket. */
  keys(): Promise<string[]>;
  /** All items of the table, or those of a partition. */
  items(partition?: string): Promise<Record<string, AttributeValue>[]>;
}

/** Creates a bucket and a table for a test file, empties both after each test, and deletes them at the end. */
export function testArchive(): TestArchive {
  const config = { bucket: `offsets-${randomUUID()}`, prefix: "kept/", table: `offsets-${randomUUID()}` };
  const Bucket = config.bucket;
  const TableName = config.table;
  const { endpointUrl, environment } = inject("cloud");
  Object.assign(process.env, environment); // for clients that the archive creates
  const s3 = new S3Client({ forcePathStyle: true });
  const dynamodb = new DynamoDBClient();
  let faults: Faults | undefined;
  let archive: Archive | undefined;
  let shaky: Archive | undefined;
  let clients: Clients | undefined;
  const created = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error("the archive can be used only while tests run");
    return value;
  };

  const keys = async () => {
    const listed = await s3.send(new ListObjectsV2Command({ Bucket }));
    return (listed.Contents ?? []).flatMap(({ Key }) => Key ?? []);
  };
  const items = async (partition?: string) => {
    const scanned = await dynamodb.send(new ScanCommand({ TableName, ConsistentRead: true }));
    return (scanned.Items ?? []).filter(({ pk }) => partition === undefined || pk?.S === partition);
  };
  const createTable = () =>
    dynamodb.send(
      new CreateTableCommand({
        TableName,
        BillingMode: "PAY_PER_REQUEST",
        AttributeDefinitions: [
          { AttributeName: "pk", AttributeType: "S" },
          { AttributeName: "sk", AttributeType: "S" },
        ],
        KeySchema: [
          { AttributeName: "pk", KeyType: "HASH" },
          { AttributeName: "sk", KeyType: "RANGE" },
        ],
      }),
    );
  const empty = async () => {
    const Objects = (await keys()).map((Key) => ({ Key }));
    if (Objects.length > 0) await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    for (const { pk, sk } of await items()) {
      if (pk && sk) await dynamodb.send(new DeleteItemCommand({ TableName, Key: { pk, sk } }));
    }
  };

  beforeAll(async () => {
    faults = await startFaults(endpointUrl);
    clients = createClients(endpointUrl);
    const [whole, faulty] = [createStorage(config, clients), createStorage(config, createClients(faults.url))];
    archive = { ...whole.snapshots, ...whole };
    shaky = { ...faulty.snapshots, ...faulty };
    await s3.send(new CreateBucketCommand({ Bucket }));
    await createTable();
    await waitUntilTableExists({ client: dynamodb, maxWaitTime: 30, minDelay: 1 }, { TableName });
  });
  afterEach(async () => {
    created(faults).clear();
    await empty();
  });
  afterAll(async () => {
    await s3.send(new DeleteBucketCommand({ Bucket }));
    await dynamodb.send(new DeleteTableCommand({ TableName }));
    await created(faults).close();
  });

  return {
    config,
    s3,
    dynamodb,
    keys,
    items,
    get archive() {
      return created(archive);
    },
    get shaky() {
      return created(shaky);
    },
    get clients() {
      return created(clients);
    },
    get faults() {
      return created(faults);
    },
  };
}

export type Item = Record<string, AttributeValue>;

/** Rows and bodies of an archive, past the program. */
export function directly({ config, s3, dynamodb, items }: TestArchive) {
  const [Bucket, TableName] = [config.bucket, config.table];
  const keyOf = (id: string) => `${config.prefix}snapshots/${id}.json.gz`;
  return {
    keyOf,
    put: (Item: Item) => dynamodb.send(new PutItemCommand({ TableName, Item })),
    putBody: (id: string, Body: Uint8Array) => s3.send(new PutObjectCommand({ Bucket, Key: keyOf(id), Body })),
    removeBody: (id: string) => s3.send(new DeleteObjectCommand({ Bucket, Key: keyOf(id) })),
    async bodyOf(id: string): Promise<Uint8Array> {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: keyOf(id) }));
      return (await Body?.transformToByteArray()) ?? expect.fail(`there is no body of ${id}`);
    },
    async loseRows(which: (item: Item) => boolean = () => true): Promise<void> {
      for (const { pk, sk, ...item } of await items()) {
        if (pk === undefined || sk === undefined || !which({ pk, sk, ...item })) continue;
        await dynamodb.send(new DeleteItemCommand({ TableName, Key: { pk, sk } }));
      }
    },
  };
}

/** The caller that deletes a snapshot. */
export const ana = { requestedBy: "ana", callerArn: null, requestId: "request-1" };

/** The time of a test, this many seconds after 10:30:00. */
export const second = (n: number): Date => new Date(Date.UTC(2025, 0, 15, 10, 30, n));

/** A snapshot of one group with one commit. */
export function content(more: Partial<SnapshotContent> = {}): SnapshotContent {
  return {
    description: "Before consuming remaining messages",
    trigger: "invoke",
    selection: { groups: ["*"], exclude: [] },
    cluster: { name: "local", clusterId: "kafka-1" },
    consumerGroups: new Map([["orders-streams", new Map([["orders-0", { offset: 17n, metadata: "" }]])]]),
    errors: [],
    warnings: [],
    observed: { groups: new Map(), topics: new Map() },
    ...more,
  };
}
