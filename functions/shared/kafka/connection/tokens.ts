import type { Deadline } from "../../core/deadline.ts";
import { Configuration, KafkaAuthentication } from "../../core/errors.ts";
import { NoAnswer } from "../calls/problems.ts";

/** A client of an authorization server, as in its secret. */
export interface OauthClient {
  readonly token_endpoint_url: string;
  readonly client_id: string;
  readonly client_secret: string;
  readonly scope?: string | undefined;
  /** Whom the token is for, where the server asks for it (Auth0, for example). */
  readonly audience?: string | undefined;
}

const TOKEN_LIMIT_MS = 5_000;
/** A token is replaced when it is valid for less than this and for less than half of its lifetime. */
const MARGIN_MS = 60_000;

/**
 * Requests tokens with the client-credentials grant (RFC 6749, 4.4) and reuses each until it is about to expire.
 *
 * @throws KafkaAuthentication if the server rejects the client, NoAnswer if it gives no usable answer
 */
export function oauthTokens(client: OauthClient, deadline: Deadline): () => Promise<string> {
  let token = Promise.resolve("");
  let until = 0;
  return () => {
    if (performance.now() < until) return token;
    until = Number.POSITIVE_INFINITY; // one request at a time
    token = fetchToken(client, deadline).then(
      ({ value, lifetimeMs }) => {
        until = performance.now() + Math.max(lifetimeMs / 2, lifetimeMs - MARGIN_MS);
        return value;
      },
      (error: unknown) => {
        until = 0;
        throw error;
      },
    );
    return token;
  };
}

async function fetchToken(client: OauthClient, deadline: Deadline): Promise<{ value: string; lifetimeMs: number }> {
  const { token_endpoint_url: url, client_id, client_secret, scope, audience } = client;
  const endpoint = `the token endpoint ${new URL(url).host}`;
  const basic = Buffer.from(`${formEncoded(client_id)}:${formEncoded(client_secret)}`).toString("base64");
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { authorization: `Basic ${basic}`, accept: "application/json" },
      body: new URLSearchParams({
        grant_type: "client_credentials",
        ...(scope !== undefined && { scope }),
        ...(audience !== undefined && { audience }),
      }),
      redirect: "error",
      signal: AbortSignal.any([deadline.signal, AbortSignal.timeout(TOKEN_LIMIT_MS)]),
    });
    body = await response.json().catch(() => undefined);
  } catch (cause) {
    throw new NoAnswer(endpoint, "did not answer: check its URL in the secret, and the network to it", false, cause);
  }
  const field = (name: string): unknown =>
    typeof body === "object" && body !== null ? Object.entries(body).find(([key]) => key === name)?.[1] : undefined;
  const value = field("access_token");
  if (response.ok && typeof value === "string") {
    const seconds = field("expires_in");
    return { value, lifetimeMs: typeof seconds === "number" ? seconds * 1_000 : 0 };
  }
  const error = /^[a-z_]{1,40}$/.exec(String(field("error")))?.[0];
  const what = `answered ${response.status}${error === undefined ? "" : ` (${error})`}`;
  if (response.status >= 500 || response.status === 429 || response.ok) {
    throw new NoAnswer(endpoint, response.ok ? "sent an answer without a token" : what, false);
  }
  throw new KafkaAuthentication(
    `${endpoint} rejected the request for a token: it ${what}. Check client_id, client_secret and scope in the ` +
      "secret (cluster.security.sasl.secret_arn).",
  );
}

const formEncoded = (text: string) => new URLSearchParams({ "": text }).toString().slice(1);

/**
 * Signs tokens for MSK with the credentials of the function's role. The AWS signer is loaded at the first call.
 *
 * @throws Configuration if there are no AWS credentials
 */
export function iamTokens(region: string): () => Promise<string> {
  return async () => {
    const { generateAuthToken } = await import("aws-msk-iam-sasl-signer-js");
    try {
      return (await generateAuthToken({ region })).token;
    } catch (cause) {
      throw new Configuration("there are no AWS credentials for the login to Kafka. Check the function's role.", {
        cause,
      });
    }
  };
}
