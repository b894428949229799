import { type LiveState, topicsOf } from "../model.ts";
import { count, nameSome } from "../text.ts";
import type { Origin } from "./blockers.ts";
import { type ExtraCommit, type Plan, takesPart } from "./plan.ts";

/**
 * What whoever looks at a plan has to know beside it, in sentences: what it keeps, what it puts elsewhere, what cannot be
 * told, and what does not move with offsets.
 */
export function warningsOf(
  origin: Origin,
  { groups, extra }: Pick<Plan, "groups" | "extra">,
  live: LiveState,
): string[] {
  return [...placeWarnings(groups, extra), ...identityWarnings(origin, groups, live), ...typeWarnings(groups, live)];
}

/** What stands elsewhere than the snapshot says, though nothing is in the way. */
function placeWarnings(groups: Plan["groups"], extra: readonly ExtraCommit[]): string[] {
  const warnings: string[] = [];
  if (extra.length > 0) {
    warnings.push(
      `Kept, since the snapshot lacks their partitions: ${count(extra.length, "commit")} of ` +
        `${nameSome(new Set(extra.map(({ group }) => group)))}, see extra. To have them deleted, set "exact": true.`,
    );
  }
  const clamped: string[] = [];
  for (const [group, { partitions }] of groups) {
    for (const [key, { action, asked, to }] of partitions) {
      if (action !== "skip" && asked) clamped.push(`${group} ${key}: ${asked.offset} becomes ${to?.offset}`);
    }
  }
  if (clamped.length > 0) {
    warnings.push(
      `Clamped to the ends of the log, since they are outside of it: ${count(clamped.length, "offset")}: ${nameSome(clamped)}.`,
    );
  }
  return warnings;
}

/** Topics that may not be those of the snapshot. */
function identityWarnings(origin: Origin, groups: Plan["groups"], live: LiveState): string[] {
  const warnings: string[] = [];
  const unproven = [...topicsOf(new Map([...groups].map(([group, { partitions }]) => [group, partitions])))].filter(
    (topic) => {
      const [saved, now] = [origin.topics.get(topic), live.observed.topics.get(topic)];
      return saved === null || saved?.topicId === null || now?.topicId === null;
    },
  );
  if (unproven.length > 0) {
    warnings.push(
      `Whether ${nameSome(unproven)} was deleted and created again since cannot be told: its id is not known on both sides, ` +
        "so that it shows only where the saved leader epoch is above the current one.",
    );
  }
  return warnings;
}

/** What the offsets of groups of some types do not tell, and what does not move with them. */
function typeWarnings(groups: Plan["groups"], live: LiveState): string[] {
  const those = [...groups].filter(([, plan]) => takesPart(plan));
  const ofType = (type: string) => those.filter(([, plan]) => plan.type === type).map(([group]) => group);
  const [streams, shares] = [ofType("streams"), ofType("share")];
  const simple = those.map(([group]) => group).filter((group) => live.observed.groups.get(group)?.protocolType === "");
  const warnings: string[] = [];
  if (streams.length > 0) {
    warnings.push(
      `${nameSome(streams)} ${streams.length === 1 ? "is a streams group" : "are streams groups"}: state stores do not move with the offsets.`,
    );
  }
  if (shares.length > 0) {
    warnings.push(
      `${nameSome(shares)} ${shares.length === 1 ? "is a share group" : "are share groups"}: what was acknowledged beyond ` +
        "the start offsets is delivered again, and delivery counts begin anew.",
    );
  }
  if (simple.length > 0) {
    warnings.push(
      `${nameSome(simple)} ${simple.length === 1 ? "has" : "have"} never had members: consumers that assign() partitions are ` +
        "none, so that nobody can tell whether they run. Make sure that they are stopped.",
    );
  }
  return warnings;
}
