import { setTimeout as delay } from "node:timers/promises";
import { type Deadline, deadlineExceeded } from "../../core/deadline.ts";
import { type Attempt, failureOfException, type Problem, type Settled, unavailable } from "./problems.ts";

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 2_000;

/**
 * How long reads are tried at most: longer than an election or the loading of offsets takes, and not so long that
 * whoever waits for a snapshot takes the function for dead (AWS's clients wait 60 s, then invoke it once more).
 */
export const READ_PATIENCE_MS = 45_000;

/** Tells what an attempt made of a key; the last word on a key in a round counts. */
export type Report<K, R> = (key: K, attempt: Attempt<R>) => void;

/** How long to try, and how to name it. */
export interface RetryLimits {
  readonly deadline: Deadline;
  /** `reading the commits of 12 groups`. */
  readonly doing: string;
  /** Gives up after this time even where the deadline leaves more: for what is worth a warning only. */
  readonly patienceMs?: number;
  /** Gives up when nothing has been settled for this long: whoever waits for much work waits as long as there is progress. */
  readonly stallMs?: number;
  /** Gives up when only this much of the time is left. */
  readonly reserveMs?: number;
}

/** How long a round may take from now on; what takes longer must be given up. */
export type TimeLeft = () => number;

/**
 * Works on keys in rounds until each is done or has failed: what `round` wants again gets another one, after a wait that
 * grows and has jitter. A key that a round says nothing about has failed: an answer that leaves something out is an
 * error. Nobody waits into the last fifth of the time (5 s at most), or into the reserve: a caller who has to say what
 * failed needs it.
 * Where the time ends, the keys that are left fail with the last reason, or as DeadlineExceeded. Never throws, but for
 * faults of ours.
 */
export async function settleAll<K, R>(
  keys: Iterable<K>,
  trial: RetryLimits,
  round: (pending: readonly K[], report: Report<K, R>, leftMs: TimeLeft) => Promise<void>,
): Promise<Map<K, Settled<R>>> {
  const { deadline, doing } = trial;
  const settled = new Map<K, Settled<R>>();
  const reasons = new Map<K, Problem>();
  const available = deadline.remainingMs();
  const endsAt = Math.max(Math.min(5_000, available / 5), trial.reserveMs ?? 0);
  const giveUpAt = Math.max(endsAt, available - (trial.patienceMs ?? available));
  let pending = [...new Set(keys)];
  let progress = performance.now();
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
      const attempt = attempts.get(key) ?? { failed: unavailable(`${doing}: the answer of Kafka left it out`) };
      if ("again" in attempt) {
        reasons.set(key, attempt.again);
        again.push(key);
      } else {
        settled.set(key, attempt);
      }
    }
    if (again.length < pending.length) progress = performance.now();
    pending = again;
    const pause = wait * (0.5 + Math.random() / 2);
    const stalled = performance.now() + pause - progress > (trial.stallMs ?? Number.POSITIVE_INFINITY);
    if (pending.length === 0 || stalled || deadline.remainingMs() - pause < giveUpAt) break;
    await delay(pause, undefined, { signal: deadline.signal }).catch(() => {});
  }
  const late = { error: "DeadlineExceeded", message: deadlineExceeded(doing).message };
  for (const key of pending) settled.set(key, { failed: reasons.get(key) ?? late });
  for (const [key, result] of settled) {
    const reason = reasons.get(key);
    if ("failed" in result && result.failed.error === "DeadlineExceeded" && reason !== undefined) {
      settled.set(key, { failed: reason });
    }
  }
  return settled;
}

/** Runs `work` over all items, at most `most` at a time. Where one fails, no more are begun. */
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

/** Unlike an array's own iterator, this one ends for all workers when the loop of one of them is left. */
function* each<T>(items: readonly T[]): Generator<T> {
  yield* items;
}

/** Cuts a list into lists of at most `size`. */
export function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** Something did not come in time. */
export class TimedOut extends Error {}

/**
 * The result of `work` if it comes in time and before `signal`; the work itself goes on, unheard.
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
