import { principalNeeds } from "../../core/rights.ts";
import { failureOfCode, failureOfException, type Problem, type Settled, unavailable } from "../calls/problems.ts";
import type { Cluster } from "../connection/cluster.ts";
import { errorCodes } from "../wire/codes.ts";
import { describeBrokerConfigs } from "../wire/configs.ts";

const SETTING = "offsets.retention.minutes";
const LIMIT_MS = 3_000;

/**
 * How many minutes a broker keeps the offsets of an empty group, from one request to one broker: all brokers should have the
 * same setting. A problem if it cannot be read, as without DESCRIBE_CONFIGS on the cluster. Throws internal errors only.
 */
export async function readOffsetsRetention(cluster: Cluster): Promise<Settled<number>> {
  const failed = (problem: Problem) => ({ failed: problem });
  const [node] = cluster.nodes;
  if (node === undefined) return failed(unavailable("no broker is known"));
  try {
    const { code, values } = await cluster.send(node, describeBrokerConfigs, { node, names: [SETTING] }, LIMIT_MS);
    if (code === errorCodes.CLUSTER_AUTHORIZATION_FAILED) {
      return failed({ error: "KafkaAuthorization", message: principalNeeds("DESCRIBE_CONFIGS on the cluster") });
    }
    const minutes = Number(values.get(SETTING) ?? Number.NaN);
    if (code === errorCodes.NONE && Number.isInteger(minutes)) return { done: minutes };
    const failure = failureOfCode(code, { doing: `read ${SETTING}` });
    return failed("failed" in failure ? failure.failed : failure.again);
  } catch (error) {
    const failure = failureOfException(error);
    return failed("failed" in failure ? failure.failed : failure.again);
  }
}
