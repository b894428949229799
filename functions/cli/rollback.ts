import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod/mini";
import { result as dryRunResult, request as planRequest } from "../plan/schema.ts";
import { recordResult } from "../rollbacks/schema.ts";
import { type Fields, parseJson } from "../shared/core/json/json.ts";
import { isoSeconds } from "../shared/core/snapshot-id.ts";
import { count } from "../shared/core/text.ts";
import type { Run } from "./command.ts";
import { type ExitCode, exit } from "./exit-codes.ts";
import { commandLine, type Flag, fieldsOf, flagsOf } from "./flags.ts";
import { type Answer, readAnswer } from "./invoke.ts";
import { textFor } from "./output.ts";
import { AnswerLost, OperationFailed, Problem, refused } from "./problems.ts";

/** What is read of a dry run, of which a summary and a later version may have less or more. */
const seenPlan = z.looseObject({
  snapshot_id: dryRunResult.shape.snapshot_id,
  plan_digest: dryRunResult.shape.plan_digest,
  totals: z.looseObject(dryRunResult.shape.totals.shape),
});

/** What is read of an execution: whatever else is answered is no success. */
const succeeded = z.looseObject({ status: z.literal("success") });

/**
 * Rolls back what was seen: a dry run is shown, the question is asked, and the same request is sent with the digest of that
 * plan and the id of its snapshot. `--yes` answers the question; a digest in the request too, since its plan was seen.
 */
export async function rollBack(run: Run, flags: readonly Flag[], rollback = run.request): Promise<ExitCode> {
  if (rollback.dry_run === true) return showPlan(run, flags, rollback);
  if (rollback.plan_digest !== undefined) return execute(run, flags, rollback);
  const repeated = await endedBefore(run, rollback);
  if (repeated !== undefined) return execute(run, flags, repeated);
  if (!run.isSet("yes") && !(process.stdin.isTTY && process.stderr.isTTY)) {
    throw refused("A rollback is confirmed on a terminal, and there is none. Nothing was sent.", [
      `${commandLine("rollback", flags, { ...rollback, dry_run: true })}   (shows what it would do)`,
      `${commandLine("rollback", flags, rollback)} --yes   (does it)`,
    ]);
  }
  const answer = await dryRun(run, { ...rollback, dry_run: true });
  if (isRepeated(answer)) return showEnded(run, answer);
  const plan = readAnswer(seenPlan, answer, "the dry run");
  run.say(`Dry run of a rollback by ${run.deployment.name}. Nothing was changed.`, "");
  run.say(await textFor(process.stderr, answer.result));
  requireUnblocked(plan, flags, rollback);
  const { replayed, skipped, groups } = plan.totals;
  const moved = movesOf(plan);
  if (!run.isSet("yes")) {
    if (moved.length === 0) {
      run.say(`${idle(plan)} Nothing was changed.`);
      return exit.done;
    }
    const what = moved.map(([action, n]) => `${action} ${n}`).join(", ");
    const partitions = count(
      moved.reduce((sum, [, n]) => sum + n, 0),
      "partition",
    );
    const figures = `replays at most ${replayed ?? "an unknown number of"} records, skips ${skipped ?? "an unknown number"}`;
    const question = `Roll back ${count(groups, "group")}: ${partitions} (${what}); ${figures}?`;
    if (!(await isConfirmed(question))) throw refused("Nothing was changed: the rollback was not confirmed.");
  }
  return execute(run, flags, exactly(plan, rollback));
}

type Plan = z.output<typeof seenPlan>;

/** What is read of the record of a rollback that has ended. */
const endedRecord = z.looseObject({
  snapshot_id: recordResult.shape.snapshot_id,
  plan_digest: recordResult.shape.plan_digest,
  ended_at: recordResult.shape.ended_at,
  unplanned: recordResult.shape.unplanned,
});

/**
 * The request of an earlier rollback of the id that was typed, as it was sent then: its dry run would be another now. Whether it
 * asked for the same is decided by the function, which answers with the recorded result. Undefined where none has ended.
 */
async function endedBefore(run: Run, rollback: Fields): Promise<Fields | undefined> {
  const { rollback_id, snapshot_id } = rollback;
  if (rollback_id === undefined) return undefined;
  const answer = await run.call("rollbacks", { rollback_id }).catch((error) => {
    if (error instanceof OperationFailed && error.name === "RollbackNotFound") return undefined;
    throw error;
  });
  if (answer === undefined) return undefined;
  const record = readAnswer(endedRecord, answer, "rollbacks");
  if (record.ended_at === undefined || record.unplanned) return undefined;
  const isChosen = typeof snapshot_id === "object" || snapshot_id === "latest";
  const chosen = isChosen ? record.snapshot_id : snapshot_id;
  return { ...rollback, ...(chosen !== undefined && { snapshot_id: chosen }), plan_digest: record.plan_digest };
}

/** Whether an answer is the recorded result of a rollback that had succeeded before, so that this call did nothing. */
const isRepeated = ({ result }: Answer): boolean => z.safeParse(repeatedResult, result).success;
const repeatedResult = z.extend(succeeded, { repeated: z.literal(true) });

async function showEnded(run: Run, answer: Answer): Promise<ExitCode> {
  await run.show(answer);
  run.say("It had ended before: this is its recorded result. Nothing was changed now.");
  return exit.done;
}

/** Sends a dry run. Who may not call rollback is shown the command of `plan`, which a viewer may call. */
async function dryRun(run: Run, rollback: Fields): Promise<Answer> {
  return run.call("rollback", rollback).catch((error: unknown) => {
    if (!(error instanceof Problem) || !isDenied(error.cause) || rollback.resume !== undefined) throw error;
    const asked = Object.entries(rollback).filter(([field]) => field in planRequest.shape);
    error.next = [commandLine("plan", flagsOf(planRequest), Object.fromEntries(asked))];
    throw error;
  });
}

const isDenied = (cause: unknown) => cause instanceof Error && cause.name === "AccessDeniedException";

/** What the plan would change, by action. */
const movesOf = ({ totals }: Plan) =>
  Object.entries(totals.actions).filter(([action, n]) => n > 0 && action !== "unchanged" && action !== "skip");

/** The request that executes this plan and no other. A resumed rollback has the snapshot and the digest in its journal. */
const exactly = ({ snapshot_id, plan_digest }: Plan, rollback: Fields): Fields =>
  rollback.resume === undefined ? { ...rollback, snapshot_id, plan_digest } : rollback;

const idle = ({ totals }: Plan) =>
  totals.partitions === 0
    ? "There is nothing to do: the plan has no partitions."
    : "There is nothing to do: every partition of the plan stands at its target, or is left out.";

const blockersOf = ({ totals }: Plan) => Object.entries(totals.blockers).filter(([, n]) => n > 0);

/** Members may leave while the rollback waits for that. */
function requireUnblocked(plan: Plan, flags: readonly Flag[], rollback: Fields): void {
  const waits = Number(rollback.wait_for_empty_seconds ?? 0) > 0;
  const blockers = blockersOf(plan).filter(([kind]) => !(waits && kind === "group_not_empty"));
  if (blockers.length === 0) return;
  throw blocked(blockers, flags, rollback);
}

function blocked(blockers: readonly (readonly [string, number])[], flags: readonly Flag[], rollback: Fields): Problem {
  const kinds = blockers.map(([kind, n]) => `${kind} ${n}`).join(", ");
  const { dry_run: _, ...again } = rollback;
  return refused(`The rollback would be refused: ${kinds}. Nothing was changed. Remove the blockers above, then:`, [
    commandLine("rollback", flags, again),
  ]);
}

/**
 * Shows what a rollback would do. Blockers are a refusal, so that a script can branch on them.
 *
 * @param flags those of a rollback, for the command that does what was shown
 * @param by the operation that is asked: `plan` answers as a dry run does
 */
export async function showPlan(
  run: Run,
  flags: readonly Flag[],
  rollback: Fields,
  by: "rollback" | "plan" = "rollback",
): Promise<ExitCode> {
  const answer = by === "plan" ? await run.call(by, rollback) : await dryRun(run, rollback);
  if (isRepeated(answer)) return showEnded(run, answer);
  const plan = readAnswer(seenPlan, answer, "the dry run");
  await run.show(answer);
  const blockers = blockersOf(plan);
  if (blockers.length > 0) throw blocked(blockers, flags, rollback);
  const { dry_run: _, ...again } = rollback;
  run.say("", "A dry run: nothing was changed.");
  if (movesOf(plan).length === 0) run.say(idle(plan));
  else {
    const rights = by === "plan" ? "; requires the operator's policy" : "";
    const command = run.here(commandLine("rollback", flags, exactly(plan, again)));
    run.say(`Next: ${command}   (does exactly this at once, without asking${rights})`);
  }
  return exit.done;
}

/** Sends a rollback under an id that was said before, so that it can be looked up whatever becomes of the answer. */
async function execute(run: Run, flags: readonly Flag[], rollback: Fields): Promise<ExitCode> {
  const id =
    rollback.resume ?? rollback.rollback_id ?? `rollback-${isoSeconds(new Date())}-${randomUUID().slice(0, 8)}`;
  const named = rollback.resume === undefined ? { ...rollback, rollback_id: id } : rollback;
  run.say(`Sending rollback ${id}.`);
  const lookUp = `offset-rollback rollbacks --rollback-id ${id}`;
  const stopped = () => {
    run.say(
      "",
      "Interrupted. The function goes on: how the rollback ends is not known yet.",
      `Next: ${run.here(lookUp)}`,
    );
    process.exit(exit.failed);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stopped);
  try {
    const answer = await run.call("rollback", named);
    readAnswer(succeeded, answer, `rollback ${id}`, true);
    if (isRepeated(answer)) return await showEnded(run, answer);
    await run.show(answer);
    return exit.done;
  } catch (error) {
    if (error instanceof AnswerLost) throw new Problem(error.message, exit.failed, [lookUp], error);
    if (!(error instanceof OperationFailed)) throw error;
    const { rollback_id: _id, plan_digest: _digest, ...again } = rollback;
    if (error.name === "RollbackIncomplete") {
      error.next = [lookUp, ...advisedIn(error.message).map((advised) => commandLine("rollback", flags, advised))];
    } else if (error.exitCode === exit.failed) error.next = [lookUp];
    else if (error.name !== "RollbackInProgress") {
      // The id that was typed may be that of an earlier try, which ended without an answer.
      const looks = error.name === "InvalidRequest" && rollback.rollback_id !== undefined ? [lookUp] : [];
      error.next = [...looks, commandLine("rollback", flags, { ...again, dry_run: true })];
    }
    throw error;
  }
}

/** The request that the message of a rollback says to send next: none where a resume would be refused. */
function advisedIn(message: string): Fields[] {
  const [advised] = /\{"resume": "[^"]*"[^}]*\}/.exec(message) ?? [];
  const request: unknown = advised === undefined ? undefined : parseJson(advised);
  return typeof request === "object" && request !== null ? [fieldsOf(request)] : [];
}

/** How long nothing is typed before the question is asked. */
const QUIET_MS = 50;

/**
 * Drops what was typed while the dry run was on its way: it cannot be an answer to a plan that was not shown yet. Resolves to false
 * if Ctrl-C was among it.
 */
async function dropTyped(input: typeof process.stdin): Promise<boolean> {
  let typed = 0;
  let isInterrupted = false;
  const drop = (data: Buffer | string) => {
    typed++;
    isInterrupted ||= data.includes("\u0003");
  };
  input.setRawMode(true);
  input.on("data", drop);
  for (let seen = -1; seen !== typed && !isInterrupted; ) {
    seen = typed;
    await delay(QUIET_MS);
  }
  input.off("data", drop);
  input.pause();
  input.setRawMode(false);
  return !isInterrupted;
}

/** Asks, and takes only a whole line `y` or `yes` for yes: a key alone, another word, Ctrl-C and Ctrl-D are no. */
async function isConfirmed(question: string): Promise<boolean> {
  if (!(await dropTyped(process.stdin))) return false;
  const { createInterface } = await import("node:readline");
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  return new Promise((resolve) => {
    let isAnswered = false;
    terminal.once("close", () => {
      if (!isAnswered) process.stderr.write("\n");
      resolve(false);
    });
    terminal.question(`${question} (y/N) `, (answer) => {
      isAnswered = true;
      resolve(/^y(es)?$/i.test(answer.trim()));
      terminal.close();
    });
  });
}
