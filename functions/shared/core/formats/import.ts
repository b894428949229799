import { InvalidRequest } from "../errors.ts";
import { quote } from "../text.ts";
import { csv } from "./csv.ts";
import { snapshotJson } from "./document.ts";
import type { Readable } from "./format.ts";
import { kafkaBackup } from "./kafka-backup.ts";
import { kafkaCsv } from "./kafka-csv.ts";
import { kafkaUtils } from "./kafka-utils.ts";
import type { ImportFormat } from "./names.ts";
import { createReading, type Reading } from "./reading.ts";
import { rpk } from "./rpk.ts";

const readable: Readonly<Record<ImportFormat, Readable>> = {
  json: snapshotJson,
  csv,
  "kafka-csv": kafkaCsv,
  rpk,
  "kafka-utils": kafkaUtils,
  "kafka-backup": kafkaBackup,
};

/** What a snapshot lacks that was imported from a format. */
export function lossesOnImport(format: ImportFormat): string[] {
  const { metadata, leaderEpochs } = readable[format].carries;
  if (leaderEpochs) return [];
  const what = metadata ? "no leader epochs" : "no metadata and no leader epochs";
  return [`${format} has ${what}: a rollback to this snapshot commits none.`];
}

/**
 * Reads the commits of a text.
 *
 * @param group the group of commits that do not say theirs: the one that the request names, if it names exactly one
 * @throws InvalidRequest that names every problem with its line, or says that there is nothing in the text
 */
export function readCommits(format: ImportFormat, text: string, group: string | undefined): Reading {
  const reading = createReading();
  readable[format].read(text, reading, group);
  if (text.includes("\uFFFD")) {
    reading.warnings.push(
      "The content has the character U+FFFD, which programs write in place of bytes that are not UTF-8: make sure that names " +
        "and metadata are those of the file.",
    );
  }
  for (const { group: name, error } of reading.errors) {
    if (!reading.commits.has(name)) continue;
    reading.problem(null, `group ${quote(name)} has commits, and also the error ${error}, with which it has none`);
  }
  reading.requireGood("the content");
  if (reading.commits.size === 0 && reading.errors.length === 0) {
    throw new InvalidRequest("the content has no group and no commit: there is nothing to import.");
  }
  return reading;
}
