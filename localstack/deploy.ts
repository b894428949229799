import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { CloudDescriptor } from "./cloud.ts";
import type { KafkaDescriptor } from "./kafka.ts";
import { type Program, repository, run, type Say } from "./process.ts";

/** Where a deployed stack is: the contents of `.local/outputs.json`. */
export interface Outputs {
  /** The name of the stack. */
  readonly stack: string;
  /** The functions' names by what they do: `snapshot`, `list`, … */
  readonly functions: Readonly<Record<string, string>>;
  readonly api_url: string;
  readonly bucket: string;
  /** Where in it the snapshots are: `s3://bucket/prefix`. */
  readonly path: string;
  readonly table: string;
  readonly endpoint_url: string;
  /** As this machine reaches Kafka. */
  readonly bootstrap_servers: string;
  readonly region: string;
}

/** What to deploy, and where. */
export interface Deploy {
  readonly cloud: CloudDescriptor;
  /** The stack's name, two of which can stand in one cloud if their `name_prefix` differs. */
  readonly stackName: string;
  /** The deployment config of infra/config.ts; its `stack_name` is `stackName`. */
  readonly deployment: Readonly<Record<string, unknown>>;
  /** As this machine reaches Kafka, for the outputs. */
  readonly bootstrapServers: string;
  /** Takes the config, the synthesized template and the logs. */
  readonly stateDir: string;
  readonly say: Say;
}

const stackOutputs = z.object({
  ApiId: z.string(),
  ApiStage: z.string(),
  BucketName: z.string(),
  Path: z.string(),
  TableName: z.string(),
  FunctionNames: z.string().transform((json) => z.record(z.string(), z.string()).parse(JSON.parse(json))),
});

/** The deployment config for a Kafka of this machine, as the functions in a cloud reach it: no VPC, no schedule. */
export function localDeployment(kafka: KafkaDescriptor, cloud: CloudDescriptor): Record<string, unknown> {
  const servers = cloud.kind === "docker" ? kafka.containerBootstrapServers : kafka.bootstrapServers;
  return {
    name_prefix: "",
    cluster: {
      name: "local",
      bootstrap_servers: servers.split(","),
      security: { protocol: "PLAINTEXT" },
    },
    network: null,
    schedules: [],
    removal_policy: "destroy",
  };
}

/** Deploys the stack to a local cloud with `cdklocal`, bootstrapping that first where it has to be. */
export async function deploy(options: Deploy): Promise<Outputs> {
  const { cloud, stackName, stateDir, say } = options;
  const started = performance.now();
  const outputsFile = join(stateDir, "cdk-outputs.json");
  const template = join(stateDir, "cdk.out");
  say("Synthesizing the stack…");
  const synth = cdk(options, "synth", [stackName, "--quiet", "--output", template]);
  for (const step of await Promise.allSettled([synth, bootstrap(options)])) {
    if (step.status === "rejected") throw step.reason;
  }
  say(`Deploying the stack ${stackName} to ${cloud.endpointUrl}…`);
  const how = ["--require-approval", "never", "--outputs-file", outputsFile];
  await cdk(options, "deploy", [stackName, "--app", template, ...how]);
  const { ApiId, ApiStage, BucketName, Path, TableName, FunctionNames } = stackOutputs.parse(
    z.record(z.string(), z.unknown()).parse(JSON.parse(readFileSync(outputsFile, "utf8")))[stackName],
  );
  say(`Deployed (${((performance.now() - started) / 1000).toFixed(0)} s)`);
  return {
    stack: stackName,
    functions: FunctionNames,
    api_url: `${cloud.endpointUrl}/_aws/execute-api/${ApiId}/${ApiStage}`,
    bucket: BucketName,
    path: Path,
    table: TableName,
    endpoint_url: cloud.endpointUrl,
    bootstrap_servers: options.bootstrapServers,
    region: cloud.region,
  };
}

/** Removes a deployed stack again, from a cloud that goes on running. */
export async function destroy(options: Deploy): Promise<void> {
  options.say(`Removing the stack ${options.stackName} from ${options.cloud.endpointUrl}…`);
  await cdk(options, "destroy", [options.stackName, "--force", "--output", join(options.stateDir, "cdk.out")]);
}

async function bootstrap(options: Deploy): Promise<void> {
  if (await isBootstrapped(options.cloud)) return;
  options.say("Bootstrapping the local cloud for CDK…");
  await cdk(options, "bootstrap", [`aws://000000000000/${options.cloud.region}`]);
}

/** Whether the cloud has CDK's own stack. */
async function isBootstrapped({ endpointUrl, region }: CloudDescriptor): Promise<boolean> {
  const credential = `test/20260101/${region}/cloudformation/aws4_request`;
  const response = await fetch(endpointUrl, {
    method: "POST",
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host, Signature=0`,
    },
    body: "Action=DescribeStacks&Version=2010-05-15&StackName=CDKToolkit",
    signal: AbortSignal.timeout(90_000), // LocalStack loads a service at its first request
  });
  return /<StackStatus>(CREATE|UPDATE)_COMPLETE</.test(await response.text());
}

async function cdk(
  { cloud, stackName, deployment, stateDir, say }: Deploy,
  verb: string,
  args: string[],
): Promise<void> {
  const config = join(stateDir, "deployment.json");
  mkdirSync(stateDir, { recursive: true });
  writeFileSync(config, JSON.stringify({ ...deployment, stack_name: stackName }, null, 2));
  const bin = join(repository, "node_modules", ".bin");
  const { AWS_PROFILE: _profile, AWS_SESSION_TOKEN: _token, ...inherited } = process.env;
  const program: Program = {
    command: join(bin, "cdklocal"),
    args: [verb, "-c", `config=${config}`, "--no-notices", ...args],
    env: {
      ...inherited,
      ...cloud.environment,
      AWS_ENVAR_ALLOWLIST: Object.keys(cloud.environment).join(","),
      PATH: `${bin}:${process.env.PATH ?? ""}`,
      CDK_DISABLE_CLI_TELEMETRY: "true",
      CDK_DISABLE_VERSION_CHECK: "1",
    },
  };
  await run(program, join(stateDir, `cdk-${verb}.log`), 300_000, say);
}
