import { describe, expect, test } from "vitest";
import { rollbacksDuring, unshownMoves } from "../../../functions/history/rollbacks.ts";
import { encodeResult } from "../../../functions/rollback/result.ts";
import { encodeJson, type Json, parseJson } from "../../../functions/shared/core/json/json.ts";
import type { Commits, Snapshot } from "../../../functions/shared/core/model.ts";
import { plannedDocument } from "../../../functions/shared/core/rollback/plan-document.ts";
import { settle } from "../../../functions/shared/core/rollback/settle.ts";
import type { JournalRecord } from "../../../functions/shared/storage/journal-record.ts";
import { within } from "../../support/deadline.ts";
import { accepted, at, group, journaled, liveOf, outcomes, snapshotOf, unblockedPlan } from "../../support/states.ts";

/** The plan of a rollback of `t-0` from 10 back to 5. */
const before = group({ "t-0": at(10n) });
const plan = unblockedPlan(group({ "t-0": at(5n) }), before);
const planned = plannedDocument.encode(journaled(plan, liveOf(before, new Map())));
const stored = (value: Json) => parseJson(encodeJson(value));

const record: JournalRecord = {
  rollbackId: "r",
  status: "success",
  snapshotId: plan.snapshotId,
  safetySnapshotId: null,
  requestedBy: null,
  callerArn: null,
  description: "",
  startedAt: "2025-01-15T10:05:00.000Z",
  endedAt: "2025-01-15T10:06:00.000Z",
  groups: 1,
  groupNames: ["g"],
  fingerprint: "",
  planDigest: "",
  attempts: 1,
  calls: [],
  writeToken: "",
  plan: { name: "", sha256: "" },
};

type Changed = Partial<Omit<JournalRecord, "result">> & { readonly result?: Json };

/** The rollback, changed so, as it is read from the journal for these parts of snapshots. */
async function readDuring(parts: readonly Snapshot[], { result, ...more }: Changed) {
  const journal = {
    async *newestFirst() {
      yield { ...record, ...more };
    },
    plan: async () => stored(planned),
    result: async () => (result === undefined ? undefined : stored(result)),
  };
  const warnings: string[] = [];
  const work = { storage: { journal }, deadline: within() };
  const rollbacks = await rollbacksDuring(parts, (name) => name === "g", work, warnings);
  expect(warnings).toEqual([]);
  return rollbacks;
}

/** The partitions that the rollback may have moved, between snapshots that were saved at these times. */
async function movedBy(changed: Changed, [first, last] = ["2025-01-15T10:00:00Z", "2025-01-15T10:15:00Z"]) {
  const parts = [first, last].map((createdAt = "") => snapshotOf(new Map(), { createdAt }));
  const rollbacks = await readDuring(parts, changed);
  return rollbacks.flatMap(({ groups }) => [...(groups.get("g")?.keys() ?? [])]);
}

const settled = (sent: ReturnType<typeof accepted>, after: Commits | undefined) =>
  settle(plan, sent, {
    commits: after ?? new Map(),
    errors: after === undefined ? [{ group: "g", error: "KafkaUnavailable", message: "no answer" }] : [],
  });
const answered = (kind: "refused" | "unknown" | "not_attempted") =>
  new Map([["g", outcomes(["t-0"], { kind, error: "KafkaUnavailable", message: "" })]]);

describe("a rollback may have moved", () => {
  test("what it planned, if it ran between the snapshots", async () => {
    expect(await movedBy({})).toEqual(["t-0"]);
    expect(await movedBy({ groupNames: ["other"] })).toEqual([]);
    expect(await movedBy({}, ["2025-01-15T09:00:00Z", "2025-01-15T10:04:00Z"])).toEqual([]);
    expect(await movedBy({}, ["2025-01-15T11:00:00Z", "2025-01-15T11:15:00Z"])).toEqual([]);
  });

  test("what the first snapshot had read before, and was saved after it", async () => {
    expect(await movedBy({}, ["2025-01-15T10:06:10Z", "2025-01-15T10:15:00Z"])).toEqual(["t-0"]);
  });

  test.each<[string, ReturnType<typeof accepted>, Commits | undefined, readonly string[]]>([
    ["and a consumer moved on since", accepted(plan), group({ "t-0": at(6n) }), ["t-0"]],
    ["and it could not be read back", accepted(plan), undefined, ["t-0"]],
    ["in doubt", answered("unknown"), before, ["t-0"]],
    ["but Kafka refused it", answered("refused"), before, []],
    ["but it was not attempted", answered("not_attempted"), before, []],
  ])("what it committed though its status is failed: %s", async (_, sent, after, moved) => {
    const settlement = settled(sent, after);
    expect(settlement.status).toBe("failed");
    const result = encodeResult(record, plan, settlement, 1);
    expect(await movedBy({ status: "failed", result })).toEqual(moved);
    // What an earlier call moved is not in the result of one that resumed it.
    expect(await movedBy({ status: "failed", attempts: 2, result })).toEqual(["t-0"]);
  });
});

describe("what a rollback did does not show in a group", () => {
  const [safetySnapshotId, shown] = ["snapshot-2025-01-15T10:05:00Z", group({ "t-0": at(10n) })];
  const part = (minute: number, consumerGroups: Commits, more: Partial<Snapshot> = {}) => {
    const createdAt = `2025-01-15T10:${String(minute).padStart(2, "0")}:00Z`;
    return snapshotOf(consumerGroups, { snapshotId: `snapshot-${createdAt}`, createdAt, ...more });
  };
  const [earlier, safety] = [part(0, shown), part(5, shown, { trigger: "safety" })];
  const others = part(10, new Map([["h", new Map()]]), { selection: { groups: ["h"], exclude: [] } });

  /** What is said of group g, and of h, which no rollback moved. */
  async function saidOf(parts: readonly Snapshot[], until = false, more: Changed = {}) {
    const rollbacks = await readDuring(parts, { safetySnapshotId, ...more });
    return unshownMoves(parts, ["g", "h"], rollbacks, until);
  }
  const said =
    `The last point of "g" is ${safetySnapshotId}, from before r: status and lag are those from before it, and what it did ` +
    "does not show. Take a snapshot, and ask again";

  test("whose last point is its safety snapshot", async () => {
    expect(await saidOf([earlier, safety])).toEqual([`${said}.`]);
    expect(await saidOf([earlier, safety], true)).toEqual([`${said} without "until".`]);
  });

  test("where there is no other snapshot, or only later ones that do not show it", async () => {
    expect(await saidOf([safety])).toEqual([`${said}.`]);
    expect(await saidOf([earlier, safety, others])).toEqual([`${said}.`]);
  });

  test("and nothing is said where a later snapshot shows it, or that it has no commits", async () => {
    expect(await saidOf([earlier, safety, part(10, shown)])).toEqual([]);
    expect(await saidOf([earlier, safety, part(10, new Map())])).toEqual([]);
  });

  test("and nothing is said where it moved nothing there", async () => {
    expect(await saidOf([earlier, safety], false, { groupNames: ["h"] })).toEqual([]);
    expect(await saidOf([earlier, safety], false, { safetySnapshotId: null })).toEqual([]);
    const result = encodeResult(record, plan, settled(answered("not_attempted"), before), 1);
    expect(await saidOf([earlier, safety], false, { status: "failed", result })).toEqual([]);
  });
});
