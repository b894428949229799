import { describe, expect, test } from "vitest";
import type { Rolled } from "./support/answers.ts";
import { cases, type FaultHarness, faultHarness, noneElsewhere, type Standing } from "./support/harness.ts";
import type { Moment, Weather } from "./support/kafka-proxy.ts";

const faults = faultHarness();
const groups = 120;

/** What happens to the network, from before a rollback or at some moment of it; what it gives says whether it has happened. */
type Trouble = (faults: FaultHarness, standing: Standing) => Happened | Promise<Happened>;
type Happened = { readonly happened: boolean };

/** Does something when half of the commits have been sent. */
const midway =
  (happens: (faults: FaultHarness, broker: number) => void): Trouble =>
  (harness) =>
    harness.proxy.when({ api: "OffsetCommit", nth: groups / 2 }, (broker) => void happens(harness, broker));

/** Does something when the first request of the read-back is under way: the first OffsetFetch after a commit. */
const atReadBack =
  (happens: (faults: FaultHarness, broker: number) => undefined | "reset"): Trouble =>
  (harness) => {
    const happening = { happened: false };
    harness.proxy.when({ api: "OffsetCommit" }, () => {
      harness.proxy.when({ api: "OffsetFetch" }, (broker) => {
        happening.happened = true;
        return happens(harness, broker);
      });
      return undefined;
    });
    return happening;
  };

/** From before the first request, before one coordinator of the groups, or all brokers. */
const always =
  (weather: Weather, where: "one" | "all"): Trouble =>
  async ({ proxy, coordinatorOf }, standing) => {
    proxy.weather(weather, where === "all" ? undefined : await coordinatorOf(standing.groups));
    return { happened: true };
  };

/** Drops a request or an answer, and resets its connection. */
const loses =
  (moment: Moment): Trouble =>
  ({ proxy }) =>
    proxy.when(moment, () => "reset");

/** Loses every tenth answer to a commit. */
const losesMany: Trouble = ({ proxy }) => {
  const losses = Array.from({ length: groups / 10 }, (_, i) =>
    proxy.when({ api: "OffsetCommit", nth: 10 * (i + 1), at: "answer" }, () => "reset"),
  );
  return {
    get happened() {
      return losses.every(({ happened }) => happened);
    },
  };
};

/** The ways to ask, and how long an answer may take. */
const ways: Readonly<Record<"HTTP" | "60 s", { withinMs: number; ask(snapshotId: string): Promise<Rolled> }>> = {
  HTTP: { withinMs: 29_000, ask: (snapshotId) => faults.rollbackOverHttp(snapshotId) },
  "60 s": { withinMs: 60_000, ask: (snapshotId) => faults.rollback({ snapshot_id: snapshotId }, 60_000) },
};

/** What a rollback comes to: a success in spite of it, a result that says what is left, or an error before anything moved. */
type Ending = "success" | "incomplete" | "untouched";

const all: [string, keyof typeof ways, Trouble, Ending][] = [
  [
    "a black hole that swallows one broker midway",
    "HTTP",
    midway(({ proxy }, broker) => proxy.weather("black hole", broker)),
    "incomplete",
  ],
  [
    "a black hole that swallows one broker midway",
    "60 s",
    midway(({ proxy }, broker) => proxy.weather("black hole", broker)),
    "incomplete",
  ],
  [
    "a black hole that swallows all brokers midway",
    "HTTP",
    midway(({ proxy }) => proxy.weather("black hole")),
    "incomplete",
  ],
  [
    "a black hole that swallows one broker at the read-back",
    "HTTP",
    atReadBack(({ proxy }, broker) => void proxy.weather("black hole", broker)),
    "incomplete",
  ],
  ["a black hole before one broker", "HTTP", always("black hole", "one"), "untouched"],
  ["a black hole before one broker", "60 s", always("black hole", "one"), "untouched"],
  ["a black hole before all brokers", "HTTP", always("black hole", "all"), "untouched"],
  ["50 ms round trips", "HTTP", always({ delayMs: 25 }, "all"), "success"],
  ["a reset of all connections midway", "HTTP", midway(({ proxy }) => proxy.reset()), "success"],
  ["a lost commit", "HTTP", loses({ api: "OffsetCommit", nth: 20 }), "success"],
  ["a lost answer to a commit", "HTTP", loses({ api: "OffsetCommit", nth: 20, at: "answer" }), "success"],
  ["losing every tenth answer to a commit", "HTTP", losesMany, "success"],
  ["a reset of the first reading", "HTTP", loses({ api: "OffsetFetch" }), "success"],
  ["a reset of the read-back", "HTTP", atReadBack(() => "reset"), "success"],
  [
    "a broker that refuses connections midway",
    "HTTP",
    midway(({ proxy }, broker) => proxy.weather("refuses", broker)),
    "incomplete",
  ],
  ["a broker that refuses connections", "HTTP", always("refuses", "one"), "untouched"],
];

describe(`a rollback of ${groups} groups`, () => {
  test.each(cases(["a black hole that swallows one broker midway", "HTTP"], all))(
    "through %s (%s) ends in time, and says what is true",
    async (what, way, trouble, ending) => {
      const standing = await faults.standing(groups);
      const happening = await trouble(faults, standing);
      const { withinMs, ask } = ways[way];

      const started = performance.now();
      const first = await ask(standing.snapshotId);
      const took = performance.now() - started;
      console.log(`${what}, ${way}: ${first.result?.status ?? first.error?.message} after ${Math.round(took)} ms`);

      expect(happening.happened).toBe(true);
      expect(took).toBeLessThan(withinMs);
      const said = first.result ? await faults.agrees(first) : await faults.kafkaSays(standing.groups);
      noneElsewhere(standing, said);
      expect(endingOf(first)).toBe(ending);
      if (ending === "untouched") await faults.allAt(standing.moved, said);

      faults.proxy.clear();
      const again = first.result ? { resume: first.result.rollback_id } : { snapshot_id: standing.snapshotId };
      const last = ending === "success" ? first : await faults.rollback(again);
      expect(last.result).toMatchObject({ status: "success", groups_rolled_back: groups });
      await faults.allAt(standing.saved, ending === "success" ? said : await faults.agrees(last));
      expect(await faults.safetySnapshots()).toEqual([last.result?.safety_snapshot_id]);
      expect((await faults.snapshot(String(last.result?.safety_snapshot_id))).consumerGroups).toEqual(standing.moved);
    },
  );
});

function endingOf({ result, error }: Rolled): Ending {
  if (error === undefined) return "success";
  if (result !== undefined) return "incomplete";
  expect(error.message).toMatch(
    /^(KafkaUnavailable|DeadlineExceeded): .*(Nothing was changed|No offset was committed)/,
  );
  return "untouched";
}
