import { describe, expect, onTestFinished, test } from "vitest";
import type { Commits } from "../../functions/shared/core/model.ts";
import { nameSome } from "../../functions/shared/core/text.ts";
import { offsetsLeader, reassignOffsets } from "../support/topics.ts";
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

test("while some groups have no coordinator, verify and rollback work for the others, and refuse to work for these", async () => {
  const { administer, onCluster } = faults;
  const { groups, saved, moved, snapshotId: snapshot_id } = await faults.scenario(60);
  const pattern = `${groups[0]?.split(".")[0]}.*`;
  onTestFinished(() => administer((admin) => reassignOffsets(admin, 5, [3, 1, 2])));
  await administer((admin) => reassignOffsets(admin, 5, [3]));
  await faults.killBroker(3);
  await expect.poll(() => onCluster((cluster) => offsetsLeader(cluster, 5)), { timeout: 30_000 }).toBe(-1);
  const timed = async (work: Promise<unknown>) => {
    const started = performance.now();
    const answer = Object(await work);
    expect(performance.now() - started).toBeLessThan(15_000);
    return answer;
  };

  const refused = await timed(faults.ask("snapshot", { groups: [pattern] }));
  const partial = await timed(faults.call("snapshot", { groups: [pattern], allow_partial: true }));
  const shown = Object(await faults.call("show", { snapshot_id: partial.snapshot_id }));
  const reachable = Object.keys(shown.consumer_groups);
  const others = groups.filter((group) => !reachable.includes(group));
  const before = await timed(faults.call("verify", { snapshot_id, groups: reachable }));
  const whole = await timed(faults.rollback({ snapshot_id }));
  const part = await timed(faults.rollback({ snapshot_id, groups: reachable }));
  const after = await timed(faults.call("verify", { snapshot_id, groups: reachable }));
  const unseen = await timed(faults.ask("verify", { snapshot_id, groups: others }));
  await faults.startBroker(3);
  const stands = await faults.offsetsByTool(groups);

  expect(refused.error).toMatchObject({ name: "KafkaUnavailable", message: expect.stringContaining("has no leader") });
  expect(partial).toMatchObject({ status: "partial", unlisted: { offsets_partitions: [5] } });
  expect(reachable.length).toBeGreaterThan(20);
  expect(others.length).toBeGreaterThan(1);
  expect(before).toMatchObject({ verified: false, checked: 2 * reachable.length });
  expect(whole.error).toMatchObject({ name: "KafkaUnavailable" });
  expect(whole.error.message).toContain("Nothing was changed.");
  expect(whole.error.message).toContain(`${others.length} groups could not be read: ${nameSome(others.toSorted())} (`);
  expect(part.result).toMatchObject({ status: "success", groups_rolled_back: reachable.length });
  expect(after).toMatchObject({ verified: true, checked: 2 * reachable.length });
  expect(unseen.error).toMatchObject({ name: "KafkaUnavailable" });
  const picked = (of: Commits, names: readonly string[]) => new Map([...of].filter(([group]) => names.includes(group)));
  const expected = new Map([...picked(saved, reachable), ...picked(moved, others)]);
  await faults.requireCommits(expected, stands);
}, 240_000);

/** Resumes a rollback that did not reach all its targets, or repeats one that made no commit. */
function resumeOrRepeat({ snapshotId }: Scenario, { result, error }: RollbackAnswer): Promise<RollbackAnswer> {
  if (result !== undefined) return faults.rollback({ resume: result.rollback_id });
  expect(error?.message).toMatch(/(Nothing was changed|No offset was committed)/);
  return faults.rollback({ snapshot_id: snapshotId });
}
