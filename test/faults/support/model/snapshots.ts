import { Bag, Unseen } from "../expected.ts";
import { answering, failing, type Prediction, pendingWarnings } from "./prediction.ts";
import { isPattern, nameOf, pickedBy, select } from "./selection.ts";
import {
  type Commits,
  createdAt,
  documentOf,
  keysOf,
  MEMBER_TOPIC,
  nextSnapshot,
  only,
  perKey,
  type Saved,
  type Selector,
  type Topic,
  topicId,
  topicsIn,
  topicsOf,
  type World,
  withSnapshot,
} from "./world.ts";

const memberTopic: Topic = { creation: 0, logs: [{ start: 0n, end: 0n }] };

export interface SnapshotRequest {
  readonly groups: readonly Selector[];
  readonly exclude?: readonly Selector[];
  readonly description?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly hold?: boolean;
}

/** What answers say of a snapshot's labels and hold. */
const marksOf = ({ labels, held }: Pick<Saved, "labels" | "held">) => ({
  ...(labels && { labels }),
  ...(held && { held }),
});

const countOf = (commits: ReadonlyMap<string, Commits>) => keysOf(commits.values()).length;

/** What is said of groups without commits: of all of them, or of those that were named. */
function withoutCommits(
  groups: ReadonlyMap<string, { readonly commits: Commits }>,
  wanted: readonly Selector[],
): RegExp[] {
  const empty = [...groups].flatMap(([name, { commits }]) => (commits.size === 0 ? [name] : []));
  if (empty.length > 0 && empty.length === groups.size) return [/a rollback to it restores none\.$/];
  const named = wanted.filter((selector) => !isPattern(selector)).map(nameOf);
  return empty.some((name) => named.includes(name)) ? [/^No commit: /] : [];
}

/** The prediction for `snapshot`. */
export function snapshot<W extends World>(world: W, request: SnapshotRequest): Prediction<W> {
  const { groups: wanted, exclude = [], description = "", labels, hold: held = false } = request;
  const marks = { ...(labels && { labels }), held };
  const { absent, idle } = select(wanted, world.groups.keys());
  if (absent.length > 0) return failing(world, "GroupNotFound");
  const groups = only(world.groups, (name) => pickedBy(wanted, name) && !pickedBy(exclude, name));
  const commits = perKey(groups, (group) => group.commits);
  const warnings = [
    ...(idle.length > 0 ? [/^No group matches /] : []),
    ...(groups.size === 0 ? [/^No group of the cluster is in the selection/] : []),
    ...withoutCommits(groups, wanted),
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
    ...marksOf(marks),
  };
  const hasMember = [...groups.values()].some((group) => group.hasMember);
  const topics = new Map([
    ...topicsIn(world, topicsOf(keysOf(commits.values()))),
    ...(hasMember ? [[MEMBER_TOPIC, memberTopic] as const] : []),
  ]);
  const saved = {
    description,
    safety: false,
    ...marks,
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
    schema_version: 5,
    status: "complete",
    errors: [],
    warnings: new Bag(saved.warnings),
    trigger: saved.safety ? "safety" : "invoke",
    ...marksOf(saved),
    ...(saved.held && { hold: { at: /Z$/, by: null, by_proven: false, reason: null } }),
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

/** A snapshot's row in `list`. */
export const rowOf = (saved: Saved) => ({
  snapshot_id: saved.id,
  created_at: createdAt(saved),
  description: saved.description,
  status: "complete",
  groups: saved.commits.size,
  offsets: countOf(saved.commits),
  trigger: saved.safety ? "safety" : "invoke",
  ...marksOf(saved),
});

/** The prediction for `delete` of a snapshot with which this many rollbacks can be undone. */
export function remove<W extends World>(world: W, id: string, undone: number): Prediction<W> {
  const snapshots = world.snapshots.filter((saved) => saved.id !== id);
  if (snapshots.length === world.snapshots.length) return failing(world, "SnapshotNotFound");
  if (world.snapshots.some((saved) => saved.id === id && saved.held)) return failing(world, "SnapshotHeld");
  const warnings = Array.from({ length: undone }, () => / was the safety snapshot of /);
  return { ...answering(world, { snapshot_id: id, deleted: true, warnings }), after: () => ({ ...world, snapshots }) };
}

/** The prediction for `hold`. */
export function hold<W extends World>(world: W, id: string, held: boolean): Prediction<W> {
  if (!world.snapshots.some((saved) => saved.id === id)) return failing(world, "SnapshotNotFound");
  const snapshots = world.snapshots.map((saved) => (saved.id === id ? { ...saved, held } : saved));
  return { ...answering(world, { snapshot_id: id, held }), after: () => ({ ...world, snapshots }) };
}
