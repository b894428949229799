import { describe, expect, test } from "vitest";
import type { Commits } from "../../functions/shared/core/model.ts";
import { joinedConsumer } from "../support/members.ts";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();

const at = (topic: string, ...offsets: readonly (bigint | null)[]) =>
  Object.fromEntries(
    offsets.flatMap((offset, partition) => (offset === null ? [] : [[`${topic}-${partition}`, offset]])),
  );
/** The offsets that kafka-consumer-groups prints, without partitions that have no commit. */
const standing = async (group: string) =>
  Object.fromEntries(Object.entries(await stack.committed(group)).filter(([, offset]) => offset !== null));
const snapshotOf = async (...groups: string[]) =>
  String((await stack.call("snapshot", { groups: groups.map((name) => ({ name })) })).snapshot_id);
/** Creates a topic with 20 records per partition, a group with offset 5 on two partitions, and a snapshot of the group. */
async function saved(group = uniqueGroup()) {
  const topic = await stack.topic(3);
  await stack.commit(commitsOn(group, topic, [5n, 5n]));
  return { topic, group, id: await snapshotOf(group) };
}
const safetyOf = (result: unknown) => String(Object(result).safety_snapshot_id);

describe("an exact rollback", () => {
  test("deletes the commits that the snapshot lacks, and an undo restores them", async () => {
    const { topic, group, id } = await saved();
    await stack.commit(commitsOn(group, topic, [9n, 5n, 7n]));
    const kept = await stack.call("rollback", { snapshot_id: id, dry_run: true });
    expect(kept.extra).toMatchObject([{ group, topic, partition: 2, commit: { offset: 7 } }]);
    expect(kept.warnings.join()).toContain('values of uncommitted: "snapshot_end" replays');

    const plan = await stack.call("plan", { snapshot_id: id, exact: true });
    expect(plan).toEqual(await stack.call("rollback", { snapshot_id: id, exact: true, dry_run: true }));
    expect(plan).toMatchObject({ blockers: [], extra: [] });
    expect(plan.groups[group]).toMatchObject({
      replayed: 11,
      skipped: 13,
      partitions: { [`${topic}-2`]: { action: "delete", from: { offset: 7 }, to: null, replayed: 7, skipped: 13 } },
    });
    const result = await stack.call("rollback", { snapshot_id: id, exact: true, plan_digest: plan.plan_digest });
    expect(result).toMatchObject({
      status: "success",
      offsets_restored: 1,
      offsets_deleted: 1,
      verification: { verified: true, checked: 3 },
      groups: { [group]: { partitions: { [`${topic}-2`]: { outcome: "deleted", to: null } } } },
    });
    expect(await standing(group)).toEqual(at(topic, 5n, 5n));
    expect(await stack.call("verify", { snapshot_id: id })).toMatchObject({ verified: true });

    const undone = await stack.call("rollback", { snapshot_id: safetyOf(result), exact: true });
    expect(undone).toMatchObject({ status: "success", offsets_restored: 2 });
    expect(await standing(group)).toEqual(at(topic, 9n, 5n, 7n));
  });

  test("undoes a rollback that created a group and commits", async () => {
    const { topic, group, id } = await saved();
    const other = uniqueGroup("replay");
    const rehearsal = await stack.call("rollback", { snapshot_id: id, group_map: { [group]: other } });
    expect(rehearsal).toMatchObject({ status: "success", groups: { [other]: { source: group } } });
    expect(await standing(other)).toEqual(at(topic, 5n, 5n));
    expect(await standing(group)).toEqual(at(topic, 5n, 5n));
    const undone = await stack.call("rollback", { snapshot_id: safetyOf(rehearsal), exact: true });
    expect(undone).toMatchObject({ status: "success", offsets_deleted: 2, offsets_restored: 0 });
    const left = await stack.call("rollback", { snapshot_id: id, group_map: { [group]: other }, dry_run: true });
    expect(left).toMatchObject({ groups: { [other]: { partitions: { [`${topic}-0`]: { from: null } } } } });
  });

  test("does not change commits on topics that the request does not name", async () => {
    const { topic, group, id } = await saved();
    const elsewhere = await stack.topic(1);
    await stack.commit(
      new Map([
        [
          group,
          new Map([
            ...(commitsOn(group, topic, [9n, 9n, 9n]).get(group) ?? []),
            [`${elsewhere}-0`, { offset: 3n, metadata: "" }],
          ]),
        ],
      ]),
    );
    expect(await stack.call("rollback", { snapshot_id: id, topics: [topic], exact: true })).toMatchObject({
      status: "success",
      offsets_deleted: 1,
    });
    expect(await standing(group)).toEqual({ ...at(topic, 5n, 5n), [`${elsewhere}-0`]: 3n });
  });
});

test("groups without commits to restore may have members, and an undo does not change them", async () => {
  const [orders, pay] = [await stack.topic(1), await stack.topic(1)];
  const [group, running] = [uniqueGroup(), uniqueGroup("running")];
  await stack.commit(new Map([...commitsOn(group, orders, [5n]), ...commitsOn(running, pay, [4n])]));
  const { snapshot_id } = await stack.call("snapshot", { groups: [group, running] });
  await stack.commit(commitsOn(group, orders, [9n]));
  const consumer = await joinedConsumer(stack.kafkaJs, running, [pay]);

  const { plan_digest } = await stack.call("rollback", { snapshot_id, topics: [orders], dry_run: true });
  await consumer.commitOffsets([{ topic: pay, partition: 0, offset: "7" }]);
  const done = await stack.call("rollback", { snapshot_id, topics: [orders], plan_digest });
  const safety = await stack.call("show", { snapshot_id: safetyOf(done) });
  const back = await standing(group);
  const undone = await stack.call("rollback", { snapshot_id: safetyOf(done), exact: true });

  expect(done).toMatchObject({ status: "success", offsets_restored: 1 });
  expect(back).toEqual(at(orders, 5n));
  expect(Object.keys(Object(safety).consumer_groups)).toEqual([group]);
  expect(undone).toMatchObject({ status: "success", offsets_restored: 1 });
  expect([await standing(group), await standing(running)]).toEqual([at(orders, 9n), at(pay, 7n)]);
});

test("a snapshot says which of its named groups have no commit, or that none has", async () => {
  const [topic, pay] = [await stack.topic(1), await stack.topic(1)];
  const [group, running] = [uniqueGroup(), uniqueGroup("running")];
  await stack.commit(commitsOn(group, topic, [5n]));
  await joinedConsumer(stack.kafkaJs, running, [pay]);

  const both = await stack.call("snapshot", { groups: [group, running] });
  const none = await stack.call("snapshot", { groups: [running] });
  const byPattern = await stack.call("snapshot", { groups: [`${group}*`, `${running}*`] });

  expect(both).toMatchObject({ groups: 2, offsets: 1 });
  expect(both.warnings).toEqual([`No commit: "${running}". A rollback to this snapshot restores no offsets there.`]);
  expect(none.warnings).toEqual([
    `"${running}" has no commit: the snapshot has no offsets, and a rollback to it restores none.`,
  ]);
  expect(byPattern.warnings).toEqual([]);
});

test("single partitions can be rolled back, compared and shown, and the others stay", async () => {
  const { topic, group, id } = await saved();
  const other = uniqueGroup("other");
  await stack.commit(commitsOn(other, topic, [4n, 4n, 4n]));
  const { snapshot_id } = await stack.call("snapshot", { groups: [group, other] });
  await stack.commit(new Map([...commitsOn(group, topic, [9n, 9n, 9n]), ...commitsOn(other, topic, [8n, 8n, 8n])]));
  const topics = [`${topic}:1,2`];

  const shown = Object(
    (await stack.http("GET", `/snapshots/${encodeURIComponent(id)}?topics=${encodeURIComponent(`${topic}:1`)}`)).body,
  );
  const differences = await stack.call("diff", { from: snapshot_id, topics });
  const before = await stack.call("verify", { snapshot_id, topics });
  const result = await stack.call("rollback", { snapshot_id, topics, exact: true });
  const after = await stack.call("verify", { snapshot_id, topics });

  expect(Object.keys(shown.consumer_groups[group].partitions)).toEqual([`${topic}-1`]);
  expect(differences.summary).toMatchObject({ advanced: 3, added: 1, unchanged: 0 });
  expect(before).toMatchObject({ verified: false, checked: 4 });
  expect(result).toMatchObject({ status: "success", offsets_restored: 3, offsets_deleted: 1 });
  expect(after).toMatchObject({ verified: true });
  expect(await standing(group)).toEqual(at(topic, 9n, 5n));
  expect(await standing(other)).toEqual(at(topic, 8n, 4n, 4n));
  expect(await stack.failure("rollback", { snapshot_id: id, topics: [`${topic}:1,2,7`] })).toMatchObject({
    name: "InvalidRequest",
    message: expect.stringContaining(`"${topic}:2", "${topic}:7"; there are commits on "${topic}:0,1".`),
  });
});

test("a summary of many groups has totals and what was left out, and is the same rollback as its full form", async () => {
  const [topic, prefix] = [await stack.topic(4), uniqueGroup("many")];
  const groups = Array.from({ length: 80 }, (_, i) => `${prefix}-${i}`);
  const standingAt = (offset: bigint) =>
    new Map(groups.flatMap((group) => [...commitsOn(group, topic, [offset, offset, offset, offset])]));
  await stack.commit(standingAt(5n));
  const { snapshot_id } = await stack.call("snapshot", { groups: [`${prefix}-*`] });
  await stack.commit(standingAt(9n));
  const path = `/snapshots/${encodeURIComponent(snapshot_id)}`;
  const detail = "summary";

  const plan = await stack.call("rollback", { snapshot_id, dry_run: true, detail });
  const diff = await stack.http("GET", `${path}/diff?detail=summary`);
  const verified = await stack.http("POST", `${path}/verify`, { fail_on_mismatch: true, detail });
  const refused = await stack.http("POST", `${path}/rollback`, { plan_digest: "0".repeat(64), detail });
  const request = { snapshot_id, plan_digest: plan.plan_digest };
  const done = await stack.call("rollback", { ...request, detail });
  const again = await stack.call("rollback", request);

  const totals = { groups: 80, partitions: 320, replayed: 1_280, skipped: 0, actions: { rewind: 320 } };
  expect(plan).toMatchObject({ totals, blockers: [], omitted: { groups: 80 } });
  expect(plan).not.toHaveProperty("groups");
  expect(diff).toMatchObject({
    status: 200,
    body: { summary: { advanced: 320 }, omitted: { consumer_groups: 80 } },
  });
  expect(verified).toMatchObject({
    status: 409,
    body: { details: { checked: 320, mismatches: expect.any(Array), omitted: { mismatches: expect.any(Number) } } },
  });
  expect(refused).toMatchObject({ status: 412, body: { details: { totals, omitted: { groups: 80 } } } });
  expect(done).toMatchObject({ status: "success", groups_rolled_back: 80, failed_groups: [], omitted: { groups: 80 } });
  expect(again).toMatchObject({ rollback_id: done.rollback_id, repeated: true });
  expect(Object.keys(again.groups)).toHaveLength(80);
  const whole = await stack.call("rollbacks", { rollback_id: done.rollback_id });
  expect(Object.keys(Object(whole.result).groups)).toHaveLength(80);

  const group_map = { [`${prefix}-1*`]: `v2-${prefix}-1*`, [`${prefix}-1`]: `${prefix}-first` };
  const mapped = await stack.call("rollback", { snapshot_id, group_map });
  expect(mapped).toMatchObject({ status: "success", groups_rolled_back: 11 });
  expect(await standing(`v2-${prefix}-12`)).toEqual(at(topic, 5n, 5n, 5n, 5n));
  expect(await standing(`${prefix}-first`)).toEqual(at(topic, 5n, 5n, 5n, 5n));
});

describe("an offset outside of the log", () => {
  async function outside() {
    const [topic, group] = [await stack.topic(3), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [2n, 15n, 500n]));
    const id = await snapshotOf(group);
    await stack.commit(commitsOn(group, topic, [9n, 9n, 9n]));
    const admin = stack.kafkaJs.admin();
    await admin.connect();
    await admin.fetchTopicOffsets(topic); // kafkajs deletes only where it knows the leaders
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "4" }] });
    await admin.disconnect();
    return { topic, group, id };
  }

  test("blocks, with the figures and the choices", async () => {
    const { group, id } = await outside();
    const { blockers } = await stack.call("rollback", { snapshot_id: id, dry_run: true });
    expect(blockers).toMatchObject([
      {
        kind: "below_log_start",
        group,
        partition: 0,
        expected: 2,
        actual: 4,
        message: expect.stringContaining("clamp"),
      },
      { kind: "above_log_end", group, partition: 2, expected: 500, actual: 20 },
    ]);
    expect(await stack.failure("rollback", { snapshot_id: id })).toMatchObject({ name: "RollbackBlocked" });
  });

  test("is clamped with out_of_range clamp, which the result shows per partition", async () => {
    const { topic, group, id } = await outside();
    const result = await stack.call("rollback", { snapshot_id: id, out_of_range: "clamp" });
    expect(result).toMatchObject({
      status: "success",
      offsets_restored: 3,
      verification: { verified: true },
      groups: {
        [group]: {
          partitions: {
            [`${topic}-0`]: {
              outcome: "restored",
              asked: { offset: 2, leader_epoch: 0 },
              to: { offset: 4, metadata: "" },
            },
            [`${topic}-2`]: { outcome: "restored", asked: { offset: 500 }, to: { offset: 20 } },
          },
        },
      },
    });
    expect(result.groups[group]?.partitions[`${topic}-0`]?.to).not.toHaveProperty("leader_epoch");
    expect(result.groups[group]?.partitions[`${topic}-1`]).not.toHaveProperty("asked");
    expect(result.warnings.join()).toContain("2 becomes 4");
    expect(await standing(group)).toEqual(at(topic, 4n, 15n, 20n));
  });

  test("is skipped with out_of_range skip, which is listed and does not lower the status", async () => {
    const { topic, group, id } = await outside();
    const plan = await stack.call("rollback", { snapshot_id: id, out_of_range: "skip", dry_run: true });
    expect(plan).toMatchObject({ blockers: [], skipped: [{ kind: "below_log_start" }, { kind: "above_log_end" }] });
    expect(await stack.call("rollback", { snapshot_id: id, out_of_range: "skip" })).toMatchObject({
      status: "success",
      offsets_restored: 1,
      groups: { [group]: { partitions: { [`${topic}-0`]: { outcome: "skipped", asked: { offset: 2 } } } } },
    });
    expect(await standing(group)).toEqual(at(topic, 9n, 15n, 9n));
  });
});

describe("blocked groups", () => {
  test("are left out with skip_blocked, unless no group would remain", async () => {
    const [topic, good, bad] = [await stack.topic(1), uniqueGroup("good"), uniqueGroup("bad")];
    await stack.commit(new Map([...commitsOn(good, topic, [5n]), ...commitsOn(bad, topic, [500n])]));
    const id = await snapshotOf(good, bad);
    await stack.commit(new Map([...commitsOn(good, topic, [9n]), ...commitsOn(bad, topic, [9n])]));
    expect(await stack.call("rollback", { snapshot_id: id, skip_blocked: true })).toMatchObject({
      status: "success",
      groups_rolled_back: 1,
      groups_failed: 0,
      groups_skipped: 1,
      groups: { [bad]: { status: "skipped", error: expect.stringContaining("above_log_end") } },
    });
    expect(await standing(good)).toEqual(at(topic, 5n));
    expect(await standing(bad)).toEqual(at(topic, 9n));
    expect(await stack.failure("rollback", { snapshot_id: id, groups: [bad], skip_blocked: true })).toMatchObject({
      name: "RollbackBlocked",
    });
  });

  test("are waited for until their members have left", async () => {
    const { topic, group, id } = await saved();
    const consumer = await joinedConsumer(stack.kafkaJs, group, [topic]);
    const impatient = await stack.failure("rollback", { snapshot_id: id, wait_for_empty_seconds: 1 });
    expect(impatient).toMatchObject({ name: "GroupNotEmpty", message: expect.stringMatching(/waited [1-9]\d* s/) });
    const waiting = stack.call("rollback", { snapshot_id: id, wait_for_empty_seconds: 60 });
    await consumer.disconnect();
    expect(await waiting).toMatchObject({ status: "success" });
  });
});

describe("a plan's digest", () => {
  test("makes the rollback fail without a change if the live state has changed", async () => {
    const { topic, group, id } = await saved();
    await stack.commit(commitsOn(group, topic, [9n, 9n]));
    const seen = (await stack.call("rollback", { snapshot_id: id, dry_run: true })).plan_digest;
    await stack.commit(commitsOn(group, topic, [10n, 9n]));
    expect(await stack.failure("rollback", { snapshot_id: id, plan_digest: seen })).toMatchObject({
      name: "PlanChanged",
    });
    expect(await standing(group)).toEqual(at(topic, 10n, 9n));
    const refused = await stack.http("POST", `/snapshots/${id}/rollback`, { plan_digest: seen });
    expect(refused).toMatchObject({ status: 412, body: { error: "PlanChanged", details: { blockers: [] } } });
    const now = Object(refused.body).details.plan_digest;
    expect(await stack.http("POST", `/snapshots/${id}/rollback`, { plan_digest: now })).toMatchObject({ status: 200 });
    expect(await standing(group)).toEqual(at(topic, 5n, 5n));
  });
});

describe("a repeated rollback request", () => {
  const moved = async (): Promise<{ topic: string; group: string; id: string }> => {
    const target = await saved();
    await stack.commit(commitsOn(target.group, target.topic, [9n, 9n]));
    return target;
  };

  test("returns the first result while the groups are at their targets, and is planned again afterwards", async () => {
    const { topic, group, id } = await moved();
    const request = { snapshot_id: id, groups: [group] };
    const first = await stack.call("rollback", request);
    expect(first).not.toHaveProperty("repeated");
    const second = await stack.call("rollback", { ...request, requested_by: "ben" });
    expect(second).toEqual({ ...first, repeated: true });
    await stack.commit(commitsOn(group, topic, [12n, 9n]));
    const third = await stack.call("rollback", request);
    expect(third).toMatchObject({ status: "success" });
    expect(third).not.toHaveProperty("repeated");
    expect(third.rollback_id).not.toBe(first.rollback_id);
    expect(third.safety_snapshot_id).not.toBe(first.safety_snapshot_id);
  });

  test("with a rollback_id always returns the recorded result, and refuses other parameters", async () => {
    const { topic, group, id } = await moved();
    const request = { snapshot_id: id, groups: [group], rollback_id: uniqueGroup("run") };
    const first = await stack.call("rollback", request);
    expect(first.rollback_id).toBe(request.rollback_id);
    await stack.commit(commitsOn(group, topic, [12n, 9n]));
    expect(await stack.call("rollback", request)).toEqual({ ...first, repeated: true });
    expect(await standing(group)).toEqual(at(topic, 12n, 9n));
    expect(await stack.failure("rollback", { ...request, exact: true })).toMatchObject({ name: "InvalidRequest" });
    expect(await stack.call("rollback", { resume: request.rollback_id })).toMatchObject({ repeated: true });
    expect(await stack.call("rollbacks", { rollback_id: request.rollback_id })).toMatchObject({
      status: "success",
      result: { rollback_id: request.rollback_id, status: "success" },
      request: { snapshot_id: id, groups: [group] },
    });
  });

  test("is RollbackNotFound if there is no rollback to resume", async () => {
    expect(await stack.failure("rollback", { resume: "rollback-that-never-was" })).toMatchObject({
      name: "RollbackNotFound",
    });
  });
});

test("the journal has the caller: the ARN over HTTP, otherwise requested_by", async () => {
  const { topic, group, id } = await saved();
  const commits: Commits = commitsOn(group, topic, [9n, 9n]);
  await stack.commit(commits);
  const direct = await stack.call("rollback", { snapshot_id: id, requested_by: "ana" });
  await stack.commit(commits);
  const over = Object((await stack.http("POST", `/snapshots/${id}/rollback`, { description: "by API" })).body);
  const { rollbacks } = await stack.call("rollbacks", { limit: 1000 });
  const rowOf = (rollbackId: string) =>
    rollbacks.find((row: { rollback_id: string }) => row.rollback_id === rollbackId);
  expect(rowOf(direct.rollback_id)).toMatchObject({
    requested_by: "ana",
    caller: { arn: null, proven: false },
    snapshot_id: id,
    groups: 1,
    status: "success",
  });
  expect(rowOf(over.rollback_id)).toMatchObject({ description: "by API", safety_snapshot_id: over.safety_snapshot_id });
  const { requested_by, caller } = rowOf(over.rollback_id) ?? {};
  // LocalStack checks no signature, and so names nobody.
  const arn = stack.cloud.flavour === "ministack" ? "arn:aws:iam::000000000000:root" : null;
  expect(caller).toEqual({ arn, proven: arn !== null });
  expect(requested_by).toBe(arn);
});
