import type { ErrorName } from "../shared/core/error-names.ts";
import type { Command } from "./command.ts";
import { AnswerLost, OperationFailed, type Problem } from "./problems.ts";

/** Looks for what was named wrongly, or for what else is going on. */
const looks: Partial<Readonly<Record<ErrorName, string>>> = {
  SnapshotNotFound: "list",
  SnapshotCorrupt: "list",
  SnapshotHeld: "list --held",
  GroupNotFound: "list",
  RollbackNotFound: "rollbacks",
  RollbackInProgress: "rollbacks",
};
const again: ReadonlySet<string> = new Set<ErrorName>(["KafkaUnavailable", "StorageUnavailable", "DeadlineExceeded"]);

/**
 * The commands that help after a failure: those that the command itself has named, or else some that follow from the failure.
 *
 * @param typed the words that were typed, as a shell reads them
 * @param here makes a command one for the same deployment
 */
export function nextSteps(
  problem: Problem,
  { name }: Command,
  typed: string,
  here: (command: string) => string,
): readonly string[] {
  if (problem.next.length > 0) return problem.next.map(here);
  const repeated = `offset-rollback ${typed}`;
  if (problem instanceof AnswerLost) return [problem.changes ? here("offset-rollback list") : repeated];
  if (!(problem instanceof OperationFailed)) return [];
  if (problem.name === "InvalidRequest") return [`offset-rollback ${name} --help`];
  const look = new Map(Object.entries(looks)).get(problem.name);
  if (look !== undefined) return [here(`offset-rollback ${look}`)];
  return again.has(problem.name) ? [repeated] : [];
}
