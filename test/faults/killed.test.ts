import { describe, expect, test } from "vitest";
import type { RollbackAnswer } from "./support/answers.ts";
import { cases, type FaultHarness, faultHarness, requireSavedOrMoved } from "./support/harness.ts";

const faults = faultHarness();
const groups = 40;

/** Calls `kill` when a rollback reaches a step. `happened` is true once it was called. */
type Step = (faults: FaultHarness, kill: () => undefined) => { readonly happened: boolean };

const halfway: Step = ({ proxy }, kill) => proxy.when({ api: "OffsetCommit", nth: groups / 2 }, kill);
const journalClosing = { action: "UpdateItem", body: ":result_sha256" };
const steps: [string, Step, { journal: boolean; safety: number; closed?: boolean; again?: Step }][] = [
  ["half of its commits", halfway, { journal: true, safety: 1 }],
  [
    "half of its commits, and again when it is resumed",
    halfway,
    {
      journal: true,
      safety: 1,
      again: ({ proxy }, kill) => proxy.when({ api: "OffsetCommit", nth: groups / 4 }, kill),
    },
  ],
  [
    "taking the lease",
    ({ storage }, kill) => storage.faults.when({ action: "PutItem", body: '"S":"lease"', at: "answer" }, kill),
    { journal: false, safety: 0 },
  ],
  [
    "its safety snapshot",
    ({ storage }, kill) => storage.faults.when({ action: "PutItem", body: '"S":"snapshot"', at: "answer" }, kill),
    { journal: false, safety: 1 },
  ],
  [
    "opening its journal",
    ({ storage }, kill) => storage.faults.when({ action: "TransactWriteItems", at: "answer" }, kill),
    { journal: true, safety: 1 },
  ],
  [
    "all of its commits",
    ({ proxy }, kill) => {
      const killed = { happened: false };
      proxy.when({ api: "OffsetCommit" }, () => {
        proxy.when({ api: "OffsetFetch" }, () => {
          killed.happened = true;
          return kill();
        });
        return undefined;
      });
      return killed;
    },
    { journal: true, safety: 1 },
  ],
  [
    "reading them back",
    // The call must not take effect: it hangs while its client is killed.
    ({ storage }, kill) => storage.faults.when(journalClosing, () => kill() ?? "hangs"),
    { journal: true, safety: 1 },
  ],
  [
    "closing its journal",
    ({ storage }, kill) => storage.faults.when({ ...journalClosing, at: "answer" }, kill),
    { journal: true, safety: 1, closed: true },
  ],
];

describe("a rollback whose process is killed after", () => {
  test.each(cases(["half of its commits"], steps))(
    "%s is completed by the same request after its lease expired",
    async (what, step, left) => {
      const scenario = await faults.scenario(groups);
      const request = { snapshot_id: scenario.snapshotId };
      await crash(request, step);
      let began = performance.now();
      const safety = await faults.safetySnapshots();
      expect(safety).toHaveLength(left.safety);

      const refused = await faults.rollback(request);
      expect(refused.error).toMatchObject({
        name: "RollbackInProgress",
        message: expect.stringMatching(/^RollbackInProgress: rollback-\S+ .*\d+ s.*Nothing was changed/),
        details: { rollback_id: expect.stringMatching(/^rollback-/), age_seconds: expect.any(Number) },
      });
      const { rollback_id } = Object(refused.error?.details);
      requireSavedOrMoved(scenario, await faults.offsetsByTool(scenario.groups));

      const listed = async () => Object(await faults.call("rollbacks", {})).rollbacks;
      const expected = left.closed
        ? [{ rollback_id, status: "success" }]
        : left.journal
          ? [{ rollback_id, status: "unfinished", safety_snapshot_id: safety[0] }]
          : [];
      await expect.poll(listed, { timeout: 21_000, interval: 250 }).toMatchObject(expected);
      if (left.again) {
        await crash(request, left.again);
        began = performance.now();
        requireSavedOrMoved(scenario, await faults.offsetsByTool(scenario.groups));
        await expect.poll(listed, { timeout: 21_000, interval: 250 }).toMatchObject(expected);
      }

      let rolled: RollbackAnswer = {};
      let calls = 0;
      const called = async () => {
        calls++;
        rolled = await faults.rollback(request);
        return rolled.error?.name;
      };
      await expect.poll(called, { timeout: 21_000, interval: 250 }).not.toBe("RollbackInProgress");
      const took = Math.round(performance.now() - began);
      console.log(
        `${what}: call ${calls} was a ${rolled.result?.status ?? rolled.error?.message}, ${took} ms after the kill`,
      );

      expect(rolled.result).toMatchObject({ status: "success", groups_rolled_back: groups });
      if (left.journal) expect(rolled.result).toMatchObject({ rollback_id, safety_snapshot_id: safety[0] });
      if (left.journal) expect(rolled.result).toMatchObject(left.closed ? { repeated: true } : { resumed: true });
      await faults.requireCommits(scenario.saved, await faults.requireAgreement(rolled));
      // Without a journal record, the first safety snapshot is unknown, so a second one of the same state is taken.
      expect(await faults.safetySnapshots()).toHaveLength(left.journal ? 1 : left.safety + 1);
      expect((await faults.snapshot(String(rolled.result?.safety_snapshot_id))).consumerGroups).toEqual(scenario.moved);
      expect(await listed()).toMatchObject([{ rollback_id: rolled.result?.rollback_id, status: "success" }]);

      const repeated = await faults.rollback(request);
      expect(repeated.result).toMatchObject({ repeated: true, rollback_id: rolled.result?.rollback_id });
      expect(await faults.safetySnapshots()).toHaveLength(left.journal ? 1 : left.safety + 1);
    },
  );
});

/** Runs a request in a separate process, and kills the process at a step. */
async function crash(request: unknown, step: Step): Promise<void> {
  const worker = faults.startWorker("rollback", request);
  const killed = step(faults, () => void worker.kill());
  expect(await worker.answer).toBeUndefined();
  expect(killed.happened).toBe(true);
}
