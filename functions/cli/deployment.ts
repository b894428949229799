import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import * as z from "zod/mini";
import { listSome } from "../shared/core/text.ts";
import { exit } from "./exit-codes.ts";
import { Problem, usage } from "./problems.ts";

/** A deployed stack, as its clients see it. */
export interface Deployment {
  /** What it is called in messages. */
  readonly name: string;
  /** The stack's own name. Undefined: the local stack is older than this output. */
  readonly stack: string | undefined;
  /** The functions' names by verb. */
  readonly functions: Readonly<Record<string, string>>;
  /** Where its snapshots are: `s3://bucket/prefix`. Undefined: the stack is older than this output. */
  readonly path: string | undefined;
  readonly bootstrapServers: readonly string[] | undefined;
  /** How AWS is reached, where that is not up to the environment. */
  readonly client: {
    readonly region?: string;
    readonly endpoint?: string;
    readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  };
}

/** What `npm run local:up` writes. */
export const LOCAL_OUTPUTS = join(".local", "outputs.json");
/** What that is: a checkout has it. */
const LOCAL_UP = join("localstack", "up.ts");
/** The stack's name, unless another is chosen: the default of infra/config.ts. */
export const DEFAULT_STACK = "OffsetRollback";
/** Chooses the stack from the environment. */
export const STACK_VARIABLE = "OFFSET_ROLLBACK_DEPLOYMENT";

const localOutputs = z.looseObject({
  stack: z.optional(z.string()),
  functions: z.record(z.string(), z.string()),
  bucket: z.string(),
  path: z.optional(z.string()),
  endpoint_url: z.string(),
  bootstrap_servers: z.string(),
  region: z.string(),
});

const stackOutputs = z.looseObject({
  FunctionNames: z.string(),
  Path: z.optional(z.string()),
  BootstrapServers: z.optional(z.string()),
});

/**
 * Finds the deployment: the stack that is named, or else the local one of this directory, or else the stack that the
 * environment names.
 *
 * @throws Problem where there is none
 */
export async function findDeployment(named: string | undefined): Promise<Deployment> {
  if (named !== undefined) return stackNamed(named, false);
  const meant = process.env[STACK_VARIABLE];
  if (!existsSync(LOCAL_OUTPUTS)) return stackNamed(meant || DEFAULT_STACK, !meant && existsSync(LOCAL_UP));
  const local = localStack(resolve(LOCAL_OUTPUTS));
  if (meant) {
    console.error(
      `${STACK_VARIABLE}=${meant} does not count here: this is ${local.name}. To use ${meant}: --deployment ${meant}`,
    );
  }
  return local;
}

function localStack(file: string): Deployment {
  const parsed = localOutputs.safeParse(readJson(file));
  if (!parsed.success) {
    const fields = listSome(parsed.error.issues, ({ path, message }) => `${path.join(".")}: ${message}`);
    throw usage([`${file} is not what \`npm run local:up\` writes (${fields}). Run it again.`]);
  }
  const { stack, functions, bucket, path, endpoint_url, bootstrap_servers, region } = parsed.data;
  return {
    name: `the local stack of ${LOCAL_OUTPUTS} (${endpoint_url})`,
    stack,
    functions,
    path: path ?? `s3://${bucket}/`,
    bootstrapServers: bootstrap_servers.split(","),
    client: { region, endpoint: endpoint_url, credentials: { accessKeyId: "test", secretAccessKey: "test" } },
  };
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw usage([`${file} cannot be read: ${cause instanceof Error ? cause.message : cause}`]);
  }
}

/** @param mayBeLocal whether the local stack may be meant, and is not there */
async function stackNamed(name: string, mayBeLocal: boolean): Promise<Deployment> {
  const { CloudFormationClient, DescribeStacksCommand } = await import("@aws-sdk/client-cloudformation");
  const found = await new CloudFormationClient().send(new DescribeStacksCommand({ StackName: name })).catch((cause) => {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new Problem(
      `The outputs of the stack ${name} cannot be read: ${said}. Nothing was sent. The stack is named by --deployment, by ` +
        `${LOCAL_OUTPUTS} of this directory, or by ${STACK_VARIABLE}; without them it is ${DEFAULT_STACK}. ` +
        "It requires AWS credentials, a region (AWS_REGION), and the right cloudformation:DescribeStacks.",
      exit.usage,
      ["aws sts get-caller-identity", ...(mayBeLocal ? ["npm run local:up"] : [])],
      cause,
    );
  });
  const outputs = Object.fromEntries(
    (found.Stacks?.[0]?.Outputs ?? []).map(({ OutputKey, OutputValue }) => [OutputKey ?? "", OutputValue ?? ""]),
  );
  const parsed = stackOutputs.safeParse(outputs);
  const functions = parsed.success
    ? z.record(z.string(), z.string()).safeParse(json(parsed.data.FunctionNames))
    : parsed;
  if (!parsed.success || !functions.success) {
    throw usage([`The stack ${name} has no output FunctionNames: it is not a deployment of this program.`]);
  }
  const { Path, BootstrapServers } = parsed.data;
  return {
    name: `the stack ${name}`,
    stack: name,
    functions: functions.data,
    path: Path,
    bootstrapServers: BootstrapServers?.split(","),
    client: {},
  };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `s3://bucket/prefix`, without what does not count: a slash at the end. */
const placeOf = (path: string) => path.replace(/\/+$/, "");

/** Names of this machine are the same. */
const serverOf = (server: string) =>
  server
    .trim()
    .toLowerCase()
    .replace(/^(localhost|\[::1\]|0\.0\.0\.0)(?=:)/, "127.0.0.1");

/**
 * Checks that a deployment is the one that the caller means.
 *
 * @param meant what was typed: `--path` and `--bootstrap-servers`; one of several brokers is enough
 * @throws Problem that names everything that differs
 */
export function requireSamePlace(
  { name, path, bootstrapServers }: Deployment,
  meant: { readonly path: string | undefined; readonly bootstrapServers: string | undefined },
): void {
  const problems: string[] = [];
  const unknown = (flag: string) =>
    `${flag} cannot be checked: ${name} was deployed before it had that output. Deploy it again, or leave the flag out.`;
  if (meant.path !== undefined) {
    if (!/^s3:\/\/[^/]+(\/.*)?$/.test(meant.path))
      problems.push(`--path must be s3://bucket/prefix, not ${meant.path}`);
    else if (path === undefined) problems.push(unknown("--path"));
    else if (placeOf(meant.path) !== placeOf(path)) {
      problems.push(`--path is ${meant.path}, and the snapshots of ${name} are in ${path}`);
    }
  }
  if (meant.bootstrapServers !== undefined) {
    if (bootstrapServers === undefined) problems.push(unknown("--bootstrap-servers"));
    else {
      const known = new Set(bootstrapServers.map(serverOf));
      const others = meant.bootstrapServers.split(",").filter((server) => !known.has(serverOf(server)));
      if (others.length > 0) {
        problems.push(
          `--bootstrap-servers has ${listSome(others, (server) => server)}, and the Kafka cluster of ${name} is ` +
            listSome(bootstrapServers, (server) => server),
        );
      }
    }
  }
  if (problems.length === 0) return;
  throw usage(problems, [], "Nothing was sent. One deployment is for one cluster: choose it with --deployment.");
}
