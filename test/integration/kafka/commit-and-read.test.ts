import { describe, expect, inject, it, onTestFinished } from "vitest";
import type { Commit } from "../../../functions/shared/core/model.ts";
import { capture, observe, readCommits } from "../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets, deleteOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { isBefore } from "../../../localstack/kafka-tools.ts";
import { joinedConsumer } from "../../support/members.ts";
import {
  at,
  connect,
  describedByKafka,
  forget,
  groupsWith,
  independentClient,
  kafka,
  select,
  since,
  topicOf,
  unique,
} from "./support.ts";

describe("commitOffsets and readCommits", () => {
  it("write and read any commit exactly, as kafka-consumer-groups shows it", async () => {
    const cluster = await connect();
    const topic = await topicOf(4);
    const group = unique("exact");
    const commits = new Map<string, Commit>([
      [`${topic}-0`, { offset: 9007199254740993n, metadata: "", leaderEpoch: 0 }],
      [`${topic}-1`, { offset: 2n ** 63n - 1n, metadata: 'größe 🚀\n"x"' }],
      [`${topic}-2`, { offset: 0n, metadata: "x".repeat(4_000), leaderEpoch: 2 ** 31 - 1 }],
    ]);

    await groupsWith(cluster, new Map([[group, commits]]));

    const keys = [0, 1, 2, 3].map((partition) => `${topic}-${partition}`);
    const { commits: read, errors } = await readCommits(cluster, new Map([[group, keys]]));
    expect(errors).toEqual([]);
    expect(read.get(group)).toEqual(commits);
    expect((await capture(cluster, select(group))).commits.get(group)).toEqual(commits);
    const rows = await describedByKafka(group);
    expect(rows.get(`${group} ${topic} 0`)).toBe("9007199254740993 0");
    expect(rows.get(`${group} ${topic} 1`)).toBe("9223372036854775807 0");
  });

  it("accept any group id", async () => {
    const cluster = await connect();
    const topic = await topicOf(1);
    const run = unique("id");
    const groups = ["42", "__proto__", "constructor", " ", "größe 🚀", "line\nbreak", "a*b?", "x".repeat(2_000)].map(
      (id) => `${id}${run}`,
    );
    const wanted = new Map(groups.map((group, i) => [group, at([`${topic}-0`, i])]));

    await groupsWith(cluster, wanted);

    const selection = { groups: groups.map((name) => ({ name })), exclude: [] };
    const state = await capture(cluster, selection);
    expect(state.errors).toEqual([]);
    expect(state.commits).toEqual(wanted);
    expect([...state.observed.groups.values()].every(({ state, members }) => state === "Empty" && members === 0)).toBe(
      true,
    );
  });

  it("create a group that does not exist", async () => {
    const cluster = await connect();
    const topic = await topicOf(1);
    const group = unique("new");
    const before = await capture(cluster, select(group));
    expect([...before.missing]).toEqual([group]);
    expect(before.commits.has(group)).toBe(false);

    await groupsWith(cluster, new Map([[group, at([`${topic}-0`, 5])]]));

    const after = await capture(cluster, select(group));
    expect(after.commits.get(group)).toEqual(at([`${topic}-0`, 5]));
    expect(after.missing.size).toBe(0);
  });

  it("commit a large group in requests that brokers accept", async () => {
    const cluster = await connect();
    const topic = await topicOf(120);
    const group = unique("large");
    const commits = new Map(
      Array.from({ length: 120 }, (_, i) => [`${topic}-${i}`, { offset: BigInt(i), metadata: `${i}`.padEnd(4_000) }]),
    );
    const requests = cluster.requests.get("OffsetCommit") ?? 0;

    await groupsWith(cluster, new Map([[group, commits]]));

    expect((cluster.requests.get("OffsetCommit") ?? 0) - requests).toBe(2);
    const { commits: read } = await readCommits(cluster, new Map([[group, commits.keys()]]));
    expect(read.get(group)).toEqual(commits);
  });

  it("report Kafka's refusal per partition", async () => {
    const cluster = await connect();
    const topic = await topicOf(1);
    const group = unique("refused");
    forget([group]);
    const commits = new Map<string, Commit>([
      [`${topic}-0`, { offset: 1n, metadata: "" }],
      [`${topic}-7`, { offset: 1n, metadata: "" }],
    ]);

    const outcomes = (await commitOffsets(cluster, new Map([[group, commits]]))).get(group);

    expect(outcomes?.get(`${topic}-0`)).toEqual({ kind: "accepted" });
    expect(outcomes?.get(`${topic}-7`)).toMatchObject({ kind: "refused", error: "UNKNOWN_TOPIC_OR_PARTITION" });
  });

  it("report commits after the deadline as not_attempted", async () => {
    const topic = await topicOf(1);
    const cluster = await connect(1_500);
    const group = unique("late");
    await new Promise((done) => cluster.deadline.signal.addEventListener("abort", done));

    const outcomes = await commitOffsets(cluster, new Map([[group, at([`${topic}-0`, 1])]]));

    expect(outcomes.get(group)?.get(`${topic}-0`)).toMatchObject({ kind: "not_attempted", error: "DeadlineExceeded" });
    const { commits, errors } = await readCommits(cluster, new Map([[group, [`${topic}-0`]]]));
    expect(commits.size).toBe(0);
    expect(errors).toMatchObject([{ group, error: "DeadlineExceeded" }]);
    expect((await capture(cluster, select(group))).errors).toMatchObject([{ group, error: "DeadlineExceeded" }]);
    await expect(capture(cluster, select("*"))).rejects.toMatchObject({ name: "DeadlineExceeded" });
  });
});

describe("groups with members", () => {
  it("are refused, and their members counted, if they are classic", async () => {
    const cluster = await connect();
    const topic = await topicOf(2, 1);
    const group = unique("classic");
    forget([group]);
    await joinedConsumer(independentClient(), group, [topic]);

    const state = await observe(cluster, new Map([[group, at([`${topic}-0`, 1])]]));
    const outcomes = await commitOffsets(cluster, new Map([[group, at([`${topic}-0`, 1])]]));
    const deletions = await deleteOffsets(cluster, new Map([[group, [`${topic}-0`]]]));

    expect(state.observed.groups.get(group)).toMatchObject({ type: "classic", state: "Stable", members: 1 });
    expect(state.commits.get(group)).toEqual(new Map());
    expect(outcomes.get(group)?.get(`${topic}-0`)).toMatchObject({ kind: "refused", error: "GroupNotEmpty" });
    expect(deletions.get(group)?.get(`${topic}-0`)).toMatchObject({ kind: "refused", error: "GroupNotEmpty" });
  });

  since("4.0", "the consumer protocol (KIP-848)").it(
    "are refused, and their members counted, if they use the consumer protocol",
    async () => {
      const cluster = await connect();
      const topic = await topicOf(2, 3);
      const group = unique("consumer");
      forget([group]);
      const consumer = kafka().startTool("org.apache.kafka.tools.consumer.ConsoleConsumer", [
        ...["--topic", topic, "--group", group, "--from-beginning"],
        ...["--command-property", "group.protocol=consumer"],
      ]);
      onTestFinished(() => consumer.kill());
      await expect.poll(() => consumer.stdout().split("\n").length, { timeout: 40_000 }).toBeGreaterThan(6);

      const state = await capture(cluster, select(group));
      const outcomes = await commitOffsets(cluster, new Map([[group, at([`${topic}-0`, 1])]]));

      expect(state.observed.groups.get(group)).toMatchObject({ type: "consumer", state: "Stable", members: 1 });
      expect(outcomes.get(group)?.get(`${topic}-0`)).toMatchObject({ kind: "refused", error: "GroupNotEmpty" });
    },
  );
});

describe("deleteOffsets", () => {
  /** The commits of a group whose last commit was deleted: an empty map, and before 4.0 no group. */
  const commitsAfterDelete = (group: string) =>
    new Map(isBefore(inject("kafka").version, "4.0") ? [] : [[group, new Map<string, Commit>()]]);

  it("deletes the named commits only", async () => {
    const cluster = await connect();
    const topic = await topicOf(3);
    const group = unique("delete");
    await groupsWith(cluster, new Map([[group, at([`${topic}-0`, 1], [`${topic}-1`, 2], [`${topic}-2`, 3])]]));

    const outcomes = await deleteOffsets(cluster, new Map([[group, [`${topic}-0`, `${topic}-2`]]]));

    expect([...(outcomes.get(group)?.values() ?? [])]).toEqual([{ kind: "accepted" }, { kind: "accepted" }]);
    expect((await capture(cluster, select(group))).commits.get(group)).toEqual(at([`${topic}-1`, 2]));
  });

  it("accepts partitions without commits, and groups that do not exist", async () => {
    const cluster = await connect();
    const topic = await topicOf(2);
    const [group, missingGroup] = [unique("delete-all"), unique("none")];
    await groupsWith(cluster, new Map([[group, at([`${topic}-0`, 1])]]));
    const keys = [`${topic}-0`, `${topic}-1`];
    const all = new Map([group, missingGroup].map((name) => [name, keys]));

    for (const outcomes of [await deleteOffsets(cluster, all), await deleteOffsets(cluster, all)]) {
      for (const name of [group, missingGroup]) {
        expect([...(outcomes.get(name) ?? [])]).toEqual(keys.map((key) => [key, { kind: "accepted" }]));
      }
    }

    expect((await describedByKafka()).has(`${group} ${topic} 0`)).toBe(false);
    expect([...(await observe(cluster, new Map([[missingGroup, new Map()]]))).missing]).toEqual([missingGroup]);
  });

  it("reports partitions that do not exist, and deletes the other commits", async () => {
    const cluster = await connect();
    const topic = await topicOf(1);
    const [group, gone] = [unique("delete-gone"), unique("gone")];
    await groupsWith(cluster, new Map([[group, at([`${topic}-0`, 1])]]));

    const outcomes = await deleteOffsets(cluster, new Map([[group, [`${topic}-7`, `${gone}-0`, `${topic}-0`]]]));

    const refused = { kind: "refused", error: "UNKNOWN_TOPIC_OR_PARTITION" };
    expect(outcomes.get(group)?.get(`${topic}-7`)).toMatchObject(refused);
    expect(outcomes.get(group)?.get(`${gone}-0`)).toMatchObject(refused);
    expect(outcomes.get(group)?.get(`${topic}-0`)).toEqual({ kind: "accepted" });
    expect((await capture(cluster, select(group))).commits).toEqual(commitsAfterDelete(group));
  });

  it("deletes in requests that brokers accept, also with a group id of 8,000 characters", async () => {
    const cluster = await connect();
    const topic = await topicOf(120);
    const group = unique("delete-large").padEnd(8_000, "x");
    const commits = at(...Array.from({ length: 120 }, (_, i) => [`${topic}-${i}`, i] as const));
    await groupsWith(cluster, new Map([[group, commits]]));

    const outcomes = await deleteOffsets(cluster, new Map([[group, commits.keys()]]));

    expect(new Set([...(outcomes.get(group)?.values() ?? [])].map(({ kind }) => kind))).toEqual(new Set(["accepted"]));
    expect(cluster.requests.get("OffsetDelete")).toBe(3);
    expect((await capture(cluster, select(group))).commits).toEqual(commitsAfterDelete(group));
  });

  it("is refused on topics that members are subscribed to, and accepted on others", async () => {
    const cluster = await connect();
    const [read, other] = [await topicOf(1, 1), await topicOf(1)];
    const group = unique("delete-subscribed");
    await groupsWith(cluster, new Map([[group, at([`${read}-0`, 1], [`${other}-0`, 1])]]));
    await joinedConsumer(independentClient(), group, [read]);

    const outcomes = await deleteOffsets(cluster, new Map([[group, [`${read}-0`, `${other}-0`]]]));

    expect(outcomes.get(group)?.get(`${read}-0`)).toMatchObject({ kind: "refused", error: "GroupNotEmpty" });
    expect(outcomes.get(group)?.get(`${other}-0`)).toEqual({ kind: "accepted" });
    expect((await capture(cluster, select(group))).commits.get(group)).toEqual(at([`${read}-0`, 1]));
  });
});
