import { CommanderError, Option, Command as Program } from "commander";
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import packageJson from "../../package.json" with { type: "json" };
import { encodeJson, type Fields } from "../shared/core/json/json.ts";
import type { Command, OwnFlag, Run } from "./command.ts";
import { callWith, commands, commonFlags, formatFlag } from "./commands.ts";
import { findDeployment, requireSamePlace } from "./deployment.ts";
import { exit } from "./exit-codes.ts";
import { readRequest, shellQuoted } from "./flags.ts";
import { deliver, rendered } from "./output.ts";
import { Problem, usage } from "./problems.ts";

z.config(en());

/** What was typed: the texts after each flag, by its name. */
type Given = ReadonlyMap<string, readonly string[]>;

/**
 * Gives every switch its value, so that what follows it is not taken for that: `--verify true` and `--verify` become
 * `--verify=true`.
 */
function withSwitches(words: readonly string[], known: readonly Pick<OwnFlag, "name" | "kind">[]): string[] {
  const kinds = new Map(known.map(({ name, kind }) => [`--${name}`, kind]));
  const read: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const [word = "", next] = words.slice(i, i + 2);
    if (word === "--") return [...read, ...words.slice(i)];
    const kind = kinds.get(word);
    if (kind === "switch" && (next === "true" || next === "false")) {
      read.push(`${word}=${next}`);
      i++;
    } else if (kind === "switch") read.push(`${word}=true`);
    else if (kind !== undefined && next !== undefined) {
      read.push(word, next);
      i++;
    } else read.push(word);
  }
  return read;
}

const valueName: Readonly<Record<string, string>> = { list: "a,b", entries: "key=value", switch: "true|false" };

/** Builds the command, with its flags. */
function build(program: Program, command: Command, words: readonly string[]): Promise<number> {
  const flags = command.flags();
  const format = formatFlag(flags);
  const fields = flags.filter((flag) => flag !== format.field);
  const own = [...command.own, format.own, ...commonFlags];
  const given = new Map<string, string[]>();
  const sub = program.command(command.name).description(command.summary);
  for (const flag of [...fields, ...own]) {
    const value = ("value" in flag ? flag.value : undefined) ?? valueName[flag.kind] ?? "value";
    const option = new Option(`--${flag.name} <${value}>`, flag.description).argParser((text: string) => {
      given.set(flag.name, [...(given.get(flag.name) ?? []), text]);
      return text;
    });
    if (flag.choices.length > 0) option.description = `${flag.description} (${flag.choices.join(", ")})`;
    sub.addOption(option);
  }
  if (command.positional !== undefined) sub.argument(`[${command.positional.replaceAll("_", "-")}]`);
  return new Promise((resolve, reject) => {
    sub.action((positional: unknown) => {
      if (command.positional !== undefined && typeof positional === "string") {
        const name = command.positional.replaceAll("_", "-");
        given.set(name, [...(given.get(name) ?? []), positional]);
      }
      run(command, given, own, format).then(resolve, reject);
    });
    program.parseAsync(withSwitches(words, [...fields, ...own]), { from: "user" }).catch(reject);
  });
}

async function run(
  command: Command,
  given: Given,
  own: readonly OwnFlag[],
  format: ReturnType<typeof formatFlag>,
): Promise<number> {
  const problems: string[] = [];
  const one = (name: string) => {
    const texts = given.get(name) ?? [];
    if (texts.length > 1) problems.push(`--${name} is given ${texts.length} times: give it once`);
    return texts.at(-1);
  };
  for (const { name, kind, choices } of own) {
    const text = one(name);
    const words = kind === "switch" ? ["true", "false"] : choices;
    if (text === undefined || words.length === 0 || words.includes(text)) continue;
    problems.push(`--${name} must be one of ${words.join(", ")}, not ${text}`);
  }
  const wanted = one(format.own.name) ?? "text";
  const isSent = format.field?.choices.includes(wanted) ?? false;
  const texts = new Map(
    command.flags().flatMap(({ field, name }) => {
      const typed = given.get(name);
      return typed === undefined || field === format.field?.field ? [] : [[field, typed] as const];
    }),
  );
  if (isSent && wanted !== "json") texts.set("format", [wanted]);
  const typed = readRequest(command.request, command.flags(), texts);
  if ("problems" in typed) problems.push(...typed.problems);
  if (problems.length > 0 || "problems" in typed) {
    throw usage(problems, [`offset-rollback ${command.name} --help`]);
  }
  const deployment = await findDeployment(one("deployment"));
  requireSamePlace(deployment, { path: one("path"), bootstrapServers: one("bootstrap-servers") });
  if (one("print-request") === "true") {
    await deliver(`${awsCommand(deployment.functions[command.verb] ?? "", typed.request)}\n`, "", {
      output: undefined,
      open: false,
    });
    return exit.done;
  }
  const context: Run = {
    deployment,
    request: typed.request,
    isSet: (name) => one(name) === "true",
    call: callWith(deployment),
    async show(answer) {
      const text = await rendered(answer, isSent ? "json" : wanted);
      await deliver(text, `${command.name}.${wanted === "text" ? "txt" : wanted}`, {
        output: one("output"),
        open: one("open") === "true",
      });
    },
    say: (...lines) => console.error(lines.join("\n")),
  };
  return command.run(context);
}

/** The request as a command of the AWS CLI, which can be pasted into a runbook. */
const awsCommand = (functionName: string, request: Fields) =>
  `aws lambda invoke --function-name ${shellQuoted(functionName)} --cli-binary-format raw-in-base64-out ` +
  `--cli-read-timeout 905 --payload ${shellQuoted(encodeJson(request))} out.json`;

function createProgram(): Program {
  return new Program("offset-rollback")
    .description(packageJson.description)
    .version(packageJson.version)
    .exitOverride()
    .enablePositionalOptions()
    .showSuggestionAfterError();
}

/** Runs the program with the words after its name. Returns the exit code. */
async function main(words: readonly string[]): Promise<number> {
  const program = createProgram();
  const [name = ""] = words;
  const command = commands.get(name);
  try {
    if (command !== undefined) return await build(program, command, words);
    for (const { name, summary } of commands.values()) program.command(name).description(summary);
    if (words.length === 0) program.help({ error: true });
    await program.parseAsync(words, { from: "user" });
    return exit.done;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exit.done : exit.usage;
    if (!(error instanceof Problem)) throw error;
    console.error(error.message);
    for (const next of error.next) console.error(`Next: ${next}`);
    return error.exitCode;
  }
}

process.exitCode = await main(process.argv.slice(2));
