import { compareCodePoints } from "../json/code-points.ts";
import type { Snapshot } from "../model.ts";
import { count, nameSome } from "../text.ts";
import { type Event, type Explain, eventsOf } from "./events.ts";
import { type LagFigures, lagFigures, ratePerSecond } from "./figures.ts";
import { hasCommit, type Point, type Taken } from "./sight.ts";
import { type Frame, framesOf, type Gap, type GroupSights, gapReasons, sightsOf } from "./sights.ts";
import { type GroupStatus, groupStatus, type PartitionStatus, partitionStatus } from "./status.ts";

/** The history of a partition of a group. */
export interface PartitionHistory extends LagFigures {
  /** Where it had a commit, oldest first. */
  readonly points: readonly Point[];
  /** Since the last event that moved the commit other than by processing. */
  readonly perSecond: number | null;
  readonly status: PartitionStatus;
  readonly events: readonly Event[];
}

/** The history of a group, by topic-partition. */
export interface GroupHistory {
  readonly status: GroupStatus;
  readonly partitions: ReadonlyMap<string, PartitionHistory>;
}

/** The history of groups. */
export interface History {
  /** The snapshots that show at least one of them, oldest first. */
  readonly taken: readonly Taken[];
  readonly groups: ReadonlyMap<string, GroupHistory>;
  /** What some snapshots do not show. */
  readonly warnings: readonly string[];
}

/**
 * The history of groups over snapshots of one cluster.
 *
 * @param snapshots oldest first; the groups that are wanted are enough
 * @param explain finds the rollbacks that moved the commit of a partition
 */
export function historyOf(
  snapshots: readonly Snapshot[],
  groups: readonly string[],
  explain: (group: string, key: string) => Explain,
): History {
  const frames = framesOf(snapshots);
  const histories = new Map<string, GroupHistory>();
  const all = new Map<string, GroupSights>();
  for (const group of groups) {
    const sights = sightsOf(frames, group);
    all.set(group, sights);
    histories.set(
      group,
      groupHistory(sights, (key) => explain(group, key)),
    );
  }
  return { taken: shown(frames, groups), groups: histories, warnings: warningsOf(all) };
}

const shown = (frames: readonly Frame[], groups: readonly string[]): Taken[] =>
  frames.flatMap(({ taken, gapOf }) => (groups.some((group) => gapOf(group) === undefined) ? [taken] : []));

function groupHistory({ partitions }: GroupSights, explain: (key: string) => Explain): GroupHistory {
  const histories = new Map<string, PartitionHistory>();
  for (const [key, sights] of [...partitions].sort(([a], [b]) => compareCodePoints(a, b))) {
    const points = sights.filter(hasCommit);
    const events = eventsOf(sights, explain(key));
    const isGone = sights.at(-1) !== points.at(-1);
    histories.set(key, {
      points,
      perSecond: ratePerSecond(sinceLastMove(points, events)),
      ...(isGone ? { lag: null, lagSeconds: null, lagSecondsError: null } : lagFigures(points)),
      status: isGone ? "NOTFOUND" : partitionStatus(sinceRecreated(points, events)),
      events,
    });
  }
  return { status: groupStatus([...histories.values()].map(({ status }) => status)), partitions: histories };
}

const movedOtherwise: ReadonlySet<string> = new Set(["rewound", "jumped", "appeared", "recreated"]);

/** The points from the last event on that moved the commit other than by processing. */
function sinceLastMove(points: readonly Point[], events: readonly Event[]): readonly Point[] {
  return pointsFrom(
    points,
    events.findLast(({ kind }) => movedOtherwise.has(kind)),
  );
}

/** The points of the topic that there is now. */
function sinceRecreated(points: readonly Point[], events: readonly Event[]): readonly Point[] {
  return pointsFrom(
    points,
    events.findLast(({ kind }) => kind === "recreated"),
  );
}

const pointsFrom = (points: readonly Point[], event: Event | undefined): readonly Point[] =>
  event === undefined ? points : points.slice(points.findIndex(({ taken }) => taken === event.before));

/** Why snapshots do not show a group, as a warning says it. */
const gapTexts: Readonly<Record<Gap, string>> = {
  unselected: "were not asked for it",
  uncaptured: "could not capture it (their errors say why)",
  unlisted: "could not list all groups, and do not have it",
};

function warningsOf(groups: ReadonlyMap<string, GroupSights>): string[] {
  const warnings: string[] = [];
  const add = (of: (sights: GroupSights) => number, text: (most: number) => string) => {
    const having = [...groups].filter(([, sights]) => of(sights) > 0);
    if (having.length === 0) return;
    const most = Math.max(...having.map(([, sights]) => of(sights)));
    warnings.push(`${nameSome(having.map(([group]) => group))}: ${text(most)}`);
  };
  for (const reason of gapReasons) {
    add(
      ({ gaps }) => gaps.get(reason) ?? 0,
      (most) =>
        `up to ${count(most, "snapshot")} of the range ${gapTexts[reason]}: what was committed then is not known.`,
    );
  }
  add(
    ({ pending }) => pending,
    (most) =>
      `in up to ${count(most, "snapshot")} a transactional commit was pending. The points show the commit before it, and no ` +
      `partition counts as stopped while its commit was pending.`,
  );
  add(
    ({ negative }) => negative,
    () => "some snapshots have negative offsets, which are no commits: these partitions have no points there.",
  );
  add(
    ({ overtaken }) => overtaken,
    (most) =>
      `up to ${count(most, "snapshot")} of the range read it earlier than the snapshot before did: no points there.`,
  );
  add(
    ({ isShare }) => (isShare ? 1 : 0),
    () => "share groups: their points are start offsets, and records after these may have been acknowledged.",
  );
  return warnings;
}
