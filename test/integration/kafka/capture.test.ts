import { describe, expect, inject, it, onTestFinished } from "vitest";
import { capture, observe } from "../../../functions/shared/kafka/groups/capture.ts";
import { fetchCommits } from "../../../functions/shared/kafka/groups/read-commits.ts";
import { isBefore } from "../../../localstack/kafka-tools.ts";
import { joinedConsumer } from "../../support/members.ts";
import {
  at,
  classic,
  connect,
  describedByKafka,
  groupsWith,
  independentClient,
  rowsOf,
  select,
  topicOf,
  unique,
} from "./support.ts";

describe("capture", () => {
  it("reads the same offsets as kafka-consumer-groups, of groups on all coordinators", async () => {
    const cluster = await connect();
    const topic = await topicOf(3, 10);
    const run = unique("same");
    const groups = Array.from({ length: 24 }, (_, i) => `${run}.${i}`);
    const offsets = (i: number) => at([`${topic}-0`, i], [`${topic}-1`, 10 - (i % 10)], [`${topic}-2`, 0]);
    await groupsWith(cluster, new Map(groups.map((group, i) => [group, offsets(i)])));

    const state = await capture(cluster, select(`${run}.*`));

    expect(new Set(groups.map((group) => cluster.coordinators.get(group))).size).toBe(inject("kafka").brokers);
    expect(state.errors).toEqual([]);
    expect(state.warnings).toEqual([]);
    expect(rowsOf(state)).toEqual(await describedByKafka(...groups));
    expect(state.cluster.clusterId).toMatch(/^[\w-]{22}$/);
    const observed = state.observed.topics.get(topic);
    expect(observed?.topicId).toMatch(/^[\w-]{22}$/);
    expect(observed?.partitions.get(1)).toEqual({ logStartOffset: 0n, logEndOffset: 10n, leaderEpoch: 0 });
    expect(state.observed.groups.get(`${run}.0`)).toMatchObject({ type: classic(), state: "Empty", members: 0 });
  });

  it("observes the topics that members read, also without any commit: a rollback needs to know where they ended", async () => {
    const cluster = await connect();
    const [read, other] = [await topicOf(2, 4), await topicOf(1)];
    const group = unique("reading");
    await joinedConsumer(independentClient(), group, [read]);

    const state = await capture(cluster, select(group));

    expect(state.commits.get(group)?.size).toBe(0);
    expect(state.warnings).toEqual([]);
    expect(state.observed.topics.get(read)?.partitions.get(1)).toMatchObject({ logStartOffset: 0n, logEndOffset: 4n });
    expect(state.observed.topics.has(other)).toBe(false);
  });

  it("reads 1,000 groups × 12 partitions in a few requests per broker; before 3.0, in one more per group", async () => {
    const cluster = await connect();
    const topic = await topicOf(12);
    const run = unique("many");
    const commits = new Map(
      Array.from({ length: 1_000 }, (_, g) => [
        `${run}.${g}`,
        at(...Array.from({ length: 12 }, (_, p) => [`${topic}-${p}`, g * 12 + p] as const)),
      ]),
    );
    await groupsWith(cluster, commits);
    const before = [...cluster.requests.values()].reduce((a, b) => a + b);
    const started = performance.now();

    const state = await capture(cluster, select(`${run}.*`));

    const requests = [...cluster.requests.values()].reduce((a, b) => a + b) - before;
    console.log(`captured 1,000 × 12 in ${(performance.now() - started).toFixed(0)} ms with ${requests} requests`);
    expect(state.commits).toEqual(commits);
    expect(state.errors).toEqual([]);
    const { brokers, version } = inject("kafka");
    expect(requests).toBeLessThanOrEqual(9 * brokers + 3 + (isBefore(version, "3.0") ? 1_000 : 0));
  }, 120_000);

  it("distinguishes a missing literal name, a pattern without matches, and excluded groups", async () => {
    const cluster = await connect();
    const topic = await topicOf(1);
    const run = unique("some");
    const commits = new Map(["a", "b", "c"].map((name) => [`${run}.${name}`, at([`${topic}-0`, 1])]));
    await groupsWith(cluster, commits);

    const state = await capture(cluster, {
      groups: [`${run}.*`, `${run}.missing`, "nothing-like-it-*", { name: `${run}.*` }],
      exclude: [`${run}.b`, "*c"],
    });

    expect([...state.commits.keys()]).toEqual([`${run}.a`]);
    expect([...state.missing].sort()).toEqual([`${run}.*`, `${run}.missing`]);
    expect(state.warnings).toEqual(['No group matches "nothing-like-it-*".']);
  });

  it("waits for a pending transaction, then reports an error for its group, and reads the others", async () => {
    const topic = await topicOf(2);
    const run = unique("pending");
    const groups = [`${run}.open`, `${run}.other`];
    const patient = await connect();
    await groupsWith(patient, new Map(groups.map((group) => [group, at([`${topic}-0`, 1])])));
    const producer = independentClient().producer({ transactionalId: run, maxInFlightRequests: 1, idempotent: true });
    await producer.connect();
    onTestFinished(() => producer.disconnect());
    const transaction = await producer.transaction();
    const offsets = {
      consumerGroupId: `${run}.open`,
      topics: [{ topic, partitions: [{ partition: 0, offset: "2" }] }],
    };
    await transaction.sendOffsets(offsets);

    const hasty = await connect(4_000);
    const during = await capture(hasty, select(`${run}.*`));
    const whole = capture(patient, select(`${run}.*`));
    await transaction.commit();

    expect(during.errors).toMatchObject([{ group: `${run}.open`, error: "PendingTransaction" }]);
    expect(during.commits.get(`${run}.other`)).toEqual(at([`${topic}-0`, 1]));
    expect(during.commits.has(`${run}.open`)).toBe(false);
    const { commits, errors } = await whole;
    expect(errors).toEqual([]);
    expect(commits.get(`${run}.open`)?.get(`${topic}-0`)?.offset).toBe(2n);
  });
});

describe("observe", () => {
  it("reads the log ranges of the named partitions, and omits a topic that does not exist", async () => {
    const cluster = await connect();
    const topic = await topicOf(2, 3);
    const gone = unique("gone");
    const group = unique("observed");
    await groupsWith(cluster, new Map([[group, at([`${topic}-0`, 1])]]));

    const state = await observe(cluster, new Map([[group, at([`${topic}-1`, 0], [`${gone}-0`, 0])]]));

    expect(state.commits.get(group)).toEqual(at([`${topic}-0`, 1]));
    expect(state.observed.topics.get(topic)?.partitions.size).toBe(2);
    expect(state.observed.topics.get(topic)?.partitions.get(1)?.logEndOffset).toBe(3n);
    expect(state.observed.topics.has(gone)).toBe(false);
    expect(state.errors).toEqual([]);
    expect(state.warnings).toEqual([]);
  });

  it("has every requested group in exactly one of commits, missing and errors", async () => {
    const cluster = await connect();
    const topic = await topicOf(1);
    const run = unique("place");
    await groupsWith(cluster, new Map([[`${run}.here`, at([`${topic}-0`, 1])]]));
    const tooLong = "x".repeat(40_000);
    const asked = [`${run}.here`, `${run}.missing`, tooLong];

    const state = await observe(cluster, new Map(asked.map((group) => [group, at([`${topic}-0`, 1])])));

    expect([...state.commits.keys()]).toEqual([`${run}.here`]);
    expect([...state.missing]).toEqual([`${run}.missing`]);
    expect(state.errors).toMatchObject([{ group: tooLong, error: "InvalidRequest" }]);
  });

  it("distinguishes a missing group from one without commits, although OffsetFetch answers both alike", async () => {
    const cluster = await connect();
    const group = unique("never");
    const [[, result] = []] = await fetchCommits(cluster, [{ group, topics: null }]);
    expect(result).toMatchObject({ done: { commits: new Map() } });
    expect([...(await observe(cluster, new Map([[group, new Map()]]))).missing]).toEqual([group]);
  });
});
