import { requireReadable, unlistedWarnings } from "../core/checks.ts";
import type { Deadline } from "../core/deadline.ts";
import { mapGroups } from "../core/group-map.ts";
import type { LiveState, Snapshot, Targets } from "../core/model.ts";
import { restrict, type SnapshotPart } from "../core/restrict.ts";
import { epochsInQuestion, type Origin } from "../core/rollback/blockers.ts";
import { expiryWarnings, idleGroups } from "../core/rollback/expiry.ts";
import type { Plan } from "../core/rollback/plan.ts";
import { originIn, planRollback } from "../core/rollback/planning.ts";
import type { Cluster } from "../kafka/connection/cluster.ts";
import { observe } from "../kafka/groups/capture.ts";
import { readOffsetsRetention } from "../kafka/groups/retention.ts";
import { observeEpochEnds } from "../kafka/groups/topics.ts";
import type { Storage } from "../storage/storage.ts";
import { groupsOf, type PlanRequest, policyOf } from "./schema.ts";

/** What a plan is made with. */
interface Planning {
  readonly wanted: PlanRequest;
  readonly cluster: Cluster;
}

/** The part of a snapshot that groups are to be put back to. */
export interface Destination {
  readonly snapshot: Snapshot;
  readonly part: SnapshotPart;
}

/** A plan, and the state that it was made from. */
export type Look = { readonly plan: Plan; readonly live: LiveState };

/** Loads the snapshot of a request, and picks the part that the request names. */
export async function loadDestination({
  wanted,
  storage: { snapshots },
  deadline,
}: {
  readonly wanted: PlanRequest;
  readonly storage: Pick<Storage, "snapshots">;
  readonly deadline: Deadline;
}): Promise<Destination> {
  const { snapshot_id = "", topics, group_map } = wanted;
  const groups = groupsOf(wanted);
  const { snapshot, warnings } = await snapshots.open(snapshot_id, groups, deadline);
  const selected = restrict(snapshot, { groups, topics }, changesUncommitted(wanted));
  const part = group_map === undefined ? selected : mapGroups(selected, group_map);
  return {
    snapshot,
    part: { ...part, warnings: [...warnings, ...unlistedWarnings(snapshot, groups), ...part.warnings] },
  };
}

/** Whether the commits that the snapshot lacks are changed too: then topics may name what only they are on. */
const changesUncommitted = (wanted: PlanRequest) => policyOf(wanted).uncommitted !== "keep";

/** Observes the groups of a destination and plans. */
export async function lookAt({ cluster, wanted }: Planning, { snapshot, part }: Destination): Promise<Look> {
  const live = await observeTargets(cluster, originIn(snapshot), part.commits);
  const plan = planRollback(snapshot, part, live, policyOf(wanted));
  return { live, plan: { ...plan, warnings: [...part.warnings, ...live.warnings, ...plan.warnings] } };
}

/**
 * The plan of a new rollback with all that is to be known of it beside the plan itself: topics that pick nothing, and offsets
 * that may expire soon after it. That needs one request to a broker, only where it may be. Times are in no digest.
 *
 * @throws InvalidRequest for a topic that neither the snapshot nor the live groups have: not while an earlier call with the same
 *   request may have deleted what it names
 */
export async function withAllWarnings(
  { cluster, wanted }: Planning,
  { snapshot, part }: Destination,
  { plan, live }: Look,
): Promise<Look> {
  const idleTopics = changesUncommitted(wanted) ? part.topicWarnings(live.commits) : [];
  const idle = idleGroups(snapshot, plan, live);
  const expiry = idle.length === 0 ? [] : expiryWarnings(idle, await readOffsetsRetention(cluster), new Date());
  return { live, plan: { ...plan, warnings: [...idleTopics, ...plan.warnings, ...expiry] } };
}

/** Observes groups, with all that tells whether their targets are still valid. */
export async function observeTargets(cluster: Cluster, origin: Origin, targets: ReadonlyMap<string, Targets>) {
  const live = await observe(cluster, targets);
  requireReadable(live);
  const epochs = epochsInQuestion(origin, targets, live);
  const { topics, warnings } = await observeEpochEnds(cluster, live.observed.topics, epochs);
  return { ...live, warnings: [...live.warnings, ...warnings], observed: { ...live.observed, topics } };
}
