import { describe, expect, inject, test, vi } from "vitest";
import { type KafkaAccess, withCluster } from "../../../functions/shared/kafka/connection/access.ts";
import { readCommits } from "../../../functions/shared/kafka/groups/capture.ts";
import { ana, guest, iam, SESSION_MS } from "../../support/auth/broker.ts";
import { audience, clientSecret } from "../../support/auth/token-server.ts";
import { within } from "../../support/deadline.ts";
import {
  accessTo,
  offsetsBy,
  offsetsIn,
  openAccess,
  scramAccess,
  secretOf,
  setScramPassword,
  someGroup,
  trusting,
} from "./support.ts";

const { ca, clients, tokenUrl } = inject("auth");
const { group, commits } = someGroup();
const committedOffsets = [...commits].map(([key, { offset }]) => [key, offset]);

describe("the committed offsets are read", () => {
  test.each<[string, () => Promise<KafkaAccess>]>([
    ["without TLS and SASL", async () => openAccess],
    ["over TLS with a private authority", async () => accessTo("TLS", { protocol: "SSL", ...(await trusting()) })],
    [
      "over mutual TLS",
      async () => {
        const { certificate, key } = clients.ana;
        const tls = { secretArn: await secretOf({ ca, certificate, private_key: key }) };
        return accessTo("MUTUAL", { protocol: "SSL", tls });
      },
    ],
    [
      "with PLAIN over SASL_PLAINTEXT",
      async () => {
        const sasl = { mechanism: "PLAIN" as const, secretArn: await secretOf(ana) };
        return accessTo("BARE", { protocol: "SASL_PLAINTEXT", sasl });
      },
    ],
    [
      "with PLAIN over TLS",
      async () => {
        const sasl = { mechanism: "PLAIN" as const, secretArn: await secretOf(ana) };
        return accessTo("PLAIN", { sasl, ...(await trusting()) });
      },
    ],
    ...(["SCRAM-SHA-256", "SCRAM-SHA-512"] as const).map((mechanism) => {
      const access = async () => {
        await setScramPassword(mechanism, ana.password);
        return scramAccess(mechanism, await secretOf(ana));
      };
      return [`with ${mechanism} over TLS`, access] satisfies [string, () => Promise<KafkaAccess>];
    }),
    [
      "with OAUTHBEARER and a token of an authorization server",
      async () => {
        const client = {
          token_endpoint_url: tokenUrl,
          client_id: "ana",
          client_secret: clientSecret,
          scope: "offsets",
        };
        const sasl = { mechanism: "OAUTHBEARER" as const, secretArn: await secretOf(client) };
        return accessTo("OAUTH", { sasl, ...(await trusting()) });
      },
    ],
    [
      "with OAUTHBEARER, the audience that the broker asks for, and extensions as Confluent Cloud needs them",
      async () => {
        const extensions = { logicalCluster: "lkc-abc123", identityPoolId: "pool-1 = two" };
        const client = { token_endpoint_url: tokenUrl, client_id: "ana", client_secret: clientSecret };
        const secretArn = await secretOf({ ...client, audience, extensions });
        return accessTo("OAUTH", { sasl: { mechanism: "OAUTHBEARER", secretArn }, ...(await trusting()) });
      },
    ],
    [
      "with AWS_MSK_IAM and the function's own role",
      async () => {
        vi.stubEnv("AWS_ACCESS_KEY_ID", iam.accessKeyId).stubEnv("AWS_SECRET_ACCESS_KEY", iam.secretAccessKey);
        return accessTo("IAM", { sasl: { mechanism: "AWS_MSK_IAM", region: iam.region }, ...(await trusting()) });
      },
    ],
  ])("%s", async (_, access) => {
    expect(await offsetsBy(await access(), group)).toEqual(committedOffsets);
  });
});

test("a missing right is KafkaAuthorization with the name of the right, not KafkaAuthentication", async () => {
  const access = accessTo("PLAIN", {
    sasl: { mechanism: "PLAIN", secretArn: await secretOf(guest) },
    ...(await trusting()),
  });
  const read = await withCluster(access, within(20_000), (cluster) =>
    readCommits(cluster, new Map([[group, commits.keys()]])),
  );
  expect(read).toMatchObject({
    commits: new Map(),
    errors: [{ group, error: "KafkaAuthorization", message: expect.stringContaining("DESCRIBE on group") }],
  });
});

test("a session that ends during an invocation is renewed, and reads continue with the same result", async () => {
  const access = accessTo("BARE", {
    protocol: "SASL_PLAINTEXT",
    sasl: { mechanism: "PLAIN", secretArn: await secretOf(ana) },
  });
  await withCluster(access, within(40_000), async (cluster) => {
    const end = performance.now() + SESSION_MS + 2_000;
    const over = () => performance.now() > end;
    await expect
      .poll(async () => [over(), await offsetsIn(cluster, group)], { timeout: 30_000, interval: 250 })
      .toEqual([true, committedOffsets]);
  });
});
