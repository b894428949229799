import { Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Schedule, ScheduleExpression, ScheduleGroup, ScheduleTargetInput } from "aws-cdk-lib/aws-scheduler";
import { Construct } from "constructs";
import { envNames } from "../functions/shared/lambda/env.ts";
import type { Deployment } from "./config.ts";
import type { OperationFunction } from "./operation-function.ts";

/** Calls prune once a day, with what the config says is forgotten. Without `retention` in the config nothing calls it. */
export class Pruning extends Construct {
  constructor(scope: Construct, id: string, prune: OperationFunction, { name_prefix, retention }: Deployment) {
    super(scope, id);
    if (retention === undefined) return;
    const { schedules, retired, ...others } = retention;
    prune.configure({ [envNames.retention]: JSON.stringify({ schedules: { ...schedules, ...retired }, ...others }) });
    const scheduleGroup = new ScheduleGroup(this, "Group", {
      scheduleGroupName: `${name_prefix}offset-rollback-prune`,
      removalPolicy: RemovalPolicy.DESTROY, // the L2 construct retains it by default
    });
    const role = new Role(this, "Role", {
      description: "Calls prune only",
      assumedBy: new ServicePrincipal("scheduler.amazonaws.com", {
        conditions: {
          StringEquals: {
            "aws:SourceAccount": Stack.of(this).account,
            "aws:SourceArn": scheduleGroup.scheduleGroupArn,
          },
        },
      }),
    });
    role.addToPolicy(new PolicyStatement({ actions: ["lambda:InvokeFunction"], resources: [prune.functionArn] }));
    const daily = new Schedule(this, "Daily", {
      scheduleName: "daily",
      scheduleGroup,
      description: "Deletes the snapshots that the retention of the config does not keep",
      schedule: ScheduleExpression.cron({ hour: "3", minute: "15" }),
      target: {
        bind: () => ({
          arn: prune.functionArn,
          role,
          input: ScheduleTargetInput.fromObject({}),
          retryPolicy: { maximumRetryAttempts: 2, maximumEventAgeInSeconds: Duration.hours(1).toSeconds() },
        }),
      },
    });
    daily.node.addDependency(role);
  }
}
