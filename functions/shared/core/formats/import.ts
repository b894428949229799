import { InvalidRequest } from "../errors.ts";
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

/**
 * Reads the commits of a text.
 *
 * @param group the group of commits that do not say theirs: the one that the request names, if it names exactly one
 * @throws InvalidRequest that names every problem with its line, or says that there is nothing in the text
 */
export function readCommits(format: ImportFormat, text: string, group: string | undefined): Reading {
  const reading = createReading();
  readable[format].read(text, reading, group);
  reading.requireGood("the content");
  if (reading.commits.size === 0 && reading.errors.length === 0) {
    throw new InvalidRequest("the content has no group and no commit: there is nothing to import.");
  }
  return reading;
}
