import { expect, it, onTestFinished } from "vitest";
import type { Commits, LiveState } from "../../../functions/shared/core/model.ts";
import { restrict } from "../../../functions/shared/core/restrict.ts";
import { commitsOf, deletesOf, shareGroupsOf } from "../../../functions/shared/core/rollback/plan.ts";
import { planRollback } from "../../../functions/shared/core/rollback/planning.ts";
import { settle } from "../../../functions/shared/core/rollback/settle.ts";
import type { Cluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { capture, observe, readCommits } from "../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets, deleteOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { parseTables } from "../../../localstack/console.ts";
import { expectAccepted } from "../../support/outcomes.ts";
import { snapshotOf } from "../../support/states.ts";
import { administer, at, connect, kafka, select, since, topicOf, unique } from "./support.ts";

const shareCommand = "org.apache.kafka.tools.consumer.group.ShareGroupCommand";

/** Creates a share group with these start offsets: altering the offsets of a group that does not exist creates it. */
async function shareGroupAt(cluster: Cluster, offsets: ReturnType<typeof at>): Promise<string> {
  const group = unique("share");
  onTestFinished(() => administer((admin) => admin.deleteGroups([group])).then(ignore, ignore));
  expectAccepted(await commitOffsets(cluster, new Map([[group, offsets]]), { shareGroups: new Set([group]) }));
  return group;
}

const ignore = () => {};

/** The start offset of each partition as `kafka-share-groups --describe` prints it; `-` is not initialized. */
async function startOffsetsByKafka(group: string): Promise<Record<string, string>> {
  const { stdout, stderr } = await kafka().tool(shareCommand, ["--describe", "--offsets", "--group", group]);
  const found = parseTables(stdout, ["PARTITION", "START-OFFSET"])
    .filter((row) => row.group === group)
    .map(({ topic, values: [partition, start] }) => [`${topic}-${partition}`, start]);
  if (found.length === 0) throw new Error(stdout + stderr);
  return Object.fromEntries(found);
}

/** Starts a member. */
const startMember = (group: string, topic: string, ...more: string[]) =>
  kafka().startTool("org.apache.kafka.tools.consumer.ConsoleShareConsumer", [
    ...["--topic", topic, "--group", group],
    ...["--formatter-property", "print.offset=true", ...more],
  ]);

/** Consumes until no record is delivered for 5 s, and returns the offsets. */
async function consume(group: string, topic: string): Promise<number[]> {
  const { stdout } = await startMember(group, topic, "--timeout-ms", "5000").ended;
  return [...stdout.matchAll(/Offset:(\d+)/g)].map(([, offset]) => Number(offset)).sort((a, b) => a - b);
}

const upTo = (first: number, end: number) => Array.from({ length: end - first }, (_, i) => first + i);

/** Rolls the groups of a state back to it, as the function does. */
async function rollBack(cluster: Cluster, before: LiveState, exact = false) {
  const snapshot = snapshotOf(before.commits, { cluster: before.cluster, observed: before.observed });
  const part = restrict(snapshot, {});
  const plan = planRollback(snapshot, part, await observe(cluster, part.commits), {
    ...{ uncommitted: exact ? "delete" : "keep", outOfRange: "refuse", skipBlocked: false },
  });
  expect(plan.blockers).toEqual([]);
  const shareGroups = shareGroupsOf(plan);
  const sent = await commitOffsets(cluster, commitsOf(plan), { shareGroups });
  for (const [group, outcomes] of await deleteOffsets(cluster, deletesOf(plan), { shareGroups })) {
    sent.set(group, new Map([...(sent.get(group) ?? []), ...outcomes]));
  }
  const keys = new Map([...plan.groups].map(([group, { partitions }]) => [group, partitions.keys()]));
  return { plan, settled: settle(plan, sent, await readCommits(cluster, keys, shareGroups)) };
}

since("4.2", "share groups (KIP-932)").describe("share groups", () => {
  it("are captured with the start offsets that kafka-share-groups prints, beside other groups", async () => {
    const cluster = await connect();
    const topic = await topicOf(3, 10);
    const group = await shareGroupAt(cluster, at([`${topic}-0`, 3], [`${topic}-2`, 2n ** 63n - 1n]));
    const other = `${group}.classic`;
    await commitOffsets(cluster, new Map([[other, at([`${topic}-0`, 4])]]));
    onTestFinished(() => administer((admin) => admin.deleteGroups([other])).then(ignore, ignore));

    const state = await capture(cluster, select(`${group}*`));

    expect(state.commits).toEqual(
      new Map([
        [group, at([`${topic}-0`, 3], [`${topic}-2`, 2n ** 63n - 1n])],
        [other, at([`${topic}-0`, 4])],
      ]),
    );
    expect([...state.errors, ...state.warnings]).toEqual([]);
    expect(state.observed.groups.get(group)).toEqual({
      ...{ type: "share", state: "Empty", members: 0, protocolType: "share", protocol: null, asOf: expect.any(String) },
    });
    expect(state.observed.topics.get(topic)?.partitions.get(0)).toMatchObject({ logEndOffset: 10n });
    expect(await startOffsetsByKafka(group)).toEqual({ [`${topic}-0`]: "3", [`${topic}-2`]: `${2n ** 63n - 1n}` });
  });

  it("are observed with their members, and Kafka refuses writes while there are members", async () => {
    const cluster = await connect();
    const topic = await topicOf(2, 5);
    const group = await shareGroupAt(cluster, at([`${topic}-0`, 1]));
    const member = startMember(group, topic);
    onTestFinished(() => member.kill());
    const observed = async () => (await observe(cluster, new Map([[group, at([`${topic}-0`, 1])]]))).observed.groups;
    await expect
      .poll(async () => (await observed()).get(group), { timeout: 40_000 })
      .toMatchObject({
        ...{ type: "share", state: "Stable", members: 1 },
      });

    const shareGroups = new Set([group]);
    const committed = await commitOffsets(cluster, new Map([[group, at([`${topic}-0`, 0])]]), { shareGroups });
    const deleted = await deleteOffsets(cluster, new Map([[group, [`${topic}-0`]]]), { shareGroups });
    const { warnings } = await capture(cluster, select(group));
    await member.stop();

    for (const outcomes of [committed, deleted]) {
      expect(outcomes.get(group)?.get(`${topic}-0`)).toMatchObject({ kind: "refused", error: "GroupNotEmpty" });
    }
    expect(warnings).toEqual([]);
    await expect.poll(async () => (await observed()).get(group)?.members, { timeout: 40_000 }).toBe(0);
  });

  it("deliver acknowledged records again from the target of a rollback", async () => {
    const cluster = await connect(110_000);
    const topic = await topicOf(1, 20);
    const group = await shareGroupAt(cluster, at([`${topic}-0`, 4]));
    const before = await capture(cluster, select(group));
    expect(await consume(group, topic)).toEqual(upTo(4, 20));
    expect(await consume(group, topic)).toEqual([]);
    await expect
      .poll(async () => (await capture(cluster, select(group))).observed.groups.get(group)?.state, { timeout: 40_000 })
      .toBe("Empty");

    // All records are acknowledged, but the start offset may not have moved yet.
    const { plan, settled } = await rollBack(cluster, before);

    expect(plan.groups.get(group)).toMatchObject({ type: "share", replayed: 16n });
    expect(settled).toMatchObject({ status: "success", offsetsRestored: 1, verification: { verified: true } });
    expect(await startOffsetsByKafka(group)).toEqual({ [`${topic}-0`]: "4" });
    expect(await consume(group, topic)).toEqual(upTo(4, 20));
  });

  it("lose extra start offsets in an exact rollback, and start on these partitions like new groups", async () => {
    const cluster = await connect(110_000);
    const topic = await topicOf(2, 5);
    const [first, second] = [`${topic}-0`, `${topic}-1`];
    const group = await shareGroupAt(cluster, at([first, 1]));
    const before = await capture(cluster, select(group));
    const moved: Commits = new Map([[group, at([first, 3], [second, 3])]]);
    await commitOffsets(cluster, moved, { shareGroups: new Set([group]) });

    const { settled } = await rollBack(cluster, before, true);

    expect(settled).toMatchObject({ status: "success", offsetsRestored: 1, offsetsDeleted: 1 });
    expect((await capture(cluster, select(group))).commits.get(group)).toEqual(at([first, 1]));
    expect(await startOffsetsByKafka(group)).toEqual({ [first]: "1", [second]: "-" });
    expect(await consume(group, topic)).toEqual(upTo(1, 5)); // share.auto.offset.reset is latest
  });

  it("are created again if they were deleted", async () => {
    const cluster = await connect();
    const topic = await topicOf(1, 5);
    const group = await shareGroupAt(cluster, at([`${topic}-0`, 2]));
    const before = await capture(cluster, select(group));
    await kafka().tool(shareCommand, ["--delete", "--group", group]);
    expect((await capture(cluster, select(group))).missing).toEqual(new Set([group]));

    const { settled } = await rollBack(cluster, before);

    expect(settled.status).toBe("success");
    const now = await capture(cluster, select(group));
    expect(now.commits).toEqual(before.commits);
    expect(now.observed.groups.get(group)?.type).toBe("share");
  });

  it("are read by name, without start offsets on partitions and topics that do not exist", async () => {
    const cluster = await connect();
    const topic = await topicOf(1, 5);
    const group = await shareGroupAt(cluster, at([`${topic}-0`, 2]));
    const keys = [`${topic}-0`, `${topic}-7`, `${topic}-none-0`];
    const started = performance.now();

    const byName = await readCommits(cluster, new Map([[group, keys]]), new Set([group]));
    const observed = await observe(cluster, new Map([[group, new Map(keys.map((key) => [key, null]))]]));
    const none = await readCommits(cluster, new Map([[group, [`${topic}-7`]]]), new Set([group]));

    expect(byName).toEqual({ commits: new Map([[group, at([`${topic}-0`, 2])]]), errors: [], pending: new Map() });
    expect(observed.errors).toEqual([]);
    expect(observed.commits.get(group)).toEqual(at([`${topic}-0`, 2]));
    expect(none).toEqual({ commits: new Map([[group, new Map()]]), errors: [], pending: new Map() });
    expect(performance.now() - started).toBeLessThan(10_000); // a broker never answers a request for partition 7
  });

  it("are not written as classic groups, nor classic groups as share groups: Kafka refuses both", async () => {
    const cluster = await connect();
    const topic = await topicOf(1, 5);
    const share = await shareGroupAt(cluster, at([`${topic}-0`, 2]));
    const classic = unique("classic");
    await commitOffsets(cluster, new Map([[classic, at([`${topic}-0`, 1])]]));
    onTestFinished(() => administer((admin) => admin.deleteGroups([classic])).then(ignore, ignore));

    const commits = new Map([share, classic].map((group) => [group, at([`${topic}-0`, 4])]));
    const outcomes = await commitOffsets(cluster, commits, { shareGroups: new Set([classic]) });

    for (const group of [share, classic]) {
      expect(outcomes.get(group)?.get(`${topic}-0`)).toMatchObject({ kind: "refused", error: "GroupNotFound" });
    }
    const { commits: after } = await capture(cluster, select(share, classic));
    expect([share, classic].map((group) => after.get(group)?.get(`${topic}-0`)?.offset)).toEqual([2n, 1n]);
  });
});
