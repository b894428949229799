import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** The repository's root. */
export const repository = resolve(import.meta.dirname, "..");

/** What a checkout keeps between runs: jars, the emulator's venv, what `local:up` started. */
export const localDir = join(repository, ".local");

/** Says what is going on, to whoever waits. */
export type Say = (line: string) => void;

/** A program to run. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment: nothing is inherited beside it. */
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** A program that runs in the background under a name in a state folder: any process can find, kill and restart it there. */
export interface Service {
  readonly stateDir: string;
  readonly name: string;
}

/**
 * Runs "$@" as the leader of a process group, and kills the whole group when file descriptor 3 ends: that is a pipe
 * whose other end its owner holds, so that not even a killed owner leaves anything behind. $0 is a label, by which
 * the process is told from a stranger that has got its number; without `owned` the program stays when its starter goes.
 */
const keeper = `
mode=$1; shift
exec 4<&0
"$@" <&4 3<&- 4<&- &
child=$!
exec 4<&-
if [ "$mode" = owned ]; then
  ( trap '' TERM INT; read -r _ <&3; kill -s KILL -- -$$ ) </dev/null >/dev/null 2>&1 &
  watcher=$!
  exec 3<&-
fi
trap : TERM INT
wait $child; code=$?
while kill -0 $child 2>/dev/null; do wait $child; code=$?; done
[ "$mode" = owned ] && kill -s KILL $watcher
exit $code`;

/** Starts a program as a group of its own that dies with this process; its output goes to pipes, or to an open file. */
export function spawnOwned(program: Program, label: string, output: number | "pipe" = "pipe"): ChildProcess {
  return spawn("sh", ["-c", keeper, label, "owned", program.command, ...program.args], {
    env: program.env,
    cwd: program.cwd,
    detached: true,
    stdio: ["pipe", output, output, "pipe"],
  });
}

/** What a child prints, as far as it has. */
export function outputOf(child: ChildProcess): { readonly stdout: string; readonly stderr: string } {
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  return output;
}

/** Sends a signal to a process and everything it started; one that is gone is no error. */
export function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

const lifelines = new Map<string, number>();
const lifelineOf = (stateDir: string) => join(stateDir, "lifeline");

/** Makes this process the owner of the services of a state folder, whichever process starts them: they end with it. */
export function ownServices(stateDir: string): void {
  const path = lifelineOf(stateDir);
  if (lifelines.has(path)) return;
  mkdirSync(stateDir, { recursive: true });
  execFileSync("sh", ["-c", 'mkfifo "$0"', path]);
  lifelines.set(path, openSync(path, "r+"));
}

/** Gives the ownership up again and removes the state folder; call it when the services are stopped. */
export function removeState(stateDir: string): void {
  const path = lifelineOf(stateDir);
  const held = lifelines.get(path);
  if (held !== undefined) closeSync(held);
  lifelines.delete(path);
  rmSync(stateDir, { recursive: true, force: true });
}

const followed = new Set<string>();

/** Runs a program when the owner of a state folder has ended, however it did; nothing, for a folder without owner. */
export function afterOwner(stateDir: string, { command, args, env }: Program): void {
  const path = lifelineOf(stateDir);
  if (!existsSync(path) || followed.has(path)) return;
  followed.add(path);
  const lifeline = openSync(path, "r");
  const wait = 'read -r _ <&3; exec 3<&-; exec "$@"';
  const child = spawn("sh", ["-c", wait, `${path} ended`, command, ...args], {
    env,
    detached: true,
    stdio: ["ignore", "ignore", "ignore", lifeline],
  });
  child.unref();
  closeSync(lifeline);
}

const pidFileOf = (service: Service) => join(service.stateDir, `${service.name}.pid`);
const labelOf = (service: Service) => `${service.stateDir}/${service.name}`;

/** The file that a service writes its output to. */
export const logOf = (service: Service) => join(service.stateDir, `${service.name}.log`);

/** Starts a service. It ends with the owner of its state folder, or stays until it is stopped if the folder has none. */
export function startService(service: Service, program: Program): void {
  mkdirSync(service.stateDir, { recursive: true });
  const owned = existsSync(lifelineOf(service.stateDir));
  const log = openSync(logOf(service), "w");
  const lifeline = owned ? openSync(lifelineOf(service.stateDir), "r") : undefined;
  const mode = owned ? "owned" : "detached";
  const child = spawn("sh", ["-c", keeper, labelOf(service), mode, program.command, ...program.args], {
    env: program.env,
    cwd: program.cwd,
    detached: true,
    stdio: ["ignore", log, log, lifeline ?? "ignore"],
  });
  child.unref();
  closeSync(log);
  if (lifeline !== undefined) closeSync(lifeline);
  if (child.pid === undefined) throw new Error(`${service.name} could not be started: no sh on the PATH`);
  writeFileSync(`${pidFileOf(service)}.new`, String(child.pid));
  renameSync(`${pidFileOf(service)}.new`, pidFileOf(service));
}

/** The process id of a service that runs, and is really ours. */
export function runningPid(service: Service): number | undefined {
  if (!existsSync(pidFileOf(service))) return undefined;
  const pid = Number(readFileSync(pidFileOf(service), "utf8"));
  return commandLineOf(pid).split("\0").includes(labelOf(service)) ? pid : undefined;
}

function commandLineOf(pid: number): string {
  const file = `/proc/${pid}/cmdline`;
  if (existsSync("/proc/self/cmdline")) return existsSync(file) ? readFileSync(file, "utf8") : "";
  return spawnSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" }).stdout.replaceAll(" ", "\0");
}

/** Stops a service, by force when it takes longer than `graceMs`; one that does not run is no error. */
export async function stopService(service: Service, graceMs = 10_000): Promise<void> {
  const pid = runningPid(service);
  if (pid !== undefined) {
    const gone = () => runningPid(service) === undefined;
    if (graceMs > 0) {
      signalGroup(pid, "SIGTERM");
      await until(gone, graceMs);
    }
    signalGroup(pid, "SIGKILL");
    if (!(await until(gone, 10_000))) throw new Error(`${service.name} (process ${pid}) cannot be killed`);
  }
  rmSync(pidFileOf(service), { force: true });
}

/** The services of a state folder, running or not. */
export function servicesIn(stateDir: string): Service[] {
  const files = existsSync(stateDir) ? readdirSync(stateDir) : [];
  return files
    .filter((file) => file.endsWith(".pid"))
    .map((file) => ({ stateDir, name: file.slice(0, -".pid".length) }));
}

/** Waits for a service to be ready; fails with the end of its log when it ends early or takes longer than `timeoutMs`. */
export async function untilReady(service: Service, ready: () => Promise<boolean>, timeoutMs: number): Promise<void> {
  let ended = false;
  const settled = await until(async () => {
    ended = runningPid(service) === undefined;
    return ended || (await ready());
  }, timeoutMs);
  if (settled && !ended) return;
  const what = ended ? "ended at once" : `was not ready after ${timeoutMs / 1000} s`;
  throw new Error(`${service.name} ${what}; its log (${logOf(service)}) ends with:\n${tail(logOf(service))}`);
}

/** Polls a condition until it holds; false when it does not within `timeoutMs`. */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await delay(100);
  }
  return true;
}

/** The last lines of a file. */
function tail(file: string, lines = 25): string {
  return existsSync(file)
    ? readFileSync(file, "utf8").trimEnd().split("\n").slice(-lines).join("\n")
    : "(no such file)";
}

/** Whether a port of 127.0.0.1 is free. */
export async function isFree(port: number): Promise<boolean> {
  return (await listenOnce(port)) !== undefined;
}

/** Free ports of 127.0.0.1: the preferred one for the first, where it is free; says so where it is not. */
export async function freePorts(count: number, preferred?: number, say: Say = () => {}): Promise<number[]> {
  const ports = new Set<number>();
  if (preferred !== undefined && (await isFree(preferred))) ports.add(preferred);
  while (ports.size < count) {
    const port = await listenOnce(0);
    if (port !== undefined) ports.add(port);
  }
  const [first] = ports;
  if (preferred !== undefined && first !== preferred) say(`Port ${preferred} is taken: using ${first} instead.`);
  return [...ports];
}

function listenOnce(port: number): Promise<number | undefined> {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", () => done(undefined));
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(address !== null && typeof address === "object" ? address.port : undefined));
    });
  });
}

/**
 * Makes a folder once and whole: `make` fills a temporary one, which then takes its place; a parallel run may win. What
 * killed runs have left of theirs is removed.
 */
export async function makeOnce(folder: string, make: (temporary: string) => Promise<void>): Promise<void> {
  mkdirSync(dirname(folder), { recursive: true });
  removeLeftovers(dirname(folder), `${basename(folder)}.part-`);
  if (existsSync(folder)) return;
  const temporary = `${folder}.part-${process.pid}`;
  rmSync(temporary, { recursive: true, force: true });
  try {
    await make(temporary);
    renameSync(temporary, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Says every ten seconds how long something has been going on, until the function that it gives is called. */
export function sayTime(what: () => string, say: Say): () => void {
  const started = performance.now();
  const timer = setInterval(() => say(`  … ${what()}, ${Math.round((performance.now() - started) / 1000)} s`), 10_000);
  return () => clearInterval(timer);
}

/** Runs a program to its end with its output in a log file, saying every few seconds that it still runs; fails with the end of that log. */
export async function run(
  program: Program,
  log: string,
  timeoutMs: number,
  say: Say,
  progress?: () => string,
): Promise<void> {
  const name = [program.command.split("/").at(-1), ...program.args].slice(0, 2).join(" ");
  mkdirSync(dirname(log), { recursive: true });
  const output = openSync(log, "w");
  const child = spawnOwned(program, log, output);
  closeSync(output);
  child.stdin?.end();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    signalGroup(child.pid, "SIGKILL");
  }, timeoutMs);
  const quiet = sayTime(progress ?? (() => name), say);
  const code = await new Promise<number | null>((done, failed) => child.once("close", done).once("error", failed));
  clearTimeout(timer);
  quiet();
  if (code === 0) return;
  const what = late ? `took longer than ${timeoutMs / 1000} s` : "failed";
  throw new Error(`\`${name} …\` ${what}; its output (${log}) ends with:\n${tail(log)}`);
}

/** A fresh state folder for this process, under `.local/`; what killed processes have left of theirs is removed. */
export function freshStateDir(purpose: string): string {
  mkdirSync(localDir, { recursive: true });
  removeLeftovers(localDir, "run-");
  return mkdtempSync(join(localDir, `run-${process.pid}-${purpose}-`));
}

/** Removes what processes that are gone have left in a folder: entries whose names go on with their id after `prefix`. */
function removeLeftovers(folder: string, prefix: string): void {
  for (const name of readdirSync(folder)) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN;
    if (pid > 0 && commandLineOf(pid) === "") rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/** Runs a script: what it throws is said in one line, or as many as its message has, and makes the exit code 1. */
export async function main(script: (say: Say) => Promise<void>): Promise<void> {
  try {
    await script((line) => console.log(line));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
}
