import type { Clock } from "../../../functions/shared/storage/lease.ts";

/** A clock that stands still until a test moves it, so that no result depends on how fast the machine is. */
export interface HeldClock extends Clock {
  /** Lets this time pass, and ends the waits that are over then. */
  advance(ms: number): void;
  /** Sets the clock that others have, too, forward or back; no time passes. */
  set(byMs: number): void;
}

export function holdClock(): HeldClock {
  const waits = new Set<{ readonly due: number; end(): void }>();
  let elapsed = 0;
  let offset = Date.now();
  return {
    monotonicMs: () => elapsed,
    utcMs: () => offset + elapsed,
    wait(ms, signal) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const wait = { due: elapsed + ms, end: resolve };
      if (ms <= 0 || signal.aborted) resolve();
      else waits.add(wait);
      signal.addEventListener("abort", () => resolve(), { once: true });
      return promise.finally(() => waits.delete(wait));
    },
    advance(ms) {
      elapsed += ms;
      for (const wait of waits) if (wait.due <= elapsed) wait.end();
    },
    set(byMs) {
      offset += byMs;
    },
  };
}
