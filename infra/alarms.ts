import { Duration } from "aws-cdk-lib";
import type { RestApi } from "aws-cdk-lib/aws-apigateway";
import { Alarm, ComparisonOperator, type IMetric, TreatMissingData } from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { FilterPattern, type ILogGroup, MetricFilter } from "aws-cdk-lib/aws-logs";
import { Topic } from "aws-cdk-lib/aws-sns";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import type { Deployment } from "./config.ts";
import { metricOf, serviceName } from "./metrics.ts";
import type { OperationFunction } from "./operation-function.ts";
import type { CheckedSchedule } from "./snapshot-ages.ts";

/** What the alarms watch. */
export interface Watched {
  /** Functions whose time and throttles matter: they change something, or what they answer has no reader. */
  readonly functions: Readonly<Record<"snapshot" | "rollback" | "prune", OperationFunction>>;
  readonly api: RestApi;
  /** The API's access logs, if it has any: only they tell a throttled request from other ones that were refused. */
  readonly accessLogs: ILogGroup | undefined;
  /** Queues of requests that failed for good, by the kinds of their alarms. */
  readonly deadLetters: Readonly<Record<keyof typeof lost, IQueue>>;
  /** The schedules whose snapshots have a known age. */
  readonly schedules: readonly CheckedSchedule[];
}

/** One alarm: it rings above `above`. */
interface Definition {
  /** Its section in the runbook: `Alarm <kind>`. */
  readonly kind: string;
  /** Which one of its kind. */
  readonly of?: string;
  readonly metric: IMetric;
  /** 0 unless given. */
  readonly above?: number;
  /** Whether it rings without data, too. */
  readonly unlessMeasured?: boolean;
  /** After how many periods in a row; 1 unless given. */
  readonly periods?: number;
  readonly means: string;
}

/** What has failed for good, by the kinds of the alarms. */
const lost = {
  "snapshots-lost": "A scheduled snapshot failed after all retries, or could not be started.",
  "rollbacks-lost": "A rollback that was invoked asynchronously failed, was refused, or was never started.",
} as const;

const period = Duration.minutes(5);
const sum = { statistic: "Sum", period } as const;

/** How much of its time-out a function may use. */
const MOST_OF_TIMEOUT = 0.8;

/**
 * The alarms for the person on call. The description of each ends with a link to its section in the runbook. They notify the
 * topic when they begin and when they end; without a topic they only show.
 */
export class Alarms extends Construct {
  readonly all: readonly Alarm[];

  constructor(scope: Construct, id: string, watched: Watched, deployment: Deployment) {
    super(scope, id);
    const { topic_arn, runbook_url } = deployment.alarms;
    const action = topic_arn === undefined ? undefined : new SnsAction(Topic.fromTopicArn(this, "Topic", topic_arn));
    const definitions = [
      ...ofSnapshots(watched, deployment),
      ...ofOperations(watched, deployment),
      ...ofService(this, watched, deployment),
    ];
    this.all = definitions.map(({ kind, of, metric, above = 0, unlessMeasured = false, periods = 1, means }) => {
      const name = of === undefined ? kind : `${kind}-${of}`;
      const alarm = new Alarm(this, name, {
        alarmName: `${deployment.name_prefix}offset-${name}`,
        alarmDescription: `${means} Runbook: ${runbook_url}#alarm-${kind}`,
        metric,
        threshold: above,
        evaluationPeriods: periods,
        comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
        treatMissingData: unlessMeasured ? TreatMissingData.BREACHING : TreatMissingData.NOT_BREACHING,
      });
      if (action !== undefined) {
        alarm.addAlarmAction(action);
        alarm.addOkAction(action);
      }
      return alarm;
    });
  }
}

function ofSnapshots({ schedules }: Watched, deployment: Deployment): Definition[] {
  return [
    ...schedules.map(({ name, mostAge, checkedWithin }) => ({
      kind: "snapshot-missing",
      of: name,
      metric: metricOf(deployment, "SnapshotAge", { schedule: name }, { statistic: "Maximum", period: checkedWithin }),
      above: mostAge.toSeconds(),
      unlessMeasured: true,
      means:
        `Schedule ${name} has taken no complete snapshot with offsets for ${mostAge.toHumanString()}, twice the longest ` +
        "time between two of its runs; or their age is not known.",
    })),
    {
      kind: "snapshot-partial",
      metric: metricOf(deployment, "Snapshots", { status: "partial" }, sum),
      means: "A snapshot was taken that lacks groups, because allow_partial is set.",
    },
    {
      kind: "snapshot-failed",
      metric: metricOf(deployment, "FailedScheduledSnapshots", {}, sum),
      means: "A scheduled snapshot failed. It is retried twice within an hour.",
    },
  ];
}

function ofOperations({ functions }: Watched, deployment: Deployment): Definition[] {
  const timed = Object.entries(functions).flatMap(([verb, fn]): Definition[] => {
    const { timeout } = fn;
    if (timeout === undefined) throw new Error(`${verb} has no time-out`);
    return [
      {
        kind: "slow",
        of: verb,
        metric: fn.metricDuration({ statistic: "Maximum", period }),
        above: MOST_OF_TIMEOUT * timeout.toMilliseconds(),
        means: `offset-${verb} ran for more than ${100 * MOST_OF_TIMEOUT} % of its time-out of ${timeout.toSeconds()} s.`,
      },
      {
        kind: "throttled",
        of: verb,
        metric: fn.metricThrottles(sum),
        means: `Lambda did not start offset-${verb}: the concurrency of the account or of the function was used up.`,
      },
    ];
  });
  return [
    {
      kind: "rollback-unsuccessful",
      metric: metricOf(deployment, "UnsuccessfulRollbacks", {}, sum),
      means: "A rollback was refused, was interrupted, or did not reach all its targets.",
    },
    {
      kind: "faults",
      metric: metricOf(deployment, "Faults", {}, sum),
      means: "An operation failed for a reason that its caller cannot correct: Kafka, AWS, the deployment or a fault.",
    },
    ...timed,
    ...(deployment.retention === undefined
      ? []
      : [
          {
            kind: "prune-incomplete",
            metric: metricOf(deployment, "PruneLeft", {}, { statistic: "Maximum", period: Duration.days(1) }),
            unlessMeasured: true,
            periods: 2,
            means: "For two days prune has left deletions, or has not ended as a success.",
          },
        ]),
  ];
}

function ofService(scope: Construct, { api, accessLogs, deadLetters }: Watched, deployment: Deployment): Definition[] {
  const throttled =
    accessLogs &&
    new MetricFilter(scope, "ApiThrottled", {
      logGroup: accessLogs,
      filterPattern: FilterPattern.stringValue("$.status", "=", "429"),
      metricNamespace: `OffsetRollback/${serviceName(deployment)}`,
      metricName: "ApiThrottled",
    }).metric(sum);
  return [
    {
      kind: "api-5xx",
      metric: api.metricServerError(sum),
      means: "The API answered a request with a status of 500 or more.",
    },
    ...(throttled === undefined
      ? []
      : [
          {
            kind: "throttled",
            of: "api",
            metric: throttled,
            means: "The API refused requests that came too fast (429).",
          },
        ]),
    ...(["snapshots-lost", "rollbacks-lost"] as const).map((kind) => ({
      kind,
      metric: deadLetters[kind].metricApproximateNumberOfMessagesVisible({ period, statistic: "Maximum" }),
      means: `${lost[kind]} A message in the queue has the request and the error.`,
    })),
  ];
}
