import * as z from "zod/mini";
import { compileSelectors } from "../shared/core/selectors.ts";
import { nameSome } from "../shared/core/text.ts";
import { described, optional, type Route, resultObject } from "../shared/lambda/documentation.ts";
import { description, label, marks, selectors } from "../shared/lambda/request-fields.ts";
import * as fields from "../shared/lambda/result-fields.ts";

export const request = z
  .strictObject({
    groups: described(
      z._default(selectors, ["*"]),
      "The groups: names, or patterns with `*` and `?`. A name that the cluster lacks is GroupNotFound.",
    ),
    exclude: optional(selectors, "Groups to leave out: names, or patterns with `*` and `?`."),
    description: described(z._default(description, ""), "A text that is kept with the snapshot."),
    allow_partial: described(
      z._default(z.boolean(), false),
      "Whether to keep a snapshot that lacks groups which could not be read.",
    ),
    ...marks,
    dry_run: described(
      z._default(z.boolean(), false),
      "Whether to answer what would be captured, and store nothing. Groups that cannot be read are refused as without it.",
    ),
    schedule: optional(
      z.strictObject({ name: label(64), execution_id: label(256), scheduled_time: label(64) }),
      "The run of a schedule, as EventBridge Scheduler fills it in, in direct invocations only. One `scheduled_time` of a `name` " +
        "has one snapshot.",
    ),
  })
  .check(
    z.superRefine(({ groups, exclude, dry_run, schedule }, context) => {
      if (dry_run && schedule !== undefined) {
        context.addIssue({
          code: "custom",
          path: ["schedule"],
          message: "is of no dry run: leave one of them out",
          continue: true,
        });
      }
      const excluded = compileSelectors(exclude ?? []);
      const both = [...compileSelectors(groups).literals].filter((group) => excluded.matches(group));
      if (both.length === 0) return;
      context.addIssue({ code: "custom", path: ["exclude"], message: `excludes ${nameSome(both)}, named in groups` });
    }),
  );

/** What only a schedule says, which invokes the function. */
export const directOnly = ["schedule"] as const;

/** A snapshot request, read. */
export type Request = z.output<typeof request>;

export const snapshotResult = /* @__PURE__ */ resultObject(() => ({
  ...fields.aboutSnapshot,
  ...fields.sizeOfSnapshot,
  ...fields.problemsOfSnapshot,
  ...fields.marksOfSnapshot,
  at_risk: fields.atRisk,
  repeated: described(fields.mark, "True where an earlier delivery of the same scheduled run took this snapshot."),
}));
export type SnapshotResult = z.output<typeof snapshotResult>;

/** What a snapshot would be: it has no id, because none was taken. */
export const dryRunResult = /* @__PURE__ */ resultObject(() => ({
  dry_run: described(z.literal(true), "True in the answer to a dry run: nothing was stored."),
  description: fields.description,
  status: fields.aboutSnapshot.status,
  ...fields.sizeOfSnapshot,
  ...fields.problemsOfSnapshot,
  ...fields.marksOfSnapshot,
  consumer_groups: described(
    fields.byPartition(fields.commit),
    "The commits that the snapshot would have, by group and topic-partition.",
  ),
}));
export type DryRunResult = z.output<typeof dryRunResult>;

export const result = /* @__PURE__ */ z.union([dryRunResult, snapshotResult]);

export const summary = "Takes a snapshot of the offsets that consumer groups have committed.";
export const routes: readonly Route[] = [{ method: "POST", path: "/snapshots" }];
