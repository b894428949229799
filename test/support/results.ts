import { changesDocument, diffCommits } from "../../functions/shared/core/diff.ts";
import { encodeJson, parseJson } from "../../functions/shared/core/json/json.ts";

/*
 * Results as functions answer them, for reports. They are text, and read with `parseJson`, as the command line does.
 */

const commit = (offset: bigint, metadata = "") => ({ offset, metadata, leader_epoch: 4 });

const group = (state: string, members = 0) => ({
  type: "classic",
  state,
  members,
  protocol_type: "consumer",
  protocol: null,
  as_of: "2025-01-15T10:29:59Z",
});

const log = (start: bigint | null, end: bigint | null) => ({
  log_start_offset: start,
  log_end_offset: end,
  leader_epoch: 4,
});

/** Names that try to be markup, to be invisible, or to change the direction of what follows. */
export const hostileNames = [
  "</script><script>document.title='owned'</script>",
  '"><img src=x onerror="document.title=\'owned\'">',
  "'onmouseover='document.title=`owned`",
  "<!--<script>",
  "a\u2028b\u2029c",
  "admin\u202Etxt.exe",
  "\u0000\u0007\u001B[31m",
  "zero\u200Bwidth",
  " leading and  double ",
  "\uD800",
  "__proto__",
  "42",
  "{{constructor.constructor('document.title=1')()}}",
  "مجموعة",
];

/** A partial snapshot: hostile names, large offsets, commits outside of the log, and what is unknown. */
export const snapshot = {
  snapshot_id: "snapshot-2025-01-15T10:30:00Z",
  description: "Before the deploy of the payment service",
  created_at: "2025-01-15T10:30:00Z",
  consumer_groups: new Map<string, { partitions: Map<string, ReturnType<typeof commit>> }>([
    [
      "orders-streams",
      {
        partitions: new Map([
          ["orders-0", commit(17n)],
          ["orders-1", commit(9007199254740993n, "checkpoint=12;owner=ana")],
          ["orders-2", commit(1200n)],
          ["orders-10", commit(5n)],
          ["payments-0", commit(100n)],
        ]),
      },
    ],
    ["billing", { partitions: new Map([["payments-0", commit(180n)]]) }],
    ["idle", { partitions: new Map() }],
    ...hostileNames.map((name) => [name, { partitions: new Map([["orders-0", commit(20n, name)]]) }] as const),
  ]),
  schema_version: 5,
  status: "partial",
  labels: new Map([["env", "production"]]),
  held: true,
  errors: [
    {
      group: "audit",
      error: "KafkaAuthorization",
      message: 'Group "audit": the principal User:snapshots lacks DESCRIBE on it.',
    },
  ],
  warnings: [
    'Group "orders-streams" has a pending transactional commit on payments-0: the commit before it was taken.',
  ],
  trigger: "invoke",
  selection: { groups: ["*"], exclude: ["test-*"] },
  cluster: { name: "production", cluster_id: "J8nYqPTRQ_aSCnyF5E6a8w" },
  observed: {
    groups: new Map<string, object>([
      ["orders-streams", { ...group("Stable", 3), pending: ["payments-0"] }],
      ["billing", { ...group("Empty"), negative: new Map([["payments-1", -1001n]]) }],
      ["idle", { ...group("Empty"), state: null, members: null }],
    ]),
    topics: new Map([
      [
        "orders",
        {
          topic_id: "5f0sQ1rWQNqmnnDxDZx7nA",
          partitions: new Map([
            ["0", log(0n, 25n)],
            ["1", log(9007199254740000n, 9007199254741993n)],
            ["2", log(0n, 1000n)],
            ["10", log(8n, 90n)],
          ]),
        },
      ],
      ["payments", { topic_id: null, partitions: new Map([["0", log(null, null)]]) }],
    ]),
  },
};

const before = new Map([
  ["orders-streams", new Map([17n, 400n, 12n].map((offset, n) => [`orders-${n}`, { offset, metadata: "" }]))],
  ["billing", new Map([["payments-0", { offset: 9007199254740993n, metadata: "a" }]])],
]);
const after = new Map([
  ["orders-streams", new Map([25n, 100n].map((offset, n) => [`orders-${n}`, { offset, metadata: "" }]))],
  [
    "billing",
    new Map([
      ["payments-0", { offset: 9007199254740993n, metadata: "b" }],
      ["payments-1", { offset: 7n, metadata: "" }],
    ]),
  ],
]);
const { summary, groups: changed } = diffCommits(before, after);

export const diff = {
  from: "snapshot-2025-01-15T10:30:00Z",
  to: "live",
  summary,
  consumer_groups: changesDocument.encode(changed),
  warnings: ['Only one side was asked for "audit": not compared.'],
};

const planned = (
  action: string,
  from: bigint | null,
  to: bigint | null,
  replayed: bigint | null,
  skipped: bigint | null,
) => ({
  action,
  from: from === null ? null : commit(from),
  to: to === null ? null : commit(to),
  replayed,
  skipped,
});

/** A dry run with blockers, an unknown range, and a commit that the snapshot lacks. */
export const dryRun = {
  dry_run: true,
  snapshot_id: "snapshot-2025-01-15T10:30:00Z",
  left_out: [],
  skipped: [],
  warnings: ['Group "orders-streams" looks like Kafka Streams: its state stores do not move with the offsets.'],
  extra: [
    {
      group: "orders-streams",
      topic: "orders",
      partition: 4,
      commit: commit(90n),
      uncommitted: {
        acknowledged: 40n,
        delete: { replayed: 90n, skipped: null },
        log_start: { to: 0n, replayed: 90n },
        snapshot_end: { to: 50n, replayed: 40n },
      },
    },
  ],
  plan_digest: "b5a2c96250612366ea272ffac6d9744aaf4b45aacd96aa7cfcb931ee3b558259",
  totals: {
    groups: 2,
    partitions: 5,
    replayed: null,
    skipped: 30n,
    actions: { rewind: 2, fast_forward: 1, unchanged: 1, metadata: 0, create: 0, delete: 0, skip: 1 },
    blockers: { group_not_empty: 1, below_log_start: 1, not_captured: 1 },
  },
  blockers: [
    {
      kind: "group_not_empty",
      group: "billing",
      message:
        'Group "billing" has 2 active members; Kafka rejects other writers. Stop its consumers, or set wait_for_empty_seconds.',
    },
    {
      kind: "below_log_start",
      group: "orders-streams",
      topic: "orders",
      partition: 2,
      expected: 12n,
      actual: 40n,
      message: 'Group "orders-streams", orders-2: offset 12 is below the log start 40. Set out_of_range.',
    },
    { kind: "not_captured", group: "audit", message: 'Group "audit" was not captured by the snapshot.' },
  ],
  groups: new Map<string, object>([
    [
      "orders-streams",
      {
        type: "classic",
        state: "Empty",
        replayed: 308n,
        skipped: 0n,
        partitions: new Map<string, object>([
          ["orders-0", planned("rewind", 25n, 17n, 8n, 0n)],
          ["orders-1", planned("rewind", 400n, 100n, 300n, 0n)],
          ["orders-2", { ...planned("skip", 80n, 80n, 0n, 0n), asked: commit(12n) }],
          ["orders-3", planned("unchanged", 5n, 5n, 0n, 0n)],
        ]),
      },
    ],
    [
      "billing",
      {
        type: "consumer",
        state: "Stable",
        replayed: null,
        skipped: 30n,
        partitions: new Map([["payments-0", planned("fast_forward", 9007199254740993n, 9007199254741023n, null, 30n)]]),
      },
    ],
  ]),
};

const outcome = (word: string, from: bigint, to: bigint | null, more: object = {}) => ({
  outcome: word,
  from: commit(from),
  to: to === null ? null : commit(to),
  ...more,
});

/** A rollback of which a part failed. */
export const rollback = {
  rollback_id: "rollback-2025-01-15T11:00:00Z-1f0c9a2b",
  status: "partial_success",
  snapshot_id: "snapshot-2025-01-15T10:30:00Z",
  left_out: [],
  skipped: [],
  warnings: [],
  extra: [],
  safety_snapshot_id: "snapshot-2025-01-15T11:00:00Z",
  groups_rolled_back: 1,
  groups_failed: 2,
  groups_skipped: 0,
  offsets_restored: 2,
  offsets_deleted: 1,
  groups: new Map<string, object>([
    [
      "orders-streams",
      {
        status: "success",
        partitions: new Map([
          ["orders-0", outcome("restored", 25n, 17n)],
          ["orders-1", outcome("deleted", 400n, null)],
        ]),
      },
    ],
    [
      "billing",
      {
        status: "partial_success",
        partitions: new Map([
          ["payments-0", outcome("restored", 200n, 180n)],
          ["payments-1", outcome("moved_since", 300n, 250n, { actual: commit(260n) })],
        ]),
        error: "payments-1: another client committed offset 260 after the rollback.",
      },
    ],
    [
      "audit",
      {
        status: "failed",
        partitions: new Map([
          ["audit-0", outcome("failed", 9n, 3n, { in_doubt: true, error: "KafkaUnavailable: no answer within 5 s." })],
          ["audit-1", outcome("not_attempted", 9n, 4n)],
        ]),
        error: "KafkaUnavailable: the coordinator did not answer within 5 s.",
      },
    ],
  ]),
  verification: {
    verified: false,
    checked: 6,
    mismatches: [
      {
        group: "billing",
        topic: "payments",
        partition: 1,
        kind: "offset",
        expected: commit(250n),
        actual: commit(260n),
      },
    ],
  },
  duration_ms: 6210,
};

const minute = (n: number) => new Date(Date.UTC(2025, 0, 15, 8, 0) + n * 900_000).toISOString().replace(".000Z", "Z");
const idAt = (n: number) => `snapshot-${minute(n)}`;
const times = Array.from({ length: 40 }, (_, n) => n);

/** Forty snapshots: a partition that goes on, one that stopped, and one that was rewound. */
export const history = {
  snapshots: times.map((n) => ({ snapshot_id: idAt(n), created_at: minute(n) })),
  groups: new Map<string, object>([
    [
      "orders-streams",
      {
        status: "ERR",
        partitions: new Map<string, object>([
          [
            "orders-0",
            {
              points: times.map((n) => [n, BigInt(n) * 900n, BigInt(n) * 900n + BigInt((n * 37) % 50)]),
              per_second: 1.0,
              lag: 43,
              lag_seconds: 43.2,
              lag_seconds_error: 2,
              status: "OK",
              events: [],
            },
          ],
          [
            "orders-1",
            {
              points: times.map((n) => [n, BigInt(Math.min(n, 20)) * 800n + 16n, BigInt(n) * 800n + 40n]),
              per_second: 0,
              lag: 15224,
              lag_seconds: null,
              lag_seconds_error: null,
              lag_seconds_at_least: 17_100,
              status: "STOP",
              events: [
                {
                  kind: "stopped",
                  after: minute(20),
                  before: minute(21),
                  from: commit(16016n),
                  to: commit(16016n),
                },
              ],
            },
          ],
          [
            "orders-2",
            {
              points: times.flatMap((n) =>
                n === 12
                  ? []
                  : [
                      [
                        n,
                        9007199254740993n + BigInt(n < 25 ? n : n - 10) * 700n,
                        n === 30 ? null : 9007199254740993n + BigInt(n) * 700n,
                      ],
                    ],
              ),
              per_second: 0.78,
              lag: 7000,
              lag_seconds: null,
              lag_seconds_error: null,
              status: "REWIND",
              events: [
                {
                  kind: "rewound",
                  after: minute(24),
                  before: minute(25),
                  from: commit(9007199254757793n),
                  to: commit(9007199254751493n),
                  rollback_id: "rollback-2025-01-15T14:10:00Z-1f0c9a2b",
                },
              ],
            },
          ],
        ]),
      },
    ],
    ["billing", { status: "OK", partitions: new Map() }],
  ]),
  warnings: [],
};

/** A snapshot of many groups with twelve partitions each, on 500 topics. */
export function manyGroups(groups: number) {
  const partitions = 12;
  const commits = new Map<string, { partitions: Map<string, ReturnType<typeof commit>> }>();
  const states = new Map<string, object>();
  const topics = new Map<string, { topic_id: string; partitions: Map<string, ReturnType<typeof log>> }>();
  for (let topic = 0; topic < 500; topic++) {
    const logs = Array.from(
      { length: partitions },
      (_, n) => [String(n), log(1000n * BigInt(topic), 5_000_000_000n + BigInt(topic * 1000 + n))] as const,
    );
    topics.set(`events.team-${topic % 40}.v${topic}`, {
      topic_id: `id-${topic}-0123456789abcdef`,
      partitions: new Map(logs),
    });
  }
  for (let n = 0; n < groups; n++) {
    const topic = `events.team-${(n % 500) % 40}.v${n % 500}`;
    const keys = Array.from(
      { length: partitions },
      (_, p) => [`${topic}-${p}`, commit(4_000_000_000n + BigInt(n * 97_003 + p * 1009))] as const,
    );
    commits.set(`team-${n % 40}.service-${n}.consumer`, { partitions: new Map(keys) });
    states.set(`team-${n % 40}.service-${n}.consumer`, group(n % 7 === 0 ? "Stable" : "Empty", n % 7 === 0 ? 3 : 0));
  }
  return {
    ...snapshot,
    status: "complete",
    errors: [],
    warnings: [],
    consumer_groups: commits,
    observed: { groups: states, topics },
  };
}

/** A result as a client reads it. */
export const asRead = (result: object): unknown => parseJson(encodeJson(Object.fromEntries(Object.entries(result))));
