import { z } from "zod";
import { InvalidExpression, longestGap } from "../functions/shared/core/longest-gap.ts";
import { request as snapshotRequest } from "../functions/snapshot/schema.ts";
import { archive } from "./config/archive.ts";
import { always, arn, distinct, fields, flag, has, text, whole } from "./config/fields.ts";
import { network } from "./config/network.ts";
import { retention } from "./config/retention.ts";

const isHostAndPort = (value: string): boolean => {
  const port = Number(/^[A-Za-z0-9._-]+:(\d{1,5})$/.exec(value)?.[1] ?? 0);
  return port >= 1 && port <= 65_535;
};

const secret = (what: string) => ({
  /** The full ARN, with the six characters that Secrets Manager adds to the name. */
  secret_arn: arn(
    "secretsmanager",
    "secret:.+-[A-Za-z0-9]{6}",
    `the full ARN of the Secrets Manager secret with ${what}, including its six-character suffix (aws secretsmanager describe-secret)`,
  ),
  /** The secret's key if it is not the account's `aws/secretsmanager` (MSK requires another for SCRAM). */
  kms_key_arn: arn("kms", "key/.+", "the ARN of the KMS key that encrypts the secret (not of an alias)").optional(),
});

/** Log-in with the role of each function: no secret; the functions get rights on the cluster. */
const role = {
  cluster_arn: arn("kafka", "cluster/[^/]+/[^/]+", "the ARN of the MSK cluster (aws kafka list-clusters-v2)"),
};

const sasl = z.discriminatedUnion(
  "mechanism",
  [
    fields("the log-in", {
      mechanism: z.enum(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
      ...secret("username and password"),
    }),
    fields("the log-in", {
      mechanism: z.literal("OAUTHBEARER"),
      ...secret("token_endpoint_url, client_id, client_secret and, if required, scope, audience and extensions"),
    }),
    fields("the log-in", { mechanism: z.literal("AWS_MSK_IAM"), ...role }),
  ],
  {
    error: (issue) =>
      issue.code === "invalid_union"
        ? "must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM"
        : "must be the log-in: an object with mechanism, and secret_arn or cluster_arn",
  },
);

/** The fields of all mechanisms, to check them if the mechanism is misspelt. */
const saslFields = fields("the log-in", { mechanism: z.unknown(), ...secret("the credentials"), ...role }).partial();
const isMechanism = (value: unknown) => sasl.options.some(({ shape }) => shape.mechanism.safeParse(value).success);

const security = fields("the security settings", {
  protocol: z.enum(
    ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
    "must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
  ),
  sasl: sasl.optional(),
  /** `{"ca"?, "certificate"?, "private_key"?, "passphrase"?}`, texts in PEM. */
  tls: fields("the TLS settings", secret("ca, or certificate and private_key, or all three, in PEM")).optional(),
}).superRefine((it, problems) => {
  const report = (path: PropertyKey[], message: string) => problems.addIssue({ code: "custom", path, message });
  const protocol = String(it?.protocol);
  if (protocol.startsWith("SASL_") && !has(it, "sasl"))
    report(
      ["sasl"],
      "is missing: a SASL protocol requires a mechanism and its fields; add them, or choose SSL or PLAINTEXT",
    );
  if (["PLAINTEXT", "SASL_PLAINTEXT"].includes(protocol) && has(it, "tls"))
    report(["tls"], "is not used by this protocol: choose SSL or SASL_SSL, or remove it");
  if (protocol !== "SASL_SSL" && it?.sasl?.mechanism === "AWS_MSK_IAM")
    report(["protocol"], "must be SASL_SSL with AWS_MSK_IAM");
  if (["SSL", "PLAINTEXT"].includes(protocol) && has(it, "sasl"))
    report(["sasl"], "is not used by this protocol: choose SASL_PLAINTEXT or SASL_SSL, or remove it");
  if (typeof it?.sasl !== "object" || isMechanism(it.sasl?.mechanism)) return;
  for (const { code, message, path } of saslFields.safeParse(it.sasl).error?.issues ?? []) {
    const isNone = code === "invalid_type" && path.length === 0; // already reported
    if (!isNone) report(["sasl", ...path], message);
  }
}, always);

const cluster = fields("the Kafka cluster", {
  name: text(/^.{1,128}$/, "the cluster's name in documents and messages, 1 to 128 characters"),
  bootstrap_servers: distinct(
    z.string('must be "host:port"').refine(isHostAndPort, {
      error: 'must be "host:port", the port from 1 to 65535, such as "b-1.example.com:9096"',
    }),
    '"host:port"',
  ),
  security,
  /** By default 32, and 4 with AWS_MSK_IAM, because MSK limits new connections. */
  connections_per_broker: whole(1, 128, "the number of connections to one broker at a time").optional(),
});

const problemOf = (expression: string): string | undefined => {
  try {
    longestGap(expression);
  } catch (error) {
    if (error instanceof InvalidExpression) return error.message;
    throw error;
  }
  return undefined;
};

/** Whether EventBridge Scheduler knows it: a name, as it is written there. `Intl` takes offsets and other spellings, too. */
const isTimezone = (value: string): boolean => {
  try {
    const { timeZone } = new Intl.DateTimeFormat("en", { timeZone: value }).resolvedOptions();
    return /^[A-Z]/.test(value) && (timeZone === value || timeZone.toLowerCase() !== value.toLowerCase());
  } catch {
    return false;
  }
};

/** The fields of a snapshot request that a schedule may set; the request's own schema checks them. */
const { schedule: _, ...requestFields } = snapshotRequest.shape;
const given = Object.fromEntries(Object.keys(requestFields).map((name) => [name, z.unknown().optional()]));

const schedule = fields("a schedule", {
  name: text(/^[A-Za-z0-9._-]{1,48}$/, "the schedule's name: 1 to 48 letters, digits, dots, dashes or underscores"),
  expression: z.string('must be "rate(…)", "cron(…)" or "at(…)"').check(({ value: input, issues }) => {
    const message = problemOf(input);
    if (message !== undefined) issues.push({ code: "custom", input, message, continue: true });
  }),
  timezone: z
    .string("must be a time zone")
    .refine(isTimezone, {
      error: 'must be the name of an IANA time zone such as "Europe/Dublin" or "UTC", not an offset',
    })
    .optional(),
  enabled: flag("whether the schedule runs", true),
  ...given,
}).superRefine((it, problems) => {
  const asked = Object.entries(it).filter(([name]) => Object.hasOwn(requestFields, name));
  const { error } = snapshotRequest.safeParse(Object.fromEntries(asked));
  for (const { message, path } of error?.issues ?? []) problems.addIssue({ code: "custom", message, path: [...path] });
});

const repeatedNames = (schedules: unknown): string[] => {
  const names = (Array.isArray(schedules) ? schedules : []).flatMap((it) => (has(it, "name") ? [String(it.name)] : []));
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))];
};

/** The ARNs in a part of a config, by their paths. */
function arnsIn(
  part: unknown,
  path: readonly PropertyKey[],
): { path: PropertyKey[]; region: string; account: string }[] {
  if (typeof part === "object" && part !== null)
    return Object.entries(part).flatMap(([name, value]) => arnsIn(value, [...path, name]));
  const [, region = "", account = ""] = /^arn:[\w-]+:[\w-]+:([\w-]*):(\d{12})?:/.exec(String(part)) ?? [];
  return region === "" && account === "" ? [] : [{ path: [...path], region, account }];
}

const env = fields("the account and region of the stack", {
  account: text(/^\d{12}$/, 'the number of the AWS account, 12 digits as text, such as "111122223333"'),
  region: text(/^[a-z]{2,}(-[a-z]+)+-\d$/, 'a region such as "eu-west-1"'),
});

const tags = z
  .record(
    z.string(),
    text(/^[\p{L}\p{Z}\p{N}_.:/=+@-]{0,256}$/u, "a text of at most 256 letters, digits, spaces or _.:/=+-@"),
    'must be the tags: an object with texts, such as {"team": "payments"}',
  )
  .check(({ value, issues }) => {
    const report = (path: PropertyKey[], input: unknown, message: string) =>
      issues.push({ code: "custom", path, input, message, continue: true });
    const keys = Object.keys(value);
    if (keys.length > 50) report([], value, `has ${keys.length} tags; AWS allows at most 50`);
    for (const key of keys)
      if (!/^(?!aws:)[\p{L}\p{Z}\p{N}_.:/=+@-]{1,128}$/iu.test(key))
        report(
          [key],
          key,
          'must have a name of 1 to 128 letters, digits, spaces or _.:/=+-@ that does not begin with "aws:"',
        );
  });

const deployment = fields("the deployment", {
  stack_name: text(
    /^[A-Za-z][A-Za-z0-9-]{0,127}$/,
    "the stack's name: letters, digits and dashes, a letter first",
  ).default("OffsetRollback"),
  /** Prefix of the functions' names, for a second deployment in the same account and region. */
  name_prefix: text(
    /^[A-Za-z0-9_-]{0,40}$/,
    "the prefix of the functions' names: at most 40 letters, digits, dashes or underscores",
  ).default(""),
  /** Where the stack belongs: a deployment to any other place fails. By default the credentials decide that. */
  env: env.optional(),
  /** Of everything that CloudFormation can tag. */
  tags: tags.default({}),
  /** Of every role: some companies require one. */
  permissions_boundary: text(
    /^arn:aws[a-z-]*:iam::(\d{12}|aws):policy\/.+$/,
    "the ARN of the managed policy that limits every role, arn:aws:iam::…:policy/…",
  ).optional(),
  /** The key that encrypts what the stack creates. By default AWS's own keys do. */
  kms_key_arn: arn(
    "kms",
    "key/.+",
    "the ARN of the KMS key that encrypts bucket, table, logs and dead letters (not of an alias)",
  ).optional(),
  cluster,
  /** Null if the brokers are reached without a VPC. */
  network: network.nullable(),
  archive: archive.prefault({}),
  schedules: z
    .array(schedule, "must be a list of schedules; [] for none")
    .refine((it) => repeatedNames(it).length === 0, {
      error: ({ input }) => `repeats the name ${repeatedNames(input).join(", ")}: give each schedule a unique name`,
      ...always,
    }),
  /** Which snapshots are deleted, once a day. Absent: none. */
  retention: retention.optional(),
  /** How far ahead scheduled snapshots forecast the log starts. */
  retention_risk_hours: whole(
    1,
    8760,
    "how many hours ahead a scheduled snapshot says which offsets the logs will lose",
  ).default(24),
  /** For fleets and years: see archive-queries.ts. */
  athena: flag("whether Athena can query the stored snapshots", false),
  api: fields("the REST API", {
    /** Requires the account's CloudWatch role for API Gateway. All its APIs share it; this stack does not create it. */
    access_logs: flag("whether API Gateway logs each request", false),
    /** Enough for people and scripts: each request reads or writes a whole cluster. */
    throttling: fields("the limits of requests", {
      rate: whole(1, 10_000, "how many requests per second the API takes").default(10),
      burst: whole(1, 5_000, "how many requests the API takes at once").default(20),
    }).prefault({}),
  }).prefault({}),
  logs: fields("the logs", {
    retention_days: z
      .literal(
        [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
        "must be a number of days that CloudWatch Logs supports: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, …, 3653",
      )
      .default(90),
  }).prefault({}),
  alarms: fields("the alarms", {
    topic_arn: arn("sns", "[^:]+", "the ARN of the SNS topic for alarms").optional(),
    /** Where people find a copy of infra/README.md. Each alarm links to its section there. */
    runbook_url: text(/^https:\/\/[^\s#]{1,300}$/, 'the address of the runbook, "https://…", without "#"').default(
      "infra/README.md",
    ),
  }).prefault({}),
  /** Whether to deploy only what reads: for an archive that another stack writes, such as a replica. */
  read_only: flag("whether to deploy only the functions that neither write snapshots nor to Kafka", false),
  /**
   * Whether bucket, table and audit logs outlive the stack. With `destroy`, its deletion deletes table and logs, and fails at a
   * bucket that is not empty: nothing here deletes stored snapshots.
   */
  removal_policy: z.enum(["retain", "destroy"], 'must be "retain" or "destroy"').default("retain"),
}).superRefine((it, problems) => {
  const report = (path: PropertyKey[], message: string) => problems.addIssue({ code: "custom", path, message });
  if (it?.removal_policy === "destroy" && it.archive?.deletion_protection === true)
    report(
      ["archive", "deletion_protection"],
      "must be false with removal_policy destroy: the table could not be deleted",
    );
  if (it?.removal_policy === "destroy" && has(it.archive?.existing, "bucket") && has(it.archive?.existing, "table"))
    report(
      ["removal_policy"],
      "must be retain: bucket and table exist already, so that this stack never deletes them; delete them yourself",
    );
  const zones: unknown = it?.network?.vpc?.existing?.availability_zones;
  if ((it?.network?.vpc?.create?.max_azs ?? 0) > 2 && !has(it, "env"))
    report(
      ["network", "vpc", "create", "max_azs"],
      "must be at most 2 without env: CDK knows only two zones then; add env with account and region",
    );
  if (env.safeParse(it?.env).success && it?.env !== undefined) {
    const { account, region } = it.env;
    const { schedules: _schedules, tags: _tags, ...parts } = it;
    for (const found of arnsIn(parts, [])) {
      if (found.region !== "" && found.region !== region)
        report(
          found.path,
          `is of region ${found.region}, and env.region is ${region}: name one of that region, or correct env`,
        );
      if (found.account !== "" && found.account !== account)
        report(
          found.path,
          `is of account ${found.account}, and env.account is ${account}: name one of that account, or correct env (without env, another account is accepted)`,
        );
    }
    for (const [index, zone] of (Array.isArray(zones) ? zones : []).entries())
      if (!String(zone).startsWith(region))
        report(
          ["network", "vpc", "existing", "availability_zones", index],
          `is not a zone of env.region ${region}: name one of that region, or correct env`,
        );
  }
  const names = (Array.isArray(it?.schedules) ? it.schedules : []).map((schedule) => schedule?.name);
  const withRules = (of: unknown) => (typeof of === "object" && of !== null ? Object.keys(of) : []);
  for (const name of withRules(it?.retention?.schedules).filter((name) => !names.includes(name)))
    report(
      ["retention", "schedules", name],
      "has rules, and no schedule has that name: correct it, move it to retention.retired if you have removed the schedule, or remove it (its snapshots are kept for good then)",
    );
  for (const name of withRules(it?.retention?.retired).filter((name) => names.includes(name)))
    report(["retention", "retired", name], "is a schedule of this config: move its rules to retention.schedules");
  if (it?.read_only !== true) return;
  if (it.retention !== undefined)
    report(
      ["retention"],
      "has no effect with read_only: the stack that writes the archive deletes snapshots; remove it",
    );
  if (Array.isArray(it.schedules) && it.schedules.length > 0)
    report(["schedules"], "must be [] with read_only: such a deployment has no function that takes snapshots");
  if (!has(it.archive?.existing, "bucket"))
    report(
      ["archive", "existing", "bucket"],
      "is missing: a read-only deployment takes no snapshots, so a new bucket would stay empty; name the bucket to read",
    );
}, always);

/** The config of one stack: one Kafka cluster, its archive, its schedules. Field names are those of the JSON file. */
export type Deployment = z.output<typeof deployment>;

/** An invalid deployment config. The message lists every problem with the path of its field. */
export class InvalidDeployment extends Error {
  override readonly name = "InvalidDeployment";
}

/** Checks a deployment config and fills in its defaults; `source` names it in the message of `InvalidDeployment`. */
export function parseDeployment(config: unknown, source: string): Deployment {
  const parsed = deployment.safeParse(config);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    ({ path, message }) => `  ${z.core.toDotPath(path) || "(top level)"}: ${message}`,
  );
  throw new InvalidDeployment(
    `The deployment config ${source} has ${problems.length} problem(s):\n${problems.join("\n")}`,
  );
}
