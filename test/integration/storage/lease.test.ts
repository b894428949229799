import { PutItemCommand } from "@aws-sdk/client-dynamodb";
import { describe, expect, test } from "vitest";
import { JournalCorrupt, RollbackInProgress } from "../../../functions/shared/core/errors.ts";
import { createLease } from "../../../functions/shared/storage/lease.ts";
import { within } from "../../support/deadline.ts";
import { assumedMs, holder, testLeases, unrenewed } from "./lease-fixture.ts";

const { storage, clock, lease, acquire, item, expiryOf } = testLeases();

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
