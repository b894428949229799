import { emptyWarnings, unlistedWarnings } from "../shared/core/checks.ts";
import { ClusterMismatch, GroupNotFound } from "../shared/core/errors.ts";
import { lossesOnImport } from "../shared/core/formats/import.ts";
import type { Reading, SourceTopic } from "../shared/core/formats/reading.ts";
import { mapGroups } from "../shared/core/group-map.ts";
import {
  type ClusterIdentity,
  type ImportSource,
  type LiveState,
  type Observed,
  type ObservedGroup,
  type ObservedTopic,
  type Snapshot,
  type SnapshotContent,
  topicsOf as topicsWith,
} from "../shared/core/model.ts";
import { restrict, type SnapshotPart } from "../shared/core/restrict.ts";
import { planRollback } from "../shared/core/rollback/planning.ts";
import { selectNames } from "../shared/core/selectors.ts";
import { count, nameSome } from "../shared/core/text.ts";
import type { Request } from "./schema.ts";

/** What stands for the snapshot in messages until it has an id. */
const name = "the import";

/** The content as a snapshot that knows nothing of the cluster. */
const bare = (reading: Reading, unlisted = reading.unlisted()): Snapshot => ({
  snapshotId: "the content",
  createdAt: "",
  description: "",
  trigger: "imported",
  selection: { groups: [], exclude: [] },
  cluster: { name: "", clusterId: reading.about().clusterId },
  consumerGroups: reading.commits,
  errors: reading.errors,
  ...(unlisted && { unlisted }),
  warnings: [],
  observed: { groups: new Map(), topics: new Map() },
});

/**
 * The groups of the content that the request names, under their new names.
 *
 * @throws GroupNotFound where a name or all patterns pick nothing, and InvalidRequest as `mapGroups` does
 */
export function partOf(reading: Reading, { groups, group_map }: Request): SnapshotPart {
  const content = bare(reading);
  const known = [...reading.commits.keys(), ...reading.errors.map(({ group }) => group)];
  const { names, missingLiterals, idlePatterns } = selectNames(groups, known);
  if (missingLiterals.length > 0 || names.length === 0) {
    const missing = nameSome(missingLiterals.length > 0 ? missingLiterals : idlePatterns);
    throw new GroupNotFound(
      `the content has no group ${missing}. It has ${nameSome(known)}; names are case-sensitive.`,
      {
        next: "Name groups of the content, or leave groups out to import all of them.",
      },
    );
  }
  const part = restrict(content, { groups });
  return group_map === undefined ? part : mapGroups(part, group_map);
}

/**
 * Offsets of one cluster are other records on another: an import of them would pass every check of a rollback.
 *
 * @throws ClusterMismatch where the content says that it is of another cluster
 */
export function requireThisCluster(reading: Reading, cluster: ClusterIdentity): void {
  const { clusterId } = reading.about();
  if (clusterId === null || clusterId === cluster.clusterId) return;
  throw new ClusterMismatch(
    `the content is of cluster ${clusterId}, and this cluster is ${cluster.clusterId ?? "(unknown)"} (${cluster.name}). The ` +
      "same offset is another record there.",
    {
      next: "Import it with the deployment of its own cluster. A format without a cluster id, such as kafka-csv, is not checked.",
    },
  );
}

/** The group of the content whose commits a group of the part has. */
const sourceOf = ({ sources }: SnapshotPart, group: string) => sources.get(group) ?? group;

/**
 * The groups as a rollback has to compare them: as they are now, but with the types that the content knows, and which of its
 * commits were not final. So the offsets of a share group do not become the commits of another group, or the reverse.
 */
function groupsOf(reading: Reading, part: SnapshotPart, { observed }: LiveState): Observed["groups"] {
  const groups = [...part.commits.keys()].flatMap((group) => {
    const now = observed.groups.get(group);
    const then = reading.groups.get(sourceOf(part, group));
    if (now === undefined && (then?.type ?? null) === null) return [];
    const { pending: _, negative: __, ...rest } = now ?? notThere; // of the commits that are there now
    const { pending, negative } = then ?? {};
    const ofContent = { type: then?.type ?? rest.type, ...(pending && { pending }), ...(negative && { negative }) };
    return [[group, { ...rest, asOf: null, ...ofContent }] as const];
  });
  return new Map(groups);
}

const notThere: ObservedGroup = {
  type: null,
  state: null,
  members: null,
  protocolType: null,
  protocol: null,
  asOf: null,
};

/**
 * The topics as a rollback has to compare them: log ranges of now, but the ids and leader epochs that the content knows. So a
 * topic that was created since the content was written, again or for the first time, blocks a rollback.
 */
function topicsOf(reading: Reading, { observed }: LiveState): Observed["topics"] {
  const topics = [...observed.topics].flatMap(([topic, now]) => {
    const then = reading.topics.get(topic);
    if (then === "absent") return [];
    return [[topic, now === null || then === undefined ? now : asThen(now, then)] as const];
  });
  return new Map(topics);
}

function asThen(now: ObservedTopic, then: Exclude<SourceTopic, "absent">): ObservedTopic {
  const partitions = [...now.partitions].map(([partition, { logStartOffset, logEndOffset, leaderEpoch }]) => {
    const epoch = then.leaderEpochs.get(partition) ?? leaderEpoch;
    return [partition, { logStartOffset, logEndOffset, leaderEpoch: epoch }] as const;
  });
  return { topicId: then.topicId ?? now.topicId, partitions: new Map(partitions) };
}

/** What the targets of the content are valid for. */
export const originOf = (reading: Reading, live: LiveState) => ({
  name,
  clusterId: live.cluster.clusterId,
  topics: topicsOf(reading, live),
});

/** The snapshot of an import before it has an id. */
export interface ImportedContent extends SnapshotContent {
  readonly source: ImportSource;
}

/** What an import is made of. */
interface Import {
  readonly wanted: Request;
  readonly reading: Reading;
  readonly part: SnapshotPart;
  readonly live: LiveState;
  readonly sha256: string;
}

/**
 * The snapshot of an import. Its commits are those of the content. What the content does not know of its groups and topics is as it
 * is now. The warnings say what the format did not carry, and what would block a rollback to it now.
 */
export function importedSnapshot({ wanted, reading, part, live, sha256 }: Import): ImportedContent {
  const { format, description } = wanted;
  const unlisted = unlistedWarnings(bare(reading), wanted.groups).length > 0 ? reading.unlisted() : undefined;
  const names = [...part.commits.keys(), ...part.errors.map(({ group }) => group)];
  const source: ImportSource = {
    name: wanted.source ?? wanted.snapshot_url ?? null,
    format,
    sha256,
    ...reading.about(),
  };
  const content: ImportedContent = {
    description,
    trigger: "imported",
    source,
    ...(wanted.labels && { labels: wanted.labels }),
    ...(wanted.hold && { held: true }),
    selection: { groups: [...new Set(names)].map((group) => ({ name: group })), exclude: [] },
    cluster: live.cluster,
    consumerGroups: part.commits,
    errors: part.errors,
    ...(unlisted && { unlisted }),
    warnings: [],
    observed: { groups: groupsOf(reading, part, live), topics: topicsOf(reading, live) },
  };
  const taken = new Set([...part.commits.keys()].map((group) => sourceOf(part, group)));
  const leftOut = [...reading.commits.keys()].filter((group) => !taken.has(group));
  return {
    ...content,
    warnings: [
      ...reading.warnings,
      ...part.warnings,
      ...lossesOnImport(format),
      ...(source.clusterId === null
        ? [
            "The content does not say which cluster it is of. Make sure that it is of this one: offsets of another are other records.",
          ]
        : []),
      ...recreationWarnings(reading, part, live),
      ...(leftOut.length === 0 ? [] : [`Not named in groups, and left out: ${nameSome(leftOut)}.`]),
      ...(live.missing.size === 0
        ? []
        : [`This cluster has no group ${nameSome(live.missing)}: a rollback to this snapshot creates it.`]),
      ...emptyWarnings(content.consumerGroups, content.selection),
      ...live.warnings,
      ...blockerWarnings(content, part, live),
    ],
  };
}

/** On which topics a check of a rollback finds nothing, because the content does not say which topic of that name it knew. */
function recreationWarnings(reading: Reading, { commits }: SnapshotPart, { observed }: LiveState): string[] {
  const unknown = [...topicsWith(commits)].filter((topic) => {
    const then = reading.topics.get(topic);
    return observed.topics.has(topic) && then !== "absent" && (then?.topicId ?? null) === null;
  });
  if (unknown.length === 0) return [];
  return [
    `The content has no id of ${nameSome(unknown)}: make sure that no such topic was deleted and created again since the ` +
      "content was written, for a rollback cannot detect it.",
  ];
}

/** What would block a rollback to the snapshot as the cluster is now. */
function blockerWarnings(content: SnapshotContent, part: SnapshotPart, live: LiveState): string[] {
  const snapshot = { ...content, snapshotId: name, createdAt: "" };
  const policy = { uncommitted: "keep", outOfRange: "refuse", skipBlocked: false } as const;
  const { blockers } = planRollback(snapshot, { ...part, sources: new Map() }, live, policy);
  const [first] = blockers;
  if (first === undefined) return [];
  const kinds = [...Map.groupBy(blockers, ({ kind }) => kind)].map(([kind, { length }]) => `${kind} ${length}`);
  return [
    `A rollback to this snapshot would now be blocked by ${count(blockers.length, "blocker")} (${kinds.join(", ")}). The ` +
      `first: ${first.message}`,
  ];
}
