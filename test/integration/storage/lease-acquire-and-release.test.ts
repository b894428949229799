import { describe, expect, test } from "vitest";
import {
  Configuration,
  DeadlineExceeded,
  RollbackInProgress,
  StorageUnavailable,
} from "../../../functions/shared/core/errors.ts";
import type { Lease } from "../../../functions/shared/storage/lease.ts";
import { within } from "../../support/deadline.ts";
import { assumedMs, holder, long, short, testLeases, unrenewed } from "./lease-fixture.ts";

const { storage, clock, lease, shaky, acquire, expiryOf, calls, whileTimePasses } = testLeases();

const all = Number.POSITIVE_INFINITY;

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
    const refused = fault === "denied" ? expect.stringContaining("needs dynamodb:DeleteItem on table") : undefined;
    expect(taken.refused).toEqual(refused);
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
