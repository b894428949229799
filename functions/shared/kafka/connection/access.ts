import type { Deadline } from "../../core/deadline.ts";
import { type Cluster, connectCluster } from "./cluster.ts";
import { type CredentialSettings, credentialSource } from "./credentials.ts";
import type { KafkaSecurity } from "./security.ts";

/** How to reach a cluster, with the ARNs of the credentials' secrets. */
export interface KafkaAccess extends CredentialSettings {
  readonly clusterName: string;
  readonly bootstrapServers: readonly string[];
  readonly protocol: KafkaSecurity["protocol"];
  /** The number of connections to one broker at a time; by default 32, and 4 with AWS_MSK_IAM. */
  readonly connectionsPerBroker?: number | undefined;
}

/** MSK limits new IAM connections per broker: 100 per second, 4 on the smallest brokers. */
const CONNECTIONS_WITH_IAM = 4;

/**
 * Does some work with a cluster and closes every connection at its end. Lambda freezes the function between invocations
 * and brokers drop idle connections, so none is kept.
 *
 * @throws KafkaUnavailable if no broker answers, KafkaAuthentication and KafkaCertificate if one side rejects the
 * other, Configuration and StorageUnavailable for the credentials
 */
export async function withCluster<T>(
  access: KafkaAccess,
  deadline: Deadline,
  work: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const { clusterName, bootstrapServers, protocol, sasl } = access;
  const defaultLimit = sasl?.mechanism === "AWS_MSK_IAM" ? CONNECTIONS_WITH_IAM : undefined;
  const credentials = credentialSource(access, deadline);
  await credentials(); // fails before any connection is opened
  const cluster = await connectCluster(
    {
      clusterName,
      bootstrapServers,
      security: { protocol, credentials },
      connectionsPerBroker: access.connectionsPerBroker ?? defaultLimit,
    },
    deadline,
  );
  try {
    return await work(cluster);
  } finally {
    cluster.close();
  }
}
