import type { Duration } from "aws-cdk-lib";
import { Metric } from "aws-cdk-lib/aws-cloudwatch";
import { type Measurement, type MetricName, metrics, metricsNamespace } from "../functions/shared/core/metrics.ts";
import type { Deployment } from "./config.ts";

/** What the metrics of a deployment are counted by: their dimension `service`. */
export const serviceName = ({ name_prefix }: Pick<Deployment, "name_prefix">) => `${name_prefix}offset-rollback`;

/** A metric that the functions of a deployment write, by one of its sets of dimensions. Throws for any other set. */
export function metricOf(
  deployment: Deployment,
  name: MetricName,
  by: Measurement["by"],
  {
    statistic,
    period,
    label,
  }: { readonly statistic: "Sum" | "Maximum"; readonly period: Duration; readonly label?: string },
): Metric {
  const sets: readonly (readonly string[])[] = metrics[name].by;
  const keys = Object.keys(by);
  if (!sets.some((set) => set.length === keys.length && set.every((key) => keys.includes(key)))) {
    throw new Error(`${name} is not counted by ${keys.join(" and ") || "the deployment alone"}`);
  }
  return new Metric({
    namespace: metricsNamespace,
    metricName: name,
    dimensionsMap: { service: serviceName(deployment), ...by },
    statistic,
    period,
    ...(label !== undefined && { label }),
  });
}
