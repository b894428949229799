import { describe, expect, test } from "vitest";
import { Configuration } from "../../../functions/shared/core/errors.ts";
import { retentionRiskHours, settings, storageSettings } from "../../../functions/shared/lambda/config.ts";
import { retention } from "../../../functions/shared/lambda/retention.ts";

const complete = {
  KAFKA_BOOTSTRAP_SERVERS: "a:9092, b.example:9094",
  KAFKA_CLUSTER_NAME: "prod",
  SNAPSHOT_BUCKET: "bucket",
  SNAPSHOT_TABLE: "table",
};

describe("settings", () => {
  test("come from the environment, with defaults for what is optional", () => {
    expect(settings(complete)).toEqual({
      storage: { bucket: "bucket", prefix: "", table: "table" },
      kafka: {
        clusterName: "prod",
        bootstrapServers: ["a:9092", "b.example:9094"],
        protocol: "PLAINTEXT",
        sasl: undefined,
      },
    });
  });

  test("name every missing variable at once", () => {
    const read = () => settings({});
    expect(read).toThrow(Configuration);
    for (const name of Object.keys(complete)) expect(read).toThrow(new RegExp(`${name} is missing`));
  });

  test("of a function without Kafka need no Kafka variables", () => {
    expect(storageSettings({ SNAPSHOT_BUCKET: "bucket", SNAPSHOT_TABLE: "table" }).table).toBe("table");
  });

  test.each([
    ["KAFKA_BOOTSTRAP_SERVERS", "a"],
    ["KAFKA_BOOTSTRAP_SERVERS", "a:0"],
    ["KAFKA_BOOTSTRAP_SERVERS", "a:65536"],
    ["KAFKA_BOOTSTRAP_SERVERS", "a:9092,,b:9092"],
    ["KAFKA_SECURITY_PROTOCOL", "TLS"],
    ["KAFKA_CONNECTIONS_PER_BROKER", "0"],
    ["KAFKA_CONNECTIONS_PER_BROKER", "129"],
    ["KAFKA_CONNECTIONS_PER_BROKER", "many"],
    ["SNAPSHOT_PREFIX", "no-slash"],
    ["KAFKA_SECRET_ARN", "arn:aws:secretsmanager:x"],
  ])("refuse %s=%s", (name, value) => {
    expect(() => settings({ ...complete, [name]: value })).toThrow(new RegExp(`^Configuration: .*${name}`));
  });

  const arn = "arn:aws:secretsmanager:x";

  test("require mechanism and secret with SASL", () => {
    const sasl = { ...complete, KAFKA_SECURITY_PROTOCOL: "SASL_SSL" };
    expect(() => settings(sasl)).toThrow(/KAFKA_SASL_MECHANISM is missing.*KAFKA_SECRET_ARN is missing/);
    for (const mechanism of ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]) {
      const whole = { ...sasl, KAFKA_SASL_MECHANISM: mechanism, KAFKA_SECRET_ARN: arn };
      expect(settings(whole).kafka.sasl).toEqual({ mechanism, secretArn: arn });
    }
  });

  test("require the region with AWS_MSK_IAM, and no secret", () => {
    const iam = { ...complete, KAFKA_SECURITY_PROTOCOL: "SASL_SSL", KAFKA_SASL_MECHANISM: "AWS_MSK_IAM" };
    expect(settings({ ...iam, AWS_REGION: "eu-west-1" }).kafka.sasl).toEqual({
      mechanism: "AWS_MSK_IAM",
      region: "eu-west-1",
    });
    const wrong = { ...iam, KAFKA_SECRET_ARN: arn, KAFKA_SECURITY_PROTOCOL: "SASL_PLAINTEXT" };
    expect(() => settings(wrong)).toThrow(
      /KAFKA_SECRET_ARN is set, but AWS_MSK_IAM.*AWS_REGION is missing.*KAFKA_SASL_MECHANISM is AWS_MSK_IAM, which goes with/,
    );
  });

  test("have a TLS secret with the protocols that use TLS", () => {
    const tls = { ...complete, KAFKA_TLS_SECRET_ARN: arn };
    expect(() => settings(tls)).toThrow(/KAFKA_TLS_SECRET_ARN is set, but the protocol has no TLS/);
    expect(settings({ ...tls, KAFKA_SECURITY_PROTOCOL: "SSL" }).kafka.tls).toEqual({ secretArn: arn });
    expect(settings({ ...complete, KAFKA_SECURITY_PROTOCOL: "SSL" }).kafka.tls).toBeUndefined();
  });

  test("look 24 hours ahead unless set, and refuse what is no number of hours", () => {
    expect([retentionRiskHours({}), retentionRiskHours({ RETENTION_RISK_HOURS: "6" })]).toEqual([24, 6]);
    for (const wrong of ["0", "8761", "1.5", "day"]) {
      expect(() => retentionRiskHours({ RETENTION_RISK_HOURS: wrong })).toThrow(
        /^Configuration: .*RETENTION_RISK_HOURS/,
      );
    }
  });
});

describe("retention", () => {
  test("comes from the environment as the config of the deployment has it; without it, nothing is forgotten", () => {
    const schedules = { hourly: { hourly: 48, within_days: 2 } };
    expect(retention({ RETENTION: JSON.stringify({ schedules, safety_days: 30, manual_days: 365 }) })).toEqual({
      schedules,
      safetyDays: 30,
      manualDays: 365,
    });
    expect(retention({ RETENTION: '{"schedules":{},"safety_days":1}' })).toEqual({ schedules: {}, safetyDays: 1 });
    expect(retention({})).toBeUndefined();
  });

  test.each([
    ["", "must be JSON"],
    ["{}", "expected object"],
    ['{"schedules":{},"safety_days":0}', "expected number to be >=1"],
    ['{"schedules":{"hourly":{"yearly":1}},"safety_days":1}', "yearly"],
    ['{"schedules":{"hourly":{"daily":1.5}},"safety_days":1}', "expected int"],
    ['{"schedules":{},"safety_days":1,"safe":1}', "safe"],
  ])("that is %j is refused: nothing is deleted by a rule that is not understood", (value) => {
    expect(() => retention({ RETENTION: value })).toThrow(/^Configuration: .*RETENTION /);
  });
});
