import { DeleteItemCommand, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Deadline } from "../../../functions/shared/core/deadline.ts";
import {
  Configuration,
  DeadlineExceeded,
  JournalCorrupt,
  RollbackInProgress,
  StorageUnavailable,
} from "../../../functions/shared/core/errors.ts";
import { createClients } from "../../../functions/shared/storage/clients.ts";
import { createLease, type Lease, type LeaseHolder } from "../../../functions/shared/storage/lease.ts";
import { within } from "../../support/deadline.ts";
import { type HeldClock, holdClock } from "./clock.ts";
import { testArchive } from "./fixture.ts";

const storage = testArchive();
const short = { lengthMs: 2_000, renewMs: 250 };
/** The times of a deployment. */
const long = { lengthMs: 20_000, renewMs: 2_500 };
/** A lease that is never renewed, as after a crash. */
const unrenewed = { lengthMs: 1_000, renewMs: 60_000 };
const all = Number.POSITIVE_INFINITY;

/** The only clock of the leases; a test advances it. */
let clock: HeldClock;
beforeEach(() => {
  clock = holdClock();
});

const lease = (times = short) => createLease(storage.config, storage.clients, times, clock);
/** A lease through the proxy, with new clients: the SDK stops retrying after many failures. */
const shaky = (times = short) => createLease(storage.config, createClients(storage.faults.url), times, clock);
const holder = (rollbackId: string, requestedBy: string | null = "ana"): LeaseHolder => ({
  rollbackId,
  requestedBy,
  startedAt: new Date().toISOString(),
});

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
/** Polls without advancing the clock, until the emulator has answered. */
const eventually = <T>(look: () => T) => expect.poll(look, { timeout: 20_000, interval: 20 });
/** Polls, and advances the clock by 10 ms before each look. */
const whileTimePasses = <T>(look: () => T) =>
  expect.poll(
    () => {
      clock.advance(10);
      return look();
    },
    { timeout: 20_000, interval: 10 },
  );
/** The time that the holder assumes right after it acquired or renewed the lease. */
const assumedMs = ({ lengthMs }: typeof short) => lengthMs * 0.95;
/** Advances the clock to the next renewal, and waits until it has succeeded. */
async function renewal(taken: Lease, times = short): Promise<void> {
  clock.advance(times.renewMs);
  await eventually(() => taken.remainingMs()).toBe(assumedMs(times));
}
/** Advances the clock by three renewal intervals. */
async function threeRenewalIntervals(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    clock.advance(short.renewMs);
    await shaky().holder(within());
  }
}

describe("a lease", () => {
  test("is one item with its holder and its expiry, in at most 20 s", async () => {
    const who = holder("r-1");
    const before = Date.now();
    const taken = await acquire(createLease(storage.config, storage.clients), who);

    expect(await storage.items()).toEqual([
      {
        pk: { S: "lease" },
        sk: { S: "rollback" },
        token: { S: expect.stringMatching(/^[\da-f-]{36}$/) },
        rollback_id: { S: "r-1" },
        requested_by: { S: "ana" },
        started_at: { S: who.startedAt },
        expires_ms: { N: expect.stringMatching(/^\d{13}$/) },
      },
    ]);
    expect(await expiryOf()).toBeGreaterThanOrEqual(before + 20_000 - 1);
    expect(await expiryOf()).toBeLessThanOrEqual(Date.now() + 20_000 + 1);
    expect(taken.lost).toBe(false);
    expect(taken.remainingMs()).toBeGreaterThan(15_000);
  });

  test("expires for its holder no later than for other calls", async () => {
    const taken = await acquire();
    for (let i = 0; i < 20; i++) {
      const end = clock.utcMs() + taken.remainingMs();
      expect(end).toBeLessThanOrEqual(await expiryOf());
      clock.advance(60);
    }
    expect(taken.lost).toBe(false);
  });

  test("refuses a second rollback with the id, the caller and the age of the first", async () => {
    const startedAt = new Date(clock.utcMs() - 42_000).toISOString();
    await acquire(lease(), { rollbackId: "r-1", requestedBy: "ana", startedAt });
    const refused = lease().acquire(holder("r-2"), within());

    await expect(refused).rejects.toThrow(RollbackInProgress);
    await expect(refused).rejects.toThrow(
      /^RollbackInProgress: r-1 \(requested by "ana"\) has been running for 42 s, .*Nothing was changed\. Call rollbacks \{"rollback_id": "r-1"\} to see it, and try again when it has ended; if it crashed, it stops blocking others after at most 2 s, when its lease expires\.$/,
    );
    await expect(refused).rejects.toMatchObject({
      retryable: true,
      details: {
        rollback_id: "r-1",
        requested_by: "ana",
        started_at: startedAt,
        age_seconds: 42,
      },
    });
  });

  test("refuses a second rollback of the same id, also if the holder has no caller", async () => {
    await acquire(lease(), holder("r-1", null));
    const refused = lease().acquire(holder("r-1"), within());
    await expect(refused).rejects.toThrow(/^RollbackInProgress: r-1 has been running/);
    await expect(refused).rejects.toMatchObject({ details: { requested_by: null } });
  });

  test("names the 20 s of a deployment in its refusal", async () => {
    await acquire(createLease(storage.config, storage.clients));
    await expect(createLease(storage.config, storage.clients).acquire(holder("r-2"), within())).rejects.toThrow(
      "after at most 20 s",
    );
  });

  test("has a holder while it is held, and none before and after", async () => {
    const who = holder("r-1", null);
    expect(await lease().holder(within())).toBeUndefined();
    const taken = await acquire(lease(), who);
    expect(await lease().holder(within())).toEqual(who);
    expect(await taken.release(within())).toBe(true);
    expect(await lease().holder(within())).toBeUndefined();
  });

  test("is free as soon as it is released, and its item is deleted", async () => {
    const taken = await acquire();
    expect(await taken.release(within())).toBe(true);
    expect(taken.remainingMs()).toBe(0);
    expect(taken.lost).toBe(false);
    expect(await storage.items()).toEqual([]);
    expect((await acquire(lease(), holder("r-2"))).lost).toBe(false);
  });

  test("may be released again", async () => {
    const taken = await acquire();
    expect([await taken.release(within()), await taken.release(within())]).toEqual([true, true]);
  });

  test("is acquired by exactly one of two calls at the same time", async () => {
    for (let round = 0; round < 20; round++) {
      const both = await Promise.allSettled([
        lease().acquire(holder("r-1"), within()),
        lease().acquire(holder("r-2"), within()),
      ]);
      const winners = both.filter((outcome) => outcome.status === "fulfilled");
      const losers = both.filter((outcome) => outcome.status === "rejected");
      expect([winners.length, losers.length]).toEqual([1, 1]);
      expect(losers[0]?.reason).toBeInstanceOf(RollbackInProgress);
      expect(await winners[0]?.value.release(within())).toBe(true);
    }
  });

  test("is JournalCorrupt with the next step if its item was changed", async () => {
    const Item = { pk: { S: "lease" }, sk: { S: "rollback" }, rollback_id: { S: "r-1" } };
    await storage.dynamodb.send(new PutItemCommand({ TableName: storage.config.table, Item }));
    for (const read of [() => lease().acquire(holder("r-2"), within()), () => lease().holder(within())]) {
      await expect(read()).rejects.toThrow(JournalCorrupt);
      await expect(read()).rejects.toThrow(
        /the item lease \/ "rollback" is not what was written: token is missing\. Nothing was changed\. A rollback runs at most 15 minutes\. .* delete the item: aws dynamodb delete-item --table-name offsets-\S+ --key '{"pk": {"S": "lease"}, "sk": {"S": "rollback"}}'\.$/,
      );
    }
  });
});

describe("the end of a lease", () => {
  const endIn = async (ms: number) => {
    const Item = { ...(await item()), expires_ms: { N: String(clock.utcMs() + ms) } };
    await storage.dynamodb.send(new PutItemCommand({ TableName: storage.config.table, Item }));
  };

  test("is JournalCorrupt with the next step if it is later than any lease can end, and not RollbackInProgress", async () => {
    await acquire(lease(unrenewed));
    for (const late of [3_000, 365 * 86_400_000, Number.MAX_SAFE_INTEGER - clock.utcMs()]) {
      await endIn(late);
      for (const read of [
        () => lease(unrenewed).acquire(holder("r-2"), within()),
        () => lease(unrenewed).holder(within()),
      ]) {
        await expect(read()).rejects.toThrow(JournalCorrupt);
        await expect(read()).rejects.toThrow(
          /the lease of r-1 ends in \d+ s, and a lease ends after 1 s: .* delete-item .* call rollbacks \{"rollback_id": "r-1"\}/,
        );
      }
    }
  });

  test("may be later by as much as clocks differ", async () => {
    await acquire(lease(unrenewed));
    await endIn(1_900);
    await expect(lease(unrenewed).acquire(holder("r-2"), within())).rejects.toThrow(RollbackInProgress);
    clock.advance(1_901);
    expect((await acquire(lease(), holder("r-2"))).lost).toBe(false);
  });
});

describe("the lease of a holder that crashed", () => {
  test("blocks until it expires", async () => {
    const crashed = await acquire(lease(unrenewed));
    const expires = await expiryOf();
    expect(expires).toBe(clock.utcMs() + unrenewed.lengthMs);
    clock.advance(unrenewed.lengthMs);
    await expect(lease().acquire(holder("r-2"), within())).rejects.toThrow(RollbackInProgress);

    clock.advance(1);
    const next = await acquire(lease(), holder("r-2"));
    expect(next.lost).toBe(false);
    expect(await lease().holder(within())).toMatchObject({ rollbackId: "r-2" });
    expect([crashed.lost, crashed.remainingMs()]).toEqual([true, 0]);
  });

  test("has no holder after it expires", async () => {
    await acquire(lease(unrenewed));
    clock.advance(unrenewed.lengthMs);
    expect(await lease().holder(within())).toMatchObject({ rollbackId: "r-1" });
    clock.advance(1);
    expect(await lease().holder(within())).toBeUndefined();
  });

  test("is lost when it expires, even if no other call acquired it, and can be released", async () => {
    const taken = await acquire(lease(unrenewed));
    clock.advance(assumedMs(unrenewed) - 1);
    expect([taken.lost, taken.remainingMs()]).toEqual([false, 1]);
    clock.advance(1);
    expect([taken.lost, taken.remainingMs()]).toEqual([true, 0]);
    expect(await taken.release(within())).toBe(true);
    expect(await storage.items()).toEqual([]);
    expect(taken.lost).toBe(true);
  });
});

describe("renewing", () => {
  test("keeps the lease for longer than its length", async () => {
    const taken = await acquire();
    const first = await expiryOf();
    while (clock.utcMs() <= first + 500) await renewal(taken);
    expect(taken.lost).toBe(false);
    expect(await expiryOf()).toBe(clock.utcMs() + short.lengthMs);
    await expect(lease().acquire(holder("r-2"), within())).rejects.toThrow(RollbackInProgress);
  });

  test("ends when the lease is released", async () => {
    const taken = await acquire(shaky());
    for (let i = 0; i < 2; i++) await renewal(taken);
    await taken.release(within());
    const renewals = calls("UpdateItem");
    expect(renewals).toBe(2);
    const next = await acquire(lease(), holder("r-2"));
    for (let i = 0; i < 3; i++) await renewal(next);
    expect(calls("UpdateItem")).toBe(renewals);
  });

  test("ends when the signal of its invocation aborts, and then the lease is lost", async () => {
    const over = new AbortController();
    const taken = await acquire(shaky(), holder("r-1"), { signal: over.signal, remainingMs: () => 60_000 });
    for (let i = 0; i < 2; i++) await renewal(taken);
    over.abort();
    await threeRenewalIntervals();
    expect(taken.lost).toBe(false);
    clock.advance(assumedMs(short));
    expect([taken.lost, taken.remainingMs()]).toEqual([true, 0]);
    expect(calls("UpdateItem")).toBe(2);
  });

  test("ends with the remaining time of its invocation, even without a signal", async () => {
    const end = clock.monotonicMs() + 1_000;
    const deadline = {
      signal: new AbortController().signal,
      remainingMs: () => Math.max(0, end - clock.monotonicMs()),
    };
    const taken = await acquire(shaky(), holder("r-1"), deadline);
    for (let i = 0; i < 3; i++) await renewal(taken);
    await threeRenewalIntervals();
    clock.advance(assumedMs(short));
    expect(taken.lost).toBe(true);
    expect(calls("UpdateItem")).toBe(3);
  });

  test("extends the stored expiry, even if the UTC clock is set back", async () => {
    const taken = await acquire(shaky());
    const first = await expiryOf();
    clock.shiftUtc(-3_600_000);
    await renewal(taken);
    expect(await expiryOf()).toBe(first + short.renewMs);
    expect(taken.lost).toBe(false);
  });

  test("reports the lease as lost if the function was frozen for too long", async () => {
    const taken = await acquire();
    clock.shiftUtc(assumedMs(short) - 1);
    expect(taken.remainingMs()).toBe(1);
    clock.shiftUtc(1);
    expect(taken.remainingMs()).toBe(0);
    clock.shiftUtc(-assumedMs(short));
    expect(taken.lost).toBe(true);
  });

  test.each(["breaks", "lost"] as const)("continues after failed calls: %s", async (fault) => {
    const taken = await acquire(shaky());
    storage.faults.on("UpdateItem", fault, 3); // all attempts of one renewal
    await whileTimePasses(() => calls("UpdateItem")).toBeGreaterThan(4);
    const first = await expiryOf();
    await whileTimePasses(expiryOf).toBeGreaterThan(first);
    await whileTimePasses(() => taken.remainingMs()).toBeGreaterThan(short.lengthMs / 2);
    expect(taken.lost).toBe(false);
  });

  test.each(["hangs", "breaks", "denied"] as const)(
    "that cannot succeed (%s) makes the lease lost before other calls can acquire it",
    async (fault) => {
      const taken = await acquire(shaky());
      storage.faults.on("UpdateItem", fault);
      const seen: number[] = [];
      const ends: number[] = [];
      await whileTimePasses(() => {
        seen.push(taken.remainingMs());
        ends.push(clock.utcMs() + taken.remainingMs());
        return taken.lost;
      }).toBe(true);

      expect(seen).toEqual(seen.toSorted((a, b) => b - a));
      expect(seen.at(-1)).toBe(0);
      expect(Math.max(...ends.slice(0, -1))).toBeLessThanOrEqual(await expiryOf());
      expect(calls("UpdateItem")).toBeGreaterThan(2);
      storage.faults.clear();
      expect(await lease().holder(within())).toMatchObject({ rollbackId: "r-1" }); // other calls are still refused
      await whileTimePasses(() => lease().holder(within())).toBeUndefined();
      expect(taken.lost).toBe(true);
    },
  );

  test("counts the time from before the request", async () => {
    const times = { ...long, renewMs: 200 };
    const taken = await acquire(shaky(times));
    const end = () => clock.utcMs() + taken.remainingMs();
    const first = end();
    storage.faults.when({ action: "UpdateItem", at: "answer" }, () => {
      storage.faults.on("UpdateItem", "hangs"); // all others
      clock.advance(1_800);
      return undefined;
    });
    clock.advance(times.renewMs);
    await eventually(end).toBe(first + times.renewMs);
    expect(end()).toBeLessThanOrEqual(await expiryOf());
  });

  test("whose answer comes after the lease is lost does not change that", async () => {
    const times = { lengthMs: 2_000, renewMs: 1_800 };
    const taken = await acquire(shaky(times));
    let late = false;
    storage.faults.when({ action: "UpdateItem", at: "answer" }, () => {
      clock.advance(assumedMs(times) - times.renewMs); // without a check of the lease
      late = true;
      return undefined;
    });
    clock.advance(times.renewMs);
    await eventually(() => late).toBe(true);
    await shaky().holder(within()); // by then, the answer has arrived
    expect(await lease().holder(within())).toMatchObject({ rollbackId: "r-1" }); // other calls still see the lease
    expect(await expiryOf()).toBeGreaterThan(clock.utcMs() + times.renewMs);
    expect([taken.lost, taken.remainingMs()]).toEqual([true, 0]);
  });

  test("reports to a holder that another call has acquired it", async () => {
    const taken = await acquire(shaky({ ...long, renewMs: 200 }));
    await storage.dynamodb.send(
      new PutItemCommand({
        TableName: storage.config.table,
        Item: { ...(await item()), token: { S: "theirs" }, rollback_id: { S: "r-2" } },
      }),
    );
    clock.advance(200);
    await eventually(() => taken.lost).toBe(true);
    expect(taken.remainingMs()).toBe(0);
    const renewals = calls("UpdateItem");
    expect(await lease(long).holder(within())).toMatchObject({ rollbackId: "r-2" });

    expect(await taken.release(within())).toBe(true);
    expect(await item()).toMatchObject({ token: { S: "theirs" } });
    expect(calls("UpdateItem")).toBe(renewals);
  });

  test("reports to a holder that its lease was deleted, and does not create it again", async () => {
    const taken = await acquire(lease({ ...long, renewMs: 200 }));
    const { pk, sk } = (await item()) ?? {};
    await storage.dynamodb.send(
      new DeleteItemCommand({ TableName: storage.config.table, Key: { pk: pk ?? { S: "" }, sk: sk ?? { S: "" } } }),
    );
    clock.advance(200);
    await eventually(() => taken.lost).toBe(true);
    expect(await storage.items()).toEqual([]);
  });

  test("that is in flight when the lease is released does not create it again", async () => {
    const taken = await acquire(shaky());
    const { promise: freed, resolve: free } = Promise.withResolvers<undefined>();
    const renewing = storage.faults.when({ action: "UpdateItem" }, () => freed);
    clock.advance(short.renewMs);
    await eventually(() => renewing.happened).toBe(true);
    expect(await taken.release(within())).toBe(true);
    expect(await storage.items()).toEqual([]);

    const answered = storage.faults.when({ action: "UpdateItem", at: "answer" }, () => undefined);
    free(undefined);
    await eventually(() => answered.happened).toBe(true);
    expect(await storage.items()).toEqual([]);
    expect((await acquire(lease(), holder("r-2"))).lost).toBe(false);
  });

  test("that reaches the table after a later one does not shorten the lease", async () => {
    const taken = await acquire(shaky());
    const { promise: held, resolve: letGo } = Promise.withResolvers<undefined>();
    const slow = storage.faults.when({ action: "UpdateItem" }, () => held);
    clock.advance(short.renewMs);
    await eventually(() => slow.happened).toBe(true);
    const first = await expiryOf();
    await whileTimePasses(expiryOf).toBeGreaterThan(first); // by a later renewal, after the first timed out
    const answered = storage.faults.when({ action: "UpdateItem", at: "answer" }, () => undefined);
    const later = await expiryOf();
    letGo(undefined);
    await eventually(() => answered.happened).toBe(true);
    expect(await expiryOf()).toBeGreaterThanOrEqual(later);
    expect(taken.lost).toBe(false);
  });
});

describe("acquiring a lease", () => {
  test.each([1, 2, 3, all])("succeeds after lost answers: %s", async (times) => {
    storage.faults.on("PutItem", "lost", times);
    const taken = await acquire(shaky(long));
    expect(taken.lost).toBe(false);
    expect(await lease(long).holder(within())).toMatchObject({ rollbackId: "r-1" });
    await expect(lease(long).acquire(holder("r-2"), within())).rejects.toThrow(RollbackInProgress);
    expect(await taken.release(within())).toBe(true);
    expect(await storage.items()).toEqual([]);
  });

  test("succeeds after failed calls", async () => {
    storage.faults.on("PutItem", "breaks", 2);
    expect((await acquire(shaky())).lost).toBe(false);
  });

  test("fails with the statement that it was not acquired if DynamoDB fails", async () => {
    storage.faults.on("PutItem", "breaks");
    const failed = shaky().acquire(holder("r-1"), within());
    await expect(failed).rejects.toThrow(StorageUnavailable);
    await expect(failed).rejects.toThrow(/acquiring the lease for r-1: .*The lease was not acquired: try again/);
    expect(await storage.items()).toEqual([]);
  });

  test("fails with the statement that it may have been acquired, and then expires", async () => {
    storage.faults.on("PutItem", "lost");
    storage.faults.on("GetItem", "breaks");
    const failed = shaky().acquire(holder("r-1"), within());
    await expect(failed).rejects.toThrow(StorageUnavailable);
    await expect(failed).rejects.toThrow("Whether the lease was acquired is not known: try again in 2 s");
    storage.faults.clear();
    clock.advance(short.lengthMs + 1);
    expect(await lease().holder(within())).toBeUndefined();
    expect((await acquire(lease(), holder("r-2"))).lost).toBe(false);
  });

  test("is refused because of another lease, even if an answer is lost", async () => {
    await acquire();
    storage.faults.on("PutItem", "lost", 1);
    await expect(shaky().acquire(holder("r-2"), within())).rejects.toThrow(/RollbackInProgress: r-1/);
    expect(await lease().holder(within())).toMatchObject({ rollbackId: "r-1" });
  });

  test("succeeds if the other lease is released between the refusal and the read of its holder", async () => {
    const first = await acquire();
    storage.faults.before("GetItem", () => first.release(within()));
    const second = await acquire(shaky(), holder("r-2"));
    expect(second.lost).toBe(false);
    expect(await lease().holder(within())).toMatchObject({ rollbackId: "r-2" });
  });

  test("succeeds if the other lease expires between the refusal and the read of its holder", async () => {
    await acquire(lease(unrenewed));
    storage.faults.before("GetItem", async () => clock.advance(unrenewed.lengthMs + 1));
    expect((await acquire(shaky(), holder("r-2"))).lost).toBe(false);
  });

  test("counts the time from before the request", async () => {
    storage.faults.when({ action: "PutItem", at: "answer" }, () => {
      clock.advance(1_500);
      return undefined;
    });
    const taken = await acquire(shaky(long));
    expect(taken.remainingMs()).toBe(assumedMs(long) - 1_500);
    expect(clock.utcMs() + taken.remainingMs()).toBeLessThanOrEqual(await expiryOf());
  });

  test("starts again if its answer came after the assumed time", async () => {
    const slow = storage.faults.when({ action: "PutItem", at: "answer" }, () => {
      clock.advance(assumedMs(short)); // other calls still see it
      return undefined;
    });
    let taken: Lease | undefined;
    const taking = acquire(shaky()).then((lease) => {
      taken = lease;
    });
    await whileTimePasses(() => taken).toBeDefined();
    await taking;
    expect(slow.happened).toBe(true);
    expect(calls("PutItem")).toBeGreaterThan(1);
    expect(taken?.lost).toBe(false);
    expect(taken?.remainingMs()).toBeGreaterThan(0);
  });

  test("fails at its deadline if DynamoDB does not answer", async () => {
    const deadline = storage.faults.deadlineAt("PutItem", "hangs");
    await expect(shaky().acquire(holder("r-1"), deadline)).rejects.toThrow(DeadlineExceeded);
  });

  test("is Configuration if a right is missing", async () => {
    storage.faults.on("PutItem", "denied");
    const failed = shaky().acquire(holder("r-1"), within());
    await expect(failed).rejects.toThrow(Configuration);
    await expect(failed).rejects.toThrow("needs dynamodb:PutItem");
  });

  test.each(["breaks", "denied"] as const)(
    "fails, and so does reading its holder, instead of reporting no lease: %s",
    async (fault) => {
      await acquire();
      storage.faults.on("GetItem", fault);
      const expected = fault === "denied" ? Configuration : StorageUnavailable;
      await expect(shaky().holder(within())).rejects.toThrow(expected);
      await expect(shaky().acquire(holder("r-2"), within())).rejects.toThrow(expected);
    },
  );
});

describe("releasing a lease", () => {
  test.each([1, 2, all])("succeeds after lost answers: %s", async (times) => {
    const taken = await acquire(shaky(long));
    storage.faults.on("DeleteItem", "lost", times);
    expect(await taken.release(within())).toBe(true);
    expect(await storage.items()).toEqual([]);
  });

  test("succeeds without a change if an answer is lost and another call has acquired it", async () => {
    const taken = await acquire(shaky());
    storage.faults.on("DeleteItem", "lost", 1);
    storage.faults.when({ action: "DeleteItem", at: "answer" }, async () => {
      await acquire(lease(), holder("r-2"));
      return undefined;
    });
    expect(await taken.release(within())).toBe(true);
    expect(await lease().holder(within())).toMatchObject({ rollbackId: "r-2" });
  });

  test.each(["breaks", "denied", "hangs"] as const)("that fails (%s) is no error: the lease expires", async (fault) => {
    const taken = await acquire(shaky());
    storage.faults.on("DeleteItem", fault);
    const started = clock.monotonicMs();
    let freed: boolean | undefined;
    const releasing = taken.release(within()).then((gone) => {
      freed = gone;
    });
    await whileTimePasses(() => freed).toBe(false);
    await releasing;
    expect(clock.monotonicMs() - started).toBeLessThan(short.lengthMs);
    expect(taken.remainingMs()).toBe(0);
    clock.advance(short.lengthMs + 1);
    expect(await lease().holder(within())).toBeUndefined();
  });

  test("after the deadline is no error", async () => {
    const taken = await acquire();
    expect(await taken.release({ signal: AbortSignal.abort(), remainingMs: () => 0 })).toBe(false);
  });
});
