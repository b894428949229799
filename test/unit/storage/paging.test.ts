import { describe, expect, test } from "vitest";
import { InvalidRequest } from "../../../functions/shared/core/errors.ts";
import { keysBetween, stretchOf } from "../../../functions/shared/storage/paging.ts";

describe("the sort keys between two times", () => {
  const key = "2025-01-15T10:30:00Z#000002";
  const holds = (since?: string, until?: string) => {
    const { from, to } = keysBetween(since ? new Date(since) : undefined, until ? new Date(until) : undefined);
    return from <= key && key <= to;
  };

  test.each([
    [undefined, undefined, true],
    ["2025-01-15T10:30:00Z", "2025-01-15T10:30:00Z", true],
    ["2025-01-15T11:30:00+01:00", undefined, true],
    ["2025-01-15T10:30:00.001Z", undefined, false],
    [undefined, "2025-01-15T10:30:00.999Z", true],
    [undefined, "2025-01-15T10:29:59.999Z", false],
    ["0000-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", true],
    ["9999-12-31T23:59:59-14:00", undefined, false],
    [undefined, "0000-01-01T00:00:00+14:00", false],
  ])("from %s to %s", (since, until, expected) => {
    expect(holds(since, until)).toBe(expected);
  });
});

test("a list between times that exclude each other is refused with the field's name", () => {
  const [since, until] = [new Date("2025-01-02T00:00:00Z"), new Date("2025-01-01T00:00:00Z")];
  expect(() => stretchOf({ limit: 1, since, until })).toThrow(InvalidRequest);
  expect(() => stretchOf({ limit: 1, since, until })).toThrow(
    expect.objectContaining({ details: { problems: [expect.stringMatching(/^since: /)] } }),
  );
});
