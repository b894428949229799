import { withCluster } from "../shared/kafka/connection/access.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import { kafkaOperation } from "../shared/operation.ts";
import { encodeDryRun, requireSeen } from "../shared/planning/dry-run.ts";
import { loadDestination, lookAt, withAllWarnings } from "../shared/planning/look.ts";
import type { DryRunResult } from "../shared/planning/schema.ts";
import { request } from "./schema.ts";

/** Plans a rollback that this function has no right to carry out. */
export const handler = kafkaOperation({
  name: "plan",
  request,
  async run(wanted, work): Promise<Encoded<DryRunResult>> {
    const destination = await loadDestination({ ...work, wanted });
    return withCluster(work.kafka, work.deadline, async (cluster) => {
      const planning = { wanted, cluster };
      const { plan } = await withAllWarnings(planning, destination, await lookAt(planning, destination));
      requireSeen(wanted, plan);
      return encodeDryRun(plan);
    });
  },
});
