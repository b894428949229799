import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Snapshot } from "../../functions/shared/core/model.ts";
import { snapshotOf } from "../support/states.ts";
import { Ledger } from "./ledger.ts";

const keys = ["t-0", "t-1"];

/** A snapshot with these offsets of groups on `t-0`, `t-1`, …, read at a time. */
function snapshotWith(groups: Record<string, readonly number[]>, asOf: number | null = null): Snapshot {
  const commits = Object.entries(groups).map(
    ([group, at]) =>
      [group, new Map(at.map((number, i) => [`t-${i}`, { offset: BigInt(number), metadata: "" }]))] as const,
  );
  const observed = Object.keys(groups).map((group) => {
    const known = { type: "classic", state: "Empty", protocolType: "", protocol: null, members: 0 };
    return [group, { ...known, asOf: asOf === null ? null : new Date(asOf).toISOString() }] as const;
  });
  return snapshotOf(new Map(commits), { observed: { groups: new Map(observed), topics: new Map() } });
}

/** Commits the next number of a group, and acknowledges it. */
const commit = (ledger: Ledger, group: string) => ledger.acknowledge(group, ledger.next(group, keys));

describe("a ledger", () => {
  beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
  afterEach(() => void vi.useRealTimers());

  test("accepts numbers from the last acknowledged before a snapshot to the last sent before its end", () => {
    const ledger = new Ledger();
    commit(ledger, "g");
    commit(ledger, "g");
    const before = ledger.before();
    commit(ledger, "g");
    ledger.next("g", keys);
    const errorsAt = (...numbers: number[]) => ledger.errorsOf(snapshotWith({ g: numbers }), before);
    expect([errorsAt(2, 2), errorsAt(3, 3), errorsAt(4, 4)]).toEqual([[], [], []]);
    expect(errorsAt(1, 1)).toEqual(["g: is at 1, not 2 to 4"]);
    expect(errorsAt(5, 5)).toEqual(["g: is at 5, not 2 to 4"]);
  });

  test("rejects a number below the last acknowledged before the group was read", () => {
    const ledger = new Ledger();
    commit(ledger, "g");
    const before = ledger.before();
    vi.setSystemTime(2_000_000);
    commit(ledger, "g");
    expect(ledger.errorsOf(snapshotWith({ g: [1, 1] }, 1_500_000), before)).toEqual([]);
    expect(ledger.errorsOf(snapshotWith({ g: [1, 1] }, 2_000_001), before)).toEqual(["g: is at 1, not 2 to 2"]);
  });

  test("rejects two numbers at once, missing partitions, missing groups, and groups that were never created", () => {
    const ledger = new Ledger();
    commit(ledger, "g");
    commit(ledger, "g");
    const before = ledger.before();
    commit(ledger, "g");
    const errorsOf = (groups: Record<string, readonly number[]>) => ledger.errorsOf(snapshotWith(groups), before);
    expect(errorsOf({ g: [2, 3] })).toEqual(["g: is at 2,3 at once"]);
    expect(errorsOf({ g: [3] })).toEqual(["g: has 1 of 2 partitions"]);
    expect(errorsOf({})).toEqual(["g: is missing"]);
    expect(errorsOf({ g: [] })).toEqual(["g: has no commits"]);
    expect(errorsOf({ g: [3, 3], h: [1, 1] })).toEqual(["h: was never created"]);
  });

  test("accepts a group that is being created or deleted only complete or missing", () => {
    const ledger = new Ledger();
    for (const group of ["deleting", "deleted"]) commit(ledger, group);
    ledger.mark("deleted", "deleted");
    const before = ledger.before();
    ledger.mark("deleting", "deleting");
    commit(ledger, "created");
    const errorsOf = (groups: Record<string, readonly number[]>) => ledger.errorsOf(snapshotWith(groups), before);
    expect(errorsOf({})).toEqual([]);
    expect(errorsOf({ deleting: [1, 1], created: [1, 1], deleted: [] })).toEqual([]);
    expect(errorsOf({ deleting: [1], created: [1] })).toEqual([
      "deleting: has 1 of 2 partitions",
      "created: has 1 of 2 partitions",
    ]);
    expect(errorsOf({ deleted: [1, 1] })).toEqual(["deleted: was deleted before"]);
    ledger.forget(before);
    expect(errorsOf({ deleted: [1, 1] })).toEqual(["deleted: was never created"]);
  });

  test("rejects consumers whose offsets went back or whose commits disappeared", () => {
    const ledger = new Ledger();
    ledger.consumers("c");
    const errorsOf = (...numbers: number[]) => ledger.errorsOf(snapshotWith({ c: numbers }), ledger.before());
    expect([errorsOf(), errorsOf(5), errorsOf(5, 1), errorsOf(7, 1)]).toEqual([[], [], [], []]);
    expect(errorsOf(6, 1)).toEqual(["c t-0: 6 after 7"]);
    expect(errorsOf(7)).toEqual(["c t-1: nothing after 1"]);
  });
});
