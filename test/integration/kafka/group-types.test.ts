import { describe, expect, it, onTestFinished } from "vitest";
import { planRollback } from "../../../functions/shared/core/plan.ts";
import { restrict } from "../../../functions/shared/core/restrict.ts";
import type { Cluster } from "../../../functions/shared/kafka/cluster.ts";
import { capture, commitOffsets, observe } from "../../../functions/shared/kafka/group-offsets.ts";
import type { Api } from "../../../functions/shared/kafka/wire/api.ts";
import { findCoordinator } from "../../../functions/shared/kafka/wire/groups.ts";
import { snapshotOf } from "../../support/states.ts";
import { at, classic, connect, forget, groupsWith, independentClient, select, topicOf, unique } from "./support.ts";

/** What a worker of Kafka Connect sends to be a member of its group: there is none at hand to start. */
const joinGroup: Api<{ readonly group: string; readonly instance: string }, { code: number; member: string }> = {
  key: 11,
  name: "JoinGroup",
  versions: [7, 7],
  since: "2.5",
  flexible: true,
  encode(writer, { group, instance }) {
    writer.string(group);
    writer.int32(30_000); // session_timeout_ms
    writer.int32(30_000); // rebalance_timeout_ms
    writer.string(""); // member_id
    writer.nullableString(instance); // a static member need not join twice
    writer.string("connect"); // protocol_type
    writer.array(["sessioned"], (protocol) => {
      writer.string(protocol);
      writer.array([], () => {}); // metadata: no bytes
      writer.noTags();
    });
    writer.noTags();
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const code = reader.int16();
    reader.int32(); // generation_id
    for (let i = 0; i < 3; i++) reader.skipBytes(); // protocol_type, protocol_name, leader
    const member = reader.string();
    reader.array(() => {
      for (let i = 0; i < 3; i++) reader.skipBytes(); // member_id, group_instance_id, metadata
      reader.skipTags();
    });
    reader.skipTags();
    return { code, member };
  },
};

const leaveGroup: Api<{ readonly group: string; readonly instance: string }, number> = {
  key: 13,
  name: "LeaveGroup",
  versions: [4, 4],
  since: "2.4",
  flexible: true,
  encode(writer, { group, instance }) {
    writer.string(group);
    writer.array([instance], (one) => {
      writer.string(""); // member_id
      writer.nullableString(one);
      writer.noTags();
    });
    writer.noTags();
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const code = reader.int16();
    reader.array(() => {
      for (let i = 0; i < 2; i++) reader.skipBytes(); // member_id, group_instance_id
      reader.int16(); // error_code
      reader.skipTags();
    });
    reader.skipTags();
    return code;
  },
};

async function coordinatorOf(cluster: Cluster, group: string): Promise<number> {
  const find = async () => (await cluster.ask(findCoordinator, [group]))[0];
  await expect.poll(async () => (await find())?.code, { timeout: 20_000 }).toBe(0);
  return (await find())?.nodeId ?? -1;
}

/** The groups of a state as `observed` has them, without the time. */
const kindOf = async (cluster: Cluster, group: string) => {
  const { type, state, members, protocolType } =
    (await capture(cluster, select(group))).observed.groups.get(group) ?? {};
  return { type, state, members, protocolType };
};

describe("simple groups", () => {
  it("are told from those that have had members, and flagged by a plan", async () => {
    const cluster = await connect();
    const topic = await topicOf(1, 5);
    const run = unique("simple");
    const [simple, served] = [`${run}.simple`, `${run}.served`];
    await groupsWith(cluster, new Map([simple, served].map((group) => [group, at([`${topic}-0`, 1])])));
    const consumer = independentClient().consumer({ groupId: served });
    onTestFinished(() => consumer.disconnect());
    const joined = new Promise((done) => consumer.on(consumer.events.GROUP_JOIN, done));
    await consumer.connect();
    await consumer.subscribe({ topics: [topic] });
    await consumer.run({ autoCommit: false, eachMessage: async () => {} });
    await joined;
    expect(await kindOf(cluster, served)).toMatchObject({ members: 1, protocolType: "consumer" });
    await consumer.disconnect();

    await commitOffsets(cluster, new Map([simple, served].map((group) => [group, at([`${topic}-0`, 2])])));

    // A group that has had members is told apart from one that never had, also after a rollback.
    const empty = { type: classic(), state: "Empty", members: 0 };
    expect(await kindOf(cluster, simple)).toEqual({ ...empty, protocolType: "" });
    expect(await kindOf(cluster, served)).toEqual({ ...empty, protocolType: "consumer" });
    const state = await capture(cluster, select(`${run}.*`));
    const snapshot = snapshotOf(state.commits, { cluster: state.cluster, observed: state.observed });
    const part = restrict(snapshot, {});
    const live = await observe(cluster, part.commits);
    const { warnings } = planRollback(snapshot, part, live, { exact: false, outOfRange: "refuse", skipBlocked: false });
    expect(warnings).toEqual([expect.stringContaining(`"${simple}" has never had members`)]);
  });
});

describe("the groups of Kafka Connect", () => {
  it("are captured: that of the workers, which commits nothing, with its members", async () => {
    const cluster = await connect();
    const group = unique("connect-cluster");
    forget([group]);
    const node = await coordinatorOf(cluster, group);
    const join = async () => (await cluster.send(node, joinGroup, { group, instance: "worker" })).code;
    await expect.poll(join, { timeout: 20_000 }).toBe(0);

    const held = await capture(cluster, select(group));
    expect(await cluster.send(node, leaveGroup, { group, instance: "worker" })).toBe(0);
    const left = await capture(cluster, select(group));

    expect(held.observed.groups.get(group)).toMatchObject({ type: classic(), members: 1, protocolType: "connect" });
    expect(left.observed.groups.get(group)).toMatchObject({ state: "Empty", members: 0, protocolType: "connect" });
    for (const state of [held, left]) {
      expect(state.commits).toEqual(new Map([[group, new Map()]]));
      expect([...state.errors, ...state.warnings]).toEqual([]);
    }
  });
});

describe("the time that a group's commits are told for", () => {
  it("is one before which nothing was committed that is not there", async () => {
    const cluster = await connect();
    const writer = await connect();
    const topic = await topicOf(1, 1);
    const group = unique("as-of");
    await groupsWith(writer, new Map([[group, at([`${topic}-0`, 0])]]));
    const accepted: number[] = [];
    let going = true;
    const writing = (async () => {
      for (let offset = 1; going; offset++) {
        const outcomes = await commitOffsets(writer, new Map([[group, at([`${topic}-0`, offset])]]));
        expect(outcomes.get(group)?.get(`${topic}-0`)).toEqual({ kind: "accepted" });
        accepted[offset] = Date.now();
      }
    })();
    const captures = [];
    for (let i = 0; i < 10; i++) {
      const began = Date.now();
      captures.push({ began, state: await capture(cluster, select(group)), ended: Date.now() });
    }
    going = false;
    await writing;

    for (const { began, state, ended } of captures) {
      const asOf = state.observed.groups.get(group)?.asOf ?? "";
      expect(asOf).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      const time = Date.parse(asOf);
      expect(time).toBeGreaterThanOrEqual(began);
      expect(time).toBeLessThanOrEqual(ended);
      const offset = Number(state.commits.get(group)?.get(`${topic}-0`)?.offset);
      const before = accepted.filter((at) => at < time).length; // offset 0 was there before
      expect(offset).toBeGreaterThanOrEqual(before);
      const next = accepted[offset - 1] ?? 0;
      expect(next).toBeLessThanOrEqual(ended);
    }
    expect(accepted.length).toBeGreaterThan(10);
  });
});
