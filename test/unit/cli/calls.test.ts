import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { verbs } from "../../../functions/operations.ts";
import { openCommandLine } from "../../support/command-line.ts";

/** What the server answers to the calls of one test, in their order. */
let answers: { status?: number; error?: boolean; body?: string; close?: true }[] = [];
/** The requests of the test, in their order. */
let requests: unknown[] = [];
beforeEach(() => {
  requests = [];
});

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    if (parts.length > 0) requests.push(JSON.parse(String(Buffer.concat(parts))));
    const { status = 200, error = false, body = "", close } = answers.shift() ?? { status: 418 };
    if (close) request.socket.destroy();
    else response.writeHead(status, error ? { "x-amz-function-error": "Unhandled" } : {}).end(body);
  });
});

let cli: ReturnType<typeof openCommandLine>;
beforeAll(async () => {
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  cli = openCommandLine({
    functions: Object.fromEntries(verbs.map((verb) => [verb, `offset-${verb}`])),
    bucket: "bucket",
    endpoint_url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
    bootstrap_servers: "kafka:9092",
    region: "us-east-1",
  });
});
afterAll(() => {
  cli.remove();
  server.close();
});

/** A dry run; with these totals, otherwise of one partition. */
const planWith = (totals: object = {}) =>
  JSON.stringify({
    snapshot_id: "snapshot-2025-01-15T10:30:00Z",
    plan_digest: "a".repeat(64),
    totals: { groups: 1, partitions: 1, replayed: 1, skipped: 0, actions: { rewind: 1 }, blockers: {}, ...totals },
  });
const plan = planWith();
const killed = {
  error: true,
  body: '{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out after 900.00 seconds"}',
};
const notKnown = "Whether it ran, and how it ended, is not known.";
const lookUp = /\nNext: offset-rollback rollbacks --rollback-id rollback-\S+\n$/;

describe("a rollback", () => {
  const roll = ["rollback", "latest", "--groups", "a"];

  test.each([
    ["is answered with nothing", { body: "" }],
    ["is answered with what is no JSON", { body: "<html>" }],
    ["is answered with an empty object", { body: "{}" }],
    ["is answered with a list", { body: "[]" }],
    ["is answered with a dry run", { body: plan }],
    ["is answered with another status", { body: '{"rollback_id":"r1","status":"partial_success"}' }],
    ["loses its answer", { close: true as const }],
    ["is killed", killed],
  ])("that %s is no success: it is to be looked up", async (_, answer) => {
    answers = [{ body: plan }, answer];
    const { exitCode, stdout, stderr } = await cli.run([...roll, "--yes"]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toContain(notKnown);
    expect(stderr).toMatch(lookUp);
    expect(answers).toEqual([]);
  });

  test.each([
    ["lost", { close: true as const }],
    ["killed", killed],
  ])("whose dry run is %s has changed nothing", async (_, answer) => {
    answers = [answer];
    const { exitCode, stderr } = await cli.run([...roll, "--yes"]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("The call changes nothing.");
    expect(stderr).not.toContain(notKnown);
  });

  test("is made of a dry run whose totals have a field of a later version", async () => {
    answers = [{ body: planWith({ bytes: 7 }) }, { body: '{"rollback_id":"r1","status":"success"}' }];
    const { exitCode, stdout } = await cli.run([...roll, "--yes"]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: expect.stringContaining("status: success") });
  });

  test("of a plan without partitions does not say that they stand at their targets", async () => {
    answers = [{ body: planWith({ partitions: 0, actions: {} }) }];
    const { exitCode, stderr } = await cli.run([...roll, "--dry-run"]);
    expect(exitCode).toBe(0);
    expect(stderr).toContain("There is nothing to do: the plan has no partitions.");
  });

  test.skipIf(!existsSync("/dev/full"))(
    "whose result cannot be written is no success (skipped without /dev/full)",
    async () => {
      answers = [{ body: plan }, { body: '{"rollback_id":"r1","status":"success"}' }];
      const { exitCode, stderr } = await cli.shell(`offset-rollback ${roll.join(" ")} --yes > /dev/full`);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/ starts\.\nThe output could not be written: ENOSPC.*What the command did is done\.\n$/);
    },
  );

  test("that resumes another is printed without the advice to add a digest, which it must not have", async () => {
    const { exitCode, stderr } = await cli.run(["rollback", "--resume", "r1", "--print-request"]);
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/^This request rolls back at once: .*\n$/);
  });

  test("that is throttled was not made, and is not sent again", async () => {
    answers = [{ body: plan }, { status: 429, body: '{"message":"Rate Exceeded."}' }, { body: plan }];
    const { exitCode, stderr } = await cli.run([...roll, "--yes"]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("was not invoked. Nothing was changed.");
    expect(answers).toHaveLength(1);
  });

  test.each([
    ['send {"resume": "r1"}; to see everything, call rollbacks {"rollback_id": "r1"}.', ["--resume r1"]],
    ['send {"resume": "r1", "skip_blocked": true}. Groups that', ["--resume r1 --skip-blocked"]],
    ["Then make a new dry run for this group: resume does not move it again.", []],
  ])("that is incomplete is resumed as its message says: %s", async (advice, resumes) => {
    const errorMessage = `RollbackIncomplete: r1 ended as partial_success. ${advice}`;
    answers = [
      { body: plan },
      { error: true, body: JSON.stringify({ errorType: "RollbackIncomplete", errorMessage }) },
    ];
    const { exitCode, stderr } = await cli.run([...roll, "--yes", "--rollback-id", "r1"]);
    expect(exitCode).toBe(1);
    const [looks, ...next] = [...stderr.matchAll(/^Next: (.*)$/gm)].map(([, command]) => command);
    expect(looks).toBe("offset-rollback rollbacks --rollback-id r1");
    expect(next).toEqual(resumes.map((flags) => `offset-rollback rollback ${flags}`));
  });

  test("whose id was used before names the command that shows how that one ended", async () => {
    const errorMessage = "InvalidRequest: rollback_id: r1 is the id of another request. Nothing was changed.";
    answers = [{ body: plan }, { error: true, body: JSON.stringify({ errorType: "InvalidRequest", errorMessage }) }];
    const { exitCode, stderr } = await cli.run([...roll, "--yes", "--rollback-id", "r1"]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`${errorMessage}\nNext: offset-rollback rollbacks --rollback-id r1\nNext: `);
  });

  test("names its next command with the deployment that was chosen", async () => {
    answers = [{ body: plan }, { close: true }];
    const place = ["--path", "s3://bucket", "--bootstrap-servers", "kafka:9092"];
    const { stderr } = await cli.run([...roll, "--yes", ...place]);
    expect(stderr).toMatch(
      /Next: offset-rollback rollbacks --path s3:\/\/bucket --bootstrap-servers kafka:9092 --roll/,
    );
    const refused = await cli.run([...roll, ...place]);
    expect(
      refused.stderr.match(/Next: offset-rollback rollback --path s3:\/\/bucket --bootstrap-servers/g),
    ).toHaveLength(2);
  });
});

describe("an undo", () => {
  const record = {
    ...{ rollback_id: "r1", status: "success", snapshot_id: "s1", safety_snapshot_id: "s2" },
    ...{ requested_by: null, started_at: "2025-01-15T11:00:00Z", warnings: [], request: { topics: ["orders:0"] } },
  };
  const page = { rollbacks: [{ rollback_id: "r1" }], warnings: [] };
  const undo = (recorded: object, listed: object = page) => {
    answers = [{ body: JSON.stringify(recorded) }, { body: JSON.stringify(listed) }, { body: plan }];
    return cli.run(["undo", "r1", "--dry-run"]);
  };

  test("is a rollback to the safety snapshot, of the topics of the rollback, and says what it deletes", async () => {
    const { exitCode, stderr } = await undo(record);
    expect(exitCode).toBe(0);
    expect(requests.at(-1)).toMatchObject({ snapshot_id: "s2", topics: ["orders:0"], exact: true, dry_run: true });
    expect(stderr).toContain("deletes those that were made since on partitions without one.\n");
  });

  test("of a rollback whose request is not known is not made: it could be of more than the rollback", async () => {
    const { exitCode, stdout, stderr } = await undo({ ...record, request: undefined });
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toContain("The answer of rollbacks is not what this version reads: ");
    expect(requests).toHaveLength(1);
  });

  test("says that a rollback may only seem to run, and that others may have followed it", async () => {
    const seems = await undo({ ...record, status: "running", warnings: ["Whether it runs is not known."] });
    expect(seems.exitCode).toBe(3);
    expect(seems.stderr).toMatch(/^Warning: Whether it runs is not known\.\nr1 is still running/);
    const followed = await undo(record, { ...page, warnings: ["A record cannot be read."] });
    expect(followed.exitCode).toBe(0);
    expect(followed.stderr).toContain("Warning: A record cannot be read.\n");
  });
});

test.each([
  ["nothing", "", "is no result: (empty)"],
  ["an empty object", "{}", "is no result: {}"],
  ["a result that does not say whether it matches", '{"checked":1}', 'is not what this version reads: {"checked":1}'],
])("a comparison that is answered with %s is no match", async (_, body, said) => {
  answers = [{ body }];
  const { exitCode, stdout, stderr } = await cli.run(["verify", "latest", "--groups", "a"]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
  expect(stderr).toContain(`${said}. The call changes nothing.\nNext: offset-rollback verify latest`);
});

test("a snapshot that is answered with an empty object is no success", async () => {
  answers = [{ body: "{}" }];
  const { exitCode, stderr } = await cli.run(["snapshot"]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain(notKnown);
});

test.each([
  ["show", "latest", "--format", "rpk"],
  ["report", "latest"],
])("a format that is answered without content is no success: %s", async (...words) => {
  answers = [{ body: '{"snapshot_id":"s","format":"rpk","content_type":"text/plain","warnings":[]}' }];
  const { exitCode, stdout, stderr } = await cli.run(words);
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
  expect(stderr).toContain("is not what this version reads");
});

test("a page says that there are more, and how they are shown, in a format that has no place for that too", async () => {
  const page = { body: '{"snapshots":[{"snapshot_id":"snapshot-1"}],"warnings":[],"next_token":"a/b="}' };
  answers = [page, { body: '{"snapshots":[],"warnings":[]}' }];
  const { stdout, stderr } = await cli.run(["list", "--limit", "1", "--format", "csv"]);
  expect(stdout).toContain("snapshot-1");
  expect(stderr).toBe("There are more.\nNext: offset-rollback list --limit 1 --next-token a/b=\n");
  expect((await cli.run(["list", "--next-token", "a/b="])).stderr).toBe("");
});

test("a stack that the environment names, and that does not count, is not passed over in silence", async () => {
  answers = [{ body: '{"snapshots":[],"warnings":[]}' }];
  const { exitCode, stderr } = await cli.run(["list"], { OFFSET_ROLLBACK_DEPLOYMENT: "Production" });
  expect(exitCode).toBe(0);
  expect(stderr).toMatch(/^OFFSET_ROLLBACK_DEPLOYMENT=Production does not count here: this is the local stack of /);
  expect(stderr).toContain("--deployment Production\n");
});

describe("a result behind a link", () => {
  const link = { body: JSON.stringify({ verified: true, result_url: "https://bucket/results/1.json?signature=1" }) };

  test("is followed", async () => {
    answers = [link, { body: '{"verified":true,"checked":9007199254740993}' }];
    const { exitCode, stdout } = await cli.run(["verify", "latest", "--format", "json"]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain('"checked": 9007199254740993');
  });

  test.each([
    ["is no JSON", { body: "<html>" }, "is no JSON"],
    ["is gone", { status: 404 }, "could not be fetched (HTTP 404)"],
    ["breaks off", { close: true as const }, "could not be fetched"],
  ])("that %s is no success", async (_, answer, said) => {
    answers = [link, answer];
    const { exitCode, stdout, stderr } = await cli.run(["verify", "latest"]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toContain(said);
    expect(stderr).toContain("https://bucket/results/1.json");
  });
});

test("a report says the warnings of the snapshot that it takes, and of the format", async () => {
  const taken = { snapshot_id: "snapshot-2025-01-15T10:30:00Z", warnings: ["The snapshot is empty."] };
  const shown = { ...taken, content: '{"topics":{}}', content_type: "application/json", warnings: ["No metadata."] };
  answers = [{ body: JSON.stringify(taken) }, { body: JSON.stringify(shown) }];
  const { exitCode, stderr } = await cli.run(["report"]);
  expect(exitCode).toBe(0);
  expect(stderr).toMatch(/was taken for the report\.\nWarning: The snapshot is empty\.\nWarning: No metadata\.\n$/);
});
