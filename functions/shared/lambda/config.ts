import * as z from "zod";
import { Configuration } from "../core/errors.ts";
import { envNames } from "./env.ts";

/** Where the snapshots are kept. */
export type ArchiveSettings = z.output<typeof archive>;

/** How to reach the cluster; the credentials, if any, are still to be read from their secret. */
export type KafkaSettings = z.output<typeof kafka>;

type Environment = Readonly<Record<string, string | undefined>>;

const archive = z
  .object({
    [envNames.bucket]: z.string().min(3),
    [envNames.bucketPrefix]: z
      .string()
      .regex(/^$|\/$/, { error: "must be empty or end in /" })
      .default(""),
    [envNames.table]: z.string().min(3),
  })
  .transform((value) => ({
    bucket: value[envNames.bucket],
    prefix: value[envNames.bucketPrefix],
    table: value[envNames.table],
  }));

const isServer = (entry: string) => {
  const port = Number(/^[A-Za-z0-9._-]+:(\d{1,5})$/.exec(entry)?.[1] ?? 0);
  return port > 0 && port < 65_536;
};

const kafka = z
  .object({
    [envNames.bootstrapServers]: z
      .string()
      .transform((list) => list.split(",").map((entry) => entry.trim()))
      .refine((list) => list.every(isServer), { error: "must be host:port, or several with commas between them" }),
    [envNames.clusterName]: z.string().min(1),
    [envNames.securityProtocol]: z.enum(["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]).default("PLAINTEXT"),
    [envNames.saslMechanism]: z.enum(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]).optional(),
    [envNames.secretArn]: z.string().startsWith("arn:").optional(),
  })
  .superRefine((value, context) => {
    const sasl = value[envNames.securityProtocol].startsWith("SASL_");
    for (const name of [envNames.saslMechanism, envNames.secretArn]) {
      if (sasl === (value[name] !== undefined)) continue;
      const message = sasl ? "is missing: a SASL protocol needs it" : "is set, but the protocol has no SASL";
      context.addIssue({ code: "custom", path: [name], message });
    }
  })
  .transform((value) => {
    const mechanism = value[envNames.saslMechanism];
    const secretArn = value[envNames.secretArn];
    return {
      clusterName: value[envNames.clusterName],
      bootstrapServers: value[envNames.bootstrapServers],
      protocol: value[envNames.securityProtocol],
      sasl: mechanism !== undefined && secretArn !== undefined ? { mechanism, secretArn } : undefined,
    };
  });

function parse<T>(schema: z.ZodType<T>, input: unknown, environment: Environment): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => {
    const name = String(path.at(-1));
    return `${name} ${environment[name] === undefined && !message.startsWith("is ") ? "is missing" : message}`;
  });
  throw new Configuration(
    `the function's environment is wrong: ${problems.join("; ")}. The stack sets these variables: deploy it again.`,
    { details: { problems } },
  );
}

/**
 * The settings of a function that never sees Kafka.
 *
 * @throws Configuration with every problem at once
 */
export function archiveSettings(environment: Environment = process.env): ArchiveSettings {
  return parse(archive, environment, environment);
}

/**
 * The settings of a function that reads or writes offsets.
 *
 * @throws Configuration with every problem at once
 */
export function settings(environment: Environment = process.env): { archive: ArchiveSettings; kafka: KafkaSettings } {
  return parse(z.object({ archive, kafka }), { archive: environment, kafka: environment }, environment);
}
