import * as z from "zod/mini";
import { compileSelectors } from "../shared/core/selectors.ts";
import { nameSome } from "../shared/core/text.ts";
import { described, type Route, unbundled } from "../shared/lambda/documentation.ts";
import { description, label, selectors } from "../shared/lambda/request-fields.ts";
import { captureErrors, count, snapshotStatus, warnings } from "../shared/lambda/result-fields.ts";

export const request = z
  .strictObject({
    groups: described(
      z._default(selectors, ["*"]),
      "The groups: names, or patterns with `*` and `?`. A name that the cluster lacks is GroupNotFound.",
    ),
    exclude: described(z.optional(selectors), "Groups to leave out: names, or patterns with `*` and `?`."),
    description: described(z._default(description, ""), "A text that is kept with the snapshot."),
    allow_partial: described(
      z._default(z.boolean(), false),
      "Whether to keep a snapshot that lacks groups which could not be read.",
    ),
    schedule: described(
      z.optional(
        z.strictObject({
          name: label(64),
          execution_id: label(256),
          scheduled_time: label(64),
        }),
      ),
      "The execution of a schedule, as EventBridge Scheduler fills it in. One execution has one snapshot.",
    ),
  })
  .check(
    z.superRefine(({ groups, exclude }, context) => {
      const excluded = compileSelectors(exclude ?? []);
      const both = [...compileSelectors(groups).literals].filter((group) => excluded.matches(group));
      if (both.length === 0) return;
      context.addIssue({ code: "custom", path: ["exclude"], message: `excludes ${nameSome(both)}, named in groups` });
    }),
  );

export const result = /* @__PURE__ */ unbundled(() =>
  z.strictObject({
    snapshot_id: described(z.string(), "The id of the snapshot."),
    created_at: described(z.string(), "When it was taken."),
    description: described(z.string(), "What the caller wrote."),
    status: described(
      snapshotStatus,
      "`complete`: every selected group is in it; `partial`: the groups in `errors` are not.",
    ),
    groups: described(count, "How many groups it has."),
    offsets: described(count, "How many committed offsets it has."),
    errors: described(captureErrors, "The groups that could not be captured, and why."),
    warnings: described(warnings, "What may be missing or unknown, in sentences."),
    repeated: described(
      z.optional(z.literal(true)),
      "True where an earlier delivery of the same scheduled execution took this snapshot.",
    ),
  }),
);
export type SnapshotResult = z.output<typeof result>;

export const summary = "Takes a snapshot of the offsets that consumer groups have committed.";
export const routes: readonly Route[] = [{ method: "POST", path: "/snapshots" }];
