import { randomUUID } from "node:crypto";
import { TransactWriteItemsCommand, UpdateItemCommand, type UpdateItemCommandInput } from "@aws-sdk/client-dynamodb";
import type { Deadline } from "../core/deadline.ts";
import { SnapshotCorrupt } from "../core/errors.ts";
import type { Json } from "../core/json/json.ts";
import type { SendOptions } from "./aws-call.ts";
import { createBodies } from "./bodies.ts";
import { type Clients, sharedClients } from "./clients.ts";
import {
  decodePointer,
  decodeRecord,
  decodeToken,
  type EndStatus,
  encodePointer,
  encodeRecord,
  type JournalEntry,
  pointerKey,
  recordKey,
  recordPartition,
  textsOf,
  tokenAfter,
} from "./journal-entry.ts";
import type { ArchiveConfig } from "./snapshots.ts";
import { createTable, type Key } from "./table.ts";

export type { JournalEntry } from "./journal-entry.ts";

/** What is known of a rollback before its first commit. */
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

/** Some entries, newest first; `nextToken` is there if and only if there are more. */
export interface JournalPage {
  readonly entries: readonly JournalEntry[];
  readonly nextToken?: string;
}

/** The record of a rollback that runs, in the hands of whoever runs it. */
export interface OpenJournal {
  readonly entry: JournalEntry;
  /**
   * Stores the result and closes the record with it. `lost`: it is not this writer's any more, since it was taken up again
   * or superseded, and it stays as it is. Closing again what may have been closed does no harm.
   */
  close(status: EndStatus, result: Json, now: Date, deadline: Deadline): Promise<"closed" | "lost">;
}

/**
 * The journal of rollbacks: a record in DynamoDB for each, with its plan and its result in S3.
 *
 * All methods throw DeadlineExceeded when the deadline passes, StorageUnavailable when S3 or DynamoDB fail or do not
 * answer, Configuration when a right, the bucket or the table is missing, and SnapshotCorrupt when what was stored is not
 * what was written. What could not be read is an error, never an empty answer.
 */
export interface Journal {
  /**
   * Writes a record with the status `running`: the plan first, the record second, so that a record has its plan. `taken`:
   * the id is in use, whatever became of that rollback.
   *
   * @throws StorageUnavailable and says whether the record may be there all the same
   */
  open(opening: JournalOpening, now: Date, deadline: Deadline): Promise<OpenJournal | "taken">;
  /** The record of a rollback, if there is one. */
  find(rollbackId: string, deadline: Deadline): Promise<JournalEntry | undefined>;
  /**
   * Takes up again a rollback that is unfinished (`running`), partial or failed: its status is `running`, its result is
   * gone, and whoever had it before cannot close it any more. Undefined where it was superseded or a success, or is no
   * longer what `entry` says.
   */
  reopen(entry: JournalEntry, now: Date, deadline: Deadline): Promise<OpenJournal | undefined>;
  /**
   * Notes that the rollback `by` comes in place of this one: of a running one as its status, of one that ended otherwise
   * than as a success beside its status. A success, and one that was superseded already, stay as they are.
   */
  supersede(entry: JournalEntry, by: string, deadline: Deadline): Promise<void>;
  /** The records, newest first, of rollbacks that started at `since` or later; they are fetched as they are asked for. */
  newestFirst(since: Date | undefined, deadline: Deadline): AsyncGenerator<JournalEntry, void>;
  /** The records, newest first, of all rollbacks that may be taken up again: see `reopen`. */
  resumable(deadline: Deadline): AsyncGenerator<JournalEntry, void>;
  /**
   * The records, newest first; pages are full except for the last.
   *
   * @throws InvalidRequest where the token is not of an earlier page
   */
  list(request: { limit: number; nextToken?: string | undefined }, deadline: Deadline): Promise<JournalPage>;
  /** The plan as it was written, parsed with `parseJson`. */
  plan(entry: JournalEntry, deadline: Deadline): Promise<unknown>;
  /** The result as it was written, parsed with `parseJson`; undefined where the rollback has not come to its end. */
  result(entry: JournalEntry, deadline: Deadline): Promise<unknown>;
}

const seeIt = "look with rollbacks";

/** The journal in a bucket and a table. Clients are those of the process unless others are given. */
export function createJournal(config: ArchiveConfig, clients: Clients = sharedClients()): Journal {
  const bodies = createBodies(clients.s3, config.bucket, config.prefix);
  const table = createTable(clients.dynamodb, config.table);
  const folderOf = (rollbackId: string) => `rollbacks/${rollbackId}`;

  const readRecord = async (key: Key, doing: string, deadline: Deadline) => {
    const item = await table.get(key, doing, deadline);
    return item && decodeRecord(item);
  };

  const update =
    (entry: JournalEntry, expressions: Omit<UpdateItemCommandInput, "TableName" | "Key">) => (options: SendOptions) =>
      clients.dynamodb.send(
        new UpdateItemCommand({ TableName: config.table, Key: recordKey(entry), ...expressions }),
        options,
      );

  const opened = (entry: JournalEntry): OpenJournal => ({
    entry,
    async close(status, result, now, deadline) {
      const { rollbackId, writeToken } = entry;
      const doing = `closing the journal of ${rollbackId}`;
      const undone = `The journal has no end of ${rollbackId}, which counts as unfinished.`;
      const what = `the result of ${rollbackId}`;
      const stored = await bodies.putJson(folderOf(rollbackId), result, what, undone, deadline);
      const closed = await table.write(
        {
          action: "UpdateItem",
          doing,
          undone,
          unknown: `Whether the journal has the end of ${rollbackId} is not known: ${seeIt}.`,
          send: update(entry, {
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
            const found = await readRecord(recordKey(entry), doing, limit);
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
      yield decodeRecord(item);
    }
  };

  return {
    async open({ groups, description, plan, ...opening }, now, deadline) {
      const { rollbackId } = opening;
      const undone = `The journal does not have ${rollbackId}.`;
      const what = `the plan of ${rollbackId}`;
      const entry: JournalEntry = {
        ...opening,
        ...textsOf(groups, description),
        status: "running",
        startedAt: now.toISOString(),
        attempts: 1,
        writeToken: randomUUID(),
        plan: await bodies.putJson(folderOf(rollbackId), plan, what, undone, deadline),
      };
      const doing = `opening the journal of ${rollbackId}`;
      const once = { TableName: config.table, ConditionExpression: "attribute_not_exists(pk)" };
      const command = new TransactWriteItemsCommand({
        TransactItems: [
          { Put: { ...once, Item: encodeRecord(entry) } },
          { Put: { ...once, Item: encodePointer(entry) } },
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
            (await readRecord(recordKey(entry), doing, limit))?.writeToken === entry.writeToken,
        },
        deadline,
      );
      return written ? opened(entry) : "taken";
    },

    async find(rollbackId, deadline) {
      const key = pointerKey(rollbackId);
      const doing = `looking up ${rollbackId} in the journal`;
      const pointer = key && (await table.get(key, doing, deadline));
      if (pointer === undefined) return undefined;
      const found = await readRecord(decodePointer(pointer), doing, deadline);
      if (found !== undefined) return found;
      throw new SnapshotCorrupt(
        `the journal knows ${rollbackId}, but its record is gone from table ${config.table}. Restore it from a backup of ` +
          `the table, or delete the item rollback-id / ${JSON.stringify(rollbackId)}.`,
      );
    },

    async reopen(entry, now, deadline) {
      const { rollbackId } = entry;
      if (!isOpenTo(entry)) return undefined;
      const { endedAt: _, result: __, ...kept } = entry;
      const again: JournalEntry = {
        ...kept,
        status: "running",
        resumedAt: now.toISOString(),
        attempts: entry.attempts + 1,
        writeToken: randomUUID(),
      };
      const doing = `taking up ${rollbackId} again in the journal`;
      const reopened = await table.write(
        {
          action: "UpdateItem",
          doing,
          undone: `The journal has ${rollbackId} as it was.`,
          unknown: `Whether the journal has ${rollbackId} as taken up again is not known: ${seeIt}; it can be taken up again in either case.`,
          send: update(entry, {
            UpdateExpression:
              "SET #status = :running, resumed_at = :now, attempts = :attempts, write_token = :again " +
              "REMOVE ended_at, result_name, result_sha256",
            ConditionExpression: asItWas,
            ExpressionAttributeNames: { "#status": "status" },
            ExpressionAttributeValues: {
              ...wasOf(entry),
              ":running": { S: "running" },
              ":now": { S: now.toISOString() },
              ":attempts": { N: String(again.attempts) },
              ":again": { S: again.writeToken },
            },
          }),
          tookEffect: async (limit) =>
            (await readRecord(recordKey(entry), doing, limit))?.writeToken === again.writeToken,
        },
        deadline,
      );
      return reopened ? opened(again) : undefined;
    },

    async supersede(entry, by, deadline) {
      const doing = `marking ${entry.rollbackId} as superseded by ${by}`;
      const undone = `The journal may not say that ${entry.rollbackId} is superseded.`;
      let current: JournalEntry | undefined = entry;
      while (current !== undefined && isOpenTo(current)) {
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
        current = await readRecord(recordKey(entry), doing, deadline); // it has changed since, or the answer was lost
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
        const entry = decodeRecord(item);
        if (isOpenTo(entry)) yield entry;
      }
    },

    async list({ limit, nextToken }, deadline) {
      const after = nextToken === undefined ? undefined : decodeToken(nextToken);
      const entries: JournalEntry[] = [];
      for await (const found of newestFirst({ after, expect: limit + 1 }, deadline)) {
        const last = entries.at(-1);
        if (entries.length === limit && last) return { entries, nextToken: tokenAfter(last) };
        entries.push(found);
      }
      return { entries };
    },

    plan: ({ rollbackId, plan }, deadline) =>
      bodies.getJson(folderOf(rollbackId), plan, `the plan in the journal of ${rollbackId}`, deadline),

    async result({ rollbackId, result }, deadline) {
      if (result === undefined) return undefined;
      return bodies.getJson(folderOf(rollbackId), result, `the result in the journal of ${rollbackId}`, deadline);
    },
  };
}

/** Whether a rollback may be taken up again, or another may come in its place: it is none of the two for good. */
const isOpenTo = ({ status, supersededBy }: JournalEntry) =>
  status !== "success" && status !== "superseded" && supersededBy === undefined;

/** The condition that a record is what an entry says. */
const asItWas = "write_token = :was AND #status = :was_status AND attribute_not_exists(superseded_by)";
const wasOf = ({ writeToken, status }: JournalEntry) => ({ ":was": { S: writeToken }, ":was_status": { S: status } });
