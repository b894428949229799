import { randomUUID } from "node:crypto";
import { TransactWriteItemsCommand, UpdateItemCommand, type UpdateItemCommandInput } from "@aws-sdk/client-dynamodb";
import type { Deadline } from "../core/deadline.ts";
import { JournalCorrupt } from "../core/errors.ts";
import type { Json } from "../core/json/json.ts";
import type { RollbackStatus } from "../core/model.ts";
import type { SendOptions } from "./aws-call.ts";
import { type Clients, lazyBodies, type StorageConfig, sharedClients } from "./clients.ts";
import type { Key } from "./items.ts";
import {
  type JournalRecord,
  pointerItem,
  pointerKey,
  recordAt,
  recordItem,
  recordKey,
  recordPartition,
  sortKeyOf,
  textsOf,
} from "./journal-record.ts";
import { decodeToken, type Page, readPage } from "./paging.ts";
import { createTable } from "./table.ts";

/** A rollback as it is known before its first commit. */
export interface JournalOpening {
  readonly rollbackId: string;
  readonly snapshotId: string;
  readonly safetySnapshotId: string | null;
  readonly requestedBy: string | null;
  readonly description: string;
  readonly fingerprint: string;
  readonly planDigest: string;
  /** The names of the groups that it is to put back. */
  readonly groups: readonly string[];
  readonly plan: Json;
}

/** The record of a running rollback, as the call that runs it holds it. */
export interface OpenJournal {
  readonly record: JournalRecord;
  /**
   * Stores the result and closes the record with it. `lost`: another call has resumed or superseded the rollback, and the
   * record stays as that call wrote it. Closing a record a second time is safe.
   */
  close(status: RollbackStatus, result: Json, now: Date, deadline: Deadline): Promise<"closed" | "lost">;
}

/**
 * The journal of rollbacks: a record in DynamoDB for each, with its plan and its result in S3.
 *
 * All methods throw DeadlineExceeded when the deadline passes, StorageUnavailable when S3 or DynamoDB fail or do not
 * answer, Configuration when a right, the bucket or the table is missing, and JournalCorrupt when what was stored is not
 * what was written. What could not be read is an error, never an empty answer.
 */
export interface Journal {
  /**
   * Writes a record with the status `running`: the plan first, the record second, so that a record has its plan. `taken`:
   * the id is in use, whatever the status of that rollback.
   *
   * @throws StorageUnavailable and says whether the record may be there all the same
   */
  open(opening: JournalOpening, now: Date, deadline: Deadline): Promise<OpenJournal | "taken">;
  /** The record of a rollback, if there is one. */
  find(rollbackId: string, deadline: Deadline): Promise<JournalRecord | undefined>;
  /**
   * Resumes a rollback that is unfinished (`running`), partial or failed: its status is `running`, its result is removed,
   * and the call that ran it before can no longer close it. Undefined where it was superseded or a success, or is no
   * longer what `record` says.
   */
  resume(record: JournalRecord, now: Date, deadline: Deadline): Promise<OpenJournal | undefined>;
  /**
   * Records that the rollback `by` replaces this one. A running one gets the status `superseded`; a partial or failed one
   * keeps its status beside it. A success, and one that was superseded already, stay as they are.
   */
  supersede(record: JournalRecord, by: string, deadline: Deadline): Promise<void>;
  /** The records, newest first, of rollbacks that started at `since` or later; they are fetched as they are asked for. */
  newestFirst(since: Date | undefined, deadline: Deadline): AsyncGenerator<JournalRecord, void>;
  /** The records, newest first, of all rollbacks that can be resumed: see `resume`. */
  resumable(deadline: Deadline): AsyncGenerator<JournalRecord, void>;
  /**
   * The records, newest first; pages are full except for the last.
   *
   * @throws InvalidRequest where the token is not of an earlier page
   */
  list(request: { limit: number; nextToken?: string | undefined }, deadline: Deadline): Promise<Page<JournalRecord>>;
  /** The plan as it was written, parsed with `parseJson`. */
  plan(record: JournalRecord, deadline: Deadline): Promise<unknown>;
  /** The result as it was written, parsed with `parseJson`; undefined where the rollback has not ended. */
  result(record: JournalRecord, deadline: Deadline): Promise<unknown>;
}

const seeIt = "call rollbacks to see it";

/** The journal in a bucket and a table. Clients are those of the process unless others are given. */
export function createJournal(config: StorageConfig, clients: Clients = sharedClients()): Journal {
  const bodies = lazyBodies(config, clients);
  const table = createTable(clients.dynamodb, config.table);
  const folderOf = (rollbackId: string) => `rollbacks/${rollbackId}`;

  const readRecord = async (key: Key, doing: string, deadline: Deadline) => {
    const item = await table.get(key, doing, deadline);
    return item && recordItem.decode(item);
  };

  const update =
    (record: JournalRecord, expressions: Omit<UpdateItemCommandInput, "TableName" | "Key">) => (options: SendOptions) =>
      clients.dynamodb.send(
        new UpdateItemCommand({ TableName: config.table, Key: recordKey(record), ...expressions }),
        options,
      );

  const opened = (record: JournalRecord): OpenJournal => ({
    record,
    async close(status, result, now, deadline) {
      const { rollbackId, writeToken } = record;
      const doing = `closing the journal of ${rollbackId}`;
      const undone = `The journal has no end of ${rollbackId}, which counts as unfinished.`;
      const what = `the result of ${rollbackId}`;
      const stored = await (await bodies()).putJson(folderOf(rollbackId), result, what, undone, deadline);
      const closed = await table.write(
        {
          action: "UpdateItem",
          doing,
          undone,
          unknown: `Whether the journal has the end of ${rollbackId} is not known: ${seeIt}.`,
          send: update(record, {
            UpdateExpression:
              "SET #status = :status, ended_at = :now, result_name = :result_name, result_sha256 = :result_sha256",
            ConditionExpression: "write_token = :token AND #status = :running",
            ExpressionAttributeNames: { "#status": "status" },
            ExpressionAttributeValues: {
              ":status": { S: status },
              ":running": { S: "running" },
              ":now": { S: now.toISOString() },
              ":result_name": { S: stored.name },
              ":result_sha256": { S: stored.sha256 },
              ":token": { S: writeToken },
            },
          }),
          async tookEffect(limit) {
            const found = await readRecord(recordKey(record), doing, limit);
            return found?.writeToken === writeToken && found.endedAt !== undefined;
          },
        },
        deadline,
      );
      return closed ? "closed" : "lost";
    },
  });

  const newestFirst = async function* (
    range: { readonly since?: Date | undefined; readonly after?: Key | undefined; readonly expect: number },
    deadline: Deadline,
  ) {
    const query = {
      KeyConditionExpression: "pk = :pk AND sk >= :from",
      ExpressionAttributeValues: { ":pk": { S: recordPartition }, ":from": { S: range.since?.toISOString() ?? "0" } },
      Limit: range.expect,
      ExclusiveStartKey: range.after,
    };
    for await (const item of table.descending(query, "reading the journal of rollbacks", deadline)) {
      yield recordItem.decode(item);
    }
  };

  return {
    async open({ groups, description, plan, ...opening }, now, deadline) {
      const { rollbackId } = opening;
      const undone = `The journal does not have ${rollbackId}.`;
      const what = `the plan of ${rollbackId}`;
      const record: JournalRecord = {
        ...opening,
        ...textsOf(groups, description),
        status: "running",
        startedAt: now.toISOString(),
        attempts: 1,
        writeToken: randomUUID(),
        plan: await (await bodies()).putJson(folderOf(rollbackId), plan, what, undone, deadline),
      };
      const doing = `opening the journal of ${rollbackId}`;
      const once = { TableName: config.table, ConditionExpression: "attribute_not_exists(pk)" };
      const command = new TransactWriteItemsCommand({
        TransactItems: [
          { Put: { ...once, Item: recordItem.encode(record) } },
          { Put: { ...once, Item: pointerItem.encode(record) } },
        ],
      });
      const written = await table.write(
        {
          action: "TransactWriteItems",
          doing,
          undone,
          unknown: `Whether the journal has ${rollbackId} is not known: ${seeIt}; it counts as unfinished if so.`,
          send: (options) => clients.dynamodb.send(command, options),
          tookEffect: async (limit) =>
            (await readRecord(recordKey(record), doing, limit))?.writeToken === record.writeToken,
        },
        deadline,
      );
      return written ? opened(record) : "taken";
    },

    async find(rollbackId, deadline) {
      const key = pointerKey(rollbackId);
      const doing = `looking up ${rollbackId} in the journal`;
      const pointer = key && (await table.get(key, doing, deadline));
      if (pointer === undefined) return undefined;
      const found = await readRecord(recordKey(pointerItem.decode(pointer)), doing, deadline);
      if (found !== undefined) return found;
      throw new JournalCorrupt(
        `the journal has the id ${rollbackId}, but its record is gone from table ${config.table}.`,
        {
          next: `Restore it from a backup of the table, or delete the item rollback-id / ${JSON.stringify(rollbackId)}.`,
        },
      );
    },

    async resume(record, now, deadline) {
      const { rollbackId } = record;
      if (!canResume(record)) return undefined;
      const { endedAt: _, result: __, ...kept } = record;
      const again: JournalRecord = {
        ...kept,
        status: "running",
        resumedAt: now.toISOString(),
        attempts: record.attempts + 1,
        writeToken: randomUUID(),
      };
      const doing = `resuming ${rollbackId} in the journal`;
      const reopened = await table.write(
        {
          action: "UpdateItem",
          doing,
          undone: `The record of ${rollbackId} is unchanged.`,
          unknown: `Whether the journal has ${rollbackId} as resumed is not known: ${seeIt}; it can be resumed in either case.`,
          send: update(record, {
            UpdateExpression:
              "SET #status = :running, resumed_at = :now, attempts = :attempts, write_token = :again " +
              "REMOVE ended_at, result_name, result_sha256",
            ConditionExpression: asItWas,
            ExpressionAttributeNames: { "#status": "status" },
            ExpressionAttributeValues: {
              ...wasOf(record),
              ":running": { S: "running" },
              ":now": { S: now.toISOString() },
              ":attempts": { N: String(again.attempts) },
              ":again": { S: again.writeToken },
            },
          }),
          tookEffect: async (limit) =>
            (await readRecord(recordKey(record), doing, limit))?.writeToken === again.writeToken,
        },
        deadline,
      );
      return reopened ? opened(again) : undefined;
    },

    async supersede(record, by, deadline) {
      const doing = `marking ${record.rollbackId} as superseded by ${by}`;
      const undone = `The journal may not say that ${record.rollbackId} is superseded.`;
      let current: JournalRecord | undefined = record;
      while (current !== undefined && canResume(current)) {
        const running = current.status === "running";
        const send = update(current, {
          UpdateExpression: `SET superseded_by = :by${running ? ", #status = :superseded" : ""}`,
          ConditionExpression: asItWas,
          ExpressionAttributeNames: { "#status": "status" },
          ExpressionAttributeValues: {
            ...wasOf(current),
            ":by": { S: by },
            ...(running && { ":superseded": { S: "superseded" } }),
          },
        });
        if (await table.write({ action: "UpdateItem", doing, undone, send }, deadline)) return;
        current = await readRecord(recordKey(record), doing, deadline); // it has changed since, or the answer was lost
      }
    },

    newestFirst: (since, deadline) => newestFirst({ since, expect: 25 }, deadline),

    async *resumable(deadline) {
      const query = {
        KeyConditionExpression: "pk = :pk",
        FilterExpression: "#status <> :success AND attribute_not_exists(superseded_by)",
        ExpressionAttributeNames: { "#status": "status" },
        ExpressionAttributeValues: { ":pk": { S: recordPartition }, ":success": { S: "success" } },
      };
      for await (const item of table.descending(query, "looking for unfinished rollbacks", deadline)) {
        const record = recordItem.decode(item);
        if (canResume(record)) yield record;
      }
    },

    async list({ limit, nextToken }, deadline) {
      const after = nextToken === undefined ? undefined : decodeToken(nextToken, recordAt);
      return readPage(newestFirst({ after, expect: limit + 1 }, deadline), limit, sortKeyOf);
    },

    plan: async ({ rollbackId, plan }, deadline) =>
      (await bodies()).getJson(folderOf(rollbackId), plan, `the plan in the journal of ${rollbackId}`, deadline),

    async result({ rollbackId, result }, deadline) {
      if (result === undefined) return undefined;
      return (await bodies()).getJson(
        folderOf(rollbackId),
        result,
        `the result in the journal of ${rollbackId}`,
        deadline,
      );
    },
  };
}

/** Whether a rollback can be resumed or superseded. */
const canResume = ({ status, supersededBy }: JournalRecord) =>
  status !== "success" && status !== "superseded" && supersededBy === undefined;

/** The condition that the stored record is still this one. */
const asItWas = "write_token = :was AND #status = :was_status AND attribute_not_exists(superseded_by)";
const wasOf = ({ writeToken, status }: JournalRecord) => ({ ":was": { S: writeToken }, ":was_status": { S: status } });
