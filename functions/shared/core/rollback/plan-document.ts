import {
  anyKey,
  converted,
  DecodeError,
  document,
  int32,
  int64,
  json,
  list,
  mapOf,
  mark,
  notNegative,
  nullable,
  nullIfAbsent,
  oneOf,
  optional,
  sum,
  text,
} from "../json/codec.ts";
import type { Json } from "../json/json.ts";
import { placeOf, topicPartition } from "../model.ts";
import { commit, commitOrNull, partitionKey } from "../snapshot.ts";
import { blockerKinds, type Origin, type OriginTopic } from "./blockers.ts";
import { actions, type Plan } from "./plan.ts";

const blockers = list(
  document({
    kind: oneOf(blockerKinds),
    group: text,
    topic: optional(text),
    partition: optional(int32),
    expected: optional(json),
    actual: optional(json),
    message: text,
  }),
);

const moved = document({ to: nullable(int64), replayed: nullable(int64) });

/** What each policy means for a commit on a partition that the snapshot lacks. */
const uncommitted = document({
  acknowledged: nullable(int64),
  delete: document({ replayed: nullable(int64), skipped: nullable(int64) }),
  log_start: moved,
  snapshot_end: moved,
});

/** Commits that are kept, as plans and results show them. */
export const extraCommits = list(
  document({
    group: text,
    topic: text,
    partition: notNegative(int32),
    commit,
    uncommitted: optional(uncommitted), // journals of former versions lack it
  }),
);

/** What a plan does to groups, as a dry run shows it. */
const groups = mapOf(
  anyKey,
  document({
    source: optional(text),
    type: nullIfAbsent(text), // journals of the first deployments lack it
    state: nullable(text),
    left_out: optional(mark),
    replayed: nullable(sum),
    skipped: nullable(sum),
    partitions: mapOf(
      partitionKey,
      document({
        action: oneOf(actions),
        from: commitOrNull,
        to: commitOrNull,
        asked: optional(commitOrNull),
        done: optional(mark),
        replayed: nullable(int64),
        skipped: nullable(int64),
        uncommitted: optional(uncommitted),
      }),
    ),
  }),
);

/** A plan as the journal keeps it: what it leaves out still has its former name alone, which the last version reads. */
const storedPlan = converted(
  document({
    snapshot_id: text,
    plan_digest: text,
    blockers,
    left_out: optional(blockers),
    skipped: optional(blockers),
    warnings: list(text),
    groups,
    extra: extraCommits,
  }),
  ({ digest, leftOut, ...plan }: Plan) => ({ ...plan, planDigest: digest, skipped: leftOut }),
  ({ planDigest, skipped, leftOut = skipped, ...plan }): Plan => {
    if (leftOut === undefined) throw new DecodeError("skipped", "is missing");
    return { ...plan, digest: planDigest, leftOut };
  },
);

/** What a plan or a result leaves out by request. For one version its former name, `skipped`, stands beside it. */
export function encodeLeftOut({ leftOut }: Plan) {
  const encoded = blockers.encode(leftOut);
  return { left_out: encoded, skipped: encoded };
}

/** A plan as a dry run shows it. */
export const encodePlan = (plan: Plan) => ({ ...storedPlan.encode(plan), ...encodeLeftOut(plan) });

/** A rollback as it was planned: everything that another call needs to resume it. */
export interface PlannedRollback {
  /** The request, as it was made. */
  readonly request: Json;
  readonly plan: Plan;
  /** The cluster and topics that the plan's targets were valid for when it was made. */
  readonly origin: Origin;
}

/** A planned rollback as the journal keeps it. */
export const plannedDocument = converted(
  document({
    request: json,
    plan: storedPlan,
    cluster_id: nullable(text),
    topic_ids: mapOf(anyKey, nullable(text)),
    leader_epochs: optional(mapOf(partitionKey, notNegative(int32))), // journals of former versions lack it
  }),
  ({ request, plan, origin: { clusterId, topics } }: PlannedRollback) => ({
    request,
    plan,
    clusterId,
    topicIds: new Map([...topics].map(([topic, observed]) => [topic, observed?.topicId ?? null])),
    leaderEpochs: new Map([...topics].flatMap(([topic, observed]) => leaderEpochsOf(topic, observed))),
  }),
  ({ request, plan, clusterId, topicIds, leaderEpochs = new Map() }): PlannedRollback => {
    const epochs = Map.groupBy(leaderEpochs, ([key]) => placeOf(key).topic);
    const logsOf = (topic: string) =>
      new Map((epochs.get(topic) ?? []).map(([key, leaderEpoch]) => [placeOf(key).partition, { leaderEpoch }]));
    const topics = new Map([...topicIds].map(([topic, topicId]) => [topic, { topicId, partitions: logsOf(topic) }]));
    return { request, plan, origin: { name: plan.snapshotId, clusterId, topics } };
  },
);

function leaderEpochsOf(topic: string, observed: OriginTopic | null): [string, number][] {
  return [...(observed?.partitions ?? [])].flatMap(([partition, { leaderEpoch }]) =>
    leaderEpoch === null ? [] : [[topicPartition(topic, partition), leaderEpoch]],
  );
}
