import {
  type BrokersToStart,
  brokerIds,
  brokerService,
  type KafkaDescriptor,
  serves,
  startBrokerProcess,
  startInDocker,
  startProcesses,
  stopProcesses,
} from "./brokers.ts";
import { composeIn, dockerAnswers, removeFromCompose } from "./docker.ts";
import { fetchJars, isBefore, type RunningTool, startTool, type ToolResult } from "./kafka-tools.ts";
import { isFree, ownServices, runningPid, stopService, until, untilReady } from "./process.ts";

export type { KafkaDescriptor } from "./brokers.ts";

/** A Kafka cluster and Kafka's own tools. */
export interface Kafka extends KafkaDescriptor {
  /**
   * Runs a tool to its end; an exit code other than 0 is an answer, not an error. Whatever the version, a tool goes by its
   * class and its options in Kafka 4.3.
   */
  tool(
    className: string,
    args: readonly string[],
    options?: { stdin?: string; timeoutMs?: number },
  ): Promise<ToolResult>;
  /** Starts a tool that goes on until it is stopped, such as a consumer. */
  startTool(className: string, args: readonly string[]): RunningTool;
  /** Whether every broker answers. */
  isUp(): Promise<boolean>;
  /** Kills broker 1, 2 or 3 as a crash would. */
  killBroker(id: number): Promise<void>;
  /** Starts a broker that was killed and waits until it serves. */
  startBroker(id: number): Promise<void>;
  /** Stops what `startKafka` started, at once: its data goes with it. Nothing, for a cluster that it did not start. */
  stop(): Promise<void>;
}

/** What to start: one broker of KAFKA_VERSION (4.3.1 by default) unless it says otherwise. */
export interface StartKafka extends Omit<BrokersToStart, "brokers" | "version"> {
  readonly brokers?: 1 | 3;
  readonly version?: string;
  /** Leaves the brokers running when this process ends. */
  readonly detached?: boolean;
}

/** The number of brokers that the environment asks for with KAFKA_BROKERS. */
export function brokersFromEnvironment(): 1 | 3 {
  const asked = process.env.KAFKA_BROKERS || "1";
  if (asked !== "1" && asked !== "3") throw new Error(`KAFKA_BROKERS is 1 or 3, not "${asked}"`);
  return asked === "1" ? 1 : 3;
}

const defaultVersion = () => process.env.KAFKA_VERSION ?? "4.3.1";

/** Uses the cluster at KAFKA_BOOTSTRAP_SERVERS, or starts one: `startKafka`. */
export async function useOrStartKafka(options: StartKafka): Promise<Kafka> {
  const given = process.env.KAFKA_BOOTSTRAP_SERVERS;
  return given ? connectKafka(given, options.stateDir) : startKafka(options);
}

/** The first release of which there is an image. */
const FIRST_IMAGE = "3.7";

/**
 * Starts a cluster on free ports of 127.0.0.1: in Docker where an engine answers and has an image of the version, as
 * processes of this machine otherwise.
 */
export async function startKafka(options: StartKafka): Promise<Kafka> {
  const { brokers = 1, version = defaultVersion(), stateDir, say } = options;
  const started = performance.now();
  if (options.detached !== true) ownServices(stateDir);
  const docker = !isBefore(version, FIRST_IMAGE) && dockerAnswers();
  if (!docker) await fetchJars(version, say);
  say(
    `Starting Kafka ${version} with ${brokers} ${brokers === 1 ? "broker" : "brokers"}${docker ? " in Docker" : ""}…`,
  );
  const kafka = openKafka(await (docker ? startInDocker : startProcesses)({ ...options, brokers, version }));
  say(`Kafka is up at ${kafka.bootstrapServers} (${((performance.now() - started) / 1000).toFixed(0)} s)`);
  return kafka;
}

/** A cluster that runs already. Tools work; its brokers are not ours to stop or kill. */
export async function connectKafka(bootstrapServers: string, stateDir: string): Promise<Kafka> {
  const answers = await Promise.all(bootstrapServers.split(",").map((server) => brokerIds(server)));
  const ids = answers.find((known) => known.length > 0) ?? [];
  if (ids.length === 0) throw new Error(`No Kafka answers at ${bootstrapServers} (KAFKA_BOOTSTRAP_SERVERS)`);
  return openKafka({
    kind: "external",
    bootstrapServers,
    functionBootstrapServers: bootstrapServers,
    brokers: ids.length,
    version: defaultVersion(),
    stateDir,
    ports: [],
  });
}

/** The cluster of a descriptor, in this or another process than the one that started it. */
export function openKafka(descriptor: KafkaDescriptor): Kafka {
  const { kind, version, stateDir, ports } = descriptor;
  const compose = composeIn(stateDir);
  const ids = ports.map((_, index) => index + 1);
  const own = (id: number) => {
    if (kind === "external") throw new Error("This Kafka was not started here: its brokers are not ours");
    if (ports[id - 1] === undefined) throw new Error(`There is no broker ${id}`);
  };
  return {
    ...descriptor,
    startTool: (className, args) => startTool(version, className, args),
    async tool(className, args, { stdin = "", timeoutMs = 60_000 } = {}) {
      await fetchJars(version, () => {});
      const tool = startTool(version, className, args);
      tool.write(stdin);
      tool.end();
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        tool.kill();
      }, timeoutMs);
      const result = await tool.ended;
      clearTimeout(timer);
      if (!late) return result;
      throw new Error(
        `${className} had not ended after ${timeoutMs / 1000} s; it said:\n${result.stdout}${result.stderr}`,
      );
    },
    isUp: () => (kind === "external" ? Promise.resolve(true) : serves(ports, ids)),
    async killBroker(id) {
      own(id);
      if (kind === "docker") await compose(["kill", `kafka-${id}`]);
      else await stopService(brokerService(stateDir, id), 0);
    },
    async startBroker(id) {
      own(id);
      if (kind === "docker") return compose(["start", `kafka-${id}`]);
      const broker = brokerService(stateDir, id);
      if (runningPid(broker) !== undefined) return;
      await until(() => isFree(ports[id - 1] ?? 0), 10_000);
      startBrokerProcess(version, stateDir, id);
      await untilReady(broker, () => serves(ports, [id]), 60_000);
    },
    async stop() {
      if (kind === "docker")
        await removeFromCompose(
          stateDir,
          ids.map((id) => `kafka-${id}`),
        );
      if (kind === "processes") await stopProcesses(stateDir, version, ids);
    },
  };
}
