import { shownCaller } from "../shared/core/caller.ts";
import { GroupNotFound, InvalidRequest } from "../shared/core/errors.ts";
import type { Event } from "../shared/core/history/events.ts";
import { type GroupHistory, type History, historyOf, type PartitionHistory } from "../shared/core/history/history.ts";
import { explainBy } from "../shared/core/history/rollbacks.ts";
import type { Taken } from "../shared/core/history/sight.ts";
import { isObservation } from "../shared/core/history/sights.ts";
import {
  type Commits,
  countOffsets,
  type GroupCommits,
  type Snapshot,
  splitTopicPartition,
} from "../shared/core/model.ts";
import { compileSelectors, type Selectors, selectNames } from "../shared/core/selectors.ts";
import { commitOrNull, type WantedPart } from "../shared/core/snapshot.ts";
import { count, nameSome, quote } from "../shared/core/text.ts";
import { compileTopics, topicWarnings } from "../shared/core/topics.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import { operation, type Work } from "../shared/operation.ts";
import type { SnapshotEntry } from "../shared/storage/index-entry.ts";
import { createUnreadable } from "../shared/storage/unreadable.ts";
import { type AskedRollback, rollbacksDuring, unshownMoves } from "./rollbacks.ts";
import { type HistoryResult, request } from "./schema.ts";

/** How many commits are kept in memory: 40 groups of 12 partitions over 1,000 snapshots. */
const MAX_POINTS = 500_000;
/** What is kept of the time for everything after the snapshots were read, and the most that is kept. */
const [RESERVED_SHARE, MAX_RESERVED_MS] = [0.25, 5_000];

/** Shows where groups stood over the snapshots, and what happened to them between two. */
export const handler = operation({
  name: "history",
  request,
  async run({ groups, topics, since, until, limit }, work): Promise<Encoded<HistoryResult>> {
    const { storage, deadline } = work;
    const warnings: string[] = [];
    const page = await storage.snapshots.list({ limit, since, until }, deadline);
    if (page.nextToken !== undefined) warnings.push(olderLeftOut(`the newest ${limit} snapshots`, page.entries.at(-1)));
    warnings.push(...page.warnings);
    const { matches } = compileSelectors(groups);
    const { wanted, passedOver } = wantedPart(matches, topics);
    const parts = await readParts(ofOneCluster(page.entries, warnings), wanted, work, warnings);

    const { names, missingLiterals, idlePatterns } = selectNames(
      groups,
      parts.flatMap(({ consumerGroups }) => [...consumerGroups.keys()]),
    );
    if (missingLiterals.length > 0 || names.length === 0) {
      throw notFound([...missingLiterals, ...idlePatterns], parts, warnings);
    }
    for (const pattern of idlePatterns)
      warnings.push(`The pattern ${quote(pattern)} matches no group of the snapshots.`);
    if (topics !== undefined)
      warnings.push(...topicWarnings(topics, [everCommitted(parts), passedOver], "the snapshots that were read"));

    const rollbacks = await rollbacksDuring(parts, matches, work, warnings);
    const history = historyOf(parts, names, (group, key) => explainBy(rollbacks, group, key));
    warnings.push(...unshownMoves(parts, names, rollbacks, until !== undefined), ...history.warnings);
    return encodeHistory(history, rollbacks, warnings);
  },
});

/** How many partitions on other topics are remembered. */
const MAX_PASSED_OVER = 1_000;

/** What to read of snapshots; `passedOver` gets partitions that are not wanted, for the message where no wanted one exists. */
function wantedPart(group: (name: string) => boolean, topics: Selectors) {
  const picks = compileTopics(topics);
  const others = new Map<string, null>();
  const partition = (key: string) => {
    if (splitTopicPartition(key) === undefined) return true; // reading it names it
    const isWanted = picks(key);
    if (!isWanted && others.size < MAX_PASSED_OVER) others.set(key, null);
    return isWanted;
  };
  const wanted: WantedPart = { group, partition };
  return { wanted, passedOver: new Map([["", others]]) };
}

const olderLeftOut = (what: string, oldest: Pick<SnapshotEntry, "snapshotId"> | undefined) =>
  `Only ${what} of the range were read, back to ${oldest?.snapshotId}: older ones are left out. Ask for them with "until".`;

/** The entries of snapshots that show what the cluster of the newest one had committed. */
function ofOneCluster(entries: readonly SnapshotEntry[], warnings: string[]): readonly SnapshotEntry[] {
  const observations = entries.filter(isObservation);
  if (observations.length < entries.length) {
    const left = count(entries.length - observations.length, "snapshot");
    warnings.push(`${left} of the range, such as imported ones, were not read from Kafka at their time: left out.`);
  }
  const clusterId = observations.find(({ cluster }) => cluster.clusterId !== null)?.cluster.clusterId ?? null;
  const isSame = ({ cluster }: SnapshotEntry) => cluster.clusterId === null || cluster.clusterId === clusterId;
  const others = observations.filter((entry) => !isSame(entry));
  if (others.length > 0) {
    const names = nameSome(others.map(({ snapshotId }) => snapshotId));
    warnings.push(
      `Left out, because they are of another Kafka cluster than the newest snapshot (${clusterId}): ${names}.`,
    );
  }
  return observations.filter(isSame);
}

/** The wanted parts of snapshots, oldest first: of the newest, as many as time and memory allow. */
async function readParts(
  entries: readonly SnapshotEntry[],
  wanted: WantedPart,
  { storage, deadline }: Work,
  warnings: string[],
): Promise<readonly Snapshot[]> {
  const reserved = Math.min(MAX_RESERVED_MS, deadline.remainingMs() * RESERVED_SHARE);
  const unreadable = createUnreadable("the history");
  const parts: Snapshot[] = [];
  let points = 0;
  for await (const part of storage.snapshots.readParts(entries, wanted, unreadable, deadline)) {
    points += countOffsets(part.consumerGroups);
    if (points > MAX_POINTS && parts.length < 2) {
      throw new InvalidRequest(
        `groups: two snapshots of what matches have more than ${MAX_POINTS} commits, which is more than a history shows.`,
        { next: "Name fewer groups, or restrict the topics." },
      );
    }
    const isLate = deadline.remainingMs() < reserved;
    const reason = points > MAX_POINTS ? `for ${MAX_POINTS} commits` : isLate ? "in the time that there is" : undefined;
    if (reason !== undefined && (points > MAX_POINTS || parts.length > 0)) {
      warnings.push(olderLeftOut(`the newest ${count(parts.length, "snapshot")} (${reason})`, parts.at(-1)));
      break;
    }
    parts.push(part);
  }
  warnings.push(...unreadable.warnings());
  return parts.reverse();
}

/** @param warnings which snapshots were not read: one of these may have the groups */
function notFound(names: readonly string[], parts: readonly Snapshot[], warnings: readonly string[]): GroupNotFound {
  const failed = new Set(parts.flatMap(({ errors }) => errors.map(({ group }) => group)));
  const uncaptured = names.filter((name) => failed.has(name));
  const reasons = uncaptured.length > 0 ? [`Some snapshots could not capture ${nameSome(uncaptured)}.`] : [];
  const read = `none of the ${count(parts.length, "snapshot")} that were read has group ${nameSome(names)}`;
  return new GroupNotFound([`${read}; names are case-sensitive.`, ...reasons, ...warnings].join(" "), {
    next: "Call list to see which snapshots there are, and ask for another range with since and until.",
  });
}

/** All partitions that groups had a commit on in one of the snapshots. */
function everCommitted(parts: readonly Snapshot[]): Commits {
  const all = new Map<string, GroupCommits>();
  for (const { consumerGroups } of parts) {
    for (const [group, commits] of consumerGroups) {
      const known = all.get(group);
      if (known === undefined || [...commits.keys()].some((key) => !known.has(key))) {
        all.set(group, new Map([...(known ?? []), ...commits]));
      }
    }
  }
  return all;
}

function encodeHistory(
  { taken, groups }: History,
  rollbacks: readonly AskedRollback[],
  warnings: readonly string[],
): Encoded<HistoryResult> {
  const partitionsOf = [...groups.values()].flatMap(({ partitions }) => [...partitions.values()]);
  const named = new Set(partitionsOf.flatMap(({ events }) => events.map(({ rollbackId }) => rollbackId)));
  const indexes = new Map(taken.map((snapshot, i) => [snapshot, i]));
  const encodeGroup = ({ status, partitions }: GroupHistory) => ({
    status,
    partitions: new Map([...partitions].map(([key, partition]) => [key, encodePartition(partition, indexes)])),
  });
  const explaining = rollbacks.filter(({ rollbackId }) => named.has(rollbackId));
  const asked = explaining.map(({ rollbackId, requestedBy, callerArn }) => ({
    rollback_id: rollbackId,
    requested_by: requestedBy,
    caller: shownCaller(callerArn),
  }));
  return {
    snapshots: taken.map(({ snapshotId, createdAt }) => ({ snapshot_id: snapshotId, created_at: createdAt })),
    groups: new Map([...groups].map(([group, history]) => [group, encodeGroup(history)])),
    rollbacks: asked.length === 0 ? undefined : asked,
    warnings,
  };
}

const encodePartition = (history: PartitionHistory, indexes: ReadonlyMap<Taken, number>) => ({
  points: history.points.map(({ taken, commit, logEnd }) => [indexOf(taken, indexes), commit.offset, logEnd] as const),
  per_second: history.perSecond,
  lag: history.lag,
  lag_seconds: history.lagSeconds,
  lag_seconds_error: history.lagSecondsError,
  lag_seconds_at_least: history.lagSecondsAtLeast,
  status: history.status,
  events: history.events.map(encodeEvent),
});

/** Throws where a point is of a snapshot that is not shown, which would be a fault of this program. */
function indexOf(taken: Taken, indexes: ReadonlyMap<Taken, number>): number {
  const index = indexes.get(taken);
  if (index === undefined) throw new Error(`${taken.snapshotId} has a point, and is not shown`);
  return index;
}

const encodeEvent = ({ kind, after, before, from, to, rollbackId, unexplained }: Event) => ({
  kind,
  after: after?.createdAt ?? null,
  before: before.createdAt,
  from: commitOrNull.encode(from),
  to: commitOrNull.encode(to),
  rollback_id: rollbackId,
  unexplained,
});
