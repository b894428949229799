import { describe, expect, inject, it, onTestFinished } from "vitest";
import { capture, observe, readCommits } from "../../../functions/shared/kafka/groups/capture.ts";
import { fetchCommits } from "../../../functions/shared/kafka/groups/read-commits.ts";
import { isBefore } from "../../../localstack/kafka-tools.ts";
import { joinedConsumer } from "../../support/members.ts";
import { transactionalProducers } from "../../support/transactions.ts";
import {
  at,
  classic,
  connect,
  describedByKafka,
  forget,
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

  it("reports negative offsets, which are no commits", async () => {
    const cluster = await connect();
    const topic = await topicOf(2);
    const group = unique("negative");
    await groupsWith(cluster, new Map([[group, at([`${topic}-0`, -1001], [`${topic}-1`, 7])]]));

    for (const state of [
      await capture(cluster, select(group)),
      await observe(cluster, new Map([[group, at([`${topic}-0`, 3])]])),
    ]) {
      expect(state.commits.get(group)).toEqual(at([`${topic}-1`, 7]));
      expect(state.observed.groups.get(group)?.negative).toEqual(new Map([[`${topic}-0`, -1001n]]));
    }
  });
});

describe("a transaction with a pending commit", () => {
  /** A group with commits on two partitions, and an open transaction of a producer that has sent one for partition 0. */
  async function openTransaction() {
    const topic = await topicOf(2);
    const run = unique("pending");
    const [group, other] = [`${run}.open`, `${run}.other`];
    const cluster = await connect();
    const before = at([`${topic}-0`, 1], [`${topic}-1`, 5]);
    await groupsWith(cluster, new Map([group, other].map((name) => [name, before])));
    const producer = independentClient().producer({ transactionalId: run, maxInFlightRequests: 1, idempotent: true });
    await producer.connect();
    onTestFinished(() => producer.disconnect());
    const transaction = await producer.transaction();
    onTestFinished(async () => {
      if (transaction.isActive()) await transaction.abort();
    });
    const topics = [{ topic, partitions: [{ partition: 0, offset: "2" }] }];
    await transaction.sendOffsets({ consumerGroupId: group, topics });
    return { cluster, topic, run, group, other, before, transaction };
  }

  it("that stays open leaves the commit before it, and costs a capture about 2 s", async () => {
    const { cluster, topic, run, group, other, before } = await openTransaction();
    const started = performance.now();

    const state = await capture(cluster, select(`${run}.*`));

    console.log(`captured beside an open transaction in ${(performance.now() - started).toFixed(0)} ms`);
    expect(state.errors).toEqual([]);
    expect(state.commits).toEqual(new Map([group, other].map((name) => [name, before])));
    expect(state.observed.groups.get(group)?.pending).toEqual([`${topic}-0`]);
    expect(state.observed.groups.get(other)).not.toHaveProperty("pending");
    const observed = await observe(cluster, new Map([[group, before]]));
    expect(observed.observed.groups.get(group)?.pending).toEqual([`${topic}-0`]);
    const readBack = await readCommits(cluster, new Map([[group, before.keys()]]));
    expect(readBack).toEqual({
      commits: new Map([[group, before]]),
      errors: [],
      pending: new Map([[group, [`${topic}-0`]]]),
    });
  });

  it("that ends meanwhile is read as committed, with nothing pending", async () => {
    const { cluster, topic, run, group, transaction } = await openTransaction();
    const state = capture(cluster, select(`${run}.*`));
    await expect.poll(() => cluster.requests.get("OffsetFetch") ?? 0).toBeGreaterThan(6);
    await transaction.commit();

    const { commits, errors, observed } = await state;

    expect(errors).toEqual([]);
    expect(commits.get(group)?.get(`${topic}-0`)?.offset).toBe(2n);
    expect(observed.groups.get(group)).not.toHaveProperty("pending");
  });

  it("leaves each partition of a busy group at an offset that stood while it was read", async () => {
    const producers = 20;
    const cluster = await connect();
    const topic = await topicOf(producers);
    const run = unique("busy");
    const busy = `${run}.busy`;
    const quiet = new Map(Array.from({ length: 1_000 }, (_, i) => [`${run}.${i}`, at([`${topic}-0`, i])]));
    await groupsWith(cluster, quiet);
    const ledger = await transactionalProducers(independentClient(), busy, topic, producers);
    forget([busy]);
    const began = performance.now();

    const state = await capture(cluster, select(`${run}.*`));

    const ended = performance.now();
    await ledger.stop();
    const { pending = [] } = state.observed.groups.get(busy) ?? {};
    console.log(
      `captured ${producers} transactional producers beside 1,000 groups in ${(ended - began).toFixed(0)} ms, ` +
        `${pending.length} partitions pending`,
    );
    expect(state.errors).toEqual([]);
    expect(state.commits.size).toBe(1_001);
    expect(state.commits.get(busy)?.size).toBe(producers);
    for (const [key, { offset }] of state.commits.get(busy) ?? []) {
      expect(ledger.stood(key, offset, began, ended), `${key} at ${offset}`).toBe(true);
    }
  }, 60_000);
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
