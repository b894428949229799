import fc from "fast-check";
import { expect, test } from "vitest";
import { GROUPS, parseDescription } from "../../localstack/console.ts";
import { cases, faultHarness } from "./support/harness.ts";
import { type History, namesOf, play } from "./support/history.ts";
import { HELD } from "./support/outside.ts";
import type { Offsets } from "./support/truth.ts";

const faults = faultHarness();
const HISTORIES_A_BATCH = 20;
const BATCHES = 10;
/** How long a history that fails is made shorter. */
const SHRINKING_MS = 90_000;
/** `HISTORIES=seed`, or `HISTORIES=seed:path`, plays again what a failure has printed. */
const [seed, path] = process.env.HISTORIES?.split(/:(.*)/) ?? [];
const seen = new Map<string, number>();
let names = 10_000_000 + Math.floor(Math.random() * 80_000_000);

/** A history that fails loses steps, and keeps the others as they are. */
const step = fc.option(fc.noShrink(fc.nat({ max: 0x7fffffff })), { nil: undefined, freq: 100 });
const steps = fc.noBias(fc.array(step, { minLength: 8, maxLength: 15, size: "max" }));

const batches = cases(
  [1],
  Array.from({ length: BATCHES }, (_, i) => [i + 1] as const),
);

test.each(batches)(
  "histories, batch %i: every answer and every group is what the model predicts",
  async (batch) => {
    const played: History[] = [];
    const ends = new Map<string, ReadonlyMap<string, bigint>>();
    let first: { readonly error: unknown; readonly at: number } | undefined;
    await faults.administer((admin) => admin.createTopics({ waitForLeaders: false, topics: [{ topic: HELD }] }));
    try {
      const began = performance.now();
      const outcome = await fc.check(
        fc.asyncProperty(steps, async (drawn) => {
          if (first !== undefined && performance.now() > first.at + SHRINKING_MS) return;
          const history = { name: String(names++), steps: drawn.filter((one) => one !== undefined) };
          played.push(history);
          try {
            const end = await play(faults, history, (what) => seen.set(what, (seen.get(what) ?? 0) + 1));
            for (const [group, offsets] of end) if (offsets.size > 0) ends.set(group, offsets);
          } catch (error) {
            first ??= { error, at: performance.now() };
            throw error;
          }
        }),
        {
          numRuns: HISTORIES_A_BATCH,
          ...(seed !== undefined && { seed: Number(seed) + batch - 1 }),
          ...(path && { path }),
        },
      );
      if (outcome.failed) {
        const report = await fc.defaultReportMessage(outcome);
        throw new Error(`${report}\n\nAt first it was: ${first?.error}`, { cause: outcome.errorInstance });
      }
      console.log(
        `${outcome.numRuns} histories in ${Math.round((performance.now() - began) / 1_000)} s, seed ${outcome.seed}`,
      );
      expect(await described()).toEqual(ends);
    } finally {
      await cleanUp(played);
    }
    if (batch === BATCHES)
      console.log(
        [...seen]
          .sort()
          .map(([what, times]) => `${what}: ${times}`)
          .join("\n"),
      );
  },
  600_000,
);

/** What Kafka's own tool says of all groups that have commits. */
async function described(): Promise<Offsets> {
  const args = ["--timeout", "30000", "--describe", "--offsets"];
  const { stdout, stderr, exitCode } = await faults.kafka.tool(GROUPS, [...args, "--all-groups"], {
    timeoutMs: 90_000,
  });
  const complaints = stderr.split("\n").filter((line) => /\S/.test(line) && !/has no active members\.$/.test(line));
  expect({ exitCode, complaints }).toEqual({ exitCode: 0, complaints: [] });
  const said = new Map<string, Map<string, bigint>>();
  for (const { group, topic, partition, offset } of parseDescription(stdout)) {
    if (offset === null) continue;
    said.set(group, (said.get(group) ?? new Map<string, bigint>()).set(`${topic}-${partition}`, offset));
  }
  return said;
}

/** Removes the groups and topics of histories. */
async function cleanUp(played: readonly History[]): Promise<void> {
  const names = played.map(namesOf);
  await faults.administer(async (admin) => {
    const groups = new Set((await admin.listGroups()).groups.map(({ groupId }) => groupId));
    await admin.deleteGroups(names.flatMap((one) => one.groups).filter((group) => groups.has(group)));
    const topics = new Set(await admin.listTopics());
    await admin.deleteTopics({
      topics: [HELD, ...names.flatMap((one) => one.topics)].filter((topic) => topics.has(topic)),
    });
  });
}
