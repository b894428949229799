import {
  type CaptureError,
  type Commits,
  type GroupCommits,
  type LiveState,
  leastPartitions,
  type ObservedGroup,
  type Selection,
} from "../../core/model.ts";
import { compileSelection, compileSelectors, selectNames } from "../../core/selectors.ts";
import { count, nameSome } from "../../core/text.ts";
import type { Settled } from "../calls/problems.ts";
import type { Cluster } from "../connection/cluster.ts";
import type { ListedGroup } from "../wire/groups.ts";
import type { FetchGroup } from "../wire/offsets.ts";
import { describeGroups, type GroupDescription, type GroupDescriptions, memberWarnings } from "./describe-groups.ts";
import { listGroups } from "./group-list.ts";
import { observeOtherTopics } from "./other-topics.ts";
import { byTopics, type CommitsRead, fetchCommits, pendingPatience } from "./read-commits.ts";
import { fetchStartOffsets } from "./share-groups.ts";
import { observeTopics } from "./topics.ts";

/** What a capture may lack, and what it knows of earlier ones. */
interface CaptureOptions {
  /** Leave out groups that cannot be listed, instead of failing: they are `unlisted`. */
  readonly allowUnlisted?: boolean;
  /**
   * Groups selected before, with the commits that they had; the coordinator is asked for each commit that is absent now,
   * as in `observe`.
   */
  readonly known?: Wanted;
  /** Returns the topics in the last snapshot of this selection; its errors are thrown. */
  readonly formerTopics?: () => Promise<readonly string[]>;
}

/** Groups by name, with the partitions that are wanted beside those that have commits. */
type Wanted = ReadonlyMap<string, ReadonlyMap<string, unknown>>;

/**
 * Captures the selected groups. A literal name needs only its own coordinator, and is read even if it is not listed: a
 * missing right is then an error, and a group that does not exist is `missing`. Only patterns need the list of all
 * groups. A group that matched a pattern and was deleted meanwhile is a warning. Of share groups the start offsets are
 * captured; if the brokers do not support that, a literal name is an error, and a pattern skips them with a warning.
 * What can be partial: a group's failure is in `errors` and fails no other group; logs and members may be null, with a
 * warning; partitions with a pending transaction have their last commit, see `ObservedGroup`. Topics are observed that
 * groups have commits on, or members read.
 *
 * Kafka silently omits commits on topics that the principal may not describe. Such a topic is null in the observed
 * topics, with a warning, if a member of a group or `formerTopics` names it.
 *
 * @throws KafkaUnavailable, KafkaAuthorization, DeadlineExceeded if not all groups of the cluster can be listed
 */
export async function capture(
  cluster: Cluster,
  selection: Selection,
  { allowUnlisted = false, known = new Map(), formerTopics = async () => [] }: CaptureOptions = {},
): Promise<LiveState> {
  const { literals, patterns } = compileSelectors(selection.groups);
  const list = patterns.length === 0 ? undefined : await listGroups(cluster, allowUnlisted);
  const isSelected = compileSelection(selection);
  const matched = selectNames(selection.groups, list?.groups.keys() ?? []);
  const wanted = [...new Set([...matched.names, ...literals, ...known.keys()])].filter(isSelected);
  const warnings: string[] = [];
  if (matched.idlePatterns.length > 0) warnings.push(`No group matches ${nameSome(matched.idlePatterns)}.`);
  const groups = new Map(wanted.map((group) => [group, known.get(group) ?? noPartitions]));
  // What is not in a list of all groups does not exist. Without such a list, the coordinators say what exists.
  const inList: Existing = {
    listed: list?.groups ?? new Map(),
    isAbsent: (group) => !list?.groups.has(group),
    problems: new Map(),
  };
  const isWhole = list !== undefined && list.unlisted === undefined;
  const named = isWhole ? inList : await lookUp(cluster, wanted.filter(inList.isAbsent));
  const existing = { ...named, listed: new Map([...inList.listed, ...named.listed]) };
  const { topicsOfMembers, ...state } = await read(cluster, existing, groups);
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
    ...(list?.unlisted && { unlisted: list.unlisted }),
    warnings: [...warnings, ...(list?.warnings ?? []), ...state.warnings, ...others.warnings],
    observed: { ...state.observed, topics: new Map([...state.observed.topics, ...others.topics]) },
  };
}

const noPartitions: ReadonlyMap<string, unknown> = new Map();

/**
 * Observes groups by name, with the logs of the given partitions. Only their own coordinators are needed. If such a
 * partition has no commit, the coordinator was asked for it by name: only then does Kafka report topics that the
 * principal may not describe. States and members are the newest of what is observed: the groups are described again at
 * the end.
 *
 * Partial results: as `capture`. Throws internal errors only.
 */
export async function observe(cluster: Cluster, groups: Wanted): Promise<LiveState> {
  const { topicsOfMembers: _, ...state } = await read(cluster, await lookUp(cluster, groups.keys()), groups, true);
  return state;
}

/** Which groups exist, as far as is known. */
interface Existing {
  readonly listed: ReadonlyMap<string, ListedGroup>;
  isAbsent(group: string): boolean;
  /** Those that could not be described, as far as they were not listed. */
  readonly problems: GroupDescriptions["problems"];
}

/** Asks the coordinators of groups whether these exist. */
async function lookUp(cluster: Cluster, names: Iterable<string>): Promise<Existing> {
  const unlisted = new Map([...names].map((group) => [group, undefined]));
  const { groups, dead, problems } = await describeGroups(cluster, unlisted);
  return { listed: groups, isAbsent: (group) => dead.has(group), problems };
}

/**
 * Reads commits first, then topics, states and members.
 *
 * @param newest describe all groups at the end, not only those that may have members
 */
async function read(
  cluster: Cluster,
  { listed, isAbsent, problems }: Existing,
  wanted: Wanted,
  newest = false,
): Promise<LiveState & { readonly topicsOfMembers: ReadonlyMap<string, readonly string[]> }> {
  const typeOf = (group: string) => listed.get(group)?.type ?? problems.get(group)?.type ?? null;
  const { reads, errors } = await readGroups(cluster, typeOf, wanted);
  for (const [group, { type, error, message }] of problems) {
    // Nothing shows that it has no commits: it may even be a share group.
    if (type !== null || reads.get(group)?.commits.size !== 0) continue;
    reads.delete(group);
    errors.push({ group, error, message });
  }
  const commits = new Map([...reads].map(([group, { commits }]) => [group, commits]));
  const describe = () => {
    const toDescribe = new Map<string, ListedGroup | undefined>();
    for (const [group, { size }] of commits) {
      const found = listed.get(group);
      const isSettled = size === 0 ? isAbsent(group) : found?.state === "Empty";
      if (newest || !isSettled) toDescribe.set(group, found);
    }
    return describeGroups(cluster, toDescribe);
  };
  const observing = observeTopics(cluster, leastPartitions([...commits.values(), ...wanted.values()]));
  const [topics, described] = await Promise.all([observing, newest ? observing.then(describe) : describe()]);
  const dead: string[] = [];
  const existing = new Map<string, GroupCommits>();
  const missing = new Set<string>();
  const observed = new Map<string, ObservedGroup>();
  const topicsOfMembers = new Map<string, readonly string[]>();
  for (const [group, { commits, asOf, pending, negative }] of reads) {
    const found = listed.get(group);
    const isDead = described.dead.has(group);
    const description = described.groups.get(group) ?? (isDead ? undefined : settled(found));
    const isUnknown = description === undefined && described.problems.has(group);
    if (commits.size + pending.size === 0 && description === undefined && !isUnknown) {
      missing.add(group);
      continue;
    }
    existing.set(group, commits);
    if (isDead) dead.push(group);
    if (description !== undefined) topicsOfMembers.set(group, description.topics);
    const last = description ?? found;
    observed.set(group, {
      type: last?.type ?? described.problems.get(group)?.type ?? typeOf(group),
      state: isDead ? "Dead" : (last?.state ?? null),
      members: description?.members ?? null,
      protocolType: last?.protocolType ?? null,
      protocol: description?.protocol || null,
      asOf,
      ...(pending.size > 0 && { pending: [...pending] }),
      ...(negative.size > 0 && { negative }),
    });
  }
  const warnings = [...topics.warnings, ...memberWarnings(described.problems)];
  if (dead.length > 0) {
    const have =
      dead.length === 1
        ? "has commits, but its coordinator describes it"
        : "have commits, but their coordinators describe them";
    warnings.push(
      `${count(dead.length, "group")} ${have} as Dead, so the number of members is not known: ${nameSome(dead)}.`,
    );
  }
  return {
    cluster: cluster.identity,
    commits: existing,
    errors,
    missing,
    warnings,
    observed: { groups: observed, topics: topics.topics },
    topicsOfMembers,
  };
}

/** The description of a group that is listed as empty, or not at all: it need not be described. */
const settled = (listed: ListedGroup | undefined): GroupDescription | undefined =>
  listed?.state === "Empty" ? { ...listed, members: 0, protocol: "", topics: [] } : undefined;

/** All commits of the groups; then, by name, those of wanted partitions that had none. */
async function readGroups(
  cluster: Cluster,
  typeOf: (group: string) => string | null,
  wanted: Wanted,
): Promise<{ reads: Map<string, CommitsRead>; errors: CaptureError[] }> {
  const reads = new Map<string, CommitsRead>();
  const errors: CaptureError[] = [];
  const patience = pendingPatience();
  const isShare = (group: string) => typeOf(group) === "share";
  const asked = [...wanted.keys()].map((group) => ({ group, topics: null }));
  const byName: FetchGroup[] = [];
  for (const [{ group }, result] of await fetchOffsets(cluster, asked, isShare, patience)) {
    if ("failed" in result) {
      errors.push({ group, ...result.failed });
      continue;
    }
    const { done } = result;
    reads.set(group, done);
    const absent = [...(wanted.get(group)?.keys() ?? [])].filter(
      (key) => !done.commits.has(key) && !done.negative.has(key),
    );
    if (absent.length > 0) byName.push({ group, topics: byTopics(absent) });
  }
  for (const [{ group }, result] of await fetchOffsets(cluster, byName, isShare, patience)) {
    const first = reads.get(group);
    if (first === undefined) continue;
    if ("failed" in result) {
      reads.delete(group);
      errors.push({ group, ...result.failed });
    } else {
      // A commit made between the two reads counts as a commit.
      reads.set(group, {
        asOf: first.asOf,
        commits: new Map([...first.commits, ...result.done.commits]),
        pending: first.pending.union(result.done.pending),
        negative: new Map([...first.negative, ...result.done.negative]),
      });
    }
  }
  return { reads, errors };
}

/** The commits of groups; for share groups, their start offsets. */
async function fetchOffsets(
  cluster: Cluster,
  asked: readonly FetchGroup[],
  isShare: (group: string) => boolean,
  patience: () => number,
): Promise<(readonly [FetchGroup, Settled<CommitsRead>])[]> {
  const { shares = [], others = [] } = Object.groupBy(asked, ({ group }) => (isShare(group) ? "shares" : "others"));
  const read = await Promise.all([fetchCommits(cluster, others, patience), fetchStartOffsets(cluster, shares)]);
  return read.flatMap((settled) => [...settled]);
}

/**
 * Reads the commits of partitions by name, as after a rollback. Every requested group is in `commits` or in `errors`. A
 * partition that is absent has no commit: the coordinator answered for it by name.
 *
 * @param shareGroups the groups whose start offsets to read
 * @returns also the partitions with a transactional commit that is pending, by group
 */
export async function readCommits(
  cluster: Cluster,
  partitions: ReadonlyMap<string, Iterable<string>>,
  shareGroups: ReadonlySet<string> = new Set(),
): Promise<{
  readonly commits: Commits;
  readonly errors: readonly CaptureError[];
  readonly pending: ReadonlyMap<string, readonly string[]>;
}> {
  const asked = [...partitions].map(([group, keys]) => ({ group, topics: byTopics(new Set(keys)) }));
  const commits = new Map<string, GroupCommits>();
  const errors: CaptureError[] = [];
  const pending = new Map<string, readonly string[]>();
  const isShare = (group: string) => shareGroups.has(group);
  for (const [{ group }, result] of await fetchOffsets(cluster, asked, isShare, pendingPatience())) {
    if ("failed" in result) {
      errors.push({ group, ...result.failed });
      continue;
    }
    commits.set(group, result.done.commits);
    if (result.done.pending.size > 0) pending.set(group, [...result.done.pending]);
  }
  return { commits, errors, pending };
}
