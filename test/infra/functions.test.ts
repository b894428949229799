import { Match } from "aws-cdk-lib/assertions";
import { describe, expect, test } from "vitest";
import { type Verb, verbs } from "../../functions/operations.ts";
import { example, local } from "./configs.ts";
import { functionOf, render, rightsOf, templateOf } from "./support.ts";

const msk = templateOf(example());
const plain = templateOf(local());

const secret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:AmazonMSK_offset-rollback-a1B2c3";
const key = "arn:aws:kms:eu-west-1:111122223333:key/11112222-3333-4444-5555-666677778888";

const logs = (verb: string) => [`logs:CreateLogStream <${verb}logs>`, `logs:PutLogEvents <${verb}logs>`];
const results = ["s3:GetObject <ArchiveBucket>/results/*", "s3:PutObject <ArchiveBucket>/results/*"];
const list = ["dynamodb:Query <ArchiveTable> only snapshot"];
const index = ["dynamodb:GetItem <ArchiveTable> only snapshot", ...list];
const bodies = ["s3:GetObject <ArchiveBucket>/snapshots/*", "s3:ListBucket <ArchiveBucket>"];
const writes = ["dynamodb:PutItem <ArchiveTable> only snapshot", "s3:PutObject <ArchiveBucket>/snapshots/* only new"];
const deliveries = [
  "dynamodb:GetItem <ArchiveTable> only execution",
  "dynamodb:PutItem <ArchiveTable> only execution, snapshot",
  "s3:DeleteObject <ArchiveBucket>/snapshots/*",
];
const holds = [
  "dynamodb:GetItem <ArchiveTable> only snapshot",
  "dynamodb:UpdateItem <ArchiveTable> only snapshot",
  "s3:PutObject <ArchiveBucket>/holds/*",
];
const deletes = [
  "dynamodb:GetItem <ArchiveTable> only snapshot",
  "s3:DeleteObject <ArchiveBucket>/snapshots/*",
  "dynamodb:DeleteItem <ArchiveTable> only snapshot",
  "dynamodb:PutItem <ArchiveTable> only deletion",
  "dynamodb:Query <ArchiveTable> only rollback",
  "dynamodb:UpdateItem <ArchiveTable> only snapshot",
];
const journalReads = [
  "dynamodb:GetItem <ArchiveTable> only lease, rollback, rollback-id",
  "dynamodb:Query <ArchiveTable> only rollback",
  "s3:GetObject <ArchiveBucket>/rollbacks/*",
];
const journal = [
  ...journalReads,
  "dynamodb:DeleteItem <ArchiveTable> only lease",
  "dynamodb:PutItem <ArchiveTable> only lease, rollback, rollback-id",
  "dynamodb:UpdateItem <ArchiveTable> only lease, rollback",
  "s3:PutObject <ArchiveBucket>/rollbacks/*",
];
const imports = [
  "dynamodb:GetItem <ArchiveTable> only snapshot",
  "dynamodb:PutItem <ArchiveTable> only snapshot",
  "s3:GetObject <ArchiveBucket>/imports/*",
  "s3:PutObject <ArchiveBucket>/snapshots/* only new",
];
const reindexes = [
  "dynamodb:GetItem <ArchiveTable> only execution, snapshot",
  "dynamodb:PutItem <ArchiveTable> only execution, snapshot",
  "dynamodb:Query <ArchiveTable> only deletion, snapshot",
  "s3:GetObject <ArchiveBucket>/holds/*",
];
const prunes = [
  ...deletes,
  "dynamodb:Query <ArchiveTable> only deletion, rollback-id, snapshot",
  "s3:GetObject <ArchiveBucket>/holds/*",
  "s3:ListBucket <ArchiveBucket>",
];
const failed = (queue: string) =>
  ["GetQueueAttributes", "GetQueueUrl", "SendMessage"].map((action) => `sqs:${action} <${queue}>`);
const login = [`secretsmanager:GetSecretValue ${secret}`, `kms:Decrypt ${key}`];
const ownedByLambda = [
  "ec2:AssignPrivateIpAddresses *",
  "ec2:CreateNetworkInterface *",
  "ec2:DeleteNetworkInterface *",
  "ec2:DescribeNetworkInterfaces *",
  "ec2:DescribeSubnets *",
  "ec2:UnassignPrivateIpAddresses *",
];
const networkInterfaces = [...ownedByLambda, ...ownedByLambda.map((right) => `denied to code: ${right}`)];

const rights: Record<Verb, { archive: string[]; kafka: boolean }> = {
  snapshot: {
    archive: [...results, ...index, ...bodies, ...writes, ...deliveries, ...failed("SchedulesFailed")],
    kafka: true,
  },
  list: { archive: [...results, ...list], kafka: false },
  show: { archive: [...results, ...index, ...bodies], kafka: false },
  diff: { archive: [...results, ...index, ...bodies], kafka: true },
  verify: { archive: [...results, ...index, ...bodies], kafka: true },
  plan: { archive: [...results, ...index, ...bodies], kafka: true },
  rollback: {
    archive: [...results, ...index, ...bodies, ...writes, ...journal, ...failed("RollbacksLost")],
    kafka: true,
  },
  rollbacks: { archive: [...results, ...journalReads, "s3:ListBucket <ArchiveBucket>"], kafka: false },
  history: { archive: [...results, ...index, ...bodies, ...journalReads], kafka: false },
  delete: { archive: deletes, kafka: false },
  hold: { archive: holds, kafka: false },
  import: { archive: [...results, ...bodies, ...imports], kafka: true },
  reindex: { archive: [...results, ...bodies, ...reindexes], kafka: false },
  prune: { archive: [...results, ...prunes], kafka: false },
};
const archiveEnv = ["DEPLOYMENT_NAME", "NODE_OPTIONS", "SNAPSHOT_BUCKET", "SNAPSHOT_PREFIX", "SNAPSHOT_TABLE"];
const secretEnv = ["AWS_ENDPOINT_URL_SECRETS_MANAGER", "KAFKA_SASL_MECHANISM", "KAFKA_SECRET_ARN"];
const kafkaEnv = ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_CLUSTER_NAME", "KAFKA_SECURITY_PROTOCOL"];

describe.each(Object.entries(rights))("%s", (verb, { archive, kafka }) => {
  test("has exactly the rights it needs, on MSK with a log-in", () => {
    const { Role } = functionOf(msk, verb);
    const expected = [...logs(verb), ...archive, ...(kafka ? [...login, ...networkInterfaces] : [])];
    expect(rightsOf(msk, Role)).toEqual(expected.sort());
  });

  test("has no right to a secret or a network if neither is used", () => {
    const { Role } = functionOf(plain, verb);
    expect(rightsOf(plain, Role)).toEqual([...logs(verb), ...archive].sort());
  });

  test("limits the heap of Node to a part of its memory", () => {
    const { Environment, MemorySize } = functionOf(plain, verb);
    const [, heap] = /--max-old-space-size=(\d+)(?: |$)/.exec(Environment.Variables.NODE_OPTIONS) ?? [];
    expect(Number(heap) / MemorySize).toBeCloseTo(0.8, 2);
  });

  test("has only the Kafka settings that it needs", () => {
    const named = (template: typeof msk) => Object.keys(functionOf(template, verb).Environment.Variables).sort();
    const own = [...archiveEnv, ...(verb === "snapshot" ? ["RETENTION_RISK_HOURS"] : [])];
    expect(named(plain)).toEqual([...(kafka ? kafkaEnv : []), ...own].sort());
    const forgetting = verb === "prune" ? ["RETENTION"] : [];
    expect(named(msk)).toEqual([...(kafka ? [...kafkaEnv, ...secretEnv] : []), ...own, ...forgetting].sort());
    expect(functionOf(msk, verb).VpcConfig !== undefined).toBe(kafka);
    expect(functionOf(plain, verb).VpcConfig).toBeUndefined();
  });
});

const secured = (security: object) => templateOf({ ...example(), cluster: { ...example().cluster, security } });
const withKafka = Object.entries(rights).filter(([, { kafka }]) => kafka);

describe("with AWS_MSK_IAM", () => {
  const arn = (kind: string) => `arn:aws:kafka:eu-west-1:111122223333:${kind}/orders/1111-2222`;
  const iam = secured({
    protocol: "SASL_SSL",
    sasl: { mechanism: "AWS_MSK_IAM", cluster_arn: arn("cluster") },
  });
  const read = [
    `kafka-cluster:Connect ${arn("cluster")}`,
    `kafka-cluster:DescribeCluster ${arn("cluster")}`,
    `kafka-cluster:DescribeTopic ${arn("topic")}/*`,
    `kafka-cluster:DescribeGroup ${arn("group")}/*`,
  ];
  const write = [
    `kafka-cluster:ReadData ${arn("topic")}/*`,
    `kafka-cluster:AlterGroup ${arn("group")}/*`,
    `kafka-cluster:DeleteGroup ${arn("group")}/*`,
  ];
  const retention = `kafka-cluster:DescribeClusterDynamicConfiguration ${arn("cluster")}`;

  test.each(withKafka)(
    "%s may log in and read, the rollback may commit and delete, and no secret is used",
    (verb, { archive }) => {
      const { Role, Environment } = functionOf(iam, verb);
      const plans = verb === "plan" || verb === "rollback";
      const onKafka = [...read, ...(plans ? [retention] : []), ...(verb === "rollback" ? write : [])];
      expect(rightsOf(iam, Role)).toEqual([...logs(verb), ...archive, ...networkInterfaces, ...onKafka].sort());
      expect(Environment.Variables).toMatchObject({ KAFKA_SASL_MECHANISM: "AWS_MSK_IAM" });
      expect(Environment.Variables).not.toHaveProperty("KAFKA_SECRET_ARN");
    },
  );
});

describe("with mutual TLS", () => {
  const tls = secured({ protocol: "SSL", tls: { secret_arn: secret, kms_key_arn: key } });

  test.each(withKafka)("%s may read the secret, and has its ARN", (verb, { archive }) => {
    const { Role, Environment } = functionOf(tls, verb);
    expect(rightsOf(tls, Role)).toEqual([...logs(verb), ...archive, ...networkInterfaces, ...login].sort());
    expect(Environment.Variables).toMatchObject({ KAFKA_TLS_SECRET_ARN: secret, KAFKA_SECURITY_PROTOCOL: "SSL" });
  });
});

test("a function gets the number of connections to a broker only if it is set", () => {
  const three = templateOf({ ...local(), cluster: { ...local().cluster, connections_per_broker: 3 } });
  const connections = (template: typeof msk, verb: string) =>
    functionOf(template, verb).Environment.Variables.KAFKA_CONNECTIONS_PER_BROKER;
  expect([connections(three, "rollback"), connections(three, "list"), connections(plain, "rollback")]).toEqual([
    "3",
    undefined,
    undefined,
  ]);
});

test("a function knows its deployment, which its metrics are counted by, and the snapshot how far to look ahead", () => {
  const blue = templateOf({ ...local(), name_prefix: "blue-", retention_risk_hours: 6 });
  const functions = Object.values(blue.findResources("AWS::Lambda::Function"));
  const names = functions.map(({ Properties }) => Properties.Environment.Variables.DEPLOYMENT_NAME);
  expect(new Set(names)).toEqual(new Set(["blue-offset-rollback"]));
  blue.hasResourceProperties("AWS::Lambda::Function", {
    FunctionName: "blue-offset-snapshot",
    Environment: { Variables: Match.objectLike({ RETENTION_RISK_HOURS: "6" }) },
  });
  expect(functionOf(plain, "snapshot").Environment.Variables.RETENTION_RISK_HOURS).toBe("24");
});

test("every role belongs to one function and has no managed policy", () => {
  const roles = Object.keys(rights).map((verb) => JSON.stringify(functionOf(msk, verb).Role));
  expect(new Set(roles).size).toBe(roles.length);
  for (const { Properties } of Object.values(msk.findResources("AWS::IAM::Role"))) {
    expect(Properties.ManagedPolicyArns).toBeUndefined();
  }
});

test("a function is created after its rights, which its network requires", () => {
  const functions = msk.findResources("AWS::Lambda::Function");
  expect(Object.keys(functions)).toHaveLength(verbs.length);
  for (const { DependsOn } of Object.values(functions)) expect(DependsOn.join()).toMatch(/roleDefaultPolicy/);
});

const limits: Record<Verb, readonly [seconds: number, memory: number]> = {
  snapshot: [300, 1769],
  list: [30, 512],
  show: [30, 1769],
  diff: [300, 1769],
  verify: [300, 1769],
  plan: [300, 1769],
  rollback: [900, 1769],
  rollbacks: [30, 1769],
  history: [60, 1769],
  delete: [30, 512],
  hold: [30, 512],
  import: [300, 1769],
  reindex: [900, 1769],
  prune: [900, 1769],
};

test.each(Object.entries(limits))(
  "%s runs for at most %j seconds and MB on Node 24, arm64, and logs JSON into its own group",
  (verb, [Timeout, MemorySize]) => {
    expect(functionOf(msk, verb)).toMatchObject({
      Timeout,
      MemorySize,
      Runtime: "nodejs24.x",
      Architectures: ["arm64"],
      Handler: "index.handler",
      LoggingConfig: { LogFormat: "JSON" },
    });
    msk.hasResourceProperties("AWS::Logs::LogGroup", {
      LogGroupName: `/aws/lambda/offset-${verb}`,
      RetentionInDays: 90,
    });
  },
);

test("an asynchronous request is at most 60 s old and never retried, but a snapshot is, and what fails is queued", () => {
  const configs = Object.values(msk.findResources("AWS::Lambda::EventInvokeConfig")).map(({ Properties: it }) => [
    render(it.FunctionName),
    typeof it.Qualifier === "string"
      ? it.Qualifier
      : /"Ref":"[a-z]+(api)[\dA-F]{8}"/.exec(JSON.stringify(it.Qualifier))?.[1],
    it.MaximumRetryAttempts,
    it.MaximumEventAgeInSeconds,
    it.DestinationConfig && render(it.DestinationConfig.OnFailure.Destination),
  ]);
  const once = verbs.map((verb) => [`<${verb}>`, "$LATEST", 0, 60, undefined]);
  const kept: Readonly<Record<string, (qualifier: string) => unknown[]>> = {
    "<snapshot>": (qualifier) => ["<snapshot>", qualifier, 2, 3_600, "<SchedulesFailed>"],
    "<rollback>": (qualifier) => ["<rollback>", qualifier, 0, 60, "<RollbacksLost>"],
  };
  const ofFunctions = once.map((config) => kept[String(config[0])]?.("$LATEST") ?? config);
  // API Gateway invokes an alias, which has a configuration of its own.
  const ofAliases = Object.values(kept).map((of) => of("api"));
  expect(configs.sort()).toEqual([...ofFunctions, ...ofAliases].sort());
});

test("a name prefix allows a second deployment", () => {
  const template = templateOf({ ...local(), name_prefix: "blue-", schedules: example().schedules });
  template.hasResourceProperties("AWS::Lambda::Function", { FunctionName: "blue-offset-rollback" });
  template.hasResourceProperties("AWS::Scheduler::ScheduleGroup", { Name: "blue-offset-rollback" });
  template.hasResourceProperties("AWS::CloudWatch::Alarm", { AlarmName: "blue-offset-snapshot-failed" });
});
