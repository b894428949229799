import type { LiveState, Snapshot } from "../model.ts";
import { isoSeconds } from "../snapshot-id.ts";
import { count, nameSome } from "../text.ts";
import { type Plan, takesPart } from "./plan.ts";

const DAY = 24 * 60;

/**
 * A group without members whose offsets Kafka deletes `offsets.retention.minutes` after it became empty, whenever they were
 * committed. That is so for classic groups which have had members (KIP-211); offsets of others expire after their own commit.
 */
export interface IdleGroup {
  readonly group: string;
  /** It had members at this time, in milliseconds; null: nothing is known of when it became empty. */
  readonly hadMembersAt: number | null;
}

/** The groups of a plan of which offsets may expire before a whole retention has passed. */
export function idleGroups(snapshot: Snapshot, { groups }: Pick<Plan, "groups">, live: LiveState): IdleGroup[] {
  const idle: IdleGroup[] = [];
  for (const [group, plan] of groups) {
    const now = live.observed.groups.get(group);
    const isClassic = now?.type === "classic" || now?.type === null;
    if (!takesPart(plan) || !isClassic || !now.protocolType || now.state !== "Empty") continue;
    const then = plan.source === undefined ? snapshot.observed.groups.get(group) : undefined;
    idle.push({ group, hadMembersAt: then?.members ? Date.parse(then.asOf ?? snapshot.createdAt) : null });
  }
  return idle;
}

/**
 * Until when Kafka keeps the offsets of groups without members, if that is not known, or less than half the retention away.
 *
 * @param retention `offsets.retention.minutes`, or why it could not be read
 */
export function expiryWarnings(
  idle: readonly IdleGroup[],
  retention: { readonly done: number } | { readonly failed: { readonly message: string } },
  now: Date,
): string[] {
  const named = (some: readonly IdleGroup[]) =>
    `${nameSome(some.map(({ group }) => group))} ${some.length === 1 ? "has" : "have"} no members`;
  const rule = (after: string) =>
    `Kafka deletes the offsets of such a group ${after} it became empty, whenever they were committed`;
  const startSoon = "Start the consumers soon after the rollback.";
  if ("failed" in retention) {
    if (idle.length === 0) return [];
    const unread = `That setting could not be read (${retention.failed.message}); its default is 7 days`;
    return [`${named(idle)}: ${rule("offsets.retention.minutes after")}. ${unread}. ${startSoon}`];
  }
  const { done: minutes } = retention;
  const length = minutes % DAY === 0 ? count(minutes / DAY, "day") : count(minutes, "minute");
  const ends = idle.map((one) => {
    const end = one.hadMembersAt === null ? 0 : one.hadMembersAt + minutes * 60_000;
    return { ...one, left: end - now.getTime(), end };
  });
  const unknown = ends.filter(({ left }) => left <= 0);
  const soon = ends.filter(({ left }) => left > 0 && left < minutes * 30_000);
  const first = soon.reduce((earliest, { end }) => Math.min(earliest, end), Number.POSITIVE_INFINITY);
  return [
    unknown.length > 0 &&
      `${named(unknown)}: ${rule(`${length} after`)}. When it became empty is not known: all its offsets, also the restored ` +
        `ones, may expire at any time. ${startSoon}`,
    soon.length > 0 &&
      `${named(soon)}: ${rule(`${length} after`)}. There were members when the snapshot was taken, so Kafka keeps the ` +
        `offsets at least until ${isoSeconds(new Date(first))}. Start the consumers before that.`,
  ].filter((warning) => warning !== false);
}
