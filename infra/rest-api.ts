import { Duration, Validations } from "aws-cdk-lib";
import {
  AccessLogFormat,
  RestApi as Api,
  AuthorizationType,
  AwsIntegration,
  CfnModel,
  EndpointType,
  LogGroupLogDestination,
  type Method,
  Model,
  PassthroughBehavior,
  ResponseType,
} from "aws-cdk-lib/aws-apigateway";
import { ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { Alias } from "aws-cdk-lib/aws-lambda";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { z } from "zod";
import type { ZodMiniType } from "zod/mini";
import { operations, type Verb, verbs } from "../functions/operations.ts";
import type { Deployment } from "./config.ts";
import { dataRemoval } from "./data-removal.ts";
import type { OperationFunction } from "./operation-function.ts";
import { logEncryption } from "./own-key.ts";

const badBody =
  "InvalidRequest: the body is not a request of this path. Nothing was changed. Compare it with openapi.json. To have every " +
  "problem named, send its fields to POST /snapshots/{snapshot_id}/plan, without rollback_id and snapshot_id.";

/**
 * The event of a request that runs later, as a template. The id is kept for the answer, which has no other way to it: a response
 * template has the request's parameters, not its body.
 */
const laterEvent = (method: string, path: string) =>
  [
    "#set($context.requestOverride.path.rollback_id = $util.escapeJavaScript($input.path('$.rollback_id')))",
    `{"httpMethod":"${method}","resource":"${path}","path":"${path}",`,
    '"requestContext":{"requestId":"$context.requestId",',
    '"identity":{"userArn":"$util.escapeJavaScript($context.identity.userArn)"}},',
    '"isBase64Encoded":true,"body":"$util.base64Encode($input.body)"}',
  ].join("\n");

/** The answer to it. The model allows nothing in an id that would have to be escaped. */
const accepted =
  `#set($id = $context.requestOverride.path.rollback_id)\n` +
  '{"rollback_id":"$id","status_url":"https://$context.domainName$context.path/$id","request_id":"$context.requestId"}';

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
        throttlingRateLimit: api.throttling.rate,
        throttlingBurstLimit: api.throttling.burst,
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
      for (const { method, path, later } of operations[verb].routes) {
        if (later === undefined) this.invoke(fn.apiAlias, method, path);
        else this.invokeLater(fn.apiAlias, method, path, later);
      }
    }

    this.answerErrorsLikeFunctions();

    const reasons = {
      APIG2:
        "The functions check requests against their schemas and name every problem; API Gateway checks those that run later.",
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
    this.allow(alias, this.api.root.resourceForPath(path).addMethod(method, integration));
  }

  private allow(alias: Alias, scope: Method): void {
    const principal = new ServicePrincipal("apigateway.amazonaws.com");
    alias.addPermission("Invoke", { principal, scope, sourceArn: scope.methodArn });
  }

  /**
   * Lets a method invoke an alias asynchronously, and answers 202. The function gets an event in the form of a proxy integration.
   * It has the body as it came, in base64, never as a part of the JSON: nothing in a body can change another field. Before that, API
   * Gateway checks the body with a model: a body of another content type has no model, so it is refused.
   */
  private invokeLater(alias: Alias, method: string, path: string, request: ZodMiniType): void {
    const integration = new AwsIntegration({
      proxy: false,
      service: "lambda",
      path: `2015-03-31/functions/${alias.functionArn}/invocations`,
      options: {
        timeout: Duration.seconds(29),
        passthroughBehavior: PassthroughBehavior.NEVER,
        requestParameters: { "integration.request.header.X-Amz-Invocation-Type": "'Event'" },
        requestTemplates: { "application/json": laterEvent(method, path) },
        integrationResponses: [{ statusCode: "202", responseTemplates: { "application/json": accepted } }],
      },
    });
    const scope = this.api.root.resourceForPath(path).addMethod(method, integration, {
      requestModels: { "application/json": this.model(request) },
      requestValidator: this.api.addRequestValidator("BodyValidator", { validateRequestBody: true }),
      methodResponses: [{ statusCode: "202", responseModels: { "application/json": Model.EMPTY_MODEL } }],
    });
    this.allow(alias, scope);
  }

  /** A request's schema as a model of API Gateway, which knows draft 4 of JSON Schema. */
  private model(request: ZodMiniType): Model {
    const schema = z.toJSONSchema(request, {
      io: "input",
      target: "draft-4",
      unrepresentable: "any",
      // Descriptions are for people, and formats are unknown to API Gateway.
      override: ({ jsonSchema }) => {
        for (const key of ["description", "format"]) Reflect.deleteProperty(jsonSchema, key);
      },
    });
    const model = this.api.addModel("Later", { modelName: "Later", schema: {} });
    if (model.node.defaultChild instanceof CfnModel) model.node.defaultChild.schema = schema;
    this.api.latestDeployment?.addToLogicalId({ schema });
    return model;
  }

  /** Gives what API Gateway refuses by itself the form of the functions' errors. Its templates have variables only. */
  private answerErrorsLikeFunctions(): void {
    const answer = (type: ResponseType, error: string, message: string) =>
      this.api.addGatewayResponse(type.responseType, {
        type,
        templates: {
          "application/json": `{"error":${error},"message":${message},"details":null,"request_id":"$context.requestId"}`,
        },
      });
    for (const type of [ResponseType.DEFAULT_4XX, ResponseType.DEFAULT_5XX]) {
      answer(type, '"$context.error.responseType"', "$context.error.messageString");
    }
    answer(ResponseType.BAD_REQUEST_BODY, '"InvalidRequest"', JSON.stringify(badBody));
  }
}
