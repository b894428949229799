import { describe, expect, test } from "vitest";
import { joinedConsumer } from "../support/members.ts";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();

async function savedGroup(offsets: readonly bigint[]) {
  const [topic, group] = [await stack.topic(offsets.length), uniqueGroup()];
  await stack.commit(commitsOn(group, topic, offsets));
  const taken = await stack.call("snapshot", { groups: [group] });
  return { topic, group, saved: String(taken.snapshot_id) };
}

/** The kinds of blockers of a dry run. Requires that an execution is then refused and changes nothing. */
async function refused(group: string, saved: string) {
  const before = await stack.committed(group);
  const plan = await stack.call("rollback", { snapshot_id: saved, dry_run: true });
  const error = await stack.failure("rollback", { snapshot_id: saved });
  expect(await stack.committed(group)).toEqual(before);
  const kinds = plan.blockers.map(({ kind }: { kind: string }) => kind);
  return { kinds: [...new Set<string>(kinds)], error };
}

describe("a rollback is refused, and changes nothing,", () => {
  test("if the group has members, with their number", async () => {
    const { topic, group, saved } = await savedGroup([5n, 5n]);
    const consumer = await joinedConsumer(stack.kafkaJs, group, [topic]);
    try {
      const { kinds, error } = await refused(group, saved);
      expect(kinds).toEqual(["group_not_empty"]);
      expect(error.name).toBe("GroupNotEmpty");
      expect(error.message).toContain(`Group "${group}" has 1 member (classic group, state Stable)`);
    } finally {
      await consumer.disconnect();
    }
    expect(await stack.call("rollback", { snapshot_id: saved })).toMatchObject({ status: "success" });
  });

  test("if the records at the offset were deleted", async () => {
    const { topic, group, saved } = await savedGroup([5n, 5n]);
    const admin = stack.kafkaJs.admin();
    await admin.connect();
    await admin.fetchTopicOffsets(topic); // this loads the leaders, which deleteTopicRecords needs
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "9" }] });
    await admin.disconnect();
    const { kinds, error } = await refused(group, saved);
    expect(kinds).toEqual(["below_log_start"]);
    expect(error).toMatchObject({
      name: "RollbackBlocked",
      message: expect.stringContaining("below the log start offset 9:"),
    });
  });

  test("if the offset is above the log end", async () => {
    const { group, saved } = await savedGroup([500n]);
    expect((await refused(group, saved)).kinds).toEqual(["above_log_end"]);
  });

  test("if the topic was deleted, and if it was created again", async () => {
    const [topic, kept, group] = [await stack.topic(1), await stack.topic(1), uniqueGroup()];
    await stack.commit(
      new Map([
        [
          group,
          new Map([
            [`${topic}-0`, { offset: 5n, metadata: "" }],
            [`${kept}-0`, { offset: 5n, metadata: "" }],
          ]),
        ],
      ]),
    );
    const { snapshot_id: saved } = await stack.call("snapshot", { groups: [group] });
    const admin = stack.kafkaJs.admin();
    await admin.connect();
    await admin.deleteTopics({ topics: [topic] });
    expect((await refused(group, saved)).kinds).toEqual(["topic_missing"]);
    await admin.disconnect();
    await stack.topic(1, 20, topic);
    expect((await refused(group, saved)).kinds).toContain("topic_recreated");
    expect(await stack.call("rollback", { snapshot_id: saved, topics: [kept] })).toMatchObject({ status: "success" });
  });
});
