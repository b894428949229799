import { unreadable } from "../shared/core/checks.ts";
import type { Deadline } from "../shared/core/deadline.ts";
import { GroupNotFound, OperationError, SnapshotCorrupt, SnapshotNotFound } from "../shared/core/errors.ts";
import { countOffsets, type LiveState, type Selection, type Snapshot, statusOf } from "../shared/core/model.ts";
import { captureErrors } from "../shared/core/snapshot.ts";
import { nameSome } from "../shared/core/text.ts";
import { withCluster } from "../shared/kafka/connection/access.ts";
import { capture } from "../shared/kafka/groups/capture.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import { kafkaOperation } from "../shared/operation.ts";
import type { Snapshots } from "../shared/storage/snapshots.ts";
import { request, type SnapshotResult } from "./schema.ts";

/** EventBridge Scheduler replaces these in a schedule's input; the emulators do not. */
const isPlaceholder = (text: string) => text.startsWith("<aws.scheduler.");

/** Takes a snapshot of what the selected groups have committed. */
export const handler = kafkaOperation({
  name: "snapshot",
  request,
  hasEffects: true,
  async run(wanted, { storage: { snapshots }, kafka, deadline, trigger }): Promise<Encoded<SnapshotResult>> {
    const schedule = wanted.schedule && {
      name: wanted.schedule.name,
      executionId: wanted.schedule.execution_id,
      scheduledTime: wanted.schedule.scheduled_time,
    };
    const execution = schedule && !isPlaceholder(schedule.executionId) ? schedule.executionId : undefined;
    if (execution !== undefined) {
      const earlier = await snapshots.findExecution(execution, deadline);
      if (earlier !== undefined) return snapshotResult(await snapshots.load(earlier.snapshotId, deadline), true);
    }
    const selection: Selection = { groups: wanted.groups, exclude: wanted.exclude ?? [] };
    const former = formerTopics(snapshots, selection, deadline); // while Kafka is read
    former.catch(() => {}); // it is awaited below, unless Kafka fails before
    const live = await withCluster(kafka, deadline, (cluster) =>
      capture(cluster, selection, undefined, async () => (await former).topics),
    );
    refuse(live, wanted.allow_partial);
    const warnings = [...live.warnings, ...(await former).warnings];
    if (live.commits.size === 0) warnings.push("No group of the cluster is in the selection: the snapshot is empty.");
    if (schedule !== undefined && execution === undefined) {
      warnings.push("The scheduler gave no execution id, so a repeated delivery of this run cannot be detected.");
    }
    const saved = await snapshots.save(
      {
        description: wanted.description,
        trigger: schedule === undefined ? trigger : "schedule",
        ...(schedule && { schedule }),
        selection,
        cluster: live.cluster,
        consumerGroups: live.commits,
        errors: live.errors,
        warnings,
        observed: live.observed,
      },
      new Date(),
      deadline,
      execution,
    );
    return snapshotResult(saved.snapshot, saved.repeated);
  },
});

/** The topics that the last snapshot names. Where they cannot be read, this one can still be taken. */
async function formerTopics(snapshots: Snapshots, selection: Selection, deadline: Deadline) {
  try {
    return { topics: await snapshots.formerTopics(selection, deadline), warnings: [] };
  } catch (error) {
    if (!(error instanceof SnapshotCorrupt || error instanceof SnapshotNotFound)) {
      if (error instanceof OperationError) error.withoutEffect("Nothing was written: take the snapshot again.");
      throw error;
    }
    const warning =
      "Whether the principal may still describe all topics of the last snapshot was not checked: that snapshot could not be " +
      `read (${error.message})`;
    return { topics: [], warnings: [warning] };
  }
}

/** Refuses a snapshot that would lack a group, unless the caller allowed that. */
function refuse(live: LiveState, allowPartial: boolean): void {
  if (live.missing.size > 0) {
    throw new GroupNotFound(`cluster ${live.cluster.name} has no group ${nameSome(live.missing)}.`, {
      next: "Names are case-sensitive; a group exists once it has members or a commit.",
    });
  }
  const unusable = live.errors.filter(({ error }) => error === "InvalidRequest");
  if (unusable.length === 0 && (live.errors.length === 0 || (allowPartial && live.commits.size > 0))) return;
  throw unreadable(
    unusable.length > 0 ? unusable : live.errors,
    "Solve that, exclude them, or allow a partial snapshot with allow_partial.",
  );
}

function snapshotResult(snapshot: Snapshot, repeated: boolean): Encoded<SnapshotResult> {
  return {
    snapshot_id: snapshot.snapshotId,
    created_at: snapshot.createdAt,
    description: snapshot.description,
    status: statusOf(snapshot),
    groups: snapshot.consumerGroups.size,
    offsets: countOffsets(snapshot.consumerGroups),
    errors: captureErrors.encode(snapshot.errors),
    warnings: snapshot.warnings,
    repeated: repeated || undefined,
  };
}
