import { type Commit, type LiveState, sameCommit, topicsOf } from "../model.ts";
import type { Origin } from "./blockers.ts";
import { type GroupPlan, type Plan, takesPart } from "./plan.ts";
import type { PlannedRollback } from "./plan-document.ts";
import { type Intent, planIntents } from "./planning.ts";

/** What a plan, made on this live state, was true for. */
export function originOf(plan: Plan, live: LiveState): Origin {
  const topics = topicsOf(new Map([...plan.groups].map(([group, { partitions }]) => [group, partitions])));
  return {
    name: plan.snapshotId,
    clusterId: live.cluster.clusterId,
    topics: new Map([...topics].map((topic) => [topic, { topicId: live.observed.topics.get(topic)?.topicId ?? null }])),
  };
}

/** What has to be observed to take up a planned rollback again, or to see what became of it: partitions by group. */
export function partitionsOf(plan: Plan): Map<string, ReadonlyMap<string, unknown>> {
  return new Map([...targetsOf(plan)].map(([group, { targets }]) => [group, targets]));
}

/**
 * Whether every partition of a plan stands at its target, those that it skips aside. A group that could not be read does
 * not; one that does not exist has no commits.
 *
 * @param live the state of the groups of `partitionsOf`
 */
export function targetsHold(plan: Plan, { commits, errors }: Pick<LiveState, "commits" | "errors">): boolean {
  return [...targetsOf(plan)].every(
    ([group, { targets }]) =>
      !errors.some((error) => error.group === group) &&
      [...targets].every(([key, target]) => sameCommit(commits.get(group)?.get(key) ?? null, target)),
  );
}

/**
 * Plans the rest of a rollback that was interrupted, or that reached some of its targets only: what stands at its target
 * is done, what stands where the plan found it is still to be moved, and what stands anywhere else is a blocker: somebody
 * has moved it since, and it is not rewound a second time. A share group that was to be rewound to where it stands is
 * rewound again: whether it was does not show.
 *
 * @param live the state of the groups of `partitionsOf`
 */
export function planResume({ plan, origin }: PlannedRollback, live: LiveState, skipBlocked: boolean): Plan {
  const policy = { exact: false, outOfRange: "refuse", skipBlocked } as const;
  const rest = planIntents(origin, targetsOf(plan), live, policy);
  const groups = new Map<string, GroupPlan>();
  for (const [group, planned] of plan.groups) {
    const now = takesPart(planned) ? rest.groups.get(group) : planned;
    if (now === undefined) continue;
    const partitions = new Map(
      [...planned.partitions].flatMap(([key, before]) => {
        const after = before.action === "skip" ? before : now.partitions.get(key);
        if (after === undefined) return []; // the group is left out because it cannot be read
        return [[key, before.asked === undefined ? after : { ...after, asked: before.asked }] as const];
      }),
    );
    groups.set(group, { ...planned, ...now, partitions });
  }
  return { ...plan, ...rest, groups, skipped: [...plan.skipped, ...rest.skipped] };
}

function targetsOf(plan: Plan): Map<string, Intent & { readonly found: ReadonlyMap<string, Commit | null> }> {
  const intents = new Map<string, Intent & { readonly found: ReadonlyMap<string, Commit | null> }>();
  for (const [group, planned] of plan.groups) {
    if (!takesPart(planned)) continue;
    const kept = [...planned.partitions].filter(([, { action }]) => action !== "skip");
    intents.set(group, {
      type: planned.type,
      targets: new Map(kept.map(([key, { to }]) => [key, to])),
      found: new Map(kept.map(([key, { from }]) => [key, from])),
    });
  }
  return intents;
}
