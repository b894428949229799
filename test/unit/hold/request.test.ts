import { expect, test } from "vitest";
import { request } from "../../../functions/hold/schema.ts";
import { InvalidRequest } from "../../../functions/shared/core/errors.ts";
import { parseRequest } from "../../../functions/shared/lambda/handler.ts";

const problemsOf = (fields: object): unknown => {
  try {
    parseRequest(request, fields);
    return [];
  } catch (error) {
    if (!(error instanceof InvalidRequest)) throw error;
    return error.details?.problems;
  }
};

test("a hold names one snapshot by its id, with colons or dashes, and says whether to hold it", () => {
  expect(problemsOf({ snapshot_id: "latest", reason: "x".repeat(257), more: 1 })).toEqual([
    expect.stringMatching(/^snapshot_id: must be the id of one snapshot/),
    expect.stringMatching(/^held: /),
    expect.stringMatching(/^reason: /),
    expect.stringMatching(/^unknown field "more"/),
  ]);
  expect(problemsOf({ snapshot_id: { at: "2025-01-15T10:30:00Z" }, held: true })).toEqual([
    expect.stringMatching(/^snapshot_id: /),
  ]);
  expect(parseRequest(request, { snapshot_id: "snapshot-2025-01-15T10-30-00Z-2", held: false })).toEqual({
    snapshot_id: "snapshot-2025-01-15T10:30:00Z-2",
    held: false,
  });
});
