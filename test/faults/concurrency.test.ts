import { connect, createServer } from "node:net";
import { AssignerProtocol, type ConsumerConfig, type PartitionAssigner } from "kafkajs";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Commit, Commits } from "../../functions/shared/core/model.ts";
import { listGroups } from "../../functions/shared/kafka/groups/group-list.ts";
import { independentClient } from "../integration/kafka/support.ts";
import { type RollbackAnswer, type RollbackResult, readRollbackAnswer } from "./support/answers.ts";
import { cases, faultHarness, type Scenario } from "./support/harness.ts";

const faults = faultHarness();
/** Timeouts so long that an inactive member is not removed. */
const longTimeouts = { sessionTimeout: 120_000, rebalanceTimeout: 120_000 };
const patient = { timeout: 40_000, interval: 50 };

/** A promise that is pending until `open` is called, or the test ends. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const open = () => resolve(undefined);
  onTestFinished(open);
  return { opened: promise, open };
}

/** Holds back every commit that reaches a proxy, including retries, until `release`. */
async function holdCommits() {
  const { opened, open } = gate();
  const held = faults.proxy.when({ api: "OffsetCommit", every: true }, () => opened);
  return {
    release: open,
    reached: () => expect.poll(() => held.happened, patient).toBe(true),
  };
}

/** A consumer of a topic. When `joins` resolves, it has joined its group and is reading. */
async function member(scenario: Scenario, group: string, more: Partial<ConsumerConfig> = {}) {
  const consumer = independentClient(faults.kafka.bootstrapServers).consumer({ groupId: group, ...more });
  onTestFinished(() => consumer.disconnect());
  await consumer.connect();
  await consumer.subscribe({ topics: [scenario.topic] });
  const { promise: reads, resolve } = Promise.withResolvers<void>();
  consumer.on(consumer.events.FETCH_START, () => resolve()); // before that, it ignores commits and disconnects
  return {
    joins(eachMessage: () => Promise<void> = async () => {}) {
      consumer.run({ autoCommit: false, eachMessage }).catch(() => {});
      return reads;
    },
    moves: (offset: bigint) =>
      consumer.commitOffsets([0, 1].map((partition) => ({ topic: scenario.topic, partition, offset: `${offset}` }))),
    leaves: () => consumer.disconnect(),
  };
}

/** Waits until a group has a state. */
const waitForState = (group: string, state: string) =>
  expect
    .poll(() => faults.onCluster(async (cluster) => (await listGroups(cluster)).groups.get(group)?.state), patient)
    .toBe(state);

/** The commits of these groups. */
const commitsOfGroups = (commits: Commits, ...groups: (string | undefined)[]): Commits =>
  new Map([...commits].filter(([group]) => groups.includes(group)));

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

/** The result of a rollback, which must exist. */
const resultOf = ({ result, error }: RollbackAnswer): RollbackResult => {
  if (result === undefined) throw new Error(`the rollback has no result: ${error?.message}`);
  return result;
};

const recorded = async (rollback_id: unknown) => Object(await faults.call("rollbacks", { rollback_id }));
const allRecords = async () => Object(await faults.call("rollbacks", {})).rollbacks;
const offsets = (commits: Commits) =>
  new Map([...commits].map(([group, keys]) => [group, new Map([...keys].map(([key, { offset }]) => [key, offset]))]));
const required = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error("the value is missing");
  return value;
};

/** Starts a rollback, and holds back its commits until `release`. */
async function startHeldRollback(request: object) {
  const commits = await holdCommits();
  const answer = faults.rollback(request);
  await commits.reached();
  return { answer, release: commits.release };
}

describe("with concurrent calls,", () => {
  async function overlapping() {
    const scenario = await faults.scenario(6);
    const { groups, snapshotId, moved, saved } = scenario;
    const request = { snapshot_id: snapshotId, groups: groups.slice(2) };
    const first = await startHeldRollback({ snapshot_id: snapshotId, groups: groups.slice(0, 4), requested_by: "ana" });

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
    expect(await faults.requireAgreement(winner)).toEqual(offsets(commitsOfGroups(saved, ...groups.slice(0, 4))));

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
    const first = await startHeldRollback(request);
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
    expect(first.result?.warnings).toEqual([expect.stringContaining("taken over by another call")]);
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
    expect(toolOffsets).toEqual(offsets(new Map([...saved, ...commitsOfGroups(moved, groups[0])])));
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

describe("with running consumers,", () => {
  /** A rollback of four groups. The first group gets a member between plan and commits. */
  async function interrupted(joins: (scenario: Scenario, group: string) => Promise<() => Promise<unknown>>) {
    const scenario = await faults.scenario(4);
    const group = required(scenario.groups[0]);
    const joining = await joins(scenario, group);
    const request = { snapshot_id: scenario.snapshotId };
    const held = await startHeldRollback(request);
    await joining();
    held.release();
    const rolled = await held.answer;

    expect(rolled.error).toMatchObject({
      name: "RollbackIncomplete",
      message: expect.stringContaining(`Not at their targets: "${group}" (`),
    });
    expect(rolled.error?.message).toContain(rolled.result?.rollback_id);
    expect(rolled.error?.message).toContain(rolled.result?.safety_snapshot_id);
    expect(rolled.result).toMatchObject({ status: "partial_success", groups_rolled_back: 3, groups_failed: 1 });
    const failed = required(rolled.result?.groups[group]);
    expect(failed).toMatchObject({
      status: "failed",
      error: expect.stringMatching(/^GroupNotEmpty: .*has active members; Kafka rejects other writers/),
    });
    for (const { outcome, from, actual } of Object.values(failed.partitions)) {
      expect(outcome).toBe("failed");
      expect(actual).toEqual(from);
    }
    const toolOffsets = await faults.requireAgreement(rolled);
    expect(toolOffsets).toEqual(offsets(new Map([...scenario.saved, ...commitsOfGroups(scenario.moved, group)])));
    return { scenario, group, request, rolled, rollbackId: required(rolled.result?.rollback_id) };
  }

  async function joinsBetween() {
    const members: Awaited<ReturnType<typeof member>>[] = [];
    const { scenario, request, rolled, rollbackId } = await interrupted(async (scenario, group) => {
      const consumer = await member(scenario, group);
      members.push(consumer);
      return () => consumer.joins();
    });
    const resume = { resume: rollbackId };
    const refused = await faults.rollback(resume);
    expect(refused.error).toMatchObject({
      name: "GroupNotEmpty",
      message: expect.stringMatching(/was refused\..*1 member.*Nothing was changed/),
    });
    await members[0]?.leaves();
    const last = await faults.rollback(resume);
    const { safety_snapshot_id } = required(rolled.result);
    expect(resultOf(last)).toMatchObject({
      status: "success",
      resumed: true,
      safety_snapshot_id,
      groups_rolled_back: 4,
    });
    await faults.requireCommits(scenario.saved, await faults.requireAgreement(last));
    expect(await faults.safetySnapshots()).toEqual([safety_snapshot_id]);
    expect((await faults.rollback(request)).result).toEqual({ ...last.result, repeated: true });
  }

  async function joinsBetweenAndMovesOn() {
    const members: Awaited<ReturnType<typeof member>>[] = [];
    const { scenario, group, request, rollbackId } = await interrupted(async (scenario, group) => {
      const consumer = await member(scenario, group);
      members.push(consumer);
      return () => consumer.joins();
    });
    await members[0]?.moves(55n);
    await members[0]?.leaves();
    const resume = { resume: rollbackId };
    const blocked = await faults.rollback(resume);
    expect(blocked.error).toMatchObject({ name: "RollbackBlocked", message: expect.stringMatching(/moved_since/) });
    const { blockers } = Object(blocked.error?.details);
    expect(blockers).toHaveLength(2);
    expect(blockers[0]).toMatchObject({ kind: "moved_since", group, actual: { offset: 55 } });
    const toolOffsets = await faults.offsetsByTool(scenario.groups);
    expect([...required(toolOffsets.get(group)).values()]).toEqual([55n, 55n]);

    // The same request without the rollback's id is a new rollback, which supersedes the unfinished one.
    const anew = await faults.rollback(request);
    expect(resultOf(anew)).toMatchObject({ status: "success", offsets_restored: 2 });
    expect(anew.result?.rollback_id).not.toBe(rollbackId);
    await faults.requireCommits(scenario.saved, await faults.requireAgreement(anew));
    expect(await faults.rollback(resume)).toMatchObject({
      error: { name: "InvalidRequest", message: expect.stringContaining(`superseded by ${anew.result?.rollback_id}`) },
    });
    expect(await recorded(rollbackId)).toMatchObject({
      status: "partial_success",
      superseded_by: anew.result?.rollback_id,
    });
    const before = (await faults.snapshot(String(anew.result?.safety_snapshot_id))).consumerGroups;
    expect([...required(before.get(group)).values()].map(({ offset }) => offset)).toEqual([55n, 55n]);
  }

  /** A consumer of the new protocol (KIP-848). A proxy delays its connections, so that it joins after the plan. */
  async function consumerOfTheNewProtocolJoinsBetween() {
    const shut = gate();
    let waiting = false;
    const servers = faults.kafka.bootstrapServers.split(",").map((server) => Number(server.split(":")[1]));
    const door = createServer(async (client) => {
      waiting = true;
      await shut.opened;
      const broker = connect(required(servers[0]), "127.0.0.1");
      for (const [from, to] of [
        [client, broker],
        [broker, client],
      ] as const)
        from.on("error", () => to.destroy()).pipe(to);
    });
    await new Promise<void>((resolve) => door.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void door.close());
    const address = door.address();
    const stop: (() => void)[] = [];
    const { scenario, rollbackId } = await interrupted(async (scenario, group) => {
      const consumer = faults.kafka.startTool("org.apache.kafka.tools.consumer.ConsoleConsumer", [
        ...["--bootstrap-server", `127.0.0.1:${typeof address === "object" ? address?.port : ""}`],
        ...["--topic", scenario.topic, "--group", group],
        ...["--command-property", "group.protocol=consumer", "--command-property", "enable.auto.commit=false"],
      ]);
      stop.push(() => consumer.kill());
      onTestFinished(() => consumer.kill());
      await expect.poll(() => waiting, patient).toBe(true);
      return () => {
        shut.open();
        return waitForState(group, "Stable");
      };
    });
    expect((await faults.rollback({ resume: rollbackId })).error?.name).toBe("GroupNotEmpty");
    for (const each of stop) each(); // it is killed without leaving, so its session has to time out
    const last = await faults.rollback({ resume: rollbackId, wait_for_empty_seconds: 70 }, 120_000);
    expect(resultOf(last)).toMatchObject({ status: "success", resumed: true });
    await faults.requireCommits(scenario.saved, await faults.requireAgreement(last));
  }

  /** The group has a member that is too busy to rejoin in a rebalance, and another that waits for it. */
  async function preparing(scenario: Scenario, group: string) {
    const [busy, second] = [await member(scenario, group, longTimeouts), await member(scenario, group, longTimeouts)];
    const work = gate();
    let working = false;
    await busy.joins(() => {
      working = true;
      return work.opened;
    });
    await expect.poll(() => working, patient).toBe(true);
    const joined = second.joins();
    await waitForState(group, "PreparingRebalance");
    return async () => {
      work.open();
      await joined;
      await Promise.all([busy.leaves(), second.leaves()]);
    };
  }

  /** The group has a leader that assigns partitions slowly. */
  async function completing(scenario: Scenario, group: string) {
    const work = gate();
    const slow: PartitionAssigner = () => ({
      name: "slow",
      version: 1,
      async assign() {
        await work.opened;
        return [];
      },
      protocol: ({ topics }) => ({
        name: "slow",
        metadata: AssignerProtocol.MemberMetadata.encode({ version: 1, topics, userData: Buffer.alloc(0) }),
      }),
    });
    const consumer = await member(scenario, group, { ...longTimeouts, partitionAssigners: [slow] });
    const joined = consumer.joins();
    await waitForState(group, "CompletingRebalance");
    return async () => {
      work.open();
      await joined;
      await consumer.leaves();
    };
  }

  async function rebalances(begin: typeof preparing, state: string, members: number) {
    const scenario = await faults.scenario(3);
    const { groups, snapshotId, moved, saved } = scenario;
    const group = required(groups[1]);
    const end = await begin(scenario, group);
    const refused = await faults.rollback({ snapshot_id: snapshotId });
    expect(refused.error).toMatchObject({
      name: "GroupNotEmpty",
      message: expect.stringContaining("Nothing was changed."),
    });
    expect(Object(refused.error?.details).blockers).toEqual([
      expect.objectContaining({
        kind: "group_not_empty",
        group,
        actual: members,
        message: expect.stringContaining(state),
      }),
    ]);
    await faults.requireCommits(moved, await faults.offsetsByTool(groups));
    expect(await faults.safetySnapshots()).toEqual([]);

    const others = await faults.rollback({ snapshot_id: snapshotId, skip_blocked: true });
    expect(resultOf(others)).toMatchObject({ status: "success", groups_rolled_back: 2, groups_skipped: 1 });
    expect(others.result?.groups[group]?.status).toBe("skipped");
    expect(await faults.requireAgreement(others)).toEqual(
      offsets(new Map([...saved, ...commitsOfGroups(moved, group)])),
    );
    await end();
    await waitForState(group, "Empty");
    const last = await faults.rollback({ snapshot_id: snapshotId });
    expect(resultOf(last)).toMatchObject({ status: "success", groups_rolled_back: 3, offsets_restored: 2 });
    await faults.requireCommits(saved, await faults.requireAgreement(last));
  }

  async function waitsForThemToLeave() {
    const scenario = await faults.scenario(2);
    const group = required(scenario.groups[0]);
    const consumer = await member(scenario, group);
    await consumer.joins();
    const request = { snapshot_id: scenario.snapshotId };
    const impatient = await faults.rollback({ ...request, wait_for_empty_seconds: 1 });
    expect(impatient.error).toMatchObject({ name: "GroupNotEmpty", message: expect.stringMatching(/waited \d s/) });
    await faults.requireCommits(scenario.moved, await faults.offsetsByTool(scenario.groups));

    const seen = faults.proxy.seen("ListGroups");
    const rollback = faults.rollback({ ...request, wait_for_empty_seconds: 60 }, 120_000);
    await expect.poll(() => faults.proxy.seen("ListGroups"), patient).toBeGreaterThan(seen + 18); // three polls of the groups
    expect(Object(await faults.call("rollback", { ...request, dry_run: true })).blockers).toHaveLength(1);
    await consumer.moves(55n);
    await consumer.leaves();
    const { result } = await rollback;
    expect(result).toMatchObject({ status: "success", groups_rolled_back: 2 });
    await faults.requireCommits(scenario.saved, await faults.requireAgreement({ ...(result && { result }) }));
    const before = (await faults.snapshot(String(result?.safety_snapshot_id))).consumerGroups;
    expect([...required(before.get(group)).values()].map(({ offset }) => offset)).toEqual([55n, 55n]);
  }

  /** A static member does not leave when it stops, but when its session times out. */
  async function waitsForAStaticMember() {
    const scenario = await faults.scenario(2);
    const group = required(scenario.groups[0]);
    const consumer = faults.kafka.startTool("org.apache.kafka.tools.consumer.ConsoleConsumer", [
      ...["--topic", scenario.topic, "--group", group],
      ...["group.instance.id=one", "session.timeout.ms=12000", "enable.auto.commit=false"].flatMap((property) => [
        "--command-property",
        property,
      ]),
    ]);
    onTestFinished(() => consumer.kill());
    await waitForState(group, "Stable");
    consumer.kill();
    await consumer.ended;
    const request = { snapshot_id: scenario.snapshotId };
    const refused = await faults.rollback(request);
    expect(refused.error).toMatchObject({
      name: "GroupNotEmpty",
      message: expect.stringMatching(/1 member.*Static members .*wait_for_empty_seconds/),
    });
    const rolled = await faults.rollback({ ...request, wait_for_empty_seconds: 60 }, 120_000);
    expect(resultOf(rolled)).toMatchObject({ status: "success", groups_rolled_back: 2 });
    await faults.requireCommits(scenario.saved, await faults.requireAgreement(rolled));
  }

  async function planChanges() {
    const scenario = await faults.scenario(3);
    const { groups, snapshotId, saved } = scenario;
    const request = { snapshot_id: snapshotId };
    const { plan_digest } = Object(await faults.call("rollback", { ...request, dry_run: true }));
    const consumer = await member(scenario, required(groups[2]));
    await consumer.joins();
    await consumer.moves(55n);
    await consumer.leaves();
    const stale = await faults.rollback({ ...request, plan_digest });
    expect(stale.error).toMatchObject({
      name: "PlanChanged",
      message: expect.stringContaining("Nothing was changed."),
    });
    const toolOffsets = await faults.offsetsByTool(groups);
    expect([...required(toolOffsets.get(required(groups[2]))).values()]).toEqual([55n, 55n]);
    expect(await faults.safetySnapshots()).toEqual([]);
    const fresh = String(Object(stale.error?.details).plan_digest);
    const rolled = await faults.rollback({ ...request, plan_digest: fresh });
    expect(resultOf(rolled)).toMatchObject({ status: "success", groups_rolled_back: 3 });
    await faults.requireCommits(saved, await faults.requireAgreement(rolled));
  }

  async function rehearsal() {
    const scenario = await faults.scenario(2);
    const { groups, snapshotId, saved } = scenario;
    const [real, other] = [required(groups[0]), required(groups[1])];
    const replay = `${real}.replay`;
    faults.deleteAfterTest([replay]);
    const consumer = await member(scenario, real);
    await consumer.joins();
    const request = { snapshot_id: snapshotId, group_map: { [real]: replay } };
    const held = await startHeldRollback(request);
    await consumer.moves(56n);
    held.release();
    const rolled = await held.answer;
    expect(resultOf(rolled)).toMatchObject({ status: "success", groups_rolled_back: 1, offsets_restored: 2 });
    expect(Object.keys(required(rolled.result).groups)).toEqual([replay]);
    await consumer.moves(57n);
    const toolOffsets = await faults.offsetsByTool([replay, real, other]);
    await faults.requireAgreement(rolled);
    await faults.requireCommits(new Map([[replay, required(saved.get(real))]]), new Map([...toolOffsets].slice(0, 1)));
    expect([...required(toolOffsets.get(real)).values()]).toEqual([57n, 57n]);
    expect(toolOffsets.get(other)).toEqual(offsets(scenario.moved).get(other));

    // After the undo, the group of the rehearsal has no commits, as before.
    const undone = await faults.rollback({ snapshot_id: rolled.result?.safety_snapshot_id, exact: true });
    expect(resultOf(undone)).toMatchObject({ status: "success", offsets_deleted: 2 });
    expect((await faults.requireAgreement(undone)).get(replay)).toEqual(new Map());
  }

  /** A commit of another client arrives between the rollback's commits and its read-back. */
  async function followed(moves: (scenario: Scenario, group: string) => Promise<unknown>, who: RegExp) {
    const scenario = await faults.scenario(2);
    const group = required(scenario.groups[0]);
    const held = await startHeldRollback({ snapshot_id: scenario.snapshotId });
    const { opened, open } = gate();
    const reading = faults.proxy.when({ api: "OffsetFetch", every: true }, () => opened);
    held.release();
    await expect.poll(() => reading.happened, patient).toBe(true);
    await moves(scenario, group);
    open();
    const { result, error } = await held.answer;
    expect(error?.name).toBe("RollbackIncomplete");
    const moved = required(result?.groups[group]);
    expect(moved.error).toMatch(
      /^No longer at their targets: 2 of 2 partitions\. .*another client followed \(\S+-0 at offset 55 instead of offset \d+, /,
    );
    expect(moved.error).toMatch(who);
    for (const { outcome, actual } of Object.values(moved.partitions)) {
      expect(outcome).toBe("moved_since");
      expect(actual).toMatchObject({ offset: 55n });
    }
  }

  test.each(
    cases<readonly [string, () => Promise<void>]>(
      [
        "only a group that a consumer joins between plan and commits fails, and it is rolled back after the consumer left",
      ],
      [
        [
          "only a group that a consumer joins between plan and commits fails, and it is rolled back after the consumer left",
          joinsBetween,
        ],
        ["a group that a consumer has moved is not rewound by a resume, but by a new rollback", joinsBetweenAndMovesOn],
        ["only a group that a consumer of the new protocol joins fails", consumerOfTheNewProtocolJoinsBetween],
        ["a group that prepares a rebalance is not empty", () => rebalances(preparing, "PreparingRebalance", 2)],
        ["a group that completes a rebalance is not empty", () => rebalances(completing, "CompletingRebalance", 1)],
        ["a rollback waits until the members have left, and then plans again", waitsForThemToLeave],
        ["a rollback waits until the session of a static member has timed out", waitsForAStaticMember],
        ["a plan digest is refused if a group has moved since", planChanges],
        ["a rehearsal in another group does not change running groups", rehearsal],
      ],
    ),
  )("%s", (_name, run) => run());

  const byAConsumer = async (scenario: Scenario, group: string) => {
    const consumer = await member(scenario, group);
    await consumer.joins();
    await consumer.moves(55n);
  };
  const byAScript = ({ topic }: Scenario, group: string) =>
    faults.commit(
      new Map([[group, new Map([0, 1].map((n) => [`${topic}-${n}`, { offset: 55n, metadata: "" }] as const))]]),
    );

  test.each(
    cases<readonly [string, () => Promise<void>]>(
      ["a commit of a script that follows the rollback's is not blamed on a consumer"],
      [
        [
          "a commit of a consumer that follows the rollback's is reported with the members",
          () => followed(byAConsumer, /The group has 1 member now \(state Stable\): a consumer has started$/),
        ],
        [
          "a commit of a script that follows the rollback's is not blamed on a consumer",
          () => followed(byAScript, /The group has no members now\. The commit came from a script, a MirrorMaker sync/),
        ],
      ],
    ),
  )("%s", (_name, run) => run());
});
