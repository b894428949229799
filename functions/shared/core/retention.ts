import type { SnapshotStatus, Trigger } from "./model.ts";
import { parseSnapshotId } from "./snapshot-id.ts";
import { count, listSome, quote } from "./text.ts";

/** How the snapshots of a schedule are kept: the last ones, the newest of each of so many periods, and those of some days. */
export const retentionRules = ["keep_last", "hourly", "daily", "weekly", "monthly", "within_days"] as const;
type RetentionRule = (typeof retentionRules)[number];
/** The rules of a schedule. A snapshot is kept if one of them keeps it. */
export type RetentionRules = { readonly [Rule in RetentionRule]?: number | undefined };

/** What a deployment forgets. */
export interface Retention {
  /** By the names of schedules. The snapshots of others are kept for good. */
  readonly schedules: Readonly<Record<string, RetentionRules>>;
  /** How many days safety snapshots are kept, and rollbacks can be undone. */
  readonly safetyDays: number;
  /** How many days other snapshots without a schedule are kept. Absent: for good. */
  readonly manualDays?: number | undefined;
}

/** What decides whether a snapshot is kept. */
export interface Candidate {
  readonly snapshotId: string;
  readonly createdAt: string;
  readonly status: SnapshotStatus;
  readonly trigger: Trigger;
  /** The name of the schedule that asked for it. */
  readonly schedule?: string | undefined;
  /** The number of its commits. */
  readonly offsets: number;
  readonly held: boolean;
}

/** A snapshot that is kept, with all reasons, in words. */
export interface KeptSnapshot {
  readonly snapshotId: string;
  readonly because: readonly string[];
}

/** Why a snapshot is kept that is listed, and has no body. */
export const BODY_MISSING = "its body is missing from the bucket";
/** Why a snapshot is kept whose body is not the one that its row is of. */
export const BODY_DAMAGED = "its body is damaged";

/** Snapshots that are kept, and the ids of those that are not, newest first. */
interface Sorted {
  readonly kept: readonly KeptSnapshot[];
  readonly expired: readonly string[];
  readonly warnings: readonly string[];
}

/** A reason to keep a snapshot. */
type Reason = readonly [snapshot: Candidate, because: string];

const DAY_MS = 24 * 60 * 60 * 1_000;
/** By how much clocks may differ: a snapshot that is this far ahead is of now. */
const CLOCKS_MS = 5 * 60 * 1_000;

/**
 * Sorts snapshots into those that are kept and those that are not.
 *
 * - The rules of a schedule mean what they mean in `restic forget`: periods without a snapshot are not counted, and the days of
 *   `within_days` end with the newest snapshot, not now. So a schedule that has stopped loses no snapshot.
 * - A snapshot that is partial, or has no offsets, never displaces one that is complete and has some. The rules are applied to
 *   the latter alone, and once more to all, where they only add reasons.
 * - A snapshot of the future, by a clock that was wrong, is kept, and counts for no rule: it would be the newest one for long.
 * - Always kept are held snapshots, those that rollbacks need, and of each schedule the newest complete one, and the newest
 *   complete one that has offsets.
 *
 * Periods are those of UTC, as the times in ids and documents.
 *
 * @param retention undefined keeps everything
 * @param needed why rollbacks need snapshots, by the ids of these
 */
export function applyRetention(
  snapshots: readonly Candidate[],
  retention: Retention | undefined,
  needed: ReadonlyMap<string, readonly string[]>,
  now: Date,
): Sorted {
  const newestFirst = snapshots.toSorted(byAge);
  const isOfFuture = ({ createdAt }: Candidate) => Date.parse(createdAt) > now.getTime() + CLOCKS_MS;
  const ofFuture = newestFirst.filter((snapshot) => retention !== undefined && isOfFuture(snapshot));
  const scheduled = Map.groupBy(
    newestFirst.filter((snapshot) => snapshot.trigger === "schedule" && !isOfFuture(snapshot)),
    ({ schedule = "" }) => schedule,
  );
  const reasons = [
    ...reasonsOf(newestFirst, scheduled, retention, needed, now),
    ...ofFuture.map((snapshot): Reason => [snapshot, "its time is in the future"]),
  ];
  const because = Map.groupBy(reasons, ([snapshot]) => snapshot);
  const sorted = newestFirst.map((snapshot) => ({
    snapshotId: snapshot.snapshotId,
    because: [...new Set(because.get(snapshot)?.map(([, reason]) => reason))],
  }));
  return {
    kept: sorted.filter(({ because }) => because.length > 0),
    expired: sorted.filter(({ because }) => because.length === 0).map(({ snapshotId }) => snapshotId),
    warnings: [
      ...[...scheduled]
        .filter(([name]) => retention !== undefined && rulesOf(retention, name) === undefined)
        .map(
          ([name, { length }]) =>
            `Schedule ${quote(name)} has no rules in retention: its ${count(length, "snapshot")} are kept for good. Add rules ` +
            "for it (in retention.retired if the config has no such schedule), or delete those that are not needed.",
        ),
      ...(ofFuture.length > 0
        ? [
            `The time of ${listSome(ofFuture, ({ snapshotId }) => snapshotId, 5)} is in the future. Until then they are kept, and ` +
              "the rules do not count them. If a clock was wrong, delete them.",
          ]
        : []),
    ],
  };
}

/** Newest first; of the same second, the last first. */
function byAge(a: Candidate, b: Candidate): number {
  if (a.createdAt !== b.createdAt) return a.createdAt > b.createdAt ? -1 : 1;
  const [numberOfA = 0, numberOfB = 0] = [a, b].map(({ snapshotId }) => parseSnapshotId(snapshotId)?.number);
  return numberOfB - numberOfA;
}

const isSound = ({ status, offsets }: Candidate) => status === "complete" && offsets > 0;

const rulesOf = ({ schedules }: Retention, schedule: string) =>
  Object.hasOwn(schedules, schedule) ? schedules[schedule] : undefined;

/** Why each snapshot is kept, if it is. */
function* reasonsOf(
  newestFirst: readonly Candidate[],
  scheduled: ReadonlyMap<string, readonly Candidate[]>,
  retention: Retention | undefined,
  needed: ReadonlyMap<string, readonly string[]>,
  now: Date,
): Generator<Reason> {
  for (const snapshot of newestFirst) {
    if (snapshot.held) yield [snapshot, "held"];
    for (const reason of needed.get(snapshot.snapshotId) ?? []) yield [snapshot, reason];
    if (retention === undefined) yield [snapshot, "no retention is configured"];
    else if (snapshot.trigger !== "schedule") yield* reasonsOfAge(snapshot, retention, now);
  }
  if (retention === undefined) return;
  for (const [name, its] of scheduled) yield* reasonsOfSchedule(name, its, rulesOf(retention, name));
}

/** Why a snapshot that no schedule has taken is kept. */
function* reasonsOfAge(snapshot: Candidate, { safetyDays, manualDays }: Retention, now: Date): Generator<Reason> {
  const isSafety = snapshot.trigger === "safety";
  const days = isSafety ? safetyDays : manualDays;
  if (days === undefined) yield [snapshot, "manual snapshots are kept for good"];
  else if (Date.parse(snapshot.createdAt) > now.getTime() - days * DAY_MS) {
    yield [snapshot, `${isSafety ? "safety" : "manual"} snapshot of the last ${count(days, "day")}`];
  }
}

/** Why snapshots of a schedule are kept. They are given newest first. */
function* reasonsOfSchedule(
  name: string,
  newestFirst: readonly Candidate[],
  rules: RetentionRules | undefined,
): Generator<Reason> {
  if (rules === undefined) {
    for (const snapshot of newestFirst) yield [snapshot, `schedule ${name} has no rules in retention`];
    return;
  }
  const newest = newestFirst.find(({ status }) => status === "complete");
  if (newest !== undefined) yield [newest, `newest complete snapshot of schedule ${name}`];
  const sound = newestFirst.filter(isSound);
  for (const snapshot of sound.slice(0, 1)) {
    yield [snapshot, `newest complete snapshot with offsets of schedule ${name}`];
  }
  yield* keptByRules(sound, rules);
  for (const reason of keptByRules(newestFirst, rules)) if (!isSound(reason[0])) yield reason;
}

/** The periods of the rules, by a time in UTC. */
const periods: readonly (readonly [RetentionRule, (time: string) => string])[] = [
  ["hourly", (time) => time.slice(0, 13)],
  ["daily", (time) => time.slice(0, 10)],
  ["weekly", isoWeek],
  ["monthly", (time) => time.slice(0, 7)],
];

/** The ISO 8601 week of a time: `2025-W03`. It belongs to the year that its Thursday is in. */
function isoWeek(time: string): string {
  const date = new Date(`${time.slice(0, 10)}T00:00:00Z`);
  const thursday = new Date(date.getTime() + (3 - ((date.getUTCDay() + 6) % 7)) * DAY_MS);
  const year = thursday.getUTCFullYear();
  const week = Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * DAY_MS)) + 1;
  return `${year}-W${String(week).padStart(2, "0")}`;
}

/**
 * What the rules keep of snapshots, given newest first. Where there are fewer periods than a rule keeps, it keeps the oldest
 * snapshot too, as restic does: so the history reaches back as far as it can.
 */
function* keptByRules(newestFirst: readonly Candidate[], rules: RetentionRules): Generator<Reason> {
  const { keep_last: last = 0, within_days: days } = rules;
  for (const snapshot of newestFirst.slice(0, last)) yield [snapshot, `one of the last ${last}`];
  if (days !== undefined) yield* keptInDays(newestFirst, days);
  for (const [rule, periodOf] of periods) {
    const most = rules[rule] ?? 0;
    const byPeriod = Map.groupBy(newestFirst, ({ createdAt }) => periodOf(createdAt));
    for (const [period, its] of [...byPeriod].slice(0, most)) {
      for (const snapshot of its.slice(0, 1)) yield [snapshot, `${rule} ${period}`];
    }
    const [period, its = []] = [...byPeriod].at(-1) ?? [];
    const [oldest] = its.slice(1).slice(-1);
    if (oldest !== undefined && byPeriod.size < most) yield [oldest, `${rule} ${period}, the oldest`];
  }
}

/** What is kept of the days before the newest snapshot. */
function* keptInDays(newestFirst: readonly Candidate[], days: number): Generator<Reason> {
  const since = Date.parse(newestFirst[0]?.createdAt ?? "") - days * DAY_MS;
  for (const snapshot of newestFirst) {
    if (Date.parse(snapshot.createdAt) > since) yield [snapshot, `within ${count(days, "day")} of the newest`];
  }
}
