import { missingRights } from "../shared/core/rights.ts";
import { count } from "../shared/core/text.ts";
import { OperationFailed, Problem } from "./problems.ts";

/** What came of one check. */
export interface Finding {
  readonly check: string;
  readonly outcome: "passed" | "failed" | "not_checked";
  /** What was proved, what failed, or why it was not checked. */
  readonly message: string;
  /** `dynamodb:Query on arn:…`, `DESCRIBE on group "g"`. */
  readonly missing_rights?: readonly string[];
  /** What to do next: sentences, or commands. */
  readonly next?: readonly string[];
}

/** Something was left behind, and what removes it. */
export interface Leftover {
  readonly what: string;
  readonly remove: string;
}

/** Ends a check that cannot be made; the message says why. */
export class NotChecked extends Error {}

/** Ends a check that failed, without an error of an operation. */
export class Failed extends Error {
  readonly next: readonly string[];
  constructor(message: string, next: readonly string[] = []) {
    super(message);
    this.next = next;
  }
}

/** The findings of checks, each of which is made whatever came of the others. */
export class Findings {
  readonly all: Finding[] = [];
  readonly leftBehind: Leftover[] = [];
  readonly #here: (command: string) => string;

  /** @param here makes a command one for the same deployment */
  constructor(here: (command: string) => string) {
    this.#here = here;
  }

  /**
   * Makes a check, and keeps what came of it.
   *
   * @param work returns what was proved; throws NotChecked, Failed, or what a call throws
   */
  async make(check: string, work: () => Promise<string>): Promise<void> {
    try {
      this.all.push({ check, outcome: "passed", message: await work() });
    } catch (error) {
      this.all.push(this.#unproved(check, error));
    }
  }

  #unproved(check: string, error: unknown): Finding {
    if (error instanceof NotChecked) return { check, outcome: "not_checked", message: error.message };
    if (!(error instanceof Failed || error instanceof Problem)) throw error;
    const rights = missingRights(error.message);
    const next = error.next.length > 0 ? error.next.map(this.#here) : rights.map((right) => remedyFor(right, error));
    return {
      check,
      outcome: "failed",
      message: error.message,
      ...(rights.length > 0 && { missing_rights: rights }),
      ...(next.length > 0 && { next: [...new Set(next)] }),
    };
  }
}

/** What to do about a missing right: whose it is follows from it, and from who was refused. */
function remedyFor(right: string, error: Error): string {
  if (/^[A-Z_]+ on /.test(right))
    return "Grant it to the Kafka principal of the deployment: infra/README.md has the list.";
  if (!(error instanceof OperationFailed)) return "Grant it to who runs this: aws sts get-caller-identity";
  return "The stack grants it to the function's role: deploy it again. A permissions boundary, an organization's policy or a key's policy may refuse it all the same.";
}

const signs = { passed: "✓", failed: "✗", not_checked: "–" } as const;

/** The findings as lines for people. */
export function findingsText(findings: readonly Finding[], leftBehind: readonly Leftover[]): string {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const lines = findings.flatMap(({ check, outcome, message, missing_rights = [], next = [] }) => [
    `${signs[outcome]} ${check.padEnd(width)}  ${message.replaceAll("\n", `\n${" ".repeat(width + 4)}`)}`,
    ...missing_rights.map((right) => `${" ".repeat(width + 4)}missing right: ${right}`),
    ...next.map((step) => `${" ".repeat(width + 4)}next: ${step}`),
  ]);
  const left = leftBehind.map(({ what, remove }) => `✗ left behind: ${what}. Remove it: ${remove}`);
  return `${[...lines, ...left, summaryOf(findings)].join("\n")}\n`;
}

/** How many findings there are of each outcome. */
export const countOf = (findings: readonly Finding[], outcome: Finding["outcome"]): number =>
  findings.filter((finding) => finding.outcome === outcome).length;

const summaryOf = (findings: readonly Finding[]) =>
  `${count(countOf(findings, "passed"), "check")} passed, ${countOf(findings, "failed")} failed, ` +
  `${countOf(findings, "not_checked")} not made.`;
