import * as z from "zod/mini";
import { groupsIn } from "../core/group-map.ts";
import { actions, outOfRangePolicies, type Policy } from "../core/rollback/plan.ts";
import { uncommittedPolicies } from "../core/rollback/uncommitted.ts";
import type { Selector } from "../core/selectors.ts";
import { described, optional, resultObject } from "../lambda/documentation.ts";
import * as wanted from "../lambda/request-fields.ts";
import * as fields from "../lambda/result-fields.ts";
import { byName, commit, count, int64OrNull, mark, targets, textOrNull } from "../lambda/result-fields.ts";

const digest = z
  .string()
  .check(z.regex(/^[0-9a-f]{64}$/, { error: "must be the plan_digest of a dry run: 64 hexadecimal digits" }));

/** The fields of a request that a plan depends on, beside the snapshot. */
export const planFields = {
  ...wanted.restriction,
  exact: optional(z.boolean(), '`true` is the same as `uncommitted: "delete"`.'),
  uncommitted: optional(
    z.enum(uncommittedPolicies),
    "What to do with commits on partitions that the snapshot lacks: keep them (the default); delete them, so that " +
      "`auto.offset.reset` of the consumers decides; go to the log start; or go to where the log ended when the snapshot " +
      "was taken, never forward.",
  ),
  out_of_range: optional(
    z.enum(outOfRangePolicies),
    "What to do when a target offset is no longer in the log: refuse; clamp it to the log; or skip the partition, whose " +
      "commit then stays as it is.",
  ),
  skip_blocked: described(
    z._default(z.boolean(), false),
    "Whether to leave out groups that are blocked, and roll back the others.",
  ),
  plan_digest: optional(digest, "The `plan_digest` of a dry run: the request fails if the plan is another one now."),
  group_map: optional(
    wanted.groupMap,
    "For each group of the snapshot, the group that gets its commits; an entry with one `*` on each side is a pattern.",
  ),
  detail: wanted.detail,
};

const planRequest = z.object({ snapshot_id: z.optional(wanted.snapshot), ...planFields });

/** What is to be planned, read. */
export type PlanRequest = z.output<typeof planRequest>;

/** What is wrong with a request whose fields are right one by one, as `[field, problem]`. */
export function planProblems({ snapshot_id, exact, uncommitted, groups, group_map }: PlanRequest): [string, string][] {
  const problems: [string, string][] = [];
  if (exact !== undefined && uncommitted !== undefined && exact !== (uncommitted === "delete")) {
    problems.push(["uncommitted", `is "${uncommitted}", and exact is ${exact}: set only one of them`]);
  }
  const isExact = typeof snapshot_id === "string" && snapshot_id !== "latest";
  if (groups === undefined && group_map === undefined && !isExact) {
    const why = "a rollback of all groups must name its snapshot exactly";
    problems.push(["snapshot_id", `must be an id when no groups are named: ${why}`]);
  }
  return problems;
}

/** The groups that a request names; those of its map where it has no groups. */
export function groupsOf({ groups, group_map }: PlanRequest): readonly Selector[] | undefined {
  return groups ?? (group_map && groupsIn(group_map));
}

/** What a request says about blockers and about commits that the snapshot lacks: `exact` is the former word for `delete`. */
export function policyOf(asked: PlanRequest): Policy {
  return {
    uncommitted: asked.uncommitted ?? (asked.exact ? "delete" : "keep"),
    outOfRange: asked.out_of_range ?? "refuse",
    skipBlocked: asked.skip_blocked,
  };
}

const moved = (description: string) =>
  described(
    z.strictObject({ to: int64OrNull, replayed: int64OrNull }),
    `${description}: the offset (\`to\`), and how much is replayed.`,
  );

const uncommitted = () =>
  optional(
    z.strictObject({
      acknowledged: described(
        int64OrNull,
        "How many of the offsets appended since the snapshot the commit acknowledges.",
      ),
      delete: described(
        z.strictObject({ replayed: int64OrNull, skipped: int64OrNull }),
        "`replayed` by a consumer with `auto.offset.reset=earliest`, `skipped` by one with `latest`.",
      ),
      log_start: moved("Replaying everything"),
      snapshot_end: moved("Replaying what was appended since the snapshot"),
    }),
    "Where the snapshot has no commit: what each choice of `uncommitted` replays or skips, at most; null is unknown.",
  );

/** What a plan and the result of a rollback have in common. */
export const inBoth = () => ({
  snapshot_id: fields.snapshotId,
  left_out: described(fields.blockers, "The blockers of everything that is left out because the caller asked for it."),
  skipped: described(fields.blockers, "The former name of `left_out`, for one version."),
  warnings: described(fields.sentences, "What to know beside the plan or the result, in sentences."),
  extra: described(
    z.array(z.strictObject({ ...fields.place, commit, uncommitted: uncommitted() })),
    "Commits on partitions that the snapshot lacks, which are kept.",
  ),
});

const partitionPlan = () =>
  z.strictObject({
    action: z.enum(actions),
    ...targets,
    done: mark,
    replayed: int64OrNull,
    skipped: int64OrNull,
    uncommitted: uncommitted(),
  });

const groupPlan = () =>
  z.strictObject({
    source: z.optional(z.string()),
    type: textOrNull,
    state: textOrNull,
    left_out: mark,
    replayed: int64OrNull,
    skipped: int64OrNull,
    partitions: byName(partitionPlan()),
  });

const planTotals = () =>
  z.strictObject({
    groups: count,
    partitions: count,
    replayed: int64OrNull,
    skipped: int64OrNull,
    actions: byName(count),
    blockers: byName(count),
  });

/** A plan, as a dry run is answered. */
export const dryRunResult = /* @__PURE__ */ resultObject(() => ({
  dry_run: described(z.literal(true), "True in the answer to a dry run."),
  ...inBoth(),
  plan_digest: described(z.string(), "A digest over snapshot, options, targets, live commits and topic ids."),
  totals: described(
    planTotals(),
    "Sums over all groups; partitions by action and blockers by kind, also those that do not occur.",
  ),
  blockers: described(fields.blockers, "Why the rollback would be refused; none: it would run."),
  groups: described(byName(groupPlan()), "The plan by group and topic-partition."),
}));
export type DryRunResult = z.output<typeof dryRunResult>;
