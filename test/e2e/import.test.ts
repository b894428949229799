import { gzipSync } from "node:zlib";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();
const at = (topic: string, offsets: readonly bigint[]) =>
  Object.fromEntries(offsets.map((offset, partition) => [`${topic}-${partition}`, offset]));
const idOf = ({ snapshot_id }: { snapshot_id: string | null }) => {
  if (snapshot_id === null) throw new Error("nothing was written");
  return snapshot_id;
};

/** Puts a file into the bucket of the stack, and returns its address. */
async function upload(key: string, Body: string | Uint8Array): Promise<string> {
  const { endpoint_url: endpoint, region, bucket: Bucket } = stack.outputs;
  const credentials = { accessKeyId: "test", secretAccessKey: "test" };
  const s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  await s3.send(new PutObjectCommand({ Bucket, Key: key, Body }));
  return `s3://${Bucket}/${key}`;
}

describe("an import", () => {
  test("is looked at, rolled back to and undone like any other snapshot", async () => {
    const [topic, group] = [await stack.topic(), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [15n, 16n, 17n]));
    const request = {
      format: "rpk",
      content: `${topic} 0 5\n${topic} 1 6\n${topic} 1 6\n`,
      groups: [group],
      source: "offsets.txt",
    } as const;

    const looked = await stack.call("import", { ...request, dry_run: true });
    expect(looked).toMatchObject({
      snapshot_id: null,
      dry_run: true,
      offsets: 2,
      skipped: [{ line: 3, message: "repeats line 2" }],
      consumer_groups: { [group]: { partitions: { [`${topic}-0`]: { offset: 5, metadata: "" } } } },
    });
    const imported = await stack.call("import", request);
    const id = idOf(imported);
    expect(imported).toMatchObject({
      status: "complete",
      groups: 1,
      offsets: 2,
      source: { name: "offsets.txt", format: "rpk", sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      warnings: [
        "rpk has no metadata and no leader epochs: a rollback to this snapshot commits none.",
        expect.stringContaining("does not say which cluster it is of"),
        expect.stringContaining(`The content has no id of "${topic}"`),
      ],
    });
    expect(await stack.call("show", { snapshot_id: id })).toMatchObject({
      trigger: "imported",
      source: imported.source,
      selection: { groups: [{ name: group }], exclude: [] },
      observed: {
        groups: { [group]: { state: "Empty", members: 0, as_of: null } },
        topics: { [topic]: { partitions: { "0": { log_start_offset: 0, log_end_offset: 20 } } } },
      },
    });
    const { snapshots } = await stack.call("list", { limit: 50 });
    expect(snapshots.find(({ snapshot_id }) => snapshot_id === id)).toMatchObject({ trigger: "imported" });

    const plan = await stack.call("rollback", { snapshot_id: id, dry_run: true });
    expect(plan).toMatchObject({ blockers: [], groups: { [group]: { replayed: 20 } } });
    const { safety_snapshot_id } = await stack.call("rollback", { snapshot_id: id, plan_digest: plan.plan_digest });
    expect(await stack.committed(group)).toEqual(at(topic, [5n, 6n, 17n]));
    await stack.call("rollback", { snapshot_id: String(safety_snapshot_id), groups: [group] });
    expect(await stack.committed(group)).toEqual(at(topic, [15n, 16n, 17n]));
  });

  test("is never what latest, or a time, stands for", async () => {
    const [topic, group] = [await stack.topic(), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [1n]));
    const { snapshot_id } = await stack.call("snapshot", { groups: [group] });
    const imported = await stack.call("import", { format: "rpk", content: `${topic} 0 5\n`, groups: [group] });
    for (const reference of ["latest", { at: new Date(Date.now() + 60_000).toISOString() }]) {
      const shown = await stack.call("show", { snapshot_id: reference, groups: [group] });
      expect(shown.snapshot_id).toBe(snapshot_id);
    }
    await stack.call("delete", { snapshot_id });
    expect((await stack.failure("show", { snapshot_id: "latest", groups: [group] })).message).toContain(
      `${imported.snapshot_id} is an import`,
    );
  });

  test("of our own document keeps metadata and leader epochs, under another name of the group", async () => {
    const [topic, group, target] = [await stack.topic(), uniqueGroup(), uniqueGroup("copy")];
    await stack.commit(
      new Map([[group, new Map([[`${topic}-0`, { offset: 5n, metadata: "who: me", leaderEpoch: 0 }]])]]),
    );
    const taken = await stack.call("snapshot", { groups: [group] });
    const document = JSON.stringify(await stack.call("show", { snapshot_id: taken.snapshot_id }));
    const imported = await stack.call("import", { format: "json", content: document, group_map: { [group]: target } });
    expect(imported).toMatchObject({
      source: { snapshot_id: taken.snapshot_id, created_at: taken.created_at },
      warnings: [expect.stringContaining(`no group "${target}": a rollback to this snapshot creates it`)],
    });
    await stack.call("rollback", { snapshot_id: idOf(imported) });
    const copy = await stack.call("show", {
      snapshot_id: (await stack.call("snapshot", { groups: [target] })).snapshot_id,
    });
    expect(copy.consumer_groups[target]).toEqual({
      partitions: { [`${topic}-0`]: { offset: 5, metadata: "who: me", leader_epoch: 0 } },
    });
  });

  test("says what would block a rollback, which is blocked", async () => {
    const [topic, group] = [await stack.topic(), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [1n]));
    const content = `${topic},0,21\n${topic},3,0\nno-${topic},0,1\n`;
    const imported = await stack.call("import", { format: "kafka-csv", content, groups: [group] });
    expect(imported.warnings.join("\n")).toMatch(
      /would now be blocked by 3 blockers \(above_log_end 1, partition_missing 1, topic_missing 1\)\. The first: Group/,
    );
    const plan = await stack.call("rollback", { snapshot_id: idOf(imported), dry_run: true });
    expect(plan.blockers.map(({ kind }) => kind).sort()).toEqual([
      "above_log_end",
      "partition_missing",
      "topic_missing",
    ]);
    expect((await stack.failure("rollback", { snapshot_id: idOf(imported) })).name).toBe("RollbackBlocked");
    expect(await stack.committed(group)).toEqual(at(topic, [1n]));
  });

  test("of a topic that was created again since the content was written is blocked", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [5n]));
    const { snapshot_id } = await stack.call("snapshot", { groups: [group] });
    const { content = "" } = await stack.call("show", { snapshot_id, format: "csv" });
    await stack.tools.remove(group, topic);
    await stack.topic(1, 20, topic);
    const imported = await stack.call("import", { format: "csv", content });
    expect(imported.warnings.join("\n")).toMatch(/blocked by 1 blocker \(topic_recreated 1\)/);
    const plan = await stack.call("rollback", { snapshot_id: idOf(imported), dry_run: true });
    expect(plan.blockers).toMatchObject([{ kind: "topic_recreated", group, topic }]);
  });
});

describe("what is not imported", () => {
  test("bad lines are named, all of them, and nothing is written", async () => {
    const [topic, group] = [await stack.topic(), uniqueGroup()];
    const content = `${topic} 0 5\n${topic} x 1\n${topic} 1 -1\n`;
    const { name, message } = await stack.failure("import", { format: "rpk", content, groups: [group], source: group });
    expect(name).toBe("InvalidRequest");
    expect(message).toMatch(
      /the content has 2 problems: line 2: partition "x".*; line 3: offset "-1".*Nothing was changed/,
    );
    const { snapshots } = await stack.call("list", { limit: 10 });
    for (const { snapshot_id } of snapshots.filter(({ trigger }) => trigger === "imported")) {
      expect((await stack.call("show", { snapshot_id })).source?.name).not.toBe(group);
    }
  });

  test("offsets of another cluster", async () => {
    const content = JSON.stringify({
      cluster_id: "other",
      bootstrap_servers: [],
      group_offsets: { g: { offsets: { t: { "0": { offset: 1 } } } } },
    });
    expect(await stack.failure("import", { format: "kafka-backup", content })).toMatchObject({
      name: "ClusterMismatch",
      message: expect.stringContaining("the content is of cluster other, and this cluster is "),
    });
  });

  test.each([
    [{ format: "rpk" }, /content: give either content or snapshot_url/],
    [{ format: "rpk", content: "t 0 1" }, /does not say which group.*"groups"/],
    [{ format: "rpk", content: "t 0 1", groups: ["a", "b"] }, /does not say which group/],
    [{ format: "report", content: "{}" }, /format/],
    [{ format: "kafka-csv", content: "a,t,0,1", groups: ["b"] }, /has no group "b"\. It has "a"/],
    [{ format: "rpk", snapshot_url: "http://169.254.169.254/latest/meta-data" }, /snapshot_url: must look like "s3:/],
    [
      { format: "rpk", snapshot_url: "s3://another-bucket/imports/x" },
      /only objects below s3:\/\/.*\/imports\/ are read/,
    ],
    [{ format: "rpk", content: "t 0 1", offsets: "same" }, /unknown field "offsets"/],
  ])("%j", async (request, problem) => {
    expect((await stack.failure("import", request)).message).toMatch(problem);
  });
});

describe("snapshot_url", () => {
  test("reads a file from the deployment's bucket, gzip'd or not, and nothing outside of imports/", async () => {
    const [topic, group] = [await stack.topic(), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [1n]));
    const text = `${group},${topic},0,5\n`;
    const [plain, zipped, outside] = [
      await upload(`imports/${group}.csv`, text),
      await upload(`imports/${group}.csv.gz`, gzipSync(text)),
      await upload(`elsewhere/${group}.csv`, text),
    ];
    for (const snapshot_url of [plain, zipped]) {
      const imported = await stack.call("import", { format: "kafka-csv", snapshot_url });
      expect(imported).toMatchObject({ offsets: 1, source: { name: snapshot_url, format: "kafka-csv" } });
    }
    for (const snapshot_url of [outside, `${plain}-missing`]) {
      const { name, message } = await stack.failure("import", { format: "kafka-csv", snapshot_url });
      expect([name, message]).toEqual([
        "InvalidRequest",
        expect.stringMatching(/only objects below|there is no object/),
      ]);
    }
  });
});
