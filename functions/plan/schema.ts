import * as z from "zod/mini";
import { described, type Route } from "../shared/lambda/documentation.ts";
import * as wanted from "../shared/lambda/request-fields.ts";
import { dryRunResult, planFields, planProblems } from "../shared/planning/schema.ts";

export const request = z
  .strictObject({
    snapshot_id: described(
      wanted.snapshot,
      "The snapshot: an id, or with `groups` also `latest` or the newest at or before a time.",
    ),
    ...planFields,
  })
  .check(
    z.superRefine((asked, context) => {
      for (const [field, message] of planProblems(asked)) context.addIssue({ code: "custom", path: [field], message });
    }),
  );

export const result = dryRunResult;

export const summary = "Shows what a rollback would do, as its dry run does, and has no right to roll back.";
export const routes: readonly Route[] = [{ method: "POST", path: "/snapshots/{snapshot_id}/plan" }];
