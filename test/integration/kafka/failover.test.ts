import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import type { Commits, LiveState } from "../../../functions/shared/core/model.ts";
import type { Cluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { capture, observe, readCommits } from "../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { type Kafka, startKafka } from "../../../localstack/kafka.ts";
import { freshStateDir, removeState } from "../../../localstack/process.ts";
import { offsetsLeader, reassignOffsets } from "../../support/topics.ts";
import { administer, at, connect, select, topicOf, unique } from "./support.ts";

/** Brokers of an external cluster must not be killed. */
const external = inject("kafka").kind === "external";
/** Separate brokers, because these tests kill one. */
let kafka: Kafka;
const stateDir = freshStateDir("failover");

beforeAll(async () => {
  if (external) return;
  kafka = await startKafka({ brokers: 3, stateDir, say: () => {} });
});

afterAll(async () => {
  await kafka?.stop();
  removeState(stateDir);
});

/** Groups over all coordinators. */
const groupsAt = (run: string, topic: string, offset: number): Commits =>
  new Map(Array.from({ length: 200 }, (_, i) => [`${run}.${i}`, at([`${topic}-0`, offset + i], [`${topic}-1`, i])]));

describe.skipIf(external)("while a partition of __consumer_offsets has no leader", () => {
  it("only what needs its groups fails: patterns, and the groups on it", async () => {
    const servers = kafka.bootstrapServers;
    const topic = await topicOf(2, 0, servers);
    const run = unique("leaderless");
    const cluster = await connect(200_000, servers);
    const all = groupsAt(run, topic, 0);
    await commitOffsets(cluster, all);
    await administer((admin) => reassignOffsets(admin, 5, [3]), servers);
    await kafka.killBroker(3);
    await expect.poll(() => offsetsLeader(cluster, 5), { timeout: 30_000 }).toBe(-1);
    const timed = async <T>(work: (cluster: Cluster) => Promise<T>) => {
      const started = performance.now();
      const result = await work(await connect(60_000, servers)).catch((error: Error) => error);
      return { result, seconds: (performance.now() - started) / 1_000 };
    };

    const [refused, partial] = await Promise.all([
      timed((hasty) => capture(hasty, select(`${run}.*`))),
      timed((patient) => capture(patient, select(`${run}.*`), { allowUnlisted: true })),
    ]);
    expect(refused.result).toMatchObject({
      name: "KafkaUnavailable",
      message: expect.stringMatching(/partition 5 \(of 12\) cannot be listed: a partition has no leader/),
    });
    expect(refused.seconds).toBeLessThan(15);
    const state = stateIn(partial);
    expect(state.errors).toEqual([]);
    expect(state.unlisted).toMatchObject({ offsetsPartitions: [5] });
    const listed = [...state.commits.keys()];
    expect(listed.length).toBeGreaterThan(100);
    expect(state.commits).toEqual(new Map([...all].filter(([group]) => state.commits.has(group))));
    const [lost = ""] = [...all.keys()].filter((group) => !state.commits.has(group));

    const named = await timed((other) => capture(other, select(...listed.slice(0, 20))));
    const observed = await timed((other) => observe(other, new Map(listed.map((group) => [group, new Map()]))));
    for (const { result, seconds } of [named, observed]) {
      expect(stateIn({ result }).errors).toEqual([]);
      expect(stateIn({ result }).observed.groups.get(listed[0] ?? "")).toMatchObject({
        type: "classic",
        state: "Empty",
        members: 0,
      });
      expect(seconds).toBeLessThan(10);
    }
    const unreachable = await timed((other) => capture(other, select(lost, listed[0] ?? "")));
    expect(stateIn(unreachable).errors).toMatchObject([{ group: lost, error: "KafkaUnavailable" }]);
    expect(stateIn(unreachable).commits.size).toBe(1);
    expect(unreachable.seconds).toBeLessThan(15);

    await kafka.startBroker(3);
    await administer((admin) => reassignOffsets(admin, 5, [3, 1, 2]), servers);
    const whole = await capture(cluster, select(`${run}.*`));
    expect(whole).toMatchObject({ errors: [] });
    expect(whole).not.toHaveProperty("unlisted");
    expect(whole.commits).toEqual(all);
  }, 240_000);
});

/** The captured state, if that is the result. */
function stateIn({ result }: { readonly result: LiveState | Error }): LiveState {
  if (result instanceof Error) throw result;
  return result;
}

describe.skipIf(external)("while partitions of a topic have no leader", () => {
  it("a capture has all commits on them, and warns that their log ranges cannot be read", async () => {
    const servers = kafka.bootstrapServers;
    const topic = await topicOf(3, 2, servers, { replicas: 1 });
    const group = unique("orphan");
    const cluster = await connect(110_000, servers);
    const commits = new Map([[group, at(...[0, 1, 2].map((partition) => [`${topic}-${partition}`, 1] as const))]]);
    await commitOffsets(cluster, commits);
    const [described] = (await cluster.metadata([topic])).topics;
    const victim = described?.partitions[0]?.leader ?? -1;
    const lost =
      described?.partitions.filter(({ leader }) => leader === victim).map(({ partition }) => partition) ?? [];
    const logsOf = ({ observed }: LiveState) => {
      const logs = [...(observed.topics.get(topic)?.partitions ?? [])].sort(([a], [b]) => a - b);
      return logs.map(([, { logStartOffset, logEndOffset }]) => [logStartOffset, logEndOffset]);
    };

    await kafka.killBroker(victim);
    const during = await capture(cluster, select(group));
    await kafka.startBroker(victim);
    const after = await capture(cluster, select(group));

    expect(during.errors).toEqual([]);
    expect(during.commits).toEqual(commits);
    expect(logsOf(during)).toEqual([0, 1, 2].map((partition) => (lost.includes(partition) ? [null, null] : [0n, 2n])));
    expect(during.warnings).toEqual([expect.stringContaining("could not be read for start and end offsets")]);
    expect(after.warnings).toEqual([]);
    expect(after.commits).toEqual(commits);
    expect(logsOf(after)).toEqual([0, 1, 2].map(() => [0n, 2n]));
  }, 120_000);
});

describe.skipIf(external)("while a broker is killed and comes back", () => {
  it("a capture has every group or fails, and accepted commits are not lost", async () => {
    const servers = kafka.bootstrapServers;
    const topic = await topicOf(2, 0, servers);
    const run = unique("failover");
    const writer = await connect(170_000, servers);
    await commitOffsets(writer, groupsAt(run, topic, 0));
    let whole = 0;
    let failed = 0;
    let stop = false;
    const watch = async () => {
      while (!stop) {
        try {
          const cluster = await connect(30_000, servers);
          const state = await capture(cluster, select(`${run}.*`));
          cluster.close();
          expect(state.commits.size + state.errors.length).toBe(200);
          expect([...state.commits.values()].every(({ size }) => size === 2)).toBe(true);
          whole++;
        } catch (error) {
          expect(error).toHaveProperty("name", "KafkaUnavailable");
          failed++;
        }
      }
    };
    const watching = watch();

    await kafka.killBroker(2);
    const targets = groupsAt(run, topic, 1_000);
    const outcomes = await commitOffsets(writer, targets);
    const keys = new Map([...targets].map(([group, commits]) => [group, commits.keys()]));
    const { commits, errors } = await readCommits(writer, keys);
    await kafka.startBroker(2);
    stop = true;
    await watching;

    console.log(`${whole} captures were whole, ${failed} failed`);
    expect(errors).toEqual([]);
    const kinds = [...outcomes.values()].flatMap((group) => [...group.values()].map(({ kind }) => kind));
    expect(kinds).toHaveLength(400);
    expect(new Set(kinds)).toEqual(new Set(["accepted"]));
    expect(commits).toEqual(targets);
    expect(whole).toBeGreaterThan(0);
    const state = await capture(await connect(60_000, servers), select(`${run}.*`));
    expect(state.errors).toEqual([]);
    expect(state.commits).toEqual(targets);
  }, 180_000);
});
