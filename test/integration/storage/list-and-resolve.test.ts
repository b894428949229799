import { type AttributeValue, PutItemCommand, UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { beforeEach, describe, expect, test } from "vitest";
import { InvalidRequest, SnapshotCorrupt, SnapshotNotFound } from "../../../functions/shared/core/errors.ts";
import type { SnapshotContent } from "../../../functions/shared/core/model.ts";
import type { Filters, ListRequest } from "../../../functions/shared/storage/index-entry.ts";
import { within } from "../../support/deadline.ts";
import { ana, content, second, testArchive } from "./fixture.ts";

const storage = testArchive();
const id = (n: number, number = 1) =>
  `snapshot-${second(n).toISOString().slice(0, 19)}Z${number === 1 ? "" : `-${number}`}`;
/** The id of the snapshot that a reference stands for, with the warnings. */
async function resolve(
  reference: string | { readonly at: Date },
  groups?: readonly string[],
  archive: Pick<typeof storage.archive, "open"> = storage.archive,
) {
  const { snapshot, warnings } = await archive.open(reference, groups, within());
  return { snapshotId: snapshot.snapshotId, warnings };
}
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
    expect(await storage.archive.list({ limit: 10 }, within())).toEqual({ entries: [], warnings: [] });
  });

  test("has a snapshot as soon as its id is known, as it was returned", async () => {
    const { entry } = await storage.archive.save(content(), second(0), within());
    expect(await storage.archive.list({ limit: 10 }, within())).toEqual({ entries: [entry], warnings: [] });
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

describe("a list of snapshots with labels and holds", () => {
  const run = { name: "hourly", executionId: "execution-1", scheduledTime: "2025-01-15T10:30:00Z" };
  beforeEach(async () => {
    await save(0);
    await save(1, { labels: new Map([["env", "prod"]]), held: true });
    await save(2, { labels: new Map(Object.entries({ env: "prod", team: 'a" \\ \u{1F600}' })) });
    await save(3, { labels: new Map([["team", '","env":"prod']]), trigger: "api", held: true });
    await save(4, { labels: new Map([["env", "prod2"]]), trigger: "schedule", schedule: run });
  });
  const found = async (filters: Filters) => (await pages({ limit: 2, filters })).flat();

  test("has those with all the labels that are asked for, with exactly these values", async () => {
    expect(await found({ labels: new Map([["env", "prod"]]) })).toEqual([id(2), id(1)]);
    expect(await found({ labels: new Map(Object.entries({ env: "prod", team: 'a" \\ \u{1F600}' })) })).toEqual([id(2)]);
    expect(await found({ labels: new Map([["team", '","env":"prod']]) })).toEqual([id(3)]);
    expect(await found({ labels: new Map([["env", "pro"]]) })).toEqual([]);
  });

  test("has those that are held, or those that are not; by trigger and schedule; and by all of these", async () => {
    expect(await found({ held: true })).toEqual([id(3), id(1)]);
    expect(await found({ held: false })).toEqual([id(4), id(2), id(0)]);
    expect(await found({ trigger: "api" })).toEqual([id(3)]);
    expect(await found({ trigger: "schedule", schedule: "hourly", held: false })).toEqual([id(4)]);
    expect(await found({ labels: new Map([["env", "prod"]]), held: true, trigger: "invoke" })).toEqual([id(1)]);
    expect(await found({ labels: new Map([["env", "prod"]]), held: true, trigger: "api" })).toEqual([]);
  });
});

describe("`latest` and a time", () => {
  test("resolve to the newest complete snapshot that is neither a safety snapshot nor an import", async () => {
    await save(0);
    await save(1);
    await save(2, { errors });
    await save(3, { trigger: "safety" });
    await save(4, { trigger: "imported" });
    const at = async (time: Date) => (await resolve({ at: time })).snapshotId;

    expect((await resolve("latest")).snapshotId).toBe(id(1));
    expect(await at(second(3))).toBe(id(1));
    expect(await at(second(1))).toBe(id(1));
    expect(await at(new Date(second(1).getTime() - 1))).toBe(id(0));
  });

  test("resolve to the newest snapshot whose selection covers the groups", async () => {
    await save(0);
    await save(1, { selection: { groups: ["orders*"], exclude: [{ name: "orders-test" }] } });
    await save(2, { selection: { groups: [{ name: "billing" }], exclude: [] } });
    const latest = async (...groups: string[]) => (await resolve("latest", groups)).snapshotId;

    expect(await latest("billing")).toBe(id(2));
    expect(await latest("orders-streams")).toBe(id(1));
    expect(await latest("orders-test")).toBe(id(0));
    expect(await latest("orders-streams", "billing")).toBe(id(0));
    expect(await latest("orders?*")).toBe(id(1));
    expect(await latest("o*")).toBe(id(0));
  });

  test("resolve to a snapshot that excluded a part of a pattern, with a warning; not if it excluded all of it", async () => {
    await save(0);
    await save(1, { selection: { groups: ["*"], exclude: ["*-tmp", "billing-?*", { name: "old" }] } });
    const latest = (...groups: string[]) => resolve("latest", groups);

    expect(await latest("orders-*")).toEqual({
      snapshotId: id(1),
      warnings: [expect.stringMatching(/^snapshot-\S+ was taken with exclude "\*-tmp": .* use another snapshot\.$/)],
    });
    expect((await latest("o*")).warnings).toEqual([expect.stringContaining('exclude "*-tmp", "old": ')]);
    expect(await latest("orders-?")).toEqual({ snapshotId: id(1), warnings: [] });
    expect(await latest("billing-?")).toEqual({ snapshotId: id(0), warnings: [] });
  });

  test("are SnapshotNotFound if no snapshot qualifies, with the reasons for the newest", async () => {
    const ofA = (at?: Date) => resolve(at === undefined ? "latest" : { at }, ["a"]);
    await expect(ofA()).rejects.toThrow(
      /SnapshotNotFound: there is no complete snapshot of "a"\. There is none at all/,
    );

    await save(0, { selection: { groups: ["b"], exclude: [] } });
    await save(1, { trigger: "safety" });
    await save(2, { errors });
    await expect(ofA()).rejects.toThrow(
      `The newest: ${id(2)} is partial; ${id(1)} is a safety snapshot; ${id(0)} was not asked for "a".`,
    );
    await expect(ofA(second(-1))).rejects.toThrow(/at or before 2025-01-15T10:29:59.000Z. There is none/);
  });

  test("resolve to a snapshot behind many that do not qualify", async () => {
    await save(0);
    for (let n = 1; n <= 30; n++) await save(n, { trigger: "safety" });
    expect((await resolve("latest")).snapshotId).toBe(id(0));
  });

  test("read no other body than that of the snapshot that is chosen", async () => {
    await save(0);
    await save(1, { selection: { groups: [{ name: "billing" }], exclude: [] } });
    expect((await resolve("latest", ["orders"], storage.shaky)).snapshotId).toBe(id(0));
    expect(storage.faults.calls.filter((call) => call === "GetObject")).toHaveLength(1);
  });

  test("differ from an id, which is resolved without a query", async () => {
    await save(7);
    storage.faults.on("Query", "breaks");
    expect((await resolve(id(7), undefined, storage.shaky)).snapshotId).toBe(id(7));
  });
});

describe("rows that cannot be read,", () => {
  const put = (sk: string, more: Record<string, AttributeValue> = {}) =>
    storage.dynamodb.send(
      new PutItemCommand({ TableName: storage.config.table, Item: { pk: { S: "snapshot" }, sk: { S: sk }, ...more } }),
    );
  const leftOut = (key: string) =>
    expect.stringContaining(`Left out of the list, because it cannot be read: the item snapshot / "${key}"`);
  beforeEach(async () => {
    for (const n of [0, 1, 2]) await save(n);
    await put("0");
    await put("2025-01-15T10:30:01Z#000007", {
      snapshot_id: { S: "snapshot-2025-01-15T10:30:01Z-7" },
      status: { S: "queued" },
    });
    await put("zzz", { description: { S: "stray" } });
  });

  test.each([1, 2, 3, 4])(
    "are left out of the list with %i per page: pages stay full, and each is named once",
    async (limit) => {
      expect(await pages({ limit })).toEqual(
        [[[id(2)], [id(1)], [id(0)]], [[id(2), id(1)], [id(0)]], [[id(2), id(1), id(0)]]][Math.min(limit, 3) - 1],
      );
      const warnings: string[] = [];
      for (let nextToken: string | undefined, first = true; first || nextToken !== undefined; first = false) {
        const page = await storage.archive.list({ limit, nextToken }, within());
        warnings.push(...page.warnings);
        nextToken = page.nextToken;
      }
      expect(warnings).toEqual([leftOut("zzz"), leftOut("2025-01-15T10:30:01Z#000007"), leftOut("0")]);
      expect(warnings[1]).toMatch(/: status must be one of|: created_at is missing/);
      expect(warnings[0]).toMatch(
        /If a newer version wrote it, deploy that version\. Otherwise use another snapshot, or restore the item .* Do not delete the item/,
      );
    },
  );

  test("are left out when the newest snapshot is chosen, with a warning", async () => {
    expect(await resolve("latest")).toEqual({
      snapshotId: id(2),
      warnings: [expect.stringMatching(/^Left out of the search for the newest snapshot, .* \/ "zzz" /)],
    });
    expect((await resolve({ at: second(1) })).warnings).toEqual([expect.stringContaining("01Z#000007")]);
    await expect(resolve({ at: second(-5) })).rejects.toThrow(/There is none that old\. Left out of .* \/ "0" /);
  });

  test("are named at most ten times in a page, with how many more there are", async () => {
    for (let n = 10; n < 30; n++) await put(`zz-${n}`);
    const { entries, warnings } = await storage.archive.list({ limit: 2 }, within());
    expect(entries.map(({ snapshotId }) => snapshotId)).toEqual([id(2), id(1)]);
    expect(warnings).toHaveLength(11);
    expect(warnings[10]).toBe("Left out of the list, because they cannot be read: 12 more items.");
  });

  test("are SnapshotCorrupt if they are asked for, and can be deleted", async () => {
    const asked = "snapshot-2025-01-15T10:30:01Z-7";
    await expect(storage.archive.load(asked, within())).rejects.toThrow(SnapshotCorrupt);
    await storage.archive.remove(asked, ana, within());
    await expect(storage.archive.load(asked, within())).rejects.toThrow(SnapshotNotFound);
  });
});

test("a snapshot whose body cannot be read is not the newest one: an older one is, with a warning", async () => {
  await save(0);
  await save(1);
  const { bucket } = storage.config;
  await storage.s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: `kept/snapshots/${id(1)}.json.gz` }));
  expect(await resolve("latest")).toEqual({
    snapshotId: id(0),
    warnings: [expect.stringContaining(`cannot be read: the body of ${id(1)} is missing from the bucket`)],
  });
  await storage.archive.remove(id(0), ana, within());
  await expect(resolve("latest")).rejects.toThrow(`The newest: ${id(1)} cannot be read. Left out of`);
});
