import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { parse } from "yaml";
import * as z from "zod";
import { propertiesOf, sharedSettings } from "../../localstack/brokers.ts";
import { networkOf, removeAll, removeServices, startServices } from "../../localstack/docker.ts";
import { repository } from "../../localstack/process.ts";
import { linesOf, pathWith, temporaryFolder } from "./commands.ts";

/** A `docker` that records its calls, delays Compose, and has every image except `missing`. */
const recordingDocker = (file: string) => `
note() { echo "$*" >> ${file}; }
case "$*" in
  *"config --format json"*) echo '{"services": {"kafka-1": {"image": "kafka"}, "localstack": {"image": "localstack"}, "broken": {"image": "kafka"}, "function": {"image": "'$FUNCTION_IMAGE'"}}}' ;;
  "image inspect missing"*) exit 1 ;;
  "image inspect"*) ;;
  pull*) note "$@"; echo "manifest unknown"; exit 1 ;;
  compose*up*broken) note "$@"; echo "container broken is unhealthy" >&2; exit 1 ;;
  compose*) note "begin $*"; sleep 0.3; note "end $*" ;;
  "ps "*network=*) [ -e ${file}.gone ] || echo c1; [ -e ${file}.gone ] || echo f1 ;;
  "ps "*label=*) [ -e ${file}.gone ] || echo c1 ;;
  "rm "*) note "$@"; echo > ${file}.gone ;;
  "network inspect"*) [ -e ${file}.no-network ] && exit 1; exit 0 ;;
  "network rm"*) note "$@"; [ -e ${file}.gone ] && echo > ${file}.no-network ;;
  *) note "$@" ;;
esac`;

let stateDir: string;
let calls: string;
let path: string;
beforeEach(() => {
  stateDir = temporaryFolder();
  calls = join(temporaryFolder(), "calls");
  path = pathWith({ docker: recordingDocker(calls) });
  vi.stubEnv("PATH", path);
  vi.stubEnv("FUNCTION_IMAGE", "function");
  onTestFinished(() => void vi.unstubAllEnvs());
});

const started = (service: string, said: string[] = [], alsoPull: string[] = []) =>
  startServices({
    stateDir,
    services: [service],
    alsoPull,
    portCount: 1,
    variables: () => ({}),
    say: (line) => said.push(line),
  });

describe("services in Docker", () => {
  it("are started one after another, each with its own log", async () => {
    await Promise.all([started("kafka-1"), started("localstack")]);
    const verbs = linesOf(calls).map((line) => line.replace(/compose .* up /, "up "));
    expect(verbs).toEqual([
      "begin up --detach --wait kafka-1",
      "end up --detach --wait kafka-1",
      "begin up --detach --wait localstack",
      "end up --detach --wait localstack",
    ]);
    expect(readdirSync(stateDir).filter((name) => /^compose-.*-up\.log$/.test(name))).toHaveLength(2);
  });

  it("are removed with their network if they do not start", async () => {
    await expect(started("broken")).rejects.toThrow("container broken is unhealthy");
    const asked = linesOf(calls);
    expect(asked.at(-2)).toMatch(/^end compose .* rm --force --stop --volumes broken$/);
    expect(asked.at(-1)).toBe(`network rm ${networkOf(stateDir)}`);
  });

  it("pull their images first; if that fails, the error names the way without Docker", async () => {
    vi.stubEnv("FUNCTION_IMAGE", "missing/image:1");
    const said: string[] = [];
    const failure = started("localstack", said, ["function"]);
    await expect(failure).rejects.toThrow(
      /missing\/image:1 could not be pulled\. .*LOCAL_AWS=ministack[\s\S]*manifest unknown/,
    );
    expect(said).toEqual(["Pulling the image missing/image:1 (once)…"]);
    expect(linesOf(calls)).toEqual(["pull missing/image:1"]);
  });

  it("are removed with the functions' containers when their owner is killed", async () => {
    const url = (file: string) => JSON.stringify(pathToFileURL(join(repository, "localstack", file)).href);
    const script = `
      const { ownServices } = await import(${url("process.ts")});
      const { startServices } = await import(${url("docker.ts")});
      const stateDir = ${JSON.stringify(stateDir)};
      ownServices(stateDir);
      await startServices({ stateDir, services: ["kafka-1"], portCount: 1, variables: () => ({}), say() {} });
      console.log("up");
      setInterval(() => {}, 1_000);`;
    const owner = spawn(process.execPath, ["--input-type=module", "-e", script], {
      env: { ...process.env, PATH: path },
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void owner.kill("SIGKILL"));
    await new Promise((up) => owner.stdout.once("data", up));
    const before = linesOf(calls).length;
    owner.kill("SIGKILL");
    await expect.poll(() => existsSync(`${calls}.no-network`), { timeout: 10_000 }).toBe(true);
    expect(linesOf(calls).slice(before)).toEqual(["rm -fv c1 f1 c1", `network rm ${networkOf(stateDir)}`]);
  });

  it("are removed with the containers of functions that LocalStack has started, which Compose does not know", async () => {
    await removeServices(stateDir, ["localstack"]);
    expect(linesOf(calls).slice(1)).toEqual([
      expect.stringMatching(/^end compose .* rm --force --stop --volumes localstack$/),
      "rm --force --volumes f1",
      `network rm ${networkOf(stateDir)}`,
    ]);
  });

  it("are found and removed by the name of their folder, even if it is empty", async () => {
    expect(await removeAll(stateDir)).toBe(true);
    expect(linesOf(calls)).toContain("rm -fv c1 f1 c1");
    expect(await removeAll(stateDir)).toBe(false);
  });
});

describe("compose.yaml", () => {
  const service = z.object({
    environment: z.record(z.string(), z.unknown()),
    env_file: z.string().optional(),
    healthcheck: z.object({ test: z.array(z.string()) }),
    stop_grace_period: z.string().optional(),
    volumes: z.array(z.string()).optional(),
  });
  const text = readFileSync(join(repository, "localstack", "compose.yaml"), "utf8");
  const file = z
    .object({ services: z.record(z.string(), z.unknown()) })
    .transform(
      ({ services }) =>
        (name: string) =>
          service.parse(services[name]),
    )
    .parse(parse(text, { merge: true }));
  const brokers = ["kafka-1", "kafka-2", "kafka-3"].map(file);

  it("has the broker settings of brokers.ts, except addresses", () => {
    const places = [
      ...[
        "CLUSTER_ID",
        "KAFKA_ADVERTISED_LISTENERS",
        "KAFKA_CONTROLLER_LISTENER_NAMES",
        "KAFKA_CONTROLLER_QUORUM_VOTERS",
      ],
      ...["KAFKA_HEAP_OPTS", "KAFKA_INTER_BROKER_LISTENER_NAME", "KAFKA_LISTENERS"],
      ...["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "KAFKA_NODE_ID", "KAFKA_PROCESS_ROLES"],
    ];
    for (const { environment, env_file } of brokers) {
      expect(env_file).toBe("kafka/broker.env");
      expect(Object.keys(environment).sort()).toEqual(places);
    }
    const lines = readFileSync(join(repository, "localstack", "kafka", "broker.env"), "utf8").split("\n");
    const settings = lines.filter((line) => line !== "" && !line.startsWith("#"));
    const named = Object.entries(sharedSettings(3)).map(
      ([name, value]) => `KAFKA_${name.toUpperCase().replaceAll(".", "_")}=${value}`,
    );
    expect(named.sort()).toEqual(settings.map((line) => line.replace(/\$\{KAFKA_BROKERS:-1\}/, "3")).sort());
    expect(propertiesOf("4.3.1", 1, [1, 2, 3, 4, 5, 6], "/folder")).toMatchObject(sharedSettings(3));
    expect(sharedSettings(3)).toMatchObject({ "default.replication.factor": "3", "min.insync.replicas": "1" });
  });

  it("checks the health of a broker without a JVM", () => {
    for (const { healthcheck } of brokers) {
      expect(healthcheck.test.join(" ")).toBe("CMD bash -c exec 3<> /dev/tcp/$$(hostname)/19092");
    }
  });

  it("gives LocalStack the engine's socket, functions of any architecture, and time to remove them", () => {
    const localstack = file("localstack");
    expect(localstack.environment).toMatchObject({ LAMBDA_IGNORE_ARCHITECTURE: 1 });
    expect(localstack.volumes).toEqual([expect.stringMatching(/^\$\{DOCKER_SOCK:-(.+)\}:\1$/)]);
    expect(localstack.stop_grace_period).toBe("30s");
  });
});
