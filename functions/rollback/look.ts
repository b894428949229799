import { requireReadable, unlistedWarnings } from "../shared/core/checks.ts";
import { mapGroups } from "../shared/core/group-map.ts";
import type { LiveState, Snapshot, Targets } from "../shared/core/model.ts";
import { restrict, type SnapshotPart } from "../shared/core/restrict.ts";
import { epochsInQuestion, type Origin } from "../shared/core/rollback/blockers.ts";
import { expiryWarnings, idleGroups } from "../shared/core/rollback/expiry.ts";
import type { Plan } from "../shared/core/rollback/plan.ts";
import { originIn, planRollback } from "../shared/core/rollback/planning.ts";
import { partitionsOf, planResume } from "../shared/core/rollback/resume.ts";
import type { Cluster } from "../shared/kafka/connection/cluster.ts";
import { observe } from "../shared/kafka/groups/capture.ts";
import { readOffsetsRetention } from "../shared/kafka/groups/retention.ts";
import { observeEpochEnds } from "../shared/kafka/groups/topics.ts";
import type { JournalRecord } from "../shared/storage/journal-record.ts";
import { plannedRollback } from "./earlier.ts";
import { type Call, groupsOf, policyOf } from "./request.ts";

/** What a rollback works with while it is connected to Kafka. */
export interface Job extends Call {
  readonly cluster: Cluster;
  /** How long this call waited for groups to be empty. */
  readonly waitedSeconds: number;
  /** Called before the first commit: from there on a failure may leave some groups moved. */
  onCommit(record: JournalRecord): void;
}

/** What is to be planned: a rollback to the part of a snapshot, or the rest of a rollback that an earlier call began. */
export type Goal = { readonly snapshot: Snapshot; readonly part: SnapshotPart } | { readonly resume: JournalRecord };

/** A plan, and the state that it was made from. */
export type Look = { readonly plan: Plan; readonly live: LiveState };

/** Loads the snapshot of a request, and picks the part that the request names. */
export async function loadGoal({ wanted, storage: { snapshots }, deadline }: Call): Promise<Goal> {
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
const changesUncommitted = (wanted: Call["wanted"]) => policyOf(wanted).uncommitted !== "keep";

/** Observes the groups of a goal and plans. */
export async function look(job: Job, goal: Goal): Promise<Look> {
  if ("resume" in goal) return lookAgain(job, goal.resume);
  const { snapshot, part } = goal;
  const { cluster, wanted } = job;
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
export async function withAllWarnings({ cluster, wanted }: Job, goal: Goal, { plan, live }: Look): Promise<Look> {
  if ("resume" in goal) return { plan, live };
  const idleTopics = changesUncommitted(wanted) ? goal.part.topicWarnings(live.commits) : [];
  const idle = idleGroups(goal.snapshot, plan, live);
  const expiry = idle.length === 0 ? [] : expiryWarnings(idle, await readOffsetsRetention(cluster), new Date());
  return { live, plan: { ...plan, warnings: [...idleTopics, ...plan.warnings, ...expiry] } };
}

/** Observes what an earlier call has planned, and plans the rest of it: in `strict`, no blocked group is left out. */
export async function lookAgain(job: Job, record: JournalRecord): Promise<Look & { readonly strict: Plan }> {
  const planned = await plannedRollback(job, record);
  const live = await observeTargets(job.cluster, planned.origin, partitionsOf(planned.plan));
  const plan = planResume(planned, live, job.wanted.skip_blocked);
  const warnings = [...new Set([...plan.warnings, ...live.warnings])];
  return { live, plan: { ...plan, warnings }, strict: planResume(planned, live, false) };
}

/** Observes groups, with all that tells whether their targets are still valid. */
async function observeTargets(cluster: Cluster, origin: Origin, targets: ReadonlyMap<string, Targets>) {
  const live = await observe(cluster, targets);
  requireReadable(live);
  const epochs = epochsInQuestion(origin, targets, live);
  const { topics, warnings } = await observeEpochEnds(cluster, live.observed.topics, epochs);
  return { ...live, warnings: [...live.warnings, ...warnings], observed: { ...live.observed, topics } };
}
