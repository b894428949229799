import type { Kafka } from "./kafka.ts";

const GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const PRODUCER = "org.apache.kafka.tools.ConsoleProducer";
const TOPICS = "org.apache.kafka.tools.TopicCommand";

/** What kafka-consumer-groups says of one partition of a group. */
export interface DescribedPartition {
  readonly topic: string;
  readonly partition: number;
  /** Null where the group has no commit. */
  readonly offset: bigint | null;
  readonly logEndOffset: bigint;
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
    const command = `${name} ${[...server, ...args].map((arg) => (/^[\w./:=,-]+$/.test(arg) ? arg : `'${arg}'`)).join(" ")}`;
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

/** Reads the table that `kafka-consumer-groups --describe` prints, by the names of its columns. */
export function parseDescription(output: string): DescribedPartition[] {
  const [header = [], ...rows] = output
    .split("\n")
    .filter((line) => /\S/.test(line))
    .map((line) => line.trim().split(/\s+/));
  const column = (row: readonly string[], name: string): string => {
    const value = row[header.indexOf(name)];
    if (value === undefined) throw new Error(`kafka-consumer-groups printed no ${name}:\n${output}`);
    return value;
  };
  return rows.map((row) => ({
    topic: column(row, "TOPIC"),
    partition: Number(column(row, "PARTITION")),
    offset: column(row, "CURRENT-OFFSET") === "-" ? null : BigInt(column(row, "CURRENT-OFFSET")),
    logEndOffset: BigInt(column(row, "LOG-END-OFFSET")),
  }));
}
