/** The error codes that this program handles, by Kafka's names. */
export const errorCodes = {
  NONE: 0,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  OFFSET_METADATA_TOO_LARGE: 12,
  COORDINATOR_LOAD_IN_PROGRESS: 14,
  COORDINATOR_NOT_AVAILABLE: 15,
  NOT_COORDINATOR: 16,
  INVALID_TOPIC_EXCEPTION: 17,
  ILLEGAL_GENERATION: 22,
  UNKNOWN_MEMBER_ID: 25,
  REBALANCE_IN_PROGRESS: 27,
  TOPIC_AUTHORIZATION_FAILED: 29,
  GROUP_AUTHORIZATION_FAILED: 30,
  CLUSTER_AUTHORIZATION_FAILED: 31,
  UNSUPPORTED_VERSION: 35,
  NON_EMPTY_GROUP: 68,
  GROUP_ID_NOT_FOUND: 69,
  GROUP_SUBSCRIBED_TO_TOPIC: 86,
  UNSTABLE_OFFSET_COMMIT: 88,
  STALE_MEMBER_EPOCH: 113,
} as const;

const names: ReadonlyMap<number, string> = new Map([
  ...Object.entries(errorCodes).map(([name, code]) => [code, name] as const),
  [-1, "UNKNOWN_SERVER_ERROR"],
  [5, "LEADER_NOT_AVAILABLE"],
  [6, "NOT_LEADER_OR_FOLLOWER"],
  [7, "REQUEST_TIMED_OUT"],
  [8, "BROKER_NOT_AVAILABLE"],
  [9, "REPLICA_NOT_AVAILABLE"],
  [10, "MESSAGE_TOO_LARGE"],
  [13, "NETWORK_EXCEPTION"],
  [19, "NOT_ENOUGH_REPLICAS"],
  [20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND"],
  [24, "INVALID_GROUP_ID"],
  [28, "INVALID_COMMIT_OFFSET_SIZE"],
  [42, "INVALID_REQUEST"],
  [43, "UNSUPPORTED_FOR_MESSAGE_FORMAT"],
  [44, "POLICY_VIOLATION"],
  [54, "SECURITY_DISABLED"],
  [56, "KAFKA_STORAGE_ERROR"],
  [58, "SASL_AUTHENTICATION_FAILED"],
  [72, "LISTENER_NOT_FOUND"],
  [74, "FENCED_LEADER_EPOCH"],
  [75, "UNKNOWN_LEADER_EPOCH"],
  [78, "OFFSET_NOT_AVAILABLE"],
  [79, "MEMBER_ID_REQUIRED"],
  [82, "FENCED_INSTANCE_ID"],
  [89, "THROTTLING_QUOTA_EXCEEDED"],
  [100, "UNKNOWN_TOPIC_ID"],
  [110, "FENCED_MEMBER_EPOCH"],
]);

/** Kafka's name of an error code; `ERROR_<code>` for one that is not in the list. */
export function errorCodeName(code: number): string {
  return names.get(code) ?? `ERROR_${code}`;
}

/** `16 NOT_COORDINATOR`, for messages. */
export function errorCodeText(code: number): string {
  return `${code} ${errorCodeName(code)}`;
}

/** Codes of states that end by themselves: loading, election, a move, a slow or outdated broker. */
const transient: ReadonlySet<number> = new Set([5, 6, 7, 8, 9, 13, 14, 15, 16, 19, 20, 56, 72, 74, 75, 78, 89]);

/** Whether a retry at the current coordinator or leader is expected to succeed. */
export function isTransient(code: number): boolean {
  return transient.has(code);
}
