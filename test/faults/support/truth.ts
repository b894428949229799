import { expect } from "vitest";
import type { Commits } from "../../../functions/shared/core/model.ts";
import { GROUPS, parseDescription } from "../../../localstack/console.ts";
import type { Kafka } from "../../../localstack/kafka.ts";
import type { RollbackResult } from "./answers.ts";

/** Offsets by group and partition; a partition that is absent has no commit. */
export type Offsets = ReadonlyMap<string, ReadonlyMap<string, bigint>>;

/** The offsets of commits, without metadata and leader epochs. */
export const offsetsOf = (commits: Commits) =>
  new Map([...commits].map(([group, keys]) => [group, new Map([...keys].map(([key, { offset }]) => [key, offset]))]));

/** The commits of these groups. */
export const commitsOfGroups = (commits: Commits, ...groups: (string | undefined)[]): Commits =>
  new Map([...commits].filter(([group]) => groups.includes(group)));

/**
 * The offsets of groups as kafka-consumer-groups prints them. A group that it does not print has an empty map.
 *
 * @throws Error with its output if it failed
 */
export async function readOffsetsByTool(
  kafka: Kafka,
  groups: Iterable<string>,
): Promise<Map<string, Map<string, bigint>>> {
  const args = ["--timeout", "30000", "--describe", "--offsets"];
  const { stdout, stderr, exitCode } = await kafka.tool(GROUPS, [...args, "--all-groups"], { timeoutMs: 90_000 });
  if (exitCode !== 0 || /^Error/m.test(stderr + stdout)) {
    throw new Error(`kafka-consumer-groups failed (${exitCode}):\n${stdout.slice(-2_000)}\n${stderr.slice(-2_000)}`);
  }
  const toolOffsets = new Map([...groups].map((group) => [group, new Map<string, bigint>()]));
  for (const { group, topic, partition, offset } of parseDescription(stdout)) {
    if (offset !== null) toolOffsets.get(group)?.set(`${topic}-${partition}`, offset);
  }
  return toolOffsets;
}

/**
 * Compares a result with the offsets that Kafka's tool printed. Each partition must be at the offset that the result reports,
 * and status and counts must follow from the outcomes.
 *
 * @param late also accept the target of a failed commit: a broker without replicas may carry out a commit after the read-back
 */
export function requireSameOffsets(result: RollbackResult, toolOffsets: Offsets, late?: "late"): void {
  const wrong: string[] = [];
  const count = { success: 0, partial_success: 0, failed: 0, skipped: 0, restored: 0, deleted: 0 };
  for (const [group, { status, partitions }] of Object.entries(result.groups)) {
    let notAtTarget = 0;
    let moved = 0;
    for (const [key, { outcome, from, to, actual }] of Object.entries(partitions)) {
      const offset = toolOffsets.get(group)?.get(key) ?? null;
      const isAtTarget = outcome === "restored" || outcome === "unchanged" || outcome === "deleted";
      // A partition without `actual` that is not at its target was not read back, so both offsets are possible.
      const reported = isAtTarget
        ? [to]
        : actual !== undefined
          ? [actual]
          : outcome === "skipped"
            ? [from]
            : [from, to];
      if (late && outcome === "failed") reported.push(to);
      if (!reported.some((commit) => (commit?.offset ?? null) === offset)) {
        const places = reported.map((commit) => commit?.offset ?? "none").join(" or ");
        wrong.push(`${group} ${key}: ${outcome} says ${places}, the tool says ${offset ?? "none"}`);
      }
      if (outcome === "restored" || outcome === "deleted") count[outcome]++;
      if (outcome === "restored" || outcome === "deleted") moved++;
      if (!isAtTarget && outcome !== "skipped") notAtTarget++;
    }
    const expected =
      status === "skipped" ? status : notAtTarget === 0 ? "success" : moved > 0 ? "partial_success" : "failed";
    if (status !== expected) wrong.push(`${group}: ${status}, but its partitions require ${expected}`);
    count[expected]++;
  }
  const failed = count.partial_success + count.failed;
  const reached = count.success + count.restored + count.deleted > 0;
  expect(wrong).toEqual([]);
  expect(result).toMatchObject({
    status: failed === 0 ? "success" : reached ? "partial_success" : "failed",
    groups_rolled_back: count.success,
    groups_failed: failed,
    groups_skipped: count.skipped,
    offsets_restored: count.restored,
    offsets_deleted: count.deleted,
  });
}
