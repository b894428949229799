import { describe, expect, inject, test, vi } from "vitest";
import type { KafkaAccess } from "../../../functions/shared/kafka/connection/access.ts";
import { freePorts } from "../../../localstack/process.ts";
import { ana, iam } from "../../support/auth/broker.ts";
import { clientSecret } from "../../support/auth/token-server.ts";
import {
  accessTo,
  errorOf,
  offsetsBy,
  openAccess,
  secretOf,
  setScramPassword,
  someGroup,
  trusting,
} from "./support.ts";

const { ports, ca, otherCa, clients, tokenUrl } = inject("auth");
const { group, commits } = someGroup();
const committedOffsets = [...commits].map(([key, { offset }]) => [key, offset]);

const wrong = { ...ana, password: "abracadabra" };
const tls = async (secret: Record<string, string>) => ({ tls: { secretArn: await secretOf(secret) } });
const login = async (mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512", value: Record<string, string>) => ({
  sasl: { mechanism, secretArn: await secretOf(value) },
  ...(await trusting()),
});
const client = async (client_id: string, client_secret = clientSecret, more: object = {}) => ({
  sasl: {
    mechanism: "OAUTHBEARER" as const,
    secretArn: await secretOf({ token_endpoint_url: tokenUrl, client_id, client_secret, ...more }),
  },
  ...(await trusting()),
});
const ssl = (more: Partial<KafkaAccess>): Partial<KafkaAccess> => ({ protocol: "SSL", ...more });
const keyPair = ({ certificate, key }: (typeof clients)["ana"]) => ({ ca, certificate, private_key: key });

type Case = [what: string, access: () => Promise<KafkaAccess>, message: RegExp];
const refused = (name: string, cases: Case[]) =>
  test.each(cases)(`%s is ${name}`, async (_, access, message) => {
    const error = await errorOf(await access());
    expect(error).toMatchObject({ name, message: expect.stringMatching(message) });
    expect(error.message).toMatch(new RegExp(`^${name}: .*\\.$`));
  });

describe("a log-in with", () => {
  refused("KafkaAuthentication", [
    [
      "a wrong password",
      async () => accessTo("PLAIN", await login("PLAIN", wrong)),
      /rejected the user name or the password \(PLAIN\).*Check the secret/,
    ],
    [
      "a wrong password with SCRAM",
      async () => {
        await setScramPassword("SCRAM-SHA-512", ana.password);
        return accessTo("SCRAM", await login("SCRAM-SHA-512", wrong));
      },
      /rejected the user name or the password \(SCRAM-SHA-512\)/,
    ],
    [
      "a mechanism that the broker lacks",
      async () => accessTo("SCRAM", await login("PLAIN", ana)),
      /does not support PLAIN on this listener; it supports SCRAM-SHA-\d+, SCRAM-SHA-\d+\./,
    ],
    ["a token with an unknown signature", async () => accessTo("OAUTH", await client("forger")), /rejected the token/],
    ["a token that has expired", async () => accessTo("OAUTH", await client("late")), /rejected the token/],
    [
      "a token for another audience",
      async () => accessTo("OAUTH", await client("ana", clientSecret, { audience: "billing" })),
      /rejected the token/,
    ],
    [
      "a client that the authorization server does not know",
      async () => accessTo("OAUTH", await client("ana", "abracadabra")),
      /rejected the request for a token: it answered 401 \(invalid_client\)/,
    ],
    [
      "a role that MSK does not know",
      async () => {
        vi.stubEnv("AWS_ACCESS_KEY_ID", iam.accessKeyId).stubEnv("AWS_SECRET_ACCESS_KEY", "abracadabra");
        return accessTo("IAM", { sasl: { mechanism: "AWS_MSK_IAM", region: iam.region }, ...(await trusting()) });
      },
      /rejected the token/,
    ],
    [
      "a token of MSK IAM that is signed for another region",
      async () => {
        vi.stubEnv("AWS_ACCESS_KEY_ID", iam.accessKeyId).stubEnv("AWS_SECRET_ACCESS_KEY", iam.secretAccessKey);
        return accessTo("IAM", { sasl: { mechanism: "AWS_MSK_IAM", region: "us-east-1" }, ...(await trusting()) });
      },
      /rejected the token/,
    ],
    [
      "no client certificate",
      async () => accessTo("MUTUAL", ssl(await trusting())),
      /requires a client certificate, and none is configured/,
    ],
    [
      "a client certificate of another authority",
      async () => accessTo("MUTUAL", ssl(await tls(keyPair(clients.untrusted)))),
      /rejected the client certificate \(/,
    ],
    [
      "a client certificate that has expired",
      async () => accessTo("MUTUAL", ssl(await tls(keyPair(clients.expired)))),
      /rejected the client certificate, which expired on \d{4}-/,
    ],
  ]);
});

describe("a broker's certificate", () => {
  refused("KafkaCertificate", [
    [
      "that has expired",
      async () => accessTo("EXPIRED", ssl(await trusting())),
      /or its authority's has expired: the broker's is valid from \d{4}-\S+Z to \d{4}-\S+Z/,
    ],
    [
      "of another authority than the configured one",
      async () => accessTo("TLS", ssl(await tls({ ca: otherCa }))),
      /an authority that this function does not trust \(Brokers\).*set "ca"/,
    ],
    [
      "of a private authority if none is configured",
      async () => accessTo("TLS", ssl({})),
      /does not trust \(Brokers\)/,
    ],
    [
      "for another host",
      async () => accessTo("ELSEWHERE", ssl(await trusting())),
      /is for another host: it names DNS:kafka\.example\.com/,
    ],
  ]);
});

describe("the wrong protocol", () => {
  const at = (port = 0): Partial<KafkaAccess> => ({ bootstrapServers: [`127.0.0.1:${port}`] });
  const plaintext = { bootstrapServers: openAccess.bootstrapServers };
  refused("KafkaUnavailable", [
    [
      "TLS to a listener without TLS",
      async () => accessTo("TLS", ssl({ ...plaintext, ...(await trusting()) })),
      /aborted TLS.*is this a listener for PLAINTEXT\?/,
    ],
    [
      "no TLS to a listener with TLS",
      async () => ({ ...openAccess, ...at(ports.TLS) }),
      /is this a listener for SSL\?/,
    ],
    [
      "a log-in on a listener without SASL",
      async () =>
        accessTo("BARE", { protocol: "SASL_PLAINTEXT", ...(await login("PLAIN", ana)), tls: undefined, ...plaintext }),
      /accepts no login; is this a listener for PLAINTEXT or SSL\?/,
    ],
    ["no log-in on a listener with SASL", async () => ({ ...openAccess, ...at(ports.BARE) }), /security protocol/],
  ]);
});

describe("a refusal by one of several bootstrap servers", () => {
  test("is the error if the others do not answer", async () => {
    const [closedPort] = await freePorts(1);
    const access = accessTo("PLAIN", await login("PLAIN", wrong));
    const error = await errorOf({
      ...access,
      bootstrapServers: [`127.0.0.1:${closedPort}`, ...access.bootstrapServers],
    });
    expect(error).toMatchObject({ name: "KafkaAuthentication" });
  });

  test("is no error if another server answers", async () => {
    const bootstrapServers = [`127.0.0.1:${ports.EXPIRED}`, `127.0.0.1:${ports.TLS}`];
    expect(await offsetsBy(accessTo("TLS", ssl({ bootstrapServers, ...(await trusting()) })), group)).toEqual(
      committedOffsets,
    );
  });
});

describe("a secret", () => {
  const plain = (value: Record<string, unknown> | string) => async () => {
    const sasl = { mechanism: "PLAIN" as const, secretArn: await secretOf(value) };
    return accessTo("BARE", { protocol: "SASL_PLAINTEXT", sasl });
  };
  const { certificate, key } = clients.ana;
  refused("Configuration", [
    ["that is not JSON", plain("open sesame"), /secret arn:\S+ cannot be used: it must be a JSON object/],
    ["that is not an object", plain('["open sesame"]'), /must be a JSON object/],
    ["without its fields", plain({}), /"username" is missing; "password" is missing/],
    [
      "for another mechanism",
      plain({ username: 7, password: "" }),
      /"username" must be a text; "password" must not be empty/,
    ],
    [
      "with an invalid token endpoint",
      async () =>
        accessTo("OAUTH", {
          sasl: {
            ...(await client("ana")).sasl,
            secretArn: await secretOf({ ...ana, token_endpoint_url: "http://example.com" }),
          },
        }),
      /"token_endpoint_url" must be an https URL.*"client_id" is missing; "client_secret" is missing; "username" is unknown: remove it; "password" is unknown: remove it/,
    ],
    [
      "with extensions that no broker takes",
      async () =>
        accessTo("OAUTH", await client("ana", clientSecret, { extensions: { auth: "x", logical_cluster: "lkc" } })),
      /"extensions" must have names of letters, other than auth/,
    ],
    [
      "with a field that is not known",
      plain({ ...ana, engine: "kafka", host: "b-1" }),
      /cannot be used: "engine" is unknown: remove it; "host" is unknown: remove it\. Correct the secret\./,
    ],
    [
      "with an invalid authority",
      async () => accessTo("TLS", ssl(await tls({ ca: "abracadabra" }))),
      /"ca" must be certificates in PEM/,
    ],
    [
      "with a certificate alone",
      async () => accessTo("TLS", ssl(await tls({ certificate }))),
      /"private_key" is missing/,
    ],
    ["with a key alone", async () => accessTo("TLS", ssl(await tls({ private_key: key }))), /"certificate" is missing/],
    [
      "with an invalid key",
      async () => accessTo("TLS", ssl(await tls({ certificate, private_key: "abracadabra" }))),
      /"private_key" must be a private key in PEM/,
    ],
    [
      "with an empty key, which is not also reported as missing",
      async () => accessTo("TLS", ssl(await tls({ certificate, private_key: "" }))),
      /^(?!.*is missing).*"private_key" must not be empty/s,
    ],
    [
      "with the key of another certificate",
      async () => accessTo("TLS", ssl(await tls({ certificate, private_key: clients.expired.key }))),
      /"private_key" must be the key of the certificate/,
    ],
    [
      "that does not exist",
      async () => {
        const arn = (await secretOf(ana)).replace(/secret:.*/, "secret:gone-AbCdEf");
        return accessTo("BARE", { protocol: "SASL_PLAINTEXT", sasl: { mechanism: "PLAIN", secretArn: arn } });
      },
      /secret:gone-AbCdEf .*could not be read \(ResourceNotFoundException\)/,
    ],
  ]);
});
