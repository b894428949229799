import { errorNamed } from "./error-names.ts";
import { ClusterMismatch, GroupNotFound, type OperationError } from "./errors.ts";
import type { CaptureError, ClusterIdentity, Commits, LiveState, Observed, Selection, Snapshot } from "./model.ts";
import { compileSelectors, type Selectors } from "./selectors.ts";
import { captureErrors } from "./snapshot.ts";
import { count, listSome, nameSome, quote } from "./text.ts";

/**
 * The error for groups that could not be read: of the kind that all of them share, KafkaUnavailable otherwise.
 *
 * @param next what the caller can do, as whole sentences
 */
export function unreadable(errors: readonly CaptureError[], next: string): OperationError {
  const what =
    `${count(errors.length, "group")} could not be read: ${nameSome(errors.map(({ group }) => group))} ` +
    `(${errors[0]?.error}: ${errors[0]?.message}).`;
  const [name = "", ...others] = new Set(errors.map(({ error }) => error));
  return errorNamed(others.length === 0 ? name : "KafkaUnavailable", what, {
    next,
    details: { errors: captureErrors.encode(errors) },
  });
}

/** @throws the error of the groups that could not be read, if any: a comparison without them would be a guess */
export function requireReadable(live: LiveState): void {
  if (live.errors.length > 0) throw unreadable(live.errors, "Remove the cause, or name other groups.");
}

/** @throws ClusterMismatch when a snapshot is of another cluster than what it is compared with */
export function requireSameCluster(snapshot: Snapshot, other: ClusterIdentity, where: string): void {
  if (snapshot.cluster.clusterId === other.clusterId) return;
  throw new ClusterMismatch(
    `${snapshot.snapshotId} was taken on cluster ${snapshot.cluster.clusterId} (${snapshot.cluster.name}), and ${where} ` +
      `is ${other.clusterId} (${other.name}). Offsets of two clusters cannot be compared.`,
  );
}

/**
 * Says which of the selected groups a snapshot failed to capture, so that they are left out of a comparison openly.
 *
 * @throws GroupNotFound when one of them is named literally: there is nothing to compare it with
 */
export function uncapturedWarnings(
  snapshot: Pick<Snapshot, "snapshotId" | "unlisted">,
  errors: readonly CaptureError[],
  groups: Selectors,
): string[] {
  const { snapshotId } = snapshot;
  const named = compileSelectors(groups ?? []).literals;
  const asked = errors.find(({ group }) => named.has(group));
  if (asked !== undefined) {
    throw new GroupNotFound(
      `${snapshotId} does not have group ${quote(asked.group)}: it could not be captured ` +
        `(${asked.error}: ${asked.message}).`,
      { next: "Use another snapshot." },
    );
  }
  const warnings = unlistedWarnings(snapshot, groups);
  if (errors.length === 0) return warnings;
  const were = errors.length === 1 ? "was" : "were";
  const names = nameSome(errors.map(({ group }) => group));
  return [...warnings, `${snapshotId} is partial: ${names} could not be captured, and ${were} not compared.`];
}

/** Says that a snapshot lacks groups that it could not list, unless a request names all its groups literally. */
export function unlistedWarnings(
  { snapshotId, unlisted }: Pick<Snapshot, "snapshotId" | "unlisted">,
  groups: Selectors,
): string[] {
  if (unlisted === undefined || (groups !== undefined && compileSelectors(groups).patterns.length === 0)) return [];
  return [
    `${snapshotId} is partial: it lacks groups that could not be listed when it was taken (${unlisted.message}).`,
  ];
}

/** What a rollback cannot restore, though the snapshot is complete: groups that were named, or all, without a commit. */
export function emptyWarnings(commits: Commits, { groups }: Selection): string[] {
  const empty = [...commits].flatMap(([group, { size }]) => (size === 0 ? [group] : []));
  if (empty.length > 0 && empty.length === commits.size) {
    const which =
      empty.length === 1 ? `${nameSome(empty)} has no commit` : `None of the ${empty.length} groups has a commit`;
    return [`${which}: the snapshot has no offsets, and a rollback to it restores none.`];
  }
  const { literals } = compileSelectors(groups);
  const named = empty.filter((group) => literals.has(group));
  return named.length === 0
    ? []
    : [`No commit: ${nameSome(named)}. A rollback to this snapshot restores no offsets there.`];
}

/** Says of which groups some commits on the partitions that are picked are not final, or are no offsets. */
export const commitWarnings = (groups: Observed["groups"], picks = (_key: string) => true): string[] => [
  ...pendingWarnings(
    [...groups].map(([group, { pending = [] }]) => [group, pending.filter(picks)]),
    ": the offsets are the last ones from before it.",
  ),
  ...negativeWarnings(groups, picks),
];

/** Says on which partitions of which groups a transactional commit is pending, and what that means: for each group. */
export function pendingWarnings(
  groups: Iterable<readonly [group: string, keys: readonly string[]]>,
  meaning: string,
): string[] {
  return [...groups].flatMap(([group, keys]) =>
    keys.length === 0
      ? []
      : [`Group ${quote(group)} has a transaction with a commit pending on ${nameSome(keys)}${meaning}`],
  );
}

/** A partition and the negative offset that is committed on it, in a message. */
export const withOffset = ([key, offset]: readonly [string, bigint]): string => `${quote(key)} (${offset})`;

/** Says on which of the picked partitions of which groups a negative offset is committed: one sentence for each group. */
export function negativeWarnings(groups: Observed["groups"], picks: (key: string) => boolean): string[] {
  return [...groups].flatMap(([group, { negative = new Map<string, bigint>() }]) => {
    const picked = [...negative].filter(([key]) => picks(key));
    if (picked.length === 0) return [];
    return [
      `Group ${quote(group)} has committed negative offsets on ${listSome(picked, withOffset)}: they count as no commit, ` +
        "and no rollback or undo can restore them.",
    ];
  });
}
