import { operations } from "../operations.ts";
import type { ErrorName } from "../shared/core/error-names.ts";
import type { Fields } from "../shared/core/json/json.ts";
import type { Command } from "./command.ts";
import { commandLine, flagsOf } from "./flags.ts";
import { AnswerLost, OperationFailed, type Problem } from "./problems.ts";

/** Looks for what was named wrongly, or for what else is going on. */
const looks: Partial<Readonly<Record<ErrorName, string>>> = {
  SnapshotNotFound: "list",
  SnapshotCorrupt: "list",
  GroupNotFound: "list",
  RollbackNotFound: "rollbacks",
  RollbackInProgress: "rollbacks",
};
const again: ReadonlySet<string> = new Set<ErrorName>(["KafkaUnavailable", "StorageUnavailable", "DeadlineExceeded"]);

/**
 * The commands that help after a failure: those that the command itself has named, or else some that follow from the failure.
 *
 * @param request what was asked for
 * @param typed the words that were typed, as a shell reads them
 * @param here makes a command one for the same deployment
 */
export function nextSteps(
  problem: Problem,
  { name }: Command,
  request: Fields,
  typed: string,
  here: (command: string) => string,
): readonly string[] {
  if (problem.next.length > 0) return problem.next.map(here);
  const repeated = `offset-rollback ${typed}`;
  if (problem instanceof AnswerLost) return [problem.changes ? here("offset-rollback list") : repeated];
  if (!(problem instanceof OperationFailed)) return [];
  if (problem.name === "InvalidRequest") return [`offset-rollback ${name} --help`];
  if (problem.name === "SnapshotHeld") {
    const held = request.snapshot_id === undefined ? {} : { snapshot_id: request.snapshot_id };
    return [`${here(commandLine("hold", flagsOf(operations.hold.request), { ...held, held: false }))}   (releases it)`];
  }
  // Snapshots do not show which groups the cluster has.
  if (problem.name === "GroupNotFound" && (name === "snapshot" || (name === "report" && !request.snapshot_id))) {
    return [here("offset-rollback snapshot --dry-run")];
  }
  const look = new Map(Object.entries(looks)).get(problem.name);
  if (look !== undefined) return [here(`offset-rollback ${look}`)];
  return again.has(problem.name) ? [repeated] : [];
}
