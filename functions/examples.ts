import type * as z from "zod/mini";
import type { operations, Verb } from "./operations.ts";
import { blockerKinds } from "./shared/core/rollback/blockers.ts";
import { actions } from "./shared/core/rollback/plan.ts";
import type { dryRunResult } from "./shared/planning/schema.ts";

type Examples = {
  readonly [V in Verb]: {
    readonly request: z.input<(typeof operations)[V]["request"]>;
    readonly result: z.input<(typeof operations)[V]["result"]>;
  };
};

const snapshot_id = "snapshot-2025-01-15T10:30:00Z";
const created_at = "2025-01-15T10:30:00Z";
const description = "Before consuming remaining messages";
const labels = { env: "production" };
const taken = { snapshot_id, created_at, description, status: "complete", groups: 12, offsets: 340 } as const;

// A commit in the snapshot, and what is committed later.
const saved = { offset: 17, metadata: "", leader_epoch: 4 };
const live = { offset: 25, metadata: "", leader_epoch: 4 };
const log = { log_start_offset: 0, log_end_offset: 25, leader_epoch: 4 };
const group = "orders-streams";
const byPartition = <const T>(entry: T) => ({ [group]: { partitions: { "orders-0": entry } } });
const rewind = { action: "rewind", from: live, to: saved, replayed: 8, skipped: 0 } as const;

const none = (words: readonly string[]) => Object.fromEntries(words.map((word) => [word, 0]));

/** What a rollback would do. */
const plan: z.input<typeof dryRunResult> = {
  dry_run: true,
  totals: {
    groups: 1,
    partitions: 1,
    replayed: 8,
    skipped: 0,
    actions: { ...none(actions), rewind: 1 },
    blockers: none(blockerKinds),
  },
  snapshot_id,
  plan_digest: "b5a2c96250612366ea272ffac6d9744aaf4b45aacd96aa7cfcb931ee3b558259",
  blockers: [],
  left_out: [],
  skipped: [],
  warnings: [],
  groups: {
    [group]: { type: "classic", state: "Empty", replayed: 8, skipped: 0, partitions: { "orders-0": rewind } },
  },
  extra: [],
};

/** A request and its result of each operation, for the API documents. */
export const examples: Examples = {
  snapshot: {
    request: { groups: ["orders-*"], description, labels },
    result: { ...taken, errors: [], warnings: [], labels },
  },
  list: {
    request: { limit: 1, since: "2025-01-15T00:00:00Z", labels },
    result: {
      snapshots: [{ ...taken, trigger: "invoke", labels }],
      warnings: [],
      next_token: "c25hcHNob3QtMjAyNS0wMS0xNVQxMDozMDowMFo",
    },
  },
  show: {
    request: { snapshot_id: "latest", groups: ["orders-*"] },
    result: {
      snapshot_id,
      description,
      created_at,
      consumer_groups: byPartition(saved),
      schema_version: 2,
      status: "complete",
      errors: [],
      warnings: [],
      trigger: "invoke",
      selection: { groups: ["*"], exclude: [] },
      cluster: { name: "production", cluster_id: "J8nYqPTRQ_aSCnyF5E6a8w" },
      observed: {
        groups: {
          [group]: {
            type: "classic",
            state: "Empty",
            members: 0,
            protocol_type: "consumer",
            protocol: null,
            as_of: created_at,
          },
        },
        topics: { orders: { topic_id: "5f0sQ1rWQNqmnnDxDZx7nA", partitions: { "0": log } } },
      },
    },
  },
  diff: {
    request: { from: snapshot_id, to: "live" },
    result: {
      from: snapshot_id,
      to: "live",
      summary: { advanced: 1, rewound: 0, metadata: 0, added: 0, removed: 0, unchanged: 2 },
      consumer_groups: byPartition({ change: "advanced", from: saved, to: live, offset_delta: 8 }),
      warnings: [],
    },
  },
  verify: {
    request: { snapshot_id },
    result: {
      verified: false,
      snapshot_id,
      checked: 3,
      mismatches: [{ group, topic: "orders", partition: 0, kind: "offset", expected: saved, actual: live }],
      warnings: [],
    },
  },
  plan: { request: { snapshot_id, groups: [group] }, result: plan },
  rollback: { request: { snapshot_id, groups: [group], dry_run: true }, result: plan },
  rollbacks: {
    request: { limit: 1 },
    result: {
      rollbacks: [
        {
          rollback_id: "rollback-2025-01-15T11:00:00Z-1f0c9a2b",
          status: "success",
          snapshot_id,
          safety_snapshot_id: "snapshot-2025-01-15T11:00:00Z",
          requested_by: "ana",
          caller: { arn: null, proven: false },
          started_at: "2025-01-15T11:00:00.120Z",
          ended_at: "2025-01-15T11:00:01.480Z",
          groups: 1,
          description: "",
          attempts: 1,
        },
      ],
      warnings: [],
    },
  },
  import: {
    request: { format: "kafka-csv", content: "orders,0,17\n", groups: [group], source: "offsets.csv", dry_run: true },
    result: {
      snapshot_id: null,
      created_at: null,
      description: "",
      status: "complete",
      groups: 1,
      offsets: 1,
      errors: [],
      warnings: [
        "kafka-csv has no metadata and no leader epochs: a rollback to this snapshot commits none.",
        "The content does not say which cluster it is of. Make sure that it is of this one: offsets of another are other records.",
        'The content has no id of "orders": make sure that no such topic was deleted and created again since the content was written, for a rollback cannot detect it.',
      ],
      skipped: [],
      source: {
        name: "offsets.csv",
        format: "kafka-csv",
        sha256: "3af5c4b4674a9d6496d4755d57ad2fe5d48cde4afb55712531e703b7d8986778",
        snapshot_id: null,
        created_at: null,
        cluster_id: null,
      },
      dry_run: true,
      consumer_groups: byPartition({ offset: 17, metadata: "" }),
    },
  },
  history: {
    request: { groups: [group], since: "2025-01-15T10:00:00Z" },
    result: {
      snapshots: [
        { snapshot_id: "snapshot-2025-01-15T10:00:00Z", created_at: "2025-01-15T10:00:00Z" },
        { snapshot_id: "snapshot-2025-01-15T10:15:00Z", created_at: "2025-01-15T10:15:00Z" },
        { snapshot_id, created_at },
        { snapshot_id: "snapshot-2025-01-15T10:45:00Z", created_at: "2025-01-15T10:45:00Z" },
      ],
      groups: {
        [group]: {
          status: "ERR",
          partitions: {
            "orders-0": {
              points: [
                [0, 9, 11],
                [1, 17, 18],
                [2, 17, 25],
                [3, 17, 31],
              ],
              per_second: 0.00296296,
              lag: 14,
              lag_seconds: 1864.286,
              lag_seconds_error: 836.714,
              status: "STOP",
              events: [
                {
                  kind: "stopped",
                  after: "2025-01-15T10:00:00Z",
                  before: "2025-01-15T10:15:00Z",
                  from: { offset: 9, metadata: "" },
                  to: saved,
                },
              ],
            },
          },
        },
      },
      warnings: [],
    },
  },
  reindex: {
    request: { dry_run: true },
    result: {
      indexed: 128,
      added: [snapshot_id],
      repaired: [],
      orphan_rows: [],
      unreadable: [],
      remaining: 0,
      warnings: [],
      dry_run: true,
    },
  },
  prune: {
    request: { dry_run: true },
    result: {
      kept: [{ snapshot_id, because: ["newest complete snapshot of schedule hourly", "daily 2025-01-15"] }],
      deleted: ["snapshot-2025-01-14T10:30:00Z"],
      orphans_deleted: 0,
      orphans: [],
      failed: [],
      remaining: 0,
      warnings: [],
      dry_run: true,
    },
  },
  hold: {
    request: { snapshot_id, held: true, reason: "audit of the incident OPS-12" },
    result: { snapshot_id, held: true },
  },
  delete: { request: { snapshot_id }, result: { snapshot_id, deleted: true, warnings: [] } },
};
