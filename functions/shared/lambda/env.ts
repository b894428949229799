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
  /** `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, `OAUTHBEARER` or `AWS_MSK_IAM`; only with a SASL protocol. */
  saslMechanism: "KAFKA_SASL_MECHANISM",
  /**
   * ARN of the secret that the mechanism takes: `{"username", "password"}`, or for OAUTHBEARER `{"token_endpoint_url",
   * "client_id", "client_secret", "scope"?}`. AWS_MSK_IAM takes none.
   */
  secretArn: "KAFKA_SECRET_ARN",
  /**
   * ARN of the secret `{"ca"?, "certificate"?, "private_key"?, "passphrase"?}`, texts in PEM; only with a protocol that has
   * TLS. `ca` takes the place of the public authorities; certificate and key are the client's.
   */
  tlsSecretArn: "KAFKA_TLS_SECRET_ARN",
  /** Set by Lambda, not by the stack. */
  region: "AWS_REGION",
  /** How many connections to one broker there may be at a time, 1 to 128; without it, as many as suit the mechanism. */
  connectionsPerBroker: "KAFKA_CONNECTIONS_PER_BROKER",
  /** The deployment's name, `<name_prefix>offset-rollback`: what its metrics are counted by. Without it there are none. */
  deployment: "DEPLOYMENT_NAME",
  /** The bucket of the snapshots' bodies. */
  bucket: "SNAPSHOT_BUCKET",
  /** Prefix of every key in the bucket, empty or ending in `/`. */
  bucketPrefix: "SNAPSHOT_PREFIX",
  /** The table of the snapshots' index. */
  table: "SNAPSHOT_TABLE",
  /** Of how many hours ahead a scheduled snapshot says which of its offsets will be below the log start by then. */
  retentionRiskHours: "RETENTION_RISK_HOURS",
  /** What prune forgets, as JSON: `retention` of the deployment's config. Without it, no snapshot. */
  retention: "RETENTION",
} as const;

/**
 * The alias of every function that API Gateway alone may invoke. The qualifier of an invocation is the only proof that an event
 * came through the API: everyone who may invoke the function can send an event that looks like API Gateway's.
 */
export const apiAlias = "api";
