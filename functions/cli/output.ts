import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WriteStream } from "node:tty";
import type { Verb } from "../operations.ts";
import { type HtmlReport, htmlReports } from "../shared/report/island.ts";
import { exit } from "./exit-codes.ts";
import { type Answer, unread } from "./invoke.ts";
import { Problem } from "./problems.ts";

/** What the command line makes of any result. Formats of other tools are made by the operation. */
export const ownFormats = ["text", "json", "csv"] as const;

/** Where results go: a file, and a program that shows it; otherwise stdout. */
export interface Destination {
  readonly output: string | undefined;
  readonly open: boolean;
}

/** Whether a stream shows colours: a terminal, unless `NO_COLOR` or `FORCE_COLOR` say otherwise. */
export function hasColor(stream: WriteStream): boolean {
  const { NO_COLOR, FORCE_COLOR } = process.env;
  if (NO_COLOR) return false;
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== "0" && FORCE_COLOR !== "false";
  return stream.isTTY && stream.hasColors();
}

/** A text for a terminal. Where there is none, lines are as long as they are. */
export async function textFor(stream: WriteStream | undefined, result: unknown): Promise<string> {
  const { textOf } = await import("../shared/report/text.ts");
  const width = stream?.isTTY ? stream.columns || 80 : Number.POSITIVE_INFINITY;
  return textOf(result, { width, color: stream !== undefined && hasColor(stream) });
}

/** JSON on lines of its own, with every number as it is written. */
export function indentedJson(text: string): string {
  const pieces: string[] = [];
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{[]\s*[}\]]|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    if (token === "{" || token === "[") {
      depth++;
      pieces.push(token, line());
    } else if (token === "}" || token === "]") {
      depth--;
      pieces.push(line(), token);
    } else if (token === ",") pieces.push(token, line());
    else if (token === ":") pieces.push(": ");
    else pieces.push(/^[{[]/.test(token) ? token.replace(/\s+/, "") : token);
  }
  return pieces.join("");
}

/** The page that the command line makes of a result of an operation; undefined where it has none, or the operation makes it. */
export const pageOf = (verb: Verb): HtmlReport | undefined =>
  verb === "plan" ? "rollback" : htmlReports.find((kind) => kind === verb && kind !== "show");

/** Renders an answer of an operation for where it is to go. */
export async function rendered(
  answer: Answer,
  verb: Verb,
  format: string,
  { output, open }: Destination,
): Promise<string> {
  if (answer.content !== undefined) return answer.content;
  const page = pageOf(verb);
  if (format === "html" && page !== undefined) {
    return (await import("../shared/report/html.ts")).htmlReport(page, answer.result);
  }
  switch (format) {
    case "text":
      return answer.lines ?? textFor(output === undefined && !open ? process.stdout : undefined, answer.result);
    case "csv":
      return (await import("../shared/report/csv.ts")).csvOf(answer.result);
    case "json":
      return `${indentedJson(answer.text)}\n`;
    default:
      throw unread(answer, `${verb} in the format ${format}`);
  }
}

/** Writes a result where it is to go. The name and the format are for a file that is only opened. */
export async function deliver(
  text: string,
  name: string,
  format: string,
  { output, open }: Destination,
): Promise<void> {
  if (output === undefined && !open) {
    await write(process.stdout, text);
    return;
  }
  const file =
    output ?? join(mkdtempSync(join(tmpdir(), "offset-rollback-")), `${name}.${format === "text" ? "txt" : format}`);
  save(file, text);
  console.error(`Written to ${file}`);
  if (open) await show(file);
}

function save(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Problem(`The operation succeeded, and its result could not be written: ${why}`, exit.failed, [], cause);
  }
}

/** A program that runs for so long shows the file, or has begun to. */
const OPENING_MS = 3_000;

/**
 * Shows a file with the program that the system has for it.
 *
 * @throws Problem where there is no such program, or it says that it failed
 */
async function show(file: string): Promise<void> {
  const [command, ...args] =
    process.platform === "darwin"
      ? ["open"]
      : process.platform === "win32"
        ? ["cmd", "/c", "start", '""']
        : ["xdg-open"];
  const child = spawn(command ?? "", [...args, file], { stdio: "ignore", detached: true });
  const failed = await new Promise<string | undefined>((resolve) => {
    child.once("error", ({ message }) => resolve(message));
    child.once("exit", (code) => resolve(code === 0 ? undefined : `${command} ended with ${code ?? "a signal"}`));
    setTimeout(() => resolve(undefined), OPENING_MS).unref();
  });
  child.unref();
  if (failed === undefined) return;
  throw new Problem(
    `The operation succeeded, and its result could not be opened (${failed}): open ${file} yourself.`,
    exit.failed,
  );
}

/** Says what a format has no place for. */
export function sayWarnings(result: unknown): void {
  const warnings: unknown = typeof result === "object" && result !== null ? Reflect.get(result, "warnings") : undefined;
  if (Array.isArray(warnings)) for (const warning of warnings) console.error(`Warning: ${warning}`);
}

/** Writes all of a text: a pipe takes it in parts. */
export function write(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve) => stream.write(text, () => resolve()));
}
