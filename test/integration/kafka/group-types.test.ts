import { describe, expect, it } from "vitest";
import { restrict } from "../../../functions/shared/core/restrict.ts";
import { planRollback } from "../../../functions/shared/core/rollback/planning.ts";
import type { Cluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { capture, observe } from "../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { joinedConsumer } from "../../support/members.ts";
import { snapshotOf } from "../../support/states.ts";
import { at, classic, connect, groupsWith, independentClient, select, topicOf, unique } from "./support.ts";

/** A group as `observed` has it, without the time. */
const kindOf = async (cluster: Cluster, group: string) => {
  const { type, state, members, protocolType } =
    (await capture(cluster, select(group))).observed.groups.get(group) ?? {};
  return { type, state, members, protocolType };
};

describe("simple groups", () => {
  it("are distinguished from groups that have had members, and named in a warning of a plan", async () => {
    const cluster = await connect();
    const topic = await topicOf(1, 5);
    const run = unique("simple");
    const [simple, served] = [`${run}.simple`, `${run}.served`];
    await groupsWith(cluster, new Map([simple, served].map((group) => [group, at([`${topic}-0`, 1])])));
    const consumer = await joinedConsumer(independentClient(), served, [topic]);
    expect(await kindOf(cluster, served)).toMatchObject({ members: 1, protocolType: "consumer" });
    await consumer.disconnect();

    await commitOffsets(cluster, new Map([simple, served].map((group) => [group, at([`${topic}-0`, 2])])));

    // The distinction remains after a rollback.
    const empty = { type: classic(), state: "Empty", members: 0 };
    expect(await kindOf(cluster, simple)).toEqual({ ...empty, protocolType: "" });
    expect(await kindOf(cluster, served)).toEqual({ ...empty, protocolType: "consumer" });
    const state = await capture(cluster, select(`${run}.*`));
    const snapshot = snapshotOf(state.commits, { cluster: state.cluster, observed: state.observed });
    const part = restrict(snapshot, {});
    const live = await observe(cluster, part.commits);
    const { warnings } = planRollback(snapshot, part, live, {
      uncommitted: "keep",
      outOfRange: "refuse",
      skipBlocked: false,
    });
    expect(warnings).toEqual([expect.stringContaining(`"${simple}" has never had members`)]);
  });
});

describe("the time stamp of a group's commits", () => {
  it("is earlier than every commit that they lack", async () => {
    const cluster = await connect();
    const writer = await connect();
    const topic = await topicOf(1, 1);
    const group = unique("as-of");
    await groupsWith(writer, new Map([[group, at([`${topic}-0`, 0])]]));
    const accepted: number[] = [];
    let running = true;
    const writing = (async () => {
      for (let offset = 1; running; offset++) {
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
    running = false;
    await writing;

    for (const { began, state, ended } of captures) {
      const asOf = state.observed.groups.get(group)?.asOf ?? "";
      expect(asOf).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      const time = Date.parse(asOf);
      expect(time).toBeGreaterThanOrEqual(began);
      expect(time).toBeLessThanOrEqual(ended);
      const offset = Number(state.commits.get(group)?.get(`${topic}-0`)?.offset);
      const before = accepted.filter((at) => at < time).length; // offset 0 was committed earlier
      expect(offset).toBeGreaterThanOrEqual(before);
      const next = accepted[offset - 1] ?? 0;
      expect(next).toBeLessThanOrEqual(ended);
    }
    expect(accepted.length).toBeGreaterThan(10);
  });
});
