import { randomUUID } from "node:crypto";
import type { Deadline } from "../core/deadline.ts";
import { JournalCorrupt } from "../core/errors.ts";
import { DecodeError } from "../core/json/codec.ts";
import type { Json } from "../core/json/json.ts";
import type { RollbackStatus } from "../core/model.ts";
import { parseSnapshotId } from "../core/snapshot-id.ts";
import { type Clients, lazyBodies, type StorageConfig, sharedClients } from "./clients.ts";
import { type Caller, cap, type Item, itemOf, type Key } from "./items.ts";
import { type BegunRollback, begunItem } from "./journal-begun.ts";
import {
  callsResumed,
  callsText,
  firstCall,
  type JournalRecord,
  mostDescription,
  pointerItem,
  pointerKey,
  pointerPartition,
  recordAt,
  recordItem,
  recordKey,
  recordPartition,
  sortKeyOf,
  textsOf,
} from "./journal-record.ts";
import { decodeToken, readPage } from "./paging.ts";
import { createTable } from "./table.ts";
import { createUnreadable, type Unreadable } from "./unreadable.ts";

/** A rollback as it is known before its first commit, with the names of the groups that it is to put back. */
export interface JournalOpening
  extends Pick<
    JournalRecord,
    | "rollbackId"
    | "snapshotId"
    | "safetySnapshotId"
    | "requestedBy"
    | "callerArn"
    | "description"
    | "fingerprint"
    | "planDigest"
  > {
  readonly requestId: string;
  readonly groups: readonly string[];
  readonly plan: Json;
}

/** A rollback as it is known before it has a plan. */
export type JournalBeginning = Omit<BegunRollback, "status" | "startedAt" | "writeToken" | "error" | "endedAt">;

/** The record of a running rollback, as the call that runs it holds it. */
export interface OpenJournal {
  readonly record: JournalRecord;
  /**
   * Stores the result and closes the record with it. `lost`: another call has resumed or superseded the rollback, and the
   * record stays as that call wrote it. Closing a record a second time is safe.
   */
  close(status: RollbackStatus, result: Json, now: Date, deadline: Deadline): Promise<"closed" | "lost">;
}

/** Which records to read, by their start: both times are inclusive. */
interface Range {
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  /** The last one of the page before. */
  readonly after?: Key | undefined;
  /** How many are probably wanted. */
  readonly expect: number;
}

/** What says where the plan and the result of a rollback are. */
type Kept = Pick<JournalRecord, "rollbackId" | "plan" | "result">;

/** The journal of a deployment: see `createJournal`. */
export type Journal = ReturnType<typeof createJournal>;

/** Lambda ends a function by then: its rollback has begun after its safety snapshot was taken, and not later. */
const longestInvocationMs = 15 * 60_000;
const seeIt = "call rollbacks to see it";

/**
 * The journal of rollbacks: a record in DynamoDB for each, with its plan and its result in S3. Clients are those of the
 * process unless others are given.
 *
 * All methods throw DeadlineExceeded when the deadline passes, StorageUnavailable when S3 or DynamoDB fail or do not
 * answer, Configuration when a right, the bucket or the table is missing, and JournalCorrupt when what was stored is not
 * what was written. What could not be read is an error or a warning, never an empty answer.
 */
export function createJournal(config: StorageConfig, clients: Clients = sharedClients()) {
  const bodies = lazyBodies(config, clients);
  const table = createTable(clients.dynamodb, config.table);

  const readRecord = async (key: Key, doing: string, deadline: Deadline) => {
    const item = await table.get(key, doing, deadline);
    return item && recordItem.decode(item);
  };

  /** Reads whether a record stands as it was written: with its token, and with an end if it has one. */
  const isWritten =
    ({ endedAt, ...record }: JournalRecord, doing: string) =>
    async (deadline: Deadline) => {
      const found = await readRecord(recordKey(record), doing, deadline);
      return found?.writeToken === record.writeToken && (found.endedAt === undefined) === (endedAt === undefined);
    };

  /** Reads whether a rollback without a plan stands as this call has written it. */
  const isBegun =
    ({ rollbackId, writeToken }: BegunRollback, doing: string) =>
    async (deadline: Deadline) => {
      const key = pointerKey(rollbackId);
      const item = key && (await table.get(key, doing, deadline));
      return item !== undefined && isOfBegun(item) && begunItem.decode(item).writeToken === writeToken;
    };

  const opened = (record: JournalRecord): OpenJournal => ({
    record,
    async close(status, result, now, deadline) {
      const { rollbackId, writeToken } = record;
      const doing = `closing the journal of ${rollbackId}`;
      const undone = `The record of ${rollbackId} was not closed: it counts as unfinished.`;
      const stored = await (await bodies()).putJson(rollbackId, "result", result, undone, deadline);
      const endedAt = now.toISOString();
      const change = {
        update: recordKey(record),
        expression:
          "SET #status = :status, ended_at = :now, result_name = :result_name, result_sha256 = :result_sha256",
        condition: "write_token = :token AND #status = :running",
        values: itemOf({
          status,
          running: "running",
          now: endedAt,
          result_name: stored.name,
          result_sha256: stored.sha256,
          token: writeToken,
        }),
      };
      const unknown = `Whether the record of ${rollbackId} was closed is not known: ${seeIt}.`;
      const tookEffect = isWritten({ ...record, endedAt }, doing);
      const closed = await table.write({ changes: [change], doing, undone, unknown, tookEffect }, deadline);
      return closed ? "closed" : "lost";
    },
  });

  const readNewestFirst = (range: Range, unreadable: Unreadable, deadline: Deadline) => {
    const query = {
      KeyConditionExpression: "pk = :pk AND sk BETWEEN :from AND :to",
      ExpressionAttributeValues: {
        ":pk": { S: recordPartition },
        ":from": { S: range.since?.toISOString() ?? "0" },
        ":to": { S: range.until?.toISOString() ?? "~" },
      },
      Limit: range.expect,
      ExclusiveStartKey: range.after,
    };
    return recordItem.decodeAll(table.descending(query, "reading the journal of rollbacks", deadline), unreadable);
  };

  return {
    /**
     * Writes that a call is about to plan a rollback, over what an earlier call left that ended without a plan. Undefined where
     * the rollback has a plan, or another call may still plan it: a repetition that is refused must not close the first call.
     */
    async begin(beginning: JournalBeginning, now: Date, deadline: Deadline): Promise<BegunRollback | undefined> {
      const { rollbackId, description } = beginning;
      const begun: BegunRollback = {
        ...beginning,
        description: cap(description, mostDescription),
        status: "running",
        startedAt: now.toISOString(),
        writeToken: randomUUID(),
      };
      const change = {
        put: begunItem.encode(begun),
        condition:
          "attribute_not_exists(#record) AND (attribute_not_exists(pk) OR #status = :failed OR ends_by < :now)",
        values: itemOf({ failed: "failed", now: begun.startedAt }),
      };
      const doing = `beginning ${rollbackId} in the journal`;
      const undone = `The journal does not have ${rollbackId}.`;
      const written = await table.write(
        { changes: [change], doing, undone, tookEffect: isBegun(begun, doing) },
        deadline,
      );
      return written ? begun : undefined;
    },

    /**
     * Writes why a rollback ended before it had a plan; nothing where it has one, or a later call has begun it.
     *
     * @param error the message as it is answered
     */
    async fail(begun: BegunRollback, error: NonNullable<BegunRollback["error"]>, now: Date, deadline: Deadline) {
      const failed: BegunRollback = { ...begun, status: "failed", error, endedAt: now.toISOString() };
      const change = {
        put: begunItem.encode(failed),
        condition: "attribute_not_exists(#record) AND write_token = :token",
        values: itemOf({ token: begun.writeToken }),
      };
      const doing = `closing ${begun.rollbackId} in the journal`;
      const undone = `${begun.rollbackId} counts as unfinished.`;
      await table.write({ changes: [change], doing, undone }, deadline);
    },

    /**
     * Writes a record with the status `running`: the plan first, the record second, so that a record has its plan. `taken`:
     * the id has a record, whatever the status of that rollback.
     *
     * @throws StorageUnavailable and says whether the record may be there all the same
     */
    async open({ groups, description, plan, requestId, ...opening }: JournalOpening, now: Date, deadline: Deadline) {
      const { rollbackId } = opening;
      const doing = `opening the journal of ${rollbackId}`;
      const undone = `The journal does not have ${rollbackId}.`;
      const startedAt = now.toISOString();
      const record: JournalRecord = {
        ...opening,
        ...textsOf(groups, description),
        status: "running",
        startedAt,
        attempts: 1,
        calls: [firstCall({ ...opening, startedAt }, requestId)],
        writeToken: randomUUID(),
        plan: await (await bodies()).putJson(rollbackId, "plan", plan, undone, deadline),
      };
      const changes = [
        { put: recordItem.encode(record), condition: "attribute_not_exists(pk)" },
        { put: pointerItem.encode(record), condition: "attribute_not_exists(#record)" },
      ];
      const unknown = `Whether the journal has ${rollbackId} is not known: ${seeIt}; it counts as unfinished if so.`;
      const tookEffect = isWritten(record, doing);
      const written = await table.write({ changes, doing, undone, unknown, tookEffect }, deadline);
      return written ? opened(record) : "taken";
    },

    /** The record of a rollback, or what is known of one that has no plan, if there is one. */
    async find(rollbackId: string, deadline: Deadline): Promise<JournalRecord | BegunRollback | undefined> {
      const key = pointerKey(rollbackId);
      const doing = `looking up ${rollbackId} in the journal`;
      const pointer = key && (await table.get(key, doing, deadline));
      if (pointer === undefined) return undefined;
      if (isOfBegun(pointer)) return begunItem.decode(pointer);
      const found = await readRecord(recordKey(pointerItem.decode(pointer)), doing, deadline);
      if (found !== undefined) return found;
      const item = `rollback-id / ${JSON.stringify(rollbackId)}`;
      throw new JournalCorrupt(
        `the journal has the id ${rollbackId}, but its record is missing from table ${config.table}.`,
        {
          next:
            `Restore it from the table's point-in-time recovery. Deleting the item ${item} only ends this message: that ` +
            "rollback can then be neither shown nor resumed.",
        },
      );
    },

    /**
     * Resumes a rollback that is unfinished (`running`), partial or failed: its status is `running`, its result is removed,
     * and the call that ran it before can no longer close it. Undefined where it was superseded or a success, or is no
     * longer what `record` says.
     *
     * @param by who resumes it
     */
    async resume(record: JournalRecord, by: Caller, now: Date, deadline: Deadline): Promise<OpenJournal | undefined> {
      if (!canResume(record)) return undefined;
      const { endedAt: _, result: __, ...kept } = record;
      const at = now.toISOString();
      const again: JournalRecord = {
        ...kept,
        status: "running",
        resumedAt: at,
        attempts: record.attempts + 1,
        calls: callsResumed(record, by, at),
        writeToken: randomUUID(),
      };
      const { rollbackId, attempts, writeToken } = again;
      const calls = callsText.encode(again.calls);
      const change = {
        update: recordKey(record),
        expression:
          "SET #status = :running, resumed_at = :now, attempts = :attempts, calls = :calls, write_token = :again " +
          "REMOVE ended_at, result_name, result_sha256",
        condition: asItWas,
        values: itemOf({ ...wasOf(record), running: "running", now: at, attempts, calls, again: writeToken }),
      };
      const doing = `resuming ${rollbackId} in the journal`;
      const undone = `The record of ${rollbackId} is unchanged.`;
      const unknown = `Whether the journal has ${rollbackId} as resumed is not known: ${seeIt}; it can be resumed in either case.`;
      const tookEffect = isWritten(again, doing);
      const reopened = await table.write({ changes: [change], doing, undone, unknown, tookEffect }, deadline);
      return reopened ? opened(again) : undefined;
    },

    /**
     * Records that the rollback `by` replaces this one. A running one gets the status `superseded`; a partial or failed one
     * keeps its status beside it. A success, and one that was superseded already, stay as they are.
     */
    async supersede(record: JournalRecord, by: string, deadline: Deadline): Promise<void> {
      const doing = `marking ${record.rollbackId} as superseded by ${by}`;
      const undone = `The journal may not say that ${record.rollbackId} is superseded.`;
      let current: JournalRecord | undefined = record;
      while (current !== undefined && canResume(current)) {
        const status = current.status === "running" ? "superseded" : current.status;
        const change = {
          update: recordKey(current),
          expression: "SET superseded_by = :by, #status = :status",
          condition: asItWas,
          values: itemOf({ ...wasOf(current), by, status }),
        };
        if (await table.write({ changes: [change], doing, undone }, deadline)) return;
        current = await readRecord(recordKey(record), doing, deadline); // it has changed since, or the answer was lost
      }
    },

    /** The record as it stands now; undefined where it is gone. */
    reread: (record: JournalRecord, deadline: Deadline): Promise<JournalRecord | undefined> =>
      readRecord(recordKey(record), `looking up ${record.rollbackId} in the journal`, deadline),

    /** The records, newest first, of rollbacks that started at `since` or later; they are fetched as they are asked for. */
    newestFirst: (since: Date | undefined, unreadable: Unreadable, deadline: Deadline) =>
      readNewestFirst({ since, expect: 25 }, unreadable, deadline),

    /** The rollbacks whose safety snapshot this is. Records that cannot be read are left out, with a warning. */
    async undoneWith(snapshotId: string, deadline: Deadline) {
      const unreadable = createUnreadable(`the search for rollbacks that ${snapshotId} undoes`);
      const taken = Date.parse(parseSnapshotId(snapshotId)?.createdAt ?? "");
      const records: JournalRecord[] = [];
      if (Number.isNaN(taken)) return { records, warnings: [] };
      const range = { since: new Date(taken), until: new Date(taken + longestInvocationMs), expect: 25 };
      for await (const record of readNewestFirst(range, unreadable, deadline)) {
        if (record.safetySnapshotId === snapshotId) records.push(record);
      }
      return { records, warnings: unreadable.warnings() };
    },

    /** The records, newest first, of all rollbacks that can be resumed: see `resume`. */
    resumable(unreadable: Unreadable, deadline: Deadline) {
      const query = {
        KeyConditionExpression: "pk = :pk",
        FilterExpression: "#status <> :success AND attribute_not_exists(superseded_by)",
        ExpressionAttributeNames: { "#status": "status" },
        ExpressionAttributeValues: { ":pk": { S: recordPartition }, ":success": { S: "success" } },
      };
      return recordItem.decodeAll(table.descending(query, "looking for unfinished rollbacks", deadline), unreadable);
    },

    /**
     * The records, newest first, of all rollbacks that began, were resumed or ended at `since` or later: one that was resumed may
     * have begun long before.
     */
    movedSince(since: Date, unreadable: Unreadable, deadline: Deadline) {
      const query = {
        KeyConditionExpression: "pk = :pk",
        // A record that has no start cannot be read: it is not left out.
        FilterExpression: "NOT started_at < :since OR resumed_at >= :since OR ended_at >= :since",
        ExpressionAttributeValues: { ":pk": { S: recordPartition }, ":since": { S: since.toISOString() } },
      };
      return recordItem.decodeAll(table.descending(query, "reading the journal of rollbacks", deadline), unreadable);
    },

    /** The rollbacks that a call may still plan at a time: see `mayBePlanned`. */
    planning(now: Date, unreadable: Unreadable, deadline: Deadline) {
      const query = {
        KeyConditionExpression: "pk = :pk",
        FilterExpression: "attribute_not_exists(#record) AND NOT #status = :failed AND NOT ends_by < :now",
        ExpressionAttributeNames: { "#record": "record", "#status": "status" },
        ExpressionAttributeValues: {
          ":pk": { S: pointerPartition },
          ":failed": { S: "failed" },
          ":now": { S: now.toISOString() },
        },
      };
      const items = table.descending(query, "looking for rollbacks without a plan", deadline);
      return begunItem.decodeAll(items, unreadable);
    },

    /**
     * The records, newest first; pages are full except for the last. Those that cannot be read are left out, with a warning.
     *
     * @throws InvalidRequest where the token is not of an earlier page
     */
    async list({ limit, nextToken }: { limit: number; nextToken?: string | undefined }, deadline: Deadline) {
      const after = nextToken === undefined ? undefined : decodeToken(nextToken, recordAt);
      return readPage(
        (unreadable) => readNewestFirst({ after, expect: limit + 1 }, unreadable, deadline),
        limit,
        sortKeyOf,
      );
    },

    /** The plan as it was written, parsed with `parseJson`. */
    plan: async ({ rollbackId, plan }: Kept, deadline: Deadline): Promise<unknown> =>
      (await bodies()).getJson(rollbackId, "plan", plan, deadline),

    /** The result as it was written, parsed with `parseJson`; undefined where the rollback has not ended. */
    result: async ({ rollbackId, result }: Kept, deadline: Deadline): Promise<unknown> =>
      result && (await bodies()).getJson(rollbackId, "result", result, deadline),
  };
}

/**
 * Decodes the plan or the result of a rollback.
 *
 * @throws JournalCorrupt where it is not what was written
 */
export function decodeStored<T>({ rollbackId }: Kept, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new JournalCorrupt(
      `the journal of ${rollbackId} is not what was written: ${cause.message}. It cannot be resumed.`,
      { next: "If a newer version wrote it, deploy that version. Otherwise start a new rollback.", cause },
    );
  }
}

/** Whether an item is of a rollback without a plan. One that is damaged counts as one that has a record. */
const isOfBegun = ({ record, write_token }: Item) => record === undefined && write_token !== undefined;

/** Whether a rollback can be resumed or superseded. */
const canResume = ({ status, supersededBy }: JournalRecord) =>
  status !== "success" && status !== "superseded" && supersededBy === undefined;

/** The condition that the stored record is still this one. */
const asItWas = "write_token = :was AND #status = :was_status AND attribute_not_exists(superseded_by)";
const wasOf = ({ writeToken, status }: JournalRecord) => ({ was: writeToken, was_status: status });
