import { DeleteItemCommand } from "@aws-sdk/client-dynamodb";
import { expect } from "vitest";
import type { Commit } from "../../../functions/shared/core/model.ts";
import type { Cluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { readCommits } from "../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets, deleteOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { expectAccepted } from "../../support/outcomes.ts";
import { SeenValues, show } from "./expected.ts";
import type { Verb } from "./handlers.ts";
import type { FaultHarness } from "./harness.ts";
import * as model from "./model.ts";
import {
  type Circumstances,
  type RollbackPrediction,
  type RollbackRequest,
  record,
  rollback,
  type World,
} from "./model-rollback.ts";
import { type Member, type Outside, type Transaction, withOutside } from "./outside.ts";
import type { Offsets } from "./truth.ts";

/** A history: its name, and a random number for each of its steps. */
export interface History {
  /** The prefix of its groups and topics, so that histories do not share them. */
  readonly name: string;
  readonly steps: readonly number[];
}

/** The names that a history may use. */
export interface Names {
  readonly groups: readonly string[];
  readonly topics: readonly string[];
}

/** Names that are special in JavaScript objects, in patterns, or in the tables of Kafka's tools. */
export const namesOf = ({ name }: History): Names => ({
  groups: ["", ".b", ".*", ".__proto__", " ü\u{1F600} c", "?", "7"].map((suffix) => `${name}${suffix}`),
  topics: [".t", ".t-1", ".t-1-0"].map((suffix) => `t${name}${suffix}`),
});

/** A history while it is played. */
interface Run {
  readonly faults: FaultHarness;
  readonly cluster: Cluster;
  readonly outside: Outside;
  readonly seen: SeenValues;
  readonly name: string;
  readonly names: Names;
  readonly began: Date;
  world: World;
  /** The number of topics ever created. */
  creations: number;
  /** The group that has a consumer, and the consumer. */
  joined?: { readonly group: string; readonly member: Member } | undefined;
  /** The open transaction, and its pending commit. */
  pending?:
    | { readonly group: string; readonly key: string; readonly offset: bigint; readonly transaction: Transaction }
    | undefined;
  /** The rollbacks that were requested, and the digests of plans that were answered. */
  readonly requested: RollbackRequest[];
  readonly digests: string[];
  log(line: string): void;
  count(what: string): void;
}

/** Random choices from a seed (mulberry32). */
function diceOf(seed: number) {
  let state = seed;
  const below = (n: number) => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) % n;
  };
  const pick = <T>(list: readonly T[]): T => {
    const chosen = below(list.length);
    for (const [i, item] of list.entries()) if (i === chosen) return item;
    throw new Error("the list is empty");
  };
  return {
    below,
    pick,
    /** True with a probability of 1 in n. */
    oneIn: (n: number) => below(n) === 0,
    /** A random part of a list, with at least one item unless the list is empty. */
    some<T>(list: readonly T[]): T[] {
      const picked = list.filter(() => below(2) === 0);
      return picked.length > 0 || list.length === 0 ? picked : [pick(list)];
    },
  };
}

const repeat = <T>(item: T, times: number): T[] => Array.from({ length: times }, () => item);

type Dice = ReturnType<typeof diceOf>;
type Step = (run: Run, dice: Dice) => Promise<unknown>;

/**
 * Plays a history: its numbers choose the steps. Each step is a change in Kafka or a request to a function. After each step,
 * the answer and the commits of every group are compared with the model.
 *
 * @param count counts answers, blockers and outcomes by name
 * @returns the offsets of the groups at the end
 * @throws Error with the differences and the steps so far
 */
export async function play(faults: FaultHarness, history: History, count: (what: string) => void): Promise<Offsets> {
  const lines: string[] = [];
  const playOn = (cluster: Cluster) =>
    withOutside(faults.kafka.bootstrapServers, cluster, async (outside) => {
      const run: Run = {
        faults,
        cluster,
        outside,
        seen: new SeenValues(),
        name: history.name,
        names: namesOf(history),
        began: new Date(),
        world: { topics: new Map(), groups: new Map(), snapshots: [], rollbacks: [], taken: 0 },
        creations: 0,
        requested: [],
        digests: [],
        log: (line) => lines.push(line),
        count,
      };
      try {
        await playSteps(run, history.steps);
      } finally {
        await leave(run);
        await endTransaction(run, "abort");
        await freeLease(run);
      }
      return model.perKey(expectedCommits(run), (commits) => model.perKey(commits, ({ offset }) => offset));
    });
  try {
    return await faults.onCluster(playOn, 300_000);
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${what}\n\nThe history:\n${lines.join("\n")}`, { cause });
  }
}

async function playSteps(run: Run, [first = 0, ...rest]: readonly number[]): Promise<void> {
  const opening = diceOf(first);
  for (const topic of run.names.topics.slice(0, 2)) await createTopic(run, topic, 3, 6);
  await commit(run, commitsOn(run, opening, run.names.groups.slice(0, 4)));
  await takeSnapshot(run, opening);
  for (const seed of rest) {
    const dice = diceOf(seed);
    await dropRemovedGroups(run);
    await dice.pick(stepKinds)(run, dice);
    await compare(run);
    if (dice.oneIn(3)) await endTransaction(run, dice.pick(["commit", "abort"]));
  }
}

// Changes in Kafka

/** The groups that other clients can commit for. */
const withoutMember = (run: Run) =>
  run.names.groups.filter((group) => group !== run.joined?.group && group !== run.pending?.group);
const partitionsOf = ({ world }: Run) =>
  [...world.topics].flatMap(([topic, { logs }]) => logs.map((_, i) => `${topic}-${i}`));

function setTopic(run: Run, topic: string, logs: model.Topic["logs"]): void {
  const { creation } = run.world.topics.get(topic) ?? { creation: ++run.creations };
  run.world = { ...run.world, topics: new Map([...run.world.topics, [topic, { creation, logs }]]) };
}

async function createTopic(run: Run, topic: string, partitions: number, records: number): Promise<void> {
  run.log(`create ${topic} with ${partitions} partitions`);
  await run.outside.createTopic(topic, partitions);
  const logs = Array.from({ length: partitions }, () => ({ start: 0n, end: 0n }));
  setTopic(run, topic, logs);
  if (records > 0) await produce(run, topic, logs, records);
}

async function produce(run: Run, topic: string, logs: model.Topic["logs"], each: number): Promise<void> {
  run.log(`produce ${each} records to each partition of ${topic}`);
  await run.outside.produce(topic, logs.length, each);
  const longer = logs.map(({ start, end }) => ({ start, end: end + BigInt(each) }));
  setTopic(run, topic, longer);
}

async function deleteTopic(run: Run, topic: string): Promise<void> {
  run.log(`delete ${topic}`);
  await run.outside.deleteTopic(topic);
  const { topics, groups } = run.world;
  const isElsewhere = (key: string) => model.placeOf(key).topic !== topic;
  run.world = {
    ...run.world,
    topics: model.only(topics, (other) => other !== topic),
    groups: model.perKey(groups, (group) => ({ ...group, commits: model.only(group.commits, isElsewhere) })),
  };
  // Kafka removes the commits on a deleted topic some time later.
  const settled = { timeout: 20_000, interval: 20 };
  await expect.poll(() => run.outside.commitsOf(run.names.groups), settled).toEqual(expectedCommits(run));
}

function commitOn({ world }: Run, dice: Dice, key: string): Commit {
  const { topic, partition } = model.placeOf(key);
  const { start = 0n, end = 0n } = world.topics.get(topic)?.logs[partition] ?? {};
  const inside = start + BigInt(dice.below(Number(end - start) + 1));
  const outside = dice.pick([end + 1n, start > 0n ? start - 1n : end + 2n, 9007199254740993n]);
  const offset = dice.oneIn(12) ? outside : inside;
  const metadata = dice.pick(["", "", "m", 'é "\u{1F600}']);
  const leaderEpoch = dice.oneIn(20) ? 5 : dice.pick([undefined, 0]);
  return leaderEpoch === undefined ? { offset, metadata } : { offset, metadata, leaderEpoch };
}

const commitsOn = (run: Run, dice: Dice, groups: readonly string[]) =>
  new Map(
    groups.map((group) => {
      const keys = dice.some(partitionsOf(run)).slice(0, 5);
      return [group, new Map(keys.map((key) => [key, commitOn(run, dice, key)]))];
    }),
  );

async function send({ cluster }: Run, commits: ReadonlyMap<string, model.Commits>): Promise<void> {
  expectAccepted(await commitOffsets(cluster, commits));
}

async function commit(run: Run, commits: ReadonlyMap<string, model.Commits>): Promise<void> {
  run.log(`commit ${show(commits)}`);
  await send(run, commits);
  for (const [group, partitions] of commits) {
    for (const [key, saved] of partitions) run.world = model.committed(run.world, group, key, saved);
  }
}

async function commitSome(run: Run, dice: Dice): Promise<void> {
  if (run.world.topics.size > 0) await commit(run, commitsOn(run, dice, dice.some(withoutMember(run)).slice(0, 3)));
}

async function deleteCommits(run: Run, dice: Dice): Promise<void> {
  const some = withoutMember(run).filter((group) => (run.world.groups.get(group)?.commits.size ?? 0) > 0);
  if (some.length === 0) return;
  const group = dice.pick(some);
  const keys = dice.some([...(run.world.groups.get(group)?.commits.keys() ?? [])]);
  run.log(`delete the commits of ${show(group)} on ${keys}`);
  const outcomes = (await deleteOffsets(run.cluster, new Map([[group, keys]]))).get(group);
  for (const key of keys) {
    expect(outcomes?.get(key)).toEqual({ kind: "accepted" });
    run.world = model.committed(run.world, group, key, null);
  }
}

async function deleteGroup(run: Run, dice: Dice): Promise<void> {
  const group = dice.pick(withoutMember(run));
  if (!run.world.groups.has(group)) return;
  run.log(`delete group ${show(group)}`);
  await run.outside.deleteGroups([group]);
  run.world = { ...run.world, groups: model.only(run.world.groups, (other) => other !== group) };
}

async function changeTopic(run: Run, dice: Dice): Promise<void> {
  const ofTransaction = run.pending && model.placeOf(run.pending.key).topic;
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

async function joinOrLeave(run: Run, dice: Dice): Promise<void> {
  if (run.joined !== undefined) return leave(run);
  const group = dice.pick(withoutMember(run));
  run.log(`a consumer joins ${show(group)}`);
  const member = await run.outside.join(group);
  run.joined = { group, member };
  run.world = model.withMember(run.world, group, true);
  const keys = partitionsOf(run);
  if (keys.length === 0 || dice.oneIn(2)) return;
  const key = dice.pick(keys);
  const { leaderEpoch: _, ...ofMember } = commitOn(run, dice, key);
  run.log(`the consumer commits ${show(ofMember)} on ${key}`);
  const { topic, partition } = model.placeOf(key);
  await member.commit(topic, partition, ofMember);
  run.world = model.committed(run.world, group, key, ofMember);
}

async function leave(run: Run): Promise<void> {
  if (run.joined === undefined) return;
  const { group, member } = run.joined;
  run.log(`the consumer leaves ${show(group)}`);
  run.joined = undefined;
  await member.leave();
  run.world = model.withMember(run.world, group, false);
}

async function transact(run: Run, dice: Dice): Promise<void> {
  const some = withoutMember(run).filter((group) => (run.world.groups.get(group)?.commits.size ?? 0) > 0);
  if (run.pending !== undefined || some.length === 0) return;
  const group = dice.pick(some);
  const key = dice.pick([...(run.world.groups.get(group)?.commits.keys() ?? [])]);
  const { offset } = commitOn(run, dice, key);
  run.log(`a transaction begins with ${offset} for ${show(group)} on ${key}`);
  const { topic, partition } = model.placeOf(key);
  const transaction = await run.outside.transact(group, topic, partition, offset);
  run.pending = { group, key, offset, transaction };
  run.world = model.withPending(run.world, group, key);
}

async function endTransaction(run: Run, how: "commit" | "abort"): Promise<void> {
  if (run.pending === undefined) return;
  const { group, key, offset, transaction } = run.pending;
  run.log(`the transaction ends: ${how}`);
  run.pending = undefined;
  await transaction.end(how);
  // Kafka answers before the coordinator of the group has ended it, too.
  expect((await readCommits(run.cluster, new Map([[group, [key]]]))).pending.size).toBe(0);
  if (how === "commit") run.world = model.committed(run.world, group, key, { offset, metadata: "" });
  run.world = model.withPending(run.world, group, undefined);
}

/** Removes groups from the model that Kafka has removed: it deletes empty groups without commits at any time. */
async function dropRemovedGroups(run: Run): Promise<void> {
  const { groups } = run.world;
  if ([...groups.values()].every(({ hasMember, commits }) => hasMember || commits.size > 0)) return;
  const listed = await run.outside.groups();
  run.world = {
    ...run.world,
    groups: model.only(groups, (group, { commits }) => commits.size > 0 || listed.has(group)),
  };
}

// Comparison of Kafka with the model

/** The commits that kafkajs must read. */
const expectedCommits = ({ world, names }: Run) =>
  new Map(
    names.groups.map((group) => {
      const commits = world.groups.get(group)?.commits ?? new Map<string, Commit>();
      return [group, model.perKey(commits, ({ offset, metadata }) => ({ offset, metadata }))];
    }),
  );

async function compare(run: Run): Promise<void> {
  const inside = expectedCommits(run);
  expect(await run.outside.commitsOf(run.names.groups), "the commits that kafkajs reads").toEqual(inside);
  const { commits, errors } = await readCommits(
    run.cluster,
    model.perKey(inside, (of) => of.keys()),
  );
  expect(errors).toEqual([]);
  const whole = model.perKey(inside, (_, group) => run.world.groups.get(group)?.commits ?? new Map());
  expect(commits, "the commits that the code under test reads").toEqual(whole);
}

function requireSame(run: Run, expected: unknown, actual: unknown, what: string): void {
  const wrong = run.seen.differences(expected, actual);
  if (wrong.length > 0) throw new Error(`${what}: not as predicted:\n${wrong.slice(0, 12).join("\n")}`);
}

// Requests to the functions

/** Sends a request, compares the answer with the prediction, and returns the result or the details of the error. */
async function ask(
  run: Run,
  verb: Verb,
  request: object,
  { expected, after }: model.Prediction<World>,
): Promise<{ readonly [field: string]: unknown }> {
  run.log(`${verb} ${JSON.stringify(request)}`);
  const { result, error } = await run.faults.ask(verb, JSON.parse(JSON.stringify(request)));
  run.log(`  ${(error === undefined ? show(result) : error.message).slice(0, 300)}`);
  run.count(`${verb} ${error === undefined ? "answers" : error.name}`);
  const details = "error" in expected && "details" in expected.error && { details: error?.details };
  const answer = error === undefined ? { result } : { error: { name: error.name, message: error.message, ...details } };
  requireSame(run, expected, answer, verb);
  run.world = after((unseen) => run.seen.of(unseen));
  return Object(result ?? error?.details ?? {});
}

const showSnapshot = (run: Run, id: string) => ask(run, "show", { snapshot_id: id }, model.show(run.world, id));

/** What happens during a rollback, if it starts. Other writers mostly commit on partitions that already have a commit. */
function anyCircumstances(run: Run, dice: Dice): Omit<Circumstances, "planOfDigest"> {
  if (dice.oneIn(14)) return { killed: dice.pick(["early", "late"] as const) };
  const joined = dice.oneIn(10) && run.joined === undefined ? dice.pick(run.names.groups) : undefined;
  const groups = withoutMember(run).filter((group) => group !== joined);
  const keys = partitionsOf(run);
  const meanwhile = Array.from({ length: dice.oneIn(3) && keys.length > 0 ? 1 + dice.below(2) : 0 }, () => {
    const group = dice.pick(groups);
    const own = [...(run.world.groups.get(group)?.commits.keys() ?? [])];
    const key = dice.pick(own.length > 0 && !dice.oneIn(4) ? own : keys);
    return { group, key, commit: commitOn(run, dice, key) };
  });
  return { meanwhile, joined };
}

/** The call by which a rollback writes its journal record, after its plan and before its first commit. */
const journalCallOf = (starts: "new" | "resumed" | false) =>
  starts === "resumed"
    ? { action: "UpdateItem", body: "resumed_at" }
    : { action: "TransactWriteItems", body: "rollback-id" };

/** Requests a rollback, and returns the plan digest if the answer has one. */
async function askRollback(run: Run, dice: Dice, request: RollbackRequest): Promise<string | undefined> {
  const circumstances = anyCircumstances(run, dice);
  const planOfDigest = (digest: string) => run.seen.keyOf("digest", digest);
  const prediction = rollback(run.world, request, { ...circumstances, planOfDigest });
  run.requested.push(request);
  if (circumstances.killed !== undefined && prediction.starts !== false) {
    await killRollback(run, request, prediction, circumstances.killed);
    if (dice.oneIn(2)) await askRollback(run, dice, request);
    return undefined;
  }
  const { meanwhile = [], joined } = circumstances;
  if (prediction.starts && meanwhile.length > 0)
    run.log(`before its first commit, another writer commits ${show(meanwhile)}`);
  if (prediction.starts && joined !== undefined) run.log(`before its first commit, a consumer joins ${show(joined)}`);
  const { faults } = run.faults.storage;
  const start = faults.when(journalCallOf(prediction.starts), async () => {
    for (const { group, key, commit } of meanwhile) await send(run, new Map([[group, new Map([[key, commit]])]]));
    if (joined !== undefined) run.joined = { group: joined, member: await run.outside.join(joined) };
    return undefined;
  });
  const answer = await ask(run, "rollback", request, prediction);
  faults.clear();
  expect(start.happened, "whether the rollback started").toBe(prediction.starts !== false);
  countAnswer(run, answer);
  const { plan_digest, safety_snapshot_id } = answer;
  if (prediction.starts === "new" && typeof safety_snapshot_id === "string")
    await showSnapshot(run, safety_snapshot_id);
  if (typeof plan_digest !== "string") return undefined;
  run.digests.push(plan_digest);
  return plan_digest;
}

/** Deletes the lease of a killed rollback, which would expire after 20 s. */
async function freeLease({ faults: { storage } }: Run): Promise<void> {
  const { dynamodb, config } = storage;
  for (const { pk, sk } of await storage.items("lease")) {
    if (pk && sk) await dynamodb.send(new DeleteItemCommand({ TableName: config.table, Key: { pk, sk } }));
  }
}

/** Runs a rollback in a process that is killed, and compares its journal record with the prediction. */
async function killRollback(
  run: Run,
  request: RollbackRequest,
  { starts, expected, after }: RollbackPrediction,
  when: "early" | "late",
): Promise<void> {
  run.log(`rollback ${JSON.stringify(request)} is killed, ${when}`);
  run.count(`killed ${when}, ${starts}`);
  const { faults } = run.faults.storage;
  const worker = run.faults.startWorker("rollback", JSON.parse(JSON.stringify(request)));
  const moment = when === "early" ? journalCallOf(starts) : { action: "UpdateItem", body: ":result_name" };
  const killed = faults.when({ ...moment, at: when === "early" ? "answer" : "call" }, () => {
    worker.kill();
    return when === "early" ? "lost" : "breaks";
  });
  expect(await worker.answer, "the answer of a killed process").toBeUndefined();
  expect(killed.happened).toBe(true);
  const { rollback_id } = await ask(run, "rollback", request, model.failing(run.world, "RollbackInProgress"));
  await freeLease(run);
  requireSame(run, expected, { result: await recordOf(run, String(rollback_id)) }, "rollbacks");
  run.world = after((unseen) => run.seen.of(unseen));
  const safetyId = run.world.rollbacks.at(-1)?.safetyId;
  if (starts === "new" && safetyId) await showSnapshot(run, safetyId);
}

function countAnswer({ count }: Run, answer: { readonly [field: string]: unknown }): void {
  for (const flag of ["dry_run", "repeated", "resumed"]) if (answer[flag] === true) count(flag);
  if (answer.status !== undefined) count(`status ${answer.status}`);
  for (const { kind } of Object(answer.blockers ?? [])) count(`blocker ${kind}`);
  for (const group of Object.values(Object(answer.groups))) {
    for (const partition of Object.values(Object(group).partitions)) {
      const { outcome, action, asked } = Object(partition);
      count(outcome === undefined ? `action ${action}` : `outcome ${outcome}`);
      if (asked !== undefined && outcome === "restored") count("clamped and restored");
    }
  }
}

const UNKNOWN = "snapshot-2025-01-15T10:30:00Z";
const literal = (name: string): model.Selector => (/[*?]/.test(name) ? { name } : name);

function anyGroups({ name, names }: Run, dice: Dice, existing: readonly string[]): model.Selector[] | undefined {
  if (existing.length === 0 || dice.oneIn(2)) return undefined;
  return dice.pick([
    dice.some(existing).map(literal),
    dice.some(existing).map(literal),
    [`${name}*`],
    [`${name}?*`, ...dice.some(existing).map(literal)],
    [literal(dice.pick(existing)), `${name}.none*`],
    [literal(dice.pick(names.groups))],
  ]);
}

function anyPart(run: Run, dice: Dice, saved: model.Saved | undefined): model.PartRequest {
  const commits = saved?.commits ?? new Map<string, model.Commits>();
  const groups = anyGroups(run, dice, [...commits.keys()]);
  const savedTopics = [...model.topicsOf(model.keysOf(commits.values()))];
  const prefix = `t${run.name}`;
  const partitions = Map.groupBy(dice.some(model.keysOf(commits.values())).map(model.placeOf), ({ topic }) => topic);
  const some = [
    [...partitions].map(([topic, places]) => `${topic}:${[...new Set(places.map(({ partition }) => partition))]}`),
    [`${prefix}*:${dice.pick(["0", "1,2", "7"])}`, ...dice.some(savedTopics)],
    [`${dice.pick(run.names.topics)}:${dice.pick(["0,1", "7"])}`],
    dice.some(savedTopics),
    dice.some(savedTopics),
    [`${prefix}.t-*`],
    [`${prefix}*`, "none*"],
    [dice.pick(run.names.topics)],
  ];
  const topics = savedTopics.length > 0 && dice.oneIn(4) ? dice.pick(some) : undefined;
  return { ...(groups && { groups }), ...(topics && { topics }) };
}

const anySaved = ({ world }: Run, dice: Dice) => (world.snapshots.length > 0 ? dice.pick(world.snapshots) : undefined);

function anyReference(dice: Dice, saved: model.Saved | undefined): string | { at: string } {
  if (saved === undefined || dice.oneIn(40)) return UNKNOWN;
  if (dice.oneIn(12)) return "latest";
  if (!dice.oneIn(12)) return saved.id;
  return { at: new Date(model.takenAt(saved) + dice.pick([0, 0, 1_000, 1_000, -3_600_000])).toISOString() };
}

/** Maps each group to one of the others, by its name or by a pattern. It mostly leaves the mapped groups alone. */
function anyMap({ name, names }: Run, dice: Dice, sources: readonly string[]): Record<string, string> {
  if (dice.oneIn(3)) {
    // The star of a target stands for a dot, or for nothing: no other groups than those of the history are made.
    const toProto = { [`${name}*b`]: `${name}*__proto__` };
    const toB = { [`${name}*7`]: `${name}*.b` };
    return dice.pick([toProto, { [`${name}*__proto__`]: `${name}*b` }, toB, { ...toProto, [`${name}.b`]: `${name}?` }]);
  }
  const targets = new Set(dice.oneIn(10) ? names.groups : names.groups.filter((group) => !sources.includes(group)));
  const pairs = sources.flatMap((source) => {
    const others = [...targets].filter((group) => group !== source);
    if (others.length === 0) return [];
    const target = dice.pick(others);
    if (!dice.oneIn(20)) targets.delete(target);
    return dice.oneIn(20) ? [] : [[source, target]];
  });
  return Object.fromEntries(pairs.length > 0 ? pairs : [[name, `${name}.b`]]);
}

function anyRollback(run: Run, dice: Dice): RollbackRequest {
  const saved = anySaved(run, dice);
  const part = anyPart(run, dice, saved);
  const chosen = [...(saved?.commits.keys() ?? [])].filter(
    (group) => !part.groups || model.pickedBy(part.groups, group),
  );
  const snapshot_id = anyReference(dice, saved);
  const isSmall = snapshot_id === saved?.id && chosen.length === 1; // so that a summary leaves nothing out
  const out_of_range = dice.pick([undefined, undefined, "refuse", "clamp", "clamp", "skip"] as const);
  return {
    snapshot_id,
    ...part,
    ...(isSmall && dice.oneIn(4) && { detail: "summary" as const }),
    ...(dice.oneIn(5) && { dry_run: true }),
    ...(dice.oneIn(6) && { verify: false }),
    ...dice.pick([
      {},
      {},
      {},
      { exact: true },
      { uncommitted: dice.pick(["delete", "log_start", "snapshot_end"] as const) },
    ]),
    ...(out_of_range && { out_of_range }),
    ...(dice.oneIn(3) && { skip_blocked: true }),
    ...(dice.oneIn(8) && run.joined === undefined && { wait_for_empty_seconds: 5 }),
    ...(dice.oneIn(16) && run.digests.length > 0 && { plan_digest: dice.pick(run.digests) }),
    ...(dice.oneIn(7) && { group_map: anyMap(run, dice, chosen) }),
    ...(dice.oneIn(5) && { rollback_id: `${run.name}-${dice.pick(["1", "2", `n${run.requested.length}`])}` }),
    ...(dice.oneIn(5) && { requested_by: "ana" }),
    ...(dice.oneIn(4) && { description: "after the incident" }),
  };
}

async function takeSnapshot(run: Run, dice: Dice): Promise<void> {
  const groups = anyGroups(run, dice, [...run.world.groups.keys()]);
  const request = {
    groups: groups ?? [`${run.name}*`],
    ...(groups === undefined && dice.oneIn(5) && { exclude: [`${run.name}.*`] }),
    ...(dice.oneIn(3) && { description: "before the restore" }),
  };
  const { snapshot_id } = await ask(run, "snapshot", request, model.snapshot(run.world, request));
  if (typeof snapshot_id === "string") await showSnapshot(run, snapshot_id);
}

async function rollBackAsPlanned(run: Run, dice: Dice): Promise<void> {
  const { dry_run: _, ...request } = anyRollback(run, dice);
  const plan_digest = await askRollback(run, dice, { ...request, dry_run: true });
  if (plan_digest === undefined) return;
  if (dice.oneIn(4)) await commitSome(run, dice);
  await askRollback(run, dice, { ...request, plan_digest });
}

async function undo(run: Run, dice: Dice): Promise<void> {
  const last = run.world.rollbacks.findLast(({ safetyId }) => safetyId !== null);
  if (last?.safetyId) await askRollback(run, dice, { snapshot_id: last.safetyId, exact: true });
}

async function askAgain(run: Run, dice: Dice): Promise<void> {
  const request = dice.oneIn(3) && run.requested.length > 0 ? dice.pick(run.requested) : run.requested.at(-1);
  if (request === undefined) return;
  const { dry_run: _, ...again } = request;
  const otherwise = {
    ...(dice.oneIn(4) && { requested_by: "bob" }),
    ...(again.detail === "summary" && dice.oneIn(2) && { detail: "full" as const }),
    ...(dice.oneIn(6) && { verify: false }),
  };
  await askRollback(run, dice, { ...again, ...otherwise });
}

async function resume(run: Run, dice: Dice): Promise<void> {
  const { rollbacks } = run.world;
  const open = rollbacks.findLast(({ status, supersededBy }) => status !== "success" && supersededBy === undefined);
  const chosen = open ?? (rollbacks.length > 0 ? dice.pick(rollbacks) : undefined);
  const unknown = dice.oneIn(12);
  if (chosen === undefined && !unknown) return askRollback(run, dice, anyRollback(run, dice)).then(() => {});
  const request = { resume: chosen === undefined || unknown ? `${run.name}-unknown` : chosen.id };
  const options = { ...(dice.oneIn(3) && { skip_blocked: true }), ...(dice.oneIn(5) && { dry_run: true }) };
  await askRollback(run, dice, { ...request, ...options });
}

async function compareWithLive(run: Run, dice: Dice): Promise<void> {
  const saved = anySaved(run, dice);
  const part = anyPart(run, dice, saved);
  const snapshot_id = part.groups ? anyReference(dice, saved) : (saved?.id ?? UNKNOWN);
  const request = { snapshot_id, ...part, ...(dice.oneIn(4) && { fail_on_mismatch: true }) };
  await ask(run, "verify", request, model.verify(run.world, request));
}

async function compareSnapshots(run: Run, dice: Dice): Promise<void> {
  const [saved, other] = [anySaved(run, dice), dice.oneIn(2) ? anySaved(run, dice) : undefined];
  const part = anyPart(run, dice, saved);
  const from = part.groups ? anyReference(dice, saved) : (saved?.id ?? UNKNOWN);
  const request = { from, ...(other && { to: other.id }), ...part };
  await ask(run, "diff", request, model.diff(run.world, request));
}

async function deleteSnapshot(run: Run, dice: Dice): Promise<void> {
  const request = { snapshot_id: dice.oneIn(4) ? UNKNOWN : (anySaved(run, dice)?.id ?? UNKNOWN) };
  const undone = run.world.rollbacks.filter(({ safetyId }) => safetyId === request.snapshot_id);
  await ask(run, "delete", request, model.remove(run.world, request.snapshot_id, undone.length));
}

/** The rows of a list with these ids, from all pages: other histories also have rows. */
async function rowsOf(run: Run, verb: "list" | "rollbacks", request: object, field: string, ids: readonly string[]) {
  const rows: { readonly [field: string]: unknown }[] = [];
  for (
    let page: { readonly [field: string]: unknown } | undefined;
    page === undefined || page.next_token !== undefined;
  ) {
    const next = page === undefined ? {} : { next_token: page.next_token };
    page = Object(await run.faults.call(verb, { ...request, ...next }));
    rows.push(...Object(page)[verb === "list" ? "snapshots" : "rollbacks"]);
  }
  run.log(`${verb} ${JSON.stringify(request)}: ${rows.length} rows`);
  run.count(`${verb} answers`);
  return rows.filter((row) => ids.includes(String(row[field])));
}

async function listSnapshots(run: Run, dice: Dice): Promise<void> {
  const { snapshots } = run.world;
  const request = { limit: 3 + dice.below(20), since: new Date(run.began.getTime() - 1_000).toISOString() };
  const rows = await rowsOf(
    run,
    "list",
    request,
    "snapshot_id",
    snapshots.map(({ id }) => id),
  );
  requireSame(run, snapshots.map(model.rowOf).reverse(), rows, "list");
}

/** A rollback with its plan and its result, without fields that the model lacks. */
async function recordOf({ faults }: Run, rollback_id: string): Promise<object> {
  const {
    request: _,
    cluster_id: __,
    topic_ids: ___,
    leader_epochs: ____,
    ...shown
  } = Object(await faults.call("rollbacks", { rollback_id }));
  return shown;
}

async function listRollbacks(run: Run, dice: Dice): Promise<void> {
  const { rollbacks } = run.world;
  const records = rollbacks.map(record);
  const ids = rollbacks.map(({ id }) => id);
  const rows = await rowsOf(run, "rollbacks", { limit: 30 + dice.below(50) }, "rollback_id", ids);
  requireSame(run, records.map(({ row }) => row).reverse(), rows, "rollbacks");
  if (rollbacks.length === 0) return;
  const { row, ...more } = dice.pick(records);
  const shown = await recordOf(run, String(row.rollback_id));
  requireSame(run, { ...row, ...more }, shown, `rollbacks ${row.rollback_id}`);
}

const stepKinds: readonly Step[] = [
  ...repeat<Step>((run, dice) => askRollback(run, dice, anyRollback(run, dice)), 12),
  ...repeat(rollBackAsPlanned, 3),
  ...repeat(undo, 3),
  ...repeat(askAgain, 5),
  ...repeat(resume, 3),
  ...repeat(takeSnapshot, 3),
  compareWithLive,
  compareSnapshots,
  listSnapshots,
  listRollbacks,
  deleteSnapshot,
  ...repeat(commitSome, 9),
  ...repeat(deleteCommits, 2),
  deleteGroup,
  ...repeat(changeTopic, 5),
  ...repeat(joinOrLeave, 2),
  ...repeat(transact, 2),
];
