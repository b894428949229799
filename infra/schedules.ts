import { CfnResource, Duration, RemovalPolicy, Stack, TimeZone } from "aws-cdk-lib";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import {
  ContextAttribute,
  Schedule,
  ScheduleExpression,
  ScheduleGroup,
  ScheduleTargetInput,
} from "aws-cdk-lib/aws-scheduler";
import { LambdaInvoke } from "aws-cdk-lib/aws-scheduler-targets";
import { Construct } from "constructs";
import type { Deployment } from "./config.ts";
import { DeadLetters } from "./dead-letters.ts";
import type { OperationFunction } from "./operation-function.ts";

/** Scheduler's own retries end when Lambda has accepted the event; then the same apply there. */
const retries = { retryAttempts: 2, maxEventAge: Duration.hours(1) };

/** The schedules that take snapshots, and the queue for runs that failed after all retries. */
export class Schedules extends Construct {
  readonly failed: DeadLetters;

  constructor(scope: Construct, id: string, snapshot: OperationFunction, deployment: Deployment) {
    super(scope, id);
    const { name_prefix, schedules, kms_key_arn } = deployment;
    this.failed = new DeadLetters(this, "Failed", deployment);
    snapshot.keepFailed(this.failed, retries);

    const scheduleGroup = withPlainId(
      this,
      "Group",
      (id) =>
        new ScheduleGroup(this, id, {
          scheduleGroupName: `${name_prefix}offset-rollback`,
          removalPolicy: RemovalPolicy.DESTROY,
        }),
    );
    const role = new Role(this, "Role", {
      description: "Takes scheduled snapshots only",
      assumedBy: new ServicePrincipal("scheduler.amazonaws.com", {
        conditions: {
          StringEquals: {
            "aws:SourceAccount": Stack.of(this).account,
            "aws:SourceArn": scheduleGroup.scheduleGroupArn,
          },
        },
      }),
    });
    role.addToPolicy(new PolicyStatement({ actions: ["lambda:InvokeFunction"], resources: [snapshot.functionArn] }));
    role.addToPolicy(new PolicyStatement({ actions: ["sqs:SendMessage"], resources: [this.failed.queueArn] }));
    // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html: of who sends a message
    const ofSenders = ["kms:GenerateDataKey", "kms:Decrypt"];
    if (kms_key_arn !== undefined)
      role.addToPolicy(new PolicyStatement({ actions: ofSenders, resources: [kms_key_arn] }));

    for (const { name, expression, timezone = "UTC", enabled, ...request } of schedules) {
      const { executionId: execution_id, scheduledTime: scheduled_time } = ContextAttribute;
      const target = new LambdaInvoke(snapshot, {
        // Its own grant would be for every version and alias of the function.
        role: role.withoutPolicyUpdates(),
        input: ScheduleTargetInput.fromObject({ ...request, schedule: { name, execution_id, scheduled_time } }),
        ...retries,
        deadLetterQueue: this.failed,
      });
      const schedule = ScheduleExpression.expression(expression, TimeZone.of(timezone));
      withPlainId(
        this,
        `Schedule-${name}`,
        (id) => new Schedule(this, id, { scheduleName: name, scheduleGroup, schedule, enabled, target }),
      ).node.addDependency(role);
    }
  }
}

/**
 * Makes a construct whose resource has the logical id that it would have as a plain resource, as the schedules were before.
 * With another one, an update of the stack would create a second schedule of the same name, which CloudFormation refuses.
 */
function withPlainId<T extends Construct>(scope: Construct, id: string, make: (id: string) => T): T {
  const plain = new CfnResource(scope, id, { type: "never created" });
  const logicalId = Stack.of(scope).getLogicalId(plain);
  scope.node.tryRemoveChild(id);
  const made = make(id);
  const resource = made.node.defaultChild;
  if (!(resource instanceof CfnResource)) throw new Error(`${made.node.path} has no resource of its own`);
  resource.overrideLogicalId(logicalId);
  return made;
}
