import { describe, expect, test } from "vitest";
import type { Step } from "../../../../functions/shared/core/history/events.ts";
import { eventsOfShown, minute, type Shown, withEnds } from "./series.ts";

const events = eventsOfShown;

describe("stopped", () => {
  test("after the last snapshot in which it stood elsewhere, and before the first that has unread records", () => {
    expect(events([{ offset: 10n }, { offset: 16n }, { offset: 16n }, { offset: 16n }])).toEqual([
      "stopped 0–15: 10 → 16",
    ]);
  });

  test("is not said of a quiet topic, whose log end is at the commit", () => {
    expect(events(withEnds([10n, 16n], [16n, 16n], [16n, 16n]))).toEqual([]);
  });

  test("is before the first unread record where the group had read all records until then", () => {
    expect(events(withEnds([10n, 16n], [16n, 16n], [16n, 16n], [16n, 20n], [16n, 25n]))).toEqual([
      "stopped 0–45: 10 → 16",
    ]);
  });

  test("is not said at the first snapshot with unread records, which may have come right before it", () => {
    expect(events(withEnds([16n, 16n], [16n, 20n]))).toEqual([]);
  });

  test("is not said of a group with members until records have waited for a minute", () => {
    const until = (at: number) => events([{ offset: 10n }, { offset: 16n, at: 15 }, { offset: 16n, at }]);
    expect(until(15.5)).toEqual([]);
    expect(until(16)).toEqual(["stopped 0–15: 10 → 16"]);
  });

  test("is said at once of a group without members", () => {
    const twice = (more: Shown) =>
      events([{ offset: 10n }, { offset: 16n, at: 15 }, { offset: 16n, at: 15.1, ...more }]);
    expect(twice({ members: 0 })).toEqual(["stopped 0–15: 10 → 16"]);
    expect(twice({ members: 1 })).toEqual([]);
    expect(twice({ members: null })).toEqual([]);
  });

  test("is not said at once of a simple group, whose consumers are never members", () => {
    expect(
      events([
        { offset: 10n, end: 10n, members: 0, protocolType: "" },
        { offset: 10n, end: 12n, members: 0, protocolType: "" },
        { offset: 12n, end: 12n, members: 0, protocolType: "" },
      ]),
    ).toEqual([]);
  });

  test("is not said while a transactional commit is pending, nor where the log end is unknown", () => {
    expect(events([{ offset: 10n }, { offset: 16n, pending: true }, { offset: 16n, pending: true }])).toEqual([]);
    expect(events([{ offset: 10n }, { offset: 16n, end: null }, { offset: 16n, end: null }])).toEqual([]);
  });

  test("has no earlier bound if it stood there in the first snapshot", () => {
    expect(events([{ offset: 16n }, { offset: 16n }])).toEqual(["stopped null–0: 16 → 16"]);
  });

  test("is said once, and again after it was resumed", () => {
    const offsets = [10n, 16n, 16n, 16n, 20n, 20n, 20n];
    expect(events(offsets.map((offset) => ({ offset })))).toEqual([
      "stopped 0–15: 10 → 16",
      "resumed 45–60: 16 → 20",
      "stopped 45–60: 16 → 20",
    ]);
  });

  test("is said after a rewind of a group that had not stopped before", () => {
    expect(events([{ offset: 16n }, { offset: 5n }, { offset: 5n }])).toEqual([
      "rewound 0–15: 16 → 5, unexplained",
      "stopped 0–15: 16 → 5",
    ]);
  });

  test("is not said again after a rewind of a group that has stopped, and it is resumed after that", () => {
    const offsets = [16n, 16n, 5n, 5n, 9n];
    expect(events(offsets.map((offset) => ({ offset })))).toEqual([
      "stopped null–0: 16 → 16",
      "rewound 15–30: 16 → 5, unexplained",
      "resumed 45–60: 5 → 9",
    ]);
  });
});

describe("a commit that moved", () => {
  test("forward by what the log has is processing", () => {
    expect(events([{ offset: 10n }, { offset: 900n }, { offset: 1_000n }])).toEqual([]);
  });

  test("back is rewound, unexplained without a rollback", () => {
    expect(events([{ offset: 10n }, { offset: 9n }])).toEqual(["rewound 0–15: 10 → 9, unexplained"]);
  });

  test("past the log end has jumped", () => {
    expect(events([{ offset: 10n }, { offset: 1_001n }])).toEqual(["jumped 0–15: 10 → 1001, unexplained"]);
    expect(events([{ offset: 10n }, { offset: 1_001n, end: null }])).toEqual([]);
  });

  test("has jumped over records that the log no longer had before the commit was read", () => {
    const toOffset = (offset: bigint) => events([5n, 10n, offset].map((offset) => ({ offset, start: 50n })));
    expect(toOffset(60n)).toEqual(["jumped 15–30: 10 → 60, unexplained"]);
    expect(toOffset(50n)).toEqual(["jumped 15–30: 10 → 50, unexplained"]);
    expect(toOffset(49n)).toEqual([]);
  });

  test("has not jumped over the log start of a topic that was created again", () => {
    const again = { topicId: "new", start: 0n };
    expect(
      events([
        { offset: 510n, start: 500n },
        { offset: 10n, ...again },
        { offset: 700n, ...again },
      ]),
    ).toEqual(["recreated 0–15: 510 → 10"]);
  });

  test("has not jumped where the log start came to be above its commit only meanwhile", () => {
    expect(
      events([
        { offset: 10n, start: 0n },
        { offset: 20n, start: 25n },
        { offset: 60n, start: 50n },
      ]),
    ).toEqual([]);
  });
});

describe("a commit that is absent", () => {
  test("appears and vanishes", () => {
    expect(events([{}, { offset: 10n }, {}, { offset: 12n }])).toEqual([
      "appeared 0–15: null → 10",
      "vanished 15–30: 10 → null",
      "appeared 30–45: null → 12",
    ]);
  });

  test("in a snapshot that had all groups, and not this one, vanishes", () => {
    expect(events([{ offset: 10n }, { more: { consumerGroups: new Map() } }])).toEqual(["vanished 0–15: 10 → null"]);
  });

  test.each<[string, Partial<Shown>]>([
    [
      "did not ask for the group",
      { more: { consumerGroups: new Map(), selection: { groups: ["other"], exclude: [] } } },
    ],
    [
      "could not capture it",
      { more: { consumerGroups: new Map(), errors: [{ group: "g", error: "KafkaUnavailable", message: "" }] } },
    ],
    [
      "could not list all groups",
      { more: { consumerGroups: new Map(), unlisted: { offsetsPartitions: [1], message: "" } } },
    ],
    ["is a safety snapshot of other groups", { more: { consumerGroups: new Map(), trigger: "safety" } }],
    ["could not observe the topic", { more: { observed: { groups: new Map(), topics: new Map([["t", null]]) } } }],
    ["has a negative offset in its place", { negative: true }],
  ])("in a snapshot that %s is unknown, and bounds go over it", (_, unknown) => {
    expect(events([{ offset: 10n }, unknown, { offset: 9n }])).toEqual(["rewound 0–30: 10 → 9, unexplained"]);
    expect(events([{ offset: 10n }, unknown, { offset: 12n }])).toEqual([]);
  });
});

describe("recreated", () => {
  test("where the topic has another id, whatever the commit did", () => {
    expect(events([{ offset: 10n }, { offset: 3n, topicId: "new" }, { offset: 5n, topicId: "new" }])).toEqual([
      "recreated 0–15: 10 → 3",
    ]);
  });

  test("also where the commit vanished in between, or the id is not known in between", () => {
    expect(events([{ offset: 10n }, {}, { offset: 3n, topicId: "new" }])).toEqual([
      "vanished 0–15: 10 → null",
      "recreated 0–30: 10 → 3",
    ]);
    expect(events([{ offset: 10n }, { offset: 10n, end: 10n, topicId: null }, { offset: 3n, topicId: "new" }])).toEqual(
      ["recreated 0–30: 10 → 3"],
    );
  });

  test("is not known of brokers without topic ids", () => {
    expect(
      events([
        { offset: 10n, topicId: null },
        { offset: 3n, topicId: null },
      ]),
    ).toEqual(["rewound 0–15: 10 → 3, unexplained"]);
  });
});

describe("a rollback explains a move", () => {
  const rollback = (step: Step, to: bigint | null, more: { from?: number; until?: number; group?: string } = {}) => ({
    rollbackId: "r",
    safetySnapshotId: `snapshot-${minute(more.from ?? 5)}`,
    from: Date.parse(minute(more.from ?? 5)),
    until: Date.parse(minute(more.until ?? 6)),
    groups: new Map([
      [more.group ?? "g", new Map([["t-0", { step, to: to === null ? null : { offset: to, metadata: "" } }]])],
    ]),
  });
  const back: readonly Shown[] = [{ offset: 10n }, { offset: 5n }];

  test("back to its target, or to what a consumer has reached since", () => {
    expect(events(back, [rollback("rewind", 5n)])).toEqual(["rewound 0–15: 10 → 5, by r"]);
    expect(events(back, [rollback("rewind", 3n)])).toEqual(["rewound 0–15: 10 → 5, by r"]);
    expect(events(back, [rollback("rewind", 6n)])).toEqual(["rewound 0–15: 10 → 5, unexplained"]);
  });

  test("only of its groups, its step and its time", () => {
    const unexplained = ["rewound 0–15: 10 → 5, unexplained"];
    expect(events(back, [rollback("rewind", 5n, { group: "other" })])).toEqual(unexplained);
    expect(events(back, [rollback("fast_forward", 5n)])).toEqual(unexplained);
    expect(events(back, [rollback("rewind", 5n, { from: 16, until: 17 })])).toEqual(unexplained);
    expect(events(back, [rollback("rewind", 5n, { from: -2, until: -1 })])).toEqual(unexplained);
  });

  test("not one that its safety snapshot already shows", () => {
    const after: readonly Shown[] = [{ offset: 30n }, { offset: 20n, at: 5 }, { offset: 5n, at: 15 }];
    expect(events(after, [rollback("rewind", 5n)])).toEqual([
      "rewound 0–5: 30 → 20, unexplained",
      "rewound 5–15: 20 → 5, by r",
    ]);
  });

  test("forward, which then is no processing; but not to a target that processing had passed before", () => {
    const forward: readonly Shown[] = [{ offset: 10n }, { offset: 50n }];
    expect(events(forward, [rollback("fast_forward", 40n)])).toEqual(["jumped 0–15: 10 → 50, by r"]);
    expect(events(forward, [rollback("fast_forward", 10n)])).toEqual([]);
    expect(events(forward, [rollback("fast_forward", 51n)])).toEqual([]);
  });

  test("that created or deleted the commit", () => {
    expect(events([{}, { offset: 5n }], [rollback("create", 5n)])).toEqual(["appeared 0–15: null → 5, by r"]);
    expect(events([{ offset: 5n }, {}], [rollback("delete", null)])).toEqual(["vanished 0–15: 5 → null, by r"]);
  });
});
