import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { jsonObject } from "../../../functions/shared/core/json/codec.ts";
import { unpackJson } from "../../../functions/shared/core/json/packed-json.ts";
import { plannedDocument } from "../../../functions/shared/core/rollback/plan-document.ts";
import { decodeSnapshot } from "../../../functions/shared/core/snapshot.ts";
import { entryItem } from "../../../functions/shared/storage/index-entry.ts";
import type { Item } from "../../../functions/shared/storage/items.ts";
import { pointerItem, recordItem, recordKey } from "../../../functions/shared/storage/journal-record.ts";

/*
 * Each file has everything that a version stored in a table and a bucket during a real rollback, as
 * `{items, objects: {key: base64}}`. A version that changes a stored form adds a file. Every file must stay readable.
 */
const folder = join(import.meta.dirname, "../../fixtures/stored");
const versions = readdirSync(folder).map((name) => {
  const { items, objects } = JSON.parse(readFileSync(join(folder, name), "utf8"));
  const bytes = new Map(Object.entries(objects).map(([key, text]) => [key, Buffer.from(String(text), "base64")]));
  const itemsOf = (pk: string): Item[] => items.filter((item: Item) => item.pk?.S === pk);
  const object = (key: string) => {
    const found = bytes.get(key);
    if (found === undefined) throw new Error(`${name} has no object ${key}`);
    return found;
  };
  return { name, itemsOf, object };
});

describe.each(versions)("the data that the version of $name stored", ({ itemsOf, object }) => {
  test("has snapshots that are read with their index entries", () => {
    const entries = itemsOf("snapshot").map(entryItem.decode);
    expect(entries.map(({ trigger }) => trigger)).toContain("schedule");
    expect(entries.map(({ trigger }) => trigger)).toContain("safety");
    for (const entry of entries) {
      const body = object(`snapshots/${entry.snapshotId}.json.gz`);
      const snapshot = decodeSnapshot(body, entry);
      expect(snapshot.consumerGroups.size).toBe(entry.groups);
      expect(snapshot).toMatchObject({ createdAt: entry.createdAt, trigger: entry.trigger, cluster: entry.cluster });
      expect(snapshot.selection).toEqual(entry.selection);
    }
  });

  test("has a journal that is read with its plans and results", () => {
    const records = itemsOf("rollback").map(recordItem.decode);
    expect(itemsOf("rollback-id").map((item) => recordKey(pointerItem.decode(item)))).toEqual(
      expect.arrayContaining(records.map(recordKey)),
    );
    expect(records.map(({ status }) => status)).toContain("success");
    const plans = records.map(({ rollbackId, plan, planDigest, result }) => {
      const planned = plannedDocument.decode(unpackJson(object(`rollbacks/${rollbackId}/${plan.name}.json.gz`)), "");
      expect(planned.plan.digest).toBe(planDigest);
      const ended = jsonObject(unpackJson(object(`rollbacks/${rollbackId}/${result?.name}.json.gz`)), "the result");
      expect(ended).toMatchObject({ rollback_id: rollbackId, status: "success" });
      return planned.plan;
    });
    expect(plans.flatMap(({ leftOut }) => leftOut.map(({ kind }) => kind))).toContain("group_not_empty");
    expect(plans.flatMap(({ groups }) => [...groups.values()].map(({ leftOut }) => leftOut))).toContain(true);
  });
});
