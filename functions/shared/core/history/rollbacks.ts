import { anyKey, document, json, mapOf, mark, oneOf, optional } from "../json/codec.ts";
import type { Commit } from "../model.ts";
import type { Plan } from "../rollback/plan.ts";
import { partitionOutcomes } from "../rollback/settle.ts";
import type { Explain, Step } from "./events.ts";
import { readUntil, type Sight } from "./sight.ts";

/** A rollback of the journal that may explain how commits moved. Times are milliseconds since 1970. */
export interface KnownRollback {
  readonly rollbackId: string;
  /** It moved nothing before this snapshot was saved. */
  readonly safetySnapshotId: string | null;
  readonly from: number;
  readonly until: number;
  /** What it did to each partition, by group and topic-partition. */
  readonly groups: ReadonlyMap<string, ReadonlyMap<string, PlannedStep>>;
}

/** The commit that a rollback set. */
export interface PlannedStep {
  readonly step: Step;
  readonly to: Commit | null;
}

/** Tells of a partition whether a rollback cannot have moved it. */
type IsUnmoved = (group: string, key: string) => boolean;

/** The steps of a plan for groups that are wanted, without those that were not made. */
export function stepsOf(
  plan: Pick<Plan, "groups">,
  isWanted: (group: string) => boolean,
  isUnmoved: IsUnmoved = () => false,
): KnownRollback["groups"] {
  const wanted = [...plan.groups].filter(([group, { leftOut }]) => isWanted(group) && leftOut !== true);
  return new Map(
    wanted.map(([group, { partitions }]) => [
      group,
      new Map(
        [...partitions].flatMap(([key, { action, to }]) =>
          isStep(action) && !isUnmoved(group, key) ? [[key, { step: action, to }]] : [],
        ),
      ),
    ]),
  );
}

const isStep = (action: string): action is Step =>
  action === "rewind" || action === "fast_forward" || action === "create" || action === "delete";

/** What of a result says whether a partition was moved. */
const outcome = document(
  { outcome: oneOf(partitionOutcomes), actual: optional(json), in_doubt: optional(mark) },
  "ignored",
);
type Outcome = ReturnType<typeof outcome.decode>;
const outcomes = document(
  { groups: mapOf(anyKey, document({ partitions: mapOf(anyKey, outcome) }, "ignored")) },
  "ignored",
);

/**
 * Reads from the result of a rollback which partitions it cannot have moved. A status that is `failed` does not say that:
 * Kafka may have accepted a commit, and another one followed, or it could not be read back.
 *
 * @param result of the first call: a call that resumed it does not say what the calls before it moved
 * @throws DecodeError
 */
export function unmovedIn(result: unknown): IsUnmoved {
  const { groups } = outcomes.decode(result, "result");
  return (group, key) => {
    const { outcome, actual, inDoubt }: Partial<Outcome> = groups.get(group)?.partitions.get(key) ?? {};
    return outcome === "not_attempted" || (outcome === "failed" && actual !== undefined && !inDoubt);
  };
}

/**
 * Finds the rollback that moved the commit of a partition between two sights: the newest that ran at that time, was planned to
 * make this step, and whose target lies where the group can have come from since.
 *
 * @param rollbacks newest first
 */
export function explainBy(rollbacks: readonly KnownRollback[], group: string, key: string): Explain {
  return (step, before, after) =>
    rollbacks.find(({ safetySnapshotId, from, until, groups }) => {
      if (after.taken.snapshotId === safetySnapshotId) return false;
      if (from > readUntil(after) || until < before.readSince) return false;
      const planned = groups.get(group)?.get(key);
      return planned?.step === step && fits(planned.to, before, after);
    })?.rollbackId;
}

/** Whether a commit that was set to this between two sights is possible: consumers only advance. */
function fits(to: Commit | null, before: Sight, after: Sight): boolean {
  if (to === null || after.commit === null) return to === null && after.commit === null;
  if (to.offset > after.commit.offset) return false;
  if (before.commit === null || after.commit.offset < before.commit.offset) return true;
  return to.offset > before.commit.offset;
}
