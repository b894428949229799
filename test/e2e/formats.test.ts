import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { TextFormat } from "../../functions/shared/core/formats/names.ts";
import { GROUPS, parseTables } from "../../localstack/console.ts";
import { localDir } from "../../localstack/process.ts";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();

/** Takes a snapshot of groups and returns its id. */
const snapshotOf = async (...groups: string[]) =>
  (await stack.call("snapshot", { groups: groups.map((name) => ({ name })) })).snapshot_id;

/** A file with this text, where a tool in a process of this machine can read it. */
function fileOf(text: string): string {
  const folder = mkdtempSync(join(localDir, "formats-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "offsets.csv");
  writeFileSync(file, text);
  return file;
}

/** What `kafka-consumer-groups --reset-offsets` of these groups would set, or sets: new offsets by group and partition. */
async function reset(groups: readonly string[], ...args: string[]) {
  const named = groups.flatMap((group) => ["--group", group]);
  const { stdout, stderr, exitCode } = await stack.kafka.tool(GROUPS, [...named, "--reset-offsets", ...args]);
  expect(exitCode, `${stdout}\n${stderr}`).toBe(0);
  return stdout;
}
async function plannedBy(file: string, ...groups: string[]) {
  const rows = parseTables(await reset(groups, "--from-file", file, "--dry-run"), ["PARTITION", "NEW-OFFSET"]);
  return rows.map(({ group, topic, values: [partition, offset] }) => `${group} ${topic}-${partition} ${offset}`).sort();
}

const exported = async (format: TextFormat, snapshot_id: string, groups?: string[]) =>
  stack.call("show", { snapshot_id, format, ...(groups && { groups: groups.map((name) => ({ name })) }) });

// The tool runs in a container of its own there, which has no such file.
describe.skipIf(stack.kafka.tools === "docker")("Kafka's own tool", () => {
  test("resets one group, and several, from what show writes as kafka-csv", async () => {
    const [topic, one, other] = [await stack.topic(), uniqueGroup(), uniqueGroup(" #q\"uoted, 'größe\\ ")];
    const commits = new Map([...commitsOn(one, topic, [5n, 6n, 7n]), ...commitsOn(other, topic, [1n, 2n])]);
    await stack.commit(commits);
    const id = await snapshotOf(one, other);

    const alone = await exported("kafka-csv", id, [one]);
    expect(alone).toMatchObject({ snapshot_id: id, format: "kafka-csv", content_type: "text/csv; charset=utf-8" });
    expect(alone.warnings).toEqual(["kafka-csv has no leader epochs: 3 of 3 commits had one."]);
    expect(await plannedBy(fileOf(alone.content ?? ""), one)).toEqual([
      `${one} ${topic}-0 5`,
      `${one} ${topic}-1 6`,
      `${one} ${topic}-2 7`,
    ]);

    const both = await exported("kafka-csv", id);
    expect(await plannedBy(fileOf(both.content ?? ""), one, other)).toEqual(
      [
        `${one} ${topic}-0 5`,
        `${one} ${topic}-1 6`,
        `${one} ${topic}-2 7`,
        `${other} ${topic}-0 1`,
        `${other} ${topic}-1 2`,
      ].sort(),
    );

    await stack.commit(commitsOn(one, topic, [0n, 0n, 0n]));
    await reset([one], "--from-file", fileOf(alone.content ?? ""), "--execute");
    expect(await stack.committed(one)).toEqual({ [`${topic}-0`]: 5n, [`${topic}-1`]: 6n, [`${topic}-2`]: 7n });
  });

  test("exports one group, and several, as import reads them", async () => {
    const [topic, one, other] = [await stack.topic(), uniqueGroup(), uniqueGroup(" #q\"uoted, 'größe\\ ")];
    await stack.commit(new Map([...commitsOn(one, topic, [5n, 6n, 7n]), ...commitsOn(other, topic, [1n, 2n])]));
    const written = (groups: string[]) => reset(groups, "--to-current", "--all-topics", "--export");

    const alone = await stack.call("import", {
      format: "kafka-csv",
      content: await written([one]),
      groups: [one],
      dry_run: true,
    });
    expect(alone).toMatchObject({
      snapshot_id: null,
      groups: 1,
      offsets: 3,
      consumer_groups: { [one]: { partitions: { [`${topic}-2`]: { offset: 7, metadata: "" } } } },
    });

    const both = await stack.call("import", { format: "kafka-csv", content: await written([one, other]) });
    const shown = await stack.call("show", { snapshot_id: String(both.snapshot_id) });
    expect(shown.consumer_groups).toEqual({
      [one]: {
        partitions: Object.fromEntries([5, 6, 7].map((offset, i) => [`${topic}-${i}`, { offset, metadata: "" }])),
      },
      [other]: {
        partitions: Object.fromEntries([1, 2].map((offset, i) => [`${topic}-${i}`, { offset, metadata: "" }])),
      },
    });
  });
});

describe("show --format", () => {
  test("report has the log ranges, offsets and lags that Kafka's tool shows", async () => {
    const [topic, group] = [await stack.topic(), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [5n]));
    const { content = "" } = await exported("report", await snapshotOf(group));
    const { partitions } = await stack.tools.describe(group);
    expect(JSON.parse(content)).toMatchObject({
      source_cluster: "local",
      topics: {
        [topic]: { partitions: { "0": { start_offset: 0, end_offset: Number(partitions[0]?.logEndOffset) } } },
      },
      consumer_groups: { [group]: { partitions: { [`${topic}-0`]: { offset: 5, metadata: "", lag: 15 } } } },
      status: "complete",
    });
  });

  test("answers over HTTP as JSON that carries the content; groups and topics select from it", async () => {
    const [a, b, group] = [await stack.topic(), await stack.topic(), uniqueGroup()];
    await stack.commit(
      new Map([
        [
          group,
          new Map([...commitsOn("", a, [1n, 2n]), ...commitsOn("", b, [3n])].flatMap(([, commits]) => [...commits])),
        ],
      ]),
    );
    const id = encodeURIComponent(await snapshotOf(group));
    const { status, body } = await stack.http("GET", `/snapshots/${id}?format=rpk&groups=${group}&topics=${a}`);
    expect([status, Object(body).content]).toEqual([200, `${a} 0 1\n${a} 1 2\n`]);
  });

  test("gives content over 5 MB as a link to the file itself", async () => {
    const [topic, group] = [await stack.topic(3, 1), uniqueGroup()];
    const metadata = "x".repeat(3_000);
    const commits = new Map([0, 1, 2].map((partition) => [`${topic}-${partition}`, { offset: 1n, metadata }] as const));
    const groups = Array.from({ length: 600 }, (_, i) => `${group}-${i}`);
    await stack.commit(new Map(groups.map((name) => [name, commits])));
    const { snapshot_id } = await stack.call("snapshot", { groups: [`${group}-*`] });
    const answer = await exported("csv", snapshot_id);
    expect(answer.content).toBeUndefined();
    const fetched = await fetch(answer.result_url ?? "");
    expect(fetched.headers.get("content-type")).toBe("text/csv; charset=utf-8");
    expect((await fetched.text()).split("\r\n")).toHaveLength(1 + 1_800 + 1);
  });
});
