import { splitTopicPartition } from "../model.ts";
import { captureErrors, SCHEMA_VERSION, unlisted } from "../snapshot.ts";
import type { Readable } from "./format.ts";
import { entriesAt, fieldOf, type Reading, readJson, textIn } from "./reading.ts";

/**
 * Our own document: what `show` returns, a body of the bucket, or its documented part alone (`snapshot_id`, `description`,
 * `created_at` and `consumer_groups`). Fields that are not known are passed over. A report, which looks like that part, is
 * refused: its cluster, its topics' ids and the leader epochs could not be checked.
 */
export const snapshotJson: Readable = {
  carries: { metadata: true, leaderEpochs: true, severalGroups: true, groupsWithoutCommits: true, problems: true },
  read(text, reading) {
    const document = readJson(text, reading);
    if (document === undefined) return;
    const version = fieldOf(document, "schema_version");
    if (typeof version === "number" && version > SCHEMA_VERSION) {
      reading.problem(null, `schema_version is ${version}, and this deployment reads up to ${SCHEMA_VERSION}`);
      return;
    }
    if (fieldOf(document, "generated_at") !== undefined) {
      reading.problem(
        null,
        "is a report, which lacks leader epochs and ids of topics: show the snapshot with the format json",
      );
      return;
    }
    reading.describe({
      snapshotId: textIn(document, "snapshot_id"),
      createdAt: textIn(document, "created_at"),
      clusterId: textIn(fieldOf(document, "cluster"), "cluster_id"),
    });
    for (const [group, state] of entriesAt(fieldOf(document, "consumer_groups"), "consumer_groups", reading)) {
      const place = `consumer_groups[${JSON.stringify(group)}]`;
      reading.group(null, group, place);
      for (const [key, entry] of entriesAt(fieldOf(state, "partitions"), `${place}.partitions`, reading)) {
        const path = `${place}.partitions[${JSON.stringify(key)}]`;
        const partition = splitTopicPartition(key);
        if (partition === undefined) reading.problem(null, `${path} is not <topic>-<partition>`);
        else {
          const [offset, metadata, leaderEpoch] = ["offset", "metadata", "leader_epoch"].map((name) =>
            fieldOf(entry, name),
          );
          reading.commit({ line: null, path, group, ...partition, offset, metadata, leaderEpoch });
        }
      }
    }
    readProblems(document, reading);
    readTopics(fieldOf(fieldOf(document, "observed"), "topics"), reading);
  },
};

/** The groups that the snapshot lacks. */
function readProblems(document: unknown, reading: Reading): void {
  const [errors, lacking] = [fieldOf(document, "errors"), fieldOf(document, "unlisted")];
  if (errors === undefined && fieldOf(document, "status") === "partial") {
    reading.problem(null, "status is partial, but errors, which names the groups that are missing, is not there");
  }
  if (errors !== undefined)
    reading.errors.push(...(reading.decode(() => captureErrors.decode(errors, "errors")) ?? []));
  if (lacking !== undefined) reading.lacks(reading.decode(() => unlisted.decode(lacking, "unlisted")));
}

/** The ids of topics and the leader epochs of their logs. */
function readTopics(topics: unknown, reading: Reading): void {
  if (typeof topics !== "object" || topics === null) return;
  for (const [topic, found] of Object.entries(topics)) {
    const leaderEpochs = new Map<number, number>();
    const partitions = fieldOf(found, "partitions");
    for (const [partition, log] of typeof partitions === "object" && partitions !== null
      ? Object.entries(partitions)
      : []) {
      const epoch = fieldOf(log, "leader_epoch");
      if (typeof epoch === "number") leaderEpochs.set(Number(partition), epoch);
    }
    reading.topics.set(topic, { topicId: textIn(found, "topic_id"), leaderEpochs });
  }
}
