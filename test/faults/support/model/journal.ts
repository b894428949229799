import type { Unseen } from "../expected.ts";
import { groupsIn, type Plan, takesPart } from "./plan.ts";
import { digestOf, planDocument } from "./plan-document.ts";
import type { RollbackRequest } from "./rollback-request.ts";
import { type World as AnyWorld, noCommits, only, type Saved } from "./world.ts";

/** A world whose journal has rollbacks. */
export type World = AnyWorld<RollbackRecord>;

/** The status of a rollback. `running` includes a call that was killed. */
export type Status = "success" | "partial_success" | "failed" | "running" | "superseded";

/** A rollback in the journal. One that was killed stays `running`, without a result, until it is resumed or superseded. */
export interface RollbackRecord<Id = string> {
  readonly id: Id;
  readonly asked: RollbackRequest;
  readonly plan: Plan;
  readonly safetyId: Id | null;
  readonly status: Status;
  readonly supersededBy?: string;
  /** Who made each call that ran it, and how the call ended; killed ones have no outcome. */
  readonly calls: readonly { readonly by: string | null; readonly outcome: Status | undefined }[];
  readonly result?: Fields;
}

/** The fields of a result. */
export type Fields = Readonly<Record<string, unknown>>;

/** Whether a newer rollback has rolled back a group of an earlier one. */
export const isFollowed = ({ rollbacks }: World, earlier: RollbackRecord) =>
  rollbacks
    .slice(rollbacks.indexOf(earlier) + 1)
    .some((newer) => groupsIn(newer.plan).some((group) => earlier.plan.groups.has(group)));

/** The rollbacks that a rollback with this plan supersedes: those before it that can be resumed and have one of its groups. */
export const supersededBy = (before: readonly RollbackRecord[], plan: Plan) =>
  before.filter((earlier) => {
    const isOpen = earlier.status !== "success" && earlier.supersededBy === undefined;
    return isOpen && groupsIn(plan).some((group) => earlier.plan.groups.has(group));
  });

/** A plan with a warning for each rollback that it supersedes. */
export const withWarnings = (plan: Plan, superseded: readonly RollbackRecord[]): Plan => ({
  ...plan,
  warnings: [
    ...plan.warnings,
    ...superseded.map(() => / had not reached all its targets\. This rollback supersedes it: /),
  ],
});

/** The journal after some rollbacks were superseded. */
export const marked = (rollbacks: readonly RollbackRecord[], superseded: readonly RollbackRecord[], by: string) =>
  rollbacks.map((earlier): RollbackRecord => {
    if (!superseded.includes(earlier)) return earlier;
    return { ...earlier, supersededBy: by, status: earlier.status === "running" ? "superseded" : earlier.status };
  });

/** A call that runs a rollback, as its record has it. */
export const callOf = ({ requested_by }: RollbackRequest, status: Status) => ({
  by: requested_by ?? null,
  outcome: status === "running" ? undefined : status,
});

/** A record with the ids that the answer showed. */
export const identified = (
  journalRecord: RollbackRecord<Unseen | string>,
  seen: (unseen: Unseen | string) => string,
): RollbackRecord => {
  const id = seen(journalRecord.id);
  return { ...journalRecord, id, safetyId: journalRecord.safetyId && seen(journalRecord.safetyId) };
};

/** The safety snapshot of a rollback. */
export function safetyOf(
  world: World,
  id: string,
  { id: rollbackId, plan, asked: { description } }: RollbackRecord,
): Saved {
  const names = [...only(plan.groups, (_, planned) => takesPart(planned)).keys()];
  return {
    id,
    description: `Before ${rollbackId} to ${plan.snapshotId}${description ? `: ${description}` : ""}`,
    safety: true,
    selection: { groups: names.map((name) => ({ name })), exclude: [] },
    warnings: [],
    commits: new Map(names.map((name) => [name, world.groups.get(name)?.commits ?? noCommits])),
    ...plan.observed,
  };
}

/** The histories call the functions directly. */
const claimed = { arn: null, proven: false };

/** A rollback as `rollbacks` shows it: its row in the list, and the further fields if it is requested by id. */
export function record(journalRecord: RollbackRecord<Unseen | string>) {
  const { id, asked, plan, safetyId, status, supersededBy, calls, result } = journalRecord;
  const attempts = calls.length;
  const row = {
    rollback_id: id,
    status: status === "running" ? "unfinished" : status,
    snapshot_id: plan.snapshotId,
    safety_snapshot_id: safetyId,
    requested_by: asked.requested_by ?? null,
    caller: claimed,
    started_at: /Z$/,
    resumed_at: attempts > 1 ? /Z$/ : undefined,
    ended_at: result && /Z$/,
    groups: plan.groups.size,
    description: asked.description ?? "",
    superseded_by: supersededBy,
    attempts,
  };
  const recorded = result && { rollback_id: id, safety_snapshot_id: safetyId, ...result };
  const shown = calls.map(({ by, outcome }, i) => ({
    attempt: i + 1,
    requested_by: by,
    caller: claimed,
    request_id: /\S/,
    started_at: /Z$/,
    ended_at: outcome && /Z$/,
    outcome: outcome ?? (i === attempts - 1 && status === "running" ? "unfinished" : "interrupted"),
  }));
  return {
    row,
    calls: attempts > 10 ? [...shown.slice(0, 1), ...shown.slice(-9)] : shown,
    warnings: [],
    plan: planDocument(plan),
    plan_digest: digestOf(plan),
    result: recorded,
  };
}

/** A rollback as `rollbacks` shows it if it is requested by id. */
export function fullRecord(journalRecord: RollbackRecord<Unseen | string>) {
  const { row, ...more } = record(journalRecord);
  return { ...row, ...more };
}
