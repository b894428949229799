import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { afterOwner, freePorts, type Program, repository, run, type Say } from "./process.ts";

/** Why Docker cannot be used on this machine, or undefined where an engine answers and the command has Compose 2 or newer. */
export function dockerProblem(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const docker = (...args: string[]) => spawnSync("docker", args, { env, encoding: "utf8", timeout: 10_000 });
  const engine = docker("version", "--format", "{{.Server.Version}}");
  if (engine.error !== undefined && "code" in engine.error && engine.error.code === "ENOENT") {
    return "there is no `docker` command";
  }
  if (engine.status !== 0 || !/^\d/.test(engine.stdout)) {
    const said = engine.error === undefined ? engine.stderr.trim().split("\n").at(-1) : engine.error.message;
    return `no Docker engine answers${said ? `: ${said}` : ""}`;
  }
  // Compose 1 calls itself docker-compose and podman-compose by its own name; neither knows how to wait for a service.
  const compose = docker("compose", "version");
  if (compose.status === 0 && /Docker Compose version/.test(compose.stdout)) return undefined;
  return "`docker compose` is missing, or is not Docker's Compose 2";
}

const composeFile = join(repository, "localstack", "compose.yaml");

/** What is started from one state folder is one Compose project: it sees each other, and nothing else. */
const projectOf = (stateDir: string) =>
  `offset-rollback-${createHash("sha256").update(stateDir).digest("hex").slice(0, 8)}`;

/** The network of the services of a state folder, and of the functions that LocalStack starts. */
export const networkOf = (stateDir: string): string => `${projectOf(stateDir)}_default`;

/** The socket of the engine that this machine's commands use, where that is not the usual one: of a rootless engine. */
const socketOf = ({ DOCKER_SOCK, DOCKER_HOST = "" }: NodeJS.ProcessEnv) =>
  DOCKER_SOCK || (process.platform === "linux" && DOCKER_HOST.startsWith("unix://") ? DOCKER_HOST.slice(7) : undefined);

type Variables = Readonly<Record<string, string>>;

const composeProgram = (stateDir: string, args: readonly string[], variables: Variables = {}): Program => {
  const profiles = ["--profile", "three", "--profile", "function"];
  const socket = socketOf(process.env);
  return {
    command: "docker",
    args: ["compose", "-f", composeFile, "-p", projectOf(stateDir), ...profiles, ...args],
    env: { ...process.env, ...(socket !== undefined && { DOCKER_SOCK: socket }), ...variables },
  };
};

let calls = 0;
let lastCall: Promise<void> = Promise.resolve();

/** Runs `docker compose <args>` when the calls before it have ended: two at once may create the network twice. */
export function compose(
  stateDir: string,
  args: readonly string[],
  { variables = {}, say = () => {} }: { variables?: Variables; say?: Say } = {},
): Promise<void> {
  const log = join(stateDir, `compose-${++calls}-${args[0]}.log`);
  const call = () => run(composeProgram(stateDir, args, variables), log, 600_000, say);
  const turn = lastCall.then(call);
  lastCall = turn.catch(() => {});
  return turn;
}

/** Services of compose.yaml to start. */
export interface ServicesToStart {
  readonly stateDir: string;
  readonly services: readonly string[];
  /** Other services whose images are used beside them. */
  readonly alsoPull?: readonly string[];
  /** How many ports of 127.0.0.1 they take, and the first of them where that is free. */
  readonly portCount: number;
  readonly preferredPort?: number | undefined;
  /** The variables of compose.yaml, given those ports. */
  variables(ports: readonly number[]): Variables;
  readonly say: Say;
}

/** The state folders whose project is removed after their owner. */
const watched = new Set<string>();

/**
 * Starts services on free ports and waits until they are healthy; gives the ports. They go with the owner of the state
 * folder, however that ends. Where it fails none of them is left.
 */
export async function startServices(options: ServicesToStart, attempt = 1): Promise<readonly number[]> {
  const { stateDir, services, portCount, preferredPort, say } = options;
  if (!watched.has(stateDir)) afterOwner(stateDir, removal(stateDir));
  watched.add(stateDir);
  const ports = await freePorts(portCount, preferredPort, say);
  const variables = options.variables(ports);
  for (const image of new Set(imagesOf(stateDir, [...services, ...(options.alsoPull ?? [])], variables))) {
    await pullImage(image, stateDir, say);
  }
  try {
    await compose(stateDir, ["up", "--detach", "--wait", ...services], { variables, say });
    return ports;
  } catch (error) {
    const message = messageOf(error);
    const remains = await removeServices(stateDir, services).then(() => "", messageOf);
    if (remains !== "") throw new Error(`${message}\nWhat it had started could not be removed: ${remains}`);
    if (!/port is already allocated|address already in use/.test(message) || attempt === 3) throw error;
    say("A port was taken in between: starting on others…");
    return startServices(options, attempt + 1);
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : `${error}`);

const composeConfig = z.object({ services: z.record(z.string(), z.object({ image: z.string() })) });

/** The images of services, as compose.yaml names them. */
function imagesOf(stateDir: string, services: readonly string[], variables: Variables): string[] {
  const { command, args, env } = composeProgram(stateDir, ["config", "--format", "json"], variables);
  const { status, stdout, stderr } = spawnSync(command, args, { env, encoding: "utf8", timeout: 60_000 });
  if (status !== 0) throw new Error(`Docker Compose cannot read compose.yaml: ${stderr}`);
  const config = composeConfig.parse(JSON.parse(stdout));
  return services.flatMap((name) => config.services[name]?.image ?? []);
}

/** Pulls an image where it is not here yet, and says how far that is. */
export async function pullImage(image: string, stateDir: string, say: Say): Promise<void> {
  if (spawnSync("docker", ["image", "inspect", image], { stdio: "ignore" }).status === 0) return;
  say(`Pulling the image ${image} (once)…`);
  const log = join(stateDir, `pull-${image.replaceAll(/[/:]/g, "-")}.log`);
  const count = (state: string) => readFileSync(log, "utf8").split(`: ${state}\n`).length - 1;
  const progress = () => `${image}: ${count("Pull complete")} of ${count("Pulling fs layer")} layers`;
  try {
    await run({ command: "docker", args: ["pull", image], env: process.env }, log, 1_800_000, say, progress);
  } catch (error) {
    const without = "Without Docker: set LOCAL_AWS=ministack, which needs Java 17, Maven and Python 3.10.";
    throw new Error(`The image ${image} could not be pulled. ${without} ${messageOf(error)}`);
  }
}

/** Removes services of a state folder, the functions' containers with LocalStack, and the network with the last of them. */
export async function removeServices(stateDir: string, services: readonly string[]): Promise<void> {
  await compose(stateDir, ["rm", "--force", "--stop", "--volumes", ...services]);
  if (services.includes("localstack")) {
    const functions = () => {
      const ofCompose = new Set(containers(`label=com.docker.compose.project=${projectOf(stateDir)}`));
      return containers(`network=${networkOf(stateDir)}`).filter((id) => !ofCompose.has(id));
    };
    const found = functions();
    if (found.length > 0) spawnSync("docker", ["rm", "--force", "--volumes", ...found], { stdio: "ignore" });
    if (functions().length > 0)
      throw new Error(`Containers of functions could not be removed: ${functions().join(" ")}`);
  }
  spawnSync("docker", ["network", "rm", networkOf(stateDir)], { stdio: "ignore" }); // refused while in use
}

/** The ids of the containers that a filter chooses, running or not. */
function containers(filter: string): string[] {
  const args = ["ps", "--all", "--quiet", "--filter", filter];
  const { status, stdout, stderr } = spawnSync("docker", args, { encoding: "utf8", timeout: 60_000 });
  if (status !== 0) throw new Error(`Docker cannot list its containers: ${stderr}`);
  return stdout.split("\n").filter((id) => id !== "");
}

/**
 * Removes all containers of a project, functions included, and its network. It looks until it has found nothing twice:
 * the engine may still create what a killed command has asked for.
 */
const removeAllScript = `
project=$0 network=$0_default clean=0
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
  ids=$(docker ps -aq --filter "network=$network"; docker ps -aq --filter "label=com.docker.compose.project=$project")
  if [ -n "$ids" ]; then docker rm -fv $ids; fi
  if docker network inspect "$network" >/dev/null 2>&1; then docker network rm "$network"
  elif [ -z "$ids" ]; then clean=$((clean + 1)); fi
  [ $clean = 2 ] && exit 0
  sleep 0.5
done
echo "The containers of $project could not be removed" >&2
exit 1`;

const removal = (stateDir: string): Program => ({
  command: "sh",
  args: ["-c", removeAllScript, projectOf(stateDir)],
  env: process.env,
});

/** Removes all containers and the network of a state folder; gives whether there were any. */
export async function removeAll(stateDir: string): Promise<boolean> {
  const network = spawnSync("docker", ["network", "inspect", networkOf(stateDir)], { stdio: "ignore" });
  const found = containers(`label=com.docker.compose.project=${projectOf(stateDir)}`);
  if (network.status !== 0 && found.length === 0) return false;
  await run(removal(stateDir), join(stateDir, "docker-removal.log"), 120_000, () => {});
  return true;
}
