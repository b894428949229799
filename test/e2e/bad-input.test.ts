import { describe, expect, test } from "vitest";
import { createClient } from "../../localstack/client.ts";
import { proxyEvent } from "../support/events.ts";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();
const unknown = "snapshot-1999-12-31T23:59:59Z";

/** All snapshots except those of the schedule, which may be taken at any time. */
async function listed(): Promise<string[]> {
  const { snapshots } = await stack.call("list", { limit: 1000, since: "2020-01-01T00:00:00Z" });
  return snapshots
    .filter(({ trigger }: { trigger: string }) => trigger !== "schedule")
    .map(({ snapshot_id }: { snapshot_id: string }) => snapshot_id);
}

describe("invalid input fails with the right error, and writes nothing:", () => {
  test.each<[string, string, unknown, string, RegExp]>([
    ["an unknown field", "snapshot", { grops: ["a"] }, "InvalidRequest", /unknown field "grops"/],
    ["a field that is not supported yet", "snapshot", { retention_days: 3 }, "InvalidRequest", /"retention_days"/],
    ["several problems at once", "list", { limit: "5", status: "open", x: 1 }, "InvalidRequest", /limit.*status.*"x"/],
    ["a wrong type", "snapshot", { groups: "orders" }, "InvalidRequest", /groups/],
    ["empty groups", "snapshot", { groups: [] }, "InvalidRequest", /names nothing/],
    ["an empty pattern", "snapshot", { groups: [""] }, "InvalidRequest", /groups\[0\]: must be a name, a pattern/],
    ["a pattern of half a character", "snapshot", { groups: ["\ud800*"] }, "InvalidRequest", /groups\[0\]/],
    ["a pattern that is a number", "snapshot", { groups: [7] }, "InvalidRequest", /groups\[0\]/],
    ["an invalid topic name", "show", { snapshot_id: unknown, topics: ["a/b"] }, "InvalidRequest", /topics\[0\]/],
    ["../ in an id", "show", { snapshot_id: "../../etc/passwd" }, "InvalidRequest", /snapshot_id/],
    ["a control character in an id", "delete", { snapshot_id: "snapshot-\u0000" }, "InvalidRequest", /snapshot_id/],
    ["deleting latest", "delete", { snapshot_id: "latest" }, "InvalidRequest", /one snapshot/],
    ["latest without groups", "rollback", { snapshot_id: "latest" }, "InvalidRequest", /groups/],
    ["a bad time", "show", { snapshot_id: { at: "yesterday" } }, "InvalidRequest", /snapshot_id/],
    ["a bad token", "list", { next_token: "!!" }, "InvalidRequest", /next_token/],
    ["a group both named and excluded", "snapshot", { groups: ["a"], exclude: ["a*"] }, "InvalidRequest", /exclude/],
    ["a too long description", "snapshot", { description: "x".repeat(1025) }, "InvalidRequest", /description/],
    ["no snapshot at all", "show", {}, "InvalidRequest", /snapshot_id/],
    ["an unknown snapshot to show", "show", { snapshot_id: unknown }, "SnapshotNotFound", /1999/],
    ["an unknown snapshot to diff", "diff", { from: unknown }, "SnapshotNotFound", /1999/],
    ["an unknown snapshot to verify", "verify", { snapshot_id: unknown }, "SnapshotNotFound", /1999/],
    ["an unknown snapshot to roll back", "rollback", { snapshot_id: unknown }, "SnapshotNotFound", /1999/],
    ["an unknown snapshot to delete", "delete", { snapshot_id: "snapshot-no-such" }, "SnapshotNotFound", /no-such/],
    ["a group that does not exist", "snapshot", { groups: ["no-such-group"] }, "GroupNotFound", /"no-such-group"/],
  ])("%s", async (_what, verb, request, name, message) => {
    const before = await listed();
    const error = await stack.failure(verb, request);
    expect(error).toMatchObject({ name, message: expect.stringMatching(message) });
    expect(error.message.startsWith(`${name}: `)).toBe(true);
    expect(await listed()).toEqual(before);
  });

  test("45,000 unknown fields, in a short answer over both transports", async () => {
    const wrong = Object.fromEntries(Array.from({ length: 45_000 }, (_, i) => [`field-${i}`, i]));
    const error = await stack.failure("snapshot", wrong);
    expect(error).toMatchObject({
      name: "InvalidRequest",
      message: expect.stringMatching(/: 45000 problems: .*"field-0"/),
    });
    expect(Buffer.byteLength(error.message)).toBeLessThanOrEqual(4_096);
    const { status, body } = await stack.http("POST", "/snapshots", wrong);
    expect([400, 413]).toContain(status);
    expect(JSON.stringify(body).length).toBeLessThan(20_000);
    expect(body).not.toHaveProperty("details.result_url");
  });

  test("exclusions that would take a quarter of a minute to match, at once", async () => {
    const exclude = Array.from({ length: 6 }, (_, i) => `${"*a".repeat(8_000)}${i}`);
    expect(await stack.failure("snapshot", { groups: ["a".repeat(32_767)], exclude })).toMatchObject({
      name: "InvalidRequest",
      message: expect.stringContaining("characters in patterns"),
    });
  });

  test.each<[string, object, RegExp]>([
    ["without request context", { requestContext: null }, /requestContext: /],
    ["with a number as its caller", { requestContext: { identity: { userArn: 5 } } }, /userArn: /],
    ["with a caller of 300 kB", { requestContext: { identity: { userArn: "x".repeat(300_000) } } }, /userArn: /],
    ["with a key twice in its body", { body: '{"limit":1,"limit":2}' }, /the key \\"limit\\" twice/],
    [
      "with a number in its query",
      { multiValueQueryStringParameters: { limit: 5 } },
      /multiValueQueryStringParameters: /,
    ],
  ])("an event of the alias, %s", async (_what, wrong, message) => {
    const event = JSON.parse(JSON.stringify({ ...proxyEvent({}), ...wrong }));
    const functions = { list: `${stack.outputs.functions.list}:api` };
    const answer = await createClient({ ...stack.outputs, functions }, stack.cloud).invoke("list", event);
    expect(answer).toMatchObject({ result: { statusCode: 400, body: expect.stringMatching(message) } });
  });

  test("an event that looks like API Gateway's, in a direct invocation; a schedule's execution, over HTTP", async () => {
    const event = proxyEvent({
      httpMethod: "DELETE",
      pathParameters: { snapshot_id: "snapshot-2025-01-15T10:30:00Z" },
    });
    expect(await stack.failure("delete", event)).toMatchObject({
      name: "InvalidRequest",
      message: expect.stringMatching(/ did not come through the API: .*:function:[\w-]*offset-delete\. /),
    });
    const schedule = { name: "hourly", execution_id: "1", scheduled_time: "2025-01-15T10:30:00Z" };
    expect(await stack.http("POST", "/snapshots", { schedule, groups: [] })).toMatchObject({
      status: 400,
      body: {
        details: {
          problems: ["schedule: is accepted in direct invocations only", expect.stringContaining("groups: ")],
        },
      },
    });
  });

  test("a group that the snapshot lacks, and a topic that its groups lack", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup()];
    await stack.commit(commitsOn(group, topic, [1n]));
    const { snapshot_id } = await stack.call("snapshot", { groups: [group] });
    for (const verb of ["show", "verify", "rollback"]) {
      expect(await stack.failure(verb, { snapshot_id, groups: ["another"] })).toMatchObject({ name: "GroupNotFound" });
      for (const topics of [["another"], ["another*"]]) {
        expect(await stack.failure(verb, { snapshot_id, topics })).toMatchObject({ name: "InvalidRequest" });
      }
    }
    expect(await stack.failure("diff", { from: snapshot_id, groups: ["another"] })).toMatchObject({
      name: "GroupNotFound",
    });
  });

  test("a pattern that matches nothing is only a warning", async () => {
    const answer = await stack.call("snapshot", { groups: ["no-such-*"] });
    expect(answer).toMatchObject({
      status: "complete",
      groups: 0,
      warnings: [expect.stringContaining("no-such-*"), expect.stringContaining("empty")],
    });
  });
});
