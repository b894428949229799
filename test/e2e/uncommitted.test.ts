import { expect, onTestFinished, test } from "vitest";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();
const from = (name: string, first: number, end: number) =>
  Array.from({ length: end - first }, (_, i) => `${name}${first + i}`);

/** Appends records to partition 1. */
async function append(topic: string, values: readonly string[]): Promise<void> {
  const producer = stack.kafkaJs.producer({ idempotent: true });
  await producer.connect();
  try {
    await producer.send({ topic, messages: values.map((value) => ({ value, partition: 1 })) });
  } finally {
    await producer.disconnect();
  }
}

/** Starts Kafka's own consumer, which commits nothing; returns what it has read so far. */
function consume(topic: string, group: string, reset: string): () => string[] {
  const properties = [`auto.offset.reset=${reset}`, "enable.auto.commit=false"];
  const consumer = stack.kafka.startTool("org.apache.kafka.tools.consumer.ConsoleConsumer", [
    ...["--topic", topic, "--group", group],
    ...properties.flatMap((property) => ["--command-property", property]),
  ]);
  onTestFinished(() => consumer.kill());
  return () => consumer.stdout().split("\n").filter(Boolean);
}

const policies = ["keep", "delete", "log_start", "snapshot_end"] as const;
const resets = ["earliest", "latest"] as const;
const [before, after] = [from("before", 0, 10), from("after", 0, 5)];

/** A topic and groups that have committed nothing on its partition 1 in a snapshot, and 13 of 15 records afterwards. */
async function scenario(groups: readonly string[]) {
  const topic = await stack.topic(2, 0);
  await append(topic, before);
  const commit = (...offsets: readonly bigint[]) =>
    stack.commit(new Map(groups.flatMap((group) => [...commitsOn(group, topic, offsets)])));
  await commit(0n);
  const { snapshot_id } = await stack.call("snapshot", { groups: groups.map((name) => ({ name })) });
  await append(topic, after);
  await commit(0n, 13n);
  return { topic, snapshot_id: String(snapshot_id) };
}

test("a plan says what each choice replays or skips, and the default keeps the commit with a warning", async () => {
  const group = uniqueGroup("lacking");
  const { topic, snapshot_id } = await scenario([group]);
  const plan = await stack.call("rollback", { snapshot_id, groups: [group], dry_run: true });
  const uncommitted = {
    acknowledged: 3,
    delete: { replayed: 13, skipped: 2 },
    log_start: { to: 0, replayed: 13 },
    snapshot_end: { to: 10, replayed: 3 },
  };
  expect(plan.extra).toEqual([expect.objectContaining({ group, topic, partition: 1, uncommitted })]);
  expect(plan.warnings.join()).toMatch(
    /keeps 1 commit .*not replayed: at most 3 records\. .*"log_start" replays at most 13 records; /,
  );
  const exact = await stack.call("rollback", { snapshot_id, groups: [group], dry_run: true, exact: true });
  expect(exact.groups[group]).toMatchObject({
    replayed: 13,
    skipped: 2,
    partitions: { [`${topic}-1`]: { action: "delete", uncommitted } },
  });
  const same = await stack.call("rollback", { snapshot_id, groups: [group], dry_run: true, uncommitted: "delete" });
  expect(same.plan_digest).toBe(exact.plan_digest);
});

test("consumers of both reset policies read what the plan says, for each choice", async () => {
  const cases = policies.flatMap((policy) => resets.map((reset) => ({ policy, reset, group: uniqueGroup(policy) })));
  const { topic, snapshot_id } = await scenario(cases.map(({ group }) => group));
  for (const policy of policies) {
    const groups = cases.filter((one) => one.policy === policy).map(({ group }) => group);
    const result = await stack.call("rollback", { snapshot_id, groups, uncommitted: policy });
    expect(result.status).toBe("success");
    for (const group of groups) {
      const offsets = { keep: 13n, delete: undefined, log_start: 0n, snapshot_end: 10n };
      expect((await stack.committed(group))[`${topic}-1`] ?? undefined).toBe(offsets[policy]);
    }
  }
  let markers = 0;
  const read = new Map(cases.map((one) => [one, consume(topic, one.group, one.reset)]));
  const isMarker = (value: string) => value.startsWith("marker");
  // A consumer that starts at the log end sees only the markers that are appended after it has looked where that is.
  const allSee = async () => {
    await append(topic, [`marker${markers++}`]);
    return [...read.values()].every((values) => values().some(isMarker));
  };
  await expect.poll(allSee, { timeout: 90_000, interval: 500 }).toBe(true);
  const expected = {
    keep: { earliest: after.slice(3), latest: after.slice(3) },
    delete: { earliest: [...before, ...after], latest: [] },
    log_start: { earliest: [...before, ...after], latest: [...before, ...after] },
    snapshot_end: { earliest: after, latest: after },
  };
  for (const [{ policy, reset }, values] of read) {
    const records = values().filter((value) => !isMarker(value));
    expect(records, `${policy}, auto.offset.reset=${reset}`).toEqual(expected[policy][reset]);
  }
});

test("one partition that only the group has now is named in topics, and nothing else is touched", async () => {
  const group = uniqueGroup("named");
  const { topic, snapshot_id } = await scenario([group]);
  await stack.commit(commitsOn(group, topic, [7n, 13n]));
  const topics = [`${topic}:1`];

  const kept = await stack.failure("rollback", { snapshot_id, topics });
  const verified = await stack.call("verify", { snapshot_id, topics });
  const done = await stack.call("rollback", { snapshot_id, topics, uncommitted: "snapshot_end" });

  const moved = await stack.committed(group);
  // Once the commit is gone, a repetition of the request still is the rollback that deleted it.
  const request = { snapshot_id, topics, uncommitted: "delete", wait_for_empty_seconds: 2 };
  const deleted = await stack.call("rollback", request);
  const repeated = await stack.call("rollback", request);

  expect(kept).toMatchObject({ name: "InvalidRequest" });
  expect(kept.message).toContain(`no selected group has a commit on "${topic}:1"`);
  expect(verified).toMatchObject({ checked: 1, mismatches: [{ kind: "extra", partition: 1 }] });
  expect(done).toMatchObject({ status: "success", offsets_restored: 1 });
  expect(moved).toEqual({ [`${topic}-0`]: 7n, [`${topic}-1`]: 10n });
  expect(deleted).toMatchObject({ status: "success", offsets_deleted: 1 });
  expect(repeated).toMatchObject({ rollback_id: deleted.rollback_id, repeated: true });
  expect(await stack.committed(group)).toEqual({ [`${topic}-0`]: 7n });
});

test("the safety snapshot undoes what a choice has moved", async () => {
  const group = uniqueGroup("undo");
  const { topic, snapshot_id } = await scenario([group]);
  const done = await stack.call("rollback", { snapshot_id, groups: [group], uncommitted: "snapshot_end" });
  expect(done).toMatchObject({ status: "success", offsets_restored: 1 });
  expect(await stack.committed(group)).toEqual({ [`${topic}-0`]: 0n, [`${topic}-1`]: 10n });
  await stack.call("rollback", { snapshot_id: String(done.safety_snapshot_id), uncommitted: "delete" });
  expect(await stack.committed(group)).toEqual({ [`${topic}-0`]: 0n, [`${topic}-1`]: 13n });
});

test("a choice that disagrees with exact is InvalidRequest", async () => {
  const request = { snapshot_id: "snapshot-2025-01-15T10:30:00Z", exact: true, uncommitted: "keep" };
  expect(await stack.failure("rollback", request)).toMatchObject({ name: "InvalidRequest" });
});
