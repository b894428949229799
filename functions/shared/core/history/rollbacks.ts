import type { Commit } from "../model.ts";
import type { Plan } from "../rollback/plan.ts";
import type { Explain, Step } from "./events.ts";
import { readUntil, type Sight } from "./sight.ts";

/** A rollback of the journal that may explain how commits moved. Times are milliseconds since 1970. */
export interface KnownRollback {
  readonly rollbackId: string;
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

/** The steps of a plan for groups that are wanted. */
export function stepsOf(plan: Pick<Plan, "groups">, isWanted: (group: string) => boolean): KnownRollback["groups"] {
  const wanted = [...plan.groups].filter(([group, { leftOut }]) => isWanted(group) && leftOut !== true);
  return new Map(
    wanted.map(([group, { partitions }]) => [
      group,
      new Map(
        [...partitions].flatMap(([key, { action, to }]) => (isStep(action) ? [[key, { step: action, to }]] : [])),
      ),
    ]),
  );
}

const isStep = (action: string): action is Step =>
  action === "rewind" || action === "fast_forward" || action === "create" || action === "delete";

/**
 * Finds the rollback that moved the commit of a partition between two sights: the newest that ran at that time, was planned to
 * make this step, and whose target lies where the group can have come from since.
 *
 * @param rollbacks newest first
 */
export function explainBy(rollbacks: readonly KnownRollback[], group: string, key: string): Explain {
  return (step, before, after) =>
    rollbacks.find(({ from, until, groups }) => {
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
