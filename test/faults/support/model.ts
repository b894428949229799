import type { Commit } from "../../../functions/shared/core/model.ts";
import { Bag, Unseen } from "./expected.ts";

/** The topic that members subscribe to: created once, with one partition that stays empty. */
export const MEMBER_TOPIC = "held";
const memberTopic: Topic = { creation: 0, logs: [{ start: 0n, end: 0n }] };

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

/** The predicted answer of a function. */
export type Expected =
  | { readonly result: unknown }
  | { readonly error: { readonly name: string; readonly message: RegExp; readonly details?: unknown } };

/** The predicted answer to a request, and the world after it, which may depend on values that the answer shows. */
export interface Prediction<W> {
  readonly expected: Expected;
  after(seen: (unseen: Unseen | string) => string): W;
}

export interface SnapshotRequest {
  readonly groups: readonly Selector[];
  readonly exclude?: readonly Selector[];
  readonly description?: string;
}

/** The part of a snapshot that a request is about. */
export interface PartRequest {
  readonly groups?: readonly Selector[];
  readonly topics?: readonly Selector[];
}

export interface VerifyRequest extends PartRequest {
  readonly snapshot_id: string | { readonly at: string };
  readonly fail_on_mismatch?: boolean;
}

export interface DiffRequest extends PartRequest {
  readonly from: string | { readonly at: string };
  readonly to?: string;
}

const none: Commits = new Map();

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
  const before = world.groups.get(group) ?? { commits: none, hasMember: false, hadMember: false };
  const commits = new Map(before.commits);
  if (commit === null) commits.delete(key);
  else commits.set(key, commit);
  return { ...world, groups: new Map([...world.groups, [group, { ...before, commits }]]) };
}

/** The world after a consumer has joined a group, or left it. */
export function withMember<W extends World>(world: W, group: string, hasMember: boolean): W {
  const { commits, hadMember } = world.groups.get(group) ?? { commits: none, hadMember: false };
  return {
    ...world,
    groups: new Map([...world.groups, [group, { commits, hasMember, hadMember: hadMember || hasMember }]]),
  };
}

/** The world after a transaction has a commit pending, or has ended (undefined). */
export function withPending<W extends World>(world: W, name: string, key: string | undefined): W {
  const { pending: _, ...group } = world.groups.get(name) ?? { commits: none, hasMember: false, hadMember: false };
  const after = key === undefined ? group : { ...group, pending: key };
  return { ...world, groups: new Map([...world.groups, [name, after]]) };
}

/** A warning for each of these groups that has a pending commit. */
const pendingWarnings = (groups: ReadonlyMap<string, Group>) =>
  [...groups.values()].flatMap(({ pending }) =>
    pending === undefined ? [] : [/ has a transaction with a commit pending on /],
  );

const isPattern = (selector: Selector): selector is string => typeof selector === "string" && /[*?]/.test(selector);
const nameOf = (selector: Selector) => (typeof selector === "string" ? selector : selector.name);

function picks(selector: Selector, name: string): boolean {
  if (!isPattern(selector)) return nameOf(selector) === name;
  const part = (c: string) => (c === "*" ? "[^]*" : c === "?" ? "[^]" : c.replace(/[\\^$.|()[\]{}+/]/, "\\$&"));
  return new RegExp(`^${[...selector].map(part).join("")}$`, "u").test(name);
}

/** Whether one of the selectors picks a name. */
export const pickedBy = (selectors: readonly Selector[], name: string) =>
  selectors.some((selector) => picks(selector, name));

/** The names that selectors pick, literal names that do not exist, and patterns without matches. */
export function select(selectors: readonly Selector[] | undefined, names: Iterable<string>) {
  const all = [...new Set(names)];
  if (selectors === undefined) return { picked: all, absent: [], idle: [] };
  const without = selectors.filter((selector) => !all.some((name) => picks(selector, name)));
  return {
    picked: all.filter((name) => pickedBy(selectors, name)),
    absent: without.filter((selector) => !isPattern(selector)),
    idle: without.filter(isPattern),
  };
}

/** The topics of these keys. */
export const topicsOf = (keys: Iterable<string>) => new Set([...keys].map((key) => placeOf(key).topic));

/** The partition keys of these groups. */
export const keysOf = (groups: Iterable<ReadonlyMap<string, unknown>>) =>
  [...groups].flatMap((group) => [...group.keys()]);

/** The keys and topics that a selector of topics may pick: `orders:0,3` picks keys. */
const keysNamed = (selector: Selector): readonly Selector[] => {
  const [topic = "", partitions] = nameOf(selector).split(":");
  return partitions === undefined ? [selector] : partitions.split(",").map((partition) => `${topic}:${partition}`);
};

/** Both ways to name a partition: by its topic, and with its number. */
const waysToName = (key: string) => {
  const { topic, partition } = placeOf(key);
  return [topic, `${topic}:${partition}`];
};

/** The commits on the selected topics or partitions. */
export const onTopics = (commits: Commits, topics: readonly Selector[] | undefined) =>
  topics === undefined
    ? commits
    : only(commits, (key) => waysToName(key).some((name) => pickedBy(topics.flatMap(keysNamed), name)));

/** What selectors of topics pick of these keys, with the warnings about patterns. */
function selectTopics(topics: readonly Selector[] | undefined, keys: readonly string[]) {
  const { picked, absent, idle } = select(topics?.flatMap(keysNamed), keys.flatMap(waysToName));
  const [idleKeys, idleTopics] = [
    idle.filter((name) => nameOf(name).includes(":")),
    idle.filter((name) => !nameOf(name).includes(":")),
  ];
  const warnings = [
    ...idleTopics.map(() => /matches no topic\.$/),
    ...(idleKeys.length > 0 ? [/^No partition matches /] : []),
  ];
  return { isValid: absent.length === 0 && (topics === undefined || picked.length > 0), warnings };
}

/** The prediction of a failure that changes nothing. */
export const failing = <W>(world: W, name: string, details?: unknown): Prediction<W> => ({
  expected: { error: { name, message: new RegExp(`^${name}: [^]+`), ...(details !== undefined && { details }) } },
  after: () => world,
});

/** The prediction of an answer that changes nothing. */
export const answering = <W>(world: W, result: unknown): Prediction<W> => ({
  expected: { result },
  after: () => world,
});

/** The topic id that Kafka gave a topic at one of its creations. */
export const topicId = (topic: string, creation: number) => new Unseen("topic", `${topic}, creation ${creation}`);

/** The existing topics with these names. */
export const topicsIn = (world: World, names: ReadonlySet<string>) => only(world.topics, (name) => names.has(name));

const countOf = (commits: ReadonlyMap<string, Commits>) => keysOf(commits.values()).length;

/** The id of the next snapshot. */
export const nextSnapshot = (world: World) => new Unseen("snapshot", `snapshot ${world.taken + 1}`);

/** The world with one more snapshot. */
export const withSnapshot = <W extends World>(world: W, saved: Saved): W => ({
  ...world,
  snapshots: [...world.snapshots, saved],
  taken: world.taken + 1,
});

/** The prediction for `snapshot`. */
export function snapshot<W extends World>(world: W, request: SnapshotRequest): Prediction<W> {
  const { groups: wanted, exclude = [], description = "" } = request;
  const { absent, idle } = select(wanted, world.groups.keys());
  if (absent.length > 0) return failing(world, "GroupNotFound");
  const groups = only(world.groups, (name) => pickedBy(wanted, name) && !pickedBy(exclude, name));
  const commits = perKey(groups, (group) => group.commits);
  const warnings = [
    ...(idle.length > 0 ? [/^No group matches /] : []),
    ...(groups.size === 0 ? [/^No group of the cluster is in the selection/] : []),
    ...pendingWarnings(groups),
  ];
  const id = nextSnapshot(world);
  const result = {
    snapshot_id: id,
    created_at: /Z$/,
    description,
    status: "complete",
    groups: groups.size,
    offsets: countOf(commits),
    errors: [],
    warnings: new Bag(warnings),
  };
  const hasMember = [...groups.values()].some((group) => group.hasMember);
  const topics = new Map([
    ...topicsIn(world, topicsOf(keysOf(commits.values()))),
    ...(hasMember ? [[MEMBER_TOPIC, memberTopic] as const] : []),
  ]);
  const saved = {
    description,
    safety: false,
    selection: { groups: wanted, exclude },
    warnings,
    commits,
    groups,
    topics,
  };
  return { expected: { result }, after: (seen) => withSnapshot(world, { ...saved, id: seen(id) }) };
}

/** The prediction for `show`. */
export function show<W extends World>(world: W, id: string): Prediction<W> {
  const saved = world.snapshots.find((snapshot) => snapshot.id === id);
  if (saved === undefined) return failing(world, "SnapshotNotFound");
  const { groups, exclude } = saved.selection;
  return answering(world, {
    snapshot_id: id,
    description: saved.description,
    created_at: createdAt(saved),
    consumer_groups: perKey(saved.commits, (commits) => ({ partitions: perKey(commits, documentOf) })),
    schema_version: 3,
    status: "complete",
    errors: [],
    warnings: new Bag(saved.warnings),
    trigger: saved.safety ? "safety" : "invoke",
    selection: { groups: saved.safety ? new Bag(groups) : groups, exclude },
    cluster: { name: "local", cluster_id: new Unseen("cluster", "the cluster") },
    observed: {
      groups: perKey(saved.groups, ({ hasMember, hadMember, pending }) => ({
        type: "classic",
        state: hasMember ? "Stable" : "Empty",
        members: hasMember ? 1 : 0,
        protocol_type: hadMember ? "consumer" : "",
        protocol: hasMember ? "RoundRobinAssigner" : null,
        as_of: /\.\d{3}Z$/,
        ...(pending !== undefined && { pending: [pending] }),
      })),
      topics: perKey(saved.topics, ({ creation, logs }, topic) => ({
        topic_id: topicId(topic, creation),
        partitions: Object.fromEntries(
          logs.map(({ start, end }, i) => [i, { log_start_offset: start, log_end_offset: end, leader_epoch: 0 }]),
        ),
      })),
    },
  });
}

/** The time of a snapshot in milliseconds. */
export const takenAt = (saved: Saved) => Date.parse(createdAt(saved));

const createdAt = ({ id }: Saved) => id.slice("snapshot-".length, "snapshot-".length + 20);

/** A snapshot's row in `list`. */
export const rowOf = (saved: Saved) => ({
  snapshot_id: saved.id,
  created_at: createdAt(saved),
  description: saved.description,
  status: "complete",
  groups: saved.commits.size,
  offsets: countOf(saved.commits),
  trigger: saved.safety ? "safety" : "invoke",
});

/** The prediction for `delete` of a snapshot with which this many rollbacks can be undone. */
export function remove<W extends World>(world: W, id: string, undone: number): Prediction<W> {
  const snapshots = world.snapshots.filter((saved) => saved.id !== id);
  if (snapshots.length === world.snapshots.length) return failing(world, "SnapshotNotFound");
  const warnings = Array.from({ length: undone }, () => / was the safety snapshot of /);
  return { ...answering(world, { snapshot_id: id, deleted: true, warnings }), after: () => ({ ...world, snapshots }) };
}

/** Names that a pattern of a history picks, with what a history adds to its name in place of each wildcard. */
const namesIn = (pattern: string): string[] =>
  [...pattern].reduce<string[]>(
    (names, c) => {
      const parts = c === "*" ? ["", ".", ".none", "x", "xx"] : c === "?" ? [".", "x"] : [c];
      return names.flatMap((name) => parts.map((part) => name + part));
    },
    [""],
  );

/** How far one selector covers another, judged by those names. */
function cover(selector: Selector, wanted: Selector): "all" | "some" | "none" {
  if (!isPattern(wanted)) return picks(selector, nameOf(wanted)) ? "all" : "none";
  if (!isPattern(selector)) return picks(wanted, nameOf(selector)) ? "some" : "none";
  if (namesIn(wanted).every((name) => picks(selector, name))) return "all";
  return [...namesIn(wanted), ...namesIn(selector)].some((name) => picks(selector, name) && picks(wanted, name))
    ? "some"
    : "none";
}

/**
 * The snapshot with an id; otherwise the newest one whose selection covers the groups and that is not a safety snapshot,
 * with a warning if it excluded some of them.
 */
export function resolve(
  world: World,
  reference: string | { readonly at: string },
  groups: readonly Selector[] | undefined,
): { readonly saved: Saved; readonly warnings: readonly RegExp[] } | undefined {
  const isId = typeof reference === "string" && reference !== "latest";
  const until = typeof reference === "string" ? Number.POSITIVE_INFINITY : Date.parse(reference.at);
  const wanted = isId ? [] : (groups ?? []);
  const covers = ({ selection }: Saved, one: Selector) =>
    selection.groups.some((selected) => cover(selected, one) === "all") &&
    !selection.exclude.some((excluded) => cover(excluded, one) === "all");
  const saved = world.snapshots.findLast((one) =>
    isId ? one.id === reference : !one.safety && takenAt(one) <= until && wanted.every((each) => covers(one, each)),
  );
  const isPart = wanted.some((one) => saved?.selection.exclude.some((excluded) => cover(excluded, one) === "some"));
  return saved && { saved, warnings: isPart ? [/ was taken with exclude /] : [] };
}

/**
 * The part of a snapshot that a request names, with warnings about patterns without matches; or the name of the error. Topics
 * may also name the partitions that only the live groups have, where the request is about them.
 */
export function partOf(saved: Saved, { groups, topics }: PartRequest, live: readonly Commits[] = []) {
  const chosen = select(groups, saved.commits.keys());
  if (chosen.absent.length > 0 || (groups !== undefined && chosen.picked.length === 0)) return "GroupNotFound";
  const whole = only(saved.commits, (group) => chosen.picked.includes(group));
  const on = selectTopics(topics, keysOf([...whole.values(), ...live]));
  if (!on.isValid) return "InvalidRequest";
  return {
    commits: perKey(whole, (commits) => onTopics(commits, topics)),
    warnings: [...chosen.idle.map(() => /matches no group of the snapshot\.$/), ...on.warnings],
  };
}

/** What groups have committed now. */
export const liveOf = (world: World, groups: Iterable<string>): Commits[] =>
  [...groups].map((group) => world.groups.get(group)?.commits ?? none);

/** The mismatches between an expected and an actual commit. */
export function mismatches(group: string, key: string, expected: Commit | null, actual: Commit | null) {
  const kinds =
    expected === null
      ? ["extra"]
      : actual === null
        ? ["missing"]
        : [
            ...(expected.offset === actual.offset ? [] : ["offset"]),
            ...(expected.metadata === actual.metadata ? [] : ["metadata"]),
            ...(expected.leaderEpoch === actual.leaderEpoch ? [] : ["leader_epoch"]),
          ];
  const places = { group, ...placeOf(key), expected: documentOf(expected), actual: documentOf(actual) };
  return same(expected, actual) ? [] : kinds.map((kind) => ({ kind, ...places }));
}

/** The prediction for `verify`. */
export function verify<W extends World>(world: W, request: VerifyRequest): Prediction<W> {
  const chosen = resolve(world, request.snapshot_id, request.groups);
  if (chosen === undefined) return failing(world, "SnapshotNotFound");
  const { saved } = chosen;
  const whole = partOf(saved, { ...(request.groups && { groups: request.groups }) });
  if (typeof whole === "string") return failing(world, whole);
  const part = partOf(saved, request, liveOf(world, whole.commits.keys()));
  if (typeof part === "string") return failing(world, part);
  let checked = 0;
  const found = [...part.commits].flatMap(([group, commits]) => {
    const live = onTopics(world.groups.get(group)?.commits ?? none, request.topics);
    const keys = [...new Set([...commits.keys(), ...live.keys()])];
    checked += keys.length;
    return keys.flatMap((key) => mismatches(group, key, commits.get(key) ?? null, live.get(key) ?? null));
  });
  const result = {
    verified: found.length === 0,
    snapshot_id: saved.id,
    checked,
    mismatches: new Bag(found),
    warnings: new Bag([
      ...chosen.warnings,
      ...part.warnings,
      ...pendingWarnings(only(world.groups, (group) => part.commits.has(group))),
    ]),
  };
  return request.fail_on_mismatch === true && found.length > 0
    ? failing(world, "VerificationMismatch", result)
    : answering(world, result);
}

/** The prediction for `diff`. */
export function diff<W extends World>(world: W, request: DiffRequest): Prediction<W> {
  const { groups: wanted, topics, to: reference = "live" } = request;
  const chosenFrom = resolve(world, request.from, wanted);
  const chosenTo = reference === "live" ? undefined : resolve(world, reference, wanted);
  if (chosenFrom === undefined || (reference !== "live" && chosenTo === undefined))
    return failing(world, "SnapshotNotFound");
  const [from, to] = [chosenFrom.saved, chosenTo?.saved];
  const selection = to?.selection ?? { ...from.selection, groups: wanted ?? from.selection.groups };
  const asked = (of: Saved["selection"], group: string) => pickedBy(of.groups, group) && !pickedBy(of.exclude, group);
  const live = only(world.groups, (group) => asked(selection, group));
  const now = to?.commits ?? perKey(live, (group) => group.commits);
  const chosen = select(wanted, [...from.commits.keys(), ...now.keys()]);
  const isBoth = (group: string) => asked(from.selection, group) && asked(selection, group);
  const oneSided = chosen.picked.filter((group) => !isBoth(group));
  const named = (wanted ?? []).filter((selector) => !isPattern(selector)).map(nameOf);
  if (chosen.absent.length > 0 || oneSided.some((group) => named.includes(group)))
    return failing(world, "GroupNotFound");
  const on = selectTopics(topics, keysOf([...from.commits.values(), ...now.values()]));
  if (!on.isValid) return failing(world, "InvalidRequest");

  const summary = { advanced: 0, rewound: 0, metadata: 0, added: 0, removed: 0, unchanged: 0 };
  const changed = new Map<string, { partitions: Map<string, unknown> }>();
  for (const group of chosen.picked.filter(isBoth)) {
    const [before, after] = [from.commits, now].map((side) => onTopics(side.get(group) ?? none, topics));
    for (const key of new Set(keysOf([before ?? none, after ?? none]))) {
      const [was, is] = [before?.get(key) ?? null, after?.get(key) ?? null];
      const delta = was && is ? is.offset - was.offset : undefined;
      const change = same(was, is)
        ? "unchanged"
        : delta === undefined
          ? was === null
            ? "added"
            : "removed"
          : delta === 0n
            ? "metadata"
            : delta > 0n
              ? "advanced"
              : "rewound";
      summary[change]++;
      if (change === "unchanged") continue;
      const partitions = changed.get(group)?.partitions ?? new Map<string, unknown>();
      partitions.set(key, { change, from: documentOf(was), to: documentOf(is), offset_delta: delta });
      changed.set(group, { partitions });
    }
  }
  const warnings = [
    ...chosenFrom.warnings,
    ...(chosenTo?.warnings ?? []),
    ...(oneSided.length > 0 ? [/^Only one side was asked for /] : []),
    ...on.warnings,
    ...(to === undefined ? pendingWarnings(live) : []),
  ];
  return answering(world, {
    from: from.id,
    to: to?.id ?? "live",
    summary,
    consumer_groups: changed,
    warnings: new Bag(warnings),
  });
}
