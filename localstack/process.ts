import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
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
import { execa } from "execa";
import { onExit } from "signal-exit";

/** The repository's root. */
export const repository = resolve(import.meta.dirname, "..");

/** What a checkout keeps between runs: jars, the emulator's venv, what `local:up` started. */
export const localDir = join(repository, ".local");

/** Prints a line about what is going on. */
export type Say = (line: string) => void;

/** A program to run. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment: nothing is inherited beside it. */
  readonly env: NodeJS.ProcessEnv;
  /** Where it runs: the repository's root unless given. */
  readonly cwd?: string;
}

/** A program that runs in the background under a name in a state folder: any process can find, kill and restart it there. */
export interface Service {
  readonly stateDir: string;
  readonly name: string;
}

const inRepository = execa({ cwd: repository, extendEnv: false, reject: false, forceKillAfterDelay: 10_000 });

/** Starts a program that ends with this process. Its promise gives its output and exit code, and is never rejected. */
export const start = ({ command, args, env, cwd = repository }: Program) =>
  inRepository(command, args, { env, cwd, stripFinalNewline: false, all: true });

/** Kills the process group that a service leads; a group that is gone is no error. */
function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** The state folders whose services end with this process, and how to give each of them up. */
const owned = new Map<string, () => void>();

/** Ends the services of a state folder with this process, whichever process starts them, and however it ends. */
export function ownServices(stateDir: string): void {
  if (owned.has(stateDir)) return;
  const stopWatching = onExit(() => killServices(stateDir));
  owned.set(stateDir, stopWatching);
  const killAll = 'for file in "$0"/*.pid; do [ -f "$file" ] && kill -s KILL -- "-$(cat "$file")"; done';
  afterOwner(stateDir, { command: "sh", args: ["-c", killAll, stateDir], env: process.env });
}

/** Runs a program when this process has ended, also by SIGKILL; nothing for a state folder that it does not own. */
export function afterOwner(stateDir: string, { command, args, env }: Program): void {
  if (!owned.has(stateDir)) return;
  const wait = 'read -r _; exec "$@"'; // until the other end of its input, which this process has, is closed
  const child = spawn("sh", ["-c", wait, "sh", command, ...args], {
    env,
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  child.unref();
}

/** Kills the services that still run, and removes their state folder. */
export function removeState(stateDir: string): void {
  killServices(stateDir);
  owned.get(stateDir)?.();
  owned.delete(stateDir);
  rmSync(stateDir, { recursive: true, force: true });
}

function killServices(stateDir: string): void {
  for (const service of servicesIn(stateDir)) signalGroup(runningPid(service), "SIGKILL");
}

const pidFileOf = (service: Service) => join(service.stateDir, `${service.name}.pid`);

/** The file that a service writes its output to. */
export const logOf = (service: Service) => join(service.stateDir, `${service.name}.log`);

/**
 * Starts a service: it ends with the owner of its state folder, if there is one, or when it is stopped. An argument of
 * the program is a path in `<state folder>/<name>/`: that distinguishes it from a later process with the same id.
 */
export function startService(service: Service, { command, args, env }: Program): void {
  mkdirSync(service.stateDir, { recursive: true });
  const log = openSync(logOf(service), "w");
  const child = spawn(command, args, { env, cwd: repository, detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  child.on("error", () => {}); // there is no such command: it has no id
  child.unref();
  const { pid } = child;
  if (pid === undefined) throw new Error(`${service.name} could not be started: no ${command} on the PATH`);
  writeFileSync(`${pidFileOf(service)}.new`, String(pid));
  renameSync(`${pidFileOf(service)}.new`, pidFileOf(service));
}

/** The process id of a service that runs. */
export function runningPid(service: Service): number | undefined {
  if (!existsSync(pidFileOf(service))) return undefined;
  const pid = Number(readFileSync(pidFileOf(service), "utf8"));
  return commandLineOf(pid).includes(`${join(service.stateDir, service.name)}/`) ? pid : undefined;
}

function commandLineOf(pid: number): string {
  const file = `/proc/${pid}/cmdline`;
  if (existsSync("/proc/self/cmdline")) return existsSync(file) ? readFileSync(file, "utf8") : "";
  return spawnSync("ps", ["-ww", "-o", "command=", "-p", String(pid)], { encoding: "utf8" }).stdout;
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

/** The ports that this process has found: they stay free until something listens on them, and must not be found again. */
const found = new Set<number>();

/** Free ports of 127.0.0.1: the preferred one for the first, where it is free; says so where it is not. */
export async function freePorts(count: number, preferred?: number, say: Say = () => {}): Promise<number[]> {
  const ports = new Set<number>();
  if (preferred !== undefined && (await isFree(preferred))) ports.add(preferred);
  while (ports.size < count) {
    const port = await listenOnce(0);
    if (port === undefined || found.has(port)) continue;
    found.add(port);
    ports.add(port);
  }
  const [first] = ports;
  if (preferred !== undefined && first !== preferred) say(`Port ${preferred} is taken: using ${first} instead.`);
  return [...ports];
}

async function listenOnce(port: number): Promise<number | undefined> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
    const address = server.address();
    return address !== null && typeof address === "object" ? address.port : undefined;
  } catch {
    return undefined;
  } finally {
    await new Promise((closed) => server.close(closed));
  }
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
  { command, args, env }: Program,
  log: string,
  timeoutMs: number,
  say: Say,
  progress?: () => string,
): Promise<void> {
  const name = [command.split("/").at(-1), ...args].slice(0, 2).join(" ");
  const quiet = sayTime(progress ?? (() => name), say);
  mkdirSync(dirname(log), { recursive: true });
  const output = { stdin: "ignore", stdout: { file: log }, stderr: { file: log }, buffer: false } as const;
  const ended = await inRepository(command, args, { ...output, env, timeout: timeoutMs });
  quiet();
  if (ended.exitCode === 0) return;
  const why = ended.originalMessage === undefined ? "" : ` (${ended.originalMessage})`;
  const what = ended.timedOut ? `took longer than ${timeoutMs / 1000} s` : `failed${why}`;
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
    if (pid > 0 && commandLineOf(pid) === "") removeState(join(folder, name));
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
