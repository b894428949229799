import { expect, test } from "vitest";
import { answerOf, measurementsOf } from "../../../functions/prune/answer.ts";
import { Configuration, StorageUnavailable } from "../../../functions/shared/core/errors.ts";
import type { Pruned } from "../../../functions/shared/storage/prune.ts";

const pruned: Pruned = {
  kept: [{ snapshotId: "snapshot-2025-01-15T10:30:03Z", because: ["daily 2025-01-15"] }],
  deleted: ["snapshot-2025-01-15T10:30:02Z"],
  orphans: ["snapshot-2025-01-14T10:30:00Z"],
  failed: [],
  remaining: 2,
  unjudged: 4,
  warnings: ["w"],
};
const answer = {
  kept: [{ snapshot_id: "snapshot-2025-01-15T10:30:03Z", because: ["daily 2025-01-15"] }],
  deleted: ["snapshot-2025-01-15T10:30:02Z"],
  orphans_deleted: 1,
  orphans: ["snapshot-2025-01-14T10:30:00Z"],
  failed: [],
  remaining: 2,
  warnings: ["w"],
  dry_run: false,
};
const unavailable = new StorageUnavailable("S3 failed while deleting the body.", { next: "Delete it again." });
const denied = new Configuration("the role may not delete.");
const failed = (...errors: Error[]): Pruned => ({
  ...pruned,
  failed: errors.flatMap((error) =>
    error instanceof StorageUnavailable || error instanceof Configuration
      ? [{ snapshotId: "snapshot-2025-01-15T10:30:01Z", error }]
      : [],
  ),
});
const thrownBy = (work: () => unknown) => {
  try {
    work();
  } catch (error) {
    return error;
  }
  return expect.fail("it did not fail");
};

test("the answer says what was kept, deleted and left", () => {
  expect(answerOf(pruned, false)).toEqual(answer);
  expect(answerOf(pruned, true)).toEqual({ ...answer, dry_run: true });
});

test("a deletion that failed fails the call at the end, and the message names what was deleted", () => {
  const error = thrownBy(() => answerOf(failed(unavailable), false));
  expect(error).toBeInstanceOf(StorageUnavailable);
  expect(error).toMatchObject({
    message:
      "StorageUnavailable: 1 deletion failed. snapshot-2025-01-15T10:30:01Z: S3 failed while deleting the body. 2 succeeded: " +
      "snapshot-2025-01-15T10:30:02Z, snapshot-2025-01-14T10:30:00Z. The log of the function has all ids. " +
      "Call prune again: it also finishes what was interrupted, after a day.",
    details: {
      ...answer,
      failed: [
        {
          snapshot_id: "snapshot-2025-01-15T10:30:01Z",
          error: "StorageUnavailable",
          message: "S3 failed while deleting the body. Delete it again.",
        },
      ],
    },
  });
});

test("however many were deleted, the message names 20 and says how many more there are", () => {
  const deleted = Array.from({ length: 2_000 }, (_, n) => `snapshot-2025-01-15T10:30:02Z-${n + 2}`);
  const error = thrownBy(() => answerOf({ ...failed(unavailable), deleted }, false));
  expect(error).toMatchObject({
    message: expect.stringMatching(/2001 succeeded: snapshot-2025-01-15T10:30:02Z-2, .*Z-21 and 1981 more\. /),
  });
});

test("a missing right is named as such, whatever else failed: trying again does not help", () => {
  expect(thrownBy(() => answerOf(failed(unavailable, denied), false))).toBeInstanceOf(Configuration);
});

test("what failed and what was left are counted together, and apart from what could not be judged", () => {
  expect(measurementsOf(failed(unavailable))).toEqual([
    { name: "PrunedSnapshots", value: 1, by: {} },
    { name: "PruneLeft", value: 3, by: {} },
    { name: "PruneUnjudged", value: 4, by: {} },
  ]);
});
