import { Unseen } from "../expected.ts";
import { temporaryKinds } from "./blockers.ts";
import { type Circumstances, executed } from "./execution.ts";
import {
  callOf,
  type Fields,
  fullRecord,
  identified,
  isFollowed,
  marked,
  type RollbackRecord,
  type Status,
  safetyOf,
  supersededBy,
  type World,
  withWarnings,
} from "./journal.ts";
import { isPending, type Plan, takesPart } from "./plan.ts";
import { dryRun, summaryOf } from "./plan-document.ts";
import { newPlan, resumedPlan } from "./planning.ts";
import { answering, type Expected, failing, type Prediction } from "./prediction.ts";
import { groupsOf, type RollbackRequest, requestKey } from "./rollback-request.ts";
import { commitAt, nextSnapshot, same, withSnapshot } from "./world.ts";

/**
 * The prediction for a rollback. If it is killed, `expected` is what `rollbacks` shows of it.
 */
export interface RollbackPrediction extends Prediction<World> {
  /** Whether it reaches its commits: as a new rollback, or by resuming an earlier one. */
  readonly starts: "new" | "resumed" | false;
}

const isAtTargets = (world: World, { groups }: Plan) =>
  [...groups].every(
    ([group, planned]) =>
      !takesPart(planned) ||
      [...planned.steps].every(([key, { action, to }]) => action === "skip" || same(commitAt(world, group, key), to)),
  );

/** The prediction for `rollback`. */
export function rollback(world: World, request: RollbackRequest, circumstances: Circumstances): RollbackPrediction {
  const prediction = inFull(world, request, circumstances);
  const isKilled = circumstances.killed !== undefined && prediction.starts !== false;
  if (request.detail !== "summary" || isKilled) return prediction;
  const { expected } = prediction;
  if ("result" in expected) return { ...prediction, expected: { result: summaryOf(expected.result) } };
  if (expected.error.details === undefined) return prediction;
  const details = summaryOf(expected.error.details);
  return { ...prediction, expected: { error: { ...expected.error, details } } };
}

function inFull(world: World, request: RollbackRequest, circumstances: Circumstances): RollbackPrediction {
  const withoutStart = (prediction: Prediction<World>): RollbackPrediction => ({ ...prediction, starts: false });
  const fails = (name: string, details?: unknown) => withoutStart(failing(world, name, details));
  const { resume, rollback_id, snapshot_id, dry_run = false, skip_blocked = false } = request;
  const isNewest = typeof snapshot_id === "object" || snapshot_id === "latest";
  if (isNewest && groupsOf(request) === undefined) return fails("InvalidRequest");

  const isNewDryRun = dry_run && resume === undefined;
  const id = isNewDryRun ? undefined : (resume ?? rollback_id);
  const matches = (record: RollbackRecord) =>
    id === undefined ? requestKey(record.asked) === requestKey(request) : record.id === id;
  const earlier = isNewDryRun ? undefined : world.rollbacks.findLast(matches);
  if (earlier === undefined && resume !== undefined) return fails("RollbackNotFound");
  if (earlier !== undefined && id !== undefined) {
    if (resume === undefined && requestKey(earlier.asked) !== requestKey(request)) return fails("InvalidRequest");
    const isSuperseded =
      earlier.supersededBy !== undefined && (resume !== undefined || earlier.status === "superseded");
    if (isSuperseded) return fails("InvalidRequest");
    if (earlier.status === "success" || (resume === undefined && earlier.status !== "running")) {
      return withoutStart(repeated(world, earlier, request));
    }
    if (isFollowed(world, earlier)) return fails("InvalidRequest");
    const rest = resumedPlan(world, earlier.plan, skip_blocked);
    return dry_run
      ? withoutStart(answering(world, dryRun(rest)))
      : resumed(world, earlier, rest, request, circumstances);
  }

  const plan = newPlan(world, request);
  if (typeof plan === "string") return fails(plan);
  const isChanged =
    request.plan_digest !== undefined && circumstances.planOfDigest(request.plan_digest) !== plan.digest;
  if (dry_run) return isChanged ? fails("PlanChanged", dryRun(plan)) : withoutStart(answering(world, dryRun(plan)));
  if (earlier !== undefined && earlier.supersededBy === undefined) {
    if (earlier.status === "success") {
      if (isAtTargets(world, earlier.plan)) return withoutStart(repeated(world, earlier, request));
    } else if (!isFollowed(world, earlier)) {
      const isBlocked = resumedPlan(world, earlier.plan, false).blockers.some(({ kind }) => !temporaryKinds.has(kind));
      if (!isBlocked)
        return resumed(world, earlier, resumedPlan(world, earlier.plan, skip_blocked), request, circumstances);
    }
  }
  if (isChanged) return fails("PlanChanged", dryRun(plan));
  if (plan.blockers.length > 0) return withoutStart(refusal(world, plan));
  return started(world, plan, request, circumstances);
}

function refusal(world: World, plan: Plan): Prediction<World> {
  const onlyMembers = plan.blockers.every(({ kind }) => kind === "group_not_empty");
  return failing(world, onlyMembers ? "GroupNotEmpty" : "RollbackBlocked", dryRun(plan));
}

function answerOf(result: Fields, status: Status, verify: boolean): Expected {
  const answer = verify ? result : { ...result, verification: undefined };
  return status === "success" ? { result: answer } : failing(undefined, "RollbackIncomplete", answer).expected;
}

function repeated(world: World, earlier: RollbackRecord, { verify = true }: RollbackRequest): Prediction<World> {
  const { id, safetyId, result, status } = earlier;
  const again = { rollback_id: id, safety_snapshot_id: safetyId, ...result, repeated: true };
  return { expected: answerOf(again, status, verify), after: () => world };
}

/** A new rollback: safety snapshot, journal record, commits. If it is killed early, it has superseded nothing yet. */
function started(world: World, plan: Plan, request: RollbackRequest, circumstances: Circumstances): RollbackPrediction {
  const id = request.rollback_id ?? new Unseen("rollback", `rollback ${world.rollbacks.length + 1}`);
  const moves = [...plan.groups.values()].some(({ steps }) => [...steps.values()].some(isPending));
  const safetyId = moves ? nextSnapshot(world) : null;
  const superseded = circumstances.killed === "early" ? [] : supersededBy(world.rollbacks, plan);
  const done = executed(world, withWarnings(plan, superseded), circumstances);
  const journalRecord: RollbackRecord<Unseen | string> = {
    id,
    safetyId,
    asked: request,
    plan,
    calls: [callOf(request, done.end.status)],
    ...done.end,
  };
  return {
    starts: "new",
    ...answered(journalRecord, request),
    after(seen) {
      const known = identified(journalRecord, seen);
      const saved =
        known.safetyId === null ? done.world : withSnapshot(done.world, safetyOf(world, known.safetyId, known));
      return { ...saved, rollbacks: [...marked(world.rollbacks, superseded, known.id), known] };
    },
  };
}

/** A resumed rollback. It supersedes what the call that began it left, because that was killed early. */
function resumed(
  world: World,
  earlier: RollbackRecord,
  rest: Plan,
  request: RollbackRequest,
  circumstances: Circumstances,
): RollbackPrediction {
  if (rest.blockers.length > 0) return { ...refusal(world, rest), starts: false };
  const before = world.rollbacks.slice(0, world.rollbacks.indexOf(earlier));
  const superseded = circumstances.killed === "early" ? [] : supersededBy(before, rest);
  const done = executed(world, withWarnings(rest, superseded), circumstances);
  const { result: _, ...open } = earlier;
  const calls = [...earlier.calls, callOf(request, done.end.status)];
  const journalRecord: RollbackRecord = { ...open, calls, ...done.end };
  const ended =
    journalRecord.result === undefined
      ? journalRecord
      : { ...journalRecord, result: { ...journalRecord.result, resumed: true } };
  return {
    starts: "resumed",
    ...answered(ended, request),
    after: (seen) => ({
      ...done.world,
      rollbacks: marked(
        world.rollbacks.map((rollback) => (rollback === earlier ? identified(ended, seen) : rollback)),
        superseded,
        earlier.id,
      ),
    }),
  };
}

/** The answer of a rollback that ended, or what `rollbacks` shows of one that was killed. */
function answered(
  journalRecord: RollbackRecord<Unseen | string>,
  { verify = true }: RollbackRequest,
): { expected: Expected } {
  const { id, safetyId, status, result } = journalRecord;
  if (result === undefined) return { expected: { result: fullRecord(journalRecord) } };
  return { expected: answerOf({ rollback_id: id, safety_snapshot_id: safetyId, ...result }, status, verify) };
}
