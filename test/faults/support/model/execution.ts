import type { Commit } from "../../../../functions/shared/core/model.ts";
import { Bag } from "../expected.ts";
import { mismatches } from "./comparisons.ts";
import type { RollbackRecord, World } from "./journal.ts";
import { isPending, type Plan, type Step, takesPart } from "./plan.ts";
import { extraDocument, leftOutDocument } from "./plan-document.ts";
import { commitAt, committed, documentOf, perKey, same, withMember } from "./world.ts";

/** What happens during a rollback besides its own work, if it starts. */
export interface Circumstances {
  /** The plan that was answered with a digest, if any. */
  planOfDigest(digest: string): string | undefined;
  /** Commits of another writer, after the plan and before the rollback's first commit. */
  readonly meanwhile?: readonly { readonly group: string; readonly key: string; readonly commit: Commit }[];
  /** A group that a consumer joins at that time. */
  readonly joined?: string | undefined;
  /** When the function is killed: before its first commit (`early`), or before it closes its journal record (`late`). */
  readonly killed?: "early" | "late" | undefined;
}

/** The world after a plan's commits and the circumstances, and the groups whose commits the broker refuses. */
function written(world: World, plan: Plan, { meanwhile = [], joined, killed }: Circumstances) {
  const refused = new Set<string>();
  if (killed === "early") return { now: world, refused };
  let now = meanwhile.reduce((before, { group, key, commit }) => committed(before, group, key, commit), world);
  if (joined !== undefined) now = withMember(now, joined, true);
  for (const [group, { steps }] of plan.groups) {
    const pending = [...steps].filter(([, step]) => isPending(step));
    const [commits, deletes] = [
      pending.filter(([, { to }]) => to !== null),
      pending.filter(([, { to }]) => to === null),
    ];
    if (group === joined && commits.length > 0) refused.add(group);
    else for (const [key, { to }] of commits) now = committed(now, group, key, to);
    // Commits are deleted only if each is still the one that the plan found, and the group has no members.
    const asFound = deletes.every(([key, { from }]) => same(commitAt(now, group, key), from));
    if (group !== joined && asFound) for (const [key] of deletes) now = committed(now, group, key, null);
  }
  return { now, refused };
}

/** The world and the record after a plan was executed. */
export function executed(
  world: World,
  plan: Plan,
  circumstances: Circumstances,
): { world: World; end: Pick<RollbackRecord, "status" | "result"> } {
  const { now, refused } = written(world, plan, circumstances);
  if (circumstances.killed !== undefined) return { world: now, end: { status: "running" } };
  const outcomes = new Map<string, number>();
  const statuses = new Map<string, number>();
  const add = (to: Map<string, number>, what: string) => to.set(what, (to.get(what) ?? 0) + 1);
  const allMismatches: unknown[] = [];
  let checked = 0;
  const groups = perKey(plan.groups, (planned, group) => {
    let [notAtTarget, moved] = [0, 0];
    const partitions = perKey(planned.steps, (step, key) => {
      const { from, to, asked } = step;
      const current = commitAt(now, group, key);
      const outcome = outcomeOf(step, same(current, to), refused.has(group));
      const isThere = same(current, to) || outcome === "skipped";
      add(outcomes, outcome);
      if (!isThere) notAtTarget++;
      if (outcome === "restored" || outcome === "deleted") moved++;
      if (outcome !== "skipped") {
        checked++;
        allMismatches.push(...mismatches(group, key, to, current));
      }
      const places = { from: documentOf(from), to: documentOf(to), asked: asked && documentOf(asked) };
      const error = outcome === "failed" ? /^GroupNotEmpty: / : undefined;
      return { outcome, ...places, actual: isThere ? undefined : documentOf(current), error };
    });
    const ended = notAtTarget === 0 ? "success" : moved > 0 ? "partial_success" : "failed";
    const status = planned.leftOut || (planned.steps.size > 0 && !takesPart(planned)) ? "skipped" : ended;
    add(statuses, status);
    return { source: planned.source, status, partitions, error: status === "success" ? undefined : /\S/ };
  });
  const failed = (statuses.get("failed") ?? 0) + (statuses.get("partial_success") ?? 0);
  const [succeeded, restored, deleted] = [
    statuses.get("success") ?? 0,
    outcomes.get("restored") ?? 0,
    outcomes.get("deleted") ?? 0,
  ];
  const status = failed === 0 ? "success" : succeeded + restored + deleted > 0 ? "partial_success" : "failed";
  const result = {
    status,
    snapshot_id: plan.snapshotId,
    groups_rolled_back: succeeded,
    groups_failed: failed,
    groups_skipped: statuses.get("skipped") ?? 0,
    offsets_restored: restored,
    offsets_deleted: deleted,
    groups,
    extra: extraDocument(plan),
    ...leftOutDocument(plan),
    verification: { verified: allMismatches.length === 0, checked, mismatches: new Bag(allMismatches) },
    warnings: new Bag(plan.warnings),
    duration_ms: /^\d+$/,
  };
  return { world: now, end: { status, result } };
}

function outcomeOf({ action, done, to }: Step, isAtTarget: boolean, isRefused: boolean): string {
  if (action === "skip") return "skipped";
  if (action === "unchanged") return isAtTarget ? "unchanged" : "moved_since";
  if (isAtTarget) return action === "delete" ? "deleted" : "restored";
  if (done) return "moved_since";
  if (to === null) return "not_attempted";
  return isRefused ? "failed" : "moved_since";
}
