import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { buildModule } from "../../infra/operation-function.ts";
import { type Program, start } from "../../localstack/process.ts";

const report = z.object({
  loadMs: z.number(),
  invocations: z.array(z.number()),
  results: z.array(z.object({ status: z.string(), groups: z.number(), offsets: z.number() })),
  maxRssMb: z.number(),
});

/** The measurements of a process: time to load the bundle, time of each invocation, and memory. */
export type ProcessReport = z.output<typeof report>;

/** What to run. */
export interface OneProcess {
  readonly bundle: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** The options of Node, as those of a deployed function. */
  readonly node: readonly string[];
  readonly event?: unknown;
  readonly invocations?: number;
}

/** Bundles a source, as that of a function is, into a folder. Returns the bundle for `runProcess`. */
export function buildBundle(folder: string, name: string, source: string): string {
  const entry = join(folder, `${name}.js`);
  writeFileSync(entry, source);
  const bundle = join(folder, name, "index.mjs");
  buildModule(entry, bundle);
  return bundle;
}

/** Loads a bundle in a new Node process, as Lambda does, and invokes it. */
export async function runProcess(options: OneProcess): Promise<ProcessReport> {
  const { bundle, environment = {}, node, event = {}, invocations = 0 } = options;
  const script = join(import.meta.dirname, "one-process.mjs");
  const program: Program = {
    command: process.execPath,
    args: [...node, script, bundle, JSON.stringify(event), `${invocations}`],
    env: { ...process.env, ...environment },
  };
  const { exitCode, stdout, stderr } = await start(program);
  if (exitCode !== 0) throw new Error(`The process of ${bundle} ended with ${exitCode}:\n${stderr.slice(-2_000)}`);
  return report.parse(JSON.parse(stdout));
}
