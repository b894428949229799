import { describe, expect, it } from "vitest";
import {
  capture,
  commitOffsets,
  listGroups,
  observe,
  readCommits,
} from "../../../functions/shared/kafka/group-offsets.ts";
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

  it("fails a group that the answer leaves out, and one with a code that nobody knows", async () => {
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
    expect(cluster.requests.get("FindCoordinator")).toBe(2);
  });

  it("gives up on a coordinator that never comes before the deadline does, by name", async () => {
    const cluster = await fakeBroker({ groups: ["g"], fetch: (group) => ({ code: isProbe(group) ? 0 : 15 }) }, 1_000);
    const state = await capture(cluster, all);
    expect(state.errors).toMatchObject([{ group: "g", error: "KafkaUnavailable" }]);
    expect(state.errors[0]?.message).toContain("15 COORDINATOR_NOT_AVAILABLE");
    expect(cluster.deadline.remainingMs()).toBeGreaterThan(0);
  });

  it("has null and a warning for logs that the answer leaves out", async () => {
    const cluster = await fakeBroker({ groups: ["g"], fetch: () => ({ offsets: { t: 7n } }) });
    const { observed, warnings, errors } = await capture(cluster, all);
    expect(errors).toEqual([]);
    expect(observed.topics.get("t")?.partitions.get(0)).toEqual({
      logStartOffset: null,
      logEndOffset: null,
      leaderEpoch: 0,
    });
    expect(warnings).toEqual([expect.stringContaining('1 log could not be read for their start and end: "t-0"')]);
  });

  it("has null for a topic that may not be described, and leaves out one that does not exist", async () => {
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

describe("observe", () => {
  it("asks by name for commits that are absent: a topic that is hidden is a missing right, not absence", async () => {
    const cluster = await fakeBroker({
      groups: ["g"],
      fetch: (_, topics) => (topics === null ? {} : { offsets: { hidden: { code: 29 } } }),
    });
    const state = await observe(cluster, new Map([["g", new Map([["hidden-0", null]])]]));
    expect(state.commits.has("g")).toBe(false);
    expect(state.errors).toMatchObject([{ group: "g", error: "KafkaAuthorization" }]);
    expect(state.errors[0]?.message).toContain('needs DESCRIBE on topic "hidden"');
  });

  it("fails a group of which a partition, asked for by name, is left out", async () => {
    const cluster = await fakeBroker({ groups: ["g"], fetch: () => ({}) });
    const keys = new Map([["g", ["t-0"]]]);
    const { commits, errors } = await readCommits(cluster, keys);
    expect(commits.size).toBe(0);
    expect(errors).toMatchObject([{ group: "g", error: "KafkaUnavailable" }]);
    expect(errors[0]?.message).toContain("left out t-0");
  });
});

describe("listGroups", () => {
  it("lists again when the leadership of __consumer_offsets moves meanwhile", async () => {
    const cluster = await fakeBroker({ groups: ["g"], epoch: (question) => Math.min(question, 3) });
    const { groups } = await listGroups(cluster);
    expect([...groups.keys()]).toEqual(["g"]);
    expect(cluster.requests.get("ListGroups")).toBe(3);
  });

  it("does not believe a list while a coordinator does not answer for its partition", async () => {
    let probes = 0;
    const cluster = await fakeBroker({ fetch: () => ({ code: probes++ < 2 ? 16 : 0 }) });
    await listGroups(cluster);
    expect(cluster.requests.get("ListGroups")).toBe(1);
    expect(cluster.requests.get("OffsetFetch")).toBe(3);
  });

  it("warns where the rights do not let it prove that nothing is missing", async () => {
    const hidden = await fakeBroker({ fetch: () => ({ code: 30 }) });
    expect((await listGroups(hidden)).warnings).toEqual([expect.stringContaining("may describe some groups only")]);
    const noTopic = await fakeBroker({ topicCodes: { __consumer_offsets: 29 } });
    expect((await listGroups(noTopic)).warnings).toEqual([expect.stringContaining("may not describe")]);
  });

  it("believes that there are no groups only when it is said twice", async () => {
    const cluster = await fakeBroker({ topicCodes: { __consumer_offsets: 3 } });
    expect((await listGroups(cluster)).groups.size).toBe(0);
    expect(cluster.requests.get("ListGroups")).toBe(2);
  });
});

describe("commitOffsets", () => {
  const commits = new Map([["g", new Map([["t-0", commit(1n)]])]]);

  it.each([
    ["accepted", { t: 0 }, { kind: "accepted" }],
    ["a group with members", { t: 25 }, { kind: "refused", error: "GroupNotEmpty" }],
    ["a missing right", { t: 30 }, { kind: "refused", error: "KafkaAuthorization" }],
    ["metadata too large", { t: 12 }, { kind: "refused", error: "OFFSET_METADATA_TOO_LARGE" }],
    ["a partition left out", {}, { kind: "unknown", error: "KafkaUnavailable" }],
    ["a connection lost each time", null, { kind: "unknown", error: "KafkaUnavailable" }],
  ])("tells %s", async (_, codes, outcome) => {
    const cluster = await fakeBroker({ commit: () => codes }, 1_000);
    expect((await commitOffsets(cluster, commits)).get("g")?.get("t-0")).toMatchObject(outcome);
  });

  it("sends again after a lost answer", async () => {
    let requests = 0;
    const cluster = await fakeBroker({ commit: () => (requests++ === 0 ? null : { t: 0 }) });
    expect((await commitOffsets(cluster, commits)).get("g")?.get("t-0")).toEqual({ kind: "accepted" });
    expect(requests).toBe(2);
  });

  it("does not call a refusal certain when an earlier answer was lost", async () => {
    let requests = 0;
    const cluster = await fakeBroker({ commit: () => (requests++ === 0 ? null : { t: 25 }) });
    const outcomes = await commitOffsets(cluster, commits);
    expect(outcomes.get("g")?.get("t-0")).toMatchObject({ kind: "unknown", error: "GroupNotEmpty" });
  });
});

describe("bootstrap servers of different clusters", () => {
  it.each([
    ["A", "B"],
    ["B", "A"],
  ])("are refused, named %s first and %s second: nothing is read from either", async (...clusters) => {
    const servers = await Promise.all(clusters.map((clusterId) => startFakeBroker({ clusterId, groups: ["g"] })));
    await expect(connectTo(servers)).rejects.toMatchObject({
      name: "KafkaUnavailable",
      message: expect.stringMatching(/different clusters: one says [AB], another [AB]/),
    });
  });

  it("are no reason to refuse when one of them merely does not answer", async () => {
    const cluster = await connectTo([await startFakeBroker({ groups: ["g"] }), "127.0.0.1:1"]);
    expect((await listGroups(cluster)).groups.size).toBe(1);
  });
});

describe("capture with commits that are known", () => {
  it("asks for those that are hidden by name, so that a missing right is no removal", async () => {
    const cluster = await fakeBroker({
      groups: ["g"],
      fetch: (_group, topics) => ({ offsets: topics?.includes("hidden") ? { hidden: { code: 29 } } : {} }),
    });
    const known = new Map([["g", new Map([["hidden-0", commit(1n)]])]]);
    expect((await capture(cluster, all, known)).errors).toMatchObject([{ group: "g", error: "KafkaAuthorization" }]);
  });
});

describe("a group that vanishes between the list and its reading", () => {
  const vanishing = () => fakeBroker({ groups: ["here", "gone"], vanished: ["gone"] });

  it("is a warning where a pattern picked it: nobody asked for it by name", async () => {
    const state = await capture(await vanishing(), all);
    expect([...state.commits.keys()]).toEqual(["here"]);
    expect([...state.missing, ...state.errors]).toEqual([]);
    expect(state.warnings).toEqual([expect.stringContaining('1 group vanished while the groups were read: "gone"')]);
  });

  it("is missing where it was named", async () => {
    const state = await capture(await vanishing(), { groups: ["*", "gone"], exclude: [] });
    expect([...state.missing]).toEqual(["gone"]);
  });
});

describe("capture with groups that are known", () => {
  it("asks for those that are not listed by name, so that a missing right is no removal", async () => {
    const cluster = await fakeBroker({ fetch: (group) => (group === "g" ? { code: 30 } : {}) });
    const known = new Map([
      ["g", new Map([["t-0", commit(1n)]])],
      ["other", new Map()],
    ]);
    const state = await capture(cluster, { groups: ["g*"], exclude: [] }, known);
    expect(state.errors).toMatchObject([{ group: "g", error: "KafkaAuthorization" }]);
    expect([...state.missing, ...state.commits.keys()]).toEqual([]);
  });
});

describe("commitOffsets with a reserve", () => {
  it("begins with no group when only the reserve is left, and says so", async () => {
    const cluster = await fakeBroker(
      { commit: () => ({ t: 0 }), commitMs: 15, fetch: () => ({ offsets: { t: 5n } }) },
      2_000,
    );
    const groups = Array.from({ length: 300 }, (_, i) => `g-${i}`);
    const commits = new Map(groups.map((group) => [group, new Map([["t-0", commit(5n)]])]));
    const outcomes = await commitOffsets(cluster, commits, 1_200);
    const kinds = Map.groupBy(outcomes, ([, keys]) => keys.get("t-0")?.kind);
    expect([...kinds.keys()].sort()).toEqual(["accepted", "not_attempted"]);
    expect(outcomes.size).toBe(300);
    const { commits: read, errors } = await readCommits(cluster, new Map(groups.map((group) => [group, ["t-0"]])));
    expect([read.size, errors.length]).toEqual([300, 0]);
  });
});
