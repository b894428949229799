import { Duration, Stack } from "aws-cdk-lib";
import {
  type Alarm,
  AlarmStatusWidget,
  Dashboard,
  GraphWidget,
  type IMetric,
  type IWidget,
  MathExpression,
  TextWidget,
} from "aws-cdk-lib/aws-cloudwatch";
import { Construct } from "constructs";
import { metricsNamespace } from "../functions/shared/core/metrics.ts";
import type { Watched } from "./alarms.ts";
import type { Deployment } from "./config.ts";
import { metricOf, serviceName } from "./metrics.ts";

const period = Duration.minutes(5);
const sum = { statistic: "Sum", period } as const;
const largest = { statistic: "Maximum", period } as const;

const [WHOLE, HALF, THIRD] = [24, 12, 8];

/** A dashboard for the person on call: which alarms ring, what happened to snapshots and rollbacks, and where to look next. */
export class OperationsDashboard extends Construct {
  constructor(scope: Construct, id: string, watched: Watched, alarms: readonly Alarm[], deployment: Deployment) {
    super(scope, id);
    new Dashboard(this, "Dashboard", {
      dashboardName: serviceName(deployment),
      defaultInterval: Duration.days(2),
      widgets: [
        [
          new TextWidget({ markdown: introduction(this, watched, deployment), width: HALF, height: 6 }),
          statusOf(alarms),
        ],
        rollbacksAndErrors(watched, deployment),
        ...deployment.schedules.flatMap(({ name }) => snapshotsOf(name, watched, deployment)),
      ],
    });
  }
}

const statusOf = (alarms: readonly Alarm[]) =>
  new AlarmStatusWidget({ title: "Alarms", alarms: [...alarms], width: HALF, height: 6 });

const graph = (title: string, width: number, left: readonly IMetric[]) =>
  new GraphWidget({ title, width, height: 6, left: [...left], leftYAxis: { min: 0 } });

/** What stands above the graphs: what to do first, with the functions' names, and links. */
function introduction(scope: Construct, { functions }: Watched, deployment: Deployment): string {
  const { region } = Stack.of(scope);
  const { name_prefix, cluster, alarms } = deployment;
  const console = `https://${region}.console.aws.amazon.com/cloudwatch/home?region=${region}`;
  const logsOf = (name: string) => `[${name}](${console}#logsV2:log-groups/log-group/$252Faws$252Flambda$252F${name})`;
  const runbook = alarms.runbook_url.startsWith("https://")
    ? `[The runbook](${alarms.runbook_url}#operate)`
    : `The runbook (\`${alarms.runbook_url}\`)`;
  return [
    `# Consumer group offsets of ${cluster.name}`,
    `${runbook} has a section for each alarm. Logs: ${Object.values(functions)
      .map(({ literalName }) => logsOf(literalName))
      .join(", ")}.`,
    "",
    "```",
    `aws lambda invoke --region ${region} --function-name ${name_prefix}offset-rollbacks /dev/stdout   # what was rolled back`,
    `aws lambda invoke --region ${region} --function-name ${name_prefix}offset-list /dev/stdout        # which snapshots there are`,
    "```",
    "A gap in a graph means that nothing was measured. It does not mean 0.",
  ].join("\n");
}

function rollbacksAndErrors({ functions, api, deadLetters }: Watched, deployment: Deployment): IWidget[] {
  const outcomes = ["success", "partial_success", "failed", "interrupted", "refused"];
  const errors = new MathExpression({
    expression: `SEARCH('{${metricsNamespace},service,error} MetricName="Errors" service="${serviceName(deployment)}"', 'Sum')`,
    usingMetrics: {},
    period,
    label: "",
  });
  return [
    graph(
      "Rollbacks by outcome",
      THIRD,
      outcomes.map((outcome) => metricOf(deployment, "Rollbacks", { outcome }, { ...sum, label: outcome })),
    ),
    graph("Errors by name", THIRD, [errors]),
    graph("Answers of the API", THIRD, [
      api.metricCount({ ...sum, label: "all requests" }),
      api.metricClientError({ ...sum, label: "4xx" }),
      api.metricServerError({ ...sum, label: "5xx" }),
    ]),
    graph(
      "Longest run",
      THIRD,
      Object.entries(functions).map(([verb, fn]) => fn.metricDuration({ ...largest, label: verb })),
    ),
    graph("Lambda: failed and throttled", THIRD, [
      ...Object.entries(functions).map(([verb, fn]) => fn.metricErrors({ ...sum, label: `${verb} failed` })),
      ...Object.entries(functions).map(([verb, fn]) => fn.metricThrottles({ ...sum, label: `${verb} throttled` })),
    ]),
    graph(
      "Dead letters",
      THIRD,
      Object.entries(deadLetters).map(([kind, queue]) =>
        queue.metricApproximateNumberOfMessagesVisible({ ...largest, label: kind }),
      ),
    ),
    ...(deployment.retention === undefined
      ? []
      : [
          graph("Prune", THIRD, [
            metricOf(deployment, "PrunedSnapshots", {}, { ...sum, label: "deleted" }),
            metricOf(deployment, "PruneLeft", {}, { ...largest, label: "left" }),
            metricOf(deployment, "PruneUnjudged", {}, { ...largest, label: "not judged" }),
          ]),
        ]),
  ];
}

/** What happened to the snapshots of a schedule. */
function snapshotsOf(schedule: string, { schedules }: Watched, deployment: Deployment): IWidget[][] {
  const metric = (name: Parameters<typeof metricOf>[1], label: string) =>
    metricOf(deployment, name, { schedule }, { ...largest, label });
  const taken = (status: string) => metricOf(deployment, "Snapshots", { schedule, status }, { ...sum, label: status });
  const checked = schedules.find(({ name }) => name === schedule);
  const age = new GraphWidget({
    title: `${schedule}: age of the newest complete snapshot (seconds)`,
    width: THIRD,
    height: 6,
    left: [metric("SnapshotAge", "age")],
    leftYAxis: { min: 0 },
    ...(checked && { leftAnnotations: [{ value: checked.mostAge.toSeconds(), label: "alarm" }] }),
  });
  return [
    [new TextWidget({ markdown: `## Schedule ${schedule}`, width: WHOLE, height: 1 })],
    [
      age,
      graph(`${schedule}: snapshots`, THIRD, [taken("complete"), taken("partial")]),
      graph(`${schedule}: size`, THIRD, [metric("SnapshotGroups", "groups"), metric("SnapshotOffsets", "offsets")]),
      graph(`${schedule}: total lag`, THIRD, [metric("Lag", "lag")]),
      graph(`${schedule}: retention risk (partitions)`, THIRD, [
        metric("PartitionsBelowLogStart", "below the log start"),
        metric("PartitionsAtRisk", "these and soon"),
        metric("PartitionsRiskUnknown", "not known"),
      ]),
      graph(`${schedule}: what may be missing`, THIRD, [
        metric("SnapshotWarnings", "warnings"),
        metric("SnapshotPending", "pending partitions"),
        metric("SnapshotUnlisted", "unlisted offsets partitions"),
      ]),
      graph(`${schedule}: duration (ms)`, THIRD, [metric("SnapshotDuration", "duration")]),
    ],
  ];
}
