import type { Deadline } from "../../core/deadline.ts";
import { type Cluster, connectCluster, type KafkaConfig } from "./cluster.ts";
import { type CredentialSettings, credentialSource } from "./credentials.ts";
import type { KafkaSecurity } from "./security.ts";

/** How to reach a cluster, with the ARNs of the credentials' secrets. With AWS_MSK_IAM, `connectionsPerBroker` is 4 by default. */
export interface KafkaAccess extends CredentialSettings, Omit<KafkaConfig, "security"> {
  readonly protocol: KafkaSecurity["protocol"];
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
  const { protocol, sasl, tls, ...where } = access;
  const credentials = credentialSource({ sasl, tls }, deadline);
  await credentials(); // fails before any connection is opened
  if (sasl?.mechanism === "AWS_MSK_IAM") where.connectionsPerBroker ??= CONNECTIONS_WITH_IAM;
  const cluster = await connectCluster({ ...where, security: { protocol, credentials } }, deadline);
  try {
    return await work(cluster);
  } finally {
    cluster.close();
  }
}
