import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod/mini";
import type { Verb } from "../operations.ts";
import { result as dryRunResult } from "../plan/schema.ts";
import { recordResult } from "../rollbacks/schema.ts";
import type { Fields } from "../shared/core/json/json.ts";
import { isoSeconds } from "../shared/core/snapshot-id.ts";
import { count, listSome, nameSome } from "../shared/core/text.ts";
import { exit, isErrorName } from "./exit-codes.ts";
import { Failed, type Findings, type Leftover, NotChecked } from "./findings.ts";
import { readAnswer } from "./invoke.ts";
import { NotInvoked, OperationFailed, Problem } from "./problems.ts";
import { importOf, literal, requireRights, type Sample } from "./proofs.ts";

/** The group that a rehearsal rolls back: no consumer uses it. */
export const DOCTOR_GROUP = "offset-rollback-doctor";

const reason = "Rehearsal by offset-rollback doctor";

/** An id for a call of a rehearsal, and whether an id is one: the safety snapshots of its rollbacks are gone. */
const rehearsalId = () => `doctor-${isoSeconds(new Date())}-${randomUUID().slice(0, 8)}`;
export const isRehearsal = (id: string): boolean => /^doctor-\d{4}-\d\d-\d\dT[\d:]{8}Z-[0-9a-f]{8}$/.test(id);

const taken = z.looseObject({ snapshot_id: z.string() });
const partition = z.looseObject({ action: z.string(), from: z.unknown() });
const plan = z.looseObject({
  plan_digest: dryRunResult.shape.plan_digest,
  blockers: z.array(z.looseObject({ message: z.string() })),
  extra: z.array(z.looseObject({ topic: z.string(), partition: z.int() })),
  groups: z.record(z.string(), z.looseObject({ partitions: z.record(z.string(), partition) })),
});
type Plan = z.output<typeof plan>;
const executed = z.looseObject({
  status: z.literal("success"),
  safety_snapshot_id: z.string(),
  verification: z.looseObject({ verified: z.boolean(), checked: z.int() }),
});
const record = z.looseObject({
  status: recordResult.shape.status,
  safety_snapshot_id: recordResult.shape.safety_snapshot_id,
});
const listed = z.looseObject({
  snapshots: z.array(z.looseObject({ snapshot_id: z.string(), description: z.string() })),
  warnings: z.array(z.string()),
  next_token: z.optional(z.string()),
});

/** A call that makes a snapshot, from before it is sent until it is known what it has made. */
interface Attempt {
  /** The id of its rollback; its snapshot has it in its description. */
  readonly id: string;
  readonly what: "a snapshot" | "an import" | "a safety snapshot";
  /** The partitions that get commits by it. */
  readonly keys: readonly string[];
  /** Whether it is known that the function does not run any more. */
  hasEnded: boolean;
}

const partitionsOf = ({ groups }: Plan) => Object.entries(groups[DOCTOR_GROUP]?.partitions ?? {});
const withAction = (plan: Plan, ...actions: readonly string[]) =>
  partitionsOf(plan).filter(([, { action }]) => actions.includes(action));

/** Makes snapshots and commits, and removes them in the order that undoes it. What it cannot remove, or may have made, it names. */
export class Rehearsal {
  readonly #findings: Findings;
  readonly #sample: Sample;
  readonly #here: (command: string) => string;
  readonly #startedAt = Date.now();
  /** The calls of which it is not known what they have made. */
  readonly #attempts = new Set<Attempt>();
  /** The snapshots that it has made, by what they are. */
  readonly #made = new Map<string, Attempt["what"]>();
  /** The snapshot that may be held. */
  #held: string | undefined;
  /** The snapshot of the group before it was rolled back, and the partitions that got commits then. */
  #before: { readonly snapshotId: string; readonly keys: readonly string[] } | undefined;

  constructor(findings: Findings, sample: Sample, here: (command: string) => string) {
    this.#findings = findings;
    this.#sample = sample;
    this.#here = here;
  }

  /** Takes a snapshot of the sample's group, and imports another. */
  async takeSnapshots(): Promise<void> {
    await this.#findings.make("write: snapshot", async () => {
      const { name } = this.#group();
      const { snapshotId, answer } = await this.#make("a snapshot", [], async (_, description) => {
        const answer = await this.#sample.call("snapshot", { groups: [literal(name)], description });
        return { snapshotId: readAnswer(taken, answer, "snapshot", true).snapshot_id, answer };
      });
      requireRights(answer);
      return `${snapshotId} of group ${nameSome([name])} is stored, and listed`;
    });
    await this.#findings.make("write: import", async () => {
      const group = this.#group();
      const { snapshotId } = await this.#make("an import", [], async (_, description) => {
        const answer = await this.#sample.call("import", { ...importOf(group), description });
        return { snapshotId: readAnswer(taken, answer, "import", true).snapshot_id };
      });
      return `${snapshotId} is stored, and listed`;
    });
  }

  /** Holds that snapshot, sees that it cannot be deleted, and releases it. */
  async hold(): Promise<void> {
    await this.#findings.make("write: hold", async () => {
      const [snapshot_id] = this.#made.keys();
      if (snapshot_id === undefined) throw new NotChecked("there is no snapshot to hold: see above");
      this.#held = snapshot_id;
      await this.#sample.call("hold", { snapshot_id, held: true, reason });
      try {
        await this.#sample.call("delete", { snapshot_id });
        this.#forget(snapshot_id);
        throw new Failed(`${snapshot_id} was deleted, although it was held.`);
      } catch (error) {
        if (!(error instanceof OperationFailed && error.name === "SnapshotHeld")) throw error;
      }
      await this.#release(snapshot_id); // where this is not reached, or fails, remove() does it
      return `${snapshot_id} was held, could not be deleted, and is released`;
    });
  }

  /** Rolls the doctor's own group back to the first snapshot, and reads it back. The sample's group is not touched. */
  async rollBack(): Promise<void> {
    await this.#findings.make("write: rollback", async () => {
      const [snapshot_id, what] = this.#made.entries().next().value ?? [];
      if (snapshot_id === undefined || what !== "a snapshot")
        throw new NotChecked("there is no snapshot to roll back to: see above");
      const { name } = this.#group();
      const groups = [literal(name)];
      const asked = { snapshot_id, groups, group_map: { [name]: DOCTOR_GROUP }, out_of_range: "clamp" };
      const seen = await this.#plan(asked);
      requireUnused(seen);
      const keys = withAction(seen, "create").map(([key]) => key);
      const { checked } = await this.#execute({ ...asked, plan_digest: seen.plan_digest }, keys);
      const again = await this.#plan(asked);
      const moved = partitionsOf(again).length - withAction(again, "unchanged").length;
      if (moved > 0) throw new Failed(`${count(moved, "partition")} of ${DOCTOR_GROUP} did not stay as rolled back.`);
      return `${DOCTOR_GROUP} got the commits of ${nameSome([name])}, ${count(checked, "partition")}, read back and verified`;
    });
  }

  /** Deletes the commits and the snapshots that were made, as far as they were; names what is left. */
  async remove(): Promise<void> {
    await this.#settle();
    if (this.#before !== undefined) {
      await this.#undo(this.#before);
      await this.#settle();
    }
    const kept = this.#before?.snapshotId; // it is what removes the commits that are left
    const snapshots = [...this.#made.keys()].reverse().filter((id) => id !== kept);
    if (snapshots.length > 0) {
      await this.#findings.make("write: delete", async () => {
        const problems: string[] = [];
        for (const snapshotId of snapshots) problems.push(...(await this.#delete(snapshotId)));
        if (problems.length > 0) throw new Failed([...new Set(problems)].join("\n"));
        const which = this.#attempts.size === 0 ? "of the rehearsal" : "that the rehearsal is known to have made";
        return `the ${count(snapshots.length, "snapshot")} ${which} are deleted; the journal keeps the records of its rollbacks`;
      });
    }
    this.nameLeftovers();
  }

  /** Names what was made, or may have been, and is not removed; each with the commands that remove it. */
  nameLeftovers(): void {
    const { leftBehind } = this.#findings;
    leftBehind.length = 0;
    for (const attempt of this.#attempts) leftBehind.push(this.#perhaps(attempt));
    if (this.#before !== undefined) {
      const { snapshotId } = this.#before;
      const undo = this.#here(`offset-rollback rollback --snapshot-id ${snapshotId} --exact`);
      leftBehind.push({ what: `commits of group ${DOCTOR_GROUP}`, remove: undo });
    }
    for (const [id, what] of [...this.#made].reverse()) {
      const remove = this.#here(`offset-rollback delete ${id}`);
      const release = this.#here(`offset-rollback hold ${id} --held=false`);
      if (id === this.#held)
        leftBehind.push({ what: `${what} that may be held, ${id}`, remove: `${release} && ${remove}` });
      else leftBehind.push({ what: `${what}, ${id}`, remove });
    }
  }

  /** What may have been left behind by a call of which it is not known how it ended. */
  #perhaps({ id, what, keys }: Attempt): Leftover {
    const list = this.#here(`offset-rollback list --since ${this.#since()}`);
    const remove = this.#here("offset-rollback delete SNAPSHOT_ID");
    if (what !== "a safety snapshot") {
      return {
        what: `perhaps ${what} with the description "${describe(id)}": it is not known whether there is one`,
        remove: `${list}, and if it is there: ${remove}`,
      };
    }
    const commits = keys.length === 0 ? "" : `commits of group ${DOCTOR_GROUP}, and `;
    const look = this.#here(`offset-rollback rollbacks --rollback-id ${id}`);
    const undo = keys.length === 0 ? "" : `${this.#here(`offset-rollback undo ${id}`)}, and then `;
    return {
      what: `perhaps ${commits}a safety snapshot, of rollback ${id}: it is not known how it ended`,
      remove: `${look}, and if it has a safety_snapshot_id: ${undo}${remove}`,
    };
  }

  /** A time before all that it makes, also by a clock that differs as far as AWS accepts. */
  #since(): string {
    return isoSeconds(new Date(this.#startedAt - MOST_SKEW_MS));
  }

  /**
   * Makes a snapshot by a call that can be looked up whatever becomes of its answer.
   *
   * @param ask makes the call, and reads from its answer which snapshot it has made
   */
  async #make<T extends { readonly snapshotId: string }>(
    what: Attempt["what"],
    keys: readonly string[],
    ask: (id: string, description: string) => Promise<T>,
  ): Promise<T> {
    const id = rehearsalId();
    const attempt: Attempt = { id, what, keys, hasEnded: false };
    this.#attempts.add(attempt);
    try {
      const answer = await ask(id, describe(id));
      this.#keep(attempt, answer.snapshotId);
      this.#attempts.delete(attempt);
      return answer;
    } catch (error) {
      if (changedNothing(error)) this.#attempts.delete(attempt);
      attempt.hasEnded = error instanceof OperationFailed && isErrorName(error.name);
      throw error;
    }
  }

  #keep({ what, keys }: Attempt, snapshotId: string): void {
    this.#made.set(snapshotId, what);
    if (keys.length > 0) this.#before = { snapshotId, keys };
  }

  #forget(snapshotId: string): void {
    this.#made.delete(snapshotId);
    if (this.#held === snapshotId) this.#held = undefined;
  }

  /** Looks up what was made by the calls whose answers do not say it. */
  async #settle(): Promise<void> {
    for (const attempt of this.#attempts) {
      const recorded = attempt.what === "a safety snapshot" ? await this.#recordedBy(attempt) : undefined;
      const found = recorded ?? (await this.#listedFor(attempt));
      if (typeof found === "string") this.#keep(attempt, found);
      const isDone = attempt.hasEnded || attempt.what !== "a safety snapshot";
      if (found === null ? attempt.hasEnded : found !== undefined && isDone) this.#attempts.delete(attempt);
    }
  }

  /** The safety snapshot that the journal has for a rollback; undefined where it has none. Waits for the end of the rollback. */
  async #recordedBy(attempt: Attempt): Promise<string | undefined> {
    for (const end = performance.now() + LEASE_MS; ; await delay(RETRY_MS)) {
      const seen = await this.#look("rollbacks", { rollback_id: attempt.id }, record);
      const isUnknown = seen instanceof OperationFailed && seen.name === "RollbackNotFound"; // it may begin yet
      if (seen instanceof Problem && !isUnknown) return undefined;
      const { status, safety_snapshot_id } = seen instanceof Problem ? notBegun : seen;
      if (status !== "running") attempt.hasEnded = true;
      if (attempt.hasEnded || performance.now() > end) return safety_snapshot_id ?? undefined;
    }
  }

  /** The snapshot that the index has for a call; null where it has none, undefined where that is not known. */
  async #listedFor({ id }: Attempt): Promise<string | null | undefined> {
    const seen = await this.#look("list", { since: this.#since(), limit: 1_000 }, listed);
    if (seen instanceof Problem) return undefined;
    const found = seen.snapshots.find(({ description }) => description.includes(id));
    if (found !== undefined) return found.snapshot_id;
    return seen.next_token === undefined && seen.warnings.length === 0 ? null : undefined;
  }

  /** Reads an answer; a problem is returned. */
  async #look<T>(verb: Verb, request: Fields, schema: z.ZodMiniType<T>): Promise<T | Problem> {
    try {
      return readAnswer(schema, await this.#sample.call(verb, request), verb);
    } catch (error) {
      if (error instanceof Problem) return error;
      throw error;
    }
  }

  async #release(snapshot_id: string): Promise<void> {
    await this.#sample.call("hold", { snapshot_id, held: false });
    this.#held = undefined;
  }

  /** Deletes a snapshot, which may be held or gone. Returns what failed; nothing where it is gone. */
  async #delete(snapshotId: string): Promise<readonly string[]> {
    const problems: string[] = [];
    const attempt = async (work: () => Promise<unknown>) => {
      try {
        await work();
        return true;
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        if (error.name === "SnapshotNotFound") return true; // an earlier call has deleted it, and its answer was lost
        problems.push(error.message);
        return false;
      }
    };
    if (this.#held === snapshotId) await attempt(() => this.#release(snapshotId));
    const isGone = await attempt(() => this.#sample.call("delete", { snapshot_id: snapshotId }));
    if (!isGone) return problems;
    this.#forget(snapshotId);
    return [];
  }

  #group() {
    const { group } = this.#sample;
    if ("none" in group) throw new NotChecked(group.none);
    return group;
  }

  async #plan(asked: Fields): Promise<Plan> {
    const answer = await this.#sample.call("rollback", { ...asked, dry_run: true });
    requireRights(answer);
    const seen = readAnswer(plan, answer, "the dry run");
    if (seen.blockers.length === 0) return seen;
    throw new Failed(
      `The rehearsal is blocked: ${listSome(seen.blockers, ({ message }) => message, 5)} Nothing was changed.`,
      ["offset-rollback doctor --write --group ANOTHER"],
    );
  }

  /** Executes a plan that was seen. */
  async #execute(asked: Fields, keys: readonly string[]): Promise<{ readonly checked: number }> {
    const { answer, verification, rollback_id } = await this.#make(
      "a safety snapshot",
      keys,
      async (id, description) => {
        const answer = await this.#sample.call("rollback", { ...asked, rollback_id: id, description });
        const { safety_snapshot_id, verification } = readAnswer(executed, answer, `rollback ${id}`, true);
        return { snapshotId: safety_snapshot_id, answer, verification, rollback_id: id };
      },
    );
    requireRights(answer);
    if (!verification.verified) throw new Failed(`Rollback ${rollback_id} succeeded, and its verification did not.`);
    return verification;
  }

  /** Deletes the commits again, if these are all that the group has. */
  async #undo({ snapshotId, keys }: { readonly snapshotId: string; readonly keys: readonly string[] }): Promise<void> {
    await this.#findings.make("write: removal", async () => {
      const asked = { snapshot_id: snapshotId, groups: [DOCTOR_GROUP], exact: true };
      const seen = await this.#plan(asked);
      const strange = partitionsOf(seen).filter(([key, { action }]) => action !== "delete" || !keys.includes(key));
      if (strange.length > 0) {
        throw new Failed(
          `${DOCTOR_GROUP} has commits that this run did not make: ${listSome(strange, ([key]) => key)}. They stay.`,
        );
      }
      try {
        if (partitionsOf(seen).length > 0) await this.#whenFree({ ...asked, plan_digest: seen.plan_digest });
      } finally {
        // What was removed is no leftover, also where the answer was an error.
        if (!this.#mayCommit() && (await this.#leftInGroup()) === 0) this.#before = undefined;
      }
      if (this.#mayCommit()) throw new Failed(`Whether the rollback of ${DOCTOR_GROUP} still runs is not known.`);
      if (this.#before !== undefined) throw new Failed(`${DOCTOR_GROUP} has commits again: another client uses it.`);
      return `the commits of ${DOCTOR_GROUP} are deleted; Kafka removes the empty group by itself`;
    });
  }

  /** Executes a plan, and waits while another rollback holds the lease: the one before may not have released it. */
  async #whenFree(asked: Fields): Promise<void> {
    for (const end = performance.now() + LEASE_MS; ; ) {
      try {
        await this.#execute(asked, []);
        return;
      } catch (error) {
        const isBusy = error instanceof OperationFailed && error.name === "RollbackInProgress";
        if (!isBusy || performance.now() > end) throw error;
        await delay(RETRY_MS);
      }
    }
  }

  /** Whether a rollback that gives the group commits may still run. */
  #mayCommit(): boolean {
    return [...this.#attempts].some(({ keys }) => keys.length > 0);
  }

  /** How many commits the group has; undefined where that cannot be read. */
  async #leftInGroup(): Promise<number | undefined> {
    try {
      const answer = await this.#sample.call("snapshot", { groups: [literal(DOCTOR_GROUP)], dry_run: true });
      return readAnswer(z.looseObject({ offsets: z.int() }), answer, "snapshot").offsets;
    } catch (error) {
      return error instanceof OperationFailed && error.name === "GroupNotFound" ? 0 : undefined;
    }
  }
}

/** A lease that was not released expires after 20 s. */
const LEASE_MS = 25_000;
const RETRY_MS = 2_000;
/** AWS refuses requests that are older, or younger. */
const MOST_SKEW_MS = 15 * 60_000;

/** What is known of a rollback that the journal does not have. */
const notBegun: z.output<typeof record> = { status: "running", safety_snapshot_id: null };

/** The description of a snapshot that a call makes. That of a safety snapshot has the one of its rollback in it. */
const describe = (id: string) => `Rehearsal ${id} by offset-rollback doctor`;

/** Whether an error says that the call has made nothing. */
const changedNothing = (error: unknown) =>
  error instanceof NotInvoked ||
  (error instanceof Problem && (error.exitCode === exit.refused || error.exitCode === exit.usage));

/** @throws Failed unless the plan only gives commits to a group that has none */
function requireUnused(seen: Plan): void {
  const others = [
    ...partitionsOf(seen).flatMap(([key, { from }]) => (from === null ? [] : key)),
    ...seen.extra.map(({ topic, partition }) => `${topic}-${partition}`),
  ];
  if (others.length === 0) return;
  throw new Failed(
    `Group ${DOCTOR_GROUP} has commits that this run did not make, on ${listSome(others, String)}. Nothing was changed.`,
    [
      `If an interrupted run has left them: kafka-consumer-groups.sh --delete --group ${DOCTOR_GROUP}`,
      "offset-rollback rollbacks",
    ],
  );
}
