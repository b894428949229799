import { Metrics } from "@aws-lambda-powertools/metrics";
import { type Measurement, metrics, metricsNamespace } from "../core/metrics.ts";

/** What CloudWatch accepts as the value of a dimension. */
const isDimension = (value: string) => /^[!-~][ -~]{0,249}$/.test(value);

/**
 * Writes measurements of a deployment to the log in CloudWatch's embedded metric format: one line for each set of dimensions.
 * Those with a value of a dimension that CloudWatch does not accept are left out.
 */
export function writeMetrics(measurements: readonly Measurement[], deployment: string): void {
  const written = new Metrics({ namespace: metricsNamespace, serviceName: deployment });
  const usable = measurements.filter(({ by }) => Object.values(by).every(isDimension));
  for (const [, [first, ...others]] of Map.groupBy(usable, ({ by }) => JSON.stringify(by))) {
    if (first === undefined) continue;
    for (const [dimension, value] of Object.entries(first.by)) written.addDimension(dimension, value);
    for (const { name, value } of [first, ...others]) written.addMetric(name, metrics[name].unit, value);
    written.publishStoredMetrics();
  }
}
