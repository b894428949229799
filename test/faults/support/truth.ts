import { expect } from "vitest";
import { GROUPS, parseDescription } from "../../../localstack/console.ts";
import type { Kafka } from "../../../localstack/kafka.ts";
import type { RollbackResult } from "./answers.ts";

/** Offsets by group and partition; a partition that is absent has no commit. */
export type Offsets = ReadonlyMap<string, ReadonlyMap<string, bigint>>;

/**
 * What Kafka's own tool says that groups have committed. A group that it does not show has an empty map.
 *
 * @throws Error with what it printed, where it failed
 */
export async function toolSays(kafka: Kafka, groups: Iterable<string>): Promise<Map<string, Map<string, bigint>>> {
  const args = ["--timeout", "30000", "--describe", "--offsets"];
  const { stdout, stderr, exitCode } = await kafka.tool(GROUPS, [...args, "--all-groups"], { timeoutMs: 90_000 });
  if (exitCode !== 0 || /^Error/m.test(stderr + stdout)) {
    throw new Error(`kafka-consumer-groups failed (${exitCode}):\n${stdout.slice(-2_000)}\n${stderr.slice(-2_000)}`);
  }
  const said = new Map([...groups].map((group) => [group, new Map<string, bigint>()]));
  for (const { group, topic, partition, offset } of parseDescription(stdout)) {
    if (offset !== null) said.get(group)?.set(`${topic}-${partition}`, offset);
  }
  return said;
}

/**
 * Holds a reported result against what Kafka says: every partition stands where the result says that it stands, and the
 * result's status and counts are those that follow from Kafka's answer.
 *
 * @param late a commit whose answer was lost may take effect after it was read back: a broker whose replicas are dead
 *   carries out the requests that it has got when it can, whether or not their sender still waits
 */
export function agree(result: RollbackResult, said: Offsets, late?: "late"): void {
  const wrong: string[] = [];
  const count = { success: 0, partial_success: 0, failed: 0, skipped: 0, restored: 0, deleted: 0 };
  for (const [group, { status, partitions }] of Object.entries(result.groups)) {
    let astray = 0;
    let arrived = 0;
    for (const [key, { outcome, from, to, actual }] of Object.entries(partitions)) {
      const stands = said.get(group)?.get(key) ?? null;
      const arrives = outcome === "restored" || outcome === "unchanged" || outcome === "deleted";
      // Where a result says neither that it arrived nor where it is, it was not read back: either may be true.
      const claimed = arrives ? [to] : actual !== undefined ? [actual] : outcome === "skipped" ? [from] : [from, to];
      if (late && outcome === "failed") claimed.push(to);
      if (!claimed.some((commit) => (commit?.offset ?? null) === stands)) {
        const places = claimed.map((commit) => commit?.offset ?? "none").join(" or ");
        wrong.push(`${group} ${key}: ${outcome} says ${places}, Kafka says ${stands ?? "none"}`);
      }
      if (outcome === "restored" || outcome === "deleted") count[outcome]++;
      if (outcome === "restored" || outcome === "deleted") arrived++;
      if (!arrives && outcome !== "skipped") astray++;
    }
    const expected =
      status === "skipped" ? status : astray === 0 ? "success" : arrived > 0 ? "partial_success" : "failed";
    if (status !== expected) wrong.push(`${group}: ${status}, but its partitions say ${expected}`);
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
