import { DeadlineExceeded } from "./errors.ts";

/** Until when an invocation may work. Adapters pass `signal` to whatever waits, and look at the time before they retry. */
export interface Deadline {
  /** Aborts when the time is over. */
  readonly signal: AbortSignal;
  remainingMs(): number;
}

/** The error of a deadline that passed while `doing` was going on. */
export function deadlineExceeded(doing: string, cause?: unknown): DeadlineExceeded {
  return new DeadlineExceeded(
    `the time of this invocation ended while ${doing}. Ask for fewer groups at once, or give the function more time ` +
      "(over HTTP an answer must come within 29 s: invoke the function directly).",
    { cause },
  );
}

/** A deadline of this length: for what must be tried even where the time of the invocation is over. */
export function lasting(ms: number): Deadline {
  const end = performance.now() + ms;
  return { signal: AbortSignal.timeout(Math.ceil(ms)), remainingMs: () => Math.max(0, end - performance.now()) };
}

/** A deadline that ends this much before another: for work after which something is still to be done. */
export function sooner(deadline: Deadline, ms: number): Deadline {
  const end = performance.now() + deadline.remainingMs() - ms;
  const remainingMs = () => Math.max(0, end - performance.now());
  return { signal: AbortSignal.any([deadline.signal, AbortSignal.timeout(Math.ceil(remainingMs()))]), remainingMs };
}
