import { describe, expect, test } from "vitest";
import { groupStatus, type PartitionStatus } from "../../../../functions/shared/core/history/status.ts";
import { historyOfShown, partitionOf, type Shown } from "./series.ts";

/** The status after points with these offsets and lags. */
const statusOf = (points: readonly (readonly [offset: number, lag: number | null])[], more: Shown = {}) =>
  partitionOf(
    points.map(([offset, lag]) => ({
      offset: BigInt(offset),
      end: lag === null ? null : BigInt(offset + lag),
      ...more,
    })),
  ).status;

describe("a partition is", () => {
  test.each<[PartitionStatus, string, readonly (readonly [number, number | null])[]]>([
    [
      "OK",
      "without lag, whatever was before",
      [
        [9, 1],
        [5, 5],
        [5, 0],
      ],
    ],
    [
      "OK",
      "if its lag was 0 in the window, and it moves",
      [
        [5, 9],
        [6, 0],
        [7, 9],
      ],
    ],
    [
      "OK",
      "if its lag became less in the window",
      [
        [5, 9],
        [6, 8],
        [7, 9],
      ],
    ],
    [
      "WARN",
      "if it moves, and its lag never became less",
      [
        [5, 9],
        [6, 9],
        [7, 10],
      ],
    ],
    [
      "STOP",
      "if it stood still for longer than it was seen to move",
      [
        [5, 9],
        [6, 9],
        [6, 10],
        [6, 11],
      ],
    ],
    [
      "OK",
      "if it stood still for as long as it was seen to move, and its lag became less",
      [
        [5, 9],
        [6, 7],
        [6, 8],
      ],
    ],
    [
      "STOP",
      "if it had no lag before it stood still, and has now",
      [
        [5, 0],
        [6, 0],
        [6, 3],
        [6, 4],
        [6, 5],
      ],
    ],
    [
      "OK",
      "if the log end was at the commit at the point before",
      [
        [6, 0],
        [6, 0],
        [6, 3],
      ],
    ],
    [
      "STALL",
      "if it has members, and stood still over the whole window",
      [
        [6, 3],
        [6, 3],
        [6, 4],
      ],
    ],
    [
      "REWIND",
      "after it went back",
      [
        [9, 1],
        [5, 5],
        [6, 5],
      ],
    ],
    [
      "WARN",
      "if it has just reached where it was before it went back",
      [
        [9, 1],
        [5, 5],
        [9, 5],
      ],
    ],
    [
      "WARN",
      "if it has reached where it was before it went back",
      [
        [9, 1],
        [5, 5],
        [9, 5],
        [10, 5],
      ],
    ],
    [
      "UNKNOWN",
      "without a log end at the last point",
      [
        [5, 0],
        [6, null],
      ],
    ],
    ["UNKNOWN", "with lag at its only point", [[5, 1]]],
  ])("%s %s", (status, _, points) => {
    expect(statusOf(points)).toBe(status);
  });

  test("STOP if it has no members, and stood still over the whole window", () => {
    expect(
      statusOf(
        [
          [6, 3],
          [6, 3],
        ],
        { members: 0 },
      ),
    ).toBe("STOP");
  });

  test("judged by its last ten points", () => {
    const still = (n: number) => Array.from({ length: n }, () => [6, 3] as const);
    expect(statusOf([[5, 4], ...still(10)])).toBe("STALL");
    expect(statusOf([[5, 4], ...still(9)])).toBe("STOP");
  });

  test("judged from its re-creation on", () => {
    expect(
      partitionOf([
        { offset: 90n, end: 91n },
        { offset: 5n, end: 9n, topicId: "new" },
        { offset: 6n, end: 11n, topicId: "new" },
      ]).status,
    ).toBe("WARN");
  });

  test("NOTFOUND if its commit is gone, and so is the group if all are", () => {
    const { groups } = historyOfShown([{ offset: 5n }, {}]);
    expect(groups.get("g")).toMatchObject({ status: "NOTFOUND" });
    expect(groups.get("g")?.partitions.get("t-0")).toMatchObject({
      status: "NOTFOUND",
      lag: null,
      lagSeconds: null,
      lagSecondsError: null,
    });
  });
});

test.each<[readonly PartitionStatus[], string]>([
  [["OK", "REWIND"], "ERR"],
  [["STOP", "WARN"], "ERR"],
  [["STALL"], "ERR"],
  [["OK", "WARN", "UNKNOWN"], "WARN"],
  [["OK", "UNKNOWN"], "UNKNOWN"],
  [["OK", "NOTFOUND"], "OK"],
  [["NOTFOUND"], "NOTFOUND"],
  [[], "NOTFOUND"],
])("a group of partitions that are %j is %s", (partitions, status) => {
  expect(groupStatus(partitions)).toBe(status);
});
