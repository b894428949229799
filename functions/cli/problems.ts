import { type ExitCode, exit, exitCodeOf } from "./exit-codes.ts";

/** Something that ends the program: it is printed, with the next commands, and is no fault of the program. */
export class Problem extends Error {
  readonly exitCode: ExitCode;
  /** Commands that can be pasted. */
  next: readonly string[];

  /** @param message begins with the name of the error where it has one */
  constructor(message: string, exitCode: ExitCode, next: readonly string[] = [], cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
    this.next = next;
  }
}

/** Arguments or a deployment that cannot be used: nothing was sent. */
export const usage = (problems: readonly string[], next: readonly string[] = [], end = ""): Problem =>
  new Problem(
    [
      problems.length === 1
        ? problems[0]
        : `${problems.length} problems:\n${problems.map((it) => `  ${it}`).join("\n")}`,
      ...(end === "" ? [] : [end]),
    ].join("\n"),
    exit.usage,
    next,
  );

/** Something was not done, and nothing was changed. */
export const refused = (message: string, next: readonly string[] = []): Problem =>
  new Problem(message, exit.refused, next);

/** An operation answered with an error. */
export class OperationFailed extends Problem {
  /** @param message begins with the error's name, as every message of an operation does */
  constructor(errorName: string, message: string) {
    super(message, exitCodeOf(errorName));
    this.name = errorName;
  }
}

/** The call did not reach the function: nothing was run. */
export class NotInvoked extends Problem {
  constructor(message: string, next: readonly string[], cause: unknown) {
    super(message, exit.failed, next, cause);
  }
}

/** The call was sent, and its answer was lost: what it did is not known, unless it changes nothing. */
export class AnswerLost extends Problem {
  readonly changes: boolean;

  /** @param changes whether the call changes something where it runs */
  constructor(said: string, changes: boolean, cause?: unknown) {
    super(`${said} ${howItEnded(changes)}`, exit.failed, [], cause);
    this.changes = changes;
  }
}

/** What is known of a call that gave no answer. */
export const howItEnded = (changes: boolean): string =>
  changes ? "Whether it ran, and how it ended, is not known." : "The call changes nothing.";
