import fc from "fast-check";
import type { Json } from "../../functions/shared/core/json/json.ts";
import type {
  Commit,
  Commits,
  LiveState,
  ObservedGroup,
  ObservedTopic,
  Snapshot,
} from "../../functions/shared/core/model.ts";
import { topicPartition, triggers } from "../../functions/shared/core/model.ts";
import { mapGroups, restrict, type SnapshotPart } from "../../functions/shared/core/restrict.ts";
import type { Plan, Policy } from "../../functions/shared/core/rollback/plan.ts";
import { planRollback } from "../../functions/shared/core/rollback/planning.ts";
import { groupOf, liveOf, log, MAX, snapshotOf } from "./states.ts";

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
  fc.bigInt({ min: 0n, max: MAX }),
  fc.constantFrom(0n, 9007199254740991n, 9007199254740992n, 9007199254740993n, MAX),
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
    trigger: fc.constantFrom(...triggers),
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
          protocolType: fc.option(fc.constantFrom("", "consumer", "connect", "share")),
          asOf: fc.option(fc.date({ noInvalidDate: true }).map((date) => date.toISOString())),
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

/** Any JSON, as the project handles it: objects have fields of ours, maps have keys from outside. */
export const json: fc.Arbitrary<Json> = fc.letrec<{ json: Json }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(null, true, false, 0, -1, 1.5),
    fc.bigInt({ min: -MAX - 1n, max: MAX }),
    fc.string({ unit: "grapheme" }),
    fc.array(tie("json"), { maxLength: 3 }),
    fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), tie("json"), { maxKeys: 3 }),
    mapFrom(groupName, tie("json"), 3),
  ),
})).json;

/** The value nearly always, now and then something else. */
const mostly = <T>(value: T, other: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: other });

/** Commits that often meet, in offset, metadata and epoch. */
export const nearCommit: fc.Arbitrary<Commit> = fc
  .tuple(fc.bigInt({ min: 0n, max: 12n }), fc.constantFrom("", "m"), fc.constantFrom(undefined, undefined, 0, 3))
  .map(([near, metadata, leaderEpoch]) => ({
    offset: near,
    metadata,
    ...(leaderEpoch !== undefined && { leaderEpoch }),
  }));

const description: fc.Arbitrary<ObservedGroup | "missing" | "pending"> = fc.oneof(
  { weight: 12, arbitrary: fc.constant(groupOf("classic", "Empty", 0)) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom("classic", "consumer", "streams", "share", null),
        fc.constantFrom("Empty", "Stable", "Dead", null),
        fc.constantFrom(0, 1, 7, null),
      )
      .map((described) => groupOf(...described)),
  },
  { weight: 2, arbitrary: fc.constantFrom("missing", "pending") },
);

const groupSituation = (keys: readonly string[]) =>
  fc.record({
    captured: mostly(true, fc.constant(false)),
    description,
    partitions: fc.tuple(
      ...keys.map((key) =>
        fc.record({
          key: fc.constant(key),
          saved: fc.option(nearCommit),
          live: fc.option(nearCommit),
          moved: fc.boolean(),
        }),
      ),
    ),
  });

const narrowLog = fc
  .tuple(fc.option(fc.bigInt({ min: 0n, max: 6n })), fc.option(fc.bigInt({ min: 6n, max: 12n })), fc.option(fc.nat(9)))
  .map(([start, end, epoch]) => log(start, end, epoch));

const topicSituation = fc.record({
  saved: mostly<string | null | "absent" | "unknown">("id", fc.constantFrom("absent", "unknown", null)),
  now: mostly<string | null | "absent" | "unknown">("id", fc.constantFrom("absent", "unknown", null, "another id")),
  logs: fc.tuple(...[0, 1].map(() => fc.oneof(fc.constant(log(0n, MAX, 9)), narrowLog, fc.constant(log(4n, 8n, 9))))),
  partitions: mostly(2, fc.constant(1)),
});

/** What a caller may want done. */
const policy: fc.Arbitrary<Policy> = fc.record({
  exact: fc.boolean(),
  outOfRange: fc.constantFrom("refuse", "clamp", "skip"),
  skipBlocked: fc.boolean(),
});

/** A snapshot, some of it for other groups perhaps; the cluster now, in which anything may be in the way; what is wanted. */
export interface Situation {
  readonly snapshot: Snapshot;
  readonly part: SnapshotPart;
  readonly live: LiveState;
  readonly policy: Policy;
}

/** Situations in which most of a plan can be done. */
export const situation: fc.Arbitrary<Situation> = fc
  .tuple(
    fc.uniqueArray(groupName, { maxLength: 3 }),
    fc.uniqueArray(topicName, { minLength: 1, maxLength: 2 }),
    fc.boolean(),
    policy,
    mostly<string | null>("c1", fc.constantFrom("c2", null)),
  )
  .chain(([names, topicNames, rehearsal, wanted, clusterId]) => {
    const keys = topicNames.flatMap((topic) => [topicPartition(topic, 0), topicPartition(topic, 1)]);
    return fc
      .tuple(fc.tuple(...names.map(() => groupSituation(keys))), fc.tuple(...topicNames.map(() => topicSituation)))
      .map(([groups, topics]) => {
        const all = names.flatMap((name, i) => {
          const one = groups[i];
          return one === undefined ? [] : [{ ...one, name, target: rehearsal ? `${name}-replay` : name }];
        });
        const then = new Map<string, ObservedTopic | null>();
        const now = new Map<string, ObservedTopic | null>();
        topicNames.forEach((name, i) => {
          const one = topics[i];
          if (one === undefined) return;
          const partitions = new Map([...one.logs.entries()].slice(0, one.partitions));
          const observe = (into: typeof now, id: string | null) => {
            if (id !== "absent") into.set(name, id === "unknown" ? null : { topicId: id, partitions });
          };
          observe(then, one.saved);
          observe(now, one.now);
        });
        const held = all.filter((one) => typeof one.description === "object");
        const snapshot = snapshotOf(
          new Map(
            all
              .filter(({ captured }) => captured)
              .map(({ name, partitions }) => [
                name,
                new Map(partitions.flatMap(({ key, saved }) => (saved === null ? [] : [[key, saved] as const]))),
              ]),
          ),
          {
            observed: { groups: new Map(), topics: then },
            errors: all
              .filter(({ captured }) => !captured)
              .map(({ name }) => ({ group: name, error: "KafkaAuthorization", message: "no right" })),
          },
        );
        const live = liveOf(
          new Map(
            held.map(({ target, partitions }) => [
              target,
              new Map(
                partitions.flatMap(({ key, saved, live: other, moved }) => {
                  const commit = moved ? other : saved;
                  return commit === null ? [] : [[key, commit] as const];
                }),
              ),
            ]),
          ),
          now,
          {
            cluster: { name: "test", clusterId },
            missing: new Set(all.filter((one) => one.description === "missing").map(({ target }) => target)),
            errors: all
              .filter((one) => one.description === "pending")
              .map(({ target }) => ({ group: target, error: "PendingTransaction", message: "88" })),
            observed: {
              groups: new Map(
                held.flatMap(({ target, description: one }) =>
                  typeof one === "object" ? [[target, one] as const] : [],
                ),
              ),
              topics: now,
            },
          },
        );
        const part = restrict(snapshot, {});
        const mapped = rehearsal ? mapGroups(part, new Map(all.map(({ name, target }) => [name, target]))) : part;
        return { snapshot, part: mapped, live, policy: wanted };
      });
  });

/** Situations with their plans, nothing in whose way is left: they can be carried out. */
export const executable: fc.Arbitrary<Situation & { readonly plan: Plan }> = situation
  .map((one) => ({ ...one, plan: planRollback(one.snapshot, one.part, one.live, one.policy) }))
  .filter(({ plan }) => plan.blockers.length === 0 && plan.groups.size > 0);
