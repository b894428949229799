import { DeleteItemCommand } from "@aws-sdk/client-dynamodb";
import { describe, expect, test, vi } from "vitest";
import type { Commits } from "../../functions/shared/core/model.ts";
import type { Fault } from "../integration/storage/faults.ts";
import { within } from "../support/deadline.ts";
import type { Answer, RollbackAnswer, RollbackResult } from "./support/answers.ts";
import { cases, faultHarness } from "./support/harness.ts";
import { type Offsets, requireSameOffsets } from "./support/truth.ts";

const faults = faultHarness();

/** A fault of one call to AWS, or of it and all later calls; and the time of the invocation. */
interface StorageFault {
  readonly fault: Fault;
  readonly permanent: boolean;
  readonly ms: number;
}

const once = (fault: Fault): StorageFault => ({ fault, permanent: false, ms: 60_000 });
const permanently = (fault: Fault, ms = 60_000): StorageFault => ({ fault, permanent: true, ms });

/** Those that happen once come first: after many failures, the AWS clients of a process do not try again (their retry quota). */
const storageFaults: readonly (readonly [name: string, fault: StorageFault])[] = [
  ["are lost once, after it took effect", once("lost")],
  ["do not come, once", once("hangs")],
  ["are lost from one call on, after it took effect", permanently("lost")],
  ["are server errors from one call on", permanently("breaks")],
  ["are throttling errors from one call on", permanently("throttled")],
  ["do not come from one call on, until the deadline", permanently("hangs", 6_500)],
];

const actions = ["Query", "GetItem", "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"].concat(
  ["Put", "Get", "Head", "Delete"].map((verb) => `${verb}Object`),
);

/** A call to AWS that failed, and whether commits had been sent before it. */
interface FailedCall {
  readonly action: string;
  readonly committed: boolean;
}

/**
 * Repeats `run`, and injects the fault into its first call to AWS, then into its second, and so on, until there is no further
 * call. Calls are counted from `inject` on. Each run has a new second: a snapshot id in use would cause additional calls.
 * Returns the calls that failed.
 */
async function atEachCall(
  { fault, permanent }: StorageFault,
  run: (index: number, inject: () => void, clear: () => void) => Promise<void>,
): Promise<readonly FailedCall[]> {
  const { storage, proxy } = faults;
  const failedCalls: FailedCall[] = [];
  for (let index = 0; index === failedCalls.length; index++) {
    const last = Math.floor(Date.now() / 1_000);
    await vi.waitUntil(() => Math.floor(Date.now() / 1_000) > last, { interval: 20, timeout: 10_000 });
    const inject = () => {
      storage.faults.clear();
      const seen = proxy.seen("OffsetCommit");
      storage.faults.when({ nth: index + 1 }, () => {
        failedCalls.push({ action: String(storage.faults.calls[index]), committed: proxy.seen("OffsetCommit") > seen });
        if (permanent) for (const action of actions) storage.faults.on(action, fault);
        return fault;
      });
    };
    await run(index, inject, storage.faults.clear);
    storage.faults.clear();
    await deleteLease();
  }
  return failedCalls;
}

/** Deletes a lease that was not released. Requires that it would expire within 20 s. */
async function deleteLease(): Promise<void> {
  const [lease] = await faults.storage.items("lease");
  if (lease?.pk === undefined || lease.sk === undefined) return;
  expect(Number(lease.expires_ms?.N) - Date.now()).toBeLessThanOrEqual(20_000);
  const { dynamodb, config } = faults.storage;
  await dynamodb.send(new DeleteItemCommand({ TableName: config.table, Key: { pk: lease.pk, sk: lease.sk } }));
}

/** The commits of these groups. */
const partOf = (commits: Commits, groups: Iterable<string>): Commits =>
  new Map([...groups].map((group) => [group, commits.get(group) ?? new Map()]));

const offsetsOf = (commits: Commits): Offsets =>
  new Map([...commits].map(([group, keys]) => [group, new Map([...keys].map(([key, { offset }]) => [key, offset]))]));

/** Loads every listed snapshot. */
async function loadListed() {
  const { entries } = await faults.storage.archive.list({ limit: 1_000 }, within());
  return Promise.all(entries.map(({ snapshotId }) => faults.snapshot(snapshotId)));
}

const requireRetryable = (error: Answer["error"]) =>
  expect(error).toMatchObject({
    name: expect.stringMatching(/^(StorageUnavailable|DeadlineExceeded)$/),
    message: expect.stringMatching(/^(StorageUnavailable|DeadlineExceeded): /),
  });

describe("with a fault at each of its calls to AWS in turn,", () => {
  const size = 3;
  /** How many calls to AWS one rollback makes. */
  const calls = 14;

  async function rollsBack(storageFault: StorageFault) {
    const { snapshotId, groups, saved, moved } = await faults.scenario(size * calls);
    const requests: { readonly snapshot_id: string; readonly groups: readonly string[] }[] = [];
    const firsts: RollbackAnswer[] = [];
    const failedCalls = await atEachCall(storageFault, async (index, inject) => {
      const request = { snapshot_id: snapshotId, groups: groups.slice(index * size, (index + 1) * size) };
      requests.push(request);
      inject();
      firsts.push(await faults.rollback(request, storageFault.ms));
    });

    const [before, after] = [false, true].map((done) =>
      failedCalls.filter(({ committed }) => committed === done).map(({ action }) => action),
    );
    // Before the commits: lease, safety snapshot, journal record and bodies. After them: the record is closed, the lease released.
    expect(before?.filter((action) => action === "PutItem")).toHaveLength(2);
    expect(before).toEqual(
      expect.arrayContaining(["Query", "GetItem", "GetObject", "PutObject", "TransactWriteItems"]),
    );
    expect(after).toEqual(["PutObject", "UpdateItem", "DeleteItem"]);
    const afterFirst = await faults.offsetsByTool(groups);
    for (const [number, { result, error }] of firsts.entries()) {
      const { action, committed = true } = failedCalls[number] ?? {};
      const call = `call ${number + 1}, ${action}: ${error?.message ?? result?.warnings.join()}`;
      const ofRequest = requests[number]?.groups ?? [];
      if (result === undefined) {
        expect(storageFault.permanent, call).toBe(true);
        requireRetryable(error);
        expect(error?.message, call).toMatch(/(Nothing was changed|No offset was committed)/);
        for (const group of ofRequest) expect(afterFirst.get(group), call).toEqual(offsetsOf(moved).get(group));
      } else {
        expect(result.status, call).toBe("success");
        requireSameOffsets(result, afterFirst);
      }
      // After the first commit, storage faults do not fail a rollback. Its journal record may stay open, with a warning.
      expect(result !== undefined, call).toBe(committed || !storageFault.permanent);
      const unclosed = storageFault.permanent && committed && (action === "PutObject" || action === "UpdateItem");
      expect(result?.warnings ?? [], call).toEqual(
        unclosed ? [expect.stringMatching(/The journal could not be closed .*"resume"/)] : [],
      );
    }

    const seconds: RollbackResult[] = [];
    for (const [number, { result }] of firsts.entries()) {
      const open = result !== undefined && result.warnings.length > 0;
      const again = await faults.rollback(open ? { resume: result.rollback_id } : requests[number]);
      expect(again.error).toBeUndefined();
      if (again.result) seconds.push(again.result);
      if (result !== undefined) {
        const { rollback_id, safety_snapshot_id } = result;
        expect(again.result).toMatchObject({ rollback_id, safety_snapshot_id });
        expect(again.result?.resumed ?? again.result?.repeated).toBe(true);
      }
    }
    const now = await faults.offsetsByTool(groups);
    await faults.requireCommits(saved, now);
    for (const result of seconds) requireSameOffsets(result, now);

    const safety = (await loadListed()).filter(({ trigger }) => trigger === "safety");
    for (const { consumerGroups } of safety) expect(consumerGroups).toEqual(partOf(moved, consumerGroups.keys()));
    expect(safety.map((snapshot) => snapshot.snapshotId)).toEqual(
      expect.arrayContaining(seconds.map((result) => result.safety_snapshot_id)),
    );
    const { rollbacks } = Object(await faults.call("rollbacks", { limit: 1_000 }));
    expect(rollbacks).toHaveLength(seconds.length);
    for (const { rollback_id, status } of rollbacks) {
      expect(status).toBe("success");
      expect(await faults.call("rollbacks", { rollback_id })).toMatchObject({ result: { rollback_id, status } });
    }
  }

  /** Each run resumes a new rollback whose journal record was not closed, and whose groups were moved back. */
  async function resumes(storageFault: StorageFault) {
    const { snapshotId, groups, saved, moved } = await faults.scenario(size * calls);
    const begun: RollbackResult[] = [];
    const firsts: RollbackAnswer[] = [];
    const failedCalls = await atEachCall(storageFault, async (index, inject, clear) => {
      const ofRun = groups.slice(index * size, (index + 1) * size);
      faults.storage.faults.on("UpdateItem", "breaks");
      const { result } = await faults.rollback({ snapshot_id: snapshotId, groups: ofRun });
      clear();
      if (result === undefined) throw new Error("the rollback has no result");
      expect(result.warnings).toHaveLength(1);
      begun.push(result);
      await faults.commit(partOf(moved, ofRun));
      inject();
      firsts.push(await faults.rollback({ resume: result.rollback_id }, storageFault.ms));
    });

    expect(failedCalls).toContainEqual({ action: "UpdateItem", committed: false });
    expect(failedCalls.at(-1)).toEqual({ action: "DeleteItem", committed: true });
    const afterFirst = await faults.offsetsByTool(groups);
    const finished: RollbackResult[] = [];
    for (const [number, { rollback_id, safety_snapshot_id, groups: of }] of begun.entries()) {
      const { result, error } = firsts[number] ?? {};
      if (result === undefined) {
        expect(storageFault.permanent, `call ${number + 1}: ${error?.message}`).toBe(true);
        requireRetryable(error);
        expect(error?.message).toMatch(/(Nothing was changed|No offset was committed)/);
        for (const group of Object.keys(of)) expect(afterFirst.get(group)).toEqual(offsetsOf(moved).get(group));
      } else requireSameOffsets(result, afterFirst);
      const last = await faults.rollback({ resume: rollback_id });
      expect(last.error).toBeUndefined();
      expect(last.result).toMatchObject({ status: "success", rollback_id, safety_snapshot_id });
      if (last.result !== undefined) finished.push(last.result);
    }
    const now = await faults.offsetsByTool(groups);
    await faults.requireCommits(
      new Map([...saved].slice(0, size * begun.length)),
      new Map([...now].slice(0, size * begun.length)),
    );
    for (const result of finished) requireSameOffsets(result, now);
    expect(await faults.safetySnapshots()).toHaveLength(begun.length);
    const { rollbacks } = Object(await faults.call("rollbacks", { limit: 1_000 }));
    expect(new Set(rollbacks.map(({ status }: { status: string }) => status))).toEqual(new Set(["success"]));
  }

  async function takesSnapshot(storageFault: StorageFault) {
    const { groups, moved } = await faults.scenario(3);
    const taken: string[] = [];
    const failedCalls = await atEachCall(storageFault, async (index, inject, clear) => {
      inject();
      const { result, error } = await faults.ask("snapshot", { groups }, storageFault.ms);
      clear();
      if (error === undefined) {
        taken.push(String(Object(result).snapshot_id));
        return;
      }
      requireRetryable(error);
      expect(storageFault.permanent, `call ${index + 1}: ${error.message}`).toBe(true);
      expect(error.message).toMatch(/Nothing was|Whether it was listed is not known: check the list/);
      taken.push(String(Object(await faults.call("snapshot", { groups })).snapshot_id));
    });

    const writes = failedCalls.map(({ action }) => action).filter((action) => action.startsWith("Put"));
    expect(writes).toEqual(["PutObject", "PutItem"]);
    expect(await faults.offsetsByTool(groups)).toEqual(offsetsOf(moved));
    const [before, ...snapshots] = (await loadListed()).reverse();
    expect(before?.consumerGroups.keys().toArray()).toEqual(groups);
    for (const { consumerGroups } of snapshots) expect(consumerGroups).toEqual(moved);
    expect(snapshots.map(({ snapshotId }) => snapshotId)).toEqual(expect.arrayContaining(taken));
    expect(new Set(taken).size).toBe(failedCalls.length + 1);
  }

  async function deletes(storageFault: StorageFault) {
    const { groups, moved, snapshotId: kept } = await faults.scenario(3);
    const deleted: string[] = [];
    const failedCalls = await atEachCall(storageFault, async (index, inject, clear) => {
      const { snapshot_id } = Object(await faults.call("snapshot", { groups }));
      deleted.push(snapshot_id);
      inject();
      const { result, error } = await faults.ask("delete", { snapshot_id, requested_by: "ana" }, storageFault.ms);
      clear();
      if (error === undefined) {
        expect(result).toEqual({ snapshot_id, deleted: true, warnings: [] });
        return;
      }
      requireRetryable(error);
      expect(storageFault.permanent, `call ${index + 1}: ${error.message}`).toBe(true);
      expect(error.message).toMatch(/delete it again/i);
      const again = await faults.ask("delete", { snapshot_id, requested_by: "ana" });
      // If only the answer to the last call was lost, the snapshot is already deleted.
      if (again.error === undefined) expect(again.result).toEqual({ snapshot_id, deleted: true, warnings: [] });
      else expect(again.error.name).toBe("SnapshotNotFound");
    });

    expect(failedCalls.map(({ action }) => action)).toEqual([
      "Query", // for rollbacks that can no longer be undone
      "UpdateItem",
      "PutItem",
      "DeleteObject",
      "DeleteItem",
    ]);
    expect((await loadListed()).map(({ snapshotId }) => snapshotId)).toEqual([kept]);
    expect(await faults.storage.items("snapshot")).toHaveLength(1);
    const bodies = (await faults.storage.keys()).filter((key) => key.includes("snapshot-"));
    expect(bodies).toEqual([expect.stringContaining(kept)]);
    const notes = (await faults.storage.items("deletion")).map(({ snapshot_id, requested_by }) => {
      expect(requested_by?.S).toBe("ana");
      return snapshot_id?.S;
    });
    expect(new Set(notes)).toEqual(new Set(deleted));
    expect(await faults.offsetsByTool(groups)).toEqual(offsetsOf(moved));
  }

  const operations = [
    ["a rollback has a correct result, and can be completed", rollsBack],
    ["a resumed rollback completes, or can be resumed again", resumes],
    ["a snapshot is complete or not taken, and can be taken again", takesSnapshot],
    ["a deletion completes if it is repeated", deletes],
  ] as const;
  const all = storageFaults.flatMap(([name, fault]) =>
    operations.flatMap(([promise, operation]) =>
      operation === resumes && fault.fault !== "lost" ? [] : [[promise, name, () => operation(fault)] as const],
    ),
  );

  const short = [
    "a rollback has a correct result, and can be completed",
    "are lost from one call on, after it took effect",
  ];

  test.each(cases(short, all))("%s, when answers %s", (_promise, _fault, run) => run());
});
