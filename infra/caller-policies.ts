import { Stack, Validations } from "aws-cdk-lib";
import type { RestApi } from "aws-cdk-lib/aws-apigateway";
import { ManagedPolicy, PolicyStatement } from "aws-cdk-lib/aws-iam";
import { Construct } from "constructs";
import { type Level, levelOf, levels, operations, type Verb, verbs } from "../functions/operations.ts";
import type { OperationFunction } from "./operation-function.ts";

/** The verbs that a level may call: its own, and those of the levels before it. */
const verbsOf = (level: Level) => verbs.filter((verb) => levels.indexOf(levelOf[verb]) <= levels.indexOf(level));

/** An ARN with references as cdk-nag writes it. */
const shown = (arn: { readonly "Fn::Join": readonly [string, readonly (string | { readonly Ref: string })[]] }) =>
  arn["Fn::Join"][1].map((part) => (typeof part === "string" ? part : `<${part.Ref}>`)).join("");

/**
 * Managed policies for the people and programs that call the operations, directly and through the API. They name functions and
 * no alias: the API alone may invoke that one.
 */
export class CallerPolicies extends Construct {
  /** By level. */
  readonly arns: Readonly<Record<Level, string>>;

  constructor(
    scope: Construct,
    id: string,
    functions: Readonly<Partial<Record<Verb, OperationFunction>>>,
    api: RestApi,
  ) {
    super(scope, id);
    const methodArn = ({ method, path }: { readonly method: string; readonly path: string }) =>
      api.arnForExecuteApi(method, path.replaceAll(/\{\w+\}/g, "*"), api.deploymentStage.stageName);
    const arnOf = (level: Level) => {
      const allowed = verbsOf(level).flatMap((verb) => {
        const fn = functions[verb];
        return fn === undefined ? [] : { fn, routes: operations[verb].routes };
      });
      const policy = new ManagedPolicy(this, level, {
        description: `May call, of ${Stack.of(this).stackName}: ${verbsOf(level).join(", ")}`,
        statements: [
          new PolicyStatement({
            actions: ["lambda:InvokeFunction"],
            resources: allowed.map(({ fn }) => fn.functionArn),
          }),
          new PolicyStatement({
            actions: ["execute-api:Invoke"],
            resources: allowed.flatMap(({ routes }) => routes.map(methodArn)),
          }),
          // The command line finds the functions by the stack's outputs.
          new PolicyStatement({ actions: ["cloudformation:DescribeStacks"], resources: [Stack.of(this).stackId] }),
        ],
      });
      return policy.managedPolicyArn;
    };
    const paths = verbs.flatMap((verb) => operations[verb].routes).filter(({ path }) => path.includes("{"));
    Validations.of(this).acknowledge(
      ...paths.map((route) => ({
        id: `AwsSolutions-IAM5[Resource::${shown(Stack.of(this).resolve(methodArn(route)))}]`,
        reason: "The parameter of a path is the id of any snapshot or rollback, or the name of any group.",
      })),
    );
    this.arns = { viewer: arnOf("viewer"), operator: arnOf("operator"), administrator: arnOf("administrator") };
  }
}
