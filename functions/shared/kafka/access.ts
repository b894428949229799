import type { Deadline } from "../core/deadline.ts";
import { type Cluster, connectCluster } from "./cluster.ts";
import type { KafkaSecurity } from "./connection.ts";
import { readCredentials } from "./credentials.ts";

/** How to reach a cluster; the credentials are still in their secret. */
export interface KafkaAccess {
  readonly clusterName: string;
  readonly bootstrapServers: readonly string[];
  readonly protocol: KafkaSecurity["protocol"];
  readonly sasl:
    | { readonly mechanism: NonNullable<KafkaSecurity["sasl"]>["mechanism"]; readonly secretArn: string }
    | undefined;
}

/**
 * Does some work with a cluster, and closes every connection when it ends: Lambda freezes the function between
 * invocations, and brokers drop what is silent, so no connection is kept for a next one.
 *
 * @throws KafkaUnavailable when no broker answers, Configuration and StorageUnavailable for the credentials
 */
export async function withCluster<T>(
  { clusterName, bootstrapServers, protocol, sasl }: KafkaAccess,
  deadline: Deadline,
  work: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const credentials = sasl && { mechanism: sasl.mechanism, ...(await readCredentials(sasl.secretArn, deadline)) };
  const security = { protocol, ...(credentials && { sasl: credentials }) };
  const cluster = await connectCluster({ clusterName, bootstrapServers, security }, deadline);
  try {
    return await work(cluster);
  } finally {
    cluster.close();
  }
}
