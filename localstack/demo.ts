import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect, isDeepStrictEqual } from "node:util";
import { shellQuoted } from "../functions/cli/flags.ts";
import { result as difference } from "../functions/diff/schema.ts";
import { result as historyResult } from "../functions/history/schema.ts";
import { result as listed } from "../functions/list/schema.ts";
import { result as dryRunResult } from "../functions/plan/schema.ts";
import { rollbackResult } from "../functions/rollback/schema.ts";
import { pageResult, recordResult } from "../functions/rollbacks/schema.ts";
import { parseJson } from "../functions/shared/core/json/json.ts";
import { type DocumentResult, documentResult as shown } from "../functions/show/schema.ts";
import { snapshotResult as taken } from "../functions/snapshot/schema.ts";
import { result as verified } from "../functions/verify/schema.ts";
import { choose } from "./choice.ts";
import { type Cloud, useOrStartCloud } from "./cloud.ts";
import { createConsole, type DescribedPartition, type Ran } from "./console.ts";
import { curlLine, inPath } from "./curl.ts";
import { deploy, destroy, localDeployment, type Outputs } from "./deploy.ts";
import { type Kafka, useOrStartKafka } from "./kafka.ts";
import { freshStateDir, main, removeState, repository, type Say, sayTime, start, until } from "./process.ts";

const MESSAGES = 100;
const HALF = MESSAGES / 2;
/** How long a consumer waits for another record before it takes the topic for read. */
const IDLE_MS = 4_000;
/** How many of the records that a consumer printed are shown. */
const FEW = 8;

type Commits = DocumentResult["consumer_groups"];

/** Reads an answer: one that is not as documented is an error. */
interface Answer<T> {
  parse(value: unknown): T;
}

/** Prints the walkthrough and keeps count of what held. */
function createReport(say: Say) {
  let held = 0;
  const failed: string[] = [];
  return {
    title: (text: string) => say(`\n== ${text}`),
    ran({ command, output }: Ran, most = 24) {
      say(`$ ${command}`);
      const lines = output.trimEnd().split("\n");
      for (const line of lines.slice(0, most)) say(`  ${line}`);
      if (lines.length > most) say(`  … ${lines.length - most} more lines`);
    },
    check(what: string, holds: boolean, seen?: unknown) {
      const found = inspect(seen, { depth: 9, breakLength: Number.POSITIVE_INFINITY });
      say(holds ? `✓ ${what}` : `✗ ${what}${seen === undefined ? "" : `: saw ${found}`}`);
      if (holds) held++;
      else failed.push(what);
    },
    /** The last line: whether every step held, and the time since this process began. */
    end() {
      if (failed.length > 0) {
        throw new Error(`\n${failed.length} of ${held + failed.length} checks did not hold: ${failed.join("; ")}`);
      }
      say(`\nEvery step held: ${held} checks in ${Math.round(performance.now() / 1000)} s.`);
    },
  };
}
type Report = ReturnType<typeof createReport>;

/**
 * The command line and the API, as people and scripts use them. What is typed is printed with its output; data to check
 * comes from the same program as JSON, quietly.
 */
function createOperations(outputs: Outputs, cloud: Cloud, directory: string, report: Report) {
  mkdirSync(join(directory, ".local"), { recursive: true });
  writeFileSync(join(directory, ".local", "outputs.json"), JSON.stringify(outputs));
  const offsetRollback = async (words: readonly string[]): Promise<Ran & { shown: string }> => {
    const bin = join(repository, "functions", "cli", "bin.js");
    const { OFFSET_ROLLBACK_DEPLOYMENT: _, ...env } = process.env;
    const program = { command: process.execPath, args: [bin, ...words], env, cwd: directory };
    const { stdout, stderr, all, exitCode } = await start(program);
    const command = `offset-rollback ${words.map(shellQuoted).join(" ")}`;
    if (exitCode !== 0) throw new Error(`${command} exited with ${exitCode}:\n${stdout}\n${stderr}`);
    return { command, output: stdout, shown: all };
  };
  return {
    /** Prints what a terminal shows, and gives what a script reads. */
    async run(...words: readonly string[]): Promise<string> {
      const { command, output, shown } = await offsetRollback(words);
      report.ran({ command, output: shown }, 80);
      return output;
    },

    async json<T>(answer: Answer<T>, ...words: readonly string[]): Promise<T> {
      return answer.parse(parseJson((await offsetRollback([...words, "--format", "json"])).output));
    },

    /** Runs the line that it prints, in a shell. */
    async http<T>(method: string, path: string, body: unknown, answer: Answer<T>) {
      const command = curlLine(method, path, body);
      const env = { ...process.env, ...cloud.environment, API: outputs.api_url };
      const { stdout, stderr, exitCode } = await start({ command: "bash", args: ["-c", command], env });
      if (exitCode !== 0) throw new Error(`${command} exited with ${exitCode}:\n${stderr}`);
      const [, text = "", status = ""] = /^(.*)\nHTTP (\d+)$/s.exec(stdout.trimEnd()) ?? [];
      const received = parseJson(text);
      report.ran({ command, output: `${JSON.stringify(received, null, 2)}\nHTTP ${status}` });
      report.check(`${method} ${path.split("?")[0]} answers 200`, status === "200", stdout);
      return answer.parse(received);
    },
  };
}
type Operations = ReturnType<typeof createOperations>;

const offsetsSaid = (partitions: readonly DescribedPartition[]) =>
  Object.fromEntries(partitions.map(({ topic, partition, offset }) => [`${topic}-${partition}`, Number(offset)]));
const offsetsIn = (commits: Commits, group: string) =>
  Object.fromEntries(
    Object.entries(commits[group]?.partitions ?? {}).map(([key, commit]) => [key, Number(commit?.offset)]),
  );
const total = (offsets: Readonly<Record<string, number>>) =>
  Object.values(offsets).reduce((sum, offset) => sum + offset, 0);
const sorted = (values: readonly string[]) => [...values].sort();

interface Stage {
  readonly kafka: Kafka;
  readonly cloud: Cloud;
  readonly deployed: Promise<Outputs>;
  readonly schedule: { readonly name: string; readonly groups: readonly string[]; readonly description: string };
  readonly topic: string;
  readonly group: string;
  /** A folder for what the command line reads. */
  readonly directory: string;
}

async function walk({ kafka, cloud, deployed, schedule, topic, group, directory }: Stage, say: Say): Promise<void> {
  const report = createReport(say);
  const tools = createConsole(kafka);
  const describe = async () => {
    const description = await tools.describe(group);
    report.ran(description);
    return offsetsSaid(description.partitions);
  };

  report.title(`a. ${MESSAGES} order messages into ${topic}, with Kafka's own console producer`);
  report.ran(await tools.createTopic(topic, 3));
  const orders = Array.from({ length: MESSAGES }, (_, i) => `customer-${i % 17}:order ${i + 1}`);
  report.ran(await tools.produce(topic, orders));

  report.title(`b. ${HALF} of them consumed by group ${group}, with Kafka's own console consumer`);
  const first = await tools.consume(topic, group, { max: HALF, idleMs: 20_000 });
  report.ran(first, FEW);
  report.check(`${HALF} messages were consumed`, first.values.length === HALF, first.values.length);

  report.title("c. The committed offsets, as kafka-consumer-groups says them");
  const before = await describe();
  report.check(`they add up to ${HALF}`, total(before) === HALF, before);

  report.title("d. A snapshot");
  const outputs = await deployed;
  const operations = createOperations(outputs, cloud, directory, report);
  const place = ["--path", outputs.path];
  const kafkaToo = ["--bootstrap-servers", outputs.bootstrap_servers];
  const snapshot = async (description: string) => {
    const said = await operations.run(
      ...["snapshot", ...place, "--groups", group, ...kafkaToo],
      ...["--description", description],
    );
    const [id = ""] = /snapshot-\S+/.exec(said) ?? [];
    return id;
  };
  const description = "Before consuming remaining messages";
  const id = await snapshot(description);

  report.title("e. The list of snapshots");
  await operations.run("list", ...place);
  const { snapshots } = await operations.json(listed, "list", ...place);
  const row = snapshots.find(({ snapshot_id }) => snapshot_id === id);
  report.check("the snapshot is in it at once", row !== undefined, snapshots);
  report.check(
    "it is complete, with one group and three offsets",
    row?.status === "complete" && row.groups === 1 && row.offsets === 3,
    row,
  );

  report.title("f. The snapshot, for people and as JSON");
  await operations.run("show", ...place, "--snapshot-id", id);
  const text = await operations.run("show", ...place, "--snapshot-id", id, "--format", "json");
  const document = shown.parse(parseJson(text));
  report.check(
    "the documented keys come first, in their order",
    isDeepStrictEqual(Object.keys(document).slice(0, 4), [
      "snapshot_id",
      "description",
      "created_at",
      "consumer_groups",
    ]),
  );
  report.check(
    "a commit has the documented keys, and leader_epoch where it carries one",
    Object.values(document.consumer_groups[group]?.partitions ?? {}).every((one) =>
      isDeepStrictEqual(
        Object.keys(one ?? {}).filter((key) => key !== "leader_epoch"),
        ["offset", "metadata"],
      ),
    ),
  );
  report.check("it has the description", document.description === description);
  report.check(
    "its groups are exactly those selected",
    isDeepStrictEqual(Object.keys(document.consumer_groups), [group]),
  );
  report.check(
    "its offsets are those of kafka-consumer-groups",
    isDeepStrictEqual(offsetsIn(document.consumer_groups, group), before),
    before,
  );

  report.title("g. The rest consumed, a second snapshot, and the difference");
  const second = await tools.consume(topic, group, { max: HALF, idleMs: 20_000 });
  report.ran(second, FEW);
  report.check(
    "the other half was consumed",
    isDeepStrictEqual(
      sorted([...first.values, ...second.values]),
      sorted(orders.map((order) => order.split(":")[1] ?? "")),
    ),
  );
  const later = await snapshot("After consuming all messages");
  const after = await describe();
  await operations.run("diff", "--from", id, "--to", later);
  const diff = await operations.json(difference, "diff", "--from", id, "--to", later);
  const moved = (offsets: Readonly<Record<string, number>>) =>
    Object.entries(offsets)
      .filter(([, delta]) => delta !== 0)
      .sort(([a], [b]) => (a < b ? -1 : 1));
  const changes = Object.entries(diff.consumer_groups[group]?.partitions ?? {});
  const deltas = Object.fromEntries(changes.map(([key, { offset_delta }]) => [key, Number(offset_delta)]));
  const expected = Object.fromEntries(Object.entries(after).map(([key, offset]) => [key, offset - (before[key] ?? 0)]));
  report.check(
    "our diff has the distances that kafka-consumer-groups says",
    isDeepStrictEqual(moved(deltas), moved(expected)),
    deltas,
  );
  const laterDocument = await operations.json(shown, "show", "--snapshot-id", later);
  const documents = offsetsIn(laterDocument.consumer_groups, group);
  report.check(
    "so do the two documents",
    Object.entries(documents).every(([key, offset]) => offset - (before[key] ?? 0) === expected[key]),
  );
  report.check(
    "all commits carry their leader epochs, now that every partition was read to its end",
    Object.values(laterDocument.consumer_groups[group]?.partitions ?? {}).every(
      (commit) => commit?.leader_epoch !== undefined,
    ),
  );

  report.title("h. Rollback to the first snapshot: a dry run, the rollback, the same messages again");
  const target = ["--snapshot-id", id, "--groups", group];
  await operations.run("rollback", ...place, ...target, ...kafkaToo, "--dry-run");
  const dryRun = await operations.json(dryRunResult, "rollback", ...target, "--dry-run");
  report.check(
    `the dry run announces ${HALF} messages to be replayed, and no blocker`,
    dryRun.blockers.length === 0 && Number(dryRun.groups[group]?.replayed) === HALF,
  );
  report.check("the dry run moved nothing", isDeepStrictEqual(await describe(), after));
  const execution = ["--verify", "true", "--yes", "--requested-by", "the demo"];
  await operations.run("rollback", ...place, ...target, ...kafkaToo, ...execution);
  const rollback = await lastRollback(operations);
  report.check(
    "the rollback is a verified success",
    rollback.status === "success" && rollback.verification?.verified === true,
    rollback,
  );
  report.check("kafka-consumer-groups agrees", isDeepStrictEqual(await describe(), before));
  await operations.run("verify", "--snapshot-id", id);
  const check = await operations.json(verified, "verify", "--snapshot-id", id);
  report.check("so does verify", check.verified && check.mismatches.length === 0);
  const again = await tools.consume(topic, group, { idleMs: IDLE_MS });
  report.ran(again, FEW);
  report.check(
    "a consumer re-reads exactly the messages after the snapshot, no more, no fewer",
    isDeepStrictEqual(sorted(again.values), sorted(second.values)),
    again.values.length,
  );

  report.title("i. The same over HTTP, and by the schedule");
  say(`API=${outputs.api_url}`);
  const reread = await describe();
  const posted = await operations.http("POST", "/snapshots", { groups: [group], description: "over HTTP" }, taken);
  const page = await operations.http("GET", "/snapshots?limit=5", undefined, listed);
  report.check(
    "the API lists the snapshot that it took",
    page.snapshots.some(({ snapshot_id, trigger }) => snapshot_id === posted.snapshot_id && trigger === "api"),
  );
  const path = `/snapshots/${inPath(id)}`;
  const overHttp = await operations.http("GET", path, undefined, shown);
  report.check("the API shows the same document", isDeepStrictEqual(overHttp, document));
  const back = await operations.http("POST", `${path}/rollback`, { groups: [group] }, rollbackResult);
  report.check(
    "the API's rollback is a verified success",
    back.status === "success" && back.verification?.verified === true,
  );
  report.check("kafka-consumer-groups agrees", isDeepStrictEqual(await describe(), before));
  await scheduled(operations, report, cloud, schedule, say);

  report.title("j. Undo that last rollback, and look who rolled back what");
  await operations.run("undo", "--yes", "--requested-by", "the demo");
  const undone = await lastRollback(operations);
  report.check(
    "it is a verified success, back to the safety snapshot of that rollback",
    undone.status === "success" &&
      undone.verification?.verified === true &&
      undone.snapshot_id === back.safety_snapshot_id,
    undone,
  );
  report.check("the group stands where it stood before", isDeepStrictEqual(await describe(), reread), reread);
  await operations.run("rollbacks", "--limit", "3");
  const { rollbacks } = await operations.json(pageResult, "rollbacks", "--limit", "3");
  report.check(
    "the journal has all three rollbacks, the newest first",
    isDeepStrictEqual(
      rollbacks.map(({ rollback_id, status }) => [rollback_id, status]),
      [undone, back, rollback].map(({ rollback_id }) => [rollback_id, "success"]),
    ),
  );

  report.title("k. Where the group stood over time, for people and as a page");
  await snapshot("After the undo");
  await operations.run("history", "--groups", group);
  const history = await operations.json(historyResult, "history", "--groups", group);
  const events = Object.values(history.groups[group]?.partitions ?? {}).flatMap((partition) => partition.events);
  // The rollback of step h shows only where the schedule took a snapshot before the messages were read again.
  const others = events.filter((event) => event.rollback_id !== rollback.rollback_id);
  const done = (kind: string) =>
    new Set(others.filter((event) => event.kind === kind).map((event) => event.rollback_id));
  report.check(
    "it says which rollback rewound the group, and which undid that",
    isDeepStrictEqual([done("rewound"), done("jumped")], [new Set([back.rollback_id]), new Set([undone.rollback_id])]),
    events,
  );
  const file = join(directory, "history.html");
  await operations.run("history", "--groups", group, "--format", "html", "--output", file);
  report.check("the page names the group", readFileSync(file, "utf8").includes(group));

  report.title("l. Clean-up: offsets reset to earliest with kafka-consumer-groups");
  report.ran(await tools.resetToEarliest(group, topic));
  report.check("the group stands at the beginning", total(await describe()) === 0);
  report.end();
}

/** The newest rollback of the journal, with its result. */
async function lastRollback(operations: Operations) {
  const { rollbacks } = await operations.json(pageResult, "rollbacks", "--limit", "1");
  const record = await operations.json(recordResult, "rollbacks", "--rollback-id", rollbacks[0]?.rollback_id ?? "");
  return rollbackResult.parse(record.result);
}

/** Waits for the snapshot of the schedule. LocalStack's Scheduler never fires: there its exact payload is sent by hand. */
async function scheduled(
  operations: Operations,
  report: Report,
  cloud: Cloud,
  schedule: Stage["schedule"],
  say: Say,
): Promise<void> {
  if (cloud.flavour === "localstack") {
    say("LocalStack's EventBridge Scheduler is a mock that never fires: the schedule's payload is sent by hand.");
    const { name, ...request } = schedule;
    const run = { name, execution_id: `by-hand-${process.pid}`, scheduled_time: new Date().toISOString() };
    await operations.run(
      ...["snapshot", "--groups", request.groups.join(","), "--description", request.description],
      ...["--schedule", JSON.stringify(run)],
    );
  } else {
    say("Waiting for the schedule of one minute to fire…");
  }
  const bySchedule = async () => {
    const { snapshots } = await operations.json(listed, "list", "--limit", "100");
    return snapshots.some(({ trigger }) => trigger === "schedule");
  };
  const quiet = sayTime(() => "the schedule", say);
  const fired = await until(bySchedule, 90_000);
  quiet();
  report.check("the schedule took a snapshot", fired);
}

await main(async (say) => {
  const choice = await choose({ kafka: true, cloud: true });
  const stateDir = freshStateDir("demo");
  try {
    say("Starting a real Kafka and a local cloud, then deploying the stack. This takes a minute, the first time two.");
    const [kafka, cloud] = await Promise.all([
      useOrStartKafka(choice, { stateDir, say }),
      useOrStartCloud(choice, { stateDir, say }),
    ]);
    const own = { kafka: kafka.kind !== "external", cloud: cloud.kind !== "external" };
    const suffix = own.kafka ? "" : `-demo-${process.pid}`;
    const [topic, group] = [`orders${suffix}`, `orders-streams${suffix}`];
    const schedule = { name: "demo", groups: ["orders*"], description: "Every minute, by the demo" };
    const deployment = {
      ...localDeployment(kafka, cloud),
      name_prefix: own.cloud ? "" : `demo-${process.pid}-`,
      schedules: [{ ...schedule, expression: "rate(1 minute)" }],
    };
    const stackName = own.cloud ? "OffsetRollback" : `OffsetRollbackDemo${process.pid}`;
    const stack = { cloud, stackName, deployment, bootstrapServers: kafka.bootstrapServers, stateDir, say };
    const deployed = deploy(stack);
    deployed.catch(() => {}); // it is awaited in step d
    try {
      await walk({ kafka, cloud, deployed, schedule, topic, group, directory: stateDir }, say);
    } finally {
      await deployed.catch(() => {});
      if (!own.cloud) await destroy(stack);
      if (!own.kafka) await createConsole(kafka).remove(group, topic);
      await Promise.all([kafka.stop(), cloud.stop()]);
    }
  } finally {
    removeState(stateDir);
  }
});
