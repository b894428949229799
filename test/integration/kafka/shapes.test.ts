import { inspect } from "node:util";
import { describe, expect, inject, it } from "vitest";
import {
  type Commit,
  type Commits,
  countOffsets,
  type LiveState,
  type Snapshot,
} from "../../../functions/shared/core/model.ts";
import { restrict } from "../../../functions/shared/core/restrict.ts";
import { commitsOf } from "../../../functions/shared/core/rollback/plan.ts";
import { planRollback } from "../../../functions/shared/core/rollback/planning.ts";
import { settle } from "../../../functions/shared/core/rollback/settle.ts";
import { decodeSnapshot, encodeSnapshot } from "../../../functions/shared/core/snapshot.ts";
import type { Cluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { capture, observe, readCommits } from "../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import type { Api } from "../../../functions/shared/kafka/wire/api.ts";
import { listOffsets } from "../../../functions/shared/kafka/wire/metadata.ts";
import { offsetFetch } from "../../../functions/shared/kafka/wire/offsets.ts";
import { isBefore } from "../../../localstack/kafka-tools.ts";
import { administer, at, connect, groupsWith, select, topicOf, unique } from "./support.ts";

const policy = { uncommitted: "keep", outOfRange: "refuse", skipBlocked: false } as const;
const literally = (groups: Iterable<string>) => ({ groups: [...groups].map((name) => ({ name })), exclude: [] });

/** A captured state after it was stored and read as a snapshot. */
function stored(live: LiveState): Snapshot {
  const snapshotId = "snapshot-2026-01-01T00:00:00Z";
  const { body, sha256 } = encodeSnapshot({
    snapshotId,
    createdAt: "2026-01-01T00:00:00Z",
    description: "",
    trigger: "invoke",
    selection: { groups: ["*"], exclude: [] },
    cluster: live.cluster,
    consumerGroups: live.commits,
    errors: live.errors,
    warnings: live.warnings,
    observed: live.observed,
  });
  return decodeSnapshot(body, { snapshotId, sha256 });
}

/** Creates groups, takes a snapshot of them, moves their commits, and rolls them back. */
async function moveAndRollBack(cluster: Cluster, commits: Commits, moved: Commits): Promise<void> {
  const groups = [...commits.keys()];
  await groupsWith(cluster, commits);
  const live = await capture(cluster, literally(groups));
  expect([...live.errors, ...live.missing]).toEqual([]);
  expect(live.commits).toEqual(commits);
  const snapshot = stored(live);
  expect(snapshot.consumerGroups).toEqual(commits);
  await groupsWith(cluster, moved);

  const part = restrict(snapshot, { groups: literally(groups).groups });
  const plan = planRollback(snapshot, part, await observe(cluster, part.commits), policy);
  expect(plan.blockers).toEqual([]);
  const planned = commitsOf(plan);
  const sent = await commitOffsets(cluster, planned);
  const keys = new Map([...commits].map(([group, of]) => [group, of.keys()]));
  const readBack = await readCommits(cluster, keys);

  expect(planned.size).toBe(groups.length);
  expect(settle(plan, sent, readBack)).toMatchObject({ status: "success", verification: { verified: true } });
  expect(readBack.commits).toEqual(commits);
}

const everyGroupAt = (groups: readonly string[], topic: string, offset: number): Commits =>
  new Map(groups.map((group) => [group, at([`${topic}-0`, offset])]));

describe("a snapshot and a rollback restore", () => {
  it("groups with any name that Kafka accepts", async () => {
    const cluster = await connect();
    const topic = await topicOf(1, 3);
    const run = unique("name");
    const odd = [
      ...["a-0", "a.b-1", "-", "x,y;z", " ", "a/b\\c", "line\nbreak\r\n\ttab", "'\"`$(x)", "a*b?", '{"name":1}'],
      ...["__proto__", "constructor", "toString", "42", "-1", "9007199254740993", "null"],
      ...["größe", "gro\u0308ße", "消费者组", "مجموعة", "🚀👩‍👩‍👧", "\uFEFFmark", "\u202Eright"],
      ...["\u0000", "\u0001\u001b[31m", "\u007f\u0085\u2028", "%00%2F", "<aws.scheduler.execution-id>"],
    ].map((name) => `${name}${run}`);
    const rest = (bytes: number) => bytes - run.length;
    const long = [
      run + "ß".repeat(rest(255) / 2),
      ...[255, 256, 10_000, 32_767].map((bytes) => run.padEnd(bytes, "x")),
    ];
    // Without a unique suffix, so only on a cluster without groups of other users.
    const plain =
      inject("kafka").kind === "external" ? [] : ["42", "__proto__", "constructor", " ", "*", "?", "a".repeat(255), ""];
    const groups = [...odd, ...long, ...plain];
    await moveAndRollBack(cluster, everyGroupAt(groups, topic, 1), everyGroupAt(groups, topic, 3));
  });

  it("commits on topics with any name that Kafka accepts", async () => {
    const cluster = await connect();
    const run = unique("t");
    const names = [`${run}-0`, `${run}-0-0`, `.${run}_-`, `--${run}`, run.padEnd(249, "x"), `7${run}`];
    for (const topic of names) await topicOf(2, 2, inject("kafka").bootstrapServers, { topic });
    const group = unique("topics");
    const of = (offset: number) => new Map([[group, at(...names.map((topic) => [`${topic}-1`, offset] as const))]]);
    await moveAndRollBack(cluster, of(1), of(2));
  });

  it("metadata up to the broker's limit, with any characters", async () => {
    const cluster = await connect();
    const texts = ["", "x".repeat(4_096), "ß".repeat(4_096), "🚀".repeat(2_048), '\u0000\n\r\t\u001b"\\\u2028', "null"];
    const topic = await topicOf(texts.length, 2);
    const group = unique("metadata");
    const of = (metadata: (i: number) => string) =>
      new Map([[group, new Map(texts.map((_, i) => [`${topic}-${i}`, { offset: 1n, metadata: metadata(i) }]))]]);
    await moveAndRollBack(
      cluster,
      of((i) => texts[i] ?? ""),
      of((i) => `moved ${i}`),
    );

    const tooLong = of(() => "x".repeat(4_097));
    const outcomes = await commitOffsets(cluster, tooLong);
    expect(new Set([...(outcomes.get(group)?.values() ?? [])].map(({ kind }) => kind))).toEqual(new Set(["refused"]));
  });

  it("commits with and without a leader epoch", async () => {
    const cluster = await connect();
    const topic = await topicOf(2, 2);
    const group = unique("epochs");
    const of = (offset: bigint): Map<string, Map<string, Commit>> =>
      new Map([
        [
          group,
          new Map([
            [`${topic}-0`, { offset, metadata: "", leaderEpoch: 0 }],
            [`${topic}-1`, { offset, metadata: "" }],
          ]),
        ],
      ]);
    await moveAndRollBack(cluster, of(1n), of(2n));
  });
});

describe("an offset up to 2^63 − 1", () => {
  it("is captured exactly, and a rollback to it is refused if it is above the log end", async () => {
    const cluster = await connect();
    const offsets = [9_007_199_254_740_993n, 2n ** 63n - 1n];
    const topic = await topicOf(offsets.length, 1);
    const group = unique("far");
    const commits = new Map([[group, at(...offsets.map((offset, p) => [`${topic}-${p}`, offset] as const))]]);
    await groupsWith(cluster, commits);

    const snapshot = stored(await capture(cluster, select(group)));
    await groupsWith(cluster, new Map([[group, at(...offsets.map((_, p) => [`${topic}-${p}`, 0] as const))]]));
    const part = restrict(snapshot, {});
    const plan = planRollback(snapshot, part, await observe(cluster, part.commits), policy);

    expect(snapshot.consumerGroups).toEqual(commits);
    expect(plan.blockers.map(({ kind, expected }) => [kind, expected])).toEqual(
      offsets.map((offset) => ["above_log_end", offset]),
    );
  });
});

/** Runs `act` once, right before the first request of an API that names a group or a topic. */
function beforeFirst(cluster: Cluster, api: Api<never, unknown>, name: string, act: () => Promise<unknown>): void {
  const send = cluster.send.bind(cluster);
  let acted = false;
  cluster.send = async (node, sent, request, timeoutMs) => {
    if (!acted && sent.key === api.key && inspect(request, { depth: 9, maxArrayLength: null }).includes(`'${name}'`)) {
      acted = true;
      await act();
    }
    return send(node, sent, request, timeoutMs);
  };
}

describe("a snapshot during which a", () => {
  const twoGroups = async (cluster: Cluster) => {
    const topic = await topicOf(1, 1);
    const run = unique("during");
    const groups = [`${run}.deleted`, `${run}.other`] as const;
    await groupsWith(cluster, everyGroupAt(groups, topic, 1));
    return { topic, run, groups };
  };
  const deleteGroup = (group: string) => administer((admin) => admin.deleteGroups([group]));

  it("group is deleted before its commits are read has a warning and the other groups", async () => {
    const cluster = await connect();
    const { topic, run, groups } = await twoGroups(cluster);
    const [deleted, other] = groups;
    beforeFirst(cluster, offsetFetch, deleted, () => deleteGroup(deleted));

    const { commits, errors, warnings } = await capture(cluster, select(`${run}.*`));

    expect(errors).toEqual([]);
    expect(commits).toEqual(everyGroupAt([other], topic, 1));
    expect(warnings).toEqual([`1 group disappeared while the groups were read: "${deleted}".`]);
  });

  it("group is deleted after its commits were read has its commits", async () => {
    const cluster = await connect();
    const { topic, run, groups } = await twoGroups(cluster);
    beforeFirst(cluster, listOffsets, topic, () => deleteGroup(groups[0]));

    const { commits, errors, warnings } = await capture(cluster, select(`${run}.*`));

    expect([...errors, ...warnings]).toEqual([]);
    expect(commits).toEqual(everyGroupAt(groups, topic, 1));
  });

  const deleteTopic = async (topic: string) => {
    await administer((admin) => admin.deleteTopics({ topics: [topic] }));
    const cluster = await connect();
    const codesOf = () =>
      Promise.all(cluster.nodes.map(async (node) => (await cluster.metadata([topic], node)).topics));
    const unknown = async () => (await codesOf()).flat().every(({ code }) => code === 3);
    await expect.poll(unknown, { timeout: 20_000 }).toBe(true);
  };

  it("topic is deleted before the commits on it are read has none of these commits, like Kafka", async () => {
    const [cluster, witness] = [await connect(), await connect()];
    const { topic, groups } = await twoGroups(cluster);
    const other = await topicOf(1);
    const [group] = groups;
    await groupsWith(cluster, everyGroupAt([group], other, 0));
    const left = async () => countOffsets((await readCommits(witness, new Map([[group, [`${topic}-0`]]]))).commits);
    beforeFirst(cluster, offsetFetch, group, async () => {
      await deleteTopic(topic);
      await expect.poll(left, { timeout: 20_000 }).toBe(0);
    });

    const { commits, errors, observed } = await capture(cluster, select(group));

    expect(errors).toEqual([]);
    expect(commits).toEqual(everyGroupAt([group], other, 0));
    expect([...observed.topics.keys()]).toEqual([other]);
  });

  it("topic is deleted after the commits on it were read has these commits, and its rollback is blocked", async () => {
    const cluster = await connect(90_000);
    const { topic, run, groups } = await twoGroups(cluster);
    beforeFirst(cluster, listOffsets, topic, () => deleteTopic(topic));

    const live = await capture(cluster, select(`${run}.*`));
    const part = restrict(stored(live), {});
    const plan = planRollback(stored(live), part, await observe(await connect(), part.commits), policy);

    expect(live.errors).toEqual([]);
    expect(live.commits).toEqual(everyGroupAt(groups, topic, 1));
    expect(plan.blockers.map(({ kind, group }) => [kind, group])).toEqual(
      groups.map((group) => ["topic_missing", group]),
    );
  });

  it("topic grows has the commits on the new partitions, and their log ranges", async () => {
    const cluster = await connect();
    const { topic, run, groups } = await twoGroups(cluster);
    const witness = await connect();
    const commitOnNew = async () => {
      const outcomes = await commitOffsets(witness, new Map([[groups[0], at([`${topic}-2`, 0])]]));
      return [...(outcomes.get(groups[0])?.values() ?? [])].map(({ kind }) => kind);
    };
    beforeFirst(cluster, offsetFetch, groups[0], async () => {
      await administer((admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }));
      await expect.poll(commitOnNew, { timeout: 20_000 }).toEqual(["accepted"]);
    });

    const { commits, errors, observed } = await capture(cluster, select(`${run}.*`));

    expect(errors).toEqual([]);
    expect(commits.get(groups[0])).toEqual(at([`${topic}-0`, 1], [`${topic}-2`, 0]));
    expect(observed.topics.get(topic)?.partitions.get(2)).toMatchObject({ logStartOffset: 0n, logEndOffset: 0n });
  });
});

// This is the last test: brokers are busy for a while after it, because they create and delete many logs.
describe("a snapshot and a rollback", () => {
  const many = isBefore(inject("kafka").version, "3.3") ? 1_000 : 5_000; // ZooKeeper creates partitions slowly
  it(`restore a group with ${many} partitions`, async () => {
    const cluster = await connect(230_000);
    const topic = await topicOf(many, 0, inject("kafka").bootstrapServers, { replicas: 1 });
    const group = unique("wide");
    const of = (offset: number) =>
      new Map([[group, at(...Array.from({ length: many }, (_, p) => [`${topic}-${p}`, offset] as const))]]);
    // Brokers report leaders before these have created the logs of all partitions.
    const logsThere = async () => (await observe(cluster, of(0))).warnings;
    await expect.poll(logsThere, { timeout: 120_000 }).toEqual([]);
    await moveAndRollBack(cluster, of(0), of(1));
  }, 240_000);
});
