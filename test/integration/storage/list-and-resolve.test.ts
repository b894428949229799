import { UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { beforeEach, describe, expect, test } from "vitest";
import { InvalidRequest, SnapshotNotFound } from "../../../functions/shared/core/errors.ts";
import type { SnapshotContent } from "../../../functions/shared/core/model.ts";
import type { ListRequest } from "../../../functions/shared/storage/index-entry.ts";
import { within } from "../../support/deadline.ts";
import { ana, content, second, testArchive } from "./fixture.ts";

const storage = testArchive();
const id = (n: number, number = 1) =>
  `snapshot-${second(n).toISOString().slice(0, 19)}Z${number === 1 ? "" : `-${number}`}`;
const errors = [{ group: "gone", error: "KafkaUnavailable", message: "no coordinator" }];

async function save(at: number, more: Partial<SnapshotContent> = {}): Promise<string> {
  return (await storage.archive.save(content(more), second(at), within())).snapshot.snapshotId;
}

/** Every page of a list, as ids. */
async function pages(request: ListRequest): Promise<string[][]> {
  const found: string[][] = [];
  let nextToken: string | undefined;
  do {
    const page = await storage.archive.list({ ...request, nextToken }, within());
    found.push(page.entries.map(({ snapshotId }) => snapshotId));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  return found;
}

describe("list", () => {
  test("of nothing is empty, and has no next page", async () => {
    expect(await storage.archive.list({ limit: 10 }, within())).toEqual({ entries: [] });
  });

  test("has a snapshot as soon as its id is known, as it was returned", async () => {
    const { entry } = await storage.archive.save(content(), second(0), within());
    expect(await storage.archive.list({ limit: 10 }, within())).toEqual({ entries: [entry] });
  });

  test("sorts the tenth snapshot of a second before the ninth, and a later second before both", async () => {
    for (let i = 0; i < 10; i++) await save(0);
    await save(1);
    expect((await pages({ limit: 3 })).flat().slice(0, 3)).toEqual([id(1), id(0, 10), id(0, 9)]);
  });

  describe("of seven, three of them partial", () => {
    const all = [id(5), id(4), id(3, 2), id(3), id(2), id(1), id(0)];
    const partial = [id(4), id(3), id(0)];
    beforeEach(async () => {
      for (const n of [0, 1, 2, 3]) await save(n, n === 0 || n === 3 ? { errors } : {});
      await save(3);
      await save(4, { errors });
      await save(5);
    });

    test.each([1, 2, 3, 4, 5, 6, 7, 8])(
      "has each exactly once with %i per page, and every page but the last is full",
      async (limit) => {
        const [full, some] = [await pages({ limit }), await pages({ limit, filters: { status: "partial" } })];
        expect(full.flat()).toEqual(all);
        expect(some.flat()).toEqual(partial);
        for (const page of [...full.slice(0, -1), ...some.slice(0, -1)]) expect(page).toHaveLength(limit);
        expect([full.at(-1), some.at(-1)]).not.toContainEqual([]);
      },
    );

    test("takes one query per page", async () => {
      await storage.shaky.list({ limit: 3 }, within());
      expect(storage.faults.calls).toEqual(["Query"]);
    });

    test("includes both of its times, to the fraction of a second", async () => {
      const later = (n: number) => new Date(second(n).getTime() + 1);
      const between = async (since?: Date, until?: Date) => (await pages({ limit: 2, since, until })).flat();
      expect(await between(second(1), second(3))).toEqual(all.slice(2, 6));
      expect(await between(second(3), second(3))).toEqual([id(3, 2), id(3)]);
      expect(await between(later(1), later(3))).toEqual(all.slice(2, 5));
      expect(await between(second(4))).toEqual([id(5), id(4)]);
      expect(await between(undefined, second(1))).toEqual([id(1), id(0)]);
      expect(await between(second(6))).toEqual([]);
      await expect(between(second(3), second(2))).rejects.toThrow(/InvalidRequest: since must not be after until/);
    });

    test("continues after a snapshot that was deleted between two pages", async () => {
      const { nextToken } = await storage.archive.list({ limit: 2 }, within());
      await storage.archive.remove(id(4), ana, within());
      const { entries } = await storage.archive.list({ limit: 10, nextToken }, within());
      expect(entries.map(({ snapshotId }) => snapshotId)).toEqual(all.slice(2));
    });

    test("omits snapshots that are being deleted, and pages stay full", async () => {
      await storage.dynamodb.send(
        new UpdateItemCommand({
          TableName: storage.config.table,
          Key: { pk: { S: "snapshot" }, sk: { S: "2025-01-15T10:30:04Z#000001" } },
          UpdateExpression: "SET deleting = :true",
          ExpressionAttributeValues: { ":true": { BOOL: true } },
        }),
      );
      expect(await pages({ limit: 3 })).toEqual([
        [id(5), id(3, 2), id(3)],
        [id(2), id(1), id(0)],
      ]);
      await expect(storage.archive.load(id(4), within())).rejects.toThrow(SnapshotNotFound);
    });

    test.each([
      "",
      "x",
      "!!",
      Buffer.from("snapshot-2025-01-15T10:30:04Z").toString("base64"),
      Buffer.from("snapshot-2025-01-15T10:30:04Z-1").toString("base64url"),
      Buffer.from('{"pk":{"S":"execution"}}').toString("base64url"),
    ])("refuses a token that it did not return: %j", async (nextToken) => {
      const refused = storage.archive.list({ limit: 2, nextToken }, within());
      await expect(refused).rejects.toThrow(InvalidRequest);
      await expect(refused).rejects.toThrow(/next_token/);
    });

    test("refuses a token of a list with other times", async () => {
      const { nextToken } = await storage.archive.list({ limit: 2 }, within());
      const refused = storage.archive.list({ limit: 2, nextToken, until: second(1) }, within());
      await expect(refused).rejects.toThrow(/InvalidRequest: next_token .* other times/);
    });
  });
});

describe("`latest` and a time", () => {
  test("resolve to the newest complete snapshot that is not a safety snapshot", async () => {
    await save(0);
    await save(1);
    await save(2, { errors });
    await save(3, { trigger: "safety" });
    const at = async (time: Date) => (await storage.archive.resolve({ at: time }, undefined, within())).snapshotId;

    expect((await storage.archive.resolve("latest", undefined, within())).snapshotId).toBe(id(1));
    expect(await at(second(3))).toBe(id(1));
    expect(await at(second(1))).toBe(id(1));
    expect(await at(new Date(second(1).getTime() - 1))).toBe(id(0));
  });

  test("resolve to the newest snapshot whose selection covers the groups", async () => {
    await save(0);
    await save(1, { selection: { groups: ["orders*"], exclude: [{ name: "orders-test" }] } });
    await save(2, { selection: { groups: [{ name: "billing" }], exclude: [] } });
    const latest = async (...groups: string[]) => (await storage.shaky.resolve("latest", groups, within())).snapshotId;

    expect(await latest("billing")).toBe(id(2));
    expect(await latest("orders-streams")).toBe(id(1));
    expect(await latest("orders-test")).toBe(id(0));
    expect(await latest("orders-streams", "billing")).toBe(id(0));
    expect(await latest("orders?*")).toBe(id(1));
    expect(await latest("o*")).toBe(id(0));
    expect(storage.faults.calls).not.toContain("GetObject");
  });

  test("resolve to a snapshot that excluded a part of a pattern, with a warning; not if it excluded all of it", async () => {
    await save(0);
    await save(1, { selection: { groups: ["*"], exclude: ["*-tmp", "billing-?*", { name: "old" }] } });
    const latest = (...groups: string[]) => storage.archive.resolve("latest", groups, within());

    expect(await latest("orders-*")).toEqual({
      snapshotId: id(1),
      warnings: [
        expect.stringMatching(/^snapshot-\S+ was taken with exclude "\*-tmp": .* take a snapshot without this/),
      ],
    });
    expect((await latest("o*")).warnings).toEqual([expect.stringContaining('exclude "*-tmp", "old": ')]);
    expect(await latest("orders-?")).toEqual({ snapshotId: id(1), warnings: [] });
    expect(await latest("billing-?")).toEqual({ snapshotId: id(0), warnings: [] });
  });

  test("are SnapshotNotFound if no snapshot qualifies, with the reasons for the newest", async () => {
    const resolve = (at?: Date) => storage.archive.resolve(at === undefined ? "latest" : { at }, ["a"], within());
    await expect(resolve()).rejects.toThrow(
      /SnapshotNotFound: there is no complete snapshot of "a"\. There is none at all/,
    );

    await save(0, { selection: { groups: ["b"], exclude: [] } });
    await save(1, { trigger: "safety" });
    await save(2, { errors });
    await expect(resolve()).rejects.toThrow(
      `The newest: ${id(2)} is partial; ${id(1)} is a safety snapshot; ${id(0)} was not asked for "a".`,
    );
    await expect(resolve(second(-1))).rejects.toThrow(/at or before 2025-01-15T10:29:59.000Z. There is none/);
  });

  test("resolve to a snapshot behind many that do not qualify", async () => {
    await save(0);
    for (let n = 1; n <= 30; n++) await save(n, { trigger: "safety" });
    expect((await storage.archive.resolve("latest", undefined, within())).snapshotId).toBe(id(0));
  });

  test("differ from an id, which is resolved without reading the index", async () => {
    storage.faults.on("GetItem", "breaks");
    storage.faults.on("Query", "breaks");
    expect((await storage.shaky.resolve(id(7), undefined, within())).snapshotId).toBe(id(7));
  });
});
