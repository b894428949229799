import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { createConnector } from "../functions/shared/kafka/connection/connection.ts";
import { metadata } from "../functions/shared/kafka/wire/metadata.ts";
import type { Way } from "./choice.ts";
import { removeServices, startServices } from "./docker.ts";
import { briefly, isBefore, java } from "./kafka-tools.ts";
import {
  freePorts,
  isFree,
  logOf,
  repository,
  run,
  type Say,
  type Service,
  startService,
  stopService,
  until,
  untilReady,
} from "./process.ts";

/** Where a cluster is and how it was started: plain data, from which any process makes a `Kafka` with `openKafka`. */
export interface KafkaDescriptor {
  readonly kind: Way | "external";
  /** How Kafka's tools are run: on this machine, or in a container. */
  readonly tools: Way;
  /** As this machine reaches it. */
  readonly bootstrapServers: string;
  /** As containers reach it: the functions and Kafka's tools, where they are in Docker. */
  readonly containerBootstrapServers: string;
  readonly brokers: number;
  /** The version of the brokers that were started, and of the tools. */
  readonly version: string;
  readonly stateDir: string;
  /** Of broker 1, 2, …; empty for a cluster that we did not start. */
  readonly ports: readonly number[];
}

/** What to start. */
export interface BrokersToStart {
  readonly brokers: 1 | 3;
  readonly version: string;
  readonly stateDir: string;
  /** The first broker's port where that is free; any free ones otherwise. */
  readonly preferredPort?: number;
  /** What to add to server.properties or to change in it, given what stands there; not in Docker. */
  extraProperties?(own: Readonly<Record<string, string>>): Readonly<Record<string, string>>;
  /** Options of the brokers' JVM, and a folder of classes of its own; not in Docker, nor when a broker is started again. */
  readonly jvm?: { readonly options: readonly string[]; readonly classes: string };
  readonly say: Say;
}

const connector = createConnector({ protocol: "PLAINTEXT" }, "localstack");
const answered = new Error("the brokers are known");

/** The ids of the brokers that a broker knows; none when it does not answer. */
export async function brokerIds(address: string): Promise<number[]> {
  try {
    const connection = await connector.connect(address, 3_000, new AbortController().signal);
    const { brokers } = await connection
      .send(metadata, { topics: [] }, 3_000)
      .finally(() => connection.close(answered));
    return brokers.map(({ nodeId }) => nodeId);
  } catch {
    return [];
  }
}

/** Whether each of these brokers answers, and knows that it and all of these belong to the cluster. */
export async function serves(ports: readonly number[], ids: readonly number[]): Promise<boolean> {
  const answers = await Promise.all(ids.map((id) => brokerIds(`127.0.0.1:${ports[id - 1]}`)));
  return answers.every((known) => ids.every((id) => known.includes(id)));
}

/** The service that runs a broker on this machine. */
export function brokerService(stateDir: string, id: number): Service {
  return { stateDir, name: `broker-${id}` };
}

/** Before 3.3 KRaft was a preview, and loses brokers: those versions are started with ZooKeeper, as clusters of that time. */
const usesZooKeeper = (version: string) => isBefore(version, "3.3");

/** The class of Kafka's own authorizer of ACLs. */
export const authorizerOf = (version: string): string =>
  usesZooKeeper(version)
    ? "kafka.security.authorizer.AclAuthorizer"
    : "org.apache.kafka.metadata.authorizer.StandardAuthorizer";

const zooKeeperService = (stateDir: string): Service => ({ stateDir, name: "zookeeper" });

/** The services that run a cluster on this machine: its brokers, and what they need. */
const servicesOf = (stateDir: string, version: string, ids: readonly number[]): Service[] => [
  ...(usesZooKeeper(version) ? [zooKeeperService(stateDir)] : []),
  ...ids.map((id) => brokerService(stateDir, id)),
];

/** Stops a cluster of this machine at once. */
export async function stopProcesses(stateDir: string, version: string, ids: readonly number[]): Promise<void> {
  await Promise.all(servicesOf(stateDir, version, ids).map((service) => stopService(service, 0)));
}

/** The id of the cluster whose data a folder has, so that one whose processes have died starts with it again; else a new one. */
function clusterIdIn(stateDir: string): string {
  mkdirSync(stateDir, { recursive: true });
  const file = join(stateDir, "cluster-id");
  if (!existsSync(file)) writeFileSync(file, newClusterId());
  return readFileSync(file, "utf8");
}

/** Starts the brokers as processes of this machine; with other ports if another process has taken one meanwhile. */
export async function startProcesses(options: BrokersToStart, attempt = 1): Promise<KafkaDescriptor> {
  const { brokers, version, stateDir } = options;
  const ids = brokers === 1 ? [1] : [1, 2, 3];
  const ports = await freePorts(2 * brokers, options.preferredPort, options.say);
  const clusterId = clusterIdIn(stateDir);
  await Promise.all(
    ids.map(async (id) => {
      const folder = join(stateDir, `broker-${id}`);
      mkdirSync(folder, { recursive: true });
      const file = join(folder, "server.properties");
      const own = propertiesOf(version, id, ports, folder);
      const properties = { ...own, ...options.extraProperties?.(own) };
      const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}\n`);
      writeFileSync(file, lines.join(""));
      if (usesZooKeeper(version)) return;
      const format = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", clusterId, "-c", file];
      await run(java(version, briefly, format), join(folder, "format.log"), 60_000, options.say);
    }),
  );
  try {
    if (usesZooKeeper(version)) await startZooKeeper(version, stateDir, ports[brokers] ?? 0);
    for (const id of ids) startBrokerProcess(version, stateDir, id, options.jvm);
    for (const id of ids) await untilReady(brokerService(stateDir, id), () => serves(ports, ids), 90_000);
  } catch (error) {
    await stopProcesses(stateDir, version, ids);
    const services = servicesOf(stateDir, version, ids);
    const logs = services.map(logOf).filter((log) => existsSync(log));
    const portLost = logs.some((log) => /Address already in use/.test(readFileSync(log, "utf8")));
    if (!portLost || attempt === 3) throw error;
    options.say("A port was taken in between: starting on others…");
    for (const { name } of services) rmSync(join(stateDir, name), { recursive: true, force: true });
    return startProcesses(options, attempt + 1);
  }
  return descriptorOf("processes", options, ports.slice(0, brokers));
}

/** The brokers that were started on these ports; containers reach them there too, unless `forContainers` has other addresses. */
function descriptorOf(
  way: Way,
  { brokers, version, stateDir }: BrokersToStart,
  ports: readonly number[],
  forContainers?: string,
): KafkaDescriptor {
  const bootstrapServers = ports.map((port) => `127.0.0.1:${port}`).join(",");
  const containerBootstrapServers = forContainers ?? bootstrapServers;
  return { kind: way, tools: way, bootstrapServers, containerBootstrapServers, brokers, version, stateDir, ports };
}

/** Starts one broker, whose folder has its properties, and its data if it ran before. */
export function startBrokerProcess(version: string, stateDir: string, id: number, jvm?: BrokersToStart["jvm"]): void {
  const file = join(stateDir, `broker-${id}`, "server.properties");
  const options = ["-XX:TieredStopAtLevel=1", "-Xmx400m", ...(jvm?.options ?? [])];
  startService(brokerService(stateDir, id), java(version, options, ["kafka.Kafka", file], jvm?.classes));
}

async function startZooKeeper(version: string, stateDir: string, port: number): Promise<void> {
  const service = zooKeeperService(stateDir);
  const folder = join(stateDir, service.name);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "zookeeper.properties");
  const listener = `clientPortAddress=127.0.0.1\nclientPort=${port}\nadmin.enableServer=false\n`;
  writeFileSync(file, `${listener}dataDir=${join(folder, "data")}\ntickTime=1000\n`);
  const program = ["org.apache.zookeeper.server.ZooKeeperServerMain", file];
  startService(service, java(version, ["-XX:TieredStopAtLevel=1", "-Xmx128m"], program));
  await untilReady(service, async () => !(await isFree(port)), 30_000);
}

/** Kafka draws its ids the same way, and avoids a leading dash too. */
function newClusterId(): string {
  const id = randomBytes(16).toString("base64url");
  return id.startsWith("-") ? newClusterId() : id;
}

/** What kafka/broker.env sets, by Kafka's own names: the settings that brokers in Docker have too. */
export function sharedSettings(brokers: number): Record<string, string> {
  const settings = parseEnv(readFileSync(join(repository, "localstack", "kafka", "broker.env"), "utf8"));
  return Object.fromEntries(
    Object.entries(settings).map(([name, value = ""]) => [
      name.replace("KAFKA_", "").toLowerCase().replaceAll("_", "."),
      value.replace(/\$\{KAFKA_BROKERS:-1\}/, `${brokers}`),
    ]),
  );
}

/**
 * The server.properties of a broker that is a process.
 *
 * @param ports the first half are the brokers', the second half their controllers', or ZooKeeper's
 */
export function propertiesOf(
  version: string,
  id: number,
  ports: readonly number[],
  folder: string,
): Record<string, string> {
  const brokers = ports.length / 2;
  const controllers = ports.slice(brokers);
  const listener = `PLAINTEXT://127.0.0.1:${ports[id - 1]}`;
  const metadataQuorum = usesZooKeeper(version)
    ? { "zookeeper.connect": `127.0.0.1:${controllers[0]}`, listeners: listener }
    : {
        "process.roles": "broker,controller",
        "controller.quorum.voters": controllers.map((port, index) => `${index + 1}@127.0.0.1:${port}`).join(","),
        "controller.listener.names": "CONTROLLER",
        listeners: `${listener},CONTROLLER://127.0.0.1:${controllers[id - 1]}`,
      };
  return {
    "node.id": `${id}`,
    ...metadataQuorum,
    "advertised.listeners": listener,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "log.dirs": join(folder, "data"),
    ...sharedSettings(brokers),
  };
}

/** The services of compose.yaml that are brokers. */
export const dockerServices = (ids: readonly number[]): string[] => ids.map((id) => `kafka-${id}`);

/** How long a broker that is in Docker may take from healthy to serving. */
const SERVES_MS = 60_000;

/** Waits until brokers of Docker serve: their ports are open a while before. */
export async function untilServes(ports: readonly number[], ids: readonly number[]): Promise<void> {
  if (await until(() => serves(ports, ids), SERVES_MS)) return;
  throw new Error(`Broker ${ids.join(", ")} in Docker did not serve within ${SERVES_MS / 1000} s`);
}

/** Starts the brokers in Docker, out of compose.yaml. */
export async function startInDocker(options: BrokersToStart): Promise<KafkaDescriptor> {
  const { brokers, version, stateDir, preferredPort, say } = options;
  const ids = brokers === 1 ? [1] : [1, 2, 3];
  const services = dockerServices(ids);
  const ports = await startServices({
    stateDir,
    services,
    portCount: brokers,
    preferredPort,
    say,
    variables: ([first, ...others]) => ({
      KAFKA_VERSION: version,
      KAFKA_CLUSTER_ID: newClusterId(),
      KAFKA_BROKERS: `${brokers}`,
      KAFKA_QUORUM: services.map((name, index) => `${index + 1}@${name}:9093`).join(","),
      KAFKA_PORT: `${first}`,
      ...Object.fromEntries(others.map((port, index) => [`KAFKA_PORT_${index + 2}`, `${port}`])),
    }),
  });
  try {
    await untilServes(ports, ids);
  } catch (error) {
    await removeServices(stateDir, services);
    throw error;
  }
  return descriptorOf("docker", options, ports, services.map((name) => `${name}:19092`).join(","));
}
