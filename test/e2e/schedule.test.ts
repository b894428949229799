import { randomUUID } from "node:crypto";
import { describe, expect, test, vi } from "vitest";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();

async function scheduledSnapshots(): Promise<{ snapshot_id: string; description: string }[]> {
  const { snapshots } = await stack.call("list", { limit: 1000 });
  return snapshots.filter(({ trigger }: { trigger: string }) => trigger === "schedule");
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

  test("that delivers an execution twice takes one snapshot", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [1n]));
    const description = `delivered twice ${group}`;
    const schedule = { name: "e2e", execution_id: randomUUID(), scheduled_time: "2026-01-01T00:00:00Z" };
    const request = { groups: [group], description, schedule };
    const first = await stack.call("snapshot", request);
    const second = await stack.call("snapshot", request);
    expect(second).toEqual({ ...first, repeated: true });
    const others = {
      groups: { groups: ["*"] },
      exclude: { exclude: ["tmp-*"] },
      description: { description: "another" },
      "schedule.name, schedule.scheduled_time": {
        schedule: { ...schedule, name: "other", scheduled_time: "2026-01-01T01:00:00Z" },
      },
    };
    for (const [fields, more] of Object.entries(others)) {
      expect(await stack.failure("snapshot", { ...request, ...more })).toMatchObject({
        name: "InvalidRequest",
        message: expect.stringMatching(
          `schedule.execution_id: execution "${schedule.execution_id}" already has ${first.snapshot_id}, whose request differs in: ${fields}\\. Nothing was changed\\.`,
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
    expect(first.warnings).toEqual([expect.stringContaining("execution id")]);
  });
});
