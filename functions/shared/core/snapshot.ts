import { createHash } from "node:crypto";
import { InvalidRequest, SnapshotCorrupt } from "./errors.ts";
import {
  DecodeError,
  type Decoder,
  fieldsOf,
  int32,
  int64,
  list,
  mapOf,
  nullable,
  oneOf,
  text,
} from "./json/decode.ts";
import type { Json } from "./json/json.ts";
import { PackError, packJson, UnpackError, unpackJson } from "./json/packed-json.ts";
import {
  type CaptureError,
  type Commit,
  type Commits,
  type ObservedTopic,
  type Selection,
  type Snapshot,
  snapshotStatuses,
  splitTopicPartition,
  statusOf,
  triggers,
} from "./model.ts";
import type { Selector } from "./selectors.ts";

/** The version of the document that this code writes, and the newest that it reads. */
export const SCHEMA_VERSION = 2;

/** A commit as documents and results show it: `{offset, metadata, leader_epoch?}`, null for none. */
export function commitDocument(commit: Commit | null) {
  return commit && { offset: commit.offset, metadata: commit.metadata, leader_epoch: commit.leaderEpoch };
}

/** A map whose values are documents; its keys become strings. */
export const mapValues = <K, V, D>(map: ReadonlyMap<K, V>, document: (value: V) => D): Map<string, D> =>
  new Map([...map].map(([key, value]) => [String(key), document(value)]));

/** Commits in the documented shape: `{group: {partitions: {"orders-0": {offset, metadata, leader_epoch?}}}}`. */
export function commitsDocument(commits: Commits) {
  return mapValues(commits, (group) => ({ partitions: mapValues(group, commitDocument) }));
}

const topicDocument = (topic: ObservedTopic | null) =>
  topic && {
    topic_id: topic.topicId,
    partitions: mapValues(topic.partitions, (partition) => ({
      log_start_offset: partition.logStartOffset,
      log_end_offset: partition.logEndOffset,
      leader_epoch: partition.leaderEpoch,
    })),
  };

/** Groups that could not be read, as documents and results show them. */
export function errorsDocument(errors: readonly CaptureError[]) {
  return errors.map(({ group, error, message }) => ({ group, error, message })) satisfies Json;
}

/** The snapshot as a document: the documented keys first, in their order, and what we add after them. */
export function snapshotDocument(snapshot: Snapshot) {
  return {
    snapshot_id: snapshot.snapshotId,
    description: snapshot.description,
    created_at: snapshot.createdAt,
    consumer_groups: commitsDocument(snapshot.consumerGroups),
    schema_version: SCHEMA_VERSION,
    status: statusOf(snapshot),
    errors: errorsDocument(snapshot.errors),
    warnings: snapshot.warnings,
    trigger: snapshot.trigger,
    schedule: snapshot.schedule && {
      name: snapshot.schedule.name,
      execution_id: snapshot.schedule.executionId,
      scheduled_time: snapshot.schedule.scheduledTime,
    },
    selection: { groups: snapshot.selection.groups, exclude: snapshot.selection.exclude },
    cluster: { name: snapshot.cluster.name, cluster_id: snapshot.cluster.clusterId },
    observed: {
      groups: mapValues(snapshot.observed.groups, ({ type, state, members, protocolType, asOf }) => ({
        type,
        state,
        members,
        protocol_type: protocolType,
        as_of: asOf,
      })),
      topics: mapValues(snapshot.observed.topics, topicDocument),
    },
  } satisfies Json;
}

/**
 * A document as it is stored.
 *
 * @param what what it is, for the message: `the snapshot`
 * @throws InvalidRequest for one that is too large to be stored
 */
export function packDocument(document: Json, what: string): Uint8Array {
  try {
    return packJson(document);
  } catch (cause) {
    if (!(cause instanceof PackError)) throw cause;
    throw new InvalidRequest(`${what} would be ${cause.message}.`, { next: "Name fewer groups.", cause });
  }
}

/** A stored body and the SHA-256 of its bytes, in hexadecimal. */
export interface EncodedSnapshot {
  readonly body: Uint8Array;
  readonly sha256: string;
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/**
 * Encodes a snapshot as its stored body: one line of JSON, gzip'd.
 *
 * @throws InvalidRequest for a snapshot that is too large to be stored
 */
export function encodeSnapshot(snapshot: Snapshot): EncodedSnapshot {
  const body = packDocument(snapshotDocument(snapshot), "the snapshot");
  return { body, sha256: sha256(body) };
}

/**
 * Decodes a stored body, trusting nothing: the checksum, the compression, the JSON, every field, the id.
 *
 * @param expected the id the body was asked for under, and the checksum its index row carries
 * @throws SnapshotCorrupt that names the first wrong place
 */
export function decodeSnapshot(
  body: Uint8Array,
  expected: { readonly snapshotId: string; readonly sha256: string },
): Snapshot {
  const corrupt = (what: string, cause?: unknown) =>
    new SnapshotCorrupt(`the stored body of ${expected.snapshotId} is not what was written: ${what}.`, {
      next: "Use another snapshot, or restore an earlier version of the object in the bucket, which is versioned.",
      cause,
    });
  const actual = sha256(body);
  if (actual !== expected.sha256) {
    throw corrupt(`its SHA-256 is ${actual}, the index says ${expected.sha256} (${body.byteLength} bytes)`);
  }
  let parsed: unknown;
  try {
    parsed = unpackJson(body);
  } catch (cause) {
    throw cause instanceof UnpackError ? corrupt(cause.message, cause) : cause;
  }
  try {
    const snapshot = decodeDocument(parsed, "");
    if (snapshot.snapshotId !== expected.snapshotId) {
      throw new DecodeError("snapshot_id", `is ${JSON.stringify(snapshot.snapshotId)}: another snapshot's body`);
    }
    return snapshot;
  } catch (cause) {
    if (cause instanceof DecodeError) throw corrupt(cause.message, cause);
    throw cause;
  }
}

/** Any text is a key: for names of groups and topics. */
export const anyKey = (key: string): string => key;

/** The key of a partition, `orders-0`. */
export const partitionKey = (key: string, path: string): string => {
  if (splitTopicPartition(key) === undefined) throw new DecodeError(path, "is not <topic>-<partition>");
  return key;
};

const partitionNumber = (key: string, path: string) => {
  const partition = Number(key);
  if (String(partition) !== key || (partition | 0) !== partition || partition < 0) {
    throw new DecodeError(path, "is not the number of a partition");
  }
  return partition;
};

/** A commit, as `commitDocument` writes it. */
export const decodeCommit: Decoder<Commit> = (value, path) => {
  const fields = fieldsOf(value, path, ["offset", "metadata", "leader_epoch"]);
  const commit = { offset: fields.required("offset", int64), metadata: fields.required("metadata", text) };
  const leaderEpoch = fields.optional("leader_epoch", int32);
  if (commit.offset < 0n) throw new DecodeError(`${path}.offset`, `must not be negative, but is ${commit.offset}`);
  if (leaderEpoch === undefined) return commit;
  if (leaderEpoch < 0) throw new DecodeError(`${path}.leader_epoch`, `must not be negative, but is ${leaderEpoch}`);
  return { ...commit, leaderEpoch };
};

const decodeGroup: Decoder<Map<string, Commit>> = (value, path) =>
  fieldsOf(value, path, ["partitions"]).required("partitions", mapOf(partitionKey, decodeCommit));

const decodeSelector: Decoder<Selector> = (value, path) =>
  typeof value === "string" ? value : { name: fieldsOf(value, path, ["name"]).required("name", text) };

/** A selection, as documents and the index have it. */
export const decodeSelection: Decoder<Selection> = (value, path) => {
  const fields = fieldsOf(value, path, ["groups", "exclude"]);
  return {
    groups: fields.required("groups", list(decodeSelector)),
    exclude: fields.required("exclude", list(decodeSelector)),
  };
};

const decodeTopic: Decoder<ObservedTopic> = (value, path) => {
  const fields = fieldsOf(value, path, ["topic_id", "partitions"]);
  return {
    topicId: fields.required("topic_id", nullable(text)),
    partitions: fields.required(
      "partitions",
      mapOf(partitionNumber, (entry, at) => {
        const partition = fieldsOf(entry, at, ["log_start_offset", "log_end_offset", "leader_epoch"]);
        return {
          logStartOffset: partition.required("log_start_offset", nullable(int64)),
          logEndOffset: partition.required("log_end_offset", nullable(int64)),
          leaderEpoch: partition.required("leader_epoch", nullable(int32)),
        };
      }),
    ),
  };
};

const documentFields: readonly (keyof ReturnType<typeof snapshotDocument>)[] = [
  "snapshot_id",
  "description",
  "created_at",
  "consumer_groups",
  "schema_version",
  "status",
  "errors",
  "warnings",
  "trigger",
  "schedule",
  "selection",
  "cluster",
  "observed",
];

const decodeDocument: Decoder<Snapshot> = (value, path) => {
  const version =
    typeof value === "object" && value !== null && "schema_version" in value ? value.schema_version : null;
  if (typeof version === "number" && version > SCHEMA_VERSION) {
    throw new DecodeError(
      "schema_version",
      `is ${version}, and this deployment reads up to ${SCHEMA_VERSION}: deploy a newer one`,
    );
  }
  const fields = fieldsOf(value, path, documentFields);
  fields.required("schema_version", int32);
  const schedule = fields.optional("schedule", (entry, at) => {
    const run = fieldsOf(entry, at, ["name", "execution_id", "scheduled_time"]);
    return {
      name: run.required("name", text),
      executionId: run.required("execution_id", text),
      scheduledTime: run.required("scheduled_time", text),
    };
  });
  const snapshot: Snapshot = {
    snapshotId: fields.required("snapshot_id", text),
    description: fields.required("description", text),
    createdAt: fields.required("created_at", text),
    consumerGroups: fields.required("consumer_groups", mapOf(anyKey, decodeGroup)),
    trigger: fields.required("trigger", oneOf(...triggers)),
    ...(schedule && { schedule }),
    selection: fields.required("selection", decodeSelection),
    cluster: fields.required("cluster", (entry, at) => {
      const cluster = fieldsOf(entry, at, ["name", "cluster_id"]);
      return { name: cluster.required("name", text), clusterId: cluster.required("cluster_id", nullable(text)) };
    }),
    errors: fields.required(
      "errors",
      list((entry, at) => {
        const error = fieldsOf(entry, at, ["group", "error", "message"]);
        return {
          group: error.required("group", text),
          error: error.required("error", text),
          message: error.required("message", text),
        };
      }),
    ),
    warnings: fields.required("warnings", list(text)),
    observed: fields.required("observed", (entry, at) => {
      const observed = fieldsOf(entry, at, ["groups", "topics"]);
      return {
        groups: observed.required(
          "groups",
          mapOf(anyKey, (group, where) => {
            const description = fieldsOf(group, where, ["type", "state", "members", "protocol_type", "as_of"]);
            return {
              type: description.required("type", nullable(text)),
              state: description.required("state", nullable(text)),
              members: description.required("members", nullable(int32)),
              // Documents of the first deployments lack these.
              protocolType: description.optional("protocol_type", nullable(text)) ?? null,
              asOf: description.optional("as_of", nullable(text)) ?? null,
            };
          }),
        ),
        topics: observed.required("topics", mapOf(anyKey, nullable(decodeTopic))),
      };
    }),
  };
  const status = fields.required("status", oneOf(...snapshotStatuses));
  if (status !== statusOf(snapshot)) {
    throw new DecodeError("status", `is ${status}, but ${snapshot.errors.length} groups are among its errors`);
  }
  return snapshot;
};
