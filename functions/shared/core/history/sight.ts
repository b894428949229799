import type { Commit } from "../model.ts";

/** A snapshot of a history. Times are milliseconds since 1970. */
export interface Taken {
  readonly snapshotId: string;
  /** ISO 8601, UTC, whole seconds. */
  readonly createdAt: string;
  /** The same in milliseconds: it was read by the end of this second. */
  readonly time: number;
}

/** What a snapshot shows of a partition of a group that it captured. */
export interface Sight {
  readonly taken: Taken;
  /** Since when it was read: right before the commits were asked for. The time of the snapshot where that is not recorded. */
  readonly readSince: number;
  /** How many members the group had; null is unknown. */
  readonly members: number | null;
  /** It is a simple group: its consumers `assign()`, and are never members. */
  readonly isSimple: boolean;
  /** Null is no commit. */
  readonly commit: Commit | null;
  /** Null is unknown. */
  readonly logStart: bigint | null;
  readonly logEnd: bigint | null;
  readonly topicId: string | null;
  /** A transactional commit was pending: the next commit may already have been decided. */
  readonly isPending: boolean;
}

/** A sight with a commit. */
export interface Point extends Sight {
  readonly commit: Commit;
}

export const hasCommit = (sight: Sight): sight is Point => sight.commit !== null;

/** Until when a snapshot was read: it has the second in which it was saved. */
export const readUntil = ({ taken }: Pick<Sight, "taken">): number => taken.time + 1_000;

/** How many offsets are after the commit; null where the log end is unknown. A log end that was read too early counts as 0. */
export function lagOf({ commit, logEnd }: Point): bigint | null {
  if (logEnd === null) return null;
  return logEnd > commit.offset ? logEnd - commit.offset : 0n;
}

/** Whether the topic was deleted and created again between two sights. */
export const isRecreated = (before: Sight, after: Sight): boolean =>
  before.topicId !== null && after.topicId !== null && before.topicId !== after.topicId;
