import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod/mini";
import { result as dryRunResult } from "../plan/schema.ts";
import { recordResult } from "../rollbacks/schema.ts";
import type { Fields } from "../shared/core/json/json.ts";
import { isoSeconds } from "../shared/core/snapshot-id.ts";
import { count, listSome, nameSome } from "../shared/core/text.ts";
import { Failed, type Findings, NotChecked } from "./findings.ts";
import { type Answer, readAnswer } from "./invoke.ts";
import { OperationFailed } from "./problems.ts";
import { importOf, literal, requireRights, type Sample } from "./proofs.ts";

/** The group that a rehearsal rolls back: nobody consumes with it. */
export const DOCTOR_GROUP = "offset-rollback-doctor";

const description = "Rehearsal by offset-rollback doctor";

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
const record = z.looseObject({ safety_snapshot_id: recordResult.shape.safety_snapshot_id });

const partitionsOf = ({ groups }: Plan) => Object.entries(groups[DOCTOR_GROUP]?.partitions ?? {});
const withAction = (plan: Plan, ...actions: readonly string[]) =>
  partitionsOf(plan).filter(([, { action }]) => actions.includes(action));

/** Removes what a rehearsal has made, in the order that undoes it. */
export class Rehearsal {
  readonly #findings: Findings;
  readonly #sample: Sample;
  readonly #here: (command: string) => string;
  /** The snapshots that it has made, by what they are. */
  readonly #made = new Map<string, string>();
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
      const answer = await this.#sample.call("snapshot", { groups: [literal(name)], description });
      const { snapshot_id } = readAnswer(taken, answer, "snapshot", true);
      this.#made.set(snapshot_id, "a snapshot");
      requireRights(answer);
      return `${snapshot_id} of group ${nameSome([name])} is stored, and listed`;
    });
    await this.#findings.make("write: import", async () => {
      const answer = await this.#sample.call("import", { ...importOf(this.#group()), description });
      const { snapshot_id } = readAnswer(taken, answer, "import", true);
      this.#made.set(snapshot_id, "an import");
      return `${snapshot_id} is stored, and listed`;
    });
  }

  /** Holds that snapshot, sees that it cannot be deleted, and releases it. */
  async hold(): Promise<void> {
    await this.#findings.make("write: hold", async () => {
      const [snapshot_id] = this.#made.keys();
      if (snapshot_id === undefined) throw new NotChecked("there is no snapshot to hold: see above");
      await this.#sample.call("hold", { snapshot_id, held: true, reason: description });
      try {
        await this.#sample.call("delete", { snapshot_id });
        this.#made.delete(snapshot_id);
        throw new Failed(`${snapshot_id} was deleted, although it was held.`);
      } catch (error) {
        if (!(error instanceof OperationFailed && error.name === "SnapshotHeld")) throw error;
      }
      await this.#sample.call("hold", { snapshot_id, held: false });
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
    if (this.#before !== undefined) await this.#undo(this.#before);
    const kept = this.#before?.snapshotId; // it is what removes the commits that are left
    const snapshots = [...this.#made].reverse().filter(([id]) => id !== kept);
    if (snapshots.length === 0) return this.nameLeftovers();
    await this.#findings.make("write: delete", async () => {
      const problems: string[] = [];
      for (const [snapshot_id] of snapshots) {
        try {
          await this.#sample.call("delete", { snapshot_id });
          this.#made.delete(snapshot_id);
        } catch (error) {
          problems.push(error instanceof Error ? error.message : String(error));
        }
      }
      if (problems.length > 0) throw new Failed([...new Set(problems)].join("\n"));
      return `the ${count(snapshots.length, "snapshot")} of the rehearsal are deleted; the journal keeps the records of its rollbacks`;
    });
    this.nameLeftovers();
  }

  /** Names what was made and is not removed, each with the command that removes it. */
  nameLeftovers(): void {
    const { leftBehind } = this.#findings;
    leftBehind.length = 0;
    if (this.#before !== undefined) {
      const { snapshotId } = this.#before;
      const undo = this.#here(`offset-rollback rollback --snapshot-id ${snapshotId} --exact`);
      leftBehind.push({ what: `commits of group ${DOCTOR_GROUP}`, remove: undo });
    }
    for (const [id, what] of [...this.#made].reverse()) {
      leftBehind.push({ what: `${what}, ${id}`, remove: this.#here(`offset-rollback delete ${id}`) });
    }
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

  /** Executes a plan that was seen, under an id that can be looked up whatever becomes of the answer. */
  async #execute(asked: Fields, keys: readonly string[]): Promise<{ readonly checked: number }> {
    const rollback_id = `doctor-${isoSeconds(new Date())}-${randomUUID().slice(0, 8)}`;
    const keep = (snapshotId: string) => {
      this.#made.set(snapshotId, "a safety snapshot");
      if (keys.length > 0) this.#before = { snapshotId, keys };
    };
    let answer: Answer;
    try {
      answer = await this.#sample.call("rollback", { ...asked, rollback_id, description });
    } catch (error) {
      const found = await this.#sample.call("rollbacks", { rollback_id }).catch(() => undefined);
      const { safety_snapshot_id = null } = record.safeParse(found?.result).data ?? {};
      if (safety_snapshot_id !== null) keep(safety_snapshot_id);
      throw error;
    }
    const { safety_snapshot_id, verification } = readAnswer(executed, answer, `rollback ${rollback_id}`, true);
    keep(safety_snapshot_id);
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
        if ((await this.#leftInGroup()) === 0) this.#before = undefined;
      }
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
