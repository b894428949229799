import { setTimeout as delay } from "node:timers/promises";
import {
  type BrokersToStart,
  brokerIds,
  brokerService,
  dockerServices,
  type KafkaDescriptor,
  serves,
  startBrokerProcess,
  startInDocker,
  startProcesses,
  stopProcesses,
  untilServes,
} from "./brokers.ts";
import { type Choice, choose, kafkaVersionOf, type Way } from "./choice.ts";
import { compose, networkOf, pullImage, removeServices } from "./docker.ts";
import {
  classInDocker,
  classOnJars,
  fetchJars,
  kafkaImage,
  type RunningTool,
  startTool,
  startToolInDocker,
  type ToolResult,
} from "./kafka-tools.ts";
import { isFree, ownServices, runningPid, type Say, stopService, until, untilReady } from "./process.ts";

export type { KafkaDescriptor } from "./brokers.ts";

/** A Kafka cluster and Kafka's own tools. */
export interface Kafka extends KafkaDescriptor {
  /**
   * Runs a tool on this cluster (or where its arguments say: `--bootstrap-server`) to its end; an exit code other than 0 is
   * an answer, not an error. Whatever the version, a tool goes by its class and its options in Kafka 4.3.
   */
  tool(
    className: string,
    args: readonly string[],
    options?: { stdin?: string; timeoutMs?: number },
  ): Promise<ToolResult>;
  /** Starts a tool that goes on until it is stopped, such as a consumer. */
  startTool(className: string, args: readonly string[]): RunningTool;
  /** The shell command that a person runs a class of Kafka's tools with, and its `--bootstrap-server`. */
  readonly toolCommand: { readonly program: string; readonly bootstrapServers: string };
  /** Whether every broker answers. */
  isUp(): Promise<boolean>;
  /** Kills broker 1, 2 or 3 as a crash would. */
  killBroker(id: number): Promise<void>;
  /** Starts a broker that was killed and waits until it serves. */
  startBroker(id: number): Promise<void>;
  /** Stops what `startKafka` started, at once: its data goes with it. Nothing, for a cluster that it did not start. */
  stop(): Promise<void>;
}

/** What to start: one broker of KAFKA_VERSION, as `choose` says, unless it says otherwise. */
export interface StartKafka extends Omit<BrokersToStart, "brokers" | "version"> {
  readonly brokers?: 1 | 3;
  readonly version?: string;
  readonly way?: Way;
  /** Leaves the brokers running when this process ends. */
  readonly detached?: boolean;
}

/** Uses the cluster of a choice, or starts it: `startKafka`. */
export async function useOrStartKafka(choice: Choice, options: Omit<StartKafka, "way">): Promise<Kafka> {
  const { way, kafkaVersion: version, givenKafka } = choice;
  if (givenKafka !== undefined) return connectKafka(choice, givenKafka, options.stateDir, options.say);
  return startKafka({ version, brokers: choice.brokers, ...options, way });
}

/** Starts a cluster on free ports of 127.0.0.1. */
export async function startKafka(options: StartKafka): Promise<Kafka> {
  const { brokers = 1, version = kafkaVersionOf(process.env), stateDir, say } = options;
  const docker = (options.way ?? (await choose({ kafka: true })).way) === "docker";
  const started = performance.now();
  if (options.detached !== true) ownServices(stateDir);
  if (!docker) await fetchJars(version, say);
  say(
    `Starting Kafka ${version} with ${brokers} ${brokers === 1 ? "broker" : "brokers"}${docker ? " in Docker" : ""}…`,
  );
  const kafka = openKafka(await (docker ? startInDocker : startProcesses)({ ...options, brokers, version }));
  say(`Kafka is up at ${kafka.bootstrapServers} (${((performance.now() - started) / 1000).toFixed(0)} s)`);
  return kafka;
}

/** A cluster that is already running. Tools work; its brokers are never stopped or killed. */
async function connectKafka(
  { way: tools, kafkaVersion: version }: Choice,
  bootstrapServers: string,
  stateDir: string,
  say: Say,
): Promise<Kafka> {
  const answers = await Promise.all(bootstrapServers.split(",").map((server) => brokerIds(server)));
  const ids = answers.find((known) => known.length > 0) ?? [];
  if (ids.length === 0) throw new Error(`No Kafka answers at ${bootstrapServers} (KAFKA_BOOTSTRAP_SERVERS)`);
  await (tools === "docker" ? pullImage(kafkaImage(version), stateDir, say) : fetchJars(version, say));
  return openKafka({
    kind: "external",
    tools,
    bootstrapServers,
    containerBootstrapServers: bootstrapServers,
    brokers: ids.length,
    version,
    stateDir,
    ports: [],
  });
}

/** The cluster of a descriptor, in this or another process than the one that started it. */
export function openKafka(descriptor: KafkaDescriptor): Kafka {
  const { kind, tools, version, stateDir, ports } = descriptor;
  const network = kind === "docker" ? networkOf(stateDir) : undefined;
  const ids = ports.map((_, index) => index + 1);
  const own = (id: number) => {
    if (kind === "external")
      throw new Error("This Kafka was not started by this project, so its brokers are not stopped or killed");
    if (ports[id - 1] === undefined) throw new Error(`There is no broker ${id}`);
  };
  const inDocker = tools === "docker";
  const bootstrapServers = inDocker ? descriptor.containerBootstrapServers : descriptor.bootstrapServers;
  const start = (className: string, args: readonly string[]) => {
    const server = args.includes("--bootstrap-server") ? [] : ["--bootstrap-server", bootstrapServers];
    return inDocker
      ? startToolInDocker(version, network, className, [...server, ...args])
      : startTool(version, className, [...server, ...args]);
  };
  return {
    ...descriptor,
    toolCommand: {
      program: (inDocker ? classInDocker(version, network) : classOnJars(version)).join(" "),
      bootstrapServers,
    },
    startTool: start,
    async tool(className, args, { stdin = "", timeoutMs = 60_000 } = {}) {
      const tool = start(className, args);
      tool.write(stdin);
      tool.end();
      const inTime = await Promise.race([tool.ended, delay(timeoutMs, undefined, { ref: false })]);
      if (inTime !== undefined) return inTime;
      tool.kill();
      const { stdout, stderr } = await tool.ended;
      throw new Error(`${className} had not ended after ${timeoutMs / 1000} s; it said:\n${stdout}${stderr}`);
    },
    isUp: () => (kind === "external" ? Promise.resolve(true) : serves(ports, ids)),
    async killBroker(id) {
      own(id);
      if (kind === "docker") await compose(stateDir, ["kill", ...dockerServices([id])]);
      else await stopService(brokerService(stateDir, id), 0);
    },
    async startBroker(id) {
      own(id);
      if (kind === "docker") {
        await compose(stateDir, ["start", ...dockerServices([id])]);
        await untilServes(ports, [id]);
        return;
      }
      const broker = brokerService(stateDir, id);
      if (runningPid(broker) !== undefined) return;
      await until(() => isFree(ports[id - 1] ?? 0), 10_000);
      startBrokerProcess(version, stateDir, id);
      await untilReady(broker, () => serves(ports, [id]), 60_000);
    },
    async stop() {
      if (kind === "docker") await removeServices(stateDir, dockerServices(ids));
      if (kind === "processes") await stopProcesses(stateDir, version, ids);
    },
  };
}
