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
     * Three brokers, each with a second listener that advertises a port where nothing listens yet: a proxy of the test
     * file does. `kafka` is the way around the proxies.
     */
    faults: { kafka: KafkaDescriptor; proxies: { id: number; listen: number; broker: number }[] };
  }
}

/** Brokers as processes of this machine, even where there is Docker: they are killed, and reached through proxies. */
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

/** Starts three brokers, each with a second listener behind which a proxy is to be: see `ProvidedContext.faults`. */
export async function startProxiedBrokers(version: string, stateDir: string, say: (line: string) => void) {
  ownServices(stateDir);
  await fetchJars(version, say);
  const [a = 0, b = 0, c = 0, ...listening] = await portsForLong(6);
  const proxies = listening.map((listen, index) => ({ id: index + 1, listen, broker: [a, b, c][index] ?? 0 }));
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

/** Free ports that no outgoing connection takes while nothing listens there: below those the system gives out. */
async function portsForLong(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}
