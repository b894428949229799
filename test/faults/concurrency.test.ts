import { connect, createServer } from "node:net";
import { AssignerProtocol, type ConsumerConfig, type PartitionAssigner } from "kafkajs";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Commit, Commits } from "../../functions/shared/core/model.ts";
import { listGroups } from "../../functions/shared/kafka/groups/group-list.ts";
import { independentClient } from "../integration/kafka/support.ts";
import { type RollbackResult, type Rolled, readRolled } from "./support/answers.ts";
import { cases, faultHarness, type Standing } from "./support/harness.ts";

const faults = faultHarness();
/** Members that do nothing for a while are not taken for dead. */
const slowly = { sessionTimeout: 120_000, rebalanceTimeout: 120_000 };
const patient = { timeout: 40_000, interval: 50 };

/** Something that is shut until it is opened, at the latest when the test ends. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const open = () => resolve(undefined);
  onTestFinished(open);
  return { opened: promise, open };
}

/** Holds up every commit that reaches a proxy, sent again or not, until `letGo`. */
async function holdCommits() {
  const { opened, open } = gate();
  const held = faults.proxy.when({ api: "OffsetCommit", every: true }, () => opened);
  return {
    letGo: open,
    reached: () => expect.poll(() => held.happened, patient).toBe(true),
  };
}

/** A member of a group that reads a topic. It has joined, and reads, when `joins` resolves. */
async function member(standing: Standing, group: string, more: Partial<ConsumerConfig> = {}) {
  const consumer = independentClient(faults.kafka.bootstrapServers).consumer({ groupId: group, ...more });
  onTestFinished(() => consumer.disconnect());
  await consumer.connect();
  await consumer.subscribe({ topics: [standing.topic] });
  const { promise: reads, resolve } = Promise.withResolvers<void>();
  consumer.on(consumer.events.FETCH_START, () => resolve()); // before that, it neither commits nor leaves, without a word
  return {
    joins(eachMessage: () => Promise<void> = async () => {}) {
      consumer.run({ autoCommit: false, eachMessage }).catch(() => {});
      return reads;
    },
    moves: (offset: bigint) =>
      consumer.commitOffsets([0, 1].map((partition) => ({ topic: standing.topic, partition, offset: `${offset}` }))),
    leaves: () => consumer.disconnect(),
  };
}

/** A group comes to a state. */
const comesTo = (group: string, state: string) =>
  expect
    .poll(() => faults.onCluster(async (cluster) => (await listGroups(cluster)).groups.get(group)?.state), patient)
    .toBe(state);

/** The commits of some of the groups. */
const of = (commits: Commits, ...groups: (string | undefined)[]): Commits =>
  new Map([...commits].filter(([group]) => groups.includes(group)));

/** Everything moves elsewhere, as when consumers run again. */
async function movesOn({ saved }: Standing, offset: bigint): Promise<Commits> {
  const commit: Commit = { offset, metadata: "moved on" };
  const elsewhere = new Map(
    [...saved].map(([group, keys]) => [group, new Map([...keys.keys()].map((key) => [key, commit]))]),
  );
  await faults.commit(elsewhere);
  return elsewhere;
}

const refusedAsRunning = ({ error, result }: Rolled) => {
  expect(result).toBeUndefined();
  expect(error).toMatchObject({
    name: "RollbackInProgress",
    message: expect.stringMatching(/^RollbackInProgress: \S+ .*has been running for \d+ s.*Nothing was changed/),
    details: { rollback_id: expect.any(String), age_seconds: expect.any(Number) },
  });
  return Object(error?.details);
};

/** The result of one that must have one. */
const resultOf = ({ result, error }: Rolled): RollbackResult => {
  if (result === undefined) throw new Error(`it has no result: ${error?.message}`);
  return result;
};

const recorded = async (rollback_id: unknown) => Object(await faults.call("rollbacks", { rollback_id }));
const allRecords = async () => Object(await faults.call("rollbacks", {})).rollbacks;
const offsets = (commits: Commits) =>
  new Map([...commits].map(([group, keys]) => [group, new Map([...keys].map(([key, { offset }]) => [key, offset]))]));
const one = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error("there is none");
  return value;
};

/** A rollback that is held up at its first commit, and what holds it. */
async function heldUp(request: object) {
  const commits = await holdCommits();
  const answer = faults.rollback(request);
  await commits.reached();
  return { answer, letGo: commits.letGo };
}

describe("when calls meet,", () => {
  async function overlapping() {
    const standing = await faults.standing(6);
    const { groups, snapshotId, moved, saved } = standing;
    const request = { snapshot_id: snapshotId, groups: groups.slice(2) };
    const first = await heldUp({ snapshot_id: snapshotId, groups: groups.slice(0, 4), requested_by: "ana" });

    const { rollback_id, requested_by, age_seconds } = refusedAsRunning(await faults.rollback(request));
    const dry = Object(await faults.call("rollback", { ...request, dry_run: true }));
    const snapshot = Object(await faults.call("snapshot", { groups }));
    const running = await recorded(rollback_id);
    first.letGo();
    const winner = await first.answer;

    expect(resultOf(winner)).toMatchObject({ rollback_id, status: "success", groups_rolled_back: 4 });
    expect(requested_by).toBe("ana");
    expect(age_seconds).toBeLessThan(30);
    expect(running).toMatchObject({ rollback_id, status: "running", requested_by: "ana" });
    expect(dry).toMatchObject({ dry_run: true, blockers: [] });
    expect(dry.groups[one(groups[5])].partitions).toMatchObject({
      [`${standing.topic}-0`]: { action: "rewind", from: { offset: 35 }, to: { offset: 5 } },
    });
    expect((await faults.snapshot(snapshot.snapshot_id)).consumerGroups).toEqual(moved);
    expect(await faults.agrees(winner)).toEqual(offsets(of(saved, ...groups.slice(0, 4))));

    const second = await faults.rollback(request);
    expect(resultOf(second)).toMatchObject({ status: "success", groups_rolled_back: 4, offsets_restored: 4 });
    await faults.agrees(second);
    await faults.allAt(saved, await faults.kafkaSays(groups));
    const before = await faults.snapshot(String(second.result?.safety_snapshot_id));
    expect(before.consumerGroups).toEqual(
      new Map([...of(saved, ...groups.slice(2, 4)), ...of(moved, ...groups.slice(4))]),
    );
  }

  /** The trap: a client gives up after 60 s and sends the same again. */
  async function sentAgain(rollbackId: string | undefined) {
    const standing = await faults.standing(4);
    const request = { snapshot_id: standing.snapshotId, ...(rollbackId !== undefined && { rollback_id: rollbackId }) };
    const first = await heldUp(request);
    const { rollback_id } = refusedAsRunning(await faults.rollback(request));
    if (rollbackId !== undefined) expect(rollback_id).toBe(rollbackId);
    first.letGo();
    const done = await first.answer;
    expect(resultOf(done)).toMatchObject({ rollback_id, status: "success" });

    const again = await faults.rollback(request);
    expect(resultOf(again)).toEqual({ ...done.result, repeated: true });
    expect(await faults.safetySnapshots()).toEqual([done.result?.safety_snapshot_id]);
    expect((await faults.snapshot(String(done.result?.safety_snapshot_id))).consumerGroups).toEqual(standing.moved);
    await faults.allAt(standing.saved, await faults.agrees(again));

    // Later the groups have moved on: an id stands for what it did, a request without one asks for it anew.
    const elsewhere = await movesOn(standing, 50n);
    const anew = await faults.rollback(request);
    if (rollbackId === undefined) {
      expect(resultOf(anew)).toMatchObject({ status: "success", offsets_restored: 8 });
      expect(anew.result).not.toHaveProperty("repeated");
      expect(anew.result?.rollback_id).not.toBe(rollback_id);
      expect((await faults.snapshot(String(anew.result?.safety_snapshot_id))).consumerGroups).toEqual(elsewhere);
      await faults.allAt(standing.saved, await faults.agrees(anew));
    } else {
      expect(resultOf(anew)).toEqual({ ...done.result, repeated: true });
      expect(await faults.safetySnapshots()).toHaveLength(1);
      await faults.allAt(elsewhere, await faults.kafkaSays(standing.groups));
      const other = await faults.rollback({ ...request, exact: true });
      expect(other.error).toMatchObject({ name: "InvalidRequest", message: expect.stringContaining(rollback_id) });
      await faults.allAt(elsewhere, await faults.kafkaSays(standing.groups));
    }
  }

  /** A function stands still for longer than its lease, in the middle of its commits, and goes on when all is over. */
  async function asleep() {
    const standing = await faults.standing(300);
    const request = { snapshot_id: standing.snapshotId };
    const halfway = gate();
    const worker = faults.startWorker("rollback", request, 300_000);
    const asleep = faults.proxy.when({ api: "OffsetCommit", nth: 10 }, () => {
      worker.pause();
      return halfway.opened;
    });
    await expect.poll(() => asleep.happened, patient).toBe(true);
    halfway.open();
    const { rollback_id } = refusedAsRunning(await faults.rollback(request));

    let second: Rolled = {};
    const takesOver = async () => {
      second = await faults.rollback(request);
      return second.error?.name;
    };
    await expect.poll(takesOver, { timeout: 40_000, interval: 500 }).not.toBe("RollbackInProgress");
    expect(resultOf(second)).toMatchObject({ rollback_id, status: "success", resumed: true, groups_rolled_back: 300 });
    await faults.allAt(standing.saved, await faults.agrees(second));
    const elsewhere = await movesOn(standing, 50n);
    const sent = faults.proxy.seen("OffsetCommit");

    worker.goOn();
    const { error, result } = one(await worker.answer);
    expect(result).toBeUndefined();
    expect(error?.name).toBe("RollbackIncomplete");
    await faults.allAt(elsewhere, await faults.kafkaSays(standing.groups));
    expect(faults.proxy.seen("OffsetCommit")).toBe(sent);
    const first = readRolled({ ...(error && { error }) });
    expect(first.result?.warnings).toEqual([expect.stringContaining("taken over by another call")]);
    await faults.allAt(elsewhere, await faults.agrees(first));
    expect(await allRecords()).toMatchObject([{ rollback_id, status: "success", attempts: 2 }]);
    expect(await faults.safetySnapshots()).toEqual([second.result?.safety_snapshot_id]);
  }

  async function manyAtOnce() {
    const standing = await faults.standing(12);
    const { groups, snapshotId, moved, saved } = standing;
    const requests = Array.from({ length: 6 }, (_, i) => ({
      snapshot_id: snapshotId,
      groups: groups.slice(2 * Math.floor(i / 2), 2 * Math.floor(i / 2) + 4),
    }));
    const rolled = await Promise.all(requests.map((request) => faults.rollback(request)));
    const done = rolled.filter(({ error }) => error === undefined);
    expect(done.length).toBeGreaterThan(0);
    for (const each of rolled) if (each.error !== undefined) refusedAsRunning(each);
    for (const each of done) await faults.agrees(each);

    const finished: Rolled[] = [];
    for (const request of requests) finished.push(await faults.rollback(request));
    for (const { result } of finished) expect(result).toMatchObject({ status: "success", groups_rolled_back: 4 });
    // Two of a kind, one after the other: the second is the first, repeated.
    for (let i = 0; i < requests.length; i += 2) {
      expect(finished[i + 1]?.result).toEqual({ ...finished[i]?.result, repeated: true });
    }
    const said = await faults.kafkaSays(groups);
    await faults.allAt(new Map([...saved].slice(0, 8)), new Map([...said].slice(0, 8)));
    await faults.allAt(new Map([...moved].slice(8)), new Map([...said].slice(8)));
    for (const each of finished) await faults.agrees(each);
    // Whatever was first: of each group, the first safety snapshot that has it has the state before it.
    const seen = new Map<string, unknown>();
    for (const id of (await faults.safetySnapshots()).reverse()) {
      for (const [group, commits] of (await faults.snapshot(id)).consumerGroups) {
        if (!seen.has(group)) seen.set(group, commits);
      }
    }
    expect(seen).toEqual(new Map([...moved].slice(0, 8)));
    for (const { status } of await allRecords()) expect(status).toBe("success");
  }

  /** A journal without an end never blocks another rollback, and is not resumed after it. */
  async function superseded() {
    const standing = await faults.standing(4);
    const { groups, snapshotId, moved, saved } = standing;
    faults.storage.faults.on("UpdateItem", "breaks"); // so that the end cannot be written
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
    const said = await faults.kafkaSays(groups);
    expect(said).toEqual(offsets(new Map([...saved, ...of(moved, groups[0])])));
    for (const each of [apart, over]) await faults.agrees(each);
  }

  /** Snapshots during a rollback: each partition of each is where it was before, or where it is put. */
  async function snapshots() {
    const { groups, saved, moved, snapshotId } = await faults.standing(120);
    const held = gate();
    const halfway = faults.proxy.when({ api: "OffsetCommit", nth: 60 }, () => held.opened);
    faults.proxy.weather({ delayMs: 10 });
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
        expect([...commits.keys()]).toEqual([...one(from).keys()]);
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
    await faults.allAt(saved, await faults.agrees(rolled));
  }

  test.each(
    cases<readonly [string, () => Promise<void>]>(
      ["of two rollbacks of the same groups one runs, the other is told so, and works afterwards"],
      [
        ["of two rollbacks of the same groups one runs, the other is told so, and works afterwards", overlapping],
        ["the same rollback is told that it runs, and then its result, under its id", () => sentAgain("maintenance-1")],
        ["the same rollback is told that it runs, and then its result", () => sentAgain(undefined)],
        ["a rollback that slept while another took it over does nothing any more", asleep],
        ["of six rollbacks at once each is true or told to wait", manyAtOnce],
        ["an unfinished rollback gives way to another of its groups", superseded],
        ["a snapshot during a rollback has each partition from before it or from after", snapshots],
      ],
    ),
  )("%s", (_name, run) => run());
});

describe("when consumers are about,", () => {
  /** A rollback of four groups, of which the first gets a member between plan and commit. */
  async function interrupted(joins: (standing: Standing, group: string) => Promise<() => Promise<unknown>>) {
    const standing = await faults.standing(4);
    const group = one(standing.groups[0]);
    const joining = await joins(standing, group);
    const request = { snapshot_id: standing.snapshotId };
    const held = await heldUp(request);
    await joining();
    held.letGo();
    const rolled = await held.answer;

    expect(rolled.error).toMatchObject({
      name: "RollbackIncomplete",
      message: expect.stringContaining(`"${group}" does not`),
    });
    expect(rolled.error?.message).toContain(rolled.result?.rollback_id);
    expect(rolled.error?.message).toContain(rolled.result?.safety_snapshot_id);
    expect(rolled.result).toMatchObject({ status: "partial_success", groups_rolled_back: 3, groups_failed: 1 });
    const failed = one(rolled.result?.groups[group]);
    expect(failed).toMatchObject({
      status: "failed",
      error: expect.stringMatching(/^GroupNotEmpty: .*has active members; Kafka rejects other writers/),
    });
    for (const { outcome, from, actual } of Object.values(failed.partitions)) {
      expect(outcome).toBe("failed");
      expect(actual).toEqual(from);
    }
    const said = await faults.agrees(rolled);
    expect(said).toEqual(offsets(new Map([...standing.saved, ...of(standing.moved, group)])));
    return { standing, group, request, rolled, rollbackId: one(rolled.result?.rollback_id) };
  }

  async function joinsBetween() {
    const members: Awaited<ReturnType<typeof member>>[] = [];
    const { standing, request, rolled, rollbackId } = await interrupted(async (standing, group) => {
      const consumer = await member(standing, group);
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
    const { safety_snapshot_id } = one(rolled.result);
    expect(resultOf(last)).toMatchObject({
      status: "success",
      resumed: true,
      safety_snapshot_id,
      groups_rolled_back: 4,
    });
    await faults.allAt(standing.saved, await faults.agrees(last));
    expect(await faults.safetySnapshots()).toEqual([safety_snapshot_id]);
    expect((await faults.rollback(request)).result).toEqual({ ...last.result, repeated: true });
  }

  async function joinsBetweenAndMovesOn() {
    const members: Awaited<ReturnType<typeof member>>[] = [];
    const { standing, group, request, rollbackId } = await interrupted(async (standing, group) => {
      const consumer = await member(standing, group);
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
    const said = await faults.kafkaSays(standing.groups);
    expect([...one(said.get(group)).values()]).toEqual([55n, 55n]);

    // The same request, without naming the rollback, plans afresh, and takes the place of what was left.
    const anew = await faults.rollback(request);
    expect(resultOf(anew)).toMatchObject({ status: "success", offsets_restored: 2 });
    expect(anew.result?.rollback_id).not.toBe(rollbackId);
    await faults.allAt(standing.saved, await faults.agrees(anew));
    expect(await faults.rollback(resume)).toMatchObject({
      error: { name: "InvalidRequest", message: expect.stringContaining(`superseded by ${anew.result?.rollback_id}`) },
    });
    expect(await recorded(rollbackId)).toMatchObject({
      status: "partial_success",
      superseded_by: anew.result?.rollback_id,
    });
    const before = (await faults.snapshot(String(anew.result?.safety_snapshot_id))).consumerGroups;
    expect([...one(before.get(group)).values()].map(({ offset }) => offset)).toEqual([55n, 55n]);
  }

  /** A consumer of the new protocol: Kafka's own, that has started and waits for an answer before it joins. */
  async function consumerOfTheNewProtocolJoinsBetween() {
    const shut = gate();
    let waiting = false;
    const servers = faults.kafka.bootstrapServers.split(",").map((server) => Number(server.split(":")[1]));
    const door = createServer(async (client) => {
      waiting = true;
      await shut.opened;
      const broker = connect(one(servers[0]), "127.0.0.1");
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
    const { standing, rollbackId } = await interrupted(async (standing, group) => {
      const consumer = faults.kafka.startTool("org.apache.kafka.tools.consumer.ConsoleConsumer", [
        ...["--bootstrap-server", `127.0.0.1:${typeof address === "object" ? address?.port : ""}`],
        ...["--topic", standing.topic, "--group", group],
        ...["--command-property", "group.protocol=consumer", "--command-property", "enable.auto.commit=false"],
      ]);
      stop.push(() => consumer.kill());
      onTestFinished(() => consumer.kill());
      await expect.poll(() => waiting, patient).toBe(true);
      return () => {
        shut.open();
        return comesTo(group, "Stable");
      };
    });
    expect((await faults.rollback({ resume: rollbackId })).error?.name).toBe("GroupNotEmpty");
    for (const each of stop) each(); // it does not say goodbye: its session has to time out
    const last = await faults.rollback({ resume: rollbackId, wait_for_empty_seconds: 70 }, 120_000);
    expect(resultOf(last)).toMatchObject({ status: "success", resumed: true });
    await faults.allAt(standing.saved, await faults.agrees(last));
  }

  /** The group has a member that does not come to a rebalance, because it is busy, and another that waits for it. */
  async function preparing(standing: Standing, group: string) {
    const [busy, second] = [await member(standing, group, slowly), await member(standing, group, slowly)];
    const work = gate();
    let working = false;
    await busy.joins(() => {
      working = true;
      return work.opened;
    });
    await expect.poll(() => working, patient).toBe(true);
    const joined = second.joins();
    await comesTo(group, "PreparingRebalance");
    return async () => {
      work.open();
      await joined;
      await Promise.all([busy.leaves(), second.leaves()]);
    };
  }

  /** The group has a leader that takes its time to assign the partitions. */
  async function completing(standing: Standing, group: string) {
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
    const consumer = await member(standing, group, { ...slowly, partitionAssigners: [slow] });
    const joined = consumer.joins();
    await comesTo(group, "CompletingRebalance");
    return async () => {
      work.open();
      await joined;
      await consumer.leaves();
    };
  }

  async function rebalances(begin: typeof preparing, state: string, members: number) {
    const standing = await faults.standing(3);
    const { groups, snapshotId, moved, saved } = standing;
    const group = one(groups[1]);
    const end = await begin(standing, group);
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
    await faults.allAt(moved, await faults.kafkaSays(groups));
    expect(await faults.safetySnapshots()).toEqual([]);

    const others = await faults.rollback({ snapshot_id: snapshotId, skip_blocked: true });
    expect(resultOf(others)).toMatchObject({ status: "success", groups_rolled_back: 2, groups_skipped: 1 });
    expect(others.result?.groups[group]?.status).toBe("skipped");
    expect(await faults.agrees(others)).toEqual(offsets(new Map([...saved, ...of(moved, group)])));
    await end();
    await comesTo(group, "Empty");
    const last = await faults.rollback({ snapshot_id: snapshotId });
    expect(resultOf(last)).toMatchObject({ status: "success", groups_rolled_back: 3, offsets_restored: 2 });
    await faults.allAt(saved, await faults.agrees(last));
  }

  async function waitsForThemToLeave() {
    const standing = await faults.standing(2);
    const group = one(standing.groups[0]);
    const consumer = await member(standing, group);
    await consumer.joins();
    const request = { snapshot_id: standing.snapshotId };
    const impatient = await faults.rollback({ ...request, wait_for_empty_seconds: 1 });
    expect(impatient.error).toMatchObject({ name: "GroupNotEmpty", message: expect.stringMatching(/waited \d s/) });
    await faults.allAt(standing.moved, await faults.kafkaSays(standing.groups));

    const seen = faults.proxy.seen("ListGroups");
    const rollback = faults.rollback({ ...request, wait_for_empty_seconds: 60 }, 120_000);
    await expect.poll(() => faults.proxy.seen("ListGroups"), patient).toBeGreaterThan(seen + 18); // three looks
    expect(Object(await faults.call("rollback", { ...request, dry_run: true })).blockers).toHaveLength(1);
    await consumer.moves(55n);
    await consumer.leaves();
    const { result } = await rollback;
    expect(result).toMatchObject({ status: "success", groups_rolled_back: 2 });
    await faults.allAt(standing.saved, await faults.agrees({ ...(result && { result }) }));
    const before = (await faults.snapshot(String(result?.safety_snapshot_id))).consumerGroups;
    expect([...one(before.get(group)).values()].map(({ offset }) => offset)).toEqual([55n, 55n]);
  }

  /** A static member does not leave when it stops: it is there until its session times out. */
  async function waitsForAStaticMember() {
    const standing = await faults.standing(2);
    const group = one(standing.groups[0]);
    const consumer = faults.kafka.startTool("org.apache.kafka.tools.consumer.ConsoleConsumer", [
      ...["--topic", standing.topic, "--group", group],
      ...["group.instance.id=one", "session.timeout.ms=12000", "enable.auto.commit=false"].flatMap((property) => [
        "--command-property",
        property,
      ]),
    ]);
    onTestFinished(() => consumer.kill());
    await comesTo(group, "Stable");
    consumer.kill();
    await consumer.ended;
    const request = { snapshot_id: standing.snapshotId };
    const refused = await faults.rollback(request);
    expect(refused.error).toMatchObject({
      name: "GroupNotEmpty",
      message: expect.stringMatching(/1 member.*Static members .*wait_for_empty_seconds/),
    });
    const rolled = await faults.rollback({ ...request, wait_for_empty_seconds: 60 }, 120_000);
    expect(resultOf(rolled)).toMatchObject({ status: "success", groups_rolled_back: 2 });
    await faults.allAt(standing.saved, await faults.agrees(rolled));
  }

  async function planChanges() {
    const standing = await faults.standing(3);
    const { groups, snapshotId, saved } = standing;
    const request = { snapshot_id: snapshotId };
    const { plan_digest } = Object(await faults.call("rollback", { ...request, dry_run: true }));
    const consumer = await member(standing, one(groups[2]));
    await consumer.joins();
    await consumer.moves(55n);
    await consumer.leaves();
    const stale = await faults.rollback({ ...request, plan_digest });
    expect(stale.error).toMatchObject({
      name: "PlanChanged",
      message: expect.stringContaining("Nothing was changed."),
    });
    const said = await faults.kafkaSays(groups);
    expect([...one(said.get(one(groups[2]))).values()]).toEqual([55n, 55n]);
    expect(await faults.safetySnapshots()).toEqual([]);
    const fresh = String(Object(stale.error?.details).plan_digest);
    const rolled = await faults.rollback({ ...request, plan_digest: fresh });
    expect(resultOf(rolled)).toMatchObject({ status: "success", groups_rolled_back: 3 });
    await faults.allAt(saved, await faults.agrees(rolled));
  }

  async function rehearsal() {
    const standing = await faults.standing(2);
    const { groups, snapshotId, saved } = standing;
    const [real, other] = [one(groups[0]), one(groups[1])];
    const replay = `${real}.replay`;
    faults.forget([replay]);
    const consumer = await member(standing, real);
    await consumer.joins();
    const request = { snapshot_id: snapshotId, group_map: { [real]: replay } };
    const held = await heldUp(request);
    await consumer.moves(56n);
    held.letGo();
    const rolled = await held.answer;
    expect(resultOf(rolled)).toMatchObject({ status: "success", groups_rolled_back: 1, offsets_restored: 2 });
    expect(Object.keys(one(rolled.result).groups)).toEqual([replay]);
    await consumer.moves(57n);
    const said = await faults.kafkaSays([replay, real, other]);
    await faults.agrees(rolled);
    await faults.allAt(new Map([[replay, one(saved.get(real))]]), new Map([...said].slice(0, 1)));
    expect([...one(said.get(real)).values()]).toEqual([57n, 57n]);
    expect(said.get(other)).toEqual(offsets(standing.moved).get(other));

    // Undone, the group of the rehearsal has no commits, as before.
    const undone = await faults.rollback({ snapshot_id: rolled.result?.safety_snapshot_id, exact: true });
    expect(resultOf(undone)).toMatchObject({ status: "success", offsets_deleted: 2 });
    expect((await faults.agrees(undone)).get(replay)).toEqual(new Map());
  }

  test.each(
    cases<readonly [string, () => Promise<void>]>(
      ["a group that one joins between plan and commit fails alone, and is put back when it has left"],
      [
        ["a group that one joins between plan and commit fails alone, and is put back when it has left", joinsBetween],
        [
          "a group that moved on in between is not rewound by resuming, and is by a new rollback",
          joinsBetweenAndMovesOn,
        ],
        ["a consumer of the new protocol fences its group as well", consumerOfTheNewProtocolJoinsBetween],
        ["a group that prepares a rebalance is not empty", () => rebalances(preparing, "PreparingRebalance", 2)],
        ["a group that completes a rebalance is not empty", () => rebalances(completing, "CompletingRebalance", 1)],
        ["a rollback waits until they have left, and plans afresh", waitsForThemToLeave],
        ["a rollback waits until the session of a static member has timed out", waitsForAStaticMember],
        ["a plan that somebody has seen is not carried out when one has moved since", planChanges],
        ["a rehearsal in another group leaves those alone that run", rehearsal],
      ],
    ),
  )("%s", (_name, run) => run());
});
