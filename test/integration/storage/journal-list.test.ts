import { type AttributeValue, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { describe, expect, test } from "vitest";
import { InvalidRequest } from "../../../functions/shared/core/errors.ts";
import type { JournalRecord } from "../../../functions/shared/storage/journal-record.ts";
import { createUnreadable, type Unreadable } from "../../../functions/shared/storage/unreadable.ts";
import { within } from "../../support/deadline.ts";
import { second } from "./fixture.ts";
import { opening, testJournal, unreadable } from "./journal-fixture.ts";

const { storage, journal, shaky, open } = testJournal();

describe("the list", () => {
  /** Every page, as ids. */
  async function pages(limit: number): Promise<string[][]> {
    const seen: string[][] = [];
    let nextToken: string | undefined;
    do {
      const page = await journal().list({ limit, nextToken }, within());
      seen.push(page.entries.map(({ rollbackId }) => rollbackId));
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
    return seen;
  }

  test("of nothing is empty, and has no next page", async () => {
    expect(await journal().list({ limit: 10 }, within())).toEqual({ entries: [], warnings: [] });
  });

  test("has each record once, newest first, and every page but the last is full", async () => {
    const expected = ["e", "d", "c-2", "c-1", "b", "a"];
    for (const [id, at] of [
      ["b", 1],
      ["a", 0],
      ["d", 3],
      ["c-1", 2],
      ["c-2", 2],
      ["e", 4],
    ] as const)
      await open(id, at);
    for (const limit of [1, 2, 3, 4, 5, 6, 7]) {
      const seen = await pages(limit);
      expect(seen.flat()).toEqual(expected);
      for (const page of seen.slice(0, -1)) expect(page).toHaveLength(limit);
      expect(seen.at(-1)).not.toEqual([]);
    }
  });

  test("takes one query per page", async () => {
    for (const at of [0, 1, 2]) await open(`r-${at}`, at);
    await shaky().list({ limit: 2 }, within());
    expect(storage.faults.calls).toEqual(["Query"]);
  });

  test("refuses a token that it did not return", async () => {
    await open();
    for (const nextToken of ["", "x", Buffer.from("snapshot-2025-01-15T10:30:00Z").toString("base64url")]) {
      const refused = journal().list({ limit: 2, nextToken }, within());
      await expect(refused).rejects.toThrow(InvalidRequest);
      await expect(refused).rejects.toThrow(/next_token/);
    }
  });

  test("since a time has the newest record first, and ends with records of that time", async () => {
    for (const at of [0, 1, 2, 3]) await open(`r-${at}`, at);
    const since = async (time: Date | undefined) => {
      const ids: string[] = [];
      for await (const { rollbackId } of journal().newestFirst(time, unreadable, within())) ids.push(rollbackId);
      return ids;
    };
    expect(await since(undefined)).toEqual(["r-3", "r-2", "r-1", "r-0"]);
    expect(await since(second(2))).toEqual(["r-3", "r-2"]);
    expect(await since(new Date(second(2).getTime() + 1))).toEqual(["r-3"]);
    expect(await since(second(4))).toEqual([]);
  });

  test("reads further records only when they are consumed", async () => {
    for (let i = 0; i < 30; i++) await open(`r-${i}`, i);
    for await (const { rollbackId } of shaky().newestFirst(undefined, unreadable, within())) {
      expect(rollbackId).toBe("r-29");
      break;
    }
    expect(storage.faults.calls).toEqual(["Query"]);
    const ids: string[] = [];
    for await (const { rollbackId } of shaky().newestFirst(undefined, unreadable, within())) ids.push(rollbackId);
    expect(ids).toHaveLength(30);
    expect(storage.faults.calls).toEqual(["Query", "Query", "Query"]); // 25 at a time
  });
});

describe("records that cannot be read", () => {
  const put = (sk: string, more: Record<string, AttributeValue> = {}) =>
    storage.dynamodb.send(
      new PutItemCommand({ TableName: storage.config.table, Item: { pk: { S: "rollback" }, sk: { S: sk }, ...more } }),
    );
  const ids = async (records: AsyncIterable<JournalRecord>) => {
    const found: string[] = [];
    for await (const { rollbackId } of records) found.push(rollbackId);
    return found;
  };
  const stray = ["zzz", "2025-01-15T10:30:01.000Z#r-9", "0"];
  const all = stray.map((key) => expect.stringContaining(`because it cannot be read: the item rollback / "${key}" `));
  async function three() {
    for (const at of [0, 1, 2]) await open(`r-${at}`, at);
    for (const key of stray) await put(key, { status: { S: "paused" } });
  }

  test.each([1, 2, 3])(
    "are left out of the list with %i per page: pages stay full, and each is named once",
    async (limit) => {
      await three();
      const [seen, warnings]: [string[], string[]] = [[], []];
      for (let nextToken: string | undefined, first = true; first || nextToken !== undefined; first = false) {
        const page = await journal().list({ limit, nextToken }, within());
        nextToken = page.nextToken;
        expect(page.entries.length === limit || nextToken === undefined).toBe(true);
        seen.push(...page.entries.map(({ rollbackId }) => rollbackId));
        warnings.push(...page.warnings);
      }
      expect(seen).toEqual(["r-2", "r-1", "r-0"]);
      expect(warnings).toEqual(all);
    },
  );

  test("are left out of the searches, with a warning each", async () => {
    await three();
    for (const read of [
      (unreadable: Unreadable) => journal().newestFirst(undefined, unreadable, within()),
      (unreadable: Unreadable) => journal().resumable(unreadable, within()),
    ]) {
      const unreadable = createUnreadable("the search");
      expect(await ids(read(unreadable))).toEqual(["r-2", "r-1", "r-0"]);
      expect(unreadable.warnings()).toEqual(all);
      await ids(read(unreadable));
      expect(unreadable.warnings()).toEqual(all);
    }
  });

  test("are named if they may have the safety snapshot that is looked for", async () => {
    const safetySnapshotId = "snapshot-2025-01-15T10:31:00Z";
    for (const [rollbackId, at] of [
      ["r-0", 59],
      ["r-1", 60],
      ["r-2", 61],
      ["r-3", 60 + 901],
    ] as const) {
      await journal().open(opening(rollbackId, { safetySnapshotId }), second(at), within());
    }
    await journal().open(opening("r-4", { safetySnapshotId: null }), second(62), within());
    await put("2025-01-15T10:31:01.000Z#r-9");
    await put("zzz");
    const { records, warnings } = await journal().undoneWith(safetySnapshotId, within());
    expect(records.map(({ rollbackId }) => rollbackId)).toEqual(["r-2", "r-1"]);
    expect(warnings).toEqual([expect.stringContaining('/ "2025-01-15T10:31:01.000Z#r-9" ')]);
    expect(await journal().undoneWith("anything", within())).toEqual({ records: [], warnings: [] });
  });
});
