import { isDeepStrictEqual } from "node:util";
import { commitWarnings, emptyWarnings, unreadable } from "../shared/core/checks.ts";
import { GroupNotFound, InvalidRequest, KafkaUnavailable, OperationError } from "../shared/core/errors.ts";
import { executionOf } from "../shared/core/execution.ts";
import { type LiveState, type Selection, type SnapshotContent, statusOf } from "../shared/core/model.ts";
import { countRisk } from "../shared/core/retention-risk.ts";
import { commitsDocument, contentResult } from "../shared/core/snapshot.ts";
import { nameSome, quote } from "../shared/core/text.ts";
import { withCluster } from "../shared/kafka/connection/access.ts";
import { capture } from "../shared/kafka/groups/capture.ts";
import { retentionRiskHours } from "../shared/lambda/config.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import { kafkaOperation } from "../shared/operation.ts";
import type { Kept } from "../shared/storage/snapshots.ts";
import { measurementsOf } from "./measure.ts";
import { assessRisk, lookBack } from "./risk.ts";
import { type DryRunResult, directOnly, type Request, request, type SnapshotResult } from "./schema.ts";

/** Takes a snapshot of what the selected groups have committed. */
export const handler = kafkaOperation({
  name: "snapshot",
  request,
  directOnly,
  hasEffects: true,
  async run(wanted, work): Promise<Encoded<SnapshotResult> | Encoded<DryRunResult>> {
    const { kafka, deadline, trigger } = work;
    const { snapshots } = work.storage;
    const started = performance.now();
    const riskHours = retentionRiskHours();
    const schedule = wanted.schedule && {
      name: wanted.schedule.name,
      executionId: wanted.schedule.execution_id,
      scheduledTime: wanted.schedule.scheduled_time,
    };
    const execution = schedule && executionOf(schedule);
    const unwritten = OperationError.withoutEffect("Nothing was written: take the snapshot again.");
    const earlier =
      execution === undefined ? undefined : await snapshots.findExecution(execution, deadline).catch(unwritten);
    if (earlier?.found !== undefined) return repeated(earlier.found, wanted);
    const selection = selectionOf(wanted);
    // While Kafka is read: nothing is written before both are known.
    const former = snapshots.formerTopics(selection, deadline).catch(unwritten);
    former.catch(() => {}); // it is awaited below, unless Kafka fails before
    const lookingBack = schedule && lookBack(snapshots, schedule.name, deadline);
    const live = await withCluster(kafka, deadline, (cluster) =>
      capture(cluster, selection, {
        allowUnlisted: wanted.allow_partial,
        formerTopics: async () => (await former).topics,
      }),
    );
    refuse(live, wanted.allow_partial);
    const risk = lookingBack && assessRisk(live, Date.now(), await lookingBack, riskHours);
    const warnings = [
      ...live.warnings,
      ...(await former).warnings,
      ...(earlier?.warnings ?? []),
      ...commitWarnings(live.observed.groups),
    ];
    if (live.commits.size === 0) warnings.push("No group of the cluster is in the selection: the snapshot is empty.");
    warnings.push(...emptyWarnings(live.commits, selection));
    if (schedule !== undefined && execution === undefined) {
      warnings.push("The scheduler gave no scheduled time, so a repeated delivery of this run cannot be detected.");
    }
    if (risk !== undefined) warnings.push(...risk.warnings);
    const content: SnapshotContent = {
      description: wanted.description,
      trigger: schedule === undefined ? trigger : "schedule",
      ...(schedule && { schedule }),
      ...(risk && { atRisk: countRisk(risk) }),
      ...(wanted.labels && { labels: wanted.labels }),
      ...(wanted.hold && { held: true }),
      selection,
      cluster: live.cluster,
      consumerGroups: live.commits,
      errors: live.errors,
      ...(live.unlisted && { unlisted: live.unlisted }),
      warnings,
      observed: live.observed,
    };
    if (wanted.dry_run) {
      return { dry_run: true, ...contentResult(content), consumer_groups: commitsDocument.encode(live.commits) };
    }
    const saved = await snapshots.save(content, new Date(), deadline, execution);
    if (saved.repeated) return repeated(saved, wanted);
    work.measure(measurementsOf(saved.snapshot, risk, performance.now() - started));
    return snapshotResult(saved);
  },
});

/** Refuses a snapshot that would lack a group, unless the caller allowed that. */
function refuse(live: LiveState, allowPartial: boolean): void {
  if (live.missing.size > 0) {
    throw new GroupNotFound(`cluster ${live.cluster.name} has no group ${nameSome(live.missing)}.`, {
      next: "Names are case-sensitive; a group exists once it has members or a commit.",
    });
  }
  if (live.unlisted !== undefined && live.commits.size === 0) {
    throw new KafkaUnavailable(`no group could be read: ${live.unlisted.message}.`, {
      next: "Try again when the brokers are back, or name groups whose coordinators are reachable.",
    });
  }
  const unusable = live.errors.filter(({ error }) => error === "InvalidRequest");
  if (unusable.length === 0 && (live.errors.length === 0 || (allowPartial && live.commits.size > 0))) return;
  throw unreadable(
    unusable.length > 0 ? unusable : live.errors,
    "Remove the cause, exclude them, or allow a partial snapshot with allow_partial.",
  );
}

const selectionOf = ({ groups, exclude }: Request): Selection => ({ groups, exclude: exclude ?? [] });

/**
 * The answer to a delivery of a scheduled run that has its snapshot.
 *
 * @throws InvalidRequest where the delivery that took it asked for something else
 */
function repeated(kept: Kept, wanted: Request): Encoded<SnapshotResult> {
  const { snapshot } = kept;
  const { selection, description, snapshotId } = snapshot;
  const asked = selectionOf(wanted);
  const differs = Object.entries({
    groups: !isDeepStrictEqual(asked.groups, selection.groups),
    exclude: !isDeepStrictEqual(asked.exclude, selection.exclude),
    description: wanted.description !== description,
    allow_partial: statusOf(snapshot) === "partial" && !wanted.allow_partial,
    labels: !isDeepStrictEqual(wanted.labels, snapshot.labels),
    hold: wanted.hold !== (snapshot.held ?? false),
  }).flatMap(([field, isOther]) => (isOther ? field : []));
  if (differs.length === 0) return { ...snapshotResult(kept), repeated: true };
  const run = `the run of ${quote(wanted.schedule?.name ?? "")} at ${quote(wanted.schedule?.scheduled_time ?? "")}`;
  const problem = `${run} already has ${snapshotId}, whose request differs in: ${differs.join(", ")}`;
  throw new InvalidRequest(`schedule: ${problem}.`, {
    next: "Send another scheduled_time, or repeat that request as it was.",
    details: { problems: [`schedule: ${problem}`] },
  });
}

function snapshotResult({ snapshot, entry }: Kept): Encoded<SnapshotResult> {
  return {
    snapshot_id: snapshot.snapshotId,
    created_at: snapshot.createdAt,
    ...contentResult(snapshot),
    held: entry.hold && true,
    at_risk: snapshot.atRisk,
    repeated: undefined,
  };
}
