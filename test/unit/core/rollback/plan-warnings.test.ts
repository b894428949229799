import { describe, expect, test } from "vitest";
import type { LiveState, ObservedTopic } from "../../../../functions/shared/core/model.ts";
import { restrict } from "../../../../functions/shared/core/restrict.ts";
import { planRollback } from "../../../../functions/shared/core/rollback/planning.ts";
import type { UncommittedPolicy } from "../../../../functions/shared/core/rollback/uncommitted.ts";
import {
  at,
  group,
  groupOf,
  liveOf,
  log,
  planFor,
  refuse,
  snapshotOf,
  theTopic,
  topicsFor,
} from "../../../support/states.ts";

describe("the warnings of a plan", () => {
  const saved = group({ "t-0": at(5n) });

  describe("about commits on partitions that the snapshot lacks", () => {
    const live = group({ "t-0": at(5n), "t-1": at(12n), "t-2": at(14n) });
    const topicAt = (...ends: (bigint | null)[]) =>
      new Map([["t", { topicId: "id", partitions: new Map(ends.map((end) => log(1n, end)).entries()) }]]);
    const planAt = (uncommitted: UncommittedPolicy, then: ReadonlyMap<string, ObservedTopic | null>) => {
      const snapshot = snapshotOf(saved, { observed: { groups: new Map(), topics: then } });
      const now = liveOf(live, topicAt(20n, 20n, 20n));
      return planRollback(snapshot, restrict(snapshot, {}), now, { ...refuse, uncommitted });
    };

    test("say in figures what it means to keep them, and what each other choice replays or skips", () => {
      expect(planAt("keep", topicAt(10n, 10n, 10n)).warnings).toEqual([
        'The rollback keeps 2 commits of "g" on partitions that the snapshot lacks. Appended after the snapshot, ' +
          "acknowledged, and not replayed: at most 6 records. Other values of uncommitted: " +
          '"snapshot_end" replays at most 6 records; "log_start" replays at most 24 records; "delete" leaves it to ' +
          "auto.offset.reset (earliest replays at most 24 records, latest skips at most 14 records). Figures per " +
          "partition: extra.",
      ]);
      expect(planAt("keep", topicAt(10n, 11n, 14n)).warnings[0]).toMatch(/not replayed: at most 1 record\. /);
      expect(planAt("keep", topicAt(10n, 10n, null)).warnings[0]).toMatch(
        /not replayed: a number of records that is not known\. .*"log_start" replays at most 24 records; /,
      );
    });

    test("say of a topic that the snapshot does not have that its whole log is counted", () => {
      const [warning] = planAt("keep", new Map()).warnings;
      expect(warning).toMatch(
        /at most 24 records\. The snapshot has no log end of "t": there, the whole log is counted\. /,
      );
      expect(planAt("keep", topicAt(10n)).warnings[0]).not.toContain("no log end");
    });

    test("say that a deletion makes some consumers skip records", () => {
      expect(planAt("delete", topicAt(10n, 10n, 10n)).warnings).toEqual([
        expect.stringMatching(
          /^The rollback deletes 2 commits .*earliest replays at most 24 records; latest skips at most 14 records that/,
        ),
      ]);
      expect(planAt("log_start", topicAt(10n, 10n, 10n)).warnings).toEqual([]);
      expect(planAt("snapshot_end", topicAt(10n, 10n, 10n)).warnings).toEqual([]);
    });

    test("name the topics that the snapshot does not have: nothing shows whether they existed", () => {
      const none = group({});
      const snapshot = snapshotOf(none);
      const now = liveOf(live, topicAt(20n, 20n, 20n));
      expect(planFor(snapshot, now, { uncommitted: "snapshot_end" })).toMatchObject({
        blockers: [],
        warnings: [expect.stringMatching(/^Topics that are not in the snapshot, .*: "t"\. /)],
      });
      expect(planFor(snapshot, now, { uncommitted: "log_start" })).toMatchObject({ blockers: [], warnings: [] });
    });

    test("do not name a topic that the snapshot has commits on, but did not observe: its partitions are blocked", () => {
      const now = liveOf(saved, topicAt(20n));
      const plan = planFor(snapshotOf(saved), now, { uncommitted: "snapshot_end" });
      expect(plan.blockers).toMatchObject([{ kind: "topic_recreated", topic: "t" }]);
      expect(plan.warnings.filter((warning) => warning.startsWith("Topics that are not in the snapshot"))).toEqual([]);
    });
  });

  test("name a topic that may have been deleted and created again", () => {
    const old = topicsFor(saved);
    const unknown = new Map([...old].map(([name, one]) => [name, { ...one, topicId: null }]));
    const plan = (then: ReadonlyMap<string, ObservedTopic | null>, now: ReadonlyMap<string, ObservedTopic | null>) =>
      planFor(snapshotOf(saved, { observed: { groups: new Map(), topics: then } }), liveOf(saved, now));
    expect(plan(old, old).warnings).toEqual([]);
    for (const [then, now] of [
      [unknown, old],
      [old, unknown],
      [new Map([["t", null]]), old],
    ] as const) {
      expect(plan(then, now)).toMatchObject({
        blockers: [],
        warnings: [expect.stringMatching(/^Whether topics were deleted .* is not known, .*: "t"\. /)],
      });
    }
  });

  test("name simple groups: Kafka cannot report whether their consumers are running", () => {
    const simple = {
      groups: new Map([["g", { ...groupOf("classic", "Empty", 0), protocolType: "" }]]),
      topics: topicsFor(saved),
    };
    const planNow = (observed: LiveState["observed"]) =>
      planFor(snapshotOf(saved, { observed }), liveOf(saved, observed.topics, { observed }));
    expect(planNow(simple).warnings).toEqual([expect.stringMatching(/^"g" has never had members: .* assign\(\)/)]);
    expect(planNow({ ...simple, groups: new Map([["g", groupOf("classic", "Empty", 0)]]) }).warnings).toEqual([]);
  });

  test("name streams groups: their state stores are not rolled back", () => {
    const streams = {
      groups: new Map([["g", groupOf("streams", "Empty", 0)]]),
      topics: topicsFor(saved),
    };
    const snapshot = snapshotOf(saved, { observed: streams });
    expect(planFor(snapshot, liveOf(saved, streams.topics, { observed: streams })).warnings).toEqual([
      expect.stringMatching(/"g" is a Kafka Streams application: state stores do not move/),
    ]);
  });

  test("name share groups: acknowledged records are delivered again", () => {
    const shares = { groups: new Map([["g", groupOf("share", "Empty", 0)]]), topics: topicsFor(saved) };
    const snapshot = snapshotOf(saved, { observed: shares });
    expect(planFor(snapshot, liveOf(saved, shares.topics, { observed: shares })).warnings).toEqual([
      expect.stringMatching(/^"g" is a share group: records acknowledged beyond the start offsets are delivered again/),
    ]);
  });

  test.each([
    ["streams", "consumer", /^"g", "h" are Kafka Streams applications: /],
    ["share", "share", /^"g", "h" are share groups: /],
    ["classic", "", /^"g", "h" have never had members: /],
  ])("name several groups at once: %s", (type, protocolType, warning) => {
    const both = new Map(["g", "h"].map((name) => [name, new Map([["t-0", at(5n)]])]));
    const groups = new Map(["g", "h"].map((name) => [name, { ...groupOf(type, "Empty", 0), protocolType }]));
    const observed = { groups, topics: topicsFor(both) };
    expect(planFor(snapshotOf(both, { observed }), liveOf(both, observed.topics, { observed })).warnings).toEqual([
      expect.stringMatching(warning),
    ]);
  });

  test("do not name groups without restored commits", () => {
    const none = new Map([["g", new Map()]]);
    const two = new Map([...none, ["h", new Map([["t-0", at(5n)]])] as const]);
    const groups = new Map([
      ["g", { ...groupOf("streams", "Empty", 0), protocolType: "", negative: new Map([["t-1", -5n]]) }],
      ["h", groupOf("classic", "Empty", 0)],
    ]);
    const observed = { groups, topics: topicsFor(two) };
    expect(planFor(snapshotOf(two, { observed }), liveOf(two, observed.topics, { observed })).warnings).toEqual([]);
  });

  test("name the offsets that are clamped, and none that is skipped or inside the log", () => {
    const two = group({ "t-0": at(5n), "t-1": at(6n), "t-2": at(50n) });
    const topics = new Map([
      ["t", { topicId: "id", partitions: new Map([0, 1, 2].map((partition) => [partition, log(10n, 100n)])) }],
    ]);
    const snapshot = snapshotOf(two, { observed: { groups: new Map(), topics } });
    const plan = (outOfRange: "clamp" | "skip") =>
      planRollback(snapshot, restrict(snapshot, {}), liveOf(two, topics), { ...refuse, outOfRange });
    expect(plan("clamp").warnings).toEqual([
      '2 offsets outside of the log are clamped to its start or end: "g t-0: 5 becomes 10", "g t-1: 6 becomes 10".',
    ]);
    expect(plan("skip").warnings).toEqual([]);
  });

  test("say of none that is clamped or skipped that its log may have been truncated below it", () => {
    const two = group({ "t-0": at(5n), "t-1": at(50n) });
    const at5 = theTopic(log(10n, 100n, 5), log(10n, 100n, 5));
    const then = theTopic(log(0n, 100n, null), log(0n, 100n, null));
    const snapshot = snapshotOf(two, { observed: { groups: new Map(), topics: then } });
    const unchecked = expect.stringMatching(
      /^Not known for 1 partition of "g" \("t-1"\): whether the log was truncated/,
    );
    for (const outOfRange of ["clamp", "skip"] as const) {
      const { warnings } = planFor(snapshot, liveOf(two, at5), { outOfRange });
      expect(warnings.filter((warning) => !warning.includes("clamped to"))).toEqual([unchecked]);
    }
  });
});

describe("a plan to a snapshot with commits that were pending or negative", () => {
  const topics = theTopic(log(0n, 100n), log(0n, 100n));
  // On t-2, nothing was committed before the transaction.
  const special = { ...groupOf("classic", "Empty", 0), pending: ["t-0", "t-2"], negative: new Map([["t-1", -1001n]]) };
  const groups = new Map([["g", special]]);
  const snapshot = snapshotOf(group({ "t-0": at(5n) }), { observed: { groups, topics } });

  test("says that the output of the transaction may be produced again, and what cannot be restored", () => {
    const plan = planFor(snapshot, liveOf(group({ "t-0": at(9n), "t-1": at(9n) }), topics));
    expect(plan.blockers).toEqual([]);
    expect(plan.warnings.filter((warning) => !warning.includes("keeps"))).toEqual([
      'The targets of "g" on "t-0" were captured while a transaction was pending: they are the offsets from before it. ' +
        "What that transaction wrote may be produced a second time. If its output must not be produced twice, use another " +
        "snapshot.",
      `${snapshot.snapshotId} has no targets for "g" on "t-1" (-1001): negative offsets cannot be restored. A commit there ` +
        "now counts as one that the snapshot lacks: uncommitted decides.",
    ]);
  });

  test("says so of negative offsets now, which an undo cannot restore", () => {
    const { pending: _, ...negative } = special;
    const live = liveOf(group({ "t-0": at(9n) }), topics, { observed: { groups: new Map([["g", negative]]), topics } });
    const plan = planFor(snapshotOf(group({ "t-0": at(5n) }), { observed: { groups: new Map(), topics } }), live);
    expect(plan.warnings).toEqual([
      expect.stringMatching(/"g" has committed negative offsets on "t-1" .*no rollback or undo/),
    ]);
  });

  test("says nothing of negative offsets on partitions that the request does not name", () => {
    const live = liveOf(group({ "t-0": at(9n) }), topics, { observed: { groups, topics } });
    const plan = planRollback(snapshot, restrict(snapshot, { topics: ["t:0"] }), live, refuse);
    expect(plan.warnings.filter((warning) => warning.includes("negative"))).toEqual([]);
  });
});
