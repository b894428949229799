import type { Commit } from "../../../../functions/shared/core/model.ts";
import { Unseen } from "../expected.ts";

/** The topic that members subscribe to: created once, with one partition that stays empty. */
export const MEMBER_TOPIC = "held";

/** Selects names, as requests do. */
export type Selector = string | { readonly name: string };

/** A group's commits, by `topic-partition`. */
export type Commits = ReadonlyMap<string, Commit>;

/** A topic. `creation` changes when it is deleted and created again. */
export interface Topic {
  readonly creation: number;
  /** Log start and end offset of each partition. */
  readonly logs: readonly { readonly start: bigint; readonly end: bigint }[];
}

/** A group, whether it has a member now, and whether it ever had one. */
export interface Group {
  readonly commits: Commits;
  readonly hasMember: boolean;
  readonly hadMember: boolean;
  /** The partition with a pending transactional commit. It has another commit, and the group has no member. */
  readonly pending?: string;
}

/** A snapshot. */
export interface Saved {
  readonly id: string;
  readonly description: string;
  readonly safety: boolean;
  readonly labels?: Readonly<Record<string, string>>;
  readonly held?: boolean;
  readonly selection: { readonly groups: readonly Selector[]; readonly exclude: readonly Selector[] };
  readonly warnings: readonly RegExp[];
  readonly commits: ReadonlyMap<string, Commits>;
  /** The groups and topics as they were observed. */
  readonly groups: ReadonlyMap<string, Group>;
  readonly topics: ReadonlyMap<string, Topic>;
}

/** The state of Kafka, and everything that the functions have stored. It is immutable: each step makes a new world. */
export interface World<Rollback = unknown> {
  readonly topics: ReadonlyMap<string, Topic>;
  readonly groups: ReadonlyMap<string, Group>;
  /** Existing snapshots, oldest first. */
  readonly snapshots: readonly Saved[];
  /** Oldest first. */
  readonly rollbacks: readonly Rollback[];
  /** The number of snapshots ever taken. */
  readonly taken: number;
}

/** The commits of a group that has none. */
export const noCommits: Commits = new Map();

/** The parts of `orders-0`. */
export function placeOf(key: string): { topic: string; partition: number } {
  const dash = key.lastIndexOf("-");
  return { topic: key.slice(0, dash), partition: Number(key.slice(dash + 1)) };
}

/** A text that differs for different commits. */
export const textOf = (commit: Commit | null) =>
  commit === null ? "none" : `${commit.offset} ${commit.leaderEpoch ?? "-"} ${commit.metadata}`;

/** Whether two commits are the same. */
export const same = (a: Commit | null, b: Commit | null) => textOf(a) === textOf(b);

/** A commit in an answer. */
export const documentOf = (commit: Commit | null) =>
  commit && { offset: commit.offset, metadata: commit.metadata, leader_epoch: commit.leaderEpoch };

/** A map with the same keys. */
export const perKey = <V, W>(map: ReadonlyMap<string, V>, of: (value: V, key: string) => W): Map<string, W> =>
  new Map([...map].map(([key, value]) => [key, of(value, key)]));

/** Some entries of a map. */
export const only = <V>(map: ReadonlyMap<string, V>, keep: (key: string, value: V) => boolean): Map<string, V> =>
  new Map([...map].filter(([key, value]) => keep(key, value)));

/** The commit of a group on a partition; null is none. */
export const commitAt = (world: World, group: string, key: string) => world.groups.get(group)?.commits.get(key) ?? null;

/** The world after a commit, or after the deletion of one (null). A commit makes a group that does not exist. */
export function committed<W extends World>(world: W, group: string, key: string, commit: Commit | null): W {
  const before = world.groups.get(group) ?? { commits: noCommits, hasMember: false, hadMember: false };
  const commits = new Map(before.commits);
  if (commit === null) commits.delete(key);
  else commits.set(key, commit);
  return { ...world, groups: new Map([...world.groups, [group, { ...before, commits }]]) };
}

/** The world after a consumer has joined a group, or left it. */
export function withMember<W extends World>(world: W, group: string, hasMember: boolean): W {
  const { commits, hadMember } = world.groups.get(group) ?? { commits: noCommits, hadMember: false };
  return {
    ...world,
    groups: new Map([...world.groups, [group, { commits, hasMember, hadMember: hadMember || hasMember }]]),
  };
}

/** The world after a transaction has a commit pending, or has ended (undefined). */
export function withPending<W extends World>(world: W, name: string, key: string | undefined): W {
  const { pending: _, ...group } = world.groups.get(name) ?? { commits: noCommits, hasMember: false, hadMember: false };
  const after = key === undefined ? group : { ...group, pending: key };
  return { ...world, groups: new Map([...world.groups, [name, after]]) };
}

/** The topics of these keys. */
export const topicsOf = (keys: Iterable<string>) => new Set([...keys].map((key) => placeOf(key).topic));

/** The partition keys of these groups. */
export const keysOf = (groups: Iterable<ReadonlyMap<string, unknown>>) =>
  [...groups].flatMap((group) => [...group.keys()]);

/** What groups have committed now. */
export const liveOf = (world: World, groups: Iterable<string>): Commits[] =>
  [...groups].map((group) => world.groups.get(group)?.commits ?? noCommits);

/** The topic id that Kafka gave a topic at one of its creations. */
export const topicId = (topic: string, creation: number) => new Unseen("topic", `${topic}, creation ${creation}`);

/** The existing topics with these names. */
export const topicsIn = (world: World, names: ReadonlySet<string>) => only(world.topics, (name) => names.has(name));

/** The id of the next snapshot. */
export const nextSnapshot = (world: World) => new Unseen("snapshot", `snapshot ${world.taken + 1}`);

/** The world with one more snapshot. */
export const withSnapshot = <W extends World>(world: W, saved: Saved): W => ({
  ...world,
  snapshots: [...world.snapshots, saved],
  taken: world.taken + 1,
});

/** The time of a snapshot in milliseconds. */
export const takenAt = (saved: Saved) => Date.parse(createdAt(saved));

/** The time of a snapshot, as answers show it. */
export const createdAt = ({ id }: Saved) => id.slice("snapshot-".length, "snapshot-".length + 20);
