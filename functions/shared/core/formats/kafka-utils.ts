import { encodeJson } from "../json/json.ts";
import { type GroupCommits, placeOf } from "../model.ts";
import type { Readable, Written } from "./format.ts";
import { entriesAt, fieldOf, readJson } from "./reading.ts";

/** By topic and partition what a group has committed, as other tools' documents have it. */
export function byTopic<T>(commits: GroupCommits, entry: (offset: bigint, metadata: string) => T) {
  const topics = new Map<string, Map<string, T>>();
  for (const [key, { offset, metadata }] of commits) {
    const { topic, partition } = placeOf(key);
    const partitions = topics.get(topic) ?? new Map<string, T>();
    topics.set(topic, partitions.set(String(partition), entry(offset, metadata)));
  }
  return topics;
}

/**
 * The JSON of Yelp's kafka-utils for one group: `kafka-consumer-manager offset_save` and `offset_restore`.
 *
 * @see https://github.com/Yelp/kafka-utils
 */
export const kafkaUtils: Written & Readable = {
  contentType: "application/json",
  carries: { metadata: false, leaderEpochs: false, severalGroups: false, groupsWithoutCommits: true, problems: false },
  write({ consumerGroups }) {
    const [[groupid, commits] = ["", new Map()]] = consumerGroups;
    return `${encodeJson({ groupid, offsets: byTopic(commits, (offset) => offset) })}\n`;
  },
  read(text, reading) {
    const document = readJson(text, reading);
    if (document === undefined) return;
    const group = fieldOf(document, "groupid");
    reading.group(null, group, "groupid");
    for (const [topic, partitions] of entriesAt(fieldOf(document, "offsets"), "offsets", reading)) {
      const path = `offsets[${JSON.stringify(topic)}]`;
      for (const [partition, offset] of entriesAt(partitions, path, reading)) {
        reading.commit({ line: null, path: `${path}[${JSON.stringify(partition)}]`, group, topic, partition, offset });
      }
    }
  },
};
