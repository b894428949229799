import { randomUUID } from "node:crypto";
import { describe, expect, test, vi } from "vitest";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();

async function scheduledSnapshots(): Promise<{ snapshot_id: string; description: string }[]> {
  const { snapshots } = await stack.call("list", { limit: 1000 });
  return snapshots.filter(({ trigger }: { trigger: string }) => trigger === "schedule");
}

/** What a function writes to its log as metrics when it is invoked, without what CloudWatch reads of each line. */
async function metricsOf(verb: string, request: unknown): Promise<object[]> {
  const lines = (await stack.logOf(verb, request)).split("\n").filter((line) => line.includes('"_aws"'));
  return lines.map((line) => {
    const { _aws, ...values } = JSON.parse(line.slice(line.indexOf("{")));
    expect(_aws.CloudWatchMetrics[0].Namespace).toBe("OffsetRollback");
    return values;
  });
}

describe("a schedule", () => {
  const fires = stack.cloud.flavour === "ministack";
  test.runIf(fires)("takes snapshots at its times", async () => {
    await vi.waitFor(
      async () => expect((await scheduledSnapshots()).map(({ description }) => description)).toContain("e2e"),
      {
        timeout: 110_000,
        interval: 2_000,
      },
    );
  });

  test("that delivers a run twice takes one snapshot, though each attempt has an execution id of its own", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [1n]));
    const description = `delivered twice ${group}`;
    const schedule = { name: `twice-${group}`, execution_id: randomUUID(), scheduled_time: "2026-01-01T00:00:00Z" };
    const request = { groups: [group], description, schedule };
    const first = await stack.call("snapshot", request);
    const again = { ...request, schedule: { ...schedule, execution_id: randomUUID() } };
    expect(await stack.call("snapshot", again)).toEqual({ ...first, repeated: true });
    const others = {
      groups: { groups: ["*"] },
      exclude: { exclude: ["tmp-*"] },
      description: { description: "another" },
    };
    for (const [fields, more] of Object.entries(others)) {
      expect(await stack.failure("snapshot", { ...request, ...more })).toMatchObject({
        name: "InvalidRequest",
        message: expect.stringMatching(
          `schedule: the run of "${schedule.name}" at "2026-01-01T00:00:00Z" already has ${first.snapshot_id}, whose request differs in: ${fields}\\. Nothing was changed\\.`,
        ),
      });
    }
    const taken = (await scheduledSnapshots()).filter((entry) => entry.description === description);
    expect(taken.map(({ snapshot_id }) => snapshot_id)).toEqual([first.snapshot_id]);
  });

  test("whose placeholders were not filled in takes a snapshot each time, with a warning", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [1n]));
    const schedule = {
      name: "e2e",
      execution_id: "<aws.scheduler.execution-id>",
      scheduled_time: "<aws.scheduler.scheduled-time>",
    };
    const first = await stack.call("snapshot", { groups: [group], schedule });
    const second = await stack.call("snapshot", { groups: [group], schedule });
    expect(second.snapshot_id).not.toBe(first.snapshot_id);
    expect(first.warnings).toEqual([expect.stringContaining("no scheduled time")]);
  });

  test("says which saved offsets the log has lost or will lose, in its snapshot, its document and the list", async () => {
    const [topic, group, behind] = [await stack.topic(1), uniqueGroup(), uniqueGroup()];
    await stack.commit(new Map([...commitsOn(group, topic, [3n]), ...commitsOn(behind, topic, [12n])]));
    const name = `hourly-${group}`;
    const take = (scheduled_time: string) => {
      const schedule = { name, execution_id: randomUUID(), scheduled_time };
      return stack.call("snapshot", { groups: [group, behind], schedule });
    };
    const first = await take("2026-01-01T00:00:00Z");
    expect(first).toMatchObject({ at_risk: { partitions: 0, groups: 0, unknown: 2 }, warnings: [] });
    const admin = stack.kafkaJs.admin();
    await admin.connect();
    await admin.fetchTopicOffsets(topic); // this loads the leaders, which deleteTopicRecords needs
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "10" }] });
    await admin.disconnect();

    const second = await take("2026-01-01T01:00:00Z");

    const at_risk = { partitions: 2, groups: 2, unknown: 0 };
    expect(second).toMatchObject({
      at_risk,
      warnings: [
        expect.stringMatching(`^1 saved offset is below the log start \\("${group}" ${topic}-0: 3, log start 10\\)`),
        expect.stringMatching(
          `^1 saved offset will be below the log start within 24 hours.*"${behind}" ${topic}-0: 12`,
        ),
      ],
    });
    expect(await stack.call("show", { snapshot_id: second.snapshot_id })).toMatchObject({ at_risk });
    const { snapshots } = await stack.call("list", { schedule: name, status: "complete" });
    expect(snapshots.map(({ snapshot_id, at_risk }) => [snapshot_id, at_risk])).toEqual([
      [second.snapshot_id, at_risk],
      [first.snapshot_id, first.at_risk],
    ]);
    const blocked = await stack.call("rollback", { snapshot_id: second.snapshot_id, dry_run: true });
    expect(blocked.blockers.map(({ kind }) => kind)).toEqual(["below_log_start"]);

    const service = stack.outputs.functions.rollback;
    expect(await metricsOf("list", { schedule: name, status: "complete" })).toEqual([
      { service, schedule: name, SnapshotAge: expect.any(Number) },
    ]);
    expect(await metricsOf("rollback", { snapshot_id: second.snapshot_id })).toEqual([
      { service, outcome: "refused", Rollbacks: 1 },
      { service, UnsuccessfulRollbacks: 1 },
      { service, error: "RollbackBlocked", Errors: 1 },
    ]);
  });
});
