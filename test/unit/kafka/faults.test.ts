import { describe, expect, it } from "vitest";
import { capture, observe, readCommits } from "../../../functions/shared/kafka/groups/capture.ts";
import { listGroups } from "../../../functions/shared/kafka/groups/group-list.ts";
import { observeTopics } from "../../../functions/shared/kafka/groups/topics.ts";
import { commitOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { findCoordinator } from "../../../functions/shared/kafka/wire/groups.ts";
import { connectTo, fakeBroker, startFakeBroker } from "./fake-broker.ts";

const all = { groups: ["*"], exclude: [] };
const isProbe = (group: string) => group.startsWith("offset-rollback-probe-");
const commit = (offset: bigint) => ({ offset, metadata: "" });

describe("capture", () => {
  it("names the right that is missing on a group, and reads the others", async () => {
    const cluster = await fakeBroker({
      groups: ["secret", "open"],
      fetch: (group) => (group === "secret" ? { code: 30 } : { offsets: { t: 7n } }),
    });
    const state = await capture(cluster, all);
    expect(state.errors).toMatchObject([{ group: "secret", error: "KafkaAuthorization" }]);
    expect(state.errors[0]?.message).toContain('needs DESCRIBE on group "secret"');
    expect([...state.commits.keys()]).toEqual(["open"]);
  });

  it("fails a group that the answer omits, and one with an unknown code", async () => {
    const cluster = await fakeBroker({
      groups: ["left-out", "odd"],
      fetch: (group) => (group === "odd" ? { offsets: { t: { code: 999 } } } : undefined),
    });
    const state = await capture(cluster, all);
    expect(state.commits.size).toBe(0);
    expect(new Map(state.errors.map(({ group, error }) => [group, error]))).toEqual(
      new Map([
        ["left-out", "KafkaUnavailable"],
        ["odd", "ERROR_999"],
      ]),
    );
  });

  it.each([14, 15, 16])("finds the coordinator again and retries after code %i", async (code) => {
    let answers = 0;
    const cluster = await fakeBroker({
      groups: ["g"],
      fetch: (group) => (isProbe(group) ? {} : answers++ === 0 ? { code } : { offsets: { t: 7n } }),
    });
    const state = await capture(cluster, all);
    expect(state.errors).toEqual([]);
    expect(state.commits.get("g")).toEqual(new Map([["t-0", commit(7n)]]));
    expect(cluster.requests.get("FindCoordinator")).toBe(1); // at first, the broker that listed the group is used
  });

  it("gives up on an unavailable coordinator before the deadline, and names the group", async () => {
    const cluster = await fakeBroker({ groups: ["g"], fetch: (group) => ({ code: isProbe(group) ? 0 : 15 }) }, 1_000);
    const state = await capture(cluster, all);
    expect(state.errors).toMatchObject([{ group: "g", error: "KafkaUnavailable" }]);
    expect(state.errors[0]?.message).toContain("15 COORDINATOR_NOT_AVAILABLE");
    expect(cluster.deadline.remainingMs()).toBeGreaterThan(0);
  });

  it("has null and a warning for logs that the answer omits", async () => {
    const cluster = await fakeBroker({ groups: ["g"], fetch: () => ({ offsets: { t: 7n } }) });
    const { observed, warnings, errors } = await capture(cluster, all);
    expect(errors).toEqual([]);
    expect(observed.topics.get("t")?.partitions.get(0)).toEqual({
      logStartOffset: null,
      logEndOffset: null,
      leaderEpoch: 0,
    });
    expect(warnings).toEqual([expect.stringContaining('1 log could not be read for start and end offsets: "t-0"')]);
  });

  it("has null for a topic that may not be described, and omits one that does not exist", async () => {
    const cluster = await fakeBroker({
      groups: ["g"],
      topicCodes: { hidden: 29, gone: 3 },
      fetch: () => ({ offsets: { hidden: 7n, gone: 7n } }),
    });
    const { observed, warnings } = await capture(cluster, all);
    expect(observed.topics).toEqual(new Map([["hidden", null]]));
    expect(warnings).toEqual([expect.stringContaining('needs DESCRIBE on topic "hidden"')]);
  });
});

describe("observeTopics", () => {
  it.each([
    { counts: [1, 1, 3], partitions: 3 },
    { counts: [1, 1, 1, 3], partitions: 1 },
    { counts: [0, 0, 3], partitions: 3 },
    { counts: [1, 1, 0], partitions: 1 },
    { counts: [0, 1, 0], partitions: 1 },
    { counts: [0, 0, 0, 3], partitions: undefined },
  ])("asks twice more for partitions that an answer lacks: of $counts it has $partitions", async (at) => {
    const cluster = await fakeBroker({ partitionCounts: { t: [...at.counts] } });
    const { topics } = await observeTopics(cluster, new Map([["t", 3]]));
    expect(topics.get("t")?.partitions.size).toBe(at.partitions);
  });
});

describe("observe", () => {
  it("requests absent commits by name: a hidden topic is reported as a missing right", async () => {
    const cluster = await fakeBroker({
      groups: ["g"],
      fetch: (_, topics) => (topics === null ? {} : { offsets: { hidden: { code: 29 } } }),
    });
    const state = await observe(cluster, new Map([["g", new Map([["hidden-0", null]])]]));
    expect(state.commits.has("g")).toBe(false);
    expect(state.errors).toMatchObject([{ group: "g", error: "KafkaAuthorization" }]);
    expect(state.errors[0]?.message).toContain('needs DESCRIBE on topic "hidden"');
  });

  it("fails a group if the answer omits a partition requested by name", async () => {
    const cluster = await fakeBroker({ groups: ["g"], fetch: () => ({}) });
    const keys = new Map([["g", ["t-0"]]]);
    const { commits, errors } = await readCommits(cluster, keys);
    expect(commits.size).toBe(0);
    expect(errors).toMatchObject([{ group: "g", error: "KafkaUnavailable" }]);
    expect(errors[0]?.message).toContain("Kafka's answer omits t-0");
  });
});

describe("a request to any broker", () => {
  it("is sent to the next broker in time if the first never answers", async () => {
    const port = Number((await startFakeBroker({})).split(":")[1]);
    const cluster = await fakeBroker({ silent: (api) => api === findCoordinator, peers: [port] });
    const started = performance.now();
    expect(await cluster.sendToAny(findCoordinator, ["g"], 1_500)).toMatchObject([{ group: "g", code: 0 }]);
    expect(performance.now() - started).toBeLessThan(1_500);
    expect(cluster.requests.get("FindCoordinator")).toBe(2);
  });

  it("fails within its time if no broker answers", async () => {
    const cluster = await fakeBroker({ silent: (api) => api === findCoordinator });
    const started = performance.now();
    await expect(cluster.sendToAny(findCoordinator, ["g"], 800)).rejects.toThrow(
      /did not answer FindCoordinator in 0\.\d s/,
    );
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});

describe("listGroups", () => {
  it("lists again if leaders of __consumer_offsets change during the list", async () => {
    const cluster = await fakeBroker({ groups: ["g"], epoch: (request) => Math.min(request, 3) });
    const { groups } = await listGroups(cluster);
    expect([...groups.keys()]).toEqual(["g"]);
    expect(cluster.requests.get("ListGroups")).toBe(3);
  });

  it("rejects a list while a coordinator does not answer for its partition", async () => {
    let probes = 0;
    const cluster = await fakeBroker({ fetch: () => ({ code: probes++ < 2 ? 16 : 0 }) });
    await listGroups(cluster);
    expect(cluster.requests.get("ListGroups")).toBe(1);
    expect(cluster.requests.get("OffsetFetch")).toBe(3);
  });

  it("warns if the rights do not allow to prove that the list is complete", async () => {
    const hidden = await fakeBroker({ fetch: () => ({ code: 30 }) });
    expect((await listGroups(hidden)).warnings).toEqual([
      expect.stringContaining("the principal lacks DESCRIBE on all groups"),
    ]);
    const noTopic = await fakeBroker({ topicCodes: { __consumer_offsets: 29 } });
    expect((await listGroups(noTopic)).warnings).toEqual([
      'The list of groups may be incomplete: the principal lacks DESCRIBE on topic "__consumer_offsets".',
    ]);
    // Some hosted clusters hide the topic as if it did not exist.
    const unknown = await fakeBroker({ groups: ["g"], topicCodes: { __consumer_offsets: 3 } });
    expect((await listGroups(unknown)).warnings).toEqual([
      expect.stringContaining("incomplete: the cluster hides topic"),
    ]);
  });

  it("says which broker did not answer, also if the offsets topic is hidden", async () => {
    const script = { groups: ["g"], topicCodes: { __consumer_offsets: 29 }, peers: [1] }; // port 1 refuses connections
    const { groups, unlisted } = await listGroups(await fakeBroker(script, 60_000), true);
    expect([...groups.keys()]).toEqual(["g"]);
    expect(unlisted).toEqual({
      offsetsPartitions: [],
      message: "the groups of some brokers cannot be listed: broker 2 did not answer",
    });
  }, 40_000);

  it("reports no groups only after two answers without __consumer_offsets", async () => {
    const cluster = await fakeBroker({ topicCodes: { __consumer_offsets: 3 } });
    expect((await listGroups(cluster)).groups.size).toBe(0);
    expect(cluster.requests.get("ListGroups")).toBe(2);
  });
});

describe("bootstrap servers of different clusters", () => {
  it.each([
    ["A", "B"],
    ["B", "A"],
  ])("are rejected if %s is listed first and %s second", async (...clusters) => {
    const servers = await Promise.all(clusters.map((clusterId) => startFakeBroker({ clusterId, groups: ["g"] })));
    await expect(connectTo(servers)).rejects.toMatchObject({
      name: "KafkaUnavailable",
      message: expect.stringMatching(/different clusters: (A and B|B and A)\. List servers of one cluster only/),
    });
  });

  it("are accepted if one of them does not answer", async () => {
    const cluster = await connectTo([await startFakeBroker({ groups: ["g"] }), "127.0.0.1:1"]);
    expect((await listGroups(cluster)).groups.size).toBe(1);
  });
});

describe("capture with known commits", () => {
  it("requests hidden commits by name, so that a missing right is not reported as a removal", async () => {
    const cluster = await fakeBroker({
      groups: ["g"],
      fetch: (_group, topics) => ({ offsets: topics?.includes("hidden") ? { hidden: { code: 29 } } : {} }),
    });
    const known = new Map([["g", new Map([["hidden-0", commit(1n)]])]]);
    expect((await capture(cluster, all, { known })).errors).toMatchObject([
      { group: "g", error: "KafkaAuthorization" },
    ]);
  });
});

describe("a group that disappears between the list and its reading", () => {
  const vanishing = () => fakeBroker({ groups: ["here", "gone"], dead: { gone: 1 } });

  it("is a warning if a pattern matched it", async () => {
    const state = await capture(await vanishing(), all);
    expect([...state.commits.keys()]).toEqual(["here"]);
    expect([...state.missing, ...state.errors]).toEqual([]);
    expect(state.warnings).toEqual([expect.stringContaining('1 group disappeared while the groups were read: "gone"')]);
  });

  it("is missing if it was named", async () => {
    const state = await capture(await vanishing(), { groups: ["*", "gone"], exclude: [] });
    expect([...state.missing]).toEqual(["gone"]);
  });

  it("is missing if it was observed, also if it disappeared after the last list", async () => {
    for (const lists of [1, 2]) {
      const cluster = await fakeBroker({ groups: ["gone"], dead: { gone: lists } });
      const state = await observe(cluster, new Map([["gone", new Map()]]));
      expect([...state.missing]).toEqual(["gone"]);
      expect([...state.commits.keys(), ...state.observed.groups.keys()]).toEqual([]);
    }
  });

  it("has commits, and members that are not known, if its commits were read before", async () => {
    const cluster = await fakeBroker({
      groups: ["gone"],
      members: { gone: ["t"] },
      dead: { gone: 2 },
      fetch: () => ({ offsets: { t: 7n } }),
    });
    const state = await observe(cluster, new Map([["gone", new Map()]]));
    expect(state.commits.get("gone")).toEqual(new Map([["t-0", commit(7n)]]));
    expect(state.observed.groups.get("gone")).toMatchObject({ type: null, state: "Dead", members: null });
  });
});

describe("a group that no API describes", () => {
  it("is captured with an unknown number of members if it has commits", async () => {
    const fetch = (group: string) => (group === "odd" ? { offsets: { t: 7n } } : {});
    const cluster = await fakeBroker({ members: { odd: ["t"] }, groups: ["here", "odd"], dead: { odd: 9 }, fetch });
    for (const state of [
      await capture(cluster, all),
      await observe(cluster, new Map(["here", "odd"].map((group) => [group, new Map()]))),
    ]) {
      expect([...state.commits.keys()]).toEqual(["here", "odd"]);
      expect([...state.missing, ...state.errors]).toEqual([]);
      expect(state.observed.groups.get("odd")).toMatchObject({ state: "Dead", members: null });
      expect(state.observed.groups.get("here")).toMatchObject({ type: "classic", state: "Empty", members: 0 });
      expect(state.warnings).toContain(
        '1 group has commits, but its coordinator describes it as Dead, so the number of members is not known: "odd".',
      );
    }
  });

  it("is an error if it has no commits and its description failed: it may be a share group", async () => {
    const broker = { consumers: { odd: 999 } };
    const unread = await capture(await fakeBroker(broker), { groups: ["odd"], exclude: [] });
    expect(unread.errors).toMatchObject([{ group: "odd", error: "ERROR_999" }]);
    expect([...unread.commits.keys(), ...unread.missing]).toEqual([]);
    const fetch = () => ({ offsets: { t: 7n } });
    const read = await observe(await fakeBroker({ ...broker, fetch }), new Map([["odd", new Map()]]));
    expect(read.errors).toEqual([]);
    expect(read.observed.groups.get("odd")).toMatchObject({ type: null, members: null });
  });

  it("is missing if it has no commits", async () => {
    const cluster = await fakeBroker({ consumers: { odd: 69 } });
    expect([...(await observe(cluster, new Map([["odd", new Map()]]))).missing]).toEqual(["odd"]);
  });
});

describe("topics that the principal may not describe", () => {
  it("are null, with a warning that commits may be missing, if the last snapshot has them", async () => {
    const cluster = await fakeBroker({
      groups: ["g"],
      topicCodes: { hidden: 29, gone: 3, odd: 17 },
      fetch: () => ({ offsets: { t: 7n } }),
    });
    const state = await capture(cluster, all, { formerTopics: async () => ["t", "hidden", "gone", "odd", "idle"] });
    expect(state.warnings.filter((warning) => !warning.includes("log"))).toEqual([
      'Commits may be missing: the principal lacks DESCRIBE on topic "hidden", which the last snapshot contains. ' +
        "Kafka silently omits commits on such topics. Grant DESCRIBE on them.",
    ]);
    expect([...state.observed.topics.keys()]).toEqual(["t", "hidden"]);
    expect(state.observed.topics.get("hidden")).toBeNull();
    expect(state.commits.get("g")).toEqual(new Map([["t-0", commit(7n)]]));
  });

  it("cause a warning with the names of the groups whose members are assigned them", async () => {
    const cluster = await fakeBroker({
      groups: ["a", "b", "c"],
      members: { a: ["hidden", "open"], b: ["open", "hidden"], c: ["open"] },
      topicCodes: { hidden: 29 },
    });
    const state = await capture(cluster, all, { formerTopics: async () => ["hidden"] });
    expect([...state.observed.topics.keys()].sort()).toEqual(["hidden", "open"]);
    expect(state.warnings.filter((warning) => !warning.includes("log"))).toEqual([
      'Commits may be missing: the principal lacks DESCRIBE on topic "hidden", which members of group "a", "b" read. ' +
        "Kafka silently omits commits on such topics. Grant DESCRIBE on them.",
    ]);
  });

  it("are not checked if every named topic has commits", async () => {
    const cluster = await fakeBroker({
      groups: ["g"],
      members: { g: ["t"] },
      fetch: () => ({ offsets: { t: 7n } }),
    });
    await capture(cluster, all);
    const before = cluster.requests.get("Metadata") ?? 0;
    await capture(cluster, all, { formerTopics: async () => ["t"] });
    const named = (cluster.requests.get("Metadata") ?? 0) - before;
    await capture(cluster, all, { formerTopics: async () => ["t", "other"] });
    expect((cluster.requests.get("Metadata") ?? 0) - before - named).toBe(named + 1);
  });

  it("stay null, with a warning, if Kafka answers another error", async () => {
    const cluster = await fakeBroker({ topicCodes: { other: 999 } });
    const state = await capture(cluster, all, { formerTopics: async () => ["other"] });
    expect(state.warnings).toEqual([
      'No group matches "*".',
      expect.stringMatching(
        /^Commits may be missing: 1 topic could not be checked for DESCRIBE: "other" \(ERROR_999: /,
      ),
    ]);
    expect(state.observed.topics).toEqual(new Map([["other", null]]));
  });

  it("hide the members of a group, with a warning that names the right", async () => {
    const cluster = await fakeBroker({ consumers: { g: 29 }, fetch: () => ({ offsets: { t: 7n } }) });
    const state = await capture(cluster, all);
    expect(state.observed.groups.get("g")).toMatchObject({ type: "consumer", state: "Stable", members: null });
    expect(state.warnings).toContain(
      'The members of 1 group could not be read: "g" (KafkaAuthorization: could not describe group "g": the principal ' +
        "needs DESCRIBE on every topic that the group reads; otherwise Kafka also omits their commits (29 " +
        "TOPIC_AUTHORIZATION_FAILED)).",
    );
  });
});

describe("capture with known groups", () => {
  it("requests unlisted groups by name, so that a missing right is not reported as a removal", async () => {
    const cluster = await fakeBroker({ fetch: (group) => (group === "g" ? { code: 30 } : {}) });
    const known = new Map([
      ["g", new Map([["t-0", commit(1n)]])],
      ["other", new Map()],
    ]);
    const state = await capture(cluster, { groups: ["g*"], exclude: [] }, { known });
    expect(state.errors).toMatchObject([{ group: "g", error: "KafkaAuthorization" }]);
    expect([...state.missing, ...state.commits.keys()]).toEqual([]);
  });
});

describe("the time stamp of a group's commits", () => {
  it("is right before they were read, in the attempt that read them", async () => {
    const reads: number[] = [];
    const cluster = await fakeBroker({
      groups: ["g"],
      fetch: (group) => {
        if (isProbe(group)) return {};
        const now = Date.now();
        reads.push(now);
        while (Date.now() < now + 5); // so that a later time stamp is detectable
        return reads.length === 1 ? { code: 16 } : { offsets: { t: 7n } };
      },
    });
    const state = await capture(cluster, all);
    const asOf = Date.parse(state.observed.groups.get("g")?.asOf ?? "");
    const [first = 0, second = 0] = reads;
    expect(reads).toHaveLength(2);
    expect(asOf).toBeGreaterThan(first);
    expect(asOf).toBeLessThanOrEqual(second);
  });
});

describe("share groups on brokers that do not support reading their offsets", () => {
  const brokers = { groups: ["g"], shares: ["s"], fetch: () => ({ offsets: { t: 7n } }) };
  const reason = 'the broker cannot report the offsets of share group "s": Kafka 4.1 or newer is required';

  it("are skipped by a pattern, with a warning, and others are read", async () => {
    const state = await capture(await fakeBroker(brokers), all);
    expect([...state.commits.keys()]).toEqual(["g"]);
    expect(state.errors).toEqual([]);
    expect(state.warnings).toContain(`1 share group skipped: "s" (${reason}).`);
  });

  it.each([
    ["named", { groups: ["*", "s"], exclude: [] }, {}],
    ["known from before", all, { known: new Map([["s", new Map()]]) }],
  ])("are an error if they are %s", async (_, selection, options) => {
    const state = await capture(await fakeBroker(brokers), selection, options);
    expect([...state.commits.keys()]).toEqual(["g"]);
    expect(state.errors).toEqual([{ group: "s", error: "InvalidRequest", message: reason }]);
  });

  it("do not exist for their coordinators when they are observed, and are not written", async () => {
    const cluster = await fakeBroker({ ...brokers, fetch: (group) => (group === "s" ? { offsets: { t: -1n } } : {}) });
    const commits = new Map([["s", new Map([["t-0", { offset: 1n, metadata: "" }]])]]);
    expect([...(await observe(cluster, commits)).missing]).toEqual(["s"]);
    const outcomes = await commitOffsets(cluster, commits, { shareGroups: new Set(["s"]) });
    expect(outcomes.get("s")?.get("t-0")).toMatchObject({ kind: "refused", error: "UNSUPPORTED_VERSION" });
    expect(cluster.requests.get("OffsetCommit")).toBeUndefined();
  });
});
