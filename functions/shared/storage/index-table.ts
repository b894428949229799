import { randomUUID } from "node:crypto";
import {
  DeleteItemCommand,
  type DynamoDBClient,
  PutItemCommand,
  TransactWriteItemsCommand,
} from "@aws-sdk/client-dynamodb";
import type { Deadline } from "../core/deadline.ts";
import { SnapshotCorrupt } from "../core/errors.ts";
import type { SendOptions } from "./aws-call.ts";
import {
  entryItem,
  entryKey,
  filterExpression,
  keyAt,
  type SnapshotEntry,
  type Stretch,
  snapshotPartition,
} from "./index-entry.ts";
import { type Item, itemOf, type Key } from "./items.ts";
import { createTable } from "./table.ts";

/** The execution of a schedule that a snapshot is taken for. */
interface Claim {
  readonly executionId: string;
  /** When DynamoDB may forget the claim, in seconds since 1970. */
  readonly expiresAt: number;
}

/** Who deletes a snapshot, by which request, and when. */
export interface Deletion {
  readonly requestedBy: string | null;
  readonly requestId: string;
  readonly at: Date;
}

/** `taken`: the id is in use; `winner`: the scheduled execution has this snapshot already. */
type Listed = "listed" | "taken" | { readonly winner: SnapshotEntry };

/** The index: an entry for each snapshot, and the snapshot of each scheduled execution. Reads are consistent. */
export interface IndexTable {
  /** Lists a snapshot; with a claim, only if the execution has no listed snapshot yet: both or neither. */
  insert(entry: SnapshotEntry, writeToken: string, claim: Claim | undefined, deadline: Deadline): Promise<Listed>;
  /** The entry of a snapshot; undefined where it is not listed or being deleted. */
  get(snapshotId: string, deadline: Deadline): Promise<SnapshotEntry | undefined>;
  /** The entry of an execution's snapshot, if that is listed. */
  findExecution(executionId: string, deadline: Deadline): Promise<SnapshotEntry | undefined>;
  /** The listed entries of a stretch, newest first, fetched as they are consumed. */
  newestFirst(stretch: Stretch, deadline: Deadline): AsyncGenerator<SnapshotEntry, void>;
  /** Hides a snapshot, as the first step of deleting it, and records who did: both or neither. False: there is none. */
  hide(snapshotId: string, deletion: Deletion, deadline: Deadline): Promise<boolean>;
  /** Removes a hidden snapshot, as the last step of deleting it; one that is gone is no error, a listed one stays. */
  forget(snapshotId: string, deadline: Deadline): Promise<void>;
}

const nothingListed = "Nothing was listed: take the snapshot again.";
const notKnown = "Whether it was listed is not known: check the list before you take it again.";

/** The index in a table with the string keys `pk` and `sk`. All methods throw what `callAws` throws. */
export function createIndexTable(dynamodb: DynamoDBClient, name: string): IndexTable {
  const table = createTable(dynamodb, name);

  const readEntry = async (snapshotId: string, deadline: Deadline, afterwards?: string) => {
    const key = entryKey(snapshotId);
    return key && table.get(key, `looking up ${snapshotId}`, deadline, afterwards);
  };

  const get = async (snapshotId: string, deadline: Deadline) => {
    const item = await readEntry(snapshotId, deadline);
    return item === undefined || item.deleting !== undefined ? undefined : entryItem.decode(item);
  };

  const executionKey = (executionId: string): Key => ({ pk: { S: "execution" }, sk: { S: executionId } });

  const snapshotOfExecution = async (executionId: string, deadline: Deadline) => {
    const doing = `looking up the scheduled execution ${executionId}`;
    const item = await table.get(executionKey(executionId), doing, deadline);
    const snapshotId = item?.snapshot_id?.S;
    if (item !== undefined && snapshotId === undefined) {
      throw new SnapshotCorrupt(
        `the index item execution / ${executionId} is not what was written: snapshot_id is missing.`,
      );
    }
    return snapshotId;
  };

  /** Whether the entry was written with this token: what a lost answer would have said. */
  const isWrittenWith = async (snapshotId: string, writeToken: string, deadline: Deadline) =>
    (await readEntry(snapshotId, deadline, notKnown))?.write_token?.S === writeToken;

  /** Writes the entry, with the claim if there is one, which may replace that of the snapshot `stale`. */
  const write = (item: Item, claim: Claim | undefined, stale: string | undefined, options: SendOptions) => {
    const put = { TableName: name, Item: item, ConditionExpression: "attribute_not_exists(pk)" };
    if (claim === undefined) return dynamodb.send(new PutItemCommand(put), options);
    const claimed = {
      TableName: name,
      Item: {
        ...executionKey(claim.executionId),
        ...itemOf({ snapshot_id: item.snapshot_id?.S, expires_at: claim.expiresAt }),
      },
      ...(stale === undefined
        ? { ConditionExpression: "attribute_not_exists(pk)" }
        : {
            ConditionExpression: "attribute_not_exists(pk) OR snapshot_id = :stale",
            ExpressionAttributeValues: { ":stale": { S: stale } },
          }),
    };
    return dynamodb.send(new TransactWriteItemsCommand({ TransactItems: [{ Put: put }, { Put: claimed }] }), options);
  };

  return {
    get,

    async insert(entry, writeToken, claim, deadline) {
      const item = { ...entryItem.encode(entry), write_token: { S: writeToken } };
      let stale: string | undefined;
      for (;;) {
        const listed = await table.write(
          {
            action: claim === undefined ? "PutItem" : "TransactWriteItems",
            doing: `listing ${entry.snapshotId}`,
            undone: nothingListed,
            unknown: notKnown,
            send: (options) => write(item, claim, stale, options),
            tookEffect: (limit) => isWrittenWith(entry.snapshotId, writeToken, limit),
          },
          deadline,
        );
        if (listed) return "listed";
        const holder = claim && (await snapshotOfExecution(claim.executionId, deadline));
        if (holder === undefined || holder === stale) return "taken";
        const winner = await get(holder, deadline);
        if (winner !== undefined) return { winner };
        stale = holder; // that snapshot has been deleted since: the execution may have this one
      }
    },

    async findExecution(executionId, deadline) {
      const snapshotId = await snapshotOfExecution(executionId, deadline);
      return snapshotId === undefined ? undefined : get(snapshotId, deadline);
    },

    async *newestFirst({ from, to, after, filters = {}, expect }, deadline) {
      const { FilterExpression, names, values } = filterExpression(filters);
      const filtered = Object.keys(names).length > 0;
      const query = {
        KeyConditionExpression: "pk = :pk AND sk BETWEEN :from AND :to",
        FilterExpression,
        ...(filtered && { ExpressionAttributeNames: names }),
        ExpressionAttributeValues: {
          ...values,
          ":pk": { S: snapshotPartition },
          ":from": { S: from },
          ":to": { S: to },
        },
        ...(!filtered && { Limit: expect }), // a filter may hide most of a page: then as much as fits
        ExclusiveStartKey: after === undefined ? undefined : keyAt(after),
      };
      for await (const item of table.descending(query, "reading the list of snapshots", deadline)) {
        yield entryItem.decode(item);
      }
    },

    async hide(snapshotId, deletion, deadline) {
      const key = entryKey(snapshotId);
      if (key === undefined) return false;
      const hiding = {
        TableName: name,
        Key: key,
        UpdateExpression: "SET deleting = :true",
        ConditionExpression: "attribute_exists(pk)",
        ExpressionAttributeValues: { ":true": { BOOL: true } },
      };
      const recording = { TableName: name, Item: encodeDeletion(snapshotId, deletion) };
      const command = new TransactWriteItemsCommand({ TransactItems: [{ Update: hiding }, { Put: recording }] });
      return table.write(
        {
          action: "TransactWriteItems",
          doing: `hiding ${snapshotId}`,
          undone: "Delete it again to finish.",
          send: (options) => dynamodb.send(command, options),
        },
        deadline,
      );
    },

    async forget(snapshotId, deadline) {
      const command = new DeleteItemCommand({
        TableName: name,
        Key: entryKey(snapshotId),
        ConditionExpression: "deleting = :true",
        ExpressionAttributeValues: { ":true": { BOOL: true } },
      });
      await table.write(
        {
          action: "DeleteItem",
          doing: `forgetting ${snapshotId}`,
          undone: "Its body is gone, and it is no longer listed: delete it again to finish.",
          send: (options) => dynamodb.send(command, options),
        },
        deadline,
      );
    },
  };
}

/** The item that records a deletion. */
function encodeDeletion(snapshotId: string, { requestedBy, requestId, at }: Deletion): Item {
  const deletedAt = at.toISOString();
  return itemOf({
    pk: "deletion",
    sk: `${deletedAt}#${snapshotId}#${randomUUID()}`,
    snapshot_id: snapshotId,
    requested_by: requestedBy,
    request_id: requestId,
    deleted_at: deletedAt,
  });
}
