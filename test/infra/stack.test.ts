import { Annotations, Match, Template } from "aws-cdk-lib/assertions";
import { AwsSolutionsChecks } from "cdk-nag";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { verbs } from "../../functions/operations.ts";
import { request } from "../../functions/snapshot/schema.ts";
import { deployments, example, local } from "./configs.ts";
import { functionOf, render, rightsOf, stackOf, templateOf } from "./support.ts";

const resourceOf = z.object({
  Type: z.string(),
  DeletionPolicy: z.string().default("Delete"),
  UpdateReplacePolicy: z.string().default("Delete"),
});
const msk = templateOf(example());
const plain = templateOf(local());
const created = templateOf({ ...example(), network: { vpc: { create: {} } } });

describe("the archive", () => {
  test("stores bodies versioned, encrypted and private, and accepts only TLS", () => {
    msk.hasResource("AWS::S3::Bucket", {
      Properties: {
        BucketName: Match.absent(),
        VersioningConfiguration: { Status: "Enabled" },
        BucketEncryption: {
          ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" } }],
        },
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
      },
    });
    msk.hasResourceProperties("AWS::S3::BucketPolicy", {
      PolicyDocument: {
        Statement: [
          {
            Effect: "Deny",
            Action: "s3:*",
            Condition: { Bool: { "aws:SecureTransport": "false" } },
            Principal: { AWS: "*" },
          },
        ],
      },
    });
  });

  test("deletes incomplete uploads and stored results after a day, deleted bodies after the configured time", () => {
    const template = templateOf({ ...local(), archive: { bucket_prefix: "kafka/", noncurrent_days: 7 } });
    template.hasResourceProperties("AWS::S3::Bucket", {
      LifecycleConfiguration: {
        Rules: [
          {
            AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
            NoncurrentVersionExpiration: { NoncurrentDays: 7 },
          },
          { Prefix: "kafka/results/", ExpirationInDays: 1, NoncurrentVersionExpiration: { NoncurrentDays: 1 } },
        ],
      },
    });
    expect(rightsOf(template, functionOf(template, "show").Role)).toContain(
      "s3:GetObject <ArchiveBucket>/kafka/snapshots/*",
    );
  });

  test("has an index on demand, with point-in-time recovery", () => {
    msk.hasResource("AWS::DynamoDB::Table", {
      Properties: {
        TableName: Match.absent(),
        BillingMode: "PAY_PER_REQUEST",
        KeySchema: [
          { AttributeName: "pk", KeyType: "HASH" },
          { AttributeName: "sk", KeyType: "RANGE" },
        ],
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        SSESpecification: { SSEEnabled: true },
        TimeToLiveSpecification: { AttributeName: "expires_at", Enabled: true },
        // CloudFormation could not remove a protected table after a first deployment that failed.
        DeletionProtectionEnabled: false,
      },
    });
    const protect = { ...local(), archive: { deletion_protection: true } };
    templateOf(protect).hasResourceProperties("AWS::DynamoDB::Table", { DeletionProtectionEnabled: true });
  });
});

describe("what holds data", () => {
  const logged = { ...example(), api: { access_logs: true } };
  /** Types and what happens on deletion and replacement, by logical id. */
  const dataOf = (template: typeof msk) =>
    Object.fromEntries(
      Object.entries(template.toJSON().Resources).flatMap(([id, resource]) => {
        const { Type, DeletionPolicy, UpdateReplacePolicy } = resourceOf.parse(resource);
        return /^AWS::(S3::Bucket|DynamoDB::.*Table|Logs::LogGroup|KMS::Key|SQS::Queue)$/.test(Type)
          ? [[id, `${Type}: ${DeletionPolicy}, ${UpdateReplacePolicy}`]]
          : [];
      }),
    );
  const keptBy = (template: typeof msk) =>
    Object.entries(dataOf(template)).flatMap(([id, policies]) => (policies.endsWith("Delete, Delete") ? [] : [id]));

  // With another logical id, an update would put a new, empty one in the place of the old one.
  const former = {
    ArchiveBucket49F1AC64: "AWS::S3::Bucket",
    ArchiveTable7F4812CA: "AWS::DynamoDB::Table",
    RestApiAccessLogs2CA480E4: "AWS::Logs::LogGroup",
    SchedulesFailed92023EAA: "AWS::SQS::Queue",
    deletelogs738F0C34: "AWS::Logs::LogGroup",
    holdlogs7D90A31D: "AWS::Logs::LogGroup", // since hold exists
    rollbacklogsDCDA27BB: "AWS::Logs::LogGroup",
  };
  const audited = Object.keys(former).filter((id) => /[lL]ogs/.test(id));

  test("has the logical ids and types that it had in the former version (d16a1c6)", () => {
    const env = { account: "111122223333", region: "eu-west-1" };
    for (const config of [logged, { ...logged, env, tags: { team: "payments" } }]) {
      const now = templateOf(config).toJSON().Resources;
      expect(Object.fromEntries(Object.keys(former).map((id) => [id, now[id]?.Type]))).toEqual(former);
    }
  });

  test.each(Object.entries(deployments))("a first deployment that fails leaves none of it behind: %s", (_, config) => {
    const policies = Object.values(dataOf(templateOf(config))).map((line) => line.split(": ")[1]);
    expect(new Set(policies).isSubsetOf(new Set(["RetainExceptOnCreate, Retain", "Delete, Delete"]))).toBe(true);
    const resources = Object.values(templateOf(config).toJSON().Resources).map((it) => resourceOf.parse(it));
    expect(resources.filter(({ DeletionPolicy }) => DeletionPolicy === "Retain")).toEqual([]);
  });

  test("outlives the stack and its updates, except what a first deployment that fails has created", () => {
    const kept = "RetainExceptOnCreate, Retain";
    const data = dataOf(templateOf(logged));
    expect(data).toMatchObject({
      ArchiveBucket49F1AC64: `AWS::S3::Bucket: ${kept}`,
      ArchiveTable7F4812CA: `AWS::DynamoDB::Table: ${kept}`,
    });
    const prune = expect.stringMatching(/^prunelogs/);
    expect(keptBy(templateOf(logged)).sort()).toEqual([
      "ArchiveBucket49F1AC64",
      "ArchiveTable7F4812CA",
      ...audited.slice(0, -1),
      prune,
      ...audited.slice(-1),
    ]);
    for (const id of audited) expect(data[id]).toBe(`AWS::Logs::LogGroup: ${kept}`);
    expect(keptBy(created).filter((id) => !/^(Archive|rollback|delete|hold|prune)/.test(id))).toEqual([]);
  });

  test("is deleted with the stack only if the config sets that, with a warning of what happens to a full bucket", () => {
    const { stack } = stackOf({ ...logged, removal_policy: "destroy" });
    expect(keptBy(Template.fromStack(stack))).toEqual([]);
    expect(Object.keys(dataOf(Template.fromStack(stack)))).toEqual(expect.arrayContaining(Object.keys(former)));
    const warned = (of: typeof stack) =>
      Annotations.fromStack(of).findWarning("*", Match.stringLikeRegexp("fails at the bucket if that is not empty"));
    expect(warned(stack)).toHaveLength(1);
    expect(warned(stackOf(logged).stack)).toEqual([]);
  });
});

describe("the access to Kafka", () => {
  const services = (template: typeof msk) =>
    Object.values(template.findResources("AWS::EC2::VPCEndpoint"))
      .map(({ Properties }) => `${Properties.VpcEndpointType} ${render(Properties.ServiceName).split(".").at(-1)}`)
      .sort();
  const withSecurity = (security: object) => ({ ...example(), cluster: { ...example().cluster, security } });
  const secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:kafka-a1B2c3";

  const withNetwork = (network: object) => templateOf({ ...example(), network: { ...example().network, ...network } });
  const routed = {
    existing: {
      ...example().network.vpc.existing,
      private_route_table_ids: ["rtb-0a0a0a0a0a0a0a0a0", "rtb-0b0b0b0b0b0b0b0b0", "rtb-0c0c0c0c0c0c0c0c0"],
    },
  };

  test("has an interface endpoint only if a secret is read, and gateway endpoints in an existing VPC only on request", () => {
    expect(services(msk)).toEqual(["Interface secretsmanager"]);
    expect(services(templateOf(withSecurity({ protocol: "SSL", tls: { secret_arn } })))).toEqual([
      "Interface secretsmanager",
    ]);
    expect(services(templateOf(withSecurity({ protocol: "SSL" })))).toEqual([]);
    expect(services(plain)).toEqual([]);
    expect(services(created)).toEqual(["Gateway dynamodb", "Gateway s3", "Interface secretsmanager"]);
    expect(services(withNetwork({ vpc: routed, endpoints: { s3: true } }))).toEqual([
      "Gateway s3",
      "Interface secretsmanager",
    ]);
    expect(services(withNetwork({ endpoints: { secrets_manager: false } }))).toEqual([]);
  });

  test.each(Object.entries({ msk, created }))(
    "leaves Secrets Manager's name in the VPC to others, and gives its functions the name of their endpoint: %s",
    (_, template) => {
      const [[id, endpoint] = []] = Object.entries(template.findResources("AWS::EC2::VPCEndpoint")).filter(
        ([, { Properties }]) => Properties.VpcEndpointType === "Interface",
      );
      expect(endpoint?.Properties.PrivateDnsEnabled).toBe(false);
      const first = { "Fn::Select": [0, { "Fn::GetAtt": [id, "DnsEntries"] }] };
      const name = { "Fn::Select": [1, { "Fn::Split": [":", first] }] };
      const urls = Object.fromEntries(
        verbs.map((verb) => [verb, functionOf(template, verb).Environment.Variables.AWS_ENDPOINT_URL_SECRETS_MANAGER]),
      );
      const url = { "Fn::Join": ["", ["https://", name]] };
      const none = undefined;
      expect(urls).toEqual({
        ...{ snapshot: url, diff: url, verify: url, plan: url, rollback: url, import: url },
        ...{
          list: none,
          show: none,
          rollbacks: none,
          history: none,
          delete: none,
          hold: none,
          reindex: none,
          prune: none,
        },
      });
    },
  );

  test("gives no function an endpoint that does not exist", () => {
    for (const template of [plain, withNetwork({ endpoints: { secrets_manager: false } })]) {
      expect(functionOf(template, "snapshot").Environment.Variables).not.toHaveProperty(
        "AWS_ENDPOINT_URL_SECRETS_MANAGER",
      );
    }
  });

  test("puts the interface endpoint into one subnet of each zone, as AWS requires", () => {
    const { existing } = example().network.vpc;
    const availability_zones = ["eu-west-1a", "eu-west-1b", "eu-west-1a"];
    withNetwork({ vpc: { existing: { ...existing, availability_zones } } }).hasResourceProperties(
      "AWS::EC2::VPCEndpoint",
      { SubnetIds: existing.private_subnet_ids.slice(0, 2) },
    );
  });

  test("opens the brokers' ports and 443, and nothing else", () => {
    const groups = Object.values(created.findResources("AWS::EC2::SecurityGroup"));
    const ports = groups.flatMap(({ Properties }) => Properties.SecurityGroupEgress).map(({ FromPort }) => FromPort);
    expect(ports.filter((port) => port !== 252).sort()).toEqual([443, 9096]);
    expect(
      Object.values(msk.findResources("AWS::EC2::SecurityGroupIngress")).map(({ Properties }) => Properties),
    ).toEqual([
      expect.objectContaining({ GroupId: "sg-0123456789abcdef0", FromPort: 9096, ToPort: 9096, IpProtocol: "tcp" }),
      expect.objectContaining({ FromPort: 443, ToPort: 443, IpProtocol: "tcp" }),
    ]);
    expect(
      Object.values(msk.findResources("AWS::EC2::SecurityGroupEgress")).map(({ Properties }) => Properties),
    ).toEqual([
      expect.objectContaining({ DestinationSecurityGroupId: "sg-0123456789abcdef0", FromPort: 9096, ToPort: 9096 }),
    ]);
  });

  test("opens the ports of brokers that are not bootstrap servers, too", () => {
    const more = withNetwork({ broker_ports: [9096, 9098, "14001-14100"] });
    const rules = ["AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"].map((type) =>
      Object.values(more.findResources(type))
        .map(({ Properties }) => `${Properties.FromPort}-${Properties.ToPort}`)
        .sort(),
    );
    const brokers = ["14001-14100", "9096-9096", "9098-9098"];
    expect(rules).toEqual([[...brokers.slice(0, 1), "443-443", ...brokers.slice(1)], brokers]);
  });

  test("sets no rule of a security group that exists, and opens the brokers and the endpoint for it", () => {
    const own = withNetwork({ security_group_id: "sg-0f0f0f0f0f0f0f0f0" });
    expect(functionOf(own, "rollback").VpcConfig.SecurityGroupIds).toEqual(["sg-0f0f0f0f0f0f0f0f0"]);
    own.resourceCountIs("AWS::EC2::SecurityGroupEgress", 0);
    const ingress = Object.values(own.findResources("AWS::EC2::SecurityGroupIngress")).map(({ Properties }) => [
      Properties.FromPort,
      Properties.SourceSecurityGroupId,
    ]);
    expect(ingress.sort()).toEqual([
      [443, "sg-0f0f0f0f0f0f0f0f0"],
      [9096, "sg-0f0f0f0f0f0f0f0f0"],
    ]);
    const groups = Object.values(own.findResources("AWS::EC2::SecurityGroup"));
    expect(groups.map(({ Properties }) => Properties.GroupDescription)).toEqual([
      "Secrets Manager for offset rollback functions",
    ]);
  });

  test("warns that a new VPC has no way to a token endpoint in the internet", () => {
    const secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:kafka-AbCdEf";
    const oauth = { protocol: "SASL_SSL", sasl: { mechanism: "OAUTHBEARER", secret_arn } };
    const warned = (vpc: object, security: object) => {
      const { cluster, network } = example();
      const { stack } = stackOf({
        ...example(),
        cluster: { ...cluster, security },
        network: { vpc, ...("existing" in vpc && network) },
      });
      return Annotations.fromStack(stack).findWarning("*", Match.stringLikeRegexp("without a way to the internet"));
    };
    expect(warned({ create: {} }, oauth)).toHaveLength(1);
    expect(warned(example().network.vpc, oauth)).toEqual([]);
    expect(warned({ create: {} }, example().cluster.security)).toEqual([]);
  });

  test("names in its outputs what an administrator needs to peer a new VPC", () => {
    const named = (template: typeof msk) =>
      Object.keys(template.toJSON().Outputs).filter((name) => /Vpc|Route|Group/.test(name));
    expect(named(created)).toEqual(["FunctionsSecurityGroupId", "VpcId", "RouteTableIds"]);
    expect(named(msk)).toEqual(["FunctionsSecurityGroupId"]);
    expect(named(plain)).toEqual([]);
    expect(render(created.toJSON().Outputs.RouteTableIds.Value)).toBe(
      "<KafkaVpcFunctionsSubnet1RouteTable>,<KafkaVpcFunctionsSubnet2RouteTable>",
    );
  });

  test("from a new VPC reaches only the endpoints and peered networks", () => {
    created.resourceCountIs("AWS::EC2::VPC", 1);
    created.resourceCountIs("AWS::EC2::Subnet", 2);
    created.resourceCountIs("AWS::EC2::NatGateway", 0);
    created.resourceCountIs("AWS::EC2::InternetGateway", 0);
    created.hasResourceProperties("AWS::EC2::FlowLog", { TrafficType: "REJECT" });
  });

  test("places the functions in the subnets of the config", () => {
    expect(functionOf(msk, "rollback").VpcConfig.SubnetIds).toEqual(example().network.vpc.existing.private_subnet_ids);
  });
});

/** Every statement of every policy in a template, wherever it is. */
function statementsIn(value: unknown): Record<string, unknown>[] {
  if (typeof value !== "object" || value === null) return [];
  const inner = Object.values(value).flatMap(statementsIn);
  return "Effect" in value ? [{ ...value }, ...inner] : inner;
}

/** The alias with a shortened logical id, as `function:alias`. */
const aliasAt = (name = "") => {
  const found = Object.entries(msk.findResources("AWS::Lambda::Alias")).find(
    ([id]) => render({ Ref: id }) === `<${name}>`,
  );
  return found && `${render(found[1].Properties.FunctionName).slice(1, -1)}:${found[1].Properties.Name}`;
};

describe("the API", () => {
  test("signs every method with IAM and gives each to the alias of its own function", () => {
    const resources = msk.findResources("AWS::ApiGateway::Resource");
    const pathOf = (id: unknown): string => {
      const found = Object.entries(resources).find(([name]) => JSON.stringify(id) === JSON.stringify({ Ref: name }));
      return found === undefined ? "" : `${pathOf(found[1].Properties.ParentId)}/${found[1].Properties.PathPart}`;
    };
    const methods = Object.values(msk.findResources("AWS::ApiGateway::Method")).map(({ Properties }) => {
      expect(Properties.AuthorizationType).toBe("AWS_IAM");
      const Type = Properties.Integration.RequestTemplates === undefined ? "AWS_PROXY" : "AWS";
      expect(Properties.Integration).toMatchObject({ Type, TimeoutInMillis: 29_000 });
      const target = /:lambda:path\/2015-03-31\/functions\/<(\w+)>\/invocations$/.exec(
        render(Properties.Integration.Uri),
      );
      return `${Properties.HttpMethod} ${pathOf(Properties.ResourceId)} ${aliasAt(target?.[1])}`;
    });
    expect(methods.sort()).toEqual([
      "DELETE /snapshots/{snapshot_id} delete:api",
      "GET /groups/{group}/history history:api",
      "GET /rollbacks rollbacks:api",
      "GET /rollbacks/{rollback_id} rollbacks:api",
      "GET /snapshots list:api",
      "GET /snapshots/{snapshot_id} show:api",
      "GET /snapshots/{snapshot_id}/diff diff:api",
      "POST /rollbacks rollback:api",
      "POST /snapshots snapshot:api",
      "POST /snapshots/{snapshot_id}/plan plan:api",
      "POST /snapshots/{snapshot_id}/rollback rollback:api",
      "POST /snapshots/{snapshot_id}/verify verify:api",
      "PUT /snapshots/{snapshot_id}/hold hold:api",
    ]);
  });

  test("may invoke each alias for its own method only, and nobody else may invoke anything by a permission", () => {
    const permissions = Object.values(msk.findResources("AWS::Lambda::Permission")).map(({ Properties }) => {
      expect(Properties).toMatchObject({ Action: "lambda:InvokeFunction", Principal: "apigateway.amazonaws.com" });
      const method = render(Properties.SourceArn).split("/").slice(1).join("/");
      return `${aliasAt(render(Properties.FunctionName).slice(1, -1))} ${method}`;
    });
    expect(permissions.sort()).toEqual([
      "delete:api <RestApiDeploymentStagev1>/DELETE/snapshots/*",
      "diff:api <RestApiDeploymentStagev1>/GET/snapshots/*/diff",
      "history:api <RestApiDeploymentStagev1>/GET/groups/*/history",
      "hold:api <RestApiDeploymentStagev1>/PUT/snapshots/*/hold",
      "list:api <RestApiDeploymentStagev1>/GET/snapshots",
      "plan:api <RestApiDeploymentStagev1>/POST/snapshots/*/plan",
      "rollback:api <RestApiDeploymentStagev1>/POST/rollbacks",
      "rollback:api <RestApiDeploymentStagev1>/POST/snapshots/*/rollback",
      "rollbacks:api <RestApiDeploymentStagev1>/GET/rollbacks",
      "rollbacks:api <RestApiDeploymentStagev1>/GET/rollbacks/*",
      "show:api <RestApiDeploymentStagev1>/GET/snapshots/*",
      "snapshot:api <RestApiDeploymentStagev1>/POST/snapshots",
      "verify:api <RestApiDeploymentStagev1>/POST/snapshots/*/verify",
    ]);
  });

  test("has an alias of every function: its code, and its limits", () => {
    const aliases = Object.values(msk.findResources("AWS::Lambda::Alias")).map(
      ({ Properties }) => `${render(Properties.FunctionName)}:${Properties.Name} ${Properties.FunctionVersion}`,
    );
    expect(aliases.sort()).toEqual(verbs.map((verb) => `<${verb}>:api $LATEST`).sort());
  });

  test.each([
    ["MSK", msk],
    ["no network", plain],
    ["queries and access logs", templateOf({ ...example(), athena: true, api: { access_logs: true } })],
  ])(
    "is the only one that may invoke an alias: no policy of the stack allows it, no output shows it (%s)",
    (_, stack) => {
      const { Resources, Outputs } = stack.toJSON();
      const arnOf = (text: string) =>
        text.replace(/^<(\w+)>/, "arn:aws:lambda:eu-west-1:111122223333:function:offset-$1");
      const matches = (pattern: string, text: string) =>
        new RegExp(`^${RegExp.escape(pattern).replaceAll("\\*", ".*").replaceAll("\\?", ".")}$`, "i").test(text);
      const invoking = statementsIn(Resources).filter(
        ({ Action, NotAction }) =>
          NotAction !== undefined || [Action].flat().some((action) => matches(String(action), "lambda:InvokeFunction")),
      );
      for (const { Effect, Principal, Resource } of invoking) {
        expect({ Effect, Principal }).toEqual({ Effect: "Allow" }); // of a role: nobody else is named
        const resources = [Resource].flat().map((resource) => arnOf(render(resource)));
        expect(resources).toEqual(resources.filter((arn) => /^arn:aws:lambda:.*:function:offset-\w+$/.test(arn)));
        for (const verb of verbs) {
          const alias = `${arnOf(`<${verb}>`)}:api`;
          for (const pattern of resources) expect(matches(pattern, alias)).toBe(false);
        }
      }
      expect(invoking.length).toBeGreaterThan(0);
      expect(JSON.stringify(Outputs)).not.toMatch(/:api\b|api[0-9A-F]{8}"/);
    },
  );

  test("is throttled, and logs access if the config enables it", () => {
    msk.hasResourceProperties("AWS::ApiGateway::Stage", {
      StageName: "v1",
      AccessLogSetting: Match.absent(),
      MethodSettings: [Match.objectLike({ ThrottlingBurstLimit: 20, ThrottlingRateLimit: 10 })],
    });
    templateOf({ ...local(), api: { access_logs: true } }).hasResourceProperties("AWS::ApiGateway::Stage", {
      AccessLogSetting: Match.objectLike({ DestinationArn: Match.anyValue() }),
    });
    msk.resourceCountIs("AWS::ApiGateway::Account", 0);
  });
});

describe("a schedule", () => {
  const schedules = Object.fromEntries(
    Object.values(msk.findResources("AWS::Scheduler::Schedule"))
      .filter(({ Properties }) => render(Properties.Target.Arn) === "<snapshot>")
      .map(({ Properties }) => [Properties.Name, Properties]),
  );

  test("sends a snapshot request with the fields of the config and the execution id", () => {
    expect(schedules.hourly.Target.Input).toBe(
      '{"description":"Every group, every hour","schedule":{"name":"hourly","execution_id":"<aws.scheduler.execution-id>","scheduled_time":"<aws.scheduler.scheduled-time>"}}',
    );
    expect(JSON.parse(schedules["before-nightly-batch"].Target.Input)).toEqual({
      groups: ["billing-*", { name: "orders-streams" }],
      exclude: ["billing-sandbox-*"],
      description: "Before the nightly batch",
      schedule: {
        name: "before-nightly-batch",
        execution_id: "<aws.scheduler.execution-id>",
        scheduled_time: "<aws.scheduler.scheduled-time>",
      },
    });
  });

  test("sends a request that the snapshot function accepts", () => {
    for (const { Target } of Object.values<{ Target: { Input: string } }>(schedules)) {
      expect(request.safeParse(JSON.parse(Target.Input))).toMatchObject({ success: true });
    }
  });

  test("runs at its time, in its time zone, unless disabled", () => {
    expect(schedules["before-nightly-batch"]).toMatchObject({
      ScheduleExpression: "cron(50 1 * * ? *)",
      ScheduleExpressionTimezone: "Europe/Dublin",
      FlexibleTimeWindow: { Mode: "OFF" },
      State: "ENABLED",
    });
    const off = templateOf({ ...local(), schedules: [{ name: "off", expression: "rate(2 days)", enabled: false }] });
    off.hasResourceProperties("AWS::Scheduler::Schedule", { State: "DISABLED", ScheduleExpressionTimezone: "UTC" });
  });

  test("runs once, at a time", () => {
    const schedule = { name: "before-the-move", expression: "at(2030-01-31T22:00:00)", timezone: "Europe/Dublin" };
    templateOf({ ...local(), schedules: [schedule] }).hasResourceProperties("AWS::Scheduler::Schedule", {
      Name: "before-the-move",
      ScheduleExpression: "at(2030-01-31T22:00:00)",
      ScheduleExpressionTimezone: "Europe/Dublin",
      State: "ENABLED",
    });
  });

  test("is retried for an hour, then kept in an encrypted queue", () => {
    expect(schedules.hourly.Target).toMatchObject({
      RetryPolicy: { MaximumRetryAttempts: 2, MaximumEventAgeInSeconds: 3600 },
    });
    expect(render(schedules.hourly.Target.DeadLetterConfig.Arn)).toBe("<SchedulesFailed>");
    msk.allResourcesProperties("AWS::SQS::Queue", { SqsManagedSseEnabled: true, MessageRetentionPeriod: 14 * 86_400 });
    msk.hasResourceProperties("AWS::SQS::QueuePolicy", {
      PolicyDocument: {
        Statement: [Match.objectLike({ Effect: "Deny", Condition: { Bool: { "aws:SecureTransport": "false" } } })],
      },
    });
  });

  test("keeps the logical ids of its resources: with others, an update would create a second one of the same name", () => {
    const [groups, schedules] = ["Group", ""].map((kind) => msk.findResources(`AWS::Scheduler::Schedule${kind}`));
    // As the template of d16a1c6 has them, from before CDK had constructs for schedules.
    const former = {
      SchedulesGroupC7F67308: "offset-rollback",
      SchedulesSchedulehourlyD3767BB4: "hourly",
      SchedulesSchedulebeforenightlybatch70843AFE: "before-nightly-batch",
    };
    const named = Object.entries({ ...groups, ...schedules }).map(([id, { Properties }]) => [id, Properties.Name]);
    expect(Object.fromEntries(named)).toMatchObject(former);
    for (const { DeletionPolicy } of Object.values(groups ?? {})) expect(DeletionPolicy).toBe("Delete");
  });

  test("may invoke the snapshot function and write to the queue, nothing else", () => {
    expect(rightsOf(msk, schedules.hourly.Target.RoleArn)).toEqual([
      "lambda:InvokeFunction <snapshot>",
      "sqs:SendMessage <SchedulesFailed>",
    ]);
  });
});

describe("the stack", () => {
  test.each(Object.entries(deployments))("has no custom resource and no cdk-nag finding: %s", (_, config) => {
    const { app, stack } = stackOf(config);
    app.synth();
    expect(new AwsSolutionsChecks(app).validateScope(stack).violations).toEqual([]);
    const types = Object.values<{ Type: string }>(Template.fromStack(stack).toJSON().Resources).map(({ Type }) => Type);
    expect(types.filter((type) => type.startsWith("Custom::") || type.includes("CustomResource"))).toEqual([]);
  });

  test("belongs to the account and region of the config, with its tags", () => {
    const env = { account: "111122223333", region: "eu-west-1" };
    const { app, stack } = stackOf({ ...example(), env, tags: { team: "payments" } });
    const artifact = app.synth().getStackArtifact(stack.artifactId);
    expect([artifact.environment.account, artifact.environment.region]).toEqual(["111122223333", "eu-west-1"]);
    expect(artifact.tags).toEqual({ team: "payments" });
  });

  test("limits every role by the boundary of the config", () => {
    const permissions_boundary = "arn:aws:iam::111122223333:policy/limits";
    const network = { vpc: { create: {} } };
    const limited = templateOf({ ...example(), network, api: { access_logs: true }, permissions_boundary });
    const roles = Object.values(limited.findResources("AWS::IAM::Role"));
    expect(roles.length).toBeGreaterThan(verbs.length);
    for (const { Properties } of roles) expect(Properties.PermissionsBoundary).toBe(permissions_boundary);
  });

  test("has outputs for clients", () => {
    const { Outputs } = plain.toJSON();
    expect(Object.keys(Outputs).sort()).toEqual([
      "AdministratorPolicyArn",
      "ApiId",
      "ApiStage",
      "ApiUrl",
      "BootstrapServers",
      "BucketName",
      "FunctionNames",
      "OperatorPolicyArn",
      "Path",
      "RollbacksLostQueueUrl",
      "SnapshotsLostQueueUrl",
      "TableName",
      "ViewerPolicyArn",
    ]);
    const withQueries = templateOf({ ...local(), athena: true }).toJSON().Outputs;
    expect(Object.keys(withQueries).filter((name) => !(name in Outputs))).toEqual([
      "AthenaWorkGroup",
      "AthenaPolicyArn",
    ]);
    expect(JSON.parse(Outputs.FunctionNames.Value)).toEqual({
      import: "offset-import",
      history: "offset-history",
      snapshot: "offset-snapshot",
      list: "offset-list",
      show: "offset-show",
      diff: "offset-diff",
      verify: "offset-verify",
      plan: "offset-plan",
      rollback: "offset-rollback",
      rollbacks: "offset-rollbacks",
      delete: "offset-delete",
      reindex: "offset-reindex",
      prune: "offset-prune",
      hold: "offset-hold",
    });
  });
});
