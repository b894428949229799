import { expect, test } from "vitest";
import { operations, type Verb } from "../../../functions/operations.ts";
import * as results from "../../support/results.ts";
import * as samples from "./samples.ts";

test.each<[string, Verb, object]>([
  ["a list", "list", samples.listed],
  ["a dry run", "rollback", samples.dryRun],
  ["a rollback", "rollback", samples.partlyRolledBack],
  ["a history", "history", samples.history],
  ["a snapshot for the page", "show", results.snapshot],
  ["a large snapshot for the page", "show", results.manyGroups(3)],
  ["a comparison for the page", "diff", results.diff],
  ["a dry run for the page", "rollback", results.dryRun],
  ["a rollback for the page", "rollback", results.rollback],
  ["a history for the page", "history", results.history],
])("the sample of %s is a result of %s", (_, verb, sample) => {
  expect(operations[verb].result.safeParse(results.asRead(sample)).error?.issues).toBeUndefined();
});
