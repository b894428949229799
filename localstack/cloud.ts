import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Choice, Flavour, Way } from "./choice.ts";
import { removeServices, startServices } from "./docker.ts";
import {
  freePorts,
  logOf,
  ownServices,
  repository,
  type Say,
  type Service,
  startService,
  stopService,
  untilReady,
} from "./process.ts";
import { makeVenv } from "./venv.ts";

/** Where a local cloud is and how it was started: plain data, from which any process makes a `Cloud` with `openCloud`. */
export interface CloudDescriptor {
  /** How it was started; `external` is one that ran already. */
  readonly kind: Way | "external";
  readonly flavour: Flavour;
  readonly endpointUrl: string;
  readonly region: string;
  /** What AWS clients need in their environment to speak to it and to nothing else. */
  readonly environment: Readonly<Record<string, string>>;
  readonly stateDir: string;
}

/** The local cloud. */
export interface Cloud extends CloudDescriptor {
  /** Whether it answers. */
  isUp(): Promise<boolean>;
  /** Stops what `startCloud` started, with everything in it: nothing, for one that ran already. */
  stop(): Promise<void>;
}

/** What to start. */
export interface StartCloud {
  readonly stateDir: string;
  /** The port where that is free; any free one otherwise. */
  readonly preferredPort?: number;
  /** Leaves it running when this process ends. */
  readonly detached?: boolean;
  readonly say: Say;
}

const ministackVersion = "1.5.33";

/** Uses the cloud of a choice, or starts it: LocalStack in Docker, MiniStack as a process. */
export async function useOrStartCloud(choice: Choice, options: StartCloud): Promise<Cloud> {
  const { way, givenCloud } = choice;
  const { stateDir, preferredPort, detached, say } = options;
  if (givenCloud !== undefined) {
    return openCloud(describe("external", givenCloud.flavour, givenCloud.endpointUrl, stateDir));
  }
  const started = performance.now();
  if (detached !== true) ownServices(stateDir);
  if (way === "processes") await makeMinistack(say);
  say(way === "processes" ? `Starting MiniStack ${ministackVersion}…` : "Starting LocalStack in Docker…");
  const port = await (way === "processes" ? startMinistack : startLocalstack)(stateDir, preferredPort, say);
  const flavour = way === "processes" ? "ministack" : "localstack";
  const cloud = openCloud(describe(way, flavour, `http://127.0.0.1:${port}`, stateDir));
  say(`The local cloud is up at ${cloud.endpointUrl} (${((performance.now() - started) / 1000).toFixed(0)} s)`);
  return cloud;
}

/** The cloud of a descriptor, in this or another process than the one that started it. */
export function openCloud(descriptor: CloudDescriptor): Cloud {
  const { kind, stateDir } = descriptor;
  return {
    ...descriptor,
    isUp: () => answers(`${descriptor.endpointUrl}/_localstack/health`),
    async stop() {
      if (kind === "processes") await stopService(ministackIn(stateDir), 5_000);
      if (kind === "docker") await removeServices(stateDir, ["localstack"]);
    },
  };
}

function describe(
  kind: CloudDescriptor["kind"],
  flavour: CloudDescriptor["flavour"],
  endpointUrl: string,
  stateDir: string,
): CloudDescriptor {
  // Credentials and region of the user's own are for a cloud of the user's own.
  const own = kind === "external" ? process.env : {};
  const region = own.AWS_REGION || own.AWS_DEFAULT_REGION || "us-east-1";
  const environment = {
    AWS_ENDPOINT_URL: endpointUrl,
    AWS_ENDPOINT_URL_S3: endpointUrl,
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    AWS_ACCESS_KEY_ID: own.AWS_ACCESS_KEY_ID || "test",
    AWS_SECRET_ACCESS_KEY: own.AWS_SECRET_ACCESS_KEY || "test",
  };
  return { kind, flavour, endpointUrl, region, environment, stateDir };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
    return response.ok && (await response.text()).includes('"services"');
  } catch {
    return false;
  }
}

const ministackIn = (stateDir: string): Service => ({ stateDir, name: "ministack" });

const makeMinistack = (say: Say) =>
  makeVenv(`ministack-${ministackVersion}`, join(repository, "localstack", "ministack", "requirements.txt"), say);

/**
 * Everything it writes goes to its state folder, and its functions inherit its environment: so that is made up here.
 * They run with the first `node` on the PATH, which is the Node 24 of node_modules.
 */
async function startMinistack(
  stateDir: string,
  preferredPort: number | undefined,
  say: Say,
  attempt = 1,
): Promise<number> {
  const service = ministackIn(stateDir);
  const python = await makeMinistack(say);
  const [port = 0] = await freePorts(1, preferredPort, say);
  const data = join(stateDir, "ministack");
  const temporary = join(data, "tmp");
  mkdirSync(temporary, { recursive: true });
  // Its worker script is CommonJS in a .js file, which our own package.json ("type": "module") must not reach.
  writeFileSync(join(data, "package.json"), "{}");
  const { PATH = "", HOME = data } = process.env;
  const env = {
    PATH: `${join(repository, "node_modules", ".bin")}:${PATH}`,
    HOME,
    LANG: "C.UTF-8",
    TMPDIR: temporary,
    STATE_DIR: join(data, "state"),
    S3_DATA_DIR: join(data, "s3"),
    BIND_HOST: "127.0.0.1",
    GATEWAY_PORT: `${port}`,
  };
  // Python accepts any value of -X: by this one `runningPid` recognises the process.
  const args = ["-X", `data=${data}/`, join(repository, "localstack", "ministack", "run.py")];
  startService(service, { command: python, args, env });
  const log = logOf(service);
  try {
    const serves = () => readFileSync(log, "utf8").includes("Running on http");
    await untilReady(service, async () => serves() && answers(`http://127.0.0.1:${port}/_ministack/health`), 60_000);
  } catch (error) {
    await stopService(service, 0);
    if (attempt === 3 || !/already in use/i.test(readFileSync(log, "utf8"))) throw error;
    say("The port was taken in between: starting on another…");
    return startMinistack(stateDir, preferredPort, say, attempt + 1);
  }
  return port;
}

async function startLocalstack(stateDir: string, preferredPort: number | undefined, say: Say): Promise<number> {
  const [port = 0] = await startServices({
    stateDir,
    services: ["localstack"],
    alsoPull: ["function"],
    portCount: 1,
    preferredPort,
    say,
    variables: ([free = 0]) => ({ LOCALSTACK_PORT: `${free}` }),
  });
  return port;
}
