import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CloudFormationClient,
  CreateStackCommand,
  DescribeStacksCommand,
  waitUntilStackCreateComplete,
} from "@aws-sdk/client-cloudformation";
import type { Context } from "aws-lambda";
import {
  type AclEntry,
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  type Admin,
  ResourcePatternTypes,
} from "kafkajs";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test, vi } from "vitest";
import * as z from "zod";
import type { Run } from "../../../functions/cli/command.ts";
import { callWith } from "../../../functions/cli/commands.ts";
import type { Deployment } from "../../../functions/cli/deployment.ts";
import { doctor } from "../../../functions/cli/doctor.ts";
import type { Finding, Leftover } from "../../../functions/cli/findings.ts";
import { AnswerLost } from "../../../functions/cli/problems.ts";
import { type Verb, verbs } from "../../../functions/operations.ts";
import type { Fields } from "../../../functions/shared/core/json/json.ts";
import { withCluster } from "../../../functions/shared/kafka/connection/access.ts";
import { commitOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { buildHandler } from "../../../infra/operation-function.ts";
import { local, root } from "../../infra/configs.ts";
import { functionOf, render, templateOf } from "../../infra/support.ts";
import { guest } from "../../support/auth/broker.ts";
import { within } from "../../support/deadline.ts";
import {
  arnOf,
  type Enforced,
  type Invoked,
  type Statement,
  startEnforcingCloud,
} from "../../support/enforcing-cloud.ts";
import { context } from "../../support/events.ts";
import { administer, unique } from "../kafka/support.ts";
import { offsetsBy, openAccess, secretOf, someGroup } from "./support.ts";

const { kafka, ports } = inject("auth");
const cloud = inject("cloud");
const { group } = someGroup();
const strangeTopic = unique("strange");
beforeAll(() =>
  administer(async (admin) => {
    await admin.createTopics({ topics: [{ topic: strangeTopic, numPartitions: 1 }], waitForLeaders: true });
  }, kafka.bootstrapServers),
);

type Handler = (event: unknown, context: Context) => Promise<unknown>;
const bundle = z.object({ handler: z.custom<Handler>((value) => typeof value === "function") });
const require = createRequire(import.meta.url);
const folder = mkdtempSync(join(tmpdir(), "offset-rollback-doctor-"));
const handlers = new Map<Verb, Handler>();

/** Starts a function: its bundle, in a copy of its own, which knows nothing of earlier calls. */
function coldStart(verb: Verb): void {
  const built = join(folder, verb);
  if (!existsSync(built)) buildHandler(verb, join(built, "index.mjs"));
  const copy = mkdtempSync(`${built}-`);
  cpSync(built, copy, { recursive: true });
  handlers.set(verb, bundle.parse(require(join(copy, "index.mjs"))).handler);
}

/** The access key of who runs the doctor. */
const CALLER = "caller";
/** The rights of the caller, as the README of the command line lists them. */
const ofCaller = [
  "lambda:InvokeFunction",
  "cloudformation:ListStackResources",
  "scheduler:ListSchedules",
  "scheduler:GetSchedule",
  "cloudwatch:DescribeAlarms",
];

const stackName = unique("doctor").replace(".", "-");
/** The secret of the template; the functions get one that exists. */
const SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:kafka-AbCdEf";
const security = { protocol: "SASL_PLAINTEXT", sasl: { mechanism: "PLAIN", secret_arn: SECRET } };
const cluster = { name: "secured", bootstrap_servers: [`127.0.0.1:${ports.BARE}`], security };
const template = templateOf({ ...local(), cluster });

/** The statements of a function's role in the template. */
const policyOf = (verb: Verb): Statement[] => {
  const role = render(functionOf(template, verb).Role);
  return Object.values(template.findResources("AWS::IAM::Policy"))
    .filter(({ Properties }) => Properties.Roles.map(render).includes(role))
    .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
    .map(({ Effect, Action, Resource, Condition }) => ({
      effect: Effect,
      actions: [Action].flat().map(String),
      resources: [Resource].flat().map(render),
      conditions: Object.fromEntries(
        Object.entries(Object(Condition)).map(([operator, keys]) => [
          operator,
          Object.fromEntries(Object.entries(Object(keys)).map(([key, values]) => [key, [values].flat().map(String)])),
        ]),
      ),
    }));
};
const ofCallers = ofCaller.map((action) => ({
  effect: "Allow" as const,
  actions: [action],
  resources: ["*"],
  conditions: {},
}));
/** The policies of the template, and that of the caller, by access key. */
const granted: ReadonlyMap<string, readonly Statement[]> = new Map([
  ...verbs.map((verb) => [verb, policyOf(verb)] as const),
  [CALLER, ofCallers],
]);
/** The policies that count now. */
let policies = granted;

let archive = { bucket: "", table: "" };
let secretArn = "";
/** A text of the template with what exists in place of its resources. */
const real = (text: string) =>
  text
    .replace(/^<ArchiveBucket>(?=\/|$)/, arnOf.bucket(archive.bucket))
    .replace("<ArchiveTable>", arnOf.table(archive.table))
    .replace(SECRET, secretArn);

let environments: ReadonlyMap<Verb, Readonly<Record<string, string>>> = new Map();
let enforcing: Awaited<ReturnType<typeof startEnforcingCloud>>;
let deployment: Deployment;

const enforced: Enforced = {
  policyOf: (accessKeyId) =>
    policies.get(accessKeyId)?.map((each) => ({ ...each, resources: each.resources.map(real) })),
  async invoke(functionName, payload): Promise<Invoked> {
    const verb = verbs.find((known) => `offset-${known}` === functionName);
    if (verb === undefined) throw new Error(`there is no function ${functionName}`);
    Object.assign(process.env, environments.get(verb), { AWS_ACCESS_KEY_ID: verb });
    try {
      const handler = handlers.get(verb) ?? expect.fail(`${verb} was not started`);
      return { result: JSON.stringify(await handler(JSON.parse(payload), context(60_000))) };
    } catch (error) {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      return { error: { name, message } };
    }
  },
};

beforeAll(async () => {
  const client = {
    endpoint: cloud.endpointUrl,
    region: cloud.region,
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
  };
  const cloudFormation = new CloudFormationClient(client);
  const key = (AttributeName: string) => ({ AttributeName, AttributeType: "S" });
  const Resources = {
    Bucket: { Type: "AWS::S3::Bucket" },
    Table: {
      Type: "AWS::DynamoDB::Table",
      Properties: {
        BillingMode: "PAY_PER_REQUEST",
        AttributeDefinitions: [key("pk"), key("sk")],
        KeySchema: [
          { AttributeName: "pk", KeyType: "HASH" },
          { AttributeName: "sk", KeyType: "RANGE" },
        ],
      },
    },
    Group: { Type: "AWS::Scheduler::ScheduleGroup", Properties: { Name: stackName } },
    Schedule: {
      Type: "AWS::Scheduler::Schedule",
      Properties: {
        Name: "hourly",
        GroupName: { Ref: "Group" },
        ScheduleExpression: "rate(1 hour)",
        State: "ENABLED",
        FlexibleTimeWindow: { Mode: "OFF" },
        Target: { Arn: arnOf.function("offset-snapshot"), RoleArn: "arn:aws:iam::000000000000:role/scheduler" },
      },
    },
    Alarm: {
      Type: "AWS::CloudWatch::Alarm",
      Properties: {
        AlarmName: `${stackName}-faults`,
        ...{ Namespace: "OffsetRollback", MetricName: "Faults", Statistic: "Sum", Period: 300, EvaluationPeriods: 1 },
        ...{ Threshold: 0, ComparisonOperator: "GreaterThanThreshold", TreatMissingData: "notBreaching" },
        AlarmActions: ["arn:aws:sns:us-east-1:000000000000:on-call"],
      },
    },
  };
  const Outputs = { Bucket: { Value: { Ref: "Bucket" } }, Table: { Value: { Ref: "Table" } } };
  await cloudFormation.send(
    new CreateStackCommand({ StackName: stackName, TemplateBody: JSON.stringify({ Resources, Outputs }) }),
  );
  await waitUntilStackCreateComplete(
    { client: cloudFormation, maxWaitTime: 60, minDelay: 1, maxDelay: 1 },
    { StackName: stackName },
  );
  const { Stacks = [] } = await cloudFormation.send(new DescribeStacksCommand({ StackName: stackName }));
  const output = (name: string) =>
    Stacks[0]?.Outputs?.find(({ OutputKey }) => OutputKey === name)?.OutputValue ?? expect.fail(`no output ${name}`);
  archive = { bucket: output("Bucket"), table: output("Table") };

  secretArn = await secretOf(guest);
  enforcing = await startEnforcingCloud(cloud.endpointUrl, enforced);
  const aws = { AWS_ENDPOINT_URL: enforcing.url, AWS_REGION: cloud.region, AWS_SECRET_ACCESS_KEY: "secret" };
  const environmentOf = (verb: Verb) => {
    const { Variables } = functionOf(template, verb).Environment;
    const own = Object.entries(Object(Variables)).map(([name, value]) => {
      const text = render(value).replace("<ArchiveBucket>", archive.bucket).replace("<ArchiveTable>", archive.table);
      return [name, text.replace(SECRET, secretArn)];
    });
    return { ...Object.fromEntries(own), ...aws, AWS_ENDPOINT_URL_S3: enforcing.url };
  };
  environments = new Map(verbs.map((verb) => [verb, environmentOf(verb)]));
  deployment = {
    name: "the stack of the test",
    stack: stackName,
    functions: Object.fromEntries(verbs.map((verb) => [verb, `offset-${verb}`])),
    path: `s3://${archive.bucket}/`,
    bootstrapServers: undefined,
    client: {
      region: cloud.region,
      endpoint: enforcing.url,
      credentials: { accessKeyId: CALLER, secretAccessKey: "secret" },
    },
  };
  for (const verb of verbs) coldStart(verb);
  await administer((admin) => grant(admin, allAcls), kafka.bootstrapServers);
});
afterAll(async () => {
  await administer((admin) => revoke(admin), kafka.bootstrapServers);
  await enforcing.close();
  rmSync(folder, { recursive: true, force: true });
});

const operation = AclOperationTypes;
const acl = (type: AclResourceTypes, name: string, right: AclOperationTypes): AclEntry => ({
  principal: `User:${guest.username}`,
  host: "*",
  permissionType: AclPermissionTypes.ALLOW,
  resourcePatternType: ResourcePatternTypes.LITERAL,
  resourceType: type,
  resourceName: name,
  operation: right,
});
const { GROUP, TOPIC, CLUSTER } = AclResourceTypes;
/** What infra/README.md says that the principal needs; `READ` and `DELETE` imply `DESCRIBE`. */
const allAcls = [
  acl(GROUP, "*", operation.DESCRIBE),
  acl(GROUP, "*", operation.READ),
  acl(GROUP, "*", operation.DELETE),
  acl(TOPIC, "*", operation.DESCRIBE),
  acl(TOPIC, "*", operation.READ),
  acl(CLUSTER, "kafka-cluster", operation.DESCRIBE_CONFIGS),
];

const ofGuest = {
  resourceType: AclResourceTypes.ANY,
  resourcePatternType: ResourcePatternTypes.ANY,
  principal: `User:${guest.username}`,
  operation: operation.ANY,
  permissionType: AclPermissionTypes.ANY,
};
async function revoke(admin: Admin): Promise<void> {
  await admin.deleteAcls({ filters: [ofGuest] });
}
/** Gives the principal these rights, and no others. */
async function grant(admin: Admin, entries: readonly AclEntry[]): Promise<void> {
  await revoke(admin);
  await admin.createAcls({ acl: [...entries] });
  await vi.waitFor(async () => {
    const { resources } = await admin.describeAcls(ofGuest);
    expect(resources.flatMap(({ acls }) => acls)).toHaveLength(entries.length);
  }, 20_000);
}

interface Report {
  readonly exitCode: number;
  readonly checks: readonly Finding[];
  readonly left_behind: readonly Leftover[];
}

/** Runs the doctor. */
async function examine(request: Fields = {}, of = deployment): Promise<Report> {
  let shown: unknown;
  const exitCode = await doctor({
    deployment: of,
    request: { group, ...request },
    isSet: () => false,
    call: of === deployment ? call : callWith(of),
    show: async ({ result }) => {
      shown = result;
    },
    here: (command) => command,
    say: () => {},
  });
  return { ...Object(shown), exitCode };
}

/** One right of a function's role, as narrow as its statement allows. */
interface Right {
  readonly verb: Verb;
  readonly action: string;
  readonly resource: string;
  readonly row: string | undefined;
}
const ROWS = "dynamodb:LeadingKeys";
const rowsOf = ({ conditions }: Statement): readonly string[] | undefined =>
  Object.values(conditions).flatMap((keys) => keys[ROWS] ?? []).length > 0
    ? Object.values(conditions).flatMap((keys) => keys[ROWS] ?? [])
    : undefined;
/** Rights that no request of this program asks the cloud of these tests for. */
const elsewhere = /^(logs|ec2|kms|xray):/;

const rightsOf = (verb: Verb): Right[] =>
  (granted.get(verb) ?? []).flatMap((each) =>
    each.effect === "Deny"
      ? []
      : each.actions
          .filter((action) => !elsewhere.test(action))
          .flatMap((action) =>
            each.resources.flatMap((resource) =>
              (rowsOf(each) ?? [undefined]).map((row) => ({ verb, action, resource, row })),
            ),
          ),
  );

/** `s3:GetObject snapshots`, `dynamodb:PutItem lease`, `dynamodb:Query table`. */
const nameOf = ({ action, resource, row }: Right): string => {
  const [, folder] = /^<ArchiveBucket>\/(\w+)\/\*$/.exec(resource) ?? [];
  const where = resource === "<ArchiveBucket>" ? "bucket" : resource === SECRET ? "secret" : resource;
  return `${action} ${row ?? folder ?? where}`;
};

/** A policy without one right. */
const without = (policy: readonly Statement[], { action, resource, row }: Right): Statement[] =>
  policy.flatMap((each): Statement[] => {
    if (!each.actions.includes(action) || !each.resources.includes(resource)) return [each];
    const rows = rowsOf(each);
    if (row !== undefined && !rows?.includes(row)) return [each];
    const others = each.actions.filter((other) => other !== action);
    const rest = each.resources.filter((other) => other !== resource);
    const onlyRows = (rows ?? []).filter((other) => other !== row);
    return [
      { ...each, actions: others },
      { ...each, actions: [action], resources: rest },
      ...(row === undefined || onlyRows.length === 0
        ? []
        : [
            {
              ...each,
              actions: [action],
              resources: [resource],
              conditions: { "ForAllValues:StringEquals": { [ROWS]: onlyRows } },
            },
          ]),
    ].filter(({ actions, resources }) => actions.length > 0 && resources.length > 0);
  });

/** Calls of the deployment as the doctor makes them; a test may change what becomes of one. */
let call: Run["call"];
beforeAll(async () => {
  call = callWith(deployment);
  await examine({ write: true });
  await call("snapshot", { groups: [{ name: group }] });
});
afterEach(() => {
  policies = granted;
});

const failedOf = ({ checks }: Report) => checks.filter(({ outcome }) => outcome === "failed");

test("no check fails where all rights are there, and nothing is left behind", async () => {
  const { exitCode, checks, left_behind } = await examine({ write: true });
  expect({ exitCode, left_behind }).toEqual({ exitCode: 0, left_behind: [] });
  expect(checks.filter(({ outcome }) => outcome !== "passed")).toEqual([
    expect.objectContaining({ check: "schedule hourly", outcome: "not_checked" }),
  ]);
  expect(await offsetsOfDoctor()).toEqual([]);
});

/** Rights that no check needs, and why: `verb action where`. */
const rare: readonly (readonly [RegExp, because: string])[] = [
  [/ s3:(Get|Put)Object results$/, "only a result over 5 MB is stored"],
  [/^(?!import|reindex)\w+ s3:ListBucket bucket$/, "only a body that is gone is told from a missing right"],
  [/^snapshot dynamodb:(Get|Put)Item (execution|run)$/, "only a scheduled snapshot has an execution"],
  [/^snapshot (dynamodb:GetItem snapshot|s3:(Get|Delete)Object snapshots)$/, "only a repeated delivery of a schedule"],
  [/^import (dynamodb:GetItem snapshot|s3:GetObject snapshots)$/, "only where an answer is lost, or an id is taken"],
  [/^rollback (s3:GetObject|dynamodb:GetItem) rollbacks?$/, "only a rollback that is resumed or repeated is read"],
  [/^(rollback|rollbacks) dynamodb:GetItem lease$/, "only where another rollback runs, or did not end"],
  [/^rollback dynamodb:UpdateItem lease$/, "only a rollback of over 2.5 s renews its lease"],
  [
    /^rollback dynamodb:DeleteItem lease$/,
    "shown, 20 s later: the lease of the rehearsal has to expire (24 s, by hand)",
  ],
  [
    /^history (dynamodb:GetItem snapshot|s3:GetObject rollbacks|dynamodb:\w+ (rollback|rollback-id|lease))$/,
    "only where a group moved",
  ],
  [/^reindex dynamodb:(Query deletion|(Get|Put)Item \w+)$/, "only rows that are missing or damaged are written"],
  [/^delete dynamodb:GetItem snapshot$/, "only where an answer is lost"],
  [
    /^prune (?!s3:(Get|Put)Object results$)/,
    "the deployment of this test has no retention: its dry run reads only the index",
  ],
  [/^hold dynamodb:GetItem snapshot$/, "only where an answer is lost"],
  [/^reindex s3:GetObject holds$/, "only a snapshot that is held has one"],
  [/ sqs:/, "Lambda itself sends what failed"],
];

/** Rights that only writes need. The others show without `--write`. */
const writing = [
  /^snapshot (dynamodb:PutItem snapshot|s3:PutObject snapshots)$/,
  /^import (dynamodb:PutItem snapshot|s3:PutObject snapshots)$/,
  /^rollback (dynamodb:(Put|Update)Item|s3:PutObject|dynamodb:Query rollback$|dynamodb:GetItem rollback-id$)/,
  /^(delete|hold) /,
];

const rights = new Map(
  verbs.flatMap((verb) => rightsOf(verb).map((right) => [`${verb} ${nameOf(right)}`, right] as const)),
);
const isRare = (name: string) => rare.some(([pattern]) => pattern.test(name));
const isWriting = (name: string) => writing.some((pattern) => pattern.test(name));
const shown = [...rights].filter(([name]) => !isRare(name));

/** Functions whose lacks show at checks of others, too: the snapshot and the list give the sample, a hold is tried by a delete. */
const isAlone = (verb: Verb) => verb === "snapshot" || verb === "list" || verb === "hold";

/** The rights in rounds, each with one right of each function, where what it lacks shows at its own check only. */
function roundsOf(names: readonly (readonly [string, Right])[]): (readonly Right[])[] {
  const alone = names.filter(([, { verb }]) => isAlone(verb)).map(([, right]) => [right]);
  const others = Map.groupBy(
    names.filter(([, { verb }]) => !isAlone(verb)),
    ([, { verb }]) => verb,
  );
  const most = Math.max(...[...others.values()].map(({ length }) => length));
  return [
    ...alone,
    ...Array.from({ length: most }, (_, i) => [...others.values()].flatMap((some) => some[i]?.[1] ?? [])),
  ];
}

/** Takes rights away: at most one of each function. */
function remove(removed: readonly Right[]): void {
  policies = new Map([
    ...granted,
    ...removed.map((right) => [right.verb, without(granted.get(right.verb) ?? [], right)] as const),
  ]);
  for (const { verb, action } of removed) if (action.startsWith("secretsmanager:")) coldStart(verb);
}

/** The same deployment without deletions, which wait until the second of an id is over. */
const undeletable = (): Deployment => {
  const { delete: _, ...functions } = deployment.functions;
  return { ...deployment, functions };
};

/** Requires that the checks of a function name the right that it lacks, and no other right. */
function requireNamed(report: Report, { verb, action, resource }: Right): void {
  const own = failedOf(report).filter(
    ({ check, missing_rights }) => [verb, `write: ${verb}`].includes(check) && missing_rights !== undefined,
  );
  expect([verb, action, own.length > 0]).toEqual([verb, action, true]);
  const pattern = `${action} on ${real(resource).replace(/\*$/, "")}`;
  for (const { missing_rights = [] } of own) {
    for (const right of missing_rights) expect(right.startsWith(pattern) ? pattern : right).toBe(pattern);
  }
  expect(report.exitCode).toBe(1);
}

describe("a right that a function lacks is named by the check of that function", () => {
  const readRounds = roundsOf(shown.filter(([name]) => !isWriting(name)));
  const titled = (round: readonly Right[]) =>
    [round.map((right) => `${right.verb} ${nameOf(right)}`).join(", "), round] as const;

  test.each(readRounds.map(titled))("without --write: %s", async (_, round) => {
    remove(round);
    const report = await examine();
    for (const right of round) requireNamed(report, right);
    const verbsOfRound: readonly string[] = round.map(({ verb }) => verb);
    const others = report.checks.filter(
      ({ check }) => !verbsOfRound.includes(check) && verbs.some((verb) => verb === check),
    );
    if (round.length > 1) expect(others.filter(({ outcome }) => outcome === "failed")).toEqual([]);
  });

  test.each(roundsOf(shown.filter(([name]) => isWriting(name))).map(titled))("with --write: %s", async (_, round) => {
    remove(round);
    const deletes = round.some(({ verb }) => verb === "delete" || verb === "hold");
    const report = await examine({ write: true }, deletes ? deployment : undeletable());
    for (const right of round) requireNamed(report, right);
    expect(await offsetsOfDoctor()).toEqual([]);
  });

  test("the rights that no check needs are rights of the template", () => {
    const unused = rare.filter(([pattern]) => ![...rights.keys()].some((name) => pattern.test(name)));
    expect(unused).toEqual([]);
  });
});

test.each(ofCaller)("a right that the caller lacks is named: %s", async (action) => {
  policies = new Map([...granted, [CALLER, ofCallers.filter(({ actions }) => !actions.includes(action))]]);
  const report = await examine();
  const named = failedOf(report).flatMap(({ missing_rights = [] }) => missing_rights);
  expect(named.length).toBeGreaterThan(0);
  expect(named.filter((right) => !right.startsWith(action))).toEqual([]);
  expect(readFileSync(join(root, "functions/cli/README.md"), "utf8")).toContain(action);
});

describe("a right that the principal lacks in Kafka is named", () => {
  const isOf = (type: AclResourceTypes, right?: AclOperationTypes) => (entry: AclEntry) =>
    entry.resourceType === type && (right === undefined || entry.operation === right);
  afterEach(() => administer((admin) => grant(admin, allAcls), kafka.bootstrapServers));

  test.each([
    ["snapshot", "DESCRIBE on all groups", isOf(GROUP), false],
    ["snapshot", "DESCRIBE on topic", isOf(TOPIC), false],
    ["write: rollback", "READ on group", isOf(GROUP, operation.READ), true],
    ["write: rollback", "READ on topic", isOf(TOPIC, operation.READ), true],
    ["write: removal", "DELETE on group", isOf(GROUP, operation.DELETE), true],
  ])("by %s: %s", async (check, right, removed, write) => {
    await administer(
      (admin) =>
        grant(
          admin,
          allAcls.filter((entry) => !removed(entry)),
        ),
      kafka.bootstrapServers,
    );
    const report = await examine({ write }, undeletable());
    const found = report.checks.find((finding) => finding.check === check);
    expect(found).toMatchObject({ outcome: "failed", missing_rights: [expect.stringContaining(right)] });
    expect(report.exitCode).toBe(1);
    if (check === "write: removal") {
      expect(report.left_behind.map(({ what }) => what)).toContain("commits of group offset-rollback-doctor");
      await deleteDoctorGroup();
    }
  });
});

describe("what a rehearsal leaves behind", () => {
  // Without a right to the index, a body was stored and not listed: a check of its own says so.
  beforeAll(() => callWith(deployment)("reindex", {}));
  afterEach(() => {
    call = callWith(deployment);
  });

  test("is nothing where the answer of a rollback is lost: it is looked up, and removed", async () => {
    const real = callWith(deployment);
    let lost = 0;
    call = async (verb, request) => {
      const answer = await real(verb, request);
      if (verb === "rollback" && request.group_map !== undefined && request.dry_run !== true && lost++ === 0) {
        throw new AnswerLost("The connection was lost.", true);
      }
      return answer;
    };
    const report = await examine({ write: true });
    expect(failedOf(report).map(({ check }) => check)).toEqual(["write: rollback"]);
    expect(report.left_behind).toEqual([]);
    expect(await offsetsOfDoctor()).toEqual([]);
  });

  test("is named with the commands that remove it, where another client uses the group meanwhile", async () => {
    const real = callWith(deployment);
    const strange = new Map([
      ["offset-rollback-doctor", new Map([[`${strangeTopic}-0`, { offset: 0n, metadata: "" }]])],
    ]);
    call = async (verb, request) => {
      const answer = await real(verb, request);
      if (verb === "rollback" && request.group_map !== undefined && request.dry_run !== true) {
        await withCluster(openAccess, within(20_000), (cluster) => commitOffsets(cluster, strange));
      }
      return answer;
    };
    const report = await examine({ write: true });
    expect(failedOf(report)).toEqual([
      expect.objectContaining({
        check: "write: removal",
        message: expect.stringContaining("that this run did not make"),
      }),
    ]);
    expect(report.left_behind).toEqual([
      {
        what: "commits of group offset-rollback-doctor",
        remove: expect.stringMatching(/rollback --snapshot-id snapshot-\S+ --exact$/),
      },
      {
        what: expect.stringMatching(/^a safety snapshot, snapshot-/),
        remove: expect.stringMatching(/^offset-rollback delete snapshot-\S+$/),
      },
    ]);
    expect(await offsetsOfDoctor()).toHaveLength(3);

    call = real;
    const refused = await examine({ write: true });
    expect(failedOf(refused)).toEqual([
      expect.objectContaining({ check: "write: rollback", message: expect.stringContaining("Nothing was changed.") }),
    ]);
    expect(refused.left_behind).toEqual([]);
    expect(await offsetsOfDoctor()).toHaveLength(3);
    await deleteDoctorGroup();
  });
});

const offsetsOfDoctor = () => offsetsBy(openAccess, "offset-rollback-doctor").catch(() => []);
const deleteDoctorGroup = () =>
  administer((admin) => admin.deleteGroups(["offset-rollback-doctor"]), kafka.bootstrapServers);
