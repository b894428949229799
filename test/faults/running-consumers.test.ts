import { connect, createServer } from "node:net";
import { AssignerProtocol, type PartitionAssigner } from "kafkajs";
import { describe, expect, onTestFinished, test } from "vitest";
import { listGroups } from "../../functions/shared/kafka/groups/group-list.ts";
import { required } from "../support/required.ts";
import { resultOf } from "./support/answers.ts";
import { member } from "./support/consumers.ts";
import { cases, faultHarness, type Scenario } from "./support/harness.ts";
import { gate, patient, startHeldRollback } from "./support/held-rollback.ts";
import { commitsOfGroups, offsetsOf } from "./support/truth.ts";

const faults = faultHarness();
/** Timeouts so long that an inactive member is not removed. */
const longTimeouts = { sessionTimeout: 120_000, rebalanceTimeout: 120_000 };

/** Waits until a group has a state. */
const waitForState = (group: string, state: string) =>
  expect
    .poll(() => faults.onCluster(async (cluster) => (await listGroups(cluster)).groups.get(group)?.state), patient)
    .toBe(state);

describe("with running consumers,", () => {
  /** A rollback of four groups. The first group gets a member between plan and commits. */
  async function interrupted(joins: (scenario: Scenario, group: string) => Promise<() => Promise<unknown>>) {
    const scenario = await faults.scenario(4);
    const group = required(scenario.groups[0]);
    const joining = await joins(scenario, group);
    const request = { snapshot_id: scenario.snapshotId };
    const held = await startHeldRollback(faults, request);
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
    expect(toolOffsets).toEqual(offsetsOf(new Map([...scenario.saved, ...commitsOfGroups(scenario.moved, group)])));
    return { scenario, group, request, rolled, rollbackId: required(rolled.result?.rollback_id) };
  }

  async function joinsBetween() {
    const members: Awaited<ReturnType<typeof member>>[] = [];
    const { scenario, request, rolled, rollbackId } = await interrupted(async (scenario, group) => {
      const consumer = await member(faults, scenario, group);
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
      const consumer = await member(faults, scenario, group);
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
    expect(await faults.call("rollbacks", { rollback_id: rollbackId })).toMatchObject({
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
    const [busy, second] = [
      await member(faults, scenario, group, longTimeouts),
      await member(faults, scenario, group, longTimeouts),
    ];
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
    const consumer = await member(faults, scenario, group, { ...longTimeouts, partitionAssigners: [slow] });
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
      offsetsOf(new Map([...saved, ...commitsOfGroups(moved, group)])),
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
    const consumer = await member(faults, scenario, group);
    await consumer.joins();
    const request = { snapshot_id: scenario.snapshotId };
    const impatient = await faults.rollback({ ...request, wait_for_empty_seconds: 1 });
    expect(impatient.error).toMatchObject({ name: "GroupNotEmpty", message: expect.stringMatching(/waited \d s/) });
    await faults.requireCommits(scenario.moved, await faults.offsetsByTool(scenario.groups));

    const seen = faults.proxy.seen("OffsetFetch");
    const rollback = faults.rollback({ ...request, wait_for_empty_seconds: 60 }, 120_000);
    await expect.poll(() => faults.proxy.seen("OffsetFetch"), patient).toBeGreaterThan(seen + 5); // it has looked three times
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
    const consumer = await member(faults, scenario, required(groups[2]));
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
    const consumer = await member(faults, scenario, real);
    await consumer.joins();
    const request = { snapshot_id: snapshotId, group_map: { [real]: replay } };
    const held = await startHeldRollback(faults, request);
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
    expect(toolOffsets.get(other)).toEqual(offsetsOf(scenario.moved).get(other));

    // After the undo, the group of the rehearsal has no commits, as before.
    const undone = await faults.rollback({ snapshot_id: rolled.result?.safety_snapshot_id, exact: true });
    expect(resultOf(undone)).toMatchObject({ status: "success", offsets_deleted: 2 });
    expect((await faults.requireAgreement(undone)).get(replay)).toEqual(new Map());
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
});
