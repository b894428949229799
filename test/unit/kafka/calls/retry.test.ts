import { describe, expect, it, onTestFinished, vi } from "vitest";
import { NoAnswer, unavailable } from "../../../../functions/shared/kafka/calls/problems.ts";
import { inParallel, settleAll } from "../../../../functions/shared/kafka/calls/retry.ts";
import { within } from "../../../support/deadline.ts";

const limitsOf = (ms: number) => ({ deadline: within(ms), doing: "reading" });

describe("settleAll", () => {
  it("retries only the keys reported as again", async () => {
    const rounds: string[][] = [];
    const settled = await settleAll<string, number>(["a", "b"], limitsOf(10_000), async (pending, report) => {
      rounds.push([...pending]);
      report("a", { done: 1 });
      if (rounds.length < 3) report("b", { again: unavailable("not yet") });
      else report("b", { done: 2 });
    });
    expect(settled).toEqual(
      new Map([
        ["a", { done: 1 }],
        ["b", { done: 2 }],
      ]),
    );
    expect(rounds).toEqual([["a", "b"], ["b"], ["b"]]);
  });

  it("gives up stalled keys, but not while there is progress", async () => {
    let now = performance.now();
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
    onTestFinished(() => clock.mockRestore());
    let rounds = 0;
    const limits = { ...limitsOf(60_000), stallMs: 3_000 };
    const settled = await settleAll<number, string>([0, 1, 2, 3], limits, async (pending, report) => {
      now += 1_900; // a round takes that long
      const done = rounds++ < 3 ? Math.min(...pending) : -1; // one key per round, then none
      for (const key of pending) report(key, key === done ? { done: "yes" } : { again: unavailable("stuck") });
    });
    expect([...settled.values()].filter((result) => "done" in result)).toHaveLength(3);
    expect(settled.get(3)).toEqual({ failed: unavailable("stuck") });
    expect(rounds).toBe(5); // three with progress, one without, one more
  });

  it("fails keys that an answer omits", async () => {
    const settled = await settleAll<string, number>(["a"], limitsOf(10_000), async () => {});
    expect(settled.get("a")).toEqual({ failed: unavailable("reading: missing in Kafka's answer") });
  });

  it("gives up before the deadline, with the last reason", async () => {
    const limits = limitsOf(400);
    const settled = await settleAll<string, number>(["a"], limits, async (_, report) =>
      report("a", { again: unavailable("still loading") }),
    );
    expect(settled.get("a")).toEqual({ failed: unavailable("still loading") });
    expect(limits.deadline.remainingMs()).toBeGreaterThan(0);
  });

  it("retries after a lost answer, and throws an internal error", async () => {
    let round = 0;
    const settled = await settleAll<string, number>(["a"], limitsOf(10_000), async (_, report) => {
      if (round++ === 0) throw new NoAnswer("b:1", "closed the connection", true);
      report("a", { done: 1 });
    });
    expect(settled.get("a")).toEqual({ done: 1 });
    const fault = settleAll<string, number>(["a"], limitsOf(10_000), async () => {
      throw new TypeError("internal error");
    });
    await expect(fault).rejects.toThrow(TypeError);
  });
});

describe("inParallel", () => {
  it("does all work, with limited parallelism", async () => {
    let running = 0;
    let most = 0;
    const done: number[] = [];
    await inParallel([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
      done.push(item);
    });
    expect(done.sort()).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(most).toBe(3);
  });

  it("starts no more work after a failure", async () => {
    const begun: number[] = [];
    const work = async (item: number) => {
      begun.push(item);
      await Promise.resolve();
      if (item === 2) throw new Error("no more");
    };

    await expect(inParallel([1, 2, 3, 4, 5, 6, 7, 8], 2, work)).rejects.toThrow("no more");
    await new Promise((done) => setImmediate(done));

    expect(begun).toEqual([1, 2, 3]);
  });
});
