import type { Commit } from "../model.ts";
import { hasCommit, isRecreated, lagOf, type Point, type Sight, type Taken } from "./sight.ts";

/** What happened to a commit between two snapshots: functions/README.md defines each. */
export const eventKinds = ["stopped", "resumed", "rewound", "jumped", "appeared", "vanished", "recreated"] as const;
export type EventKind = (typeof eventKinds)[number];

/** Something happened after the one snapshot and until the other. */
export interface Event {
  readonly kind: EventKind;
  /** Null: before the first snapshot of the range. */
  readonly after: Taken | null;
  readonly before: Taken;
  /** The commits in both; null is none. */
  readonly from: Commit | null;
  readonly to: Commit | null;
  /** The rollback of the journal that did it. */
  readonly rollbackId?: string;
  /** It was moved, and no rollback of the journal did it. */
  readonly unexplained?: true;
}

/** What a rollback does to a partition. */
export type Step = "rewind" | "fast_forward" | "create" | "delete";

/** Finds the rollback that did a step between two sights. */
export type Explain = (step: Step, before: Sight, after: Sight) => string | undefined;

/** A commit that stands where it stands. */
interface Standstill {
  /** The last sight before it; null where it is older than all sights. */
  readonly after: Sight | null;
  /** The first sight of it that has unread records. */
  readonly unread: Point | undefined;
  /** Whether it was reported as stopped. */
  readonly isReported: boolean;
}

/**
 * For how long unread records have to wait until a group with members counts as stopped, in milliseconds. By default a consumer
 * commits every 5 s (`auto.commit.interval.ms`) and Kafka Streams every 30 s (`commit.interval.ms`).
 */
const LEAST_WAIT_MS = 60_000;

/**
 * The events of a partition, oldest first.
 *
 * @param sights oldest first: those of snapshots that captured the group
 */
export function eventsOf(sights: readonly Sight[], explain: Explain): readonly Event[] {
  const events: Event[] = [];
  let standstill: Standstill | undefined;
  /** The last sight with a commit, and whose topic's id is known. */
  let identified: Point | undefined;
  let previous: Sight | undefined;
  /** The log start before `previous` was read. */
  let formerStart: bigint | null = null;
  const add = (kind: EventKind, after: Sight | null, before: Sight, more: Partial<Event> = {}) =>
    events.push({
      kind,
      after: after?.taken ?? null,
      before: before.taken,
      from: after?.commit ?? null,
      to: before.commit,
      ...more,
    });
  const because = (rollbackId: string | undefined) => (rollbackId === undefined ? {} : { rollbackId });
  const moved = (rollbackId: string | undefined) =>
    rollbackId === undefined ? ({ unexplained: true } as const) : { rollbackId };

  for (const sight of sights) {
    if (!hasCommit(sight)) {
      if (previous !== undefined && hasCommit(previous)) {
        add("vanished", previous, sight, because(explain("delete", previous, sight)));
      }
      standstill = undefined;
    } else if (identified !== undefined && isRecreated(identified, sight)) {
      add("recreated", identified, sight);
      standstill = standingAt(sight, identified, false);
    } else if (previous === undefined || !hasCommit(previous)) {
      if (previous !== undefined) add("appeared", previous, sight, because(explain("create", previous, sight)));
      standstill = standingAt(sight, previous ?? null, false);
    } else {
      const ahead = sight.commit.offset - previous.commit.offset;
      if (ahead === 0n) {
        const { after = null, unread = unreadAt(sight), isReported = false }: Partial<Standstill> = standstill ?? {};
        const isStopped = unread !== undefined && !isReported && hasWaited(unread, sight);
        if (isStopped) add("stopped", after, unread, after === null ? { from: unread.commit } : {});
        standstill = { after, unread, isReported: isReported || isStopped };
      } else {
        const rollbackId = explain(ahead < 0n ? "rewind" : "fast_forward", previous, sight);
        const isJump = ahead > 0n && (rollbackId !== undefined || isBeyondProcessing(previous, sight, formerStart));
        if (ahead < 0n) add("rewound", previous, sight, moved(rollbackId));
        else if (isJump) add("jumped", previous, sight, moved(rollbackId));
        else if (standstill?.isReported) add("resumed", previous, sight);
        const isReported = (ahead < 0n || isJump) && standstill?.isReported === true;
        standstill = standingAt(sight, previous, isReported);
      }
    }
    formerStart = previous?.logStart ?? formerStart;
    if (identified !== undefined && isRecreated(identified, sight)) formerStart = null;
    if (hasCommit(sight) && sight.topicId !== null) identified = sight;
    previous = sight;
  }
  return events;
}

/** A standstill that begins with a sight. */
const standingAt = (sight: Point, after: Sight | null, isReported: boolean): Standstill => ({
  after,
  unread: unreadAt(sight),
  isReported,
});

/** The sight itself if it has unread records. A pending commit may be the one that they wait for. */
const unreadAt = (sight: Point): Point | undefined =>
  sight.isPending || (lagOf(sight) ?? 0n) === 0n ? undefined : sight;

/**
 * Whether unread records have waited for long enough at a later sight of the same commit, or for a group without members. The
 * consumers of a simple group are never members, so that it has none says nothing.
 */
function hasWaited(unread: Point, sight: Point): boolean {
  if (unreadAt(sight) === undefined) return false;
  return (sight.members === 0 && !sight.isSimple) || sight.readSince - unread.readSince >= LEAST_WAIT_MS;
}

/**
 * Whether a forward move cannot be processing: past the log end, or past records that the log no longer had at its start. The
 * log start of the same snapshot does not show that: it is read after the commit, and Kafka Streams purges its repartition
 * topics up to later commits meanwhile.
 */
function isBeyondProcessing(before: Point, after: Point, formerStart: bigint | null): boolean {
  if (after.logEnd !== null && after.commit.offset > after.logEnd) return true;
  return formerStart !== null && before.commit.offset < formerStart && after.commit.offset >= formerStart;
}
