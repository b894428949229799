import { shellQuoted } from "../functions/cli/flags.ts";
import type { Kafka } from "./kafka.ts";

/** kafka-consumer-groups, by its class. */
export const GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const PRODUCER = "org.apache.kafka.tools.ConsoleProducer";
const TOPICS = "org.apache.kafka.tools.TopicCommand";

/** What kafka-consumer-groups says of one partition of a group. */
export interface DescribedPartition {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  /** Null where the group has no commit. */
  readonly offset: bigint | null;
  /** Null where the partition is not there. */
  readonly logEndOffset: bigint | null;
}

/** A command of Kafka's own tools as a person would type it, and what it printed. */
export interface Ran {
  readonly command: string;
  readonly output: string;
}

/** Kafka's own console tools: independent of our client, so what they say can be held against what it says. */
export interface Console {
  createTopic(topic: string, partitions: number): Promise<Ran>;
  /** Produces lines of `key:value`. */
  produce(topic: string, lines: readonly string[]): Promise<Ran>;
  /** Consumes in a group, from the group's commit on: at most so many records, or all until none came for a while. */
  consume(topic: string, group: string, options: { max?: number; idleMs: number }): Promise<Ran & { values: string[] }>;
  /** The committed offsets of a group. */
  describe(group: string): Promise<Ran & { partitions: DescribedPartition[] }>;
  /** Resets the group's offsets to the beginning of the topic. */
  resetToEarliest(group: string, topic: string): Promise<Ran>;
  /** Removes a group and a topic. */
  remove(group: string, topic: string): Promise<void>;
}

/** The console tools for a cluster. A tool that fails is an error with what it printed. */
export function createConsole(kafka: Kafka): Console {
  const run = async (name: string, className: string, args: readonly string[], stdin = ""): Promise<Ran> => {
    const server = ["--bootstrap-server", kafka.bootstrapServers];
    const command = `${name} ${[...server, ...args].map(shellQuoted).join(" ")}`;
    const { stdout, stderr, exitCode } = await kafka.tool(className, args, { stdin, timeoutMs: 90_000 });
    if (exitCode !== 0) throw new Error(`${command} exited with ${exitCode}:\n${stdout}\n${stderr}`);
    return { command, output: stdout };
  };
  return {
    createTopic: (topic, partitions) =>
      run("kafka-topics", TOPICS, ["--create", "--topic", topic, "--partitions", `${partitions}`]),
    produce: (topic, lines) => {
      const keyed = ["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"];
      return run("kafka-console-producer", PRODUCER, ["--topic", topic, ...keyed], `${lines.join("\n")}\n`);
    },
    async consume(topic, group, { max, idleMs }) {
      const limits = [...(max === undefined ? [] : ["--max-messages", `${max}`]), "--timeout-ms", `${idleMs}`];
      const args = ["--topic", topic, "--group", group, "--from-beginning", ...limits];
      const ran = await run("kafka-console-consumer", CONSUMER, args);
      return { ...ran, values: ran.output.split("\n").filter((line) => line !== "") };
    },
    async describe(group) {
      const ran = await run("kafka-consumer-groups", GROUPS, ["--describe", "--offsets", "--group", group]);
      return { ...ran, partitions: parseDescription(ran.output) };
    },
    resetToEarliest: (group, topic) =>
      run("kafka-consumer-groups", GROUPS, [
        ...["--group", group, "--topic", topic],
        ...["--reset-offsets", "--to-earliest", "--execute"],
      ]),
    async remove(group, topic) {
      await run("kafka-consumer-groups", GROUPS, ["--delete", "--group", group]);
      await run("kafka-topics", TOPICS, ["--delete", "--topic", topic]);
    },
  };
}

/** Reads the tables that `kafka-consumer-groups --describe --offsets` prints. */
export function parseDescription(output: string): DescribedPartition[] {
  const offset = (text = "") => (text === "-" ? null : BigInt(text));
  return parseTables(output, ["PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET"])
    .filter(({ values: [partition] }) => partition !== "-") // a member without partitions
    .map(({ group, topic, values: [partition, current, end] }) => ({
      group,
      topic,
      partition: Number(partition),
      offset: offset(current),
      logEndOffset: offset(end),
    }));
}

/**
 * Reads the columns with these names in the tables about groups that a tool of Kafka prints. What it says before the first
 * table is passed over, and what it complains of. A group may have any name without line breaks that does not end in a space.
 *
 * @throws Error when a table lacks a column, or a line of it is no row
 */
export function parseTables(output: string, columns: readonly string[]) {
  const rows: { group: string; topic: string; values: readonly string[] }[] = [];
  let header: string[] = [];
  let shape = /^/;
  for (const line of output.split("\n")) {
    if (/^\s*GROUP\s+TOPIC\s/.test(line)) {
      header = line.trim().split(/\s+/);
      shape = new RegExp(`^(.*?)${"\\s+(\\S+)".repeat(header.length - 1)}\\s*$`);
    } else if (header.length > 0 && /\S/.test(line) && !/^(Error|Warning):/.test(line)) {
      const [, group = "", ...cells] = shape.exec(line) ?? [];
      const value = (name: string): string => {
        const cell = cells[header.indexOf(name) - 1];
        if (cell === undefined) throw new Error(`Kafka's tool printed no ${name}: ${line}`);
        return cell;
      };
      rows.push({ group, topic: value("TOPIC"), values: columns.map(value) });
    }
  }
  return rows;
}
