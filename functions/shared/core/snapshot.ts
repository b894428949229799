import { createHash } from "node:crypto";
import { InvalidRequest, SnapshotCorrupt } from "./errors.ts";
import {
  anyKey,
  type Codec,
  converted,
  DecodeError,
  document,
  int32,
  int64,
  list,
  mapOf,
  mark,
  notNegative,
  nullable,
  nullIfAbsent,
  oneOf,
  optional,
  text,
} from "./json/codec.ts";
import type { Keep } from "./json/entries.ts";
import type { Json } from "./json/json.ts";
import { PackError, packJson, UnpackError, unpackJson, unpackPart } from "./json/packed-json.ts";
import {
  countOffsets,
  type Snapshot,
  type SnapshotContent,
  snapshotStatuses,
  splitTopicPartition,
  statusOf,
  triggers,
} from "./model.ts";
import type { Selector } from "./selectors.ts";
import { parseSnapshotId } from "./snapshot-id.ts";

/** The version of the document that this code writes, and the newest that it reads. */
export const SCHEMA_VERSION = 5;

/** The key of a partition, `orders-0`. */
export const partitionKey = (key: string, path: string): string => {
  if (splitTopicPartition(key) === undefined) throw new DecodeError(path, "is not <topic>-<partition>");
  return key;
};

/** The number of a partition. */
export const partitionNumber = (key: string, path: string) => {
  const partition = Number(key);
  if (String(partition) !== key || (partition | 0) !== partition || partition < 0) {
    throw new DecodeError(path, "is not the number of a partition");
  }
  return partition;
};

/** A commit as documents and results show it. */
export const commit = document({
  offset: notNegative(int64),
  metadata: text,
  leader_epoch: optional(notNegative(int32)),
});

export const commitOrNull = nullable(commit);

/** Values by group and topic-partition as documents show them: `{group: {partitions: {"orders-0": …}}}`. */
export const byPartition = <T, E extends Json>(value: Codec<T, E>) =>
  mapOf(
    anyKey,
    converted(
      document({ partitions: mapOf(partitionKey, value) }),
      (partitions: ReadonlyMap<string, T>) => ({ partitions }),
      ({ partitions }) => partitions,
    ),
  );

/** Groups that could not be read. */
export const captureErrors = list(document({ group: text, error: text, message: text }));

/** Groups that could not be listed. */
export const unlisted = document({ offsets_partitions: list(notNegative(int32)), message: text });

const selectorName = document({ name: text });
const selector: Codec<Selector, Selector> = {
  encode: (value) => value,
  decode: (value, path) => (typeof value === "string" ? value : selectorName.decode(value, path)),
};

/** What a snapshot was asked for, as documents and the index have it. */
export const selection = document({ groups: list(selector), exclude: list(selector) });

/** How many of a snapshot's offsets are at risk, as documents, results and the index have it. */
export const atRisk = document({
  partitions: notNegative(int32),
  groups: notNegative(int32),
  unknown: notNegative(int32),
});

/** The labels of a snapshot, as documents, results and the index have them. */
export const labels = mapOf(anyKey, text);

/** What results say of the content of a snapshot, whether it was stored or not. */
export const contentResult = (content: SnapshotContent) => ({
  description: content.description,
  status: statusOf(content),
  groups: content.consumerGroups.size,
  offsets: countOffsets(content.consumerGroups),
  errors: captureErrors.encode(content.errors),
  unlisted: content.unlisted && unlisted.encode(content.unlisted),
  labels: content.labels,
  held: content.held,
  warnings: content.warnings,
});

/** What a snapshot was imported from, as documents and results show it. */
export const importSource = document({
  name: nullable(text),
  format: text,
  sha256: text,
  snapshot_id: nullable(text),
  created_at: nullable(text),
  cluster_id: nullable(text),
});

/** The commits of groups, as documents and results show them. */
export const commitsDocument = byPartition(commit);

const observed = document({
  groups: mapOf(
    anyKey,
    document({
      type: nullable(text),
      state: nullable(text),
      members: nullable(int32),
      // Documents of the first deployments lack these.
      protocol_type: nullIfAbsent(text),
      protocol: nullIfAbsent(text),
      as_of: nullIfAbsent(text),
      pending: optional(list(text)),
      negative: optional(mapOf(partitionKey, int64)),
    }),
  ),
  topics: mapOf(
    anyKey,
    nullable(
      document({
        topic_id: nullable(text),
        partitions: mapOf(
          partitionNumber,
          document({
            log_start_offset: nullable(int64),
            log_end_offset: nullable(int64),
            leader_epoch: nullable(int32),
          }),
        ),
      }),
    ),
  ),
});

/** The documented keys first, in their order, and what we add after them. */
const fields = document({
  snapshot_id: text,
  description: text,
  created_at: text,
  consumer_groups: commitsDocument,
  schema_version: int32,
  status: oneOf(snapshotStatuses),
  errors: captureErrors,
  unlisted: optional(unlisted),
  warnings: list(text),
  trigger: oneOf(triggers),
  schedule: optional(document({ name: text, execution_id: text, scheduled_time: text })),
  at_risk: optional(atRisk),
  source: optional(importSource),
  labels: optional(labels),
  held: optional(mark),
  selection,
  cluster: document({ name: text, cluster_id: nullable(text) }),
  observed,
});

/** A snapshot as a document. */
export const snapshotDocument = converted(
  fields,
  (snapshot: Snapshot) => ({ ...snapshot, schemaVersion: SCHEMA_VERSION, status: statusOf(snapshot) }),
  ({ schemaVersion, status, ...snapshot }): Snapshot => {
    if (status !== statusOf(snapshot)) {
      const lacking = `${snapshot.errors.length} groups are among its errors${snapshot.unlisted ? ", and others are unlisted" : ""}`;
      throw new DecodeError("status", `is ${status}, but ${lacking}`);
    }
    return snapshot;
  },
);

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

/** The version of any document: a newer one may have other fields. */
const versioned = document({ schema_version: int32 }, "ignored");

/** A stored body and the SHA-256 of its bytes, in hexadecimal. */
export interface EncodedSnapshot {
  readonly body: Uint8Array;
  readonly sha256: string;
}

/** The SHA-256 of bytes, in hexadecimal. */
export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/**
 * Encodes a snapshot as its stored body: one line of JSON, gzip'd.
 *
 * @throws InvalidRequest for a snapshot that is too large to be stored
 */
export function encodeSnapshot(snapshot: Snapshot): EncodedSnapshot {
  const body = packDocument(snapshotDocument.encode(snapshot), "the snapshot");
  return { body, sha256: sha256(body) };
}

/** The id that a body was asked for under, and the checksum that its index row carries. */
interface Expected {
  readonly snapshotId: string;
  readonly sha256: string;
}

/** What to read of a snapshot: some of its groups, and of these the commits on some partitions. */
export interface WantedPart {
  group(name: string): boolean;
  partition(key: string): boolean;
  /** The topics to read beside those of the wanted commits. */
  topic?(name: string): boolean;
}

/**
 * Decodes a stored body, trusting nothing: the checksum, the compression, the JSON, every field, the id.
 *
 * @throws SnapshotCorrupt that names the first wrong place
 */
export function decodeSnapshot(body: Uint8Array, expected: Expected): Snapshot {
  requireChecksum(body, expected);
  try {
    return decodeParsed(unpackJson(body), expected);
  } catch (cause) {
    throw asCorrupt(cause, expected);
  }
}

/**
 * A part of what `decodeSnapshot` gives, in a fraction of its time and memory: the wanted commits, what was observed of their
 * groups and topics, the topics that could not be observed, and everything that is not by group or topic. The checksum is
 * checked; what is not wanted is not looked at.
 *
 * @throws SnapshotCorrupt as `decodeSnapshot` does
 */
export async function decodeSnapshotPart(body: Uint8Array, expected: Expected, wanted: WantedPart): Promise<Snapshot> {
  requireChecksum(body, expected);
  try {
    return decodeParsed(await unpackPart(body, keepOf(wanted)), expected);
  } catch (cause) {
    throw asCorrupt(cause, expected);
  }
}

/** What of a document to keep. Commits stand before what was observed: by then it is known which topics they are on. */
function keepOf(wanted: WantedPart): (key: string) => Keep {
  const topics = new Set<string>();
  let hasCommits = false;
  const isWanted = (key: string) => {
    if (!wanted.partition(key)) return false;
    topics.add(splitTopicPartition(key)?.topic ?? "");
    return true;
  };
  const commits = (group: string): Keep => wanted.group(group) && (() => isWanted);
  const topic = (name: string): Keep => topics.has(name) || wanted.topic?.(name) || !hasCommits || "scalar";
  return (field) => {
    hasCommits ||= field === "consumer_groups";
    if (field === "consumer_groups") return commits;
    return field !== "observed" || ((part) => (part === "groups" ? wanted.group : topic));
  };
}

function requireChecksum(body: Uint8Array, expected: Expected): void {
  const actual = sha256(body);
  if (actual === expected.sha256) return;
  throw corrupt(expected, `its SHA-256 is ${actual}, the index says ${expected.sha256} (${body.byteLength} bytes)`);
}

const corrupt = ({ snapshotId }: Expected, what: string, cause?: unknown) =>
  new SnapshotCorrupt(`the stored body of ${snapshotId} is not what was written: ${what}.`, {
    next: "Use another snapshot, or restore an earlier version of the object in the bucket, which is versioned.",
    cause,
  });

/** The error of a body that cannot be unpacked or decoded; any other error as it is. */
const asCorrupt = (error: unknown, expected: Expected) =>
  error instanceof UnpackError || error instanceof DecodeError ? corrupt(expected, error.message, error) : error;

function decodeParsed(parsed: unknown, expected: Expected): Snapshot {
  const { schemaVersion } = versioned.decode(parsed, "");
  if (schemaVersion < 1) throw new DecodeError("schema_version", `is ${schemaVersion}: the first version is 1`);
  if (schemaVersion > SCHEMA_VERSION) {
    const problem = `is ${schemaVersion}, and this deployment reads up to ${SCHEMA_VERSION}: deploy a newer one`;
    throw new DecodeError("schema_version", problem);
  }
  const snapshot = snapshotDocument.decode(parsed, "");
  if (snapshot.snapshotId !== expected.snapshotId) {
    throw new DecodeError("snapshot_id", `is ${JSON.stringify(snapshot.snapshotId)}: another snapshot's body`);
  }
  const { createdAt } = parseSnapshotId(snapshot.snapshotId) ?? {};
  if (snapshot.createdAt !== createdAt) {
    throw new DecodeError("created_at", `is ${JSON.stringify(snapshot.createdAt)}: not the time of the id`);
  }
  return snapshot;
}
