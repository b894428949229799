import { expect, onTestFinished } from "vitest";
import type { FaultHarness } from "./harness.ts";

/** How long a test waits for other processes. */
export const patient = { timeout: 40_000, interval: 50 };

/** A promise that is pending until `open` is called, or the test ends. */
export function gate() {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const open = () => resolve(undefined);
  onTestFinished(open);
  return { opened: promise, open };
}

/** Holds back every commit that reaches a proxy, including retries, until `release`. */
async function holdCommits(faults: FaultHarness) {
  const { opened, open } = gate();
  const held = faults.proxy.when({ api: "OffsetCommit", every: true }, () => opened);
  return {
    release: open,
    reached: () => expect.poll(() => held.happened, patient).toBe(true),
  };
}

/** Starts a rollback, and holds back its commits until `release`. */
export async function startHeldRollback(faults: FaultHarness, request: object) {
  const commits = await holdCommits(faults);
  const answer = faults.rollback(request);
  await commits.reached();
  return { answer, release: commits.release };
}
