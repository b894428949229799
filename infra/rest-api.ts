import { Duration, Validations } from "aws-cdk-lib";
import {
  AccessLogFormat,
  RestApi as Api,
  AuthorizationType,
  AwsIntegration,
  EndpointType,
  LogGroupLogDestination,
} from "aws-cdk-lib/aws-apigateway";
import { ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { Alias } from "aws-cdk-lib/aws-lambda";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { operations, type Verb, verbs } from "../functions/operations.ts";
import type { Deployment } from "./config.ts";
import { dataRemoval } from "./data-removal.ts";
import type { OperationFunction } from "./operation-function.ts";
import { logEncryption } from "./own-key.ts";

/** The REST API: every method requires an IAM signature and invokes one function. */
export class RestApi extends Construct {
  readonly api: Api;
  /** Where each request is logged, if the config enables that. */
  readonly accessLogs: LogGroup | undefined;

  constructor(
    scope: Construct,
    id: string,
    functions: Readonly<Partial<Record<Verb, OperationFunction>>>,
    deployment: Deployment,
  ) {
    super(scope, id);
    const { name_prefix, api, logs } = deployment;
    this.accessLogs = api.access_logs
      ? new LogGroup(this, "AccessLogs", {
          retention: logs.retention_days,
          removalPolicy: dataRemoval(deployment),
          ...logEncryption(this, "AccessLogsKey", deployment),
        })
      : undefined;
    this.api = new Api(this, "Api", {
      restApiName: `${name_prefix}offset-rollback`,
      description: "Snapshots and rollbacks of Kafka consumer group offsets",
      endpointConfiguration: { types: [EndpointType.REGIONAL] },
      defaultMethodOptions: { authorizationType: AuthorizationType.IAM },
      // One setting for the whole account and region: this stack neither creates nor removes it.
      cloudWatchRole: false,
      deployOptions: {
        stageName: "v1",
        // Enough for people and scripts: each request reads or writes a whole cluster.
        throttlingRateLimit: 10,
        throttlingBurstLimit: 20,
        ...(this.accessLogs && {
          accessLogDestination: new LogGroupLogDestination(this.accessLogs),
          accessLogFormat: AccessLogFormat.jsonWithStandardFields(),
        }),
      },
    });

    // The stack has its own output of the URL.
    this.api.node.tryRemoveChild("Endpoint");

    for (const verb of verbs) {
      const fn = functions[verb];
      if (fn === undefined) continue;
      for (const { method, path } of operations[verb].routes) {
        this.invoke(fn.apiAlias, method, path);
      }
    }

    const reasons = {
      APIG2: "The functions check requests against their schemas and name every problem.",
      APIG3: "Callers are IAM principals of the account; API Gateway rejects unsigned requests.",
      APIG6:
        "A function logs one line for each request that reaches it; api.access_logs has those that API Gateway refuses. Execution logs would repeat bodies, and require an account-wide role.",
      COG4: "Callers are runbooks and engineers with IAM roles, not users of a pool.",
      ...(!api.access_logs && {
        APIG1:
          "Requires an account-wide role that this stack does not create; api.access_logs uses the role if it exists.",
      }),
    };
    for (const [rule, reason] of Object.entries(reasons)) {
      Validations.of(this).acknowledge({ id: `AwsSolutions-${rule}`, reason });
    }
  }

  /**
   * Lets a method invoke an alias: its right is for this method of the deployed stage alone. CDK's LambdaIntegration would do the
   * same, but takes no alias where `exactOptionalPropertyTypes` is set.
   */
  private invoke(alias: Alias, method: string, path: string): void {
    const integration = new AwsIntegration({
      proxy: true,
      service: "lambda",
      path: `2015-03-31/functions/${alias.functionArn}/invocations`,
      options: { timeout: Duration.seconds(29) },
    });
    const scope = this.api.root.resourceForPath(path).addMethod(method, integration);
    const principal = new ServicePrincipal("apigateway.amazonaws.com");
    alias.addPermission("Invoke", { principal, scope, sourceArn: scope.methodArn });
  }
}
