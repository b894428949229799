import { describe, expect, test } from "vitest";
import type { Rolled } from "./support/answers.ts";
import { cases, type FaultHarness, faultHarness, noneElsewhere, type Standing } from "./support/harness.ts";

const faults = faultHarness();

/** Kills a broker at some moment of the rollback that follows; what it gives resolves when the broker is dead. */
type Murder = (faults: FaultHarness, groups: Standing) => Promise<unknown>;

const before: Murder = async ({ coordinatorOf, killBroker }, { groups }) => killBroker(await coordinatorOf(groups));
const during: Murder = ({ proxy, killBroker }) =>
  proxy.when({ api: "OffsetCommit", nth: 150 }, async (broker) => void (await killBroker(broker))).done;
const after: Murder = ({ proxy, killBroker }) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  // The first OffsetFetch that comes after a commit is that of the read-back.
  proxy.when({ api: "OffsetCommit" }, () => {
    proxy.when({ api: "OffsetFetch" }, async (broker) => void (await killBroker(broker))).done.then(resolve);
    return undefined;
  });
  return promise;
};

describe("a coordinator of 300 groups that is killed", () => {
  test.each(
    cases(["while they are committed, with 15 s for all"], [
      ["while they are committed, with 15 s for all", during, 15_000],
      ["while they are committed", during, 60_000],
      ["before they are committed", before, 60_000],
      ["before they are committed, with 15 s for all", before, 15_000],
      ["when they are committed and are to be read back", after, 60_000],
      ["when they are committed and are to be read back, with 15 s for all", after, 15_000],
    ] as const),
  )("%s: the result is true, and taking it up again puts all back, once", async (what, murder, ms) => {
    const standing = await faults.standing(300);
    const murdered = murder(faults, standing);
    if (murder === before) await murdered;

    const started = performance.now();
    const first = await faults.rollback({ snapshot_id: standing.snapshotId }, ms);
    const took = performance.now() - started;
    await murdered;
    console.log(`${what}: ${first.result?.status ?? first.error?.message} after ${Math.round(took)} ms`);
    expect(took).toBeLessThan(ms);
    noneElsewhere(
      standing,
      first.result ? await faults.agrees(first, "late") : await faults.kafkaSays(standing.groups),
    );
    for (const id of [1, 2, 3]) await faults.startBroker(id);
    const last = first.error === undefined ? first : await again(standing, first);

    expect(last.result).toMatchObject({ status: "success", groups_rolled_back: 300 });
    await faults.allAt(standing.saved, await faults.agrees(last));
    const safety = await faults.safetySnapshots();
    expect(safety).toEqual([last.result?.safety_snapshot_id]);
    expect((await faults.snapshot(String(safety[0]))).consumerGroups).toEqual(standing.moved);
  });
});

/** Takes up a rollback that did not reach all its targets; one that could not begin is asked for again. */
function again({ snapshotId }: Standing, { result, error }: Rolled): Promise<Rolled> {
  if (result !== undefined) return faults.rollback({ resume: result.rollback_id });
  expect(error?.message).toMatch(/(Nothing was changed|No offset was committed)/);
  return faults.rollback({ snapshot_id: snapshotId });
}
