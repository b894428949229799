/** Results as functions return them, and results full of hostile names. */
import fc from "fast-check";

const commit = (offset: number, leader_epoch = 4, metadata = "") => ({ offset, metadata, leader_epoch });

const snapshot_id = "snapshot-2025-01-15T10:30:00Z";

export const dryRun = {
  dry_run: true,
  totals: {
    groups: 3,
    partitions: 3,
    replayed: null,
    skipped: 3,
    actions: { rewind: 2, create: 1, delete: 0 },
    blockers: { group_not_empty: 1, topic_missing: 1, below_log_start: 0 },
  },
  snapshot_id,
  plan_digest: "b5a2c96250612366ea272ffac6d9744aaf4b45aacd96aa7cfcb931ee3b558259",
  blockers: [
    {
      kind: "group_not_empty",
      group: "orders-streams",
      actual: 2,
      message: "orders-streams has 2 active members (state Stable): stop them, or send wait_for_empty_seconds.",
    },
    { kind: "topic_missing", group: "billing", topic: "payments", partition: 0, message: "The topic does not exist." },
  ],
  left_out: [],
  skipped: [],
  warnings: [
    "Consumers that assign partitions themselves are never members: Kafka cannot report whether they are running.",
  ],
  groups: {
    billing: {
      type: null,
      state: null,
      replayed: 0,
      skipped: 3,
      partitions: {
        "payments-0": { action: "fast_forward", from: commit(25, 3), to: commit(28, 4, "m"), replayed: 0, skipped: 3 },
      },
    },
    empty: { type: "classic", state: "Empty", replayed: 0, skipped: 0, partitions: {} },
    "orders-streams": {
      type: "classic",
      state: "Stable",
      replayed: null,
      skipped: 0,
      partitions: {
        "orders-10": { action: "rewind", from: commit(25), to: commit(17), replayed: 8, skipped: 0 },
        "orders-2": { action: "create", from: null, to: commit(17), replayed: null, skipped: null },
      },
    },
  },
  extra: [],
};

export const partlyRolledBack = {
  rollback_id: "rollback-2025-01-15T11:00:00Z-1f0c9a2b",
  status: "partial_success",
  snapshot_id,
  left_out: [],
  skipped: [],
  warnings: [],
  extra: [],
  safety_snapshot_id: "snapshot-2025-01-15T11:00:00Z",
  groups_rolled_back: 1,
  groups_failed: 1,
  groups_skipped: 0,
  offsets_restored: 1,
  offsets_deleted: 0,
  groups: {
    a: { status: "success", partitions: { "orders-0": { outcome: "restored", from: commit(25), to: commit(17) } } },
    b: {
      status: "failed",
      error: "Kafka rejected the commit: GROUP_AUTHORIZATION_FAILED",
      partitions: {
        "orders-0": { outcome: "failed", from: commit(25), to: commit(17), actual: commit(25) },
        "orders-1": { outcome: "not_attempted", from: commit(30), to: commit(17), actual: commit(30) },
      },
    },
  },
  duration_ms: 412,
};

export const listed = {
  snapshots: [
    {
      snapshot_id: "snapshot-2025-01-15T10:45:00Z",
      created_at: "2025-01-15T10:45:00Z",
      description: "Before the deployment of the new pricing service, ticket OPS-1234",
      status: "complete",
      groups: 12,
      offsets: 340,
      trigger: "invoke",
    },
    {
      snapshot_id: "snapshot-2025-01-15T10:30:00Z",
      created_at: "2025-01-15T10:30:00Z",
      description: "",
      status: "partial",
      groups: 11,
      offsets: 338,
      trigger: "schedule",
      schedule: "hourly",
      labels: { env: "prod", status: "failed, twice" },
      held: true,
      expires_at: "2025-02-14T10:30:00Z",
    },
  ],
  warnings: [],
};

export const history = {
  snapshots: [
    { snapshot_id: "snapshot-2025-01-15T10:15:00Z", created_at: "2025-01-15T10:15:00Z" },
    { snapshot_id: "snapshot-2025-01-15T10:30:00Z", created_at: "2025-01-15T10:30:00Z" },
  ],
  groups: {
    g: {
      status: "ERR",
      partitions: {
        "orders-1": {
          points: [
            [0, 10, 20],
            [1, 16, 25],
          ],
          per_second: 0.006,
          lag: 9,
          lag_seconds: null,
          lag_seconds_error: null,
          status: "STOP",
          events: [{ kind: "stopped", after: "10:15", before: "10:30", from: commit(16), to: commit(16) }],
        },
        "orders-0": {
          points: [[1, 16, null]],
          per_second: 0,
          lag: null,
          lag_seconds: null,
          lag_seconds_error: null,
          status: "UNKNOWN",
          events: [],
        },
      },
    },
  },
  warnings: [],
};

/** Names that look alike, are wide, or do something to a terminal, and others. */
export const names = fc.oneof(
  fc.string({
    unit: fc.constantFrom(
      "a",
      "-",
      "=",
      '"',
      "\\",
      " ",
      "\n",
      "\u001B[31m",
      "\u202E",
      "群",
      "👨‍👩‍👧",
      "e\u0301",
      "é",
      "0",
      "\u0000",
    ),
  }),
  fc.string({ unit: "binary" }),
  fc.integer({ min: 1, max: 249 }).map((length) => `${"x".repeat(length)}-same-end`),
  fc.constantFrom("__proto__", "constructor", "42", "none"),
);

const offsets = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
const commits = fc.option(
  fc.record({ offset: offsets, metadata: names, leader_epoch: fc.nat() }, { requiredKeys: ["offset", "metadata"] }),
);
const topicPartitions = fc.tuple(names, fc.nat({ max: 12 })).map(([topic, partition]) => `t${topic}-${partition}`);
const mapOf = <T>(keys: fc.Arbitrary<string>, values: fc.Arbitrary<T>) =>
  fc.array(fc.tuple(keys, values), { maxLength: 4 }).map((entries) => new Map(entries));

/** Results in the form of a rollback's, with any names and figures. */
export const results = fc.record({
  status: fc.constantFrom("success", "failed"),
  description: names,
  warnings: fc.array(names, { maxLength: 2 }),
  errors: fc.array(fc.record({ group: names, error: names, message: names }), { maxLength: 2 }),
  groups: mapOf(
    names,
    fc.record({
      state: fc.option(names),
      partitions: mapOf(
        topicPartitions,
        fc.record({ outcome: fc.constantFrom("restored", "failed"), from: commits, to: commits, error: names }),
      ),
    }),
  ),
  extra: fc.array(fc.record({ group: names, topic: names, partition: fc.nat(), commit: commits }), { maxLength: 2 }),
});
