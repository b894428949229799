import { describe, expect, test } from "vitest";
import type { Commit, Commits } from "../../functions/shared/core/model.ts";
import { required } from "../support/required.ts";
import { type RollbackAnswer, readRollbackAnswer, resultOf } from "./support/answers.ts";
import { cases, faultHarness, type Scenario } from "./support/harness.ts";
import { gate, patient, startHeldRollback } from "./support/held-rollback.ts";
import { commitsOfGroups, offsetsOf } from "./support/truth.ts";

const faults = faultHarness();

/** Commits another offset for all groups, as running consumers do. */
async function moveOn({ saved }: Scenario, offset: bigint): Promise<Commits> {
  const commit: Commit = { offset, metadata: "moved on" };
  const elsewhere = new Map(
    [...saved].map(([group, keys]) => [group, new Map([...keys.keys()].map((key) => [key, commit]))]),
  );
  await faults.commit(elsewhere);
  return elsewhere;
}

const refusedAsRunning = ({ error, result }: RollbackAnswer) => {
  expect(result).toBeUndefined();
  expect(error).toMatchObject({
    name: "RollbackInProgress",
    message: expect.stringMatching(/^RollbackInProgress: \S+ .*has been running for \d+ s.*Nothing was changed/),
    details: { rollback_id: expect.any(String), age_seconds: expect.any(Number) },
  });
  return Object(error?.details);
};

const recorded = async (rollback_id: unknown) => Object(await faults.call("rollbacks", { rollback_id }));
const allRecords = async () => Object(await faults.call("rollbacks", {})).rollbacks;

describe("with concurrent calls,", () => {
  async function overlapping() {
    const scenario = await faults.scenario(6);
    const { groups, snapshotId, moved, saved } = scenario;
    const request = { snapshot_id: snapshotId, groups: groups.slice(2) };
    const first = await startHeldRollback(faults, {
      snapshot_id: snapshotId,
      groups: groups.slice(0, 4),
      requested_by: "ana",
    });

    const { rollback_id, requested_by, age_seconds } = refusedAsRunning(await faults.rollback(request));
    const dry = Object(await faults.call("rollback", { ...request, dry_run: true }));
    const snapshot = Object(await faults.call("snapshot", { groups }));
    const running = await recorded(rollback_id);
    first.release();
    const winner = await first.answer;

    expect(resultOf(winner)).toMatchObject({ rollback_id, status: "success", groups_rolled_back: 4 });
    expect(requested_by).toBe("ana");
    expect(age_seconds).toBeLessThan(30);
    expect(running).toMatchObject({ rollback_id, status: "running", requested_by: "ana" });
    expect(dry).toMatchObject({ dry_run: true, blockers: [] });
    expect(dry.groups[required(groups[5])].partitions).toMatchObject({
      [`${scenario.topic}-0`]: { action: "rewind", from: { offset: 35 }, to: { offset: 5 } },
    });
    expect((await faults.snapshot(snapshot.snapshot_id)).consumerGroups).toEqual(moved);
    expect(await faults.requireAgreement(winner)).toEqual(offsetsOf(commitsOfGroups(saved, ...groups.slice(0, 4))));

    const second = await faults.rollback(request);
    expect(resultOf(second)).toMatchObject({ status: "success", groups_rolled_back: 4, offsets_restored: 4 });
    await faults.requireAgreement(second);
    await faults.requireCommits(saved, await faults.offsetsByTool(groups));
    const before = await faults.snapshot(String(second.result?.safety_snapshot_id));
    expect(before.consumerGroups).toEqual(
      new Map([...commitsOfGroups(saved, ...groups.slice(2, 4)), ...commitsOfGroups(moved, ...groups.slice(4))]),
    );
  }

  /** A client times out after 60 s and sends the same request again. */
  async function sentAgain(rollbackId: string | undefined) {
    const scenario = await faults.scenario(4);
    const request = { snapshot_id: scenario.snapshotId, ...(rollbackId !== undefined && { rollback_id: rollbackId }) };
    const first = await startHeldRollback(faults, request);
    const { rollback_id } = refusedAsRunning(await faults.rollback(request));
    if (rollbackId !== undefined) expect(rollback_id).toBe(rollbackId);
    first.release();
    const done = await first.answer;
    expect(resultOf(done)).toMatchObject({ rollback_id, status: "success" });

    const again = await faults.rollback(request);
    expect(resultOf(again)).toEqual({ ...done.result, repeated: true });
    expect(await faults.safetySnapshots()).toEqual([done.result?.safety_snapshot_id]);
    expect((await faults.snapshot(String(done.result?.safety_snapshot_id))).consumerGroups).toEqual(scenario.moved);
    await faults.requireCommits(scenario.saved, await faults.requireAgreement(again));

    // After the groups moved on, a request with an id returns the recorded result; one without an id is a new rollback.
    const elsewhere = await moveOn(scenario, 50n);
    const anew = await faults.rollback(request);
    if (rollbackId === undefined) {
      expect(resultOf(anew)).toMatchObject({ status: "success", offsets_restored: 8 });
      expect(anew.result).not.toHaveProperty("repeated");
      expect(anew.result?.rollback_id).not.toBe(rollback_id);
      expect((await faults.snapshot(String(anew.result?.safety_snapshot_id))).consumerGroups).toEqual(elsewhere);
      await faults.requireCommits(scenario.saved, await faults.requireAgreement(anew));
    } else {
      expect(resultOf(anew)).toEqual({ ...done.result, repeated: true });
      expect(await faults.safetySnapshots()).toHaveLength(1);
      await faults.requireCommits(elsewhere, await faults.offsetsByTool(scenario.groups));
      const other = await faults.rollback({ ...request, exact: true });
      expect(other.error).toMatchObject({ name: "InvalidRequest", message: expect.stringContaining(rollback_id) });
      await faults.requireCommits(elsewhere, await faults.offsetsByTool(scenario.groups));
    }
  }

  /** A function is stopped during its commits for longer than its lease, and continues after another call completed it. */
  async function paused() {
    const scenario = await faults.scenario(300);
    const request = { snapshot_id: scenario.snapshotId };
    const halfway = gate();
    const worker = faults.startWorker("rollback", request, 300_000);
    const pausing = faults.proxy.when({ api: "OffsetCommit", nth: 10 }, () => {
      worker.pause();
      return halfway.opened;
    });
    await expect.poll(() => pausing.happened, patient).toBe(true);
    halfway.open();
    const { rollback_id } = refusedAsRunning(await faults.rollback(request));

    let second: RollbackAnswer = {};
    const secondCall = async () => {
      second = await faults.rollback(request);
      return second.error?.name;
    };
    await expect.poll(secondCall, { timeout: 40_000, interval: 500 }).not.toBe("RollbackInProgress");
    expect(resultOf(second)).toMatchObject({ rollback_id, status: "success", resumed: true, groups_rolled_back: 300 });
    await faults.requireCommits(scenario.saved, await faults.requireAgreement(second));
    const elsewhere = await moveOn(scenario, 50n);
    const sent = faults.proxy.seen("OffsetCommit");

    worker.unpause();
    const { error, result } = required(await worker.answer);
    expect(result).toBeUndefined();
    expect(error?.name).toBe("RollbackIncomplete");
    await faults.requireCommits(elsewhere, await faults.offsetsByTool(scenario.groups));
    expect(faults.proxy.seen("OffsetCommit")).toBe(sent);
    const first = readRollbackAnswer({ ...(error && { error }) });
    expect(first.result?.warnings).toEqual([expect.stringContaining("Another call has resumed or superseded")]);
    await faults.requireCommits(elsewhere, await faults.requireAgreement(first));
    expect(await allRecords()).toMatchObject([{ rollback_id, status: "success", attempts: 2 }]);
    expect(await faults.safetySnapshots()).toEqual([second.result?.safety_snapshot_id]);
  }

  async function manyAtOnce() {
    const scenario = await faults.scenario(12);
    const { groups, snapshotId, moved, saved } = scenario;
    const requests = Array.from({ length: 6 }, (_, i) => ({
      snapshot_id: snapshotId,
      groups: groups.slice(2 * Math.floor(i / 2), 2 * Math.floor(i / 2) + 4),
    }));
    const rolled = await Promise.all(requests.map((request) => faults.rollback(request)));
    const done = rolled.filter(({ error }) => error === undefined);
    expect(done.length).toBeGreaterThan(0);
    for (const each of rolled) if (each.error !== undefined) refusedAsRunning(each);
    for (const each of done) await faults.requireAgreement(each);

    const finished: RollbackAnswer[] = [];
    for (const request of requests) finished.push(await faults.rollback(request));
    for (const { result } of finished) expect(result).toMatchObject({ status: "success", groups_rolled_back: 4 });
    // Of two equal requests one after the other, the second returns the result of the first.
    for (let i = 0; i < requests.length; i += 2) {
      expect(finished[i + 1]?.result).toEqual({ ...finished[i]?.result, repeated: true });
    }
    const toolOffsets = await faults.offsetsByTool(groups);
    await faults.requireCommits(new Map([...saved].slice(0, 8)), new Map([...toolOffsets].slice(0, 8)));
    await faults.requireCommits(new Map([...moved].slice(8)), new Map([...toolOffsets].slice(8)));
    for (const each of finished) await faults.requireAgreement(each);
    // In any order of the calls: the first safety snapshot with a group has its state before all rollbacks.
    const seen = new Map<string, unknown>();
    for (const id of (await faults.safetySnapshots()).reverse()) {
      for (const [group, commits] of (await faults.snapshot(id)).consumerGroups) {
        if (!seen.has(group)) seen.set(group, commits);
      }
    }
    expect(seen).toEqual(new Map([...moved].slice(0, 8)));
    for (const { status } of await allRecords()) expect(status).toBe("success");
  }

  /** An unfinished rollback never blocks a new one, and cannot be resumed after it. */
  async function superseded() {
    const scenario = await faults.scenario(4);
    const { groups, snapshotId, moved, saved } = scenario;
    faults.storage.faults.on("UpdateItem", "breaks"); // so that the journal record cannot be closed
    const first = resultOf(await faults.rollback({ snapshot_id: snapshotId, groups: groups.slice(0, 2) }));
    faults.storage.faults.clear();
    expect(first.warnings).toEqual([expect.stringContaining("could not be closed")]);
    expect(await recorded(first.rollback_id)).toMatchObject({ status: "unfinished" });
    await faults.commit(moved);

    const apart = await faults.rollback({ snapshot_id: snapshotId, groups: groups.slice(2) });
    expect(resultOf(apart)).toMatchObject({ status: "success", groups_rolled_back: 2 });
    expect(await recorded(first.rollback_id)).toMatchObject({ status: "unfinished" });
    const over = await faults.rollback({ snapshot_id: snapshotId, groups: groups.slice(1, 3) });
    expect(resultOf(over)).toMatchObject({ status: "success", groups_rolled_back: 2, offsets_restored: 2 });
    const by = String(over.result?.rollback_id);
    expect(await recorded(first.rollback_id)).toMatchObject({ status: "superseded", superseded_by: by });
    expect(await faults.rollback({ resume: first.rollback_id })).toMatchObject({
      error: { name: "InvalidRequest", message: expect.stringMatching(`superseded by ${by}.*Nothing was changed`) },
    });
    const toolOffsets = await faults.offsetsByTool(groups);
    expect(toolOffsets).toEqual(offsetsOf(new Map([...saved, ...commitsOfGroups(moved, groups[0])])));
    for (const each of [apart, over]) await faults.requireAgreement(each);
  }

  /** Snapshots during a rollback: each partition has its commit from before the rollback, or its target. */
  async function snapshots() {
    const { groups, saved, moved, snapshotId } = await faults.scenario(120);
    const held = gate();
    const halfway = faults.proxy.when({ api: "OffsetCommit", nth: 60 }, () => held.opened);
    faults.proxy.setNetwork({ delayMs: 10 });
    const rollback = faults.rollback({ snapshot_id: snapshotId });
    await expect.poll(() => halfway.happened, patient).toBe(true);
    const taken: string[] = [];
    let over = false;
    const ends = rollback.finally(() => {
      over = true;
    });
    for (let number = 0; number < 3 || !over; number++) {
      taken.push(String(Object(await faults.call("snapshot", { groups })).snapshot_id));
      if (number === 0) held.open();
    }
    const rolled = await ends;

    expect(rolled.result?.status).toBe("success");
    const put = new Set<string>();
    const mixed: boolean[] = [];
    for (const id of taken) {
      const { consumerGroups, errors } = await faults.snapshot(id);
      expect(errors).toEqual([]);
      expect([...consumerGroups.keys()].sort()).toEqual([...groups].sort());
      const places = [...consumerGroups].flatMap(([group, commits]) => {
        const [from, to] = [moved.get(group), saved.get(group)];
        expect([...commits.keys()]).toEqual([...required(from).keys()]);
        return [...commits].map(([key, commit]) => {
          const isPut = commit.offset === to?.get(key)?.offset;
          expect(commit).toEqual(isPut ? to?.get(key) : from?.get(key));
          if (put.has(`${group} ${key}`)) expect(isPut).toBe(true);
          if (isPut) put.add(`${group} ${key}`);
          return isPut;
        });
      });
      mixed.push(places.includes(true) && places.includes(false));
    }
    expect(mixed[0]).toBe(true);
    await faults.requireCommits(saved, await faults.requireAgreement(rolled));
  }

  test.each(
    cases<readonly [string, () => Promise<void>]>(
      ["one of two rollbacks of the same groups runs; the other is refused, and succeeds afterwards"],
      [
        ["one of two rollbacks of the same groups runs; the other is refused, and succeeds afterwards", overlapping],
        [
          "the same request with an id is refused while its rollback runs, and then returns the result",
          () => sentAgain("maintenance-1"),
        ],
        [
          "the same request is refused while its rollback runs, and then returns the result",
          () => sentAgain(undefined),
        ],
        ["a rollback that was stopped while another call resumed it writes nothing more", paused],
        ["each of six rollbacks at the same time has a correct result or is refused as RollbackInProgress", manyAtOnce],
        ["an unfinished rollback is superseded by a new rollback of its groups", superseded],
        ["a snapshot during a rollback has each partition from before or after its commit", snapshots],
      ],
    ),
  )("%s", (_name, run) => run());
});
