import { describe, expect, test } from "vitest";
import {
  requireReadable,
  requireSameCluster,
  uncapturedWarnings,
  unreadable,
} from "../../../functions/shared/core/checks.ts";
import { KafkaAuthorization, KafkaUnavailable } from "../../../functions/shared/core/errors.ts";
import { liveOf, snapshotOf } from "../../support/states.ts";

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
      /^KafkaAuthorization: 1 group could not be read: "a" .* Solve that, or name other groups\.$/,
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
    expect(uncapturedWarnings("s", [], ["a"])).toEqual([]);
  });
  test("are named in a warning where patterns, or no selectors, select them", () => {
    expect(uncapturedWarnings("s", [failed("a")], undefined)).toEqual([
      's is partial: "a" could not be captured, and was not compared.',
    ]);
    expect(uncapturedWarnings("s", [failed("a"), failed("b")], ["*"])).toEqual([
      's is partial: "a", "b" could not be captured, and were not compared.',
    ]);
  });
  test("are an error where one is named literally", () => {
    expect(() => uncapturedWarnings("s", [failed("a"), failed("b")], ["a*", "b"])).toThrow(
      /^GroupNotFound: s does not have group "b": it could not be captured \(KafkaAuthorization: no b\)\. Nothing was changed\. Use another/,
    );
  });
});
