import { createHash } from "node:crypto";
import { encodeJson, type Json } from "../json/json.ts";
import {
  type Commit,
  type GroupCommits,
  type LiveState,
  type ObservedPartition,
  placeOf,
  type Snapshot,
  sameCommit,
} from "../model.ts";
import type { SnapshotPart } from "../restrict.ts";
import { commitOrNull } from "../snapshot.ts";
import { type Blocker, groupBlockers, type Origin, partitionBlockers } from "./blockers.ts";
import { type ExtraCommit, type GroupPlan, type PartitionPlan, type Plan, type Policy, takesPart } from "./plan.ts";
import { warningsOf } from "./plan-warnings.ts";

/** The targets of a group: a commit for each partition, null to delete it. */
export interface Intent {
  readonly source?: string;
  /** The type of the group that the targets were read from. */
  readonly type: string | null;
  readonly targets: ReadonlyMap<string, Commit | null>;
  /** The commits that an earlier plan found. With it, only partitions that are not at their targets are planned and checked. */
  readonly found?: ReadonlyMap<string, Commit | null>;
}

const noCommits: GroupCommits = new Map();
const isOutOfRange = ({ kind }: Blocker) => kind === "below_log_start" || kind === "above_log_end";

/**
 * Plans a rollback: the commits that return the groups to the part of the snapshot, and every blocker. Pure: the same
 * snapshot, live state and policy give the same plan. A partition is in exactly one place: among a group's partitions if the
 * snapshot has it, or if it is to be deleted; in `extra` if only the live state has it.
 *
 * @param part the groups and topics that were asked for, see `restrict`
 * @param live the state of exactly those groups, with the logs of all partitions of `part` observed
 */
export function planRollback(snapshot: Snapshot, part: SnapshotPart, live: LiveState, policy: Policy): Plan {
  const intents = new Map<string, Intent>();
  const extra: ExtraCommit[] = [];
  for (const [group, targets] of part.commits) {
    const more = [...(live.commits.get(group) ?? noCommits)].filter(([key]) => !targets.has(key));
    if (!policy.exact) extra.push(...more.map(([key, commit]) => ({ group, ...placeOf(key), commit })));
    const source = part.sources.get(group);
    const captured = snapshot.observed.groups.get(source ?? group);
    // A group that did not exist had no type: it returns to no commits, whatever its type is now.
    const isNew = captured === undefined && snapshot.consumerGroups.get(source ?? group)?.size === 0;
    intents.set(group, {
      ...(source !== undefined && { source }),
      type: (isNew ? live.observed.groups.get(group) : captured)?.type ?? null,
      targets: policy.exact ? new Map([...targets, ...more.map(([key]) => [key, null] as const)]) : targets,
    });
  }
  const origin = {
    name: snapshot.snapshotId,
    clusterId: snapshot.cluster.clusterId,
    topics: snapshot.observed.topics,
  };
  const uncaptured = part.errors.map(({ group, error, message }): Blocker => {
    const source = part.sources.get(group) ?? group;
    return {
      kind: "not_captured",
      group,
      message:
        `Group "${source}" is not in ${snapshot.snapshotId}: it could not be captured (${error}: ${message}). ` +
        "Name the groups to roll back without it, or use another snapshot.",
    };
  });
  const plan = planIntents(origin, intents, live, policy, uncaptured);
  return {
    ...plan,
    snapshotId: snapshot.snapshotId,
    digest: digestOf(snapshot.snapshotId, plan.groups, live, policy),
    warnings: warningsOf(origin, { groups: plan.groups, extra }, live),
    extra,
  };
}

/**
 * Plans the targets of some groups, and finds every blocker. If everything would be left out, the blockers block after all:
 * a rollback of nothing must not be a success.
 *
 * @param unplanned blockers of groups for which nothing can be planned at all
 */
export function planIntents(
  origin: Origin,
  intents: ReadonlyMap<string, Intent>,
  live: LiveState,
  policy: Policy,
  unplanned: readonly Blocker[] = [],
): Pick<Plan, "blockers" | "leftOut" | "groups"> {
  const groups = new Map<string, GroupPlan>();
  const blockers: Blocker[] = [];
  const leftOut: Blocker[] = [];
  let remaining = 0;
  const leaveOut = (group: string, reasons: readonly Blocker[], plan?: GroupPlan) => {
    leftOut.push(...reasons);
    const partitions = new Map([...(plan?.partitions ?? [])].map(([key, one]) => [key, skip(one)] as const));
    groups.set(group, { type: null, state: null, ...plan, leftOut: true, replayed: 0n, skipped: 0n, partitions });
  };
  for (const blocker of unplanned) {
    if (policy.skipBlocked) leaveOut(blocker.group, [blocker]);
    else blockers.push(blocker);
  }
  for (const [group, intent] of intents) {
    const { reasons, skipped, plan } = planGroup(origin, group, intent, live, policy);
    if (reasons.length > 0 && policy.skipBlocked) {
      leaveOut(group, [...reasons, ...skipped], plan);
      continue;
    }
    blockers.push(...reasons);
    leftOut.push(...skipped);
    if (plan === undefined) continue;
    groups.set(group, plan);
    if (takesPart(plan)) remaining++;
  }
  const pointless = remaining === 0 && blockers.length === 0;
  return { blockers: pointless ? leftOut : blockers, leftOut: pointless ? [] : leftOut, groups };
}

/** One group: its plan, its blockers, and the blockers of the partitions that are skipped. */
function planGroup(
  origin: Origin,
  group: string,
  { source, type: sourceType, targets, found }: Intent,
  live: LiveState,
  { exact, outOfRange }: Policy,
): { reasons: Blocker[]; skipped: Blocker[]; plan: GroupPlan | undefined } {
  if (live.errors.some((error) => error.group === group)) {
    return { reasons: [...groupBlockers(origin, group, sourceType, live)], skipped: [], plan: undefined };
  }
  const current = live.commits.get(group) ?? noCommits;
  const observed = live.observed.groups.get(group);
  const type = observed === undefined ? sourceType : observed.type;
  const isShare = type === "share" && sourceType === "share";
  const partitions = new Map<string, PartitionPlan>();
  const reasons: Blocker[] = [];
  const skipped: Blocker[] = [];
  let pending = found === undefined; // in a resumed plan, a group that is done needs nothing more
  for (const [key, target] of targets) {
    const { topic, partition } = placeOf(key);
    const from = current.get(key) ?? null;
    const before = found?.get(key) ?? null;
    const observedTopic = live.observed.topics.get(topic);
    const log = observedTopic?.partitions.get(partition);
    // A share group that was to be rewound to its present start offset looks the same before and after.
    const proven = !isShare || !sameCommit(before, target);
    if (found !== undefined && sameCommit(from, target) && proven) {
      const planned = planPartition(before, target, log, isShare);
      partitions.set(key, planned.action === "unchanged" ? planned : { ...planned, done: true });
      continue;
    }
    if (found !== undefined) pending = true;
    if (found !== undefined && !sameCommit(from, before)) reasons.push(movedSince(group, key, from, before, target));
    const all = [...partitionBlockers(origin, { group, topic, partition, target }, observedTopic)];
    const range = outOfRange === "refuse" ? undefined : all.find(isOutOfRange);
    reasons.push(...all.filter((blocker) => blocker !== range));
    if (target === null || range === undefined) {
      partitions.set(key, planPartition(from, target, log, isShare));
    } else if (outOfRange === "skip") {
      skipped.push(range);
      partitions.set(key, skip(planPartition(from, target, log, isShare)));
    } else {
      const bound = range.kind === "below_log_start" ? log?.logStartOffset : log?.logEndOffset;
      // Without the leader epoch: it belongs to the offset that was asked for.
      const given: Commit = { offset: bound ?? target.offset, metadata: target.metadata };
      partitions.set(key, { ...planPartition(from, given, log, isShare), asked: target });
    }
  }
  if (pending) {
    // Where there is nothing to restore, as in the group of Connect's workers, members overwrite nothing.
    const bare = targets.size === 0 && !exact;
    const all = [...groupBlockers(origin, group, sourceType, live)];
    reasons.unshift(...(bare ? all.filter(({ kind }) => kind !== "group_not_empty") : all));
  }
  const plan = {
    ...(source !== undefined && { source }),
    type,
    state: observed?.state ?? null,
    replayed: sum(partitions.values(), ({ replayed }) => replayed),
    skipped: sum(partitions.values(), ({ skipped }) => skipped),
    partitions,
  };
  return { reasons, skipped, plan };
}

const movedSince = (
  group: string,
  key: string,
  actual: Commit | null,
  before: Commit | null,
  target: Commit | null,
): Blocker => ({
  kind: "moved_since",
  group,
  ...placeOf(key),
  expected: commitOrNull.encode(before),
  actual: commitOrNull.encode(actual),
  message:
    `Group "${group}", ${key} stands at ${where(actual)}: neither at the commit that the rollback found (${where(before)}) ` +
    `nor at its target (${where(target)}). It is not rewound again. Start a new rollback for it, or resume with skip_blocked.`,
});

const where = (commit: Commit | null) => (commit === null ? "no commit" : `offset ${commit.offset}`);

/** The partition keeps its commit: the one of an earlier call, or the one that was found. */
function skip({ from, to, asked = to, done }: PartitionPlan): PartitionPlan {
  const stands = done ? to : from;
  return { action: "skip", from: stands, to: stands, asked, replayed: 0n, skipped: 0n };
}

function planPartition(
  from: Commit | null,
  to: Commit | null,
  log: ObservedPartition | undefined,
  isShare: boolean,
): PartitionPlan {
  if (isShare && from !== null && to !== null) {
    const forward = to.offset > from.offset;
    const skipped = forward ? distance(from.offset, to.offset, log) : 0n;
    const replayed = distance(to.offset, log?.logEndOffset ?? to.offset, log);
    return { action: forward ? "fast_forward" : "rewind", from, to, replayed, skipped };
  }
  if (sameCommit(from, to)) return { action: "unchanged", from, to, replayed: 0n, skipped: 0n };
  if (from === null) return { action: "create", from, to, replayed: null, skipped: null };
  if (to === null) return { action: "delete", from, to, replayed: null, skipped: null };
  if (from.offset === to.offset) return { action: "metadata", from, to, replayed: 0n, skipped: 0n };
  return to.offset < from.offset
    ? { action: "rewind", from, to, replayed: distance(to.offset, from.offset, log), skipped: 0n }
    : { action: "fast_forward", from, to, replayed: 0n, skipped: distance(from.offset, to.offset, log) };
}

/** How many offsets of [low, high) are inside the log; null where its bounds are unknown. */
function distance(low: bigint, high: bigint, log: ObservedPartition | undefined): bigint | null {
  if (log === undefined || log.logStartOffset === null || log.logEndOffset === null) return null;
  const start = low > log.logStartOffset ? low : log.logStartOffset;
  const end = high < log.logEndOffset ? high : log.logEndOffset;
  return end > start ? end - start : 0n;
}

function sum(partitions: Iterable<PartitionPlan>, part: (partition: PartitionPlan) => bigint | null): bigint | null {
  let total = 0n;
  for (const partition of partitions) {
    const value = part(partition);
    if (value === null) return null;
    total += value;
  }
  return total;
}

function digestOf(snapshotId: string, groups: Plan["groups"], live: LiveState, policy: Policy): string {
  const hash = createHash("sha256");
  const add = (line: Json) => hash.update(`${encodeJson(line)}\n`);
  add({ snapshot_id: snapshotId, exact: policy.exact, out_of_range: policy.outOfRange, skip: policy.skipBlocked });
  const topics = new Set<string>();
  for (const [group, plan] of [...groups].sort(byKey)) {
    const { source, leftOut, partitions } = plan;
    if (leftOut) {
      add({ group, left_out: true });
      continue;
    }
    const kept = [...partitions].filter(([, { action }]) => action !== "skip");
    for (const [key] of kept) topics.add(placeOf(key).topic);
    const targets = commitsInOrder(kept.map(([key, { to }]) => [key, to]));
    const current = takesPart(plan) ? (live.commits.get(group) ?? noCommits) : noCommits;
    add({ group, source, targets, live: commitsInOrder(current) });
  }
  for (const topic of [...topics].sort()) add({ topic, id: live.observed.topics.get(topic)?.topicId ?? null });
  return hash.digest("hex");
}

const byKey = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]) => (a < b ? -1 : 1);

/** Commits as a list that does not depend on the order in which they were read. */
const commitsInOrder = (commits: Iterable<readonly [string, Commit | null]>): Json =>
  [...commits]
    .sort(byKey)
    .map(([key, commit]) => [key, commit && [commit.offset, commit.metadata, commit.leaderEpoch ?? null]]);
