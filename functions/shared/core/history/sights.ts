import { noCommits, placeOf, type Snapshot } from "../model.ts";
import { compileSelection } from "../selectors.ts";
import { hasCommit, readUntil, type Sight, type Taken } from "./sight.ts";

/** Snapshots that were not read from Kafka at the time of their id: they say nothing of that time. */
const notObserved: ReadonlySet<string> = new Set(["imported", "computed", "recovered"]);

/** Whether a snapshot shows what groups had committed when it was taken. */
export const isObservation = ({ trigger }: { readonly trigger: string }): boolean => !notObserved.has(trigger);

/** Why a snapshot does not show a group: what its partitions had committed then is not known. */
export const gapReasons = ["unselected", "uncaptured", "unlisted"] as const;
export type Gap = (typeof gapReasons)[number];

/** A snapshot, ready to be asked about groups. */
export interface Frame {
  readonly snapshot: Snapshot;
  readonly taken: Taken;
  /** Why it does not show a group; `other`: it is a safety snapshot of other groups. Undefined: it shows the group, or its absence. */
  gapOf(group: string): Gap | "other" | undefined;
}

/** What snapshots show of a group. */
export interface GroupSights {
  /** By topic-partition, in the order of the snapshots: those with a commit in one of them. */
  readonly partitions: ReadonlyMap<string, readonly Sight[]>;
  /** How many snapshots do not show it, by the reason. */
  readonly gaps: ReadonlyMap<Gap, number>;
  /** How many show a pending transactional commit, or a negative offset, which is no commit. */
  readonly pending: number;
  readonly negative: number;
  /** How many had read it earlier than a snapshot that was saved before them. */
  readonly overtaken: number;
  /** Whether it is a share group. */
  readonly isShare: boolean;
}

/** Makes snapshots ready to be asked about groups. Snapshots with equal selections share what is compiled of them. */
export function framesOf(snapshots: readonly Snapshot[]): readonly Frame[] {
  const compiled = new Map<string, (group: string) => boolean>();
  return snapshots.map((snapshot) => {
    const { snapshotId, createdAt, selection, consumerGroups, trigger, unlisted } = snapshot;
    const key = JSON.stringify(selection);
    const picks = compiled.get(key) ?? compileSelection(selection);
    compiled.set(key, picks);
    const failed = new Set(snapshot.errors.map(({ group }) => group));
    return {
      snapshot,
      taken: { snapshotId, createdAt, time: Date.parse(createdAt) },
      gapOf(group) {
        if (consumerGroups.has(group)) return undefined;
        if (failed.has(group)) return "uncaptured";
        if (trigger === "safety") return "other";
        if (!picks(group)) return "unselected";
        return unlisted === undefined ? undefined : "unlisted";
      },
    };
  });
}

/**
 * What snapshots show of a group. One that lacks the group shows that it had no commits only if it was asked for the group and
 * could list all groups. In one that has the group, a partition without a commit has none, unless its topic could not be
 * observed, or its offset is negative: then nothing is known of it. A large snapshot is read for so long that another one may
 * read the group later and be saved before it: the large one then shows a former state, and is left out.
 *
 * @param frames oldest first
 */
export function sightsOf(frames: readonly Frame[], group: string): GroupSights {
  const keys = new Set(frames.flatMap(({ snapshot }) => [...(snapshot.consumerGroups.get(group)?.keys() ?? [])]));
  const partitions = [...keys].map((key) => {
    const sights: Sight[] = [];
    return { key, ...placeOf(key), sights };
  });
  const gaps = new Map<Gap, number>();
  const found = { pending: 0, negative: 0, overtaken: 0, isShare: false };
  let latest = Number.NEGATIVE_INFINITY;
  for (const { snapshot, taken, gapOf } of frames) {
    const gap = gapOf(group);
    if (gap !== undefined) {
      if (gap !== "other") gaps.set(gap, (gaps.get(gap) ?? 0) + 1);
      continue;
    }
    const { groups, topics } = snapshot.observed;
    const observed = groups.get(group);
    const asOf = observed?.asOf ? Math.min(Date.parse(observed.asOf), readUntil({ taken })) : undefined;
    if (asOf !== undefined && asOf < latest) {
      found.overtaken++;
      continue;
    }
    latest = asOf ?? latest;
    const commits = snapshot.consumerGroups.get(group) ?? noCommits;
    const pending = new Set(observed?.pending);
    if (partitions.some(({ key }) => pending.has(key))) found.pending++;
    if (observed?.negative !== undefined) found.negative++;
    found.isShare ||= observed?.type === "share";
    for (const { key, topic, partition, sights } of partitions) {
      const commit = commits.get(key) ?? null;
      const about = topics.get(topic);
      if (commit === null && (about === null || observed?.negative?.has(key))) continue;
      const log = about?.partitions.get(partition);
      sights.push({
        taken,
        readSince: asOf ?? taken.time,
        members: observed?.members ?? null,
        isSimple: observed?.protocolType === "",
        commit,
        logStart: log?.logStartOffset ?? null,
        logEnd: log?.logEndOffset ?? null,
        topicId: about?.topicId ?? null,
        isPending: pending.has(key),
      });
    }
  }
  const shown = partitions.filter(({ sights }) => sights.some(hasCommit));
  return { partitions: new Map(shown.map(({ key, sights }) => [key, sights])), gaps, ...found };
}
