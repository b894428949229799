import { Duration, RemovalPolicy, Validations } from "aws-cdk-lib";
import {
  AccessLogFormat,
  RestApi as Api,
  AuthorizationType,
  EndpointType,
  LambdaIntegration,
  LogGroupLogDestination,
} from "aws-cdk-lib/aws-apigateway";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { operations, type Verb, verbs } from "../functions/operations.ts";
import type { Deployment } from "./config.ts";
import type { OperationFunction } from "./operation-function.ts";

/** The REST API: every method requires an IAM signature and invokes one function. */
export class RestApi extends Construct {
  readonly api: Api;

  constructor(
    scope: Construct,
    id: string,
    functions: Readonly<Record<Verb, OperationFunction>>,
    { name_prefix, api, logs }: Deployment,
  ) {
    super(scope, id);
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
        ...(api.access_logs && {
          accessLogDestination: new LogGroupLogDestination(
            new LogGroup(this, "AccessLogs", { retention: logs.retention_days, removalPolicy: RemovalPolicy.DESTROY }),
          ),
          accessLogFormat: AccessLogFormat.jsonWithStandardFields(),
        }),
      },
    });

    // The stack has its own output of the URL.
    this.api.node.tryRemoveChild("Endpoint");

    for (const verb of verbs) {
      for (const { method, path } of operations[verb].documentation.routes) {
        const answering = new LambdaIntegration(functions[verb], {
          timeout: Duration.seconds(29),
          allowTestInvoke: false,
        });
        this.api.root.resourceForPath(path).addMethod(method, answering);
      }
    }

    Validations.of(this).acknowledge(
      {
        id: "AwsSolutions-APIG2",
        reason: "The functions check requests against their schemas and name every problem.",
      },
      {
        id: "AwsSolutions-APIG3",
        reason: "Callers are IAM principals of the account; API Gateway rejects unsigned requests.",
      },
      {
        id: "AwsSolutions-APIG6",
        reason: "The functions log every request; execution logs would repeat bodies and require an account-wide role.",
      },
      { id: "AwsSolutions-COG4", reason: "Callers are runbooks and engineers with IAM roles, not users of a pool." },
    );
    if (!api.access_logs) {
      Validations.of(this).acknowledge({
        id: "AwsSolutions-APIG1",
        reason:
          "Requires an account-wide role that this stack does not create; api.access_logs uses the role if it exists.",
      });
    }
  }
}
