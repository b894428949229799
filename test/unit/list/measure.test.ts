import { expect, test } from "vitest";
import { measurementsOf } from "../../../functions/list/measure.ts";
import { request } from "../../../functions/list/schema.ts";

const now = Date.parse("2025-01-15T12:00:00Z");
const entries = [
  { createdAt: "2025-01-15T11:30:00Z", offsets: 0 },
  { createdAt: "2025-01-15T10:30:00Z", offsets: 7 },
  { createdAt: "2025-01-15T09:30:00Z", offsets: 7 },
];
const measured = (wanted: object, of = entries) => measurementsOf(request.parse(wanted), of, now);

test("a list of the complete snapshots of a schedule shows the age of the newest that has offsets", () => {
  const age = [{ name: "SnapshotAge", value: 5_400, by: { schedule: "hourly" } }];
  expect(measured({ schedule: "hourly", status: "complete" })).toEqual(age);
  expect(measured({ schedule: "hourly", status: "complete", limit: 5 })).toEqual(age);
});

test("where no snapshot has offsets, no age is measured", () => {
  expect(measured({ schedule: "hourly", status: "complete" }, entries.slice(0, 1))).toEqual([]);
  expect(measured({ schedule: "hourly", status: "complete" }, [])).toEqual([]);
});

test.each([
  {},
  { schedule: "hourly" },
  { status: "complete" },
  { schedule: "hourly", status: "partial" },
  { schedule: "hourly", status: "complete", since: "2025-01-01T00:00:00Z" },
  { schedule: "hourly", status: "complete", until: "2025-01-15T10:00:00Z" },
  { schedule: "hourly", status: "complete", next_token: "x" },
])("any other list measures nothing: %j", (wanted) => {
  expect(measured(wanted)).toEqual([]);
});
