import { afterEach, beforeEach, expect } from "vitest";
import type { Deadline } from "../../../functions/shared/core/deadline.ts";
import { createClients } from "../../../functions/shared/storage/clients.ts";
import { createLease, type Lease, type LeaseHolder } from "../../../functions/shared/storage/lease.ts";
import { within } from "../../support/deadline.ts";
import { type HeldClock, holdClock } from "./clock.ts";
import { testArchive } from "./fixture.ts";

/** Shorter times than those of a deployment. */
export const short = { lengthMs: 2_000, renewMs: 250 };
/** The times of a deployment. */
export const long = { lengthMs: 20_000, renewMs: 2_500 };
/** A lease that is never renewed, as after a crash. */
export const unrenewed = { lengthMs: 1_000, renewMs: 60_000 };

export const holder = (rollbackId: string, requestedBy: string | null = "ana"): LeaseHolder => ({
  rollbackId,
  requestedBy,
  startedAt: new Date().toISOString(),
});

/** The time that the holder assumes right after it acquired or renewed the lease. */
export const assumedMs = ({ lengthMs }: typeof short) => lengthMs * 0.95;

/** Polls without advancing the clock, until the emulator has answered. */
export const eventually = <T>(look: () => T) => expect.poll(look, { timeout: 20_000, interval: 20 });

/** Leases of a test file, in an archive of its own. */
export function testLeases() {
  const storage = testArchive();
  let current: HeldClock;
  beforeEach(() => {
    current = holdClock();
  });
  /** The only clock of the leases of a test; a test advances it. */
  const clock: Omit<HeldClock, "wait"> = {
    monotonicMs: () => current.monotonicMs(),
    utcMs: () => current.utcMs(),
    advance: (ms) => current.advance(ms),
    shiftUtc: (byMs) => current.shiftUtc(byMs),
  };

  const lease = (times = short) => createLease(storage.config, storage.clients, times, current);
  /** A lease through the proxy, with new clients: the SDK stops retrying after many failures. */
  const shaky = (times = short) => createLease(storage.config, createClients(storage.faults.url), times, current);

  const held: Lease[] = [];
  afterEach(async () => {
    storage.faults.clear();
    for (const lease of held.splice(0)) await lease.release(within());
  });
  /** Acquires a lease, and releases it when the test ends, if not before. */
  async function acquire(of = lease(), who = holder("r-1"), deadline: Deadline = within()): Promise<Lease> {
    const taken = await of.acquire(who, deadline);
    held.push(taken);
    return taken;
  }

  const item = async () => (await storage.items("lease"))[0];
  const expiryOf = async () => Number((await item())?.expires_ms?.N);
  const calls = (action: string) => storage.faults.calls.filter((call) => call === action).length;
  /** Polls, and advances the clock by 10 ms before each look. */
  const whileTimePasses = <T>(look: () => T) =>
    expect.poll(
      () => {
        clock.advance(10);
        return look();
      },
      { timeout: 20_000, interval: 10 },
    );

  return { storage, clock, lease, shaky, acquire, item, expiryOf, calls, whileTimePasses };
}
