import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { S3Client } from "@aws-sdk/client-s3";

/** Where snapshots and the journal of rollbacks are kept. */
export interface StorageConfig {
  readonly bucket: string;
  /** Empty, or ends in `/`. */
  readonly prefix: string;
  readonly table: string;
}

/** The AWS clients that the storage works with. */
export interface Clients {
  readonly s3: S3Client;
  readonly dynamodb: DynamoDBClient;
}

/**
 * Makes clients with time-outs that leave room for a second and third attempt within an invocation. Region, credentials
 * and, where it is not given, the endpoint come from the environment.
 */
export function createClients(endpoint?: string): Clients {
  const emulated = endpoint ?? process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL;
  const common = { maxAttempts: 3, ...(endpoint === undefined ? {} : { endpoint }) };
  const timeouts = { connectionTimeout: 2_000, socketTimeout: 10_000, throwOnRequestTimeout: true };
  return {
    s3: new S3Client({
      ...common,
      requestHandler: { ...timeouts, requestTimeout: 10_000 },
      forcePathStyle: Boolean(emulated), // emulators do not answer to <bucket>.<host>
      responseChecksumValidation: "WHEN_REQUIRED", // a body is checked against the index
    }),
    dynamodb: new DynamoDBClient({ ...common, requestHandler: { ...timeouts, requestTimeout: 5_000 } }),
  };
}

let shared: Clients | undefined;

/** The clients of this process, made on first use: a warm invocation finds open connections. */
export function sharedClients(): Clients {
  shared ??= createClients();
  return shared;
}
