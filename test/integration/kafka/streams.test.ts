import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, inject, it, onTestFinished } from "vitest";
import { restrict } from "../../../functions/shared/core/restrict.ts";
import { planRollback } from "../../../functions/shared/core/rollback/planning.ts";
import type { Cluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { capture, observe } from "../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets, deleteOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import type { Api } from "../../../functions/shared/kafka/wire/api.ts";
import type { Reader, Writer } from "../../../functions/shared/kafka/wire/bytes.ts";
import { findCoordinator } from "../../../functions/shared/kafka/wire/groups.ts";
import { startTool } from "../../../localstack/kafka-tools.ts";
import { compileJava, fetchStreams } from "../../support/java.ts";
import { refuse, snapshotOf } from "../../support/states.ts";
import { distinctValues, produce } from "../../support/topics.ts";
import {
  administer,
  at,
  classic,
  connect,
  forget,
  independentClient,
  kafka,
  select,
  since,
  topicOf,
  unique,
} from "./support.ts";

interface Heartbeat {
  readonly group: string;
  readonly member: string;
  /** 0 joins, −1 leaves. */
  readonly epoch: number;
  /** The topic that the application reads; only when it joins. */
  readonly topic?: string;
}

const skipTasks = (reader: Reader) =>
  reader.nullableArray(() => {
    reader.skipBytes();
    reader.array(() => reader.int32());
    reader.skipTags();
  });

/** The heartbeat by which a Kafka Streams application is a member of its group (KIP-1071), without an application. */
const streamsGroupHeartbeat: Api<Heartbeat, { readonly code: number; readonly epoch: number }> = {
  key: 88,
  name: "StreamsGroupHeartbeat",
  versions: [0, 0],
  since: "4.1",
  flexible: true,
  encode(writer, { group, member, epoch, topic }) {
    const joins = topic !== undefined;
    const noTasks = () => (joins ? writer.array([], () => {}) : writer.nullableArray(null, () => {}));
    writer.string(group);
    writer.string(member);
    writer.int32(epoch);
    writer.int32(0); // endpoint_information_epoch
    writer.nullableString(null); // instance_id
    writer.nullableString(null); // rack_id
    writer.int32(joins ? 60_000 : -1); // rebalance_timeout_ms
    writer.int8(joins ? 1 : -1);
    if (joins) writeTopology(writer, topic);
    for (let i = 0; i < 3; i++) noTasks(); // active, standby, warm-up
    writer.nullableString(joins ? "process" : null);
    writer.int8(-1); // user_endpoint
    noTasks(); // client_tags
    writer.nullableArray(null, () => {}); // task_offsets
    writer.nullableArray(null, () => {}); // task_end_offsets
    writer.boolean(false); // shutdown_application
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const code = reader.int16();
    reader.skipBytes(); // error_message
    reader.skipBytes(); // member_id
    const epoch = reader.int32();
    for (let i = 0; i < 3; i++) reader.int32(); // heartbeat interval, recovery lag, task offset interval
    reader.nullableArray(() => {
      reader.int8();
      reader.skipBytes();
      reader.skipTags();
    });
    for (let i = 0; i < 3; i++) skipTasks(reader);
    reader.int32(); // endpoint_information_epoch
    reader.nullableArray(() => {}); // partitions_by_user_endpoint: no member has an endpoint
    return { code, epoch };
  },
};

/** One subtopology, which reads the topic and needs no other topics. */
function writeTopology(writer: Writer, topic: string) {
  const noTopics = () => writer.array([], () => {});
  writer.int32(0);
  writer.array(["0"], (id) => {
    writer.string(id);
    writer.array([topic], (source) => writer.string(source));
    for (let i = 0; i < 5; i++) noTopics(); // regex, changelogs, repartition sinks and sources, copartition groups
    writer.noTags();
  });
  writer.noTags();
}

/** Adds a member to a streams group. It leaves when the test ends, if not before. */
async function joinStreams(cluster: Cluster, group: string, topic: string): Promise<() => Promise<void>> {
  const member = randomUUID();
  const beat = async (epoch: number, source?: string) => {
    const [found] = await cluster.sendToAny(findCoordinator, [group]);
    if (found?.code !== 0) return -1;
    const request = { group, member, epoch, ...(source !== undefined && { topic: source }) };
    return (await cluster.send(found.nodeId, streamsGroupHeartbeat, request)).code;
  };
  await expect.poll(() => beat(0, topic), { timeout: 20_000 }).toBe(0);
  let left = false;
  const leave = async () => {
    if (!left) expect(await beat(-1)).toBe(0);
    left = true;
  };
  onTestFinished(leave);
  return leave;
}

since("4.2", "streams groups (KIP-1071)").describe("streams groups", () => {
  it("are observed with their members, and Kafka refuses commits while there are members", async () => {
    const cluster = await connect();
    const topic = await topicOf(2, 3);
    const group = unique("streams");
    forget([group]);
    const leave = await joinStreams(cluster, group, topic);
    await joinStreams(cluster, group, topic);
    const key = `${topic}-0`;
    const membersSeen = async () =>
      (await observe(cluster, new Map([[group, at([key, 1])]]))).observed.groups.get(group);

    // The member never confirms its assignment, so the state may also be Assigning or Reconciling.
    const state = expect.stringMatching(/^(Assigning|Reconciling|Stable)$/);
    await expect.poll(membersSeen, { timeout: 20_000 }).toMatchObject({ type: "streams", state, members: 2 });
    const outcomes = await commitOffsets(cluster, new Map([[group, at([key, 1])]]));
    const deletions = await deleteOffsets(cluster, new Map([[group, [key]]]));
    await leave();

    expect(outcomes.get(group)?.get(key)).toMatchObject({ kind: "refused", error: "GroupNotEmpty" });
    expect(deletions.get(group)?.get(key)).toMatchObject({ kind: "refused", error: "GroupNotEmpty" });
    await expect.poll(async () => (await membersSeen())?.members, { timeout: 20_000 }).toBe(1);
  });

  it("accept commits when they are empty, and stay streams groups", async () => {
    const cluster = await connect();
    const topic = await topicOf(1, 3);
    const group = unique("streams-empty");
    forget([group]);
    const leave = await joinStreams(cluster, group, topic);
    await leave();

    const outcomes = await commitOffsets(cluster, new Map([[group, at([`${topic}-0`, 2])]]));
    const state = await capture(cluster, select(group));

    expect(outcomes.get(group)?.get(`${topic}-0`)).toEqual({ kind: "accepted" });
    expect(state.commits.get(group)).toEqual(at([`${topic}-0`, 2]));
    expect(state.observed.groups.get(group)).toMatchObject({ type: "streams", state: "Empty", members: 0 });
    expect(state.warnings).toEqual([]);
  });

  it("have as many members as kafka-streams-groups prints", async () => {
    const cluster = await connect();
    const topic = await topicOf(1, 1);
    const group = unique("streams-tool");
    forget([group]);
    await joinStreams(cluster, group, topic);
    const args = ["--describe", "--members", "--group", group];

    const { stdout, stderr } = await kafka().tool("org.apache.kafka.tools.streams.StreamsGroupCommand", args);
    const state = await capture(cluster, select(group));

    const rows = stdout.split("\n").filter((line) => line.startsWith(group));
    expect(rows, stdout + stderr).toHaveLength(1);
    expect(state.observed.groups.get(group)?.members).toBe(1);
  });
});

/** Starts a Kafka Streams application on the classic protocol, with a repartition topic. It ends when the test ends, if not before. */
async function startApplication(application: string, input: string, output: string) {
  const { version, bootstrapServers } = inject("kafka");
  const say = (line: string) => console.log(line);
  const folder = await mkdtemp(join(tmpdir(), "streams-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const jars = await fetchStreams(version, say);
  const source = join(import.meta.dirname, "../../support/streams/Repartitions.java");
  const classPath = ["streams", "clients"].map((name) => jars.replace("*", `kafka-${name}-${version}.jar`)).join(":");
  await compileJava(version, source, folder, say, classPath);
  const args = [bootstrapServers, application, input, output, join(folder, "state")];
  const running = startTool(version, "Repartitions", args, `${folder}:${jars}`);
  onTestFinished(() => running.kill());
  return running;
}

since("3.3", "KafkaStreams.CloseOptions").it(
  "a Streams application on the classic protocol is recognised, and a plan says why its repartition topic blocks",
  async () => {
    const cluster = await connect(150_000);
    const [input, output] = [await topicOf(1, 5), await topicOf(1)];
    const application = unique("app");
    forget([application]);
    const repartition = `${application}-by-value-repartition`;
    onTestFinished(() => administer((admin) => admin.deleteTopics({ topics: [repartition] })).then(() => {}));
    const running = await startApplication(application, input, output);
    const stateNow = () => capture(cluster, select(application));
    const reached = async (offset: bigint) => {
      const { commits, observed } = await stateNow();
      const at = [input, repartition].map((topic) => commits.get(application)?.get(`${topic}-0`)?.offset);
      const start = observed.topics.get(repartition)?.partitions.get(0)?.logStartOffset;
      return at.every((one) => one === offset) && start === offset;
    };
    await expect.poll(() => reached(5n), { timeout: 90_000, interval: 500 }).toBe(true);
    const { commits, observed, cluster: identity } = await stateNow();
    await produce(independentClient(), input, 1, distinctValues(5));
    await expect.poll(() => reached(10n), { timeout: 60_000, interval: 500 }).toBe(true);
    running.end();
    expect((await running.ended).exitCode).toBe(0);

    expect(observed.groups.get(application)).toMatchObject({ type: classic(), protocol: "stream", members: 1 });
    const snapshot = snapshotOf(commits, { cluster: identity, observed });
    const live = await observe(cluster, commits);
    expect(live.observed.groups.get(application)).toMatchObject({ state: "Empty", protocol: null });
    const plan = planRollback(snapshot, restrict(snapshot, {}), live, refuse);
    expect(plan.blockers).toMatchObject([
      {
        kind: "below_log_start",
        topic: repartition,
        expected: 5n,
        actual: 10n,
        message: expect.stringMatching(/normal for a repartition topic/),
      },
    ]);
    expect(plan.warnings).toEqual([
      expect.stringMatching(/ is a Kafka Streams application: state stores do not move/),
      expect.stringContaining(`To leave them out, set "topics": ["${input}"].`),
    ]);
    const part = restrict(snapshot, { topics: [input] });
    expect(planRollback(snapshot, part, live, refuse)).toMatchObject({ blockers: [] });
  },
  240_000,
);
