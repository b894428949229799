import type { LiveState } from "../model.ts";
import { count, nameSome } from "../text.ts";
import type { Origin } from "./blockers.ts";
import { type Plan, takesPart, topicsIn } from "./plan.ts";

/** What a reader of a plan must know beside it, in sentences: what it keeps, clamps or cannot check, what offsets do not move. */
export function warningsOf(
  origin: Origin,
  { groups, extra }: Pick<Plan, "groups" | "extra">,
  live: LiveState,
): string[] {
  const clamped = [...groups].flatMap(([group, { partitions }]) =>
    [...partitions].flatMap(([key, { action, asked, to }]) =>
      action !== "skip" && asked ? [`${group} ${key}: ${asked.offset} becomes ${to?.offset}`] : [],
    ),
  );
  const unproven = [...topicsIn(groups)].filter((topic) => {
    const [saved, now] = [origin.topics.get(topic), live.observed.topics.get(topic)];
    return saved === null || saved?.topicId === null || now?.topicId === null;
  });
  const restored = [...groups].filter(([, plan]) => takesPart(plan)).map(([group]) => group);
  const ofType = (type: string) => restored.filter((group) => groups.get(group)?.type === type);
  const [streams, shares] = [ofType("streams"), ofType("share")];
  const simple = restored.filter((group) => live.observed.groups.get(group)?.protocolType === "");
  return [
    extra.length > 0 &&
      `The rollback keeps ${count(extra.length, "commit")} on partitions that the snapshot lacks, of ` +
        `${nameSome(new Set(extra.map(({ group }) => group)))}: see extra. To delete them, set "exact": true.`,
    clamped.length > 0 &&
      `${count(clamped.length, "offset")} outside of the log ${clamped.length === 1 ? "is" : "are"} clamped to its start ` +
        `or end: ${nameSome(clamped)}.`,
    unproven.length > 0 &&
      `Whether ${nameSome(unproven)} was deleted and created again since is not known: its topic id is not known on both ` +
        "sides. Only a saved leader epoch above the current one would show it.",
    streams.length > 0 &&
      `${nameSome(streams)} ${streams.length === 1 ? "is a streams group" : "are streams groups"}: state stores do not ` +
        "move with the offsets.",
    shares.length > 0 &&
      `${nameSome(shares)} ${shares.length === 1 ? "is a share group" : "are share groups"}: records acknowledged beyond ` +
        "the start offsets are delivered again, and delivery counts restart.",
    simple.length > 0 &&
      `${nameSome(simple)} ${simple.length === 1 ? "has" : "have"} never had members: consumers that assign() partitions ` +
        "are not members, so Kafka cannot report whether they are running. Make sure that they are stopped.",
  ].filter((warning) => warning !== false);
}
