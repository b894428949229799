import { expect } from "vitest";
import type { Commit } from "../../../../functions/shared/core/model.ts";
import { readCommits } from "../../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets, deleteOffsets } from "../../../../functions/shared/kafka/groups/write-commits.ts";
import { expectAccepted } from "../../../support/outcomes.ts";
import { show } from "../expected.ts";
import { type Commits, committed, only, perKey, placeOf, type Topic, withMember, withPending } from "../model/world.ts";
import { expectedCommits } from "./compare.ts";
import { type Dice, repeat } from "./dice.ts";
import { partitionsOf, type Run, withoutMember } from "./run.ts";

function setTopic(run: Run, topic: string, logs: Topic["logs"]): void {
  const { creation } = run.world.topics.get(topic) ?? { creation: ++run.creations };
  run.world = { ...run.world, topics: new Map([...run.world.topics, [topic, { creation, logs }]]) };
}

export async function createTopic(run: Run, topic: string, partitions: number, records: number): Promise<void> {
  run.log(`create ${topic} with ${partitions} partitions`);
  await run.outside.createTopic(topic, partitions);
  const logs = Array.from({ length: partitions }, () => ({ start: 0n, end: 0n }));
  setTopic(run, topic, logs);
  if (records > 0) await produce(run, topic, logs, records);
}

async function produce(run: Run, topic: string, logs: Topic["logs"], each: number): Promise<void> {
  run.log(`produce ${each} records to each partition of ${topic}`);
  await run.outside.produce(topic, logs.length, each);
  const longer = logs.map(({ start, end }) => ({ start, end: end + BigInt(each) }));
  setTopic(run, topic, longer);
}

async function deleteTopic(run: Run, topic: string): Promise<void> {
  run.log(`delete ${topic}`);
  await run.outside.deleteTopic(topic);
  const { topics, groups } = run.world;
  const isElsewhere = (key: string) => placeOf(key).topic !== topic;
  run.world = {
    ...run.world,
    topics: only(topics, (other) => other !== topic),
    groups: perKey(groups, (group) => ({ ...group, commits: only(group.commits, isElsewhere) })),
  };
  // Kafka removes the commits on a deleted topic some time later.
  const settled = { timeout: 20_000, interval: 20 };
  await expect.poll(() => run.outside.commitsOf(run.names.groups), settled).toEqual(expectedCommits(run));
}

export function commitOn({ world }: Run, dice: Dice, key: string): Commit {
  const { topic, partition } = placeOf(key);
  const { start = 0n, end = 0n } = world.topics.get(topic)?.logs[partition] ?? {};
  const inside = start + BigInt(dice.below(Number(end - start) + 1));
  const outside = dice.pick([end + 1n, start > 0n ? start - 1n : end + 2n, 9007199254740993n]);
  const offset = dice.oneIn(12) ? outside : inside;
  const metadata = dice.pick(["", "", "m", 'é "\u{1F600}']);
  const leaderEpoch = dice.oneIn(20) ? 5 : dice.pick([undefined, 0]);
  return leaderEpoch === undefined ? { offset, metadata } : { offset, metadata, leaderEpoch };
}

export const commitsOn = (run: Run, dice: Dice, groups: readonly string[]) =>
  new Map(
    groups.map((group) => {
      const keys = dice.some(partitionsOf(run)).slice(0, 5);
      return [group, new Map(keys.map((key) => [key, commitOn(run, dice, key)]))];
    }),
  );

export async function send({ cluster }: Run, commits: ReadonlyMap<string, Commits>): Promise<void> {
  expectAccepted(await commitOffsets(cluster, commits));
}

export async function commit(run: Run, commits: ReadonlyMap<string, Commits>): Promise<void> {
  run.log(`commit ${show(commits)}`);
  await send(run, commits);
  for (const [group, partitions] of commits) {
    for (const [key, saved] of partitions) run.world = committed(run.world, group, key, saved);
  }
}

export async function commitSome(run: Run, dice: Dice): Promise<void> {
  if (run.world.topics.size > 0) await commit(run, commitsOn(run, dice, dice.some(withoutMember(run)).slice(0, 3)));
}

export async function deleteCommits(run: Run, dice: Dice): Promise<void> {
  const some = withoutMember(run).filter((group) => (run.world.groups.get(group)?.commits.size ?? 0) > 0);
  if (some.length === 0) return;
  const group = dice.pick(some);
  const keys = dice.some([...(run.world.groups.get(group)?.commits.keys() ?? [])]);
  run.log(`delete the commits of ${show(group)} on ${keys}`);
  const outcomes = (await deleteOffsets(run.cluster, new Map([[group, keys]]))).get(group);
  for (const key of keys) {
    expect(outcomes?.get(key)).toEqual({ kind: "accepted" });
    run.world = committed(run.world, group, key, null);
  }
}

export async function deleteGroup(run: Run, dice: Dice): Promise<void> {
  const group = dice.pick(withoutMember(run));
  if (!run.world.groups.has(group)) return;
  run.log(`delete group ${show(group)}`);
  await run.outside.deleteGroups([group]);
  run.world = { ...run.world, groups: only(run.world.groups, (other) => other !== group) };
}

export async function changeTopic(run: Run, dice: Dice): Promise<void> {
  const ofTransaction = run.pending && placeOf(run.pending.key).topic;
  const topic = dice.pick(run.names.topics.filter((name) => name !== ofTransaction));
  const logs = run.world.topics.get(topic)?.logs;
  if (logs === undefined) return createTopic(run, topic, dice.pick([2, 3, 4]), dice.pick([0, 3, 6]));
  const change = dice.pick(["produce", ...repeat("delete records", 3), "add a partition", "delete", "recreate"]);
  if (change === "produce") return produce(run, topic, logs, 1 + dice.below(4));
  if (change === "add a partition") {
    run.log(`add a partition to ${topic}`);
    await run.outside.addPartitions(topic, logs.length + 1);
    setTopic(run, topic, [...logs, { start: 0n, end: 0n }]);
  } else if (change === "delete records") {
    const partition = dice.below(logs.length);
    const { start = 0n, end = 0n } = logs[partition] ?? {};
    const below = start + BigInt(dice.below(Number(end - start) + 1));
    run.log(`delete the records of ${topic}-${partition} below ${below}`);
    await run.outside.deleteRecords(topic, partition, below);
    const shorter = logs.map((log, i) => (i === partition ? { start: below, end } : log));
    setTopic(run, topic, shorter);
  } else {
    await deleteTopic(run, topic);
    if (change === "recreate") await createTopic(run, topic, dice.pick([1, 3, logs.length]), dice.pick([0, 2, 6]));
  }
}

export async function joinOrLeave(run: Run, dice: Dice): Promise<void> {
  if (run.joined !== undefined) return leave(run);
  const group = dice.pick(withoutMember(run));
  run.log(`a consumer joins ${show(group)}`);
  const member = await run.outside.join(group);
  run.joined = { group, member };
  run.world = withMember(run.world, group, true);
  const keys = partitionsOf(run);
  if (keys.length === 0 || dice.oneIn(2)) return;
  const key = dice.pick(keys);
  const { leaderEpoch: _, ...ofMember } = commitOn(run, dice, key);
  run.log(`the consumer commits ${show(ofMember)} on ${key}`);
  const { topic, partition } = placeOf(key);
  await member.commit(topic, partition, ofMember);
  run.world = committed(run.world, group, key, ofMember);
}

export async function leave(run: Run): Promise<void> {
  if (run.joined === undefined) return;
  const { group, member } = run.joined;
  run.log(`the consumer leaves ${show(group)}`);
  run.joined = undefined;
  await member.leave();
  run.world = withMember(run.world, group, false);
}

export async function transact(run: Run, dice: Dice): Promise<void> {
  const some = withoutMember(run).filter((group) => (run.world.groups.get(group)?.commits.size ?? 0) > 0);
  if (run.pending !== undefined || some.length === 0) return;
  const group = dice.pick(some);
  const key = dice.pick([...(run.world.groups.get(group)?.commits.keys() ?? [])]);
  const { offset } = commitOn(run, dice, key);
  run.log(`a transaction begins with ${offset} for ${show(group)} on ${key}`);
  const { topic, partition } = placeOf(key);
  const transaction = await run.outside.transact(group, topic, partition, offset);
  run.pending = { group, key, offset, transaction };
  run.world = withPending(run.world, group, key);
}

export async function endTransaction(run: Run, how: "commit" | "abort"): Promise<void> {
  if (run.pending === undefined) return;
  const { group, key, offset, transaction } = run.pending;
  run.log(`the transaction ends: ${how}`);
  run.pending = undefined;
  await transaction.end(how);
  // Kafka answers before the coordinator of the group has ended it, too.
  expect((await readCommits(run.cluster, new Map([[group, [key]]]))).pending.size).toBe(0);
  if (how === "commit") run.world = committed(run.world, group, key, { offset, metadata: "" });
  run.world = withPending(run.world, group, undefined);
}

/** Removes groups from the model that Kafka has removed: it deletes empty groups without commits at any time. */
export async function dropRemovedGroups(run: Run): Promise<void> {
  const { groups } = run.world;
  if ([...groups.values()].every(({ hasMember, commits }) => hasMember || commits.size > 0)) return;
  const listed = await run.outside.groups();
  run.world = {
    ...run.world,
    groups: only(groups, (group, { commits }) => commits.size > 0 || listed.has(group)),
  };
}
