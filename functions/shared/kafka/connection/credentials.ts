import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import * as z from "zod/mini";
import { type Deadline, deadlineExceeded } from "../../core/deadline.ts";
import { Configuration, StorageUnavailable } from "../../core/errors.ts";
import { roleNeeds } from "../../core/rights.ts";
import { sentence } from "../../core/text.ts";
import type { Credentials, Login, Tls } from "./security.ts";
import { iamTokens, type OauthClient, oauthTokens } from "./tokens.ts";

/** How to log in, with the ARN of the secret. */
export type SaslSettings =
  | { readonly mechanism: Login["mechanism"]; readonly secretArn: string }
  | { readonly mechanism: "AWS_MSK_IAM"; readonly region: string };

/** Where the credentials of connections are stored. */
export interface CredentialSettings {
  readonly sasl: SaslSettings | undefined;
  /** The secret `{"ca", "certificate", "private_key", "passphrase"}`; without it, public authorities are trusted. */
  readonly tls?: { readonly secretArn: string } | undefined;
}

/** The texts of usable secrets by ARN, kept for later invocations. */
const cachedSecrets = new Map<string, string>();

/**
 * Provides the credentials of connections. Secrets are read once per process, and again when a broker rejects the
 * credentials; if a secret has not changed, the same credentials are returned. No secret appears in a message or a log.
 *
 * @throws Configuration if a secret is missing, unreadable or invalid, with the names of the invalid fields
 * @throws StorageUnavailable if Secrets Manager does not answer
 */
export function credentialSource(
  { sasl, tls }: CredentialSettings,
  deadline: Deadline,
): (rejected?: Credentials) => Promise<Credentials> {
  const arns = [sasl !== undefined && "secretArn" in sasl ? sasl.secretArn : undefined, tls?.secretArn];
  const texts = () => arns.map((arn) => arn && cachedSecrets.get(arn)).join();
  const make = async (): Promise<Credentials> => {
    const [login, trust] = await Promise.all([sasl && loginOf(sasl, deadline), tls && tlsOf(tls.secretArn, deadline)]);
    return { ...(login && { login }), ...(trust && { tls: trust }) };
  };
  const makeAgain = async (rejected: Credentials): Promise<Credentials> => {
    const before = texts();
    for (const arn of arns) if (arn !== undefined) cachedSecrets.delete(arn);
    const credentials = await make();
    return texts() === before ? rejected : credentials;
  };
  let latest: Promise<Credentials> | undefined;
  return async (rejected) => {
    latest ??= make();
    const asked = latest;
    const known = await asked;
    if (rejected !== known) return known;
    if (latest === asked) {
      const again = makeAgain(known); // shared with other rejected connections
      latest = again;
      // After a failed read, the next rejected connection tries again.
      again.catch(() => {
        if (latest === again) latest = asked;
      });
    }
    return latest;
  };
}

/** A text; messages never quote it. */
const text = z
  .string({ error: ({ input }) => (input === undefined ? "is missing" : "must be a text") })
  .check(z.minLength(1, "must not be empty"));
const password = z.strictObject({ username: text, password: text });

/** Names and values that a broker takes (KIP-342): `auth` is the token's own. */
const extensions = z.record(z.string(), z.string("must have texts only"), "must be an object with texts").check(
  z.refine(
    (it) => Object.keys(it).every((name) => /^(?!auth$)[A-Za-z]+$/.test(name)),
    "must have names of letters, other than auth",
  ),
  z.refine(
    (it) => Object.values(it).every((value) => /^[ -~\t\r\n]+$/.test(value)),
    "must have values of printable ASCII characters",
  ),
);
const oauthClient = z.strictObject({
  token_endpoint_url: text.check(z.refine(isTokenEndpoint, "must be an https URL (http for this host only)")),
  client_id: text,
  client_secret: text,
  scope: z.optional(text),
  audience: z.optional(text),
  extensions: z.optional(extensions),
});
const trust = z
  .strictObject({
    ca: z.optional(text.check(z.refine(isCertificates, "must be certificates in PEM"))),
    certificate: z.optional(text.check(z.refine(isCertificates, "must be a certificate in PEM, with its chain"))),
    private_key: z.optional(text),
    passphrase: z.optional(text),
  })
  .check(
    z.superRefine(({ certificate, private_key, passphrase }, context) => {
      const key = keyOf(private_key, passphrase);
      const [hasCertificate, hasKey] = [certificate !== undefined, private_key !== undefined];
      const another = certificate && key && !new X509Certificate(certificate).checkPrivateKey(key);
      const report = (field: string, message: string) => context.addIssue({ code: "custom", path: [field], message });
      if (hasKey && !hasCertificate) report("certificate", "is missing: a private key requires a certificate");
      if (hasCertificate && !hasKey) report("private_key", "is missing: a certificate requires a private key");
      if (hasKey && !key)
        report("private_key", "must be a private key in PEM; an encrypted key requires its passphrase");
      if (another) report("private_key", "must be the key of the certificate");
    }),
  );

function isTokenEndpoint(value: string): boolean {
  const url = URL.parse(value);
  const local = url?.protocol === "http:" && ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  return url !== null && (url.protocol === "https:" || local) && url.username === "" && url.password === "";
}

function isCertificates(value: string): boolean {
  const blocks = value.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
  try {
    return blocks.map((block) => new X509Certificate(block)).length > 0;
  } catch {
    return false;
  }
}

function keyOf(key: string | undefined, passphrase: string | undefined) {
  try {
    return key === undefined ? undefined : createPrivateKey({ key, passphrase });
  } catch {
    return undefined; // OpenSSL's message would not name the field
  }
}

async function loginOf(sasl: SaslSettings, deadline: Deadline): Promise<Login> {
  const { mechanism } = sasl;
  switch (mechanism) {
    case "AWS_MSK_IAM":
      return { mechanism: "OAUTHBEARER", token: iamTokens(sasl.region) };
    case "OAUTHBEARER": {
      const { extensions, ...client } = await readSecret(sasl.secretArn, oauthClient, deadline);
      return { mechanism, token: tokensOf(client, sasl.secretArn, deadline), ...(extensions && { extensions }) };
    }
    default:
      return { mechanism, ...(await readSecret(sasl.secretArn, password, deadline)) };
  }
}

/** Tokens for the client in a secret. After a failure, the next invocation reads the secret again. */
function tokensOf(client: OauthClient, secretArn: string, deadline: Deadline): () => Promise<string> {
  const token = oauthTokens(client, deadline);
  return async () => {
    try {
      return await token();
    } catch (error) {
      cachedSecrets.delete(secretArn);
      throw error;
    }
  };
}

async function tlsOf(secretArn: string, deadline: Deadline): Promise<Tls> {
  const { ca, certificate, private_key: key, passphrase } = await readSecret(secretArn, trust, deadline);
  try {
    const context = createSecureContext({ ca, cert: certificate, key, passphrase });
    return { context, ...(certificate !== undefined && { certificate: new X509Certificate(certificate) }) };
  } catch (cause) {
    cachedSecrets.delete(secretArn);
    const why = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
    throw new Configuration(
      `the secret ${secretArn} cannot be used: OpenSSL rejects its certificate or its key${why}. Correct the secret.`,
    );
  }
}

async function readSecret<T>(arn: string, schema: z.ZodMiniType<T>, deadline: Deadline): Promise<T> {
  const known = cachedSecrets.get(arn) ?? (await fetchSecret(arn, deadline));
  const parsed = schema.safeParse(jsonOf(known));
  if (!parsed.success) {
    const problems = parsed.error.issues.flatMap((issue) => {
      const [field] = issue.path;
      if (issue.code === "unrecognized_keys")
        return issue.keys.map((key) => `"${key.slice(0, 64)}" is unknown: remove it`);
      return [field === undefined ? "it must be a JSON object" : `"${String(field)}" ${issue.message}`];
    });
    throw new Configuration(`the secret ${arn} cannot be used: ${problems.join("; ")}. Correct the secret.`, {
      details: { problems },
    });
  }
  cachedSecrets.set(arn, known);
  return parsed.data;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the parser's message would quote the secret
  }
}

const configurationErrors = new Set(["ResourceNotFoundException", "DecryptionFailure", "InvalidRequestException"]);

/** The AWS client is loaded only here. */
async function fetchSecret(arn: string, deadline: Deadline): Promise<string> {
  const { SecretsManagerClient, GetSecretValueCommand } = await import("@aws-sdk/client-secrets-manager");
  const secrets = new SecretsManagerClient({ requestHandler: { connectionTimeout: 2_000, requestTimeout: 5_000 } });
  try {
    const command = new GetSecretValueCommand({ SecretId: arn });
    const answer = await secrets.send(command, { abortSignal: deadline.signal });
    return answer.SecretString ?? "";
  } catch (cause) {
    if (deadline.signal.aborted) throw deadlineExceeded("reading the secret with Kafka's credentials", cause);
    const name = cause instanceof Error ? cause.name : String(cause);
    const what = `the secret ${arn} with Kafka's credentials could not be read (${name})`;
    if (name === "AccessDeniedException") {
      const said = cause instanceof Error ? `: ${sentence(cause.message)}` : ".";
      const needs = roleNeeds(["secretsmanager:GetSecretValue"], arn);
      throw new Configuration(`${what}${said} ${needs}, and kms:Decrypt on its key, if it has its own key.`, { cause });
    }
    if (configurationErrors.has(name)) {
      throw new Configuration(`${what}. Check the ARN, and the function's right to decrypt the secret.`, { cause });
    }
    throw new StorageUnavailable(`${what}. Try again; in a VPC, Secrets Manager requires an interface endpoint.`, {
      cause,
    });
  } finally {
    secrets.destroy();
  }
}
