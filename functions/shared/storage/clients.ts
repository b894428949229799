import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { S3Client } from "@aws-sdk/client-s3";
import type { Bodies } from "./bodies.ts";

/** Where snapshots and the journal of rollbacks are kept. */
export interface StorageConfig {
  readonly bucket: string;
  /** Empty, or ends in `/`. */
  readonly prefix: string;
  readonly table: string;
}

/** The AWS clients that the storage works with. */
export interface Clients {
  readonly dynamodb: DynamoDBClient;
  /** The client of S3, which is loaded on first use: a third of a cold start, and lists do without it. */
  s3(): Promise<S3Client>;
}

/**
 * Makes clients with time-outs that leave room for a second and third attempt within an invocation. Region, credentials
 * and, where it is not given, the endpoint come from the environment.
 */
export function createClients(endpoint?: string): Clients {
  const emulated = endpoint ?? process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL;
  const common = { maxAttempts: 3, ...(endpoint === undefined ? {} : { endpoint }) };
  const timeouts = { connectionTimeout: 2_000, socketTimeout: 10_000, throwOnRequestTimeout: true };
  const createS3 = async () => {
    const { S3Client } = await import("@aws-sdk/client-s3");
    return new S3Client({
      ...common,
      requestHandler: { ...timeouts, requestTimeout: 10_000 },
      forcePathStyle: Boolean(emulated), // emulators do not answer to <bucket>.<host>
      // A body is sent with its SHA-256 and checked against the index. A link has no header for a checksum.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    });
  };
  const dynamodb = new DynamoDBClient({ ...common, requestHandler: { ...timeouts, requestTimeout: 5_000 } });
  return { dynamodb, s3: onFirstUse(createS3) };
}

/** The bodies of a deployment; with them, the client of S3 is loaded on first use. */
export function lazyBodies({ bucket, prefix }: StorageConfig, clients: Clients): () => Promise<Bodies> {
  return onFirstUse(async () => (await import("./bodies.ts")).createBodies(await clients.s3(), bucket, prefix));
}

/** The clients of this process, made on first use: a warm invocation finds open connections. */
export const sharedClients = onFirstUse(() => createClients());

function onFirstUse<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
