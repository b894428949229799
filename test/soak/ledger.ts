import type { Snapshot } from "../../functions/shared/core/model.ts";

/** A group whose commits move all of its partitions to one number, in one request: 1, 2, 3, … */
interface Line {
  readonly keys: readonly string[];
  /** The last number that was sent. */
  sent: number;
  /** When numbers were acknowledged, in their order; the first is the last before the snapshot that is being taken. */
  acknowledged: { readonly at: number; readonly number: number }[];
  /** What is done to it: it may be gone from now on; it is. */
  fate: "stays" | "leaves" | "gone";
}

/** What was so when a snapshot began. */
type Before = ReadonlyMap<string, { readonly acknowledged: number; readonly fate: Line["fate"] }>;

/** What the writers to the cluster know of it: what a snapshot must show, and what it may. */
export class Ledger {
  readonly #lines = new Map<string, Line>();
  readonly #consumers = new Map<string, Map<string, bigint>>();

  /** The commit that comes next for a group that has these partitions; from now on it may be seen. */
  next(group: string, keys: readonly string[]): number {
    const line = this.#lines.get(group) ?? { keys, sent: 0, acknowledged: [], fate: "stays" };
    this.#lines.set(group, line);
    return ++line.sent;
  }

  /** From now on that commit, or a later one, must be seen. */
  acknowledge(group: string, number: number): void {
    this.#lines.get(group)?.acknowledged.push({ at: Date.now(), number });
  }

  /** How many commits were acknowledged so far, of groups that are known yet. */
  get acknowledged(): number {
    return [...this.#lines.values()].reduce((sum, { acknowledged }) => sum + (acknowledged.at(-1)?.number ?? 0), 0);
  }

  /** A group, or the topic of its commits, is about to be deleted, or was. */
  mark(group: string, fate: "leaves" | "gone"): void {
    const line = this.#lines.get(group);
    if (line !== undefined) line.fate = fate;
  }

  /** A group of consumers, whose commits only ever grow in number and only ever move on. */
  consumers(group: string): void {
    this.#consumers.set(group, new Map());
  }

  /** To be asked for right before a snapshot. */
  before(): Before {
    for (const line of this.#lines.values()) line.acknowledged = line.acknowledged.slice(-1);
    return new Map(
      [...this.#lines].map(([group, { acknowledged, fate }]) => [
        group,
        { acknowledged: acknowledged.at(-1)?.number ?? 0, fate },
      ]),
    );
  }

  /** What in a complete snapshot was true at no time since it began. */
  lies(snapshot: Snapshot, before: Before): string[] {
    const lies: string[] = [];
    const { consumerGroups, observed } = snapshot;
    for (const group of consumerGroups.keys()) {
      if (!this.#lines.has(group) && !this.#consumers.has(group)) lies.push(`${group}: it was never made`);
    }
    for (const [group, line] of this.#lines) {
      const commits = consumerGroups.get(group);
      const was = before.get(group);
      if (was?.fate === "gone") {
        if (commits !== undefined && commits.size > 0) lies.push(`${group}: was deleted before`);
        continue;
      }
      if (commits === undefined || commits.size === 0) {
        const mayBeGone = line.fate !== "stays" || (was?.acknowledged ?? 0) === 0;
        if (!mayBeGone) lies.push(`${group}: ${commits === undefined ? "is missing" : "has no commits"}`);
        continue;
      }
      const asOf = Date.parse(observed.groups.get(group)?.asOf ?? "");
      const least = line.acknowledged.findLast(({ at }) => at < asOf)?.number ?? was?.acknowledged ?? 0;
      const numbers = new Set([...commits.values()].map(({ offset }) => Number(offset)));
      const [number = 0] = numbers;
      const keys = [...commits.keys()].sort().join();
      if (keys !== [...line.keys].sort().join())
        lies.push(`${group}: has ${commits.size} of ${line.keys.length} partitions`);
      if (numbers.size !== 1) lies.push(`${group}: stands at ${[...numbers].join()} at once`);
      if (number < least || number > line.sent)
        lies.push(`${group}: stands at ${number}, not ${least} to ${line.sent}`);
    }
    for (const [group, known] of this.#consumers) {
      const commits = consumerGroups.get(group);
      for (const [key, offset] of known) {
        const found = commits?.get(key)?.offset;
        if (found === undefined || found < offset) lies.push(`${group} ${key}: ${found ?? "nothing"} after ${offset}`);
      }
      for (const [key, { offset }] of commits ?? []) known.set(key, offset);
    }
    return lies;
  }

  /** Forgets the groups that were gone already when a snapshot began. */
  forget(before: Before): void {
    for (const [group, { fate }] of before) if (fate === "gone") this.#lines.delete(group);
  }
}
