import { describe, expect, test } from "vitest";
import { InvalidRequest } from "../../../functions/shared/core/errors.ts";
import { mapGroups, restrict } from "../../../functions/shared/core/restrict.ts";
import { at, snapshotOf } from "../../support/states.ts";

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
  test("refuses a group that the snapshot lacks, and patterns that match no group", () => {
    expect(() => restrict(snapshot, { groups: ["a", "c"] })).toThrow(/^GroupNotFound: .*"c"/);
    expect(() => restrict(snapshot, { groups: ["z*"] })).toThrow(/^GroupNotFound: .*"z\*"/);
    expect(restrict(snapshot, { groups: ["a", "z*"] }).warnings).toEqual([
      'The pattern "z*" matches no group of the snapshot.',
    ]);
  });
  test("refuses a topic that no selected group has", () => {
    expect(() => restrict(snapshot, { groups: ["b"], topics: ["u"] })).toThrow(/^InvalidRequest: topics: .*"u".*"t"/);
  });
  test("names the groups that the snapshot lacks, and those that it has", () => {
    expect(() => restrict(snapshot, { groups: ["c", "z*"] })).toThrow(/has no group "c"\. It has "a", "b"; names are/);
    expect(() => restrict(snapshotOf(new Map()), { groups: ["c"] })).toThrow(
      /has no group "c"\. It has no group at all/,
    );
    expect(() => restrict(snapshot, { groups: ["c"] })).toThrow(/Nothing was changed\. Look for another snapshot/);
  });
  test("picks everything if no groups and topics are given, also from an empty snapshot", () => {
    expect(restrict(snapshot, {}).commits).toEqual(snapshot.consumerGroups);
    expect(restrict(snapshotOf(new Map()), {})).toEqual({
      commits: new Map(),
      errors: [],
      sources: new Map(),
      warnings: [],
    });
  });
  test("refuses a missing topic beside an existing one", () => {
    expect(() => restrict(snapshot, { topics: ["t", "v"] })).toThrow(/^InvalidRequest: topics: .*"v".*"t", "u"/);
  });
  test("refuses an empty list of groups", () => {
    expect(() => restrict(snapshot, { groups: [] })).toThrow(/^GroupNotFound: /);
  });
  test("picks only requested groups from those that were not captured", () => {
    const [lost, other] = ["lost", "other"].map((group) => ({
      group,
      error: "KafkaAuthorization",
      message: "no right",
    }));
    const partial = { ...snapshot, errors: [lost, other].filter((error) => error !== undefined) };
    expect(restrict(partial, { groups: ["a", "lost"] }).errors).toEqual([lost]);
    expect(restrict(partial, {}).errors).toEqual([lost, other]);
  });
  test("warns of patterns that match no group, and of those that match no topic", () => {
    expect(restrict(snapshot, { groups: ["a", "z*"], topics: ["u:0", "z*"] })).toMatchObject({
      commits: new Map([["a", new Map([["u-0", at(2n)]])]]),
      warnings: ['The pattern "z*" matches no group of the snapshot.', 'The pattern "z*" matches no topic.'],
    });
  });
});

describe("mapGroups", () => {
  const lost = { group: "lost", error: "KafkaAuthorization", message: "no right" };
  const snapshot = snapshotOf(
    new Map([
      ["a", new Map([["t-0", at(1n)]])],
      ["b", new Map([["t-0", at(2n)]])],
    ]),
    { errors: [lost] },
  );
  const part = restrict(snapshot, {});

  test("renames every group, including those that were not captured, and records their names in the snapshot", () => {
    const mapped = mapGroups(part, new Map(Object.entries({ a: "b", b: "a", lost: "found" })));
    expect(mapped.commits).toEqual(
      new Map([
        ["b", new Map([["t-0", at(1n)]])],
        ["a", new Map([["t-0", at(2n)]])],
      ]),
    );
    expect(mapped.errors).toEqual([{ ...lost, group: "found" }]);
    expect(mapped.sources).toEqual(new Map(Object.entries({ b: "a", a: "b", found: "lost" })));
    expect(mapped.warnings).toBe(part.warnings);
    expect(part.sources.size).toBe(0);
  });

  test("accepts names that JavaScript objects treat specially", () => {
    const odd = restrict(snapshotOf(new Map([["__proto__", new Map([["t-0", at(1n)]])]])), {});
    expect(mapGroups(odd, new Map([["__proto__", "42"]]))).toMatchObject({
      commits: new Map([["42", new Map([["t-0", at(1n)]])]]),
      sources: new Map([["42", "__proto__"]]),
    });
  });

  test("reports all problems at once: groups without a target, unknown groups, targets named twice", () => {
    const wrong = new Map(Object.entries({ a: "x", b: "x", strange: "y", other: "y" }));
    try {
      mapGroups(part, wrong);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidRequest);
      expect(error).toMatchObject({
        message:
          'InvalidRequest: group_map: "lost" is selected, and the map does not say where to put it; "strange", "other" is ' +
          'not among the groups that are selected; "x", "y" is the target of more than one group. Nothing was changed.',
        details: {
          problems: [
            expect.stringMatching(/^group_map: "lost" is selected/),
            expect.stringMatching(/^group_map: "strange", "other" is not among/),
            expect.stringMatching(/^group_map: "x", "y" is the target/),
          ],
        },
      });
    }
  });

  test.each([
    ["a group without a target", { a: "x", b: "y" }, /"lost" is selected/],
    ["a group that is not selected", { a: "x", b: "y", lost: "z", c: "w" }, /"c" is not among/],
    ["a target named twice", { a: "x", b: "x", lost: "z" }, /"x" is the target of more than one/],
  ])("refuses %s, and reports only that", (_what, map, message) => {
    const attempt = () => mapGroups(part, new Map(Object.entries(map)));
    expect(attempt).toThrow(/^InvalidRequest: group_map: [^;]*\.$/);
    expect(attempt).toThrow(message);
  });
});
