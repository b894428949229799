import { basename, dirname, extname, join } from "node:path";
import { AssetHashType, DockerImage, Duration, RemovalPolicy, Validations } from "aws-cdk-lib";
import { type Conditions, Effect, PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import {
  Alias,
  Architecture,
  Code,
  type EventInvokeConfigOptions,
  Function as LambdaFunction,
  LoggingFormat,
  Runtime,
} from "aws-cdk-lib/aws-lambda";
import { SqsDestination } from "aws-cdk-lib/aws-lambda-destinations";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { buildSync, type Metafile } from "esbuild";
import type { Verb } from "../functions/operations.ts";
import { apiAlias, envNames } from "../functions/shared/lambda/env.ts";
import type { Deployment } from "./config.ts";
import { dataRemoval } from "./data-removal.ts";
import { serviceName } from "./metrics.ts";
import { logEncryption } from "./own-key.ts";

/** Memory of functions that read or write whole documents: one vCPU, and enough for the largest that can be stored. */
const documentMemory = 1769;

interface Limits {
  readonly seconds: number;
  /** In MB. */
  readonly memory: number;
  /** Whether its log is part of the audit, and is kept like the data. */
  readonly audited?: true;
}

/**
 * The limits of each operation. Kafka readers have time for ten thousand groups on slow brokers, a rollback the most
 * that Lambda allows. The others answer from the archive within API Gateway's 29 seconds.
 */
const limits: Readonly<Record<Verb, Limits>> = {
  snapshot: { seconds: 300, memory: documentMemory },
  list: { seconds: 30, memory: 512 },
  show: { seconds: 30, memory: documentMemory },
  diff: { seconds: 300, memory: documentMemory },
  verify: { seconds: 300, memory: documentMemory },
  plan: { seconds: 300, memory: documentMemory },
  rollback: { seconds: 900, memory: documentMemory, audited: true },
  rollbacks: { seconds: 30, memory: documentMemory },
  // A thousand bodies; over HTTP an answer comes within 29 s all the same.
  history: { seconds: 60, memory: documentMemory },
  delete: { seconds: 30, memory: 512, audited: true },
  hold: { seconds: 30, memory: 512, audited: true },
  import: { seconds: 300, memory: documentMemory },
  reindex: { seconds: 900, memory: documentMemory },
  prune: { seconds: 900, memory: documentMemory, audited: true },
};

/** The heap's fraction of a function's memory; buffers and the code are outside the heap. */
const HEAP = 0.8;

/**
 * Node's options in a function: a limit of the heap, because a larger heap is collected later, and a small space for
 * new objects, as a large one saves no time. Together they save a third of the memory of a snapshot of 10,000 groups.
 *
 * @param memory of the function, in MB, if not the operation's own
 */
export function nodeOptions(verb: Verb, memory: number = limits[verb].memory): readonly string[] {
  return ["--enable-source-maps", "--max-semi-space-size=8", `--max-old-space-size=${Math.floor(memory * HEAP)}`];
}

const root = join(import.meta.dirname, "..");

/**
 * Builds a module and its imports as ES modules, including the AWS SDK: so the tested versions run, and local clouds
 * have no SDK. Dynamic imports (the log-in to MSK, the client of Secrets Manager, Kafka's client in diff) are separate
 * files beside `outfile`, which a cold start does not read. esbuild is called directly because `NodejsFunction` starts
 * it through npx, which doubles the time of a synth. Returns what esbuild knows of the files.
 */
export function buildModule(entry: string, outfile: string): Metafile {
  const { metafile } = buildSync({
    metafile: true,
    entryPoints: [{ in: entry, out: basename(outfile, extname(outfile)) }],
    outdir: dirname(outfile),
    outExtension: { ".js": extname(outfile) },
    splitting: true,
    absWorkingDir: root,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    // ES modules first, for better tree shaking.
    mainFields: ["module", "main"],
    // Its CommonJS code would wrap all AWS clients, which then load slower even if it is not used.
    alias: { "aws-msk-iam-sasl-signer-js": "aws-msk-iam-sasl-signer-js/src/index.ts" },
    // Names of functions and classes too: errors have theirs as text, and stacks use the source maps.
    minify: true,
    sourcemap: true,
    sourcesContent: false,
    // CommonJS packages such as kafkajs call `require`, which an ES module lacks.
    banner: {
      js: 'import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);',
    },
    logLevel: "warning",
  });
  return metafile;
}

/** Builds an operation's handler. */
export function buildHandler(verb: Verb, outfile: string): Metafile {
  return buildModule(join(root, "functions", verb, "handler.ts"), outfile);
}

/** The asset's path must differ by verb: CDK distinguishes bundles by it. */
const bundle = (verb: Verb) =>
  Code.fromAsset(join(root, "functions", verb), {
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      image: DockerImage.fromRegistry("never-pulled"),
      local: {
        tryBundle(outputDirectory) {
          buildHandler(verb, join(outputDirectory, "index.mjs"));
          return true;
        },
      },
    },
  });

/**
 * Asynchronous invocations: Lambda retries none, and starts none that has waited for longer. A rollback that begins minutes
 * after it was asked for would surprise; snapshots are idempotent, see `Schedules`.
 */
const once = { retryAttempts: 0, maxEventAge: Duration.seconds(60) };

/** The operations of which asynchronous requests that failed are kept: see `keepFailed`. */
const keepsFailed: ReadonlySet<Verb> = new Set(["snapshot", "rollback"]);

/** One operation as a Lambda function, with the settings that all of them share. */
export class OperationFunction extends LambdaFunction {
  /** The function's name as text; `functionName` is a token. */
  readonly literalName: string;
  /** The role of this function alone. */
  readonly executionRole: Role;
  /** What API Gateway invokes, and nobody else may: see `apiAlias`. It is the same code as the function. */
  readonly apiAlias: Alias;

  constructor(scope: Construct, verb: Verb, deployment: Deployment) {
    const functionName = `${deployment.name_prefix}offset-${verb}`;
    const logGroup = new LogGroup(scope, `${verb}-logs`, {
      logGroupName: `/aws/lambda/${functionName}`,
      retention: deployment.logs.retention_days,
      removalPolicy: limits[verb].audited ? dataRemoval(deployment) : RemovalPolicy.DESTROY,
      ...logEncryption(scope, `${verb}-logs-key`, deployment),
    });
    const role = new Role(scope, `${verb}-role`, { assumedBy: new ServicePrincipal("lambda.amazonaws.com") });
    super(scope, verb, {
      functionName,
      description: `Kafka offset rollback: ${verb}`,
      code: bundle(verb),
      handler: "index.handler",
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      timeout: Duration.seconds(limits[verb].seconds),
      memorySize: limits[verb].memory,
      environment: {
        NODE_OPTIONS: nodeOptions(verb).join(" "),
        [envNames.deployment]: serviceName(deployment),
      },
      role,
      logGroup,
      loggingFormat: LoggingFormat.JSON,
      ...(keepsFailed.has(verb) ? {} : once),
    });
    this.literalName = functionName;
    this.executionRole = role;
    this.apiAlias = new Alias(this, apiAlias, { aliasName: apiAlias, version: this.latestVersion });
    this.allow(["logs:CreateLogStream", "logs:PutLogEvents"], logGroup.logGroupArn);
  }

  /** Denies `actions` to the function's code, whatever its role allows: only Lambda itself then uses them. */
  denyToCode(actions: readonly string[]): void {
    // Lambda adds this key to the requests of a function's code, and to none of those for its network interfaces:
    // https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
    const conditions = { Null: { "lambda:SourceFunctionArn": "false" } };
    this.addToRolePolicy(
      new PolicyStatement({ effect: Effect.DENY, actions: [...actions], resources: ["*"], conditions }),
    );
  }

  /** Allows the function `actions` on a resource. */
  allow(actions: readonly string[], resource: string, conditions: Conditions = {}): void {
    this.addToRolePolicy(new PolicyStatement({ actions: [...actions], resources: [resource], conditions }));
  }

  /** Puts asynchronous requests that failed for good into a queue. */
  keepFailed(queue: IQueue, retries: Pick<EventInvokeConfigOptions, "retryAttempts" | "maxEventAge"> = once): void {
    this.configureAsyncInvoke({ ...retries, onFailure: new SqsDestination(queue) });
    // An alias has a configuration of its own.
    this.apiAlias.configureAsyncInvoke({ ...retries, onFailure: new SqsDestination(queue) });
    if (queue.encryptionMasterKey === undefined) return;
    Validations.of(this.executionRole).acknowledge(
      ...["GenerateDataKey", "ReEncrypt"].map((action) => ({
        id: `AwsSolutions-IAM5[Action::kms:${action}*]`,
        reason: "CDK grants the variants of the action together: they are for one key.",
      })),
    );
  }

  /** Sets environment variables. */
  configure(variables: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(variables)) this.addEnvironment(name, value);
  }
}
