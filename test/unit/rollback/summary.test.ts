import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { encodeResult, forSummary, incomplete, refusal } from "../../../functions/rollback/result.ts";
import { changesDocument, diffCommits } from "../../../functions/shared/core/diff.ts";
import { encodeJson } from "../../../functions/shared/core/json/json.ts";
import type { CommitOutcome } from "../../../functions/shared/core/model.ts";
import { restrict } from "../../../functions/shared/core/restrict.ts";
import { planRollback } from "../../../functions/shared/core/rollback/planning.ts";
import { settle } from "../../../functions/shared/core/rollback/settle.ts";
import { verificationDocument, verifyCommits } from "../../../functions/shared/core/verify.ts";
import type { Result } from "../../../functions/shared/lambda/handler.ts";
import { detail } from "../../../functions/shared/lambda/request-fields.ts";
import { compose } from "../../../functions/shared/operation.ts";
import { encodeDryRun } from "../../../functions/shared/planning/dry-run.ts";
import { apiContext, context, proxyEvent } from "../../support/events.ts";
import {
  accepted,
  apply,
  at,
  liveOf,
  outcomes,
  refuse,
  snapshotOf,
  unblockedPlan,
  writesOf,
} from "../../support/states.ts";

const numbers = (n: number) => Array.from({ length: n }, (_, i) => i);
const commitsAt = (offset: bigint, groups = 10_000) =>
  new Map(
    numbers(groups).map((i) => [
      `connect-team-of-orders-and-payments-${i}`,
      new Map(numbers(12).map((partition) => [`orders-of-all-regions-${i % 100}-${partition}`, at(offset, "m", 3)])),
    ]),
  );
const [saved, live] = [commitsAt(100n), commitsAt(200n)];
const names = [...saved.keys()];

const record = {
  rollbackId: "rollback-1",
  status: "running",
  snapshotId: "snapshot-2025-01-15T10:30:00Z",
  safetySnapshotId: "snapshot-2025-01-15T11:00:00Z",
  requestedBy: null,
  callerArn: null,
  description: "",
  startedAt: "2025-01-15T11:00:00.000Z",
  groups: 10_000,
  fingerprint: "",
  planDigest: "",
  attempts: 1,
  calls: [],
  writeToken: "",
  plan: { name: "", sha256: "", bytes: 0 },
} as const;

/** A rollback that Kafka refuses for one group in three. */
function failedRollback(groups: number) {
  const [before, plan] = [commitsAt(200n, groups), unblockedPlan(commitsAt(100n, groups), commitsAt(200n, groups))];
  const isRefused = (group: string) => Number(group.split("-").at(-1)) % 3 === 0;
  const refusedFor: CommitOutcome = { kind: "refused", error: "GROUP_AUTHORIZATION_FAILED", message: "No right." };
  const sent = new Map(
    [...accepted(plan)].map(([group, of]) => [group, isRefused(group) ? outcomes(of.keys(), refusedFor) : of]),
  );
  const done = apply(before, new Map([...writesOf(plan)].filter(([group]) => !isRefused(group))));
  const settlement = settle(plan, sent, { commits: done, errors: [] });
  const result = encodeResult(record, plan, settlement, 1);
  return { result, error: incomplete(record, settlement, result, undefined) };
}

const request = z.strictObject({ detail });
const answering = (run: () => Promise<Result>) =>
  compose({ name: "test", request, forSummary, run }, () => ({
    storage: { storeResult: async () => ({ url: "https://example.test/result", expiresInSeconds: 60 }) },
  }));
const summarized = async (result: Result) =>
  Object(await answering(async () => result)({ detail: "summary" }, context(60_000)));
const failing = async (error: Error, asked: object) => {
  const event = proxyEvent({ body: JSON.stringify(asked) });
  const answer = await answering(() => Promise.reject(error))(event, apiContext(60_000));
  return JSON.parse(Object(answer).body);
};
const sizeOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));

describe("a summary of 10,000 groups × 12 partitions is below 200 kB", () => {
  test("for a dry run with blockers: totals, digest, warnings and the first blockers", async () => {
    const snapshot = snapshotOf(saved);
    const plan = planRollback(snapshot, restrict(snapshot, {}), liveOf(live, new Map()), refuse);
    const full = encodeDryRun(plan);
    const summary = await summarized(full);

    expect(sizeOf(summary)).toBeLessThan(200_000);
    expect(summary).toMatchObject({
      plan_digest: plan.digest,
      warnings: plan.warnings,
      totals: { groups: 10_000, partitions: 120_000, actions: { rewind: 120_000, skip: 0 } },
      omitted: { groups: 10_000, blockers: 120_000 - summary.blockers.length },
    });
    expect(summary.totals.blockers).toMatchObject({ topic_missing: 120_000, group_not_empty: 0 });
    expect(summary.blockers[0]).toMatchObject({ kind: "topic_missing", group: names[0] });
    expect(summary).not.toHaveProperty("groups");
    expect(summary).not.toHaveProperty("result_url");
  });

  test("for a dry run without blockers: how much is replayed", async () => {
    const summary = await summarized(encodeDryRun(unblockedPlan(saved, live)));
    expect(sizeOf(summary)).toBeLessThan(200_000);
    expect(summary).toMatchObject({
      blockers: [],
      totals: { replayed: 12_000_000, skipped: 0, actions: { rewind: 120_000 } },
      omitted: { groups: 10_000 },
    });
  });

  test("for a rollback with failures: counts, the first failed groups, the first mismatches", async () => {
    const summary = await summarized(failedRollback(10_000).result);

    expect(sizeOf(summary)).toBeLessThan(200_000);
    expect(summary).toMatchObject({
      status: "partial_success",
      safety_snapshot_id: record.safetySnapshotId,
      groups_rolled_back: 6_666,
      groups_failed: 3_334,
      offsets_restored: 79_992,
      verification: { verified: false, checked: 120_000 },
      omitted: {
        groups: 10_000,
        failed_groups: 3_334 - summary.failed_groups.length,
        "verification.mismatches": 40_008 - summary.verification.mismatches.length,
      },
    });
    expect(summary.failed_groups[0]).toEqual({
      group: names[0],
      status: "failed",
      error: expect.stringContaining("GROUP_AUTHORIZATION_FAILED"),
    });
  });

  test("for verify and diff", async () => {
    const mismatching = verificationDocument.encode(verifyCommits(saved, live));
    const verified = await summarized({ ...mismatching, warnings: ["w"] });
    expect(sizeOf(verified)).toBeLessThan(200_000);
    expect(verified).toMatchObject({
      verified: false,
      checked: 120_000,
      warnings: ["w"],
      omitted: { mismatches: 120_000 - verified.mismatches.length },
    });
    const { summary, groups } = diffCommits(saved, live);
    expect(await summarized({ summary, consumer_groups: changesDocument.encode(groups) })).toEqual({
      summary,
      omitted: { consumer_groups: 10_000 },
    });
  });
});

describe("a summary", () => {
  const { result, error } = failedRollback(300);

  test("of an error's details over HTTP is the same as that of the result", async () => {
    const details = JSON.parse(JSON.stringify(await summarized(result)));
    expect(details.omitted).toMatchObject({ groups: 300 });
    expect(await failing(error, { detail: "summary" })).toMatchObject({ error: "RollbackIncomplete", details });
  });

  test("of a recorded result, which has been parsed, is the same, too", async () => {
    expect(await summarized(JSON.parse(encodeJson(result)))).toEqual(await summarized(result));
  });

  test("of a small answer leaves out nothing, and says so", async () => {
    const small = failedRollback(1).result;
    expect(await summarized(small)).toMatchObject({ omitted: {}, groups: { [names[0] ?? ""]: { status: "failed" } } });
    expect(await summarized({ rollback_id: "r" })).toEqual({ rollback_id: "r", omitted: {} });
  });

  test("of a plan that is refused has the number of blockers of each kind", async () => {
    const snapshot = snapshotOf(commitsAt(1n, 50));
    const plan = planRollback(snapshot, restrict(snapshot, {}), liveOf(new Map(), new Map()), refuse);
    expect(await failing(refusal(plan, "the rollback", undefined, 0), { detail: "summary" })).toMatchObject({
      error: "RollbackBlocked",
      details: { totals: { blockers: { topic_missing: 600 } }, omitted: { groups: 50 } },
    });
  });

  test("is not made without detail", async () => {
    const { details } = await failing(failedRollback(300).error, {});
    expect(details).not.toHaveProperty("omitted");
    expect(Object.keys(details.groups)).toHaveLength(300);
  });
});
