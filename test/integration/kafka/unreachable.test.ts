import { execFile } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, inject, it, onTestFinished } from "vitest";
import { connectCluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { listGroups } from "../../../functions/shared/kafka/groups/group-list.ts";
import { repository } from "../../../localstack/process.ts";
import { within } from "../../support/deadline.ts";
import { configOf, connect } from "./support.ts";

/** A server that is not a broker, with this behaviour for each connection. */
async function server(behave: (socket: Socket) => void): Promise<string> {
  const sockets: Socket[] = [];
  const listening = createServer((socket) => {
    sockets.push(socket.on("error", () => {}));
    behave(socket);
  });
  listening.listen(0, "127.0.0.1");
  await once(listening, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    listening.close();
  });
  const { port } = listening.address() as AddressInfo;
  return `127.0.0.1:${port}`;
}

const refuses = async () => {
  const listening = createServer().listen(0, "127.0.0.1");
  await once(listening, "listening");
  const { port } = listening.address() as AddressInfo;
  listening.close();
  await once(listening, "close");
  return `127.0.0.1:${port}`;
};
const hangs = () => server(() => {});
const closes = () => server((socket) => socket.end());
const resets = () => server((socket) => socket.once("data", () => socket.resetAndDestroy()));
const talksNonsense = (bytes: Buffer) => server((socket) => socket.once("data", () => socket.write(bytes)));

describe("connectCluster", () => {
  it("reports how each server failed, within 15 s", async () => {
    const servers = {
      refused: await refuses(),
      hung: await hangs(),
      closed: await closes(),
      reset: await resets(),
      http: await talksNonsense(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")),
      nonsense: await talksNonsense(Buffer.alloc(12, 0xff)),
      nowhere: "no-such-host.invalid:9092",
      blackHole: "192.0.2.1:9092",
    };
    const started = performance.now();

    const connecting = connectCluster(configOf(Object.values(servers).join()), within(60_000));
    const error = await connecting.catch((error: unknown) => error);

    expect(performance.now() - started).toBeLessThan(15_000);
    expect(error).toMatchObject({ name: "KafkaUnavailable", retryable: true });
    const { message } = error as Error;
    expect(message).toMatch(/^KafkaUnavailable: no broker of cluster test answered: /);
    expect(message).toContain(`${servers.refused} refused the connection (ECONNREFUSED)`);
    expect(message).toContain(`${servers.hung} accepted the connection and did not answer in time`);
    expect(message).toContain(`${servers.closed} closed the connection without an answer`);
    expect(message).toContain(`${servers.reset} reset the connection (ECONNRESET)`);
    expect(message).toContain(`${servers.http} accepted the connection and did not answer in time`);
    for (const address of Object.values(servers)) expect(message).toContain(address);
  });

  it.each([
    ["refuses", refuses],
    ["hangs", hangs],
    ["closes", closes],
  ])("gives up before the deadline when the only server %s", async (_, make) => {
    const deadline = within(2_000);
    const connecting = connectCluster(configOf(await make()), deadline);
    await expect(connecting).rejects.toMatchObject({ name: "KafkaUnavailable" });
    expect(deadline.remainingMs()).toBeGreaterThan(0);
  });

  it("needs one server that answers, and does not wait for others", async () => {
    const servers = [await hangs(), await refuses(), inject("kafka").bootstrapServers, await closes()];
    const started = performance.now();
    const cluster = await connect(50_000, servers.join());
    expect(performance.now() - started).toBeLessThan(5_000);
    expect((await listGroups(cluster)).warnings).toEqual([]);
  });

  it("refuses an address that is not host:port", async () => {
    await expect(connectCluster(configOf("localhost"), within(1_000))).rejects.toMatchObject({
      name: "Configuration",
    });
  });
});

describe("close", () => {
  it("fails requests in flight, and does not keep the process alive", async () => {
    const shared = join(repository, "functions", "shared", "kafka");
    const script = `
      import { connectCluster } from ${JSON.stringify(join(shared, "connection", "cluster.ts"))};
      import { listGroups } from ${JSON.stringify(join(shared, "groups", "group-list.ts"))};
      const deadline = { signal: new AbortController().signal, remainingMs: () => 3_600_000 };
      const cluster = await connectCluster(${JSON.stringify(configOf(inject("kafka").bootstrapServers))}, deadline);
      await listGroups(cluster);
      const inFlight = listGroups(cluster).then(() => "answered", (error) => error.name);
      cluster.close();
      console.log(await inFlight);`;
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
      timeout: 20_000,
    });
    expect({ stdout, stderr }).toEqual({ stdout: "KafkaUnavailable\n", stderr: "" });
  });

  it("happens when the deadline passes: requests fail with DeadlineExceeded, never with an empty answer", async () => {
    const cluster = await connect(800);
    await new Promise((done) => cluster.deadline.signal.addEventListener("abort", done));
    await expect(listGroups(cluster)).rejects.toMatchObject({ name: "DeadlineExceeded" });
    await expect(cluster.metadata([])).rejects.toThrow(/DeadlineExceeded|closed/);
  });
});
