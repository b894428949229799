import { document, int64, oneOf, optional } from "./json/codec.ts";
import { type Commit, type Commits, noCommits, sameCommit } from "./model.ts";
import { byPartition, commitOrNull } from "./snapshot.ts";

/** How a commit changed: its offset went up or down, only metadata or leader epoch changed, it was added or removed. */
export const changes = ["advanced", "rewound", "metadata", "added", "removed"] as const;

/** How one partition's commit changed. `offsetDelta` is `to − from` where both exist. */
const partitionChange = document({
  change: oneOf(changes),
  from: commitOrNull,
  to: commitOrNull,
  offset_delta: optional(int64),
});
type PartitionChange = ReturnType<typeof partitionChange.decode>;

/** Changes as results show them. */
export const changesDocument = byPartition(partitionChange);

/**
 * Compares commits: how `to` differs from `from`. Changes only, by group and topic-partition; `unchanged` counts the commits
 * that are the same on both sides.
 */
export function diffCommits(from: Commits, to: Commits) {
  const summary = { advanced: 0, rewound: 0, metadata: 0, added: 0, removed: 0, unchanged: 0 };
  const groups = new Map<string, Map<string, PartitionChange>>();
  for (const group of new Set([...from.keys(), ...to.keys()])) {
    const before = from.get(group) ?? noCommits;
    const after = to.get(group) ?? noCommits;
    const changed = new Map<string, PartitionChange>();
    for (const partition of new Set([...before.keys(), ...after.keys()])) {
      const change = changeOf(before.get(partition) ?? null, after.get(partition) ?? null);
      if (change === undefined) {
        summary.unchanged++;
      } else {
        summary[change.change]++;
        changed.set(partition, change);
      }
    }
    if (changed.size > 0) groups.set(group, changed);
  }
  return { summary, groups };
}

function changeOf(from: Commit | null, to: Commit | null): PartitionChange | undefined {
  if (sameCommit(from, to)) return undefined;
  if (from === null) return { change: "added", from, to };
  if (to === null) return { change: "removed", from, to };
  const offsetDelta = to.offset - from.offset;
  return { change: offsetDelta > 0n ? "advanced" : offsetDelta < 0n ? "rewound" : "metadata", from, to, offsetDelta };
}
