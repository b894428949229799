import { describe, expect, test } from "vitest";
import { Configuration } from "../../../functions/shared/core/errors.ts";
import { archiveSettings, settings } from "../../../functions/shared/lambda/config.ts";

const complete = {
  KAFKA_BOOTSTRAP_SERVERS: "a:9092, b.example:9094",
  KAFKA_CLUSTER_NAME: "prod",
  SNAPSHOT_BUCKET: "bucket",
  SNAPSHOT_TABLE: "table",
};

describe("settings", () => {
  test("come from the environment, with defaults for what is optional", () => {
    expect(settings(complete)).toEqual({
      archive: { bucket: "bucket", prefix: "", table: "table" },
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

  test("of a function without Kafka need none of Kafka's", () => {
    expect(archiveSettings({ SNAPSHOT_BUCKET: "bucket", SNAPSHOT_TABLE: "table" }).table).toBe("table");
  });

  test.each([
    ["KAFKA_BOOTSTRAP_SERVERS", "a"],
    ["KAFKA_BOOTSTRAP_SERVERS", "a:0"],
    ["KAFKA_BOOTSTRAP_SERVERS", "a:65536"],
    ["KAFKA_BOOTSTRAP_SERVERS", "a:9092,,b:9092"],
    ["KAFKA_SECURITY_PROTOCOL", "TLS"],
    ["SNAPSHOT_PREFIX", "no-slash"],
    ["KAFKA_SECRET_ARN", "arn:aws:secretsmanager:x"],
  ])("refuse %s=%s", (name, value) => {
    expect(() => settings({ ...complete, [name]: value })).toThrow(new RegExp(`^Configuration: .*${name}`));
  });

  test("want mechanism and secret with SASL", () => {
    const sasl = { ...complete, KAFKA_SECURITY_PROTOCOL: "SASL_SSL" };
    expect(() => settings(sasl)).toThrow(/KAFKA_SASL_MECHANISM is missing.*KAFKA_SECRET_ARN is missing/);
    const whole = { ...sasl, KAFKA_SASL_MECHANISM: "SCRAM-SHA-512", KAFKA_SECRET_ARN: "arn:aws:secretsmanager:x" };
    expect(settings(whole).kafka.sasl).toEqual({ mechanism: "SCRAM-SHA-512", secretArn: "arn:aws:secretsmanager:x" });
  });
});
