import {
  anyKey,
  int32,
  int64,
  list,
  mapOf,
  nullable,
  nullIfAbsent,
  document as object,
  optional,
  text,
} from "../json/codec.ts";
import { splitTopicPartition, topicsOf } from "../model.ts";
import { captureErrors, partitionKey, partitionNumber, SCHEMA_VERSION, unlisted } from "../snapshot.ts";
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
    readObserved(fieldOf(document, "observed"), reading);
  },
};

/** The groups that the snapshot lacks. */
function readProblems(document: unknown, reading: Reading): void {
  const [errors, lacking] = [fieldOf(document, "errors"), fieldOf(document, "unlisted")];
  const isPartial = fieldOf(document, "status") === "partial";
  if (errors === undefined && isPartial) {
    reading.problem(null, "status is partial, but errors, which names the groups that are missing, is not there");
  }
  if (errors !== undefined)
    reading.errors.push(...(reading.decode(() => captureErrors.decode(errors, "errors")) ?? []));
  if (lacking !== undefined) reading.lacks(reading.decode(() => unlisted.decode(lacking, "unlisted")));
  if (isPartial) reading.partial();
}

/** What a rollback compares with the cluster, of what was observed. */
const observed = object(
  {
    groups: optional(
      mapOf(
        anyKey,
        object(
          { type: nullIfAbsent(text), pending: optional(list(text)), negative: optional(mapOf(partitionKey, int64)) },
          "ignored",
        ),
      ),
    ),
    topics: optional(
      mapOf(
        anyKey,
        nullable(
          object(
            {
              topic_id: nullIfAbsent(text),
              partitions: optional(mapOf(partitionNumber, object({ leader_epoch: nullIfAbsent(int32) }, "ignored"))),
            },
            "ignored",
          ),
        ),
      ),
    ),
  },
  "ignored",
);

/** The types of groups, their commits that were not final, the ids of topics, and the leader epochs of their logs. */
function readObserved(value: unknown, reading: Reading): void {
  const found = value === undefined ? undefined : reading.decode(() => observed.decode(value, "observed"));
  for (const [group, known] of found?.groups ?? []) reading.groups.set(group, known);
  if (found?.topics === undefined) return;
  for (const topic of topicsOf(reading.commits)) if (!found.topics.has(topic)) reading.topics.set(topic, "absent");
  for (const [topic, known] of found.topics) {
    if (known === null) continue; // it could not be observed: nothing is known of it
    const leaderEpochs = new Map([...(known.partitions ?? [])].map(([key, { leaderEpoch }]) => [key, leaderEpoch]));
    reading.topics.set(topic, { topicId: known.topicId, leaderEpochs });
  }
}
