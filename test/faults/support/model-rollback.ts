import type { Commit } from "../../../functions/shared/core/model.ts";
import { Bag, Unseen } from "./expected.ts";
import {
  type World as AnyWorld,
  answering,
  type Commits,
  commitAt,
  committed,
  documentOf,
  type Expected,
  failing,
  type Group,
  keysOf,
  liveOf,
  mismatches,
  nextSnapshot,
  only,
  onTopics,
  type PartRequest,
  type Prediction,
  partOf,
  perKey,
  placeOf,
  resolve,
  type Saved,
  same,
  type Topic,
  textOf,
  topicId,
  topicsIn,
  topicsOf,
  withMember,
  withSnapshot,
} from "./model.ts";

/** A world whose journal has rollbacks. */
export type World = AnyWorld<RollbackRecord>;

/** A request to roll back, as it is sent. */
export interface RollbackRequest extends PartRequest {
  readonly snapshot_id?: string | { readonly at: string };
  readonly resume?: string;
  readonly dry_run?: boolean;
  readonly verify?: boolean;
  readonly exact?: boolean;
  readonly uncommitted?: "keep" | "delete" | "log_start" | "snapshot_end";
  readonly out_of_range?: "refuse" | "clamp" | "skip";
  readonly skip_blocked?: boolean;
  readonly plan_digest?: string;
  readonly wait_for_empty_seconds?: number;
  readonly rollback_id?: string;
  readonly group_map?: Readonly<Record<string, string>>;
  readonly detail?: "full" | "summary";
  readonly requested_by?: string;
  readonly description?: string;
}

type Status = "success" | "partial_success" | "failed" | "running" | "superseded";

/** A rollback in the journal. One that was killed stays `running`, without a result, until it is resumed or superseded. */
export interface RollbackRecord<Id = string> {
  readonly id: Id;
  readonly asked: RollbackRequest;
  readonly plan: Plan;
  readonly safetyId: Id | null;
  readonly status: Status;
  readonly supersededBy?: string;
  /** Who made each call that ran it, and how the call ended; killed ones have no outcome. */
  readonly calls: readonly { readonly by: string | null; readonly outcome: Status | undefined }[];
  readonly result?: Fields;
}

type Fields = Readonly<Record<string, unknown>>;

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

/**
 * The prediction for a rollback. If it is killed, `expected` is what `rollbacks` shows of it.
 */
export interface RollbackPrediction extends Prediction<World> {
  /** Whether it reaches its commits: as a new rollback, or by resuming an earlier one. */
  readonly starts: "new" | "resumed" | false;
}

interface Blocker {
  readonly kind: string;
  readonly group: string;
  readonly topic?: string;
  readonly partition?: number;
  readonly expected?: unknown;
  readonly actual?: unknown;
}

/** What each policy means for a commit that the snapshot lacks: `since` is the log end in the snapshot, in the present log. */
interface Uncommitted {
  readonly at: bigint;
  readonly log: Topic["logs"][number] | undefined;
  readonly since: bigint | undefined;
}

interface Step {
  readonly action: (typeof actionWords)[number];
  readonly from: Commit | null;
  readonly to: Commit | null;
  readonly asked?: Commit | null;
  readonly uncommitted?: Uncommitted;
  readonly done?: true;
  readonly replayed: bigint | null;
  readonly skipped: bigint | null;
}

/** The plan of a group, its blockers, and the blockers of partitions that are skipped. */
interface GroupPlan {
  readonly source: string | undefined;
  readonly type: string | null;
  readonly state: string | null;
  readonly leftOut: boolean;
  readonly steps: ReadonlyMap<string, Step>;
  readonly blockers: readonly Blocker[];
  readonly skippedBlockers: readonly Blocker[];
}

interface Extra {
  readonly group: string;
  readonly key: string;
  readonly commit: Commit;
  readonly uncommitted: Uncommitted;
}

interface Plan {
  readonly snapshotId: string;
  readonly blockers: readonly Blocker[];
  readonly leftOutBlockers: readonly Blocker[];
  readonly warnings: readonly RegExp[];
  readonly groups: ReadonlyMap<string, GroupPlan>;
  readonly extra: readonly Extra[];
  /** Everything that the plan digest covers. */
  readonly digest: string;
  /** The creations of the topics that the targets are valid for. */
  readonly creations: ReadonlyMap<string, number>;
  /** The groups and topics that were observed. */
  readonly observed: { readonly groups: ReadonlyMap<string, Group>; readonly topics: ReadonlyMap<string, Topic> };
}

const none: Commits = new Map();

/** The blockers of a target on a partition; null deletes the commit. Without creations, it follows from the present topic. */
function partitionBlockers(
  world: World,
  creations: ReadonlyMap<string, number> | undefined,
  group: string,
  key: string,
  target: Commit | null,
): Blocker[] {
  const { topic: name, partition } = placeOf(key);
  const found = (kind: string, expected?: unknown, actual?: unknown): Blocker => {
    return { kind, group, topic: name, partition, expected, actual };
  };
  const topic = world.topics.get(name);
  if (topic === undefined) return [found("topic_missing")];
  if (target === null) return [];
  const log = topic.logs[partition];
  if (log === undefined) return [found("partition_missing", undefined, topic.logs.length)];
  const [savedCreation, epoch] = [creations?.get(name), target.leaderEpoch ?? 0];
  const all: Blocker[] = [];
  if (creations !== undefined && savedCreation !== topic.creation) {
    const before = savedCreation === undefined ? null : topicId(name, savedCreation);
    all.push(found("topic_recreated", before, topicId(name, topic.creation)));
  } else if (epoch > 0) {
    all.push(found("topic_recreated", epoch, 0));
  }
  if (target.offset < log.start) all.push(found("below_log_start", target.offset, log.start));
  if (target.offset > log.end) all.push(found("above_log_end", target.offset, log.end));
  return all;
}

/** Blockers of a group that end by themselves. */
function memberBlockers(world: World, group: string): Blocker[] {
  const { pending, hasMember = false } = world.groups.get(group) ?? {};
  if (pending !== undefined) return [{ kind: "pending_transaction", group, actual: [pending] }];
  return hasMember ? [{ kind: "group_not_empty", group, expected: 0, actual: 1 }] : [];
}

const isRange = ({ kind }: Blocker) => kind === "below_log_start" || kind === "above_log_end";

const endOf = (log: Uncommitted["log"]) => log?.end ?? 0n;

/** The number of offsets in a log between two offsets. */
function inLog(log: Uncommitted["log"], low: bigint, high: bigint): bigint | null {
  if (log === undefined) return null;
  const [first, last] = [low < log.start ? log.start : low, high > log.end ? log.end : high];
  return last > first ? last - first : 0n;
}

function uncommittedOn(world: World, saved: Saved, key: string, { offset: at }: Commit): Uncommitted {
  const { topic: name, partition } = placeOf(key);
  const [then, now] = [saved.topics.get(name), world.topics.get(name)];
  const log = now?.logs[partition];
  const before = then?.creation === now?.creation ? then?.logs[partition] : undefined;
  const since = before !== undefined && log !== undefined && before.end > log.start ? before.end : log?.start;
  return { at, log, since };
}

const earlier = (a: bigint, b: bigint) => (a < b ? a : b);

/** The commit that a policy sets in place of one that the snapshot lacks. */
function targetOf(policy: string, commit: Commit, { log, since }: Uncommitted): Commit | null {
  if (policy === "delete") return null;
  const offset = policy === "log_start" ? log?.start : since && earlier(since, commit.offset);
  return offset === undefined || offset === commit.offset ? commit : { offset, metadata: "" };
}

function uncommittedDocument({ at, log, since }: Uncommitted) {
  const start = log?.start ?? null;
  const to = since === undefined ? null : earlier(since, at);
  const replayed = (from: bigint | null) => (from === null ? null : inLog(log, from, at));
  return {
    acknowledged: replayed(to),
    delete: { replayed: replayed(start), skipped: inLog(log, at, endOf(log)) },
    log_start: { to: start, replayed: replayed(start) },
    snapshot_end: { to, replayed: replayed(to) },
  };
}

/** The action from one commit to another, and the number of offsets between them in the log. */
function stepTo(world: World, key: string, from: Commit | null, to: Commit | null): Step {
  const { topic, partition } = placeOf(key);
  const log = world.topics.get(topic)?.logs[partition];
  const between = (low: bigint, high: bigint) => inLog(log, low, high);
  if (same(from, to)) return { action: "unchanged", from, to, replayed: 0n, skipped: 0n };
  if (from === null) return { action: "create", from, to, replayed: null, skipped: null };
  if (to === null) {
    return {
      action: "delete",
      from,
      to,
      replayed: between(0n, from.offset),
      skipped: between(from.offset, endOf(log)),
    };
  }
  if (to.offset < from.offset) {
    return { action: "rewind", from, to, replayed: between(to.offset, from.offset), skipped: 0n };
  }
  if (to.offset > from.offset) {
    return { action: "fast_forward", from, to, replayed: 0n, skipped: between(from.offset, to.offset) };
  }
  return { action: "metadata", from, to, replayed: 0n, skipped: 0n };
}

const skipping = (current: Commit | null, asked: Commit | null, uncommitted?: Uncommitted): Step => {
  const of = uncommitted === undefined ? {} : { uncommitted };
  return { action: "skip", from: current, to: current, asked, replayed: 0n, skipped: 0n, ...of };
};

const policyOf = ({ exact = false, uncommitted = exact ? "delete" : "keep" }: RollbackRequest) => uncommitted;

/** Whether at least one partition of a group is rolled back. */
const takesPart = ({ leftOut, steps }: GroupPlan) =>
  !leftOut && [...steps.values()].some(({ action }) => action !== "skip");

/** Leaves out blocked groups if the request skips them, and collects all blockers. If no group remains, the blockers block. */
function withoutBlocked(world: World, drafts: ReadonlyMap<string, GroupPlan>, skipBlocked: boolean) {
  const groups = perKey(drafts, (draft, group): GroupPlan => {
    const { blockers, skippedBlockers, steps } = draft;
    if (!skipBlocked || blockers.length === 0) return draft;
    const skipped = perKey(steps, (step, key) =>
      step.action === "skip"
        ? step
        : skipping(commitAt(world, group, key), step.asked === undefined ? step.to : step.asked, step.uncommitted),
    );
    return {
      ...draft,
      leftOut: true,
      steps: skipped,
      skippedBlockers: [...blockers, ...skippedBlockers],
      blockers: [],
    };
  });
  const plans = [...groups.values()];
  const blockers = plans.flatMap(({ blockers }) => blockers);
  const leftOutBlockers = plans.flatMap(({ skippedBlockers }) => skippedBlockers);
  const isNothing = blockers.length === 0 && !plans.some(takesPart);
  return {
    groups,
    blockers: isNothing ? leftOutBlockers : blockers,
    leftOutBlockers: isNothing ? [] : leftOutBlockers,
  };
}

function stateOf(world: World, name: string): string | null {
  const group = world.groups.get(name);
  if (group === undefined) return null;
  return group.hasMember ? "Stable" : "Empty";
}

/** Whether an entry of a map is a pattern: one without a star on both sides is literal. */
const isPattern = (source: string, target: string) => source.includes("*") && target.includes("*");

/** The groups that a request names. */
const groupsOf = ({ groups, group_map }: RollbackRequest) =>
  groups ??
  (group_map && Object.entries(group_map).map(([name, target]) => (isPattern(name, target) ? name : { name })));

/** The target of each group under a map; undefined if the map does not give each exactly one of its own. */
function mapped(names: readonly string[], map: Readonly<Record<string, string>>): Map<string, string> | undefined {
  const entries = Object.entries(map);
  const used = new Set<string>();
  const targets = names.map((name) => {
    const found = entries.flatMap(([source, target]) => {
      const [before = "", after] = isPattern(source, target) ? source.split("*") : [source];
      if (after === undefined ? name !== source : !(name.startsWith(before) && name.endsWith(after))) return [];
      used.add(source);
      if (after === undefined) return [{ isName: true, target }];
      const text = name.slice(before.length, name.length - after.length);
      return [{ isName: false, target: target.split("*").join(text) }];
    });
    const byName = found.filter(({ isName }) => isName);
    return new Set((byName.length > 0 ? byName : found).map(({ target }) => target));
  });
  const all = targets.flatMap((of) => [...of]);
  const isOneToOne = targets.every(({ size }) => size === 1) && new Set(all).size === names.length;
  const byPattern = names.filter((name) => !entries.some((entry) => entry[0] === name && !isPattern(...entry)));
  const isOverwriting = names.some((name, i) => byPattern.includes(name) && names.includes(all[i] ?? name));
  if (!isOneToOne || used.size < entries.length || isOverwriting || all.some((target, i) => target === names[i]))
    return undefined;
  return new Map(names.map((name, i) => [name, all[i] ?? name]));
}

/** The plan of a new rollback, or the name of the error. */
function newPlan(world: World, request: RollbackRequest): Plan | string {
  const { snapshot_id = "", group_map, topics, out_of_range = "refuse", skip_blocked = false } = request;
  const groups = groupsOf(request);
  const chosen = resolve(world, snapshot_id, groups);
  if (chosen === undefined) return "SnapshotNotFound";
  const { saved } = chosen;
  const whole = partOf(saved, { ...(groups && { groups }) });
  if (typeof whole === "string") return whole;
  const names = [...whole.commits.keys()];
  const map = group_map && mapped(names, group_map);
  if (group_map !== undefined && map === undefined) return "InvalidRequest";
  const policy = policyOf(request);
  const now = policy === "keep" ? [] : names.map((name) => map?.get(name) ?? name);
  const part = partOf(saved, { ...(groups && { groups }), ...(topics && { topics }) }, liveOf(world, now));
  if (typeof part === "string") return part;

  const creations = perKey(saved.topics, ({ creation }) => creation);
  const extra: Extra[] = [];
  const drafts = new Map<string, GroupPlan>();
  for (const [name, commits] of part.commits) {
    const group = map?.get(name) ?? name;
    const live = onTopics(world.groups.get(group)?.commits ?? none, topics);
    const more = only(live, (key) => !commits.has(key));
    const lacking = perKey(more, (commit, key) => uncommittedOn(world, saved, key, commit));
    const setTo = perKey(more, (commit, key) => targetOf(policy, commit, uncommittedOn(world, saved, key, commit)));
    if (policy === "keep") {
      for (const [key, uncommitted] of lacking) {
        const commit = more.get(key);
        if (commit !== undefined) extra.push({ group, key, commit, uncommitted });
      }
    }
    const targets = new Map<string, Commit | null>([...commits, ...(policy === "keep" ? [] : setTo)]);
    const blockers = targets.size > 0 || policy !== "keep" ? memberBlockers(world, group) : [];
    const skippedBlockers: Blocker[] = [];
    const steps = perKey(targets, (target, key): Step => {
      const current = live.get(key) ?? null;
      const uncommitted = lacking.get(key);
      const of = uncommitted === undefined ? {} : { uncommitted };
      const isKept = uncommitted !== undefined && same(current, target);
      const found = partitionBlockers(world, uncommitted ? undefined : creations, group, key, target);
      const all = found.filter((blocker) => !isKept || !isRange(blocker));
      const range = out_of_range === "refuse" || target === null ? undefined : all.find(isRange);
      blockers.push(...all.filter((blocker) => blocker !== range));
      if (range === undefined || target === null) return { ...stepTo(world, key, current, target), ...of };
      if (out_of_range === "skip") {
        skippedBlockers.push(range);
        return skipping(current, target, uncommitted);
      }
      const nearest: Commit = { offset: BigInt(String(range.actual)), metadata: target.metadata };
      return { ...stepTo(world, key, current, nearest), asked: target, ...of };
    });
    const source = map === undefined ? undefined : name;
    const type = world.groups.has(group) || saved.groups.has(name) ? "classic" : null;
    drafts.set(group, { source, type, state: stateOf(world, group), leftOut: false, steps, blockers, skippedBlockers });
  }
  const decided = withoutBlocked(world, drafts, skip_blocked);
  const isClamped = [...decided.groups.values()].some(({ steps }) =>
    [...steps.values()].some(({ action, asked }) => action !== "skip" && asked !== undefined),
  );
  const done = [...decided.groups.values()].filter(takesPart).flatMap(({ steps }) => [...steps]);
  const isDeleting = done.some(([, { action }]) => action === "delete");
  const isUnread =
    policy === "snapshot_end" &&
    done.some(([key, { uncommitted }]) => uncommitted !== undefined && !creations.has(placeOf(key).topic));
  const besides = [...decided.groups].flatMap(([name, one]) => {
    const pending = saved.groups.get(one.source ?? name)?.pending;
    return takesPart(one) && pending !== undefined && one.steps.has(pending) ? [name] : [];
  });
  const isSimple = [...decided.groups].some(
    ([name, one]) => takesPart(one) && world.groups.get(name)?.hadMember === false,
  );
  const mayExpire = [...decided.groups].some(([name, one]) => {
    const group = world.groups.get(name);
    const hadMember = map === undefined && saved.groups.get(name)?.hasMember;
    return takesPart(one) && group?.hadMember && !group.hasMember && !hadMember;
  });
  const liveGroups = only(world.groups, (name) => drafts.has(name));
  const observedTopics = topicsOf([
    ...keysOf(part.commits.values()),
    ...keysOf([...liveGroups.values()].map(({ commits }) => commits)),
  ]);
  return {
    ...decided,
    snapshotId: saved.id,
    warnings: [
      ...chosen.warnings,
      ...part.warnings,
      ...(extra.length > 0 ? [/^The rollback keeps \d+ commits? of .* on partitions that the snapshot lacks\. /] : []),
      ...(isDeleting ? [/^The rollback deletes \d+ commits? on partitions that the snapshot lacks/] : []),
      ...(isUnread
        ? [/^Topics that are not in the snapshot, because no group of it used them or they did not exist: /]
        : []),
      ...(isClamped ? [/^\d+ offsets? outside of the log (is|are) clamped/] : []),
      ...(mayExpire ? [/ no members: Kafka deletes .* 7 days after it became empty, .*may expire at any time/] : []),
      ...(isSimple ? [/ (has|have) never had members: /] : []),
      ...besides.map(() => /^The targets of .* were captured while a transaction was pending/),
    ],
    extra,
    creations: perKey(world.topics, ({ creation }) => creation),
    observed: { groups: liveGroups, topics: topicsIn(world, observedTopics) },
    digest: digestInput(world, decided.groups, topics, [saved.id, policy, out_of_range, String(skip_blocked)]),
  };
}

/** A text of everything that a plan digest covers: snapshot, options, targets, live commits and topics. */
function digestInput(
  world: World,
  groups: ReadonlyMap<string, GroupPlan>,
  topics: PartRequest["topics"],
  options: readonly string[],
): string {
  const lines = [...groups].flatMap(([group, planned]) => {
    const { leftOut, source, steps } = planned;
    if (leftOut) return [`${group} left out`];
    const kept = [...only(steps, (_, { action }) => action !== "skip")];
    const live = takesPart(planned) ? onTopics(world.groups.get(group)?.commits ?? none, topics) : none;
    return [
      `${group} from ${source}`,
      ...kept.map(([key, { to }]) => `${group} ${key} to ${textOf(to)}`),
      ...kept.map(([key]) => `${group} ${key} creation ${world.topics.get(placeOf(key).topic)?.creation}`),
      ...[...live].map(([key, commit]) => `${group} ${key} at ${textOf(commit)}`),
    ];
  });
  return [options.join(" "), ...lines.sort()].join("\n");
}

/** The plan of a resumed rollback. Partitions at their targets are done; partitions that were moved since are blocked. */
function resumedPlan(world: World, { plan }: RollbackRecord, skipBlocked: boolean): Plan {
  const [withoutTargets, withTargets] = [
    only(plan.groups, (_, group) => !takesPart(group)),
    only(plan.groups, (_, group) => takesPart(group)),
  ];
  const drafts = perKey(withTargets, (planned, group): GroupPlan => {
    const blockers: Blocker[] = [];
    let isPending = false;
    const steps = perKey(planned.steps, (step, key): Step => {
      const { action, from, to, asked, uncommitted } = step;
      const current = commitAt(world, group, key);
      const kept = { ...(asked !== undefined && { asked }), ...(uncommitted && { uncommitted }) };
      if (action === "skip") return step;
      if (same(current, to)) {
        const way = stepTo(world, key, from, to);
        return { ...way, ...kept, ...(way.action !== "unchanged" && { done: true }) };
      }
      isPending = true;
      if (!same(current, from)) {
        const places = { expected: documentOf(from), actual: documentOf(current) };
        blockers.push({ kind: "moved_since", group, ...placeOf(key), ...places });
      }
      const isKept = uncommitted !== undefined && same(from, to);
      const found = partitionBlockers(world, plan.creations, group, key, to);
      blockers.push(...found.filter((blocker) => !isKept || !isRange(blocker)));
      return { ...stepTo(world, key, current, to), ...kept };
    });
    if (isPending) blockers.push(...memberBlockers(world, group));
    const type = world.groups.has(group) ? "classic" : planned.type;
    return { ...planned, type, state: stateOf(world, group), steps, blockers, skippedBlockers: [] };
  });
  const rest = withoutBlocked(world, drafts, skipBlocked);
  return {
    ...plan,
    ...rest,
    groups: new Map([...withoutTargets, ...rest.groups]),
    leftOutBlockers: [...plan.leftOutBlockers, ...rest.leftOutBlockers],
  };
}

const stepDocument = ({ action, from, to, asked, done, replayed, skipped, uncommitted }: Step) => ({
  action,
  from: documentOf(from),
  to: documentOf(to),
  asked: asked && documentOf(asked),
  done,
  replayed,
  skipped,
  uncommitted: uncommitted && uncommittedDocument(uncommitted),
});

const sumOf = (parts: readonly (bigint | null)[]) =>
  parts.reduce((sum, part) => (sum === null || part === null ? null : sum + part), 0n);

const blockerDocument = (blocker: Blocker) => ({ ...blocker, message: /\S\.$/ });

const extraDocument = ({ extra }: Plan) =>
  new Bag(
    extra.map(({ group, key, commit, uncommitted }) => ({
      ...{ group, ...placeOf(key), commit: documentOf(commit) },
      uncommitted: uncommittedDocument(uncommitted),
    })),
  );

const digestOf = ({ digest }: Plan) => new Unseen("digest", digest);

/** The blockers of what the plan leaves out; `skipped` is the former name of the field. */
const leftOutDocument = ({ leftOutBlockers }: Plan) => ({
  left_out: new Bag(leftOutBlockers.map(blockerDocument)),
  skipped: new Bag(leftOutBlockers.map(blockerDocument)),
});

const planDocument = (plan: Plan) => ({
  snapshot_id: plan.snapshotId,
  plan_digest: digestOf(plan),
  blockers: new Bag(plan.blockers.map(blockerDocument)),
  ...leftOutDocument(plan),
  warnings: new Bag(plan.warnings),
  groups: perKey(plan.groups, ({ source, type, state, leftOut, steps }) => ({
    source,
    type,
    state,
    left_out: leftOut || undefined,
    replayed: sumOf([...steps.values()].map(({ replayed }) => replayed)),
    skipped: sumOf([...steps.values()].map(({ skipped }) => skipped)),
    partitions: perKey(steps, stepDocument),
  })),
  extra: extraDocument(plan),
});

/** The words that totals count. */
const actionWords = ["rewind", "fast_forward", "unchanged", "metadata", "create", "delete", "skip"] as const;
const kindWords = [
  "group_not_empty",
  "cluster_mismatch",
  "topic_missing",
  "partition_missing",
  "topic_recreated",
  "below_log_start",
  "above_log_end",
  "log_truncated",
  "range_unknown",
  "pending_transaction",
  "not_captured",
  "unsupported_type",
  "moved_since",
];

const counts = (words: readonly string[], found: readonly string[]) =>
  Object.fromEntries(words.map((word) => [word, found.filter((other) => other === word).length]));

const dryRun = (plan: Plan) => {
  const groups = [...plan.groups.values()];
  const steps = groups.flatMap((group) => [...group.steps.values()]);
  const totals = {
    groups: groups.length,
    partitions: steps.length,
    replayed: sumOf(steps.map(({ replayed }) => replayed)),
    skipped: sumOf(steps.map(({ skipped }) => skipped)),
    actions: counts(
      actionWords,
      steps.map(({ action }) => action),
    ),
    blockers: counts(
      kindWords,
      plan.blockers.map(({ kind }) => kind),
    ),
  };
  return { dry_run: true, totals, ...planDocument(plan) };
};

/** What a summary of an answer shows: all of it, since histories are small, and the groups that failed. */
function summaryOf(answer: unknown): unknown {
  const { groups, groups_failed } = Object(answer);
  if (groups_failed === undefined) return { ...Object(answer), omitted: {} };
  const failed = [...groups].flatMap(([group, { status, error }]) =>
    status === "failed" || status === "partial_success" ? [{ group, status, error }] : [],
  );
  return { ...Object(answer), failed_groups: new Bag(failed), omitted: {} };
}

/** A text that is equal for requests of the same rollback. Caller, description and form of the answer do not matter. */
function requestKey(request: RollbackRequest): string {
  const { snapshot_id, groups, topics, out_of_range, skip_blocked, plan_digest, rollback_id, group_map } = request;
  const options = [policyOf(request), out_of_range ?? "refuse", skip_blocked ?? false, plan_digest, rollback_id];
  const map = Object.entries(group_map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([snapshot_id, groups, topics, options, map]);
}

const isAtTargets = (world: World, { groups }: Plan) =>
  [...groups].every(
    ([group, planned]) =>
      !takesPart(planned) ||
      [...planned.steps].every(([key, { action, to }]) => action === "skip" || same(commitAt(world, group, key), to)),
  );

/** The prediction for `rollback`. */
export function rollback(world: World, request: RollbackRequest, circumstances: Circumstances): RollbackPrediction {
  const prediction = inFull(world, request, circumstances);
  const isKilled = circumstances.killed !== undefined && prediction.starts !== false;
  if (request.detail !== "summary" || isKilled) return prediction;
  const { expected } = prediction;
  if ("result" in expected) return { ...prediction, expected: { result: summaryOf(expected.result) } };
  if (expected.error.details === undefined) return prediction;
  const details = summaryOf(expected.error.details);
  return { ...prediction, expected: { error: { ...expected.error, details } } };
}

function inFull(world: World, request: RollbackRequest, circumstances: Circumstances): RollbackPrediction {
  const withoutStart = (prediction: Prediction<World>): RollbackPrediction => ({ ...prediction, starts: false });
  const fails = (name: string, details?: unknown) => withoutStart(failing(world, name, details));
  const { resume, rollback_id, snapshot_id, dry_run = false, skip_blocked = false } = request;
  const isNewest = typeof snapshot_id === "object" || snapshot_id === "latest";
  if (isNewest && groupsOf(request) === undefined) return fails("InvalidRequest");

  const isNewDryRun = dry_run && resume === undefined;
  const id = isNewDryRun ? undefined : (resume ?? rollback_id);
  const matches = (record: RollbackRecord) =>
    id === undefined ? requestKey(record.asked) === requestKey(request) : record.id === id;
  const earlier = isNewDryRun ? undefined : world.rollbacks.findLast(matches);
  if (earlier === undefined && resume !== undefined) return fails("RollbackNotFound");
  if (earlier !== undefined && id !== undefined) {
    if (resume === undefined && requestKey(earlier.asked) !== requestKey(request)) return fails("InvalidRequest");
    const isSuperseded =
      earlier.supersededBy !== undefined && (resume !== undefined || earlier.status === "superseded");
    if (isSuperseded) return fails("InvalidRequest");
    if (earlier.status === "success" || (resume === undefined && earlier.status !== "running")) {
      return withoutStart(repeated(world, earlier, request));
    }
    if (isFollowed(world, earlier)) return fails("InvalidRequest");
    const rest = resumedPlan(world, earlier, skip_blocked);
    return dry_run
      ? withoutStart(answering(world, dryRun(rest)))
      : resumed(world, earlier, rest, request, circumstances);
  }

  const plan = newPlan(world, request);
  if (typeof plan === "string") return fails(plan);
  const isChanged =
    request.plan_digest !== undefined && circumstances.planOfDigest(request.plan_digest) !== plan.digest;
  if (dry_run) return isChanged ? fails("PlanChanged", dryRun(plan)) : withoutStart(answering(world, dryRun(plan)));
  if (earlier !== undefined && earlier.supersededBy === undefined) {
    if (earlier.status === "success") {
      if (isAtTargets(world, earlier.plan)) return withoutStart(repeated(world, earlier, request));
    } else if (!isFollowed(world, earlier)) {
      const isBlocked = resumedPlan(world, earlier, false).blockers.some(({ kind }) => !temporaryKinds.has(kind));
      if (!isBlocked) return resumed(world, earlier, resumedPlan(world, earlier, skip_blocked), request, circumstances);
    }
  }
  if (isChanged) return fails("PlanChanged", dryRun(plan));
  if (plan.blockers.length > 0) return withoutStart(refusal(world, plan));
  return started(world, plan, request, circumstances);
}

/** The kinds of blockers that are not permanent. */
const temporaryKinds = new Set(["group_not_empty", "pending_transaction"]);

const groupsIn = ({ groups }: Plan) => [...groups].filter(([, planned]) => takesPart(planned)).map(([group]) => group);

function refusal(world: World, plan: Plan): Prediction<World> {
  const onlyMembers = plan.blockers.every(({ kind }) => kind === "group_not_empty");
  return failing(world, onlyMembers ? "GroupNotEmpty" : "RollbackBlocked", dryRun(plan));
}

function answerOf(result: Fields, status: Status, verify: boolean): Expected {
  const answer = verify ? result : { ...result, verification: undefined };
  return status === "success" ? { result: answer } : failing(undefined, "RollbackIncomplete", answer).expected;
}

function repeated(world: World, earlier: RollbackRecord, { verify = true }: RollbackRequest): Prediction<World> {
  const { id, safetyId, result, status } = earlier;
  const again = { rollback_id: id, safety_snapshot_id: safetyId, ...result, repeated: true };
  return { expected: answerOf(again, status, verify), after: () => world };
}

/** Whether a newer rollback has rolled back a group of an earlier one. */
const isFollowed = ({ rollbacks }: World, earlier: RollbackRecord) =>
  rollbacks
    .slice(rollbacks.indexOf(earlier) + 1)
    .some((newer) => groupsIn(newer.plan).some((group) => earlier.plan.groups.has(group)));

/** The rollbacks that a rollback with this plan supersedes: those before it that can be resumed and have one of its groups. */
const supersededBy = (before: readonly RollbackRecord[], plan: Plan) =>
  before.filter((earlier) => {
    const isOpen = earlier.status !== "success" && earlier.supersededBy === undefined;
    return isOpen && groupsIn(plan).some((group) => earlier.plan.groups.has(group));
  });

const withWarnings = (plan: Plan, superseded: readonly RollbackRecord[]): Plan => ({
  ...plan,
  warnings: [
    ...plan.warnings,
    ...superseded.map(() => / had not reached all its targets\. This rollback supersedes it: /),
  ],
});

/** The journal after some rollbacks were superseded. */
const marked = (rollbacks: readonly RollbackRecord[], superseded: readonly RollbackRecord[], by: string) =>
  rollbacks.map((earlier): RollbackRecord => {
    if (!superseded.includes(earlier)) return earlier;
    return { ...earlier, supersededBy: by, status: earlier.status === "running" ? "superseded" : earlier.status };
  });

const callOf = ({ requested_by }: RollbackRequest, status: Status) => ({
  by: requested_by ?? null,
  outcome: status === "running" ? undefined : status,
});

/** A new rollback: safety snapshot, journal record, commits. If it is killed early, it has superseded nothing yet. */
function started(world: World, plan: Plan, request: RollbackRequest, circumstances: Circumstances): RollbackPrediction {
  const id = request.rollback_id ?? new Unseen("rollback", `rollback ${world.rollbacks.length + 1}`);
  const moves = [...plan.groups.values()].some(({ steps }) => [...steps.values()].some(isPending));
  const safetyId = moves ? nextSnapshot(world) : null;
  const superseded = circumstances.killed === "early" ? [] : supersededBy(world.rollbacks, plan);
  const done = executed(world, withWarnings(plan, superseded), circumstances);
  const journalRecord: RollbackRecord<Unseen | string> = {
    id,
    safetyId,
    asked: request,
    plan,
    calls: [callOf(request, done.end.status)],
    ...done.end,
  };
  return {
    starts: "new",
    ...answered(journalRecord, request),
    after(seen) {
      const known = identified(journalRecord, seen);
      const saved =
        known.safetyId === null ? done.world : withSnapshot(done.world, safetyOf(world, known.safetyId, known));
      return { ...saved, rollbacks: [...marked(world.rollbacks, superseded, known.id), known] };
    },
  };
}

const identified = (
  journalRecord: RollbackRecord<Unseen | string>,
  seen: (unseen: Unseen | string) => string,
): RollbackRecord => {
  const id = seen(journalRecord.id);
  return { ...journalRecord, id, safetyId: journalRecord.safetyId && seen(journalRecord.safetyId) };
};

function safetyOf(world: World, id: string, { id: rollbackId, plan, asked: { description } }: RollbackRecord): Saved {
  const names = [...only(plan.groups, (_, planned) => takesPart(planned)).keys()];
  return {
    id,
    description: `Before ${rollbackId} to ${plan.snapshotId}${description ? `: ${description}` : ""}`,
    safety: true,
    selection: { groups: names.map((name) => ({ name })), exclude: [] },
    warnings: [],
    commits: new Map(names.map((name) => [name, world.groups.get(name)?.commits ?? none])),
    ...plan.observed,
  };
}

/** A resumed rollback. It supersedes what the call that began it left, because that was killed early. */
function resumed(
  world: World,
  earlier: RollbackRecord,
  rest: Plan,
  request: RollbackRequest,
  circumstances: Circumstances,
): RollbackPrediction {
  if (rest.blockers.length > 0) return { ...refusal(world, rest), starts: false };
  const before = world.rollbacks.slice(0, world.rollbacks.indexOf(earlier));
  const superseded = circumstances.killed === "early" ? [] : supersededBy(before, rest);
  const done = executed(world, withWarnings(rest, superseded), circumstances);
  const { result: _, ...open } = earlier;
  const calls = [...earlier.calls, callOf(request, done.end.status)];
  const journalRecord: RollbackRecord = { ...open, calls, ...done.end };
  const ended =
    journalRecord.result === undefined
      ? journalRecord
      : { ...journalRecord, result: { ...journalRecord.result, resumed: true } };
  return {
    starts: "resumed",
    ...answered(ended, request),
    after: (seen) => ({
      ...done.world,
      rollbacks: marked(
        world.rollbacks.map((rollback) => (rollback === earlier ? identified(ended, seen) : rollback)),
        superseded,
        earlier.id,
      ),
    }),
  };
}

/** The answer of a rollback that ended, or what `rollbacks` shows of one that was killed. */
function answered(
  journalRecord: RollbackRecord<Unseen | string>,
  { verify = true }: RollbackRequest,
): { expected: Expected } {
  const { id, safetyId, status, result } = journalRecord;
  if (result === undefined) return { expected: { result: fullRecord(journalRecord) } };
  return { expected: answerOf({ rollback_id: id, safety_snapshot_id: safetyId, ...result }, status, verify) };
}

const isPending = ({ action, done }: Step) => action !== "unchanged" && action !== "skip" && done === undefined;

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
function executed(
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

/** A rollback as `rollbacks` shows it: its row in the list, and the further fields if it is requested by id. */
export function record(journalRecord: RollbackRecord<Unseen | string>) {
  const { id, asked, plan, safetyId, status, supersededBy, calls, result } = journalRecord;
  const attempts = calls.length;
  const row = {
    rollback_id: id,
    status: status === "running" ? "unfinished" : status,
    snapshot_id: plan.snapshotId,
    safety_snapshot_id: safetyId,
    requested_by: asked.requested_by ?? null,
    started_at: /Z$/,
    resumed_at: attempts > 1 ? /Z$/ : undefined,
    ended_at: result && /Z$/,
    groups: plan.groups.size,
    description: asked.description ?? "",
    superseded_by: supersededBy,
    attempts,
  };
  const recorded = result && { rollback_id: id, safety_snapshot_id: safetyId, ...result };
  const shown = calls.map(({ by, outcome }, i) => ({
    attempt: i + 1,
    requested_by: by,
    request_id: /\S/,
    started_at: /Z$/,
    ended_at: outcome && /Z$/,
    outcome: outcome ?? (i === attempts - 1 && status === "running" ? "unfinished" : "interrupted"),
  }));
  return {
    row,
    calls: attempts > 10 ? [...shown.slice(0, 1), ...shown.slice(-9)] : shown,
    warnings: [],
    plan: planDocument(plan),
    plan_digest: digestOf(plan),
    result: recorded,
  };
}

function fullRecord(journalRecord: RollbackRecord<Unseen | string>) {
  const { row, ...more } = record(journalRecord);
  return { ...row, ...more };
}
