import { negativeWarnings } from "../checks.ts";
import { type LiveState, type Observed, placeOf, type Snapshot } from "../model.ts";
import { count, nameSome, quote } from "../text.ts";
import { isTruncationUnknown } from "./blockers.ts";
import { type GroupPlan, type Plan, type Policy, takesPart, topicsIn } from "./plan.ts";
import { isRepartitionTopic, isStreams } from "./streams.ts";
import type { Uncommitted } from "./uncommitted.ts";

/** What a reader of a plan must know beside it, in sentences: what it keeps, clamps or cannot check, what offsets do not move. */
export function warningsOf(
  { snapshotId, observed }: Pick<Snapshot, "snapshotId" | "observed">,
  { groups, extra }: Pick<Plan, "groups" | "extra">,
  live: LiveState,
  policy: Pick<Policy, "uncommitted">,
  picks: (key: string) => boolean,
): string[] {
  const clamped = [...groups].flatMap(([group, { partitions }]) =>
    [...partitions].flatMap(([key, { action, asked, to }]) =>
      action !== "skip" && asked ? [`${group} ${key}: ${asked.offset} becomes ${to?.offset}`] : [],
    ),
  );
  const restored = [...groups].filter(([, plan]) => takesPart(plan));
  const planned = restored.flatMap(([group, { source = group, partitions }]) =>
    [...partitions].map(([key, partition]) => ({ group, source, key, topic: placeOf(key).topic, ...partition })),
  );
  const deleted = planned.filter(({ action }) => action === "delete");
  const computed = policy.uncommitted === "snapshot_end" ? planned.filter(({ uncommitted }) => uncommitted) : [];
  const unread = new Set(computed.map(({ topic }) => topic).filter((topic) => !observed.topics.has(topic)));
  const unproven = [...topicsIn(groups)].filter((topic) => {
    const [saved, now] = [observed.topics.get(topic), live.observed.topics.get(topic)];
    return saved === null || saved?.topicId === null || now?.topicId === null;
  });
  const namesOf = (isOne: (group: string, plan: GroupPlan) => boolean) =>
    restored.filter(([group, plan]) => isOne(group, plan)).map(([group]) => group);
  const repartitioned = planned.filter(({ source, topic }) => isRepartitionTopic(source, topic));
  const applications = new Set(repartitioned.map(({ source }) => source));
  const moved = repartitioned.filter(({ action }) => action !== "unchanged" && action !== "skip");
  const streams = namesOf(
    (group, { source = group, type }) =>
      type === "streams" ||
      applications.has(source) ||
      [observed.groups.get(source), live.observed.groups.get(group)].some(isStreams),
  );
  const shares = namesOf((_, { type }) => type === "share");
  const simple = namesOf((group) => live.observed.groups.get(group)?.protocolType === "");
  const unchecked = planned.filter(({ key, action, to, asked, uncommitted }) => {
    const place = { ...placeOf(key), target: to, ...(uncommitted && { basis: "log" as const }) };
    const isAsked = action !== "skip" && asked === undefined; // others are not what the snapshot has
    return isAsked && isTruncationUnknown(observed, place, live.observed.topics.get(place.topic));
  });
  const names = new Set(namesOf(() => true));
  const liveNow = new Map([...live.observed.groups].filter(([group]) => names.has(group)));
  return [
    extra.length > 0 && keptWarning(extra),
    deleted.length > 0 &&
      `The rollback deletes ${count(deleted.length, "commit")} on partitions that the snapshot lacks: there, consumers with ` +
        `auto.offset.reset=earliest replay at most ${records(deleted.map(({ replayed }) => replayed))}, and those with ` +
        `latest skip at most ${records(deleted.map(({ skipped }) => skipped))} that were never read.`,
    unread.size > 0 &&
      `${nameSome(unread)} is not in the snapshot: it did not exist then, or no group of the snapshot read it. Its ` +
        "partitions go to the log start.",
    clamped.length > 0 &&
      `${count(clamped.length, "offset")} outside of the log ${clamped.length === 1 ? "is" : "are"} clamped to its start ` +
        `or end: ${nameSome(clamped)}.`,
    unproven.length > 0 &&
      `Whether ${nameSome(unproven)} was deleted and created again since is not known: its topic id is not known on both ` +
        "sides. Only a saved leader epoch above the current one would show it.",
    streams.length > 0 &&
      `${nameSome(streams)} ${streams.length === 1 ? "is a streams group" : "are streams groups"}: state stores do not ` +
        "move with the offsets.",
    moved.length > 0 &&
      `${count(moved.length, "partition")} of repartition topics of Kafka Streams ${moved.length === 1 ? "moves" : "move"} ` +
        `too: ${nameSome(moved.map(({ key }) => key))}. When its input is replayed, Streams writes to these topics again, ` +
        `so that what is replayed there is processed twice. ${leavingOut(moved, planned, live)}`,
    shares.length > 0 &&
      `${nameSome(shares)} ${shares.length === 1 ? "is a share group" : "are share groups"}: records acknowledged beyond ` +
        "the start offsets are delivered again, and delivery counts restart.",
    simple.length > 0 &&
      `${nameSome(simple)} ${simple.length === 1 ? "has" : "have"} never had members: consumers that assign() partitions ` +
        "are not members, so Kafka cannot report whether they are running. Make sure that they are stopped.",
    unchecked.length > 0 &&
      `Whether logs were truncated below the targets of ${nameSome(new Set(unchecked.map(({ group }) => group)))} is not known: their leaders changed since, and ` +
        "the leader epochs of the targets are not known to the commits or to the leaders.",
    ...restored.flatMap(([group, plan]) => capturedWarnings(snapshotId, group, plan, observed.groups, picks)),
    ...negativeWarnings(liveNow, picks),
  ].filter((warning) => warning !== false);
}

type OnTopic = { readonly key: string; readonly topic: string; readonly uncommitted?: Uncommitted };

/** The request that leaves out the topics of some of the planned partitions, and has all others of them and no more. */
function leavingOut(without: readonly OnTopic[], planned: readonly OnTopic[], { observed }: LiveState): string {
  const topics = new Set(without.map(({ topic }) => topic));
  const kept = planned.flatMap(({ key, topic, uncommitted }) => (uncommitted || topics.has(topic) ? [] : [key]));
  const byTopic = Map.groupBy([...new Set(kept)].map(placeOf), ({ topic }) => topic);
  const others = [...byTopic].map(([topic, places]) => {
    if (places.length === observed.topics.get(topic)?.partitions.size) return topic;
    const partitions = places.map(({ partition }) => partition).sort((a, b) => a - b);
    return `${topic}:${partitions.join(",")}`;
  });
  return others.length === 0
    ? "To leave them out, name other groups."
    : `To leave them out, set "topics": ${JSON.stringify(others.sort())}.`;
}

/** What is special about the commits of a group in the snapshot. */
function capturedWarnings(
  snapshotId: string,
  group: string,
  { source = group, partitions }: GroupPlan,
  captured: Observed["groups"],
  picks: (key: string) => boolean,
): string[] {
  const { pending = [], negative = new Map() } = captured.get(source) ?? {};
  const targets = pending.filter((key) => partitions.has(key));
  const [first, ...others] = [...negative].filter(([key]) => picks(key));
  return [
    targets.length > 0 &&
      `The targets of ${quote(group)} on ${nameSome(targets)} were captured while a transaction was pending: they are the ` +
        "offsets from before it. What that transaction wrote may be produced a second time.",
    first !== undefined &&
      `${snapshotId} has no targets for ${quote(group)} on ${nameSome([first, ...others].map(([key]) => key))}: the ` +
        `offset committed there was negative (${first[1]}), and cannot be restored.`,
  ].filter((warning) => warning !== false);
}

/** What it means to keep commits on partitions that the snapshot lacks, and what else can be done. */
function keptWarning(extra: Plan["extra"]): string {
  const of = (figure: (uncommitted: Uncommitted) => bigint | null) =>
    records(extra.map(({ uncommitted }) => (uncommitted ? figure(uncommitted) : null)));
  const groups = nameSome(new Set(extra.map(({ group }) => group)));
  return (
    `The rollback keeps ${count(extra.length, "commit")} on partitions that the snapshot lacks, of ${groups}: ` +
    `${of(({ acknowledged }) => acknowledged)} appended since the snapshot stay acknowledged (see extra). To replay these, ` +
    `set uncommitted to "snapshot_end"; "log_start" replays at most ${of(({ logStart }) => logStart.replayed)}; with ` +
    `"delete", auto.offset.reset decides: earliest replays at most ${of((one) => one.delete.replayed)}, latest skips at ` +
    `most ${of((one) => one.delete.skipped)}.`
  );
}

/** `12 records`; an unknown number where one of the parts is unknown. */
function records(parts: readonly (bigint | null)[]): string {
  const known = parts.filter((part) => part !== null);
  if (known.length < parts.length) return "an unknown number of records";
  const total = known.reduce((sum, part) => sum + part, 0n);
  return `${total} record${total === 1n ? "" : "s"}`;
}
