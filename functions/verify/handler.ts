import { commitWarnings, requireReadable, requireSameCluster, uncapturedWarnings } from "../shared/core/checks.ts";
import { VerificationMismatch } from "../shared/core/errors.ts";
import { restrict } from "../shared/core/restrict.ts";
import { nameSome } from "../shared/core/text.ts";
import { onTopics } from "../shared/core/topics.ts";
import { type Verification, verificationDocument, verifyCommits } from "../shared/core/verify.ts";
import { withCluster } from "../shared/kafka/connection/access.ts";
import { observe } from "../shared/kafka/groups/capture.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import { kafkaOperation } from "../shared/operation.ts";
import { request, type VerifyResult } from "./schema.ts";

/** Compares the snapshot's groups with what they have committed now. */
export const handler = kafkaOperation({
  name: "verify",
  request,
  async run({ snapshot_id, groups, topics, fail_on_mismatch }, work): Promise<Encoded<VerifyResult>> {
    const { storage, kafka, deadline } = work;
    const { snapshot, warnings: chosen } = await storage.snapshots.open(snapshot_id, groups, deadline);
    const part = restrict(snapshot, { groups, topics }, true);
    const uncaptured = uncapturedWarnings(snapshot, part.errors, groups);
    const live = await withCluster(kafka, deadline, (cluster) => observe(cluster, part.commits));
    requireSameCluster(snapshot, live.cluster, "this cluster");
    requireReadable(live);
    const idleTopics = part.topicWarnings(live.commits);
    const verification = verifyCommits(part.commits, onTopics(live.commits, topics));
    const { checked, mismatches } = verificationDocument.encode(verification);
    // Groups that could not be compared are not verified, whatever the others show.
    const verified = verification.verified && uncaptured.length === 0;
    const commits = commitWarnings(live.observed.groups, part.picks);
    const warnings = [...chosen, ...part.warnings, ...idleTopics, ...uncaptured, ...commits];
    const result = { verified, snapshot_id: snapshot.snapshotId, checked, mismatches, warnings };
    if (fail_on_mismatch && !verified) {
      throw new VerificationMismatch(
        `${mismatchesByKind(verification)} with ${snapshot.snapshotId}` +
          `${mismatches.length > 0 ? ` in ${nameSome(new Set(mismatches.map(({ group }) => group)))}` : ""}.` +
          uncaptured.map((warning) => ` ${warning}`).join(""),
        { next: "Verify without fail_on_mismatch to see all.", details: result },
      );
    }
    return result;
  },
});

/** `3 mismatches (offset 2, extra 1)`. */
function mismatchesByKind({ mismatches }: Verification): string {
  const kinds = [...Map.groupBy(mismatches, ({ kind }) => kind)].map(([kind, list]) => `${kind} ${list.length}`);
  return `${mismatches.length} ${mismatches.length === 1 ? "mismatch" : "mismatches"}${kinds.length > 0 ? ` (${kinds.join(", ")})` : ""}`;
}
