import { describe, expect, test } from "vitest";
import type { Commits } from "../../functions/shared/core/model.ts";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();
const at = (topic: string, offsets: readonly (bigint | null)[]) =>
  Object.fromEntries(offsets.map((offset, partition) => [`${topic}-${partition}`, offset]));

/** Takes a snapshot of one group and returns its id. */
async function snapshotOf(group: string): Promise<string> {
  const result = await stack.call("snapshot", { groups: [{ name: group }] });
  expect(result).toMatchObject({ status: "complete", groups: 1, errors: [], warnings: [] });
  return String(Reflect.get(Object(result), "snapshot_id"));
}

/** The stack of these tests has a schedule, which takes snapshots meanwhile. */
const isUnscheduled = ({ trigger }: { readonly trigger: string }) => trigger !== "schedule";

describe("the deployed stack", () => {
  test("answers a dry run of a snapshot with what it would capture, and stores and counts nothing", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [5n]));
    const since = new Date().toISOString();
    const captured = {
      dry_run: true,
      description: "",
      status: "complete",
      groups: 1,
      offsets: 1,
      errors: [],
      warnings: [],
      consumer_groups: { [group]: { partitions: { [`${topic}-0`]: { offset: 5, metadata: "", leader_epoch: 0 } } } },
    };
    const request = { groups: [group], dry_run: true } as const;
    expect(await stack.call("snapshot", request)).toEqual(captured);
    expect(await stack.http("POST", "/snapshots", request)).toEqual({ status: 200, body: captured });
    expect(await stack.logOf("snapshot", request)).not.toContain('"Snapshots"');
    expect((await stack.call("list", { since, limit: 1_000 })).snapshots.filter(isUnscheduled)).toEqual([]);
  });

  test("rolls a group back to a snapshot, as kafka-consumer-groups shows at every step", async () => {
    const [topic, group] = [await stack.topic(), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [5n, 6n, 7n]));
    const saved = await snapshotOf(group);
    await stack.commit(commitsOn(group, topic, [15n, 2n, 7n]));

    const diff = await stack.call("diff", { from: saved, groups: [group] });
    expect(diff).toMatchObject({
      from: saved,
      to: "live",
      summary: { advanced: 1, rewound: 1, metadata: 0, added: 0, removed: 0, unchanged: 1 },
      consumer_groups: {
        [group]: { partitions: { [`${topic}-0`]: { offset_delta: 10 }, [`${topic}-1`]: { offset_delta: -4 } } },
      },
    });
    const page = await stack.call("show", { snapshot_id: saved, format: "html" });
    expect(page).toMatchObject({ snapshot_id: saved, format: "html", content_type: "text/html; charset=utf-8" });
    expect(page).not.toHaveProperty("content");
    const served = await fetch(page.result_url ?? expect.fail());
    expect(served.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(await served.text()).toMatch(new RegExp(`^<!doctype html>.*${saved}.*"${group}"`, "s"));

    expect(await stack.call("verify", { snapshot_id: saved })).toMatchObject({
      verified: false,
      checked: 3,
      mismatches: [
        { group, topic, partition: 0, kind: "offset", expected: { offset: 5 }, actual: { offset: 15 } },
        { group, topic, partition: 1, kind: "offset" },
      ],
    });
    expect((await stack.failure("verify", { snapshot_id: saved, fail_on_mismatch: true })).name).toBe(
      "VerificationMismatch",
    );

    const plan = await stack.call("rollback", { snapshot_id: saved, dry_run: true });
    expect(plan).toMatchObject({
      dry_run: true,
      plan_digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      blockers: [],
      groups: {
        [group]: {
          state: "Empty",
          replayed: 10,
          skipped: 4,
          partitions: {
            [`${topic}-0`]: { action: "rewind", from: { offset: 15 }, to: { offset: 5 }, replayed: 10 },
            [`${topic}-1`]: { action: "fast_forward", skipped: 4 },
            [`${topic}-2`]: { action: "unchanged" },
          },
        },
      },
    });
    expect(await stack.committed(group)).toEqual(at(topic, [15n, 2n, 7n]));

    const result = await stack.call("rollback", { snapshot_id: saved, requested_by: "e2e" });
    expect(result).toMatchObject({
      status: "success",
      groups_rolled_back: 1,
      groups_failed: 0,
      offsets_restored: 2,
      verification: { verified: true, checked: 3, mismatches: [] },
      groups: {
        [group]: { partitions: { [`${topic}-0`]: { outcome: "restored" }, [`${topic}-2`]: { outcome: "unchanged" } } },
      },
    });
    expect(await stack.committed(group)).toEqual(at(topic, [5n, 6n, 7n]));
    expect(await stack.call("verify", { snapshot_id: saved })).toMatchObject({ verified: true, mismatches: [] });

    const safety = Reflect.get(Object(result), "safety_snapshot_id");
    expect(await stack.call("rollback", { snapshot_id: safety })).toMatchObject({ status: "success" });
    expect(await stack.committed(group)).toEqual(at(topic, [15n, 2n, 7n]));
    expect(await stack.call("rollback", { snapshot_id: safety, verify: false })).not.toHaveProperty("verification");
  });

  test("takes no safety snapshot if nothing has to be committed", async () => {
    const [topic, group] = [await stack.topic(), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [1n]));
    const saved = await snapshotOf(group);
    expect(await stack.call("rollback", { snapshot_id: saved })).toMatchObject({
      status: "success",
      safety_snapshot_id: null,
      offsets_restored: 0,
    });
  });

  test("keeps offsets beyond 2^53, metadata, leader epochs and unusual names exactly", async () => {
    const topic = await stack.topic(2);
    const group = `${Math.floor(Math.random() * 1e12)}`;
    const strange = `${uniqueGroup()} ü\u{1F600}/\n,*`;
    const commits: Commits = new Map([
      [group, new Map([[`${topic}-0`, { offset: 9007199254740993n, metadata: "é\u{1F680}", leaderEpoch: 7 }]])],
      [strange, new Map([[`${topic}-1`, { offset: 2n ** 63n - 1n, metadata: "" }]])],
    ]);
    await stack.commit(commits);
    const taken = await stack.call("snapshot", { groups: [{ name: group }, { name: strange }] });
    const shown = await stack.call("show", { snapshot_id: Reflect.get(Object(taken), "snapshot_id") });
    expect(shown).toMatchObject({
      consumer_groups: {
        [group]: {
          partitions: { [`${topic}-0`]: { offset: 9007199254740993n, metadata: "é\u{1F680}", leader_epoch: 7 } },
        },
        [strange]: { partitions: { [`${topic}-1`]: { offset: 9223372036854775807n, metadata: "" } } },
      },
    });
    expect(await stack.committed(group)).toEqual(at(topic, [9007199254740993n]));
  });

  test("captures every group of a three-broker cluster, on every coordinator", async () => {
    const [topic, prefix] = [await stack.topic(1), uniqueGroup("many")];
    const groups = Array.from({ length: 60 }, (_, i) => `${prefix}-${i}`);
    await stack.commit(new Map(groups.flatMap((group) => [...commitsOn(group, topic, [BigInt(group.length)])])));
    expect(await stack.call("snapshot", { groups: [`${prefix}-*`] })).toMatchObject({
      status: "complete",
      groups: 60,
      offsets: 60,
    });
  });

  test("resolves latest and times, skipping safety snapshots and those of other groups", async () => {
    const [topic, group, other] = [await stack.topic(), uniqueGroup(), uniqueGroup()];
    await stack.commit(new Map([...commitsOn(group, topic, [1n]), ...commitsOn(other, topic, [1n])]));
    const saved = await snapshotOf(group);
    await snapshotOf(other);
    expect(await stack.call("verify", { snapshot_id: "latest", groups: [group] })).toMatchObject({
      snapshot_id: saved,
    });
    await stack.commit(commitsOn(group, topic, [2n]));
    const rolled = await stack.call("rollback", { snapshot_id: "latest", groups: [group] });
    expect(rolled).toMatchObject({ snapshot_id: saved, status: "success" });
    const now = new Date(Date.now() + 1_000).toISOString();
    expect(await stack.call("show", { snapshot_id: { at: now }, groups: [group] })).toMatchObject({
      snapshot_id: saved,
    });
    expect(await stack.failure("show", { snapshot_id: { at: "2001-01-01T00:00:00Z" } })).toMatchObject({
      name: "SnapshotNotFound",
    });
  });

  test("lists newest first, in pages, and deletes", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [1n]));
    const ids = [await snapshotOf(group), await snapshotOf(group), await snapshotOf(group)];
    const seen: string[] = [];
    let next: unknown;
    do {
      const page = await stack.call("list", { limit: 2, ...(next !== undefined && { next_token: next }) });
      for (const entry of page.snapshots) seen.push(entry.snapshot_id);
      next = page.next_token;
    } while (next !== undefined);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((id) => ids.includes(id))).toEqual([...ids].reverse());

    const [first = ""] = ids;
    expect(await stack.call("delete", { snapshot_id: first })).toEqual({
      snapshot_id: first,
      deleted: true,
      warnings: [],
    });
    expect(await stack.failure("delete", { snapshot_id: first })).toMatchObject({ name: "SnapshotNotFound" });
    expect(await stack.failure("show", { snapshot_id: first })).toMatchObject({ name: "SnapshotNotFound" });
  });

  test("shows a part of a snapshot, and reports later commits on other partitions", async () => {
    const [a, b, group] = [await stack.topic(1), await stack.topic(1), uniqueGroup()];
    await stack.commit(commitsOn(group, a, [3n]));
    const saved = await snapshotOf(group);
    await stack.commit(commitsOn(group, b, [4n]));
    expect(await stack.call("rollback", { snapshot_id: saved, dry_run: true })).toMatchObject({
      extra: [{ group, topic: b, partition: 0, commit: { offset: 4 } }],
    });
    const both = await snapshotOf(group);
    const part = await stack.call("show", { snapshot_id: both, groups: [group], topics: [b] });
    expect(Object.keys(part.consumer_groups[group]?.partitions ?? {})).toEqual([`${b}-0`]);
    expect(Object.keys(part.observed.topics)).toEqual([b]);
    const whole = await stack.call("show", { snapshot_id: both });
    expect(Object.keys(whole).slice(0, 4)).toEqual(["snapshot_id", "description", "created_at", "consumer_groups"]);
  });
});
