import { nameSome } from "../../core/text.ts";
import type { Problem, Settled } from "../calls/problems.ts";
import type { Cluster } from "../connection/cluster.ts";
import { errorCodeName, errorCodes } from "../wire/codes.ts";
import type { FetchGroup, TopicPartitions } from "../wire/offsets.ts";
import { describeShareGroupOffsets } from "../wire/share.ts";
import { type CommitsRead, fetchOffsets } from "./read-commits.ts";
import { describeTopics } from "./topics.ts";

/**
 * Fetches the start offsets of share groups (KIP-932), as `fetchCommits` does for other groups, each partition at its
 * own time. Partitions that are not initialized or do not exist are absent. If the brokers do not support it, the
 * problem is `InvalidRequest`.
 */
export async function fetchStartOffsets(
  cluster: Cluster,
  groups: readonly FetchGroup[],
): Promise<Map<FetchGroup, Settled<CommitsRead>>> {
  const existing = await existingPartitions(
    cluster,
    groups.flatMap(({ topics }) => topics ?? []),
  );
  const asked = new Map<FetchGroup, FetchGroup>(
    groups.map((wanted) => [{ ...wanted, topics: wanted.topics?.flatMap(existing) ?? null }, wanted]),
  );
  const settled = new Map<FetchGroup, Settled<CommitsRead>>();
  for (const [pruned, result] of await fetchOffsets(cluster, [...asked.keys()], describeShareGroupOffsets)) {
    const wanted = asked.get(pruned) ?? pruned;
    const isUnsupported = "failed" in result && result.failed.error === errorCodeName(errorCodes.UNSUPPORTED_VERSION);
    settled.set(wanted, isUnsupported ? { failed: unsupported(wanted) } : result);
  }
  return settled;
}

const unsupported = ({ group }: FetchGroup): Problem => ({
  error: "InvalidRequest",
  message: `the broker cannot report the offsets of share group ${nameSome([group])}: Kafka 4.1 or newer is required`,
});

/** Filters out partitions that do not exist: a request for one is never answered (4.3.1). */
async function existingPartitions(
  cluster: Cluster,
  asked: readonly TopicPartitions[],
): Promise<(wanted: TopicPartitions) => TopicPartitions[]> {
  const counts = new Map<string, number>();
  for (const { topic, partitions } of asked) {
    counts.set(topic, Math.max(counts.get(topic) ?? 0, ...partitions.map((partition) => partition + 1)));
  }
  const existing = new Map<string, ReadonlySet<number>>();
  for (const [topic, result] of await describeTopics(cluster, counts)) {
    if ("failed" in result || result.done === undefined) continue;
    existing.set(topic, new Set(result.done.partitions.map(({ partition }) => partition)));
  }
  return ({ topic, partitions }) => {
    const known = existing.get(topic);
    const left = known === undefined ? partitions : partitions.filter((partition) => known.has(partition));
    return left.length > 0 ? [{ topic, partitions: left }] : [];
  };
}
