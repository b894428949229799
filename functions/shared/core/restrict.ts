import { GroupNotFound, InvalidRequest } from "./errors.ts";
import { type CaptureError, type Commits, placeOf, type Snapshot, topicsOf } from "./model.ts";
import { compileSelectors, type Selector, selectNames } from "./selectors.ts";
import { nameSome } from "./text.ts";

/** Which part of a snapshot a request is about; undefined is all. */
export interface Part {
  readonly groups?: readonly Selector[] | undefined;
  readonly topics?: readonly Selector[] | undefined;
}

/** The part of a snapshot that was asked for: its commits, and the groups of that part that were not captured. */
export interface SnapshotPart {
  readonly commits: Commits;
  readonly errors: readonly CaptureError[];
  readonly warnings: readonly string[];
}

/** Leaves only the commits on topics that the selectors pick. Groups stay, with fewer commits or none. */
export function onTopics(commits: Commits, topics: readonly Selector[] | undefined): Commits {
  if (topics === undefined) return commits;
  const matcher = compileSelectors(topics);
  const matches = (key: string) => matcher.matches(placeOf(key).topic);
  return new Map(
    [...commits].map(([group, partitions]) => [group, new Map([...partitions].filter(([key]) => matches(key)))]),
  );
}

/**
 * Says which patterns for topics pick none of those that there are.
 *
 * @throws InvalidRequest for a literal topic that is not among them, and where nothing is selected at all: a rollback, or
 *   a comparison, of nothing would be a success that means nothing
 */
export function topicWarnings(
  topics: readonly Selector[] | undefined,
  existing: ReadonlySet<string>,
  where: string,
): string[] {
  const { names, missingLiterals, idlePatterns } = selectNames(topics, existing);
  if (missingLiterals.length > 0 || (topics !== undefined && names.length === 0)) {
    throw new InvalidRequest(
      `topics: in ${where} no selected group has a commit on ${nameSome([...missingLiterals, ...idlePatterns])}; ` +
        `there are commits on ${nameSome(existing) || "no topic"}.`,
    );
  }
  return idlePatterns.map((pattern) => `The pattern ${JSON.stringify(pattern)} matches no topic.`);
}

/**
 * Picks the part of a snapshot that a request names.
 *
 * @throws GroupNotFound when a group named literally is not in the snapshot, or the patterns find none at all
 * @throws InvalidRequest when a topic named literally is in none of the groups: it would select nothing in silence
 */
export function restrict(snapshot: Snapshot, part: Part): SnapshotPart {
  const captured = snapshot.consumerGroups;
  const { names, missingLiterals, idlePatterns } = selectNames(part.groups, [
    ...captured.keys(),
    ...snapshot.errors.map(({ group }) => group),
  ]);
  if (missingLiterals.length > 0 || (part.groups !== undefined && names.length === 0)) {
    const what = missingLiterals.length > 0 ? missingLiterals : idlePatterns;
    const there = captured.size === 0 ? "It has no group at all" : `It has ${nameSome(captured.keys())}`;
    throw new GroupNotFound(
      `${snapshot.snapshotId} has no group ${nameSome(what)}. ${there}; names are case-sensitive. Look for another ` +
        "snapshot with list and show: a group is only in those that were taken while it existed. Nothing was touched.",
    );
  }
  const selected = new Set(names);
  const whole: Commits = new Map([...captured].filter(([group]) => selected.has(group)));
  const idleTopics = topicWarnings(part.topics, topicsOf(whole), snapshot.snapshotId);
  return {
    commits: onTopics(whole, part.topics),
    errors: snapshot.errors.filter(({ group }) => selected.has(group)),
    warnings: [
      ...idlePatterns.map((pattern) => `The pattern ${JSON.stringify(pattern)} matches no group of the snapshot.`),
      ...idleTopics,
    ],
  };
}
