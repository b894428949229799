import { join } from "node:path";
import { buildHandler, nodeOptions } from "../../infra/operation-function.ts";
import { freshStateDir, removeState, type Say } from "../../localstack/process.ts";
import { type Bed, type BenchCloud, functionEnvironment, PARTITIONS, type Shape, wide, withBed } from "./bed.ts";
import { expectSame, type Figures, median, ratioOf } from "./figures.ts";
import { runProcess } from "./one-process.ts";

/** The largest size that must work in a function of 2 GB. */
const large = { groups: 100_000, shape: { ...wide, partitions: 4 } satisfies Shape, memoryMb: 2_048 };

/** Measures time and memory of whole snapshots by size, with the deployed bundle in separate processes. */
export async function benchScale(
  figures: Figures,
  cloud: BenchCloud,
  { quick, withLarge }: { readonly quick: boolean; readonly withLarge: boolean },
  say: Say,
): Promise<void> {
  const folder = freshStateDir("bench-scale");
  const bundle = join(folder, "index.mjs");
  buildHandler("snapshot", bundle);
  const deployed = nodeOptions("snapshot");
  const processes = quick ? 1 : 3;
  /** Processes with three invocations each. The time of the last invocation counts, and the memory of all. */
  const measure = async (bed: Bed, groups: number, partitions: number, node: readonly string[], title: string) => {
    const times: number[] = [];
    const memory: number[] = [];
    for (let process = 0; process < processes; process++) {
      const environment = functionEnvironment(bed, cloud);
      const event = { groups: ["*"] };
      const { invocations, results, maxRssMb } = await runProcess({ bundle, environment, node, event, invocations: 3 });
      for (const { status, groups: taken, offsets } of results) {
        expectSame("a snapshot", `${status} ${taken} ${offsets}`, `complete ${groups} ${groups * partitions}`);
      }
      times.push(invocations.at(-1) ?? Number.NaN);
      memory.push(maxRssMb);
    }
    const what = `whole snapshot × ${partitions} partitions`;
    figures.row({ what: `${what}${title}`, brokers: 1, groups, rounds: times, note: "third invocation of a process" });
    figures.row({ what: `… its resident memory at most${title}`, brokers: 1, groups, rounds: memory, unit: "MB" });
    return { times, memory };
  };
  try {
    const ten = await withBed({ brokers: 1, say }, async (bed) => {
      await bed.commit(1_000);
      const thousand = await measure(bed, 1_000, PARTITIONS, deployed, "");
      await bed.commit(10_000);
      const ten = await measure(bed, 10_000, PARTITIONS, deployed, "");
      const name = "time of 10,000 groups, beside that of 1,000";
      figures.target({ name, value: ratioOf(ten.times, thousand.times), limit: 10, unit: "×" });
      const resident = "resident memory at 10,000 groups × 12";
      figures.target({ name: resident, value: Math.max(...ten.memory), limit: 300, unit: "MB" });
      return ten;
    });
    if (!withLarge) return;
    await withBed({ brokers: 1, shape: large.shape, say }, async (bed) => {
      await bed.commit(large.groups);
      const { times, memory } = await measure(
        bed,
        large.groups,
        large.shape.partitions,
        nodeOptions("snapshot", large.memoryMb),
        `, in ${large.memoryMb} MB`,
      );
      const name = "time of 100,000 groups × 4, beside that of 10,000 × 12";
      figures.target({ name, value: median(times) / median(ten.times), limit: 10, unit: "×" });
      figures.target({
        name: "resident memory at 100,000 groups × 4",
        value: Math.max(...memory),
        limit: large.memoryMb,
        unit: "MB",
      });
    });
  } finally {
    removeState(folder);
  }
}
