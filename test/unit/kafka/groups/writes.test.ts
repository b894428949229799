import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as realDelay } from "node:timers/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { readCommits } from "../../../../functions/shared/kafka/groups/capture.ts";
import {
  commitOffsets,
  deleteOffsets,
  WRITE_TIMEOUT_MS,
} from "../../../../functions/shared/kafka/groups/write-commits.ts";
import { findCoordinator } from "../../../../functions/shared/kafka/wire/groups.ts";
import { offsetCommit, offsetDelete } from "../../../../functions/shared/kafka/wire/offsets.ts";
import { connectTo, fakeBroker, startFakeBroker } from "../fake-broker.ts";

const commit = (offset: bigint) => ({ offset, metadata: "" });

/** Fakes timers and the monotonic clock. Sockets still run in real time. */
function fakeTime(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
}
/** Waits in real time until the condition is true. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await realDelay(1);
}
/** Advances the fake time by 20 ms per real millisecond until the work is done. */
async function withFastTime<T>(work: Promise<T>): Promise<T> {
  const over = new AbortController();
  const end = () => over.abort();
  work.then(end, end);
  while (!over.signal.aborted) {
    await realDelay(1);
    vi.advanceTimersByTime(20);
  }
  return work;
}

/** Deletes the commits of the given partitions; it has the parameters of `commitOffsets`. */
const deleteSame: typeof commitOffsets = (cluster, commits, writing) =>
  deleteOffsets(cluster, new Map([...commits].map(([group, keys]) => [group, keys.keys()])), writing);

describe("commitOffsets", () => {
  const commits = new Map([["g", new Map([["t-0", commit(1n)]])]]);

  it("moves to the new coordinator within one attempt's time if the old one never answers", async () => {
    let asked = 0;
    const address = await startFakeBroker({
      coordinator: () => (asked > 0 ? "127.0.0.1" : "127.0.0.2"),
      commit: () => ({ t: 0 }),
    });
    const silent = createServer(() => asked++).listen(Number(address.split(":")[1]), "127.0.0.2");
    await once(silent, "listening");
    onTestFinished(() => void silent.close());
    fakeTime();
    const cluster = await connectTo([address], 40_000);
    const groups = Array.from({ length: 60 }, (_, i) => `g${i}`);

    const outcomes = await withFastTime(
      commitOffsets(cluster, new Map(groups.map((group) => [group, new Map([["t-0", commit(1n)]])]))),
    );

    const kinds = [...outcomes.values()].flatMap((keys) => [...keys.values()].map(({ kind }) => kind));
    expect(kinds).toEqual(groups.map(() => "accepted"));
    expect(cluster.deadline.remainingMs()).toBeGreaterThan(15_000);
  });

  it.each([
    ["accepted", { t: 0 }, { kind: "accepted" }],
    ["a group with members", { t: 25 }, { kind: "refused", error: "GroupNotEmpty" }],
    ["a missing right", { t: 30 }, { kind: "refused", error: "KafkaAuthorization" }],
    ["metadata too large", { t: 12 }, { kind: "refused", error: "OFFSET_METADATA_TOO_LARGE" }],
    ["a partition left out", {}, { kind: "unknown", error: "KafkaUnavailable" }],
    ["a connection lost each time", null, { kind: "unknown", error: "KafkaUnavailable" }],
  ])("reports %s", async (_, codes, outcome) => {
    const cluster = await fakeBroker({ commit: () => codes }, 1_000);
    expect((await commitOffsets(cluster, commits)).get("g")?.get("t-0")).toMatchObject(outcome);
  });

  it("sends again after a lost answer", async () => {
    let requests = 0;
    const cluster = await fakeBroker({ commit: () => (requests++ === 0 ? null : { t: 0 }) });
    expect((await commitOffsets(cluster, commits)).get("g")?.get("t-0")).toEqual({ kind: "accepted" });
    expect(requests).toBe(2);
  });

  it("reports a refusal as unknown if an earlier answer was lost", async () => {
    let requests = 0;
    const cluster = await fakeBroker({ commit: () => (requests++ === 0 ? null : { t: 25 }) });
    const outcomes = await commitOffsets(cluster, commits);
    expect(outcomes.get("g")?.get("t-0")).toMatchObject({ kind: "unknown", error: "GroupNotEmpty" });
  });
});

describe("commitOffsets with a reserve", () => {
  it("starts no group when only the reserve is left, and reports not_attempted", async () => {
    const cluster = await fakeBroker(
      { commit: () => ({ t: 0 }), commitMs: 4, fetch: () => ({ offsets: { t: 5n } }) },
      4_000,
    );
    const groups = Array.from({ length: 800 }, (_, i) => `g-${i}`);
    const commits = new Map(groups.map((group) => [group, new Map([["t-0", commit(5n)]])]));
    const outcomes = await commitOffsets(cluster, commits, { reserveMs: 1_500 });
    const kinds = Map.groupBy(outcomes, ([, keys]) => keys.get("t-0")?.kind);
    expect([...kinds.keys()].sort()).toEqual(["accepted", "not_attempted"]);
    expect(outcomes.size).toBe(800);
    expect(cluster.deadline.remainingMs()).toBeGreaterThan(1_200);
    const { commits: read, errors } = await readCommits(cluster, new Map(groups.map((group) => [group, ["t-0"]])));
    expect([read.size, errors.length]).toEqual([800, 0]);
  });

  it.each([
    ["commits", offsetCommit, "unknown"],
    ["deletions", offsetDelete, "unknown"],
    ["FindCoordinator requests", findCoordinator, "not_attempted"],
  ] as const)("is left over if %s are never answered", async (_, mute, kind) => {
    const cluster = await fakeBroker({ silent: (api) => api === mute }, 2_500);
    const write = mute === offsetDelete ? deleteSame : commitOffsets;
    const outcomes = await write(cluster, new Map([["g", new Map([["t-0", commit(1n)]])]]), { reserveMs: 1_500 });
    expect(outcomes.get("g")?.get("t-0")).toMatchObject({ kind, error: "KafkaUnavailable" });
    expect(outcomes.get("g")?.get("t-0")).toHaveProperty(
      "message",
      expect.stringMatching(new RegExp(`^127.0.0.1:\\d+ did not answer ${mute.name} in (0.\\d|1) s$`)),
    );
    expect(cluster.deadline.remainingMs()).toBeGreaterThan(1_200);
  });

  it("is kept if a broker accepts no connection any more", async () => {
    let coordinator = "127.0.0.1";
    const cluster = await fakeBroker({ commit: () => ({ t: 0 }), coordinator: () => coordinator }, 2_500);
    coordinator = "192.0.2.1"; // an unassigned address (RFC 5737)
    const outcomes = await commitOffsets(cluster, new Map([["g", new Map([["t-0", commit(1n)]])]]), {
      reserveMs: 1_500,
    });
    expect(outcomes.get("g")?.get("t-0")).toMatchObject({ kind: "not_attempted", error: "KafkaUnavailable" });
    expect(cluster.deadline.remainingMs()).toBeGreaterThan(1_200);
  });
});

describe("a write that takes too long", () => {
  it("closes its connection after WRITE_TIMEOUT_MS, and is sent again on another one", async () => {
    let requests = 0;
    let closed = 0;
    fakeTime();
    const cluster = await fakeBroker(
      {
        silent: (api) => api === offsetCommit && requests++ === 0,
        commit: () => ({ t: 0 }),
        onClose: () => closed++,
      },
      20_000,
    );
    const writing = commitOffsets(cluster, new Map([["g", new Map([["t-0", commit(1n)]])]]));
    await until(() => requests === 1);
    vi.advanceTimersByTime(WRITE_TIMEOUT_MS - 1);
    await realDelay(100);
    expect([requests, closed]).toEqual([1, 0]);

    vi.advanceTimersByTime(1);
    expect((await writing).get("g")?.get("t-0")).toEqual({ kind: "accepted" });
    expect([requests, closed]).toEqual([2, 1]);
  });
});

describe("a permit", () => {
  const groups = new Map(["a", "b", "c"].map((group) => [group, new Map([["t-0", commit(1n)]])]));
  const lost = { error: "RollbackInProgress", message: "another rollback holds the lease" };
  const kindsOf = (outcomes: Awaited<ReturnType<typeof commitOffsets>>) =>
    [...outcomes.values()].map((keys) => keys.get("t-0")?.kind);

  it.each([
    ["commits", commitOffsets],
    ["deletions", deleteSame],
  ] as const)("is requested before each of the %s, including retries", async (_, write) => {
    const log: string[] = [];
    const answers = [null, { t: 0 }, { t: 0 }, { t: 0 }];
    const answer = () => {
      log.push("sent");
      return answers.shift() ?? null;
    };
    const cluster = await fakeBroker({ commit: answer, remove: answer });
    const outcomes = await write(cluster, groups, {
      permit: () => {
        log.push("asked");
        return undefined;
      },
    });
    expect(kindsOf(outcomes)).toEqual(["accepted", "accepted", "accepted"]);
    let spare = 0;
    for (const entry of log) {
      spare += entry === "asked" ? 1 : -1;
      expect(spare).toBeGreaterThanOrEqual(0);
    }
    expect(log.filter((entry) => entry === "sent").length).toBeGreaterThanOrEqual(4);
  });

  it("that fails stops all requests, and is the reason of commits that were not attempted", async () => {
    let sent = 0;
    let permits = 1;
    const cluster = await fakeBroker({
      commit: () => {
        sent++;
        return { t: 0 };
      },
    });
    const outcomes = await commitOffsets(cluster, groups, {
      permit: () => (permits-- > 0 ? undefined : { failed: lost }),
    });
    expect(kindsOf(outcomes)).toEqual(["accepted", "not_attempted", "not_attempted"]);
    expect(outcomes.get("c")?.get("t-0")).toEqual({ kind: "not_attempted", ...lost });
    expect(sent).toBe(1);
  });

  it("is requested again until it is given", async () => {
    let asked = 0;
    const cluster = await fakeBroker({ commit: () => ({ t: 0 }) });
    const outcomes = await commitOffsets(cluster, groups, {
      permit: () => (asked++ < 5 ? { again: lost } : undefined),
    });
    expect(kindsOf(outcomes)).toEqual(["accepted", "accepted", "accepted"]);
    expect(cluster.requests.get("OffsetCommit")).toBe(3);
  });

  it("that is not given before the reserve is the reason of commits that were not attempted", async () => {
    const cluster = await fakeBroker({ commit: () => ({ t: 0 }) }, 2_000);
    const outcomes = await commitOffsets(cluster, groups, { reserveMs: 1_200, permit: () => ({ again: lost }) });
    expect(outcomes.get("a")?.get("t-0")).toEqual({ kind: "not_attempted", ...lost });
    expect(kindsOf(outcomes)).toEqual(["not_attempted", "not_attempted", "not_attempted"]);
    expect(cluster.requests.get("OffsetCommit")).toBeUndefined();
    expect(cluster.deadline.remainingMs()).toBeGreaterThan(1_150);
  });

  it("that is lost after a request was sent leaves its outcome unknown", async () => {
    let permits = 1;
    const cluster = await fakeBroker({ commit: () => null });
    const outcomes = await commitOffsets(cluster, new Map([["a", new Map([["t-0", commit(1n)]])]]), {
      permit: () => (permits-- > 0 ? undefined : { failed: lost }),
    });
    expect(outcomes.get("a")?.get("t-0")).toEqual({ kind: "unknown", ...lost });
  });
});

describe("a process that is frozen between the permit for a request and its write to the socket", () => {
  it("does not write the request, which may be tried again with a new permit", async () => {
    let written = 0;
    const cluster = await fakeBroker({
      commit: () => {
        written++;
        return { t: 0 };
      },
    });
    const request = {
      group: "g",
      topics: [{ topic: "t", partitions: [{ ...commit(1n), partition: 0, leaderEpoch: -1 }] }],
    };
    const [node = -1] = cluster.nodes;
    await cluster.send(node, offsetCommit, request, WRITE_TIMEOUT_MS);
    const now = performance.now.bind(performance);
    const clock = vi.spyOn(performance, "now");
    onTestFinished(() => clock.mockRestore());
    const frozen: typeof offsetCommit = {
      ...offsetCommit,
      encode(...args) {
        clock.mockImplementation(() => now() + 5_000);
        offsetCommit.encode(...args);
      },
    };
    await expect(cluster.send(node, frozen, request, WRITE_TIMEOUT_MS)).rejects.toMatchObject({
      sent: false,
      message: expect.stringContaining("was not sent OffsetCommit"),
    });
    expect(written).toBe(1);
  });
});
