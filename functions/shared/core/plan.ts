import { createHash } from "node:crypto";
import { type Blocker, groupBlockers, type Origin, partitionBlockers } from "./blockers.ts";
import { encodeJson, type Json } from "./json.ts";
import {
  type Commit,
  type Commits,
  type GroupCommits,
  type LiveState,
  type ObservedPartition,
  placeOf,
  type Snapshot,
  sameCommit,
  topicsOf,
} from "./model.ts";
import type { SnapshotPart } from "./restrict.ts";
import { commitDocument } from "./snapshot.ts";
import { count, nameSome } from "./text.ts";

/**
 * What a rollback will do to a partition. `metadata`: same offset, but metadata or leader epoch come back. `skip`: nothing,
 * because the caller asked for what is in the way to be left out. A partition of a share group is rewound even to where it
 * stands: what was acknowledged beyond its start offset does not show in it.
 */
export type Action = "rewind" | "fast_forward" | "unchanged" | "metadata" | "create" | "delete" | "skip";

/**
 * One partition of a plan. `replayed` and `skipped` are distances in offsets between the two commits inside the present
 * log: an upper bound of the records, since compaction and transactions leave gaps. Null where the log is unknown, or
 * where one of the commits is none. Of a share group all up to the log end may be replayed: Kafka forgets what was acknowledged.
 */
export interface PartitionPlan {
  readonly action: Action;
  readonly from: Commit | null;
  /** Where the plan puts it; null is no commit. */
  readonly to: Commit | null;
  /** What the snapshot says, where the plan puts it elsewhere: clamped, or skipped. */
  readonly asked?: Commit | null;
  /** An earlier attempt has put it there already. */
  readonly done?: true;
  readonly replayed: bigint | null;
  readonly skipped: bigint | null;
}

/** A group of a plan. The sums are null where one of their parts is. */
export interface GroupPlan {
  /** The group of the snapshot that is put into this one, where that is another. */
  readonly source?: string;
  /** The group's type now; where it does not exist, the one that it had. Null where that is unknown. */
  readonly type: string | null;
  /** The group's state now; null where it does not exist, or is unknown. */
  readonly state: string | null;
  /** It is blocked, and left out because the caller asked for that. */
  readonly leftOut?: true;
  readonly replayed: bigint | null;
  readonly skipped: bigint | null;
  readonly partitions: ReadonlyMap<string, PartitionPlan>;
}

/** What the caller wants done about what is in the way, and about what the snapshot lacks. */
export interface Policy {
  /** Delete commits on partitions that the snapshot lacks. */
  readonly exact: boolean;
  /** What to do about an offset outside of the log: refuse, take the nearest end of the log, or leave the partition out. */
  readonly outOfRange: "refuse" | "clamp" | "skip";
  /** Leave out groups that are blocked. */
  readonly skipBlocked: boolean;
}

/** A live commit on a partition for which the snapshot has none. It is reported and kept. */
export interface ExtraCommit {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly commit: Commit;
}

/** What a rollback would do, and whether it may. */
export interface Plan {
  readonly snapshotId: string;
  /** SHA-256 over the snapshot, the options, the targets, the live commits and the topic ids; not log ends or members. */
  readonly digest: string;
  /** Why it may not be done; none: it may. */
  readonly blockers: readonly Blocker[];
  /** What was in the way of all that the plan leaves out because the caller asked for it. */
  readonly skipped: readonly Blocker[];
  readonly warnings: readonly string[];
  /** The groups that can be planned for: one that has a transaction pending is only among the blockers. */
  readonly groups: ReadonlyMap<string, GroupPlan>;
  readonly extra: readonly ExtraCommit[];
}

/** What is wanted of a group: a commit for each partition, null to delete it. */
export interface Intent {
  readonly source?: string;
  /** The type of the group that the targets were read from. */
  readonly type: string | null;
  readonly targets: ReadonlyMap<string, Commit | null>;
  /** Where an earlier plan found each partition. With it, only what does not stand at its target is planned and checked. */
  readonly found?: ReadonlyMap<string, Commit | null>;
}

const noCommits: GroupCommits = new Map();
const isOutOfRange = ({ kind }: Blocker) => kind === "below_log_start" || kind === "above_log_end";

/**
 * Plans a rollback: what has to be committed so that the groups stand where the part of the snapshot says, and every
 * reason not to. Pure: the same snapshot, live state and policy give the same plan. A partition is in exactly one place:
 * among a group's partitions if the snapshot has it, or if it is to be deleted; in `extra` if only the live state has it.
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
    const then = snapshot.observed.groups.get(source ?? group);
    // A group that did not exist then was of no type: it goes back to having no commits, whatever it is now.
    const isNew = then === undefined && snapshot.consumerGroups.get(source ?? group)?.size === 0;
    intents.set(group, {
      ...(source !== undefined && { source }),
      type: (isNew ? live.observed.groups.get(group) : then)?.type ?? null,
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
    warnings: [
      ...warningsOf(plan.groups, extra),
      ...identityWarnings(origin, plan.groups, live),
      ...typeWarnings(plan.groups, live),
    ],
    extra,
  };
}

/**
 * Plans what is wanted of some groups, and finds every reason not to. Where all that there is would be left out, what is
 * in the way blocks after all: a rollback of nothing would be a success that means nothing.
 *
 * @param unplanned blockers of groups for which nothing can be planned at all
 */
export function planIntents(
  origin: Origin,
  intents: ReadonlyMap<string, Intent>,
  live: LiveState,
  policy: Policy,
  unplanned: readonly Blocker[] = [],
): Pick<Plan, "blockers" | "skipped" | "groups"> {
  const groups = new Map<string, GroupPlan>();
  const blockers: Blocker[] = [];
  const skipped: Blocker[] = [];
  let remaining = 0;
  const leaveOut = (group: string, reasons: readonly Blocker[], plan?: GroupPlan) => {
    skipped.push(...reasons);
    const partitions = new Map([...(plan?.partitions ?? [])].map(([key, one]) => [key, passedOver(one)] as const));
    groups.set(group, { type: null, state: null, ...plan, leftOut: true, replayed: 0n, skipped: 0n, partitions });
  };
  for (const blocker of unplanned) {
    if (policy.skipBlocked) leaveOut(blocker.group, [blocker]);
    else blockers.push(blocker);
  }
  for (const [group, intent] of intents) {
    const { reasons, passed, plan } = planGroup(origin, group, intent, live, policy);
    if (reasons.length > 0 && policy.skipBlocked) {
      leaveOut(group, [...reasons, ...passed], plan);
      continue;
    }
    blockers.push(...reasons);
    skipped.push(...passed);
    if (plan === undefined) continue;
    groups.set(group, plan);
    if (takesPart(plan)) remaining++;
  }
  const pointless = remaining === 0 && blockers.length === 0;
  return { blockers: pointless ? skipped : blockers, skipped: pointless ? [] : skipped, groups };
}

/** One group: its plan, what blocks it, and what is in the way of the partitions that are skipped. */
function planGroup(
  origin: Origin,
  group: string,
  { source, type: then, targets, found }: Intent,
  live: LiveState,
  { exact, outOfRange }: Policy,
): { reasons: Blocker[]; passed: Blocker[]; plan: GroupPlan | undefined } {
  if (live.errors.some((error) => error.group === group)) {
    return { reasons: [...groupBlockers(origin, group, then, live)], passed: [], plan: undefined };
  }
  const current = live.commits.get(group) ?? noCommits;
  const observed = live.observed.groups.get(group);
  const type = observed === undefined ? then : observed.type;
  const isShare = type === "share" && then === "share";
  const partitions = new Map<string, PartitionPlan>();
  const reasons: Blocker[] = [];
  const passed: Blocker[] = [];
  let pending = found === undefined; // of a resumed plan, a group that is done needs nothing any more
  for (const [key, target] of targets) {
    const { topic, partition } = placeOf(key);
    const from = current.get(key) ?? null;
    const before = found?.get(key) ?? null;
    const observedTopic = live.observed.topics.get(topic);
    const log = observedTopic?.partitions.get(partition);
    // That a share group stands where it was to be rewound in place does not tell whether it was.
    const told = !isShare || !sameCommit(before, target);
    if (found !== undefined && sameCommit(from, target) && told) {
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
      passed.push(range);
      partitions.set(key, passedOver(planPartition(from, target, log, isShare)));
    } else {
      const bound = range.kind === "below_log_start" ? log?.logStartOffset : log?.logEndOffset;
      // Without the leader epoch: it belongs to the offset that was asked for.
      const given: Commit = { offset: bound ?? target.offset, metadata: target.metadata };
      partitions.set(key, { ...planPartition(from, given, log, isShare), asked: target });
    }
  }
  if (pending) {
    // Members can overwrite nothing where there is nothing to restore, as in the group of Connect's workers.
    const bare = targets.size === 0 && !exact;
    const all = [...groupBlockers(origin, group, then, live)];
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
  return { reasons, passed, plan };
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
  expected: commitDocument(before),
  actual: commitDocument(actual),
  message:
    `Group "${group}", ${key} stands at ${where(actual)}: neither where the rollback found it (${where(before)}) nor at its ` +
    `target (${where(target)}). It is not rewound again. Start a new rollback for it, or resume with skip_blocked.`,
});

const where = (commit: Commit | null) => (commit === null ? "no commit" : `offset ${commit.offset}`);

/** The partition stays where it is: where an earlier attempt has put it, or where it was found. */
function passedOver({ from, to, asked = to, done }: PartitionPlan): PartitionPlan {
  const stands = done ? to : from;
  return { action: "skip", from: stands, to: stands, asked, replayed: 0n, skipped: 0n };
}

/** Whether nothing is to be done about a group, because the caller asked for what is in the way to be left out. */
export function skipsAll({ leftOut, partitions }: GroupPlan): boolean {
  return leftOut === true || (partitions.size > 0 && [...partitions.values()].every(({ action }) => action === "skip"));
}

/**
 * Whether a rollback has to do with a group: there is something of it to restore, which is not left out, wherever it stands
 * already. The others are not looked at again, may have members, and are not what an undo puts back.
 */
export function takesPart(plan: GroupPlan): boolean {
  return plan.partitions.size > 0 && !skipsAll(plan);
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

/** What is left to be done to a partition: nothing, where it stands at its target or is skipped. */
const isPending = ({ action, done }: PartitionPlan) =>
  action !== "unchanged" && action !== "skip" && done === undefined;

/** The commits that carry out a plan: everything but what stands where it should already, and what is to be deleted. */
export function commitsOf(plan: Plan): Commits {
  const commits = new Map<string, Map<string, Commit>>();
  for (const [group, { partitions }] of plan.groups) {
    const changed = [...partitions].flatMap(([key, one]) =>
      isPending(one) && one.to !== null ? [[key, one.to] as const] : [],
    );
    if (changed.length > 0) commits.set(group, new Map(changed));
  }
  return commits;
}

/** The commits that a plan deletes, by group. */
export function deletesOf(plan: Plan): Map<string, string[]> {
  const deletes = new Map<string, string[]>();
  for (const [group, { partitions }] of plan.groups) {
    const keys = [...partitions].filter(([, one]) => isPending(one) && one.to === null).map(([key]) => key);
    if (keys.length > 0) deletes.set(group, keys);
  }
  return deletes;
}

function warningsOf(groups: Plan["groups"], extra: readonly ExtraCommit[]): string[] {
  const warnings: string[] = [];
  if (extra.length > 0) {
    warnings.push(
      `Kept, since the snapshot lacks their partitions: ${count(extra.length, "commit")} of ` +
        `${nameSome(new Set(extra.map(({ group }) => group)))}, see extra. To have them deleted, set "exact": true.`,
    );
  }
  const clamped: string[] = [];
  for (const [group, { partitions }] of groups) {
    for (const [key, { action, asked, to }] of partitions) {
      if (action !== "skip" && asked) clamped.push(`${group} ${key}: ${asked.offset} becomes ${to?.offset}`);
    }
  }
  if (clamped.length > 0) {
    warnings.push(
      `Clamped to the ends of the log, since they are outside of it: ${count(clamped.length, "offset")}: ${nameSome(clamped)}.`,
    );
  }
  return warnings;
}

function identityWarnings(origin: Origin, groups: Plan["groups"], live: LiveState): string[] {
  const warnings: string[] = [];
  const unproven = [...topicsOf(new Map([...groups].map(([group, { partitions }]) => [group, partitions])))].filter(
    (topic) => {
      const [saved, now] = [origin.topics.get(topic), live.observed.topics.get(topic)];
      return saved === null || saved?.topicId === null || now?.topicId === null;
    },
  );
  if (unproven.length > 0) {
    warnings.push(
      `Whether ${nameSome(unproven)} was deleted and created again since cannot be told: its id is not known on both sides, ` +
        "so that it shows only where the saved leader epoch is above the current one.",
    );
  }
  return warnings;
}

/** What the offsets of groups of some types do not tell, and what does not move with them. */
function typeWarnings(groups: Plan["groups"], live: LiveState): string[] {
  const those = [...groups].filter(([, { leftOut }]) => !leftOut);
  const ofType = (type: string) => those.filter(([, plan]) => plan.type === type).map(([group]) => group);
  const [streams, shares] = [ofType("streams"), ofType("share")];
  const simple = those.map(([group]) => group).filter((group) => live.observed.groups.get(group)?.protocolType === "");
  const warnings: string[] = [];
  if (streams.length > 0) {
    warnings.push(
      `${nameSome(streams)} ${streams.length === 1 ? "is a streams group" : "are streams groups"}: state stores do not move with the offsets.`,
    );
  }
  if (shares.length > 0) {
    warnings.push(
      `${nameSome(shares)} ${shares.length === 1 ? "is a share group" : "are share groups"}: what was acknowledged beyond ` +
        "the start offsets is delivered again, and delivery counts begin anew.",
    );
  }
  if (simple.length > 0) {
    warnings.push(
      `${nameSome(simple)} ${simple.length === 1 ? "has" : "have"} never had members: consumers that assign() partitions are ` +
        "none, so that nobody can tell whether they run. Make sure that they are stopped.",
    );
  }
  return warnings;
}

/** The groups of a plan whose start offsets are written (KIP-932), instead of commits. */
export function shareGroupsOf(plan: Plan): Set<string> {
  return new Set([...plan.groups].filter(([, { type }]) => type === "share").map(([group]) => group));
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
