import { describe, expect, test } from "vitest";
import { formatSnapshotId, isoSeconds, parseSnapshotId } from "../../../functions/shared/core/snapshot-id.ts";

const createdAt = "2025-01-15T10:30:00Z";

describe("a snapshot's id", () => {
  test.each([
    ["snapshot-2025-01-15T10:30:00Z", 1],
    ["snapshot-2025-01-15T10:30:00Z-2", 2],
    ["snapshot-2025-01-15T10:30:00Z-10", 10],
    ["snapshot-2025-01-15T10:30:00Z-999999", 999999],
  ])("%s is number %i of its second", (id, number) => {
    expect(formatSnapshotId({ createdAt, number })).toBe(id);
    expect(parseSnapshotId(id)).toEqual({ createdAt, number });
  });

  test.each([
    "snapshot-2025-01-15T10:30:00Z-1", // the first snapshot of a second has no number
    "snapshot-2025-01-15T10:30:00Z-0",
    "snapshot-2025-01-15T10:30:00Z-02",
    "snapshot-2025-01-15T10:30:00Z-1000000",
    "snapshot-2025-01-15T10:30:00Z-",
    "snapshot-2025-01-15T10:30:00Z-x",
    "snapshot-2025-01-15T10:30:00Z ",
    " snapshot-2025-01-15T10:30:00Z",
    "snapshot-2025-13-15T10:30:00Z",
    "snapshot-2025-01-15T25:30:00Z",
    "snapshot-2025-01-15T10:30:00",
    "snapshot-x025-01-15T10:30:00Z",
    "my snapshot-2025-01-15T10:30:00Z",
    "snapshot-2025-01-15T10:30:00Z-2 again",
    "snapshot-",
    "",
  ])("is not %j", (id) => {
    expect(parseSnapshotId(id)).toBeUndefined();
  });

  test("has its time in whole seconds, rounded down", () => {
    expect(isoSeconds(new Date("2025-01-15T10:30:00.999Z"))).toBe(createdAt);
  });
});
