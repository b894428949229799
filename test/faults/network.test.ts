import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Commits } from "../../functions/shared/core/model.ts";
import type { RollbackAnswer } from "./support/answers.ts";
import { cases, type FaultHarness, faultHarness, requireSavedOrMoved, type Scenario } from "./support/harness.ts";
import type { Moment, NetworkState } from "./support/kafka-proxy.ts";

const faults = faultHarness();
const groups = 120;

/** Changes the network before a rollback or at a moment of it. `happened` is true once it has been changed. */
type NetworkFault = (faults: FaultHarness, scenario: Scenario) => Happened | Promise<Happened>;
type Happened = { readonly happened: boolean };

/** Acts when half of the commits have been sent. */
const midway =
  (act: (faults: FaultHarness, broker: number) => void): NetworkFault =>
  (harness) =>
    harness.proxy.when({ api: "OffsetCommit", nth: groups / 2 }, (broker) => void act(harness, broker));

/** Acts at the first request of the read-back: the first OffsetFetch after a commit. */
const atReadBack =
  (act: (faults: FaultHarness, broker: number) => undefined | "reset"): NetworkFault =>
  (harness) => {
    const fault = { happened: false };
    harness.proxy.when({ api: "OffsetCommit" }, () => {
      harness.proxy.when({ api: "OffsetFetch" }, (broker) => {
        fault.happened = true;
        return act(harness, broker);
      });
      return undefined;
    });
    return fault;
  };

/** Sets the network state before the first request, for one coordinator of the groups or all brokers. */
const always =
  (state: NetworkState, where: "one" | "all"): NetworkFault =>
  async ({ proxy, coordinatorOf }, scenario) => {
    proxy.setNetwork(state, where === "all" ? undefined : await coordinatorOf(scenario.groups));
    return { happened: true };
  };

/** Drops a request or an answer, and resets its connection. */
const loses =
  (moment: Moment): NetworkFault =>
  ({ proxy }) =>
    proxy.when(moment, () => "reset");

/** Loses every tenth answer to a commit. */
const losesMany: NetworkFault = ({ proxy }) => {
  const losses = Array.from({ length: groups / 10 }, (_, i) =>
    proxy.when({ api: "OffsetCommit", nth: 10 * (i + 1), at: "answer" }, () => "reset"),
  );
  return {
    get happened() {
      return losses.every(({ happened }) => happened);
    },
  };
};

/** The transports, and how long an answer may take. */
const ways: Readonly<Record<"HTTP" | "60 s", { withinMs: number; ask(snapshotId: string): Promise<RollbackAnswer> }>> =
  {
    HTTP: { withinMs: 29_000, ask: (snapshotId) => faults.rollbackOverHttp(snapshotId) },
    "60 s": { withinMs: 60_000, ask: (snapshotId) => faults.rollback({ snapshot_id: snapshotId }, 60_000) },
  };

/** How a rollback ends: as a success, as RollbackIncomplete, or with an error before its first commit. */
type Ending = "success" | "incomplete" | "untouched";

const all: [string, keyof typeof ways, NetworkFault, Ending][] = [
  [
    "a black hole before one broker midway",
    "HTTP",
    midway(({ proxy }, broker) => proxy.setNetwork("black hole", broker)),
    "incomplete",
  ],
  [
    "a black hole before one broker midway",
    "60 s",
    midway(({ proxy }, broker) => proxy.setNetwork("black hole", broker)),
    "incomplete",
  ],
  [
    "a black hole before all brokers midway",
    "HTTP",
    midway(({ proxy }) => proxy.setNetwork("black hole")),
    "incomplete",
  ],
  [
    "a black hole before one broker at the read-back",
    "HTTP",
    atReadBack(({ proxy }, broker) => void proxy.setNetwork("black hole", broker)),
    "incomplete",
  ],
  ["a black hole before one broker from the start", "HTTP", always("black hole", "one"), "untouched"],
  ["a black hole before one broker from the start", "60 s", always("black hole", "one"), "untouched"],
  ["a black hole before all brokers from the start", "HTTP", always("black hole", "all"), "untouched"],
  ["50 ms round trips", "HTTP", always({ delayMs: 25 }, "all"), "success"],
  ["a reset of all connections midway", "HTTP", midway(({ proxy }) => proxy.reset()), "success"],
  ["a lost commit", "HTTP", loses({ api: "OffsetCommit", nth: 20 }), "success"],
  ["a lost answer to a commit", "HTTP", loses({ api: "OffsetCommit", nth: 20, at: "answer" }), "success"],
  ["losing every tenth answer to a commit", "HTTP", losesMany, "success"],
  ["a reset of the first read", "HTTP", loses({ api: "OffsetFetch" }), "success"],
  ["a reset of the read-back", "HTTP", atReadBack(() => "reset"), "success"],
  [
    "a broker that refuses connections midway",
    "HTTP",
    midway(({ proxy }, broker) => proxy.setNetwork("refuses", broker)),
    "incomplete",
  ],
  ["a broker that refuses connections", "HTTP", always("refuses", "one"), "untouched"],
];

describe(`a rollback of ${groups} groups`, () => {
  test.each(cases(["a black hole before one broker midway", "HTTP"], all))(
    "with %s (%s) ends in time with a correct result, and can be completed",
    async (what, way, networkFault, ending) => {
      const scenario = await faults.scenario(groups);
      const fault = await networkFault(faults, scenario);
      const { withinMs, ask } = ways[way];

      const started = performance.now();
      const first = await ask(scenario.snapshotId);
      const took = performance.now() - started;
      console.log(`${what}, ${way}: ${first.result?.status ?? first.error?.message} after ${Math.round(took)} ms`);

      expect(fault.happened).toBe(true);
      expect(took).toBeLessThan(withinMs);
      const toolOffsets = first.result
        ? await faults.requireAgreement(first)
        : await faults.offsetsByTool(scenario.groups);
      requireSavedOrMoved(scenario, toolOffsets);
      expect(endingOf(first)).toBe(ending);
      if (ending === "untouched") await faults.requireCommits(scenario.moved, toolOffsets);

      faults.proxy.clear();
      const again = first.result ? { resume: first.result.rollback_id } : { snapshot_id: scenario.snapshotId };
      const last = ending === "success" ? first : await faults.rollback(again);
      expect(last.result).toMatchObject({ status: "success", groups_rolled_back: groups });
      await faults.requireCommits(
        scenario.saved,
        ending === "success" ? toolOffsets : await faults.requireAgreement(last),
      );
      expect(await faults.safetySnapshots()).toEqual([last.result?.safety_snapshot_id]);
      expect((await faults.snapshot(String(last.result?.safety_snapshot_id))).consumerGroups).toEqual(scenario.moved);
    },
  );
});

describe("a snapshot", () => {
  const sizes: [string, number, number, number][] = [
    ["200 groups × 300 partitions", 200, 300, 75_000],
    ["1,000 groups × 600 partitions", 1_000, 600, 700_000],
  ];
  test.each(cases(["200 groups × 300 partitions"], sizes))(
    "of %s arrives through a slow network: requests may take longer than 15 s while bytes arrive",
    async (what, groups, partitions, bytesPerSecond) => {
      const run = `slow-${randomUUID()}`;
      const topic = await faults.topic(partitions, 0);
      const all: Commits = new Map(
        Array.from({ length: groups }, (_, g) => [
          `${run}-${g}`,
          new Map(
            Array.from({ length: partitions }, (_, p) => [`${topic}-${p}`, { offset: BigInt(g + p), metadata: "" }]),
          ),
        ]),
      );
      faults.deleteAfterTest(all.keys());
      await faults.commit(all);
      faults.proxy.setNetwork({ bytesPerSecond: bytesPerSecond / 3 }); // of three brokers
      const started = performance.now();

      const taken = Object(await faults.call("snapshot", { groups: [`${run}-*`] }, 300_000));

      const seconds = (performance.now() - started) / 1_000;
      console.log(`${what} at ${bytesPerSecond / 1_000} kB/s: ${seconds.toFixed(1)} s`);
      expect(taken).toMatchObject({ status: "complete", groups, offsets: groups * partitions });
      expect((await faults.snapshot(taken.snapshot_id)).consumerGroups).toEqual(all);
      expect(seconds).toBeGreaterThan(15);
    },
    600_000,
  );
});

function endingOf({ result, error }: RollbackAnswer): Ending {
  if (error === undefined) return "success";
  if (result !== undefined) return "incomplete";
  expect(error.message).toMatch(
    /^(KafkaUnavailable|DeadlineExceeded): .*(Nothing was changed|No offset was committed)/,
  );
  return "untouched";
}
