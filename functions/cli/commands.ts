import { hostname, userInfo } from "node:os";
import * as z from "zod/mini";
import { levelOf, operations, type Verb, verbs } from "../operations.ts";
import { encodeJson } from "../shared/core/json/json.ts";
import { described, fieldOf, optional } from "../shared/lambda/documentation.ts";
import type { Command, OwnFlag, Run } from "./command.ts";
import type { Deployment } from "./deployment.ts";
import { type ExitCode, exit } from "./exit-codes.ts";
import { commandLine, type Flag, flagsOf } from "./flags.ts";
import { type Answer, invoke, readAnswer, textField } from "./invoke.ts";
import { ownFormats, pageOf } from "./output.ts";
import { withProgress } from "./progress.ts";

/** Flags that choose or check the deployment. */
export const placeFlags = ["deployment", "path", "bootstrap-servers"] as const;

/** Flags that every command has. */
export const commonFlags: readonly OwnFlag[] = [
  {
    name: "deployment",
    kind: "value",
    value: "stack",
    description:
      "The stack. Without it: .local/outputs.json of this directory, else OFFSET_ROLLBACK_DEPLOYMENT, else OffsetRollback.",
    choices: [],
  },
  {
    name: "path",
    kind: "value",
    value: "s3://bucket/prefix",
    description: "Where the snapshots are. Another place than the deployment's is an error.",
    choices: [],
  },
  {
    name: "bootstrap-servers",
    kind: "value",
    value: "host:port",
    description: "Brokers of the Kafka cluster. Another cluster than the deployment's is an error.",
    choices: [],
  },
  { name: "output", kind: "value", value: "file", description: "Writes the result to this file.", choices: [] },
  {
    name: "open",
    kind: "switch",
    description: "Opens the result with the program that the system has for it.",
    choices: [],
  },
];

/** A command that is one call can be printed instead. */
const printRequest: OwnFlag = {
  name: "print-request",
  kind: "switch",
  description: "Prints the request as a command of the AWS CLI, and sends nothing.",
  choices: [],
};

/** The field that may stand without a flag: that of the parameter in a path of the operation, or its content. */
function positionalOf(verb: Verb, flags: readonly Flag[]): Flag | undefined {
  const operation = operations[verb];
  const [parameter] = operation.routes
    .map(({ path }) => /\{(\w+)\}/.exec(path)?.[1])
    .filter((name) => name !== undefined);
  const named = parameter && fieldOf(parameter, "snapshotField" in operation ? operation.snapshotField : undefined);
  return flags.find(({ field, kind }) => kind === "content" || field === named);
}

/** The command of an operation. */
function operationCommand(verb: Verb): Command {
  const { request, summary } = operations[verb];
  return {
    name: verb,
    verb,
    summary,
    flags: () => flagsOf(request),
    request,
    positional: (flags) => positionalOf(verb, flags),
    own: [printRequest],
    async run({ call, show, request: asked, here, say }) {
      const answer = await call(verb, asked);
      const code = answerCode(verb, answer);
      await show(answer);
      const next_token = textField(answer.result, "next_token");
      if (next_token !== undefined) {
        say("There are more.", `Next: ${here(commandLine(verb, flagsOf(request), { ...asked, next_token }))}`);
      }
      return code;
    },
  };
}

/** A mismatch is a result, and no success; nor is an answer that does not say whether there is one. */
function answerCode(verb: Verb, answer: Answer): ExitCode {
  if (verb !== "verify") return exit.done;
  return readAnswer(compared, answer, verb).verified ? exit.done : exit.failed;
}

const compared = z.looseObject({ verified: operations.verify.result.shape.verified });

/** Answers the question of a rollback. */
const yes: OwnFlag = {
  name: "yes",
  kind: "switch",
  description: "Does not ask: shows the dry run, and rolls back what it showed.",
  choices: [],
};

const { rollback, rollbacks, show } = operations;
const { groups, topics, ...rest } = rollback.request.shape;
const { out_of_range, skip_blocked, wait_for_empty_seconds, dry_run, verify, detail, requested_by, description } = rest;

/** What an undo takes: the rollback to undo, and what may be chosen in a rollback to its safety snapshot. */
const undoRequest = z.strictObject({
  rollback_id: described(rollbacks.request.shape.rollback_id, "The rollback to undo; the last one unless given."),
  ...{ groups, topics, dry_run, verify, out_of_range, skip_blocked, wait_for_empty_seconds, detail },
  ...{ requested_by, description },
});

const reportRequest = z.strictObject({
  snapshot_id: optional(show.request.shape.snapshot_id, "The snapshot. Without it, one is taken first."),
  groups: show.request.shape.groups,
  topics: show.request.shape.topics,
});

const doctorRequest = z.strictObject({
  group: optional(
    z.string().check(z.minLength(1)),
    "The group to look at; the one with the fewest commits unless given.",
  ),
  write: described(
    z._default(z.boolean(), false),
    "Whether to prove writes too: rolls the group offset-rollback-doctor to the commits of the group, and removes all of that.",
  ),
});

/** A digest is of a plan that was seen, so that the command line shows and asks nothing. */
const rollbackFlags = () =>
  flagsOf(rollback.request).map((flag) =>
    flag.field === "plan_digest" ? { ...flag, description: `${flag.description} Rolls back without asking.` } : flag,
  );

/** Commands that are more than one call, or another than the operation of their name. */
const made: readonly Command[] = [
  {
    ...operationCommand("rollback"),
    flags: rollbackFlags,
    own: [yes, printRequest],
    run: async (run) => (await import("./rollback.ts")).rollBack(run, rollbackFlags()),
  },
  {
    ...operationCommand("plan"),
    run: async (run) => (await import("./rollback.ts")).showPlan(run, rollbackFlags(), run.request, "plan"),
  },
  {
    name: "undo",
    verb: "rollback",
    summary: "Undoes a rollback: rolls its groups back to where they stood before it.",
    request: undoRequest,
    flags: () => flagsOf(undoRequest),
    positional: (flags) => flags.find(({ field }) => field === "rollback_id"),
    own: [yes],
    example: { rollback_id: "rollback-2025-01-15T11:00:00Z-1f2e3d4c" },
    run: async (run) => (await import("./undo.ts")).undo(run, rollbackFlags()),
  },
  {
    name: "report",
    verb: "show",
    summary: "Shows where groups stand in the topics' logs: offsets, log ranges and lag.",
    request: reportRequest,
    flags: () => flagsOf(reportRequest),
    positional: (flags) => flags.find(({ field }) => field === "snapshot_id"),
    own: [],
    example: { groups: ["orders-*"] },
    run: async (run) => (await import("./report.ts")).report(run),
  },
  {
    name: "doctor",
    verb: "list",
    summary: "Checks a deployment by real calls: what its functions and you may do, its schedules and its alarms.",
    request: doctorRequest,
    flags: () => flagsOf(doctorRequest),
    positional: () => undefined,
    own: [],
    example: { write: true },
    run: async (run) => (await import("./doctor.ts")).doctor(run),
  },
];

/** All commands, by name. */
export const commands: ReadonlyMap<string, Command> = new Map(
  [...verbs.map(operationCommand), ...made].map((command) => [command.name, command]),
);

/** The field of a request that says the form of its result, and the flag for the form of what is printed. */
export function formatFlag(
  flags: readonly Flag[],
  verb: Verb,
): { readonly field: Flag | undefined; readonly own: OwnFlag } {
  const field = flags.find(({ field, preset }) => field === "format" && preset !== undefined);
  const isTaken = field === undefined && flags.some(({ field }) => field === "format");
  return {
    field,
    own: {
      name: isTaken ? "output-format" : "format",
      kind: "value",
      description: "How the result is printed: text unless given.",
      choices: [
        ...new Set([...ownFormats, ...(pageOf(verb) === undefined ? [] : ["html"]), ...(field?.choices ?? [])]),
      ],
    },
  };
}

/** Invokes a function, with a sign of life on a terminal. The request says who asks, where it has a field for that. */
export const callWith =
  (deployment: Deployment): Run["call"] =>
  (verb, request) => {
    const asked = "requested_by" in operations[verb].request.shape ? { requested_by: caller(), ...request } : request;
    const changes = request.dry_run !== true && levelOf[verb] !== "viewer";
    return withProgress(`${verb} by ${deployment.name}`, () => invoke(deployment, verb, encodeJson(asked), changes));
  };

/** Who runs the program: the journal keeps it. */
function caller(): string {
  try {
    return `${userInfo().username}@${hostname()}`.slice(0, 256);
  } catch {
    return hostname().slice(0, 256);
  }
}
