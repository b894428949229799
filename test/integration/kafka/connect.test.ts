import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, inject, it, onTestFinished } from "vitest";
import type { Commit, LiveState } from "../../../functions/shared/core/model.ts";
import { restrict } from "../../../functions/shared/core/restrict.ts";
import { commitsOf, type Plan } from "../../../functions/shared/core/rollback/plan.ts";
import { planRollback } from "../../../functions/shared/core/rollback/planning.ts";
import { settle } from "../../../functions/shared/core/rollback/settle.ts";
import type { Cluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { capture, observe } from "../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { isBefore, startTool } from "../../../localstack/kafka-tools.ts";
import { freePorts } from "../../../localstack/process.ts";
import { fetchConnect } from "../../support/java.ts";
import { refuse, snapshotOf } from "../../support/states.ts";
import { produce } from "../../support/topics.ts";
import {
  administer,
  classic,
  connect,
  describedByKafka,
  forget,
  independentClient,
  rowsOf,
  select,
  topicOf,
  unique,
} from "./support.ts";

let classes: string;
beforeAll(async () => {
  classes = await fetchConnect(inject("kafka").version, (line) => console.log(line));
}, 600_000);

/** A worker of Kafka Connect. */
interface Worker {
  /** The group of the workers. */
  readonly group: string;
  /** A folder for files, deleted when the worker has stopped. */
  readonly folder: string;
  /** Sends a request to its REST interface. Throws unless it is accepted. */
  ask(method: "PUT" | "DELETE", path: string, body?: object): Promise<void>;
  stop(): Promise<unknown>;
}

/** Starts the only worker of a group. It is stopped when the test ends, if not before. */
async function startWorker(): Promise<Worker> {
  const group = unique("connect-cluster");
  const storage = ["config", "offset", "status"].map((kind) => ({ kind, topic: `${group}.${kind}` }));
  forget([group]);
  const topics = storage.map(({ topic }) => topic);
  onTestFinished(() => administer((admin) => admin.deleteTopics({ topics })).then(ignore, ignore));
  const folder = await mkdtemp(join(tmpdir(), "connect-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const properties = [
    `bootstrap.servers=${inject("kafka").bootstrapServers}`,
    `group.id=${group}`,
    `listeners=${url}`,
    ...["key", "value"].map((part) => `${part}.converter=org.apache.kafka.connect.storage.StringConverter`),
    ...storage.flatMap(({ kind, topic }) => [
      `${kind}.storage.topic=${topic}`,
      `${kind}.storage.replication.factor=1`,
      `${kind}.storage.partitions=1`,
    ]),
    "offset.flush.interval.ms=200", // how often sink connectors commit
    "plugin.discovery=service_load", // faster than the default; ignored before 3.6
  ];
  const file = join(folder, "worker.properties");
  await writeFile(file, properties.join("\n"));
  const worker = startTool(inject("kafka").version, "org.apache.kafka.connect.cli.ConnectDistributed", [file], classes);
  onTestFinished(() => worker.stop().then(ignore));
  const ended = worker.ended.then(({ stderr }) => stderr.slice(-2_000));
  const answer = () => fetch(`${url}/connectors`).then(({ status }) => status, String);
  await expect.poll(() => Promise.race([answer(), ended]), { timeout: 60_000 }).toBe(200);
  return {
    group,
    folder,
    stop: worker.stop,
    async ask(method, path, body) {
      const headers = { "content-type": "application/json" };
      const answer = await fetch(url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    },
  };
}

const ignore = () => {};

/** The name of a sink connector. Call this before its worker starts, so that its group is deleted after the worker stopped. */
function nameSink(): string {
  const name = unique("sink");
  forget([`connect-${name}`]);
  return name;
}

/** Starts a sink connector that writes the records of a topic into a file. */
async function startSink(worker: Worker, name: string, topic: string) {
  const file = join(worker.folder, name);
  const path = `/connectors/${name}`;
  const config = { "connector.class": "FileStreamSink", "tasks.max": "1", topics: topic, file };
  const create = () => worker.ask("PUT", `${path}/config`, config);
  await create();
  const written = async () => (await readFile(file, "utf8")).split("\n").slice(0, -1).sort();
  if (isBefore(inject("kafka").version, "3.5")) {
    // Before 3.5, a connector can only be paused, and then stays in its group, or deleted.
    return { written, stop: () => worker.ask("DELETE", path), resume: create };
  }
  return { written, stop: () => worker.ask("PUT", `${path}/stop`), resume: () => worker.ask("PUT", `${path}/resume`) };
}

/** The plan that returns the groups of a state to that state. */
async function planTo(cluster: Cluster, savedState: LiveState): Promise<Plan> {
  const snapshot = snapshotOf(savedState.commits, { cluster: savedState.cluster, observed: savedState.observed });
  const part = restrict(snapshot, {});
  return planRollback(snapshot, part, await observe(cluster, part.commits), refuse);
}

describe("Kafka Connect", () => {
  it("has a group of workers, which is captured with its members and without commits", async () => {
    const cluster = await connect();
    const topic = await topicOf(1, 1);
    const name = nameSink();
    const worker = await startWorker();
    const sink = await startSink(worker, name, topic);
    await expect.poll(sink.written, { timeout: 30_000 }).toEqual(["0"]); // the worker has an assignment
    const read = () => capture(cluster, select(worker.group));
    const observed = async () => (await read()).observed.groups.get(worker.group);
    await expect.poll(observed, { timeout: 20_000 }).toMatchObject({ state: "Stable" });

    const held = await read();
    await worker.stop();
    await expect.poll(observed, { timeout: 20_000 }).toMatchObject({ state: "Empty" });
    const left = await read();

    const [during, after] = [held, left].map(({ observed }) => observed.groups.get(worker.group));
    expect(during).toMatchObject({ type: classic(), state: "Stable", members: 1, protocolType: "connect" });
    expect(after).toMatchObject({ type: classic(), state: "Empty", members: 0, protocolType: "connect" });
    for (const state of [held, left]) {
      expect(state.commits).toEqual(new Map([[worker.group, new Map()]]));
      expect([...state.errors, ...state.warnings]).toEqual([]);
    }
  });

  it("has a group for each sink connector, which replays the records after the snapshot after a rollback", async () => {
    const cluster = await connect(110_000);
    const topic = await topicOf(2, 5);
    const name = nameSink();
    const group = `connect-${name}`;
    const worker = await startWorker();
    const sink = await startSink(worker, name, topic);
    /** The state after the connector has committed this offset on both partitions. */
    const doneUpTo = async (offset: bigint) => {
      const read = () => capture(cluster, select(group));
      const offsets = async () => {
        const commits = (await read()).commits.get(group) ?? new Map<string, Commit>();
        return new Map([...commits].map(([key, commit]) => [key, commit.offset]));
      };
      const all = new Map([0, 1].map((partition) => [`${topic}-${partition}`, offset]));
      await expect.poll(offsets, { timeout: 40_000 }).toEqual(all);
      return read();
    };

    const savedState = await doneUpTo(5n);
    const savedByKafka = await describedByKafka(group);
    const early = await sink.written();
    const late = Array.from({ length: 6 }, (_, i) => `late ${i}`);
    await produce(independentClient(), topic, 2, late);
    await doneUpTo(8n);
    const blocked = await planTo(cluster, savedState);
    const whole = await capture(cluster, select(group, worker.group));
    await sink.stop();
    await expect.poll(async () => (await planTo(cluster, savedState)).blockers, { timeout: 20_000 }).toEqual([]);
    const ofAll = await planTo(cluster, whole);
    const plan = await planTo(cluster, savedState);
    const sent = await commitOffsets(cluster, commitsOf(plan));
    const back = await capture(cluster, select(group));
    const backByKafka = await describedByKafka(group);
    await sink.resume();
    await doneUpTo(8n);

    expect(savedState.observed.groups.get(group)).toMatchObject({
      ...{ type: classic(), state: "Stable", members: 1, protocolType: "consumer" },
    });
    expect([...savedState.errors, ...savedState.warnings]).toEqual([]);
    expect(rowsOf(savedState)).toEqual(savedByKafka);
    expect(blocked.blockers).toMatchObject([{ kind: "group_not_empty", group, actual: 1 }]);
    expect(ofAll).toMatchObject({ blockers: [], leftOut: [] }); // the workers' group has no commits to restore
    expect(ofAll.groups.get(worker.group)).toMatchObject({ state: "Stable", partitions: new Map() });
    expect(plan.groups.get(group)).toMatchObject({ replayed: 6n, skipped: 0n });
    expect(settle(plan, sent, back)).toMatchObject({ status: "success", offsetsRestored: 2 });
    expect(rowsOf(back)).toEqual(backByKafka);
    expect(early).toEqual(Array.from({ length: 10 }, (_, i) => `${i}`));
    expect(await sink.written()).toEqual([...early, ...late, ...late].sort());
  });
});
