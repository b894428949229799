import { describe, expect, test } from "vitest";
import type { RollbackAnswer } from "./support/answers.ts";
import { cases, type FaultHarness, faultHarness, requireSavedOrMoved, type Scenario } from "./support/harness.ts";

const faults = faultHarness();

/** Kills a broker at a moment of the next rollback. Resolves when the broker is dead. */
type Kill = (faults: FaultHarness, groups: Scenario) => Promise<unknown>;

const before: Kill = async ({ coordinatorOf, killBroker }, { groups }) => killBroker(await coordinatorOf(groups));
const during: Kill = ({ proxy, killBroker }) =>
  proxy.when({ api: "OffsetCommit", nth: 150 }, async (broker) => void (await killBroker(broker))).done;
const after: Kill = ({ proxy, killBroker }) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  // The first OffsetFetch after a commit belongs to the read-back.
  proxy.when({ api: "OffsetCommit" }, () => {
    proxy.when({ api: "OffsetFetch" }, async (broker) => void (await killBroker(broker))).done.then(resolve);
    return undefined;
  });
  return promise;
};

describe("if a coordinator of 300 groups is killed", () => {
  test.each(
    cases(["during the commits, with 15 s in total"], [
      ["during the commits, with 15 s in total", during, 15_000],
      ["during the commits", during, 60_000],
      ["before the commits", before, 60_000],
      ["before the commits, with 15 s in total", before, 15_000],
      ["between commits and read-back", after, 60_000],
      ["between commits and read-back, with 15 s in total", after, 15_000],
    ] as const),
  )("%s: the result is correct, and a resume completes the rollback", async (what, kill, ms) => {
    const scenario = await faults.scenario(300);
    const killed = kill(faults, scenario);
    if (kill === before) await killed;

    const started = performance.now();
    const first = await faults.rollback({ snapshot_id: scenario.snapshotId }, ms);
    const took = performance.now() - started;
    await killed;
    console.log(`${what}: ${first.result?.status ?? first.error?.message} after ${Math.round(took)} ms`);
    expect(took).toBeLessThan(ms);
    requireSavedOrMoved(
      scenario,
      first.result ? await faults.requireAgreement(first, "late") : await faults.offsetsByTool(scenario.groups),
    );
    for (const id of [1, 2, 3]) await faults.startBroker(id);
    const last = first.error === undefined ? first : await resumeOrRepeat(scenario, first);

    expect(last.result).toMatchObject({ status: "success", groups_rolled_back: 300 });
    await faults.requireCommits(scenario.saved, await faults.requireAgreement(last));
    const safety = await faults.safetySnapshots();
    expect(safety).toEqual([last.result?.safety_snapshot_id]);
    expect((await faults.snapshot(String(safety[0]))).consumerGroups).toEqual(scenario.moved);
  });
});

/** Resumes a rollback that did not reach all its targets, or repeats one that made no commit. */
function resumeOrRepeat({ snapshotId }: Scenario, { result, error }: RollbackAnswer): Promise<RollbackAnswer> {
  if (result !== undefined) return faults.rollback({ resume: result.rollback_id });
  expect(error?.message).toMatch(/(Nothing was changed|No offset was committed)/);
  return faults.rollback({ snapshot_id: snapshotId });
}
