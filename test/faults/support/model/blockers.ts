import type { Commit } from "../../../../functions/shared/core/model.ts";
import { placeOf, topicId, type World } from "./world.ts";

/** A reason not to roll back a group or a partition. */
export interface Blocker {
  readonly kind: string;
  readonly group: string;
  readonly topic?: string;
  readonly partition?: number;
  readonly expected?: unknown;
  readonly actual?: unknown;
}

/** The blockers of a target on a partition; null deletes the commit. Without creations, it follows from the present topic. */
export function partitionBlockers(
  world: World,
  creations: ReadonlyMap<string, number> | undefined,
  group: string,
  key: string,
  target: Commit | null,
): Blocker[] {
  const { topic: name, partition } = placeOf(key);
  const found = (kind: string, expected?: unknown, actual?: unknown): Blocker => {
    return { kind, group, topic: name, partition, expected, actual };
  };
  const topic = world.topics.get(name);
  if (topic === undefined) return [found("topic_missing")];
  if (target === null) return [];
  const log = topic.logs[partition];
  if (log === undefined) return [found("partition_missing", undefined, topic.logs.length)];
  const [savedCreation, epoch] = [creations?.get(name), target.leaderEpoch ?? 0];
  const all: Blocker[] = [];
  if (creations !== undefined && savedCreation !== topic.creation) {
    const before = savedCreation === undefined ? null : topicId(name, savedCreation);
    all.push(found("topic_recreated", before, topicId(name, topic.creation)));
  } else if (epoch > 0) {
    all.push(found("topic_recreated", epoch, 0));
  }
  if (target.offset < log.start) all.push(found("below_log_start", target.offset, log.start));
  if (target.offset > log.end) all.push(found("above_log_end", target.offset, log.end));
  return all;
}

/** Blockers of a group that end by themselves. */
export function memberBlockers(world: World, group: string): Blocker[] {
  const { pending, hasMember = false } = world.groups.get(group) ?? {};
  if (pending !== undefined) return [{ kind: "pending_transaction", group, actual: [pending] }];
  return hasMember ? [{ kind: "group_not_empty", group, expected: 0, actual: 1 }] : [];
}

/** Whether a target is outside of the log. */
export const isRange = ({ kind }: Blocker) => kind === "below_log_start" || kind === "above_log_end";

/** The kinds of blockers that are not permanent. */
export const temporaryKinds = new Set(["group_not_empty", "pending_transaction"]);
