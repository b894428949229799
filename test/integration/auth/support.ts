import { pbkdf2Sync, randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { CreateSecretCommand, PutSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { afterAll, beforeAll, expect, inject, vi } from "vitest";
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

const confidential = new Set(["password", "client_secret", "private_key", "passphrase"]);

/** What was put into secrets and may never be seen in an error. */
const told = new Set<string>();

function serialize(value: Readonly<Record<string, unknown>> | string): string {
  if (typeof value === "string") {
    told.add(value);
    return value;
  }
  for (const [field, it] of Object.entries(value)) if (confidential.has(field) && it !== "") told.add(String(it));
  return JSON.stringify(value);
}

/** Makes a secret, of a text or an object, and gives its ARN. */
export async function secretOf(value: Readonly<Record<string, unknown>> | string): Promise<string> {
  const { ARN } = await secrets.send(new CreateSecretCommand({ Name: unique("auth"), SecretString: serialize(value) }));
  return ARN ?? "";
}

/** Puts another value into a secret. */
export async function rotate(arn: string, value: Readonly<Record<string, unknown>> | string): Promise<void> {
  await secrets.send(new PutSecretValueCommand({ SecretId: arn, SecretString: serialize(value) }));
}

/** The way to a listener of the broker. */
export function accessTo(listener: Listener, more: Partial<KafkaAccess>): KafkaAccess {
  return {
    clusterName: "secured",
    bootstrapServers: [`127.0.0.1:${ports[listener]}`],
    protocol: "SASL_SSL",
    sasl: undefined,
    ...more,
  };
}

/** What the listener without any security says: the truth. */
export const openAccess: KafkaAccess = {
  clusterName: "open",
  bootstrapServers: kafka.bootstrapServers.split(","),
  protocol: "PLAINTEXT",
  sasl: undefined,
};

/** A group of this test file with commits on a topic; both go at its end, and AWS's clients find the cloud until then. */
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
    return [...outcomes.values()].flatMap((of) => [...of.values()].map(({ kind }) => kind));
  });

/** The offsets of a group, as a snapshot has them. */
export async function offsetsIn(cluster: Cluster, group: string): Promise<[string, bigint][]> {
  const { commits } = await capture(cluster, select(group));
  return [...(commits.get(group) ?? [])].map(([key, { offset }]) => [key, offset]);
}

/** The same, with a connection of its own. */
export const offsetsBy = (access: KafkaAccess, group: string) =>
  withCluster(access, within(20_000), (cluster) => offsetsIn(cluster, group));

/** The error that comes of an access. Neither it nor what it was caused by tells anything of a secret. */
export async function errorOf(access: KafkaAccess, group = "none"): Promise<Error> {
  const error: unknown = await offsetsBy(access, group).then(
    () => new Error("there was no error"),
    (thrown: unknown) => thrown,
  );
  const seen = inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true });
  for (const text of told) expect(seen).not.toContain(text);
  return error instanceof Error ? error : new Error(String(error));
}

/** The way to the listener of SCRAM, with the secret of this ARN. */
export const scramAccess = async (mechanism: ScramMechanism, secretArn: string): Promise<KafkaAccess> =>
  accessTo("SCRAM", { sasl: { mechanism, secretArn }, ...(await trusting()) });

/** The broker's authority, in a secret. */
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

/** Sets the password of `ana` for SCRAM, and waits until the broker takes it. */
export async function setScramPassword(mechanism: ScramMechanism, password: string): Promise<void> {
  await withCluster(openAccess, within(20_000), async (cluster) => {
    expect(await cluster.sendToAny(alterUserScramCredentials, { mechanism, password })).toBe(0);
  });
  const access = await scramAccess(mechanism, await secretOf({ ...ana, password }));
  await vi.waitFor(() => withCluster(access, within(20_000), async () => {}), 20_000);
}
