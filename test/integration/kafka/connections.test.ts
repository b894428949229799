import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Socket } from "node:net";
import { ConfigResourceTypes, ConfigSource } from "kafkajs";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { readCommits } from "../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { type Kafka, startKafka } from "../../../localstack/kafka.ts";
import { freshStateDir, removeState } from "../../../localstack/process.ts";
import { administer, at, connect, topicOf, unique } from "./support.ts";

// A separate broker, whose limits the tests change. It is a process, because the limits contain the name of its listener.
const stateDir = freshStateDir("connections");
let kafka: Kafka;
beforeAll(async () => {
  kafka = await startKafka({ brokers: 1, way: "processes", stateDir, say: () => {} });
});
afterAll(async () => {
  await kafka.stop();
  removeState(stateDir);
});

/** Sets these limits of the broker and removes others, and waits until it has applied them. */
const limit = (limits: Readonly<Record<string, string>>) =>
  administer(async (admin) => {
    const resource = { type: ConfigResourceTypes.BROKER, name: "1" };
    const configEntries = Object.entries(limits).map(([name, value]) => ({ name, value }));
    await admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries }] });
    const dynamic = async () => {
      const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [resource] });
      const entries = resources.flatMap((described) => described.configEntries);
      return Object.fromEntries(
        entries
          .filter(({ configSource }) => configSource === ConfigSource.DYNAMIC_BROKER_CONFIG)
          .map(({ configName, configValue }) => [configName, configValue]),
      );
    };
    await expect.poll(dynamic, { timeout: 10_000 }).toEqual(limits);
  }, kafka.bootstrapServers);

/** The sockets that this process opens until the test ends. */
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
  // The most sockets that are opened beside the first: 31 without a limit, fewer if the broker refuses connections. A full
  // listener closes the connection that was idle longest, and another is opened in its place.
  it.each([
    ["without a limit", {}, 31],
    ["with a limit per address", { "max.connections.per.ip": "8" }, 16],
    ["with a limit per listener", { "listener.name.plaintext.max.connections": "3" }, 31],
    ["with a limit of the connection rate", { "max.connection.creation.rate": "2" }, 30],
  ])("are all made, once each, on %s", async (_, limits, mostSockets) => {
    const topic = await topicOf(1, 0, kafka.bootstrapServers);
    const groups = Array.from({ length: 600 }, () => unique("group"));
    const cluster = await connect(100_000, kafka.bootstrapServers);
    const commitAll = (offset: number) =>
      commitOffsets(cluster, new Map(groups.map((group) => [group, at([`${topic}-0`, offset])])));
    await commitAll(1); // so that coordinators are known and have loaded their groups
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
