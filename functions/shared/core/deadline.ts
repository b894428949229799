import { DeadlineExceeded } from "./errors.ts";

/** Until when an invocation may work. Adapters pass `signal` to whatever waits, and check the time before they retry. */
export interface Deadline {
  /** Aborts when the time is over. */
  readonly signal: AbortSignal;
  remainingMs(): number;
}

/** The error of a deadline that passed while `doing` was going on. */
export function deadlineExceeded(doing: string, cause?: unknown): DeadlineExceeded {
  return new DeadlineExceeded(`the time of this invocation ended while ${doing}.`, {
    next:
      "Ask for fewer groups at once, or give the function more time (over HTTP an answer must come within 29 s: " +
      "invoke the function directly).",
    cause,
  });
}

/**
 * A deadline in this many milliseconds, or when `parent` aborts. It keeps no process alive; `stop` ends its timer, after
 * which it never passes.
 */
export function deadlineIn(ms: number, parent?: AbortSignal): Deadline & { stop(): void } {
  const end = performance.now() + Math.max(0, ms);
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), Math.max(0, ms));
  timer.unref();
  return {
    signal: parent === undefined ? over.signal : AbortSignal.any([parent, over.signal]),
    remainingMs: () => Math.max(0, end - performance.now()),
    stop: () => clearTimeout(timer),
  };
}

/** A deadline that ends this much before another: for work after which something is still to be done. */
export function endingBefore(deadline: Deadline, ms: number): Deadline {
  return deadlineIn(deadline.remainingMs() - ms, deadline.signal);
}
