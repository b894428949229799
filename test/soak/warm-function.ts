/** A warm function: a process that takes one snapshot after another, and reports the resources that it holds after each. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { envNames } from "../../functions/shared/lambda/env.ts";
import { run } from "../faults/support/handlers.ts";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** The target of a file descriptor; undefined if it was closed, as the descriptor of the listing was. */
function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

const brokerPorts = (process.env[envNames.bootstrapServers] ?? "")
  .split(",")
  .map((server) => Number(server.split(":")[1]));

/** The number of these descriptors that are connections to brokers. */
function countConnections(files: readonly string[]): number {
  const own = new Set(files);
  return readFileSync("/proc/self/net/tcp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , remote = "", , , , , , , inode]) => {
      return own.has(`socket:[${inode}]`) && brokerPorts.includes(Number.parseInt(remote.split(":")[1] ?? "", 16));
    }).length;
}

process.on("message", async (message) => {
  const { event, remainingMs } = Object(message);
  const started = performance.now();
  const answer = await run("snapshot", event, remainingMs);
  const ms = performance.now() - started;
  for (let i = 0; i < 5; i++) await turn(); // sockets that were destroyed are closed in a later turn
  collectGarbage();
  const { rss, heapUsed, external } = process.memoryUsage();
  const files = readdirSync("/proc/self/fd").flatMap((file) => linkOf(`/proc/self/fd/${file}`) ?? []);
  process.send?.({
    answer,
    ms,
    held: {
      rss,
      heap: heapUsed + external,
      files: files.length,
      sockets: files.filter((file) => file.startsWith("socket:")).length,
      connections: countConnections(files),
      timers: process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length,
    },
  });
});
process.once("disconnect", () => process.exit());
