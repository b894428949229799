import type { Deadline } from "../../core/deadline.ts";
import { Configuration, KafkaAuthentication } from "../../core/errors.ts";
import { NoAnswer } from "../calls/problems.ts";

/** A client at an authorization server, as its secret names it. */
export interface OauthClient {
  readonly token_endpoint_url: string;
  readonly client_id: string;
  readonly client_secret: string;
  readonly scope?: string | undefined;
}

const TOKEN_LIMIT_MS = 5_000;
/** A token is not used any more when it is valid for less than this, or for less than half of its time. */
const MARGIN_MS = 60_000;

/**
 * Gives tokens of an authorization server, by the client-credentials grant (RFC 6749, 4.4): each is used as long as it is
 * valid for some time yet.
 *
 * @throws KafkaAuthentication when the server refuses the client, NoAnswer when it gives no answer that is one
 */
export function oauthTokens(client: OauthClient, deadline: Deadline): () => Promise<string> {
  let token: { value: Promise<string>; until: number } | undefined;
  return () => {
    if (token !== undefined && performance.now() < token.until) return token.value;
    const taken = { until: Number.POSITIVE_INFINITY, value: Promise.resolve("") };
    const drop = () => {
      if (token === taken) token = undefined;
    };
    taken.value = fetchToken(client, deadline).then(({ value, lifetimeMs }) => {
      taken.until = performance.now() + Math.max(lifetimeMs / 2, lifetimeMs - MARGIN_MS);
      return value;
    });
    taken.value.catch(drop);
    token = taken;
    return taken.value;
  };
}

async function fetchToken(client: OauthClient, deadline: Deadline): Promise<{ value: string; lifetimeMs: number }> {
  const { token_endpoint_url: url, client_id, client_secret, scope } = client;
  const endpoint = `the token endpoint ${new URL(url).host}`;
  const basic = Buffer.from(`${formEncoded(client_id)}:${formEncoded(client_secret)}`).toString("base64");
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { authorization: `Basic ${basic}`, accept: "application/json" },
      body: new URLSearchParams({ grant_type: "client_credentials", ...(scope !== undefined && { scope }) }),
      redirect: "error",
      signal: AbortSignal.any([deadline.signal, AbortSignal.timeout(TOKEN_LIMIT_MS)]),
    });
    body = await response.json().catch(() => undefined);
  } catch (cause) {
    throw new NoAnswer(
      endpoint,
      "gave no answer: look at its URL in the secret, and at the network between",
      false,
      cause,
    );
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
    throw new NoAnswer(endpoint, response.ok ? "gave an answer without a token" : what, false);
  }
  throw new KafkaAuthentication(
    `${endpoint} refused to give a token: it ${what}. Look at the secret (cluster.security.sasl.secret_arn): ` +
      "client_id, client_secret and scope.",
  );
}

const formEncoded = (text: string) => new URLSearchParams({ "": text }).toString().slice(1);

/**
 * Gives tokens for MSK, which are signed here with the credentials of the function's role. AWS's signer is loaded when the
 * first one is asked for.
 *
 * @throws Configuration when there are no AWS credentials
 */
export function iamTokens(region: string): () => Promise<string> {
  return async () => {
    const { generateAuthToken } = await import("aws-msk-iam-sasl-signer-js");
    try {
      return (await generateAuthToken({ region })).token;
    } catch (cause) {
      throw new Configuration("there are no AWS credentials to log in to Kafka with. Look at the function's role.", {
        cause,
      });
    }
  };
}
