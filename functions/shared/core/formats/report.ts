import { encodeJson } from "../json/json.ts";
import { placeOf, statusOf } from "../model.ts";
import { captureErrors, unlisted } from "../snapshot.ts";
import { lagOf, logOf, type Written } from "./format.ts";

/**
 * The offset mapping report: per topic and partition where the log started and ended, and per group what it had committed and
 * its lag. `generated_at` is when the snapshot was taken. What could not be observed is null. The documented fields come first.
 */
export const report: Written = {
  contentType: "application/json",
  carries: { metadata: true, leaderEpochs: false, severalGroups: true, groupsWithoutCommits: true, problems: true },
  write(snapshot) {
    const topics = [...snapshot.observed.topics].map(([topic, found]) => {
      const partitions = [...(found?.partitions ?? [])].map(
        ([partition, log]) =>
          [String(partition), { start_offset: log.logStartOffset, end_offset: log.logEndOffset }] as const,
      );
      return [topic, found && { partitions: new Map(partitions) }] as const;
    });
    const groups = [...snapshot.consumerGroups].map(([group, commits]) => {
      const partitions = [...commits].map(([key, { offset, metadata }]) => {
        const { topic, partition } = placeOf(key);
        return [key, { offset, metadata, lag: lagOf(offset, logOf(snapshot, topic, partition)) }] as const;
      });
      return [group, { partitions: new Map(partitions) }] as const;
    });
    const document = {
      generated_at: snapshot.createdAt,
      source_cluster: snapshot.cluster.name,
      topics: new Map(topics),
      consumer_groups: new Map(groups),
      snapshot_id: snapshot.snapshotId,
      cluster_id: snapshot.cluster.clusterId,
      status: statusOf(snapshot),
      errors: captureErrors.encode(snapshot.errors),
      unlisted: snapshot.unlisted && unlisted.encode(snapshot.unlisted),
      warnings: snapshot.warnings,
    };
    return `${encodeJson(document)}\n`;
  },
};
