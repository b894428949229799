import fc from "fast-check";
import { expect, test } from "vitest";
import { GROUPS, parseDescription } from "../../localstack/console.ts";
import { cases, faultHarness } from "./support/harness.ts";
import { play } from "./support/history/play.ts";
import { type History, namesOf } from "./support/history/run.ts";
import { MEMBER_TOPIC } from "./support/model/world.ts";
import type { Offsets } from "./support/truth.ts";

const faults = faultHarness();
const HISTORIES_A_BATCH = 20;
const BATCHES = 10;
/** How long a failed history is shrunk. */
const SHRINKING_MS = 90_000;
/** `HISTORIES=seed` or `HISTORIES=seed:path` replays the history that a failure has printed. */
const [seed, path] = process.env.HISTORIES?.split(/:(.*)/) ?? [];
const seen = new Map<string, number>();
let names = 10_000_000 + Math.floor(Math.random() * 80_000_000);

/** Shrinking removes steps from a failed history, and does not change the others. */
const step = fc.option(fc.noShrink(fc.nat({ max: 0x7fffffff })), { nil: undefined, freq: 100 });
const steps = fc.noBias(fc.array(step, { minLength: 8, maxLength: 15, size: "max" }));

const batches = cases(
  [1],
  Array.from({ length: BATCHES }, (_, i) => [i + 1] as const),
);

test.each(batches)(
  "histories, batch %i: every answer and the commits of every group are as the model predicts",
  async (batch) => {
    const played: History[] = [];
    const ends = new Map<string, ReadonlyMap<string, bigint>>();
    let first: { readonly error: unknown; readonly at: number } | undefined;
    await faults.administer((admin) =>
      admin.createTopics({ waitForLeaders: false, topics: [{ topic: MEMBER_TOPIC }] }),
    );
    try {
      const began = performance.now();
      const outcome = await fc.check(
        fc.asyncProperty(steps, async (drawn) => {
          if (first !== undefined && performance.now() > first.at + SHRINKING_MS) return;
          const history = { name: String(names++), steps: drawn.filter((number) => number !== undefined) };
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
        throw new Error(`${report}\n\nThe first error was: ${first?.error}`, { cause: outcome.errorInstance });
      }
      console.log(
        `${outcome.numRuns} histories in ${Math.round((performance.now() - began) / 1_000)} s, seed ${outcome.seed}`,
      );
      expect(await offsetsByTool()).toEqual(ends);
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

/** The offsets of all groups with commits, as kafka-consumer-groups prints them. */
async function offsetsByTool(): Promise<Offsets> {
  const args = ["--timeout", "30000", "--describe", "--offsets"];
  const { stdout, stderr, exitCode } = await faults.kafka.tool(GROUPS, [...args, "--all-groups"], {
    timeoutMs: 90_000,
  });
  const complaints = stderr.split("\n").filter((line) => /\S/.test(line) && !/has no active members\.$/.test(line));
  expect({ exitCode, complaints }).toEqual({ exitCode: 0, complaints: [] });
  const offsets = new Map<string, Map<string, bigint>>();
  for (const { group, topic, partition, offset } of parseDescription(stdout)) {
    if (offset === null) continue;
    offsets.set(group, (offsets.get(group) ?? new Map<string, bigint>()).set(`${topic}-${partition}`, offset));
  }
  return offsets;
}

/** Deletes the groups and topics of histories. */
async function cleanUp(played: readonly History[]): Promise<void> {
  const names = played.map(namesOf);
  await faults.administer(async (admin) => {
    const groups = new Set((await admin.listGroups()).groups.map(({ groupId }) => groupId));
    await admin.deleteGroups(names.flatMap((history) => history.groups).filter((group) => groups.has(group)));
    const topics = new Set(await admin.listTopics());
    await admin.deleteTopics({
      topics: [MEMBER_TOPIC, ...names.flatMap((history) => history.topics)].filter((topic) => topics.has(topic)),
    });
  });
}
