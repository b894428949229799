import {
  ConditionalCheckFailedException,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  TransactionCanceledException,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import type { Deadline } from "../core/deadline.ts";
import { Configuration, SnapshotCorrupt, StorageUnavailable } from "../core/errors.ts";
import type { SnapshotStatus } from "../core/model.ts";
import { type AwsCall, answer, awsFailure, callAws, pause, type SendOptions } from "./aws-call.ts";
import { decodeEntry, encodeEntry, entryKey, type Item, type SnapshotEntry, snapshotPartition } from "./index-entry.ts";

/** A stretch of the index, by sort keys: `from` and `to` belong to it, `after` (the last one seen) does not. */
export interface Stretch {
  readonly from: string;
  readonly to: string;
  readonly after?: string;
  readonly status?: SnapshotStatus;
  /** How many entries are probably wanted. */
  readonly expect: number;
}

/** The firing of a schedule that a snapshot is the answer to. */
interface Claim {
  readonly executionId: string;
  /** When DynamoDB may forget the claim, in seconds since 1970. */
  readonly expiresAt: number;
}

/** What became of an entry: listed; not, as its id is somebody else's; not, as its firing has a snapshot already. */
type Listed = "listed" | "taken" | { readonly winner: SnapshotEntry };

/** The table: an entry for each snapshot, and which firing of a schedule has got which snapshot. Reads are consistent. */
export interface IndexTable {
  /** Lists a snapshot, and with a claim only if the firing has no listed snapshot yet: both or neither. */
  insert(entry: SnapshotEntry, writeToken: string, claim: Claim | undefined, deadline: Deadline): Promise<Listed>;
  /** The entry of a snapshot; undefined where it is not listed or being deleted. */
  get(snapshotId: string, deadline: Deadline): Promise<SnapshotEntry | undefined>;
  /** The entry of the snapshot that a firing has got, if that is listed. */
  findExecution(executionId: string, deadline: Deadline): Promise<SnapshotEntry | undefined>;
  /** The listed entries of a stretch, newest first, fetched as they are asked for. */
  newestFirst(stretch: Stretch, deadline: Deadline): AsyncGenerator<SnapshotEntry, void>;
  /** Hides a snapshot for good, as the first step of deleting it; false where there is none. */
  hide(snapshotId: string, deadline: Deadline): Promise<boolean>;
  /** Forgets a hidden snapshot, as the last step of deleting it; one that is gone is no error, a listed one stays. */
  forget(snapshotId: string, deadline: Deadline): Promise<void>;
}

const nothingListed = "Nothing was listed: take the snapshot again.";
const mostConflicts = 8;
const notKnown = "Whether it was listed is not known: look at the list before you take it again.";

/** The index in a table with the string keys `pk` and `sk`. All methods throw what `callAws` throws. */
export function createIndexTable(dynamodb: DynamoDBClient, table: string): IndexTable {
  const call = (action: string, doing: string, afterwards?: string): AwsCall => ({
    service: "DynamoDB",
    action,
    resource: `table ${table}`,
    doing,
    ...(afterwards !== undefined && { afterwards }),
  });

  const read = async (key: Item, looking: AwsCall, deadline: Deadline): Promise<Item | undefined> => {
    const command = new GetItemCommand({ TableName: table, Key: key, ConsistentRead: true });
    return (await callAws(looking, deadline, (options) => dynamodb.send(command, options))).Item;
  };

  const readEntry = async (snapshotId: string, deadline: Deadline, afterwards?: string) => {
    const key = entryKey(snapshotId);
    return key && read(key, call("GetItem", `looking up ${snapshotId}`, afterwards), deadline);
  };

  const get = async (snapshotId: string, deadline: Deadline) => {
    const item = await readEntry(snapshotId, deadline);
    return item === undefined || item.deleting !== undefined ? undefined : decodeEntry(item);
  };

  const executionKey = (executionId: string) => ({ pk: { S: "execution" }, sk: { S: executionId } });

  const snapshotOfExecution = async (executionId: string, deadline: Deadline) => {
    const looking = call("GetItem", `looking up the scheduled execution ${executionId}`);
    const item = await read(executionKey(executionId), looking, deadline);
    const snapshotId = item?.snapshot_id?.S;
    if (item !== undefined && snapshotId === undefined) {
      throw new SnapshotCorrupt(
        `the index item execution / ${executionId} is not what was written: snapshot_id is missing.`,
      );
    }
    return snapshotId;
  };

  /** Whether the entry is there and was written with this token: what a lost answer would have said. */
  const isOurs = async (snapshotId: string, writeToken: string, deadline: Deadline) =>
    (await readEntry(snapshotId, deadline, notKnown))?.write_token?.S === writeToken;

  /** Writes the entry, with the claim if there is one, which may replace that of the snapshot `stale`. */
  const write = (item: Item, claim: Claim | undefined, stale: string | undefined, options: SendOptions) => {
    const put = { TableName: table, Item: item, ConditionExpression: "attribute_not_exists(pk)" };
    if (claim === undefined) return dynamodb.send(new PutItemCommand(put), options);
    const claimed = {
      TableName: table,
      Item: {
        ...executionKey(claim.executionId),
        ...(item.snapshot_id && { snapshot_id: item.snapshot_id }),
        expires_at: { N: String(claim.expiresAt) },
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

  /** Tries to write once. A failure is believed only when the entry is not there: its answer may have been lost. */
  const tryInsert = async (
    entry: SnapshotEntry,
    writeToken: string,
    claim: Claim | undefined,
    stale: string | undefined,
    deadline: Deadline,
  ): Promise<"listed" | Refusal> => {
    const item = encodeEntry(entry, writeToken);
    const listing = call(claim === undefined ? "PutItem" : "TransactWriteItems", `listing ${entry.snapshotId}`);
    try {
      return await callAws(listing, deadline, (options) =>
        write(item, claim, stale, options).then(() => "listed" as const, refusalOf),
      );
    } catch (error) {
      const refused = error instanceof Configuration;
      const ours = refused ? false : await isOurs(entry.snapshotId, writeToken, deadline).catch(() => undefined);
      if (ours) return "listed";
      const cause = error instanceof Error ? error.cause : error;
      throw awsFailure({ ...listing, afterwards: ours === false ? nothingListed : notKnown }, deadline, cause);
    }
  };

  const contended = (snapshotId: string) =>
    new StorageUnavailable(
      `somebody else kept writing to table ${table} what was to be written to list ${snapshotId}. ${nothingListed}`,
    );

  return {
    get,

    async insert(entry, writeToken, claim, deadline) {
      let stale: string | undefined;
      for (let attempt = 0; ; attempt++) {
        const outcome = await tryInsert(entry, writeToken, claim, stale, deadline);
        if (outcome === "listed") return outcome;
        if (outcome === "conflict") {
          if (attempt === mostConflicts) throw contended(entry.snapshotId);
          await pause(attempt, deadline);
          continue;
        }
        if (await isOurs(entry.snapshotId, writeToken, deadline)) return "listed";
        const holder = claim && (await snapshotOfExecution(claim.executionId, deadline));
        if (holder === undefined || holder === stale) return "taken";
        const winner = await get(holder, deadline);
        if (winner !== undefined) return { winner };
        stale = holder; // that snapshot has been deleted since: the firing may have this one
      }
    },

    async findExecution(executionId, deadline) {
      const snapshotId = await snapshotOfExecution(executionId, deadline);
      return snapshotId === undefined ? undefined : get(snapshotId, deadline);
    },

    async *newestFirst({ from, to, after, status, expect }, deadline) {
      let start: Item | undefined =
        after === undefined ? undefined : { pk: { S: snapshotPartition }, sk: { S: after } };
      do {
        const page = new QueryCommand({
          TableName: table,
          ConsistentRead: true,
          ScanIndexForward: false,
          KeyConditionExpression: "pk = :pk AND sk BETWEEN :from AND :to",
          FilterExpression: `attribute_not_exists(deleting)${status === undefined ? "" : " AND #status = :status"}`,
          ...(status !== undefined && { ExpressionAttributeNames: { "#status": "status" } }),
          ExpressionAttributeValues: {
            ":pk": { S: snapshotPartition },
            ":from": { S: from },
            ":to": { S: to },
            ...(status !== undefined && { ":status": { S: status } }),
          },
          ...(status === undefined && { Limit: expect }), // a filter may hide most of a page: then as much as fits
          ExclusiveStartKey: start,
        });
        const found = await callAws(call("Query", "reading the list of snapshots"), deadline, (options) =>
          dynamodb.send(page, options),
        );
        yield* (found.Items ?? []).map(decodeEntry);
        start = found.LastEvaluatedKey;
      } while (start !== undefined);
    },

    async hide(snapshotId, deadline) {
      const key = entryKey(snapshotId);
      if (key === undefined) return false;
      const command = new UpdateItemCommand({
        TableName: table,
        Key: key,
        UpdateExpression: "SET deleting = :true",
        ConditionExpression: "attribute_exists(pk)",
        ExpressionAttributeValues: { ":true": { BOOL: true } },
      });
      return callAws(call("UpdateItem", `hiding ${snapshotId}`, "Delete it again to finish."), deadline, (options) =>
        dynamodb
          .send(command, options)
          .then(() => true)
          .catch(answer(false, "ConditionalCheckFailedException")),
      );
    },

    async forget(snapshotId, deadline) {
      const command = new DeleteItemCommand({
        TableName: table,
        Key: entryKey(snapshotId),
        ConditionExpression: "deleting = :true",
        ExpressionAttributeValues: { ":true": { BOOL: true } },
      });
      const afterwards = "Its body is gone, and it is no longer listed: delete it again to finish.";
      await callAws(call("DeleteItem", `forgetting ${snapshotId}`, afterwards), deadline, (options) =>
        dynamodb.send(command, options).catch(answer(undefined, "ConditionalCheckFailedException")),
      );
    },
  };
}

/** Why a write did not happen: a condition does not hold, or somebody writes the same item just now. */
type Refusal = "refused" | "conflict";

function refusalOf(error: unknown): Refusal {
  if (error instanceof TransactionCanceledException) {
    const codes = (error.CancellationReasons ?? []).map(({ Code }) => Code);
    if (codes.includes("ConditionalCheckFailed")) return "refused";
    if (codes.includes("TransactionConflict")) return "conflict";
  }
  if (error instanceof ConditionalCheckFailedException) return "refused";
  if (error instanceof Error && error.name === "TransactionConflictException") return "conflict";
  throw error;
}
