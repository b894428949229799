import * as z from "zod/mini";
import { Configuration } from "../core/errors.ts";
import { envNames } from "./env.ts";

/** Where snapshots and the journal are kept. */
export type StorageSettings = z.output<typeof storage>;

/** How to reach the cluster; the credentials, if any, are still to be read from their secret. */
export type KafkaSettings = z.output<typeof kafka>;

export type Environment = Readonly<Record<string, string | undefined>>;
type Field = keyof typeof envNames;

const storage = z.pipe(
  z.object({
    bucket: z.string().check(z.minLength(3)),
    bucketPrefix: z._default(z.string().check(z.regex(/^$|\/$/, { error: "must be empty or end in /" })), ""),
    table: z.string().check(z.minLength(3)),
  }),
  z.transform(({ bucket, bucketPrefix: prefix, table }) => ({ bucket, prefix, table })),
);

const isServer = (entry: string) => {
  const port = Number(/^[A-Za-z0-9._-]+:(\d{1,5})$/.exec(entry)?.[1] ?? 0);
  return port > 0 && port < 65_536;
};

const connections = "must be a whole number from 1 to 128";

const hours = "must be a whole number of hours from 1 to 8760";

const capture = z.pipe(
  z.object({
    retentionRiskHours: z._default(
      z.coerce.number(hours).check(z.int(hours), z.minimum(1, hours), z.maximum(8_760, hours)),
      24,
    ),
  }),
  z.transform(({ retentionRiskHours }) => retentionRiskHours),
);

const arn = z.string().check(z.startsWith("arn:"));

const kafka = z.pipe(
  z
    .object({
      bootstrapServers: z
        .pipe(
          z.string(),
          z.transform((list) => list.split(",").map((entry) => entry.trim())),
        )
        .check(
          z.refine((list) => list.every(isServer), { error: "must be host:port, or several with commas between them" }),
        ),
      clusterName: z.string().check(z.minLength(1)),
      securityProtocol: z._default(z.enum(["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), "PLAINTEXT"),
      saslMechanism: z.optional(z.enum(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"])),
      secretArn: z.optional(arn),
      tlsSecretArn: z.optional(arn),
      region: z.optional(z.string().check(z.minLength(1))),
      connectionsPerBroker: z.optional(
        z.coerce.number(connections).check(z.int(connections), z.minimum(1, connections), z.maximum(128, connections)),
      ),
    })
    .check(
      z.superRefine(({ securityProtocol, saslMechanism: mechanism, secretArn, tlsSecretArn, region }, context) => {
        const sasl = securityProtocol.startsWith("SASL_");
        const tls = securityProtocol.endsWith("SSL");
        const iam = mechanism === "AWS_MSK_IAM";
        const problems: readonly [boolean, Field, string][] = [
          [!sasl && mechanism !== undefined, "saslMechanism", "is set, but the protocol has no SASL"],
          [!sasl && secretArn !== undefined, "secretArn", "is set, but the protocol has no SASL"],
          [sasl && mechanism === undefined, "saslMechanism", "is missing: a SASL protocol needs it"],
          [sasl && !iam && secretArn === undefined, "secretArn", "is missing: the mechanism needs it"],
          [iam && secretArn !== undefined, "secretArn", "is set, but AWS_MSK_IAM takes the function's role"],
          [iam && region === undefined, "region", "is missing: AWS_MSK_IAM needs it"],
          [iam && !(sasl && tls), "saslMechanism", "is AWS_MSK_IAM, which goes with SASL_SSL only"],
          [!tls && tlsSecretArn !== undefined, "tlsSecretArn", "is set, but the protocol has no TLS"],
        ];
        for (const [holds, field, message] of problems) {
          if (holds) context.addIssue({ code: "custom", path: [field], message });
        }
      }),
    ),
  z.transform(({ securityProtocol, saslMechanism: mechanism, secretArn = "", tlsSecretArn, region = "", ...rest }) => ({
    ...rest,
    protocol: securityProtocol,
    sasl: mechanism === "AWS_MSK_IAM" ? { mechanism, region } : mechanism && { mechanism, secretArn },
    tls: tlsSecretArn === undefined ? undefined : { secretArn: tlsSecretArn },
  })),
);

/**
 * What a schema makes of the variables, which it has by the names of `envNames`.
 *
 * @throws Configuration with every problem at once
 */
export function parse<T>(schema: z.ZodMiniType<T>, environment: Environment): T {
  const names = new Map<unknown, string>(Object.entries(envNames));
  const variables = Object.fromEntries([...names].map(([field, name]) => [field, environment[name]]));
  const parsed = schema.safeParse({ storage: variables, kafka: variables, capture: variables, forgetting: variables });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, code, message }) => {
    const name = names.get(path.findLast((part) => names.has(part))) ?? "";
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
  return parse(z.object({ storage }), environment).storage;
}

/**
 * The settings of a function that reads or writes offsets.
 *
 * @throws Configuration with every problem at once
 */
export function settings(environment: Environment = process.env): { storage: StorageSettings; kafka: KafkaSettings } {
  return parse(z.object({ storage, kafka }), environment);
}

/**
 * Of how many hours ahead a scheduled snapshot forecasts the log starts.
 *
 * @throws Configuration for a value that is no such number
 */
export function retentionRiskHours(environment: Environment = process.env): number {
  return parse(z.object({ capture }), environment).capture;
}
