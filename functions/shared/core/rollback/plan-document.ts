import {
  DecodeError,
  type Decoder,
  fieldsOf,
  flag,
  int32,
  int64,
  jsonValue,
  list,
  mapOf,
  nullable,
  oneOf,
  sum,
  text,
} from "../json/decode.ts";
import type { Json } from "../json/json.ts";
import { anyKey, commitDocument, decodeCommit, mapValues, partitionKey } from "../snapshot.ts";
import { type Blocker, blockerKinds, type Origin } from "./blockers.ts";
import { actions, type ExtraCommit, type GroupPlan, type PartitionPlan, type Plan } from "./plan.ts";

/** A blocker, as plans and results show it. */
export const blockerDocument = ({ kind, group, topic, partition, expected, actual, message }: Blocker) => ({
  kind,
  group,
  topic,
  partition,
  expected,
  actual,
  message,
});

/** A commit that is kept, as plans and results show it. */
export const extraDocument = ({ group, topic, partition, commit }: ExtraCommit) => ({
  group,
  topic,
  partition,
  commit: commitDocument(commit),
});

/** What a plan or a result leaves out by request. For one version its former name, `skipped`, stands beside it. */
export function leftOutDocument({ leftOut }: Plan) {
  const blockers = leftOut.map(blockerDocument);
  return { left_out: blockers, skipped: blockers } satisfies Json;
}

/** A plan as a dry run shows it. */
export function planDocument(plan: Plan) {
  return {
    snapshot_id: plan.snapshotId,
    plan_digest: plan.digest,
    blockers: plan.blockers.map(blockerDocument),
    ...leftOutDocument(plan),
    warnings: plan.warnings,
    groups: mapValues(plan.groups, (group) => ({
      source: group.source,
      type: group.type,
      state: group.state,
      left_out: group.leftOut,
      replayed: group.replayed,
      skipped: group.skipped,
      partitions: mapValues(group.partitions, (partition) => ({
        action: partition.action,
        from: commitDocument(partition.from),
        to: commitDocument(partition.to),
        asked: partition.asked === undefined ? undefined : commitDocument(partition.asked),
        done: partition.done,
        replayed: partition.replayed,
        skipped: partition.skipped,
      })),
    })),
    extra: plan.extra.map(extraDocument),
  } satisfies Json;
}

/** A rollback as it was planned: everything that another call needs to resume it. */
export interface PlannedRollback {
  /** The request, as it was made. */
  readonly request: Json;
  readonly plan: Plan;
  /** The cluster and topics that the plan's targets were valid for when it was made. */
  readonly origin: Origin;
}

/** A planned rollback as the journal keeps it: still under the former name alone, which the last version reads. */
export function plannedDocument({ request, plan, origin }: PlannedRollback) {
  return {
    request,
    plan: { ...planDocument(plan), left_out: undefined },
    cluster_id: origin.clusterId,
    topic_ids: new Map([...origin.topics].map(([topic, observed]) => [topic, observed?.topicId ?? null])),
  } satisfies Json;
}

const decodeBlocker: Decoder<Blocker> = (value, path) => {
  const names = ["kind", "group", "topic", "partition", "expected", "actual", "message"];
  const { required, optional } = fieldsOf(value, path, names);
  const [topic, partition] = [optional("topic", text), optional("partition", int32)];
  const [expected, actual] = [optional("expected", jsonValue), optional("actual", jsonValue)];
  return {
    kind: required("kind", oneOf(...blockerKinds)),
    group: required("group", text),
    ...(topic !== undefined && { topic }),
    ...(partition !== undefined && { partition }),
    ...(expected !== undefined && { expected }),
    ...(actual !== undefined && { actual }),
    message: required("message", text),
  };
};

const decodePartition: Decoder<PartitionPlan> = (value, path) => {
  const names = ["action", "from", "to", "asked", "done", "replayed", "skipped"];
  const { required, optional } = fieldsOf(value, path, names);
  const asked = optional("asked", nullable(decodeCommit));
  return {
    action: required("action", oneOf(...actions)),
    from: required("from", nullable(decodeCommit)),
    to: required("to", nullable(decodeCommit)),
    ...(asked !== undefined && { asked }),
    ...(optional("done", flag) && { done: true }),
    replayed: required("replayed", nullable(int64)),
    skipped: required("skipped", nullable(int64)),
  };
};

const decodeGroup: Decoder<GroupPlan> = (value, path) => {
  const names = ["source", "type", "state", "left_out", "replayed", "skipped", "partitions"];
  const { required, optional } = fieldsOf(value, path, names);
  const source = optional("source", text);
  return {
    ...(source !== undefined && { source }),
    type: optional("type", nullable(text)) ?? null, // journals of the first deployments lack it
    state: required("state", nullable(text)),
    ...(optional("left_out", flag) && { leftOut: true }),
    replayed: required("replayed", nullable(sum)),
    skipped: required("skipped", nullable(sum)),
    partitions: required("partitions", mapOf(partitionKey, decodePartition)),
  };
};

const decodeExtra: Decoder<ExtraCommit> = (value, path) => {
  const { required } = fieldsOf(value, path, ["group", "topic", "partition", "commit"]);
  const extra = { group: required("group", text), topic: required("topic", text) };
  const partition = required("partition", int32);
  if (partition < 0) throw new DecodeError(`${path}.partition`, `must not be negative, but is ${partition}`);
  return { ...extra, partition, commit: required("commit", decodeCommit) };
};

const decodePlan: Decoder<Plan> = (value, path) => {
  const names = ["snapshot_id", "plan_digest", "blockers", "left_out", "skipped", "warnings", "groups", "extra"];
  const { required, optional } = fieldsOf(value, path, names);
  return {
    snapshotId: required("snapshot_id", text),
    digest: required("plan_digest", text),
    blockers: required("blockers", list(decodeBlocker)),
    leftOut: optional("left_out", list(decodeBlocker)) ?? required("skipped", list(decodeBlocker)),
    warnings: required("warnings", list(text)),
    groups: required("groups", mapOf(anyKey, decodeGroup)),
    extra: required("extra", list(decodeExtra)),
  };
};

/**
 * Reads a planned rollback, trusting nothing.
 *
 * @throws DecodeError that names the first wrong place
 */
export const decodePlanned: Decoder<PlannedRollback> = (value, path) => {
  const { required } = fieldsOf(value, path, ["request", "plan", "cluster_id", "topic_ids"]);
  const plan = required("plan", decodePlan);
  const ids = required("topic_ids", mapOf(anyKey, nullable(text)));
  return {
    request: required("request", jsonValue),
    plan,
    origin: {
      name: plan.snapshotId,
      clusterId: required("cluster_id", nullable(text)),
      topics: new Map([...ids].map(([topic, topicId]) => [topic, { topicId }])),
    },
  };
};
