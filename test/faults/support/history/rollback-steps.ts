import { DeleteItemCommand } from "@aws-sdk/client-dynamodb";
import { expect } from "vitest";
import { show } from "../expected.ts";
import type { Circumstances } from "../model/execution.ts";
import { record } from "../model/journal.ts";
import { failing } from "../model/prediction.ts";
import { type RollbackPrediction, rollback } from "../model/rollback.ts";
import type { RollbackRequest } from "../model/rollback-request.ts";
import { ask, requireSame, rowsOf } from "./compare.ts";
import type { Dice } from "./dice.ts";
import { commitOn, commitSome, send } from "./kafka-steps.ts";
import { anyRollback } from "./requests.ts";
import { partitionsOf, type Run, withoutMember } from "./run.ts";
import { showSnapshot } from "./snapshot-steps.ts";

/** What happens during a rollback, if it starts. Other writers mostly commit on partitions that already have a commit. */
function anyCircumstances(run: Run, dice: Dice): Omit<Circumstances, "planOfDigest"> {
  if (dice.oneIn(14)) return { killed: dice.pick(["early", "late"] as const) };
  const joined = dice.oneIn(10) && run.joined === undefined ? dice.pick(run.names.groups) : undefined;
  const groups = withoutMember(run).filter((group) => group !== joined);
  const keys = partitionsOf(run);
  const meanwhile = Array.from({ length: dice.oneIn(3) && keys.length > 0 ? 1 + dice.below(2) : 0 }, () => {
    const group = dice.pick(groups);
    const own = [...(run.world.groups.get(group)?.commits.keys() ?? [])];
    const key = dice.pick(own.length > 0 && !dice.oneIn(4) ? own : keys);
    return { group, key, commit: commitOn(run, dice, key) };
  });
  return { meanwhile, joined };
}

/** The call by which a rollback writes its journal record, after its plan and before its first commit. */
const journalCallOf = (starts: "new" | "resumed" | false) =>
  starts === "resumed"
    ? { action: "UpdateItem", body: "resumed_at" }
    : { action: "TransactWriteItems", body: "rollback-id" };

/** Requests a rollback, and returns the plan digest if the answer has one. */
export async function askRollback(run: Run, dice: Dice, request: RollbackRequest): Promise<string | undefined> {
  const circumstances = anyCircumstances(run, dice);
  const planOfDigest = (digest: string) => run.seen.keyOf("digest", digest);
  const prediction = rollback(run.world, request, { ...circumstances, planOfDigest });
  run.requested.push(request);
  if (circumstances.killed !== undefined && prediction.starts !== false) {
    await killRollback(run, request, prediction, circumstances.killed);
    if (dice.oneIn(2)) await askRollback(run, dice, request);
    return undefined;
  }
  const { meanwhile = [], joined } = circumstances;
  if (prediction.starts && meanwhile.length > 0)
    run.log(`before its first commit, another writer commits ${show(meanwhile)}`);
  if (prediction.starts && joined !== undefined) run.log(`before its first commit, a consumer joins ${show(joined)}`);
  const { faults } = run.faults.storage;
  const start = faults.when(journalCallOf(prediction.starts), async () => {
    for (const { group, key, commit } of meanwhile) await send(run, new Map([[group, new Map([[key, commit]])]]));
    if (joined !== undefined) run.joined = { group: joined, member: await run.outside.join(joined) };
    return undefined;
  });
  const answer = await ask(run, "rollback", request, prediction);
  faults.clear();
  expect(start.happened, "whether the rollback started").toBe(prediction.starts !== false);
  countAnswer(run, answer);
  const { plan_digest, safety_snapshot_id } = answer;
  if (prediction.starts === "new" && typeof safety_snapshot_id === "string")
    await showSnapshot(run, safety_snapshot_id);
  if (typeof plan_digest !== "string") return undefined;
  run.digests.push(plan_digest);
  return plan_digest;
}

/** Deletes the lease of a killed rollback, which would expire after 20 s. */
export async function freeLease({ faults: { storage } }: Run): Promise<void> {
  const { dynamodb, config } = storage;
  for (const { pk, sk } of await storage.items("lease")) {
    if (pk && sk) await dynamodb.send(new DeleteItemCommand({ TableName: config.table, Key: { pk, sk } }));
  }
}

/** Runs a rollback in a process that is killed, and compares its journal record with the prediction. */
async function killRollback(
  run: Run,
  request: RollbackRequest,
  { starts, expected, after }: RollbackPrediction,
  when: "early" | "late",
): Promise<void> {
  run.log(`rollback ${JSON.stringify(request)} is killed, ${when}`);
  run.count(`killed ${when}, ${starts}`);
  const { faults } = run.faults.storage;
  const worker = run.faults.startWorker("rollback", JSON.parse(JSON.stringify(request)));
  const moment = when === "early" ? journalCallOf(starts) : { action: "UpdateItem", body: ":result_name" };
  const killed = faults.when({ ...moment, at: when === "early" ? "answer" : "call" }, () => {
    worker.kill();
    return when === "early" ? "lost" : "breaks";
  });
  expect(await worker.answer, "the answer of a killed process").toBeUndefined();
  expect(killed.happened).toBe(true);
  const { rollback_id } = await ask(run, "rollback", request, failing(run.world, "RollbackInProgress"));
  await freeLease(run);
  requireSame(run, expected, { result: await recordOf(run, String(rollback_id)) }, "rollbacks");
  run.world = after((unseen) => run.seen.of(unseen));
  const safetyId = run.world.rollbacks.at(-1)?.safetyId;
  if (starts === "new" && safetyId) await showSnapshot(run, safetyId);
}

function countAnswer({ count }: Run, answer: { readonly [field: string]: unknown }): void {
  for (const flag of ["dry_run", "repeated", "resumed"]) if (answer[flag] === true) count(flag);
  if (answer.status !== undefined) count(`status ${answer.status}`);
  for (const { kind } of Object(answer.blockers ?? [])) count(`blocker ${kind}`);
  for (const group of Object.values(Object(answer.groups))) {
    for (const partition of Object.values(Object(group).partitions)) {
      const { outcome, action, asked } = Object(partition);
      count(outcome === undefined ? `action ${action}` : `outcome ${outcome}`);
      if (asked !== undefined && outcome === "restored") count("clamped and restored");
    }
  }
}

export async function rollBackAsPlanned(run: Run, dice: Dice): Promise<void> {
  const { dry_run: _, ...request } = anyRollback(run, dice);
  const plan_digest = await askRollback(run, dice, { ...request, dry_run: true });
  if (plan_digest === undefined) return;
  if (dice.oneIn(4)) await commitSome(run, dice);
  await askRollback(run, dice, { ...request, plan_digest });
}

export async function undo(run: Run, dice: Dice): Promise<void> {
  const last = run.world.rollbacks.findLast(({ safetyId }) => safetyId !== null);
  if (last?.safetyId) await askRollback(run, dice, { snapshot_id: last.safetyId, exact: true });
}

export async function askAgain(run: Run, dice: Dice): Promise<void> {
  const request = dice.oneIn(3) && run.requested.length > 0 ? dice.pick(run.requested) : run.requested.at(-1);
  if (request === undefined) return;
  const { dry_run: _, ...again } = request;
  const otherwise = {
    ...(dice.oneIn(4) && { requested_by: "bob" }),
    ...(again.detail === "summary" && dice.oneIn(2) && { detail: "full" as const }),
    ...(dice.oneIn(6) && { verify: false }),
  };
  await askRollback(run, dice, { ...again, ...otherwise });
}

export async function resume(run: Run, dice: Dice): Promise<void> {
  const { rollbacks } = run.world;
  const open = rollbacks.findLast(({ status, supersededBy }) => status !== "success" && supersededBy === undefined);
  const chosen = open ?? (rollbacks.length > 0 ? dice.pick(rollbacks) : undefined);
  const unknown = dice.oneIn(12);
  if (chosen === undefined && !unknown) return askRollback(run, dice, anyRollback(run, dice)).then(() => {});
  const request = { resume: chosen === undefined || unknown ? `${run.name}-unknown` : chosen.id };
  const options = { ...(dice.oneIn(3) && { skip_blocked: true }), ...(dice.oneIn(5) && { dry_run: true }) };
  await askRollback(run, dice, { ...request, ...options });
}

/** A rollback with its plan and its result, without fields that the model lacks. */
async function recordOf({ faults }: Run, rollback_id: string): Promise<object> {
  const {
    request: _,
    cluster_id: __,
    topic_ids: ___,
    leader_epochs: ____,
    ...shown
  } = Object(await faults.call("rollbacks", { rollback_id }));
  return shown;
}

export async function listRollbacks(run: Run, dice: Dice): Promise<void> {
  const { rollbacks } = run.world;
  const records = rollbacks.map(record);
  const ids = rollbacks.map(({ id }) => id);
  const rows = await rowsOf(run, "rollbacks", { limit: 30 + dice.below(50) }, "rollback_id", ids);
  requireSame(run, records.map(({ row }) => row).reverse(), rows, "rollbacks");
  if (rollbacks.length === 0) return;
  const { row, ...more } = dice.pick(records);
  const shown = await recordOf(run, String(row.rollback_id));
  requireSame(run, { ...row, ...more }, shown, `rollbacks ${row.rollback_id}`);
}
