import fc from "fast-check";
import type { Commit, Commits, ObservedTopic, Snapshot } from "../../functions/shared/core/model.ts";
import { topicPartition } from "../../functions/shared/core/model.ts";

const MAX_INT64 = 2n ** 63n - 1n;

/** Group names as Kafka allows them: any text, also what JavaScript's objects treat apart. */
export const groupName = fc.oneof(
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }),
  fc.constantFrom("42", "7", "__proto__", "constructor", "a\nb", "\u{1F600}", "\uFFFD", "a*b", " "),
);

const topicName = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9._-]{1,12}$/),
  fc.constantFrom("orders", "orders-0", "a-1-2", "__proto__"),
);

const offset = fc.oneof(
  fc.bigInt({ min: 0n, max: 100n }),
  fc.bigInt({ min: 0n, max: MAX_INT64 }),
  fc.constantFrom(0n, 9007199254740991n, 9007199254740992n, 9007199254740993n, MAX_INT64),
);

/** A commit, with a leader epoch or without. */
export const commit: fc.Arbitrary<Commit> = fc.oneof(
  fc.record({ offset, metadata: fc.string({ unit: "grapheme" }) }),
  fc.record({ offset, metadata: fc.string({ unit: "grapheme" }), leaderEpoch: fc.nat({ max: 0x7fffffff }) }),
);

const partitionKey = fc
  .tuple(topicName, fc.nat({ max: 300 }))
  .map(([topic, partition]) => topicPartition(topic, partition));

const mapFrom = <K, V>(key: fc.Arbitrary<K>, value: fc.Arbitrary<V>, maxLength: number): fc.Arbitrary<Map<K, V>> =>
  fc.array(fc.tuple(key, value), { maxLength }).map((entries) => new Map(entries));

/** Commits of a few groups, some of them without any. */
export const commits: fc.Arbitrary<Commits> = mapFrom(groupName, mapFrom(partitionKey, commit, 6), 5);

const observedTopic: fc.Arbitrary<ObservedTopic | null> = fc.option(
  fc.record({
    topicId: fc.option(fc.base64String({ minLength: 4, maxLength: 24 })),
    partitions: mapFrom(
      fc.nat({ max: 50 }),
      fc.record({
        logStartOffset: fc.option(offset),
        logEndOffset: fc.option(offset),
        leaderEpoch: fc.option(fc.nat()),
      }),
      4,
    ),
  }),
);

const selector = fc.oneof(groupName, fc.record({ name: groupName }));

/** Whole snapshots. */
export const snapshot: fc.Arbitrary<Snapshot> = fc
  .record({
    second: fc.integer({ min: 1_600_000_000, max: 1_900_000_000 }),
    number: fc.integer({ min: 1, max: 12 }),
    description: fc.string({ unit: "grapheme" }),
    trigger: fc.constantFrom("invoke", "api", "schedule", "safety"),
    schedule: fc.option(fc.record({ name: groupName, executionId: fc.uuid(), scheduledTime: fc.string() })),
    selection: fc.record({
      groups: fc.array(selector, { maxLength: 4 }),
      exclude: fc.array(selector, { maxLength: 2 }),
    }),
    cluster: fc.record({ name: fc.string({ minLength: 1 }), clusterId: fc.option(fc.string()) }),
    consumerGroups: commits,
    errors: fc.array(fc.record({ group: groupName, error: fc.string(), message: fc.string() }), { maxLength: 2 }),
    warnings: fc.array(fc.string(), { maxLength: 2 }),
    observed: fc.record({
      groups: mapFrom(
        groupName,
        fc.record({
          type: fc.option(fc.constantFrom("classic", "consumer", "streams", "share")),
          state: fc.option(fc.constantFrom("Empty", "Stable", "Dead")),
          members: fc.option(fc.nat({ max: 100 })),
        }),
        4,
      ),
      topics: mapFrom(topicName, observedTopic, 4),
    }),
  })
  .map(({ second, number, schedule, ...content }) => {
    const createdAt = `${new Date(second * 1000).toISOString().slice(0, 19)}Z`;
    return {
      ...content,
      ...(schedule && { schedule }),
      snapshotId: `snapshot-${createdAt}${number === 1 ? "" : `-${number}`}`,
      createdAt,
    };
  });
