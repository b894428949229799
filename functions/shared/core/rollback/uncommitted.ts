import { type Commit, distance, type ObservedTopic } from "../model.ts";

/**
 * What to do with a commit on a partition for which the snapshot has none. `delete`: the consumers' `auto.offset.reset`
 * decides. `log_start`: everything is read again. `snapshot_end`: what was appended after the snapshot is read again; never
 * moves a group forward.
 */
export const uncommittedPolicies = ["keep", "delete", "log_start", "snapshot_end"] as const;
export type UncommittedPolicy = (typeof uncommittedPolicies)[number];

/**
 * What each policy means for such a partition. `replayed` and `skipped` are distances as in a plan; null is unknown, and so is
 * an offset `to`.
 */
export interface Uncommitted {
  /** How many of the offsets appended since the snapshot the group has acknowledged. */
  readonly acknowledged: bigint | null;
  /** `replayed` by a consumer with `auto.offset.reset=earliest`, `skipped` by one with `latest`. */
  readonly delete: { readonly replayed: bigint | null; readonly skipped: bigint | null };
  readonly logStart: { readonly to: bigint | null; readonly replayed: bigint | null };
  readonly snapshotEnd: { readonly to: bigint | null; readonly replayed: bigint | null };
}

/**
 * What each policy means for a commit on a partition for which the snapshot has none.
 *
 * @param then the topic in the snapshot: null could not be observed; undefined did not exist, or no group of the snapshot
 *   read it
 * @param isShare whether it is a start offset: everything from there on is delivered again
 */
export function uncommittedAt(
  { offset }: Commit,
  partition: number,
  then: ObservedTopic | null | undefined,
  now: ObservedTopic | null | undefined,
  isShare = false,
): Uncommitted {
  const log = now?.partitions.get(partition);
  const { logStartOffset: start = null, logEndOffset: end = null } = log ?? {};
  const since = logEndThen(partition, then, now);
  const snapshotEnd = since !== null && since > offset ? offset : since;
  const logEnd = end ?? offset;
  const until = isShare ? logEnd : offset;
  const from = (low: bigint | null, high: bigint) => (low === null ? null : distance(low, high, log));
  return {
    acknowledged: from(since, offset),
    delete: { replayed: from(start, until), skipped: from(offset, logEnd) },
    logStart: { to: start, replayed: from(start, until) },
    snapshotEnd: { to: snapshotEnd, replayed: from(snapshotEnd, until) },
  };
}

/**
 * Where the log of a partition ended when the snapshot was taken, within the present log; its present start where the topic or
 * the partition is newer, or the records up to there were deleted. Null where that is unknown.
 */
function logEndThen(
  partition: number,
  then: ObservedTopic | null | undefined,
  now: ObservedTopic | null | undefined,
): bigint | null {
  const log = now?.partitions.get(partition);
  if (then === null || now == null || log?.logStartOffset == null) return null;
  const start = log.logStartOffset;
  const isSame = then?.topicId == null || now.topicId === null || then.topicId === now.topicId;
  const before = isSame ? then?.partitions.get(partition) : undefined;
  if (before === undefined) return start;
  const end = before.logEndOffset;
  if (end === null) return null;
  // The records from the end of its leader epoch on were appended since, if the log was truncated there.
  const epochEnd = before.leaderEpoch === null ? null : log.epochEnds?.get(before.leaderEpoch);
  const kept = epochEnd != null && epochEnd < end ? epochEnd : end;
  return kept < start ? start : kept;
}

/** The commit that a policy sets in place of one on a partition for which the snapshot has none; null deletes it. */
export function targetOf(
  policy: Exclude<UncommittedPolicy, "keep">,
  commit: Commit,
  { logStart, snapshotEnd }: Uncommitted,
): Commit | null {
  if (policy === "delete") return null;
  const { to } = policy === "log_start" ? logStart : snapshotEnd;
  return to === null || to === commit.offset ? commit : { offset: to, metadata: "" };
}
