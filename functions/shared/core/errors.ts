import type { Json } from "./json/json.ts";

/** What an HTTP answer carries beside the message of an error. */
export type Details = { readonly [key: string]: Json | undefined };

interface ErrorOptions {
  readonly details?: Details;
  readonly cause?: unknown;
}

/**
 * Base of every error that a caller may see. `name` is the Lambda `errorType`, and the message begins with it, because
 * some emulators and logs keep the message only. `details` is what an HTTP answer carries beside the message.
 */
export abstract class OperationError extends Error {
  /** Whether the same request may succeed later, without any change. */
  readonly retryable: boolean = false;
  readonly details: Details | undefined;

  constructor(name: string, message: string, options: ErrorOptions = {}) {
    super(`${name}: ${message}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = name;
    this.details = options.details;
  }
}

/** The request breaks the contract; `details.problems` lists every problem with the path of its field. */
export class InvalidRequest extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("InvalidRequest", message, options);
  }
}

/** No snapshot answers to the id, `latest` or time that was asked for. */
export class SnapshotNotFound extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("SnapshotNotFound", message, options);
  }
}

/** A group that was asked for by name does not exist: in the cluster (snapshot), or in the snapshot (all others). */
export class GroupNotFound extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("GroupNotFound", message, options);
  }
}

/** No rollback answers to the id that was asked for. */
export class RollbackNotFound extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("RollbackNotFound", message, options);
  }
}

/** Another rollback runs in this deployment; `details` has its id and age. Nothing was touched. */
export class RollbackInProgress extends OperationError {
  override readonly retryable = true;
  constructor(message: string, options?: ErrorOptions) {
    super("RollbackInProgress", message, options);
  }
}

/** The live state is not what the plan was made from; `details` is the plan as it would be now. Nothing was touched. */
export class PlanChanged extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("PlanChanged", message, options);
  }
}

/** A rollback was refused, and members of the groups are the only reason. Nothing was touched. */
export class GroupNotEmpty extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("GroupNotEmpty", message, options);
  }
}

/** The snapshot belongs to another cluster than the one it was to be compared with. */
export class ClusterMismatch extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("ClusterMismatch", message, options);
  }
}

/** The live state differs from the snapshot, and the caller asked for that to be a failure. */
export class VerificationMismatch extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("VerificationMismatch", message, options);
  }
}

/** A rollback was refused: `details.blockers` says why. Nothing was touched. */
export class RollbackBlocked extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("RollbackBlocked", message, options);
  }
}

/** A rollback ran and some groups do not stand at their targets: `details` is the result of the whole. */
export class RollbackIncomplete extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("RollbackIncomplete", message, options);
  }
}

/** The stored body of a snapshot is not what was written; the message names the first wrong place. */
export class SnapshotCorrupt extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("SnapshotCorrupt", message, options);
  }
}

/** The deployment is set up wrongly; `details.problems` lists everything that is. */
export class Configuration extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("Configuration", message, options);
  }
}

/** Kafka refused who logs in: a wrong password, token or client certificate, or a mechanism that the broker lacks. */
export class KafkaAuthentication extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("KafkaAuthentication", message, options);
  }
}

/** A broker's certificate cannot be trusted: it has expired, is of an unknown authority, or is for another host. */
export class KafkaCertificate extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("KafkaCertificate", message, options);
  }
}

/** The Kafka principal lacks a right. The message names the right and the resource. */
export class KafkaAuthorization extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("KafkaAuthorization", message, options);
  }
}

/** Kafka could not be reached, or did not give a usable answer in time. */
export class KafkaUnavailable extends OperationError {
  override readonly retryable = true;
  constructor(message: string, options?: ErrorOptions) {
    super("KafkaUnavailable", message, options);
  }
}

/** S3, DynamoDB or Secrets Manager failed or did not answer. */
export class StorageUnavailable extends OperationError {
  override readonly retryable = true;
  constructor(message: string, options?: ErrorOptions) {
    super("StorageUnavailable", message, options);
  }
}

/** The time of the invocation ended before the work did. */
export class DeadlineExceeded extends OperationError {
  override readonly retryable = true;
  constructor(message: string, options?: ErrorOptions) {
    super("DeadlineExceeded", message, options);
  }
}

/** Anything else: a fault of ours. The message tells callers nothing but where to look. */
export class InternalError extends OperationError {
  constructor(message: string, options?: ErrorOptions) {
    super("InternalError", message, options);
  }
}

const carried = {
  InvalidRequest,
  Configuration,
  KafkaAuthentication,
  KafkaCertificate,
  KafkaAuthorization,
  StorageUnavailable,
  DeadlineExceeded,
};

/** The error of a name that was carried as a value; of any other name, it is that Kafka could not be used. */
export function errorNamed(name: string, message: string, options?: ErrorOptions): OperationError {
  const Named = new Map(Object.entries(carried)).get(name) ?? KafkaUnavailable;
  return new Named(message, options);
}
