import { pbkdf2Sync, randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { CreateSecretCommand, PutSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { afterAll, beforeAll, expect, inject, vi } from "vitest";
import { requireReadable } from "../../../functions/shared/core/checks.ts";
import type { Commits } from "../../../functions/shared/core/model.ts";
import { type KafkaAccess, withCluster } from "../../../functions/shared/kafka/connection/access.ts";
import type { Cluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { capture } from "../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import type { Api } from "../../../functions/shared/kafka/wire/api.ts";
import { ana, type Listener } from "../../support/auth/broker.ts";
import { within } from "../../support/deadline.ts";
import { administer, at, select, unique } from "../kafka/support.ts";

const { kafka, ports, ca } = inject("auth");
const cloud = inject("cloud");

const secrets = new SecretsManagerClient({
  endpoint: cloud.endpointUrl,
  region: cloud.region,
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
});

const confidentialFields = new Set(["password", "client_secret", "private_key", "passphrase"]);

/** Confidential values that were stored in secrets. No error may contain one. */
const confidentialValues = new Set<string>();

function serialize(value: Readonly<Record<string, unknown>> | string): string {
  if (typeof value === "string") {
    confidentialValues.add(value);
    return value;
  }
  for (const [field, text] of Object.entries(value)) {
    if (confidentialFields.has(field) && text !== "") confidentialValues.add(String(text));
  }
  return JSON.stringify(value);
}

/** Creates a secret with a text or an object, and returns its ARN. */
export async function secretOf(value: Readonly<Record<string, unknown>> | string): Promise<string> {
  const { ARN } = await secrets.send(new CreateSecretCommand({ Name: unique("auth"), SecretString: serialize(value) }));
  return ARN ?? "";
}

/** Replaces the value of a secret. */
export async function rotate(arn: string, value: Readonly<Record<string, unknown>> | string): Promise<void> {
  await secrets.send(new PutSecretValueCommand({ SecretId: arn, SecretString: serialize(value) }));
}

/** The settings for a listener of the broker. */
export function accessTo(listener: Listener, more: Partial<KafkaAccess>): KafkaAccess {
  return {
    clusterName: "secured",
    bootstrapServers: [`127.0.0.1:${ports[listener]}`],
    protocol: "SASL_SSL",
    sasl: undefined,
    ...more,
  };
}

/** The settings for the listener without TLS and SASL. */
export const openAccess: KafkaAccess = {
  clusterName: "open",
  bootstrapServers: kafka.bootstrapServers.split(","),
  protocol: "PLAINTEXT",
  sasl: undefined,
};

/** Creates a group with commits on a topic for a test file, and deletes both after it. AWS clients use the local cloud meanwhile. */
export function someGroup() {
  const [group, topic] = [unique("group"), unique("topic")];
  const commits = at([`${topic}-0`, 3], [`${topic}-1`, 9_007_199_254_740_993n]);
  beforeAll(async () => {
    for (const [name, value] of Object.entries(cloud.environment)) vi.stubEnv(name, value);
    const topics = [{ topic, numPartitions: 2, replicationFactor: 1 }];
    await administer((admin) => admin.createTopics({ topics, waitForLeaders: true }), kafka.bootstrapServers);
    await vi.waitFor(
      async () => expect(await commitAll(new Map([[group, commits]]))).toEqual(["accepted", "accepted"]),
      20_000,
    );
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await administer(async (admin) => {
      await admin.deleteGroups([group]);
      await admin.deleteTopics({ topics: [topic] });
    }, kafka.bootstrapServers);
  });
  return { group, commits };
}

const commitAll = (commits: Commits) =>
  withCluster(openAccess, within(20_000), async (cluster) => {
    const outcomes = await commitOffsets(cluster, commits);
    return [...outcomes.values()].flatMap((keys) => [...keys.values()].map(({ kind }) => kind));
  });

/** The offsets of a group as a capture reads them. */
export async function offsetsIn(cluster: Cluster, group: string): Promise<[string, bigint][]> {
  const state = await capture(cluster, select(group));
  requireReadable(state);
  return [...(state.commits.get(group) ?? [])].map(([key, { offset }]) => [key, offset]);
}

/** The offsets of a group, read over a new connection. */
export const offsetsBy = (access: KafkaAccess, group: string) =>
  withCluster(access, within(20_000), (cluster) => offsetsIn(cluster, group));

/** The error of a read with these settings. Requires that neither it nor its causes contain a confidential value. */
export async function errorOf(access: KafkaAccess, group = "none"): Promise<Error> {
  const error: unknown = await offsetsBy(access, group).then(
    () => new Error("there was no error"),
    (thrown: unknown) => thrown,
  );
  const printed = inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true });
  for (const text of confidentialValues) expect(printed).not.toContain(text);
  return error instanceof Error ? error : new Error(String(error));
}

/** The settings for the SCRAM listener, with this secret. */
export const scramAccess = async (mechanism: ScramMechanism, secretArn: string): Promise<KafkaAccess> =>
  accessTo("SCRAM", { sasl: { mechanism, secretArn }, ...(await trusting()) });

/** TLS settings that trust the broker's authority. */
export const trusting = async () => ({ tls: { secretArn: await secretOf({ ca }) } });

type ScramMechanism = "SCRAM-SHA-256" | "SCRAM-SHA-512";
const digests = {
  "SCRAM-SHA-256": { id: 1, hash: "sha256", bytes: 32 },
  "SCRAM-SHA-512": { id: 2, hash: "sha512", bytes: 64 },
};

const alterUserScramCredentials: Api<{ mechanism: ScramMechanism; password: string }, number> = {
  key: 51,
  name: "AlterUserScramCredentials",
  versions: [0, 0],
  since: "2.7",
  flexible: true,
  encode(writer, { mechanism, password }) {
    const { id, hash, bytes } = digests[mechanism];
    const salt = randomBytes(16);
    writer.array([], () => {}); // deletions
    writer.structures([ana.username], (user) => {
      writer.string(user);
      writer.int8(id);
      writer.int32(4_096);
      for (const part of [salt, pbkdf2Sync(password, salt, 4_096, bytes, hash)]) {
        writer.array([...new Int8Array(part)], (byte) => writer.int8(byte));
      }
    });
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const codes = reader.structures(() => {
      reader.string();
      const code = reader.int16();
      reader.nullableString();
      return code;
    });
    return codes[0] ?? -1;
  },
};

/** Sets the SCRAM password of `ana`, and waits until the broker accepts it. */
export async function setScramPassword(mechanism: ScramMechanism, password: string): Promise<void> {
  await withCluster(openAccess, within(20_000), async (cluster) => {
    expect(await cluster.sendToAny(alterUserScramCredentials, { mechanism, password })).toBe(0);
  });
  const access = await scramAccess(mechanism, await secretOf({ ...ana, password }));
  await vi.waitFor(() => withCluster(access, within(20_000), async () => {}), 20_000);
}
