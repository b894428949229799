import { unlistedWarnings } from "../checks.ts";
import { InvalidRequest } from "../errors.ts";
import { countOffsets, type Snapshot } from "../model.ts";
import type { Selectors } from "../selectors.ts";
import { count, nameSome } from "../text.ts";
import { csv } from "./csv.ts";
import type { Written } from "./format.ts";
import { kafkaBackup } from "./kafka-backup.ts";
import { kafkaCsv } from "./kafka-csv.ts";
import { kafkaUtils } from "./kafka-utils.ts";
import type { TextFormat } from "./names.ts";
import { report } from "./report.ts";
import { rpk } from "./rpk.ts";

const written: Readonly<Record<TextFormat, Written>> = {
  report,
  csv,
  "kafka-csv": kafkaCsv,
  rpk,
  "kafka-utils": kafkaUtils,
  "kafka-backup": kafkaBackup,
};

/**
 * A part of a snapshot in a format. What the format has no place for is named in the warnings.
 *
 * @param snapshot with the groups and errors of that part only
 * @param groups what was asked for
 * @throws InvalidRequest for several groups in a format for one, for a part that lacks groups in a format that cannot say so (it
 *   would look complete), and as `write` of the format does
 */
export function exportSnapshot(format: TextFormat, snapshot: Snapshot, groups: Selectors) {
  const { contentType, carries, write } = written[format];
  const { snapshotId, consumerGroups, errors } = snapshot;
  const lacking = [
    ...(errors.length > 0 ? [`${nameSome(errors.map(({ group }) => group))} could not be captured.`] : []),
    ...unlistedWarnings(snapshot, groups),
  ];
  if (!carries.problems && lacking.length > 0) {
    throw new InvalidRequest(
      `${snapshotId} is partial, and ${format} cannot say so: the file would look complete. ${lacking.join(" ")}`,
      { next: "Name groups that the snapshot has in groups, or use the format csv, report or json." },
    );
  }
  if (!carries.severalGroups && consumerGroups.size !== 1) {
    throw new InvalidRequest(
      `${format} is a format for one group, and ${count(consumerGroups.size, "group")} of ${snapshotId} ` +
        `${consumerGroups.size === 0 ? "is" : `are`} selected: ${nameSome(consumerGroups.keys()) || "none"}.`,
      { next: `Name one group: "groups": [{"name": "…"}]. The formats kafka-csv and kafka-backup take several.` },
    );
  }
  return { contentType, content: write(snapshot), warnings: lossesOf(format, snapshot) };
}

/** What a snapshot has that a format does not. */
function lossesOf(format: TextFormat, { consumerGroups, observed }: Snapshot): string[] {
  const { carries } = written[format];
  const commits = [...consumerGroups.values()].flatMap((ofGroup) => [...ofGroup.values()]);
  const withMetadata = commits.filter(({ metadata }) => metadata !== "").length;
  const withEpoch = commits.filter(({ leaderEpoch }) => leaderEpoch !== undefined).length;
  const empty = [...consumerGroups].flatMap(([group, { size }]) => (size === 0 ? [group] : []));
  const shares = [...consumerGroups.keys()].filter((group) => observed.groups.get(group)?.type === "share");
  const isTools = format !== "csv" && format !== "report";
  const all = count(countOffsets(consumerGroups), "commit");
  return [
    !carries.metadata && withMetadata > 0 && `${format} has no metadata: ${withMetadata} of ${all} had some.`,
    !carries.leaderEpochs && withEpoch > 0 && `${format} has no leader epochs: ${withEpoch} of ${all} had one.`,
    !carries.groupsWithoutCommits &&
      empty.length > 0 &&
      `${format} has no groups without commits: ${nameSome(empty)} left out.`,
    isTools &&
      shares.length > 0 &&
      `${nameSome(shares)}: the start offsets of share groups stand in ${format} as if they were commits of consumers.`,
  ].filter((warning) => warning !== false);
}
