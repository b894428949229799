import fc from "fast-check";
import { expect, test } from "vitest";
import { exportSnapshot } from "../../../../functions/shared/core/formats/export.ts";
import { readCommits } from "../../../../functions/shared/core/formats/import.ts";
import { type ImportFormat, importFormats } from "../../../../functions/shared/core/formats/names.ts";
import { encodeJson } from "../../../../functions/shared/core/json/json.ts";
import type { Commit, Commits, Snapshot } from "../../../../functions/shared/core/model.ts";
import { snapshotDocument } from "../../../../functions/shared/core/snapshot.ts";
import { snapshot } from "../../../support/arbitraries.ts";

/**
 * What can be read from each format, written once more: a property that asks the code would prove nothing. In kafka-backup's, a
 * group without offsets may be one that could not be read.
 */
const formats = {
  json: { several: true, metadata: true, epochs: true, empty: true },
  csv: { several: true, metadata: true, epochs: true, empty: true },
  "kafka-csv": { several: true, metadata: false, epochs: false, empty: false },
  rpk: { several: false, metadata: false, epochs: false, empty: false },
  "kafka-utils": { several: false, metadata: false, epochs: false, empty: true },
  "kafka-backup": { several: true, metadata: true, epochs: false, empty: false },
} as const satisfies Record<ImportFormat, object>;

const written = (format: ImportFormat, of: Snapshot) =>
  format === "json" ? encodeJson(snapshotDocument.encode(of)) : exportSnapshot(format, of, undefined).content;

/** What is left of commits in a format. */
function carried({ metadata, epochs, empty }: (typeof formats)[ImportFormat], commits: Commits): Commits {
  const left = (commit: Commit): Commit => ({
    offset: commit.offset,
    metadata: metadata ? commit.metadata : "",
    ...(epochs && commit.leaderEpoch !== undefined && { leaderEpoch: commit.leaderEpoch }),
  });
  return new Map(
    [...commits]
      .filter(([, { size }]) => size > 0 || empty)
      .map(([group, ofGroup]) => [group, new Map([...ofGroup].map(([key, commit]) => [key, left(commit)]))]),
  );
}

test.each(importFormats)("%s: what is written is read again, exactly", (importFormat) => {
  const format = formats[importFormat];
  fc.assert(
    fc.property(snapshot, (drawn) => {
      const { unlisted: _, ...whole } = { ...drawn, errors: [] };
      const groups = [...drawn.consumerGroups].slice(0, format.several ? undefined : 1);
      const hasBreak = groups.length > 1 && groups.some(([group]) => /[\r\n]/.test(group));
      const expected = carried(format, new Map(groups));
      fc.pre(expected.size > 0 && !(importFormat === "kafka-csv" && hasBreak));
      const text = written(importFormat, { ...whole, consumerGroups: new Map(groups) });
      const [only] = groups.length === 1 ? groups : [];
      const read = readCommits(importFormat, text, only?.[0]);
      expect(read.commits).toEqual(expected);
      expect(read.skipped).toHaveLength(importFormat === "kafka-backup" ? groups.length - expected.size : 0);
    }),
  );
});

test.each(["json", "csv"] as const)("%s: a snapshot that lacks groups still lacks them when it is read", (format) => {
  const partial = snapshot.map((drawn) => ({
    ...drawn,
    // No capture has commits of a group that it could not read.
    errors: drawn.errors.flatMap(({ group, message }) =>
      drawn.consumerGroups.has(group) ? [] : { group, error: "KafkaAuthorization", message },
    ),
  }));
  fc.assert(
    fc.property(partial, (drawn) => {
      fc.pre(drawn.consumerGroups.size + drawn.errors.length > 0);
      const read = readCommits(format, written(format, drawn), undefined);
      expect(read.errors).toEqual(drawn.errors);
      expect(read.unlisted()?.message).toEqual(drawn.unlisted?.message);
      expect(read.about()).toEqual({
        snapshotId: drawn.snapshotId,
        createdAt: drawn.createdAt,
        clusterId: drawn.cluster.clusterId || null,
      });
    }),
  );
});
