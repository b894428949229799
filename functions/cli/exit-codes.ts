import type { ErrorName } from "../shared/core/error-names.ts";

/** How the program ends: done; failed, or a mismatch; a request that cannot be sent; refused, and nothing was changed. */
export const exit = { done: 0, failed: 1, usage: 2, refused: 3 } as const;
export type ExitCode = (typeof exit)[keyof typeof exit];

/** How the program ends with each error. What is refused has changed nothing, and the operation has decided so. */
const codes: Readonly<Record<ErrorName, ExitCode>> = {
  InvalidRequest: exit.usage,
  SnapshotNotFound: exit.failed,
  GroupNotFound: exit.failed,
  RollbackNotFound: exit.failed,
  GroupNotEmpty: exit.refused,
  ClusterMismatch: exit.refused,
  RollbackInProgress: exit.refused,
  VerificationMismatch: exit.failed,
  SnapshotHeld: exit.refused,
  PlanChanged: exit.refused,
  RollbackBlocked: exit.refused,
  SnapshotCorrupt: exit.failed,
  IndexIncomplete: exit.failed,
  JournalCorrupt: exit.failed,
  Configuration: exit.failed,
  InternalError: exit.failed,
  KafkaAuthentication: exit.failed,
  KafkaCertificate: exit.failed,
  KafkaAuthorization: exit.failed,
  RollbackIncomplete: exit.failed,
  KafkaUnavailable: exit.failed,
  StorageUnavailable: exit.failed,
  DeadlineExceeded: exit.failed,
};

/** Whether an error is one of the operations' own: others are Lambda's, such as a function that was killed. */
export const isErrorName = (name: string): name is ErrorName => Object.hasOwn(codes, name);

/** The exit code of an error; of one that is not the operations' own, `failed`. */
export const exitCodeOf = (name: string): ExitCode => (isErrorName(name) ? codes[name] : exit.failed);
