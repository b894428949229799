import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { CommanderError, Option, Command as Program } from "commander";
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import packageJson from "../../package.json" with { type: "json" };
import { OperationError } from "../shared/core/errors.ts";
import { textOf } from "../shared/core/formats/text.ts";
import { encodeJson, type Fields } from "../shared/core/json/json.ts";
import type { Command, OwnFlag, Run } from "./command.ts";
import { callWith, commands, commonFlags, formatFlag, placeFlags } from "./commands.ts";
import { COMPLETE, completionScript, completions, shells } from "./completion.ts";
import { findDeployment, requireSamePlace } from "./deployment.ts";
import { exit } from "./exit-codes.ts";
import { commandLine, type Flag, fieldsOf, readRequest, shellQuoted, Unreadable } from "./flags.ts";
import { functionName } from "./invoke.ts";
import { nextSteps } from "./next-steps.ts";
import { deliver, rendered, sayWarnings, write } from "./output.ts";
import { Problem, usage } from "./problems.ts";
import { withSwitches } from "./switches.ts";

z.config(en());

/** What was typed: the texts after each flag, by its name. */
type Given = ReadonlyMap<string, readonly string[]>;
type Format = ReturnType<typeof formatFlag>;

const valueNames: Readonly<Record<Flag["kind"], string>> = {
  list: "<a,b>",
  entries: "<key=value>",
  switch: "[true|false]",
  content: "<text|@file>",
  value: "<value>",
};

/** A flag of the command line, whose texts are kept in the order in which they are typed. */
function optionOf(flag: Flag | OwnFlag, group: string, given: Map<string, string[]>): Option {
  const value = "value" in flag ? `<${flag.value}>` : valueNames[flag.kind];
  const preset = "preset" in flag && flag.preset !== undefined ? [`default ${flag.preset}`] : [];
  const notes = [...(flag.choices.length > 0 ? [flag.choices.join(", ")] : []), ...preset];
  const option = new Option(
    `--${flag.name} ${value}`,
    `${flag.description}${notes.length > 0 ? ` (${notes.join("; ")})` : ""}`,
  );
  return option.helpGroup(group).argParser((text: string) => {
    given.set(flag.name, [...(given.get(flag.name) ?? []), text]);
    return text;
  });
}

/** Parses the words with the flags of a command, and runs it. */
async function parse(program: Program, command: Command, words: readonly string[]): Promise<number> {
  const fields = command.flags();
  const format = formatFlag(fields, command.verb);
  const requested = fields.filter((flag) => flag !== format.field);
  const own = [...command.own, format.own, ...commonFlags];
  const given = new Map<string, string[]>();
  const sub = program.command(command.name).description(command.summary);
  for (const flag of [...requested, ...command.own]) sub.addOption(optionOf(flag, "What:", given));
  for (const flag of [format.own, ...commonFlags]) sub.addOption(optionOf(flag, "Where, and how it is shown:", given));
  const positional = command.positional(fields);
  if (positional !== undefined) sub.argument(...argumentOf(positional));
  const isHelp = words.some((word) => word === "--help" || word === "-h");
  if (isHelp) sub.addHelpText("after", `\nExample:\n  ${await exampleOf(command)}`);
  let ended: Promise<number> = Promise.resolve(exit.done);
  sub.action((first: unknown) => {
    if (positional !== undefined && typeof first === "string") {
      const text = positional.kind === "content" ? `@${first}` : first;
      given.set(positional.name, [...(given.get(positional.name) ?? []), text]);
    }
    ended = run(command, given, own, format, words);
  });
  await program.parseAsync(withSwitches(words, [...requested, ...own]), { from: "user" });
  return ended;
}

/** A flag that may be left out before its text. Content is the name of a file there. */
const argumentOf = ({ name, kind }: Flag): [string, string] =>
  kind === "content"
    ? ["[file]", `the file with the ${name}; - is the standard input`]
    : [`[${name}]`, `the same as --${name}`];

async function exampleOf(command: Command): Promise<string> {
  const { examples } = await import("../examples.ts");
  return commandLine(command.name, command.flags(), command.example ?? fieldsOf(examples[command.verb].request));
}

async function run(
  command: Command,
  given: Given,
  own: readonly OwnFlag[],
  format: Format,
  words: readonly string[],
): Promise<number> {
  const problems: string[] = [];
  const one = (name: string) => given.get(name)?.at(-1);
  for (const { name, kind, choices } of own) {
    const texts = given.get(name) ?? [];
    if (texts.length > 1) problems.push(`--${name} is given ${texts.length} times: give it once`);
    const allowed = kind === "switch" ? ["true", "false"] : choices;
    const wrong = texts.find((text) => allowed.length > 0 && !allowed.includes(text));
    if (wrong !== undefined) problems.push(`--${name} must be one of ${allowed.join(", ")}, not ${wrong}`);
  }
  const wanted = one(format.own.name) ?? "text";
  const isSent = format.field?.choices.includes(wanted) ?? false;
  if (wanted === "html" && process.stdout.isTTY && one("output") === undefined && one("open") !== "true") {
    problems.push("--format html is for a file or a browser: add --output FILE or --open");
  }
  const flags = command.flags();
  const texts = new Map(
    flags
      .filter((flag) => flag !== format.field && flag.field !== format.field?.field)
      .flatMap(({ field, name }) => [[field, given.get(name) ?? []] as const])
      .filter(([, typed]) => typed.length > 0),
  );
  if (isSent) texts.set("format", [wanted]);
  const typed = readRequest(command.request, flags, withSource(flags, texts), readContent);
  if ("problems" in typed) problems.push(...typed.problems);
  if ("problems" in typed || problems.length > 0) throw usage(problems, [`offset-rollback ${command.name} --help`]);

  const deployment = await findDeployment(one("deployment"));
  requireSamePlace(deployment, { path: one("path"), bootstrapServers: one("bootstrap-servers") });
  if (one("print-request") === "true") {
    await write(process.stdout, `${awsCommand(functionName(deployment, command.verb), typed.request)}\n`);
    const { dry_run, plan_digest, resume } = typed.request;
    if (command.verb === "rollback" && dry_run !== true && plan_digest === undefined) {
      console.error("This request rolls back at once: it shows no dry run, asks nothing, and has no plan_digest.");
      if (resume === undefined) {
        console.error("Print it with --dry-run first, then with --plan-digest and the digest of that dry run.");
      }
    }
    return exit.done;
  }
  const place = placeFlags.flatMap((name) => {
    const text = one(name);
    return text === undefined ? [] : ` --${name} ${shellQuoted(text)}`;
  });
  const here = (line: string) => line.replace(/^offset-rollback \S+/, (start) => start + place.join(""));
  const context: Run = {
    here,
    deployment,
    request: typed.request,
    isSet: (name) => one(name) === "true",
    call: callWith(deployment),
    async show(answer) {
      const destination = { output: one("output"), open: one("open") === "true" };
      const text = await rendered(answer, command.verb, wanted, destination);
      if (answer.content !== undefined || wanted === "csv") sayWarnings(answer.result);
      await deliver(text, command.name, wanted, destination);
    },
    say: (...lines) => console.error(lines.join("\n")),
  };
  try {
    return await command.run(context);
  } catch (error) {
    if (error instanceof Problem)
      error.next = nextSteps(error, command, typed.request, words.map(shellQuoted).join(" "), here);
    throw error;
  }
}

/** A file's name is the source of its content, where the request has a field for that. */
function withSource(flags: readonly Flag[], texts: ReadonlyMap<string, readonly string[]>) {
  const content = flags.find(({ kind }) => kind === "content");
  const [text = ""] = texts.get(content?.field ?? "") ?? [];
  const isNamed = text.startsWith("@") && text !== "@-" && !texts.has("source");
  const takesSource = flags.some(({ field }) => field === "source");
  return isNamed && takesSource ? new Map([...texts, ["source", [basename(text.slice(1))]]]) : texts;
}

/** The text of a file, gzip'd or not; `-` is the standard input. */
function readContent(name: string): string {
  try {
    return textOf(readFileSync(name === "-" ? 0 : name));
  } catch (cause) {
    const why = cause instanceof OperationError ? cause.what : cause instanceof Error ? cause.message : cause;
    throw new Unreadable(`cannot be read: ${why}`);
  }
}

/** The request as a command of the AWS CLI, which can be pasted into a runbook. */
const awsCommand = (functionName: string, request: Fields) =>
  `aws lambda invoke --function-name ${shellQuoted(functionName)} --cli-binary-format raw-in-base64-out ` +
  `--cli-read-timeout 905 --payload ${shellQuoted(encodeJson(request))} out.json`;

const overview = `
Examples:
  offset-rollback snapshot --groups 'orders-*' --description "before the deploy"
  offset-rollback rollback --snapshot-id ID --groups 'orders-*'      shows a dry run, then asks
  offset-rollback undo
  source <(offset-rollback completion bash)

Exit codes: 0 done; 1 failed, or a mismatch; 2 wrong usage, nothing was sent; 3 refused, nothing was changed.
Help for a command: offset-rollback COMMAND --help`;

/** Answers what is no operation: help, version, completion. */
async function runOther(program: Program, [name = "", ...rest]: readonly string[]): Promise<number> {
  if (name === COMPLETE) {
    await write(
      process.stdout,
      completions(rest)
        .map((word) => `${word}\n`)
        .join(""),
    );
    return exit.done;
  }
  for (const { name, summary } of commands.values()) program.command(name).description(summary);
  program
    .command("completion")
    .description(`Prints the completion for a shell: ${shells.join(" or ")}.`)
    .argument("<shell>")
    .action((shell: string) => {
      const known = shells.find((known) => known === shell);
      if (known === undefined) throw usage([`There is completion for ${shells.join(" and ")}, not for ${shell}.`]);
      process.stdout.write(completionScript(known));
    });
  program.addHelpText("after", overview);
  if (name === "") program.help({ error: true });
  await program.parseAsync([name, ...rest], { from: "user" });
  return exit.done;
}

/** Runs the program with the words after its name. Returns the exit code. */
async function main(typed: readonly string[]): Promise<number> {
  const words = typed[0] === "help" && typed[1] !== undefined ? [typed[1], "--help"] : typed;
  const program = new Program("offset-rollback")
    .description("Snapshots of the offsets that Kafka consumer groups have committed, and rollbacks to them.")
    .version(packageJson.version)
    .helpCommand("help [command]", "Shows the help of a command.")
    .exitOverride()
    .showSuggestionAfterError();
  const command = commands.get(words[0] ?? "");
  try {
    return await (command === undefined ? runOther(program, words) : parse(program, command, words));
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exit.done : exit.usage;
    if (!(error instanceof Problem)) {
      console.error("A fault of the command line itself. Whether something was sent is not known.");
      console.error(error instanceof Error ? error.stack : error);
      return exit.failed;
    }
    console.error(error.message);
    for (const next of error.next) console.error(`Next: ${next}`);
    return error.exitCode;
  }
}

// A reader that has gone, such as `head`, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") return;
  console.error(`The output could not be written: ${error.message}. What the command did is done.`);
  process.exit(exit.failed);
});
process.exitCode = await main(process.argv.slice(2));
