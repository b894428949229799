import { describe, expect, test } from "vitest";
import { createClient } from "../../localstack/client.ts";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();
/** Its answers are not compared with the documents: MiniStack answers what the function returns, whatever the templates say. */
const later = createClient(stack.outputs, stack.cloud);

describe("the HTTP API", () => {
  test("supports every operation", async () => {
    const [topic, group] = [await stack.topic(2), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [5n, 5n]));
    const labels = { env: "test", group };
    const taken = await stack.http("POST", "/snapshots", { groups: [group], description: "over HTTP", labels });
    expect(taken).toMatchObject({ status: 200, body: { status: "complete", groups: 1, labels } });
    const id = String(Reflect.get(Object(taken.body), "snapshot_id"));
    const path = `/snapshots/${encodeURIComponent(id)}`;
    const query = `groups=${group}`;

    const list = await stack.http("GET", "/snapshots?limit=1000&since=2020-01-01T00:00:00Z");
    expect(list.body).toMatchObject({
      snapshots: expect.arrayContaining([expect.objectContaining({ snapshot_id: id, trigger: "api" })]),
    });
    expect(await stack.http("GET", path)).toMatchObject({ status: 200, body: { snapshot_id: id, labels } });
    expect(await stack.http("PUT", `${path}/hold`, { held: true, reason: "audit" })).toMatchObject({
      status: 200,
      body: { snapshot_id: id, held: true },
    });
    // In a path without colons, which needs no encoding. LocalStack checks no signature, and so proves nobody.
    const by_proven = stack.cloud.flavour === "ministack";
    expect(await stack.http("GET", `/snapshots/${id.replaceAll(":", "-")}`)).toMatchObject({
      status: 200,
      body: { snapshot_id: id, held: true, hold: { reason: "audit", by_proven } },
    });
    const labelled = await stack.http("GET", `/snapshots?labels=env:test&labels=group:${group}&held=true`);
    expect(labelled.body).toMatchObject({ snapshots: [{ snapshot_id: id, labels, held: true }] });
    expect(await stack.http("DELETE", path)).toMatchObject({
      status: 409,
      body: { error: "SnapshotHeld", details: { hold: { reason: "audit" } } },
    });
    expect(await stack.http("PUT", `${path}/hold`, { held: false })).toMatchObject({ body: { held: false } });
    expect(await stack.http("GET", `/snapshots/latest?${query}`)).toMatchObject({
      status: 200,
      body: { snapshot_id: id },
    });
    const time = encodeURIComponent(new Date(Date.now() + 1_000).toISOString());
    expect(await stack.http("GET", `/snapshots/at:${time}?${query}`)).toMatchObject({ body: { snapshot_id: id } });

    await stack.commit(commitsOn(group, topic, [9n, 5n]));
    expect(await stack.http("GET", `${path}/diff?to=live`)).toMatchObject({
      status: 200,
      body: { from: id, to: "live", summary: { advanced: 1, unchanged: 1 } },
    });
    expect(await stack.http("POST", `${path}/verify`, {})).toMatchObject({ status: 200, body: { verified: false } });
    expect(await stack.http("POST", `${path}/verify`, { fail_on_mismatch: true })).toMatchObject({
      status: 409,
      body: { error: "VerificationMismatch", details: { verified: false, mismatches: [{ partition: 0 }] } },
    });
    const plan = await stack.http("POST", `${path}/plan`, { detail: "summary" });
    expect(plan).toMatchObject({
      status: 200,
      body: { dry_run: true, plan_digest: expect.stringMatching(/^[\da-f]{64}$/) },
    });
    expect(await stack.http("POST", `${path}/rollback`, { dry_run: true })).toMatchObject({
      status: 200,
      body: { dry_run: true },
    });
    expect(await stack.http("POST", `${path}/rollback`, {})).toMatchObject({
      status: 200,
      body: { status: "success" },
    });
    expect(await stack.committed(group)).toEqual({ [`${topic}-0`]: 5n, [`${topic}-1`]: 5n });
    expect(await stack.http("DELETE", path)).toMatchObject({ status: 200, body: { deleted: true } });
    expect(await stack.http("DELETE", path)).toMatchObject({ status: 404, body: { error: "SnapshotNotFound" } });
  });

  test("answers errors with their name, status, details and request id", async () => {
    expect(await stack.http("GET", "/snapshots/snapshot-1999-12-31T23:59:59Z")).toMatchObject({
      status: 404,
      body: {
        error: "SnapshotNotFound",
        message: expect.stringMatching(/^SnapshotNotFound: /),
        request_id: expect.any(String),
      },
    });
    expect(await stack.http("GET", "/snapshots?limit=x&bogus=1")).toMatchObject({
      status: 400,
      body: {
        error: "InvalidRequest",
        details: { problems: [expect.stringContaining("limit"), expect.stringContaining("bogus")] },
      },
    });
    expect(await stack.http("POST", "/snapshots", ["not", "an", "object"])).toMatchObject({ status: 400 });
    expect(await stack.http("GET", "/snapshots/not%20an%20id")).toMatchObject({ status: 400 });
  });

  test("answers a refused rollback with the blockers in its details", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [500n]));
    const { snapshot_id } = Object((await stack.http("POST", "/snapshots", { groups: [group] })).body);
    expect(await stack.http("POST", `/snapshots/${snapshot_id}/rollback`, {})).toMatchObject({
      status: 422,
      body: {
        error: "RollbackBlocked",
        details: { blockers: [{ kind: "above_log_end", group, expected: 500, actual: 20 }] },
      },
    });
  });

  test("accepts a rollback, runs it afterwards, and shows it by its id: who asked, and how it ended", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [5n]));
    const { snapshot_id } = Object((await stack.http("POST", "/snapshots", { groups: [group] })).body);
    await stack.commit(commitsOn(group, topic, [9n]));
    const rollback_id = `later-${group}`;
    const post = (more: object) => later.http("POST", "/rollbacks", { rollback_id, snapshot_id, ...more });
    const shown = async (id: string) => (await stack.http("GET", `/rollbacks/${id}`)).body;
    const ended = (id: string, status: string) =>
      expect.poll(() => shown(id), { timeout: 60_000, interval: 500 }).toMatchObject({ rollback_id: id, status });

    // MiniStack does not give the method its validator.
    const isChecked = stack.cloud.flavour === "localstack";
    const wrong = isChecked ? [{ grups: [group] }, { rollback_id: 'a"b' }, { dry_run: true }] : [];
    for (const more of wrong) expect((await post(more)).status).toBe(400);
    expect((await stack.http("GET", `/rollbacks/${rollback_id}`)).status).toBe(404);

    const accepted = await post({ groups: [group], description: 'say "hello" größe' });
    expect(accepted.status).toBe(202);
    if (isChecked) {
      expect(accepted.body).toEqual({
        rollback_id,
        status_url: expect.stringMatching(`/rollbacks/${rollback_id}$`),
        request_id: expect.any(String),
      });
    } else {
      expect(accepted.body).toMatchObject({ status: "success", rollback_id });
      expect(await post({ dry_run: true, rollback_id: "wrong" })).toMatchObject({
        status: 202,
        body: { errorMessage: expect.any(String) },
      });
    }
    await ended(rollback_id, "success");
    expect(await shown(rollback_id)).toMatchObject({
      description: 'say "hello" größe',
      caller: { proven: true },
      result: { offsets_restored: 1 },
    });
    expect(await stack.committed(group)).toEqual({ [`${topic}-0`]: 5n });

    // What only the function can find wrong is found by the id, too.
    await later.http("POST", "/rollbacks", { rollback_id: `${rollback_id}-2`, snapshot_id: "latest" });
    await ended(`${rollback_id}-2`, "failed");
    expect(await shown(`${rollback_id}-2`)).toMatchObject({
      unplanned: true,
      error: { name: "InvalidRequest", message: expect.stringContaining("must be an id when no groups are named") },
    });
  });

  test("refuses unsigned calls (on the emulator that checks signatures)", async () => {
    expect(await stack.unsigned("GET", "/snapshots")).toBe(stack.cloud.flavour === "ministack" ? 403 : 200);
  });
});
