import { createHash } from "node:crypto";
import { encodeJson, type Json } from "../json/json.ts";
import {
  type Commit,
  distance,
  type LiveState,
  noCommits,
  type ObservedPartition,
  placeOf,
  type Snapshot,
  sameCommit,
  type Targets,
} from "../model.ts";
import type { SnapshotPart } from "../restrict.ts";
import { isRepartitionTopic } from "../streams.ts";
import { quote } from "../text.ts";
import { onPicked } from "../topics.ts";
import {
  type Blocker,
  type BlockerKind,
  groupBlockers,
  isPermanent,
  movedSince,
  nearestEnd,
  type Origin,
  type Place,
  partitionBlockers,
} from "./blockers.ts";
import {
  type ExtraCommit,
  type GroupPlan,
  type PartitionPlan,
  type Plan,
  type Policy,
  takesPart,
  targetsOf,
} from "./plan.ts";
import { warningsOf } from "./plan-warnings.ts";
import { targetOf, type Uncommitted, uncommittedAt } from "./uncommitted.ts";

/** What a group is to be restored to. */
export interface Intent {
  readonly source: string | undefined;
  /** The type of the group that the targets were read from. */
  readonly type: string | null;
  readonly targets: Targets;
  /** The targets that the policy has set for commits that the snapshot lacks, and what each policy means for them. */
  readonly uncommitted?: ReadonlyMap<string, Uncommitted>;
  /** What an earlier call planned. With it, only partitions that are not at their targets are planned and checked. */
  readonly earlier?: GroupPlan["partitions"];
}

/** The kinds for which a policy can choose another offset. */
const outOfRangeKinds: readonly BlockerKind[] = ["below_log_start", "above_log_end", "log_truncated"];
const isOutOfRange = ({ kind }: Blocker) => outOfRangeKinds.includes(kind);

/**
 * Plans a rollback: the commits that return the groups to the part of the snapshot, and every blocker. Pure: the same
 * snapshot, live state and policy give the same plan. A partition is in exactly one place: among a group's partitions if the
 * snapshot has it, or if it is to be deleted; in `extra` if only the live state has it.
 *
 * @param part the groups and topics that were asked for, see `restrict`
 * @param whole the state of exactly those groups, with the logs of all partitions of `part` observed
 */
export function planRollback(snapshot: Snapshot, part: SnapshotPart, whole: LiveState, policy: Policy): Plan {
  const live = { ...whole, commits: onPicked(whole.commits, part.picks) };
  const intents = new Map<string, Intent>();
  const extra: ExtraCommit[] = [];
  for (const [group, targets] of part.commits) {
    const source = part.sources.get(group);
    const isShare = live.observed.groups.get(group)?.type === "share";
    const all = new Map<string, Commit | null>(targets);
    const lacking = new Map<string, Uncommitted>();
    for (const [key, commit] of live.commits.get(group) ?? noCommits) {
      if (targets.has(key)) continue;
      const place = placeOf(key);
      const topics = [snapshot, live].map(({ observed }) => observed.topics.get(place.topic));
      const uncommitted = uncommittedAt(commit, place.partition, topics[0], topics[1], isShare);
      if (policy.uncommitted === "keep") {
        extra.push({ group, ...place, commit, uncommitted });
      } else {
        all.set(key, targetOf(policy.uncommitted, commit, uncommitted));
        lacking.set(key, uncommitted);
      }
    }
    const captured = snapshot.observed.groups.get(source ?? group);
    // A group that did not exist had no type: it returns to no commits, whatever its type is now.
    const isNew = captured === undefined && snapshot.consumerGroups.get(source ?? group)?.size === 0;
    intents.set(group, {
      source,
      type: (isNew ? live.observed.groups.get(group) : captured)?.type ?? null,
      targets: all,
      uncommitted: lacking,
    });
  }
  const { snapshotId } = snapshot;
  const origin = originIn(snapshot);
  const uncaptured = part.errors.map(({ group, error, message }): Blocker => {
    const source = part.sources.get(group) ?? group;
    const what = `Group ${quote(source)} is not in ${snapshotId}: it could not be captured (${error}: ${message}).`;
    const next = "Name the groups to roll back without it, or use another snapshot.";
    return { kind: "not_captured", group, message: `${what} ${next}` };
  });
  const plan = planIntents(origin, intents, live, policy, uncaptured);
  return {
    ...plan,
    snapshotId,
    digest: digestOf(snapshotId, plan.groups, live, policy),
    warnings: warningsOf(snapshot, { groups: plan.groups, extra }, live, policy, part.picks),
    extra,
  };
}

/** What the targets of a snapshot are valid for. */
export const originIn = ({ snapshotId, cluster, observed }: Snapshot): Origin => ({
  name: snapshotId,
  clusterId: cluster.clusterId,
  topics: observed.topics,
});

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
  const planned = [
    ...unplanned.map((blocker) => ({ group: blocker.group, reasons: [blocker], skipped: [], plan: undefined })),
    ...[...intents].map(([group, intent]) => ({ group, ...planGroup(origin, group, intent, live, policy) })),
  ];
  for (const { group, reasons, skipped, plan } of planned) {
    if (reasons.length > 0 && policy.skipBlocked) {
      leftOut.push(...reasons, ...skipped);
      const partitions = new Map([...(plan?.partitions ?? [])].map(([key, one]) => [key, skip(one)] as const));
      groups.set(group, { type: null, state: null, ...plan, leftOut: true, replayed: 0n, skipped: 0n, partitions });
    } else {
      blockers.push(...reasons);
      leftOut.push(...skipped);
      if (plan !== undefined) groups.set(group, plan);
    }
  }
  const pointless = blockers.length === 0 && ![...groups.values()].some(takesPart);
  return { blockers: pointless ? leftOut : blockers, leftOut: pointless ? [] : leftOut, groups };
}

/** One group: its plan, its blockers, and the blockers of the partitions that are skipped. */
function planGroup(
  origin: Origin,
  group: string,
  { source, type: sourceType, targets, uncommitted, earlier }: Intent,
  live: LiveState,
  policy: Policy,
): { reasons: Blocker[]; skipped: Blocker[]; plan: GroupPlan } {
  const ofGroup = [...groupBlockers(origin, group, sourceType, live)];
  const { outOfRange } = policy;
  const current = live.commits.get(group) ?? noCommits;
  const observed = live.observed.groups.get(group);
  const type = observed === undefined ? sourceType : observed.type;
  const isShare = type === "share" && sourceType === "share";
  const partitions = new Map<string, PartitionPlan>();
  const reasons: Blocker[] = [];
  const skipped: Blocker[] = [];
  let pending = earlier === undefined; // in a resumed plan, a group that is done needs nothing more
  for (const [key, target] of targets) {
    const at = placeOf(key);
    const topic = live.observed.topics.get(at.topic);
    const log = topic?.partitions.get(at.partition);
    const lacking = uncommitted?.get(key);
    const isRepartition = isRepartitionTopic(source ?? group, at.topic);
    const basis = lacking ? basisOf(policy, lacking) : earlier?.get(key)?.uncommitted && "plan";
    const place: Place = { group, ...at, target, isRepartition, ...(basis && { basis }) };
    const from = current.get(key) ?? null;
    const before = earlier === undefined ? from : (earlier.get(key)?.from ?? null);
    if (earlier !== undefined) {
      // A share group that was to be rewound to its present start offset looks the same before and after.
      const proven = !isShare || !sameCommit(before, target);
      if (sameCommit(from, target) && proven) {
        const planned = planPartition(before, target, log, isShare);
        partitions.set(key, planned.action === "unchanged" ? planned : { ...planned, done: true });
        continue;
      }
      pending = true;
      if (!sameCommit(from, before)) reasons.push(movedSince(place, before, from));
    }
    // A commit that a policy leaves where it is need not be in the log.
    const isKept = basis !== undefined && sameCommit(before, target);
    const all = [...partitionBlockers(origin, place, topic)].filter((one) => !isKept || !isOutOfRange(one));
    const range = outOfRange === "refuse" ? undefined : all.find(isOutOfRange);
    reasons.push(...all.filter((blocker) => blocker !== range));
    const planned = { ...planPartition(from, target, log, isShare), ...(lacking && { uncommitted: lacking }) };
    if (target === null || range === undefined) {
      partitions.set(key, planned);
    } else if (outOfRange === "skip") {
      skipped.push(range);
      partitions.set(key, skip(planned));
    } else {
      const start = log?.logStartOffset ?? 0n;
      const bound = nearestEnd(start, typeof range.actual === "bigint" ? range.actual : start);
      // Without the leader epoch: it belongs to the offset that was asked for.
      const given: Commit = { offset: bound, metadata: target.metadata };
      partitions.set(key, { ...planned, ...planPartition(from, given, log, isShare), asked: target });
    }
  }
  // Where there is nothing to restore, as in the group of Connect's workers, nothing can be overwritten.
  const bare = targets.size === 0 && policy.uncommitted === "keep";
  if (pending) reasons.unshift(...ofGroup.filter((blocker) => !bare || isPermanent(blocker)));
  const plan = {
    ...(source !== undefined && { source }),
    type,
    state: observed?.state ?? null,
    replayed: sum(partitions, "replayed"),
    skipped: sum(partitions, "skipped"),
    partitions,
  };
  return { reasons, skipped, plan };
}

/** What a target is based on that the policy has set. */
const basisOf = ({ uncommitted }: Policy, { logStart, snapshotEnd }: Uncommitted) =>
  uncommitted === "snapshot_end" && snapshotEnd.to === null && logStart.to !== null ? "unknown" : "log";

/** The partition keeps its commit: the one of an earlier call, or the one that was found. */
function skip({ from, to, asked = to, done, uncommitted }: PartitionPlan): PartitionPlan {
  const stands = done ? to : from;
  const places = { from: stands, to: stands, asked, ...(uncommitted && { uncommitted }) };
  return { action: "skip", ...places, replayed: 0n, skipped: 0n };
}

function planPartition(
  from: Commit | null,
  to: Commit | null,
  log: ObservedPartition | undefined,
  isShare: boolean,
): PartitionPlan {
  const unmoved = { from, to, replayed: 0n, skipped: 0n };
  if (isShare && from !== null && to !== null) {
    const replayed = distance(to.offset, log?.logEndOffset ?? to.offset, log);
    if (to.offset <= from.offset) return { ...unmoved, action: "rewind", replayed };
    return { ...unmoved, action: "fast_forward", replayed, skipped: distance(from.offset, to.offset, log) };
  }
  if (sameCommit(from, to)) return { ...unmoved, action: "unchanged" };
  if (from === null) return { ...unmoved, action: "create", replayed: null, skipped: null };
  if (to === null) {
    const end = log?.logEndOffset ?? from.offset;
    const skipped = distance(from.offset, end, log);
    return { ...unmoved, action: "delete", replayed: distance(0n, isShare ? end : from.offset, log), skipped };
  }
  if (from.offset === to.offset) return { ...unmoved, action: "metadata" };
  if (to.offset < from.offset) return { ...unmoved, action: "rewind", replayed: distance(to.offset, from.offset, log) };
  return { ...unmoved, action: "fast_forward", skipped: distance(from.offset, to.offset, log) };
}

function sum(partitions: GroupPlan["partitions"], figure: "replayed" | "skipped"): bigint | null {
  let total = 0n;
  for (const { [figure]: part } of partitions.values()) {
    if (part === null) return null;
    total += part;
  }
  return total;
}

function digestOf(snapshotId: string, groups: Plan["groups"], live: LiveState, policy: Policy): string {
  const hash = createHash("sha256");
  const add = (line: Json) => hash.update(`${encodeJson(line)}\n`);
  const { uncommitted, outOfRange, skipBlocked } = policy;
  const exact = uncommitted === "delete";
  const computed = exact || uncommitted === "keep" ? undefined : uncommitted;
  add({ snapshot_id: snapshotId, exact, out_of_range: outOfRange, skip: skipBlocked, uncommitted: computed });
  const topics = new Set<string>();
  for (const [group, plan] of [...groups].sort(byKey)) {
    if (plan.leftOut) {
      add({ group, left_out: true });
      continue;
    }
    const targets = targetsOf(plan);
    for (const key of targets.keys()) topics.add(placeOf(key).topic);
    const current = takesPart(plan) ? live.commits.get(group) : noCommits;
    add({ group, source: plan.source, targets: inOrder(targets), live: inOrder(current ?? noCommits) });
  }
  for (const topic of [...topics].sort()) add({ topic, id: live.observed.topics.get(topic)?.topicId ?? null });
  return hash.digest("hex");
}

const byKey = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]) => (a < b ? -1 : 1);

/** Commits as a list that does not depend on the order in which they were read. */
const inOrder = (commits: Targets): Json =>
  [...commits]
    .sort(byKey)
    .map(([key, commit]) => [key, commit && [commit.offset, commit.metadata, commit.leaderEpoch ?? null]]);
