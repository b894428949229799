import {
  type CaptureError,
  type Commits,
  type GroupCommits,
  type LiveState,
  type ObservedGroup,
  type Selection,
  topicsOf,
} from "../../core/model.ts";
import { compileSelection, compileSelectors, selectNames } from "../../core/selectors.ts";
import { count, nameSome } from "../../core/text.ts";
import type { Settled } from "../calls/problems.ts";
import type { Cluster } from "../connection/cluster.ts";
import type { ListedGroup } from "../wire/groups.ts";
import type { FetchGroup } from "../wire/offsets.ts";
import { describeGroups, type GroupDescriptions } from "./describe-groups.ts";
import { type GroupList, listGroups } from "./group-list.ts";
import { observeOtherTopics } from "./other-topics.ts";
import { byTopics, type CommitsRead, fetchCommits } from "./read-commits.ts";
import { fetchStartOffsets } from "./share-groups.ts";
import { observeTopics } from "./topics.ts";

/**
 * Captures the selected groups. Literal names are read even if they are not listed: a missing right is then an error,
 * and a group that does not exist is `missing`. A group that matched a pattern and was deleted meanwhile is a warning.
 * Of share groups the start offsets are captured; if the brokers do not support that, a literal name is an error, and a
 * pattern skips them with a warning. What can be partial: a group's failure is in `errors` and fails no other group;
 * logs and members may be null, with a warning. Topics are observed that groups have commits on, or members read.
 *
 * Kafka silently omits commits on topics that the principal may not describe. Such a topic is null in the observed
 * topics, with a warning, if a member of a group or `formerTopics` names it.
 *
 * @param known groups selected before, with the commits that they had; the coordinator is asked for each commit that is
 *   absent now, as in `observe`
 * @param formerTopics returns the topics in the last snapshot of this selection; its errors are thrown
 *
 * @throws KafkaUnavailable, KafkaAuthorization, DeadlineExceeded if not all groups of the cluster can be listed
 */
export async function capture(
  cluster: Cluster,
  selection: Selection,
  known: ReadonlyMap<string, ReadonlyMap<string, unknown>> = new Map(),
  formerTopics: () => Promise<readonly string[]> = async () => [],
): Promise<LiveState> {
  const list = await listGroups(cluster);
  const isSelected = compileSelection(selection);
  const matched = selectNames(selection.groups, list.groups.keys());
  const { literals } = compileSelectors(selection.groups);
  const wanted = [...new Set([...matched.names, ...matched.missingLiterals, ...known.keys()])].filter(isSelected);
  const warnings = [];
  if (matched.idlePatterns.length > 0) warnings.push(`No group matches ${nameSome(matched.idlePatterns)}.`);
  const groups = new Map(wanted.map((group) => [group, known.get(group) ?? noPartitions]));
  const { topicsOfMembers, ...state } = await read(cluster, list, groups);
  const others = await observeOtherTopics(cluster, state.observed.topics, topicsOfMembers, await formerTopics());
  const isNamed = (group: string) => literals.has(group) || known.has(group);
  const skippedShares = state.errors.filter(({ group, error }) => error === "InvalidRequest" && !isNamed(group));
  if (skippedShares.length > 0) {
    const names = nameSome(skippedShares.map(({ group }) => group));
    warnings.push(`${count(skippedShares.length, "share group")} skipped: ${names} (${skippedShares[0]?.message}).`);
  }
  const vanished = [...state.missing].filter((group) => !isNamed(group));
  if (vanished.length > 0) {
    warnings.push(`${count(vanished.length, "group")} disappeared while the groups were read: ${nameSome(vanished)}.`);
  }
  return {
    ...state,
    errors: state.errors.filter((error) => !skippedShares.includes(error)),
    missing: new Set([...state.missing].filter(isNamed)),
    warnings: [...warnings, ...state.warnings, ...others.warnings],
    observed: { ...state.observed, topics: new Map([...state.observed.topics, ...others.topics]) },
  };
}

const noPartitions: ReadonlyMap<string, unknown> = new Map();

/**
 * Observes groups by name, with the logs of the given partitions. If such a partition has no commit, the coordinator
 * was asked for it by name: only then does Kafka report topics that the principal may not describe. States and members
 * are the newest of what is observed: the groups are listed again at the end.
 *
 * Partial results and errors: as `capture`.
 */
export async function observe(
  cluster: Cluster,
  groups: ReadonlyMap<string, ReadonlyMap<string, unknown>>,
): Promise<LiveState> {
  const list = await listGroups(cluster);
  const { topicsOfMembers: _, ...state } = await read(cluster, list, groups, () => listGroups(cluster));
  return state;
}

/** Reads commits first, then topics, states and members. */
async function read(
  cluster: Cluster,
  list: GroupList,
  wanted: ReadonlyMap<string, ReadonlyMap<string, unknown>>,
  listAtEnd?: () => Promise<GroupList>,
): Promise<LiveState & { readonly topicsOfMembers: GroupDescriptions["topics"] }> {
  const { commits, asOf, errors } = await readGroups(cluster, list, wanted);
  const describe = async () => {
    const listed = await (listAtEnd?.() ?? listAgainIfStale(cluster, list, commits));
    const toDescribe = new Map<string, ListedGroup>();
    for (const [group, partitions] of commits) {
      const found = listed.groups.get(group);
      if (found !== undefined && (found.state !== "Empty" || partitions.size === 0)) toDescribe.set(group, found);
    }
    return { listed, described: await describeGroups(cluster, toDescribe) };
  };
  const observing = observeTopics(cluster, [...topicsOf(commits), ...topicsOf(wanted)]);
  const describing = listAtEnd === undefined ? describe() : observing.then(describe);
  const [topics, { listed, described }] = await Promise.all([observing, describing]);
  // Of a listed group that its coordinator does not know, only a newer list without it proves the deletion.
  const relisted = described.dead.size > 0 ? await listGroups(cluster) : listed;
  const dead: string[] = [];
  const existing = new Map<string, GroupCommits>();
  const missing = new Set<string>();
  const observed = new Map<string, ObservedGroup>();
  for (const [group, partitions] of commits) {
    const isDead = described.dead.has(group);
    const found = (isDead ? relisted : listed).groups.get(group);
    if (partitions.size === 0 && found === undefined) {
      missing.add(group);
      continue;
    }
    existing.set(group, partitions);
    const description = found && described.groups.get(group);
    if (isDead && found !== undefined) dead.push(group);
    observed.set(group, {
      type: found?.type ?? null,
      state: description?.state ?? found?.state ?? null,
      members: description !== undefined ? description.members : found === undefined ? null : 0,
      protocolType: found?.protocolType ?? null,
      asOf: asOf.get(group) ?? null,
    });
  }
  const warnings = [...list.warnings, ...topics.warnings, ...described.warnings];
  if (dead.length > 0) {
    const groups = count(dead.length, "group");
    warnings.push(`The members of ${groups} are unknown, listed by Kafka but described as Dead: ${nameSome(dead)}.`);
  }
  return {
    cluster: cluster.identity,
    commits: existing,
    errors,
    missing,
    warnings,
    observed: { groups: observed, topics: topics.topics },
    topicsOfMembers: described.topics,
  };
}

/** All commits of the groups; then, by name, those of wanted partitions that had none. */
async function readGroups(
  cluster: Cluster,
  list: GroupList,
  wanted: ReadonlyMap<string, ReadonlyMap<string, unknown>>,
): Promise<{ commits: Map<string, GroupCommits>; asOf: Map<string, string>; errors: CaptureError[] }> {
  const commits = new Map<string, GroupCommits>();
  const asOf = new Map<string, string>();
  const errors: CaptureError[] = [];
  const isShare = (group: string) => list.groups.get(group)?.type === "share";
  const asked = [...wanted.keys()].map((group) => ({ group, topics: null }));
  const byName: FetchGroup[] = [];
  for (const [{ group }, result] of await fetchOffsets(cluster, asked, isShare)) {
    if ("failed" in result) {
      errors.push({ group, ...result.failed });
      continue;
    }
    const { done } = result;
    commits.set(group, done.commits);
    asOf.set(group, done.asOf);
    const absent = [...(wanted.get(group)?.keys() ?? [])].filter((key) => !done.commits.has(key));
    if (absent.length > 0) byName.push({ group, topics: byTopics(absent) });
  }
  for (const [{ group }, result] of await fetchOffsets(cluster, byName, isShare)) {
    if ("failed" in result) {
      commits.delete(group);
      errors.push({ group, ...result.failed });
    } else {
      // A commit made between the two reads counts as a commit.
      commits.set(group, new Map([...(commits.get(group) ?? []), ...result.done.commits]));
    }
  }
  return { commits, asOf, errors };
}

/** The commits of groups; for share groups, their start offsets. */
async function fetchOffsets(
  cluster: Cluster,
  asked: readonly FetchGroup[],
  isShare: (group: string) => boolean,
): Promise<(readonly [FetchGroup, Settled<CommitsRead>])[]> {
  const { shares = [], others = [] } = Object.groupBy(asked, ({ group }) => (isShare(group) ? "shares" : "others"));
  const read = await Promise.all([fetchCommits(cluster, others), fetchStartOffsets(cluster, shares)]);
  return read.flatMap((settled) => [...settled]);
}

/**
 * Reads the commits of partitions by name, as after a rollback. Every requested group is in `commits` or in `errors`. A
 * partition that is absent has no commit: the coordinator answered for it by name.
 *
 * @param shareGroups the groups whose start offsets to read
 */
export async function readCommits(
  cluster: Cluster,
  partitions: ReadonlyMap<string, Iterable<string>>,
  shareGroups: ReadonlySet<string> = new Set(),
): Promise<{ readonly commits: Commits; readonly errors: readonly CaptureError[] }> {
  const asked = [...partitions].map(([group, keys]) => ({ group, topics: byTopics(new Set(keys)) }));
  const commits = new Map<string, GroupCommits>();
  const errors: CaptureError[] = [];
  for (const [{ group }, result] of await fetchOffsets(cluster, asked, (group) => shareGroups.has(group))) {
    if ("done" in result) commits.set(group, result.done.commits);
    else errors.push({ group, ...result.failed });
  }
  return { commits, errors };
}

/** A new list if groups with commits are missing in the old one: they were created since. */
async function listAgainIfStale(
  cluster: Cluster,
  list: GroupList,
  commits: ReadonlyMap<string, GroupCommits>,
): Promise<GroupList> {
  const created = [...commits].some(([group, { size }]) => size > 0 && !list.groups.has(group));
  return created ? listGroups(cluster) : list;
}
