import { createHash } from "node:crypto";
import { encodeJson, type Json } from "../shared/core/json/json.ts";
import { cut } from "../shared/core/text.ts";
import type { KafkaWork } from "../shared/operation.ts";
import { policyOf } from "../shared/planning/schema.ts";
import type { Caller } from "../shared/storage/items.ts";
import type { JournalBeginning } from "../shared/storage/journal.ts";
import type { Unreadable } from "../shared/storage/unreadable.ts";
import type { Request } from "./schema.ts";

/** Of what a refused request has as the id of a snapshot, so many bytes are kept. */
const LONGEST_ID = 128;

/** How long after its deadline a call may still answer. */
const ANSWER_TIME_MS = 2_000;

/** A request, and what it is carried out with. */
export interface Call extends KafkaWork, Caller {
  readonly wanted: Request;
  /** When the invocation began. */
  readonly startedAt: Date;
  /** What the journal has of earlier rollbacks and could not be read. */
  readonly unreadable: Unreadable;
}

/** The snapshot of a request as a path names it: an id, `latest` or `at:<time>`. */
const snapshotOf = ({ snapshot_id = "" }: Request) =>
  typeof snapshot_id === "object" ? `at:${snapshot_id.at.toISOString()}` : snapshot_id;

/**
 * What the journal has of a rollback before it has a plan. Only of one whose caller has chosen its id: no caller knows another
 * one, and AWS clients repeat a request without one, which would be several rollbacks then.
 */
export function beginningOf(call: Call): JournalBeginning | undefined {
  const { wanted, requestedBy, callerArn, requestId, deadline, startedAt } = call;
  const { rollback_id: rollbackId, dry_run, description = "" } = wanted;
  if (rollbackId === undefined || dry_run) return undefined;
  const endsBy = new Date(startedAt.getTime() + deadline.remainingMs() + ANSWER_TIME_MS).toISOString();
  const snapshotId = snapshotOf(wanted);
  return {
    rollbackId,
    snapshotId,
    requestedBy,
    callerArn,
    requestId,
    description,
    endsBy,
    fingerprint: fingerprintOf(wanted),
  };
}

/** The same of a request that breaks the contract. It is for no other request: its fingerprint is its own. */
export function refusedBeginning(rollbackId: string, snapshotId: unknown, work: KafkaWork, now: Date) {
  const { caller, requestId } = work;
  const at = typeof snapshotId === "string" ? cut(snapshotId, LONGEST_ID) : "";
  const by = { requestedBy: caller, callerArn: caller, requestId };
  const fingerprint = `refused ${requestId}`;
  return { rollbackId, snapshotId: at, ...by, description: "", endsBy: now.toISOString(), fingerprint };
}

/** What a request asks for, without what does not change its effect: who asks, how it is answered, how long it waits. */
export function requestDocument(wanted: Request) {
  const { snapshot_id } = wanted;
  const { uncommitted, outOfRange, skipBlocked } = policyOf(wanted);
  const exact = uncommitted === "delete";
  return {
    snapshot_id: typeof snapshot_id === "object" ? { at: snapshot_id.at.toISOString() } : snapshot_id,
    groups: wanted.groups,
    topics: wanted.topics,
    exact,
    out_of_range: outOfRange,
    skip_blocked: skipBlocked,
    plan_digest: wanted.plan_digest,
    rollback_id: wanted.rollback_id,
    group_map: wanted.group_map,
    uncommitted: exact || uncommitted === "keep" ? undefined : uncommitted,
  } satisfies Json;
}

/** The same for two requests that ask for the same rollback. */
export function fingerprintOf(wanted: Request): string {
  return createHash("sha256")
    .update(encodeJson(requestDocument(wanted)))
    .digest("hex");
}
