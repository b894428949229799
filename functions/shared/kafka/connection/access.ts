import type { Deadline } from "../../core/deadline.ts";
import { type Cluster, connectCluster } from "./cluster.ts";
import { type CredentialSettings, credentialSource } from "./credentials.ts";
import type { KafkaSecurity } from "./security.ts";

/** How to reach a cluster; the credentials are still in their secrets. */
export interface KafkaAccess extends CredentialSettings {
  readonly clusterName: string;
  readonly bootstrapServers: readonly string[];
  readonly protocol: KafkaSecurity["protocol"];
  /** How many connections to one broker there may be at a time; where it does not say, 32, and 4 with AWS_MSK_IAM. */
  readonly connectionsPerBroker?: number | undefined;
}

/** MSK limits how many connections are made with IAM: 100 a second and broker, 4 on the smallest ones. */
const CONNECTIONS_WITH_IAM = 4;

/**
 * Does some work with a cluster, and closes every connection when it ends: Lambda freezes the function between
 * invocations, and brokers drop what is silent, so no connection is kept for a next one.
 *
 * @throws KafkaUnavailable when no broker answers, KafkaAuthentication and KafkaCertificate where one of the sides is not
 * trusted, Configuration and StorageUnavailable for the credentials
 */
export async function withCluster<T>(
  access: KafkaAccess,
  deadline: Deadline,
  work: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const { clusterName, bootstrapServers, protocol, sasl } = access;
  const modest = sasl?.mechanism === "AWS_MSK_IAM" ? CONNECTIONS_WITH_IAM : undefined;
  const credentials = credentialSource(access, deadline);
  await credentials(); // so that no broker is bothered without them
  const cluster = await connectCluster(
    {
      clusterName,
      bootstrapServers,
      security: { protocol, credentials },
      connectionsPerBroker: access.connectionsPerBroker ?? modest,
    },
    deadline,
  );
  try {
    return await work(cluster);
  } finally {
    cluster.close();
  }
}
