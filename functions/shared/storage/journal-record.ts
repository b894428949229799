import { JournalCorrupt } from "../core/errors.ts";
import {
  converted,
  count,
  DecodeError,
  document,
  list,
  matching,
  nullIfAbsent,
  oneOf,
  optional,
  text,
} from "../core/json/codec.ts";
import { encodeJson } from "../core/json/json.ts";
import { type CallOutcome, callOutcomes, type RecordStatus, recordStatuses } from "../core/model.ts";
import type { StoredJson } from "./bodies.ts";
import { type Caller, cap, type Item, inText, isIsoTime, isoTime, itemCodec, type Key } from "./items.ts";

/** A call that ran a rollback: the one that began it, or one that resumed it. Times are those of the record. */
export interface RollbackCall {
  /** 1 for the call that began it. */
  readonly attempt: number;
  /** As in `Caller`. */
  readonly requestedBy: string | null;
  /** As in `Caller`; null also where the call was made before it was recorded. */
  readonly callerArn: string | null;
  /** Null where the call was made before requests were recorded. */
  readonly requestId: string | null;
  readonly startedAt: string;
  /** Absent for the last call: its end is that of the rollback. */
  readonly outcome?: CallOutcome;
  readonly endedAt?: string;
}

/** What the journal says of a rollback. Times are ISO 8601, UTC, milliseconds. */
export interface JournalRecord {
  readonly rollbackId: string;
  readonly status: RecordStatus;
  readonly snapshotId: string;
  /** Null where nothing had to be committed. */
  readonly safetySnapshotId: string | null;
  /** As in `Caller`. */
  readonly requestedBy: string | null;
  /** As in `Caller`; null also where the record is older than this field. */
  readonly callerArn: string | null;
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
  /** The rollback that superseded it. */
  readonly supersededBy?: string;
  /** 1, and 1 more for each time it was resumed. */
  readonly attempts: number;
  /** The first call and the last nine: a record stays small. */
  readonly calls: readonly RollbackCall[];
  /** Identifies the call that writes the record: a call that resumes it writes another. */
  readonly writeToken: string;
  /** The plan, and the result of a rollback that ended, in the bucket. */
  readonly plan: StoredJson;
  readonly result?: StoredJson;
}

/** The partition of the records of rollbacks: sort keys stand in the order of time. */
export const recordPartition = "rollback";
/** The partition of the items that say where the record of a rollback is, or what is known of one that has no plan. */
export const pointerPartition = "rollback-id";

/** What a record's key is made of. */
type RecordId = Pick<JournalRecord, "startedAt" | "rollbackId">;

const longestGroupNames = 8_192;
/** How many characters of a description are kept. */
export const mostDescription = 1_024;
const rollbackIdForm = /^[A-Za-z0-9:._-]{1,128}$/;
export const idOfRollback = matching(rollbackIdForm, "the id of a rollback");

/** The sort key of a record. */
export const sortKeyOf = ({ startedAt, rollbackId }: RecordId) => `${startedAt}#${rollbackId}`;

/** Whether a text is the sort key of a record. */
const isSortKey = (sortKey: string): boolean => {
  const split = sortKey.indexOf("#");
  return isIsoTime(sortKey.slice(0, split)) && rollbackIdForm.test(sortKey.slice(split + 1));
};

/** The key of the record with a sort key; undefined where the text is none. */
export const recordAt = (sortKey: string): Key | undefined =>
  isSortKey(sortKey) ? { pk: { S: recordPartition }, sk: { S: sortKey } } : undefined;

/** The key of a record. */
export const recordKey = (record: RecordId): Key => ({
  pk: { S: recordPartition },
  sk: { S: sortKeyOf(record) },
});

/**
 * Whether an item that cannot be read may be the record of a rollback of some of these groups (undefined: of any). It cannot if
 * it stands under no record's key, or names other groups only.
 */
export function mayBeOf(item: Readonly<Item>, groups: readonly string[] | undefined): boolean {
  if (!isSortKey(item.sk?.S ?? "")) return false;
  try {
    const named = groupNamesText.decode(item.group_names?.S, "group_names");
    return groups === undefined || named.some((group) => groups.includes(group));
  } catch (error) {
    if (error instanceof DecodeError) return true;
    throw error;
  }
}

/** The key of the item that says where the record of a rollback is; undefined where no rollback can have that id. */
export const pointerKey = (rollbackId: string): Key | undefined =>
  rollbackIdForm.test(rollbackId) ? { pk: { S: pointerPartition }, sk: { S: rollbackId } } : undefined;

/** What to do about an item of the journal that is not what was written. */
export const stored = {
  Corrupt: JournalCorrupt,
  next:
    "If a newer version wrote it, deploy that version. Otherwise restore the item from the table's point-in-time recovery. " +
    "Deleting it only ends this message: that rollback can then be neither shown nor resumed. Its safety snapshot stays.",
};

/** The items that say where the record of a rollback is. */
export const pointerItem = itemCodec(
  converted(
    document({ pk: oneOf([pointerPartition]), sk: text, record: text }, "ignored"),
    (record: RecordId) => ({ pk: pointerPartition, sk: record.rollbackId, record: sortKeyOf(record) }),
    ({ sk: rollbackId, record }): RecordId => {
      const startedAt = record.slice(0, -rollbackId.length - 1);
      if (isSortKey(record) && sortKeyOf({ startedAt, rollbackId }) === record) return { startedAt, rollbackId };
      throw new DecodeError("record", `is ${JSON.stringify(record)}, which is no record of that rollback`);
    },
  ),
  stored,
);

/** What a record says of the groups and the description of a rollback: it stays small however many and long they are. */
export function textsOf(
  groups: readonly string[],
  description: string,
): Pick<JournalRecord, "groups" | "groupNames" | "description"> {
  return {
    groups: groups.length,
    ...(Buffer.byteLength(encodeJson(groups)) <= longestGroupNames && { groupNames: groups }),
    description: cap(description, mostDescription),
  };
}

const mostCalls = 10;

/** The call that begins a rollback. */
export const firstCall = (
  { startedAt, requestedBy, callerArn }: Pick<JournalRecord, "startedAt" | "requestedBy" | "callerArn">,
  requestId: string | null,
): RollbackCall => ({ attempt: 1, requestedBy, callerArn, requestId, startedAt });

/** The calls of a rollback that another call resumes at a time: until then it stood as `record` says. */
export function callsResumed(
  record: JournalRecord,
  { requestedBy, callerArn, requestId }: Caller,
  startedAt: string,
): readonly RollbackCall[] {
  const { calls, attempts, status, endedAt } = record;
  const outcome: CallOutcome = status === "running" || status === "superseded" ? "interrupted" : status;
  const ended = calls.map((call) =>
    call.attempt === attempts ? { ...call, outcome, ...(endedAt !== undefined && { endedAt }) } : call,
  );
  const all = [...ended, { attempt: attempts + 1, requestedBy, callerArn, requestId, startedAt }];
  return all.length > mostCalls ? [...all.slice(0, 1), ...all.slice(1 - mostCalls)] : all;
}

/** The calls of a record, as its item has them. */
export const callsText = inText(
  list(
    document(
      {
        attempt: count,
        requested_by: nullIfAbsent(text),
        caller_arn: nullIfAbsent(text),
        request_id: nullIfAbsent(text),
        started_at: isoTime,
        outcome: optional(oneOf(callOutcomes)),
        ended_at: optional(isoTime),
      },
      "ignored",
    ),
  ),
);

const groupNamesText = inText(list(text));
const storedName = matching(/^[\da-f-]{36}$/, "the name of an object");
const sha256 = matching(/^[\da-f]{64}$/, "a SHA-256");

/** The items of records. Their digest, token and the like are only compared, never parsed. */
export const recordItem = itemCodec(
  converted(
    document(
      {
        pk: oneOf([recordPartition]),
        sk: text,
        rollback_id: idOfRollback,
        status: oneOf(recordStatuses),
        snapshot_id: text,
        safety_snapshot_id: nullIfAbsent(text),
        requested_by: nullIfAbsent(text),
        caller_arn: nullIfAbsent(text),
        description: text,
        started_at: isoTime,
        resumed_at: optional(isoTime),
        ended_at: optional(text),
        groups: count,
        group_names: optional(groupNamesText),
        fingerprint: text,
        plan_digest: text,
        superseded_by: optional(text),
        attempts: count,
        calls: optional(callsText),
        write_token: text,
        plan_name: storedName,
        plan_sha256: sha256,
        result_name: optional(text),
        result_sha256: optional(text),
      },
      "ignored",
    ),
    ({ plan, result, ...record }: JournalRecord) => ({
      ...record,
      pk: recordPartition,
      sk: sortKeyOf(record),
      planName: plan.name,
      planSha256: plan.sha256,
      ...(result && { resultName: result.name, resultSha256: result.sha256 }),
    }),
    ({ pk, sk, planName, planSha256, resultName, resultSha256, endedAt, ...item }): JournalRecord => {
      const record = { ...item, calls: item.calls ?? [firstCall(item, null)] };
      if (sortKeyOf(record) !== sk) {
        const id = JSON.stringify(record.rollbackId);
        throw new DecodeError("rollback_id", `is ${id}, which belongs under another key`);
      }
      const plan = { name: planName, sha256: planSha256 };
      const { status, supersededBy } = record;
      if (status === "superseded") text.decode(supersededBy, "superseded_by");
      if (status === "superseded" || status === "running") return { ...record, plan };
      const name = storedName.decode(resultName, "result_name");
      const result = { name, sha256: sha256.decode(resultSha256, "result_sha256") };
      return { ...record, plan, endedAt: isoTime.decode(endedAt, "ended_at"), result };
    },
  ),
  stored,
);
