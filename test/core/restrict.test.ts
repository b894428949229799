import { describe, expect, test } from "vitest";
import { onTopics, restrict } from "../../functions/shared/core/restrict.ts";
import { at, snapshotOf } from "../support/states.ts";

describe("restrict", () => {
  const snapshot = snapshotOf(
    new Map([
      [
        "a",
        new Map([
          ["t-0", at(1n)],
          ["u-0", at(2n)],
        ]),
      ],
      ["b", new Map([["t-0", at(3n)]])],
    ]),
  );
  test("picks groups and topics", () => {
    const part = restrict(snapshot, { groups: ["a"], topics: ["u"] });
    expect(part.commits).toEqual(new Map([["a", new Map([["u-0", at(2n)]])]]));
  });
  test("refuses a group that the snapshot lacks, and patterns that find nothing", () => {
    expect(() => restrict(snapshot, { groups: ["a", "c"] })).toThrow(/^GroupNotFound: .*"c"/);
    expect(() => restrict(snapshot, { groups: ["z*"] })).toThrow(/^GroupNotFound: .*"z\*"/);
    expect(restrict(snapshot, { groups: ["a", "z*"] }).warnings).toEqual([
      'The pattern "z*" matches no group of the snapshot.',
    ]);
  });
  test("refuses a topic that no selected group has", () => {
    expect(() => restrict(snapshot, { groups: ["b"], topics: ["u"] })).toThrow(/^InvalidRequest: topics: .*"u".*"t"/);
  });
  test("keeps groups whose commits are all on other topics", () => {
    expect(onTopics(snapshot.consumerGroups, ["u*"]).get("b")?.size).toBe(0);
  });
});
