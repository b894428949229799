import type { Commit } from "../../../functions/shared/core/model.ts";
import { Bag, Unseen } from "./expected.ts";
import {
  type World as AnyWorld,
  answering,
  type Commits,
  committed,
  documentOf,
  type Expected,
  failing,
  type Group,
  held,
  keysOf,
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
  standsAt,
  type Topic,
  textOf,
  topicId,
  topicsIn,
  topicsOf,
  withSnapshot,
} from "./model.ts";

/** A world whose journal has rollbacks. */
export type World = AnyWorld<Journalled>;

/** A request to roll back, as it is sent. */
export interface RollbackRequest extends PartRequest {
  readonly snapshot_id?: string | { readonly at: string };
  readonly resume?: string;
  readonly dry_run?: boolean;
  readonly verify?: boolean;
  readonly exact?: boolean;
  readonly out_of_range?: "refuse" | "clamp" | "skip";
  readonly skip_blocked?: boolean;
  readonly plan_digest?: string;
  readonly wait_for_empty_seconds?: number;
  readonly rollback_id?: string;
  readonly group_map?: Readonly<Record<string, string>>;
  readonly requested_by?: string;
  readonly description?: string;
}

type Status = "success" | "partial_success" | "failed" | "running" | "superseded";

/** A rollback in the journal. One that was killed is `running` for ever, and has no result. */
export interface Journalled<Id = string> {
  readonly id: Id;
  readonly asked: RollbackRequest;
  readonly plan: Plan;
  readonly safetyId: Id | null;
  readonly status: Status;
  readonly supersededBy?: string;
  readonly attempts: number;
  readonly result?: Fields;
}

type Fields = Readonly<Record<string, unknown>>;

/** What else there is to know when a rollback is asked for. All of it happens only if the rollback starts. */
export interface Circumstances {
  /** The plan that a digest was given for, as far as it is known. */
  planOfDigest(digest: string): string | undefined;
  /** Commits that another writer makes when the plan is made, and before its first commit. */
  readonly meanwhile?: readonly { readonly group: string; readonly key: string; readonly commit: Commit }[];
  /** A group that a consumer joins at that time. */
  readonly joined?: string | undefined;
  /** When the function is killed: before its first commit, or when it has nothing left to do but to close its journal. */
  readonly killed?: "early" | "late" | undefined;
}

/**
 * What is to become of a rollback. Of one that is killed, the answer is what `rollbacks` shows of it.
 */
export interface RollbackPrediction extends Prediction<World> {
  /** Whether it comes to commits, or to the point where there would be some: in a journal of its own, or in an earlier one. */
  readonly starts: "afresh" | "again" | false;
}

interface Obstacle {
  readonly kind: string;
  readonly group: string;
  readonly topic?: string;
  readonly partition?: number;
  readonly expected?: unknown;
  readonly actual?: unknown;
}

interface Step {
  readonly action: "rewind" | "fast_forward" | "unchanged" | "metadata" | "create" | "delete" | "skip";
  readonly from: Commit | null;
  readonly to: Commit | null;
  readonly asked?: Commit | null;
  readonly done?: true;
  readonly replayed: bigint | null;
  readonly skipped: bigint | null;
}

/** What is planned for a group, its blockers, and the blockers of what is skipped. */
interface GroupPlan {
  readonly source: string | undefined;
  readonly type: string | null;
  readonly state: string | null;
  readonly leftOut: boolean;
  readonly steps: ReadonlyMap<string, Step>;
  readonly reasons: readonly Obstacle[];
  readonly passed: readonly Obstacle[];
}

interface Plan {
  readonly snapshotId: string;
  readonly blockers: readonly Obstacle[];
  readonly passedOver: readonly Obstacle[];
  readonly warnings: readonly RegExp[];
  readonly groups: ReadonlyMap<string, GroupPlan>;
  readonly extra: readonly { readonly group: string; readonly key: string; readonly commit: Commit }[];
  /** All that its digest is over. */
  readonly digest: string;
  /** The lives of the topics that the targets are meant for. */
  readonly lives: ReadonlyMap<string, number>;
  /** The groups and topics that were looked at. */
  readonly seen: { readonly groups: ReadonlyMap<string, Group>; readonly topics: ReadonlyMap<string, Topic> };
}

const none: Commits = new Map();

/** What is in the way of a target; null is the deletion of a commit. */
function obstacles(
  world: World,
  lives: ReadonlyMap<string, number>,
  group: string,
  key: string,
  target: Commit | null,
): Obstacle[] {
  const { topic: name, partition } = placeOf(key);
  const found = (kind: string, expected?: unknown, actual?: unknown): Obstacle => {
    return { kind, group, topic: name, partition, expected, actual };
  };
  const topic = world.topics.get(name);
  if (topic === undefined) return [found("topic_missing")];
  if (target === null) return [];
  const log = topic.logs[partition];
  if (log === undefined) return [found("partition_missing", undefined, topic.logs.length)];
  const [meant, epoch] = [lives.get(name), target.leaderEpoch ?? 0];
  const all: Obstacle[] = [];
  if (meant !== topic.life) {
    const before = meant === undefined ? null : topicId(name, meant);
    all.push(found("topic_recreated", before, topicId(name, topic.life)));
  } else if (epoch > 0) {
    all.push(found("topic_recreated", epoch, 0));
  }
  if (target.offset < log.start) all.push(found("below_log_start", target.offset, log.start));
  if (target.offset > log.end) all.push(found("above_log_end", target.offset, log.end));
  return all;
}

const heldBy = (world: World, group: string): Obstacle[] =>
  world.groups.get(group)?.held ? [{ kind: "group_not_empty", group, expected: 0, actual: 1 }] : [];

const isRange = ({ kind }: Obstacle) => kind === "below_log_start" || kind === "above_log_end";

/** The way from one commit to another, and how much of the log lies between. */
function stepTo(world: World, key: string, from: Commit | null, to: Commit | null): Step {
  const { topic, partition } = placeOf(key);
  const log = world.topics.get(topic)?.logs[partition];
  const between = (low: bigint, high: bigint) => {
    if (log === undefined) return null;
    const [first, last] = [low < log.start ? log.start : low, high > log.end ? log.end : high];
    return last > first ? last - first : 0n;
  };
  if (same(from, to)) return { action: "unchanged", from, to, replayed: 0n, skipped: 0n };
  if (from === null) return { action: "create", from, to, replayed: null, skipped: null };
  if (to === null) return { action: "delete", from, to, replayed: null, skipped: null };
  if (to.offset < from.offset) {
    return { action: "rewind", from, to, replayed: between(to.offset, from.offset), skipped: 0n };
  }
  if (to.offset > from.offset) {
    return { action: "fast_forward", from, to, replayed: 0n, skipped: between(from.offset, to.offset) };
  }
  return { action: "metadata", from, to, replayed: 0n, skipped: 0n };
}

const skipping = (stands: Commit | null, asked: Commit | null): Step => {
  return { action: "skip", from: stands, to: stands, asked, replayed: 0n, skipped: 0n };
};

/** Whether anything of a group is to be rolled back. */
const isTouched = ({ leftOut, steps }: GroupPlan) =>
  !leftOut && [...steps.values()].some(({ action }) => action !== "skip");

/** Leaves out the groups that are blocked, if they may be left out, and says what is in the way. Something has to remain. */
function withoutBlocked(world: World, drafts: ReadonlyMap<string, GroupPlan>, skipBlocked: boolean) {
  const groups = perKey(drafts, (draft, group): GroupPlan => {
    const { reasons, passed, steps } = draft;
    if (!skipBlocked || reasons.length === 0) return draft;
    const skipped = perKey(steps, (step, key) =>
      step.action === "skip"
        ? step
        : skipping(standsAt(world, group, key), step.asked === undefined ? step.to : step.asked),
    );
    return { ...draft, leftOut: true, steps: skipped, passed: [...reasons, ...passed], reasons: [] };
  });
  const plans = [...groups.values()];
  const blockers = plans.flatMap(({ reasons }) => reasons);
  const passedOver = plans.flatMap(({ passed }) => passed);
  const isNothing = blockers.length === 0 && !plans.some(isTouched);
  return { groups, blockers: isNothing ? passedOver : blockers, passedOver: isNothing ? [] : passedOver };
}

function stateOf(world: World, name: string): string | null {
  const group = world.groups.get(name);
  if (group === undefined) return null;
  return group.held ? "Stable" : "Empty";
}

/** The groups that a request names. */
const groupsOf = ({ groups, group_map }: RollbackRequest) =>
  groups ?? (group_map && Object.keys(group_map).map((name) => ({ name })));

/** What a rollback to a snapshot would do; or the name of the error. */
function planAfresh(world: World, request: RollbackRequest): Plan | string {
  const { snapshot_id = "", group_map, topics, exact = false, out_of_range = "refuse", skip_blocked = false } = request;
  const groups = groupsOf(request);
  const saved = resolve(world, snapshot_id, groups);
  if (saved === undefined) return "SnapshotNotFound";
  const part = partOf(saved, { ...(groups && { groups }), ...(topics && { topics }) });
  if (typeof part === "string") return part;
  const map = group_map && new Map(Object.entries(group_map));
  if (map !== undefined) {
    const fits = map.size === part.commits.size && [...map.keys()].every((source) => part.commits.has(source));
    if (!fits || new Set(map.values()).size < map.size) return "InvalidRequest";
  }

  const lives = perKey(saved.topics, ({ life }) => life);
  const extra: { group: string; key: string; commit: Commit }[] = [];
  const drafts = new Map<string, GroupPlan>();
  for (const [name, commits] of part.commits) {
    const group = map?.get(name) ?? name;
    const live = onTopics(world.groups.get(group)?.commits ?? none, topics);
    const more = only(live, (key) => !commits.has(key));
    if (!exact) extra.push(...[...more].map(([key, commit]) => ({ group, key, commit })));
    const targets = new Map<string, Commit | null>([...commits, ...(exact ? perKey(more, () => null) : [])]);
    const reasons = targets.size > 0 || exact ? heldBy(world, group) : [];
    const passed: Obstacle[] = [];
    const steps = perKey(targets, (target, key): Step => {
      const stands = live.get(key) ?? null;
      const all = obstacles(world, lives, group, key, target);
      const range = out_of_range === "refuse" || target === null ? undefined : all.find(isRange);
      reasons.push(...all.filter((one) => one !== range));
      if (range === undefined || target === null) return stepTo(world, key, stands, target);
      if (out_of_range === "skip") {
        passed.push(range);
        return skipping(stands, target);
      }
      const nearest: Commit = { offset: BigInt(String(range.actual)), metadata: target.metadata };
      return { ...stepTo(world, key, stands, nearest), asked: target };
    });
    const source = map === undefined ? undefined : name;
    const type = world.groups.has(group) || saved.groups.has(name) ? "classic" : null;
    drafts.set(group, { source, type, state: stateOf(world, group), leftOut: false, steps, reasons, passed });
  }
  const decided = withoutBlocked(world, drafts, skip_blocked);
  const isClamped = [...decided.groups.values()].some(({ steps }) =>
    [...steps.values()].some(({ action, asked }) => action !== "skip" && asked !== undefined),
  );
  const isSimple = [...decided.groups].some(
    ([name, one]) => isTouched(one) && world.groups.get(name)?.served === false,
  );
  const here = only(world.groups, (name) => drafts.has(name));
  const looked = topicsOf([
    ...keysOf(part.commits.values()),
    ...keysOf([...here.values()].map(({ commits }) => commits)),
  ]);
  return {
    ...decided,
    snapshotId: saved.id,
    warnings: [
      ...part.warnings,
      ...(extra.length > 0 ? [/^The rollback keeps \d+ commits? on partitions that the snapshot lacks/] : []),
      ...(isClamped ? [/^\d+ offsets? outside of the log (is|are) clamped/] : []),
      ...(isSimple ? [/ (has|have) never had members: /] : []),
    ],
    extra,
    lives,
    seen: { groups: here, topics: topicsIn(world, looked) },
    digest: digested(world, decided.groups, topics, [saved.id, String(exact), out_of_range, String(skip_blocked)]),
  };
}

/** The snapshot, the options, the targets, what is committed now, and the topics: all that a plan's digest is over. */
function digested(
  world: World,
  groups: ReadonlyMap<string, GroupPlan>,
  topics: PartRequest["topics"],
  options: readonly string[],
): string {
  const lines = [...groups].flatMap(([group, planned]) => {
    const { leftOut, source, steps } = planned;
    if (leftOut) return [`${group} left out`];
    const kept = [...only(steps, (_, { action }) => action !== "skip")];
    const live = isTouched(planned) ? onTopics(world.groups.get(group)?.commits ?? none, topics) : none;
    return [
      `${group} from ${source}`,
      ...kept.map(([key, { to }]) => `${group} ${key} to ${textOf(to)}`),
      ...kept.map(([key]) => `${group} ${key} life ${world.topics.get(placeOf(key).topic)?.life}`),
      ...[...live].map(([key, commit]) => `${group} ${key} at ${textOf(commit)}`),
    ];
  });
  return [options.join(" "), ...lines.sort()].join("\n");
}

/** What is left of a rollback: what stands where it was found; not what stands at its target, and never what stands elsewhere. */
function planRest(world: World, { plan }: Journalled, skipBlocked: boolean): Plan {
  const [before, taken] = [
    only(plan.groups, (_, one) => !isTouched(one)),
    only(plan.groups, (_, one) => isTouched(one)),
  ];
  const drafts = perKey(taken, (planned, group): GroupPlan => {
    const reasons: Obstacle[] = [];
    let isPending = false;
    const steps = perKey(planned.steps, (step, key): Step => {
      const { action, from, to, asked } = step;
      const stands = standsAt(world, group, key);
      const kept = asked === undefined ? {} : { asked };
      if (action === "skip") return step;
      if (same(stands, to)) {
        const way = stepTo(world, key, from, to);
        return { ...way, ...kept, ...(way.action !== "unchanged" && { done: true }) };
      }
      isPending = true;
      if (!same(stands, from)) {
        const places = { expected: documentOf(from), actual: documentOf(stands) };
        reasons.push({ kind: "moved_since", group, ...placeOf(key), ...places });
      }
      reasons.push(...obstacles(world, plan.lives, group, key, to));
      return { ...stepTo(world, key, stands, to), ...kept };
    });
    if (isPending) reasons.push(...heldBy(world, group));
    const type = world.groups.has(group) ? "classic" : planned.type;
    return { ...planned, type, state: stateOf(world, group), steps, reasons, passed: [] };
  });
  const rest = withoutBlocked(world, drafts, skipBlocked);
  return {
    ...plan,
    ...rest,
    groups: new Map([...before, ...rest.groups]),
    passedOver: [...plan.passedOver, ...rest.passedOver],
  };
}

const stepDocument = ({ action, from, to, asked, done, replayed, skipped }: Step) => ({
  action,
  from: documentOf(from),
  to: documentOf(to),
  asked: asked && documentOf(asked),
  done,
  replayed,
  skipped,
});

const sumOf = (parts: readonly (bigint | null)[]) =>
  parts.reduce((sum, part) => (sum === null || part === null ? null : sum + part), 0n);

const obstacleDocument = (obstacle: Obstacle) => ({ ...obstacle, message: /\S\.$/ });

const extraDocument = ({ extra }: Plan) =>
  new Bag(extra.map(({ group, key, commit }) => ({ group, ...placeOf(key), commit: documentOf(commit) })));

const digestOf = ({ digest }: Plan) => new Unseen("digest", digest);

/** What is left out by request, also under its former name. */
const leftOutDocument = ({ passedOver }: Plan) => ({
  left_out: new Bag(passedOver.map(obstacleDocument)),
  skipped: new Bag(passedOver.map(obstacleDocument)),
});

const planDocument = (plan: Plan) => ({
  snapshot_id: plan.snapshotId,
  plan_digest: digestOf(plan),
  blockers: new Bag(plan.blockers.map(obstacleDocument)),
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

const dryRun = (plan: Plan) => ({ dry_run: true, ...planDocument(plan) });

/** What makes two requests the same: not who asks, nor how the answer is to look. */
function asksFor(request: RollbackRequest): string {
  const { snapshot_id, groups, topics, exact, out_of_range, skip_blocked, plan_digest, rollback_id, group_map } =
    request;
  const options = [exact ?? false, out_of_range ?? "refuse", skip_blocked ?? false, plan_digest, rollback_id];
  const map = Object.entries(group_map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([snapshot_id, groups, topics, options, map]);
}

const standsAtTargets = (world: World, { groups }: Plan) =>
  [...groups].every(
    ([group, planned]) =>
      !isTouched(planned) ||
      [...planned.steps].every(([key, { action, to }]) => action === "skip" || same(standsAt(world, group, key), to)),
  );

/** What `rollback` is to answer. */
export function rollback(world: World, request: RollbackRequest, around: Circumstances): RollbackPrediction {
  const stays = (prediction: Prediction<World>): RollbackPrediction => ({ ...prediction, starts: false });
  const fails = (name: string, details?: unknown) => stays(failing(world, name, details));
  const { resume, rollback_id, snapshot_id, dry_run = false, skip_blocked = false } = request;
  const isNewest = typeof snapshot_id === "object" || snapshot_id === "latest";
  if (isNewest && groupsOf(request) === undefined) return fails("InvalidRequest");

  const onlyLooks = dry_run && resume === undefined;
  const id = onlyLooks ? undefined : (resume ?? rollback_id);
  const isMeant = (one: Journalled) => (id === undefined ? asksFor(one.asked) === asksFor(request) : one.id === id);
  const earlier = onlyLooks ? undefined : world.rollbacks.findLast(isMeant);
  if (earlier === undefined && resume !== undefined) return fails("RollbackNotFound");
  if (earlier !== undefined && id !== undefined) {
    if (resume === undefined && asksFor(earlier.asked) !== asksFor(request)) return fails("InvalidRequest");
    const isGone = earlier.supersededBy !== undefined && (resume !== undefined || earlier.status === "superseded");
    if (isGone) return fails("InvalidRequest");
    if (earlier.status === "success" || (resume === undefined && earlier.status !== "running")) {
      return stays(repeated(world, earlier, request));
    }
  }
  if (earlier !== undefined && id !== undefined) {
    const rest = planRest(world, earlier, skip_blocked);
    return dry_run ? stays(answering(world, dryRun(rest))) : takenUp(world, earlier, rest, request, around);
  }

  const plan = planAfresh(world, request);
  if (typeof plan === "string") return fails(plan);
  const isChanged = request.plan_digest !== undefined && around.planOfDigest(request.plan_digest) !== plan.digest;
  if (dry_run) return isChanged ? fails("PlanChanged", dryRun(plan)) : stays(answering(world, dryRun(plan)));
  if (earlier !== undefined && earlier.supersededBy === undefined) {
    if (earlier.status === "success") {
      if (standsAtTargets(world, earlier.plan)) return stays(repeated(world, earlier, request));
    } else {
      const isStuck = planRest(world, earlier, false).blockers.some(({ kind }) => !passing.has(kind));
      if (!isStuck) return takenUp(world, earlier, planRest(world, earlier, skip_blocked), request, around);
    }
  }
  if (isChanged) return fails("PlanChanged", dryRun(plan));
  if (plan.blockers.length > 0) return stays(refusing(world, plan));
  return begun(world, plan, request, around);
}

/** What is in the way and passes by itself. */
const passing = new Set(["group_not_empty", "pending_transaction"]);

const touched = ({ groups }: Plan) => [...groups].filter(([, planned]) => isTouched(planned)).map(([group]) => group);

function refusing(world: World, plan: Plan): Prediction<World> {
  const onlyMembers = plan.blockers.every(({ kind }) => kind === "group_not_empty");
  return failing(world, onlyMembers ? "GroupNotEmpty" : "RollbackBlocked", dryRun(plan));
}

function answerOf(result: Fields, status: Status, verify: boolean): Expected {
  const answer = verify ? result : { ...result, verification: undefined };
  return status === "success" ? { result: answer } : failing(undefined, "RollbackIncomplete", answer).expected;
}

function repeated(world: World, earlier: Journalled, { verify = true }: RollbackRequest): Prediction<World> {
  const { id, safetyId, result, status } = earlier;
  const again = { rollback_id: id, safety_snapshot_id: safetyId, ...result, repeated: true };
  return { expected: answerOf(again, status, verify), after: () => world };
}

/** A rollback that no call has begun before: safety snapshot, journal, commits. */
function begun(world: World, plan: Plan, request: RollbackRequest, around: Circumstances): RollbackPrediction {
  const id = request.rollback_id ?? new Unseen("rollback", `rollback ${world.rollbacks.length + 1}`);
  const moves = [...plan.groups.values()].some(({ steps }) => [...steps.values()].some(isPending));
  const safetyId = moves ? nextSnapshot(world) : null;
  const superseded = world.rollbacks.filter((one) => {
    const isOpen = one.status !== "success" && one.supersededBy === undefined;
    return isOpen && touched(plan).some((group) => one.plan.groups.has(group));
  });
  const supersededWarnings = superseded.map(
    () => /which had not reached all its targets, is superseded by this rollback/,
  );
  const done = carriedOut(world, { ...plan, warnings: [...plan.warnings, ...supersededWarnings] }, around);
  const entry: Journalled<Unseen | string> = { id, safetyId, asked: request, plan, attempts: 1, ...done.end };
  return {
    starts: "afresh",
    ...answered(entry, request),
    after(seen) {
      const known = identified(entry, seen);
      const saved =
        known.safetyId === null ? done.world : withSnapshot(done.world, safetyOf(world, known.safetyId, known));
      const before = world.rollbacks.map((one): Journalled => {
        if (!superseded.includes(one)) return one;
        return { ...one, supersededBy: known.id, status: one.status === "running" ? "superseded" : one.status };
      });
      return { ...saved, rollbacks: [...before, known] };
    },
  };
}

const identified = (entry: Journalled<Unseen | string>, seen: (unseen: Unseen | string) => string): Journalled => {
  const id = seen(entry.id);
  return { ...entry, id, safetyId: entry.safetyId && seen(entry.safetyId) };
};

function safetyOf(world: World, id: string, { id: rollbackId, plan, asked: { description } }: Journalled): Saved {
  const names = [...only(plan.groups, (_, planned) => isTouched(planned)).keys()];
  return {
    id,
    description: `Before ${rollbackId} to ${plan.snapshotId}${description ? `: ${description}` : ""}`,
    safety: true,
    selection: { groups: names.map((name) => ({ name })), exclude: [] },
    warnings: [],
    commits: new Map(names.map((name) => [name, world.groups.get(name)?.commits ?? none])),
    ...plan.seen,
  };
}

/** A rollback that did not reach all its targets, resumed. */
function takenUp(
  world: World,
  earlier: Journalled,
  rest: Plan,
  request: RollbackRequest,
  around: Circumstances,
): RollbackPrediction {
  if (rest.blockers.length > 0) return { ...refusing(world, rest), starts: false };
  const done = carriedOut(world, rest, around);
  const { result: _, ...open } = earlier;
  const entry: Journalled = { ...open, attempts: earlier.attempts + 1, ...done.end };
  const ended = entry.result === undefined ? entry : { ...entry, result: { ...entry.result, resumed: true } };
  return {
    starts: "again",
    ...answered(ended, request),
    after: (seen) => ({
      ...done.world,
      rollbacks: world.rollbacks.map((one) => (one === earlier ? identified(ended, seen) : one)),
    }),
  };
}

/** The answer of a rollback that ended; of one that was killed, what `rollbacks` shows of it. */
function answered(entry: Journalled<Unseen | string>, { verify = true }: RollbackRequest): { expected: Expected } {
  const { id, safetyId, status, result } = entry;
  if (result === undefined) return { expected: { result: whole(entry) } };
  return { expected: answerOf({ rollback_id: id, safety_snapshot_id: safetyId, ...result }, status, verify) };
}

const isPending = ({ action, done }: Step) => action !== "unchanged" && action !== "skip" && done === undefined;

/** The world in which a plan's commits meet what happens meanwhile, and what the broker refuses of them. */
function written(world: World, plan: Plan, { meanwhile = [], joined, killed }: Circumstances) {
  const refused = new Set<string>();
  if (killed === "early") return { now: world, refused };
  let now = meanwhile.reduce((before, { group, key, commit }) => committed(before, group, key, commit), world);
  if (joined !== undefined) now = held(now, joined, true);
  for (const [group, { steps }] of plan.groups) {
    const pending = [...steps].filter(([, step]) => isPending(step));
    const [commits, deletes] = [
      pending.filter(([, { to }]) => to !== null),
      pending.filter(([, { to }]) => to === null),
    ];
    if (group === joined && commits.length > 0) refused.add(group);
    else for (const [key, { to }] of commits) now = committed(now, group, key, to);
    // A commit is deleted only where it is still the one that was found, and the group has no members.
    const asFound = deletes.every(([key, { from }]) => same(standsAt(now, group, key), from));
    if (group !== joined && asFound) for (const [key] of deletes) now = committed(now, group, key, null);
  }
  return { now, refused };
}

/** What becomes of a plan. */
function carriedOut(
  world: World,
  plan: Plan,
  around: Circumstances,
): { world: World; end: Pick<Journalled, "status" | "result"> } {
  const { now, refused } = written(world, plan, around);
  if (around.killed !== undefined) return { world: now, end: { status: "running" } };
  const outcomes = new Map<string, number>();
  const statuses = new Map<string, number>();
  const add = (to: Map<string, number>, what: string) => to.set(what, (to.get(what) ?? 0) + 1);
  const astray: unknown[] = [];
  let checked = 0;
  const groups = perKey(plan.groups, (planned, group) => {
    let [elsewhere, reached] = [0, 0];
    const partitions = perKey(planned.steps, (step, key) => {
      const { from, to, asked } = step;
      const stands = standsAt(now, group, key);
      const outcome = outcomeOf(step, same(stands, to), refused.has(group));
      const isThere = same(stands, to) || outcome === "skipped";
      add(outcomes, outcome);
      if (!isThere) elsewhere++;
      if (outcome === "restored" || outcome === "deleted") reached++;
      if (outcome !== "skipped") {
        checked++;
        astray.push(...mismatches(group, key, to, stands));
      }
      const places = { from: documentOf(from), to: documentOf(to), asked: asked && documentOf(asked) };
      return { outcome, ...places, actual: isThere ? undefined : documentOf(stands) };
    });
    const ended = elsewhere === 0 ? "success" : reached > 0 ? "partial_success" : "failed";
    const status = planned.leftOut || (planned.steps.size > 0 && !isTouched(planned)) ? "skipped" : ended;
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
    verification: { verified: astray.length === 0, checked, mismatches: new Bag(astray) },
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

/** A rollback as `rollbacks` shows it: its row in the list, and what there is beside it when it is shown alone. */
export function record(entry: Journalled<Unseen | string>) {
  const { id, asked, plan, safetyId, status, supersededBy, attempts, result } = entry;
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
  return { row, plan: planDocument(plan), plan_digest: digestOf(plan), result: recorded };
}

function whole(entry: Journalled<Unseen | string>) {
  const { row, ...more } = record(entry);
  return { ...row, ...more };
}
