import { describe, expect, test } from "vitest";
import { groupOf } from "../../../support/states.ts";
import { eventsOfShown, historyOfShown, partitionOf, type Shown, withEnds } from "./series.ts";

describe("lag", () => {
  test("is the log end minus the commit at the last point, 0 where the commit is above it", () => {
    expect(partitionOf([{ offset: 5n, end: 9n }]).lag).toBe(4n);
    expect(partitionOf([{ offset: 9n, end: 5n }]).lag).toBe(0n);
    expect(partitionOf([{ offset: 5n, end: null }]).lag).toBeNull();
  });

  test("is exact beyond 2^53", () => {
    expect(partitionOf([{ offset: 1n, end: 9007199254740994n }]).lag).toBe(9007199254740993n);
  });

  test("in seconds is interpolated between the log ends around the commit", () => {
    const { lagSeconds, lagSecondsError } = partitionOf(withEnds([0n, 0n], [100n, 200n], [100n, 300n]));
    // The record at 100 came between the minutes 0 and 15; half of 200 came before it.
    expect(lagSeconds).toBeCloseTo(22.5 * 60, -1);
    expect(lagSecondsError).toBeGreaterThanOrEqual(7.5 * 60);
    expect(lagSecondsError).toBeLessThan(7.6 * 60);
  });

  test("in seconds goes over points without a log end", () => {
    expect(partitionOf(withEnds([0n, 0n], [100n, null], [100n, 200n])).lagSeconds).toBeCloseTo(15 * 60, -1);
  });

  test("in seconds is unknown, but at least so much, if all log ends are above the commit", () => {
    expect(partitionOf(withEnds([5n, 9n], [5n, 12n]))).toMatchObject({
      lagSeconds: null,
      lagSecondsError: null,
      lagSecondsAtLeast: 15 * 60 - 1,
    });
  });

  test("in seconds takes no log end of a topic that was deleted and created again, also where ids are missing in between", () => {
    expect(
      partitionOf([
        { offset: 0n, end: 0n },
        { offset: 3n, end: 3n, topicId: null },
        { offset: 5n, end: 9n, topicId: "new" },
      ]).lagSeconds,
    ).toBeCloseTo(8.75 * 60, -1);
    expect(
      partitionOf([
        { offset: 0n, end: 0n },
        { offset: 7n, end: 8n, topicId: null },
        { offset: 5n, end: 9n, topicId: "new" },
      ]),
    ).toMatchObject({ lagSeconds: null, lagSecondsAtLeast: 0 });
    expect(
      partitionOf([
        { offset: 0n, end: 0n, topicId: "old" },
        { offset: 5n, end: 8n, topicId: "new" },
        { offset: 5n, end: 9n, topicId: null },
      ]).lagSeconds,
    ).toBeNull();
  });
});

describe("per second", () => {
  test("is the advance from the first point to the last", () => {
    expect(partitionOf([{ offset: 0n }, { offset: 10n }, { offset: 90n }]).perSecond).toBe(0.05);
    expect(partitionOf([{ offset: 5n }]).perSecond).toBeNull();
  });

  test("is over the time between the reads, which a large snapshot does long before it is saved", () => {
    const { perSecond } = partitionOf([
      { offset: 0n, at: 0, readAt: 0 },
      { offset: 90n, at: 3, readAt: 1 },
    ]);
    expect(perSecond).toBe(1.5);
  });

  test("begins anew after a move that was no processing", () => {
    expect(partitionOf([{ offset: 900n }, { offset: 0n }, { offset: 90n }]).perSecond).toBe(0.1);
    expect(partitionOf([{ offset: 900n }, { offset: 0n }]).perSecond).toBeNull();
    expect(partitionOf([{ offset: 9n }, {}, { offset: 0n }, { offset: 90n }]).perSecond).toBe(0.1);
    expect(partitionOf([{ offset: 9n }, { offset: 2_000n }, { offset: 2_090n, end: 3_000n }]).perSecond).toBe(0.1);
  });
});

describe("a history", () => {
  test("has the snapshots that show one of the groups, and points count them", () => {
    const unselected = { more: { consumerGroups: new Map(), selection: { groups: ["other"], exclude: [] } } };
    const { taken, warnings } = historyOfShown([{ offset: 1n }, unselected, { offset: 2n }]);
    expect(taken.map(({ createdAt }) => createdAt)).toEqual(["2025-01-15T10:00:00Z", "2025-01-15T10:30:00Z"]);
    expect(warnings).toEqual([
      '"g": up to 1 snapshot of the range were not asked for it: what was committed then is not known.',
    ]);
  });

  test("leaves out what was read before the snapshot before, and was saved after it", () => {
    const overtaken: readonly Shown[] = [
      { offset: 10n, end: 30n, at: 0, readAt: 0 },
      { offset: 20n, end: 30n, at: 5, readAt: 5 },
      { offset: 15n, end: 30n, at: 6, readAt: 4 },
    ];
    expect(eventsOfShown(overtaken)).toEqual([]);
    expect(partitionOf(overtaken)).toMatchObject({ lag: 10n, status: "OK" });
    const onlyThere = [
      { at: 5, readAt: 5 },
      { offset: 15n, at: 6, readAt: 4 },
    ];
    expect(historyOfShown(onlyThere).groups.get("g")).toEqual({ status: "NOTFOUND", partitions: new Map() });
    const { taken, warnings } = historyOfShown(overtaken);
    expect(taken).toHaveLength(3);
    expect(warnings).toEqual([
      '"g": up to 1 snapshot of the range read it earlier than the snapshot before did: no points there.',
    ]);
  });

  test("does not warn of a pending commit on a partition that it does not show", () => {
    const group = { ...groupOf("classic", "Stable", 1), pending: ["other-0"] };
    const observed = { groups: new Map([["g", group]]), topics: new Map() };
    expect(historyOfShown([{ offset: 1n, more: { observed } }]).warnings).toEqual([]);
  });

  test.each([
    ["pending", { offset: 1n, pending: true }, /transactional commit was pending/],
    ["negative", { negative: true }, /negative offsets, which are no commits/],
  ])("warns of %s commits", (_, shown, warning) => {
    expect(historyOfShown([{ offset: 1n }, shown]).warnings).toEqual([expect.stringMatching(warning)]);
  });
});
