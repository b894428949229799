import type { X509Certificate } from "node:crypto";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type PeerCertificate, type SecureContext } from "node:tls";
import type { Mechanism, SASLOptions } from "kafkajs";
import { KafkaAuthentication, KafkaCertificate } from "../../core/errors.ts";
import { NoAnswer } from "../calls/problems.ts";
import { withTimeout } from "../calls/retry.ts";

/** How to log in. */
export type Login =
  | {
      readonly mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512";
      readonly username: string;
      readonly password: string;
    }
  | {
      readonly mechanism: "OAUTHBEARER";
      /** Gives a token that is valid for some time yet; it is asked for at each login. */
      token(): Promise<string>;
    };

/** What TLS is spoken with, where it is not the public authorities and no certificate of ours. */
export interface Tls {
  readonly context: SecureContext;
  /** Ours, that brokers are shown. */
  readonly certificate?: X509Certificate;
}

/** What a connection is secured with: a login with the SASL protocols, TLS with SSL and SASL_SSL. */
export interface Credentials {
  readonly login?: Login;
  readonly tls?: Tls;
}

/** How to secure connections. */
export interface KafkaSecurity {
  readonly protocol: "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL";
  /** The credentials as they are known, or, where `refused` are those, as they are now: the same ones if nothing changed. */
  credentials?(refused?: Credentials): Promise<Credentials>;
}

/** What is known of a connection that could not be opened. */
export interface FailedLogin {
  readonly address: string;
  readonly protocol: KafkaSecurity["protocol"];
  readonly credentials: Credentials;
  /** What went wrong: an error of kafkajs, or of the token's. */
  readonly error: unknown;
  /** How far it came: a socket (with TLS, where the protocol has it), and an answer of a broker. */
  readonly reached: "nothing" | "socket" | "answer";
  /** The mechanisms that the broker says it has, if it came to that. */
  readonly mechanisms: readonly string[] | undefined;
}

/** How long to look at the certificate that a broker was refused for. */
const CERTIFICATE_TIMEOUT_MS = 2_000;

/** Whether a protocol has TLS. */
export const encrypts = (protocol: KafkaSecurity["protocol"]): boolean => protocol.endsWith("SSL");

/** Opens a socket, with TLS where the protocol has it. `onConnect` is called when it can be written to. */
export function openSocket(
  { host, port }: Endpoint,
  protocol: KafkaSecurity["protocol"],
  { tls }: Credentials,
  onConnect: () => void,
): Socket {
  const socket = encrypts(protocol)
    ? connectTls(tlsOptions({ host, port }, tls), onConnect)
    : connectTcp({ host, port }, onConnect);
  return socket.setNoDelay(true).setKeepAlive(true, 60_000);
}

/** Where a broker listens. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

const tlsOptions = ({ host, port }: Endpoint, tls: Tls | undefined) => ({
  host,
  port,
  ...(isIP(host) === 0 && { servername: host }),
  ...(tls && { secureContext: tls.context }),
});

/** A login as kafkajs takes it. */
export function saslOptions(login: Login): SASLOptions | Mechanism {
  switch (login.mechanism) {
    case "PLAIN":
      return { mechanism: "plain", username: login.username, password: login.password };
    case "SCRAM-SHA-256":
      return { mechanism: "scram-sha-256", username: login.username, password: login.password };
    case "SCRAM-SHA-512":
      return { mechanism: "scram-sha-512", username: login.username, password: login.password };
    case "OAUTHBEARER":
      return bearer(login.token);
  }
}

/** A broker answered a token with an error, as RFC 7628 has it. */
class TokenRefused extends Error {}

/** kafkajs' own takes the answer to a refused token, which is a success with an error in it, for a success. */
const bearer = (token: () => Promise<string>): Mechanism => ({
  mechanism: "OAUTHBEARER",
  authenticationProvider: ({ saslAuthenticate }) => ({
    async authenticate() {
      const message = Buffer.from(`n,,\u0001auth=Bearer ${await token()}\u0001\u0001`);
      const length = Buffer.alloc(4);
      length.writeInt32BE(message.length);
      const answer = await saslAuthenticate({
        request: { encode: () => Buffer.concat([length, message]) },
        response: { decode: (raw) => raw.subarray(4), parse: (data) => data.toString() },
      });
      if (answer !== "") throw new TokenRefused(/"status"\s*:\s*"(\w+)"/.exec(answer ?? "")?.[1] ?? "refused");
    },
  }),
});

/**
 * What a failure to connect says of the credentials, or of the broker's: KafkaAuthentication, KafkaCertificate, or
 * NoAnswer where the listener wants another protocol. Undefined where it is about none of these.
 */
export async function securityFailure(failed: FailedLogin): Promise<Error | undefined> {
  return loginFailure(failed) ?? (encrypts(failed.protocol) ? tlsFailure(failed) : plainFailure(failed));
}

const protocolHint = (protocol: string, instead: string) =>
  `is this a listener for ${instead}? The security protocol is set to ${protocol} (cluster.security.protocol)`;

function loginFailure({ address, protocol, credentials, error, mechanisms }: FailedLogin): Error | undefined {
  const { login } = credentials;
  if (login === undefined || !(error instanceof Error)) return undefined;
  const { mechanism } = login;
  const refused = (what: string) =>
    new KafkaAuthentication(`the broker ${address} ${what}`, error instanceof TokenRefused ? {} : { cause: error });
  switch ("type" in error ? error.type : error.name) {
    case "UNSUPPORTED_SASL_MECHANISM":
      return refused(
        `does not take ${mechanism}: it offers ${mechanisms?.join(", ") || "nothing"} there. ` +
          "Choose one of those (cluster.security.sasl.mechanism), or the port of a listener that has it.",
      );
    case "ILLEGAL_SASL_STATE":
      return new NoAnswer(address, `wants no login; ${protocolHint(protocol, "PLAINTEXT or SSL")}`, false, error);
    case "SASL_AUTHENTICATION_FAILED":
    case "KafkaJSSASLAuthenticationError":
      return refused(
        `refused the ${mechanism === "OAUTHBEARER" ? "token" : `user name or the password (${mechanism})`}: ` +
          `${sentence(error.message)} ${nextStep(mechanism)}`,
      );
  }
  if (!(error instanceof TokenRefused)) return undefined;
  return refused(`refused the token (${error.message}). ${nextStep(mechanism)}`);
}

const sentence = (text: string) => (text.endsWith(".") ? text : `${text}.`);

const nextStep = (mechanism: Login["mechanism"]) =>
  mechanism === "OAUTHBEARER"
    ? "Look at who issues it, its scope and audience, and what the broker expects; with AWS_MSK_IAM, at the function's " +
      "right kafka-cluster:Connect and at the region."
    : "Look at the secret (cluster.security.sasl.secret_arn), and at the user on the brokers.";

/** Codes of OpenSSL and Node by what they say of a broker's certificate. */
const unknownAuthority = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "INVALID_CA",
]);

/** An alert with which a broker ends TLS for our certificate, or for lack of one. */
const rejectsClientCertificate = /^ERR_SSL_.*_ALERT_(\w*CERTIFICATE\w*|UNKNOWN_CA|ACCESS_DENIED)$/;

async function tlsFailure(failed: FailedLogin): Promise<Error | undefined> {
  const { address, protocol, credentials, error, reached } = failed;
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  if (rejectsClientCertificate.test(code)) {
    return new KafkaAuthentication(
      `the broker ${address} ended TLS ${clientCertificateFailure(credentials.tls?.certificate)} (${code}). Look at "certificate" and ` +
        '"private_key" in the secret of cluster.security.tls, and at the authorities that the broker trusts.',
      { cause: error },
    );
  }
  const untrusted = (what: string) =>
    new KafkaCertificate(`the certificate of the broker ${address} ${what}`, { cause: error });
  const advice = '"ca" in the secret of cluster.security.tls';
  if (unknownAuthority.has(code)) {
    const { issuer } = (await certificateAt(address)) ?? {};
    const trusted =
      credentials.tls === undefined ? "only public ones are" : "the ones of that secret, or public ones, are";
    return untrusted(
      `is issued by an authority that is not trusted here${issuer?.CN === undefined ? "" : ` (${issuer.CN})`}: ` +
        `${trusted}. Set ${advice} to that authority's certificate, if this is the right broker (${code}).`,
    );
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    const { valid_from, valid_to } = (await certificateAt(address)) ?? {};
    const range =
      valid_to === undefined ? "" : `: it, or its authority's, is valid from ${time(valid_from)} to ${time(valid_to)}`;
    return untrusted(
      `${code === "CERT_HAS_EXPIRED" ? "has expired" : "is not valid yet"}${range}. ` +
        `The brokers need a new one; where it was an authority's, so does ${advice}.`,
    );
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const { subjectaltname } = (await certificateAt(address)) ?? {};
    return untrusted(
      `is for another host: it has ${subjectaltname ?? "no name"}. Name the brokers as their certificates do ` +
        "(cluster.bootstrap_servers, and advertised.listeners of the brokers).",
    );
  }
  if (reached === "nothing" ? code !== "ECONNRESET" && !code.startsWith("ERR_SSL_") : !code.startsWith("ERR_SSL_")) {
    return undefined;
  }
  const plain = protocol === "SSL" ? "PLAINTEXT" : "SASL_PLAINTEXT";
  const hint = reached === "nothing" ? `; ${protocolHint(protocol, plain)}` : "";
  return new NoAnswer(address, `broke TLS off (${code})${hint}`, false, error);
}

function clientCertificateFailure(certificate: X509Certificate | undefined): string {
  if (certificate === undefined) return "as it wants a certificate of the client, and there is none";
  const expired = certificate.validToDate.getTime() < Date.now();
  return `and refused the client's certificate${expired ? `, which has expired on ${time(certificate.validTo)}` : ""}`;
}

const time = (text: string | undefined) =>
  text === undefined ? "?" : new Date(text).toISOString().replace(".000", "");

/** A connection of ours that was closed before the first answer: a listener with TLS takes our bytes for nonsense. */
function plainFailure({ address, protocol, error, reached }: FailedLogin): Error | undefined {
  if (reached !== "socket" || !(error instanceof Error)) return undefined;
  const reset = "code" in error && error.code === "ECONNRESET";
  if (!reset && error.name !== "KafkaJSConnectionClosedError") return undefined;
  const what = reset ? "reset the connection (ECONNRESET)" : "closed the connection without an answer";
  const hint = protocolHint(protocol, protocol === "PLAINTEXT" ? "SSL" : "SASL_SSL");
  return new NoAnswer(address, `${what}; ${hint}`, false, error);
}

/** The certificate that a broker shows, whether it can be trusted or not: to describe it, nothing is sent. */
async function certificateAt(address: string): Promise<PeerCertificate | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<PeerCertificate>();
  const options = { ...tlsOptions(splitAddress(address), undefined), rejectUnauthorized: false };
  const socket = connectTls(options, () => resolve(socket.getPeerCertificate()));
  socket.once("error", reject);
  try {
    return await withTimeout(promise, CERTIFICATE_TIMEOUT_MS);
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}

/** `host:port` or `[v6]:port`. */
export function splitAddress(address: string): Endpoint {
  const colon = address.lastIndexOf(":");
  return {
    host: address.slice(0, colon).replace(/^\[(.*)\]$/, "$1"),
    port: Number(address.slice(colon + 1)),
  };
}
