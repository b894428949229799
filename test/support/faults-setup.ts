import type { TestProject } from "vitest/node";
import { type KafkaDescriptor, startProcesses } from "../../localstack/brokers.ts";
import { choose } from "../../localstack/choice.ts";
import { useOrStartCloud } from "../../localstack/cloud.ts";
import { openKafka } from "../../localstack/kafka.ts";
import { fetchJars } from "../../localstack/kafka-tools.ts";
import { freshStateDir, isFree, ownServices, removeState } from "../../localstack/process.ts";
import { plain } from "./plain.ts";

declare module "vitest" {
  interface ProvidedContext {
    /**
     * Three brokers, each with a second listener. It advertises a port on which a test file starts a proxy. `kafka` has the
     * addresses without proxies.
     */
    faults: { kafka: KafkaDescriptor; proxies: { id: number; listen: number; broker: number }[] };
  }
}

/** Brokers are always processes, even with Docker: tests kill them and reach them through proxies. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const say = (line: string) => console.log(line);
  const choice = await choose({ cloud: true, brokerProcesses: true });
  const stateDir = freshStateDir("faults");
  const cloud = await useOrStartCloud(choice, { stateDir, say });
  project.provide("cloud", plain(cloud));
  const faults = await startProxiedBrokers(choice.kafkaVersion, stateDir, say);
  project.provide("faults", faults);
  return async () => {
    await Promise.all([cloud.stop(), openKafka(faults.kafka).stop()]);
    removeState(stateDir);
  };
}

/** Starts three brokers, each with a second listener for a proxy: see `ProvidedContext.faults`. */
export async function startProxiedBrokers(version: string, stateDir: string, say: (line: string) => void) {
  ownServices(stateDir);
  await fetchJars(version, say);
  const [a = 0, b = 0, c = 0, ...proxyPorts] = await portsOutsideEphemeralRange(6);
  const proxies = proxyPorts.map((listen, index) => ({ id: index + 1, listen, broker: [a, b, c][index] ?? 0 }));
  say(`Starting Kafka ${version} with 3 brokers behind proxies…`);
  const kafka = await startProcesses({
    brokers: 3,
    version,
    stateDir,
    say,
    extraProperties(own) {
      const { listen, broker } = proxies[Number(own["node.id"]) - 1] ?? { listen: 0, broker: 0 };
      return {
        listeners: `${own.listeners},PROXIED://127.0.0.1:${broker}`,
        "advertised.listeners": `${own["advertised.listeners"]},PROXIED://127.0.0.1:${listen}`,
        "listener.security.protocol.map": `${own["listener.security.protocol.map"]},PROXIED:PLAINTEXT`,
        "inter.broker.listener.name": "PLAINTEXT",
      };
    },
  });
  return { kafka, proxies };
}

/** Free ports below the ephemeral range: no outgoing connection uses one before something listens there. */
async function portsOutsideEphemeralRange(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}
