import type * as z from "zod/mini";
import type { Verb } from "../operations.ts";
import type { Fields } from "../shared/core/json/json.ts";
import type { Deployment } from "./deployment.ts";
import type { ExitCode } from "./exit-codes.ts";
import type { Flag, FlagKind } from "./flags.ts";
import type { Answer } from "./invoke.ts";

/** A flag that is no field of a request. */
export interface OwnFlag {
  readonly name: string;
  readonly kind: FlagKind;
  readonly description: string;
  /** What stands for its value in the help. */
  readonly value?: string;
  readonly choices: readonly string[];
}

/** What one run of the program has to work with. */
export interface Run {
  readonly deployment: Deployment;
  readonly request: Fields;
  /** Whether a switch of the command's own is set: `yes`. */
  isSet(name: string): boolean;
  /** Invokes a function, and says on stderr that it runs. */
  call(verb: Verb, request: Fields): Promise<Answer>;
  /** Shows an answer in the format that is wanted. */
  show(answer: Answer): Promise<void>;
  /** Makes a command that is printed one for the same deployment: what was typed to choose or check it is repeated. */
  here(command: string): string;
  /** Prints lines that are no result. */
  say(...lines: readonly string[]): void;
}

/** A command: an operation, or a short way to use some of them. */
export interface Command {
  readonly name: string;
  /** The operation whose request the flags are. */
  readonly verb: Verb;
  readonly summary: string;
  /** The flags that are fields of its request. */
  flags(): readonly Flag[];
  readonly request: z.ZodMiniType;
  /** The field that may stand without a flag: `show ID`. */
  positional(flags: readonly Flag[]): Flag | undefined;
  readonly own: readonly OwnFlag[];
  /** A request for the help; that of the operation unless given. */
  readonly example?: Fields;
  run(run: Run): Promise<ExitCode>;
}
