import { encodeJson } from "../json/json.ts";
import { nameSome } from "../text.ts";
import type { Readable, Written } from "./format.ts";
import { byTopic } from "./kafka-utils.ts";
import { entriesAt, fieldOf, readJson, textIn } from "./reading.ts";

const unclear = "kafka-backup writes a group that it could not read in the same way";

/**
 * The offset snapshot of kafka-backup, `offset-snapshots/<id>/snapshot.json`. When an offset was committed is not known to a
 * snapshot, and neither are the addresses of the brokers: they are null and an empty list.
 *
 * kafka-backup writes a group that it could not read as it writes one without commits. Neither is read: a snapshot of no commits
 * would be a guess.
 *
 * @see https://github.com/osodevops/kafka-backup crates/kafka-backup-core/src/restore/offset_rollback.rs
 */
export const kafkaBackup: Written & Readable = {
  contentType: "application/json",
  carries: { metadata: true, leaderEpochs: false, severalGroups: true, groupsWithoutCommits: true, problems: false },
  write({ snapshotId, createdAt, consumerGroups, cluster, description }) {
    const groups = [...consumerGroups].map(([group, commits]) => {
      const offsets = byTopic(commits, (offset, metadata) => ({ offset, metadata, timestamp: null }));
      return [group, { group_id: group, offsets, partition_count: commits.size }] as const;
    });
    const document = {
      snapshot_id: snapshotId,
      created_at: createdAt,
      group_offsets: new Map(groups),
      cluster_id: cluster.clusterId,
      bootstrap_servers: [],
      description,
    };
    return `${encodeJson(document)}\n`;
  },
  read(text, reading) {
    const document = readJson(text, reading);
    if (document === undefined) return;
    reading.describe({
      snapshotId: textIn(document, "snapshot_id"),
      createdAt: textIn(document, "created_at"),
      clusterId: textIn(document, "cluster_id"),
    });
    const without: string[] = [];
    for (const [group, state] of entriesAt(fieldOf(document, "group_offsets"), "group_offsets", reading)) {
      const place = `group_offsets[${JSON.stringify(group)}]`;
      const id = fieldOf(state, "group_id");
      if (id !== undefined && id !== group) reading.problem(null, `${place}.group_id is another group`);
      let found = 0;
      for (const [topic, partitions] of entriesAt(fieldOf(state, "offsets"), `${place}.offsets`, reading)) {
        const at = `${place}.offsets[${JSON.stringify(topic)}]`;
        for (const [partition, entry] of entriesAt(partitions, at, reading)) {
          found++;
          reading.commit({
            line: null,
            path: `${at}[${JSON.stringify(partition)}]`,
            group,
            topic,
            partition,
            offset: fieldOf(entry, "offset"),
            metadata: fieldOf(entry, "metadata"),
          });
        }
      }
      if (found === 0) {
        reading.skipped.push({ line: null, message: `${place} has no offsets: ${unclear}` });
        without.push(group);
      }
      const expected = fieldOf(state, "partition_count");
      if (expected !== undefined && expected !== found) {
        reading.problem(null, `${place}.partition_count is ${String(expected)}, but ${found} partitions are there`);
      }
    }
    if (without.length > 0) reading.warnings.push(`Left out, without offsets: ${nameSome(without)}. ${unclear}.`);
  },
};
