import fc from "fast-check";
import { mapGroups } from "../../functions/shared/core/group-map.ts";
import type { Json } from "../../functions/shared/core/json/json.ts";
import type {
  Commit,
  Commits,
  LiveState,
  ObservedGroup,
  ObservedTopic,
  Snapshot,
} from "../../functions/shared/core/model.ts";
import { sameCommit, topicPartition, triggers } from "../../functions/shared/core/model.ts";
import { restrict, type SnapshotPart } from "../../functions/shared/core/restrict.ts";
import type { Plan, Policy } from "../../functions/shared/core/rollback/plan.ts";
import { planRollback } from "../../functions/shared/core/rollback/planning.ts";
import { groupOf, liveOf, log, MAX, snapshotOf } from "./states.ts";

/** Group names of 1 to 20 graphemes, among them keys that JavaScript objects treat specially (`42`, `__proto__`) and wildcards. */
export const groupName = fc.oneof(
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }),
  fc.constantFrom("42", "7", "__proto__", "constructor", "a\nb", "\u{1F600}", "\uFFFD", "a*b", " "),
);

const topicName = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9._-]{1,12}$/).filter((name) => name !== "." && name !== ".."),
  fc.constantFrom("orders", "orders-0", "a-1-2", "__proto__"),
);

/** Offsets from 0 to the largest int64, often small or beside 2^53. */
const offset = fc.oneof(
  fc.bigInt({ min: 0n, max: 100n }),
  fc.bigInt({ min: 0n, max: MAX }),
  fc.constantFrom(0n, 9007199254740991n, 9007199254740992n, 9007199254740993n, MAX),
);

/** A commit at any offset, with any leader epoch that is not negative, or without one. */
export const commit: fc.Arbitrary<Commit> = fc.oneof(
  fc.record({ offset, metadata: fc.string({ unit: "grapheme" }) }),
  fc.record({ offset, metadata: fc.string({ unit: "grapheme" }), leaderEpoch: fc.nat({ max: 0x7fffffff }) }),
);

const partitionKey = fc
  .tuple(topicName, fc.nat({ max: 300 }))
  .map(([topic, partition]) => topicPartition(topic, partition));

const mapFrom = <K, V>(key: fc.Arbitrary<K>, value: fc.Arbitrary<V>, maxLength: number): fc.Arbitrary<Map<K, V>> =>
  fc.array(fc.tuple(key, value), { maxLength }).map((entries) => new Map(entries));

/** Commits of at most five groups with at most six partitions each, often none. */
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

/** Labels with few keys and values, so that two snapshots often share some; values have what JSON escapes. */
export const labels: fc.Arbitrary<Map<string, string>> = mapFrom(
  fc.constantFrom("env", "constructor", "a/b.c", "a"),
  fc.oneof(
    fc.constantFrom("a", "b", 'a"', '","env":"a', "\\", '\\"a', "\u{1F600}", 'env":"a'),
    fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }),
  ),
  4,
);

const selector = fc.oneof(groupName, fc.record({ name: groupName }));

/**
 * Snapshots with every field of the document. Only id and time are consistent: the groups and topics that they selected,
 * observed or failed to capture need not match their commits. Logs may even end before they start.
 */
export const snapshot: fc.Arbitrary<Snapshot> = fc
  .record({
    second: fc.integer({ min: 1_600_000_000, max: 1_900_000_000 }),
    number: fc.integer({ min: 1, max: 12 }),
    description: fc.string({ unit: "grapheme" }),
    trigger: fc.constantFrom(...triggers),
    schedule: fc.option(fc.record({ name: groupName, executionId: fc.uuid(), scheduledTime: fc.string() })),
    atRisk: fc.option(fc.record({ partitions: fc.nat(), groups: fc.nat(), unknown: fc.nat() })),
    labels: fc.option(labels),
    held: fc.option(fc.constant(true as const)),
    source: fc.option(
      fc.record({
        name: fc.option(fc.string()),
        format: fc.string(),
        sha256: fc.string(),
        snapshotId: fc.option(fc.string()),
        createdAt: fc.option(fc.string()),
        clusterId: fc.option(fc.string()),
      }),
    ),
    selection: fc.record({
      groups: fc.array(selector, { maxLength: 4 }),
      exclude: fc.array(selector, { maxLength: 2 }),
    }),
    cluster: fc.record({ name: fc.string({ minLength: 1 }), clusterId: fc.option(fc.string()) }),
    consumerGroups: commits,
    errors: fc.array(fc.record({ group: groupName, error: fc.string(), message: fc.string() }), { maxLength: 2 }),
    unlisted: fc.option(fc.record({ offsetsPartitions: fc.array(fc.nat(), { maxLength: 3 }), message: fc.string() })),
    warnings: fc.array(fc.string(), { maxLength: 2 }),
    observed: fc.record({
      groups: mapFrom(
        groupName,
        fc
          .record({
            type: fc.option(fc.constantFrom("classic", "consumer", "streams", "share")),
            state: fc.option(fc.constantFrom("Empty", "Stable", "Dead")),
            members: fc.option(fc.nat({ max: 100 })),
            protocolType: fc.option(fc.constantFrom("", "consumer", "connect", "share")),
            protocol: fc.option(fc.constantFrom("range", "stream")),
            asOf: fc.option(fc.date({ noInvalidDate: true }).map((date) => date.toISOString())),
            special: fc.option(
              fc.record(
                {
                  pending: fc.array(partitionKey, { maxLength: 2 }),
                  negative: mapFrom(partitionKey, fc.bigInt({ min: -MAX, max: -2n }), 2),
                },
                { requiredKeys: [] },
              ),
            ),
          })
          .map(({ special, ...group }) => ({ ...group, ...special })),
        4,
      ),
      topics: mapFrom(topicName, observedTopic, 4),
    }),
  })
  .map(({ second, number, schedule, atRisk, labels, held, source, unlisted, ...content }) => {
    const createdAt = `${new Date(second * 1000).toISOString().slice(0, 19)}Z`;
    return {
      ...content,
      ...(schedule && { schedule }),
      ...(atRisk && { atRisk }),
      ...(labels && { labels }),
      ...(held && { held }),
      ...(source && { source }),
      ...(unlisted && { unlisted }),
      snapshotId: `snapshot-${createdAt}${number === 1 ? "" : `-${number}`}`,
      createdAt,
    };
  });

/** JSON as the code holds it, nested a few levels: objects have snake_case fields, maps have any keys, integers are int64. */
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

/** This value in 12 of 13 cases, otherwise another one. */
const mostly = <T>(value: T, other: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: other });

/** Commits of few values, so that two are often equal: offsets 0 to 12, metadata "" or "m", leader epoch 0, 3 or none. */
export const nearCommit: fc.Arbitrary<Commit> = fc
  .tuple(fc.bigInt({ min: 0n, max: 12n }), fc.constantFrom("", "m"), fc.constantFrom(undefined, undefined, 0, 3))
  .map(([offset, metadata, leaderEpoch]) => ({
    offset,
    metadata,
    ...(leaderEpoch !== undefined && { leaderEpoch }),
  }));

/** Mostly an empty classic group; otherwise any type, state and members, one that does not exist, or a pending transaction. */
const groupNow: fc.Arbitrary<ObservedGroup | "missing"> = fc.oneof(
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
  { weight: 1, arbitrary: fc.constant({ ...groupOf("classic", "Empty", 0), pending: ["orders-0"] }) },
  { weight: 1, arbitrary: fc.constant("missing") },
);

const anyGroup = (keys: readonly string[]) =>
  fc.record({
    captured: mostly(true, fc.constant(false)),
    now: groupNow,
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

/** Logs that start at 0 to 6 and end at 6 to 12, with an epoch of 0 to 9; each may be unknown. */
const narrowLog = fc
  .tuple(fc.option(fc.bigInt({ min: 0n, max: 6n })), fc.option(fc.bigInt({ min: 6n, max: 12n })), fc.option(fc.nat(9)))
  .map(([start, end, epoch]) => log(start, end, epoch));

/** A log in which the records of the leader epochs 0 and 3 end at 6. */
const truncated = {
  ...log(4n, 8n, 9),
  epochEnds: new Map([
    [0, 6n],
    [3, 6n],
  ]),
};

const anyTopic = fc.record({
  saved: mostly<string | null | "absent" | "unknown">("id", fc.constantFrom("absent", "unknown", null)),
  now: mostly<string | null | "absent" | "unknown">("id", fc.constantFrom("absent", "unknown", null, "another id")),
  logs: fc.tuple(...[0, 1].map(() => fc.oneof(fc.constant(log(0n, MAX, 9)), narrowLog, fc.constant(truncated)))),
  partitions: mostly(2, fc.constant(1)),
});

/** Any combination of options. */
const policy: fc.Arbitrary<Policy> = fc.record({
  uncommitted: fc.constantFrom("keep", "keep", "delete", "delete", "log_start", "snapshot_end"),
  outOfRange: fc.constantFrom("refuse", "clamp", "skip"),
  skipBlocked: fc.boolean(),
});

/** The arguments of `planRollback`. */
export interface Situation {
  readonly snapshot: Snapshot;
  readonly part: SnapshotPart;
  readonly live: LiveState;
  readonly policy: Policy;
}

/**
 * Rollbacks of up to three groups on one or two topics, mostly possible. Commits are those of `nearCommit`. In half of the
 * cases, each group is rolled back under another name, as in a rehearsal. Each kind of blocker occurs except `moved_since`,
 * which only a resumed rollback can have. The snapshot did not observe types of groups.
 */
export const situation: fc.Arbitrary<Situation> = fc
  .tuple(
    fc.uniqueArray(groupName, { maxLength: 3 }),
    fc.uniqueArray(topicName, { minLength: 1, maxLength: 2 }),
    fc.boolean(),
    policy,
    mostly<string | null>("c1", fc.constantFrom("c2", null)),
  )
  .chain(([names, topicNames, wantsMap, policy, clusterId]) => {
    const mapsGroups = wantsMap && !names.some((name) => name.includes("*")); // which would make an entry a pattern
    const keys = topicNames.flatMap((topic) => [topicPartition(topic, 0), topicPartition(topic, 1)]);
    return fc
      .tuple(fc.tuple(...names.map(() => anyGroup(keys))), fc.tuple(...topicNames.map(() => anyTopic)))
      .map(([groups, topics]) => {
        const all = names.flatMap((name, i) => {
          const group = groups[i];
          return group === undefined ? [] : [{ ...group, name, target: mapsGroups ? `replay ${i}` : name }];
        });
        const savedTopics = new Map<string, ObservedTopic | null>();
        const liveTopics = new Map<string, ObservedTopic | null>();
        topicNames.forEach((name, i) => {
          const topic = topics[i];
          if (topic === undefined) return;
          const partitions = new Map([...topic.logs.entries()].slice(0, topic.partitions));
          const observe = (into: typeof liveTopics, id: string | null) => {
            if (id !== "absent") into.set(name, id === "unknown" ? null : { topicId: id, partitions });
          };
          observe(savedTopics, topic.saved);
          observe(liveTopics, topic.now);
        });
        const readable = all.filter(({ now }) => typeof now === "object");
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
            observed: { groups: new Map(), topics: savedTopics },
            errors: all
              .filter(({ captured }) => !captured)
              .map(({ name }) => ({ group: name, error: "KafkaAuthorization", message: "no right" })),
          },
        );
        const live = liveOf(
          new Map(
            readable.map(({ target, partitions }) => [
              target,
              new Map(
                partitions.flatMap(({ key, saved, live: other, moved }) => {
                  const commit = moved ? other : saved;
                  return commit === null ? [] : [[key, commit] as const];
                }),
              ),
            ]),
          ),
          liveTopics,
          {
            cluster: { name: "test", clusterId },
            missing: new Set(all.filter(({ now }) => now === "missing").map(({ target }) => target)),
            observed: {
              groups: new Map(
                readable.flatMap(({ target, now }) => (typeof now === "object" ? [[target, now] as const] : [])),
              ),
              topics: liveTopics,
            },
          },
        );
        const part = restrict(snapshot, {});
        const mapped = mapsGroups ? mapGroups(part, new Map(all.map(({ name, target }) => [name, target]))) : part;
        return { snapshot, part: mapped, live, policy };
      });
  });

/** The plan of a situation. */
export const planIn = ({ snapshot, part, live, policy }: Situation) => planRollback(snapshot, part, live, policy);

/** Whether a plan rewinds a share group to its present start offset: its commits do not show whether that was done. */
const rewindsInPlace = ({ groups }: Plan) =>
  [...groups.values()]
    .flatMap(({ partitions }) => [...partitions.values()])
    .some(({ action, from, to }) => action === "rewind" && sameCommit(from, to));

/**
 * Situations whose plans have at least one group and no blockers, with these plans. Depending on the
 * policy, blocked groups are left out and partitions are clamped or skipped. A plan may have nothing to commit. None rewinds
 * a share group to its present start offset: share-groups.test.ts shows what becomes of those.
 */
export const unblockedSituation: fc.Arbitrary<Situation & { readonly plan: Plan }> = situation
  .map((drawn) => ({ ...drawn, plan: planIn(drawn) }))
  .filter(({ plan }) => plan.blockers.length === 0 && plan.groups.size > 0 && !rewindsInPlace(plan));
