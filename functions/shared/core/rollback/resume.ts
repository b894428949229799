import { type LiveState, sameCommit, type Targets, topicPartition } from "../model.ts";
import type { Origin } from "./blockers.ts";
import { type GroupPlan, type Plan, takesPart, targetsOf, topicsIn } from "./plan.ts";
import type { PlannedRollback } from "./plan-document.ts";
import { type Intent, planIntents } from "./planning.ts";

/**
 * The cluster and topics that a plan, made on this live state, is valid for. Its targets are in the logs that were observed:
 * the leader epochs show whether that is still so.
 */
export function originOf(plan: Plan, live: LiveState): Origin {
  const planned = new Set([...plan.groups.values()].flatMap(({ partitions }) => [...partitions.keys()]));
  return {
    name: plan.snapshotId,
    clusterId: live.cluster.clusterId,
    topics: new Map(
      [...topicsIn(plan.groups)].map((topic) => {
        const { topicId = null, partitions = [] } = live.observed.topics.get(topic) ?? {};
        const logs = [...partitions].filter(
          ([at, { leaderEpoch }]) => leaderEpoch !== null && planned.has(topicPartition(topic, at)),
        );
        return [topic, { topicId, partitions: new Map(logs.map(([at, { leaderEpoch }]) => [at, { leaderEpoch }])) }];
      }),
    ),
  };
}

/** What must be observed to resume a planned rollback, or to see its effect: the targets of every group that takes part. */
export function partitionsOf({ groups }: Plan): Map<string, Targets> {
  return new Map([...groups].filter(([, plan]) => takesPart(plan)).map(([group, plan]) => [group, targetsOf(plan)]));
}

/**
 * Whether every partition of a plan, except those it skips, stands at its target. A group that could not be read does not;
 * a group that does not exist has no commits.
 *
 * @param live the state of the groups of `partitionsOf`
 */
export function targetsHold(plan: Plan, { commits, errors }: Pick<LiveState, "commits" | "errors">): boolean {
  return [...partitionsOf(plan)].every(
    ([group, targets]) =>
      !errors.some((error) => error.group === group) &&
      [...targets].every(([key, target]) => sameCommit(commits.get(group)?.get(key) ?? null, target)),
  );
}

/**
 * Plans the rest of a rollback that was interrupted, or that reached only some of its targets. A partition at its target is
 * done; one where the plan found it is still to be committed; one anywhere else was moved since by another writer: it is a
 * blocker and is not rewound a second time. A share group that was to be rewound to its present start offset is rewound
 * again: whether it was rewound does not show.
 *
 * @param live the state of the groups of `partitionsOf`
 */
export function planResume({ plan, origin }: PlannedRollback, live: LiveState, skipBlocked: boolean): Plan {
  const policy = { uncommitted: "keep", outOfRange: "refuse", skipBlocked } as const;
  const intents = new Map<string, Intent>();
  for (const [group, planned] of plan.groups) {
    const { source, type, partitions: earlier } = planned;
    if (takesPart(planned)) intents.set(group, { source, type, targets: targetsOf(planned), earlier });
  }
  const rest = planIntents(origin, intents, live, policy);
  const groups = new Map<string, GroupPlan>();
  for (const [group, planned] of plan.groups) {
    const now = rest.groups.get(group) ?? planned;
    const partitions = new Map(
      [...planned.partitions].map(([key, before]) => {
        const after = now.partitions.get(key) ?? before; // one that was skipped has no target, and stays as it was
        const { asked, uncommitted } = before;
        const kept = { ...(asked !== undefined && { asked }), ...(uncommitted && { uncommitted }) };
        return [key, { ...after, ...kept }] as const;
      }),
    );
    groups.set(group, { ...planned, ...now, partitions });
  }
  return { ...plan, ...rest, groups, leftOut: [...plan.leftOut, ...rest.leftOut] };
}
