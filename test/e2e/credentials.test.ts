import { CreateSecretCommand, PutSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { withCluster } from "../../functions/shared/kafka/access.ts";
import { listGroups } from "../../functions/shared/kafka/group-offsets.ts";
import { type Kafka, startKafka } from "../../localstack/kafka.ts";
import { freePorts, freshStateDir, removeState } from "../../localstack/process.ts";
import { deadlineIn, openStack, uniqueGroup } from "../support/stack.ts";

const { cloud, kafka: given } = openStack();
const secrets = new SecretsManagerClient({
  endpoint: cloud.endpointUrl,
  region: cloud.region,
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
});

/** A broker with one more listener, where clients have to log in. */
async function startWithLogin(stateDir: string): Promise<{ kafka: Kafka; address: string }> {
  const [port] = await freePorts(1);
  const address = `127.0.0.1:${port}`;
  const module = "org.apache.kafka.common.security.plain.PlainLoginModule required";
  const kafka = await startKafka({
    brokers: 1,
    stateDir,
    say: () => {},
    extraProperties: (own) => ({
      listeners: `${own.listeners},LOGIN://${address}`,
      "advertised.listeners": `${own["advertised.listeners"] ?? own.listeners?.split(",")[0]},LOGIN://${address}`,
      "listener.security.protocol.map": `${own["listener.security.protocol.map"] ?? "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"},LOGIN:SASL_PLAINTEXT`,
      "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
      "listener.name.login.plain.sasl.jaas.config": `${module} user_ana="open sesame";`,
    }),
  });
  return { kafka, address };
}

describe.skipIf(given.kind === "external")("credentials from Secrets Manager", () => {
  const stateDir = freshStateDir("login");
  let kafka: Kafka | undefined;
  let address = "";
  let secretArn = "";
  const before = { ...process.env };

  beforeAll(async () => {
    Object.assign(process.env, cloud.environment);
    ({ kafka, address } = await startWithLogin(stateDir));
    const { ARN } = await secrets.send(new CreateSecretCommand({ Name: uniqueGroup("login"), SecretString: "{}" }));
    secretArn = ARN ?? "";
  });
  afterAll(async () => {
    process.env = before;
    await kafka?.stop();
    removeState(stateDir);
  });

  const connect = async (secret: string, arn = secretArn) => {
    await secrets.send(new PutSecretValueCommand({ SecretId: secretArn, SecretString: secret }));
    const access = {
      clusterName: "login",
      bootstrapServers: [address],
      protocol: "SASL_PLAINTEXT" as const,
      sasl: { mechanism: "PLAIN" as const, secretArn: arn },
    };
    return withCluster(access, deadlineIn(20_000), async (cluster) => (await listGroups(cluster)).groups.size);
  };

  test("open the cluster", async () => {
    expect(await connect('{"username":"ana","password":"open sesame"}')).toBe(0);
  });

  test("that are wrong are refused, and never quoted", async () => {
    const error: unknown = await connect('{"username":"ana","password":"wrong-secret"}').catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({
      name: "KafkaUnavailable",
      message: expect.stringContaining("refused the credentials"),
    });
    expect(String(error)).not.toContain("wrong-secret");
  });

  test("that are not what they should be are a Configuration error, and never quoted", async () => {
    for (const secret of ["open sesame", '{"username":"ana"}', '["ana"]']) {
      const error: unknown = await connect(secret).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ name: "Configuration", message: expect.stringContaining(secretArn) });
      expect(String(error)).not.toContain("sesame");
    }
  });

  test("that do not exist are a Configuration error", async () => {
    const gone = secretArn.replace(/secret:.*/, "secret:gone-AbCdEf");
    await expect(connect("{}", gone)).rejects.toMatchObject({ name: "Configuration" });
  });
});
