import { expect } from "vitest";
import { jsonObject } from "../../functions/shared/core/json/codec.ts";
import { unpackJson } from "../../functions/shared/core/json/packed-json.ts";
import { plannedDocument } from "../../functions/shared/core/rollback/plan-document.ts";
import { decodeSnapshot } from "../../functions/shared/core/snapshot.ts";
import { entryItem } from "../../functions/shared/storage/index-entry.ts";
import type { Item } from "../../functions/shared/storage/items.ts";
import { pointerItem, recordItem, recordKey } from "../../functions/shared/storage/journal-record.ts";

/** What a deployment stored: items of its table, and objects of its bucket in base64, by key. */
export interface Stored {
  readonly items: readonly Item[];
  readonly objects: Readonly<Record<string, string>>;
}

const itemsOf = ({ items }: Stored, partition: string) => items.filter(({ pk }) => pk?.S === partition);

function objectOf({ objects }: Stored, key: string): Buffer {
  const text = objects[key];
  if (text === undefined) throw new Error(`there is no object ${key}`);
  return Buffer.from(text, "base64");
}

/** Expects snapshots by a schedule and before a rollback, each readable with its index entry. */
export function expectSnapshots(stored: Stored): void {
  const entries = itemsOf(stored, "snapshot").map(entryItem.decode);
  expect(entries.map(({ trigger }) => trigger)).toEqual(expect.arrayContaining(["schedule", "safety"]));
  for (const entry of entries) {
    const snapshot = decodeSnapshot(objectOf(stored, `snapshots/${entry.snapshotId}.json.gz`), entry);
    expect(snapshot.consumerGroups.size).toBe(entry.groups);
    expect(snapshot).toMatchObject({ createdAt: entry.createdAt, trigger: entry.trigger, cluster: entry.cluster });
    expect(snapshot.selection).toEqual(entry.selection);
  }
}

/** Expects rollbacks that succeeded, one of which left a group out: their records, pointers, plans and results are readable. */
export function expectJournal(stored: Stored): void {
  const records = itemsOf(stored, "rollback").map(recordItem.decode);
  const pointed = itemsOf(stored, "rollback-id").map((item) => recordKey(pointerItem.decode(item)));
  expect(pointed).toEqual(expect.arrayContaining(records.map(recordKey)));
  expect(records.map(({ status }) => status)).toContain("success");
  const plans = records.map(({ rollbackId, plan, planDigest, result }) => {
    const read = (name: string | undefined) => unpackJson(objectOf(stored, `rollbacks/${rollbackId}/${name}.json.gz`));
    const planned = plannedDocument.decode(read(plan.name), "");
    expect(planned.plan.digest).toBe(planDigest);
    const ended = jsonObject(read(result?.name), "the result");
    expect(ended).toMatchObject({ rollback_id: rollbackId, status: "success" });
    return planned.plan;
  });
  expect(plans.flatMap(({ leftOut }) => leftOut.map(({ kind }) => kind))).toContain("group_not_empty");
  expect(plans.flatMap(({ groups }) => [...groups.values()].map(({ leftOut }) => leftOut))).toContain(true);
}
