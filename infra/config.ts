import { z } from "zod";

/** An object whose unknown fields are refused by name, with the names that are known. */
const fields = <Shape extends z.ZodRawShape>(what: string, shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `unknown ${issue.keys.length === 1 ? "field" : "fields"} ${issue.keys.map((key) => `"${key}"`).join(", ")}: remove or rename; known here are ${Object.keys(shape).join(", ")}`
        : `must be ${what}: an object with ${Object.keys(shape).join(", ")}`,
  });

const text = (pattern: RegExp, what: string) => z.string(`must be ${what}`).regex(pattern, `must be ${what}`);
const list = <Item extends z.ZodType>(item: Item, what: string) =>
  z
    .array(item, `must be a list of ${what}`)
    .min(1, `must name at least one of ${what}, or be left out where it is optional`);
const distinct = <Item extends z.ZodType>(item: Item, what: string) =>
  list(item, what).check(({ value, issues }) => {
    for (const [index, one] of value.entries()) {
      if (value.indexOf(one) === index) continue;
      issues.push({ code: "custom", path: [index], input: one, message: "is named twice: remove one of them" });
    }
  });
const flag = (what: string) => z.boolean(`must be true or false: ${what}`);
const whole = (min: number, max: number, what: string) => {
  const message = `must be ${what}: a whole number from ${min} to ${max}`;
  return z.int(message).min(min, message).max(max, message);
};
const arn = (service: string, rest: string, what: string) =>
  text(new RegExp(`^arn:aws[a-z-]*:${service}:[a-z0-9-]+:\\d{12}:${rest}$`), what);

const isHostAndPort = (value: string): boolean => {
  const port = /^[A-Za-z0-9._-]+:(\d{1,5})$/.exec(value)?.[1];
  return port !== undefined && Number(port) >= 1 && Number(port) <= 65_535;
};

const secret = (what: string) => ({
  /** The whole ARN, with the six characters that Secrets Manager adds to the name. */
  secret_arn: arn(
    "secretsmanager",
    "secret:.+-[A-Za-z0-9]{6}",
    `the whole ARN of the Secrets Manager secret with ${what}, its six-character suffix included (aws secretsmanager describe-secret)`,
  ),
  /** The secret's key, where it is not the account's own `aws/secretsmanager` (MSK demands one for SCRAM). */
  kms_key_arn: arn("kms", "key/.+", "the ARN of the key that encrypts the secret (not of an alias)").optional(),
});

/** With the role of each function: there is no secret, and the functions get rights on the cluster. */
const role = {
  cluster_arn: arn("kafka", "cluster/[^/]+/[^/]+", "the ARN of the MSK cluster (aws kafka list-clusters-v2)"),
};

const sasl = z.discriminatedUnion(
  "mechanism",
  [
    fields("how to log in", {
      mechanism: z.enum(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
      ...secret("username and password"),
    }),
    fields("how to log in", {
      mechanism: z.literal("OAUTHBEARER"),
      ...secret("token_endpoint_url, client_id, client_secret and, if it is needed, scope"),
    }),
    fields("how to log in", { mechanism: z.literal("AWS_MSK_IAM"), ...role }),
  ],
  {
    error: (issue) =>
      issue.code === "invalid_union"
        ? "must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM"
        : "must be how to log in: an object with mechanism, and secret_arn or cluster_arn",
  },
);

/** What may go with a mechanism: where that is misspelt, nobody can say which of it must. */
const saslFields = fields("how to log in", { mechanism: z.unknown(), ...secret("the credentials"), ...role }).partial();
const isMechanism = (value: unknown) => sasl.options.some(({ shape }) => shape.mechanism.safeParse(value).success);

/** `{"ca"?, "certificate"?, "private_key"?, "passphrase"?}`, texts in PEM. */
const tls = fields("whom to trust", secret("ca, or certificate and private_key, or all of them, in PEM"));

/** Runs a check across fields even if one of them has a problem of its own, so that every problem shows at once. */
const always = { when: () => true };
const has = (value: unknown, key: string): boolean =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key);

const security = fields("how to connect", {
  protocol: z.enum(
    ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
    "must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
  ),
  sasl: sasl.optional(),
  tls: tls.optional(),
})
  .refine((it) => !(String(it?.protocol).startsWith("SASL_") && !has(it, "sasl")), {
    path: ["sasl"],
    error: "is missing: a SASL protocol needs a mechanism and what goes with it; add them, or choose SSL or PLAINTEXT",
    ...always,
  })
  .refine((it) => !(["PLAINTEXT", "SASL_PLAINTEXT"].includes(String(it?.protocol)) && has(it, "tls")), {
    path: ["tls"],
    error: "would never be used: choose SSL or SASL_SSL as protocol, or remove it",
    ...always,
  })
  .refine((it) => it?.protocol === "SASL_SSL" || it?.sasl?.mechanism !== "AWS_MSK_IAM", {
    path: ["protocol"],
    error: "must be SASL_SSL with AWS_MSK_IAM",
    ...always,
  })
  .refine((it) => !(["SSL", "PLAINTEXT"].includes(String(it?.protocol)) && has(it, "sasl")), {
    path: ["sasl"],
    error: "would never be used: choose a protocol with SASL, or remove it",
    ...always,
  })
  .superRefine((it, problems) => {
    if (typeof it?.sasl !== "object" || isMechanism(it.sasl?.mechanism)) return;
    const { error } = saslFields.safeParse(it.sasl);
    for (const { code, message, path } of error?.issues ?? []) {
      const isNone = code === "invalid_type" && path.length === 0; // which was told
      if (!isNone) problems.addIssue({ code: "custom", message, path: ["sasl", ...path] });
    }
  }, always);

const cluster = fields("the Kafka cluster", {
  name: text(/^.{1,128}$/, "the cluster's name, as documents and messages are to call it"),
  bootstrap_servers: distinct(
    z.string('must be "host:port"').refine(isHostAndPort, {
      error: 'must be "host:port", the port from 1 to 65535, such as "b-1.example.com:9096"',
    }),
    '"host:port"',
  ),
  security,
  /** Left out, it is 32, and 4 with AWS_MSK_IAM, where MSK limits how many are made. */
  connections_per_broker: whole(1, 128, "how many connections to one broker there may be at a time").optional(),
});

const existingVpc = fields("an existing VPC", {
  vpc_id: text(/^vpc-[0-9a-f]+$/, 'the id of the VPC, "vpc-…"'),
  availability_zones: list(text(/^[a-z0-9-]+$/, 'a zone such as "eu-west-1a"'), "zones, one a subnet"),
  private_subnet_ids: distinct(
    text(/^subnet-[0-9a-f]+$/, 'the id of a subnet, "subnet-…"'),
    "subnets that reach the brokers",
  ),
  /** Of those subnets, in their order; needed for the gateway endpoints that `endpoints` asks for. */
  private_route_table_ids: list(
    text(/^rtb-[0-9a-f]+$/, 'the id of a route table, "rtb-…"'),
    "route tables, one a subnet",
  ).optional(),
})
  .refine((it) => it.availability_zones.length === it.private_subnet_ids.length, {
    path: ["availability_zones"],
    error: "must have one zone for each of private_subnet_ids, in the same order",
  })
  .refine(
    (it) =>
      it.private_route_table_ids === undefined || it.private_route_table_ids.length === it.private_subnet_ids.length,
    {
      path: ["private_route_table_ids"],
      error: "must have one route table for each of private_subnet_ids, in the same order (repeat a shared one)",
    },
  );

const newVpc = fields("a new VPC", {
  cidr: z.cidrv4('must be an IPv4 range such as "10.0.0.0/16"').default("10.0.0.0/16"),
  max_azs: whole(1, 3, "the number of zones").default(2),
});

const network = fields("where the functions run", {
  vpc: fields("the VPC", { create: newVpc.optional(), existing: existingVpc.optional() }).refine(
    (it) => has(it, "create") !== has(it, "existing"),
    { error: 'must have either "create" or "existing"', ...always },
  ),
  /** The brokers' groups: they are opened for the functions, and the functions reach nothing else on the brokers' ports. */
  broker_security_group_ids: distinct(
    text(/^sg-[0-9a-f]+$/, 'the id of a security group, "sg-…"'),
    "the brokers' security groups",
  ).optional(),
  /** Set one to false where the VPC has that endpoint, or another way to the service. */
  endpoints: fields("which VPC endpoints to create", {
    s3: flag("whether to create a gateway endpoint for S3").default(true),
    dynamodb: flag("whether to create a gateway endpoint for DynamoDB").default(true),
    secrets_manager: flag("whether to create an interface endpoint for Secrets Manager, if a secret is used").default(
      true,
    ),
  }).prefault({}),
}).refine(
  ({ vpc, endpoints }) =>
    vpc.existing === undefined ||
    vpc.existing.private_route_table_ids !== undefined ||
    !(endpoints.s3 || endpoints.dynamodb),
  {
    path: ["vpc", "existing", "private_route_table_ids"],
    error:
      "is missing: the gateway endpoints need it; add it, or set endpoints.s3 and endpoints.dynamodb to false where the VPC reaches both",
  },
);

const isRate = (value: string): boolean => /^rate\([1-9]\d{0,8} (minute|hour|day)s?\)$/.test(value);

/** Six fields of the characters each may have; exactly one of day-of-month and day-of-week is `?`. */
const isCron = (value: string): boolean => {
  const days = /^cron\([\d,\-*/]+ [\d,\-*/]+ ([\d,\-*/LW]+|\?) [\dA-Z,\-*/]+ ([\dA-Z,\-*/#]+|\?) [\d,\-*/]+\)$/.exec(
    value,
  );
  return days !== null && (days[1] === "?") !== (days[2] === "?");
};

const isTimezone = (value: string): boolean => {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: value }) !== undefined;
  } catch {
    return false;
  }
};

const groupName = z.string("must be the name of a group").min(1, "must be the name of a group, not empty");
const selectors = list(
  z.union([groupName, fields("a literal name", { name: groupName })], {
    error: 'must be a name, a pattern with * and ?, or {"name": literal name}',
  }),
  "group names or patterns",
);

const schedule = fields("a schedule", {
  name: text(/^[A-Za-z0-9._-]{1,48}$/, "the schedule's name: 1 to 48 letters, digits, dots, dashes or underscores"),
  expression: z.string('must be "rate(…)" or "cron(…)"').refine((value) => isRate(value) || isCron(value), {
    error:
      'must be "rate(1 hour)", with minutes, hours or days, or "cron(minutes hours day-of-month month day-of-week year)" with ? for one of the two days',
  }),
  timezone: z
    .string("must be a time zone")
    .refine(isTimezone, { error: 'must be an IANA time zone such as "Europe/Dublin"' })
    .optional(),
  enabled: flag("whether it fires").default(true),
  groups: selectors.optional(),
  exclude: selectors.optional(),
  description: z
    .string("must be text")
    .max(1024, "must be at most 1,024 characters: its snapshots are described so")
    .optional(),
  allow_partial: flag("whether a snapshot that lacks a group is kept").optional(),
});

const repeatedNames = (schedules: unknown): string[] => {
  const names = (Array.isArray(schedules) ? schedules : []).flatMap((it) => (has(it, "name") ? [String(it.name)] : []));
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))];
};

const deployment = fields("the deployment", {
  stack_name: text(
    /^[A-Za-z][A-Za-z0-9-]{0,127}$/,
    "the stack's name: letters, digits and dashes, a letter first",
  ).default("OffsetRollback"),
  /** Stands before the functions' names, for a second deployment in the same account and region. */
  name_prefix: text(
    /^[A-Za-z0-9_-]{0,40}$/,
    "what stands before the functions' names: at most 40 letters, digits, dashes or underscores",
  ).default(""),
  cluster,
  /** Null where the brokers are reached without a VPC. */
  network: network.nullable(),
  archive: fields("how snapshots are kept", {
    bucket_prefix: text(
      /^([A-Za-z0-9!_.'()-]+\/)*$/,
      'what stands before every key of the bucket: empty, or ending in "/"',
    ).default(""),
    /** How long a deleted body can be recovered from the versioned bucket. */
    noncurrent_days: whole(1, 3650, "how many days deleted bodies can be recovered").default(30),
  }).prefault({}),
  schedules: z
    .array(schedule, "must be a list of schedules; [] for none")
    .refine((it) => repeatedNames(it).length === 0, {
      error: ({ input }) => `repeats the name ${repeatedNames(input).join(", ")}: give each schedule a name of its own`,
      ...always,
    }),
  api: fields("the REST API", {
    /** Needs the account's CloudWatch role for API Gateway, which is shared by all its APIs and therefore not made here. */
    access_logs: flag("whether API Gateway logs each request").default(false),
  }).prefault({}),
  logs: fields("the logs", {
    retention_days: z
      .literal(
        [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
        "must be a number of days that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, …, 3653",
      )
      .default(90),
  }).prefault({}),
  alarms: fields("the alarms", {
    topic_arn: arn("sns", "[^:]+", "the ARN of the SNS topic that alarms go to").optional(),
  }).prefault({}),
  /** What happens to the bucket and the table when the stack is deleted. A bucket that is not empty stays in any case. */
  removal_policy: z.enum(["retain", "destroy"], 'must be "retain" or "destroy"').default("retain"),
});

/** What one stack deploys: one Kafka cluster, its archive, its schedules. Field names are those of the JSON file. */
export type Deployment = z.output<typeof deployment>;

/** The deployment config cannot be used. The message lists every problem, each with the path of its field. */
export class InvalidDeployment extends Error {
  override readonly name = "InvalidDeployment";
}

const pathOf = (path: readonly PropertyKey[]): string =>
  path
    .map((key, index) => (typeof key === "number" ? `[${key}]` : `${index === 0 ? "" : "."}${String(key)}`))
    .join("") || "(top level)";

/** Checks a deployment config and fills in its defaults; `source` names it in the message of `InvalidDeployment`. */
export function parseDeployment(config: unknown, source: string): Deployment {
  const parsed = deployment.safeParse(config);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `  ${pathOf(path)}: ${message}`);
  throw new InvalidDeployment(
    `The deployment config ${source} has ${problems.length} problem(s):\n${problems.join("\n")}`,
  );
}
