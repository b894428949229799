import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type {
  Commit,
  LiveState,
  ObservedGroup,
  ObservedPartition,
  ObservedTopic,
} from "../../../../functions/shared/core/model.ts";
import {
  type Blocker,
  blockerKinds,
  groupBlockers,
  isPermanent,
  type Origin,
  partitionBlockers,
} from "../../../../functions/shared/core/rollback/blockers.ts";
import { at, group, groupOf, liveOf, log } from "../../../support/states.ts";

const origin: Origin = {
  name: "snapshot-2025-01-15T10:30:00Z",
  clusterId: "c1",
  topics: new Map([["t", { topicId: "id" }]]),
};
const topic = (partition: ObservedPartition, topicId: string | null = "id"): ObservedTopic => ({
  topicId,
  partitions: new Map([[1, partition]]),
});
const healthyTopic = topic(log(0n, 100n));

test("only members and pending transactions block temporarily", () => {
  expect(blockerKinds.filter((kind) => !isPermanent({ kind }))).toEqual(["group_not_empty", "pending_transaction"]);
});

test("each kind has a row in functions/rollback/README.md, which names the temporary kinds", () => {
  const readme = readFileSync(join(import.meta.dirname, "../../../../functions/rollback/README.md"), "utf8");
  const section = readme.split(/^### /m).find((part) => part.startsWith("Blockers\n"));
  expect([...(section?.matchAll(/^\| `(\w+)` \|/gm) ?? [])].map(([, kind]) => kind)).toEqual([...blockerKinds]);
  const temporary = blockerKinds.filter((kind) => !isPermanent({ kind })).map((kind) => `\`${kind}\``);
  expect(readme).toContain(`**A permanent blocker** is every kind but ${temporary.join(" and ")}.`);
});

describe("a blocker of a group", () => {
  const live = liveOf(group({ "t-1": at(50n) }), new Map([["t", healthyTopic]]));
  const described = (description: ObservedGroup): LiveState => ({
    ...live,
    observed: { ...live.observed, groups: new Map([["g", description]]) },
  });
  const blocked = (now: LiveState, from = origin, savedType: string | null = "classic") => [
    ...groupBlockers(from, "g", savedType, now),
  ];

  test("does not exist for an empty group of any type except share", () => {
    for (const type of ["classic", "consumer", "streams", null]) {
      expect(blocked(described(groupOf(type, "Empty", 0)))).toEqual([]);
      expect(blocked(described(groupOf(type, "Empty", null)))).toEqual([]);
    }
  });

  test("does not exist for a group that was deleted", () => {
    expect(blocked({ ...live, commits: new Map(), observed: { ...live.observed, groups: new Map() } })).toEqual([]);
  });

  test("does not follow from the state of another group", () => {
    const others = new Map([["h", { ...groupOf("share", "Stable", 2), pending: ["t-0"] }]]);
    expect(blocked({ ...live, observed: { ...live.observed, groups: others } })).toEqual([]);
  });

  const waits = /Stop its consumers, then try again\..*wait_for_empty_seconds/;
  const cases: [Blocker["kind"], string, LiveState, Partial<Blocker>, RegExp, RegExp][] = [
    [
      "group_not_empty",
      "members",
      described(groupOf("classic", "Stable", 2)),
      { expected: 0, actual: 2 },
      /^Group "g" has 2 members \(classic group, state Stable\)/,
      waits,
    ],
    [
      "group_not_empty",
      "members of the new protocol",
      described(groupOf("consumer", "Reconciling", 1)),
      { expected: 0, actual: 1 },
      /^Group "g" has 1 member \(consumer group, state Reconciling\)/,
      waits,
    ],
    [
      "group_not_empty",
      "members in the state Empty",
      described(groupOf("streams", "Empty", 1)),
      { actual: 1 },
      /^Group "g" has 1 member \(streams group, state Empty\)/,
      waits,
    ],
    [
      "group_not_empty",
      "an active state without a number of members",
      described(groupOf("streams", "Assigning", null)),
      { actual: null },
      /^Group "g" may have members \(streams group, state Assigning, number of members not known\)/,
      waits,
    ],
    [
      "group_not_empty",
      "a rebalance that no member has joined yet",
      described(groupOf("classic", "PreparingRebalance", 0)),
      { actual: 0 },
      /^Group "g" may have members \(classic group, state PreparingRebalance, number of members 0\)/,
      waits,
    ],
    [
      "group_not_empty",
      "a group whose state and members are unknown",
      described(groupOf(null, null, null)),
      { actual: null },
      /^Group "g" may have members \(group of unknown type, state unknown, number of members not known\)/,
      waits,
    ],
    [
      "group_not_empty",
      "a group without members whose state is unknown",
      described(groupOf("classic", null, 0)),
      { actual: 0 },
      /^Group "g" may have members \(classic group, state unknown/,
      waits,
    ],
    [
      "group_not_empty",
      "a group that is listed but described as Dead",
      described(groupOf(null, "Dead", 0)),
      { actual: 0 },
      /^Group "g" is listed, and its coordinator describes it as Dead/,
      /Stop its consumers, then try again\.$/,
    ],
    [
      "unsupported_type",
      "a share group if the snapshot has a group of another type",
      described(groupOf("share", "Empty", 0)),
      { expected: "classic", actual: "share" },
      /^Group "g" is a share group, and its targets were read from a classic group:/,
      /Name the groups to roll back without it\.$/,
    ],
    [
      "cluster_mismatch",
      "another cluster",
      { ...live, cluster: { name: "test", clusterId: "c2" } },
      { expected: "c1", actual: "c2" },
      /^Group "g": snapshot-2025-01-15T10:30:00Z was taken on cluster c1, and this cluster is c2\./,
      /invoke the deployment of that cluster\.$/,
    ],
    [
      "cluster_mismatch",
      "a cluster without id",
      { ...live, cluster: { name: "test", clusterId: null } },
      { expected: "c1", actual: null },
      /cluster c1, and this cluster is \(unknown\)/,
      /invoke the deployment/,
    ],
    [
      "pending_transaction",
      "a pending transaction",
      described({ ...groupOf("classic", "Empty", 0), pending: ["t-0", "t-1"] }),
      { actual: ["t-0", "t-1"] },
      /^Group "g" has a transaction with a commit pending on "t-0", "t-1", which would overwrite the restored offsets\./,
      /Wait until its producer or Kafka \(transaction\.timeout\.ms\) has ended it, then try again\. If it does not end, look for .*find-hanging\)\.$/,
    ],
  ];
  test.each(cases)("is %s for %s", (kind, _what, now, figures, what, next) => {
    const blockers = blocked(now);
    expect(blockers).toMatchObject([{ kind, group: "g", ...figures }]);
    expect(blockers[0]?.message).toMatch(what);
    expect(blockers[0]?.message).toMatch(next);
  });

  test("names the members of a group whose state is unknown, and a type that is unknown", () => {
    expect(blocked(described(groupOf("classic", null, 3)))).toMatchObject([
      { message: expect.stringMatching(/^Group "g" has 3 members \(classic group, state unknown\)/) },
    ]);
    expect(blocked(described(groupOf(null, "Empty", 0)), origin, "share")).toMatchObject([
      { message: expect.stringMatching(/^Group "g" is a group of unknown type, and its .* from a share group:/) },
    ]);
  });

  test.each([
    ["share", "classic", true],
    ["share", null, true],
    ["classic", "share", true],
    [null, "share", true],
    ["share", "share", false],
    ["classic", "consumer", false],
    ["consumer", null, false],
    [null, "streams", false],
  ])("exists if exactly one of the types is share: %s now, %s in the snapshot: %s", (now, savedType, blocks) => {
    const blockers = blocked(described(groupOf(now, "Empty", 0)), origin, savedType);
    expect(blockers.map(({ kind }) => kind)).toEqual(blocks ? ["unsupported_type"] : []);
    if (blocks) expect(blockers[0]).toMatchObject({ expected: savedType, actual: now });
  });

  test("is cluster_mismatch if the cluster id of the snapshot is unknown", () => {
    expect(blocked(live, { ...origin, clusterId: null })).toMatchObject([
      { kind: "cluster_mismatch", expected: null, actual: "c1", message: expect.stringContaining("cluster (unknown)") },
    ]);
  });

  test("is reported together with all other blockers of the group", () => {
    const now = {
      ...described({ ...groupOf("share", "Stable", 3), pending: ["t-0"] }),
      cluster: { name: "x", clusterId: "c9" },
    };
    expect(blocked(now).map(({ kind }) => kind)).toEqual([
      "cluster_mismatch",
      "pending_transaction",
      "unsupported_type",
      "group_not_empty",
    ]);
  });
});

describe("a blocker of a partition", () => {
  const saved = at(50n, "", 3);
  const blocked = (live: ObservedTopic | null | undefined, target: Commit | null = saved, from = origin) => [
    ...partitionBlockers(from, { group: "g", topic: "t", partition: 1, target }, live),
  ];

  test("does not exist for a target inside the log, at its start, at its end, or in the newest epoch", () => {
    expect(blocked(healthyTopic)).toEqual([]);
    expect(blocked(topic(log(50n, 100n)))).toEqual([]);
    expect(blocked(topic(log(0n, 50n)))).toEqual([]);
    expect(blocked(topic(log(0n, 100n, 3)))).toEqual([]);
  });

  test("says of a repartition topic of Kafka Streams why the target is below the log start, and not to use another snapshot", () => {
    const place = { group: "g", topic: "g-by-key-repartition", partition: 1, target: at(50n), isRepartition: true };
    const topics = new Map([["g-by-key-repartition", { topicId: null }]]);
    const [blocker] = partitionBlockers({ ...origin, topics }, place, topic(log(51n, 100n)));
    expect(blocker).toMatchObject({ kind: "below_log_start", expected: 50n, actual: 51n });
    expect(blocker?.message).toMatch(
      /is normal for a repartition topic: Kafka Streams deletes .*name the other topics in/,
    );
    expect(blocker?.message).not.toMatch(/later snapshot|out_of_range/);
  });

  test("does not exist if a topic id or leader epoch is unknown on one side", () => {
    expect(blocked(topic(log(0n, 100n), null))).toEqual([]);
    expect(blocked(healthyTopic, saved, { ...origin, topics: new Map([["t", { topicId: null }]]) })).toEqual([]);
    expect(blocked(healthyTopic, saved, { ...origin, topics: new Map([["t", null]]) })).toEqual([]);
    expect(blocked(topic(log(0n, 100n, null)))).toEqual([]);
    expect(blocked(topic(log(0n, 100n, 0)), at(50n))).toEqual([]);
  });

  const withoutTopic = /To roll back without it, name the other topics in `topics`\.$/;
  const withoutPartition = /To roll back without it, name the other topics, or their partitions \("orders:0,3"\), in/;
  const orSkip = (bound: number) =>
    new RegExp(
      `snapshot, or set out_of_range: "clamp" commits offset ${bound} instead, "skip" leaves .* as it is\\. To roll`,
    );
  const check =
    /Check that the partition has a leader and that the principal may describe the topic\. To roll back without it/;
  const cases: [Blocker["kind"], string, ObservedTopic | null | undefined, Partial<Blocker>, RegExp, RegExp][] = [
    ["topic_missing", "a topic that is gone", undefined, {}, /topic "t" does not exist\./, withoutTopic],
    [
      "partition_missing",
      "a partition that does not exist any more",
      { topicId: "id", partitions: new Map([[0, log(0n, 100n)]]) },
      { actual: 1 },
      /topic "t" has no partition 1, it has 1 partition\./,
      withoutPartition,
    ],
    [
      "topic_recreated",
      "another topic id",
      topic(log(0n, 100n), "new"),
      { expected: "id", actual: "new" },
      /"t" was deleted and created again since \(its id was id and is new\): offset 50 now points to other records/,
      withoutTopic,
    ],
    [
      "topic_recreated",
      "a leader epoch above the current one",
      topic(log(0n, 100n, 2)),
      { expected: 3, actual: 2 },
      /created again since \(the saved leader epoch 3 is above the current one, 2\): offset 50/,
      withoutTopic,
    ],
    [
      "below_log_start",
      "an offset below the log",
      topic(log(51n, 100n)),
      { expected: 50n, actual: 51n },
      /offset 50 is below the log start offset 51:/,
      orSkip(51),
    ],
    [
      "above_log_end",
      "an offset above the log",
      topic(log(0n, 49n)),
      { expected: 50n, actual: 49n },
      /offset 50 is above the log end offset 49:/,
      orSkip(49),
    ],
    [
      "log_truncated",
      "an offset above the end of its leader epoch",
      topic({ ...log(0n, 100n, 5), epochEnds: new Map([[3, 49n]]) }),
      { expected: 50n, actual: 49n },
      /truncated below offset 50\. The records of leader epoch 3, which was saved with the target, now end at offset 49; /,
      orSkip(49),
    ],
    [
      "log_truncated",
      "such an offset that is above the log end, too",
      topic({ ...log(0n, 49n, 5), epochEnds: new Map([[3, 20n]]) }),
      { expected: 50n, actual: 20n },
      /now end at offset 20; /,
      orSkip(20),
    ],
    [
      "log_truncated",
      "such an offset whose leader epoch ended below the log start",
      topic({ ...log(30n, 100n, 5), epochEnds: new Map([[3, 20n]]) }),
      { expected: 50n, actual: 20n },
      /now end at offset 20; /,
      orSkip(30),
    ],
    [
      "range_unknown",
      "an unknown log start",
      topic(log(null, 100n)),
      { expected: 50n },
      /start and end of the log could not be read, so whether offset 50 is in it is not known/,
      check,
    ],
    ["range_unknown", "an unknown log end", topic(log(0n, null)), { expected: 50n }, /could not be read/, check],
    ["range_unknown", "a topic that cannot be described", null, { expected: 50n }, /could not be read/, check],
  ];
  test.each(cases)("is %s for %s", (kind, _what, live, figures, what, next) => {
    const blockers = blocked(live);
    expect(blockers).toMatchObject([{ kind, group: "g", topic: "t", partition: 1, ...figures }]);
    expect(blockers[0]?.message).toMatch(/^Group "g", t-1: /);
    expect(blockers[0]?.message).toMatch(what);
    expect(blockers[0]?.message).toMatch(next);
  });

  test("is log_truncated by the leader epoch of the log in the snapshot for a commit without one", () => {
    const then = { topicId: "id", partitions: new Map([[1, { leaderEpoch: 3 }]]) };
    const now = topic({ ...log(0n, 100n, 5), epochEnds: new Map([[3, 49n]]) });
    expect(blocked(now, at(50n), { ...origin, topics: new Map([["t", then]]) })).toMatchObject([
      {
        message: expect.stringContaining(
          "leader epoch 3, the last that the log had when the target was known to be in it, now end at",
        ),
      },
    ]);
  });

  test("is topic_recreated for a topic that was created after the snapshot", () => {
    expect(blocked(healthyTopic, saved, { ...origin, topics: new Map() })).toMatchObject([
      {
        kind: "topic_recreated",
        expected: null,
        actual: "id",
        message: expect.stringContaining("it did not exist when the snapshot was taken"),
      },
    ]);
  });

  test("is not_captured for a delete on a topic that the snapshot could not observe: a commit may be missing", () => {
    const unknown = { ...origin, topics: new Map([["t", null]]) };
    for (const live of [healthyTopic, null]) {
      expect(blocked(live, null, unknown)).toMatchObject([
        {
          kind: "not_captured",
          group: "g",
          topic: "t",
          partition: 1,
          message: expect.stringMatching(
            /^Group "g", t-1: topic "t" could not be observed .*none can be deleted or moved\. Set uncommitted to "keep"/,
          ),
        },
      ]);
    }
    expect(blocked(healthyTopic, null, { ...origin, topics: new Map([["t", { topicId: null }]]) })).toEqual([]);
    expect(blocked(healthyTopic, null, { ...origin, topics: new Map() })).toEqual([]);
  });

  test("is topic_missing for a delete on a topic that does not exist: Kafka deletes no commits there", () => {
    expect(blocked(undefined, null)).toMatchObject([
      {
        kind: "topic_missing",
        message: expect.stringMatching(/Kafka deletes no commits on topics that do not exist/),
      },
    ]);
    const others = [null, healthyTopic, topic(log(null, null), "new"), { topicId: "id", partitions: new Map() }];
    for (const live of others) expect(blocked(live, null)).toEqual([]);
  });

  test("is reported together with all other blockers of the partition, a target outside of the log last", () => {
    expect(blocked(topic(log(60n, 100n), "new")).map(({ kind }) => kind)).toEqual([
      "topic_recreated",
      "below_log_start",
    ]);
    expect(blocked(topic(log(null, null), "new")).map(({ kind }) => kind)).toEqual([
      "topic_recreated",
      "range_unknown",
    ]);
  });
});
