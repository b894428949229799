import type { Commit } from "../../../../functions/shared/core/model.ts";
import { type Blocker, isRange, memberBlockers, partitionBlockers } from "./blockers.ts";
import { type Extra, type GroupPlan, type Plan, type Step, skipping, stepTo, takesPart } from "./plan.ts";
import { groupsOf, mapped, policyOf, type RollbackRequest } from "./rollback-request.ts";
import { onTopics, type PartRequest, partOf, resolve } from "./selection.ts";
import { targetOf, uncommittedOn } from "./uncommitted.ts";
import {
  commitAt,
  documentOf,
  keysOf,
  liveOf,
  noCommits,
  only,
  perKey,
  placeOf,
  same,
  textOf,
  topicsIn,
  topicsOf,
  type World,
} from "./world.ts";

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

/** The plan of a new rollback, or the name of the error. */
export function newPlan(world: World, request: RollbackRequest): Plan | string {
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
    const live = onTopics(world.groups.get(group)?.commits ?? noCommits, topics);
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
    const live = takesPart(planned) ? onTopics(world.groups.get(group)?.commits ?? noCommits, topics) : noCommits;
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
export function resumedPlan(world: World, plan: Plan, skipBlocked: boolean): Plan {
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
