import { setTimeout as delay } from "node:timers/promises";
import { type Deadline, deadlineExceeded } from "../../core/deadline.ts";
import { type Attempt, failureOfException, type Problem, type Settled, unavailable } from "./problems.ts";

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 2_000;

/**
 * How long reads are retried: longer than a leader election or the loading of offsets takes, and less than the 60 s
 * after which AWS clients invoke the function again.
 */
export const READ_LIMIT_MS = 45_000;

/** Reports the result of an attempt for a key. The last report of a round counts. */
export type Report<K, R> = (key: K, attempt: Attempt<R>) => void;

/** How long to retry which work. */
export interface RetryLimits {
  readonly deadline: Deadline;
  /** `reading the commits of 12 groups`. */
  readonly doing: string;
  /** Gives up after this time, even if the deadline is later. */
  readonly maxMs?: number;
  /** Gives up when no key has been settled for this long. */
  readonly stallMs?: number;
  /** Gives up when only this much time is left. */
  readonly reserveMs?: number;
}

/** The time left for a round, in milliseconds. A round must not take longer. */
export type TimeLeft = () => number;

/**
 * Works on keys in rounds until each is done or has failed. Keys reported as `again` get another round, after a growing
 * wait with jitter. A key without a report has failed: an incomplete answer is an error. The last fifth of the time (5
 * s at most) and the reserve are left to the caller, to report what failed. When the time ends, the remaining keys fail
 * with their last reason, or as DeadlineExceeded. Throws internal errors only.
 */
export async function settleAll<K, R>(
  keys: Iterable<K>,
  limits: RetryLimits,
  round: (pending: readonly K[], report: Report<K, R>, leftMs: TimeLeft) => Promise<void>,
): Promise<Map<K, Settled<R>>> {
  const { deadline, doing } = limits;
  const settled = new Map<K, Settled<R>>();
  const reasons = new Map<K, Problem>();
  const available = deadline.remainingMs();
  const endsAt = Math.max(Math.min(5_000, available / 5), limits.reserveMs ?? 0);
  const giveUpAt = Math.max(endsAt, available - (limits.maxMs ?? available));
  let pending = [...new Set(keys)];
  let lastProgress = performance.now();
  for (let wait = FIRST_WAIT_MS; pending.length > 0; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
    const attempts = new Map<K, Attempt<R>>();
    try {
      const report: Report<K, R> = (key, attempt) => attempts.set(key, attempt);
      await round(pending, report, () => Math.max(0, deadline.remainingMs() - endsAt));
    } catch (error) {
      const attempt = failureOfException(error);
      for (const key of pending) if (!attempts.has(key)) attempts.set(key, attempt);
    }
    const again: K[] = [];
    for (const key of pending) {
      const attempt = attempts.get(key) ?? { failed: unavailable(`${doing}: missing in Kafka's answer`) };
      if ("again" in attempt) {
        reasons.set(key, attempt.again);
        again.push(key);
      } else {
        settled.set(key, attempt);
      }
    }
    if (again.length < pending.length) lastProgress = performance.now();
    pending = again;
    const pause = wait * (0.5 + Math.random() / 2);
    const stalled = performance.now() + pause - lastProgress > (limits.stallMs ?? Number.POSITIVE_INFINITY);
    if (pending.length === 0 || stalled || deadline.remainingMs() - pause < giveUpAt) break;
    await delay(pause, undefined, { signal: deadline.signal }).catch(() => {});
  }
  const late = { error: "DeadlineExceeded", message: deadlineExceeded(doing).summary };
  for (const key of pending) settled.set(key, { failed: reasons.get(key) ?? late });
  for (const [key, result] of settled) {
    const reason = reasons.get(key);
    if ("failed" in result && result.failed.error === "DeadlineExceeded" && reason !== undefined) {
      settled.set(key, { failed: reason });
    }
  }
  return settled;
}

/** Runs `work` for all items, at most `most` at a time. After a failure no more are started. */
export async function inParallel<T>(
  items: readonly T[],
  most: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = each(items);
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker));
}

/** Unlike an array's iterator, a generator ends for all workers when one worker leaves its loop. */
function* each<T>(items: readonly T[]): Generator<T> {
  yield* items;
}

/**
 * Cuts a list, in its order, into lists of at most `most` items, whose sizes add up to at most `room`. An item that is
 * larger has a list of its own.
 */
export function batchesOf<T>(items: Iterable<T>, most: number, room = 0, sizeOf: (item: T) => number = () => 0): T[][] {
  const batches: T[][] = [];
  let left = 0;
  for (const item of items) {
    const size = sizeOf(item);
    const batch = batches.at(-1);
    if (batch === undefined || batch.length >= most || size > left) {
      batches.push([item]);
      left = room - size;
    } else {
      batch.push(item);
      left -= size;
    }
  }
  return batches;
}

/** The time limit passed. */
export class TimedOut extends Error {}

/**
 * The result of `work` if it arrives in time and before `signal`. The work itself is not stopped.
 *
 * @throws TimedOut
 */
export async function withTimeout<T>(work: Promise<T>, timeoutMs: number, signal?: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(new TimedOut("the time ended"));
  const timer = setTimeout(() => reject(new TimedOut(`no result in ${timeoutMs} ms`)), Math.max(0, timeoutMs));
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
