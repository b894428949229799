import { describe, expect, test } from "vitest";
import { encodeResult, incomplete, repeatedFailure } from "../../../functions/rollback/result.ts";
import type { Commits } from "../../../functions/shared/core/model.ts";
import { settle } from "../../../functions/shared/core/rollback/settle.ts";
import { accepted, at, outcomes, unblockedPlan } from "../../support/states.ts";

const record = {
  rollbackId: "rollback-1",
  status: "running",
  snapshotId: "snapshot-2025-01-15T10:30:00Z",
  safetySnapshotId: "snapshot-2025-01-15T11:00:00Z",
  requestedBy: null,
  callerArn: null,
  description: "",
  startedAt: "2025-01-15T11:00:00.000Z",
  groups: 2,
  fingerprint: "",
  planDigest: "",
  attempts: 1,
  calls: [],
  writeToken: "",
  plan: { name: "", sha256: "", bytes: 0 },
} as const;

const groupsAt = (offsets: Readonly<Record<string, bigint>>): Commits =>
  new Map(Object.entries(offsets).map(([group, offset]) => [group, new Map([["t-0", at(offset)]])]));

describe("the error of a rollback that did not reach its targets", () => {
  const plan = unblockedPlan(groupsAt({ a: 5n, b: 5n }), groupsAt({ a: 9n, b: 9n }));
  const messageFor = (after: Commits, sent = accepted(plan), unclosed?: string) => {
    const settlement = settle(plan, sent, { commits: after, errors: [] });
    return incomplete(record, settlement, encodeResult(record, plan, settlement, 1), unclosed).message;
  };
  const refused = outcomes(["t-0"], { kind: "refused", error: "KafkaAuthorization", message: "no right" });

  test("does not advise to resume if all groups were moved since: a resume does not move them again", () => {
    expect(messageFor(groupsAt({ a: 5n, b: 7n }))).toMatch(
      /^RollbackIncomplete: rollback-1 to \S+ ended as partial_success\. At their targets: 1 of 2 groups\. Not at their targets: "b" \(No longer at their targets: 1 of 1 partition\. .*Safety snapshot \S+ has .* Stop the client that committed .*\. Then make a new dry run for this group: resume does not move it again\. To see everything, call rollbacks .*\.$/,
    );
    expect(messageFor(groupsAt({ a: 7n, b: 7n }))).toMatch(/for these groups: resume does not move them again\. /);
  });

  test("advises to resume if Kafka refused a commit of one of them, without those that were moved since", () => {
    const sent = new Map([...accepted(plan), ["b", refused]]);
    expect(messageFor(groupsAt({ a: 5n, b: 9n }), sent)).toMatch(
      /To resume the remaining groups, send \{"resume": "rollback-1"\};/,
    );
    expect(messageFor(groupsAt({ a: 7n, b: 9n }), sent)).toMatch(
      /To resume the groups that failed, send \{"resume": "rollback-1", "skip_blocked": true\}\. .* need a new dry run\./,
    );
  });

  test("says first that the journal could not be closed", () => {
    expect(messageFor(groupsAt({ a: 7n, b: 7n }), accepted(plan), "Close it.")).toMatch(/ Close it\.$/);
  });
});

test("the recorded failure of a superseded rollback names the rollback that superseded it", () => {
  const ended = { ...record, status: "failed", endedAt: "2025-01-15T11:00:01.000Z" } as const;
  expect(repeatedFailure({ ...ended, supersededBy: "rollback-2" }, {}).message).toMatch(
    / rollback-2 has superseded it: call rollbacks \{"rollback_id": "rollback-2"\}\.$/,
  );
  expect(repeatedFailure(ended, {}).message).toMatch(
    / To resume the groups that failed, send \{"resume": "rollback-1", "skip_blocked": true\}/,
  );
});
