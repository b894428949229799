import { describe, expect, onTestFinished, test } from "vitest";
import type { Commits } from "../../functions/shared/core/model.ts";
import { decodeAnswer } from "../../functions/shared/kafka/wire/api.ts";
import { Writer } from "../../functions/shared/kafka/wire/bytes.ts";
import { findCoordinator } from "../../functions/shared/kafka/wire/groups.ts";
import { offsetCommit, offsetFetch } from "../../functions/shared/kafka/wire/offsets.ts";
import { independentClient } from "../integration/kafka/support.ts";
import type { Answer, RollbackResult, Rolled } from "./support/answers.ts";
import { cases, faultHarness, type Standing } from "./support/harness.ts";
import type { ApiName } from "./support/kafka-proxy.ts";

const faults = faultHarness();
const patient = { timeout: 90_000, interval: 50 };

const one = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error("there is none");
  return value;
};
const resultOf = ({ result, error }: Rolled): RollbackResult => {
  if (result === undefined) throw new Error(`it has no result: ${error?.message}`);
  return result;
};
const offsets = (commits: Commits) =>
  new Map([...commits].map(([group, keys]) => [group, new Map([...keys].map(([key, { offset }]) => [key, offset]))]));
const without = (commits: Commits, group: string): Commits => new Map([...commits].filter(([name]) => name !== group));

/** An answer of a flexible version in place of another: `write` says what it has between its throttle time and its tags. */
function instead(frame: Buffer, write: (writer: Writer) => void): Buffer {
  const writer = new Writer();
  writer.int32(0); // the length, below
  writer.int32(frame.readInt32BE(4)); // the correlation id
  writer.noTags();
  writer.int32(0); // throttle_time_ms
  write(writer);
  writer.noTags();
  const bytes = Buffer.from(writer.bytes());
  bytes.writeInt32BE(bytes.length - 4, 0);
  return bytes;
}

/** An answer in which what it says of a group is a code instead; the same one, where it says nothing of that group. */
type Refusal = (frame: Buffer, group: string, code: number, topic: string) => Buffer;

const refusals = {
  OffsetFetch(frame, group, code) {
    const answers = decodeAnswer(offsetFetch, 8, frame.subarray(8));
    if (answers.every((answer) => answer.group !== group)) return frame;
    return instead(frame, (writer) =>
      writer.array(answers, (answer) => {
        const refused = answer.group === group;
        writer.string(answer.group);
        writer.array(refused ? [] : answer.offsets, (fetched) => {
          writer.string(fetched.topic);
          writer.array([fetched], ({ partition, offset, leaderEpoch, metadata, code }) => {
            writer.int32(partition);
            writer.int64(offset);
            writer.int32(leaderEpoch);
            writer.nullableString(metadata);
            writer.int16(code);
            writer.noTags();
          });
          writer.noTags();
        });
        writer.int16(refused ? code : answer.code);
        writer.noTags();
      }),
    );
  },
  FindCoordinator(frame, group, code) {
    const answers = decodeAnswer(findCoordinator, 4, frame.subarray(8));
    if (answers.every((answer) => answer.group !== group)) return frame;
    return instead(frame, (writer) =>
      writer.array(answers, (answer) => {
        const refused = answer.group === group;
        writer.string(answer.group);
        writer.int32(refused ? -1 : answer.nodeId);
        writer.string(refused ? "" : answer.host);
        writer.int32(refused ? -1 : answer.port);
        writer.int16(refused ? code : answer.code);
        writer.nullableString(null);
        writer.noTags();
      }),
    );
  },
  /** It took effect, and says that it did not. Its answer names no group: the topic does. */
  OffsetCommit(frame, _group, code, topic) {
    const answers = decodeAnswer(offsetCommit, 8, frame.subarray(8)).filter((answer) => answer.topic === topic);
    if (answers.length === 0) return frame;
    return instead(frame, (writer) =>
      writer.array(answers, ({ topic, partition }) => {
        writer.string(topic);
        writer.array([partition], () => {
          writer.int32(partition);
          writer.int16(code);
          writer.noTags();
        });
        writer.noTags();
      }),
    );
  },
} satisfies Partial<Record<ApiName, Refusal>>;

/** From now on, coordinators do not say what they know of a group: for some answers, or until `ends`. */
function refuse(
  api: keyof typeof refusals,
  code: number,
  group: string,
  topic: string,
  answers = Number.POSITIVE_INFINITY,
) {
  let refused = 0;
  let left = answers;
  faults.proxy.when({ api, at: "answer", every: true }, (_broker, frame) => {
    const answer = left > 0 ? refusals[api](frame, group, code, topic) : frame;
    if (answer === frame) return undefined;
    refused++;
    left--;
    return answer;
  });
  return {
    get refused() {
      return refused;
    },
    ends: () => {
      left = 0;
    },
  };
}

const unavailable = { name: expect.stringMatching(/^(KafkaUnavailable|DeadlineExceeded)$/) };
const untouched = (rolled: Rolled) =>
  expect(rolled.error).toMatchObject({ ...unavailable, message: expect.stringMatching(/Nothing was changed/) });

describe("no group is taken for empty, or for smaller than it is,", () => {
  /** A coordinator does not say yet what it knows of a group: twice, and then, if that is to be tried, for ever. */
  async function refused(api: "OffsetFetch" | "FindCoordinator", code: number, forEver = false) {
    const { groups, snapshotId, topic, moved, saved } = await faults.standing(3);
    const group = one(groups[0]);
    const passing = refuse(api, code, group, topic, 2);
    const { snapshot_id } = Object(await faults.call("snapshot", { groups }));
    expect((await faults.snapshot(snapshot_id)).consumerGroups).toEqual(moved);
    expect(passing.refused).toBe(2);

    if (forEver) await refusedForEver(api, code, { groups, snapshotId, topic, moved });

    refuse(api, code, group, topic, 2);
    const rolled = await faults.rollback({ snapshot_id: snapshotId });
    expect(resultOf(rolled)).toMatchObject({ status: "success", groups_rolled_back: 3 });
    await faults.allAt(saved, await faults.agrees(rolled));
    expect((await faults.snapshot(String(rolled.result?.safety_snapshot_id))).consumerGroups).toEqual(moved);
  }

  async function refusedForEver(
    api: "OffsetFetch" | "FindCoordinator",
    code: number,
    { groups, snapshotId, topic, moved }: Omit<Standing, "saved">,
  ) {
    const group = one(groups[0]);
    const lasting = refuse(api, code, group, topic);
    const failed = await faults.ask("snapshot", { groups }, 8_000);
    expect(failed.error).toMatchObject({ ...unavailable, message: expect.stringContaining(group) });
    expect(failed.error?.message).toContain("Nothing was changed");
    const partial = Object(await faults.call("snapshot", { groups, allow_partial: true }, 8_000));
    expect(partial).toMatchObject({ status: "partial", groups: 2, errors: [{ group, error: "KafkaUnavailable" }] });
    expect((await faults.snapshot(partial.snapshot_id)).consumerGroups).toEqual(without(moved, group));
    untouched(await faults.rollback({ snapshot_id: snapshotId }, 8_000));
    expect(await faults.safetySnapshots()).toEqual([]);
    expect(await faults.kafkaSays(groups)).toEqual(offsets(moved));
    lasting.ends();
  }

  /** It takes commits, and says that it does not. */
  async function refusedCommits(code: number) {
    const { groups, snapshotId, topic, moved, saved } = await faults.standing(3);
    const passing = refuse("OffsetCommit", code, "", topic, 2);
    const rolled = await faults.rollback({ snapshot_id: snapshotId });
    expect(resultOf(rolled)).toMatchObject({ status: "success", groups_rolled_back: 3 });
    expect(passing.refused).toBe(2);
    await faults.allAt(saved, await faults.agrees(rolled));

    await faults.commit(moved);
    refuse("OffsetCommit", code, "", topic);
    const all = await faults.rollback({ snapshot_id: snapshotId }, 12_000);
    expect(resultOf(all).status).toBe("success"); // what it said was not true: what was read back is
    expect(await faults.agrees(all)).toEqual(offsets(saved));
    expect(Object.keys(resultOf(all).groups)).toEqual(groups);
  }

  /** It says what it knows of a group until commits are to be read back. */
  async function refusedReadBack(code: number) {
    const { groups, snapshotId, topic, moved, saved } = await faults.standing(3);
    const group = one(groups[0]);
    const refusals: ReturnType<typeof refuse>[] = [];
    faults.proxy.when({ api: "OffsetCommit" }, () => {
      refusals.push(refuse("OffsetFetch", code, group, topic));
      return undefined;
    });
    const rolled = await faults.rollback({ snapshot_id: snapshotId }, 15_000);
    expect(rolled.error).toMatchObject({ name: "RollbackIncomplete", message: expect.stringContaining(group) });
    const { status, groups_rolled_back, safety_snapshot_id, rollback_id, groups: results } = resultOf(rolled);
    expect({ status, groups_rolled_back }).toEqual({ status: "partial_success", groups_rolled_back: 2 });
    expect(results[group]).toMatchObject({ status: "failed", error: expect.stringContaining("read back") });
    for (const partition of Object.values(one(results[group]).partitions))
      expect(partition).not.toHaveProperty("actual");
    await faults.agrees(rolled);
    for (const each of refusals) each.ends();
    const last = await faults.rollback({ resume: rollback_id });
    expect(resultOf(last)).toMatchObject({ status: "success", resumed: true, safety_snapshot_id });
    await faults.allAt(saved, await faults.agrees(last));
    expect((await faults.snapshot(String(safety_snapshot_id))).consumerGroups).toEqual(moved);
  }

  /** Coordinators of 300 groups restart while snapshots and dry runs go on, and one before a rollback. */
  async function restarts() {
    const standing = await faults.standing(300);
    const { groups, snapshotId, moved, saved } = standing;
    const pattern = `${one(groups[0]).split(".")[0]}.*`;
    const codes = new Map<number, number>();
    faults.proxy.when({ api: "OffsetFetch", at: "answer", every: true }, (_broker, frame) => {
      for (const { code } of decodeAnswer(offsetFetch, 8, frame.subarray(8)))
        codes.set(code, 1 + (codes.get(code) ?? 0));
      return undefined;
    });
    let over = false;
    onTestFinished(() => {
      over = true;
    });
    const keeps = async (ask: () => Promise<Answer>) => {
      const answers: Answer[] = [];
      while (!over) answers.push(await ask());
      return answers;
    };
    let taken = 0;
    const snapshots = keeps(async () => {
      const answer = await faults.ask("snapshot", { groups: [pattern] }, 20_000);
      if (answer.error === undefined) taken++;
      return answer;
    });
    const plans = keeps(() => faults.ask("rollback", { snapshot_id: snapshotId, dry_run: true }, 20_000));
    for (let round = 0; round < 2; round++) {
      const broker = await faults.coordinatorOf(groups);
      await faults.killBroker(broker);
      await faults.startBroker(broker);
      const before = taken;
      await expect.poll(() => taken, patient).toBeGreaterThan(before + 1);
    }
    const broker = await faults.coordinatorOf(groups);
    await faults.killBroker(broker);
    over = true;
    const back = faults.startBroker(broker);
    const rolled = await faults.rollback({ snapshot_id: snapshotId });
    await back;

    const failures = new Map<string, number>();
    const wholeOrError = async (answers: readonly Answer[], check: (result: unknown) => unknown) => {
      for (const { result, error } of answers) {
        if (error === undefined) await check(result);
        else {
          expect(error).toMatchObject(unavailable);
          failures.set(error.name, 1 + (failures.get(error.name) ?? 0));
        }
      }
    };
    await wholeOrError(await snapshots, async (result) => {
      const { snapshot_id, status, warnings } = Object(result);
      expect({ status, warnings }).toEqual({ status: "complete", warnings: [] });
      expect((await faults.snapshot(snapshot_id)).consumerGroups).toEqual(moved);
    });
    await wholeOrError(await plans, (result) => {
      const { blockers, groups: planned } = Object(result);
      expect(blockers).toEqual([]);
      for (const [group, commits] of moved) {
        const from = Object.entries<{ from: { offset: number } }>(planned[group].partitions);
        expect(new Map(from.map(([key, commit]) => [key, BigInt(commit.from.offset)]))).toEqual(
          new Map([...commits].map(([key, { offset }]) => [key, offset])),
        );
      }
    });
    console.log(`OffsetFetch answered by code: ${JSON.stringify([...codes])}; ${taken} snapshots; failures:`, failures);

    if (rolled.result === undefined) untouched(rolled);
    else await faults.agrees(rolled);
    const request = rolled.result === undefined ? { snapshot_id: snapshotId } : { resume: rolled.result.rollback_id };
    const last = rolled.error === undefined ? rolled : await faults.rollback(request);
    expect(resultOf(last)).toMatchObject({ status: "success", groups_rolled_back: 300 });
    await faults.allAt(saved, await faults.agrees(last));
    for (const id of await faults.safetySnapshots()) {
      expect((await faults.snapshot(id)).consumerGroups).toEqual(moved);
    }
  }

  /** A transaction that has 55 pending on the first partition of a group. */
  async function begun({ topic }: Standing, group: string) {
    const producer = independentClient(faults.kafka.bootstrapServers).producer({
      transactionalId: `${group}.transaction`,
      maxInFlightRequests: 1,
      idempotent: true,
    });
    onTestFinished(() => producer.disconnect());
    await producer.connect();
    const transaction = await producer.transaction();
    onTestFinished(async () => {
      if (transaction.isActive()) await transaction.abort();
    });
    const topics = [{ topic, partitions: [{ partition: 0, offset: "55" }] }];
    await transaction.sendOffsets({ consumerGroupId: group, topics });
    return transaction;
  }

  /** Where the groups are when it was committed on the first partition of one of them. */
  const committed = (commits: Commits, group: string, { topic }: Standing): ReturnType<typeof offsets> => {
    const all = offsets(commits);
    return all.set(group, new Map([...one(all.get(group)), [`${topic}-0`, 55n]]));
  };

  async function atSnapshot() {
    const standing = await faults.standing(3);
    const { groups, moved } = standing;
    const group = one(groups[0]);
    const transaction = await begun(standing, group);
    const failed = await faults.ask("snapshot", { groups }, 8_000);
    expect(failed.error).toMatchObject({ ...unavailable, message: expect.stringContaining(group) });
    expect(failed.error?.message).toContain("Nothing was changed");
    const partial = Object(await faults.call("snapshot", { groups, allow_partial: true }, 8_000));
    expect(partial).toMatchObject({ status: "partial", groups: 2, errors: [{ group, error: "PendingTransaction" }] });
    expect((await faults.snapshot(partial.snapshot_id)).consumerGroups).toEqual(without(moved, group));

    const seen = faults.proxy.seen("OffsetFetch");
    const waiting = faults.call("snapshot", { groups });
    await expect.poll(() => faults.proxy.seen("OffsetFetch"), patient).toBeGreaterThan(seen + 20);
    await transaction.commit();
    const { snapshot_id, status } = Object(await waiting);
    expect(status).toBe("complete");
    const whole = offsets((await faults.snapshot(snapshot_id)).consumerGroups);
    expect(whole).toEqual(committed(moved, group, standing));
    expect(await faults.kafkaSays(groups)).toEqual(whole);
  }

  async function atPlan() {
    const standing = await faults.standing(3);
    const { groups, moved, saved, snapshotId } = standing;
    const group = one(groups[0]);
    const transaction = await begun(standing, group);
    const refused = await faults.rollback({ snapshot_id: snapshotId }, 10_000);
    expect(refused.error).toMatchObject({ name: "RollbackBlocked", message: expect.stringContaining(group) });
    expect(refused.error?.message).toMatch(/was refused\. \[pending_transaction\].*Nothing was changed/);
    expect(Object(refused.error?.details).blockers).toMatchObject([{ kind: "pending_transaction", group }]);
    expect(await faults.kafkaSays(groups)).toEqual(offsets(moved));

    const others = await faults.rollback({ snapshot_id: snapshotId, skip_blocked: true }, 15_000);
    expect(resultOf(others)).toMatchObject({ status: "success", groups_rolled_back: 2, groups_skipped: 1 });
    const { consumerGroups } = await faults.snapshot(String(others.result?.safety_snapshot_id));
    expect(consumerGroups).toEqual(without(moved, group));
    expect(await faults.kafkaSays(groups)).toEqual(offsets(new Map([...saved, [group, one(moved.get(group))]])));
    await transaction.abort();
    const last = await faults.rollback({ snapshot_id: snapshotId });
    expect(resultOf(last)).toMatchObject({ status: "success", groups_rolled_back: 3, offsets_restored: 2 });
    await faults.allAt(saved, await faults.agrees(last));
  }

  /** A transaction begins when a rollback is about to send its commits, or when they have been answered. */
  async function meanwhile(at: "request" | "answer", end: "commit" | "abort") {
    const standing = await faults.standing(3);
    const { groups, moved, saved, snapshotId } = standing;
    const group = one(groups[0]);
    const { promise: letGo, resolve } = Promise.withResolvers<undefined>();
    onTestFinished(() => resolve(undefined));
    const held = faults.proxy.when({ api: "OffsetCommit", at, every: true }, () => letGo);
    const rollback = faults.rollback({ snapshot_id: snapshotId }, 20_000);
    await expect.poll(() => held.happened, patient).toBe(true);
    const transaction = await begun(standing, group);
    resolve(undefined);
    const rolled = await rollback;

    expect(rolled.error).toMatchObject({ name: "RollbackIncomplete", message: expect.stringContaining(group) });
    const { rollback_id, safety_snapshot_id } = resultOf(rolled);
    expect(rolled.result).toMatchObject({ status: "partial_success", groups_rolled_back: 2, groups_failed: 1 });
    expect(rolled.result?.groups[group]).toMatchObject({
      status: "failed",
      error: expect.stringContaining("transaction"),
    });
    await faults.agrees(rolled);
    await transaction[end]();

    const last = await faults.rollback({ resume: rollback_id });
    if (at === "answer" && end === "commit") {
      // It came after the commit of the rollback, and moved the group: that is not rewound a second time.
      expect(last.error).toMatchObject({ name: "RollbackBlocked", message: expect.stringMatching(/moved_since.*55/) });
      expect(await faults.kafkaSays(groups)).toEqual(committed(saved, group, standing));
    } else {
      expect(resultOf(last)).toMatchObject({ status: "success", resumed: true, safety_snapshot_id });
      await faults.allAt(saved, await faults.agrees(last));
    }
    expect((await faults.snapshot(String(safety_snapshot_id))).consumerGroups).toEqual(moved);
  }

  test.each(
    cases<readonly [string, () => Promise<void>]>(
      ["when OffsetFetch answers 14 (COORDINATOR_LOAD_IN_PROGRESS)"],
      [
        ["when OffsetFetch answers 14 (COORDINATOR_LOAD_IN_PROGRESS)", () => refused("OffsetFetch", 14, true)],
        ["when coordinators of 300 groups restart", restarts],
        ["when a transaction has a commit pending at a snapshot", atSnapshot],
        ["when a transaction has a commit pending at a rollback's plan", atPlan],
        ["when a transaction begins as a rollback commits, and aborts", () => meanwhile("request", "abort")],
        ["when a transaction begins as a rollback commits, and commits", () => meanwhile("request", "commit")],
        ["when a transaction begins before a rollback is read back, and aborts", () => meanwhile("answer", "abort")],
        ["when a transaction begins before a rollback is read back, and commits", () => meanwhile("answer", "commit")],
        ["when OffsetFetch answers 14 as a rollback is read back", () => refusedReadBack(14)],
        ["when OffsetFetch answers 16 (NOT_COORDINATOR) as a rollback is read back", () => refusedReadBack(16)],
        ["when OffsetFetch answers 15 (COORDINATOR_NOT_AVAILABLE)", () => refused("OffsetFetch", 15)],
        ["when OffsetFetch answers 16", () => refused("OffsetFetch", 16)],
        ["when FindCoordinator answers 14", () => refused("FindCoordinator", 14)],
        ["when FindCoordinator answers 15", () => refused("FindCoordinator", 15, true)],
        ["when OffsetCommit answers 14", () => refusedCommits(14)],
        ["when OffsetCommit answers 15", () => refusedCommits(15)],
        ["when OffsetCommit answers 16", () => refusedCommits(16)],
      ],
    ),
  )("%s", (_name, run) => run());
});
