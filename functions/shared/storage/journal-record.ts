import { JournalCorrupt } from "../core/errors.ts";
import { DecodeError, type Decoder, list, oneOf, text } from "../core/json/decode.ts";
import { encodeJson } from "../core/json/json.ts";
import { type RecordStatus, recordStatuses } from "../core/model.ts";
import type { StoredJson } from "./bodies.ts";
import { cap, decodeItem, fromJson, type Item, isIsoTime, isoTime, type Key, number, optionalText } from "./items.ts";

/** What the journal says of a rollback. Times are ISO 8601, UTC, milliseconds. */
export interface JournalRecord {
  readonly rollbackId: string;
  readonly status: RecordStatus;
  readonly snapshotId: string;
  /** Null where nothing had to be committed. */
  readonly safetySnapshotId: string | null;
  readonly requestedBy: string | null;
  /** The first 1,024 characters. */
  readonly description: string;
  readonly startedAt: string;
  /** When it was resumed the last time. */
  readonly resumedAt?: string;
  /** There if and only if it ended. */
  readonly endedAt?: string;
  /** How many groups it was to put back. */
  readonly groups: number;
  /** Their names; absent where they are too long for an item: the plan has them. */
  readonly groupNames?: readonly string[];
  /** The same for two requests that ask for the same rollback. */
  readonly fingerprint: string;
  readonly planDigest: string;
  /** The rollback that replaced it. */
  readonly supersededBy?: string;
  /** 1, and 1 more for each time it was resumed. */
  readonly attempts: number;
  /** Identifies the call that writes the record: a call that resumes it writes another. */
  readonly writeToken: string;
  /** The plan, and the result of a rollback that ended, in the bucket. */
  readonly plan: StoredJson;
  readonly result?: StoredJson;
}

/** The partition of the records of rollbacks: sort keys stand in the order of time. */
export const recordPartition = "rollback";

const longestGroupNames = 8_192;
const rollbackIdForm = /^[A-Za-z0-9:._-]{1,128}$/;

/** The sort key of a record. */
export const sortKeyOf = ({ startedAt, rollbackId }: Pick<JournalRecord, "startedAt" | "rollbackId">) =>
  `${startedAt}#${rollbackId}`;

/** Whether a text is the sort key of a record. */
const isSortKey = (sortKey: string): boolean => {
  const split = sortKey.indexOf("#");
  return isIsoTime(sortKey.slice(0, split)) && rollbackIdForm.test(sortKey.slice(split + 1));
};

/** The key of the record with a sort key; undefined where the text is none. */
export const recordAt = (sortKey: string): Key | undefined =>
  isSortKey(sortKey) ? { pk: { S: recordPartition }, sk: { S: sortKey } } : undefined;

/** The key of a record. */
export const recordKey = (record: Pick<JournalRecord, "startedAt" | "rollbackId">): Key => ({
  pk: { S: recordPartition },
  sk: { S: sortKeyOf(record) },
});

/** The key of the item that says where the record of a rollback is; undefined where no rollback can have that id. */
export const pointerKey = (rollbackId: string): Key | undefined =>
  rollbackIdForm.test(rollbackId) ? { pk: { S: "rollback-id" }, sk: { S: rollbackId } } : undefined;

/** The item under that key. */
export const encodePointer = (record: Pick<JournalRecord, "startedAt" | "rollbackId">): Item => ({
  pk: { S: "rollback-id" },
  sk: { S: record.rollbackId },
  record: { S: sortKeyOf(record) },
});

const stored = {
  Corrupt: JournalCorrupt,
  next: "Correct the item, or delete it: only the history of rollbacks depends on it.",
};

/**
 * The key of the record that such an item names.
 *
 * @throws JournalCorrupt where it names none
 */
export const decodePointer = (item: Item): Key =>
  decodeItem(item, stored, ({ required }) => {
    const sortKey = required("record", text);
    const key = sortKey.endsWith(`#${item.sk?.S}`) ? recordAt(sortKey) : undefined;
    if (key !== undefined) return key;
    throw new DecodeError("record", `is ${JSON.stringify(sortKey)}, which is no record of that rollback`);
  });

/** What a record says of the groups and the description of a rollback: it stays small however many and long they are. */
export function textsOf(
  groups: readonly string[],
  description: string,
): Pick<JournalRecord, "groups" | "groupNames" | "description"> {
  return {
    groups: groups.length,
    ...(Buffer.byteLength(encodeJson(groups)) <= longestGroupNames && { groupNames: groups }),
    description: cap(description, 1_024),
  };
}

/** Writes a record as an item. */
export function encodeRecord(record: JournalRecord): Item {
  return {
    ...recordKey(record),
    rollback_id: { S: record.rollbackId },
    status: { S: record.status },
    snapshot_id: { S: record.snapshotId },
    ...optionalText("safety_snapshot_id", record.safetySnapshotId),
    ...optionalText("requested_by", record.requestedBy),
    description: { S: record.description },
    started_at: { S: record.startedAt },
    ...optionalText("resumed_at", record.resumedAt),
    ...optionalText("ended_at", record.endedAt),
    groups: number(record.groups),
    ...optionalText("group_names", record.groupNames && encodeJson(record.groupNames)),
    fingerprint: { S: record.fingerprint },
    plan_digest: { S: record.planDigest },
    ...optionalText("superseded_by", record.supersededBy),
    attempts: number(record.attempts),
    write_token: { S: record.writeToken },
    plan_name: { S: record.plan.name },
    plan_sha256: { S: record.plan.sha256 },
    ...optionalText("result_name", record.result?.name),
    ...optionalText("result_sha256", record.result?.sha256),
  };
}

const matching =
  (form: RegExp, expected: string): Decoder<string> =>
  (value, path) => {
    const found = text(value, path);
    if (form.test(found)) return found;
    throw new DecodeError(path, `must be ${expected}, not ${JSON.stringify(found)}`);
  };

const storedName = matching(/^[\da-f-]{36}$/, "the name of an object");
const sha256 = matching(/^[\da-f]{64}$/, "a SHA-256");

const hasEnded = (status: RecordStatus) => status !== "running" && status !== "superseded";

/**
 * Reads a record from its item, trusting nothing.
 *
 * @throws JournalCorrupt that names the item and the first attribute that is missing or wrong
 */
export function decodeRecord(item: Item): JournalRecord {
  return decodeItem(item, stored, ({ required, optional, count }) => {
    const rollbackId = required("rollback_id", matching(rollbackIdForm, "the id of a rollback"));
    const startedAt = required("started_at", isoTime);
    if (sortKeyOf({ startedAt, rollbackId }) !== item.sk?.S) {
      throw new DecodeError("rollback_id", `is ${JSON.stringify(rollbackId)}, which belongs under another key`);
    }
    const status = required("status", oneOf(...recordStatuses));
    const resumedAt = optional("resumed_at", isoTime);
    const groupNames = optional("group_names", fromJson(list(text)));
    const supersededBy = optional("superseded_by", text);
    if (status === "superseded" && supersededBy === undefined) throw new DecodeError("superseded_by", "is missing");
    return {
      rollbackId,
      status,
      snapshotId: required("snapshot_id", text),
      safetySnapshotId: optional("safety_snapshot_id", text) ?? null,
      requestedBy: optional("requested_by", text) ?? null,
      description: required("description", text),
      startedAt,
      ...(resumedAt !== undefined && { resumedAt }),
      groups: count("groups"),
      ...(groupNames && { groupNames }),
      fingerprint: required("fingerprint", text),
      planDigest: required("plan_digest", text),
      ...(supersededBy !== undefined && { supersededBy }),
      attempts: count("attempts"),
      writeToken: required("write_token", text),
      plan: { name: required("plan_name", storedName), sha256: required("plan_sha256", sha256) },
      ...(hasEnded(status) && {
        endedAt: required("ended_at", isoTime),
        result: { name: required("result_name", storedName), sha256: required("result_sha256", sha256) },
      }),
    };
  });
}
