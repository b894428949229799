import type { Snapshot } from "../../functions/shared/core/model.ts";

/** A group that commits one number for all its partitions in one request: 1, 2, 3, … */
interface WrittenGroup {
  readonly keys: readonly string[];
  /** The last number that was sent. */
  sent: number;
  /** The acknowledged numbers in order, with times. The first one is the last before the present snapshot. */
  acknowledged: { readonly at: number; readonly number: number }[];
  /** `deleting`: it may or may not exist; `deleted`: it does not exist. */
  state: "stays" | "deleting" | "deleted";
}

/** The state of the groups when a snapshot began. */
type Before = ReadonlyMap<string, { readonly acknowledged: number; readonly state: WrittenGroup["state"] }>;

/** What writers have committed, and so what a snapshot must and may contain. */
export class Ledger {
  readonly #groups = new Map<string, WrittenGroup>();
  readonly #consumers = new Map<string, Map<string, bigint>>();

  /** The next number of a group with these partitions. From now on, a snapshot may contain it. */
  next(group: string, keys: readonly string[]): number {
    const written = this.#groups.get(group) ?? { keys, sent: 0, acknowledged: [], state: "stays" };
    this.#groups.set(group, written);
    return ++written.sent;
  }

  /** From now on, a snapshot must contain this number or a later one. */
  acknowledge(group: string, number: number): void {
    this.#groups.get(group)?.acknowledged.push({ at: Date.now(), number });
  }

  /** The number of acknowledged commits of groups that were not forgotten. */
  get acknowledged(): number {
    return [...this.#groups.values()].reduce((sum, { acknowledged }) => sum + (acknowledged.at(-1)?.number ?? 0), 0);
  }

  /** Notes that a group, or the topic of its commits, is being deleted or was deleted. */
  mark(group: string, state: "deleting" | "deleted"): void {
    const written = this.#groups.get(group);
    if (written !== undefined) written.state = state;
  }

  /** Adds a group of consumers: its commits never disappear, and its offsets never go back. */
  consumers(group: string): void {
    this.#consumers.set(group, new Map());
  }

  /** The state of the groups. Call it right before a snapshot. */
  before(): Before {
    for (const written of this.#groups.values()) written.acknowledged = written.acknowledged.slice(-1);
    return new Map(
      [...this.#groups].map(([group, { acknowledged, state }]) => [
        group,
        { acknowledged: acknowledged.at(-1)?.number ?? 0, state },
      ]),
    );
  }

  /** The errors of a complete snapshot: everything in it that was not true at any time since it began. */
  errorsOf(snapshot: Snapshot, before: Before): string[] {
    const errors: string[] = [];
    const { consumerGroups, observed } = snapshot;
    for (const group of consumerGroups.keys()) {
      if (!this.#groups.has(group) && !this.#consumers.has(group)) errors.push(`${group}: was never created`);
    }
    for (const [group, written] of this.#groups) {
      const commits = consumerGroups.get(group);
      const was = before.get(group);
      if (was?.state === "deleted") {
        if (commits !== undefined && commits.size > 0) errors.push(`${group}: was deleted before`);
        continue;
      }
      if (commits === undefined || commits.size === 0) {
        const mayBeMissing = written.state !== "stays" || (was?.acknowledged ?? 0) === 0;
        if (!mayBeMissing) errors.push(`${group}: ${commits === undefined ? "is missing" : "has no commits"}`);
        continue;
      }
      const asOf = Date.parse(observed.groups.get(group)?.asOf ?? "");
      const least = written.acknowledged.findLast(({ at }) => at < asOf)?.number ?? was?.acknowledged ?? 0;
      const numbers = new Set([...commits.values()].map(({ offset }) => Number(offset)));
      const [number = 0] = numbers;
      const keys = [...commits.keys()].sort().join();
      if (keys !== [...written.keys].sort().join())
        errors.push(`${group}: has ${commits.size} of ${written.keys.length} partitions`);
      if (numbers.size !== 1) errors.push(`${group}: is at ${[...numbers].join()} at once`);
      if (number < least || number > written.sent)
        errors.push(`${group}: is at ${number}, not ${least} to ${written.sent}`);
    }
    for (const [group, known] of this.#consumers) {
      const commits = consumerGroups.get(group);
      for (const [key, offset] of known) {
        const found = commits?.get(key)?.offset;
        if (found === undefined || found < offset)
          errors.push(`${group} ${key}: ${found ?? "nothing"} after ${offset}`);
      }
      for (const [key, { offset }] of commits ?? []) known.set(key, offset);
    }
    return errors;
  }

  /** Forgets the groups that were already deleted when a snapshot began. */
  forget(before: Before): void {
    for (const [group, { state }] of before) if (state === "deleted") this.#groups.delete(group);
  }
}
