import * as z from "zod/mini";
import { pageResult, recordResult } from "../rollbacks/schema.ts";
import { withColons } from "../shared/core/snapshot-id.ts";
import { count, listSome } from "../shared/core/text.ts";
import type { Run } from "./command.ts";
import type { ExitCode } from "./exit-codes.ts";
import type { Flag } from "./flags.ts";
import { readAnswer } from "./invoke.ts";
import { sayWarnings } from "./output.ts";
import { OperationFailed, Problem, refused } from "./problems.ts";
import { isRehearsal } from "./rehearsal.ts";
import { rollBack } from "./rollback.ts";

/**
 * Undoes a rollback: rolls its groups back to its safety snapshot, exactly. Without an id, the last one.
 *
 * @throws Problem where there is nothing to undo, or the last rollback is not known for certain
 */
export async function undo(run: Run, flags: readonly Flag[]): Promise<ExitCode> {
  const { rollback_id, ...options } = run.request;
  const newest = await newestRollbacks(run);
  const id = rollback_id === undefined ? lastOf(run, newest) : withColons(String(rollback_id));
  const answer = await run.call("rollbacks", { rollback_id: id });
  sayWarnings(answer.result);
  const record = readAnswer(recorded, answer, "rollbacks");
  const { status } = record;
  if (status === "running") {
    throw refused(`${id} is still running: there is nothing to undo yet. Nothing was changed.`, [
      `offset-rollback rollbacks --rollback-id ${id}`,
    ]);
  }
  if (record.safety_snapshot_id === null) {
    throw refused(
      `${id} has no safety snapshot: it committed nothing, so there is nothing to undo. Nothing was changed.`,
      [undoOfAnother(newest), "offset-rollback rollbacks"].filter((command) => command !== undefined),
    );
  }
  const { safety_snapshot_id, snapshot_id, requested_by, started_at, request } = record;
  run.say(
    `Undo of ${id} (${status}): the rollback to ${snapshot_id} by ${requested_by ?? "an unnamed caller"} at ${started_at}. ` +
      "It restores the commits from before it, and deletes commits on partitions that had none before it.",
  );
  const undone = newest.rollbacks.find((row) => row.safety_snapshot_id === snapshot_id);
  if (undone !== undefined) {
    run.say(
      `${id} was itself an undo of ${undone.rollback_id}: to undo it moves the groups as ${undone.rollback_id} did.`,
    );
  }
  await sayFollowers(run, newest, id, groupsOf(record));
  const topics = options.topics ?? request.topics;
  const back = { ...options, snapshot_id: safety_snapshot_id, ...(topics !== undefined && { topics }), exact: true };
  return rollBack(run, flags, back).catch((error) => {
    if (!(error instanceof OperationFailed) || error.name !== "SnapshotNotFound") throw error;
    throw refused(
      `${id} cannot be undone: its safety snapshot ${safety_snapshot_id} is no longer there. Nothing was changed. To roll back ` +
        `to another snapshot from before ${started_at}, choose one:`,
      ["offset-rollback list"],
    );
  });
}

/** What is read of a record of the journal. One without a safety snapshot has moved nothing, and may have no plan. */
const recorded = z.union([
  z.looseObject({ status: recordResult.shape.status, safety_snapshot_id: z.null() }),
  z.looseObject({
    status: recordResult.shape.status,
    snapshot_id: recordResult.shape.snapshot_id,
    safety_snapshot_id: z.string(),
    requested_by: recordResult.shape.requested_by,
    started_at: recordResult.shape.started_at,
    plan: z.optional(z.unknown()),
    request: z.looseObject({ topics: z.optional(z.array(z.union([z.string(), z.object({ name: z.string() })]))) }),
  }),
]);

const page = z.looseObject({
  rollbacks: z.array(z.looseObject({ rollback_id: z.string(), safety_snapshot_id: z.nullable(z.string()) })),
  warnings: pageResult.shape.warnings,
});
type Page = z.output<typeof page>;

/** How many rollbacks are looked at: for the last one, those that followed one, and the one that an undo has undone. */
const NEWEST = 50;

async function newestRollbacks(run: Run): Promise<Page> {
  const answer = await run.call("rollbacks", { limit: NEWEST });
  sayWarnings(answer.result);
  return readAnswer(page, answer, "rollbacks");
}

/** @throws Problem where there is none, or a newer one could not be read */
function lastOf(run: Run, { rollbacks, warnings }: Page): string {
  if (warnings.length > 0) {
    throw refused("Which rollback is the last is not certain. Nothing was changed. Name the one to undo:", [
      "offset-rollback rollbacks",
      "offset-rollback undo ROLLBACK_ID",
    ]);
  }
  const at = rollbacks.findIndex(({ rollback_id }) => !isRehearsal(rollback_id));
  const rehearsals = (at < 0 ? rollbacks : rollbacks.slice(0, at)).map(({ rollback_id }) => rollback_id);
  if (rehearsals.length > 0) {
    run.say(`Passed over, because doctor made and removed them: ${listSome(rehearsals, (id) => id)}.`);
  }
  const last = rollbacks[at];
  if (last !== undefined) return last.rollback_id;
  throw refused(
    rollbacks.length < NEWEST
      ? "There is no rollback to undo. Nothing was changed."
      : `None of the newest ${NEWEST} rollbacks is one to undo. Nothing was changed. Name the one to undo: undo ROLLBACK_ID.`,
    rollbacks.length < NEWEST ? [] : ["offset-rollback rollbacks"],
  );
}

/** The command that undoes the last rollback that committed something. */
function undoOfAnother({ rollbacks }: Page): string | undefined {
  const last = rollbacks.find((row) => row.safety_snapshot_id !== null && !isRehearsal(row.rollback_id));
  return last && `offset-rollback undo ${last.rollback_id}`;
}

/** The groups of a rollback's plan. Undefined: they are not known. */
function groupsOf({ plan }: { readonly plan?: unknown }): ReadonlySet<string> | undefined {
  const parsed = z.looseObject({ groups: z.record(z.string(), z.unknown()) }).safeParse(plan);
  return parsed.success ? new Set(Object.keys(parsed.data.groups)) : undefined;
}

/** How many rollbacks that followed one are looked up, for their groups. */
const LOOKED_UP = 10;

/**
 * Says which rollbacks of the same groups followed one that is to be undone: an undo goes back to before them too. Those that
 * have committed nothing are left out; one whose groups are not known may be of the same.
 */
async function sayFollowers(
  run: Run,
  { rollbacks }: Page,
  id: string,
  groups: ReadonlySet<string> | undefined,
): Promise<void> {
  const at = rollbacks.findIndex(({ rollback_id }) => rollback_id === id);
  const later = (at < 0 ? rollbacks : rollbacks.slice(0, at))
    .filter((row) => row.safety_snapshot_id !== null && !isRehearsal(row.rollback_id))
    .map(({ rollback_id }) => rollback_id);
  const unrelated = new Set<string>();
  for (const follower of groups === undefined ? [] : later.slice(-LOOKED_UP)) {
    const others = await groupsOfRollback(run, follower);
    if (others !== undefined && ![...others].some((name) => groups?.has(name))) unrelated.add(follower);
  }
  const followers = later.filter((follower) => !unrelated.has(follower));
  if (followers.length === 0) return;
  run.say(
    `${at < 0 ? "At least " : ""}${count(followers.length, "rollback")} of its groups followed it: ` +
      `${listSome(followers, (follower) => follower)}. The undo goes back to before them, in the groups of ${id}.`,
  );
}

/** Undefined: they are not known. */
async function groupsOfRollback(run: Run, rollback_id: string): Promise<ReadonlySet<string> | undefined> {
  const answer = await run.call("rollbacks", { rollback_id }).catch((error) => {
    if (error instanceof Problem) return undefined;
    throw error;
  });
  return answer && groupsOf(Object(answer.result));
}
