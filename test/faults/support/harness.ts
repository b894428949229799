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
import { type Answer, type RollbackAnswer, readAnswer, readHttpAnswer, readRollbackAnswer } from "./answers.ts";
import { run, type Verb } from "./handlers.ts";
import { type KafkaProxy, startKafkaProxy } from "./kafka-proxy.ts";
import { type Offsets, offsetsOf, readOffsetsByTool, requireSameOffsets } from "./truth.ts";

/**
 * The cases of a family: all of them in `npm run test:faults`, one in `npm run test:all`.
 *
 * @param short the first columns of the case for `npm run test:all`: its title
 * @throws Error unless exactly one case has that title
 */
export function cases<Case extends readonly unknown[]>(
  short: readonly (string | number)[],
  all: readonly Case[],
): readonly Case[] {
  const named = all.filter((row) => short.every((part, column) => row[column] === part));
  if (named.length !== 1) throw new Error(`${named.length} cases have the title ${short.join(", ")}, not one`);
  return process.env.FAULTS === "all" ? all : named;
}

/** Groups of a test, a snapshot of them, and the commits that they made after it. */
export interface Scenario {
  readonly topic: string;
  readonly groups: readonly string[];
  /** The commits in the snapshot. */
  readonly saved: Commits;
  /** The commits after the snapshot. */
  readonly moved: Commits;
  readonly snapshotId: string;
}

/** An invocation in a separate process. */
export interface Worker {
  /** Its answer; undefined if it was killed before. */
  readonly answer: Promise<Answer | undefined>;
  /** Ends the process with SIGKILL. */
  kill(): void;
  /** Stops the process with SIGSTOP until `unpause`. Its connections stay open. */
  pause(): void;
  unpause(): void;
}

/** The handlers, with proxies to three brokers and to the archive. */
export interface FaultHarness {
  /** The proxies between the functions and the brokers. */
  readonly proxy: KafkaProxy;
  /** Direct access to bucket and table; `storage.faults` is the proxy between them and the functions. */
  readonly storage: TestArchive;
  /** The cluster and Kafka's tools, without the proxies. */
  readonly kafka: Kafka;
  /** Runs a function in this process with this much remaining time. */
  ask(verb: Verb, event: unknown, remainingMs?: number): Promise<Answer>;
  /** Runs a function that must succeed, and returns its result. */
  call(verb: Verb, event: unknown, remainingMs?: number): Promise<unknown>;
  /** Runs a rollback in this process, and reads its result or error. */
  rollback(request: unknown, remainingMs?: number): Promise<RollbackAnswer>;
  /** Runs a rollback over HTTP, in a function with more remaining time than HTTP allows. */
  rollbackOverHttp(snapshotId: string): Promise<RollbackAnswer>;
  /** Runs a function in a separate process, which is killed when the test ends. */
  startWorker(verb: Verb, event: unknown, remainingMs?: number): Worker;
  /** Creates a topic with records in each partition. It is deleted when the test ends. */
  topic(partitions: number, recordsEach: number): Promise<string>;
  /** Creates groups with commits on two partitions, takes a snapshot, and moves all groups. They are deleted when the test ends. */
  scenario(groups: number): Promise<Scenario>;
  /** Deletes groups when the test ends. */
  deleteAfterTest(groups: Iterable<string>): void;
  /** Commits offsets of groups without members, without the proxies. */
  commit(commits: Commits): Promise<void>;
  /** The commits on these partitions, read by the code under test without the proxies. */
  commitsOf(partitions: ReadonlyMap<string, Iterable<string>>): Promise<Commits>;
  /** The offsets that kafka-consumer-groups prints, once it can reach every coordinator. */
  offsetsByTool(groups: Iterable<string>): Promise<Offsets>;
  /** Compares the result of a rollback with kafka-consumer-groups, and returns its offsets; `late` as in `requireSameOffsets`. */
  requireAgreement(rolled: RollbackAnswer, late?: "late"): Promise<Offsets>;
  /** Requires that every group has exactly these commits: by the tool's offsets, and as read by the code under test. */
  requireCommits(commits: Commits, toolOffsets: Offsets): Promise<void>;
  /** A snapshot as it is stored. */
  snapshot(snapshotId: string): Promise<Snapshot>;
  /** The ids of all safety snapshots. */
  safetySnapshots(): Promise<string[]>;
  /** The broker that coordinates most of these groups. */
  coordinatorOf(groups: Iterable<string>): Promise<number>;
  /** Kills a broker. It is started again when the test ends, if not before. */
  killBroker(id: number): Promise<void>;
  /** Starts a broker again. */
  startBroker(id: number): Promise<void>;
  /** Runs work with a kafkajs admin client, without the proxies. */
  administer<T>(work: (admin: Admin) => Promise<T>): Promise<T>;
  /** Runs work with a connection of the code under test, without the proxies. */
  onCluster<T>(work: (cluster: Cluster) => Promise<T>, ms?: number): Promise<T>;
}

const defaultMs = 60_000;

/** The harness of a test file. Its proxies, bucket and table are created before its tests and removed after them. */
export function faultHarness(): FaultHarness {
  const storage = testArchive();
  const brokers = inject("faults");
  const environment = { ...process.env };
  const killed = new Set<number>();
  let started: KafkaProxy | undefined;
  const proxy = () => {
    if (started === undefined) throw new Error("the proxies can be used only while tests run");
    return started;
  };
  const kafka = openKafka(brokers.kafka);
  const direct = {
    clusterName: "local",
    bootstrapServers: kafka.bootstrapServers.split(","),
    protocol: "PLAINTEXT" as const,
    sasl: undefined,
  };
  const kafkaJs = kafkaClient(kafka.bootstrapServers);

  beforeAll(async () => {
    started = await startKafkaProxy(brokers.proxies);
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
    for (const id of killed) await startBroker(id);
  });
  afterAll(async () => {
    await started?.close();
    process.env = environment;
  });

  const startBroker = async (id: number) => {
    await kafka.startBroker(id);
    killed.delete(id);
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
  const onCluster: FaultHarness["onCluster"] = (work, ms = defaultMs) => withCluster(direct, within(ms), work);
  const ask: FaultHarness["ask"] = async (verb, event, remainingMs = defaultMs) =>
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
    await expect.poll(nodes, { timeout: 30_000 }).toBe(3); // a killed broker may still be starting
    await onCluster((cluster) => createTopic(kafkaJs, cluster, { topic: name, partitions, replicas: 3 }));
    await produce(kafkaJs, name, partitions, distinctValues(partitions * recordsEach));
    return name;
  };
  const deleteAfterTest = (groups: Iterable<string>) =>
    onTestFinished(() => administer((admin) => admin.deleteGroups([...groups])).then(ignore, ignore));
  const offsetsByTool = async (groups: Iterable<string>) => {
    const all = [...groups];
    let toolOffsets: Awaited<ReturnType<typeof readOffsetsByTool>> | undefined;
    let failure: unknown;
    const reads = async () => {
      toolOffsets = await readOffsetsByTool(kafka, all).catch((error: unknown) => {
        failure = error;
        return undefined;
      });
      return toolOffsets !== undefined;
    };
    await expect.poll(reads, { timeout: 90_000 }).toBe(true);
    if (toolOffsets === undefined) throw failure;
    const notPrinted = new Map(all.flatMap((group) => (toolOffsets?.get(group)?.size ? [] : [[group, []]])));
    // The tool's list can be incomplete. A group without printed commits must have none on its coordinator either.
    for (const [group, commits] of await allCommitsOf(notPrinted.keys())) {
      if (commits.size > 0) throw new Error(`kafka-consumer-groups left out ${group}, which has commits`);
    }
    return toolOffsets;
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
    rollback: async (request, remainingMs) => readRollbackAnswer(await ask("rollback", request, remainingMs)),
    async rollbackOverHttp(snapshotId) {
      const event = proxyEvent({ path: "/rollback", pathParameters: { snapshot_id: snapshotId }, body: "{}" });
      return readRollbackAnswer(readHttpAnswer(await ask("rollback", event, 300_000)));
    },

    startWorker(verb, event, remainingMs = defaultMs) {
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
      return { answer: promise, kill: signal("SIGKILL"), pause: signal("SIGSTOP"), unpause: signal("SIGCONT") };
    },

    topic,
    deleteAfterTest,
    commit,
    async scenario(count) {
      const name = await topic(2, 60);
      const run = randomUUID().slice(0, 8);
      const groups = Array.from({ length: count }, (_, i) => `${run}.${i}`);
      const at = (place: (i: number) => Commit): Commits =>
        new Map(groups.map((group, i) => [group, new Map([`${name}-0`, `${name}-1`].map((key) => [key, place(i)]))]));
      const saved = at((i) => ({ offset: BigInt(i % 20), metadata: `saved ${i}`, leaderEpoch: 0 }));
      const moved = at((i) => ({ offset: BigInt(30 + (i % 20)), metadata: "" }));
      deleteAfterTest(groups);
      await commit(saved);
      const { snapshot_id } = Object(await call("snapshot", { groups: [`${run}.*`] }));
      await commit(moved);
      return { topic: name, groups, saved, moved, snapshotId: String(snapshot_id) };
    },

    commitsOf,
    offsetsByTool,
    async requireAgreement({ result, error }, late) {
      if (result === undefined) throw new Error(`the rollback has no result: ${error?.message}`);
      const toolOffsets = await offsetsByTool(Object.keys(result.groups));
      requireSameOffsets(result, toolOffsets, late);
      return toolOffsets;
    },
    async requireCommits(commits, toolOffsets) {
      expect(toolOffsets).toEqual(offsetsOf(commits));
      expect(await commitsOf(new Map([...commits].map(([group, of]) => [group, of.keys()])))).toEqual(commits);
    },
    snapshot: (snapshotId) => storage.archive.load(snapshotId, within()),
    async safetySnapshots() {
      const { entries } = await storage.archive.list({ limit: 1_000 }, within());
      return entries.filter(({ trigger }) => trigger === "safety").map(({ snapshotId }) => snapshotId);
    },
    coordinatorOf: (groups) =>
      onCluster(async (cluster) => {
        const names = new Set(groups);
        await readCommits(cluster, new Map([...names].map((group) => [group, ["any-0"]])));
        const counted = new Map<number, number>();
        for (const group of names) {
          const node = cluster.coordinators.get(group);
          if (node !== undefined) counted.set(node, (counted.get(node) ?? 0) + 1);
        }
        const [busiest] = [...counted].sort(([, a], [, b]) => b - a);
        if (busiest === undefined) throw new Error("no coordinator was found");
        return busiest[0];
      }),
    async killBroker(id) {
      killed.add(id);
      await kafka.killBroker(id);
    },
    startBroker,
    administer,
    onCluster,
  };
}

/** Requires that every partition is at its offset in the snapshot or at its offset after it, and at no other. */
export function requireSavedOrMoved({ saved, moved }: Scenario, toolOffsets: Offsets): void {
  const elsewhere = [...saved].flatMap(([group, partitions]) =>
    [...partitions.keys()].filter((key) => {
      const offsets = [saved, moved].map((commits) => commits.get(group)?.get(key)?.offset);
      return !offsets.includes(toolOffsets.get(group)?.get(key));
    }),
  );
  expect(elsewhere).toEqual([]);
}

const ignore = () => {};
