import { randomUUID } from "node:crypto";
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { Deadline } from "../core/deadline.ts";
import { SnapshotCorrupt } from "../core/errors.ts";
import {
  entryItem,
  entryKey,
  filterExpression,
  keyAt,
  type SnapshotEntry,
  type Stretch,
  snapshotPartition,
} from "./index-entry.ts";
import { itemOf, type Key } from "./items.ts";
import { createTable } from "./table.ts";

/** Who deletes a snapshot, and by which request. */
export interface Deletion {
  readonly requestedBy: string | null;
  readonly requestId: string;
}

/** `taken`: the id is in use; `winner`: the scheduled execution has this snapshot already. */
type Listed = "listed" | "taken" | { readonly winner: SnapshotEntry };

/** How long the snapshot of a scheduled execution is remembered: deliveries are repeated for up to a day. */
const executionSeconds = 2 * 24 * 60 * 60;
const notKnown = "Whether it was listed is not known: check the list before you take it again.";

/**
 * The index in a table with the string keys `pk` and `sk`: an entry for each snapshot, and the snapshot of each scheduled
 * execution. Reads are consistent. All methods throw what `callAws` throws.
 */
export function createIndexTable(dynamodb: DynamoDBClient, name: string) {
  const table = createTable(dynamodb, name);

  const readEntry = async (snapshotId: string, deadline: Deadline, afterwards?: string) => {
    const key = entryKey(snapshotId);
    return key && table.get(key, `looking up ${snapshotId}`, deadline, afterwards);
  };

  /** The entry of a snapshot; undefined where it is not listed or being deleted. */
  const get = async (snapshotId: string, deadline: Deadline): Promise<SnapshotEntry | undefined> => {
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

  return {
    get,

    /** Lists a snapshot; with an execution, only if that has no listed snapshot yet: both or neither. */
    async insert(entry: SnapshotEntry, writeToken: string, deadline: Deadline, executionId?: string): Promise<Listed> {
      const { snapshotId, createdAt } = entry;
      const listing = {
        put: { ...entryItem.encode(entry), write_token: { S: writeToken } },
        condition: "attribute_not_exists(pk)",
      };
      /** Writes that the execution has this snapshot, in place of one that was deleted. */
      const claiming = (execution: string, deleted: string | undefined) => ({
        put: {
          ...executionKey(execution),
          ...itemOf({ snapshot_id: snapshotId, expires_at: Date.parse(createdAt) / 1_000 + executionSeconds }),
        },
        condition: `attribute_not_exists(pk)${deleted === undefined ? "" : " OR snapshot_id = :deleted"}`,
        ...(deleted !== undefined && { values: itemOf({ deleted }) }),
      });
      let deleted: string | undefined;
      for (;;) {
        const listed = await table.write(
          {
            changes: executionId === undefined ? [listing] : [listing, claiming(executionId, deleted)],
            doing: `listing ${snapshotId}`,
            undone: "Nothing was listed: take the snapshot again.",
            unknown: notKnown,
            tookEffect: async (limit) => (await readEntry(snapshotId, limit, notKnown))?.write_token?.S === writeToken,
          },
          deadline,
        );
        if (listed) return "listed";
        const holder = executionId === undefined ? undefined : await snapshotOfExecution(executionId, deadline);
        if (holder === undefined || holder === deleted) return "taken";
        const winner = await get(holder, deadline);
        if (winner !== undefined) return { winner };
        deleted = holder; // the execution may have this one instead
      }
    },

    /** The entry of an execution's snapshot, if that is listed. */
    async findExecution(executionId: string, deadline: Deadline): Promise<SnapshotEntry | undefined> {
      const snapshotId = await snapshotOfExecution(executionId, deadline);
      return snapshotId === undefined ? undefined : get(snapshotId, deadline);
    },

    /** The listed entries of a stretch, newest first, fetched as they are consumed. */
    async *newestFirst({ from, to, after, filters = {}, expect }: Stretch, deadline: Deadline) {
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

    /** Hides a snapshot, as the first step of deleting it, and records who did: both or neither. False: there is none. */
    async hide(snapshotId: string, { requestedBy, requestId }: Deletion, deadline: Deadline): Promise<boolean> {
      const key = entryKey(snapshotId);
      if (key === undefined) return false;
      const deletedAt = new Date().toISOString();
      const record = itemOf({
        pk: "deletion",
        sk: `${deletedAt}#${snapshotId}#${randomUUID()}`,
        snapshot_id: snapshotId,
        requested_by: requestedBy,
        request_id: requestId,
        deleted_at: deletedAt,
      });
      const changes = [
        { update: key, expression: "SET deleting = :true", condition: "attribute_exists(pk)", values: yes },
        { put: record },
      ];
      return table.write({ changes, doing: `hiding ${snapshotId}`, undone: "Delete it again to finish." }, deadline);
    },

    /** Removes a hidden snapshot, as the last step of deleting it; one that is gone is no error, a listed one stays. */
    async forget(snapshotId: string, deadline: Deadline): Promise<void> {
      const key = entryKey(snapshotId);
      if (key === undefined) return;
      const undone = "Its body is gone, and it is no longer listed: delete it again to finish.";
      const changes = [{ remove: key, condition: "deleting = :true", values: yes }];
      await table.write({ changes, doing: `forgetting ${snapshotId}`, undone }, deadline);
    },
  };
}

const yes = { true: { BOOL: true } };
