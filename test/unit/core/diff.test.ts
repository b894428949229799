import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { diffCommits } from "../../../functions/shared/core/diff.ts";
import { type Commit, countOffsets } from "../../../functions/shared/core/model.ts";
import { verificationDocument, verifyCommits } from "../../../functions/shared/core/verify.ts";
import { commits } from "../../support/arbitraries.ts";

const group = (partitions: Record<string, Commit>) => new Map([["g", new Map(Object.entries(partitions))]]);
const at = (offset: bigint, metadata = "", leaderEpoch?: number): Commit =>
  leaderEpoch === undefined ? { offset, metadata } : { offset, metadata, leaderEpoch };

describe("diffCommits", () => {
  test("finds nothing between equal commits", () => {
    fc.assert(
      fc.property(commits, (equal) => {
        const { summary, groups } = diffCommits(equal, equal);
        expect(groups.size).toBe(0);
        expect(summary).toEqual({
          advanced: 0,
          rewound: 0,
          metadata: 0,
          added: 0,
          removed: 0,
          unchanged: countOffsets(equal),
        });
      }),
    );
  });

  test("counts every partition of both sides once, and is mirrored if the sides are exchanged", () => {
    fc.assert(
      fc.property(commits, commits, (a, b) => {
        const { summary } = diffCommits(a, b);
        const back = diffCommits(b, a).summary;
        expect(summary.removed + summary.advanced + summary.rewound + summary.metadata + summary.unchanged).toBe(
          countOffsets(a),
        );
        expect(summary.added + summary.advanced + summary.rewound + summary.metadata + summary.unchanged).toBe(
          countOffsets(b),
        );
        expect([back.added, back.removed, back.advanced, back.rewound]).toEqual([
          summary.removed,
          summary.added,
          summary.rewound,
          summary.advanced,
        ]);
      }),
    );
  });

  test("names each kind of change, with the distance where both sides have an offset", () => {
    const from = group({ "t-0": at(5n), "t-1": at(5n), "t-2": at(5n), "t-3": at(5n), "t-4": at(5n, "", 1) });
    const to = group({ "t-0": at(9n), "t-1": at(2n), "t-2": at(5n, "m"), "t-4": at(5n, "", 2), "t-5": at(0n) });
    const changes = diffCommits(from, to).groups.get("g");
    expect([...(changes ?? [])].map(([key, { change, offsetDelta }]) => [key, change, offsetDelta])).toEqual([
      ["t-0", "advanced", 4n],
      ["t-1", "rewound", -3n],
      ["t-2", "metadata", 0n],
      ["t-3", "removed", undefined],
      ["t-4", "metadata", 0n],
      ["t-5", "added", undefined],
    ]);
  });
});

describe("verifyCommits", () => {
  test("verifies equal commits, and agrees with diffCommits", () => {
    fc.assert(
      fc.property(commits, commits, (a, b) => {
        expect(verifyCommits(a, a)).toEqual({ verified: true, checked: countOffsets(a), mismatches: [] });
        const ofA = new Map([...b].filter(([name]) => a.has(name)));
        expect(verifyCommits(a, b).verified).toBe(diffCommits(a, ofA).groups.size === 0);
      }),
    );
  });

  test("names every kind of mismatch", () => {
    const expected = group({ "t-0": at(5n, "a", 1), "t-1": at(5n) });
    const actual = group({ "t-0": at(6n, "b", 2), "t-2": at(1n) });
    const { checked, mismatches } = verifyCommits(expected, actual);
    expect(checked).toBe(3);
    expect(mismatches.map(({ partition, kind }) => [partition, kind])).toEqual([
      [0, "offset"],
      [0, "metadata"],
      [0, "leader_epoch"],
      [1, "missing"],
      [2, "extra"],
    ]);
  });

  test("expects no commit where null is given: a commit there is extra, and its absence counts as checked", () => {
    const none = new Map([["g", new Map([["t-0", null]])]]);
    expect(verifyCommits(none, group({}))).toEqual({ verified: true, checked: 1, mismatches: [] });
    expect(verifyCommits(none, new Map())).toEqual({ verified: true, checked: 1, mismatches: [] });
    expect(verifyCommits(none, group({ "t-0": at(3n) }))).toEqual({
      verified: false,
      checked: 1,
      mismatches: [{ group: "g", topic: "t", partition: 0, kind: "extra", expected: null, actual: at(3n) }],
    });
  });

  test("reports a difference in one property alone, and ignores groups that were not expected", () => {
    const kinds = (expected: Commit, actual: Commit) =>
      verifyCommits(
        group({ "t-0": expected }),
        new Map([...group({ "t-0": actual }), ["h", new Map()]]),
      ).mismatches.map(({ kind }) => kind);
    expect(kinds(at(5n, "a", 1), at(6n, "a", 1))).toEqual(["offset"]);
    expect(kinds(at(5n, "a", 1), at(5n, "b", 1))).toEqual(["metadata"]);
    expect(kinds(at(5n, "a", 1), at(5n, "a", 2))).toEqual(["leader_epoch"]);
    expect(kinds(at(5n, "a", 1), at(5n, "a"))).toEqual(["leader_epoch"]);
  });

  test("is encoded with commits in the form of the snapshot document", () => {
    const verification = verifyCommits(group({ "t-0": at(5n, "a", 1) }), group({}));
    expect(verificationDocument.encode(verification)).toEqual({
      verified: false,
      checked: 1,
      mismatches: [
        {
          ...{ group: "g", topic: "t", partition: 0, kind: "missing" },
          expected: { offset: 5n, metadata: "a", leader_epoch: 1 },
          actual: null,
        },
      ],
    });
  });
});
