import { once } from "node:events";
import { createServer } from "node:http";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Run } from "../../../functions/cli/command.ts";
import { doctor } from "../../../functions/cli/doctor.ts";
import { Findings } from "../../../functions/cli/findings.ts";
import { AnswerLost, NotInvoked, OperationFailed } from "../../../functions/cli/problems.ts";
import { checkSurroundings } from "../../../functions/cli/surroundings.ts";
import { type Verb, verbs } from "../../../functions/operations.ts";
import { encodeJson, type Fields } from "../../../functions/shared/core/json/json.ts";

/** How much time has passed: what waits for it passes it. */
let passed = 0;
vi.mock("node:timers/promises", () => ({
  async setTimeout(ms: number): Promise<void> {
    passed += ms;
  },
}));
beforeEach(() => {
  passed = 0;
  vi.spyOn(performance, "now").mockImplementation(() => passed);
});

/** A deployment in memory, as far as the doctor sees it. */
let archive: Map<string, { description: string; held: boolean }>;
let journal: Map<string, { status: string; safety_snapshot_id: string | null }>;
let doctorCommits: number;
/** How many snapshots were taken. */
let taken: number;
/** What becomes of a call; undefined: what the deployment does. */
let fault: (verb: Verb, request: Fields, run: () => Fields) => Fields | undefined;
/** Answers that only look. */
let looks: Partial<Record<Verb, Fields>>;
beforeEach(() => {
  [archive, journal, doctorCommits, taken] = [new Map(), new Map(), 0, 0];
  fault = () => undefined;
  looks = {
    reindex: { indexed: 2, added: [], repaired: [], orphan_rows: [], unreadable: [], remaining: 0, warnings: [] },
    prune: { kept: [{ snapshot_id: "s", because: ["held"] }], deleted: [], warnings: [] },
  };
});
afterEach(() => {
  vi.restoreAllMocks();
});

const failed = (name: string) => new OperationFailed(name, `${name}: so it is`);
const lost = () => new AnswerLost("The answer was lost.", true);
const take = (description: unknown): string => {
  const id = `snapshot-2025-01-15T10:30:0${taken++}Z`;
  archive.set(id, { description: String(description), held: false });
  return id;
};

const group = "orders";
const doctorGroup = "offset-rollback-doctor";
const planOf = (action: string, size: number) => ({
  plan_digest: "d",
  blockers: [],
  extra: [],
  groups: {
    [doctorGroup]: {
      partitions: Object.fromEntries(
        Array.from({ length: size }, (_, i) => [
          `o-${i}`,
          { action, from: action === "create" ? null : { offset: 1 } },
        ]),
      ),
    },
  },
});

function rollback({ dry_run, exact, rollback_id, snapshot_id, description }: Fields): Fields {
  if (snapshot_id === "latest") return { snapshot_id: "s" };
  if (dry_run) return exact ? planOf("delete", doctorCommits) : planOf(doctorCommits > 0 ? "unchanged" : "create", 2);
  const safety_snapshot_id = take(`Before ${rollback_id} to ${snapshot_id}: ${description}`);
  doctorCommits = exact ? 0 : 2;
  journal.set(String(rollback_id), { status: "success", safety_snapshot_id });
  return { status: "success", safety_snapshot_id, verification: { verified: true, checked: 2 } };
}

function answer(verb: Verb, request: Fields): Fields {
  const id = String(request.snapshot_id);
  if (verb === "snapshot" && request.dry_run) {
    if (encodeJson(request).includes(doctorGroup)) return { offsets: doctorCommits };
    const partitions = { "o-0": { offset: 1 }, "o-1": { offset: 2 } };
    return { groups: 1, offsets: 2, errors: [], warnings: [], consumer_groups: { [group]: { partitions } } };
  }
  if (verb === "import" && request.snapshot_url !== undefined)
    throw new OperationFailed("InvalidRequest", "InvalidRequest: there is no object");
  if (verb === "import" && request.dry_run) return { warnings: [] };
  if (verb === "snapshot" || verb === "import") return { snapshot_id: take(request.description) };
  if (verb === "list") {
    const snapshots = [...archive].map(([snapshot_id, { description }]) => ({ snapshot_id, description }));
    return { snapshots, warnings: [] };
  }
  if (verb === "rollback") return rollback(request);
  if (verb === "rollbacks" && request.rollback_id === undefined) return { rollbacks: [] };
  if (verb === "rollbacks") {
    const found = journal.get(String(request.rollback_id));
    if (found === undefined) throw failed("RollbackNotFound");
    return found;
  }
  if (verb === "hold" || verb === "delete") {
    const found = archive.get(id);
    if (found === undefined) throw failed("SnapshotNotFound");
    if (verb === "hold") found.held = request.held === true;
    else if (found.held) throw failed("SnapshotHeld");
    else archive.delete(id);
    return { snapshot_id: id };
  }
  return looks[verb] ?? { snapshot_id: "s", from: "s" };
}

/** Runs the doctor, and returns what it shows. */
async function examine(request: Fields = { write: true }, more: Partial<Run["deployment"]> = {}) {
  let shown: Record<string, unknown> = {};
  const said: string[] = [];
  const exitCode = await doctor({
    deployment: {
      name: "the stack",
      stack: undefined,
      functions: Object.fromEntries(verbs.map((verb) => [verb, `offset-${verb}`])),
      path: "s3://bucket/",
      bootstrapServers: undefined,
      client: { region: "us-east-1" },
      ...more,
    },
    request,
    isSet: () => false,
    here: (command) => command,
    say: (...lines) => said.push(...lines),
    async call(verb, wanted) {
      const run = () => answer(verb, wanted);
      const result = fault(verb, wanted, run) ?? run();
      return { text: encodeJson(result), result };
    },
    async show({ result }) {
      shown = Object(result);
    },
  });
  const checks: { check: string; outcome: string; message: string; next?: string[] }[] = Object(shown.checks);
  const left: { what: string; remove: string }[] = Object(shown.left_behind);
  return {
    exitCode,
    left,
    said,
    of: (check: string) => checks.find((each) => each.check === check),
    failed: checks.filter(({ outcome }) => outcome === "failed").map(({ check }) => check),
  };
}

/** Loses the answer of the first call of this kind that writes, which is run, or is not. */
function losing(verb: Verb, runs = true): typeof fault {
  let times = 0;
  return (called, request, run) => {
    if (called !== verb || request.dry_run || request.snapshot_id === "latest" || times++ > 0) return undefined;
    if (runs) run();
    throw lost();
  };
}
const both =
  (...faults: (typeof fault)[]): typeof fault =>
  (verb, request, run) => {
    for (const each of faults) {
      const result = each(verb, request, run);
      if (result !== undefined) return result;
    }
    return undefined;
  };
/** Nothing that was made can be looked up. */
const blind: typeof fault = (verb, { rollback_id, since }) => {
  if (verb === "rollbacks" ? rollback_id !== undefined : verb === "list" && since !== undefined)
    throw failed("StorageUnavailable");
  return undefined;
};

describe("a rehearsal", () => {
  test("leaves nothing behind", async () => {
    const { exitCode, left, of, failed } = await examine();
    expect({ exitCode, left, failed, held: archive.size, doctorCommits }).toEqual({
      ...{ exitCode: 0, left: [], failed: [], held: 0, doctorCommits: 0 },
    });
    expect(of("write: delete")?.message).toMatch(/^the 4 snapshots of the rehearsal are deleted/);
  });

  test.each([
    ["snapshot", "write: snapshot"],
    ["import", "write: import"],
    ["hold", "write: hold"],
    ["rollback", "write: rollback"],
  ] as const)("whose answer of %s is lost is looked up, and leaves nothing behind", async (verb, check) => {
    fault = losing(verb);
    const { exitCode, left, failed } = await examine();
    expect({ exitCode, left, failed, doctorCommits }).toEqual({
      ...{ exitCode: 1, left: [], failed: [check], doctorCommits: 0 },
    });
    expect([...archive]).toEqual([]);
  });

  test.each([
    ["snapshot", "perhaps a snapshot with the description"],
    ["import", "perhaps an import with the description"],
  ] as const)("names what the call of %s may have made, where it cannot be looked up", async (verb, what) => {
    fault = both(losing(verb), blind);
    const { exitCode, left } = await examine();
    expect(exitCode).toBe(1);
    const [stays] = archive.values();
    expect(left).toEqual([
      {
        what: expect.stringContaining(`${what} "${stays?.description}"`),
        remove: expect.stringMatching(
          /^offset-rollback list --since \S+Z, and if it is there: offset-rollback delete /,
        ),
      },
    ]);
  });

  test("names what a snapshot may still make whose answer was lost before it is listed", async () => {
    fault = losing("snapshot", false);
    const { exitCode, left } = await examine();
    expect(exitCode).toBe(1);
    expect(left).toMatchObject([{ what: expect.stringMatching(/^perhaps a snapshot/) }]);
  });

  test.each([
    ["rows that cannot be read", { warnings: ["A row cannot be read."] }],
    ["more than one page", { next_token: "more" }],
  ])("names what an import may have made where the list has %s", async (_, more) => {
    fault = (verb, { dry_run, snapshot_url, since }) => {
      if (verb === "list" && since !== undefined) return { snapshots: [], warnings: [], ...more };
      if (verb === "import" && !dry_run && snapshot_url === undefined) throw failed("StorageUnavailable");
      return undefined;
    };
    expect((await examine()).left).toMatchObject([{ what: expect.stringMatching(/^perhaps an import/) }]);
  });

  test("names what a function that was killed may have made", async () => {
    fault = (verb, { dry_run }) => {
      if (verb === "snapshot" && !dry_run) throw failed("Sandbox.Timedout");
      return undefined;
    };
    expect((await examine()).left).toMatchObject([{ what: expect.stringMatching(/^perhaps a snapshot/) }]);
  });

  test("looks up the rollback that removes the commits, too", async () => {
    fault = (verb, request, run) => {
      if (verb === "rollback" && request.exact && !request.dry_run) {
        run();
        throw lost();
      }
      return undefined;
    };
    const { left, failed: checks } = await examine();
    expect({ left, checks, archived: archive.size }).toEqual({ left: [], checks: ["write: removal"], archived: 0 });
  });

  test("does not name a snapshot that a call deleted whose answer was lost", async () => {
    fault = both(losing("delete"), (verb, { held }) => (verb === "hold" && held ? {} : undefined));
    const { left, failed: checks } = await examine();
    expect({ left, checks, archived: archive.size }).toEqual({ left: [], checks: ["write: hold"], archived: 0 });
  });

  test.each([
    ["that ended", failed("KafkaUnavailable")],
    ["that was refused", failed("InvalidRequest")],
    ["that did not reach the function", new NotInvoked("AccessDenied", [], undefined)],
  ])("knows that a call %s with an error has made nothing", async (_, error) => {
    fault = (verb, { dry_run, since }) => {
      if (verb === "list" && since !== undefined && error.name !== "KafkaUnavailable") throw lost();
      if (verb === "snapshot" && !dry_run) throw error;
      return undefined;
    };
    const { left, failed } = await examine();
    expect({ left, failed }).toEqual({ left: [], failed: ["write: snapshot"] });
  });

  test("names the rollback whose answer was lost and that cannot be looked up, and does not say that all is deleted", async () => {
    fault = both(losing("rollback"), blind);
    const { exitCode, left, of } = await examine();
    const [id] = journal.keys();
    expect(exitCode).toBe(1);
    expect(left).toEqual([
      {
        what: `perhaps commits of group ${doctorGroup}, and a safety snapshot, of rollback ${id}: it is not known how it ended`,
        remove:
          `offset-rollback rollbacks --rollback-id ${id}, and if it has a safety_snapshot_id: offset-rollback undo ${id}, ` +
          "and then offset-rollback delete SNAPSHOT_ID",
      },
    ]);
    expect(of("write: delete")?.message).toContain("the 2 snapshots that the rehearsal is known to have made");
    expect([...archive.values()]).toMatchObject([{ description: expect.stringContaining(`Before ${id}`) }]);
  });

  test("waits for the end of a rollback whose answer was lost, and removes what it has made", async () => {
    let looked = 0;
    fault = both(losing("rollback", false), (verb, request) => {
      if (verb !== "rollbacks" || request.rollback_id === undefined) return undefined;
      looked++;
      if (looked === 1) throw failed("RollbackNotFound");
      if (looked === 2) return { status: "running", safety_snapshot_id: null };
      const snapshot_id = [...archive.keys()][0];
      if (looked === 3) rollback({ rollback_id: request.rollback_id, snapshot_id, description: "" });
      return undefined;
    });
    const { left, failed: checks } = await examine();
    expect(looked).toBe(3);
    expect({ left, checks, archived: archive.size, doctorCommits }).toEqual({
      ...{ left: [], checks: ["write: rollback"], archived: 0, doctorCommits: 0 },
    });
  });

  test("does not delete the safety snapshot of a rollback that may still run", async () => {
    fault = both(losing("rollback", false), (verb, { rollback_id }) => {
      if (verb !== "rollbacks" || rollback_id === undefined) return undefined;
      if (journal.size > 0) return undefined;
      const safety_snapshot_id = archive.size < 3 ? take(`Before ${rollback_id}`) : ([...archive.keys()][2] ?? null);
      return { status: "running", safety_snapshot_id };
    });
    const { exitCode, left, failed } = await examine();
    expect({ exitCode, failed }).toEqual({ exitCode: 1, failed: ["write: rollback", "write: removal"] });
    expect(left.map(({ what }) => what)).toEqual([
      expect.stringMatching(/^perhaps commits of group/),
      `commits of group ${doctorGroup}`,
      expect.stringMatching(/^a safety snapshot, /),
    ]);
    expect(archive.size).toBe(1);
  });

  test("releases a snapshot whose deletion failed otherwise than because it is held", async () => {
    let times = 0;
    fault = (verb) => {
      if (verb === "delete" && times++ === 0) throw failed("StorageUnavailable");
      return undefined;
    };
    const { left, failed: checks } = await examine();
    expect({ left, checks, archived: archive.size }).toEqual({ left: [], checks: ["write: hold"], archived: 0 });
  });

  test("names the release of a snapshot that cannot be released before its deletion", async () => {
    fault = (verb, { held }) => {
      if (verb === "hold" && held === false) throw failed("StorageUnavailable");
      return undefined;
    };
    const { exitCode, left } = await examine();
    const [id] = archive.keys();
    expect(exitCode).toBe(1);
    expect(left).toEqual([
      {
        what: `a snapshot that may be held, ${id}`,
        remove: `offset-rollback hold ${id} --held=false && offset-rollback delete ${id}`,
      },
    ]);
  });

  test.each([
    ["snapshot", [/^Left behind: perhaps a snapshot with the description/]],
    ["list", [/^Left behind: an import, /, /^Left behind: a snapshot, /]],
    ["rollback", [/^Left behind: perhaps commits of group/, /^Left behind: an import, /, /^Left behind: a snapshot, /]],
  ] as const)("that is interrupted while %s runs names what it leaves behind", async (verb, lines) => {
    vi.spyOn(process, "exit").mockImplementation((code) => {
      throw new Error(`exit ${code}`);
    });
    let times = 0;
    fault = (called, request) => {
      if (called !== verb || request.dry_run || request.snapshot_id === "latest" || times++ > 0) return undefined;
      expect(() => process.emit("SIGINT")).toThrow("exit 1");
      return undefined;
    };
    const { said } = await examine();
    expect(said).toEqual(["", "Interrupted.", ...lines.map((line) => expect.stringMatching(line))]);
  });
});

describe("a check", () => {
  const row = "snapshot-2025-01-15T10:30:00Z";
  const reindexed = {
    indexed: 1,
    added: [],
    repaired: [],
    orphan_rows: [],
    unreadable: [],
    remaining: 0,
    warnings: [],
  };

  test.each([
    ["unreadable", [{ key: "snapshots/x", message: "damaged" }], "snapshots/x: damaged", "reindex --dry-run"],
    ["orphan_rows", [row], `1 listed snapshot without a body: ${row}`, "reindex --dry-run"],
    ["added", [row, row], `2 bodies without a row: ${row}, ${row}`, "reindex"],
    ["repaired", [row], `1 row that does not agree with its body: ${row}`, "reindex"],
  ] as const)("of reindex fails where it finds %s", async (field, found, message, next) => {
    looks.reindex = { ...reindexed, [field]: found };
    const { exitCode, of } = await examine({});
    expect(exitCode).toBe(1);
    expect(of("reindex")).toMatchObject({ outcome: "failed", message, next: [`offset-rollback ${next}`] });
  });

  test("of reindex says how many bodies were read, and is not passed where it warns", async () => {
    looks.reindex = { ...reindexed, indexed: 7 };
    const fine = await examine({});
    expect(fine.of("reindex")).toMatchObject({ outcome: "passed", message: expect.stringMatching(/^reads 7 bodies /) });
    looks.reindex = { ...reindexed, remaining: 2, warnings: ["The time ended."] };
    const { of } = await examine({});
    expect(of("reindex")).toMatchObject({
      outcome: "not_checked",
      message: expect.stringContaining("The time ended."),
    });
  });

  test.each(["its body is missing from the bucket", "its body is damaged"])(
    "of prune fails where %s",
    async (reason) => {
      looks.prune = { kept: [{ snapshot_id: row, because: [reason] }], deleted: [], warnings: [`Look at ${row}.`] };
      const { exitCode, of } = await examine({});
      expect(exitCode).toBe(1);
      expect(of("prune")).toMatchObject({ outcome: "failed", message: `Look at ${row}.` });
    },
  );

  test("of prune is not passed where it warns", async () => {
    looks.prune = { kept: [], deleted: [], warnings: ["A row cannot be read."] };
    const { of } = await examine({});
    expect(of("prune")).toMatchObject({
      outcome: "not_checked",
      message:
        "reads index and journal: the rules keep 0 snapshots, and delete 0 (dry run). It warns:\nA row cannot be read.",
    });
  });

  test("of import does not say that it reads imports/ where the deployment does not say where that is", async () => {
    const { of } = await examine({}, { path: undefined });
    expect(of("import")).toMatchObject({
      outcome: "not_checked",
      message: expect.stringMatching(/^checks offsets .*\. Not checked with files below imports\//),
    });
    expect((await examine({})).of("import")?.outcome).toBe("passed");
  });
});

describe("of the schedules", () => {
  /** Checks the surroundings of a stack that has a schedule of snapshots and one of prune. */
  async function surroundings(newest: Fields, states: { hourly?: string; daily?: string } = {}) {
    const arnOf = (verb: string) => `arn:aws:lambda:us-east-1:1:function:offset-${verb}`;
    const schedules = {
      hourly: { Name: "hourly", State: states.hourly ?? "ENABLED", Target: { Arn: arnOf("snapshot") } },
      daily: { Name: "daily", State: states.daily ?? "ENABLED", Target: { Arn: arnOf("prune") } },
    };
    const server = createServer((request, response) => {
      const [, name = ""] = /^\/schedules\/(\w+)\?/.exec(request.url ?? "") ?? [];
      const found = Object.entries(schedules).find(([each]) => each === name)?.[1];
      request.resume().on("end", () => {
        if (found !== undefined) response.end(JSON.stringify({ ...found, ScheduleExpression: "rate(1 hour)" }));
        else if (request.url?.startsWith("/schedules?"))
          response.end(JSON.stringify({ Schedules: Object.values(schedules) }));
        else {
          response.end(
            "<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries><member><ResourceType>" +
              "AWS::Scheduler::ScheduleGroup</ResourceType><PhysicalResourceId>g</PhysicalResourceId></member>" +
              "</StackResourceSummaries></ListStackResourcesResult></ListStackResourcesResponse>",
          );
        }
      });
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const address = server.address();
    const findings = new Findings((command) => command);
    await checkSurroundings(
      findings,
      {
        name: "the stack",
        stack: "S",
        functions: { snapshot: "offset-snapshot", prune: "offset-prune" },
        path: "s3://bucket/",
        bootstrapServers: [],
        client: {
          region: "us-east-1",
          endpoint: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
          credentials: { accessKeyId: "key", secretAccessKey: "secret" },
        },
      },
      async () => ({
        text: "",
        result: { snapshots: [{ snapshot_id: "s", created_at: new Date().toISOString(), ...newest }] },
      }),
    );
    server.close();
    return findings.all;
  }

  test("one whose newest snapshot has offsets passes, and so does that of prune", async () => {
    expect(await surroundings({ groups: 2, offsets: 3 })).toMatchObject([
      { check: "schedules", outcome: "passed" },
      {
        check: "schedule hourly",
        outcome: "passed",
        message: expect.stringMatching(/, with 2 groups and 3 offsets$/),
      },
      { check: "schedule daily of prune", outcome: "passed" },
      { check: "alarms" },
      { check: "notifications" },
    ]);
  });

  test.each([
    [0, "0 groups"],
    [1, "1 group"],
  ])("one fails whose newest snapshot has no offset, with groups: %d", async (groups, said) => {
    const [, hourly] = await surroundings({ groups, offsets: 0 });
    expect(hourly).toMatchObject({
      outcome: "failed",
      message: expect.stringContaining(`it has ${said} and no offset.`),
      next: expect.arrayContaining(["offset-rollback show s"]),
    });
  });

  test("that of prune fails where it is disabled", async () => {
    const [, , daily] = await surroundings({ groups: 1, offsets: 1 }, { daily: "DISABLED" });
    expect(daily).toMatchObject({
      check: "schedule daily of prune",
      outcome: "failed",
      message: "It is disabled, and deletes no snapshots (rate(1 hour)).",
    });
  });
});
