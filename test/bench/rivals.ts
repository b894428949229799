import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { newestKafka } from "../../localstack/choice.ts"; // the newest AdminClient is the fastest
import { GROUPS } from "../../localstack/console.ts";
import type { Kafka } from "../../localstack/kafka.ts";
import { briefly, java } from "../../localstack/kafka-tools.ts";
import { type Program, start } from "../../localstack/process.ts";
import { compileJava } from "../support/java.ts";
import { kafkaClient } from "../support/kafka-client.ts";
import { groupNames, TOPICS, topicName } from "./bed.ts";
import { expectSame } from "./figures.ts";

/** The result of the AdminClient: time by its own clock, number of offsets (or groups), and their sum. */
export interface Done {
  readonly ms: number;
  readonly count: number;
  readonly sum: number;
}

/** Java's AdminClient in a process that stays warm between rounds. Commands are those of Rivals.java. */
export interface AdminClient {
  run(...command: readonly (string | number)[]): Promise<Done>;
  stop(): void;
}

/** Starts it; its compiled class is in `folder`. */
export async function startAdminClient(kafka: Kafka, folder: string): Promise<AdminClient> {
  const heap = ["-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"];
  const child = start(await rivalsProgram(heap, folder, [kafka.bootstrapServers]));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaints = (complaints + text).slice(-2_000);
  });
  return {
    async run(...command) {
      child.stdin.write(`${command.join(" ")}\n`);
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`The AdminClient ended at "${command.join(" ")}":\n${complaints}`);
      return doneFrom(value);
    },
    stop: () => void child.kill("SIGKILL"),
  };
}

/** Makes a function that runs one command in a new AdminClient process, and measures its time with the start of the JVM. */
export async function adminClientProcess(
  kafka: Kafka,
  folder: string,
  ...command: readonly (string | number)[]
): Promise<() => Promise<Done>> {
  const program = await rivalsProgram(briefly, folder, [kafka.bootstrapServers, ...command.map(String)]);
  return async () => {
    const started = performance.now();
    const child = start(program);
    child.stdin.end();
    const first = once(child.stdout, "data").then(() => performance.now());
    const { stdout, stderr } = await child;
    if (stdout === "") throw new Error(`The AdminClient's process failed:\n${stderr}`);
    return { ...doneFrom(stdout), ms: (await first) - started };
  };
}

function doneFrom(line: string): Done {
  const [ms = Number.NaN, count = Number.NaN, sum = Number.NaN] = line.trim().split(" ").map(Number);
  if (![ms, count, sum].every(Number.isFinite)) throw new Error(`The AdminClient answered ${JSON.stringify(line)}`);
  return { ms, count, sum };
}

/** Compiles Rivals.java with the jars of Kafka. */
async function rivalsProgram(options: readonly string[], folder: string, args: readonly string[]): Promise<Program> {
  const classes = join(folder, "classes");
  await compileJava(newestKafka, join(import.meta.dirname, "Rivals.java"), classes, () => {});
  return java(newestKafka, options, ["Rivals", ...args], classes);
}

/** Runs kafka-consumer-groups in a new process, and returns its time with the start of the JVM, and its output. */
export async function consumerGroupsTool(
  kafka: Kafka,
  ...args: readonly string[]
): Promise<{ ms: number; output: string }> {
  const started = performance.now();
  const all = ["--timeout", "600000", ...args];
  const { stdout, stderr, exitCode } = await kafka.tool(GROUPS, all, { timeoutMs: 600_000 });
  const ms = performance.now() - started;
  if (exitCode !== 0) throw new Error(`kafka-consumer-groups ${args.join(" ")} failed:\n${stdout}\n${stderr}`);
  return { ms, output: stdout };
}

/** As in its manual and most scripts: one call per group, many at a time. */
const KAFKAJS_IN_FLIGHT = 50;

/** The public API of kafkajs, on existing connections. */
export interface KafkaJsRival {
  /** Reads the offsets of this many groups, and returns their number. */
  fetchOffsets(groups: number): Promise<number>;
  /** Sets all offsets of a few groups. */
  setOffsets(groups: number, partitions: number, offset: number): Promise<void>;
  stop(): Promise<void>;
}

export async function startKafkaJs(kafka: Kafka): Promise<KafkaJsRival> {
  const admin = kafkaClient(kafka.bootstrapServers).admin();
  await admin.connect();
  return {
    async fetchOffsets(groups) {
      const queue = groupNames(groups).values();
      let offsets = 0;
      const worker = async () => {
        for (const groupId of queue) {
          for (const { partitions } of await admin.fetchOffsets({ groupId })) offsets += partitions.length;
        }
      };
      await Promise.all(Array.from({ length: KAFKAJS_IN_FLIGHT }, worker));
      return offsets;
    },
    async setOffsets(groups, partitions, offset) {
      const set = Array.from({ length: partitions }, (_, partition) => ({ partition, offset: `${offset}` }));
      const names = groupNames(groups);
      await Promise.all(
        names.map((groupId, group) => admin.setOffsets({ groupId, topic: topicName(group % TOPICS), partitions: set })),
      );
      for (const [group, groupId] of names.entries()) {
        const [found] = await admin.fetchOffsets({ groupId, topics: [topicName(group % TOPICS)] });
        for (const one of found?.partitions ?? [])
          expectSame(`kafkajs' setOffsets of ${groupId}`, one.offset, `${offset}`);
        expectSame(`kafkajs' setOffsets of ${groupId}`, found?.partitions.length, partitions);
      }
    },
    stop: () => admin.disconnect(),
  };
}
