import type { Commit } from "../../../../functions/shared/core/model.ts";
import { placeOf, type Saved, type Topic, type World } from "./world.ts";

/** What each policy means for a commit that the snapshot lacks: `since` is the log end in the snapshot, in the present log. */
export interface Uncommitted {
  readonly at: bigint;
  readonly log: Topic["logs"][number] | undefined;
  readonly since: bigint | undefined;
}

/** The log end; 0 for a log that does not exist. */
export const endOf = (log: Uncommitted["log"]) => log?.end ?? 0n;

/** The number of offsets in a log between two offsets. */
export function inLog(log: Uncommitted["log"], low: bigint, high: bigint): bigint | null {
  if (log === undefined) return null;
  const [first, last] = [low < log.start ? log.start : low, high > log.end ? log.end : high];
  return last > first ? last - first : 0n;
}

/** What each policy means for this commit. */
export function uncommittedOn(world: World, saved: Saved, key: string, { offset: at }: Commit): Uncommitted {
  const { topic: name, partition } = placeOf(key);
  const [then, now] = [saved.topics.get(name), world.topics.get(name)];
  const log = now?.logs[partition];
  const before = then?.creation === now?.creation ? then?.logs[partition] : undefined;
  const since = before !== undefined && log !== undefined && before.end > log.start ? before.end : log?.start;
  return { at, log, since };
}

const earlier = (a: bigint, b: bigint) => (a < b ? a : b);

/** The commit that a policy sets in place of one that the snapshot lacks. */
export function targetOf(policy: string, commit: Commit, { log, since }: Uncommitted): Commit | null {
  if (policy === "delete") return null;
  const offset = policy === "log_start" ? log?.start : since && earlier(since, commit.offset);
  return offset === undefined || offset === commit.offset ? commit : { offset, metadata: "" };
}

/** What each policy means, as answers show it. */
export function uncommittedDocument({ at, log, since }: Uncommitted) {
  const start = log?.start ?? null;
  const to = since === undefined ? null : earlier(since, at);
  const replayed = (from: bigint | null) => (from === null ? null : inLog(log, from, at));
  return {
    acknowledged: replayed(to),
    delete: { replayed: replayed(start), skipped: inLog(log, at, endOf(log)) },
    log_start: { to: start, replayed: replayed(start) },
    snapshot_end: { to, replayed: replayed(to) },
  };
}
