import { InvalidRequest } from "../errors.ts";
import type { ObservedPartition, Snapshot } from "../model.ts";
import type { Reading } from "./reading.ts";

/** What a format has a place for, beside the offsets of one group. */
interface Carries {
  readonly metadata: boolean;
  readonly leaderEpochs: boolean;
  readonly severalGroups: boolean;
  readonly groupsWithoutCommits: boolean;
  /** That a snapshot is partial, and which groups it lacks. */
  readonly problems: boolean;
}

/** A format, and what it has a place for. */
interface Format {
  readonly carries: Carries;
}

/** A format that snapshots are written in. */
export interface Written extends Format {
  readonly contentType: string;
  /**
   * The snapshot in this format. What the format has no place for is left out: see `exportSnapshot`.
   *
   * @throws InvalidRequest for a group that the format cannot name
   */
  write(snapshot: Snapshot): string;
}

/**
 * A format that commits are read from: `read` puts them, and every problem of the text, into a reading.
 *
 * @param group the group of commits that do not say theirs; undefined where the request names none, or several
 */
export interface Readable extends Format {
  read(text: string, reading: Reading, group: string | undefined): void;
}

/** The log of a partition as the snapshot observed it. */
export const logOf = (
  { observed }: Pick<Snapshot, "observed">,
  topic: string,
  partition: number,
): ObservedPartition | undefined => observed.topics.get(topic)?.partitions.get(partition);

/** Log end minus committed offset, which is below zero where the log was truncated; null where the log end is not known. */
export function lagOf(offset: bigint, log: ObservedPartition | undefined): bigint | null {
  const end = log?.logEndOffset ?? null;
  return end === null ? null : end - offset;
}

/** @throws InvalidRequest where the request does not name the one group that a text is for, which does not say it itself */
export function requireGroup(group: string | undefined, what: string): asserts group is string {
  if (group !== undefined) return;
  throw new InvalidRequest(`${what} does not say which group it is for.`, {
    next: 'Name the one group: "groups": [{"name": "…"}].',
  });
}
