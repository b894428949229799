import { randomUUID } from "node:crypto";
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { Deadline } from "../core/deadline.ts";
import { OperationError, SnapshotCorrupt } from "../core/errors.ts";
import { type HoldChange, holdText } from "./hold.ts";
import {
  entryItem,
  entryKey,
  filterExpression,
  holdAfter,
  keptByText,
  keyAt,
  type SnapshotEntry,
  type Stretch,
  snapshotPartition,
} from "./index-entry.ts";
import { type Caller, type Item, itemOf, type Key } from "./items.ts";
import { createTable } from "./table.ts";
import type { Unreadable } from "./unreadable.ts";

/** A scheduled execution that is to have one snapshot. */
export interface Execution<Taken> {
  readonly id: string;
  /** The snapshot with an id, if it is listed and can be read. */
  read(snapshotId: string): Promise<Taken | undefined>;
}

/** `taken`: the id is in use; `winner`: the scheduled execution has this snapshot already. */
type Listed<Taken> = "listed" | "taken" | { readonly winner: Taken };

/** How long the snapshot of a scheduled execution is remembered: deliveries are repeated for up to a day. */
const executionSeconds = 2 * 24 * 60 * 60;

/** Whether the execution that took a snapshot then may be delivered again. */
export const mayBeRepeated = (createdAt: string): boolean =>
  Date.now() < Date.parse(createdAt) + executionSeconds * 1_000;

/** What a failure to list a snapshot leaves behind, and the next step: where it is not listed, and where that is not known. */
interface Afterwards {
  readonly undone: string;
  readonly unknown: string;
}
const taking: Afterwards = {
  undone: "Nothing was listed: take the snapshot again.",
  unknown: "Whether it was listed is not known: check the list before you take it again.",
};
export const reindexing: Afterwards = {
  undone: "Its body is unchanged: call reindex again.",
  unknown: "Whether it is listed now is not known. Its body is unchanged: call reindex again.",
};

/** The index: see `createIndexTable`. */
export type IndexTable = ReturnType<typeof createIndexTable>;

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

  /** All items of a partition, the highest keys first. */
  const partition = (name: string, doing: string, deadline: Deadline) =>
    table.descending(
      { KeyConditionExpression: "pk = :pk", ExpressionAttributeValues: { ":pk": { S: name } } },
      doing,
      deadline,
    );

  const executionKey = (executionId: string): Key => ({ pk: { S: "execution" }, sk: { S: executionId } });

  /** The snapshot that an execution has; undefined where it has none, or its item could not be read. */
  const findExecution = async (executionId: string, unreadable: Unreadable | undefined, deadline: Deadline) => {
    const doing = `looking up the scheduled execution ${executionId}`;
    const item = await table.get(executionKey(executionId), doing, deadline);
    const snapshotId = item?.snapshot_id?.S;
    if (item !== undefined && snapshotId === undefined) {
      const what = `the item execution / ${JSON.stringify(executionId)} is not what was written: snapshot_id is missing.`;
      unreadable?.add(new SnapshotCorrupt(what, { next: "This snapshot replaces it." }));
    }
    return snapshotId;
  };

  /** Records who deletes a snapshot, before its body is deleted. */
  const recordDeletion = async (
    snapshotId: string,
    { requestedBy, callerArn, requestId }: Caller,
    deadline: Deadline,
  ): Promise<void> => {
    const deletedAt = new Date().toISOString();
    const record = itemOf({
      pk: "deletion",
      sk: `${deletedAt}#${snapshotId}#${randomUUID()}`,
      snapshot_id: snapshotId,
      requested_by: requestedBy,
      caller_arn: callerArn,
      request_id: requestId,
      deleted_at: deletedAt,
    });
    const doing = `recording the deletion of ${snapshotId}`;
    const undone = "It is no longer listed, but its body is still in the bucket: delete it again to finish.";
    await table.write({ changes: [{ put: record }], doing, undone }, deadline);
  };

  return {
    get,
    findExecution,

    /**
     * Lists a snapshot; with an execution, only if that has no snapshot yet that is listed and can be read: both or neither.
     *
     * @param writeToken the token that the body was written with. A row of the same bytes with this token is the row that this
     *   call was to write, even if another call wrote it.
     * @param afterwards what a failure leaves behind
     */
    async insert<Taken>(
      entry: SnapshotEntry,
      writeToken: string | undefined,
      deadline: Deadline,
      execution?: Execution<Taken>,
      afterwards: Afterwards = taking,
    ): Promise<Listed<Taken>> {
      const { undone, unknown } = afterwards;
      const { snapshotId, createdAt } = entry;
      const listing = { put: rowOf(entry, writeToken), condition: "attribute_not_exists(pk)" };
      let replaced: string | undefined;
      /** Writes that the execution has this snapshot, in place of one that is gone, or of an item that cannot be read. */
      const claiming = ({ id }: Execution<Taken>) => ({
        put: {
          ...executionKey(id),
          ...itemOf({ snapshot_id: snapshotId, expires_at: Date.parse(createdAt) / 1_000 + executionSeconds }),
        },
        condition: `NOT attribute_type(snapshot_id, :text)${replaced === undefined ? "" : " OR snapshot_id = :replaced"}`,
        values: itemOf({ text: "S", replaced }),
      });
      for (;;) {
        const listed = await table.write(
          {
            changes: execution === undefined ? [listing] : [listing, claiming(execution)],
            doing: `listing ${snapshotId}`,
            ...afterwards,
            async tookEffect(limit) {
              const found = await readEntry(snapshotId, limit, unknown);
              return found?.sha256?.S === entry.sha256 && found.write_token?.S === writeToken;
            },
          },
          deadline,
        );
        if (listed) return "listed";
        const unlisted = OperationError.withoutEffect(undone);
        const holder = execution && (await findExecution(execution.id, undefined, deadline).catch(unlisted));
        if (holder === undefined || holder === replaced) return "taken";
        const winner = await execution?.read(holder).catch(unlisted);
        if (winner !== undefined) return { winner };
        replaced = holder; // the execution may have this one instead
      }
    },

    /** The listed entries of a stretch, newest first, fetched as they are consumed. */
    newestFirst({ from, to, after, filters = {}, expect }: Stretch, unreadable: Unreadable, deadline: Deadline) {
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
      return entryItem.decodeAll(table.descending(query, "reading the list of snapshots", deadline), unreadable);
    },

    /**
     * Writes the row of a snapshot anew, if the one that it has is of the same body. False: it is of another, or hidden, or the
     * snapshot was held or released since `seen`, which is the change that its row had.
     */
    async repair(
      entry: SnapshotEntry,
      writeToken: string | undefined,
      seen: string | undefined,
      deadline: Deadline,
    ): Promise<boolean> {
      const change = {
        put: rowOf(entry, writeToken),
        condition: `sha256 = :sha256 AND attribute_not_exists(deleting) AND ${unchangedSince(seen)}`,
        values: itemOf({ sha256: entry.sha256, seen }),
      };
      return table.write({ changes: [change], doing: `repairing ${entry.snapshotId}`, ...reindexing }, deadline);
    },

    /**
     * Writes that a listed snapshot is held or released. False: it is not there any more, or another call has changed its hold
     * since `seen`, which is the change that its row had.
     */
    async setHold(snapshotId: string, to: HoldChange, seen: string | undefined, deadline: Deadline): Promise<boolean> {
      const key = entryKey(snapshotId);
      if (key === undefined) return false;
      const { hold } = holdAfter(to);
      const update = {
        update: key,
        expression:
          hold === undefined ? "SET hold_change = :change REMOVE #hold" : "SET #hold = :hold, hold_change = :change",
        condition: `attribute_exists(pk) AND attribute_not_exists(deleting) AND ${unchangedSince(seen)}`,
        values: itemOf({ hold: hold && holdText.encode(hold), change: to.change, seen }),
      };
      return table.write(
        {
          changes: [update],
          doing: `${to.held ? "holding" : "releasing"} ${snapshotId}`,
          undone: "The index did not change: call hold again.",
          unknown: "Whether the index changed is not known: call hold again.",
          tookEffect: async (limit) => (await readEntry(snapshotId, limit))?.hold_change?.S === to.change,
        },
        deadline,
      );
    },

    /** Notes why a snapshot is kept, unless it is being deleted. */
    async noteKept(snapshotId: string, because: readonly string[], deadline: Deadline): Promise<void> {
      const key = entryKey(snapshotId);
      if (key === undefined) return;
      const change = {
        update: key,
        expression: "SET kept_by = :kept_by",
        condition: "attribute_exists(pk) AND attribute_not_exists(deleting)",
        values: itemOf({ kept_by: keptByText.encode(because) }),
      };
      const undone = "list shows the reasons of an earlier run.";
      await table.write({ changes: [change], doing: `noting why ${snapshotId} is kept`, undone }, deadline);
    },

    /** The row of a snapshot as it is, also of a hidden one. */
    row: readEntry,

    /** All rows of snapshots as they are, hidden ones too, newest first. */
    rows: (deadline: Deadline) => partition(snapshotPartition, "reading all rows of the index", deadline),

    /** When snapshots were deleted, the last time: ISO 8601, by their ids. */
    async deletions(deadline: Deadline): Promise<ReadonlyMap<string, string>> {
      const times = new Map<string, string>();
      for await (const { snapshot_id, deleted_at } of partition("deletion", "reading the deletions", deadline)) {
        if (snapshot_id?.S === undefined || deleted_at?.S === undefined || times.has(snapshot_id.S)) continue;
        times.set(snapshot_id.S, deleted_at.S);
      }
      return times;
    },

    /**
     * Hides a snapshot, as the first step of deleting it, then records who did. False: there is none, or it is held. If it ends between the two
     * writes, the snapshot is hidden without a record, and the next call writes one. They are no transaction: AWS does not
     * document how rights on some rows only (`dynamodb:LeadingKeys`) apply to the parts of one.
     */
    async hide(snapshotId: string, by: Caller, deadline: Deadline): Promise<boolean> {
      const key = entryKey(snapshotId);
      if (key === undefined) return false;
      const condition = "attribute_exists(pk) AND attribute_not_exists(#hold)";
      const mark = { update: key, expression: "SET deleting = :true", condition, values: yes };
      const hiding = { changes: [mark], doing: `hiding ${snapshotId}`, undone: "Delete it again to finish." };
      if (!(await table.write(hiding, deadline))) return false;
      await recordDeletion(snapshotId, by, deadline);
      return true;
    },

    recordDeletion,

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

/** The row of a snapshot: its entry, and the token that its body was written with. */
const rowOf = (entry: SnapshotEntry, writeToken: string | undefined): Item => ({
  ...entryItem.encode(entry),
  ...itemOf({ write_token: writeToken }),
});

/** The condition that the hold of a snapshot is the one that was seen. */
const unchangedSince = (seen: string | undefined) =>
  seen === undefined ? "attribute_not_exists(hold_change)" : "hold_change = :seen";

const yes = { true: { BOOL: true } };
