import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Socket } from "node:net";
import { ConfigResourceTypes, ConfigSource } from "kafkajs";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { readCommits } from "../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { type Kafka, startKafka } from "../../../localstack/kafka.ts";
import { freshStateDir, removeState } from "../../../localstack/process.ts";
import { administer, at, connect, topicOf, unique } from "./support.ts";

/** A broker of its own, whose limits may be changed: a process, whose listener has the name that the limits go by. */
const stateDir = freshStateDir("connections");
let kafka: Kafka;
beforeAll(async () => {
  kafka = await startKafka({ brokers: 1, way: "processes", stateDir, say: () => {} });
});
afterAll(async () => {
  await kafka.stop();
  removeState(stateDir);
});

/** Sets limits of the broker, and nothing else, and waits until it has taken them over. */
const limit = (limits: Readonly<Record<string, string>>) =>
  administer(async (admin) => {
    const resource = { type: ConfigResourceTypes.BROKER, name: "1" };
    const configEntries = Object.entries(limits).map(([name, value]) => ({ name, value }));
    await admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries }] });
    const dynamic = async () => {
      const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [resource] });
      const entries = resources.flatMap((one) => one.configEntries);
      return Object.fromEntries(
        entries
          .filter(({ configSource }) => configSource === ConfigSource.DYNAMIC_BROKER_CONFIG)
          .map(({ configName, configValue }) => [configName, configValue]),
      );
    };
    await expect.poll(dynamic, { timeout: 10_000 }).toEqual(limits);
  }, kafka.bootstrapServers);

/** Sockets that this process opens from now on, until the test ends. */
function socketsFromNow(): Set<Socket> {
  const sockets = new Set<Socket>();
  const add = (message: unknown) => {
    if (typeof message === "object" && message !== null && "socket" in message && message.socket instanceof Socket)
      sockets.add(message.socket);
  };
  subscribe("net.client.socket", add);
  onTestFinished(() => void unsubscribe("net.client.socket", add));
  return sockets;
}

describe("a rollback's commits, spread over connections", () => {
  // The most sockets that are opened beside the first: 31 where nothing limits them, fewer where they are refused. A listener
  // that is full closes the one that was idle for the longest, which another takes the place of.
  it.each([
    ["as many as the broker takes", {}, 31],
    ["those that it takes from one address", { "max.connections.per.ip": "8" }, 16],
    ["those that its listener takes", { "listener.name.plaintext.max.connections": "3" }, 31],
    ["those that come in time, where it slows new ones down", { "max.connection.creation.rate": "2" }, 30],
  ])("are all made, once each, on %s", async (_, limits, mostSockets) => {
    const topic = await topicOf(1, 0, kafka.bootstrapServers);
    const groups = Array.from({ length: 600 }, () => unique("group"));
    const cluster = await connect(100_000, kafka.bootstrapServers);
    const commitAll = (offset: number) =>
      commitOffsets(cluster, new Map(groups.map((group) => [group, at([`${topic}-0`, offset])])));
    await commitAll(1); // the coordinators have been found, and have loaded
    await limit(limits);
    const before = cluster.requests.get("OffsetCommit") ?? 0;
    const sockets = socketsFromNow();
    const outcomes = await commitAll(7);
    expect(sockets.size).toBeGreaterThan(0);
    expect(sockets.size).toBeLessThanOrEqual(mostSockets);
    const kinds = [...outcomes.values()].map((keys) => keys.get(`${topic}-0`)?.kind);
    expect(kinds).toEqual(groups.map(() => "accepted"));
    expect(cluster.requests.get("OffsetCommit")).toBe(before + 600);
    await expect.poll(() => [...sockets].filter((socket) => !socket.destroyed).length).toBe(0);
    const read = await readCommits(cluster, new Map(groups.map((group) => [group, [`${topic}-0`]])));
    expect(read.errors).toEqual([]);
    expect([...read.commits.values()].map((keys) => keys.get(`${topic}-0`)?.offset)).toEqual(groups.map(() => 7n));
    await limit({});
  });
});
