import { createHash } from "node:crypto";
import { unreadable } from "../shared/core/checks.ts";
import { readCommits } from "../shared/core/formats/import.ts";
import { textOf } from "../shared/core/formats/text.ts";
import { epochsInQuestion } from "../shared/core/rollback/blockers.ts";
import { compileSelectors } from "../shared/core/selectors.ts";
import { commitsDocument, contentResult, importSource } from "../shared/core/snapshot.ts";
import { withCluster } from "../shared/kafka/connection/access.ts";
import { observe } from "../shared/kafka/groups/capture.ts";
import { observeEpochEnds } from "../shared/kafka/groups/topics.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import { type KafkaWork, kafkaOperation } from "../shared/operation.ts";
import { type ImportedContent, importedSnapshot, originOf, partOf, requireThisCluster } from "./content.ts";
import { type ImportResult, type Request, request } from "./schema.ts";

/**
 * Makes a snapshot of this cluster from what another tool has written. The cluster is observed now, so that every check of a
 * rollback applies. A problem in the content refuses all of it.
 */
export const handler = kafkaOperation({
  name: "import",
  request,
  hasEffects: true,
  async run(wanted, work): Promise<Encoded<ImportResult>> {
    const { storage, kafka, deadline } = work;
    const bytes = await bytesOf(wanted, work);
    const reading = readCommits(wanted.format, textOf(bytes), onlyGroup(wanted));
    const part = partOf(reading, wanted);
    const live = await withCluster(kafka, deadline, async (cluster) => {
      requireThisCluster(reading, cluster.identity);
      const state = await observe(cluster, part.commits);
      if (state.errors.length > 0) throw unreadable(state.errors, "Remove the cause, or leave these groups out.");
      const epochs = epochsInQuestion(originOf(reading, state), part.commits, state);
      const { topics, warnings } = await observeEpochEnds(cluster, state.observed.topics, epochs);
      return { ...state, warnings: [...state.warnings, ...warnings], observed: { ...state.observed, topics } };
    });
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const content = importedSnapshot({ wanted, reading, part, live, sha256 });
    const result = { ...resultOf(content), skipped: reading.skipped };
    if (wanted.dry_run) {
      const consumer_groups = commitsDocument.encode(content.consumerGroups);
      return { snapshot_id: null, created_at: null, ...result, dry_run: true, consumer_groups };
    }
    const { snapshot } = await storage.snapshots.save(content, new Date(), deadline);
    const { snapshotId: snapshot_id, createdAt: created_at } = snapshot;
    return { snapshot_id, created_at, ...result, dry_run: false, consumer_groups: undefined };
  },
});

const bytesOf = async (
  { content, snapshot_url = "" }: Request,
  { storage, deadline }: KafkaWork,
): Promise<Uint8Array> => (content === undefined ? storage.readImport(snapshot_url, deadline) : Buffer.from(content));

/** The group that content is for which does not say it. */
function onlyGroup({ groups = [] }: Request): string | undefined {
  const { literals, patterns } = compileSelectors(groups);
  const [only, ...others] = literals;
  return patterns.length + others.length === 0 ? only : undefined;
}

const resultOf = (content: ImportedContent) => ({
  ...contentResult(content),
  source: importSource.encode(content.source),
});
