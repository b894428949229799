import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { verbs } from "../../../functions/operations.ts";
import { openCommandLine } from "../../support/command-line.ts";

/** What the server answers to the calls of one test, in their order. */
let answers: { status?: number; error?: boolean; body?: string; close?: true }[] = [];
/** The requests of the test, in their order. */
let requests: unknown[] = [];
/** The paths of their calls. */
let called: unknown[] = [];
beforeEach(() => {
  requests = [];
  called = [];
});

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    if (parts.length > 0) requests.push(JSON.parse(String(Buffer.concat(parts))));
    called.push(request.url);
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
const failure = (errorType: string, said: string) => ({
  error: true,
  body: JSON.stringify({ errorType, errorMessage: `${errorType}: ${said}` }),
});
const notFound = failure("RollbackNotFound", "there is no such rollback. Nothing was changed.");
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

  test("is planned by a function of its own, and the next command does what was shown", async () => {
    answers = [{ body: plan }];
    const { exitCode, stderr } = await cli.run(["plan", "latest", "--groups", "a", "--out-of-range", "clamp"]);
    expect({ exitCode, requests, called }).toEqual({
      exitCode: 0,
      requests: [{ snapshot_id: "latest", groups: ["a"], out_of_range: "clamp" }],
      called: [expect.stringMatching(/\/functions\/offset-plan\/invocations$/)],
    });
    const digest = "a".repeat(64);
    expect(stderr).toContain(
      `Next: offset-rollback rollback --snapshot-id snapshot-2025-01-15T10:30:00Z --groups a --out-of-range clamp --plan-digest ${digest}` +
        "   (does exactly this at once, without asking; requires the operator's policy)\n",
    );
    answers = [{ body: plan }];
    const dryRun = await cli.run([...roll, "--dry-run"]);
    expect(dryRun.stderr).toMatch(/ {3}\(does exactly this at once, without asking\)\n$/);
    expect((await cli.run(["rollback", "--help"])).stdout.replace(/\s+/g, " ")).toMatch(
      /--plan-digest <value>[^(]* Rolls back without asking\./,
    );
  });

  test("that the caller may not ask for is answered with the command of plan", async () => {
    const denied = { status: 403, body: '{"__type":"AccessDeniedException","message":"not authorized"}' };
    for (const how of [
      ["--dry-run", "--rollback-id", "r1", "--out-of-range", "clamp"],
      ["--yes", "--out-of-range", "clamp"],
    ]) {
      answers = [denied, denied];
      const { exitCode, stderr } = await cli.run([...roll, ...how]);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(
        /was not invoked\. Nothing was changed\.\nNext: offset-rollback plan --snapshot-id latest --groups a --out-of-range clamp\n$/,
      );
    }
    answers = [denied];
    const resumed = await cli.run(["rollback", "--resume", "r1", "--dry-run"]);
    expect(resumed.stderr).not.toContain("offset-rollback plan");
  });

  test("that would be refused is planned with 3, and a lost answer has changed nothing", async () => {
    answers = [{ body: planWith({ blockers: { group_not_empty: 1 } }) }, { close: true }];
    const refused = await cli.run(["plan", "latest", "--groups", "a"]);
    expect(refused.exitCode).toBe(3);
    expect(refused.stderr).toContain("Next: offset-rollback rollback --snapshot-id latest --groups a");
    const lost = await cli.run(["plan", "latest", "--groups", "a"]);
    expect(lost.exitCode).toBe(1);
    expect(lost.stderr).toContain("The call changes nothing.");
  });

  test.skipIf(!existsSync("/dev/full"))(
    "whose result cannot be written is no success (skipped without /dev/full)",
    async () => {
      answers = [{ body: plan }, { body: '{"rollback_id":"r1","status":"success"}' }];
      const { exitCode, stderr } = await cli.shell(`offset-rollback ${roll.join(" ")} --yes > /dev/full`);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(
        /Sending rollback rollback-\S+\.\nThe output could not be written: ENOSPC.*What the command did is done\.\n$/,
      );
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
    const incomplete = failure("RollbackIncomplete", `r1 ended as partial_success. ${advice}`);
    answers = [notFound, { body: plan }, incomplete];
    const { exitCode, stderr } = await cli.run([...roll, "--yes", "--rollback-id", "r1"]);
    expect(exitCode).toBe(1);
    const [looks, ...next] = [...stderr.matchAll(/^Next: (.*)$/gm)].map(([, command]) => command);
    expect(looks).toBe("offset-rollback rollbacks --rollback-id r1");
    expect(next).toEqual(resumes.map((flags) => `offset-rollback rollback ${flags}`));
  });

  const done = '{"rollback_id":"r1","status":"success","repeated":true}';
  const endedText = "It had ended before: this is its recorded result. Nothing was changed now.";

  test.each([
    ["latest", "s1"],
    ["at:2025-01-15T10:30:00Z", "s1"],
    ["s7", "s7"],
  ])("to %s whose id is typed again is sent as it was, and answered with its recorded result", async (typed, sent) => {
    const record = { rollback_id: "r1", snapshot_id: "s1", plan_digest: "d", ended_at: "2025-01-15T11:00:00Z" };
    answers = [{ body: JSON.stringify(record) }, { body: done }];
    const { exitCode, stdout, stderr } = await cli.run(["rollback", typed, "--groups", "a", "--rollback-id", "r1"]);
    expect(requests.at(-1)).toMatchObject({ rollback_id: "r1", snapshot_id: sent, plan_digest: "d", groups: ["a"] });
    expect(exitCode).toBe(0);
    expect(stdout).toContain("repeated: true");
    expect(stderr).toContain(endedText);
  });

  test.each([
    ["there is none", notFound],
    ["has not ended", { body: '{"rollback_id":"r1","snapshot_id":"s1","plan_digest":"d","status":"unfinished"}' }],
  ])("whose typed id %s is planned", async (_, looked) => {
    answers = [looked, { body: plan }, { body: '{"rollback_id":"r1","status":"success"}' }];
    const { exitCode, stderr } = await cli.run([...roll, "--yes", "--rollback-id", "r1"]);
    expect(exitCode).toBe(0);
    expect(requests.slice(1)).toMatchObject([{ dry_run: true }, { rollback_id: "r1", plan_digest: "a".repeat(64) }]);
    expect(stderr).not.toContain(endedText);
  });

  test("whose id is that of another request names the command that shows how that one ended", async () => {
    answers = [notFound, { body: plan }, failure("InvalidRequest", "rollback_id: r1 is the id of another request.")];
    const { exitCode, stderr } = await cli.run([...roll, "--yes", "--rollback-id", "r1"]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("another request.\nNext: offset-rollback rollbacks --rollback-id r1\nNext: ");
  });

  test.each([["--yes"], ["--dry-run"]])("that had succeeded is not resumed: its result is shown (%s)", async (word) => {
    answers = [{ body: done }];
    const { exitCode, stdout, stderr } = await cli.run(["rollback", "--resume", "r1", word]);
    expect(exitCode).toBe(0);
    expect(requests).toMatchObject([{ resume: "r1", dry_run: true }]);
    expect(stdout).toContain("repeated: true");
    expect(stderr).toBe(`${endedText}\n`);
  });

  test("is not made where a flag stands for the value of another", async () => {
    const words = [...roll, "--yes", "--description", "--dry-run", "--rollback-id", "--help"];
    const { exitCode, stderr } = await cli.run(words);
    expect({ exitCode, requests }).toEqual({ exitCode: 2, requests: [] });
    expect(stderr).toBe(
      "2 problems:\n" +
        "  --description has no value before --dry-run. If --dry-run is its value: '--description=--dry-run'\n" +
        "  --rollback-id has no value before --help. If --help is its value: '--rollback-id=--help'\n" +
        "Nothing was sent.\n",
    );
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
  const page = { rollbacks: [{ rollback_id: "r1", safety_snapshot_id: "s2" }], warnings: [] };
  const undo = (recorded: object, listed: object = page, words: readonly string[] = ["r1"]) => {
    answers = [{ body: JSON.stringify(listed) }, { body: JSON.stringify(recorded) }, { body: plan }];
    return cli.run(["undo", ...words, "--dry-run"]);
  };

  test("is a rollback to the safety snapshot, of the topics of the rollback, and says what it deletes", async () => {
    const { exitCode, stderr } = await undo(record);
    expect(exitCode).toBe(0);
    expect(requests.at(-1)).toMatchObject({ snapshot_id: "s2", topics: ["orders:0"], exact: true, dry_run: true });
    expect(stderr).toContain("deletes commits on partitions that had none before it.\n");
  });

  test("of a rollback whose request is not known is not made: it could be of more than the rollback", async () => {
    const { exitCode, stdout, stderr } = await undo({ ...record, request: undefined });
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toContain("The answer of rollbacks is not what this version reads: ");
    expect(requests).toEqual([{ limit: 50 }, { rollback_id: "r1" }]);
  });

  test("of a rollback that was refused before it had a plan is refused: it moved nothing", async () => {
    const refused = {
      ...{ rollback_id: "r1", status: "failed", snapshot_id: "latest", safety_snapshot_id: null, unplanned: true },
      error: { name: "GroupNotEmpty", message: "GroupNotEmpty: members" },
    };
    const { exitCode, stderr } = await undo(refused);
    expect(exitCode).toBe(3);
    expect(stderr).toContain("r1 has no safety snapshot: it committed nothing");
    expect(requests).toEqual([{ limit: 50 }, { rollback_id: "r1" }]);
  });

  test("of an undo says that it makes the first rollback again", async () => {
    const listed = { ...page, rollbacks: [...page.rollbacks, { rollback_id: "r0", safety_snapshot_id: "s1" }] };
    const { exitCode, stderr } = await undo(record, listed, []);
    expect(exitCode).toBe(0);
    expect(stderr).toContain("r1 was itself an undo of r0: to undo it moves the groups as r0 did.\n");
    expect((await undo(record)).stderr).not.toContain("itself an undo");
  });

  const rehearsal = { rollback_id: "doctor-2025-01-15T12:00:00Z-1f2e3d4c", safety_snapshot_id: "s9" };

  test("without an id passes over the rehearsals of doctor, and says so", async () => {
    const { exitCode, stderr } = await undo(record, { ...page, rollbacks: [rehearsal, ...page.rollbacks] }, []);
    expect(exitCode).toBe(0);
    expect(requests[1]).toEqual({ rollback_id: "r1" });
    expect(stderr).toContain(`Passed over, because doctor made and removed them: ${rehearsal.rollback_id}.\n`);
    expect(stderr).not.toContain("followed it");
  });

  test.each([
    ["there are only rehearsals", [rehearsal], "There is no rollback to undo. Nothing was changed."],
    ["the newest 50 are rehearsals", Array(50).fill(rehearsal), "None of the newest 50 rollbacks is one to undo."],
  ])("without an id is refused where %s", async (_, rollbacks, said) => {
    answers = [{ body: JSON.stringify({ ...page, rollbacks }) }];
    const { exitCode, stderr } = await cli.run(["undo", "--yes"]);
    expect({ exitCode, requests }).toEqual({ exitCode: 3, requests: [{ limit: 50 }] });
    expect(stderr).toContain(said);
  });

  test("names the rollbacks that followed in its groups, and none that cannot have moved these", async () => {
    const of = (rollback_id: string, safety_snapshot_id: string | null = "s5") => ({ rollback_id, safety_snapshot_id });
    const rollbacks = [
      of("idle", null),
      of("unknown"),
      of("other"),
      of("same"),
      rehearsal,
      ...page.rollbacks,
      of("r0"),
    ];
    const planOf = (...groups: string[]) => ({
      plan: { groups: Object.fromEntries(groups.map((name) => [name, {}])) },
    });
    answers = [
      { body: JSON.stringify({ ...page, rollbacks }) },
      { body: JSON.stringify({ ...record, ...planOf("a", "b") }) },
      failure("JournalCorrupt", "the plan is missing."),
      ...[planOf("c"), planOf("b", "c")].map((body) => ({ body: JSON.stringify(body) })),
      { body: plan },
    ];
    const { exitCode, stderr } = await cli.run(["undo", "r1", "--dry-run"]);
    expect(exitCode).toBe(0);
    expect(requests.slice(2, -1)).toEqual(["unknown", "other", "same"].map((rollback_id) => ({ rollback_id })));
    expect(stderr).toContain(
      "2 rollbacks of its groups followed it: unknown, same. The undo goes back to before them, in the groups of r1.\n",
    );
  });

  test("of a rollback that committed nothing names the last one that did", async () => {
    const idle = { rollback_id: "r1", safety_snapshot_id: null };
    const listed = { ...page, rollbacks: [idle, { rollback_id: "r0", safety_snapshot_id: "s0" }] };
    const { exitCode, stderr } = await undo({ ...record, safety_snapshot_id: null }, listed, []);
    expect(exitCode).toBe(3);
    expect(stderr).toContain("it committed nothing");
    expect(stderr).toMatch(/\nNext: offset-rollback undo r0\nNext: offset-rollback rollbacks\n$/);
  });

  test("whose safety snapshot was deleted says so", async () => {
    answers = [{ body: JSON.stringify(page) }, { body: JSON.stringify(record) }];
    answers.push(failure("SnapshotNotFound", 'there is no snapshot "s2". "latest" is the newest complete one.'));
    const { exitCode, stderr } = await cli.run(["undo", "--yes"]);
    expect(exitCode).toBe(3);
    expect(stderr).toContain("r1 cannot be undone: its safety snapshot s2 is no longer there. Nothing was changed.");
    expect(stderr).not.toContain("latest");
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

test.each([
  ["that is gzip'd is sent as its text", gzipSync("orders 0 5"), /"content":"orders 0 5"/, ""],
  ["that is not UTF-8 is refused", Buffer.from("gr\u00F6\u00DFe 0 5", "latin1"), /^$/, "the content is not UTF-8"],
  [
    "whose gzip is damaged is refused",
    gzipSync("orders 0 5").subarray(0, 20),
    /^$/,
    "begins like gzip, but is damaged",
  ],
])("a file to import %s", async (_, bytes, sent, said) => {
  writeFileSync(join(cli.folder, "offsets"), bytes);
  const { stdout, stderr } = await cli.run(["import", "offsets", "--format", "rpk", "--print-request"]);
  expect({ stdout, stderr }).toEqual({ stdout: expect.stringMatching(sent), stderr: expect.stringContaining(said) });
});

test.each([["delete"], ["hold", "--held"]])(
  "an id that depends on the time is refused before anything is sent: %s",
  async (...words) => {
    for (const id of ["at:2025-01-15T10:30:00Z", "latest"]) {
      const { exitCode, stderr } = await cli.run([...words, `--snapshot-id=${id}`]);
      expect({ exitCode, requests }).toEqual({ exitCode: 2, requests: [] });
      expect(stderr).toContain("--snapshot-id must be the id of one snapshot: which one is the latest");
    }
  },
);

test("a snapshot that is held is released by the next command", async () => {
  answers = [failure("SnapshotHeld", "s1 is held. Nothing was changed.")];
  const { exitCode, stderr } = await cli.run(["delete", "s1", "--path", "s3://bucket"]);
  expect(exitCode).toBe(3);
  expect(stderr).toMatch(
    /\nNext: offset-rollback hold --path s3:\/\/bucket --snapshot-id s1 --held=false {3}\(releases it\)\n$/,
  );
});

test.each([
  ["the cluster lacks", ["snapshot", "--groups", "no"], "snapshot --dry-run"],
  ["the cluster lacks", ["report", "--groups", "no"], "snapshot --dry-run"],
  ["a snapshot lacks", ["report", "s1", "--groups", "no"], "list"],
])("a group that %s is looked for where it can be found: %j", async (_, words, next) => {
  answers = [failure("GroupNotFound", "there is no group no.")];
  expect((await cli.run(words)).stderr).toMatch(new RegExp(`\nNext: offset-rollback ${next}\n$`));
});

describe("a stack that cannot be found", () => {
  const elsewhere = openCommandLine();
  afterAll(() => elsewhere.remove());
  const noRegion = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b", AWS_CONFIG_FILE: "/dev/null" };
  const local = "Next: npm run local:up";

  test("requires a region, and the local stack is no next step outside a checkout", async () => {
    const { exitCode, stderr } = await elsewhere.run(["list"], noRegion);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/Region is missing.* a region \(AWS_REGION\).*\nNext: aws sts get-caller-identity\n$/s);
  });

  test("may be the local one in a checkout, unless another one is named", async () => {
    mkdirSync(join(elsewhere.folder, "localstack"));
    writeFileSync(join(elsewhere.folder, "localstack", "up.ts"), "");
    expect((await elsewhere.run(["list"], noRegion)).stderr).toContain(local);
    expect((await elsewhere.run(["list", "--deployment", "Nope"], noRegion)).stderr).not.toContain(local);
    const meant = { ...noRegion, OFFSET_ROLLBACK_DEPLOYMENT: "Nope" };
    expect((await elsewhere.run(["list"], meant)).stderr).not.toContain(local);
  });
});

test("a local stack that has stopped is started again", async () => {
  const stopped = openCommandLine({
    functions: { list: "offset-list" },
    ...{ bucket: "bucket", endpoint_url: "http://127.0.0.1:1", bootstrap_servers: "kafka:9092", region: "us-east-1" },
  });
  const { exitCode, stderr } = await stopped.run(["list"]);
  stopped.remove();
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/ was not invoked\. Nothing was changed\.\nNext: npm run local:up\n$/);
});

test.each([
  ["opens", 0, 0, /^Written to \S+list\.txt\n$/],
  ["cannot be opened", 3, 1, /its result could not be opened \(\S+ ended with 3\): open \S+list\.txt yourself/],
])("a result %s with the system's program", async (_, ended, exitCode, said) => {
  const programs = mkdtempSync(join(tmpdir(), "offset-rollback-test-"));
  for (const program of ["xdg-open", "open"]) {
    writeFileSync(join(programs, program), `#!/bin/sh\nexit ${ended}\n`, { mode: 0o755 });
  }
  answers = [{ body: '{"snapshots":[],"warnings":[]}' }];
  const result = await cli.run(["list", "--open"], { PATH: `${programs}:${process.env.PATH}` });
  rmSync(programs, { recursive: true });
  expect(result).toMatchObject({ exitCode, stdout: "", stderr: expect.stringMatching(said) });
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
