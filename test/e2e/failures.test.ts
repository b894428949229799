import { createServer, type Server, type Socket } from "node:net";
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { handler as list } from "../../functions/list/handler.ts";
import { handler as rollback } from "../../functions/rollback/handler.ts";
import { envNames } from "../../functions/shared/lambda/env.ts";
import { createSnapshots } from "../../functions/shared/storage/snapshots.ts";
import { handler as snapshot } from "../../functions/snapshot/handler.ts";
import { within } from "../support/deadline.ts";
import { context } from "../support/events.ts";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();
const s3 = new S3Client({
  endpoint: stack.outputs.endpoint_url,
  region: stack.outputs.region,
  forcePathStyle: true,
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
});
const keyOf = (id: string) => ({ Bucket: stack.outputs.bucket, Key: `snapshots/${id}.json.gz` });

async function bodyOf(id: string): Promise<Uint8Array> {
  const { Body } = await s3.send(new GetObjectCommand(keyOf(id)));
  return (await Body?.transformToByteArray()) ?? new Uint8Array();
}

async function saved(group: string, topic: string): Promise<string> {
  await stack.commit(commitsOn(group, topic, [5n]));
  return String((await stack.call("snapshot", { groups: [group] })).snapshot_id);
}

describe("a body that was changed in S3 is SnapshotCorrupt in every operation that reads it, and no group is changed:", () => {
  test.each<[string, (body: Uint8Array, other: Uint8Array) => Uint8Array]>([
    ["one byte", (body) => body.map((byte, i) => (i === 40 ? byte ^ 1 : byte))],
    ["cut off", (body) => body.subarray(0, body.length - 7)],
    ["emptied", () => new Uint8Array()],
    ["another snapshot's body", (_body, other) => other],
  ])("%s", async (_what, alter) => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    const id = await saved(group, topic);
    const other = await saved(group, topic);
    await stack.commit(commitsOn(group, topic, [9n]));
    await s3.send(new PutObjectCommand({ ...keyOf(id), Body: alter(await bodyOf(id), await bodyOf(other)) }));
    const requests: [string, unknown][] = [
      ["show", { snapshot_id: id }],
      ["diff", { from: id }],
      ["verify", { snapshot_id: id }],
      ["rollback", { snapshot_id: id }],
    ];
    for (const [verb, request] of requests) {
      expect(await stack.failure(verb, request)).toMatchObject({
        name: "SnapshotCorrupt",
        message: expect.stringContaining(id),
      });
    }
    expect(await stack.http("GET", `/snapshots/${id}`)).toMatchObject({
      status: 500,
      body: { error: "SnapshotCorrupt" },
    });
    expect(await stack.committed(group)).toEqual({ [`${topic}-0`]: 9n });
  });
});

describe("the handlers in this process,", () => {
  const before = { ...process.env };
  beforeEach(() => {
    Object.assign(process.env, stack.cloud.environment, {
      [envNames.bucket]: stack.outputs.bucket,
      [envNames.table]: stack.outputs.table,
      [envNames.clusterName]: "local",
      [envNames.bootstrapServers]: stack.outputs.bootstrap_servers,
    });
  });
  afterEach(() => {
    process.env = { ...before };
  });
  /** All snapshots except those of the schedule, which may be taken at any time. */
  const snapshotIds = async () =>
    Object(await list({ limit: 1000 }, context()))
      .snapshots.filter(({ trigger }: { trigger: string }) => trigger !== "schedule")
      .map(({ snapshot_id }: { snapshot_id: string }) => snapshot_id);

  const sockets = new Set<Socket>();
  async function listen(onConnection: (socket: Socket) => void): Promise<{ server: Server; address: string }> {
    const server = createServer((socket) => {
      sockets.add(socket.on("error", () => {}));
      onConnection(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    return { server, address: `127.0.0.1:${typeof address === "object" ? address?.port : 0}` };
  }

  test.each<[string, (socket: Socket) => void, boolean]>([
    ["hang", () => {}, true],
    ["close", (socket) => socket.destroy(), true],
    ["answer in another protocol", (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"), true],
    ["refuse", () => {}, false],
  ])("fail with KafkaUnavailable within 20 s and write nothing if bootstrap servers %s", async (_what, behave, up) => {
    const { server, address } = await listen(behave);
    if (!up) server.close();
    process.env[envNames.bootstrapServers] = address;
    const ids = await snapshotIds();
    const started = performance.now();
    await expect(snapshot({}, context(300_000))).rejects.toMatchObject({
      name: "KafkaUnavailable",
      message: expect.stringContaining(address),
    });
    expect(performance.now() - started).toBeLessThan(20_000);
    for (const socket of sockets) socket.destroy();
    server.close();
    expect(await snapshotIds()).toEqual(ids);
  });

  test("fail with Configuration and every missing variable", async () => {
    for (const name of [envNames.bootstrapServers, envNames.table]) delete process.env[name];
    await expect(snapshot({}, context())).rejects.toMatchObject({
      name: "Configuration",
      message: expect.stringMatching(/SNAPSHOT_TABLE is missing.*KAFKA_BOOTSTRAP_SERVERS is missing/),
    });
  });

  test("fail with DeadlineExceeded if there is too little time", async () => {
    await expect(snapshot({}, context(1_000))).rejects.toMatchObject({ name: "DeadlineExceeded" });
  });

  test("report which commits Kafka refused and why, which groups were rolled back, and the safety snapshot", async () => {
    const [topic, good, bad] = [await stack.topic(2), uniqueGroup("part-good"), uniqueGroup("part-bad")];
    await stack.commit(new Map([...commitsOn(good, topic, [5n, 6n]), ...commitsOn(bad, topic, [5n, 6n])]));
    const archive = createSnapshots({ bucket: stack.outputs.bucket, prefix: "", table: stack.outputs.table });
    const { snapshot_id } = await stack.call("snapshot", { groups: [good, bad] });
    const taken = await archive.load(String(snapshot_id), within(10_000));
    // Brokers accept metadata of 4,096 characters. A plan does not check that, so Kafka refuses the commit.
    const heavy = new Map([
      [`${topic}-0`, { offset: 1n, metadata: "x".repeat(5_000) }],
      [`${topic}-1`, { offset: 2n, metadata: "" }],
    ]);
    const target = new Map([...commitsOn(good, topic, [1n, 2n]), [bad, heavy] as const]);
    const { entry } = await archive.save({ ...taken, consumerGroups: target }, new Date(), within(10_000));

    const error = await rollback({ snapshot_id: entry.snapshotId }, context(60_000)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      name: "RollbackIncomplete",
      message: expect.stringMatching(
        new RegExp(`At their targets: 1 of 2 groups\\. Not .*: "${bad}" .*OFFSET_METADATA_TOO_LARGE`),
      ),
      details: {
        status: "partial_success",
        groups_rolled_back: 1,
        groups_failed: 1,
        offsets_restored: 3,
        verification: { verified: false },
      },
    });
    expect(await stack.committed(good)).toEqual({ [`${topic}-0`]: 1n, [`${topic}-1`]: 2n });
    expect(await stack.committed(bad)).toEqual({ [`${topic}-0`]: 5n, [`${topic}-1`]: 2n });
    const safety = /Safety snapshot (\S+) has the state before/.exec(String(error))?.[1];
    const kept = await archive.load(String(safety), within(10_000));
    expect(kept).toMatchObject({ trigger: "safety", errors: [] });
    expect(kept.consumerGroups).toEqual(taken.consumerGroups);
    expect(await stack.http("POST", `/snapshots/${entry.snapshotId}/rollback`, {})).toMatchObject({
      status: 502,
      body: {
        error: "RollbackIncomplete",
        details: {
          groups: {
            [bad]: {
              status: "partial_success",
              partitions: {
                [`${topic}-0`]: {
                  outcome: "failed",
                  error: expect.stringMatching(
                    /^OFFSET_METADATA_TOO_LARGE: .*5000 characters, more than offset\.metadata\.max/,
                  ),
                },
                [`${topic}-1`]: { outcome: "restored" },
              },
            },
          },
        },
      },
    });
  });

  test("do not take a group for removed that a partial snapshot could not list", async () => {
    const [topic, seen, unseen] = [await stack.topic(1), uniqueGroup("seen"), uniqueGroup("unseen")];
    await stack.commit(new Map([...commitsOn(seen, topic, [5n]), ...commitsOn(unseen, topic, [6n])]));
    const archive = createSnapshots({ bucket: stack.outputs.bucket, prefix: "", table: stack.outputs.table });
    const pattern = `${seen.slice(0, 3)}*`;
    const whole = await stack.call("snapshot", { groups: [seen, unseen] });
    const taken = await archive.load(String(whole.snapshot_id), within(10_000));
    const { entry } = await archive.save(
      {
        ...taken,
        selection: { groups: ["*"], exclude: [] },
        consumerGroups: commitsOn(seen, topic, [5n]),
        unlisted: { offsetsPartitions: [5], message: "a partition has no leader" },
      },
      new Date(),
      within(10_000),
    );
    const partial = { snapshot_id: entry.snapshotId };
    expect(await stack.call("show", partial)).toMatchObject({
      status: "partial",
      unlisted: { offsets_partitions: [5] },
    });
    expect(await stack.call("diff", { from: whole.snapshot_id, to: entry.snapshotId })).toMatchObject({
      summary: { removed: 0, unchanged: 1 },
      warnings: [expect.stringContaining("is partial"), expect.stringContaining(`Not compared, `)],
    });
    expect(await stack.call("verify", partial)).toMatchObject({
      verified: false,
      mismatches: [],
      warnings: [expect.stringContaining("could not be listed")],
    });
    expect(await stack.failure("rollback", { ...partial, groups: [unseen] })).toMatchObject({
      name: "GroupNotFound",
      message: expect.stringContaining("It lacks groups that could not be listed"),
    });
    const plan = await stack.call("rollback", { ...partial, groups: [pattern], dry_run: true });
    expect(plan.warnings).toContainEqual(expect.stringContaining("could not be listed"));
  });

  test("state that nothing was changed if a rollback fails before its first commit", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    const id = await saved(group, topic);
    process.env[envNames.bootstrapServers] = "127.0.0.1:1";
    await expect(rollback({ snapshot_id: id }, context(60_000))).rejects.toMatchObject({
      name: "KafkaUnavailable",
      message: expect.stringContaining("Nothing was changed."),
    });
  });

  test("read the last commit beside a pending one, say so, and refuse to roll back until it has ended", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup("pending")];
    await stack.commit(commitsOn(group, topic, [5n]));
    const { snapshot_id: before } = await stack.call("snapshot", { groups: [group] });
    const producer = stack.kafkaJs.producer({ transactionalId: group, maxInFlightRequests: 1, idempotent: true });
    await producer.connect();
    const transaction = await producer.transaction();
    const topics = [{ topic, partitions: [{ partition: 0, offset: "9" }] }];
    await transaction.sendOffsets({ consumerGroupId: group, topics });
    const warnings = [expect.stringContaining(`Group "${group}" has a transaction with a commit pending`)];
    try {
      const beside = await stack.call("snapshot", { groups: [group] });
      expect(beside).toMatchObject({ status: "complete", groups: 1, offsets: 1, errors: [], warnings });
      expect(await stack.call("show", { snapshot_id: beside.snapshot_id })).toMatchObject({
        status: "complete",
        consumer_groups: { [group]: { partitions: { [`${topic}-0`]: { offset: 5 } } } },
        observed: { groups: { [group]: { pending: [`${topic}-0`] } } },
      });
      expect(await stack.call("verify", { snapshot_id: before })).toMatchObject({ verified: true, warnings });
      expect(await stack.call("diff", { from: before })).toMatchObject({ summary: { unchanged: 1 }, warnings });
      expect(await stack.failure("rollback", { snapshot_id: before })).toMatchObject({
        name: "RollbackBlocked",
        message: expect.stringContaining(`[pending_transaction] Group "${group}" has a transaction`),
      });
    } finally {
      await transaction.abort();
      await producer.disconnect();
    }
    expect(await stack.call("snapshot", { groups: [group] })).toMatchObject({ status: "complete", offsets: 1 });
    expect(await stack.committed(group)).toEqual({ [`${topic}-0`]: 5n });
  });
});
