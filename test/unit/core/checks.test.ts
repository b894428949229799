import { describe, expect, test } from "vitest";
import {
  commitWarnings,
  requireReadable,
  requireSameCluster,
  uncapturedWarnings,
  unreadable,
} from "../../../functions/shared/core/checks.ts";
import { KafkaAuthorization, KafkaUnavailable } from "../../../functions/shared/core/errors.ts";
import { groupOf, liveOf, snapshotOf } from "../../support/states.ts";

const failed = (group: string, error = "KafkaAuthorization") => ({ group, error, message: `no ${group}` });

describe("groups that could not be read", () => {
  test("give the error that all of them have, which lists them and the next step", () => {
    const errors = [failed("a"), failed("b")];
    const error = unreadable(errors, "Grant it.");
    expect(error).toBeInstanceOf(KafkaAuthorization);
    expect(error.message).toBe(
      'KafkaAuthorization: 2 groups could not be read: "a", "b" (KafkaAuthorization: no a). Nothing was changed. Grant it.',
    );
    expect(error.details).toEqual({ errors });
  });

  test("give KafkaUnavailable if their errors differ", () => {
    expect(unreadable([failed("a"), failed("b", "KafkaAuthentication")], "")).toBeInstanceOf(KafkaUnavailable);
  });

  test("make a comparison fail, since it would be incomplete", () => {
    const live = liveOf(new Map(), new Map());
    expect(() => requireReadable(live)).not.toThrow();
    expect(() => requireReadable({ ...live, errors: [failed("a")] })).toThrow(
      /^KafkaAuthorization: 1 group could not be read: "a" .* Remove the cause, or name other groups\.$/,
    );
  });
});

describe("requireSameCluster", () => {
  const snapshot = snapshotOf(new Map());
  test("accepts the cluster of the snapshot, even under another name", () => {
    expect(() => requireSameCluster(snapshot, { name: "other", clusterId: "c1" }, "this cluster")).not.toThrow();
  });
  test("refuses another cluster, and names both", () => {
    expect(() => requireSameCluster(snapshot, { name: "test", clusterId: "c2" }, "this cluster")).toThrow(
      /^ClusterMismatch: snapshot-\S+ was taken on cluster c1 \(test\), and this cluster is c2 \(test\)\. Offsets of two/,
    );
  });
});

describe("groups that a snapshot failed to capture", () => {
  test("cause no warning if there are none", () => {
    expect(uncapturedWarnings({ snapshotId: "s" }, [], ["a"])).toEqual([]);
  });
  test("are named in a warning where patterns, or no selectors, select them", () => {
    expect(uncapturedWarnings({ snapshotId: "s" }, [failed("a")], undefined)).toEqual([
      's is partial: "a" could not be captured, and was not compared.',
    ]);
    expect(uncapturedWarnings({ snapshotId: "s" }, [failed("a"), failed("b")], ["*"])).toEqual([
      's is partial: "a", "b" could not be captured, and were not compared.',
    ]);
  });
  test("are named with those that could not be listed, unless all groups are named literally", () => {
    const unlisted = { offsetsPartitions: [5], message: "no leader of 5" };
    const warning = "s is partial: it lacks groups that could not be listed when it was taken (no leader of 5).";
    for (const groups of [undefined, ["a*", "b"]]) {
      expect(uncapturedWarnings({ snapshotId: "s", unlisted }, [], groups)).toEqual([warning]);
    }
    expect(uncapturedWarnings({ snapshotId: "s", unlisted }, [], ["a", { name: "b*" }])).toEqual([]);
  });
  test("are an error where one is named literally", () => {
    expect(() => uncapturedWarnings({ snapshotId: "s" }, [failed("a"), failed("b")], ["a*", "b"])).toThrow(
      /^GroupNotFound: s does not have group "b": it could not be captured \(KafkaAuthorization: no b\)\. Nothing was changed\. Use another/,
    );
  });
});

test("commits that are pending or negative are named once for each group", () => {
  const groups = new Map([
    [
      "a",
      {
        ...groupOf("classic", "Empty", 0),
        pending: ["t-0", "t-1"],
        negative: new Map([
          ["t-2", -1001n],
          ["t-3", -5n],
        ]),
      },
    ],
    ["b", { ...groupOf("classic", "Empty", 0), pending: ["t-0"] }],
    ["c", groupOf("classic", "Empty", 0)],
  ]);
  expect(commitWarnings(groups)).toEqual([
    'Group "a" has a transaction with a commit pending on "t-0", "t-1": the offsets are the last ones from before it.',
    'Group "b" has a transaction with a commit pending on "t-0": the offsets are the last ones from before it.',
    'Group "a" has committed negative offsets on "t-2" (-1001), "t-3" (-5): they count as no commit, and no rollback or ' +
      "undo can restore them.",
  ]);
  expect(commitWarnings(groups, (key) => key === "t-1")).toEqual([
    'Group "a" has a transaction with a commit pending on "t-1": the offsets are the last ones from before it.',
  ]);
});
