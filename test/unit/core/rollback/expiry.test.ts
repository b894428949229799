import { describe, expect, test } from "vitest";
import type { LiveState, ObservedGroup } from "../../../../functions/shared/core/model.ts";
import { restrict } from "../../../../functions/shared/core/restrict.ts";
import { expiryWarnings, idleGroups } from "../../../../functions/shared/core/rollback/expiry.ts";
import { planRollback } from "../../../../functions/shared/core/rollback/planning.ts";
import { at, group, groupOf, liveOf, refuse, snapshotOf, topicsFor } from "../../../support/states.ts";

const saved = group({ "t-0": at(5n) });
const topics = topicsFor(saved);
const idle = (then: ObservedGroup, now: ObservedGroup | undefined, source?: string) => {
  const snapshot = snapshotOf(saved, { observed: { groups: new Map([["g", then]]), topics } });
  const live: LiveState = liveOf(group({ "t-0": at(9n) }), topics, {
    observed: { groups: new Map(now && [["g", now]]), topics },
  });
  const part = restrict(snapshot, {});
  const sources = new Map(source === undefined ? [] : [["g", source]]);
  return idleGroups(snapshot, planRollback(snapshot, { ...part, sources }, live, refuse), live);
};
const empty = groupOf("classic", "Empty", 0);
const stable = { ...groupOf("classic", "Stable", 2), asOf: "2025-01-15T10:29:59.000Z" };

describe("the groups whose offsets may expire soon", () => {
  test("are classic groups that have had members: when they became empty shows only if there were some in the snapshot", () => {
    expect(idle(empty, empty)).toEqual([{ group: "g", hadMembersAt: null }]);
    expect(idle(stable, empty)).toEqual([{ group: "g", hadMembersAt: Date.parse("2025-01-15T10:29:59Z") }]);
    expect(idle({ ...stable, asOf: null }, empty)).toEqual([
      { group: "g", hadMembersAt: Date.parse("2025-01-15T10:30:00Z") },
    ]);
    expect(idle(stable, groupOf(null, "Empty", 0))).toHaveLength(1);
    expect(idle(stable, empty, "another")).toEqual([{ group: "g", hadMembersAt: null }]);
  });

  test.each<[string, ObservedGroup | undefined]>([
    ["does not exist yet", undefined],
    ["is simple", { ...empty, protocolType: "" }],
    ["has members", stable],
    ["is of the consumer protocol", groupOf("consumer", "Empty", 0)],
    ["is a share group", groupOf("share", "Empty", 0)],
  ])("are not those of a group that %s", (_, now) => {
    expect(idle(empty, now)).toEqual([]);
  });
});

describe("the warning about expiry", () => {
  const taken = Date.parse("2025-01-15T10:30:00Z");
  const daysLater = (days: number) => new Date(taken + days * 86_400_000);
  const week = { done: 7 * 1_440 };
  const [unknown, known] = [
    { group: "a", hadMembersAt: null },
    { group: "b", hadMembersAt: taken },
  ];

  test("says until when offsets are kept, only if less than half the retention is left", () => {
    expect(expiryWarnings([known], week, daysLater(3))).toEqual([]);
    expect(expiryWarnings([known, { group: "c", hadMembersAt: taken + 1_000 }], week, daysLater(4))).toEqual([
      '"b", "c" have no members: Kafka deletes the offsets of such a group 7 days after it became empty, whenever they ' +
        "were committed. There were members when the snapshot was taken, so Kafka keeps the offsets at least until " +
        "2025-01-22T10:30:00Z. Start the consumers before that.",
    ]);
  });

  test("says that offsets may expire at any time if the retention has passed since there were members", () => {
    expect(expiryWarnings([known], week, daysLater(18))).toEqual([
      expect.stringMatching(/^"b" has no members: .* may expire at any time/),
    ]);
  });

  test("counts half the retention as enough, and the moment at which it ends as too late", () => {
    expect(expiryWarnings([known], week, daysLater(3.5))).toEqual([]);
    expect(expiryWarnings([known], week, new Date(daysLater(3.5).getTime() + 1))).toEqual([
      expect.stringMatching(/^"b" has no members: .* at least until 2025-01-22T10:30:00Z\./),
    ]);
    expect(expiryWarnings([known], week, daysLater(7))).toEqual([
      expect.stringMatching(/^"b" has no members: .* may expire at any time/),
    ]);
  });

  test("says that offsets may expire at any time if nothing is known", () => {
    expect(expiryWarnings([unknown, known], { done: 90 }, daysLater(0))).toEqual([
      expect.stringMatching(
        /^"a" has no members: .* 90 minutes after it became empty, .* When it became empty is not known: .* may expire at any time\. Start/,
      ),
    ]);
  });

  test("has no time if the retention could not be read, and says why", () => {
    const failed = { failed: { message: "the principal needs DESCRIBE_CONFIGS on the cluster" } };
    expect(expiryWarnings([unknown, known], failed, daysLater(0))).toEqual([
      expect.stringMatching(
        /^"a", "b" have no members: .* offsets\.retention\.minutes after it became empty, .*could not be read \(the principal needs DESCRIBE_CONFIGS .*7 days/,
      ),
    ]);
    expect(expiryWarnings([], failed, daysLater(0))).toEqual([]);
  });
});
