import { historyOf, type PartitionHistory } from "../../../../functions/shared/core/history/history.ts";
import { explainBy, type KnownRollback } from "../../../../functions/shared/core/history/rollbacks.ts";
import type { Snapshot } from "../../../../functions/shared/core/model.ts";
import { groupOf, log, snapshotOf } from "../../../support/states.ts";

const start = Date.parse("2025-01-15T10:00:00Z");

/** The time of minute n, as snapshots have it. */
export const minute = (n: number): string => `${new Date(start + n * 60_000).toISOString().slice(0, 19)}Z`;

/** What a snapshot shows of partition `t-0` of group `g`. */
export interface Shown {
  /** No commit where it is absent. */
  readonly offset?: bigint;
  readonly start?: bigint | null;
  readonly end?: bigint | null;
  readonly topicId?: string | null;
  readonly members?: number | null;
  readonly protocolType?: string;
  readonly pending?: boolean;
  readonly negative?: boolean;
  /** When it was taken, in minutes after the first one; a quarter of an hour after the one before unless given. */
  readonly at?: number;
  /** When its commits were read, in minutes too; not recorded unless given. */
  readonly readAt?: number;
  /** What is other than in a complete snapshot of all groups. */
  readonly more?: Partial<Snapshot>;
}

/** What snapshots show that have these offsets and log ends. */
export const withEnds = (...points: readonly (readonly [offset: bigint, end: bigint | null])[]): readonly Shown[] =>
  points.map(([offset, end]) => ({ offset, end }));

/** The snapshot that shows this. */
function snapshotAt(n: number, shown: Shown): Snapshot {
  const {
    offset,
    start = 0n,
    end = 1_000n,
    topicId = "id",
    members = 1,
    protocolType = "consumer",
    at = 15 * n,
    readAt,
  } = shown;
  const createdAt = minute(at);
  const group = {
    ...groupOf("classic", "Stable", members),
    protocolType,
    asOf: readAt === undefined ? null : minute(readAt),
    ...(shown.pending && { pending: ["t-0"] }),
    ...(shown.negative && { negative: new Map([["t-0", -1001n]]) }),
  };
  const commits = new Map(offset === undefined ? [] : [["t-0", { offset, metadata: "" }] as const]);
  return snapshotOf(new Map([["g", commits]]), {
    snapshotId: `snapshot-${createdAt}`,
    createdAt,
    observed: {
      groups: new Map([["g", group]]),
      topics: new Map([["t", { topicId, partitions: new Map([[0, log(start, end)]]) }]]),
    },
    ...shown.more,
  });
}

/** The history of `g` over snapshots that show this, oldest first. */
export function historyOfShown(shown: readonly Shown[], rollbacks: readonly KnownRollback[] = []) {
  const snapshots = shown.map((one, n) => snapshotAt(n, one));
  return historyOf(snapshots, ["g"], (group, key) => explainBy(rollbacks, group, key));
}

/** The history of its partition `t-0`. */
export function partitionOf(shown: readonly Shown[], rollbacks: readonly KnownRollback[] = []): PartitionHistory {
  const partition = historyOfShown(shown, rollbacks).groups.get("g")?.partitions.get("t-0");
  if (partition === undefined) throw new Error("the history lacks t-0");
  return partition;
}

/** Its events in short: `rewound 15–30: 5 → 3`, in minutes; `null` is no commit, or before the first snapshot. */
export const eventsOfShown = (shown: readonly Shown[], rollbacks: readonly KnownRollback[] = []): string[] =>
  partitionOf(shown, rollbacks).events.map(({ kind, after, before, from, to, rollbackId, unexplained }) => {
    const time = (taken: { readonly time: number } | null) => (taken === null ? null : (taken.time - start) / 60_000);
    const why = rollbackId === undefined ? (unexplained ? ", unexplained" : "") : `, by ${rollbackId}`;
    return `${kind} ${time(after)}–${time(before)}: ${from?.offset ?? null} → ${to?.offset ?? null}${why}`;
  });
