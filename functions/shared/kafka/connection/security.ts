import type { X509Certificate } from "node:crypto";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type PeerCertificate, type SecureContext } from "node:tls";
import type { Mechanism } from "kafkajs";
import { KafkaAuthentication, KafkaCertificate } from "../../core/errors.ts";
import { sentence } from "../../core/text.ts";
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
      /** A token that is valid for some time; requested at each login. */
      token(): Promise<string>;
      /** What the broker is told besides the token, by name: Confluent Cloud asks for `logicalCluster`. */
      readonly extensions?: Readonly<Record<string, string>>;
    };

/** TLS settings other than public authorities and no client certificate. */
export interface Tls {
  readonly context: SecureContext;
  /** The client certificate. */
  readonly certificate?: X509Certificate;
}

/** The credentials of a connection: a login for SASL protocols, TLS for SSL and SASL_SSL. */
export interface Credentials {
  readonly login?: Login;
  readonly tls?: Tls;
}

/** How to secure connections. */
export interface KafkaSecurity {
  readonly protocol: "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL";
  /** The known credentials. If `rejected` are those, they are read again: the same object if nothing changed. */
  credentials?(rejected?: Credentials): Promise<Credentials>;
}

/** A connection that could not be opened. */
export interface FailedLogin {
  readonly address: string;
  readonly protocol: KafkaSecurity["protocol"];
  readonly credentials: Credentials;
  /** The error of kafkajs or of the token. */
  readonly error: unknown;
  /** How far it came: a socket (after TLS, if any), or an answer of the broker. */
  readonly reached: "nothing" | "socket" | "answer";
  /** The SASL mechanisms that the broker offered, if it did. */
  readonly mechanisms: readonly string[] | undefined;
}

/** The time limit for reading an untrusted certificate. */
const CERTIFICATE_TIMEOUT_MS = 2_000;

/** The code of an error of Node or OpenSSL; empty if it has none. */
export const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";

/** Whether a protocol uses TLS. */
const encrypts = (protocol: KafkaSecurity["protocol"]): boolean => protocol.endsWith("SSL");

/** Opens a socket, with TLS if the protocol uses it. `onConnect` is called when it is writable. */
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

/** A login in kafkajs' form: a copy, as kafkajs adds a field to it. */
export const saslOptions = (login: Login) =>
  login.mechanism === "OAUTHBEARER" ? bearerMechanism(login) : { ...login };

/** A broker rejected a token (RFC 7628). */
class TokenRejected extends Error {}

/** kafkajs' own mechanism takes the answer to a rejected token, a success with an error in it, for a success. */
const bearerMechanism = ({ token, extensions = {} }: Extract<Login, { mechanism: "OAUTHBEARER" }>): Mechanism => ({
  mechanism: "OAUTHBEARER",
  authenticationProvider: ({ saslAuthenticate }) => ({
    async authenticate() {
      // RFC 7628, 3.1; extensions as KIP-342 has them.
      const pairs = Object.entries({ auth: `Bearer ${await token()}`, ...extensions });
      const message = Buffer.from(`n,,\u0001${pairs.map(([name, value]) => `${name}=${value}\u0001`).join("")}\u0001`);
      const length = Buffer.alloc(4);
      length.writeInt32BE(message.length);
      const answer = await saslAuthenticate({
        request: { encode: () => Buffer.concat([length, message]) },
        response: { decode: (raw) => raw.subarray(4), parse: (data) => data.toString() },
      });
      if (answer !== "") throw new TokenRejected(/"status"\s*:\s*"(\w+)"/.exec(answer ?? "")?.[1] ?? "rejected");
    },
  }),
});

/**
 * The error if a connection failed because of security: KafkaAuthentication, KafkaCertificate, or NoAnswer if the
 * listener requires another protocol. Undefined for other causes.
 */
export async function securityFailure(failed: FailedLogin): Promise<Error | undefined> {
  return loginFailure(failed) ?? (encrypts(failed.protocol) ? tlsFailure(failed) : plaintextFailure(failed));
}

const protocolHint = (protocol: string, instead: string) =>
  `is this a listener for ${instead}? The security protocol is set to ${protocol} (cluster.security.protocol)`;

function loginFailure({ address, protocol, credentials, error, mechanisms }: FailedLogin): Error | undefined {
  const { login } = credentials;
  if (login === undefined || !(error instanceof Error)) return undefined;
  const { mechanism } = login;
  const rejected = (what: string) =>
    new KafkaAuthentication(`the broker ${address} ${what}`, error instanceof TokenRejected ? {} : { cause: error });
  if (error instanceof TokenRejected) return rejected(`rejected the token (${error.message}). ${nextStep(mechanism)}`);
  switch ("type" in error ? error.type : error.name) {
    case "UNSUPPORTED_SASL_MECHANISM":
      return rejected(
        `does not support ${mechanism} on this listener; it supports ${mechanisms?.join(", ") || "no mechanism"}. ` +
          `Choose one of these (cluster.security.sasl.mechanism), or the port of a listener with ${mechanism}.`,
      );
    case "ILLEGAL_SASL_STATE":
      return new NoAnswer(address, `accepts no login; ${protocolHint(protocol, "PLAINTEXT or SSL")}`, false, error);
    case "SASL_AUTHENTICATION_FAILED":
    case "KafkaJSSASLAuthenticationError":
      return rejected(
        `rejected the ${mechanism === "OAUTHBEARER" ? "token" : `user name or the password (${mechanism})`}: ` +
          `${sentence(error.message)} ${nextStep(mechanism)}`,
      );
  }
  return undefined;
}

const nextStep = (mechanism: Login["mechanism"]) =>
  mechanism === "OAUTHBEARER"
    ? "Compare its issuer, scope and audience with what the broker expects; with AWS_MSK_IAM, check the function's " +
      "right kafka-cluster:Connect and the region."
    : "Check the secret (cluster.security.sasl.secret_arn) and the user on the brokers.";

/** Codes of OpenSSL and Node for a certificate of an unknown authority. */
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

/** The TLS alert of a broker that rejects or misses the client certificate. */
const clientCertificateAlert = /^ERR_SSL_.*_ALERT_(\w*CERTIFICATE\w*|UNKNOWN_CA|ACCESS_DENIED)$/;

async function tlsFailure(failed: FailedLogin): Promise<Error | undefined> {
  const { address, protocol, credentials, error, reached } = failed;
  const code = codeOf(error);
  if (clientCertificateAlert.test(code)) {
    return new KafkaAuthentication(
      `the broker ${address} ${clientCertificateFailure(credentials.tls?.certificate)} (${code}). Check ` +
        '"certificate" and "private_key" in the secret of cluster.security.tls, and the authorities the broker trusts.',
      { cause: error },
    );
  }
  const untrusted = (what: string) =>
    new KafkaCertificate(`the certificate of the broker ${address} ${what}`, { cause: error });
  const caField = '"ca" in the secret of cluster.security.tls';
  if (unknownAuthority.has(code)) {
    const { issuer } = (await certificateAt(address)) ?? {};
    const trusted = credentials.tls === undefined ? "only public ones" : "those of the secret, or public ones";
    const name = issuer?.CN === undefined ? "" : ` (${issuer.CN})`;
    return untrusted(
      `is issued by an authority that this function does not trust${name}. It trusts ${trusted}. ` +
        `If this is the right broker, set ${caField} to that authority's certificate (${code}).`,
    );
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    const { valid_from, valid_to } = (await certificateAt(address)) ?? {};
    const range = valid_to === undefined ? "" : `: the broker's is valid from ${time(valid_from)} to ${time(valid_to)}`;
    return untrusted(
      `or its authority's ${code === "CERT_HAS_EXPIRED" ? "has expired" : "is not valid yet"}${range}. ` +
        `Replace the certificate on the brokers; if it was the authority's, replace ${caField} too.`,
    );
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const { subjectaltname } = (await certificateAt(address)) ?? {};
    return untrusted(
      `is for another host: it names ${subjectaltname ?? "no host"}. Use the host names of the certificates ` +
        "(cluster.bootstrap_servers, and advertised.listeners of the brokers).",
    );
  }
  if (!code.startsWith("ERR_SSL_") && !(reached === "nothing" && code === "ECONNRESET")) return undefined;
  const plain = protocol === "SSL" ? "PLAINTEXT" : "SASL_PLAINTEXT";
  const hint = reached === "nothing" ? `; ${protocolHint(protocol, plain)}` : "";
  return new NoAnswer(address, `aborted TLS (${code})${hint}`, false, error);
}

function clientCertificateFailure(certificate: X509Certificate | undefined): string {
  if (certificate === undefined) return "requires a client certificate, and none is configured";
  const expired = certificate.validToDate.getTime() < Date.now();
  return `rejected the client certificate${expired ? `, which expired on ${time(certificate.validTo)}` : ""}`;
}

const time = (text: string | undefined) =>
  text === undefined ? "?" : new Date(text).toISOString().replace(".000", "");

/** A plaintext connection that was closed before the first answer, as a listener with TLS does. */
function plaintextFailure({ address, protocol, error, reached }: FailedLogin): Error | undefined {
  if (reached !== "socket" || !(error instanceof Error)) return undefined;
  const reset = codeOf(error) === "ECONNRESET";
  if (!reset && error.name !== "KafkaJSConnectionClosedError") return undefined;
  const what = reset ? "reset the connection (ECONNRESET)" : "closed the connection without an answer";
  const hint = protocolHint(protocol, protocol === "PLAINTEXT" ? "SSL" : "SASL_SSL");
  return new NoAnswer(address, `${what}; ${hint}`, false, error);
}

/** A broker's certificate, trusted or not, to describe it in a message. Nothing is sent. */
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
  return { host: address.slice(0, colon).replace(/^\[(.*)\]$/, "$1"), port: Number(address.slice(colon + 1)) };
}
