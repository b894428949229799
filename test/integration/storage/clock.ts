import type { Clock } from "../../../functions/shared/storage/lease.ts";

/** A clock that only a test moves, so that results do not depend on the speed of the machine. */
export interface HeldClock extends Clock {
  /** Advances the time, and ends waits that are over. */
  advance(ms: number): void;
  /** Moves the UTC clock forward or back; the monotonic clock stays. */
  shiftUtc(byMs: number): void;
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
    shiftUtc(byMs) {
      offset += byMs;
    },
  };
}
