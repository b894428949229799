import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { S3Client } from "@aws-sdk/client-s3";
import { expect, test, vi } from "vitest";
import { verbs } from "../../functions/operations.ts";
import type { SnapshotContent } from "../../functions/shared/core/model.ts";
import { createBodies } from "../../functions/shared/storage/bodies.ts";
import type { Clients } from "../../functions/shared/storage/clients.ts";
import { indexEntryOf } from "../../functions/shared/storage/index-entry.ts";
import { createIndexTable, reindexing } from "../../functions/shared/storage/index-table.ts";
import { createJournal } from "../../functions/shared/storage/journal.ts";
import { createLease } from "../../functions/shared/storage/lease.ts";
import { createSnapshots } from "../../functions/shared/storage/snapshots.ts";
import { createStorage } from "../../functions/shared/storage/storage.ts";
import { createUnreadable } from "../../functions/shared/storage/unreadable.ts";
import { local } from "./configs.ts";
import { allows, statementsOfRole } from "./simulation.ts";
import { functionOf, rightsOf, templateOf } from "./support.ts";

// The local clouds do not check rights, and the stack and the code name folders and rows separately. These tests compare the
// rights of the stack with the calls of the code.

const template = templateOf(local());
const config = { bucket: "bucket", prefix: "", table: "table" };
const deadline = { signal: AbortSignal.timeout(60_000), remainingMs: () => 60_000 };
const now = new Date();
const caller = { requestedBy: null, callerArn: null, requestId: "1" };

/**
 * Whether a function may make a call; `where` is a folder in the bucket, or the kinds of rows that one call has keys of (`a+b`).
 * `ifNew`: with the header that makes S3 refuse to overwrite.
 */
function mayDo(verb: string, action: string, where = "", ifNew = false): boolean {
  const call = action.startsWith("s3:")
    ? { resource: action === "s3:ListBucket" ? "<ArchiveBucket>" : `<ArchiveBucket>/${where}/name` }
    : { resource: "<ArchiveTable>", context: { "dynamodb:LeadingKeys": where.split("+") } };
  const context = ifNew ? { "s3:if-none-match": "*" } : {};
  return allows(statementsOfRole(template, functionOf(template, verb).Role), { action, context, ...call });
}

/**
 * The rights that a command needs, as `action row`. Each part of a transaction needs its own, and is asked for with the rows of
 * all parts: whether `dynamodb:LeadingKeys` has the keys of a part or of the transaction there is not documented. The rights
 * must hold either way.
 */
function actionsOf(command: string, input: object): string[] {
  const { TransactItems, Item, Key, ExpressionAttributeValues } = Object(input);
  if (!Array.isArray(TransactItems)) {
    const row: string = (Item ?? Key)?.pk.S ?? ExpressionAttributeValues[":pk"].S;
    return [`dynamodb:${command.replace("Command", "")} ${row}`];
  }
  const parts = TransactItems.flatMap((part: object) =>
    Object.entries(part).flatMap(([kind, write]) => actionsOf(`${kind}Item`, Object(write))),
  );
  const split = parts.map((part) => part.split(" "));
  const rows = [...new Set(split.map(([, row]) => row))].sort().join("+");
  return split.map(([action]) => `${action} ${rows}`);
}

/** Clients that record the rights that each call needs, and answer as an empty archive. */
function recordingClients(asked: Set<string>): Clients {
  const made = { region: "eu-west-1", credentials: { accessKeyId: "test", secretAccessKey: "test" } };
  const nothing = { output: { $metadata: {} }, response: undefined };
  const dynamodb = new DynamoDBClient(made);
  const s3 = new S3Client(made);
  dynamodb.middlewareStack.add(
    (_next, { commandName = "" }) =>
      async ({ input }) => {
        for (const action of actionsOf(commandName, input)) asked.add(action);
        return nothing;
      },
    { step: "initialize" },
  );
  s3.middlewareStack.add(
    (_next, { commandName = "" }) =>
      async ({ input }) => {
        const action = commandName.replace("Command", "").replace("Head", "Get").replace("ListObjectsV2", "ListBucket");
        if (action === "ListBucket") {
          asked.add("s3:ListBucket");
          const { Prefix } = Object(input);
          const Contents = [body, heldObject].filter((key) => key.startsWith(Prefix)).map((Key) => ({ Key }));
          return { output: { $metadata: {}, Contents }, response: undefined };
        }
        const { Key, IfNoneMatch } = Object(input);
        asked.add(`s3:${action} ${String(Key).split("/")[0]}${IfNoneMatch === "*" ? " if new" : ""}`);
        return nothing;
      },
    { step: "initialize" },
  );
  return { dynamodb, s3: async () => s3 };
}

const content: SnapshotContent = {
  description: "",
  trigger: "invoke",
  selection: { groups: ["*"], exclude: [] },
  cluster: { name: "local", clusterId: null },
  consumerGroups: new Map(),
  errors: [],
  warnings: [],
  observed: { groups: new Map(), topics: new Map() },
};
const opening = {
  rollbackId: "rollback-1",
  snapshotId: "snapshot-1",
  safetySnapshotId: null,
  requestedBy: null,
  callerArn: null,
  requestId: "1",
  description: "",
  fingerprint: "",
  planDigest: "",
  groups: [],
  plan: {},
};
const id = "snapshot-2025-01-15T10:30:00Z";
const body = `snapshots/${id}.json.gz`;
const heldObject = `holds/${id}.json`;
const change = { held: true, reason: null, by: null, byProven: false, at: now.toISOString(), change: "1" };
const gone = (work: Promise<unknown>) =>
  expect(work).rejects.toThrow(/is missing from|no snapshot|not listed|there is no object/);

const work: Record<string, (clients: Clients, asked: Set<string>) => Promise<unknown>> = {
  async snapshot(clients) {
    const archive = createSnapshots(config, clients);
    await archive.findExecution("execution-1", deadline);
    await archive.save(content, now, deadline, "execution-1");
  },
  async list(clients) {
    await createSnapshots(config, clients).list({ limit: 1 }, deadline);
  },
  async show(clients) {
    await gone(createSnapshots(config, clients).load(id, deadline));
  },
  async rollback(clients, asked) {
    await gone(createSnapshots(config, clients).load(id, deadline));
    await createSnapshots(config, clients).save({ ...content, trigger: "safety" }, now, deadline);
    const lease = createLease(config, clients, { lengthMs: 60_000, renewMs: 10 });
    const held = await lease.acquire({ rollbackId: "rollback-1", requestedBy: null, startedAt: "" }, deadline);
    await vi.waitFor(() => expect(asked).toContain("dynamodb:UpdateItem lease"));
    expect(await held.release(deadline)).toBe(true);
    const journal = createJournal(config, clients);
    await journal.find("rollback-1", deadline);
    for await (const _ of journal.newestFirst(undefined, createUnreadable(""), deadline))
      throw new Error("the journal is not empty");
    const opened = await journal.open(opening, now, deadline);
    if (opened === "taken") throw new Error("the id is taken");
    await gone(journal.plan(opened.record, deadline));
    await journal.supersede(opened.record, "rollback-2", deadline);
    await (await journal.resume(opened.record, caller, now, deadline))?.close("success", {}, now, deadline);
  },
  async rollbacks(clients) {
    const journal = createJournal(config, clients);
    await journal.list({ limit: 1 }, deadline);
    await journal.find("rollback-1", deadline);
    await createLease(config, clients).holder(deadline);
  },
  async import(clients) {
    await gone(createStorage(config, clients).readImport("s3://bucket/imports/offsets.csv", deadline));
    await createSnapshots(config, clients).save({ ...content, trigger: "imported" }, now, deadline);
  },
  async reindex(clients) {
    const { indexed, remaining } = await createStorage(config, clients).reindex(false, deadline);
    expect({ indexed, remaining }).toEqual({ indexed: 0, remaining: 0 });
    const index = createIndexTable(clients.dynamodb, config.table);
    const entry = indexEntryOf(
      { ...content, snapshotId: id, createdAt: "2025-01-15T10:30:00Z" },
      { sha256: "", bytes: 1 },
    );
    await index.insert(entry, "token", deadline, { id: "execution-1", read: async () => undefined }, reindexing);
    await index.repair(entry, "token", undefined, deadline);
    await createBodies(await clients.s3(), config.bucket, config.prefix).getHold(id, deadline);
    await index.row(id, deadline);
  },
  async history(clients) {
    const archive = createSnapshots(config, clients);
    await archive.list({ limit: 1 }, deadline);
    await gone(archive.load(id, deadline));
    const journal = createJournal(config, clients);
    for await (const _ of journal.newestFirst(now, createUnreadable(""), deadline))
      throw new Error("the journal is not empty");
    const kept = { rollbackId: "rollback-1", plan: { name: "plan-1", sha256: "" } };
    await gone(journal.plan(kept, deadline));
  },
  async prune(clients) {
    const retention = { schedules: {}, safetyDays: 30 };
    const request = { retention, by: caller, now, dryRun: false };
    const storage = createStorage(config, clients);
    await expect(storage.prune(request, deadline)).rejects.toThrow(/^IndexIncomplete: /); // the bucket has a body
    const index = createIndexTable(clients.dynamodb, config.table);
    await index.row(id, deadline);
    await index.deletions(deadline);
    await index.recordDeletion(id, caller, deadline);
    await index.noteKept(id, ["held"], deadline);
    const bucket = createBodies(await clients.s3(), config.bucket, config.prefix);
    await bucket.heldOrReleased(deadline);
    await bucket.getHold(id, deadline);
    await storage.snapshots.remove(id, caller, deadline);
  },
  async delete(clients) {
    await createJournal(config, clients).undoneWith(id, deadline);
    await createSnapshots(config, clients).remove(id, caller, deadline);
    await createIndexTable(clients.dynamodb, config.table).row(id, deadline);
  },
  async hold(clients) {
    await gone(createSnapshots(config, clients).hold(id, change, caller, deadline));
    await createBodies(await clients.s3(), config.bucket, config.prefix).putHold(id, change, deadline);
    await createIndexTable(clients.dynamodb, config.table).setHold(id, change, undefined, deadline);
  },
};

test.each(Object.entries(work))(
  "%s has all rights on the table and the bucket that its code uses",
  async (verb, run) => {
    const asked = new Set<string>();
    await run(recordingClients(asked), asked);
    expect(asked.size).toBeGreaterThan(0);
    for (const line of asked) {
      const [action = "", where, isIfNew] = line.split(" ");
      expect([line, mayDo(verb, action, where, isIfNew !== undefined)]).toEqual([line, true]);
    }
  },
);

test("a transaction is asked for with the rows of all its parts", async () => {
  const asked = new Set<string>();
  await work.snapshot?.(recordingClients(asked), asked);
  expect(asked).toContain("dynamodb:PutItem execution+snapshot");
  expect(mayDo("snapshot", "dynamodb:PutItem", "execution+snapshot")).toBe(true);
  expect(mayDo("delete", "dynamodb:PutItem", "deletion+snapshot")).toBe(false);
});

test("only what shows or runs rollbacks may read the journal, and nothing else reads what was deleted", () => {
  const readers = (row: string) => verbs.filter((verb) => mayDo(verb, "dynamodb:Query", row)).sort();
  expect(readers("rollback")).toEqual(["delete", "history", "prune", "rollback", "rollbacks"]);
  expect(readers("rollback-id")).toEqual(["prune"]);
  expect(readers("deletion")).toEqual(["prune", "reindex"]);
  expect(readers("lease")).toEqual([]);
  const getters = (row: string) => verbs.filter((verb) => mayDo(verb, "dynamodb:GetItem", row)).sort();
  for (const row of ["rollback", "rollback-id", "lease"])
    expect(getters(row)).toEqual(["history", "rollback", "rollbacks"]);
  expect(getters("execution")).toEqual(["reindex", "snapshot"]);
});

test("no prune may write a body or a row, except the record of a deletion", () => {
  const rights = rightsOf(template, functionOf(template, "prune").Role);
  expect(rights.filter((right) => /Put|Delete|Update/.test(right))).toEqual([
    "dynamodb:DeleteItem <ArchiveTable> only snapshot",
    "dynamodb:PutItem <ArchiveTable> only deletion",
    "dynamodb:UpdateItem <ArchiveTable> only snapshot",
    "logs:PutLogEvents <prunelogs>",
    "s3:DeleteObject <ArchiveBucket>/snapshots/*",
    "s3:PutObject <ArchiveBucket>/results/*",
  ]);
});

test("no function may overwrite a body, whatever its code does", () => {
  expect(verbs.filter((verb) => mayDo(verb, "s3:PutObject", "snapshots"))).toEqual([]);
  expect(verbs.filter((verb) => mayDo(verb, "s3:PutObject", "snapshots", true))).toEqual([
    "snapshot",
    "rollback",
    "import",
  ]);
  for (const action of [
    "s3:PutObjectRetention",
    "s3:PutBucketObjectLockConfiguration",
    "s3:BypassGovernanceRetention",
  ]) {
    expect(verbs.filter((verb) => mayDo(verb, action, "snapshots", true))).toEqual([]);
  }
});

test("no reindex may write a body, or delete anything", () => {
  const rights = rightsOf(template, functionOf(template, "reindex").Role);
  expect(rights.filter((right) => /Delete|Update/.test(right))).toEqual([]);
  expect(rights.filter((right) => /^s3:Put/.test(right))).toEqual(["s3:PutObject <ArchiveBucket>/results/*"]);
});

test("only hold writes holds, and only reindex and prune read them; none may delete one", () => {
  const may = (action: string) => verbs.filter((verb) => mayDo(verb, action, "holds"));
  expect([may("s3:PutObject"), may("s3:GetObject"), may("s3:DeleteObject")]).toEqual([
    ["hold"],
    ["reindex", "prune"],
    [],
  ]);
  for (const action of ["dynamodb:DeleteItem", "dynamodb:PutItem"]) {
    expect([action, mayDo("hold", action, "snapshot")]).toEqual([action, false]);
  }
});

test("no rollback may change or delete a snapshot, or delete the record of another rollback", () => {
  for (const row of ["snapshot", "execution", "deletion", "rollback", "rollback-id"]) {
    expect([row, mayDo("rollback", "dynamodb:DeleteItem", row)]).toEqual([row, false]);
  }
  expect(mayDo("rollback", "dynamodb:UpdateItem", "snapshot")).toBe(false);
  expect(mayDo("rollback", "s3:DeleteObject", "snapshots")).toBe(false);
});
