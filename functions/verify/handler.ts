import * as z from "zod/mini";
import { requireReadable, requireSameCluster, uncapturedWarnings } from "../shared/core/checks.ts";
import { VerificationMismatch } from "../shared/core/errors.ts";
import { onTopics, restrict } from "../shared/core/restrict.ts";
import { nameSome } from "../shared/core/text.ts";
import { type Verification, verificationDocument, verifyCommits } from "../shared/core/verify.ts";
import { withCluster } from "../shared/kafka/connection/access.ts";
import { observe } from "../shared/kafka/groups/capture.ts";
import { settings } from "../shared/lambda/config.ts";
import { operation } from "../shared/lambda/operation.ts";
import { selectors, snapshotRef, topicSelectors } from "../shared/lambda/request-fields.ts";
import { createArchive } from "../shared/storage/snapshots.ts";

/** What a verify request may say. */
export const request = z.strictObject({
  snapshot_id: snapshotRef,
  groups: z.optional(selectors),
  topics: z.optional(topicSelectors),
  fail_on_mismatch: z._default(z.boolean(), false),
});

/** Compares the snapshot's groups with what they have committed now. */
export const handler = operation({
  name: "verify",
  request,
  storeResult: (text, deadline) => createArchive(settings().archive).storeResult(text, deadline),
  async run({ snapshot_id, groups, topics, fail_on_mismatch }, { deadline }) {
    const configured = settings();
    const archive = createArchive(configured.archive);
    const snapshot = await archive.load(await archive.resolve(snapshot_id, groups, deadline), deadline);
    const part = restrict(snapshot, { groups, topics });
    const uncaptured = uncapturedWarnings(snapshot.snapshotId, part.errors, groups);
    const live = await withCluster(configured.kafka, deadline, (cluster) => observe(cluster, part.commits));
    requireSameCluster(snapshot, live.cluster, "this one");
    requireReadable(live);
    const verification = verifyCommits(part.commits, onTopics(live.commits, topics));
    const { checked, mismatches } = verificationDocument(verification);
    // What could not be compared is not verified, whatever the rest says.
    const verified = verification.verified && uncaptured.length === 0;
    const warnings = [...part.warnings, ...uncaptured];
    const result = { verified, snapshot_id: snapshot.snapshotId, checked, mismatches, warnings };
    if (fail_on_mismatch && !verified) {
      throw new VerificationMismatch(
        `${mismatchesByKind(verification)} with ${snapshot.snapshotId}` +
          `${mismatches.length > 0 ? ` in ${nameSome(new Set(mismatches.map(({ group }) => group)))}` : ""}. ` +
          `${uncaptured.map((warning) => `${warning} `).join("")}Verify without fail_on_mismatch to see all.`,
        { details: result },
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
