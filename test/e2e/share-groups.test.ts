import { expect, test } from "vitest";
import { parseTables } from "../../localstack/console.ts";
import { isBefore } from "../../localstack/kafka-tools.ts";
import { openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();
const shareCommand = "org.apache.kafka.tools.consumer.group.ShareGroupCommand";
const inGroup = (group: string) => ["--group", group];

/** Sets the start offsets of a share group to the beginning or the end of a topic, with Kafka's own tool. */
async function resetTo(where: "--to-earliest" | "--to-latest", group: string, topic: string): Promise<void> {
  const args = [...inGroup(group), "--reset-offsets", where, "--topic", topic, "--execute"];
  const { exitCode, stdout, stderr } = await stack.kafka.tool(shareCommand, args);
  if (exitCode !== 0 || /error/i.test(stdout + stderr)) throw new Error(stdout + stderr);
}

/** The start offset of each partition, as Kafka's own tool prints it. */
async function startOffsets(group: string): Promise<Record<string, string>> {
  const { stdout } = await stack.kafka.tool(shareCommand, [...inGroup(group), "--describe", "--offsets"]);
  const rows = parseTables(stdout, ["PARTITION", "START-OFFSET"]).filter((row) => row.group === group);
  return Object.fromEntries(rows.map(({ topic, values: [partition, start = ""] }) => [`${topic}-${partition}`, start]));
}

test.skipIf(isBefore(stack.kafka.version, "4.2"))(
  "a share group's start offsets are captured, compared, restored and verified (Kafka 4.2 or newer)",
  async () => {
    const [topic, group] = [await stack.topic(2, 10), uniqueGroup("share")];
    await makeShareGroup(group, topic);
    await resetTo("--to-earliest", group, topic);
    const taken = await stack.call("snapshot", { groups: [group] });
    expect(taken).toMatchObject({ status: "complete", groups: 1, offsets: 2 });
    await resetTo("--to-latest", group, topic);

    const moved = await stack.call("diff", { from: taken.snapshot_id });
    const rolled = await stack.call("rollback", { snapshot_id: taken.snapshot_id });

    expect(moved.summary).toMatchObject({ advanced: 2, unchanged: 0 });
    expect(rolled).toMatchObject({ status: "success", offsets_restored: 2, groups_failed: 0 });
    const partitions = Object.values(rolled.groups[group]?.partitions ?? {});
    expect(partitions.map(({ outcome }) => outcome)).toEqual(["restored", "restored"]);
    expect(await startOffsets(group)).toEqual({ [`${topic}-0`]: "0", [`${topic}-1`]: "0" });
    expect(await stack.call("rollback", { snapshot_id: taken.snapshot_id })).toMatchObject({
      repeated: true,
      warnings: expect.arrayContaining([expect.stringMatching(/^This call did nothing.*rollback_id of its own/)]),
    });
    expect(await stack.call("verify", { snapshot_id: taken.snapshot_id })).toMatchObject({
      verified: true,
      checked: 2,
    });
  },
);

/** Creates a share group by consuming until no record is delivered any more. */
async function makeShareGroup(group: string, topic: string): Promise<void> {
  const args = [...inGroup(group), "--topic", topic, "--timeout-ms", "5000"];
  const { stderr } = await stack.kafka.tool("org.apache.kafka.tools.consumer.ConsoleShareConsumer", args);
  await expect.poll(() => startOffsets(group), { timeout: 20_000, message: stderr }).not.toEqual({});
}
