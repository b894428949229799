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

/** Since when a commit stands where it stands. */
interface Standstill {
  readonly after: Sight | null;
  readonly before: Point;
  /** Whether it was reported. */
  readonly isReported: boolean;
}

/**
 * The events of a partition, oldest first.
 *
 * @param sights oldest first: those of snapshots that captured the group
 */
export function eventsOf(sights: readonly Sight[], explain: Explain): readonly Event[] {
  const events: Event[] = [];
  let standstill: Standstill | undefined;
  let known: Point | undefined;
  let previous: Sight | undefined;
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
    } else if (known !== undefined && isRecreated(known, sight)) {
      add("recreated", known, sight);
      standstill = { after: known, before: sight, isReported: false };
    } else if (previous === undefined || !hasCommit(previous)) {
      if (previous !== undefined) add("appeared", previous, sight, because(explain("create", previous, sight)));
      standstill = { after: previous ?? null, before: sight, isReported: false };
    } else {
      const ahead = sight.commit.offset - previous.commit.offset;
      if (ahead === 0n) {
        standstill ??= { after: null, before: previous, isReported: false };
        if (!standstill.isReported && isWaiting(previous, sight)) {
          const { after, before } = standstill;
          add("stopped", after, before, after === null ? { from: before.commit } : {});
          standstill = { ...standstill, isReported: true };
        }
      } else {
        const rollbackId = explain(ahead < 0n ? "rewind" : "fast_forward", previous, sight);
        const isJump = ahead > 0n && (rollbackId !== undefined || isBeyondProcessing(previous, sight));
        if (ahead < 0n) add("rewound", previous, sight, moved(rollbackId));
        else if (isJump) add("jumped", previous, sight, moved(rollbackId));
        else if (standstill?.isReported) add("resumed", previous, sight);
        const isReported = (ahead < 0n || isJump) && standstill?.isReported === true;
        standstill = { after: previous, before: sight, isReported };
      }
    }
    if (hasCommit(sight)) known = sight;
    previous = sight;
  }
  return events;
}

/**
 * Whether records waited for the group while its commit stood: some that were there at the first sight, or, if the group has no
 * members, any. A pending commit may be the one that they wait for.
 */
function isWaiting(before: Point, after: Point): boolean {
  const [lagBefore, lagAfter] = [lagOf(before), lagOf(after)];
  if (after.isPending || lagAfter === null || lagAfter === 0n) return false;
  return after.members === 0 || (lagBefore !== null && lagBefore > 0n);
}

/** Whether a forward move cannot be processing: past the log end, or past records that the log no longer had at its start. */
function isBeyondProcessing(before: Point, after: Point): boolean {
  if (after.logEnd !== null && after.commit.offset > after.logEnd) return true;
  return before.logStart !== null && before.commit.offset < before.logStart && after.commit.offset >= before.logStart;
}
