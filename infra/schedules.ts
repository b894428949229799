import { Duration, Stack, Validations } from "aws-cdk-lib";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { SqsDestination } from "aws-cdk-lib/aws-lambda-destinations";
import { CfnSchedule, CfnScheduleGroup } from "aws-cdk-lib/aws-scheduler";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import type { Deployment } from "./config.ts";
import type { OperationFunction } from "./operation-function.ts";

/** The schedules that take snapshots, and the queue for runs that failed after all retries. */
export class Schedules extends Construct {
  readonly failed: Queue;

  constructor(scope: Construct, id: string, snapshot: OperationFunction, { name_prefix, schedules }: Deployment) {
    super(scope, id);
    this.failed = new Queue(this, "Failed", {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    Validations.of(this.failed).acknowledge({ id: "AwsSolutions-SQS3", reason: "It is the dead-letter queue." });

    // Scheduler's own retries end when Lambda has accepted the event; then these apply.
    snapshot.configureAsyncInvoke({
      retryAttempts: 2,
      maxEventAge: Duration.hours(1),
      onFailure: new SqsDestination(this.failed),
    });

    const group = new CfnScheduleGroup(this, "Group", { name: `${name_prefix}offset-rollback` });
    const role = new Role(this, "Role", {
      description: "Takes scheduled snapshots only",
      assumedBy: new ServicePrincipal("scheduler.amazonaws.com", {
        conditions: { StringEquals: { "aws:SourceAccount": Stack.of(this).account, "aws:SourceArn": group.attrArn } },
      }),
    });
    role.addToPolicy(new PolicyStatement({ actions: ["lambda:InvokeFunction"], resources: [snapshot.functionArn] }));
    role.addToPolicy(new PolicyStatement({ actions: ["sqs:SendMessage"], resources: [this.failed.queueArn] }));

    for (const { name, expression, timezone = "UTC", enabled, ...request } of schedules) {
      new CfnSchedule(this, `Schedule-${name}`, {
        name,
        groupName: group.ref,
        scheduleExpression: expression,
        scheduleExpressionTimezone: timezone,
        state: enabled ? "ENABLED" : "DISABLED",
        flexibleTimeWindow: { mode: "OFF" },
        target: {
          arn: snapshot.functionArn,
          roleArn: role.roleArn,
          // Scheduler replaces the values in angle brackets; the execution id identifies a repeated delivery.
          input: JSON.stringify({
            ...request,
            schedule: {
              name,
              execution_id: "<aws.scheduler.execution-id>",
              scheduled_time: "<aws.scheduler.scheduled-time>",
            },
          }),
          retryPolicy: { maximumRetryAttempts: 2, maximumEventAgeInSeconds: Duration.hours(1).toSeconds() },
          deadLetterConfig: { arn: this.failed.queueArn },
        },
      }).node.addDependency(role);
    }
  }
}
