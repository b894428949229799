import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Commits,
  type Snapshot,
  splitTopicPartition,
  statusOf,
  type Trigger,
} from "../../functions/shared/core/model.ts";
import { encodeSnapshot } from "../../functions/shared/core/snapshot.ts";
import { queries } from "../../infra/queries.ts";
import { log, MAX, snapshotOf } from "./states.ts";

/** The SQL of a query of the stack. */
export function sqlOf(name: string): string {
  const query = queries.find((query) => query.name === name);
  if (query === undefined) throw new Error(`no query ${name}`);
  return query.sql;
}

/** A cell of a result; all integers are `bigint`. */
export type Cell = string | bigint | null;
type Row = readonly Cell[];

/** Cells as a client of a database gives them. */
export const asRow = (cells: readonly unknown[]): Row =>
  cells.map((cell) => (cell === null ? null : typeof cell === "string" ? cell : BigInt(String(cell))));

/** Rows in an order of their own, to compare results of queries without ORDER BY. */
export const inAnyOrder = (rows: readonly Row[]) => rows.map((row) => row.map(String).join("\u0001")).sort();

/** Writes the bodies of snapshots into a folder, under the names that they have in the bucket. */
export function writeBodies(folder: string, snapshots: readonly Snapshot[]): void {
  mkdirSync(folder, { recursive: true });
  for (const snapshot of snapshots) {
    writeFileSync(join(folder, `${snapshot.snapshotId}.json.gz`), encodeSnapshot(snapshot).body);
  }
}

/** What the query `commits` has to find in a snapshot. */
export function commitRowsOf(snapshot: Snapshot): Row[] {
  const { snapshotId, createdAt, trigger, cluster, consumerGroups } = snapshot;
  return [...consumerGroups].flatMap(([group, partitions]) => {
    const about = [snapshotId, createdAt, statusOf(snapshot), trigger, cluster.name, group];
    if (partitions.size === 0) return [[...about, null, null, null, null, null]];
    return [...partitions].map(([key, { offset, metadata, leaderEpoch }]) => {
      const { topic = "", partition = -1 } = splitTopicPartition(key) ?? {};
      return [
        ...about,
        topic,
        BigInt(partition),
        offset,
        metadata,
        leaderEpoch === undefined ? null : BigInt(leaderEpoch),
      ];
    });
  });
}

/** What the query `log-ranges` has to find in a snapshot. */
export const logRowsOf = ({ snapshotId, observed }: Snapshot): Row[] =>
  [...observed.topics].flatMap(([topic, of]) =>
    [...(of?.partitions ?? [])].map(([partition, { logStartOffset, logEndOffset }]) => [
      ...[snapshotId, topic, BigInt(partition), logStartOffset, logEndOffset],
    ]),
  );

/**
 * A group that moved until 10:15, and its log; at 10:20 somebody imported other offsets, and at 10:40 one commit is above the log
 * end. Topics have dashes and groups have capitals and dots in them.
 */
export const story: readonly Snapshot[] = (
  [
    ["snapshot-2025-01-15T10:00:00Z", "schedule", 10n, 20n],
    ["snapshot-2025-01-15T10:15:00Z", "schedule", 17n, 25n],
    ["snapshot-2025-01-15T10:15:00Z-2", "api", 18n, 26n],
    ["snapshot-2025-01-15T10:20:00Z", "imported", 3n, 26n],
    ["snapshot-2025-01-15T10:30:00Z", "safety", 18n, MAX],
    ["snapshot-2025-01-15T10:40:00Z", "schedule", 18n, 20n, 2n],
  ] satisfies [string, Trigger, bigint, bigint, bigint?][]
).map(([snapshotId, trigger, offset, end, otherEnd]) => {
  const partitions = new Map([
    ["or-ders-0", { offset, metadata: "" }],
    ["or-ders-10", { offset: 5n, metadata: "m", leaderEpoch: 3 }],
  ]);
  const commits: Commits = new Map([
    ["Orders.streams", partitions],
    ["empty", new Map()],
  ]);
  const logs = new Map([[0, log(0n, end, 3)]]);
  if (otherEnd !== undefined) logs.set(10, log(0n, otherEnd, 3));
  const topics = new Map([["or-ders", { topicId: "t", partitions: logs }]]);
  const createdAt = snapshotId.slice("snapshot-".length, "snapshot-2025-01-15T10:00:00Z".length);
  return snapshotOf(commits, { snapshotId, createdAt, trigger, observed: { groups: new Map(), topics } });
});

/** Questions to the story, and their answers. */
export const questions: readonly { query: string; parameters: readonly string[]; rows: readonly Row[] }[] = [
  {
    query: "group-at-time",
    parameters: ["Orders.streams", "2025-01-15T10:29:59Z"],
    rows: [
      ["snapshot-2025-01-15T10:15:00Z-2", "2025-01-15T10:15:00Z", "complete", "or-ders", 0n, 18n, "", 26n, 8n],
      ["snapshot-2025-01-15T10:15:00Z-2", "2025-01-15T10:15:00Z", "complete", "or-ders", 10n, 5n, "m", null, null],
    ],
  },
  { query: "group-at-time", parameters: ["Orders.streams", "2025-01-15T09:59:59Z"], rows: [] },
  {
    query: "group-at-time",
    parameters: ["empty", "2025-01-15T10:00:00Z"],
    rows: [["snapshot-2025-01-15T10:00:00Z", "2025-01-15T10:00:00Z", "complete", null, null, null, null, null, null]],
  },
  {
    query: "group-last-moved",
    parameters: ["Orders.streams"],
    rows: [["or-ders", 0n, "2025-01-15T10:15:00Z", "2025-01-15T10:15:00Z", 17n, 18n, 1n]],
  },
  { query: "group-last-moved", parameters: ["orders.streams"], rows: [] },
  {
    query: "lag-over-time",
    parameters: ["2025-01-15T10:15:00Z", "2025-01-15T10:40:00Z"],
    rows: [
      ["2025-01-15T10:15:00Z", "snapshot-2025-01-15T10:15:00Z", "Orders.streams", 8n, 2n, 1n],
      ["2025-01-15T10:15:00Z", "snapshot-2025-01-15T10:15:00Z", "empty", null, 0n, 0n],
      ["2025-01-15T10:15:00Z", "snapshot-2025-01-15T10:15:00Z-2", "Orders.streams", 8n, 2n, 1n],
      ["2025-01-15T10:15:00Z", "snapshot-2025-01-15T10:15:00Z-2", "empty", null, 0n, 0n],
      ["2025-01-15T10:30:00Z", "snapshot-2025-01-15T10:30:00Z", "Orders.streams", MAX - 18n, 2n, 1n],
      ["2025-01-15T10:30:00Z", "snapshot-2025-01-15T10:30:00Z", "empty", null, 0n, 0n],
      ["2025-01-15T10:40:00Z", "snapshot-2025-01-15T10:40:00Z", "Orders.streams", 2n, 2n, 0n],
      ["2025-01-15T10:40:00Z", "snapshot-2025-01-15T10:40:00Z", "empty", null, 0n, 0n],
    ],
  },
  {
    query: "snapshots-with-group",
    parameters: ["Orders.streams"],
    rows: [
      ["snapshot-2025-01-15T10:40:00Z", "2025-01-15T10:40:00Z", "complete", "schedule", 2n],
      ["snapshot-2025-01-15T10:30:00Z", "2025-01-15T10:30:00Z", "complete", "safety", 2n],
      ["snapshot-2025-01-15T10:20:00Z", "2025-01-15T10:20:00Z", "complete", "imported", 2n],
      ["snapshot-2025-01-15T10:15:00Z-2", "2025-01-15T10:15:00Z", "complete", "api", 2n],
      ["snapshot-2025-01-15T10:15:00Z", "2025-01-15T10:15:00Z", "complete", "schedule", 2n],
      ["snapshot-2025-01-15T10:00:00Z", "2025-01-15T10:00:00Z", "complete", "schedule", 2n],
    ],
  },
];
