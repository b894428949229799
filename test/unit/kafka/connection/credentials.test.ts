import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Kafka, logLevel } from "kafkajs";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { deadlineIn } from "../../../../functions/shared/core/deadline.ts";
import { credentialSource } from "../../../../functions/shared/kafka/connection/credentials.ts";
import { saslOptions } from "../../../../functions/shared/kafka/connection/security.ts";
import { oauthTokens } from "../../../../functions/shared/kafka/connection/tokens.ts";

afterEach(() => void vi.unstubAllEnvs());

/** A server that answers every request with the result of `answer`, and counts requests. */
async function serve(answer: () => { status?: number; body: unknown }) {
  const served = { count: 0, url: "" };
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      served.count++;
      const { status = 200, body } = answer();
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  served.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return served;
}

/** Secrets Manager, with one value for every secret. */
async function secretsManager(value: object) {
  const secret = { value, status: 200 };
  const served = await serve(() => ({ status: secret.status, body: { SecretString: JSON.stringify(secret.value) } }));
  for (const [name, text] of Object.entries({
    AWS_ENDPOINT_URL: served.url,
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
  })) {
    vi.stubEnv(name, text);
  }
  return { secret, served };
}

const sourceOf = (secretArn: string) =>
  credentialSource({ sasl: { mechanism: "PLAIN", secretArn } }, deadlineIn(10_000));
const login = (password: string) => ({ login: { mechanism: "PLAIN", username: "ana", password } });

test("a secret is read once per process, for any number of invocations and connections", async () => {
  const { served } = await secretsManager({ username: "ana", password: "one" });
  const source = sourceOf("arn:once");
  expect(await Promise.all([source(), source()])).toEqual([login("one"), login("one")]);
  expect(await sourceOf("arn:once")()).toEqual(login("one"));
  expect(served.count).toBe(1);
});

test("a secret is read from the endpoint that the stack gives the function, before any other", async () => {
  const { served } = await secretsManager({ username: "ana", password: "one" });
  const elsewhere = await serve(() => ({ status: 500, body: {} }));
  vi.stubEnv("AWS_ENDPOINT_URL", elsewhere.url);
  vi.stubEnv("AWS_ENDPOINT_URL_SECRETS_MANAGER", served.url);
  expect(await sourceOf("arn:own-endpoint")()).toEqual(login("one"));
  expect([served.count, elsewhere.count]).toEqual([1, 0]);
});

test("a secret is read once more for all connections rejected at the same time, and the new value is kept", async () => {
  const { secret, served } = await secretsManager({ username: "ana", password: "one" });
  const source = sourceOf("arn:changed");
  const rejected = await source();
  secret.value = { username: "ana", password: "two" };
  const now = await Promise.all([source(rejected), source(rejected), source(rejected)]);
  expect(now).toEqual([login("two"), login("two"), login("two")]);
  expect(await source(rejected)).toBe(now[0]);
  expect(await source()).toBe(now[0]);
  expect(await sourceOf("arn:changed")()).toEqual(login("two"));
  expect(served.count).toBe(2);
});

test("rejected credentials are returned unchanged if the secret is unchanged", async () => {
  await secretsManager({ username: "ana", password: "one" });
  const source = sourceOf("arn:same");
  const rejected = await source();
  expect(await source(rejected)).toBe(rejected);
});

test("a secret that could not be read again is read once more for the next rejected connection", async () => {
  const { secret } = await secretsManager({ username: "ana", password: "one" });
  const source = sourceOf("arn:poisoned");
  const rejected = await source();
  secret.status = 400;
  await expect(source(rejected)).rejects.toMatchObject({ name: "StorageUnavailable" });
  Object.assign(secret, { status: 200, value: { username: "ana", password: "two" } });
  expect(await source(rejected)).toEqual(login("two"));
});

test("a secret whose token endpoint returns no token is read again by the next invocation", async () => {
  const issuer = await serve(() => ({ body: { access_token: "token", expires_in: 60 } }));
  const unavailable = await serve(() => ({ status: 503, body: {} }));
  const { secret } = await secretsManager(client(unavailable.url));
  const sasl = { mechanism: "OAUTHBEARER", secretArn: "arn:endpoint" } as const;
  const tokenOf = async () => {
    const { login } = await credentialSource({ sasl }, deadlineIn(10_000))();
    return login !== undefined && "token" in login ? login.token() : undefined;
  };
  await expect(tokenOf()).rejects.toThrow("answered 503");
  secret.value = client(issuer.url);
  expect(await tokenOf()).toBe("token");
});

const client = (url: string) => ({ token_endpoint_url: url, client_id: "ana", client_secret: "s" });

test("a token is used until it is about to expire", async () => {
  let lifetime = 3_600;
  const server = await serve(() => ({ body: { access_token: `token-${server.count}`, expires_in: lifetime } }));
  const token = oauthTokens(client(server.url), deadlineIn(10_000));
  expect(await Promise.all([token(), token()])).toEqual(["token-1", "token-1"]);
  lifetime = 0;
  const brief = oauthTokens(client(server.url), deadlineIn(10_000));
  expect([await brief(), await brief()]).toEqual(["token-2", "token-3"]);
});

test("a failure of the authorization server is retried, with a new request", async () => {
  let status = 503;
  const server = await serve(() => ({ status, body: { access_token: "token", expires_in: 60 } }));
  const token = oauthTokens(client(server.url), deadlineIn(10_000));
  await expect(token()).rejects.toThrow(/token endpoint 127\.0\.0\.1:\d+ answered 503/);
  status = 200;
  expect(await token()).toBe("token");
});

/** What a client of an OAUTHBEARER secret sends to a broker that accepts it. */
async function sentWith(secret: object): Promise<string> {
  const sent: Buffer[] = [];
  await secretsManager(secret);
  const sasl = { mechanism: "OAUTHBEARER", secretArn: `arn:${JSON.stringify(secret)}` } as const;
  const { login } = await credentialSource({ sasl }, deadlineIn(10_000))();
  if (login?.mechanism !== "OAUTHBEARER") throw new Error("no login with a token");
  const options = saslOptions(login);
  if (!("authenticationProvider" in options)) throw new Error("no mechanism of our own");
  const authenticator = options.authenticationProvider({
    host: "broker",
    port: 9092,
    logger: new Kafka({ brokers: ["broker:9092"], logLevel: logLevel.NOTHING }).logger(),
    async saslAuthenticate({ request, response }) {
      const bytes = Buffer.from(await request.encode());
      expect(bytes.readInt32BE(0)).toBe(bytes.length - 4);
      sent.push(bytes.subarray(4));
      return response?.parse(Buffer.from(""));
    },
  });
  await authenticator.authenticate();
  return Buffer.concat(sent).toString();
}

test("a broker is sent the token, then the extensions of the secret, as RFC 7628 and KIP-342 have it", async () => {
  const issuer = await serve(() => ({ body: { access_token: "to.ken", expires_in: 60 } }));
  expect(await sentWith(client(issuer.url))).toBe("n,,\u0001auth=Bearer to.ken\u0001\u0001");
  const extensions = { logicalCluster: "lkc-abc123", identityPoolId: "pool-xyz" };
  expect(await sentWith({ ...client(issuer.url), extensions })).toBe(
    "n,,\u0001auth=Bearer to.ken\u0001logicalCluster=lkc-abc123\u0001identityPoolId=pool-xyz\u0001\u0001",
  );
});

test.each([
  [{ extensions: { auth: "Bearer mine" } }, '"extensions" must have names of letters, other than auth'],
  [{ extensions: { "a=b": "c" } }, '"extensions" must have names of letters, other than auth'],
  [{ extensions: { pool: "a\u0001auth=Bearer mine" } }, '"extensions" must have values of printable ASCII'],
  [{ extensions: { pool: "" } }, '"extensions" must have values of printable ASCII'],
  [{ extensions: { pool: 7 } }, '"extensions" must have texts only'],
  [{ extensions: "pool" }, '"extensions" must be an object with texts'],
  [{ audiences: "kafka" }, '"audiences" is unknown: remove it'],
])("a secret with %j is refused, by the name of the field", async (more, message) => {
  const secret = { ...client("https://example.com/token"), ...more };
  const refused = sentWith(secret);
  await expect(refused).rejects.toMatchObject({ name: "Configuration", message: expect.stringContaining(message) });
});
