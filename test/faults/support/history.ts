import { DeleteItemCommand } from "@aws-sdk/client-dynamodb";
import { expect } from "vitest";
import type { Commit } from "../../../functions/shared/core/model.ts";
import type { Cluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { readCommits } from "../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets, deleteOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { expectAccepted } from "../../support/outcomes.ts";
import { Sight, show } from "./expected.ts";
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
import { type Member, type Outside, withOutside } from "./outside.ts";
import type { Offsets } from "./truth.ts";

/** A history: what it is called, and a random number for each of its steps. */
export interface History {
  /** What its groups and topics begin with, so that no other history has to do with them. */
  readonly name: string;
  readonly steps: readonly number[];
}

/** The names that a history may use. */
export interface Names {
  readonly groups: readonly string[];
  readonly topics: readonly string[];
}

/** Names that JavaScript, patterns, or the tables of tools take for something else. */
export const namesOf = ({ name }: History): Names => ({
  groups: ["", ".b", ".*", ".__proto__", " ü\u{1F600} c", "?", "7"].map((suffix) => `${name}${suffix}`),
  topics: [".t", ".t-1", ".t-1-0"].map((suffix) => `t${name}${suffix}`),
});

/** A history as it is played. */
interface Stage {
  readonly faults: FaultHarness;
  readonly cluster: Cluster;
  readonly outside: Outside;
  readonly sight: Sight;
  readonly name: string;
  readonly names: Names;
  readonly began: Date;
  world: World;
  /** How many topics there have been. */
  lives: number;
  /** The group that has a consumer. */
  held?: { readonly group: string; readonly member: Member } | undefined;
  /** The rollbacks that were asked for, and the digests that plans were answered with. */
  readonly asked: RollbackRequest[];
  readonly digests: string[];
  tell(line: string): void;
  count(what: string): void;
}

/** Choices out of a random number. Mulberry32. */
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
    for (const [i, one] of list.entries()) if (i === chosen) return one;
    throw new Error("there is nothing to pick from");
  };
  return {
    below,
    pick,
    /** True in one of so many times. */
    oneIn: (n: number) => below(n) === 0,
    /** One of them at least, if there are any. */
    some<T>(list: readonly T[]): T[] {
      const picked = list.filter(() => below(2) === 0);
      return picked.length > 0 || list.length === 0 ? picked : [pick(list)];
    },
  };
}

const often = <T>(one: T, times: number): T[] => Array.from({ length: times }, () => one);

type Dice = ReturnType<typeof diceOf>;
type Act = (stage: Stage, dice: Dice) => Promise<unknown>;

/**
 * Plays a history on Kafka and with the functions: each step, chosen by its number, is something that happens in Kafka or a
 * request. After each, the answer and every group are held against the model.
 *
 * @param count is told what was seen
 * @returns where the groups stand in the end
 * @throws Error that says what differs, and tells the history up to there
 */
export async function play(faults: FaultHarness, history: History, count: (what: string) => void): Promise<Offsets> {
  const told: string[] = [];
  const act = (cluster: Cluster) =>
    withOutside(faults.kafka.bootstrapServers, cluster, async (outside) => {
      const stage: Stage = {
        faults,
        cluster,
        outside,
        sight: new Sight(),
        name: history.name,
        names: namesOf(history),
        began: new Date(),
        world: { topics: new Map(), groups: new Map(), snapshots: [], rollbacks: [], taken: 0 },
        lives: 0,
        asked: [],
        digests: [],
        tell: (line) => told.push(line),
        count,
      };
      try {
        await actAll(stage, history.steps);
      } finally {
        await leave(stage);
        await freeLease(stage);
      }
      return model.perKey(said(stage), (commits) => model.perKey(commits, ({ offset }) => offset));
    });
  try {
    return await faults.onCluster(act, 300_000);
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${what}\n\nThe history:\n${told.join("\n")}`, { cause });
  }
}

async function actAll(stage: Stage, [first = 0, ...rest]: readonly number[]): Promise<void> {
  const opening = diceOf(first);
  for (const topic of stage.names.topics.slice(0, 2)) await createTopic(stage, topic, 3, 6);
  await commit(stage, commitsOn(stage, opening, stage.names.groups.slice(0, 4)));
  await takeSnapshot(stage, opening);
  for (const seed of rest) {
    const dice = diceOf(seed);
    await forgetGroups(stage);
    await dice.pick(acts)(stage, dice);
    await compare(stage);
  }
}

// What happens in Kafka

const isFree = (stage: Stage) => stage.names.groups.filter((group) => group !== stage.held?.group);
const partitionsOf = ({ world }: Stage) =>
  [...world.topics].flatMap(([topic, { logs }]) => logs.map((_, i) => `${topic}-${i}`));

function setTopic(stage: Stage, topic: string, logs: model.Topic["logs"]): void {
  const { life } = stage.world.topics.get(topic) ?? { life: ++stage.lives };
  stage.world = { ...stage.world, topics: new Map([...stage.world.topics, [topic, { life, logs }]]) };
}

async function createTopic(stage: Stage, topic: string, partitions: number, records: number): Promise<void> {
  stage.tell(`create ${topic} with ${partitions} partitions`);
  await stage.outside.createTopic(topic, partitions);
  const logs = Array.from({ length: partitions }, () => ({ start: 0n, end: 0n }));
  setTopic(stage, topic, logs);
  if (records > 0) await produce(stage, topic, logs, records);
}

async function produce(stage: Stage, topic: string, logs: model.Topic["logs"], each: number): Promise<void> {
  stage.tell(`produce ${each} records to each partition of ${topic}`);
  await stage.outside.produce(topic, logs.length, each);
  const longer = logs.map(({ start, end }) => ({ start, end: end + BigInt(each) }));
  setTopic(stage, topic, longer);
}

async function deleteTopic(stage: Stage, topic: string): Promise<void> {
  stage.tell(`delete ${topic}`);
  await stage.outside.deleteTopic(topic);
  const { topics, groups } = stage.world;
  const isElsewhere = (key: string) => model.placeOf(key).topic !== topic;
  stage.world = {
    ...stage.world,
    topics: model.only(topics, (other) => other !== topic),
    groups: model.perKey(groups, (group) => ({ ...group, commits: model.only(group.commits, isElsewhere) })),
  };
  // Kafka removes the commits on a topic that is gone by itself, some time later.
  const settled = { timeout: 20_000, interval: 20 };
  await expect.poll(() => stage.outside.commitsOf(stage.names.groups), settled).toEqual(said(stage));
}

function commitOn({ world }: Stage, dice: Dice, key: string): Commit {
  const { topic, partition } = model.placeOf(key);
  const { start = 0n, end = 0n } = world.topics.get(topic)?.logs[partition] ?? {};
  const inside = start + BigInt(dice.below(Number(end - start) + 1));
  const outside = dice.pick([end + 1n, start > 0n ? start - 1n : end + 2n, 9007199254740993n]);
  const offset = dice.oneIn(12) ? outside : inside;
  const metadata = dice.pick(["", "", "m", 'é "\u{1F600}']);
  const leaderEpoch = dice.oneIn(20) ? 5 : dice.pick([undefined, 0]);
  return leaderEpoch === undefined ? { offset, metadata } : { offset, metadata, leaderEpoch };
}

const commitsOn = (stage: Stage, dice: Dice, groups: readonly string[]) =>
  new Map(
    groups.map((group) => {
      const keys = dice.some(partitionsOf(stage)).slice(0, 5);
      return [group, new Map(keys.map((key) => [key, commitOn(stage, dice, key)]))];
    }),
  );

async function send({ cluster }: Stage, commits: ReadonlyMap<string, model.Commits>): Promise<void> {
  expectAccepted(await commitOffsets(cluster, commits));
}

async function commit(stage: Stage, commits: ReadonlyMap<string, model.Commits>): Promise<void> {
  stage.tell(`commit ${show(commits)}`);
  await send(stage, commits);
  for (const [group, of] of commits) {
    for (const [key, one] of of) stage.world = model.committed(stage.world, group, key, one);
  }
}

async function commitSome(stage: Stage, dice: Dice): Promise<void> {
  if (stage.world.topics.size > 0) await commit(stage, commitsOn(stage, dice, dice.some(isFree(stage)).slice(0, 3)));
}

async function deleteCommits(stage: Stage, dice: Dice): Promise<void> {
  const some = isFree(stage).filter((group) => (stage.world.groups.get(group)?.commits.size ?? 0) > 0);
  if (some.length === 0) return;
  const group = dice.pick(some);
  const keys = dice.some([...(stage.world.groups.get(group)?.commits.keys() ?? [])]);
  stage.tell(`delete the commits of ${show(group)} on ${keys}`);
  const outcomes = (await deleteOffsets(stage.cluster, new Map([[group, keys]]))).get(group);
  for (const key of keys) {
    expect(outcomes?.get(key)).toEqual({ kind: "accepted" });
    stage.world = model.committed(stage.world, group, key, null);
  }
}

async function deleteGroup(stage: Stage, dice: Dice): Promise<void> {
  const group = dice.pick(isFree(stage));
  if (!stage.world.groups.has(group)) return;
  stage.tell(`delete group ${show(group)}`);
  await stage.outside.deleteGroups([group]);
  stage.world = { ...stage.world, groups: model.only(stage.world.groups, (other) => other !== group) };
}

async function changeTopic(stage: Stage, dice: Dice): Promise<void> {
  const topic = dice.pick(stage.names.topics);
  const logs = stage.world.topics.get(topic)?.logs;
  if (logs === undefined) return createTopic(stage, topic, dice.pick([2, 3, 4]), dice.pick([0, 3, 6]));
  const change = dice.pick(["produce", ...often("delete records", 3), "add a partition", "delete", "recreate"]);
  if (change === "produce") return produce(stage, topic, logs, 1 + dice.below(4));
  if (change === "add a partition") {
    stage.tell(`add a partition to ${topic}`);
    await stage.outside.addPartitions(topic, logs.length + 1);
    setTopic(stage, topic, [...logs, { start: 0n, end: 0n }]);
  } else if (change === "delete records") {
    const partition = dice.below(logs.length);
    const { start = 0n, end = 0n } = logs[partition] ?? {};
    const below = start + BigInt(dice.below(Number(end - start) + 1));
    stage.tell(`delete the records of ${topic}-${partition} below ${below}`);
    await stage.outside.deleteRecords(topic, partition, below);
    const shorter = logs.map((log, i) => (i === partition ? { start: below, end } : log));
    setTopic(stage, topic, shorter);
  } else {
    await deleteTopic(stage, topic);
    if (change === "recreate") await createTopic(stage, topic, dice.pick([1, 3, logs.length]), dice.pick([0, 2, 6]));
  }
}

async function joinOrLeave(stage: Stage, dice: Dice): Promise<void> {
  if (stage.held !== undefined) return leave(stage);
  const group = dice.pick(stage.names.groups);
  stage.tell(`a consumer joins ${show(group)}`);
  const member = await stage.outside.join(group);
  stage.held = { group, member };
  stage.world = model.held(stage.world, group, true);
  const keys = partitionsOf(stage);
  if (keys.length === 0 || dice.oneIn(2)) return;
  const key = dice.pick(keys);
  const { leaderEpoch: _, ...one } = commitOn(stage, dice, key);
  stage.tell(`it commits ${show(one)} on ${key}`);
  const { topic, partition } = model.placeOf(key);
  await member.commit(topic, partition, one);
  stage.world = model.committed(stage.world, group, key, one);
}

async function leave(stage: Stage): Promise<void> {
  if (stage.held === undefined) return;
  const { group, member } = stage.held;
  stage.tell(`the consumer leaves ${show(group)}`);
  stage.held = undefined;
  await member.leave();
  stage.world = model.held(stage.world, group, false);
}

/** Kafka removes an empty group without commits when it likes. */
async function forgetGroups(stage: Stage): Promise<void> {
  const { groups } = stage.world;
  if ([...groups.values()].every(({ held, commits }) => held || commits.size > 0)) return;
  const listed = await stage.outside.groups();
  stage.world = {
    ...stage.world,
    groups: model.only(groups, (group, { commits }) => commits.size > 0 || listed.has(group)),
  };
}

// Kafka, and the model

/** What an independent client is to say. */
const said = ({ world, names }: Stage) =>
  new Map(
    names.groups.map((group) => {
      const commits = world.groups.get(group)?.commits ?? new Map<string, Commit>();
      return [group, model.perKey(commits, ({ offset, metadata }) => ({ offset, metadata }))];
    }),
  );

async function compare(stage: Stage): Promise<void> {
  const inside = said(stage);
  expect(await stage.outside.commitsOf(stage.names.groups), "what kafkajs says").toEqual(inside);
  const { commits, errors } = await readCommits(
    stage.cluster,
    model.perKey(inside, (of) => of.keys()),
  );
  expect(errors).toEqual([]);
  const whole = model.perKey(inside, (_, group) => stage.world.groups.get(group)?.commits ?? new Map());
  expect(commits, "what we read ourselves").toEqual(whole);
}

function requireSame(stage: Stage, expected: unknown, actual: unknown, what: string): void {
  const wrong = stage.sight.differences(expected, actual);
  if (wrong.length > 0) throw new Error(`${what}: not as predicted:\n${wrong.slice(0, 12).join("\n")}`);
}

// What is asked of the functions

/** Asks a function, holds its answer against the prediction, and gives the result, or the details of the error. */
async function ask(
  stage: Stage,
  verb: Verb,
  request: object,
  { expected, after }: model.Prediction<World>,
): Promise<{ readonly [field: string]: unknown }> {
  stage.tell(`${verb} ${JSON.stringify(request)}`);
  const { result, error } = await stage.faults.ask(verb, JSON.parse(JSON.stringify(request)));
  stage.tell(`  ${(error === undefined ? show(result) : error.message).slice(0, 300)}`);
  stage.count(`${verb} ${error === undefined ? "answers" : error.name}`);
  const details = "error" in expected && "details" in expected.error && { details: error?.details };
  const answer = error === undefined ? { result } : { error: { name: error.name, message: error.message, ...details } };
  requireSame(stage, expected, answer, verb);
  stage.world = after((unseen) => stage.sight.of(unseen));
  return Object(result ?? error?.details ?? {});
}

const lookAt = (stage: Stage, id: string) => ask(stage, "show", { snapshot_id: id }, model.show(stage.world, id));

/** What happens while a rollback runs, if it comes to that. Commits are made where there are some already, for the most part. */
function anyCircumstances(stage: Stage, dice: Dice): Omit<Circumstances, "planOfDigest"> {
  if (dice.oneIn(14)) return { killed: dice.pick(["early", "late"] as const) };
  const joined = dice.oneIn(10) && stage.held === undefined ? dice.pick(stage.names.groups) : undefined;
  const groups = isFree(stage).filter((group) => group !== joined);
  const keys = partitionsOf(stage);
  const meanwhile = Array.from({ length: dice.oneIn(3) && keys.length > 0 ? 1 + dice.below(2) : 0 }, () => {
    const group = dice.pick(groups);
    const own = [...(stage.world.groups.get(group)?.commits.keys() ?? [])];
    const key = dice.pick(own.length > 0 && !dice.oneIn(4) ? own : keys);
    return { group, key, commit: commitOn(stage, dice, key) };
  });
  return { meanwhile, joined };
}

/** The call with which a rollback writes its journal, after its plan and before its first commit. */
const startOf = (starts: "afresh" | "again" | false) =>
  starts === "again"
    ? { action: "UpdateItem", body: "resumed_at" }
    : { action: "TransactWriteItems", body: "rollback-id" };

/** Asks for a rollback, and gives the digest of the plan, if it was answered with one. */
async function askRollback(stage: Stage, dice: Dice, request: RollbackRequest): Promise<string | undefined> {
  const around = anyCircumstances(stage, dice);
  const planOfDigest = (digest: string) => stage.sight.keyOf("digest", digest);
  const prediction = rollback(stage.world, request, { ...around, planOfDigest });
  stage.asked.push(request);
  if (around.killed !== undefined && prediction.starts !== false) {
    await killRollback(stage, request, prediction, around.killed);
    if (dice.oneIn(2)) await askRollback(stage, dice, request);
    return undefined;
  }
  const { meanwhile = [], joined } = around;
  if (prediction.starts && meanwhile.length > 0)
    stage.tell(`before its first commit, another writer commits ${show(meanwhile)}`);
  if (prediction.starts && joined !== undefined)
    stage.tell(`before its first commit, a consumer joins ${show(joined)}`);
  const { faults } = stage.faults.storage;
  const start = faults.when(startOf(prediction.starts), async () => {
    for (const { group, key, commit: one } of meanwhile) await send(stage, new Map([[group, new Map([[key, one]])]]));
    if (joined !== undefined) stage.held = { group: joined, member: await stage.outside.join(joined) };
    return undefined;
  });
  const answer = await ask(stage, "rollback", request, prediction);
  faults.clear();
  expect(start.happened, "that it came to commits").toBe(prediction.starts !== false);
  countAnswer(stage, answer);
  const { plan_digest, safety_snapshot_id } = answer;
  if (prediction.starts === "afresh" && typeof safety_snapshot_id === "string") await lookAt(stage, safety_snapshot_id);
  if (typeof plan_digest !== "string") return undefined;
  stage.digests.push(plan_digest);
  return plan_digest;
}

/** The lease of what was killed goes, as it would by itself in 20 s. */
async function freeLease({ faults: { storage } }: Stage): Promise<void> {
  const { dynamodb, config } = storage;
  for (const { pk, sk } of await storage.items("lease")) {
    if (pk && sk) await dynamodb.send(new DeleteItemCommand({ TableName: config.table, Key: { pk, sk } }));
  }
}

/** Lets a rollback run in a process of its own that is killed, and reads from the journal what was left of it. */
async function killRollback(
  stage: Stage,
  request: RollbackRequest,
  { starts, expected, after }: RollbackPrediction,
  when: "early" | "late",
): Promise<void> {
  stage.tell(`rollback ${JSON.stringify(request)} is killed, ${when}`);
  stage.count(`killed ${when}, ${starts}`);
  const { faults } = stage.faults.storage;
  const worker = stage.faults.startWorker("rollback", JSON.parse(JSON.stringify(request)));
  const moment = when === "early" ? startOf(starts) : { action: "UpdateItem", body: ":result_name" };
  const killed = faults.when({ ...moment, at: when === "early" ? "answer" : "call" }, () => {
    worker.kill();
    return when === "early" ? "lost" : "breaks";
  });
  expect(await worker.answer, "the answer of what is killed").toBeUndefined();
  expect(killed.happened).toBe(true);
  const { rollback_id } = await ask(stage, "rollback", request, model.failing(stage.world, "RollbackInProgress"));
  await freeLease(stage);
  requireSame(stage, expected, { result: await recordOf(stage, String(rollback_id)) }, "rollbacks");
  stage.world = after((unseen) => stage.sight.of(unseen));
  const safetyId = stage.world.rollbacks.at(-1)?.safetyId;
  if (starts === "afresh" && safetyId) await lookAt(stage, safetyId);
}

function countAnswer({ count }: Stage, answer: { readonly [field: string]: unknown }): void {
  for (const flag of ["dry_run", "repeated", "resumed"]) if (answer[flag] === true) count(flag);
  if (answer.status !== undefined) count(`status ${answer.status}`);
  for (const { kind } of Object(answer.blockers ?? [])) count(`blocker ${kind}`);
  for (const group of Object.values(Object(answer.groups))) {
    for (const one of Object.values(Object(group).partitions)) {
      const { outcome, action, asked } = Object(one);
      count(outcome === undefined ? `action ${action}` : `outcome ${outcome}`);
      if (asked !== undefined && outcome === "restored") count("clamped and restored");
    }
  }
}

const UNKNOWN = "snapshot-2025-01-15T10:30:00Z";
const literal = (name: string): model.Selector => (/[*?]/.test(name) ? { name } : name);

function anyGroups({ name, names }: Stage, dice: Dice, there: readonly string[]): model.Selector[] | undefined {
  if (there.length === 0 || dice.oneIn(2)) return undefined;
  return dice.pick([
    dice.some(there).map(literal),
    dice.some(there).map(literal),
    [`${name}*`],
    [`${name}?*`, ...dice.some(there).map(literal)],
    [literal(dice.pick(there)), `${name}.none*`],
    [literal(dice.pick(names.groups))],
  ]);
}

function anyPart(stage: Stage, dice: Dice, saved: model.Saved | undefined): model.PartRequest {
  const commits = saved?.commits ?? new Map<string, model.Commits>();
  const groups = anyGroups(stage, dice, [...commits.keys()]);
  const there = [...model.topicsOf(model.keysOf(commits.values()))];
  const prefix = `t${stage.name}`;
  const some = [
    dice.some(there),
    dice.some(there),
    [`${prefix}.t-*`],
    [`${prefix}*`, "none*"],
    [dice.pick(stage.names.topics)],
  ];
  const topics = there.length > 0 && dice.oneIn(4) ? dice.pick(some) : undefined;
  return { ...(groups && { groups }), ...(topics && { topics }) };
}

const anySaved = ({ world }: Stage, dice: Dice) =>
  world.snapshots.length > 0 ? dice.pick(world.snapshots) : undefined;

function anyReference(dice: Dice, saved: model.Saved | undefined): string | { at: string } {
  if (saved === undefined || dice.oneIn(40)) return UNKNOWN;
  if (dice.oneIn(12)) return "latest";
  if (!dice.oneIn(12)) return saved.id;
  return { at: new Date(model.takenAt(saved) + dice.pick([0, 0, 1_000, 1_000, -3_600_000])).toISOString() };
}

function anyMap(stage: Stage, dice: Dice, sources: readonly string[]): Record<string, string> {
  const targets = new Set(stage.names.groups);
  const pairs = sources.flatMap((source) => {
    const target = dice.pick([...targets].filter((group) => group !== source));
    if (!dice.oneIn(20)) targets.delete(target);
    return dice.oneIn(20) || targets.size < 2 ? [] : [[source, target]];
  });
  return Object.fromEntries(pairs.length > 0 ? pairs : [[stage.name, `${stage.name}.b`]]);
}

function anyRollback(stage: Stage, dice: Dice): RollbackRequest {
  const saved = anySaved(stage, dice);
  const part = anyPart(stage, dice, saved);
  const chosen = [...(saved?.commits.keys() ?? [])].filter(
    (group) => !part.groups || model.pickedBy(part.groups, group),
  );
  const out_of_range = dice.pick([undefined, undefined, "refuse", "clamp", "clamp", "skip"] as const);
  return {
    snapshot_id: anyReference(dice, saved),
    ...part,
    ...(dice.oneIn(5) && { dry_run: true }),
    ...(dice.oneIn(6) && { verify: false }),
    ...(dice.oneIn(3) && { exact: true }),
    ...(out_of_range && { out_of_range }),
    ...(dice.oneIn(3) && { skip_blocked: true }),
    ...(dice.oneIn(8) && stage.held === undefined && { wait_for_empty_seconds: 5 }),
    ...(dice.oneIn(16) && stage.digests.length > 0 && { plan_digest: dice.pick(stage.digests) }),
    ...(dice.oneIn(7) && { group_map: anyMap(stage, dice, chosen) }),
    ...(dice.oneIn(5) && { rollback_id: `${stage.name}-${dice.pick(["1", "2", `n${stage.asked.length}`])}` }),
    ...(dice.oneIn(5) && { requested_by: "ana" }),
    ...(dice.oneIn(4) && { description: "after the incident" }),
  };
}

async function takeSnapshot(stage: Stage, dice: Dice): Promise<void> {
  const groups = anyGroups(stage, dice, [...stage.world.groups.keys()]);
  const request = {
    groups: groups ?? [`${stage.name}*`],
    ...(groups === undefined && dice.oneIn(5) && { exclude: [`${stage.name}.*`] }),
    ...(dice.oneIn(3) && { description: "before the restore" }),
  };
  const { snapshot_id } = await ask(stage, "snapshot", request, model.snapshot(stage.world, request));
  if (typeof snapshot_id === "string") await lookAt(stage, snapshot_id);
}

async function rollBackAsPlanned(stage: Stage, dice: Dice): Promise<void> {
  const { dry_run: _, ...request } = anyRollback(stage, dice);
  const plan_digest = await askRollback(stage, dice, { ...request, dry_run: true });
  if (plan_digest === undefined) return;
  if (dice.oneIn(4)) await commitSome(stage, dice);
  await askRollback(stage, dice, { ...request, plan_digest });
}

async function undo(stage: Stage, dice: Dice): Promise<void> {
  const last = stage.world.rollbacks.findLast(({ safetyId }) => safetyId !== null);
  if (last?.safetyId) await askRollback(stage, dice, { snapshot_id: last.safetyId, exact: true });
}

async function askAgain(stage: Stage, dice: Dice): Promise<void> {
  const request = dice.oneIn(3) && stage.asked.length > 0 ? dice.pick(stage.asked) : stage.asked.at(-1);
  if (request === undefined) return;
  const { dry_run: _, ...again } = request;
  const otherwise = { ...(dice.oneIn(4) && { requested_by: "bob" }), ...(dice.oneIn(6) && { verify: false }) };
  await askRollback(stage, dice, { ...again, ...otherwise });
}

async function resume(stage: Stage, dice: Dice): Promise<void> {
  const { rollbacks } = stage.world;
  const open = rollbacks.findLast(({ status, supersededBy }) => status !== "success" && supersededBy === undefined);
  const one = open ?? (rollbacks.length > 0 ? dice.pick(rollbacks) : undefined);
  const unknown = dice.oneIn(12);
  if (one === undefined && !unknown) return askRollback(stage, dice, anyRollback(stage, dice)).then(() => {});
  const request = { resume: one === undefined || unknown ? `${stage.name}-unknown` : one.id };
  const options = { ...(dice.oneIn(3) && { skip_blocked: true }), ...(dice.oneIn(5) && { dry_run: true }) };
  await askRollback(stage, dice, { ...request, ...options });
}

async function compareWithLive(stage: Stage, dice: Dice): Promise<void> {
  const saved = anySaved(stage, dice);
  const part = anyPart(stage, dice, saved);
  const request = { snapshot_id: saved?.id ?? UNKNOWN, ...part, ...(dice.oneIn(4) && { fail_on_mismatch: true }) };
  await ask(stage, "verify", request, model.verify(stage.world, request));
}

async function compareSnapshots(stage: Stage, dice: Dice): Promise<void> {
  const [saved, other] = [anySaved(stage, dice), dice.oneIn(2) ? anySaved(stage, dice) : undefined];
  const request = { from: saved?.id ?? UNKNOWN, ...(other && { to: other.id }), ...anyPart(stage, dice, saved) };
  await ask(stage, "diff", request, model.diff(stage.world, request));
}

async function deleteSnapshot(stage: Stage, dice: Dice): Promise<void> {
  const request = { snapshot_id: dice.oneIn(4) ? UNKNOWN : (anySaved(stage, dice)?.id ?? UNKNOWN) };
  await ask(stage, "delete", request, model.remove(stage.world, request.snapshot_id));
  stage.sight.forget("snapshot", request.snapshot_id); // within the same second, it is the id of the next one again
}

/** All rows of a list, of which other histories have some too: those of some ids. */
async function rowsOf(
  stage: Stage,
  verb: "list" | "rollbacks",
  request: object,
  field: string,
  ids: readonly string[],
) {
  const rows: { readonly [field: string]: unknown }[] = [];
  for (
    let page: { readonly [field: string]: unknown } | undefined;
    page === undefined || page.next_token !== undefined;
  ) {
    const next = page === undefined ? {} : { next_token: page.next_token };
    page = Object(await stage.faults.call(verb, { ...request, ...next }));
    rows.push(...Object(page)[verb === "list" ? "snapshots" : "rollbacks"]);
  }
  stage.tell(`${verb} ${JSON.stringify(request)}: ${rows.length} rows`);
  stage.count(`${verb} answers`);
  return rows.filter((row) => ids.includes(String(row[field])));
}

async function listSnapshots(stage: Stage, dice: Dice): Promise<void> {
  const { snapshots } = stage.world;
  const request = { limit: 3 + dice.below(20), since: new Date(stage.began.getTime() - 1_000).toISOString() };
  const rows = await rowsOf(
    stage,
    "list",
    request,
    "snapshot_id",
    snapshots.map(({ id }) => id),
  );
  requireSame(stage, snapshots.map(model.rowOf).reverse(), rows, "list");
}

/** A rollback with its plan and its result, without what the model does not have. */
async function recordOf({ faults }: Stage, rollback_id: string): Promise<object> {
  const {
    request: _,
    cluster_id: __,
    topic_ids: ___,
    ...told
  } = Object(await faults.call("rollbacks", { rollback_id }));
  return told;
}

async function listRollbacks(stage: Stage, dice: Dice): Promise<void> {
  const { rollbacks } = stage.world;
  const records = rollbacks.map(record);
  const ids = rollbacks.map(({ id }) => id);
  const rows = await rowsOf(stage, "rollbacks", { limit: 30 + dice.below(50) }, "rollback_id", ids);
  requireSame(stage, records.map(({ row }) => row).reverse(), rows, "rollbacks");
  if (rollbacks.length === 0) return;
  const { row, ...whole } = dice.pick(records);
  const told = await recordOf(stage, String(row.rollback_id));
  requireSame(stage, { ...row, ...whole }, told, `rollbacks ${row.rollback_id}`);
}

const acts: readonly Act[] = [
  ...often<Act>((stage, dice) => askRollback(stage, dice, anyRollback(stage, dice)), 12),
  ...often(rollBackAsPlanned, 3),
  ...often(undo, 3),
  ...often(askAgain, 5),
  ...often(resume, 3),
  ...often(takeSnapshot, 3),
  compareWithLive,
  compareSnapshots,
  listSnapshots,
  listRollbacks,
  deleteSnapshot,
  ...often(commitSome, 9),
  ...often(deleteCommits, 2),
  deleteGroup,
  ...often(changeTopic, 5),
  ...often(joinOrLeave, 2),
];
