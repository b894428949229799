import { DecodeError, type Decoder, list, oneOf, text } from "../core/json/decode.ts";
import { encodeJson, parseJson } from "../core/json/json.ts";
import { decodeItem, isIsoTime, isoTime } from "./attributes.ts";
import type { StoredJson } from "./bodies.ts";
import { cap, type Item } from "./index-entry.ts";
import { invalid } from "./paging.ts";
import type { Key } from "./table.ts";

/** What became of a rollback: `running` also where its function crashed, `superseded` where another came in its place. */
export type JournalStatus = "running" | EndStatus | "superseded";

/** How a rollback ended that came to its end. */
export type EndStatus = "success" | "partial_success" | "failed";

/** What the journal says of a rollback. Times are ISO 8601, UTC, milliseconds. */
export interface JournalEntry {
  readonly rollbackId: string;
  readonly status: JournalStatus;
  readonly snapshotId: string;
  /** Null where nothing had to be committed. */
  readonly safetySnapshotId: string | null;
  readonly requestedBy: string | null;
  /** The first 1,024 characters. */
  readonly description: string;
  readonly startedAt: string;
  /** When it was taken up again the last time. */
  readonly resumedAt?: string;
  /** There if and only if it came to its end. */
  readonly endedAt?: string;
  /** How many groups it was to put back. */
  readonly groups: number;
  /** Their names; absent where they are too long for an item: the plan has them. */
  readonly groupNames?: readonly string[];
  /** What tells whether two requests are the same. */
  readonly fingerprint: string;
  readonly planDigest: string;
  /** The rollback that came in its place. */
  readonly supersededBy?: string;
  /** 1, and 1 more for each time it was taken up again. */
  readonly attempts: number;
  /** Whose record it is: who took it up again has another. */
  readonly writeToken: string;
  /** The plan, and the result where it came to its end, in the bucket. */
  readonly plan: StoredJson;
  readonly result?: StoredJson;
}

/** The partition of the records of rollbacks: sort keys stand in the order of time. */
export const recordPartition = "rollback";

const longestGroupNames = 8_192;
const rollbackIdForm = /^[A-Za-z0-9:._-]{1,128}$/;

const sortKeyOf = ({ startedAt, rollbackId }: Pick<JournalEntry, "startedAt" | "rollbackId">) =>
  `${startedAt}#${rollbackId}`;

/** Whether a text is the sort key of a record. */
const isSortKey = (sortKey: string): boolean => {
  const split = sortKey.indexOf("#");
  return isIsoTime(sortKey.slice(0, split)) && rollbackIdForm.test(sortKey.slice(split + 1));
};

/** The key of a record. */
export const recordKey = (entry: Pick<JournalEntry, "startedAt" | "rollbackId">): Key => ({
  pk: { S: recordPartition },
  sk: { S: sortKeyOf(entry) },
});

/** The key of the item that says where the record of a rollback is; undefined where no rollback can have that id. */
export const pointerKey = (rollbackId: string): Key | undefined =>
  rollbackIdForm.test(rollbackId) ? { pk: { S: "rollback-id" }, sk: { S: rollbackId } } : undefined;

/** The item under that key. */
export const encodePointer = (entry: Pick<JournalEntry, "startedAt" | "rollbackId">): Item => ({
  pk: { S: "rollback-id" },
  sk: { S: entry.rollbackId },
  record: { S: sortKeyOf(entry) },
});

const remedy = "Put it right by hand, or delete it: nothing but the history of rollbacks depends on it.";

/**
 * The key of the record that such an item names.
 *
 * @throws SnapshotCorrupt where it names none
 */
export const decodePointer = (item: Item): Key =>
  decodeItem(item, remedy, ({ required }) => {
    const sortKey = required("record", text);
    if (isSortKey(sortKey) && sortKey.endsWith(`#${item.sk?.S}`)) {
      return { pk: { S: recordPartition }, sk: { S: sortKey } };
    }
    throw new DecodeError("record", `is ${JSON.stringify(sortKey)}, which is no record of that rollback`);
  });

/** What an entry says of the groups and the description of a rollback: it stays small however many and long they are. */
export function textsOf(
  groups: readonly string[],
  description: string,
): Pick<JournalEntry, "groups" | "groupNames" | "description"> {
  return {
    groups: groups.length,
    ...(Buffer.byteLength(encodeJson(groups)) <= longestGroupNames && { groupNames: groups }),
    description: cap(description, 1_024),
  };
}

/** Writes an entry as an item. */
export function encodeRecord(entry: JournalEntry): Item {
  return {
    ...recordKey(entry),
    rollback_id: { S: entry.rollbackId },
    status: { S: entry.status },
    snapshot_id: { S: entry.snapshotId },
    ...(entry.safetySnapshotId !== null && { safety_snapshot_id: { S: entry.safetySnapshotId } }),
    ...(entry.requestedBy !== null && { requested_by: { S: entry.requestedBy } }),
    description: { S: entry.description },
    started_at: { S: entry.startedAt },
    ...(entry.resumedAt !== undefined && { resumed_at: { S: entry.resumedAt } }),
    ...(entry.endedAt !== undefined && { ended_at: { S: entry.endedAt } }),
    groups: { N: String(entry.groups) },
    ...(entry.groupNames && { group_names: { S: encodeJson(entry.groupNames) } }),
    fingerprint: { S: entry.fingerprint },
    plan_digest: { S: entry.planDigest },
    ...(entry.supersededBy !== undefined && { superseded_by: { S: entry.supersededBy } }),
    attempts: { N: String(entry.attempts) },
    write_token: { S: entry.writeToken },
    plan_name: { S: entry.plan.name },
    plan_sha256: { S: entry.plan.sha256 },
    ...(entry.result && { result_name: { S: entry.result.name }, result_sha256: { S: entry.result.sha256 } }),
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

const names: Decoder<string[]> = (value, path) => {
  let parsed: unknown;
  try {
    parsed = parseJson(text(value, path));
  } catch (cause) {
    throw cause instanceof SyntaxError ? new DecodeError(path, "is not JSON") : cause;
  }
  return list(text)(parsed, path);
};

const hasEnded = (status: JournalStatus) => status !== "running" && status !== "superseded";

/**
 * Reads an entry from its item, trusting nothing.
 *
 * @throws SnapshotCorrupt that names the item and the first attribute that is missing or is not what it should be
 */
export function decodeRecord(item: Item): JournalEntry {
  return decodeItem(item, remedy, ({ required, optional, count }) => {
    const rollbackId = required("rollback_id", matching(rollbackIdForm, "the id of a rollback"));
    const startedAt = required("started_at", isoTime);
    if (sortKeyOf({ startedAt, rollbackId }) !== item.sk?.S) {
      throw new DecodeError("rollback_id", `is ${JSON.stringify(rollbackId)}, which belongs under another key`);
    }
    const status = required("status", oneOf("running", "success", "partial_success", "failed", "superseded"));
    const resumedAt = optional("resumed_at", isoTime);
    const groupNames = optional("group_names", names);
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

/** The token of the page that starts after this entry. */
export const tokenAfter = (entry: JournalEntry): string => Buffer.from(sortKeyOf(entry)).toString("base64url");

/**
 * The key of the record that a token stands for.
 *
 * @throws InvalidRequest where it is not the token of a page
 */
export function decodeToken(token: string): Key {
  const sortKey = Buffer.from(token, "base64url").toString();
  if (!isSortKey(sortKey) || Buffer.from(sortKey).toString("base64url") !== token) {
    throw invalid("next_token", "must be the next_token of an earlier page, unchanged.");
  }
  return { pk: { S: recordPartition }, sk: { S: sortKey } };
}
