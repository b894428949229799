import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import { SnapshotCorrupt } from "../core/errors.ts";
import { compareCodePoints } from "../core/json/code-points.ts";
import { DecodeError, type Decoder, list, oneOf, text } from "../core/json/decode.ts";
import { encodeJson, parseJson } from "../core/json/json.ts";
import {
  type ClusterIdentity,
  countOffsets,
  type Selection,
  type Snapshot,
  type SnapshotStatus,
  statusOf,
  type Trigger,
  topicsOf,
} from "../core/model.ts";
import { decodeSelection } from "../core/snapshot.ts";
import { parseSnapshotId, type SnapshotIdParts } from "../core/snapshot-id.ts";

/** What the index knows of a snapshot: enough to list it, to choose it and to check its body. */
export interface SnapshotEntry {
  readonly snapshotId: string;
  /** ISO 8601, UTC, whole seconds. */
  readonly createdAt: string;
  /** The first 1,024 characters. */
  readonly description: string;
  readonly status: SnapshotStatus;
  readonly trigger: Trigger;
  /** The name of the schedule that asked for it. */
  readonly schedule?: string;
  readonly cluster: ClusterIdentity;
  /** How many of each the snapshot has. */
  readonly groups: number;
  readonly offsets: number;
  readonly errors: number;
  readonly warnings: number;
  /** Absent where it is too long for an index item: the body has it. */
  readonly selection?: Selection;
  /** What `topicsNamed` gives; absent where it is too long for an index item: the body has it. */
  readonly topics?: readonly string[];
  /** SHA-256 and length of the stored body. */
  readonly sha256: string;
  readonly bytes: number;
  /** When the snapshot may be forgotten, ISO 8601; absent: never. */
  readonly expiresAt?: string;
}

/** An item of the table. */
export type Item = Record<string, AttributeValue>;

/** The partition that the entries of snapshots are kept in. */
export const snapshotPartition = "snapshot";

/** The sort key of a snapshot's entry: sort keys stand in the order of time and number. */
export function sortKeyOf({ createdAt, number }: SnapshotIdParts): string {
  return `${createdAt}#${String(number).padStart(6, "0")}`;
}

/** The key of a snapshot's entry; undefined where the text cannot be the id of any snapshot. */
export function entryKey(snapshotId: string): { pk: AttributeValue.SMember; sk: AttributeValue.SMember } | undefined {
  const parts = parseSnapshotId(snapshotId);
  return parts && { pk: { S: snapshotPartition }, sk: { S: sortKeyOf(parts) } };
}

/** A text of at most so many characters, whole ones; an ellipsis stands for the rest. */
export const cap = (value: string, characters: number): string => {
  const all = [...value.slice(0, 2 * characters).toWellFormed()];
  return all.length > characters ? `${all.slice(0, characters - 1).join("")}…` : all.join("");
};

const longestSelection = 4_096;
const longestTopics = 8_192;

/** The topics that a snapshot has commits on, and those that could not be observed: it may lack the commits on these. */
export function topicsNamed({ consumerGroups, observed }: Pick<Snapshot, "consumerGroups" | "observed">): string[] {
  const unseen = [...observed.topics].flatMap(([topic, found]) => (found === null ? [topic] : []));
  return [...new Set([...topicsOf(consumerGroups), ...unseen])].sort(compareCodePoints);
}

/** The entry of a snapshot whose body has this checksum and length. It stays small however large the snapshot is. */
export function indexEntryOf(
  snapshot: Snapshot,
  body: { readonly sha256: string; readonly bytes: number },
): SnapshotEntry {
  const { snapshotId, createdAt, trigger, schedule, selection, cluster } = snapshot;
  const topics = topicsNamed(snapshot);
  return {
    snapshotId,
    createdAt,
    description: cap(snapshot.description, 1_024),
    status: statusOf(snapshot),
    trigger,
    ...(schedule && { schedule: cap(schedule.name, 256) }),
    cluster: { name: cap(cluster.name, 256), clusterId: cluster.clusterId && cap(cluster.clusterId, 256) },
    groups: snapshot.consumerGroups.size,
    offsets: countOffsets(snapshot.consumerGroups),
    errors: snapshot.errors.length,
    warnings: snapshot.warnings.length,
    ...(Buffer.byteLength(encodeSelection(selection)) <= longestSelection && { selection }),
    ...(Buffer.byteLength(encodeJson(topics)) <= longestTopics && { topics }),
    ...body,
  };
}

const encodeSelection = ({ groups, exclude }: Selection) => encodeJson({ groups, exclude });

/** Writes an entry as an item; `writeToken` tells whose write it was. */
export function encodeEntry(entry: SnapshotEntry, writeToken: string): Item {
  const number = (value: number) => ({ N: String(value) });
  return {
    ...entryKey(entry.snapshotId),
    snapshot_id: { S: entry.snapshotId },
    created_at: { S: entry.createdAt },
    description: { S: entry.description },
    status: { S: entry.status },
    trigger: { S: entry.trigger },
    ...(entry.schedule !== undefined && { schedule: { S: entry.schedule } }),
    cluster_name: { S: entry.cluster.name },
    ...(entry.cluster.clusterId !== null && { cluster_id: { S: entry.cluster.clusterId } }),
    groups: number(entry.groups),
    offsets: number(entry.offsets),
    errors: number(entry.errors),
    warnings: number(entry.warnings),
    ...(entry.selection && { selection: { S: encodeSelection(entry.selection) } }),
    ...(entry.topics && { topics: { S: encodeJson(entry.topics) } }),
    sha256: { S: entry.sha256 },
    bytes: number(entry.bytes),
    ...(entry.expiresAt !== undefined && { expires_at: number(Math.ceil(Date.parse(entry.expiresAt) / 1_000)) }),
    write_token: { S: writeToken },
  };
}

const fromJson =
  <T>(decode: Decoder<T>): Decoder<T> =>
  (value, path) => {
    let parsed: unknown;
    try {
      parsed = parseJson(text(value, path));
    } catch (cause) {
      throw cause instanceof SyntaxError ? new DecodeError(path, "is not JSON") : cause;
    }
    return decode(parsed, path);
  };

/** The attributes of an item, strictly of their types: S is a string, N a number that counts something. */
export function attributesOf(item: Item) {
  const value = (name: string, type: "S" | "N"): string | undefined => {
    const attribute = item[name];
    if (attribute !== undefined && attribute[type] === undefined) throw new DecodeError(name, `is not of type ${type}`);
    return attribute?.[type];
  };
  const optional = <T>(name: string, decode: Decoder<T>): T | undefined => {
    const found = value(name, "S");
    return found === undefined ? undefined : decode(found, name);
  };
  const optionalCount = (name: string): number | undefined => {
    const found = value(name, "N");
    if (found === undefined) return undefined;
    const n = Number(found);
    if (!Number.isSafeInteger(n) || n < 0) throw new DecodeError(name, `must be a count, not ${found}`);
    return n;
  };
  const present = <T>(name: string, found: T | undefined): T => {
    if (found === undefined) throw new DecodeError(name, "is missing");
    return found;
  };
  return {
    optional,
    optionalCount,
    required: <T>(name: string, decode: Decoder<T>): T => present(name, optional(name, decode)),
    count: (name: string): number => present(name, optionalCount(name)),
  };
}

/** The last second that a Date knows. */
const LAST_SECOND = 8_640_000_000_000;

/**
 * Reads an entry from its item, trusting nothing.
 *
 * @throws SnapshotCorrupt that names the item and the first attribute that is missing or is not what it should be
 */
export function decodeEntry(item: Item): SnapshotEntry {
  const { required, optional, count, optionalCount } = attributesOf(item);
  try {
    const snapshotId = required("snapshot_id", text);
    const createdAt = required("created_at", text);
    const parts = parseSnapshotId(snapshotId);
    if (parts === undefined || sortKeyOf(parts) !== item.sk?.S || parts.createdAt !== createdAt) {
      throw new DecodeError("snapshot_id", `is ${JSON.stringify(snapshotId)}, which belongs under another key`);
    }
    const schedule = optional("schedule", text);
    const selection = optional("selection", fromJson(decodeSelection));
    const topics = optional("topics", fromJson(list(text)));
    const expiresAt = optionalCount("expires_at");
    if (expiresAt !== undefined && expiresAt > LAST_SECOND)
      throw new DecodeError("expires_at", `is ${expiresAt}, no time`);
    return {
      snapshotId,
      createdAt,
      description: required("description", text),
      status: required("status", oneOf("complete", "partial")),
      trigger: required("trigger", oneOf("invoke", "api", "schedule", "safety")),
      ...(schedule !== undefined && { schedule }),
      cluster: { name: required("cluster_name", text), clusterId: optional("cluster_id", text) ?? null },
      groups: count("groups"),
      offsets: count("offsets"),
      errors: count("errors"),
      warnings: count("warnings"),
      ...(selection && { selection }),
      ...(topics && { topics }),
      sha256: required("sha256", text),
      bytes: count("bytes"),
      ...(expiresAt !== undefined && { expiresAt: new Date(expiresAt * 1_000).toISOString() }),
    };
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new SnapshotCorrupt(
      `the index item ${snapshotPartition} / ${JSON.stringify(item.sk?.S ?? null)} is not what was written: ` +
        `${cause.message}. Put it right from the body of that snapshot in the bucket, or delete the snapshot.`,
      { cause },
    );
  }
}
