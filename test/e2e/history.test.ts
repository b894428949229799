import { DeleteObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();

/** Takes a snapshot of one group, and returns its id and time. */
async function snapshotOf(group: string) {
  const { snapshot_id, created_at } = await stack.call("snapshot", { groups: [{ name: group }] });
  return { snapshot_id: String(snapshot_id), created_at: String(created_at) };
}

/** Consumes as many records with Kafka's console consumer, which leaves the group afterwards. */
const consume = (topic: string, group: string, max?: number) =>
  stack.tools.consume(topic, group, { idleMs: 10_000, ...(max !== undefined && { max }) });

const commitAt = (offset: number) => expect.objectContaining({ offset });

describe("the history of a group", () => {
  test("shows a consumer that stopped, a rollback, a reset by Kafka's own tool, and that it was resumed", async () => {
    const topic = await stack.topic(1, 20);
    const group = `${uniqueGroup()} of ü, a*b`;
    await consume(topic, group, 5);
    const first = await snapshotOf(group);
    await consume(topic, group, 3);
    const stopped = await snapshotOf(group);
    await snapshotOf(group);
    const rollback = await stack.call("rollback", { snapshot_id: first.snapshot_id });
    const rolledBack = await snapshotOf(group);
    await stack.tools.resetToEarliest(group, topic);
    const reset = await snapshotOf(group);
    await consume(topic, group, 20);
    const last = await snapshotOf(group);

    const range = { since: first.created_at, until: last.created_at };
    const result = await stack.call("history", { groups: [{ name: group }], ...range });
    const { [group]: history } = result.groups;
    const { [`${topic}-0`]: partition } = history?.partitions ?? {};
    const safety = result.snapshots.find(({ snapshot_id }) => snapshot_id === rollback.safety_snapshot_id);
    expect(result.snapshots.map(({ snapshot_id }) => snapshot_id)).toHaveLength(7);
    expect(partition?.points.map(([, offset, end]) => [offset, end])).toEqual(
      [5, 8, 8, 8, 5, 0, 20].map((offset) => [offset, 20]),
    );
    expect(partition).toMatchObject({ lag: 0, lag_seconds: 0, status: "OK" });
    expect(history?.status).toBe("OK");
    expect(partition?.events).toEqual([
      { kind: "stopped", after: first.created_at, before: stopped.created_at, from: commitAt(5), to: commitAt(8) },
      {
        kind: "rewound",
        after: safety?.created_at,
        before: rolledBack.created_at,
        from: commitAt(8),
        to: commitAt(5),
        rollback_id: rollback.rollback_id,
      },
      {
        kind: "rewound",
        after: rolledBack.created_at,
        before: reset.created_at,
        from: commitAt(5),
        to: commitAt(0),
        unexplained: true,
      },
      { kind: "resumed", after: reset.created_at, before: last.created_at, from: commitAt(0), to: commitAt(20) },
    ]);
    const { rollback_id } = rollback;
    expect(result.rollbacks).toEqual([{ rollback_id, requested_by: null, caller: { arn: null, proven: false } }]);

    const path = `/groups/${encodeURIComponent(group)}/history`;
    // The schedule takes snapshots of its own groups at any time.
    const until = `until=${encodeURIComponent(last.created_at)}`;
    expect(await stack.http("GET", `${path}?since=${encodeURIComponent(first.created_at)}&${until}`)).toMatchObject({
      status: 200,
      body: result,
    });
    const newest = await stack.http("GET", `${path}?limit=2&${until}`);
    expect(newest.body).toMatchObject({
      warnings: expect.arrayContaining([
        expect.stringMatching(/^Only the newest 2 snapshots of the range were read, back to /),
      ]),
    });
    const two = (await stack.call("list", { limit: 2, until: last.created_at })).snapshots.map(
      (one) => one.snapshot_id,
    );
    const { snapshots } = newest.body as Pick<typeof result, "snapshots">;
    expect(snapshots).toEqual(result.snapshots.filter(({ snapshot_id }) => two.includes(snapshot_id)));
    expect(snapshots.at(-1)).toEqual(last);
  });

  test("shows that a topic was deleted and created again", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [9n]));
    const before = await snapshotOf(group);
    const admin = stack.kafkaJs.admin();
    await admin.connect();
    await admin.deleteTopics({ topics: [topic] });
    await admin.disconnect();
    await stack.topic(1, 20, topic);
    await stack.commit(commitsOn(group, topic, [3n]));
    const after = await snapshotOf(group);
    const { groups } = await stack.call("history", { groups: [group] });
    expect(groups[group]?.partitions[`${topic}-0`]?.events).toEqual([
      {
        kind: "recreated",
        after: before.created_at,
        before: after.created_at,
        from: commitAt(9),
        to: commitAt(3),
      },
    ]);
  });

  test("leaves out imported snapshots, with a warning", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [9n]));
    const { created_at } = await snapshotOf(group);
    await stack.call("import", { format: "kafka-csv", content: `${topic},0,3\n`, groups: [group] });
    const result = await stack.call("history", { groups: [group], since: created_at });
    expect(result.groups[group]?.partitions[`${topic}-0`]).toMatchObject({ points: [[0, 9, 20]], events: [] });
    expect(result.warnings).toContainEqual(expect.stringMatching(/such as imported ones/));
  });

  test("names the snapshots that cannot be read, also where the others do not have the group", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [9n]));
    const { snapshot_id, created_at } = await snapshotOf(group);
    const { bucket: Bucket, endpoint_url: endpoint, region } = stack.outputs;
    const credentials = { accessKeyId: "test", secretAccessKey: "test" };
    const s3 = new S3Client({ endpoint, region, forcePathStyle: true, credentials });
    await s3.send(new DeleteObjectCommand({ Bucket, Key: `snapshots/${snapshot_id}.json.gz` }));
    const { name, message } = await stack.failure("history", { groups: [group], since: created_at });
    expect(name).toBe("GroupNotFound");
    expect(message).toContain(`the body of ${snapshot_id} is missing from the bucket`);
    await stack.call("delete", { snapshot_id });
  });

  test("refuses groups that no snapshot has, and topics that they have no commit on, by both transports", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [9n]));
    await snapshotOf(group);
    expect((await stack.failure("history", { groups: [uniqueGroup()] })).name).toBe("GroupNotFound");
    expect(await stack.http("GET", `/groups/${uniqueGroup()}/history`)).toMatchObject({ status: 404 });
    expect(await stack.failure("history", { groups: [group], topics: ["other"] })).toMatchObject({
      name: "InvalidRequest",
      message: expect.stringContaining(`no selected group has a commit on "other"; there are commits on "${topic}"`),
    });
    expect((await stack.failure("history", {})).name).toBe("InvalidRequest");
    expect(await stack.http("GET", `/groups/${group}/history?groups=other`)).toMatchObject({ status: 400 });
  });
});
