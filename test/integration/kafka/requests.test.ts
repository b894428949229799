import { expect, inject, it } from "vitest";
import type { Cluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { capture, observe } from "../../../functions/shared/kafka/groups/capture.ts";
import { at, connect, groupsWith, select, since, topicOf, unique } from "./support.ts";

const FEW = 24;
const MANY = 1_200;
const BATCH = 1_000;

/**
 * Counts requests by API, and round trips. Answers are delayed until all requests of a round trip are answered. Requests
 * after that belong to the next round trip.
 */
async function requestsOf(cluster: Cluster, work: (cluster: Cluster) => Promise<unknown>) {
  const before = new Map(cluster.requests);
  let roundTrips = 0;
  let pending = 0;
  let held: (() => void)[] = [];
  const hold = () =>
    new Promise<void>((release) => {
      held.push(release);
      if (held.length < pending) return;
      const answered = held;
      roundTrips++;
      pending = 0;
      held = [];
      for (const releaseOne of answered) releaseOne();
    });
  const watched = new Proxy(cluster, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        const answer: unknown = Reflect.apply(value, target, args);
        if (!(answer instanceof Promise)) return answer;
        pending++;
        return answer.finally(hold);
      };
    },
  });
  await work(watched);
  const sent = [...cluster.requests].map(([api, n]) => [api, n - (before.get(api) ?? 0)] as const);
  return { sent: Object.fromEntries(sent.filter(([, n]) => n > 0)), roundTrips };
}

/** A connection without cached coordinators, and this many groups with two commits each. */
async function groupsOf(count: number) {
  const cluster = await connect();
  const topic = await topicOf(2);
  const run = unique("requests");
  const commitsAt = (i: number) => at([`${topic}-0`, i], [`${topic}-1`, 2 * i]);
  const commits = new Map(Array.from({ length: count }, (_, i) => [`${run}.${i}`, commitsAt(i)]));
  await groupsWith(cluster, commits);
  cluster.coordinators.clear();
  return { cluster, selection: select(`${run}.*`), commits };
}

since("3.0", "one request for the commits of many groups").describe("a snapshot of empty groups", () => {
  it("takes a few requests per broker, and one more for each 1,000 groups", async () => {
    const { cluster, selection, commits } = await groupsOf(MANY);
    const { brokers } = inject("kafka");

    const { sent, roundTrips } = await requestsOf(cluster, async (watched) => {
      expect((await capture(watched, selection)).commits).toEqual(commits);
    });

    const { OffsetFetch, ListOffsets, ...others } = sent;
    expect(others).toEqual({ Metadata: 2 * brokers + 2, ListGroups: brokers });
    // Per broker: a probe, the groups that show the size of an answer, and an incomplete batch.
    expect(OffsetFetch).toBeLessThanOrEqual(3 * brokers + Math.floor(MANY / BATCH));
    expect(ListOffsets).toBeLessThanOrEqual(2 * brokers);
    expect(roundTrips).toBe(9);
  });

  it("takes a round trip less for 24 groups than for 1,200: they show the size of an answer", async () => {
    const few = await groupsOf(FEW);
    const { sent, roundTrips } = await requestsOf(few.cluster, (watched) => capture(watched, few.selection));
    expect(sent.FindCoordinator).toBeUndefined();
    expect(roundTrips).toBe(8);
  });

  it("takes no list of groups in an observation, but two descriptions by the coordinators", async () => {
    const { cluster, commits } = await groupsOf(MANY);
    const { brokers } = inject("kafka");

    const { sent } = await requestsOf(cluster, async (watched) => {
      expect((await observe(watched, commits)).commits).toEqual(commits);
    });

    const { OffsetFetch, ListOffsets, ...others } = sent;
    expect(others).toEqual({ FindCoordinator: 1, DescribeGroups: 2 * brokers, Metadata: 1 });
    expect(OffsetFetch).toBeLessThanOrEqual(3 * brokers + Math.floor(MANY / BATCH));
    expect(ListOffsets).toBeLessThanOrEqual(2 * brokers);
  });
});
