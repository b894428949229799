import { GroupNotFound } from "./errors.ts";
import type { CaptureError, Commits, Snapshot } from "./model.ts";
import { type Selectors, selectNames } from "./selectors.ts";
import { nameSome, quote } from "./text.ts";
import { compileTopics, onTopics, topicWarnings } from "./topics.ts";

/** Which part of a snapshot a request is about. */
interface Part {
  readonly groups?: Selectors;
  readonly topics?: Selectors;
}

/** The part of a snapshot that was asked for: its commits, and the groups of that part that were not captured. */
export interface SnapshotPart {
  /** By the group that they are for. */
  readonly commits: Commits;
  /** Whether a partition is among those that were asked for, also where the snapshot has no commit. */
  picks(key: string): boolean;
  /** What `topicWarnings` says of the topics that were asked for, in the snapshot and in what its groups have committed now. */
  topicWarnings(live: Commits): string[];
  readonly errors: readonly CaptureError[];
  /** The groups of the snapshot that stand in for others, by those others: see `mapGroups`. */
  readonly sources: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

/**
 * Picks the part of a snapshot that a request names.
 *
 * @throws GroupNotFound when a group named literally is not in the snapshot, or the patterns find none at all
 * @param orLive whether topics may name what only the live groups have: then the caller asks for `topicWarnings`
 * @throws InvalidRequest when a topic or partition named literally is in none of the groups: it would select nothing in silence
 */
export function restrict(snapshot: Snapshot, part: Part, orLive = false): SnapshotPart {
  const captured = snapshot.consumerGroups;
  const { names, missingLiterals, idlePatterns } = selectNames(part.groups, [
    ...captured.keys(),
    ...snapshot.errors.map(({ group }) => group),
  ]);
  if (missingLiterals.length > 0 || (part.groups !== undefined && names.length === 0)) {
    const what = missingLiterals.length > 0 ? missingLiterals : idlePatterns;
    const there = captured.size === 0 ? "It has no group at all" : `It has ${nameSome(captured.keys())}`;
    const next =
      "Look for another snapshot with list and show: a group is only in snapshots that were taken while it existed.";
    const unlisted =
      snapshot.unlisted === undefined ? "" : ` It lacks groups that could not be listed: ${snapshot.unlisted.message}.`;
    throw new GroupNotFound(
      `${snapshot.snapshotId} has no group ${nameSome(what)}. ${there}; names are case-sensitive.${unlisted}`,
      { next },
    );
  }
  const selected = new Set(names);
  const whole: Commits = new Map([...captured].filter(([group]) => selected.has(group)));
  const errors = snapshot.errors.filter(({ group }) => selected.has(group));
  const warningsOf = (commits: readonly Commits[], where: string) =>
    topicWarnings(part.topics, commits, where, {
      snapshotId: snapshot.snapshotId,
      groups: errors.map(({ group }) => group),
    });
  const idleTopics = orLive ? [] : warningsOf([whole], snapshot.snapshotId);
  return {
    commits: onTopics(whole, part.topics),
    picks: compileTopics(part.topics),
    topicWarnings: (live) => warningsOf([whole, live], `${snapshot.snapshotId} and in what is committed now`),
    errors,
    sources: new Map(),
    warnings: [
      ...idlePatterns.map((pattern) => `The pattern ${quote(pattern)} matches no group of the snapshot.`),
      ...idleTopics,
    ],
  };
}
