import type { Deadline } from "../shared/core/deadline.ts";
import type { Commits, LiveState, Selection } from "../shared/core/model.ts";
import { withCluster } from "../shared/kafka/connection/access.ts";
import { capture } from "../shared/kafka/groups/capture.ts";
import type { KafkaSettings } from "../shared/lambda/config.ts";

/** Reads what is committed now by the groups that a selection picks. With this module, Kafka's client is loaded. */
export function readLive(
  kafka: KafkaSettings,
  selection: Selection,
  known: Commits,
  deadline: Deadline,
): Promise<LiveState> {
  return withCluster(kafka, deadline, (cluster) => capture(cluster, selection, known));
}
