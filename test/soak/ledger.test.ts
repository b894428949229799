import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Snapshot } from "../../functions/shared/core/model.ts";
import { snapshotOf } from "../support/states.ts";
import { Ledger } from "./ledger.ts";

const keys = ["t-0", "t-1"];

/** A snapshot in which groups stand at these numbers on `t-0`, `t-1`, …, asked for at a time. */
function shown(groups: Record<string, readonly number[]>, asOf: number | null = null): Snapshot {
  const commits = Object.entries(groups).map(
    ([group, at]) =>
      [group, new Map(at.map((number, i) => [`t-${i}`, { offset: BigInt(number), metadata: "" }]))] as const,
  );
  const observed = Object.keys(groups).map((group) => {
    const known = { type: "classic", state: "Empty", protocolType: "", members: 0 };
    return [group, { ...known, asOf: asOf === null ? null : new Date(asOf).toISOString() }] as const;
  });
  return snapshotOf(new Map(commits), { observed: { groups: new Map(observed), topics: new Map() } });
}

/** Commits the next number of a group, and has it acknowledged. */
const commit = (ledger: Ledger, group: string) => ledger.acknowledge(group, ledger.next(group, keys));

describe("a ledger", () => {
  beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
  afterEach(() => void vi.useRealTimers());

  test("believes any number between what was acknowledged before a snapshot and what was sent before its end", () => {
    const ledger = new Ledger();
    commit(ledger, "g");
    commit(ledger, "g");
    const before = ledger.before();
    commit(ledger, "g");
    ledger.next("g", keys);
    const liesAt = (...numbers: number[]) => ledger.lies(shown({ g: numbers }), before);
    expect([liesAt(2, 2), liesAt(3, 3), liesAt(4, 4)]).toEqual([[], [], []]);
    expect(liesAt(1, 1)).toEqual(["g: stands at 1, not 2 to 4"]);
    expect(liesAt(5, 5)).toEqual(["g: stands at 5, not 2 to 4"]);
  });

  test("does not believe a number older than what was acknowledged before the group was asked for", () => {
    const ledger = new Ledger();
    commit(ledger, "g");
    const before = ledger.before();
    vi.setSystemTime(2_000_000);
    commit(ledger, "g");
    expect(ledger.lies(shown({ g: [1, 1] }, 1_500_000), before)).toEqual([]);
    expect(ledger.lies(shown({ g: [1, 1] }, 2_000_001), before)).toEqual(["g: stands at 1, not 2 to 2"]);
  });

  test("does not believe two numbers at once, fewer partitions, a group that is missing or was never made", () => {
    const ledger = new Ledger();
    commit(ledger, "g");
    commit(ledger, "g");
    const before = ledger.before();
    commit(ledger, "g");
    const lies = (groups: Record<string, readonly number[]>) => ledger.lies(shown(groups), before);
    expect(lies({ g: [2, 3] })).toEqual(["g: stands at 2,3 at once"]);
    expect(lies({ g: [3] })).toEqual(["g: has 1 of 2 partitions"]);
    expect(lies({})).toEqual(["g: is missing"]);
    expect(lies({ g: [] })).toEqual(["g: has no commits"]);
    expect(lies({ g: [3, 3], h: [1, 1] })).toEqual(["h: nobody made it"]);
  });

  test("believes whole groups or none, where they come and go", () => {
    const ledger = new Ledger();
    for (const group of ["leaves", "gone"]) commit(ledger, group);
    ledger.mark("gone", "gone");
    const before = ledger.before();
    ledger.mark("leaves", "leaves");
    commit(ledger, "comes");
    const lies = (groups: Record<string, readonly number[]>) => ledger.lies(shown(groups), before);
    expect(lies({})).toEqual([]);
    expect(lies({ leaves: [1, 1], comes: [1, 1], gone: [] })).toEqual([]);
    expect(lies({ leaves: [1], comes: [1] })).toEqual([
      "leaves: has 1 of 2 partitions",
      "comes: has 1 of 2 partitions",
    ]);
    expect(lies({ gone: [1, 1] })).toEqual(["gone: was deleted before"]);
    ledger.forget(before);
    expect(lies({ gone: [1, 1] })).toEqual(["gone: nobody made it"]);
  });

  test("does not believe that consumers went back, or that a commit of theirs is gone", () => {
    const ledger = new Ledger();
    ledger.consumers("c");
    const lies = (...numbers: number[]) => ledger.lies(shown({ c: numbers }), ledger.before());
    expect([lies(), lies(5), lies(5, 1), lies(7, 1)]).toEqual([[], [], [], []]);
    expect(lies(6, 1)).toEqual(["c t-0: 6 after 7"]);
    expect(lies(7)).toEqual(["c t-1: nothing after 1"]);
  });
});
