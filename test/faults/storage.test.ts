import { DeleteItemCommand } from "@aws-sdk/client-dynamodb";
import { describe, expect, test, vi } from "vitest";
import type { Commits } from "../../functions/shared/core/model.ts";
import type { Fault } from "../integration/storage/faults.ts";
import { within } from "../support/deadline.ts";
import type { Answer, RollbackResult, Rolled } from "./support/answers.ts";
import { cases, faultHarness } from "./support/harness.ts";
import { agree, type Offsets } from "./support/truth.ts";

const faults = faultHarness();

/** What becomes of a call to AWS: of that one, or of it and all that follow. The time of an invocation that meets it. */
interface Trouble {
  readonly fault: Fault;
  readonly lasts: boolean;
  readonly ms: number;
}

const once = (fault: Fault): Trouble => ({ fault, lasts: false, ms: 60_000 });
const lasting = (fault: Fault, ms = 60_000): Trouble => ({ fault, lasts: true, ms });

const troubles: readonly (readonly [name: string, trouble: Trouble])[] = [
  ["are lost after it took effect, from one on", lasting("lost")],
  ["are lost once, after it took effect", once("lost")],
  ["are failures, from one on", lasting("breaks")],
  ["are that there were too many calls, from one on", lasting("throttled")],
  ["do not come, from one on, until the time is over", lasting("hangs", 6_500)],
  ["do not come, once", once("hangs")],
];

const actions = ["Query", "GetItem", "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"].concat(
  ["Put", "Get", "Head", "Delete"].map((verb) => `${verb}Object`),
);

/** A call to AWS that met a trouble, and whether commits had been sent by then. */
interface Met {
  readonly action: string;
  readonly committed: boolean;
}

/**
 * Does something for the first call to AWS, for the second, … until it makes no such call: that call, after `strikes`,
 * meets the trouble. Each time in a second of its own, in which no snapshot was taken: ids that are taken already would
 * make other calls. Gives the calls that were met.
 */
async function atEachCall(
  { fault, lasts }: Trouble,
  run: (index: number, strikes: () => void, heals: () => void) => Promise<void>,
): Promise<readonly Met[]> {
  const { storage, proxy } = faults;
  const met: Met[] = [];
  for (let index = 0; index === met.length; index++) {
    const last = Math.floor(Date.now() / 1_000);
    await vi.waitUntil(() => Math.floor(Date.now() / 1_000) > last, { interval: 20, timeout: 10_000 });
    const strikes = () => {
      storage.faults.clear();
      const seen = proxy.seen("OffsetCommit");
      storage.faults.when({ nth: index + 1 }, () => {
        met.push({ action: String(storage.faults.calls[index]), committed: proxy.seen("OffsetCommit") > seen });
        if (lasts) for (const action of actions) storage.faults.on(action, fault);
        return fault;
      });
    };
    await run(index, strikes, storage.faults.clear);
    storage.faults.clear();
    await leaseEnds();
  }
  return met;
}

/** A lease that was left behind ends in 20 s at most. Lets that time pass. */
async function leaseEnds(): Promise<void> {
  const [lease] = await faults.storage.items("lease");
  if (lease?.pk === undefined || lease.sk === undefined) return;
  expect(Number(lease.expires_ms?.N) - Date.now()).toBeLessThanOrEqual(20_000);
  const { dynamodb, config } = faults.storage;
  await dynamodb.send(new DeleteItemCommand({ TableName: config.table, Key: { pk: lease.pk, sk: lease.sk } }));
}

/** The part of commits that is about these groups. */
const partOf = (commits: Commits, groups: Iterable<string>): Commits =>
  new Map([...groups].map((group) => [group, commits.get(group) ?? new Map()]));

const offsetsOf = (commits: Commits): Offsets =>
  new Map([...commits].map(([group, of]) => [group, new Map([...of].map(([key, { offset }]) => [key, offset]))]));

/** What is listed can be loaded, whole. */
async function listed() {
  const { entries } = await faults.storage.archive.list({ limit: 1_000 }, within());
  return Promise.all(entries.map(({ snapshotId }) => faults.snapshot(snapshotId)));
}

const named = (error: Answer["error"]) =>
  expect(error).toMatchObject({
    name: expect.stringMatching(/^(StorageUnavailable|DeadlineExceeded)$/),
    message: expect.stringMatching(/^(StorageUnavailable|DeadlineExceeded): /),
  });

describe("at each of its calls to AWS in turn,", () => {
  const size = 3;
  /** How many calls to AWS one rollback makes. */
  const calls = 14;

  async function rollsBack(trouble: Trouble) {
    const { snapshotId, groups, saved, moved } = await faults.standing(size * calls);
    const requests: { readonly snapshot_id: string; readonly groups: readonly string[] }[] = [];
    const firsts: Rolled[] = [];
    const met = await atEachCall(trouble, async (index, strikes) => {
      const request = { snapshot_id: snapshotId, groups: groups.slice(index * size, (index + 1) * size) };
      requests.push(request);
      strikes();
      firsts.push(await faults.rollback(request, trouble.ms));
    });

    const [before, after] = [false, true].map((done) =>
      met.filter(({ committed }) => committed === done).map(({ action }) => action),
    );
    // The lease and the safety snapshot's entry, the journal and the bodies; then the journal's end, and the lease's.
    expect(before?.filter((action) => action === "PutItem")).toHaveLength(2);
    expect(before).toEqual(
      expect.arrayContaining(["Query", "GetItem", "GetObject", "PutObject", "TransactWriteItems"]),
    );
    expect(after).toEqual(["PutObject", "UpdateItem", "DeleteItem"]);
    const then = await faults.kafkaSays(groups);
    for (const [number, { result, error }] of firsts.entries()) {
      const { action, committed = true } = met[number] ?? {};
      const call = `call ${number + 1}, ${action}: ${error?.message ?? result?.warnings.join()}`;
      const of = requests[number]?.groups ?? [];
      if (result === undefined) {
        expect(trouble.lasts, call).toBe(true);
        named(error);
        expect(error?.message, call).toMatch(/(Nothing was changed|No offset was committed)/);
        for (const group of of) expect(then.get(group), call).toEqual(offsetsOf(moved).get(group));
      } else {
        expect(result.status, call).toBe("success");
        agree(result, then);
      }
      // Once commits are sent, storage cannot fail a rollback: only its journal may stay open, and it says so.
      expect(result !== undefined, call).toBe(committed || !trouble.lasts);
      const unclosed = trouble.lasts && committed && (action === "PutObject" || action === "UpdateItem");
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
    const now = await faults.kafkaSays(groups);
    await faults.allAt(saved, now);
    for (const result of seconds) agree(result, now);

    const safety = (await listed()).filter(({ trigger }) => trigger === "safety");
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

  /** Each time another rollback is resumed, whose end the journal does not have, and whose groups stand where they were before. */
  async function resumes(trouble: Trouble) {
    const { snapshotId, groups, saved, moved } = await faults.standing(size * calls);
    const begun: RollbackResult[] = [];
    const firsts: Rolled[] = [];
    const met = await atEachCall(trouble, async (index, strikes, heals) => {
      const mine = groups.slice(index * size, (index + 1) * size);
      faults.storage.faults.on("UpdateItem", "breaks");
      const { result } = await faults.rollback({ snapshot_id: snapshotId, groups: mine });
      heals();
      if (result === undefined) throw new Error("nothing was begun");
      expect(result.warnings).toHaveLength(1);
      begun.push(result);
      await faults.commit(partOf(moved, mine));
      strikes();
      firsts.push(await faults.rollback({ resume: result.rollback_id }, trouble.ms));
    });

    expect(met).toContainEqual({ action: "UpdateItem", committed: false });
    expect(met.at(-1)).toEqual({ action: "DeleteItem", committed: true });
    const then = await faults.kafkaSays(groups);
    const finished: RollbackResult[] = [];
    for (const [number, { rollback_id, safety_snapshot_id, groups: of }] of begun.entries()) {
      const { result, error } = firsts[number] ?? {};
      if (result === undefined) {
        expect(trouble.lasts, `call ${number + 1}: ${error?.message}`).toBe(true);
        named(error);
        expect(error?.message).toMatch(/(Nothing was changed|No offset was committed)/);
        for (const group of Object.keys(of)) expect(then.get(group)).toEqual(offsetsOf(moved).get(group));
      } else agree(result, then);
      const last = await faults.rollback({ resume: rollback_id });
      expect(last.error).toBeUndefined();
      expect(last.result).toMatchObject({ status: "success", rollback_id, safety_snapshot_id });
      if (last.result !== undefined) finished.push(last.result);
    }
    const now = await faults.kafkaSays(groups);
    await faults.allAt(
      new Map([...saved].slice(0, size * begun.length)),
      new Map([...now].slice(0, size * begun.length)),
    );
    for (const result of finished) agree(result, now);
    expect(await faults.safetySnapshots()).toHaveLength(begun.length);
    const { rollbacks } = Object(await faults.call("rollbacks", { limit: 1_000 }));
    expect(new Set(rollbacks.map(({ status }: { status: string }) => status))).toEqual(new Set(["success"]));
  }

  async function takesSnapshot(trouble: Trouble) {
    const { groups, moved } = await faults.standing(3);
    const taken: string[] = [];
    const met = await atEachCall(trouble, async (index, strikes, heals) => {
      strikes();
      const { result, error } = await faults.ask("snapshot", { groups }, trouble.ms);
      heals();
      if (error === undefined) {
        taken.push(String(Object(result).snapshot_id));
        return;
      }
      named(error);
      expect(trouble.lasts, `call ${index + 1}: ${error.message}`).toBe(true);
      expect(error.message).toMatch(/Nothing was|Whether it was listed is not known: check the list/);
      taken.push(String(Object(await faults.call("snapshot", { groups })).snapshot_id));
    });

    const writes = met.map(({ action }) => action).filter((action) => action.startsWith("Put"));
    expect(writes).toEqual(["PutObject", "PutItem"]);
    expect(await faults.kafkaSays(groups)).toEqual(offsetsOf(moved));
    const [before, ...snapshots] = (await listed()).reverse();
    expect(before?.consumerGroups.keys().toArray()).toEqual(groups);
    for (const { consumerGroups } of snapshots) expect(consumerGroups).toEqual(moved);
    expect(snapshots.map(({ snapshotId }) => snapshotId)).toEqual(expect.arrayContaining(taken));
    expect(new Set(taken).size).toBe(met.length + 1);
  }

  async function deletes(trouble: Trouble) {
    const { groups, moved, snapshotId: kept } = await faults.standing(3);
    const deleted: string[] = [];
    const met = await atEachCall(trouble, async (index, strikes, heals) => {
      const { snapshot_id } = Object(await faults.call("snapshot", { groups }));
      deleted.push(snapshot_id);
      strikes();
      const { result, error } = await faults.ask("delete", { snapshot_id, requested_by: "ana" }, trouble.ms);
      heals();
      if (error === undefined) {
        expect(result).toEqual({ snapshot_id, deleted: true });
        return;
      }
      named(error);
      expect(trouble.lasts, `call ${index + 1}: ${error.message}`).toBe(true);
      expect(error.message).toMatch(/delete it again to finish/i);
      const again = await faults.ask("delete", { snapshot_id, requested_by: "ana" });
      // Where only the answer to its last call was lost, it is gone already.
      if (again.error === undefined) expect(again.result).toEqual({ snapshot_id, deleted: true });
      else expect(again.error.name).toBe("SnapshotNotFound");
    });

    expect(met.map(({ action }) => action)).toEqual(["TransactWriteItems", "DeleteObject", "DeleteItem"]);
    expect((await listed()).map(({ snapshotId }) => snapshotId)).toEqual([kept]);
    expect(await faults.storage.items("snapshot")).toHaveLength(1);
    const bodies = (await faults.storage.keys()).filter((key) => key.includes("snapshot-"));
    expect(bodies).toEqual([expect.stringContaining(kept)]);
    const notes = (await faults.storage.items("deletion")).map(({ snapshot_id, requested_by }) => {
      expect(requested_by?.S).toBe("ana");
      return snapshot_id?.S;
    });
    expect(new Set(notes)).toEqual(new Set(deleted));
    expect(await faults.kafkaSays(groups)).toEqual(offsetsOf(moved));
  }

  const operations = [
    ["a rollback says what is true, and what it left can be finished", rollsBack],
    ["a rollback that is resumed finishes, or can be resumed again", resumes],
    ["a snapshot is whole or was not taken, and can be taken again", takesSnapshot],
    ["a deletion can be repeated to its end", deletes],
  ] as const;
  const all = operations.flatMap(([promise, operation]) =>
    (operation === resumes ? troubles.slice(0, 2) : troubles).map(
      ([trouble, how]) => [promise, trouble, () => operation(how)] as const,
    ),
  );

  const short = [
    "a rollback says what is true, and what it left can be finished",
    "are lost after it took effect, from one on",
  ];

  test.each(cases(short, all))("%s, when answers %s", (_promise, _trouble, run) => run());
});
