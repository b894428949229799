import { gunzipSync, gzipSync } from "node:zlib";
import { UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Deadline } from "../../../functions/shared/core/deadline.ts";
import { IndexIncomplete, JournalCorrupt } from "../../../functions/shared/core/errors.ts";
import { executionOf } from "../../../functions/shared/core/execution.ts";
import type { SnapshotContent } from "../../../functions/shared/core/model.ts";
import type { Retention } from "../../../functions/shared/core/retention.ts";
import { envNames } from "../../../functions/shared/lambda/env.ts";
import { createBodies } from "../../../functions/shared/storage/bodies.ts";
import { createJournal } from "../../../functions/shared/storage/journal.ts";
import { within } from "../../support/deadline.ts";
import { context } from "../../support/events.ts";
import { content, directly, second, testArchive } from "./fixture.ts";
import { opening, result } from "./journal-fixture.ts";

const storage = testArchive();
const { bucket: Bucket, table: TableName } = storage.config;
const DAY = 24 * 60 * 60 * 1_000;
const { keyOf, put, putBody, removeBody, bodyOf, loseRows } = directly(storage);
const idOf = (n: number) => `snapshot-2025-01-15T10:30:${String(n).padStart(2, "0")}Z`;
const nothing = { deleted: [], orphans: [], failed: [], remaining: 0, unjudged: 0, warnings: [] };
const by = { requestedBy: "offset-prune", callerArn: null, requestId: "request-1" };

/** All that was stored is older than a day then, and all safety snapshots are within the days that they are kept. */
const later = () => new Date(Date.now() + 2 * DAY);
const keepLast = (keep_last: number): Retention => ({ schedules: { hourly: { keep_last } }, safetyDays: 3_650 });
const prune = ({
  retention = keepLast(1),
  dryRun = false,
  now = later(),
  archive = storage.archive,
  deadline = within(),
}: {
  retention?: Retention | undefined;
  dryRun?: boolean;
  now?: Date;
  archive?: typeof storage.archive;
  deadline?: Deadline;
} = {}) => archive.prune({ retention, by, now, dryRun }, deadline);

const save = async (n: number, more: Partial<SnapshotContent> = {}) =>
  (await storage.archive.save(content(more), second(n), within())).entry.snapshotId;
const scheduled = (n: number, more: Partial<SnapshotContent> = {}) => {
  const schedule = { name: "hourly", executionId: `execution-${n}`, scheduledTime: "2025-01-15T10:30:00Z" };
  return save(n, { trigger: "schedule", schedule, ...more });
};
const saveScheduled = async (...numbers: readonly number[]) => {
  for (const n of numbers) await scheduled(n);
};
const listed = async () =>
  (await storage.archive.list({ limit: 100 }, within())).entries.map(({ snapshotId }) => snapshotId);
const bodies = async () => (await storage.keys()).filter((key) => key.startsWith("kept/snapshots/"));
describe("prune", () => {
  test("deletes what the rules do not keep, with its body and a record of who did it", async () => {
    await scheduled(0, { held: true });
    await saveScheduled(1, 2, 3);
    await save(4);
    const kept = [
      { snapshotId: idOf(4), because: ["manual snapshots are kept for good"] },
      {
        snapshotId: idOf(3),
        because: [
          "newest complete snapshot of schedule hourly",
          "newest complete snapshot with offsets of schedule hourly",
          "one of the last 1",
        ],
      },
      { snapshotId: idOf(0), because: ["held"] },
    ];
    const before = [await storage.items(), await storage.keys()];
    expect(await prune({ dryRun: true })).toEqual({ ...nothing, kept, deleted: [idOf(2), idOf(1)] });
    expect([await storage.items(), await storage.keys()]).toEqual(before);

    expect(await prune()).toEqual({ ...nothing, kept, deleted: [idOf(2), idOf(1)] });
    expect(await listed()).toEqual([idOf(4), idOf(3), idOf(0)]);
    const { entries } = await storage.archive.list({ limit: 100 }, within());
    expect(entries.map(({ keptBy }) => keptBy)).toEqual(kept.map(({ because }) => because));
    const noted = await storage.items("snapshot");
    expect(await bodies()).toEqual([0, 3, 4].map((n) => keyOf(idOf(n))));
    const records = (await storage.items("deletion")).map(({ snapshot_id, requested_by }) => [
      snapshot_id?.S,
      requested_by?.S,
    ]);
    expect(records.toSorted()).toEqual([
      [idOf(1), "offset-prune"],
      [idOf(2), "offset-prune"],
    ]);

    expect(await prune()).toEqual({ ...nothing, kept });
    expect(await storage.items("snapshot")).toEqual(noted);
  });

  test("deletes nothing without retention", async () => {
    await saveScheduled(1, 2);
    const because = ["no retention is configured"];
    const request = { retention: undefined, by, now: later(), dryRun: false };
    expect(await storage.archive.prune(request, within())).toEqual({
      ...nothing,
      kept: [2, 1].map((n) => ({ snapshotId: idOf(n), because })),
    });
    expect(await listed()).toHaveLength(2);
  });

  test("goes on after a deletion that fails, and names it", async () => {
    await saveScheduled(1, 2, 3, 4);
    storage.faults.when({ action: "DeleteItem", body: "2025-01-15T10:30:02Z" }, () => "denied");
    const { failed, ...rest } = await prune({ archive: storage.shaky });
    expect(rest).toMatchObject({ deleted: [idOf(3), idOf(1)], remaining: 0 });
    expect(failed.map(({ snapshotId, error }) => [snapshotId, error.name])).toEqual([[idOf(2), "Configuration"]]);
    storage.faults.clear();
    expect(await prune({ now: new Date() })).toMatchObject({ deleted: [], orphans: [] }); // it may still be going on
    expect(await prune()).toMatchObject({ deleted: [], orphans: [idOf(2)] });
    expect(await bodies()).toEqual([keyOf(idOf(4))]);
    expect(await storage.items("snapshot")).toHaveLength(1);
  });

  test("keeps what is held, also what is held after it has read the index", async () => {
    await scheduled(1, { held: true });
    await saveScheduled(2, 3);
    storage.faults.before("UpdateItem", () =>
      storage.archive.hold(idOf(2), { held: true, reason: null }, by, within()),
    );
    const { kept, ...rest } = await prune({ archive: storage.shaky });
    expect(rest).toEqual({ ...nothing, kept: undefined });
    expect(kept.filter(({ because }) => because.includes("held")).map(({ snapshotId }) => snapshotId)).toEqual([
      idOf(1),
      idOf(2),
    ]);
    expect(await listed()).toEqual([idOf(3), idOf(2), idOf(1)]);
    for (const n of [1, 2]) await storage.archive.hold(idOf(n), { held: false, reason: null }, by, within());
    expect((await prune()).deleted).toEqual([idOf(2), idOf(1)]);
  });

  test("says of a snapshot that it was deleted if only the answer of the last step was lost", async () => {
    await saveScheduled(1, 2);
    storage.faults.on("DeleteItem", "lost");
    expect(await prune({ archive: storage.shaky })).toMatchObject({ deleted: [idOf(1)], failed: [] });
    expect(await storage.items("snapshot")).toHaveLength(1);
  });

  test("keeps what the bucket says is held, whatever a restored index says", async () => {
    await saveScheduled(1, 2, 3, 4);
    const bucket = createBodies(storage.s3, Bucket, storage.config.prefix);
    const change = { reason: "audit", by: "ana", byProven: true, at: "2025-01-15T10:31:00.000Z", change: "c" };
    await bucket.putHold(idOf(1), { held: true, ...change }, within());
    await bucket.putHold(idOf(2), { held: false, ...change }, within());
    await storage.s3.send(new PutObjectCommand({ Bucket, Key: bucket.holdKey(idOf(3)), Body: "{" }));
    expect(await prune()).toMatchObject({
      deleted: [idOf(2)],
      kept: [
        { snapshotId: idOf(4) },
        { snapshotId: idOf(3), because: ["held"] },
        { snapshotId: idOf(1), because: ["held"] },
      ],
      warnings: [
        `The bucket says of ${idOf(3)}, ${idOf(1)} that they are held, the index does not. Call reindex to correct the index.`,
      ],
    });
    expect(await listed()).toEqual([4, 3, 1].map(idOf));
  });

  test("takes no damaged body for the newest snapshot of a schedule", async () => {
    await saveScheduled(1, 2, 3);
    const { byteLength } = await bodyOf(idOf(3));
    await putBody(idOf(3), new Uint8Array());
    const { kept, ...rest } = await prune();
    expect(rest).toEqual({
      ...nothing,
      deleted: [idOf(1)],
      unjudged: 1,
      warnings: [
        `Damaged bodies: ${idOf(3)} (0 bytes, and the index says ${byteLength}). No rule counts these snapshots. Call reindex ` +
          'with {"dry_run": true} to see how to restore each.',
      ],
    });
    expect(kept).toEqual([
      { snapshotId: idOf(2), because: expect.arrayContaining(["one of the last 1"]) },
      { snapshotId: idOf(3), because: ["its body is damaged"] },
    ]);
  });

  test("stops before its time ends, and says how many deletions are left: the newest ones", async () => {
    await saveScheduled(1, 2, 3, 4);
    const times = [8_000, 8_000, 1_000];
    const deadline = { signal: within().signal, remainingMs: () => times.shift() ?? 1_000 };
    expect(await prune({ deadline })).toMatchObject({
      deleted: [idOf(1)],
      remaining: 2,
      warnings: ["The time ended before 2 more deletions: call prune again, or wait for its next run."],
    });
    expect(await listed()).toEqual([idOf(4), idOf(3), idOf(2)]);
  });

  test("counts a snapshot whose row cannot be read, or whose body is missing, neither as kept by a rule nor as expired", async () => {
    await saveScheduled(1, 2, 3, 4);
    await removeBody(idOf(4));
    const [row = expect.fail("no row")] = (await storage.items("snapshot")).filter(
      ({ snapshot_id }) => snapshot_id?.S === idOf(3),
    );
    await put({ ...row, status: { S: "new" } });
    const { kept, deleted, unjudged, warnings } = await prune();
    expect(deleted).toEqual([idOf(1)]);
    expect(unjudged).toBe(2);
    expect(kept.map(({ snapshotId }) => snapshotId)).toEqual([idOf(2), idOf(4)]);
    expect(kept[1]?.because).toEqual(["its body is missing from the bucket"]);
    expect(warnings).toEqual([
      expect.stringMatching(/^Left out of what is deleted, because it cannot be read: .*2025-01-15T10:30:03Z/),
      `The bodies of ${idOf(4)} are missing from the bucket: restore or delete these snapshots.`,
    ]);
    expect(await storage.items("snapshot")).toHaveLength(3);
  });
});

describe("rollbacks need", () => {
  const journal = () => createJournal(storage.config, storage.clients);
  const open = async (rollbackId: string, target: number, safety: number | null) => {
    const names = { snapshotId: idOf(target), safetySnapshotId: safety === null ? null : idOf(safety) };
    const opened = await journal().open(opening(rollbackId, names), second(59), within());
    return opened === "taken" ? expect.fail("the id is taken") : opened;
  };
  const retention = { schedules: { hourly: { keep_last: 1 } }, safetyDays: 1 };
  const recently = new Date(second(59).getTime() + DAY / 2);
  const reasons = async (now: Date) =>
    Object.fromEntries(
      (await prune({ retention, now })).kept.map(({ snapshotId, because }) => [
        snapshotId,
        because.filter((reason) => reason.startsWith("r-") || reason.startsWith("named")),
      ]),
    );

  test("the snapshots of one that has not ended, however long ago it began", async () => {
    await saveScheduled(1, 2, 4);
    await save(3, { trigger: "safety" });
    await open("r-1", 1, 3);
    expect(await reasons(later())).toEqual({
      [idOf(4)]: [],
      [idOf(3)]: ["r-1 can be resumed"],
      [idOf(1)]: ["r-1 can be resumed"],
    });
  });

  test("the snapshots of one that can be undone, for the days that safety snapshots are kept", async () => {
    await saveScheduled(1, 2, 4);
    await save(3, { trigger: "safety" });
    await (await open("r-1", 1, 3)).close("success", result, second(59), within());
    expect(await reasons(recently)).toEqual({
      [idOf(4)]: [],
      [idOf(3)]: ["r-1 can be undone"],
      [idOf(1)]: ["r-1 can be undone"],
    });
    expect(Object.keys(await reasons(later()))).toEqual([idOf(4)]);
  });

  test("these too if it began long ago, and was resumed or ended in these days", async () => {
    await saveScheduled(1, 2, 4);
    await save(3, { trigger: "safety" });
    await (await open("r-1", 1, 3)).close("success", result, later(), within());
    expect(await reasons(later())).toEqual({
      [idOf(4)]: [],
      [idOf(3)]: ["r-1 can be undone"],
      [idOf(1)]: ["r-1 can be undone"],
    });
    const [record = expect.fail("no record")] = await storage.items("rollback");
    await put({ ...record, ended_at: { S: second(59).toISOString() }, resumed_at: { S: later().toISOString() } });
    expect(Object.keys(await reasons(later()))).toEqual([4, 3, 1].map(idOf));
    await put({ ...record, ended_at: { S: second(59).toISOString() } });
    expect(Object.keys(await reasons(later()))).toEqual([idOf(4)]);
  });

  const begin = (rollbackId: string, snapshotId: string, endsBy = new Date(later().getTime() + 60_000)) => {
    const { requestedBy, callerArn, description, fingerprint, requestId } = opening(rollbackId);
    const asked = { rollbackId, snapshotId, requestedBy, callerArn, description, fingerprint, requestId };
    return journal().begin({ ...asked, endsBy: endsBy.toISOString() }, later(), within());
  };

  test("the snapshot of one that has begun and has no plan yet, until its call has ended", async () => {
    await saveScheduled(1, 2, 3, 4);
    await begin("r-1", idOf(1));
    await begin("r-2", idOf(2), new Date(later().getTime() - 60_000));
    const failed = (await begin("r-3", idOf(3))) ?? expect.fail("it has not begun");
    await journal().fail(failed, { name: "RollbackBlocked", message: "RollbackBlocked: no" }, later(), within());
    expect(await reasons(later())).toEqual({ [idOf(4)]: [], [idOf(1)]: ["r-1 has begun"] });
    await (await open("r-1", 1, null)).close("success", result, second(59), within());
    expect(Object.keys(await reasons(later()))).toEqual([idOf(4)]);
  });

  test.each(["latest", "at:2025-01-15T10:30:02.000Z"])(
    "all while one has begun that names its snapshot %s",
    async (at) => {
      await saveScheduled(1, 2);
      await begin("r-1", at);
      expect((await prune({ dryRun: true })).deleted).toEqual([]);
      expect(await reasons(later())).toEqual({
        [idOf(2)]: [],
        [idOf(1)]: ["r-1 has begun, and its snapshot is not known yet"],
      });
    },
  );

  test("a snapshot also if the rollback begins after the journal was read", async () => {
    await saveScheduled(1, 2, 3);
    storage.faults.before("ListObjectsV2", () => begin("r-1", idOf(1)));
    const { deleted, kept } = await prune({ archive: storage.shaky });
    expect(deleted).toEqual([idOf(2)]);
    expect(kept).toContainEqual({ snapshotId: idOf(1), because: ["r-1 has begun"] });
    expect(await listed()).toEqual([3, 1].map(idOf));
  });

  test("nothing of one that committed nothing", async () => {
    await saveScheduled(1, 2);
    await (await open("r-1", 1, null)).close("success", result, second(59), within());
    expect(Object.keys(await reasons(recently))).toEqual([idOf(2)]);
  });

  test("what a record names that cannot be read; where it names nothing, nothing is deleted", async () => {
    await saveScheduled(1, 2, 3);
    await open("r-1", 1, null);
    const [record = expect.fail("no record")] = await storage.items("rollback");
    await put({ ...record, status: { S: "new" } });
    expect(await reasons(later())).toEqual({
      [idOf(3)]: [],
      [idOf(1)]: ["named by a rollback that cannot be read"],
    });

    const { snapshot_id: _, ...nameless } = record;
    await put(nameless);
    await saveScheduled(4);
    await expect(prune()).rejects.toThrow(JournalCorrupt);
    await expect(prune()).rejects.toThrow(
      /^JournalCorrupt: it is not known which snapshots a rollback needs.*Nothing was changed/,
    );
    expect(await listed()).toEqual([4, 3, 1].map(idOf));
  });
});

describe("a body without a row", () => {
  test("is never deleted for its age: a lost index loses no body", async () => {
    await saveScheduled(1, 2, 3);
    await loseRows();
    await expect(prune()).rejects.toThrow(IndexIncomplete);
    await saveScheduled(4);
    await expect(prune()).rejects.toThrow(
      /^IndexIncomplete: the bucket has 4 bodies, the index lists 1 snapshot\. .* Nothing was changed\. Call reindex/,
    );
    expect(await bodies()).toHaveLength(4);
    expect(await listed()).toEqual([idOf(4)]);
  });

  test("stays, with a warning, if there are few", async () => {
    await saveScheduled(1, 2, 3);
    await loseRows(({ snapshot_id, pk }) => pk?.S === "snapshot" && snapshot_id?.S === idOf(1));
    expect(await prune()).toMatchObject({
      deleted: [idOf(2)],
      orphans: [],
      unjudged: 1,
      warnings: [`The bucket has bodies that no row of the index lists: ${idOf(1)}. Call reindex to list them.`],
    });
    expect(await bodies()).toEqual([1, 3].map((n) => keyOf(idOf(n))));
  });

  test("is of a snapshot that is being taken, if it is younger than a call can be", async () => {
    await saveScheduled(1, 2);
    await loseRows(({ snapshot_id, pk }) => pk?.S === "snapshot" && snapshot_id?.S === idOf(1));
    expect(await prune({ now: new Date(Date.now() + 14 * 60_000) })).toMatchObject({ unjudged: 0, warnings: [] });
    expect(await prune({ now: new Date(Date.now() + 16 * 60_000) })).toMatchObject({ orphans: [], unjudged: 1 });
  });

  test("is deleted a day after its snapshot was, unless it is a copy that was written since", async () => {
    await saveScheduled(1, 2, 3);
    const [body1, body2] = [await bodyOf(idOf(1)), await bodyOf(idOf(2))];
    await storage.archive.remove(idOf(1), by, within());
    await storage.archive.remove(idOf(2), by, within());
    await putBody(idOf(2), body2);
    await putBody(idOf(1), body1);
    const [record = expect.fail("no record")] = (await storage.items("deletion")).filter(
      ({ snapshot_id }) => snapshot_id?.S === idOf(1),
    );
    const recordAt = (time: number) => put({ ...record, deleted_at: { S: new Date(time).toISOString() } });
    const stray = `The bucket has bodies that no row of the index lists: ${idOf(2)}. Call reindex to list them.`;
    expect(await prune({ now: new Date() })).toMatchObject({ orphans: [], warnings: [] }); // written just now
    await recordAt(later().getTime() - DAY / 2);
    expect(await prune()).toMatchObject({ orphans: [], warnings: [stray] });
    await recordAt(Date.now() + 60_000);
    const because = (done: string) =>
      `${done}, because a deletion of the snapshots is recorded: the bodies of ${idOf(1)}. To restore one, copy the version of ` +
      "its object over itself, and call reindex; to remove its delete marker is not enough.";
    const records = async () => (await storage.items("deletion")).length;
    const before = await records();
    const looked = await prune({ dryRun: true });
    expect(looked).toMatchObject({ orphans: [idOf(1)], warnings: [stray, because("To be deleted")] });
    expect(await records()).toBe(before);
    expect(await prune()).toMatchObject({ orphans: [idOf(1)], warnings: [stray, because("Deleted")] });
    expect(await records()).toBe(before + 1);
    expect(await bodies()).toEqual([2, 3].map((n) => keyOf(idOf(n))));
  });

  test("stays if it is of a run whose snapshot is listed: another table may list it", async () => {
    const run = { name: "hourly", executionId: "execution-1", scheduledTime: "2025-01-15T10:30:00Z" };
    const scheduled = content({ trigger: "schedule", schedule: run });
    const { snapshot } = await storage.archive.save(scheduled, new Date(), within(), executionOf(run));
    const id = `${snapshot.snapshotId}-2`;
    const copy = gunzipSync(await bodyOf(snapshot.snapshotId))
      .toString()
      .replaceAll(snapshot.snapshotId, id);
    await putBody(id, gzipSync(copy));
    expect(await prune()).toMatchObject({
      deleted: [],
      orphans: [],
      warnings: [`The bucket has bodies that no row of the index lists: ${id}. Call reindex to list them.`],
    });
    expect(await bodies()).toHaveLength(2);
  });

  test("of an interrupted deletion is deleted with the row that it has hidden", async () => {
    await saveScheduled(1, 2);
    for (const { pk, sk, snapshot_id } of await storage.items("snapshot")) {
      if (snapshot_id?.S !== idOf(1) || !pk || !sk) continue;
      const hide = { UpdateExpression: "SET deleting = :true", ExpressionAttributeValues: { ":true": { BOOL: true } } };
      await storage.dynamodb.send(new UpdateItemCommand({ TableName, Key: { pk, sk }, ...hide }));
    }
    expect(await prune()).toMatchObject({ deleted: [], orphans: [idOf(1)], warnings: [] }); // hidden, not yet recorded
    expect(await bodies()).toEqual([keyOf(idOf(2))]);
    expect(await storage.items("snapshot")).toHaveLength(1);
  });
});

describe("the function", () => {
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });

  test("logs the warnings of a run, and counts what it could not judge: its schedule reads no answer", async () => {
    await saveScheduled(1, 2);
    await removeBody(idOf(1));
    const { bucket, prefix, table } = storage.config;
    const environment = {
      [envNames.bucket]: bucket,
      [envNames.bucketPrefix]: prefix,
      [envNames.table]: table,
      [envNames.deployment]: "offset-rollback",
      POWERTOOLS_LOG_LEVEL: "INFO",
      [envNames.retention]: JSON.stringify({ schedules: { hourly: { keep_last: 1 } }, safety_days: 30 }),
    };
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    const { handler } = await import("../../../functions/prune/handler.ts"); // reads the level of its log at first
    const lines: string[] = [];
    for (const stream of [process.stdout, process.stderr])
      vi.spyOn(stream, "write").mockImplementation((line) => lines.push(String(line)) > 0);
    const warned = () =>
      lines.map((line) => JSON.parse(line)).flatMap(({ level, message }) => (level === "WARN" ? [message] : []));
    const missing = `The bodies of ${idOf(1)} are missing from the bucket: restore or delete these snapshots.`;
    expect(await handler({}, context())).toMatchObject({ deleted: [], warnings: [missing] });
    expect(warned()).toEqual([missing]);
    expect(lines).toContainEqual(expect.stringContaining('"PruneUnjudged":1'));
    lines.length = 0;
    await handler({ dry_run: true }, context());
    expect(warned()).toEqual([]);
    expect(lines).not.toContainEqual(expect.stringContaining("PruneUnjudged"));
  });
});
