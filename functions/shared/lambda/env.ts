/**
 * The names of the environment variables that configure a function: the one place where they stand. The stack sets
 * them, `config.ts` reads them.
 */
export const envNames = {
  /** Comma-separated `host:port` list. */
  bootstrapServers: "KAFKA_BOOTSTRAP_SERVERS",
  /** The cluster's name in documents and messages. */
  clusterName: "KAFKA_CLUSTER_NAME",
  /** `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`. */
  securityProtocol: "KAFKA_SECURITY_PROTOCOL",
  /** `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`; only with a SASL protocol. */
  saslMechanism: "KAFKA_SASL_MECHANISM",
  /** ARN of the Secrets Manager secret `{"username", "password"}`; only with a SASL protocol. */
  secretArn: "KAFKA_SECRET_ARN",
  /** The bucket of the snapshots' bodies. */
  bucket: "SNAPSHOT_BUCKET",
  /** Prefix of every key in the bucket, empty or ending in `/`. */
  bucketPrefix: "SNAPSHOT_PREFIX",
  /** The table of the snapshots' index. */
  table: "SNAPSHOT_TABLE",
} as const;
