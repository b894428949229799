import * as z from "zod/mini";
import { Configuration } from "../core/errors.ts";
import { envNames } from "./env.ts";

/** Where snapshots and the journal are kept. */
export type StorageSettings = z.output<typeof storage>;

/** How to reach the cluster; the credentials, if any, are still to be read from their secret. */
export type KafkaSettings = z.output<typeof kafka>;

type Environment = Readonly<Record<string, string | undefined>>;

const storage = z.pipe(
  z.object({
    [envNames.bucket]: z.string().check(z.minLength(3)),
    [envNames.bucketPrefix]: z._default(
      z.string().check(z.regex(/^$|\/$/, { error: "must be empty or end in /" })),
      "",
    ),
    [envNames.table]: z.string().check(z.minLength(3)),
  }),
  z.transform((value) => ({
    bucket: value[envNames.bucket],
    prefix: value[envNames.bucketPrefix],
    table: value[envNames.table],
  })),
);

const isServer = (entry: string) => {
  const port = Number(/^[A-Za-z0-9._-]+:(\d{1,5})$/.exec(entry)?.[1] ?? 0);
  return port > 0 && port < 65_536;
};

const mechanisms = z.enum(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"]);

const connections = "must be a whole number from 1 to 128";

const arn = z.string().check(z.startsWith("arn:"));

const kafka = z.pipe(
  z
    .object({
      [envNames.bootstrapServers]: z
        .pipe(
          z.string(),
          z.transform((list) => list.split(",").map((entry) => entry.trim())),
        )
        .check(
          z.refine((list) => list.every(isServer), { error: "must be host:port, or several with commas between them" }),
        ),
      [envNames.clusterName]: z.string().check(z.minLength(1)),
      [envNames.securityProtocol]: z._default(z.enum(["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), "PLAINTEXT"),
      [envNames.saslMechanism]: z.optional(mechanisms),
      [envNames.secretArn]: z.optional(arn),
      [envNames.tlsSecretArn]: z.optional(arn),
      [envNames.region]: z.optional(z.string().check(z.minLength(1))),
      [envNames.connectionsPerBroker]: z.optional(
        z.coerce.number(connections).check(z.int(connections), z.minimum(1, connections), z.maximum(128, connections)),
      ),
    })
    .check(
      z.superRefine((value, context) => {
        const protocol = value[envNames.securityProtocol];
        const mechanism = value[envNames.saslMechanism];
        const sasl = protocol.startsWith("SASL_");
        const iam = mechanism === "AWS_MSK_IAM";
        const isSet = (name: keyof typeof value) => value[name] !== undefined;
        const problem = (holds: boolean, name: keyof typeof value, message: string) => {
          if (holds) context.addIssue({ code: "custom", path: [name], message });
        };
        for (const name of [envNames.saslMechanism, envNames.secretArn] as const) {
          problem(!sasl && isSet(name), name, "is set, but the protocol has no SASL");
        }
        problem(sasl && mechanism === undefined, envNames.saslMechanism, "is missing: a SASL protocol needs it");
        problem(sasl && !iam && !isSet(envNames.secretArn), envNames.secretArn, "is missing: the mechanism needs it");
        problem(
          iam && isSet(envNames.secretArn),
          envNames.secretArn,
          "is set, but AWS_MSK_IAM takes the function's role",
        );
        problem(iam && !isSet(envNames.region), envNames.region, "is missing: AWS_MSK_IAM needs it");
        problem(
          iam && protocol !== "SASL_SSL",
          envNames.saslMechanism,
          "is AWS_MSK_IAM, which goes with SASL_SSL only",
        );
        const tls = protocol.endsWith("SSL");
        problem(!tls && isSet(envNames.tlsSecretArn), envNames.tlsSecretArn, "is set, but the protocol has no TLS");
      }),
    ),
  z.transform((value) => ({
    clusterName: value[envNames.clusterName],
    bootstrapServers: value[envNames.bootstrapServers],
    protocol: value[envNames.securityProtocol],
    sasl: saslOf(value[envNames.saslMechanism], value[envNames.secretArn] ?? "", value[envNames.region] ?? ""),
    tls: tlsOf(value[envNames.tlsSecretArn]),
    connectionsPerBroker: value[envNames.connectionsPerBroker],
  })),
);

const tlsOf = (secretArn: string | undefined) => (secretArn === undefined ? undefined : { secretArn });

/** The settings of a log-in, of which the schema has seen that what the mechanism takes is there. */
function saslOf(mechanism: z.output<typeof mechanisms> | undefined, secretArn: string, region: string) {
  switch (mechanism) {
    case undefined:
      return undefined;
    case "AWS_MSK_IAM":
      return { mechanism, region };
    default:
      return { mechanism, secretArn };
  }
}

function parse<T>(schema: z.ZodMiniType<T>, input: unknown, environment: Environment): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, code, message }) => {
    const name = String(path.at(-1));
    const missing = environment[name] === undefined && code !== "custom";
    return `${name} ${missing ? "is missing" : message}`;
  });
  throw new Configuration(`the function's environment is wrong: ${problems.join("; ")}.`, {
    next: "The stack sets these variables: deploy it again.",
    details: { problems },
  });
}

/**
 * The settings of a function that never sees Kafka.
 *
 * @throws Configuration with every problem at once
 */
export function storageSettings(environment: Environment = process.env): StorageSettings {
  return parse(storage, environment, environment);
}

/**
 * The settings of a function that reads or writes offsets.
 *
 * @throws Configuration with every problem at once
 */
export function settings(environment: Environment = process.env): { storage: StorageSettings; kafka: KafkaSettings } {
  return parse(z.object({ storage, kafka }), { storage: environment, kafka: environment }, environment);
}
