import { Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Schedule, ScheduleExpression, ScheduleGroup, ScheduleTargetInput } from "aws-cdk-lib/aws-scheduler";
import { Construct } from "constructs";
import { longestGap } from "../functions/shared/core/longest-gap.ts";
import type { Deployment } from "./config.ts";
import type { OperationFunction } from "./operation-function.ts";

/** A schedule whose newest complete snapshot has a known age. */
export interface CheckedSchedule {
  readonly name: string;
  /** The age that is too much. */
  readonly mostAge: Duration;
  /** How long an age is valid: three checks. */
  readonly checkedWithin: Duration;
}

/** Schedules that run at least this often are checked every five minutes, the others every hour. */
const OFTEN = Duration.hours(1);

/**
 * Regular checks of how old the newest complete snapshot of each schedule is: lists of these snapshots, which write it as the
 * metric `SnapshotAge`. An alarm cannot count the snapshots instead: CloudWatch evaluates seven days at most, and would not
 * see a weekly schedule twice. Every schedule of the config is checked, also one that is not enabled, except those that run once.
 */
export class SnapshotAges extends Construct {
  readonly schedules: readonly CheckedSchedule[];

  constructor(scope: Construct, id: string, list: OperationFunction, { name_prefix, schedules }: Deployment) {
    super(scope, id);
    const recurring = schedules.flatMap(({ name, expression }) => {
      const gap = longestGap(expression);
      return gap === undefined ? [] : [{ name, gap: Duration.seconds(gap) }];
    });
    const intervalOf = (gap: Duration) => (gap.toSeconds() <= OFTEN.toSeconds() ? Duration.minutes(5) : OFTEN);
    this.schedules = recurring.map(({ name, gap }) => ({
      name,
      mostAge: Duration.seconds(2 * gap.toSeconds()),
      checkedWithin: Duration.seconds(3 * intervalOf(gap).toSeconds()),
    }));
    if (recurring.length === 0) return;

    const scheduleGroup = new ScheduleGroup(this, "Group", {
      scheduleGroupName: `${name_prefix}offset-rollback-checks`,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new Role(this, "Role", {
      description: "Lists snapshots only",
      assumedBy: new ServicePrincipal("scheduler.amazonaws.com", {
        conditions: {
          StringEquals: {
            "aws:SourceAccount": Stack.of(this).account,
            "aws:SourceArn": scheduleGroup.scheduleGroupArn,
          },
        },
      }),
    });
    role.addToPolicy(new PolicyStatement({ actions: ["lambda:InvokeFunction"], resources: [list.functionArn] }));
    for (const { name, gap } of recurring) {
      const input = ScheduleTargetInput.fromObject({ schedule: name, status: "complete" });
      const retryPolicy = { maximumRetryAttempts: 0, maximumEventAgeInSeconds: 60 };
      const check = new Schedule(this, name, {
        scheduleName: `age-of-${name}`,
        scheduleGroup,
        description: `Measures how old the newest complete snapshot of schedule ${name} is`,
        schedule: ScheduleExpression.rate(intervalOf(gap)),
        target: { bind: () => ({ arn: list.functionArn, role, input, retryPolicy }) },
      });
      check.node.addDependency(role);
    }
  }
}
