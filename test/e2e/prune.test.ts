import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();

/** The schedule of the deployed stack that has rules: `keep_last` 1. */
const name = "e2e-pruned";

test("prune deletes by the rules of the deployment what its dry run has named, and list says why the others stay", async () => {
  const [topic, group] = [await stack.topic(1), uniqueGroup()];
  await stack.commit(commitsOn(group, topic, [1n]));
  const take = async (hour: number) => {
    const scheduled_time = `2026-01-01T0${hour}:00:00Z`;
    const schedule = { name, execution_id: randomUUID(), scheduled_time };
    return (await stack.call("snapshot", { groups: [group], schedule })).snapshot_id;
  };
  const [first, second, third] = [await take(1), await take(2), await take(3)];
  const because = [
    `newest complete snapshot of schedule ${name}`,
    `newest complete snapshot with offsets of schedule ${name}`,
    "one of the last 1",
  ];
  const ids = async () =>
    (await stack.call("list", { schedule: name })).snapshots.map(
      ({ snapshot_id }: { snapshot_id: string }) => snapshot_id,
    );

  const looked = await stack.call("prune", { dry_run: true });
  expect(looked).toMatchObject({ deleted: [second, first], failed: [], remaining: 0, dry_run: true });
  expect(looked.kept).toContainEqual({ snapshot_id: third, because });
  expect(await ids()).toEqual([third, second, first]);

  expect(await stack.call("prune", {})).toMatchObject({ deleted: [second, first], failed: [], dry_run: false });
  expect((await stack.call("list", { schedule: name })).snapshots).toEqual([
    expect.objectContaining({ snapshot_id: third, kept_by: because }),
  ]);
  expect(await stack.call("prune", {})).toMatchObject({ deleted: [] });
});
