import { nameSome } from "../../core/text.ts";
import type { Problem, Settled } from "../calls/problems.ts";
import type { Cluster } from "../connection/cluster.ts";
import { errorCodeName, errorCodes } from "../wire/codes.ts";
import type { FetchGroup, TopicPartitions } from "../wire/offsets.ts";
import { describeShareGroupOffsets } from "../wire/share.ts";
import { type CommitsRead, fetchCommits } from "./read-commits.ts";
import { describeTopics } from "./topics.ts";

/**
 * Fetches the start offsets of share groups (KIP-932), as `fetchCommits` does the commits of others: that of each partition
 * at a moment of its own. One that is not initialized is absent, as is that of a partition that does not exist. Where the
 * brokers do not tell them, the problem is an `InvalidRequest`.
 */
export async function fetchStartOffsets(
  cluster: Cluster,
  groups: readonly FetchGroup[],
): Promise<Map<FetchGroup, Settled<CommitsRead>>> {
  const prune = await existingPartitions(
    cluster,
    new Set(groups.flatMap(({ topics }) => topics ?? []).map(({ topic }) => topic)),
  );
  const asked = new Map<FetchGroup, FetchGroup>(
    groups.map((wanted) => [{ ...wanted, topics: wanted.topics?.flatMap(prune) ?? null }, wanted]),
  );
  const settled = new Map<FetchGroup, Settled<CommitsRead>>();
  for (const [pruned, result] of await fetchCommits(cluster, [...asked.keys()], describeShareGroupOffsets)) {
    const wanted = asked.get(pruned) ?? pruned;
    const isUnsupported = "failed" in result && result.failed.error === errorCodeName(errorCodes.UNSUPPORTED_VERSION);
    settled.set(wanted, isUnsupported ? { failed: unsupported(wanted) } : result);
  }
  return settled;
}

const unsupported = ({ group }: FetchGroup): Problem => ({
  error: "InvalidRequest",
  message: `group ${nameSome([group])} is a share group, and its broker does not tell where those stand: Kafka 4.1 or newer does`,
});

/** Leaves out partitions that do not exist: a broker that is asked for the start offset of one never answers (4.3.1). */
async function existingPartitions(
  cluster: Cluster,
  topics: ReadonlySet<string>,
): Promise<(wanted: TopicPartitions) => TopicPartitions[]> {
  const existing = new Map<string, ReadonlySet<number>>();
  for (const [topic, result] of await describeTopics(cluster, topics)) {
    if ("failed" in result || result.done === undefined) continue;
    existing.set(topic, new Set(result.done.partitions.map(({ partition }) => partition)));
  }
  return ({ topic, partitions }) => {
    const partitionsOfTopic = existing.get(topic);
    const left =
      partitionsOfTopic === undefined ? partitions : partitions.filter((partition) => partitionsOfTopic.has(partition));
    return left.length > 0 ? [{ topic, partitions: left }] : [];
  };
}
