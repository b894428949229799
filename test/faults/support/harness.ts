import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { Admin } from "kafkajs";
import { afterAll, afterEach, beforeAll, expect, inject, onTestFinished } from "vitest";
import type { Commit, Commits, Snapshot } from "../../../functions/shared/core/model.ts";
import { withCluster } from "../../../functions/shared/kafka/connection/access.ts";
import type { Cluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { capture, readCommits } from "../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { envNames } from "../../../functions/shared/lambda/env.ts";
import { type Kafka, openKafka } from "../../../localstack/kafka.ts";
import { type TestArchive, testArchive } from "../../integration/storage/fixture.ts";
import { within } from "../../support/deadline.ts";
import { proxyEvent } from "../../support/events.ts";
import { kafkaClient } from "../../support/kafka-client.ts";
import { expectAccepted } from "../../support/outcomes.ts";
import { createTopic, distinctValues, produce } from "../../support/topics.ts";
import { type Answer, type Rolled, readAnswer, readHttpAnswer, readRolled } from "./answers.ts";
import { run, type Verb } from "./handlers.ts";
import { type KafkaProxy, startKafkaProxy } from "./kafka-proxy.ts";
import { agree, type Offsets, toolSays } from "./truth.ts";

/**
 * The cases of a family: all of them in `npm run test:faults`, in `npm run test:all` the short one.
 *
 * @param short the columns that the short case begins with: its title
 * @throws Error when not exactly one case has that title
 */
export function cases<Case extends readonly unknown[]>(
  short: readonly (string | number)[],
  all: readonly Case[],
): readonly Case[] {
  const named = all.filter((one) => short.every((part, column) => one[column] === part));
  if (named.length !== 1) throw new Error(`${named.length} cases have the title ${short.join(", ")}, not one`);
  return process.env.FAULTS === "all" ? all : named;
}

/** Groups that were made for a test, and two places where they stood. */
export interface Standing {
  readonly topic: string;
  readonly groups: readonly string[];
  /** What the snapshot has. */
  readonly saved: Commits;
  /** What they have committed since. */
  readonly moved: Commits;
  readonly snapshotId: string;
}

/** An invocation in a process of its own. */
export interface Worker {
  /** Its answer; undefined when it was killed before. */
  readonly answer: Promise<Answer | undefined>;
  /** SIGKILL: nothing of it goes on. */
  kill(): void;
  /** SIGSTOP: nothing of it goes on, its connections stand, until `goOn`. */
  pause(): void;
  goOn(): void;
}

/** Three brokers behind proxies, the archive behind another, and the handlers between them. */
export interface FaultHarness {
  /** What is between the functions and the brokers. */
  readonly proxy: KafkaProxy;
  /** The bucket and the table, seen directly; `storage.faults` is what is between the functions and them. */
  readonly storage: TestArchive;
  /** The cluster, and Kafka's tools, around the proxies. */
  readonly kafka: Kafka;
  /** Runs a function in this process, with this much time. */
  ask(verb: Verb, event: unknown, remainingMs?: number): Promise<Answer>;
  /** The same for one that must succeed: its result. */
  call(verb: Verb, event: unknown, remainingMs?: number): Promise<unknown>;
  /** Rolls back in this process, and reads the result, of an incomplete one too. */
  rollback(request: unknown, remainingMs?: number): Promise<Rolled>;
  /** The same over HTTP, in a function that has more time than HTTP has. */
  rollbackOverHttp(snapshotId: string): Promise<Rolled>;
  /** Runs a function in a process of its own, which is killed when the test ends. */
  startWorker(verb: Verb, event: unknown, remainingMs?: number): Worker;
  /** A topic with records in each partition, which goes when the test ends. */
  topic(partitions: number, recordsEach: number): Promise<string>;
  /** Makes groups that stand on two partitions, takes a snapshot of them, and moves them all. They go when the test ends. */
  standing(groups: number): Promise<Standing>;
  /** Groups go when the test ends. */
  forget(groups: Iterable<string>): void;
  /** Commits for empty groups, around the proxies. */
  commit(commits: Commits): Promise<void>;
  /** What groups have committed on these partitions with metadata and leader epochs, as our adapter reads it around the proxies. */
  commitsOf(partitions: ReadonlyMap<string, Iterable<string>>): Promise<Commits>;
  /** What Kafka's own tool says, once every broker takes part. */
  kafkaSays(groups: Iterable<string>): Promise<Offsets>;
  /** Holds what a rollback answered against what Kafka's own tool says, and gives that; `late` as in `agree`. */
  agrees(rolled: Rolled, late?: "late"): Promise<Offsets>;
  /** Every group is exactly there: offsets by what Kafka's own tool said, metadata and leader epochs by our adapter. */
  allAt(commits: Commits, said: Offsets): Promise<void>;
  /** A snapshot as it is stored. */
  snapshot(snapshotId: string): Promise<Snapshot>;
  /** The ids of the safety snapshots that there are. */
  safetySnapshots(): Promise<string[]>;
  /** The coordinator of the most of these groups. */
  coordinatorOf(groups: Iterable<string>): Promise<number>;
  /** Kills a broker; it is back when the test has ended, if not before. */
  killBroker(id: number): Promise<void>;
  /** Starts it again. */
  startBroker(id: number): Promise<void>;
  /** Something with an independent admin client, around the proxies. */
  administer<T>(work: (admin: Admin) => Promise<T>): Promise<T>;
  /** The same for our own client. */
  onCluster<T>(work: (cluster: Cluster) => Promise<T>, ms?: number): Promise<T>;
}

const longest = 60_000;

/** The harness of a test file: its proxies, bucket and table are made before its tests, and go after them. */
export function faultHarness(): FaultHarness {
  const storage = testArchive();
  const given = inject("faults");
  const environment = { ...process.env };
  const down = new Set<number>();
  let started: KafkaProxy | undefined;
  const proxy = () => {
    if (started === undefined) throw new Error("not before the tests run");
    return started;
  };
  const kafka = openKafka(given.kafka);
  const direct = {
    clusterName: "local",
    bootstrapServers: kafka.bootstrapServers.split(","),
    protocol: "PLAINTEXT" as const,
    sasl: undefined,
  };
  const kafkaJs = kafkaClient(kafka.bootstrapServers);

  beforeAll(async () => {
    started = await startKafkaProxy(given.proxies);
    Object.assign(process.env, {
      AWS_ENDPOINT_URL: storage.faults.url,
      AWS_ENDPOINT_URL_S3: storage.faults.url,
      [envNames.bucket]: storage.config.bucket,
      [envNames.bucketPrefix]: storage.config.prefix,
      [envNames.table]: storage.config.table,
      [envNames.clusterName]: "local",
      [envNames.bootstrapServers]: started.bootstrapServers,
    });
  });
  afterEach(async () => {
    started?.clear();
    for (const id of down) await startBroker(id);
  });
  afterAll(async () => {
    await started?.close();
    process.env = environment;
  });

  const startBroker = async (id: number) => {
    await kafka.startBroker(id);
    down.delete(id);
  };
  const administer: FaultHarness["administer"] = async (work) => {
    const admin = kafkaJs.admin();
    await admin.connect();
    try {
      return await work(admin);
    } finally {
      await admin.disconnect();
    }
  };
  const onCluster: FaultHarness["onCluster"] = (work, ms = longest) => withCluster(direct, within(ms), work);
  const ask: FaultHarness["ask"] = async (verb, event, remainingMs = longest) =>
    readAnswer(await run(verb, event, remainingMs));
  const call: FaultHarness["call"] = async (verb, event, remainingMs) => {
    const { result, error } = await ask(verb, event, remainingMs);
    if (error !== undefined) throw new Error(`${verb} failed: ${error.message}`);
    return result;
  };
  const commit = async (commits: Commits) => {
    expectAccepted(await onCluster((cluster) => commitOffsets(cluster, commits)));
  };
  const topic = async (partitions: number, recordsEach: number) => {
    const name = `t-${randomUUID().slice(0, 8)}`;
    onTestFinished(() => administer((admin) => admin.deleteTopics({ topics: [name] })).then(ignore, ignore));
    const nodes = () => onCluster(async (cluster) => cluster.nodes.length);
    await expect.poll(nodes, { timeout: 30_000 }).toBe(3); // a broker that was killed is back
    await onCluster((cluster) => createTopic(kafkaJs, cluster, { topic: name, partitions, replicas: 3 }));
    await produce(kafkaJs, name, partitions, distinctValues(partitions * recordsEach));
    return name;
  };
  const forget = (groups: Iterable<string>) =>
    onTestFinished(() => administer((admin) => admin.deleteGroups([...groups])).then(ignore, ignore));
  const kafkaSays = async (groups: Iterable<string>) => {
    const all = [...groups];
    let said: Awaited<ReturnType<typeof toolSays>> | undefined;
    let failure: unknown;
    const reads = async () => {
      said = await toolSays(kafka, all).catch((error: unknown) => {
        failure = error;
        return undefined;
      });
      return said !== undefined;
    };
    await expect.poll(reads, { timeout: 90_000 }).toBe(true);
    if (said === undefined) throw failure;
    const silent = new Map(all.flatMap((group) => (said?.get(group)?.size ? [] : [[group, []]])));
    // A group that its list lacks is one without commits only if its coordinator says so, too.
    for (const [group, commits] of await allCommitsOf(silent.keys())) {
      if (commits.size > 0) throw new Error(`kafka-consumer-groups left out ${group}, which has commits`);
    }
    return said;
  };
  const allCommitsOf = (groups: Iterable<string>) =>
    onCluster(async (cluster) => {
      const names = [...groups].map((name) => ({ name }));
      if (names.length === 0) return new Map<string, ReadonlyMap<string, Commit>>();
      const { commits, errors } = await capture(cluster, { groups: names, exclude: [] });
      if (errors.length > 0) throw new Error(`not readable: ${JSON.stringify(errors.slice(0, 3))}`);
      return commits;
    });
  const commitsOf: FaultHarness["commitsOf"] = (partitions) =>
    onCluster(async (cluster) => {
      const { commits, errors } = await readCommits(cluster, partitions);
      if (errors.length > 0) throw new Error(`not readable: ${JSON.stringify(errors.slice(0, 3))}`);
      return commits;
    });

  return {
    storage,
    kafka,
    get proxy() {
      return proxy();
    },
    ask,
    call,
    rollback: async (request, remainingMs) => readRolled(await ask("rollback", request, remainingMs)),
    async rollbackOverHttp(snapshotId) {
      const event = proxyEvent({ path: "/rollback", pathParameters: { snapshot_id: snapshotId }, body: "{}" });
      return readRolled(readHttpAnswer(await ask("rollback", event, 300_000)));
    },

    startWorker(verb, event, remainingMs = longest) {
      const child = fork(fileURLToPath(import.meta.resolve("./worker.ts")), { execArgv: [] });
      const { promise, resolve, reject } = Promise.withResolvers<Answer | undefined>();
      child.on("message", (message) => {
        if (message === "ready") child.send({ verb, event, remainingMs });
        else resolve(readAnswer(String(message)));
      });
      child.once("error", reject);
      child.once("exit", (code, signal) => {
        if (signal === "SIGKILL") resolve(undefined);
        else reject(new Error(`the worker of ${verb} ended with ${code ?? signal} before it answered`));
      });
      promise.catch(ignore);
      onTestFinished(() => void child.kill("SIGKILL"));
      const signal = (name: NodeJS.Signals) => () => void child.kill(name);
      return { answer: promise, kill: signal("SIGKILL"), pause: signal("SIGSTOP"), goOn: signal("SIGCONT") };
    },

    topic,
    forget,
    commit,
    async standing(count) {
      const name = await topic(2, 60);
      const run = randomUUID().slice(0, 8);
      const groups = Array.from({ length: count }, (_, i) => `${run}.${i}`);
      const at = (place: (i: number) => Commit): Commits =>
        new Map(groups.map((group, i) => [group, new Map([`${name}-0`, `${name}-1`].map((key) => [key, place(i)]))]));
      const saved = at((i) => ({ offset: BigInt(i % 20), metadata: `saved ${i}`, leaderEpoch: 0 }));
      const moved = at((i) => ({ offset: BigInt(30 + (i % 20)), metadata: "" }));
      forget(groups);
      await commit(saved);
      const { snapshot_id } = Object(await call("snapshot", { groups: [`${run}.*`] }));
      await commit(moved);
      return { topic: name, groups, saved, moved, snapshotId: String(snapshot_id) };
    },

    commitsOf,
    kafkaSays,
    async agrees({ result, error }, late) {
      if (result === undefined) throw new Error(`there is no result to hold against Kafka: ${error?.message}`);
      const said = await kafkaSays(Object.keys(result.groups));
      agree(result, said, late);
      return said;
    },
    async allAt(commits, said) {
      const offsets = new Map(
        [...commits].map(([group, of]) => [group, new Map([...of].map(([key, { offset }]) => [key, offset]))]),
      );
      expect(said).toEqual(offsets);
      expect(await commitsOf(new Map([...commits].map(([group, of]) => [group, of.keys()])))).toEqual(commits);
    },
    snapshot: (snapshotId) => storage.archive.load(snapshotId, within()),
    async safetySnapshots() {
      const { entries } = await storage.archive.list({ limit: 1_000 }, within());
      return entries.filter(({ trigger }) => trigger === "safety").map(({ snapshotId }) => snapshotId);
    },
    coordinatorOf: (groups) =>
      onCluster(async (cluster) => {
        const wanted = new Set(groups);
        await readCommits(cluster, new Map([...wanted].map((group) => [group, ["any-0"]])));
        const counted = new Map<number, number>();
        for (const group of wanted) {
          const node = cluster.coordinators.get(group);
          if (node !== undefined) counted.set(node, (counted.get(node) ?? 0) + 1);
        }
        const [busiest] = [...counted].sort(([, a], [, b]) => b - a);
        if (busiest === undefined) throw new Error("no coordinator was found");
        return busiest[0];
      }),
    async killBroker(id) {
      down.add(id);
      await kafka.killBroker(id);
    },
    startBroker,
    administer,
    onCluster,
  };
}

/** Every partition stands where the groups were put or where the snapshot has them: none where they were not put. */
export function noneElsewhere({ saved, moved }: Standing, said: Offsets): void {
  const astray = [...saved].flatMap(([group, partitions]) =>
    [...partitions.keys()].filter((key) => {
      const places = [saved, moved].map((commits) => commits.get(group)?.get(key)?.offset);
      return !places.includes(said.get(group)?.get(key));
    }),
  );
  expect(astray).toEqual([]);
}

const ignore = () => {};
