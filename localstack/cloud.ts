import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { composeIn, dockerAnswers, removeFromCompose } from "./docker.ts";
import {
  freePorts,
  localDir,
  logOf,
  makeOnce,
  ownServices,
  repository,
  run,
  type Say,
  type Service,
  startService,
  stopService,
  untilReady,
} from "./process.ts";

/** Where a local cloud is and how it was started: plain data, from which any process makes a `Cloud` with `openCloud`. */
export interface CloudDescriptor {
  /** What we started; `external` is one that ran already. */
  readonly kind: "localstack" | "ministack" | "external";
  /** Which of the emulators it is. */
  readonly flavour: "localstack" | "ministack";
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

const givenEndpoint = () => process.env.AWS_ENDPOINT_URL?.replace(/\/+$/, "") || undefined;

/**
 * What `startCloud` uses or starts: the cloud at AWS_ENDPOINT_URL, LocalStack where a Docker engine answers, else MiniStack;
 * LOCAL_AWS chooses. It starts nothing, and fails where that one cannot be had: ask it before anything else is started.
 */
export async function chooseCloud(): Promise<Pick<CloudDescriptor, "kind" | "flavour">> {
  const given = givenEndpoint();
  if (given !== undefined) return { kind: "external", flavour: await flavourOf(given) };
  const kind = process.env.LOCAL_AWS || (dockerAnswers() ? "localstack" : "ministack");
  if (kind !== "localstack" && kind !== "ministack")
    throw new Error(`LOCAL_AWS is localstack or ministack, not "${kind}"`);
  if (kind === "localstack" && !dockerAnswers()) {
    throw new Error("LocalStack needs a Docker engine with Compose: start one, or set LOCAL_AWS=ministack");
  }
  if (kind === "ministack" && !existsSync(ministackVenv)) findPython();
  return { kind, flavour: kind };
}

/** Uses or starts the cloud that `chooseCloud` says. */
export async function startCloud({ stateDir, preferredPort, detached, say }: StartCloud): Promise<Cloud> {
  const { kind, flavour } = await chooseCloud();
  if (kind === "external") return openCloud(describe(kind, flavour, givenEndpoint() ?? "", stateDir));
  const started = performance.now();
  if (detached !== true) ownServices(stateDir);
  if (kind === "ministack") await installMinistack(say);
  say(kind === "ministack" ? `Starting MiniStack ${ministackVersion}…` : "Starting LocalStack in Docker…");
  const port = await (kind === "ministack" ? startMinistack : startLocalstack)(stateDir, preferredPort, say);
  const cloud = openCloud(describe(kind, flavour, `http://127.0.0.1:${port}`, stateDir));
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
      if (kind === "ministack") await stopService(ministackIn(stateDir), 5_000);
      if (kind === "localstack") await removeFromCompose(stateDir, ["localstack"]);
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

/** Which emulator answers at an address. */
async function flavourOf(endpointUrl: string): Promise<CloudDescriptor["flavour"]> {
  const [ministack, localstack] = await Promise.all([
    answers(`${endpointUrl}/_ministack/health`),
    answers(`${endpointUrl}/_localstack/health`),
  ]);
  if (!ministack && !localstack) throw new Error(`No local cloud answers at ${endpointUrl} (AWS_ENDPOINT_URL)`);
  return ministack ? "ministack" : "localstack";
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
const ministackVenv = join(localDir, `ministack-${ministackVersion}`);

async function installMinistack(say: Say): Promise<void> {
  await makeOnce(ministackVenv, async (venv) => {
    const python = findPython();
    say(`Installing MiniStack ${ministackVersion} from PyPI (92 MB, once)…`);
    const log = join(localDir, "install-ministack.log");
    // An interrupted pip leaves its temporary files: here they go with the folder.
    const temporary = join(venv, "tmp");
    mkdirSync(temporary, { recursive: true });
    const env = { ...process.env, TMPDIR: temporary };
    await run({ command: python, args: ["-m", "venv", venv], env }, log, 120_000, say);
    const requirements = join(repository, "localstack", "ministack", "requirements.txt");
    const pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r", requirements];
    await run({ command: join(venv, "bin", "python"), args: pip, env }, log, 600_000, say);
    rmSync(temporary, { recursive: true, force: true });
  });
}

function findPython(): string {
  const python = ["python3", "python3.13", "python3.12", "python3.11", "python3.10"].find(isPython310);
  if (python !== undefined) return python;
  const how = "apt-get install -y python3 python3-venv, or set AWS_ENDPOINT_URL";
  throw new Error(`MiniStack needs Python 3.10 or newer with its venv module, or a Docker engine: ${how}`);
}

function isPython310(command: string): boolean {
  const check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
  return spawnSync(command, ["-c", check], { stdio: "ignore" }).status === 0;
}

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
  startService(service, { command: join(ministackVenv, "bin", "python"), args: ["-m", "ministack"], env });
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
  const [port = 0] = await freePorts(1, preferredPort, say);
  await composeIn(stateDir, say)(["up", "--detach", "--wait", "localstack"], { LOCALSTACK_PORT: `${port}` });
  return port;
}
