import { type LiveState, topicsOf } from "../model.ts";
import { count, nameSome } from "../text.ts";
import type { Origin } from "./blockers.ts";
import { type ExtraCommit, type Plan, takesPart } from "./plan.ts";

/** What a reader of a plan must know beside it, in sentences: what it keeps, clamps or cannot check, what offsets do not move. */
export function warningsOf(
  origin: Origin,
  { groups, extra }: Pick<Plan, "groups" | "extra">,
  live: LiveState,
): string[] {
  return [...placeWarnings(groups, extra), ...identityWarnings(origin, groups, live), ...typeWarnings(groups, live)];
}

/** What will differ from the snapshot, without being blocked. */
function placeWarnings(groups: Plan["groups"], extra: readonly ExtraCommit[]): string[] {
  const warnings: string[] = [];
  if (extra.length > 0) {
    warnings.push(
      `The rollback keeps ${count(extra.length, "commit")} on partitions that the snapshot lacks, of ` +
        `${nameSome(new Set(extra.map(({ group }) => group)))}: see extra. To delete them, set "exact": true.`,
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
      `${count(clamped.length, "offset")} outside of the log ${clamped.length === 1 ? "is" : "are"} clamped to its start or end: ${nameSome(clamped)}.`,
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
      `Whether ${nameSome(unproven)} was deleted and created again since is not known: its topic id is not known on both ` +
        "sides. Only a saved leader epoch above the current one would show it.",
    );
  }
  return warnings;
}

/** What offsets do not show for groups of some types, and what does not move with them. */
function typeWarnings(groups: Plan["groups"], live: LiveState): string[] {
  const restored = [...groups].filter(([, plan]) => takesPart(plan));
  const ofType = (type: string) => restored.filter(([, plan]) => plan.type === type).map(([group]) => group);
  const [streams, shares] = [ofType("streams"), ofType("share")];
  const simple = restored
    .map(([group]) => group)
    .filter((group) => live.observed.groups.get(group)?.protocolType === "");
  const warnings: string[] = [];
  if (streams.length > 0) {
    warnings.push(
      `${nameSome(streams)} ${streams.length === 1 ? "is a streams group" : "are streams groups"}: state stores do not move with the offsets.`,
    );
  }
  if (shares.length > 0) {
    warnings.push(
      `${nameSome(shares)} ${shares.length === 1 ? "is a share group" : "are share groups"}: records acknowledged ` +
        "beyond the start offsets are delivered again, and delivery counts restart.",
    );
  }
  if (simple.length > 0) {
    warnings.push(
      `${nameSome(simple)} ${simple.length === 1 ? "has" : "have"} never had members: consumers that assign() partitions ` +
        "are not members, so Kafka cannot report whether they are running. Make sure that they are stopped.",
    );
  }
  return warnings;
}
