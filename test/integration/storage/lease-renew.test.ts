import { DeleteItemCommand, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { describe, expect, test } from "vitest";
import { RollbackInProgress } from "../../../functions/shared/core/errors.ts";
import type { Lease } from "../../../functions/shared/storage/lease.ts";
import { within } from "../../support/deadline.ts";
import { assumedMs, eventually, holder, long, short, testLeases } from "./lease-fixture.ts";

const { storage, clock, lease, shaky, acquire, item, expiryOf, calls, whileTimePasses } = testLeases();

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
