import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { deadlineExceeded, deadlineIn, endingBefore } from "../../../functions/shared/core/deadline.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

describe("a deadline", () => {
  test("counts down, passes when its time is over, and then has no time left", () => {
    const deadline = deadlineIn(1_000);
    expect([deadline.remainingMs(), deadline.signal.aborted]).toEqual([1_000, false]);
    vi.advanceTimersByTime(400);
    expect(deadline.remainingMs()).toBe(600);
    vi.advanceTimersByTime(599);
    expect(deadline.signal.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect([deadline.remainingMs(), deadline.signal.aborted]).toEqual([0, true]);
    vi.advanceTimersByTime(5_000);
    expect(deadline.remainingMs()).toBe(0);
  });

  test("in the past has no time left, and sets no negative timer", () => {
    const timer = vi.spyOn(globalThis, "setTimeout");
    const deadline = deadlineIn(-5);
    expect(deadline.remainingMs()).toBe(0);
    expect(timer).toHaveBeenCalledExactlyOnceWith(expect.any(Function), 0);
    vi.advanceTimersByTime(0);
    expect(deadline.signal.aborted).toBe(true);
  });

  test("passes when its parent is aborted, and keeps its own remaining time", () => {
    const parent = new AbortController();
    const deadline = deadlineIn(1_000, parent.signal);
    expect(deadline.signal.aborted).toBe(false);
    parent.abort();
    expect(deadline.signal.aborted).toBe(true);
  });

  test("with a parent passes when its own time is over", () => {
    const parent = new AbortController();
    const deadline = deadlineIn(1_000, parent.signal);
    vi.advanceTimersByTime(1_000);
    expect([deadline.signal.aborted, parent.signal.aborted]).toEqual([true, false]);
  });

  test("does not keep the process alive", () => {
    const timer = vi.spyOn(globalThis, "setTimeout");
    deadlineIn(1_000);
    expect(timer.mock.results.map(({ value }) => value.hasRef())).toEqual([false]);
  });

  test("never passes after it was stopped", () => {
    const deadline = deadlineIn(1_000);
    deadline.stop();
    vi.advanceTimersByTime(2_000);
    expect(deadline.signal.aborted).toBe(false);
  });
});

describe("a deadline that ends before another", () => {
  test("leaves the given time of the other deadline", () => {
    const whole = deadlineIn(10_000);
    const part = endingBefore(whole, 3_000);
    expect(part.remainingMs()).toBe(7_000);
    vi.advanceTimersByTime(7_000);
    expect([part.signal.aborted, whole.signal.aborted]).toEqual([true, false]);
    expect(whole.remainingMs()).toBe(3_000);
  });

  test("has no time left if the other deadline has less than the given time", () => {
    expect(endingBefore(deadlineIn(1_000), 3_000).remainingMs()).toBe(0);
  });

  test("passes when the parent of the other deadline is aborted", () => {
    const parent = new AbortController();
    const part = endingBefore(deadlineIn(10_000, parent.signal), 3_000);
    parent.abort();
    expect(part.signal.aborted).toBe(true);
  });
});

describe("the error of a deadline that passed", () => {
  test("names the interrupted step and the next step, and keeps the cause", () => {
    const cause = new Error("aborted");
    const error = deadlineExceeded("groups were read", cause);
    expect(error).toMatchObject({ name: "DeadlineExceeded", retryable: true, effect: "unknown", cause });
    expect(error.message).toMatch(
      /^DeadlineExceeded: the time of this invocation ended while groups were read\. Ask for/,
    );
  });
});
