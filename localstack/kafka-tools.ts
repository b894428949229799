import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { localDir, makeOnce, type Program, repository, run, type Say, start } from "./process.ts";

/** How one of Kafka's tools ended. */
export interface ToolResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** One of Kafka's tools that runs. */
export interface RunningTool {
  /** What it has printed so far. */
  stdout(): string;
  /** Writes to its input. */
  write(text: string): void;
  /** Ends its input. */
  end(): void;
  /** Lets it shut down (a consumer leaves its group), by force after ten seconds, and gives what it printed. */
  stop(): Promise<ToolResult>;
  /** Kills it at once: a consumer that crashes. */
  kill(): void;
  /** Resolves when it ends by itself. */
  readonly ended: Promise<ToolResult>;
}

/** Whether a version of Kafka is older than a release, as 3.9.1 is older than 3.10. */
export function isBefore(version: string, release: string): boolean {
  return version.localeCompare(release, "en", { numeric: true }) < 0;
}

/** What tools were called before a release: they go by the classes of Kafka 4.3. */
const formerClasses: Readonly<Record<string, readonly [release: string, former: string]>> = {
  "org.apache.kafka.tools.TopicCommand": ["3.7", "kafka.admin.TopicCommand"],
  "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand": ["3.8", "kafka.admin.ConsumerGroupCommand"],
  "org.apache.kafka.tools.consumer.ConsoleConsumer": ["3.8", "kafka.tools.ConsoleConsumer"],
  "org.apache.kafka.tools.ConsoleProducer": ["4.0", "kafka.tools.ConsoleProducer"],
};

/** What options were called before 4.2. */
const formerOptions: Readonly<Record<string, string>> = {
  "--command-property": "--consumer-property",
  "--reader-property": "--property",
};

/** The folder of the jars of a version. */
export const jarsOf = (version: string): string => join(localDir, `kafka-${version}`, "libs");

/** Fetches the jars of a version, where they are not here yet. */
export async function fetchJars(version: string, say: Say): Promise<void> {
  const profiles = isBefore(version, "3.0") ? "broker" : "broker,tools";
  await copyJars({ name: "kafka", version, profiles, megabytes: 54 }, say);
}

/** What to fetch: `name` says so to people, `profiles` are those of the pom, which is Kafka's unless another is named. */
interface Jars {
  readonly name: string;
  readonly version: string;
  readonly pom?: string;
  readonly profiles?: string;
  readonly megabytes: number;
}

/** Fetches the jars of such profiles, where they are not here yet, and gives their class path. */
export async function copyJars({ name, version, pom, profiles, megabytes }: Jars, say: Say): Promise<string> {
  const home = join(localDir, `${name}-${version}`);
  await makeOnce(home, async (folder) => {
    say(`Fetching ${name} ${version} from Maven (${megabytes} MB, once)…`);
    const file = pom ?? join(repository, "localstack", "kafka", "pom.xml");
    const goal = ["-q", "-B", "-f", file, "dependency:copy-dependencies", "-DincludeScope=runtime"];
    const which = [`-Dwanted.version=${version}`, ...(profiles === undefined ? [] : ["-P", profiles])];
    const args = [...goal, ...which, `-DoutputDirectory=${join(folder, "libs")}`];
    await run({ command: "mvn", args, env: process.env }, join(localDir, `install-${name}.log`), 600_000, say);
  });
  return `${home}/libs/*`;
}

/** A Java program out of the jars of a version, and of a class path of its own. */
export function java(version: string, options: readonly string[], args: readonly string[], classes?: string): Program {
  const classPath = [...(classes === undefined ? [] : [classes]), `${jarsOf(version)}/*`].join(":");
  const jvm = ["-XX:+UseSerialGC", "-Xshare:auto", ...options, "-cp", classPath];
  return { command: "java", args: [...jvm, ...args], env: process.env };
}

/** What a short-lived Java program needs: it never lives long enough for the second compiler to pay. */
export const briefly = ["-XX:TieredStopAtLevel=1", "-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"];

/** A tool by its class and its options in Kafka 4.3, as a version knows them. */
function namedIn(version: string, className: string, args: readonly string[]): string[] {
  const [release, former] = formerClasses[className] ?? ["", className];
  const options = isBefore(version, "4.2") ? args.map((arg) => formerOptions[arg] ?? arg) : args;
  return [isBefore(version, release) ? former : className, ...options];
}

/**
 * Starts a tool, which goes by its class and its options in Kafka 4.3; it never outlives this process.
 *
 * @param classes where its class is, if it is in none of the jars of the version
 */
export function startTool(version: string, className: string, args: readonly string[], classes?: string): RunningTool {
  const program = java(version, briefly, namedIn(version, className, args), classes);
  return running(program);
}

/** The image of brokers and tools. */
export const kafkaImage = (version: string): string => `apache/kafka:${version}`;

/** The command that runs a class of a version in Docker: in this network, or in Docker's own. */
export const classInDocker = (
  version: string,
  network: string | undefined,
  options: readonly string[] = [],
): string[] => [
  ...["docker", "run", "--rm", "--interactive", ...(network === undefined ? [] : ["--network", network]), ...options],
  ...[kafkaImage(version), "/opt/kafka/bin/kafka-run-class.sh"],
];

/** The command that runs a class of a version on this machine, without what only makes it faster. */
export const classOnJars = (version: string): string[] => [
  ...["java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", `'${jarsOf(version)}/*'`],
];

/** Starts a tool in a container of its own, out of the brokers' image. */
export function startToolInDocker(
  version: string,
  network: string | undefined,
  className: string,
  args: readonly string[],
): RunningTool {
  const container = `offset-rollback-tool-${randomBytes(6).toString("hex")}`;
  const [command = "", ...options] = classInDocker(version, network, ["--name", container]);
  const program = { command, args: [...options, ...namedIn(version, className, args)], env: process.env };
  return running(program, () => spawnSync("docker", ["kill", container], { stdio: "ignore" }));
}

/** A tool from its start to its end; `kill` ends what its program alone does not. */
function running(program: Program, kill = () => {}): RunningTool {
  const child = start(program);
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  const ended = child.then(({ stdout, stderr, exitCode = -1 }) => ({ stdout, stderr, exitCode }));
  return {
    ended,
    stdout: () => printed,
    write: (text) => void child.stdin.write(text),
    end: () => void child.stdin.end(),
    kill() {
      kill();
      child.kill("SIGKILL");
    },
    async stop() {
      child.kill();
      const result = await ended;
      kill();
      return result;
    },
  };
}
