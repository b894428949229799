import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseDeployment } from "../../infra/config.ts";
import { example, local, root } from "./configs.ts";

function problemsOf(config: unknown): string[] {
  try {
    parseDeployment(config, "x.json");
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const [title, ...problems] = error.message.split("\n");
    expect(error.name).toBe("InvalidDeployment");
    expect(title).toBe(`The deployment config x.json has ${problems.length} problem(s):`);
    return problems.map((line) => line.trim());
  }
  return [];
}

describe("the README", () => {
  const readme = readFileSync(join(root, "infra/README.md"), "utf8");
  const tableAfter = (heading: string) => readme.split(heading)[1]?.split("\n\n")[0] ?? "";
  /** The known fields of a part of the config, as the message about an unknown one lists them. */
  const fieldsOf = (config: unknown, path: string): string[] => {
    const [problem = ""] = problemsOf(config).filter((line) => line.startsWith(`${path}: unknown field "unknown"`));
    return problem.split("known fields are ")[1]?.split(", ") ?? [];
  };
  const unknown = true;

  test.each([
    ["### Configure\n", fieldsOf({ ...local(), unknown }, "(top level)"), 16],
    ["### Configure\n", fieldsOf({ ...local(), archive: { unknown } }, "archive"), 4],
    ["### Configure\n", fieldsOf({ ...local(), alarms: { unknown } }, "alarms"), 2],
    ["### Network\n", fieldsOf({ ...local(), network: { vpc: {}, unknown } }, "network"), 5],
    ["### Network\n", fieldsOf({ ...local(), network: { vpc: { create: { unknown } } } }, "network.vpc.create"), 3],
    ["### Network\n", fieldsOf({ ...local(), network: { endpoints: { unknown } } }, "network.endpoints"), 3],
  ])("has every setting in its table %j", (heading, fields, least) => {
    expect(fields.length).toBeGreaterThanOrEqual(least);
    const table = tableAfter(heading);
    expect(fields.filter((field) => !new RegExp(`[\`.]${field}\\b`).test(table))).toEqual([]);
  });
});

test("the smallest config gets defaults that retain data", () => {
  expect(parseDeployment(local(), "x.json")).toMatchObject({
    stack_name: "OffsetRollback",
    name_prefix: "",
    archive: { bucket_prefix: "", noncurrent_days: 30 },
    api: { access_logs: false, throttling: { rate: 10, burst: 20 } },
    logs: { retention_days: 90 },
    alarms: {},
    removal_policy: "retain",
  });
});

describe("an archive that exists", () => {
  const problems = (archive: object) => problemsOf({ ...local(), archive });

  test("is a bucket, a table or both", () => {
    expect(problems({ existing: { bucket: "old-offsets" } })).toEqual([]);
    expect(problems({ existing: { table: "OffsetRollback-ArchiveTable1A2B-3C" }, noncurrent_days: 7 })).toEqual([]);
    expect(parseDeployment({ ...local(), archive: { existing: { table: "old" } } }, "x.json").archive).toEqual({
      bucket_prefix: "",
      noncurrent_days: 30,
      deletion_protection: false,
      existing: { table: "old" },
    });
    expect(problems({ existing: {} })).toEqual([
      expect.stringMatching(/^archive.existing: must have "bucket" or "table"/),
    ]);
  });

  test("has the key of what is named, not of an alias", () => {
    const bucket_kms_key_arn = "arn:aws:kms:eu-west-1:111122223333:key/1";
    expect(problems({ existing: { bucket: "old-offsets", bucket_kms_key_arn } })).toEqual([]);
    const table_kms_key_arn = "arn:aws:kms:eu-west-1:111122223333:alias/offsets";
    expect(problems({ existing: { table: "old", bucket_kms_key_arn, table_kms_key_arn } })).toEqual([
      expect.stringMatching(/^archive.existing.table_kms_key_arn: must be the ARN of the KMS key .*not of an alias/),
      expect.stringMatching(/^archive.existing.bucket_kms_key_arn: has no effect without bucket/),
    ]);
  });

  test("has names, not ARNs, and no setting that would have no effect: all problems at once", () => {
    const existing = {
      bucket: "arn:aws:s3:::old",
      table: "arn:aws:dynamodb:eu-west-1:111122223333:table/old",
      key: "k",
    };
    expect(problems({ existing, noncurrent_days: 7, bucket_prefix: "a" }).sort()).toEqual([
      expect.stringMatching(/^archive.bucket_prefix: /),
      expect.stringMatching(/^archive.existing.bucket: must be the name of a bucket .*not its ARN/),
      expect.stringMatching(/^archive.existing.table: must be the name of a table .*not its ARN/),
      expect.stringMatching(/^archive.existing: unknown field "key"/),
      expect.stringMatching(/^archive.noncurrent_days: has no effect on a bucket that exists/),
    ]);
  });
});

describe("retention", () => {
  const hourly = { name: "hourly", expression: "rate(1 hour)" };
  const problems = (retention: unknown, more: object = {}) =>
    problemsOf({ ...local(), schedules: [hourly], retention, ...more });

  test("is absent, or keeps safety snapshots for 30 days and manual ones for good", () => {
    expect(parseDeployment(local(), "x.json").retention).toBeUndefined();
    expect(parseDeployment({ ...local(), retention: {} }, "x.json").retention).toEqual({
      schedules: {},
      retired: {},
      safety_days: 30,
    });
  });

  test("has rules that are known, for schedules of the config: all problems at once", () => {
    expect(problems({ schedules: { hourly: { daily: 7 } }, manual_days: 365 })).toEqual([]);
    const schedules = {
      hourly: { yearly: 1, daily: 0, weekly: "4" },
      nightly: { daily: 7 },
      constructor: { daily: 1 },
    };
    expect(problems({ schedules, safety_days: 0, days: 3 }).sort()).toEqual([
      expect.stringMatching(/^retention.safety_days: must be how many days safety snapshots are kept/),
      expect.stringMatching(/^retention.schedules.constructor: has rules, and no schedule has that name/),
      expect.stringMatching(/^retention.schedules.hourly.daily: must be of how many days .* from 1 to 10000/),
      expect.stringMatching(/^retention.schedules.hourly.weekly: must be of how many weeks/),
      expect.stringMatching(/^retention.schedules.hourly: unknown field "yearly".*known fields are keep_last, hourly/),
      expect.stringMatching(/^retention.schedules.nightly: has rules, and no schedule has that name/),
      expect.stringMatching(/^retention: unknown field "days"/),
    ]);
    expect(problems({ schedules: { hourly: {} } })).toEqual([
      expect.stringMatching(/^retention.schedules.hourly: must have one of keep_last, hourly,.* to keep all, remove/),
    ]);
    expect(problems("30 days")).toEqual([expect.stringMatching(/^retention: must be what is forgotten: an object/)]);
    expect(problems({ schedules: "hourly" })).toEqual([
      expect.stringMatching(/^retention.schedules: must be an object/),
    ]);
  });

  test("has rules for schedules that were removed from the config only under a name of their own", () => {
    expect(problems({ retired: { nightly: { keep_last: 1 } } })).toEqual([]);
    expect(problems({ retired: { hourly: { keep_last: 1 }, nightly: {} } })).toEqual([
      expect.stringMatching(/^retention.retired.nightly: must have one of keep_last/),
      expect.stringMatching(/^retention.retired.hourly: is a schedule of this config: move its rules/),
    ]);
    expect(problems({ retired: null })).toEqual([expect.stringMatching(/^retention.retired: must be an object/)]);
  });

  test("fits into the environment of a function", () => {
    const many = Array.from({ length: 60 }, (_, n) => ({ ...hourly, name: `${"s".repeat(40)}-${n}` }));
    const schedules = Object.fromEntries(many.map(({ name }) => [name, { daily: 7 }]));
    expect(problems({ schedules }, { schedules: many })).toEqual([
      expect.stringMatching(/^retention: is too long for the environment of a function: at most 2500 characters/),
    ]);
  });

  test("has no effect in a deployment that only reads", () => {
    const reads = { read_only: true, schedules: [], archive: { existing: { bucket: "old-offsets" } } };
    expect(problems({}, reads)).toEqual([expect.stringMatching(/^retention: has no effect with read_only/)]);
  });
});

test("a key is that of a key, not of an alias, and an existing bucket has its own Object Lock", () => {
  const kms_key_arn = "arn:aws:kms:eu-west-1:111122223333:alias/offsets";
  const archive = { object_lock_days: 30, existing: { bucket: "old-offsets" } };
  expect(problemsOf({ ...local(), kms_key_arn, archive })).toEqual([
    expect.stringMatching(/^kms_key_arn: must be the ARN of the KMS key .*not of an alias/),
    expect.stringMatching(/^archive.object_lock_days: has no effect on a bucket that exists/),
  ]);
  expect(problemsOf({ ...local(), archive: { object_lock_days: 0 } })).toEqual([
    expect.stringMatching(/^archive.object_lock_days: must be the number of days .*from 1 to 36500/),
  ]);
  expect(problemsOf({ ...local(), archive: { object_lock_days: 30, existing: { table: "old" } } })).toEqual([]);
});

test("what the deletion of the stack could not do, or would not do, is refused", () => {
  const existing = { bucket: "old-offsets", table: "offsets-restored" };
  expect(problemsOf({ ...local(), removal_policy: "destroy", archive: { existing } })).toEqual([
    expect.stringMatching(/^removal_policy: must be retain: bucket and table exist already/),
  ]);
  expect(problemsOf({ ...local(), removal_policy: "destroy", archive: { existing: { bucket: "old" } } })).toEqual([]);
  const protect = { deletion_protection: true };
  expect(problemsOf({ ...local(), removal_policy: "destroy", archive: protect })).toEqual([
    expect.stringMatching(/^archive.deletion_protection: must be false with removal_policy destroy/),
  ]);
  expect(problemsOf({ ...local(), archive: { ...protect, existing: { table: "old" } } })).toEqual([
    expect.stringMatching(/^archive.deletion_protection: has no effect on a table that exists/),
  ]);
  expect(problemsOf({ ...local(), archive: protect })).toEqual([]);
});

test("a read-only deployment has a bucket that exists, and no schedules", () => {
  const config = { ...local(), read_only: true, schedules: [{ name: "a", expression: "rate(1 hour)" }] };
  expect(problemsOf(config)).toEqual([
    expect.stringMatching(/^schedules: must be \[\] with read_only/),
    expect.stringMatching(/^archive.existing.bucket: is missing: a read-only deployment takes no snapshots/),
  ]);
  const archive = { existing: { bucket: "replica" } };
  expect(problemsOf({ ...config, schedules: [], archive })).toEqual([]);
  expect(parseDeployment(local(), "x.json").read_only).toBe(false);
});

test("every problem is reported at once, with the path of its field", () => {
  const config = {
    cluster: {
      bootstrap_servers: ["broker", "broker:0", "broker:65536", "broker:9092"],
      security: { protocol: "SASL_SSL", ssl: true },
      zookeeper: "z:2181",
    },
    network: { vpc: {}, broker_security_group_ids: ["group"] },
    schedules: [
      { name: "a", expression: "rate(0 hours)" },
      { name: "a", expression: "cron(* * * * * *)", timezone: "Mars/Olympus", groups: [] },
      { name: "b c", expression: "hourly", groups: [7] },
    ],
    archive: { noncurrent_days: 0, bucket_prefix: "kafka" },
    logs: { retention_days: 2 },
    alarms: { topic_arn: "on-call" },
    removal_policy: "keep",
    colour: "blue",
  };
  expect(problemsOf(config).map((problem) => problem.slice(0, problem.indexOf(": ")))).toEqual(
    expect.arrayContaining([
      "(top level)",
      "alarms.topic_arn",
      "archive.bucket_prefix",
      "archive.noncurrent_days",
      "cluster",
      "cluster.bootstrap_servers[0]",
      "cluster.bootstrap_servers[1]",
      "cluster.bootstrap_servers[2]",
      "cluster.name",
      "cluster.security",
      "cluster.security.sasl",
      "logs.retention_days",
      "network.broker_security_group_ids[0]",
      "network.vpc",
      "removal_policy",
      "schedules",
      "schedules[0].expression",
      "schedules[1].expression",
      "schedules[1].groups",
      "schedules[1].timezone",
      "schedules[2].expression",
      "schedules[2].groups[0]",
      "schedules[2].name",
    ]),
  );
});

const sasl = { mechanism: "PLAIN", secret_arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:kafka-a1B2c3" };
const withSecurity = (security: object) => ({ ...local(), cluster: { ...local().cluster, security } });
const iam = {
  mechanism: "AWS_MSK_IAM",
  cluster_arn: "arn:aws:kafka:eu-west-1:111122223333:cluster/orders/11112222-3333-4444-5555-666677778888-1",
};
const withSchedule = (schedule: object) => ({
  ...local(),
  schedules: [{ name: "s", expression: "rate(1 hour)", ...schedule }],
});
const withVpc = (change: object, more: object = {}) => {
  const { network } = example();
  return { ...example(), network: { ...network, ...more, vpc: { existing: { ...network.vpc.existing, ...change } } } };
};

test("a misspelt mechanism does not hide other problems of the log-in", () => {
  const login = { mechanism: "GSSAPI", secret_arn: "kafka", cluster_arn: iam.cluster_arn, user: "me" };
  expect(problemsOf(withSecurity({ protocol: "SASL_SSL", sasl: login }))).toEqual([
    expect.stringMatching(/^cluster\.security\.sasl\.mechanism: must be PLAIN, SCRAM/),
    expect.stringMatching(/^cluster\.security\.sasl\.secret_arn: must be the full ARN/),
    expect.stringMatching(/^cluster\.security\.sasl: unknown field "user"/),
  ]);
});

describe("env", () => {
  const env = { account: "111122223333", region: "eu-west-1" };
  const boundary = (account: string) => `arn:aws:iam::${account}:policy/limits`;

  test("is that of every ARN and zone of the example, or of none that is checked", () => {
    expect(problemsOf({ ...example(), env, permissions_boundary: boundary("111122223333") })).toEqual([]);
    expect(problemsOf({ ...example(), env, permissions_boundary: boundary("aws") })).toEqual([]);
    expect(problemsOf({ ...example(), permissions_boundary: boundary("444455556666") })).toEqual([]);
  });

  test("refuses ARNs of another region or account, and zones of another region, all at once", () => {
    const config = { ...example(), permissions_boundary: boundary("444455556666") };
    const problems = problemsOf({ ...config, env: { account: "444455556666", region: "eu-central-1" } });
    expect(problems.map((problem) => problem.replace(/: name one.*/, "")).sort()).toEqual([
      "alarms.topic_arn: is of account 111122223333, and env.account is 444455556666",
      "alarms.topic_arn: is of region eu-west-1, and env.region is eu-central-1",
      "cluster.security.sasl.kms_key_arn: is of account 111122223333, and env.account is 444455556666",
      "cluster.security.sasl.kms_key_arn: is of region eu-west-1, and env.region is eu-central-1",
      "cluster.security.sasl.secret_arn: is of account 111122223333, and env.account is 444455556666",
      "cluster.security.sasl.secret_arn: is of region eu-west-1, and env.region is eu-central-1",
      ...[0, 1, 2].map(
        (i) => `network.vpc.existing.availability_zones[${i}]: is not a zone of env.region eu-central-1`,
      ),
    ]);
    expect(problemsOf({ ...config, env })).toEqual([
      expect.stringMatching(/^permissions_boundary: is of account 444455556666, and env.account is 111122223333/),
    ]);
  });

  test("has an account and a region, and allows three zones of a new VPC", () => {
    const created = (more: object) => ({ ...example(), network: { vpc: { create: { max_azs: 3 } } }, ...more });
    expect(problemsOf(created({ env }))).toEqual([]);
    expect(problemsOf(created({}))).toEqual([
      expect.stringMatching(/^network.vpc.create.max_azs: must be at most 2 without env/),
    ]);
    expect(problemsOf({ ...local(), env: { account: "1111", region: "Ireland" } })).toEqual([
      expect.stringMatching(/^env.account: must be the number of the AWS account/),
      expect.stringMatching(/^env.region: must be a region/),
    ]);
  });
});

test("tags and the boundary of roles are what AWS takes", () => {
  const problems = problemsOf({
    ...local(),
    tags: { "aws:team": "a", "cost centre": "4711", owner: 7, note: "a;b", "": "x" },
    permissions_boundary: "limits",
  });
  expect(problems.map((problem) => problem.slice(0, 60)).sort()).toEqual(
    [
      "permissions_boundary: must be the ARN of the managed policy t",
      "tags.note: must be a text of at most 256 letters, digits, sp",
      "tags.owner: must be a text of at most 256 letters, digits, s",
    ].map((line) => line.slice(0, 60)),
  );
  const names = problemsOf({ ...local(), tags: { "aws:team": "a", "": "x", team: "Zahlungen" } });
  expect(names).toHaveLength(2);
  for (const problem of names) expect(problem).toMatch(/^tags.*: must have a name of 1 to 128 letters/);
  const many = Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`t${i}`, ""]));
  expect(problemsOf({ ...local(), tags: many })).toEqual(["tags: has 51 tags; AWS allows at most 50"]);
});

test("a duplicate is rejected at its second place", () => {
  const twice = {
    ...example(),
    cluster: { ...example().cluster, bootstrap_servers: ["a:9096", "a:9096"] },
    network: { ...example().network, broker_security_group_ids: ["sg-1", "sg-2", "sg-1"] },
  };
  expect(problemsOf(twice)).toEqual([
    "cluster.bootstrap_servers[1]: is a duplicate: remove one of them",
    "network.broker_security_group_ids[2]: is a duplicate: remove one of them",
  ]);
});

test.each([
  ["nothing", undefined, "(top level): must be the deployment: an object with stack_name"],
  [
    "a SASL protocol without a log-in",
    withSecurity({ protocol: "SASL_PLAINTEXT" }),
    "cluster.security.sasl: is missing",
  ],
  [
    "a log-in that the protocol does not use",
    withSecurity({ protocol: "SSL", sasl }),
    "cluster.security.sasl: is not used by this protocol",
  ],
  [
    "a secret's ARN without its suffix",
    withSecurity({ protocol: "SASL_SSL", sasl: { ...sasl, secret_arn: sasl.secret_arn.slice(0, -7) } }),
    "cluster.security.sasl.secret_arn: must be the full ARN",
  ],
  [
    "an unknown mechanism",
    withSecurity({ protocol: "SASL_SSL", sasl: { ...sasl, mechanism: "GSSAPI" } }),
    "cluster.security.sasl.mechanism: must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM",
  ],
  [
    "a log-in that is not an object",
    withSecurity({ protocol: "SASL_SSL", sasl: "PLAIN" }),
    "cluster.security.sasl: must be the log-in",
  ],
  [
    "a log-in that is a list",
    withSecurity({ protocol: "SASL_SSL", sasl: [] }),
    "cluster.security.sasl: must be the log-in",
  ],
  [
    "a log-in that is null",
    withSecurity({ protocol: "SASL_SSL", sasl: null }),
    "cluster.security.sasl: must be the log-in",
  ],
  [
    "AWS_MSK_IAM without TLS",
    withSecurity({ protocol: "SASL_PLAINTEXT", sasl: iam }),
    "cluster.security.protocol: must be SASL_SSL with AWS_MSK_IAM",
  ],
  [
    "AWS_MSK_IAM with a secret",
    withSecurity({ protocol: "SASL_SSL", sasl: { ...iam, secret_arn: sasl.secret_arn } }),
    'cluster.security.sasl: unknown field "secret_arn"',
  ],
  [
    "AWS_MSK_IAM without its cluster",
    withSecurity({ protocol: "SASL_SSL", sasl: { mechanism: "AWS_MSK_IAM" } }),
    "cluster.security.sasl.cluster_arn: must be the ARN of the MSK cluster",
  ],
  [
    "authorities without TLS",
    withSecurity({ protocol: "PLAINTEXT", tls: { secret_arn: sasl.secret_arn } }),
    "cluster.security.tls: is not used by this protocol",
  ],
  [
    "authorities without a secret",
    withSecurity({ protocol: "SSL", tls: {} }),
    "cluster.security.tls.secret_arn: must be the full ARN",
  ],
  [
    "no connection to a broker",
    { ...local(), cluster: { ...local().cluster, connections_per_broker: 0 } },
    "cluster.connections_per_broker: must be the number of connections",
  ],
  ["no network", { ...local(), network: undefined }, "network: must be the network of the functions"],
  [
    "both a new and an existing VPC",
    { ...example(), network: { vpc: { ...example().network.vpc, create: {} } } },
    "network.vpc: must have either",
  ],
  [
    "one zone too few",
    withVpc({ availability_zones: ["eu-west-1a"] }),
    "network.vpc.existing.availability_zones: must have one zone",
  ],
  [
    "gateway endpoints without route tables",
    withVpc({}, { endpoints: { s3: true } }),
    "network.vpc.existing.private_route_table_ids: is missing: the gateway endpoints require it",
  ],
  [
    "route tables without gateway endpoints, as in configs of a former version",
    withVpc({ private_route_table_ids: ["rtb-0a", "rtb-0a", "rtb-0a"] }),
    "network.vpc.existing.private_route_table_ids: has no effect without a gateway endpoint: set endpoints.s3",
  ],
  [
    "one route table too few",
    withVpc({ private_route_table_ids: ["rtb-0a"] }, { endpoints: { dynamodb: true } }),
    "network.vpc.existing.private_route_table_ids: must have one route table",
  ],
  [
    "brokers of another VPC than a new one",
    { ...example(), network: { ...example().network, vpc: { create: {} } } },
    "network.broker_security_group_ids: belong to another VPC than the new one, and cannot be named before the two are peered",
  ],
  [
    "functions in a group of another VPC than a new one",
    { ...example(), network: { vpc: { create: {} }, security_group_id: "sg-0a" } },
    "network.security_group_id: belongs to another VPC than the new one",
  ],
  [
    "ports of brokers, where the stack may set no rule",
    { ...example(), network: { vpc: example().network.vpc, security_group_id: "sg-0a", broker_ports: [9098] } },
    "network.broker_ports: have no effect on a security group that exists",
  ],
  ...[0, 65536, "9100-9000", "kafka", "1-2-3"].map((port): [string, object, string] => [
    `the port ${port}`,
    withVpc({}, { broker_ports: [9096, port] }),
    'network.broker_ports[1]: must be a port such as 9096, or a range of ports such as "14001-14100"',
  ]),
  ["both days in a cron", withSchedule({ expression: "cron(0 1 1 * 2 *)" }), "schedules[0].expression: must be"],
  [
    "an hour that no day has",
    withSchedule({ expression: "cron(0 24 * * ? *)" }),
    'schedules[0].expression: has "24" in its field hours: must be 0 to 23',
  ],
  [
    "one run on a day that does not exist",
    withSchedule({ expression: "at(2030-02-30T00:00:00)" }),
    "schedules[0].expression: must be a time that exists",
  ],
  [
    "more patterns than a snapshot accepts",
    withSchedule({ groups: Array.from({ length: 201 }, (_, i) => `g${i}-*`) }),
    "schedules[0].groups: has 201 patterns; at most 200",
  ],
  [
    "an exclusion of a group that is named",
    withSchedule({ groups: ["orders"], exclude: ["ord*"] }),
    'schedules[0].exclude: excludes "orders", named in groups',
  ],
  [
    "a label without a text",
    withSchedule({ labels: { env: 5 } }),
    "schedules[0].labels.env: must be a text of 1 to 128 characters",
  ],
  ["a hold that is no truth", withSchedule({ hold: "yes" }), "schedules[0].hold: "],
  [
    "a misspelt field",
    withSchedule({ group: ["a"] }),
    'schedules[0]: unknown field "group": remove or rename; known fields are name, expression',
  ],
])("%s is rejected with a message that names the field and the remedy", (_, config, expected) => {
  const problems = problemsOf(config);
  expect(problems).toHaveLength(1);
  expect(problems[0]?.slice(0, expected.length)).toBe(expected);
});

test.each(["+03:00", "utc", "europe/dublin", "Mars/Olympus"])("the time zone %s is refused", (timezone) => {
  const message = 'must be the name of an IANA time zone such as "Europe/Dublin" or "UTC", not an offset';
  expect(problemsOf(withSchedule({ timezone }))).toEqual([`schedules[0].timezone: ${message}`]);
});

describe("accepted", () => {
  test.each([
    "rate(1 minute)",
    "rate(90 days)",
    "cron(0/15 8-18 ? * MON-FRI *)",
    "cron(0 1 L * ? 2026-2030)",
    "at(2030-01-31T22:00:00)",
    "at(2020-01-31T22:00:00)",
  ])("the expression %s", (expression) => expect(problemsOf(withSchedule({ expression }))).toEqual([]));

  test.each(["UTC", "Europe/Dublin", "Asia/Calcutta", "Asia/Kolkata", "Etc/GMT+3", "America/Argentina/Buenos_Aires"])(
    "the time zone %s",
    (timezone) => expect(problemsOf(withSchedule({ timezone }))).toEqual([]),
  );

  test.each([
    ["mutual TLS", { protocol: "SSL", tls: { secret_arn: sasl.secret_arn } }],
    ["OAUTHBEARER", { protocol: "SASL_SSL", sasl: { ...sasl, mechanism: "OAUTHBEARER" } }],
    ["AWS_MSK_IAM", { protocol: "SASL_SSL", sasl: iam }],
  ])("%s", (_, security) => expect(problemsOf(withSecurity(security))).toEqual([]));

  test.each([
    ["the default endpoints of a VPC that exists: none that changes route tables", withVpc({}), [false, false]],
    [
      "one gateway endpoint",
      withVpc({ private_route_table_ids: ["rtb-0a", "rtb-0a", "rtb-0b"] }, { endpoints: { s3: true } }),
      [true, false],
    ],
    ["a new VPC, with gateway endpoints", { ...example(), network: { vpc: { create: {} } } }, [true, true]],
    [
      "a new VPC that is peered with the brokers",
      { ...example(), network: { ...example().network, vpc: { create: { peered: true } } } },
      [true, true],
    ],
    ["more ports", withVpc({}, { broker_ports: [9001, "14001-14100"], security_group_id: "sg-0a" }), [false, false]],
  ])("%s", (_, config, [s3, dynamodb]) => {
    expect(parseDeployment(config, "x.json").network?.endpoints).toEqual({ s3, dynamodb, secrets_manager: true });
  });

  test("labels and a hold, as in the request of a snapshot", () => {
    expect(problemsOf(withSchedule({ labels: { env: "production" }, hold: true }))).toEqual([]);
  });

  test("literal names beside patterns", () => {
    expect(problemsOf(withSchedule({ groups: ["a-*", { name: "a*b" }], exclude: ["a-1"] }))).toEqual([]);
  });
});
