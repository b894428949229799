import { expect, inject, it } from "vitest";
import type { Cluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { capture, observe } from "../../../functions/shared/kafka/groups/capture.ts";
import { at, connect, groupsWith, select, since, topicOf, unique } from "./support.ts";

const FEW = 24;
const MANY = 1_200;
const BATCH = 1_000;

/**
 * Counts the requests of some work by API, and its round trips: answers are held back until all that were asked for are
 * there, and what is asked for then is the next one.
 */
async function requestsOf(cluster: Cluster, work: (cluster: Cluster) => Promise<unknown>) {
  const before = new Map(cluster.requests);
  let roundTrips = 0;
  let asked = 0;
  let held: (() => void)[] = [];
  const hold = () =>
    new Promise<void>((release) => {
      held.push(release);
      if (held.length < asked) return;
      const answered = held;
      roundTrips++;
      asked = 0;
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
        asked++;
        return answer.finally(hold);
      };
    },
  });
  await work(watched);
  const sent = [...cluster.requests].map(([api, n]) => [api, n - (before.get(api) ?? 0)] as const);
  return { sent: Object.fromEntries(sent.filter(([, n]) => n > 0)), roundTrips };
}

/** A cluster with so many groups of one run, each with two commits, and what is known of it forgotten. */
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
  it("asks each broker a few things, and one more for each 1,000 groups", async () => {
    const { cluster, selection, commits } = await groupsOf(MANY);
    const { brokers } = inject("kafka");

    const { sent, roundTrips } = await requestsOf(cluster, async (watched) => {
      expect((await capture(watched, selection)).commits).toEqual(commits);
    });

    const { OffsetFetch, ListOffsets, ...others } = sent;
    expect(others).toEqual({ Metadata: 2 * brokers + 2, ListGroups: brokers });
    expect(OffsetFetch).toBeLessThanOrEqual(2 * brokers + Math.floor(MANY / BATCH)); // a probe and a part of a batch each
    expect(ListOffsets).toBeLessThanOrEqual(2 * brokers);
    expect(roundTrips).toBe(8);
  });

  it("takes as many round trips for few groups as for many", async () => {
    const few = await groupsOf(FEW);
    const { sent, roundTrips } = await requestsOf(few.cluster, (watched) => capture(watched, few.selection));
    expect(sent.FindCoordinator).toBeUndefined();
    expect(roundTrips).toBe(8);
  });

  it("is observed later with the same requests, and the list of groups once more", async () => {
    const { cluster, commits } = await groupsOf(MANY);
    const { brokers } = inject("kafka");

    const { sent } = await requestsOf(cluster, async (watched) => {
      expect((await observe(watched, commits)).commits).toEqual(commits);
    });

    expect(sent).toMatchObject({ Metadata: 2 * (2 * brokers + 1) + 1, ListGroups: 2 * brokers });
    expect(sent.FindCoordinator).toBeUndefined();
    expect(sent.OffsetFetch).toBeLessThanOrEqual(3 * brokers + Math.floor(MANY / BATCH));
  });
});
