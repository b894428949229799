import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  formatSnapshotId,
  isoSeconds,
  parseSnapshotId,
  withColons,
} from "../../../functions/shared/core/snapshot-id.ts";

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

  test("may be written with dashes in place of its colons, as may that of a rollback", () => {
    const moment = fc.date({ min: new Date(0), max: new Date("9999-12-31T23:59:59Z"), noInvalidDate: true });
    const number = fc.oneof(fc.constantFrom(1, 2, 10, 999_999), fc.integer({ min: 1, max: 999_999 }));
    const snapshots = fc
      .tuple(moment, number)
      .map(([at, number]) => formatSnapshotId({ createdAt: isoSeconds(at), number }));
    const rollbacks = fc
      .tuple(moment, fc.stringMatching(/^[0-9a-f]{8}$/))
      .map(([at, hex]) => `rollback-${isoSeconds(at)}-${hex}`);
    fc.assert(
      fc.property(fc.oneof(snapshots, rollbacks), fc.nat({ max: 3 }), (id, which) => {
        const written = [id.replaceAll(":", "-"), id, id.replace(":", "-"), id.replace(/:(?!.*:)/, "-")][which] ?? "";
        expect(withColons(written)).toBe(id);
      }),
    );
    expect(withColons("snapshot-2025-01-15T10-30-00Z-2")).toBe("snapshot-2025-01-15T10:30:00Z-2");
  });

  test.each([
    "latest",
    "deploy-2025-01-15T10-30-00Z",
    "rollback-12-30-00",
    "snapshot-2025-01-15T10-30-00",
    "snapshot-2025-01-15T10-30-00Zx",
    "my-snapshot-2025-01-15T10-30-00Z",
    "snapshot-2025-01-15T10.30.00Z",
  ])("is not made of %j, which stays as it is", (text) => {
    expect(withColons(text)).toBe(text);
  });

  test("has its time in whole seconds, rounded down", () => {
    expect(isoSeconds(new Date("2025-01-15T10:30:00.999Z"))).toBe(createdAt);
  });
});
