import { Match } from "aws-cdk-lib/assertions";
import { AwsSolutionsChecks } from "cdk-nag";
import { describe, expect, test } from "vitest";
import { verbs } from "../../functions/operations.ts";
import { example, local } from "./configs.ts";
import { allows, statementsOfRole } from "./simulation.ts";
import { functionOf, render, rightsOf, stackOf, templateOf } from "./support.ts";

const key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const api = { access_logs: true };
const without = { ...example(), api, network: { vpc: { create: {} } } };
const config = { ...without, kms_key_arn: key };
const template = templateOf(config);

describe("with a key of its own", () => {
  test("the stack encrypts bucket, table, every log group and every queue with it", () => {
    template.hasResourceProperties("AWS::S3::Bucket", {
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [
          {
            BucketKeyEnabled: true,
            ServerSideEncryptionByDefault: { SSEAlgorithm: "aws:kms", KMSMasterKeyID: key },
          },
        ],
      },
    });
    template.hasResourceProperties("AWS::DynamoDB::Table", {
      SSESpecification: { SSEEnabled: true, SSEType: "KMS", KMSMasterKeyId: key },
    });
    const of = (type: string) => Object.values(template.findResources(type)).map(({ Properties }) => Properties);
    const groups = of("AWS::Logs::LogGroup").map(({ KmsKeyId }) => KmsKeyId);
    expect(groups).toEqual(Array.from({ length: verbs.length + 2 }, () => key)); // and access, and rejected connections
    const queues = of("AWS::SQS::Queue").map(({ KmsMasterKeyId }) => KmsMasterKeyId);
    expect(queues).toEqual([key, key]);
  });

  test("each function may use the key as its accesses require, and has no other new right", () => {
    const onKey = (verb: string) =>
      [...new Set(rightsOf(template, functionOf(template, verb).Role))].filter((right) => right.endsWith(` ${key}`));
    const plain = templateOf(without);
    for (const verb of verbs) {
      const others = rightsOf(template, functionOf(template, verb).Role).filter((right) => !right.endsWith(` ${key}`));
      expect(others).toEqual(rightsOf(plain, functionOf(plain, verb).Role));
    }
    const of = (...rights: string[]) => rights.map((right) => `kms:${right} ${key}`).sort();
    expect(onKey("show")).toEqual(of("Decrypt", "DescribeKey", "GenerateDataKey"));
    expect(onKey("delete")).toEqual(
      of("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo"),
    );
  });

  test("who sends to a queue may use the key: functions and schedules", () => {
    const scheduler = Object.entries(template.findResources("AWS::IAM::Role")).find(([, { Properties }]) =>
      JSON.stringify(Properties.AssumeRolePolicyDocument).includes("scheduler.amazonaws.com"),
    );
    const roles = [
      { Ref: scheduler?.[0] },
      functionOf(template, "snapshot").Role,
      functionOf(template, "rollback").Role,
    ];
    for (const role of roles) {
      for (const action of ["kms:GenerateDataKey", "kms:Decrypt"]) {
        expect([render(role), action, allows(statementsOfRole(template, role), { action, resource: key })]).toEqual([
          render(role),
          action,
          true,
        ]);
      }
    }
  });

  test("what exists keeps its own key, and logs and queues have that of the stack", () => {
    const existing = { bucket: "old-offsets", table: "offsets-restored" };
    const taken = templateOf({ ...local(), kms_key_arn: key, archive: { existing } });
    expect(rightsOf(taken, functionOf(taken, "show").Role).filter((right) => right.startsWith("kms:"))).toEqual([]);
    taken.allResourcesProperties("AWS::SQS::Queue", { KmsMasterKeyId: key });
    taken.allResourcesProperties("AWS::Logs::LogGroup", { KmsKeyId: key });
  });

  test("has no cdk-nag finding", () => {
    const { app, stack } = stackOf({ ...config, athena: true });
    app.synth();
    expect(new AwsSolutionsChecks(app).validateScope(stack).violations).toEqual([]);
  });
});

test("without one, AWS's own keys encrypt everything", () => {
  expect(JSON.stringify(templateOf(local()).toJSON())).not.toMatch(/KmsKeyId|KmsMasterKeyId|"aws:kms"|KMSMasterKey/);
});

describe("Object Lock", () => {
  test("locks each version of an object of a new bucket for the days of the config, in governance mode", () => {
    templateOf({ ...local(), archive: { object_lock_days: 30 } }).hasResourceProperties("AWS::S3::Bucket", {
      ObjectLockEnabled: true,
      ObjectLockConfiguration: {
        ObjectLockEnabled: "Enabled",
        Rule: { DefaultRetention: { Mode: "GOVERNANCE", Days: 30 } },
      },
      VersioningConfiguration: { Status: "Enabled" },
    });
  });

  test("is off by default: it cannot be switched off again", () => {
    templateOf(local()).hasResourceProperties("AWS::S3::Bucket", {
      ObjectLockEnabled: Match.absent(),
      ObjectLockConfiguration: Match.absent(),
    });
  });

  test("leaves every right as it is: deletions only hide a locked version", () => {
    const locked = templateOf({ ...local(), archive: { object_lock_days: 30 } });
    const free = templateOf(local());
    for (const verb of verbs) {
      expect(rightsOf(locked, functionOf(locked, verb).Role)).toEqual(rightsOf(free, functionOf(free, verb).Role));
    }
  });
});
