import { describe, expect, test } from "vitest";
import { required } from "../support/required.ts";
import { member } from "./support/consumers.ts";
import { cases, faultHarness, type Scenario } from "./support/harness.ts";
import { gate, patient, startHeldRollback } from "./support/held-rollback.ts";

const faults = faultHarness();

describe("with running consumers,", () => {
  /** A commit of another client arrives between the rollback's commits and its read-back. */
  async function followed(moves: (scenario: Scenario, group: string) => Promise<unknown>, who: RegExp) {
    const scenario = await faults.scenario(2);
    const group = required(scenario.groups[0]);
    const held = await startHeldRollback(faults, { snapshot_id: scenario.snapshotId });
    const { opened, open } = gate();
    const reading = faults.proxy.when({ api: "OffsetFetch", every: true }, () => opened);
    held.release();
    await expect.poll(() => reading.happened, patient).toBe(true);
    await moves(scenario, group);
    open();
    const { result, error } = await held.answer;
    expect(error?.name).toBe("RollbackIncomplete");
    const moved = required(result?.groups[group]);
    expect(moved.error).toMatch(
      /^No longer at their targets: 2 of 2 partitions\. .*another client followed \(\S+-0 at offset 55 instead of offset \d+, /,
    );
    expect(moved.error).toMatch(who);
    for (const { outcome, actual } of Object.values(moved.partitions)) {
      expect(outcome).toBe("moved_since");
      expect(actual).toMatchObject({ offset: 55n });
    }
  }

  const byAConsumer = async (scenario: Scenario, group: string) => {
    const consumer = await member(faults, scenario, group);
    await consumer.joins();
    await consumer.moves(55n);
  };
  const byAScript = ({ topic }: Scenario, group: string) =>
    faults.commit(
      new Map([[group, new Map([0, 1].map((n) => [`${topic}-${n}`, { offset: 55n, metadata: "" }] as const))]]),
    );

  test.each(
    cases<readonly [string, () => Promise<void>]>(
      ["a commit of a script that follows the rollback's is not blamed on a consumer"],
      [
        [
          "a commit of a consumer that follows the rollback's is reported with the members",
          () => followed(byAConsumer, /The group has 1 member now \(state Stable\): a consumer has started$/),
        ],
        [
          "a commit of a script that follows the rollback's is not blamed on a consumer",
          () => followed(byAScript, /The group has no members now\. The commit came from a script, a MirrorMaker sync/),
        ],
      ],
    ),
  )("%s", (_name, run) => run());
});
