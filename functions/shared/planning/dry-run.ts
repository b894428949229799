import { PlanChanged } from "../core/errors.ts";
import { blockerKinds } from "../core/rollback/blockers.ts";
import { actions, type Plan } from "../core/rollback/plan.ts";
import { encodePlan } from "../core/rollback/plan-document.ts";
import type { Encoded } from "../lambda/result-fields.ts";
import type { DryRunResult, PlanRequest } from "./schema.ts";

/** A plan, as a dry run is answered. */
export function encodeDryRun(plan: Plan): Encoded<DryRunResult> {
  return { dry_run: true, totals: totalsOf(plan), ...encodePlan(plan) };
}

function totalsOf({ groups, blockers }: Plan): Encoded<DryRunResult["totals"]> {
  const partitions = [...groups.values()].flatMap((group) => [...group.partitions.values()]);
  const sum = (figure: "replayed" | "skipped") =>
    [...groups.values()].reduce<bigint | null>(
      (total, { [figure]: part }) => (total === null || part === null ? null : total + part),
      0n,
    );
  return {
    groups: groups.size,
    partitions: partitions.length,
    replayed: sum("replayed"),
    skipped: sum("skipped"),
    actions: countBy(
      actions,
      partitions.map(({ action }) => action),
    ),
    blockers: countBy(
      blockerKinds,
      blockers.map(({ kind }) => kind),
    ),
  };
}

/** How often each word occurs, those that do not, too. */
function countBy<Word extends string>(words: readonly Word[], found: readonly Word[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>(words.map((word) => [word, 0]));
  for (const word of found) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** @throws PlanChanged unless the plan is the one that the caller has seen, if the caller sent a digest */
export function requireSeen({ plan_digest }: Pick<PlanRequest, "plan_digest">, plan: Plan): void {
  if (plan_digest !== undefined && plan_digest !== plan.digest) throw planChanged(plan, plan_digest);
}

/** The error of a plan that is not the one that the caller has seen. */
export function planChanged(plan: Plan, seen: string): PlanChanged {
  const now = plan.blockers.length > 0 ? ` Blockers now: ${plan.blockers.length}.` : "";
  return new PlanChanged(
    `the plan with the digest ${seen.slice(0, 12)}… is no longer what a rollback to ${plan.snapshotId} would do ` +
      `(${plan.digest.slice(0, 12)}…): commits, topics, blocked groups or options changed after the dry run.${now}`,
    { next: "Make a new dry run, read it, then send its plan_digest.", details: encodeDryRun(plan) },
  );
}
