import { describe, expect, test } from "vitest";
import { restrict } from "../../../functions/shared/core/restrict.ts";
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
  test("says that a group may be among those that could not be listed", () => {
    const unlisted = { offsetsPartitions: [5], message: "no leader of 5" };
    expect(() => restrict({ ...snapshot, unlisted }, { groups: ["c"] })).toThrow(
      /names are case-sensitive\. It lacks groups that could not be listed: no leader of 5\. Nothing was changed\./,
    );
    expect(() => restrict(snapshot, { groups: ["c"] })).toThrow(/names are case-sensitive\. Nothing was changed\./);
  });
  test("picks everything if no groups and topics are given, also from an empty snapshot", () => {
    expect(restrict(snapshot, {}).commits).toEqual(snapshot.consumerGroups);
    expect(restrict(snapshotOf(new Map()), {})).toMatchObject({
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
  test("leaves topics that the snapshot lacks to a comparison with what is committed now, if asked to", () => {
    const live = new Map([["a", new Map([["v-3", at(1n)]])]]);
    const part = restrict(snapshot, { topics: ["t:0", "v:3"] }, true);
    expect(part.warnings).toEqual([]);
    expect(["t-0", "t-1", "v-3", "v-2"].map(part.picks)).toEqual([true, false, true, false]);
    expect(part.topicWarnings(live)).toEqual([]);
    expect(() => part.topicWarnings(new Map())).toThrow(/in what is committed now no selected group has .* "v:3"; /);
  });
  test("does not say that a group has no commits on a topic if it could not be captured", () => {
    const errors = [{ group: "c", error: "KafkaUnavailable", message: "no answer" }];
    const partial = snapshotOf(snapshot.consumerGroups, { errors });
    for (const groups of [["c"], ["a", "c"]]) {
      const part = restrict(partial, { groups, topics: ["v"] });
      expect(part).toMatchObject({
        errors,
        warnings: [`Whether "c" had commits on "v" is not known: ${snapshot.snapshotId} could not capture that group.`],
      });
      expect([...part.commits.values()].every(({ size }) => size === 0)).toBe(true);
    }
    expect(() => restrict(partial, { groups: ["a"], topics: ["v"] })).toThrow(/^InvalidRequest: topics: /);
    const two = snapshotOf(snapshot.consumerGroups, {
      errors: [...errors, ...errors.map((one) => ({ ...one, group: "d" }))],
    });
    expect(restrict(two, { groups: ["c", "d"], topics: ["v"] }, true).topicWarnings(new Map())).toEqual([
      `Whether "c", "d" had commits on "v" is not known: ${snapshot.snapshotId} could not capture those groups.`,
    ]);
  });
  test("warns of patterns that match no group, and of those that match no topic", () => {
    expect(restrict(snapshot, { groups: ["a", "z*"], topics: ["u:0", "z*"] })).toMatchObject({
      commits: new Map([["a", new Map([["u-0", at(2n)]])]]),
      warnings: ['The pattern "z*" matches no group of the snapshot.', 'The pattern "z*" matches no topic.'],
    });
  });
});
