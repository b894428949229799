import { Duration } from "aws-cdk-lib";
import { Alarm, ComparisonOperator, type IMetric, TreatMissingData } from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { Topic } from "aws-cdk-lib/aws-sns";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import type { Deployment } from "./config.ts";
import type { OperationFunction } from "./operation-function.ts";

const period = Duration.minutes(5);

/** Alarms on failed snapshots, failed rollbacks and lost scheduled runs. */
export class Observability extends Construct {
  constructor(
    scope: Construct,
    id: string,
    functions: Readonly<Record<"snapshot" | "rollback", OperationFunction>>,
    failed: IQueue,
    { name_prefix, alarms }: Deployment,
  ) {
    super(scope, id);
    const topic = alarms.topic_arn === undefined ? undefined : Topic.fromTopicArn(this, "Topic", alarms.topic_arn);
    const alarm = (name: string, metric: IMetric, alarmDescription: string) => {
      const made = new Alarm(this, name, {
        alarmName: `${name_prefix}offset-${name}`,
        alarmDescription,
        metric,
        threshold: 1,
        evaluationPeriods: 1,
        comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treatMissingData: TreatMissingData.NOT_BREACHING,
      });
      if (topic !== undefined) made.addAlarmAction(new SnsAction(topic));
    };
    const errorsOf = (verb: keyof typeof functions) => functions[verb].metricErrors({ period, statistic: "Sum" });
    const lost = failed.metricApproximateNumberOfMessagesVisible({ period, statistic: "Maximum" });
    alarm("snapshot-errors", errorsOf("snapshot"), "A snapshot failed. Its log names the groups and the reasons.");
    alarm(
      "rollback-errors",
      errorsOf("rollback"),
      "A rollback was blocked or did not reach its targets. Its log names the groups and the safety snapshot.",
    );
    alarm(
      "snapshots-lost",
      lost,
      "A scheduled snapshot failed after all retries. The message in the queue contains the request and the error.",
    );
  }
}
