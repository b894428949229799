import { type Deadline, deadlineExceeded } from "../core/deadline.ts";
import { Configuration, StorageUnavailable } from "../core/errors.ts";

/** What a SASL login needs. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

const ours = new Set([
  "ResourceNotFoundException",
  "AccessDeniedException",
  "DecryptionFailure",
  "InvalidRequestException",
]);

/**
 * Reads the credentials from Secrets Manager; AWS's client is loaded only here. Nothing of the secret is ever in a
 * message or a log.
 *
 * @throws Configuration when the secret is not there, may not be read, or is not `{"username", "password"}`
 * @throws StorageUnavailable when Secrets Manager does not answer
 */
export async function readCredentials(secretArn: string, deadline: Deadline): Promise<Credentials> {
  const { SecretsManagerClient, GetSecretValueCommand } = await import("@aws-sdk/client-secrets-manager");
  const client = new SecretsManagerClient({ requestHandler: { connectionTimeout: 2_000, requestTimeout: 5_000 } });
  let text: string | undefined;
  try {
    const answer = await client.send(new GetSecretValueCommand({ SecretId: secretArn }), {
      abortSignal: deadline.signal,
    });
    text = answer.SecretString;
  } catch (cause) {
    if (deadline.signal.aborted) throw deadlineExceeded("the secret with Kafka's credentials was read", cause);
    const name = cause instanceof Error ? cause.name : String(cause);
    const what = `the secret ${secretArn} with Kafka's credentials could not be read (${name})`;
    if (ours.has(name)) {
      throw new Configuration(`${what}. Look at the ARN, and at the function's right to read and decrypt it.`, {
        cause,
      });
    }
    throw new StorageUnavailable(`${what}. Try again; in a VPC, Secrets Manager needs an interface endpoint.`, {
      cause,
    });
  } finally {
    client.destroy();
  }
  const credentials = parse(text ?? "");
  if (credentials === undefined) {
    throw new Configuration(`the secret ${secretArn} must be JSON with the texts "username" and "password".`);
  }
  return credentials;
}

function parse(text: string): Credentials | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // the parser's message would quote the secret
  }
  if (typeof value !== "object" || value === null || !("username" in value) || !("password" in value)) return undefined;
  const { username, password } = value;
  return typeof username === "string" && typeof password === "string" ? { username, password } : undefined;
}
