import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { type AttributeValue, DeleteItemCommand, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { DeleteObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { expect, test } from "vitest";
import { required } from "../support/required.ts";
import { member } from "./support/consumers.ts";
import { faultHarness, type Scenario } from "./support/harness.ts";

const faults = faultHarness();

type Item = Record<string, AttributeValue>;

const put = (Item: Item) =>
  faults.storage.dynamodb.send(new PutItemCommand({ TableName: faults.storage.config.table, Item }));
const remove = ({ pk, sk }: Item) =>
  pk &&
  sk &&
  faults.storage.dynamodb.send(new DeleteItemCommand({ TableName: faults.storage.config.table, Key: { pk, sk } }));
/** Frees the lease of a process that was killed. It would expire after 20 s. */
const freeLease = async () => {
  for (const item of await faults.storage.items("lease")) await remove(item);
};
const records = async (request: object = {}) => Object(await faults.call("rollbacks", request));

/** A rollback whose journal record was not closed. */
async function unclosed({ snapshotId }: Scenario, more: object = {}) {
  faults.storage.faults.on("UpdateItem", "breaks");
  const { result } = await faults.rollback({ snapshot_id: snapshotId, ...more });
  faults.storage.faults.clear();
  if (result === undefined) throw new Error("the rollback has no result");
  return result;
}

/** Runs a rollback in a process that is killed right after it has opened its journal record, and returns the id. */
async function killedAfterOpening(request: object): Promise<string> {
  const worker = faults.startWorker("rollback", request);
  const opened = faults.storage.faults.when({ action: "TransactWriteItems", at: "answer" }, () => {
    worker.kill();
    return "lost";
  });
  expect(await worker.answer).toBeUndefined();
  expect(opened.happened).toBe(true);
  await freeLease();
  const { rollbacks } = await records({ limit: 1 });
  return rollbacks[0].rollback_id;
}

test("records that cannot be read stop no rollback of other groups, neither a new, a resumed nor a repeated one", async () => {
  const scenario = await faults.scenario(3);
  const { snapshotId, saved, moved } = scenario;
  const first = await unclosed(scenario);
  const [record = {}] = await faults.storage.items("rollback");
  await put({ pk: { S: "rollback" }, sk: { S: "zzz" } });
  const newer = {
    sk: { S: `${new Date().toISOString()}#r-newer` },
    rollback_id: { S: "r-newer" },
    group_names: { S: '["others"]' },
    status: { S: "paused" },
  };
  await put({ ...record, ...newer });
  const leftOut = ["zzz", newer.sk.S].map((key) =>
    expect.stringContaining(
      `Left out of the search for earlier rollbacks, because it cannot be read: the item rollback / "${key}"`,
    ),
  );

  const dryRun = Object(await faults.call("rollback", { resume: first.rollback_id, dry_run: true }));
  expect(dryRun.warnings).toEqual(expect.arrayContaining(leftOut));
  const resumed = await faults.rollback({ resume: first.rollback_id });
  expect(resumed).toMatchObject({ result: { status: "success", warnings: expect.arrayContaining(leftOut) } });
  const repeated = await faults.rollback({ snapshot_id: snapshotId });
  expect(repeated).toMatchObject({ result: { repeated: true, warnings: expect.arrayContaining(leftOut) } });
  await faults.commit(moved);
  const again = await faults.rollback({ snapshot_id: snapshotId });
  expect(again).toMatchObject({ result: { status: "success", warnings: expect.arrayContaining(leftOut) } });
  expect(again.result?.rollback_id).not.toBe(first.rollback_id);
  await faults.requireCommits(saved, await faults.requireAgreement(again));

  expect(await faults.safetySnapshots()).toHaveLength(2);
  const { rollbacks, warnings } = await records();
  expect(rollbacks).toMatchObject([{ rollback_id: again.result?.rollback_id }, { rollback_id: first.rollback_id }]);
  expect(warnings).toHaveLength(2);
  const { result, error } = await faults.ask("rollback", { resume: "r-newer" });
  expect([result, error?.name]).toEqual([undefined, "RollbackNotFound"]);
});

test("a rollback is not resumed that a newer one may have followed, whose record cannot be read", async () => {
  const scenario = await faults.scenario(3);
  const { snapshotId, saved, moved } = scenario;
  const first = await unclosed(scenario);
  await faults.commit(moved);
  const [record = {}] = await faults.storage.items("rollback");
  const sk = { S: `${new Date().toISOString()}#r-newer` };
  const newer = { ...record, sk, rollback_id: { S: "r-newer" }, status: { S: "paused" } };
  await put(newer);

  const refused = (await faults.rollback({ resume: first.rollback_id })).error;
  expect(refused).toMatchObject({ name: "JournalCorrupt" });
  expect(refused?.message).toMatch(
    /^JournalCorrupt: whether a newer rollback moved the groups of .* is not known, .*#r-newer" is not what was written: status.*start a new rollback, with a dry run/,
  );
  await put({ ...newer, group_names: { S: "[" } });
  expect((await faults.rollback({ resume: first.rollback_id })).error).toMatchObject({ name: "JournalCorrupt" });
  const anew = await faults.rollback({ snapshot_id: snapshotId });
  expect(anew.result).toMatchObject({ status: "success" });
  expect(anew.result?.rollback_id).not.toBe(first.rollback_id);
  await faults.requireCommits(saved, await faults.requireAgreement(anew));
});

test("a plan or result that is not what was written is JournalCorrupt, also where it is only shown", async () => {
  const scenario = await faults.scenario(1);
  const { result } = await faults.rollback({ snapshot_id: scenario.snapshotId });
  const [record = {}] = await faults.storage.items("rollback");
  const deep = gzipSync(`{"groups":${"[".repeat(200)}${"]".repeat(200)}}`);
  const sha256 = createHash("sha256").update(deep).digest("hex");
  const { s3, config } = faults.storage;
  const Key = (await faults.storage.keys()).find((key) => key.includes(record.result_name?.S ?? "?"));
  await s3.send(new PutObjectCommand({ Bucket: config.bucket, Key, Body: deep }));
  await put({ ...record, result_sha256: { S: sha256 } });
  for (const [verb, request] of [
    ["rollbacks", { rollback_id: result?.rollback_id }],
    ["rollback", { resume: result?.rollback_id }],
  ] as const) {
    expect((await faults.ask(verb, request)).error).toMatchObject({
      name: "JournalCorrupt",
      message: expect.stringContaining(`the journal of ${result?.rollback_id} is not what was written: result.groups`),
    });
  }
});

test("a plan that cannot be read stops only what needs it, and a new rollback warns of it", async () => {
  const scenario = await faults.scenario(3);
  const { snapshotId, saved, moved } = scenario;
  const first = await unclosed(scenario);
  await faults.commit(moved);
  const { s3, config } = faults.storage;
  for (const Key of await faults.storage.keys()) {
    if (Key.includes(first.rollback_id)) await s3.send(new DeleteObjectCommand({ Bucket: config.bucket, Key }));
  }
  expect((await faults.rollback({ resume: first.rollback_id })).error).toMatchObject({ name: "JournalCorrupt" });
  const again = await faults.rollback({ snapshot_id: snapshotId });
  expect(again.result?.warnings).toEqual([
    expect.stringContaining(`${first.rollback_id} had not reached all its targets. This rollback supersedes it`),
    expect.stringMatching(`cannot be read: the plan in the journal of ${first.rollback_id} is missing`),
    expect.stringContaining("may not have been recognised"),
  ]);
  await faults.requireCommits(saved, await faults.requireAgreement(again));
});

test("a lease that cannot be read stops rollbacks, with the next step, and no list of them", async () => {
  const scenario = await faults.scenario(3);
  const { rollback_id } = await unclosed(scenario);
  await put({ pk: { S: "lease" }, sk: { S: "rollback" }, rollback_id: { S: "r" } });
  expect((await faults.rollback({ resume: rollback_id })).error).toMatchObject({
    name: "JournalCorrupt",
    message: expect.stringMatching(
      /token is missing.*A rollback runs at most 15 minutes\. .* delete the item: aws dynamodb/,
    ),
  });
  expect(await records()).toMatchObject({
    rollbacks: [{ rollback_id, status: "running" }],
    warnings: [expect.stringMatching(/^Whether a rollback is running is not known/)],
  });
  await freeLease();
  expect(await records()).toMatchObject({ rollbacks: [{ rollback_id, status: "unfinished" }], warnings: [] });
});

test("a rollback that was killed before it superseded an older one does so when it is resumed, and the older one is refused", async () => {
  const scenario = await faults.scenario(3);
  const { snapshotId, moved, saved } = scenario;
  const older = await unclosed(scenario, { rollback_id: "older" });
  const undo = { snapshot_id: older.safety_snapshot_id, exact: true };
  const id = await killedAfterOpening(undo);
  expect(await records()).toMatchObject({
    rollbacks: [
      { rollback_id: id, status: "unfinished" },
      { rollback_id: "older", status: "unfinished" },
    ],
  });

  for (const request of [
    { resume: "older" },
    { resume: "older", dry_run: true },
    { snapshot_id: snapshotId, rollback_id: "older" },
  ]) {
    expect((await faults.rollback(request)).error).toMatchObject({
      name: "InvalidRequest",
      message: expect.stringMatching(
        `older was followed by ${id} \\(running, started .* could revert that rollback, so it is refused`,
      ),
    });
  }
  await faults.requireCommits(saved, await faults.offsetsByTool(scenario.groups));
  const undone = await faults.rollback(undo);
  expect(undone.result).toMatchObject({
    rollback_id: id,
    resumed: true,
    warnings: expect.arrayContaining([
      expect.stringContaining("older had not reached all its targets. This rollback supersedes it"),
    ]),
  });
  await faults.requireCommits(moved, await faults.requireAgreement(undone));
  expect(await records()).toMatchObject({
    rollbacks: [
      { rollback_id: id, status: "success" },
      { rollback_id: "older", status: "superseded", superseded_by: id },
    ],
  });
  expect((await faults.rollback({ resume: "older" })).error).toMatchObject({
    name: "InvalidRequest",
    message: expect.stringContaining(`older was superseded by ${id}`),
  });
});

test("a repeated request does not resume a rollback that a newer one followed: it starts a new one", async () => {
  const scenario = await faults.scenario(3);
  const older = await unclosed(scenario);
  const id = await killedAfterOpening({ snapshot_id: older.safety_snapshot_id });
  const again = await faults.rollback({ snapshot_id: scenario.snapshotId });
  expect(again.result).toMatchObject({ status: "success", safety_snapshot_id: null });
  expect([older.rollback_id, id]).not.toContain(again.result?.rollback_id);
  expect(again.result?.warnings).toHaveLength(2);
  expect(await records()).toMatchObject({
    rollbacks: [{ status: "success" }, { rollback_id: id, status: "superseded" }, { status: "superseded" }],
  });
});

test("a rollback that cannot mark an older one as superseded succeeds, and says so", async () => {
  const scenario = await faults.scenario(3);
  const older = await unclosed(scenario);
  await faults.commit(scenario.moved);
  faults.storage.faults.when({ action: "UpdateItem", body: "superseded_by" }, () => {
    faults.storage.faults.on("UpdateItem", "denied", 1);
    return "denied";
  });
  const { result } = await faults.rollback({ snapshot_id: scenario.snapshotId, skip_blocked: true });
  expect(result).toMatchObject({ status: "success" });
  expect(result?.warnings).toContainEqual(
    expect.stringMatching(
      `The journal may still show ${older.rollback_id} as unfinished, because it could not be marked: `,
    ),
  );
  expect((await faults.rollback({ resume: older.rollback_id })).error?.name).toBe("InvalidRequest");
});

test("a record shows each call that ran the rollback, with its caller and how it ended", async () => {
  const { snapshotId } = await faults.scenario(3);
  const request = { snapshot_id: snapshotId, rollback_id: "r-1" };
  const id = await killedAfterOpening({ ...request, requested_by: "ana" });
  const caller = { arn: null, proven: false };
  const ana = {
    attempt: 1,
    requested_by: "ana",
    caller,
    request_id: "request-1",
    started_at: expect.stringMatching(/Z$/),
  };
  expect(await records({ rollback_id: id })).toMatchObject({ attempts: 1, calls: [{ ...ana, outcome: "unfinished" }] });
  await faults.rollback({ ...request, requested_by: "bob" });
  expect((await records({ rollback_id: id })).calls).toEqual([
    { ...ana, outcome: "interrupted" },
    { ...ana, attempt: 2, requested_by: "bob", ended_at: expect.stringMatching(/Z$/), outcome: "success" },
  ]);
});

test("a safety snapshot that is deleted names the rollbacks that it undoes", async () => {
  const { snapshotId } = await faults.scenario(3);
  const { result } = await faults.rollback({ snapshot_id: snapshotId });
  expect(await faults.call("delete", { snapshot_id: snapshotId })).toMatchObject({ deleted: true, warnings: [] });
  expect(await faults.call("delete", { snapshot_id: result?.safety_snapshot_id })).toEqual({
    snapshot_id: result?.safety_snapshot_id,
    deleted: true,
    warnings: [
      expect.stringMatching(
        new RegExp(
          `was the safety snapshot of ${result?.rollback_id} \\(to ${snapshotId}, started .* copy the version of its object over itself`,
        ),
      ),
    ],
  });
});

test("a rollback with an id of its own is found while it waits, and closes with the reason when it is refused", async () => {
  const scenario = await faults.scenario(3);
  const { snapshotId, groups, moved, saved } = scenario;
  const consumer = await member(faults, scenario, required(groups[0]));
  await consumer.joins();
  const request = { snapshot_id: snapshotId, rollback_id: "r-waits", requested_by: "ana" };
  const waiting = faults.rollback({ ...request, wait_for_empty_seconds: 3 });
  const show = () => faults.ask("rollbacks", { rollback_id: "r-waits" });
  const about = { rollback_id: "r-waits", snapshot_id: snapshotId, safety_snapshot_id: null, requested_by: "ana" };
  await expect
    .poll(async () => (await show()).result, { timeout: 2_500 })
    .toMatchObject({ ...about, status: "running", unplanned: true, groups: 0 });
  expect((await faults.ask("rollback", { ...request, exact: true })).error).toMatchObject({
    name: "InvalidRequest",
    message: expect.stringContaining("r-waits is the id of another request"),
  });
  const { error } = await waiting;
  expect(error).toMatchObject({ name: "GroupNotEmpty" });
  const closed = { ...about, status: "failed", unplanned: true, ended_at: expect.any(String) };
  expect((await show()).result).toMatchObject({ ...closed, error: { name: error?.name, message: error?.message } });
  expect(await records()).toEqual({ rollbacks: [], warnings: [] });
  expect(await faults.ask("rollback", { resume: "r-waits" })).toMatchObject({
    error: {
      name: "RollbackNotFound",
      message: expect.stringMatching(/\(GroupNotEmpty\), and moved nothing.*same rollback_id/),
    },
  });
  await faults.requireCommits(moved, await faults.offsetsByTool(groups));

  await consumer.leaves();
  const again = await faults.rollback({ ...request, exact: true, wait_for_empty_seconds: 20 });
  expect(again.result).toMatchObject({ status: "success", rollback_id: "r-waits" });
  await faults.requireCommits(saved, await faults.requireAgreement(again));
  expect((await show()).result).toMatchObject({ status: "success", attempts: 1, plan: expect.any(Object) });
});

test("a rollback with an id of its own that is killed before it has a plan moved nothing, and is planned afresh", async () => {
  const { snapshotId, groups, moved, saved } = await faults.scenario(3);
  const request = { snapshot_id: snapshotId, rollback_id: "r-killed" };
  const worker = faults.startWorker("rollback", request);
  const begun = faults.storage.faults.when({ action: "PutItem", body: '"S":"lease"', at: "answer" }, () => {
    worker.kill();
    return "lost";
  });
  expect(await worker.answer).toBeUndefined();
  expect(begun.happened).toBe(true);
  await freeLease();
  expect(await records({ rollback_id: "r-killed" })).toMatchObject({ status: "running", unplanned: true });
  await faults.requireCommits(moved, await faults.offsetsByTool(groups));
  const again = await faults.rollback(request);
  expect(again.result).toMatchObject({ status: "success", rollback_id: "r-killed" });
  await faults.requireCommits(saved, await faults.requireAgreement(again));
  expect(await records({ rollback_id: "r-killed" })).toMatchObject({ status: "success", attempts: 1 });
});
