import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type KafkaDescriptor, startProcesses } from "../../../localstack/brokers.ts";
import { freePorts, ownServices, type Say } from "../../../localstack/process.ts";
import { compileJava } from "../java.ts";
import { type Authority, createAuthority, type Pem } from "./certificates.ts";
import { audience, type TokenServer } from "./token-server.ts";

/** The access key and region whose MSK IAM tokens the broker accepts. */
export const iam = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG",
  region: "eu-west-1",
} as const;

/** `ana` is a super user; `guest` may log in, and has no rights. */
export const ana = { username: "ana", password: "open sesame" } as const;
export const guest = { username: "guest", password: "nothing to see" } as const;

/** The listeners of the broker beside PLAINTEXT, and their protocols. */
const protocols = {
  TLS: "SSL",
  MUTUAL: "SSL",
  EXPIRED: "SSL",
  ELSEWHERE: "SSL",
  PLAIN: "SASL_SSL",
  SCRAM: "SASL_SSL",
  OAUTH: "SASL_SSL",
  IAM: "SASL_SSL",
  BARE: "SASL_PLAINTEXT",
} as const;

/** A listener, by its name in the broker's properties. */
export type Listener = keyof typeof protocols;
const listeners = Object.keys(protocols).filter((name): name is Listener => name in protocols);

/** A broker with a listener for each combination of protocol, mechanism and certificate that the tests use. */
export interface SecureBroker {
  readonly kafka: KafkaDescriptor;
  readonly ports: Readonly<Record<string, number>>;
  /** The authority of the broker's certificates, and one that issued none of them. */
  readonly ca: string;
  readonly otherCa: string;
  /** Certificates for `ana`: a valid one, one that has expired, and one of the other authority. */
  readonly clients: { readonly ana: Pem; readonly expired: Pem; readonly untrusted: Pem };
}

/** The time after which clients of the listener BARE must authenticate again (KIP-368). */
export const SESSION_MS = 12_000;

const here = [
  { type: "dns", value: "localhost" },
  { type: "ip", value: "127.0.0.1" },
] as const;

/** Starts the broker as a process, even with Docker. */
export async function startSecureBroker(
  version: string,
  stateDir: string,
  tokens: TokenServer,
  say: Say,
): Promise<SecureBroker> {
  ownServices(stateDir);
  const classes = join(stateDir, "classes");
  await compileJava(version, join(import.meta.dirname, "IamTokenValidator.java"), classes, say);
  const [authority, other] = await Promise.all([createAuthority("Brokers"), createAuthority("Others")]);
  const stores = await writeStores(stateDir, authority);
  const free = await freePorts(listeners.length);
  const ports = Object.fromEntries(listeners.map((name, i) => [name, free[i] ?? 0]));
  say(`Starting Kafka ${version} with ${listeners.length} listeners that authenticate…`);
  const kafka = await startProcesses({
    brokers: 1,
    version,
    stateDir,
    say,
    jvm: { options: [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${tokens.keysUrl}`], classes },
    extraProperties: (own) => ({
      listeners: [own.listeners, ...listeners.map((name) => `${name}://127.0.0.1:${ports[name]}`)].join(),
      // Not the host that tests bootstrap from, so that connections after the first one are new ones.
      "advertised.listeners": [
        own["advertised.listeners"],
        ...listeners.map((name) => `${name}://localhost:${ports[name]}`),
      ].join(),
      "listener.security.protocol.map": [
        own["listener.security.protocol.map"],
        ...listeners.map((name) => `${name}:${protocols[name]}`),
      ].join(),
      "inter.broker.listener.name": "PLAINTEXT",
      "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
      "super.users": "User:ANONYMOUS;User:ana;User:CN=ana",
      ...Object.fromEntries(listeners.flatMap((name) => Object.entries(propertiesOf(name, stores, tokens)))),
    }),
  });
  const anHourAgo = { validUntil: new Date(Date.now() - 3_600_000) };
  const clients = {
    ana: await authority.issue({ name: "ana" }),
    expired: await authority.issue({ name: "ana", ...anHourAgo }),
    untrusted: await other.issue({ name: "ana" }),
  };
  return { kafka, ports, ca: authority.certificate, otherCa: other.certificate, clients };
}

interface Stores {
  readonly good: string;
  readonly expired: string;
  readonly elsewhere: string;
  readonly trusted: string;
}

async function writeStores(stateDir: string, authority: Authority): Promise<Stores> {
  const store = (name: string, content: string) => {
    const file = join(stateDir, `${name}.pem`);
    writeFileSync(file, content);
    return file;
  };
  const keyStore = async (name: string, subject: Parameters<Authority["issue"]>[0]) => {
    const { key, certificate } = await authority.issue(subject);
    return store(name, `${key}\n${certificate}\n`);
  };
  return {
    good: await keyStore("good", { name: "broker", hosts: here }),
    expired: await keyStore("expired", { name: "broker", hosts: here, validUntil: new Date(Date.now() - 3_600_000) }),
    elsewhere: await keyStore("elsewhere", { name: "broker", hosts: [{ type: "dns", value: "kafka.example.com" }] }),
    trusted: store("trusted", `${authority.certificate}\n`),
  };
}

function propertiesOf(name: Listener, stores: Stores, tokens: TokenServer): Record<string, string> {
  const own = (properties: Record<string, string>) =>
    Object.fromEntries(
      Object.entries(properties).map(([key, value]) => [`listener.name.${name.toLowerCase()}.${key}`, value]),
    );
  const login = (mechanism: string, module: string, options: Record<string, string> = {}) => {
    const text = Object.entries(options).map(([key, value]) => ` ${key}="${value}"`);
    const className = `org.apache.kafka.common.security.${module}LoginModule`;
    return {
      [`${mechanism.toLowerCase()}.sasl.jaas.config`]: `${className} required${text.join("")};`,
    };
  };
  const users = { [`user_${ana.username}`]: ana.password, [`user_${guest.username}`]: guest.password };
  const brokerLogin = { unsecuredLoginStringClaim_sub: "broker" }; // brokers also need a login, although none uses it
  const keyStore = name === "EXPIRED" ? stores.expired : name === "ELSEWHERE" ? stores.elsewhere : stores.good;
  const tls = own({ "ssl.keystore.type": "PEM", "ssl.keystore.location": keyStore });
  switch (name) {
    case "MUTUAL":
      return {
        ...tls,
        ...own({
          "ssl.client.auth": "required",
          "ssl.truststore.type": "PEM",
          "ssl.truststore.location": stores.trusted,
        }),
      };
    case "PLAIN":
      return { ...tls, ...own({ "sasl.enabled.mechanisms": "PLAIN", ...login("PLAIN", "plain.Plain", users) }) };
    case "BARE":
      return own({
        "sasl.enabled.mechanisms": "PLAIN",
        ...login("PLAIN", "plain.Plain", users),
        "plain.connections.max.reauth.ms": `${SESSION_MS}`,
      });
    case "SCRAM":
      return {
        ...tls,
        ...own({
          "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
          ...login("SCRAM-SHA-256", "scram.Scram"),
          ...login("SCRAM-SHA-512", "scram.Scram"),
        }),
      };
    case "OAUTH":
      return {
        ...tls,
        ...own({
          "sasl.enabled.mechanisms": "OAUTHBEARER",
          ...login("OAUTHBEARER", "oauthbearer.OAuthBearer", brokerLogin),
          "oauthbearer.sasl.server.callback.handler.class":
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler",
          "oauthbearer.sasl.oauthbearer.jwks.endpoint.url": tokens.keysUrl,
          "oauthbearer.sasl.oauthbearer.expected.audience": audience,
        }),
      };
    case "IAM":
      return {
        ...tls,
        ...own({
          "sasl.enabled.mechanisms": "OAUTHBEARER",
          ...login("OAUTHBEARER", "oauthbearer.OAuthBearer", { ...brokerLogin, ...iam, principal: "ana" }),
          "oauthbearer.sasl.server.callback.handler.class": "IamTokenValidator",
        }),
      };
    default:
      return tls;
  }
}
