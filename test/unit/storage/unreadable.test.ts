import { expect, test } from "vitest";
import { SnapshotCorrupt } from "../../../functions/shared/core/errors.ts";
import { createUnreadable } from "../../../functions/shared/storage/unreadable.ts";

test("what could not be read is named once for each item, and then what follows from that", () => {
  const unreadable = createUnreadable("the search", "Check it.");
  expect(unreadable.warnings()).toEqual([]);
  for (const n of [1, 1, ...Array.from({ length: 11 }, (_, i) => i + 2)]) {
    unreadable.add(new SnapshotCorrupt(`item ${n} is bad.`));
  }
  const warnings = unreadable.warnings();
  expect(warnings).toHaveLength(12);
  expect(warnings[0]).toBe("Left out of the search, because it cannot be read: item 1 is bad.");
  expect(warnings.slice(-2)).toEqual([
    "Left out of the search, because they cannot be read: 2 more items.",
    "Check it.",
  ]);
});
