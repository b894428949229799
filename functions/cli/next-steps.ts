import { operations } from "../operations.ts";
import type { ErrorName } from "../shared/core/error-names.ts";
import type { Command } from "./command.ts";
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

/** The commands that help after a failure, where the command itself has named none. */
export function nextSteps(problem: Problem, { name, verb }: Command, typed: string): readonly string[] {
  if (problem.next.length > 0) return problem.next;
  const repeated = `offset-rollback ${typed}`;
  if (problem instanceof AnswerLost) {
    const { routes } = operations[verb];
    const isRead = routes.length > 0 && routes.every(({ method }) => method === "GET");
    return [isRead ? repeated : "offset-rollback list"];
  }
  if (!(problem instanceof OperationFailed)) return [];
  if (problem.name === "InvalidRequest") return [`offset-rollback ${name} --help`];
  const look = new Map(Object.entries(looks)).get(problem.name);
  if (look !== undefined) return [`offset-rollback ${look}`];
  return again.has(problem.name) ? [repeated] : [];
}
