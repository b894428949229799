import { describe, expect, onTestFinished, test } from "vitest";
import type { Commits } from "../../functions/shared/core/model.ts";
import { decodeAnswer } from "../../functions/shared/kafka/wire/api.ts";
import { Writer } from "../../functions/shared/kafka/wire/bytes.ts";
import { findCoordinator } from "../../functions/shared/kafka/wire/groups.ts";
import { offsetCommit, offsetFetch } from "../../functions/shared/kafka/wire/offsets.ts";
import { independentClient } from "../integration/kafka/support.ts";
import { required } from "../support/required.ts";
import { type Answer, type RollbackAnswer, resultOf } from "./support/answers.ts";
import { cases, faultHarness, type Scenario } from "./support/harness.ts";
import type { ApiName } from "./support/kafka-proxy.ts";
import { offsetsOf } from "./support/truth.ts";

const faults = faultHarness();
const patient = { timeout: 90_000, interval: 50 };

const without = (commits: Commits, group: string): Commits => new Map([...commits].filter(([name]) => name !== group));

/** Replaces an answer of a flexible version. `write` writes what is between its throttle time and its tags. */
function replaceAnswer(frame: Buffer, write: (writer: Writer) => void): Buffer {
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

/** Replaces the part about a group with an error code. Returns the same frame if the answer does not contain the group. */
type Refusal = (frame: Buffer, group: string, code: number, topic: string) => Buffer;

const refusals = {
  OffsetFetch(frame, group, code) {
    const answers = decodeAnswer(offsetFetch, 8, frame.subarray(8));
    if (answers.every((answer) => answer.group !== group)) return frame;
    return replaceAnswer(frame, (writer) =>
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
    return replaceAnswer(frame, (writer) =>
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
  /** The commit takes effect, but is answered with the code. The answer names topics only, so the topic selects it. */
  OffsetCommit(frame, _group, code, topic) {
    const answers = decodeAnswer(offsetCommit, 8, frame.subarray(8)).filter((answer) => answer.topic === topic);
    if (answers.length === 0) return frame;
    return replaceAnswer(frame, (writer) =>
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

/** From now on, answers about a group have an error code: this many of them, or until `end`. */
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
    end: () => {
      left = 0;
    },
  };
}

const unavailable = { name: expect.stringMatching(/^(KafkaUnavailable|DeadlineExceeded)$/) };
const requireUnchanged = (rolled: RollbackAnswer) =>
  expect(rolled.error).toMatchObject({ ...unavailable, message: expect.stringMatching(/Nothing was changed/) });

describe("no group is read as empty or without some of its commits", () => {
  /** A group is answered with a code twice, and then, with `forEver`, always. */
  async function refused(api: "OffsetFetch" | "FindCoordinator", code: number, forEver = false) {
    const { groups, snapshotId, topic, moved, saved } = await faults.scenario(3);
    const group = required(groups[0]);
    const temporary = refuse(api, code, group, topic, 2);
    const { snapshot_id } = Object(await faults.call("snapshot", { groups }));
    expect((await faults.snapshot(snapshot_id)).consumerGroups).toEqual(moved);
    expect(temporary.refused).toBe(2);

    if (forEver) await refusedForEver(api, code, { groups, snapshotId, topic, moved });

    refuse(api, code, group, topic, 2);
    const rolled = await faults.rollback({ snapshot_id: snapshotId });
    expect(resultOf(rolled)).toMatchObject({ status: "success", groups_rolled_back: 3 });
    await faults.requireCommits(saved, await faults.requireAgreement(rolled));
    expect((await faults.snapshot(String(rolled.result?.safety_snapshot_id))).consumerGroups).toEqual(moved);
  }

  async function refusedForEver(
    api: "OffsetFetch" | "FindCoordinator",
    code: number,
    { groups, snapshotId, topic, moved }: Omit<Scenario, "saved">,
  ) {
    const group = required(groups[0]);
    const permanent = refuse(api, code, group, topic);
    const failed = await faults.ask("snapshot", { groups }, 8_000);
    expect(failed.error).toMatchObject({ ...unavailable, message: expect.stringContaining(group) });
    expect(failed.error?.message).toContain("Nothing was changed");
    const partial = Object(await faults.call("snapshot", { groups, allow_partial: true }, 8_000));
    expect(partial).toMatchObject({ status: "partial", groups: 2, errors: [{ group, error: "KafkaUnavailable" }] });
    expect((await faults.snapshot(partial.snapshot_id)).consumerGroups).toEqual(without(moved, group));
    requireUnchanged(await faults.rollback({ snapshot_id: snapshotId }, 8_000));
    expect(await faults.safetySnapshots()).toEqual([]);
    expect(await faults.offsetsByTool(groups)).toEqual(offsetsOf(moved));
    permanent.end();
  }

  /** Commits take effect, but are answered with a code. */
  async function refusedCommits(code: number) {
    const { groups, snapshotId, topic, moved, saved } = await faults.scenario(3);
    const temporary = refuse("OffsetCommit", code, "", topic, 2);
    const rolled = await faults.rollback({ snapshot_id: snapshotId });
    expect(resultOf(rolled)).toMatchObject({ status: "success", groups_rolled_back: 3 });
    expect(temporary.refused).toBe(2);
    await faults.requireCommits(saved, await faults.requireAgreement(rolled));

    await faults.commit(moved);
    refuse("OffsetCommit", code, "", topic);
    const all = await faults.rollback({ snapshot_id: snapshotId }, 12_000);
    expect(resultOf(all).status).toBe("success"); // the read-back decides, not the error code
    expect(await faults.requireAgreement(all)).toEqual(offsetsOf(saved));
    expect(Object.keys(resultOf(all).groups)).toEqual(groups);
  }

  /** A group is answered with a code from the read-back on. */
  async function refusedReadBack(code: number) {
    const { groups, snapshotId, topic, moved, saved } = await faults.scenario(3);
    const group = required(groups[0]);
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
    for (const partition of Object.values(required(results[group]).partitions))
      expect(partition).not.toHaveProperty("actual");
    await faults.requireAgreement(rolled);
    for (const each of refusals) each.end();
    const last = await faults.rollback({ resume: rollback_id });
    expect(resultOf(last)).toMatchObject({ status: "success", resumed: true, safety_snapshot_id });
    await faults.requireCommits(saved, await faults.requireAgreement(last));
    expect((await faults.snapshot(String(safety_snapshot_id))).consumerGroups).toEqual(moved);
  }

  /** Coordinators of 300 groups restart during snapshots and dry runs, and one before a rollback. */
  async function restarts() {
    const scenario = await faults.scenario(300);
    const { groups, snapshotId, moved, saved } = scenario;
    const pattern = `${required(groups[0]).split(".")[0]}.*`;
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
    const repeat = async (ask: () => Promise<Answer>) => {
      const answers: Answer[] = [];
      while (!over) answers.push(await ask());
      return answers;
    };
    let taken = 0;
    const snapshots = repeat(async () => {
      const answer = await faults.ask("snapshot", { groups: [pattern] }, 20_000);
      if (answer.error === undefined) taken++;
      return answer;
    });
    const plans = repeat(() => faults.ask("rollback", { snapshot_id: snapshotId, dry_run: true }, 20_000));
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

    if (rolled.result === undefined) requireUnchanged(rolled);
    else await faults.requireAgreement(rolled);
    const request = rolled.result === undefined ? { snapshot_id: snapshotId } : { resume: rolled.result.rollback_id };
    const last = rolled.error === undefined ? rolled : await faults.rollback(request);
    expect(resultOf(last)).toMatchObject({ status: "success", groups_rolled_back: 300 });
    await faults.requireCommits(saved, await faults.requireAgreement(last));
    for (const id of await faults.safetySnapshots()) {
      expect((await faults.snapshot(id)).consumerGroups).toEqual(moved);
    }
  }

  /** Starts a transaction with the offset 55 pending on the first partition of a group. */
  async function startTransaction({ topic }: Scenario, group: string) {
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

  /** The offsets of the groups after that transaction was committed. */
  const offsetsAfterCommit = (commits: Commits, group: string, { topic }: Scenario): ReturnType<typeof offsetsOf> => {
    const all = offsetsOf(commits);
    return all.set(group, new Map([...required(all.get(group)), [`${topic}-0`, 55n]]));
  };

  async function atSnapshot() {
    const scenario = await faults.scenario(3);
    const { groups, moved } = scenario;
    const group = required(groups[0]);
    const transaction = await startTransaction(scenario, group);
    const beside = Object(await faults.call("snapshot", { groups }, 8_000));
    const warning = `Group "${group}" has a transaction with a commit pending on "${scenario.topic}-0"`;
    expect(beside).toMatchObject({
      status: "complete",
      groups: 3,
      errors: [],
      warnings: [expect.stringContaining(warning)],
    });
    const taken = await faults.snapshot(beside.snapshot_id);
    expect(taken.consumerGroups).toEqual(moved);
    expect(taken.observed.groups.get(group)?.pending).toEqual([`${scenario.topic}-0`]);

    const seen = faults.proxy.seen("OffsetFetch");
    const waiting = faults.call("snapshot", { groups });
    await expect.poll(() => faults.proxy.seen("OffsetFetch"), patient).toBeGreaterThan(seen + 5);
    await transaction.commit();
    const { snapshot_id, status, warnings } = Object(await waiting);
    expect([status, warnings]).toEqual(["complete", []]);
    const whole = offsetsOf((await faults.snapshot(snapshot_id)).consumerGroups);
    expect(whole).toEqual(offsetsAfterCommit(moved, group, scenario));
    const plan = Object(await faults.call("rollback", { snapshot_id: beside.snapshot_id, dry_run: true }));
    expect(plan.blockers).toEqual([]);
    expect(plan.warnings.join()).toContain(
      `The targets of "${group}" on "${scenario.topic}-0" were captured while a transaction was pending`,
    );
    expect(await faults.offsetsByTool(groups)).toEqual(whole);
  }

  async function atPlan() {
    const scenario = await faults.scenario(3);
    const { groups, moved, saved, snapshotId } = scenario;
    const group = required(groups[0]);
    const transaction = await startTransaction(scenario, group);
    const refused = await faults.rollback({ snapshot_id: snapshotId }, 10_000);
    expect(refused.error).toMatchObject({ name: "RollbackBlocked", message: expect.stringContaining(group) });
    expect(refused.error?.message).toMatch(/was refused\. \[pending_transaction\].*Nothing was changed/);
    expect(Object(refused.error?.details).blockers).toMatchObject([{ kind: "pending_transaction", group }]);
    expect(await faults.offsetsByTool(groups)).toEqual(offsetsOf(moved));

    const others = await faults.rollback({ snapshot_id: snapshotId, skip_blocked: true }, 15_000);
    expect(resultOf(others)).toMatchObject({ status: "success", groups_rolled_back: 2, groups_skipped: 1 });
    const { consumerGroups } = await faults.snapshot(String(others.result?.safety_snapshot_id));
    expect(consumerGroups).toEqual(without(moved, group));
    expect(await faults.offsetsByTool(groups)).toEqual(
      offsetsOf(new Map([...saved, [group, required(moved.get(group))]])),
    );
    await transaction.abort();
    const last = await faults.rollback({ snapshot_id: snapshotId });
    expect(resultOf(last)).toMatchObject({ status: "success", groups_rolled_back: 3, offsets_restored: 2 });
    await faults.requireCommits(saved, await faults.requireAgreement(last));
  }

  /** A transaction begins when a rollback is about to send its commits, or when they have been answered. */
  async function transactionDuring(at: "request" | "answer", end: "commit" | "abort") {
    const scenario = await faults.scenario(3);
    const { groups, moved, saved, snapshotId } = scenario;
    const group = required(groups[0]);
    const { promise: released, resolve } = Promise.withResolvers<undefined>();
    onTestFinished(() => resolve(undefined));
    const held = faults.proxy.when({ api: "OffsetCommit", at, every: true }, () => released);
    const rollback = faults.rollback({ snapshot_id: snapshotId }, 20_000);
    await expect.poll(() => held.happened, patient).toBe(true);
    const transaction = await startTransaction(scenario, group);
    resolve(undefined);
    const rolled = await rollback;

    const { safety_snapshot_id, warnings } = resultOf(rolled);
    expect(rolled.result).toMatchObject({ status: "success", groups_rolled_back: 3, groups_failed: 0 });
    expect(warnings.join()).toMatch(
      /a commit pending on .*, which began after the plan was made\. When .* it overwrites the restored offsets/,
    );
    await faults.requireAgreement(rolled);
    await transaction[end]();

    if (at === "answer" && end === "commit") {
      expect(await faults.offsetsByTool(groups)).toEqual(offsetsAfterCommit(saved, group, scenario));
    } else {
      // Kafka drops a pending commit that is older than the rollback's.
      await faults.requireCommits(saved, await faults.requireAgreement(rolled));
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
        [
          "when a transaction begins during the commits of a rollback, and aborts",
          () => transactionDuring("request", "abort"),
        ],
        [
          "when a transaction begins during the commits of a rollback, and commits",
          () => transactionDuring("request", "commit"),
        ],
        [
          "when a transaction begins before a rollback is read back, and aborts",
          () => transactionDuring("answer", "abort"),
        ],
        [
          "when a transaction begins before a rollback is read back, and commits",
          () => transactionDuring("answer", "commit"),
        ],
        ["when OffsetFetch answers 14 in the read-back of a rollback", () => refusedReadBack(14)],
        ["when OffsetFetch answers 16 (NOT_COORDINATOR) in the read-back of a rollback", () => refusedReadBack(16)],
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
