import { once } from "node:events";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { parseJson } from "../../functions/shared/core/json/json.ts";
import { openCommandLine } from "../support/command-line.ts";
import { required } from "../support/required.ts";
import { commitsOn, openStack, uniqueGroup } from "../support/stack.ts";

const stack = openStack();
const cli = openCommandLine(stack.outputs);
afterAll(cli.remove);

const path = stack.outputs.path;
const servers = stack.outputs.bootstrap_servers;

/** Other tests have snapshots on the same stack: a page may not be the last one. */
const perhapsMore = expect.stringMatching(/^(There are more\.\nNext: offset-rollback list .*\n)?$/);

/** A group that has committed these offsets, and its snapshot; then other offsets. */
async function moved(before: readonly bigint[], after: readonly bigint[]) {
  const [topic, group] = [await stack.topic(before.length), uniqueGroup("cli")];
  await stack.commit(commitsOn(group, topic, before));
  const { snapshot_id: snapshot } = await stack.call("snapshot", { groups: [group] });
  await stack.commit(commitsOn(group, topic, after));
  const at = (offsets: readonly bigint[]) =>
    Object.fromEntries(offsets.map((offset, partition) => [`${topic}-${partition}`, offset]));
  return { topic, group, snapshot, before: at(before), after: at(after) };
}

describe("the walkthrough", () => {
  test("runs as it is typed", async () => {
    const [topic, group] = [await stack.topic(2), uniqueGroup("orders-streams")];
    await stack.commit(commitsOn(group, topic, [5n, 7n]));
    const env = { P: path, G: group, K: servers };
    const first = await cli.shell(
      `ID=$(offset-rollback snapshot --path "$P" --groups "$G" --bootstrap-servers "$K" \\
         --description "Before consuming remaining messages" | grep -o 'snapshot-\\S*')
       offset-rollback list --path "$P" --format text | grep -F "$ID"
       offset-rollback show --path "$P" --snapshot-id "$ID" --format json > a.json
       echo "$ID" > id`,
      env,
    );
    expect(first).toMatchObject({ exitCode: 0, stderr: perhapsMore });
    expect(first.stdout).toMatch(/^ *snapshot-\S+ .*Before consuming remaining messages/);
    const id = readFileSync(join(cli.folder, "id"), "utf8").trim();
    expect(id).toMatch(/^snapshot-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(-\d+)?$/);

    await stack.commit(commitsOn(group, topic, [15n, 7n]));
    const second = await cli.shell(
      `ID=$(cat id)
       LATER=$(offset-rollback snapshot --path "$P" --groups "$G" --bootstrap-servers "$K" | grep -o 'snapshot-\\S*')
       offset-rollback show --path "$P" --snapshot-id "$LATER" --format json > b.json
       diff <(jq .consumer_groups a.json) <(jq .consumer_groups b.json) || true
       offset-rollback diff --path "$P" --from "$ID" --to "$LATER" --format json | jq -c .summary
       offset-rollback rollback --path "$P" --snapshot-id "$ID" --bootstrap-servers "$K" --verify true --yes > result
       offset-rollback verify --snapshot-id "$ID"`,
      env,
    );
    expect(second.exitCode).toBe(0);
    expect(second.stdout).toMatch(/< +"offset": 5,/);
    expect(second.stdout).toMatch(/> +"offset": 15,/);
    expect(second.stdout).toContain('"advanced":1');
    expect(second.stdout).toContain("verified: true");
    expect(second.stderr).toContain("Dry run of a rollback by");
    expect(readFileSync(join(cli.folder, "result"), "utf8")).toContain("status: success");
    expect(await stack.committed(group)).toEqual({ [`${topic}-0`]: 5n, [`${topic}-1`]: 7n });
  });

  test("writes the document and nothing else, with every offset exact", async () => {
    const [topic, group] = [await stack.topic(1), uniqueGroup("cli")];
    await stack.commit(commitsOn(group, topic, [9007199254740993n]));
    const { snapshot_id } = await stack.call("snapshot", { groups: [group] });
    const { stdout, exitCode } = await cli.run(["show", snapshot_id, "--format", "json"]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain('"offset": 9007199254740993');
    expect(parseJson(stdout)).toEqual(await stack.call("show", { snapshot_id }));
  });
});

describe("a rollback", () => {
  test("without a terminal and without --yes is refused, and says how it is done", async () => {
    const { group, snapshot, after } = await moved([5n], [9n]);
    expect(await cli.run(["rollback", "--snapshot-id", snapshot, "--groups", group])).toEqual({
      exitCode: 3,
      stdout: "",
      stderr: expect.stringMatching(
        /Nothing was sent\.\nNext: offset-rollback rollback .*--dry-run.*\nNext: .* --yes /,
      ),
    });
    expect(await stack.committed(group)).toEqual(after);
  });

  test("is executed as its dry run was printed, and undone, with --yes", async () => {
    const { group, snapshot, before, after } = await moved([5n, 6n], [9n, 6n]);
    const plan = await cli.run(["rollback", snapshot, "--dry-run"]);
    expect(plan).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("rewind 1") });
    expect(await stack.committed(group)).toEqual(after);

    const done = await cli.run(["rollback", snapshot, "--yes", "--format", "json"]);
    expect(done.exitCode).toBe(0);
    const result = Object(parseJson(done.stdout));
    expect(result).toMatchObject({ status: "success", snapshot_id: snapshot });
    expect(done.stderr).toContain(`Sending rollback ${result.rollback_id}.`);
    expect(await stack.committed(group)).toEqual(before);
    const { rollbacks } = await stack.call("rollbacks", { limit: 1 });
    expect(rollbacks).toMatchObject([
      { rollback_id: result.rollback_id, requested_by: expect.stringMatching(/.+@.+/) },
    ]);

    const undone = await cli.run(["undo", result.rollback_id, "--yes", "--format", "json"]);
    expect(undone).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(`Undo of ${result.rollback_id}`) });
    expect(await stack.committed(group)).toEqual(after);

    const again = await cli.run(["undo", result.rollback_id, "--dry-run"]);
    expect(again.stderr).toMatch(
      /^1 rollback of its groups followed it: rollback-\S+\. The undo goes back to before them/m,
    );
  });

  test("has a dry run that ends with the command that does exactly this", async () => {
    const { group, snapshot, before } = await moved([5n], [9n]);
    const { exitCode, stderr } = await cli.run(["rollback", "latest", "--groups", group, "--dry-run"]);
    expect(exitCode).toBe(0);
    expect(stderr).toContain("A dry run: nothing was changed.");
    const [, next = ""] = /^Next: (.*) {3}\(does exactly this at once, without asking\)$/m.exec(stderr) ?? [];
    expect(next).toContain(`--snapshot-id ${snapshot}`);
    expect(await cli.shell(next)).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("status: success") });
    expect(await stack.committed(group)).toEqual(before);

    const idle = await cli.run(["rollback", snapshot, "--dry-run"]);
    expect(idle.stderr).toContain("There is nothing to do");
    expect(idle.stderr).not.toContain("Next:");
  });

  test("that is blocked ends with 3, by a dry run too, and changes nothing", async () => {
    const { topic, group, snapshot } = await moved([500n], [9n]);
    for (const how of ["--dry-run", "--yes"]) {
      const { exitCode, stderr } = await cli.run(["rollback", snapshot, how]);
      expect(exitCode).toBe(3);
      expect(stderr).toMatch(/The rollback would be refused: above_log_end 1\. Nothing was changed\./);
    }
    expect(await stack.committed(group)).toEqual({ [`${topic}-0`]: 9n });
  });

  test("of a plan that has changed ends with 3", async () => {
    const { topic, group, snapshot } = await moved([5n], [9n]);
    const plan = await stack.call("rollback", { snapshot_id: snapshot, dry_run: true });
    await stack.commit(commitsOn(group, topic, [12n]));
    const { exitCode, stderr } = await cli.run(["rollback", snapshot, "--plan-digest", plan.plan_digest]);
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/^PlanChanged: .*Nothing was changed\./m);
    expect(stderr).toContain(`Next: offset-rollback rollback --snapshot-id ${snapshot} --dry-run`);
  });

  test("has nothing to undo where it committed nothing, or was never made", async () => {
    const { snapshot } = await moved([5n], [5n]);
    const { rollback_id } = await stack.call("rollback", { snapshot_id: snapshot });
    expect(await cli.run(["undo", rollback_id, "--yes"])).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining("it committed nothing, so there is nothing to undo"),
    });
    expect(await cli.run(["undo", "rollback-none", "--yes"])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/^RollbackNotFound: [\s\S]*Next: offset-rollback rollbacks\n$/),
    });
  });
});

describe("on a terminal", () => {
  const asks = "record";

  test.each([100, 40])("of %d columns a rollback shows its dry run, asks, and does it after yes", async (columns) => {
    const { group, snapshot, before } = await moved([5n], [9n]);
    const { stdout, exitCode } = await cli.onTerminal(["rollback", snapshot], [["(y/N)", "y\r"]], { columns });
    const shown = stripVTControlCharacters(stdout);
    expect(shown).toContain("Nothing was changed.");
    expect(shown).toContain("Roll back 1 group");
    expect(shown).toContain(asks);
    expect(shown).toContain("status: success");
    expect(exitCode).toBe(0);
    expect(await stack.committed(group)).toEqual(before);
  });

  test.each([
    ["no", "n\r"],
    ["nothing but Enter", "\r"],
    ["another word with a y in it", "maybe\r"],
    ["a y that was deleted", "y\u007F\r"],
    ["Ctrl-C", "\u0003"],
    ["Ctrl-D", "\u0004"],
    ["Ctrl-C after y", "y\u0003"],
  ])("it changes nothing after %s", async (_, keys) => {
    const { group, snapshot, after } = await moved([5n], [9n]);
    const { stdout, exitCode } = await cli.onTerminal(["rollback", snapshot], [["(y/N)", keys]]);
    expect(exitCode).toBe(3);
    expect(stdout).toContain("Nothing was changed: the rollback was not confirmed.");
    expect(await stack.committed(group)).toEqual(after);
  });

  test("what was typed before the question is no answer", async () => {
    const { group, snapshot, after } = await moved([5n], [9n]);
    const typed: [string, string][] = [
      ["", "y\r"],
      ["(y/N)", "\r"],
    ];
    const { stdout, exitCode } = await cli.onTerminal(["rollback", snapshot], typed);
    expect(exitCode).toBe(3);
    expect(stdout).toContain("Nothing was changed: the rollback was not confirmed.");
    expect(await stack.committed(group)).toEqual(after);
  });

  test("it does not ask where there is nothing to do", async () => {
    const { snapshot } = await moved([5n], [5n]);
    const { stdout, exitCode } = await cli.onTerminal(["rollback", snapshot]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("There is nothing to do");
  });

  test("has colours, unless NO_COLOR is set; a pipe has none, unless FORCE_COLOR is set", async () => {
    const color = "\u001B[";
    const { snapshot } = await moved([5n], [5n]);
    const words = ["list", "--limit", "1"];
    expect(snapshot).toBeDefined();
    expect((await cli.onTerminal(words)).stdout).toContain(color);
    expect((await cli.onTerminal(words, [], { env: { NO_COLOR: "1" } })).stdout).not.toContain(`${color}1m`);
    expect((await cli.run(words)).stdout).not.toContain(color);
    expect((await cli.run(words, { FORCE_COLOR: "1" })).stdout).toContain(color);
  });

  test("HTML is not printed there", async () => {
    const { snapshot } = await moved([5n], [5n]);
    const { exitCode, stdout } = await cli.onTerminal(["show", snapshot, "--format", "html"]);
    expect(exitCode).toBe(2);
    expect(stdout).toContain("--format html is for a file or a browser");
  });
});

describe("a deployment", () => {
  test("must be the one that is meant, or nothing is sent", async () => {
    const wrong = await cli.run(["snapshot", "--path", "s3://another/bucket", "--bootstrap-servers", "kafka:1"]);
    expect(wrong).toMatchObject({ exitCode: 2, stdout: "" });
    expect(wrong.stderr).toMatch(
      /2 problems:\n {2}--path is s3:\/\/another\/bucket, .*\n {2}--bootstrap-servers has kafka:1,/,
    );
    expect(wrong.stderr).toContain("Nothing was sent.");
    const [one = ""] = servers.replaceAll("127.0.0.1", "localhost").split(",");
    const right = ["list", "--limit", "1", "--path", path.replace(/\/$/, ""), "--bootstrap-servers", one];
    expect(await cli.run(right)).toMatchObject({ exitCode: 0 });
  });

  test("is found by its stack", async () => {
    const elsewhere = openCommandLine();
    const { environment } = stack.cloud;
    try {
      const named = await elsewhere.run(
        ["list", "--limit", "1", "--path", path, "--deployment", stack.name],
        environment,
      );
      expect(named).toMatchObject({ exitCode: 0, stderr: perhapsMore });
      const byVariable = await elsewhere.run(["list", "--limit", "1"], {
        ...environment,
        OFFSET_ROLLBACK_DEPLOYMENT: stack.name,
      });
      expect(byVariable).toMatchObject({ exitCode: 0, stderr: perhapsMore });
      expect(await elsewhere.run(["list", "--deployment", "NoSuchStack"], environment)).toMatchObject({
        exitCode: 2,
        stderr: expect.stringMatching(/The outputs of the stack NoSuchStack cannot be read: .*Nothing was sent\./),
      });
    } finally {
      elsewhere.remove();
    }
  });

  test("that does not answer leaves the id of the rollback to look for", async () => {
    const server = createServer((socket) => socket.once("data", () => socket.destroy())).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const broken = openCommandLine({ ...stack.outputs, endpoint_url: `http://127.0.0.1:${port}` });
    try {
      const digest = "0".repeat(64);
      const { exitCode, stderr } = await broken.run(["rollback", "snapshot-x", "--plan-digest", digest]);
      expect(exitCode).toBe(1);
      const [, id] = /^Sending rollback (\S+)\.$/m.exec(stderr) ?? [];
      expect(stderr).toContain("Whether it ran, and how it ended, is not known.");
      expect(stderr).toContain(`Next: offset-rollback rollbacks --rollback-id ${required(id)}\n`);
    } finally {
      broken.remove();
      server.close();
    }
  });

  test("is asked by a call that can be interrupted, which says that the rollback goes on", async () => {
    const server = createServer(() => {}).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const silent = openCommandLine({ ...stack.outputs, endpoint_url: `http://127.0.0.1:${port}` });
    try {
      const running = silent.start(["rollback", "snapshot-x", "--plan-digest", "0".repeat(64)]);
      await once(server, "connection");
      running.kill("SIGINT");
      const { exitCode, stderr } = await running;
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(
        /Interrupted\. The function goes on[\s\S]*Next: offset-rollback rollbacks --rollback-id rollback-/,
      );
    } finally {
      silent.remove();
      server.close();
    }
  });
});

describe("results and errors", () => {
  test("a mismatch ends with 1, as a result", async () => {
    const { snapshot } = await moved([5n], [9n]);
    const { exitCode, stdout } = await cli.run(["verify", snapshot, "--format", "json"]);
    expect(exitCode).toBe(1);
    expect(parseJson(stdout)).toMatchObject({ verified: false, mismatches: [{ kind: "offset" }] });
  });

  test("an error has its name, its message and the next command, on stderr", async () => {
    expect(await cli.run(["show", "snapshot-1999-01-01T00:00:00Z"])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: expect.stringMatching(/^SnapshotNotFound: .*\nNext: offset-rollback list\n$/),
    });
  });

  test("a request is printed as a command that can be pasted, and not sent", async () => {
    const { group, snapshot, after } = await moved([5n], [9n]);
    const aws = join(cli.folder, "bin", "aws");
    writeFileSync(aws, '#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n');
    chmodSync(aws, 0o755);
    const words = `rollback --snapshot-id ${snapshot} --groups '${group},it'\\''s' --print-request`;
    const { stdout, stderr, exitCode } = await cli.shell(`eval "$(offset-rollback ${words})"`);
    expect(exitCode).toBe(0);
    expect(stderr).toContain("This request rolls back at once: it shows no dry run");
    const planned = await cli.run(["rollback", snapshot, "--print-request", "--plan-digest", "0".repeat(64)]);
    expect(planned).toMatchObject({ exitCode: 0, stderr: "" });
    const said = stdout.trimEnd().split("\n");
    expect(said.slice(0, 4)).toEqual(["lambda", "invoke", "--function-name", stack.outputs.functions.rollback]);
    const payload = parseJson(required(said[said.indexOf("--payload") + 1]));
    expect(payload).toEqual({ snapshot_id: snapshot, groups: [group, "it's"] });
    expect(await stack.committed(group)).toEqual(after);
  });

  test("the other formats are those of the operation, or made of its result", async () => {
    const { topic, group, snapshot } = await moved([5n], [9n]);
    const report = await cli.run(["show", snapshot, "--format", "report"]);
    expect(parseJson(report.stdout)).toMatchObject({
      consumer_groups: { [group]: { partitions: { [`${topic}-0`]: { offset: 5, lag: 15 } } } },
    });
    expect((await cli.run(["show", snapshot, "--format", "kafka-csv"])).stdout).toContain(`${topic},0,5`);
    expect((await cli.run(["diff", snapshot, "--format", "csv"])).stdout).toMatch(/^group,topic,partition,/);
    const saved = await cli.run(["show", snapshot, "--format", "html", "--output", "report.html"]);
    expect(saved).toMatchObject({ exitCode: 0, stdout: "", stderr: "Written to report.html\n" });
    expect(readFileSync(join(cli.folder, "report.html"), "utf8")).toMatch(/^<!doctype html>/);
  });

  test("a file of another tool is imported by its name", async () => {
    const { topic, group, snapshot } = await moved([5n], [9n]);
    const { stdout, stderr, exitCode } = await cli.shell(
      `offset-rollback show ${snapshot} --format rpk > saved.txt 2>/dev/null
       ID=$(offset-rollback import saved.txt --format rpk --groups ${group} | grep -o 'snapshot-\\S*' | head -1)
       offset-rollback show "$ID" --format json
       offset-rollback import - --format rpk --groups ${group} --dry-run --output-format json < saved.txt > dry-run.json`,
    );
    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(parseJson(stdout)).toMatchObject({
      trigger: "imported",
      consumer_groups: { [group]: { partitions: { [`${topic}-0`]: { offset: 5 } } } },
    });
    expect(parseJson(readFileSync(join(cli.folder, "dry-run.json"), "utf8"))).toMatchObject({
      dry_run: true,
      offsets: 1,
    });
  });

  test("a report of the live cluster takes a snapshot first, and says so", async () => {
    const { topic, group } = await moved([5n], [9n]);
    const { stdout, stderr, exitCode } = await cli.run(["report", "--groups", group, "--format", "json"]);
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/^Snapshot snapshot-\S+ was taken for the report\.\n/);
    expect(parseJson(stdout)).toMatchObject({
      consumer_groups: { [group]: { partitions: { [`${topic}-0`]: { offset: 9, lag: 11 } } } },
    });
    expect((await cli.run(["report", "--groups", group])).stdout).toMatch(/lag/);
  });

  test("a result that is too large for an answer is whole", async () => {
    const topic = await stack.topic(100, 0);
    const prefix = uniqueGroup("large");
    const commits = (group: string) =>
      new Map(
        Array.from({ length: 100 }, (_, i) => [
          `${topic}-${i}`,
          { offset: 0n, metadata: `${group}${"x".repeat(1_000)}` },
        ]),
      );
    const groups = Array.from({ length: 60 }, (_, i) => `${prefix}-${i}`);
    await stack.commit(new Map(groups.map((group) => [group, commits(group)])));
    const { stdout: text } = await cli.run(["snapshot", "--groups", `${prefix}-*`]);
    const [id = ""] = /snapshot-\S+/.exec(text) ?? [];
    const { stdout } = await cli.run(["show", id, "--format", "json"]);
    expect(stdout.length).toBeGreaterThan(5_000_000);
    expect(Object.keys(Object(parseJson(stdout)).consumer_groups)).toHaveLength(60);
  });
});

describe("doctor", () => {
  /** The checks that depend on the emulator's schedules and alarms. */
  const surroundings = /^(schedule|schedules|alarms|notifications)\b/;
  /** The checks that depend on what all tests have left in bucket and index: their own tests are in test/unit/cli. */
  const ofArchive = /^(reindex|prune)\b/;
  /** The lines of the other checks; one that begins with blanks is of the check above it. */
  const lines = (stdout: string) =>
    stdout.split(/\n(?! {2})/).filter((line) => ![surroundings, ofArchive].some((some) => some.test(line.slice(2))));

  test("proves every operation, changes nothing without --write, and removes with it all that it made", async () => {
    const { group, after } = await moved([5n, 6n], [7n, 8n]);
    const since = new Date().toISOString();
    const look = await cli.run(["doctor", "--group", group]);
    expect(look.stderr).toBe("");
    expect(lines(look.stdout).filter((line) => !line.startsWith("✓"))).toEqual([
      expect.stringMatching(/^– delete +only with --write$/),
      expect.stringMatching(/^– hold +only with --write$/),
      expect.stringMatching(/^– write +writes to S3, DynamoDB and Kafka are proved only by writing/),
      expect.stringMatching(/^\d+ checks passed, \d failed, \d+ not made\.$/),
      "",
    ]);
    const { stdout, stderr, exitCode } = await cli.run(["doctor", "--group", group, "--write", "--format", "json"]);
    expect(stderr).toBe("");
    const { checks, failed, left_behind } = Object(parseJson(stdout));
    expect(checks.filter(({ check }: { check: string }) => !surroundings.test(check))).toMatchObject(
      [
        ...[
          "deployment",
          "snapshot",
          "write: snapshot",
          "write: import",
          "list",
          "show",
          "diff",
          "verify",
          "plan",
          "rollback",
          "rollbacks",
        ],
        ...[
          "history",
          "import",
          "reindex",
          "prune",
          "write: hold",
          "write: rollback",
          "write: removal",
          "write: delete",
        ],
      ].map((check) => ({
        check,
        outcome: ofArchive.test(check) ? expect.any(String) : "passed",
        message: expect.any(String),
      })),
    );
    expect([exitCode, left_behind]).toEqual([failed === 0 ? 0 : 1, []]);
    expect(await stack.committed(group)).toEqual(after);
    expect(await stack.committed("offset-rollback-doctor")).toEqual({});
    const { snapshots } = await stack.call("list", { since, limit: 1_000 });
    expect(snapshots.filter(({ trigger }) => trigger !== "schedule")).toEqual([]);
  });
});
