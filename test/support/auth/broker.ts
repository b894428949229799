import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type KafkaDescriptor, startProcesses } from "../../../localstack/brokers.ts";
import { freePorts, ownServices, type Say } from "../../../localstack/process.ts";
import { compileJava } from "../java.ts";
import { type Authority, createAuthority, type Pem } from "./certificates.ts";
import { audience, type TokenServer } from "./token-server.ts";

/** The key that the broker takes tokens of MSK IAM from, and where. */
export const iam = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG",
  region: "eu-west-1",
} as const;

/** Who may do everything, with this password, and who may log in and nothing else. */
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

/** A broker with a listener for every way to be sure of each other. */
export interface SecureBroker {
  readonly kafka: KafkaDescriptor;
  readonly ports: Readonly<Record<string, number>>;
  /** The authority of the broker's certificates, and another one. */
  readonly ca: string;
  readonly otherCa: string;
  /** A certificate of `ana`, one that has expired, and one of another authority. */
  readonly clients: { readonly ana: Pem; readonly late: Pem; readonly stranger: Pem };
}

/** The sessions of the listener BARE end after this time: whoever stays has to log in again. */
export const SESSION_MS = 12_000;

const here = [
  { type: "dns", value: "localhost" },
  { type: "ip", value: "127.0.0.1" },
] as const;

/** Starts it, as a process of this machine, even where there is Docker. */
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
  say(`Starting Kafka ${version} with ${listeners.length} listeners that want to know who is there…`);
  const kafka = await startProcesses({
    brokers: 1,
    version,
    stateDir,
    say,
    jvm: { options: [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${tokens.keysUrl}`], classes },
    extraProperties: (own) => ({
      listeners: [own.listeners, ...listeners.map((name) => `${name}://127.0.0.1:${ports[name]}`)].join(),
      // Another name than the tests bootstrap from: the connections after the first one are new ones.
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
  const soon = { validUntil: new Date(Date.now() - 3_600_000) };
  const clients = {
    ana: await authority.issue({ name: "ana" }),
    late: await authority.issue({ name: "ana", ...soon }),
    stranger: await other.issue({ name: "ana" }),
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
  const itself = { unsecuredLoginStringClaim_sub: "broker" }; // brokers log in too, if only to nobody
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
          ...login("OAUTHBEARER", "oauthbearer.OAuthBearer", itself),
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
          ...login("OAUTHBEARER", "oauthbearer.OAuthBearer", { ...itself, ...iam, principal: "ana" }),
          "oauthbearer.sasl.server.callback.handler.class": "IamTokenValidator",
        }),
      };
    default:
      return tls;
  }
}
