import { randomUUID } from "node:crypto";
import { DeleteObjectsCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { handler as rollbacks } from "../../functions/rollbacks/handler.ts";
import type { Json } from "../../functions/shared/core/json/json.ts";
import { envNames } from "../../functions/shared/lambda/env.ts";
import { createClients, sharedClients } from "../../functions/shared/storage/clients.ts";
import { createJournal, type Journal, type OpenJournal } from "../../functions/shared/storage/journal.ts";
import { isBegun } from "../../functions/shared/storage/journal-begun.ts";
import { createLease, type Lease, type RollbackLease } from "../../functions/shared/storage/lease.ts";
import { within } from "../support/deadline.ts";
import { context } from "../support/events.ts";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();
const config = { bucket: stack.outputs.bucket, prefix: "", table: stack.outputs.table };
const before = { ...process.env };
const soon = () => within(20_000);
const digest = "d".repeat(64);
const bob = { requestedBy: "bob", callerArn: null, requestId: "request-2" };

let journal: Journal;
let leases: RollbackLease;
let held: Lease | undefined;

beforeAll(() => {
  Object.assign(process.env, stack.cloud.environment, {
    [envNames.bucket]: config.bucket,
    [envNames.table]: config.table,
  });
  journal = createJournal(config);
  leases = createLease(config);
});
afterEach(async () => {
  await held?.release(soon());
  held = undefined;
});
afterAll(() => {
  process.env = before;
});

/** Opens a journal record, as the function does before its first commit. */
async function begin(
  plan: Json = { groups: {} },
  rollbackId = `rollback-${randomUUID()}`,
  groups = ["orders", "billing"],
): Promise<OpenJournal> {
  const opening = {
    rollbackId,
    snapshotId: "snapshot-2025-01-15T10:30:00Z",
    safetySnapshotId: "snapshot-2025-01-15T10:31:00Z",
    requestedBy: "ana",
    callerArn: null,
    requestId: "request-1",
    description: "after the incident",
    fingerprint: randomUUID(),
    planDigest: digest,
    groups,
    plan: {
      request: { snapshot_id: "latest", groups: ["orders", "billing"] },
      plan,
      cluster_id: "c",
      status: "planned",
    },
  };
  const opened = await journal.open(opening, new Date(), soon());
  if (opened === "taken") throw new Error(`${rollbackId} is in use`);
  return opened;
}

const idOf = ({ record }: OpenJournal) => record.rollbackId;
const hold = async ({ record: { rollbackId, requestedBy, startedAt } }: OpenJournal) => {
  held = await leases.acquire({ rollbackId, requestedBy, startedAt }, soon());
  return held;
};
const end = (opened: OpenJournal, status: "success" | "partial_success" | "failed" = "success", result: Json = {}) =>
  opened.close(status, result, new Date(), soon());
const show = (rollbackId: string) => stack.call("rollbacks", { rollback_id: rollbackId });

/** The rows of these rollbacks in the list, without those of other tests. */
async function listed(...opened: readonly OpenJournal[]): Promise<unknown[]> {
  const ids = opened.map(idOf);
  const answer = await stack.call("rollbacks", { limit: 1000 });
  return answer.rollbacks.filter((row: { rollback_id: string }) => ids.includes(row.rollback_id));
}

describe("the journal of rollbacks", () => {
  test("shows caller, request, times and result, with exact integers beyond 2^53", async () => {
    const to = { offset: 9007199254740993n, metadata: "é", leader_epoch: 7 };
    const partitions = { "orders-0": { action: "rewind", from: null, to } };
    const plan = new Map([["12", { partitions }]]);
    const opened = await begin(plan);
    const result = { rollback_id: idOf(opened), status: "success", groups: plan };
    expect(await end(opened, "success", result)).toBe("closed");
    const row = {
      rollback_id: idOf(opened),
      status: "success",
      snapshot_id: "snapshot-2025-01-15T10:30:00Z",
      safety_snapshot_id: "snapshot-2025-01-15T10:31:00Z",
      requested_by: "ana",
      caller: { arn: null, proven: false },
      started_at: opened.record.startedAt,
      ended_at: expect.stringMatching(/^\d{4}-.*Z$/),
      groups: 2,
      description: "after the incident",
      attempts: 1,
    };
    expect(await listed(opened)).toEqual([row]);
    const whole = {
      ...row,
      calls: [
        {
          attempt: 1,
          requested_by: "ana",
          caller: { arn: null, proven: false },
          request_id: "request-1",
          started_at: opened.record.startedAt,
          ended_at: row.ended_at,
          outcome: "success",
        },
      ],
      warnings: [],
      plan_digest: digest,
      request: { snapshot_id: "latest", groups: ["orders", "billing"] },
      plan: { 12: { partitions } },
      cluster_id: "c",
      result: { ...result, groups: { 12: { partitions } } },
    };
    expect(await show(idOf(opened))).toEqual(whole);
    expect(await stack.http("GET", `/rollbacks/${idOf(opened)}`)).toEqual({ status: 200, body: whole });
    expect(await stack.http("GET", "/rollbacks?limit=1000")).toMatchObject({
      status: 200,
      body: { rollbacks: expect.arrayContaining([row]) },
    });
  });

  test("lists newest first, in pages", async () => {
    const opened = [await begin(), await begin(), await begin()];
    for (const each of opened) await end(each);
    const seen: string[] = [];
    let next: string | undefined;
    do {
      const query = next === undefined ? "" : `&next_token=${encodeURIComponent(next)}`;
      const { body } = await stack.http("GET", `/rollbacks?limit=2${query}`);
      const page = Object(body);
      expect(page.rollbacks.length).toBeLessThanOrEqual(2);
      if (page.next_token !== undefined) expect(page.rollbacks).toHaveLength(2);
      seen.push(...page.rollbacks.map(({ rollback_id }: { rollback_id: string }) => rollback_id));
      next = page.next_token;
    } while (next !== undefined);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((id) => opened.map(idOf).includes(id))).toEqual(opened.map(idOf).reverse());
  });

  test("shows the status running only for the rollback that holds the lease, and unfinished for others that did not end", async () => {
    const [crashed, running] = [await begin(), await begin()];
    const lease = await hold(running);
    const states = { [idOf(crashed)]: "unfinished", [idOf(running)]: "running" };
    for (const [id, status] of Object.entries(states)) {
      const whole = await show(id);
      expect(whole).toMatchObject({ rollback_id: id, status, plan: { groups: {} } });
      expect(whole).not.toHaveProperty("result");
      expect(whole).not.toHaveProperty("ended_at");
    }
    expect(await listed(crashed, running)).toMatchObject([{ status: "running" }, { status: "unfinished" }]);
    await lease.release(soon());
    expect(await listed(crashed, running)).toMatchObject([{ status: "unfinished" }, { status: "unfinished" }]);
    await end(running, "failed");
    expect(await listed(crashed, running)).toMatchObject([{ status: "failed" }, { status: "unfinished" }]);
  });

  test("shows a rollback without a plan by its id alone: as running, unfinished when its time is over, or failed and why", async () => {
    const start = {
      snapshotId: "latest",
      requestedBy: "ana",
      callerArn: null,
      requestId: "request-1",
      description: "",
      fingerprint: "f",
    };
    const begun = async (endsBy: Date, rollbackId = `rollback-${randomUUID()}`) => {
      const written = await journal.begin({ ...start, rollbackId, endsBy: endsBy.toISOString() }, new Date(), soon());
      return written ?? expect.fail("it was not written");
    };
    const [running, over] = [await begun(new Date(Date.now() + 60_000)), await begun(new Date(0))];
    const caller = { arn: null, proven: false };
    const shown = {
      ...{ rollback_id: running.rollbackId, status: "running", snapshot_id: "latest", safety_snapshot_id: null },
      ...{
        requested_by: "ana",
        caller,
        started_at: running.startedAt,
        groups: 0,
        description: "",
        attempts: 1,
        unplanned: true,
      },
      calls: [
        {
          ...{ attempt: 1, requested_by: "ana", caller, request_id: "request-1", started_at: running.startedAt },
          outcome: "running",
        },
      ],
      warnings: [],
    };
    expect(await show(running.rollbackId)).toEqual(shown);
    expect(await show(over.rollbackId)).toMatchObject({ status: "unfinished", unplanned: true });
    const error = { name: "GroupNotEmpty", message: "GroupNotEmpty: the group has members." };
    await journal.fail(running, error, new Date(), soon());
    expect(await show(running.rollbackId)).toMatchObject({
      ...{ status: "failed", error, ended_at: expect.any(String), calls: [{ outcome: "failed" }] },
    });
    const { rollbacks } = await stack.call("rollbacks", { limit: 1000 });
    const ids = rollbacks.map(({ rollback_id }: { rollback_id: string }) => rollback_id);
    expect(ids).not.toEqual(expect.arrayContaining([running.rollbackId]));
  });

  test("counts attempts, and removes the result of a rollback that is resumed", async () => {
    const opened = await begin();
    await end(opened, "partial_success", { status: "partial_success" });
    expect(await show(idOf(opened))).toMatchObject({
      status: "partial_success",
      result: { status: "partial_success" },
    });
    const entry = await journal.find(idOf(opened), soon());
    const again = entry && !isBegun(entry) && (await journal.resume(entry, bob, new Date(), soon()));
    if (!again) throw new Error("it could not be resumed");
    await hold(again);
    const whole = await show(idOf(opened));
    expect(whole).toMatchObject({ status: "running", attempts: 2, resumed_at: again.record.resumedAt });
    expect(whole).not.toHaveProperty("result");
    await end(again, "success", { status: "success" });
    expect(await show(idOf(opened))).toMatchObject({ status: "success", attempts: 2, result: { status: "success" } });
  });

  test("shows which rollback superseded one that did not succeed", async () => {
    const [crashed, partial] = [await begin(), await begin()];
    await end(partial, "partial_success");
    for (const id of [idOf(crashed), idOf(partial)]) {
      const entry = await journal.find(id, soon());
      if (entry !== undefined && !isBegun(entry)) await journal.supersede(entry, "rollback-2", soon());
    }
    expect(await listed(crashed, partial)).toMatchObject([
      { status: "partial_success", superseded_by: "rollback-2" },
      { status: "superseded", superseded_by: "rollback-2" },
    ]);
  });

  test("shows an unfinished rollback as superseded only after a rollback that restores one of its groups", async () => {
    const [orders, pay] = [await stack.topic(1), await stack.topic(1)];
    const [group, other] = [uniqueGroup(), uniqueGroup()];
    const both = (offset: bigint) =>
      new Map([...commitsOn(group, orders, [offset]), ...commitsOn(other, pay, [offset])]);
    await stack.commit(both(5n));
    const { snapshot_id } = await stack.call("snapshot", { groups: [group, other] });
    await stack.commit(both(9n));
    const opened = await begin(undefined, undefined, [other]);

    const elsewhere = await stack.call("rollback", { snapshot_id, topics: [orders] });
    const after = await listed(opened);
    const ofItsGroup = await stack.call("rollback", { snapshot_id, topics: [pay] });

    const superseding = expect.stringContaining(`${idOf(opened)} had not reached all its targets`);
    expect(elsewhere.status).toBe("success");
    expect(elsewhere.warnings).not.toContainEqual(superseding);
    expect(after).toMatchObject([{ status: "unfinished" }]);
    expect(ofItsGroup.warnings).toContainEqual(superseding);
    expect(await listed(opened)).toMatchObject([{ status: "superseded", superseded_by: ofItsGroup.rollback_id }]);
  });

  test("finds a rollback by the id that its caller chose, also in the path", async () => {
    const id = `at:${randomUUID()}:v1.0_x`;
    await end(await begin({}, id));
    expect(await stack.http("GET", `/rollbacks/${encodeURIComponent(id)}`)).toMatchObject({
      status: 200,
      body: { rollback_id: id, status: "success" },
    });
  });

  test("answers a rollback that is too large with its summary and a link", async () => {
    const opened = await begin({ groups: "x".repeat(6_000_000) });
    await end(opened);
    const answer = Object(await show(idOf(opened)));
    expect(answer).toMatchObject({ rollback_id: idOf(opened), status: "success", omitted: { plan: 1 }, result: {} });
    expect(answer).not.toHaveProperty("plan");
    const stored = Object(await (await fetch(answer.result_url)).json());
    expect(stored.plan.groups).toHaveLength(6_000_000);
  });

  test("fails with JournalCorrupt to show a rollback whose plan was deleted, and still lists it", async () => {
    const opened = await begin();
    await end(opened);
    const s3 = await createClients().s3();
    const place = { Bucket: config.bucket, Prefix: `rollbacks/${idOf(opened)}/` };
    const { Contents = [] } = await s3.send(new ListObjectsV2Command(place));
    expect(Contents).toHaveLength(2);
    const Delete = { Objects: Contents.map(({ Key }) => ({ Key })) };
    await s3.send(new DeleteObjectsCommand({ Bucket: config.bucket, Delete }));
    expect(await stack.failure("rollbacks", { rollback_id: idOf(opened) })).toMatchObject({
      name: "JournalCorrupt",
      message: expect.stringContaining(idOf(opened)),
    });
    expect(await listed(opened)).toMatchObject([{ status: "success" }]);
  });
});

describe("a rollback", () => {
  const allIds = async () =>
    (await stack.call("rollbacks", { limit: 1000 })).rollbacks.map(
      ({ rollback_id }: { rollback_id: string }) => rollback_id,
    );

  test("has a journal record with request, plan and result; a dry run and a refused rollback have none", async () => {
    const [topic, group] = [await stack.topic(2), uniqueGroup("journal")];
    await stack.commit(commitsOn(group, topic, [5n, 6n]));
    const { snapshot_id } = await stack.call("snapshot", { groups: [group] });
    await stack.commit(commitsOn(group, topic, [9n, 6n]));
    const known = await allIds();
    const { plan_digest } = await stack.call("rollback", { snapshot_id, dry_run: true });
    expect(await allIds()).toEqual(known);

    const rollback_id = `by-hand-${randomUUID()}`;
    const request = { snapshot_id, rollback_id, requested_by: "ana", description: "after the incident" };
    const result = await stack.call("rollback", request);
    expect(result).toMatchObject({ rollback_id, status: "success" });
    expect(await allIds()).toEqual([rollback_id, ...known]);
    expect(await show(rollback_id)).toMatchObject({
      rollback_id,
      status: "success",
      snapshot_id,
      safety_snapshot_id: result.safety_snapshot_id,
      requested_by: "ana",
      ended_at: expect.any(String),
      groups: 1,
      description: "after the incident",
      attempts: 1,
      plan_digest,
      request: { snapshot_id, rollback_id },
      plan: {
        groups: {
          [group]: { partitions: { [`${topic}-0`]: { action: "rewind", from: { offset: 9 }, to: { offset: 5 } } } },
        },
      },
      result,
    });

    await stack.commit(commitsOn(group, topic, [500n, 6n]));
    const beyond = (await stack.call("snapshot", { groups: [group] })).snapshot_id;
    expect(await stack.failure("rollback", { snapshot_id: beyond })).toMatchObject({ name: "RollbackBlocked" });
    expect(await allIds()).toEqual([rollback_id, ...known]);
  });
});

describe("a change during a read of the journal:", () => {
  /** Runs `act` once, before this process first reads a row of a kind. */
  function beforeReading(kind: string, act: () => Promise<unknown>): void {
    let waiting = true;
    sharedClients().dynamodb.middlewareStack.add(
      (next, { commandName }) =>
        async (args) => {
          const read = commandName === "GetItemCommand" && "Key" in args.input && args.input.Key?.pk?.S === kind;
          if (read && waiting) {
            waiting = false;
            await act();
          }
          return next(args);
        },
      { step: "initialize", name: "beforeReading", override: true },
    );
  }
  afterEach(() => {
    sharedClients().dynamodb.middlewareStack.remove("beforeReading");
  });

  const rowOf = async (opened: OpenJournal): Promise<unknown> =>
    Object(await rollbacks({ limit: 1000 }, context())).rollbacks.find(
      (row: { rollback_id: string }) => row.rollback_id === idOf(opened),
    );
  const wholeOf = (opened: OpenJournal): Promise<unknown> =>
    Promise.resolve(rollbacks({ rollback_id: idOf(opened) }, context()));

  test.each([
    ["the list", rowOf],
    ["its record", wholeOf],
  ])("a rollback that ends is shown as ended, in %s", async (_what, look) => {
    const opened = await begin();
    const lease = await hold(opened);
    beforeReading("lease", async () => {
      await end(opened, "success", { status: "success" });
      await lease.release(soon());
    });
    expect(await look(opened)).toMatchObject({
      status: "success",
      ended_at: expect.any(String),
      ...(look === wholeOf && { result: { status: "success" } }),
    });
  });

  test("a rollback that is resumed is shown as running", async () => {
    const opened = await begin();
    beforeReading("rollback", async () => {
      await hold(opened);
      await journal.resume(opened.record, bob, new Date(), soon());
    });
    expect(await rowOf(opened)).toMatchObject({ status: "running", attempts: 2 });
  });
});

describe("a request that is refused", () => {
  test("for a rollback that does not exist is RollbackNotFound", async () => {
    const id = `rollback-${randomUUID()}`;
    expect(await stack.failure("rollbacks", { rollback_id: id })).toMatchObject({
      name: "RollbackNotFound",
      message: expect.stringContaining(id),
    });
    expect(await stack.http("GET", `/rollbacks/${id}`)).toMatchObject({
      status: 404,
      body: { error: "RollbackNotFound", request_id: expect.any(String) },
    });
  });

  test.each<[string, unknown, RegExp]>([
    [
      "with an unknown field",
      { status: "running" },
      /unknown field "status" \(there are limit, next_token, rollback_id\)/,
    ],
    ["for a page of one rollback", { rollback_id: "r", limit: 5 }, /rollback_id: names one rollback/],
    ["for the next page of one rollback", { rollback_id: "r", next_token: "x" }, /rollback_id: names one rollback/],
    ["for no rows", { limit: 0 }, /limit/],
    ["for too many rows", { limit: 1001 }, /limit/],
    ["for an id with /../", { rollback_id: "a/../b" }, /rollback_id: must be the id/],
    ["for the id ..", { rollback_id: ".." }, /rollback_id: must be the id/],
    ["for the id .", { rollback_id: "." }, /rollback_id: must be the id/],
    ["for an id that is too long", { rollback_id: "r".repeat(129) }, /rollback_id: must be the id/],
    ["for an empty id", { rollback_id: "" }, /rollback_id: must be the id/],
    ["with an invalid token", { next_token: "!!" }, /next_token must be/],
    [
      "with a token of the list of snapshots",
      { next_token: Buffer.from("snapshot-2025-01-15T10:30:00Z").toString("base64url") },
      /next_token must be the next_token of an earlier page/,
    ],
    [
      "with a token of a year before the first",
      { next_token: Buffer.from("-271821-04-20T00:00:00.000Z#r-1").toString("base64url") },
      /next_token must be the next_token of an earlier page/,
    ],
  ])("%s is InvalidRequest", async (_what, request, message) => {
    expect(await stack.failure("rollbacks", request)).toMatchObject({
      name: "InvalidRequest",
      message: expect.stringMatching(message),
    });
  });

  test("has its status over HTTP", async () => {
    for (const path of [
      "/rollbacks?limit=x",
      "/rollbacks?bogus=1",
      "/rollbacks/r?limit=5",
      "/rollbacks/not%20an%20id",
    ]) {
      expect(await stack.http("GET", path)).toMatchObject({ status: 400, body: { error: "InvalidRequest" } });
    }
  });
});
