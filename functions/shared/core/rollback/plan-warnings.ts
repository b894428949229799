import { negativeWarnings, withOffset } from "../checks.ts";
import { type LiveState, type Observed, placeOf, type Snapshot } from "../model.ts";
import { isRepartitionTopic, isStreams } from "../streams.ts";
import { count, listSome, nameSome, quote } from "../text.ts";
import { isTruncationUnknown } from "./blockers.ts";
import { type GroupPlan, type Plan, type Policy, takesPart, topicsIn } from "./plan.ts";
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
    (group, { source = group }) =>
      applications.has(source) || [observed.groups.get(source), live.observed.groups.get(group)].some(isStreams),
  );
  const shares = namesOf((_, { type }) => type === "share");
  const simple = namesOf((group) => live.observed.groups.get(group)?.protocolType === "");
  const unchecked = planned.filter(({ key, to, asked, uncommitted }) => {
    if (asked !== undefined) return false; // skipped or clamped: it is not what the snapshot has
    const place = { ...placeOf(key), target: to, ...(uncommitted && { basis: "log" as const }) };
    return isTruncationUnknown(observed, place, live.observed.topics.get(place.topic));
  });
  const names = new Set(namesOf(() => true));
  const liveNow = new Map([...live.observed.groups].filter(([group]) => names.has(group)));
  return [
    extra.length > 0 && keptWarning(extra, observed),
    deleted.length > 0 &&
      `The rollback deletes ${count(deleted.length, "commit")} on partitions that the snapshot lacks: there, ` +
        `auto.offset.reset decides. earliest replays ${records(deleted.map(({ replayed }) => replayed))}; latest skips ` +
        `${records(deleted.map(({ skipped }) => skipped))} that were never read.`,
    unread.size > 0 &&
      `Topics that are not in the snapshot, because no group of it used them or they did not exist: ${nameSome(unread)}. ` +
        'With "snapshot_end" their partitions go to the log start: the whole log is replayed.',
    clamped.length > 0 &&
      `${count(clamped.length, "offset")} outside of the log ${clamped.length === 1 ? "is" : "are"} clamped to its start ` +
        `or end: ${nameSome(clamped)}.`,
    unproven.length > 0 &&
      "Whether topics were deleted and created again since the snapshot is not known, because a topic id is missing in the " +
        `snapshot or now: ${nameSome(unproven)}. Only a saved leader epoch above the current one shows it, and blocks the ` +
        "rollback. If they may have been, do not roll these topics back.",
    streams.length > 0 &&
      `${nameSome(streams)} ${streams.length === 1 ? "is a Kafka Streams application" : "are Kafka Streams applications"}: ` +
        "state stores do not move with the offsets. Replayed records are applied to the present state again; reset the " +
        "stores first if that would count twice.",
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
      `Not known for ${count(unchecked.length, "partition")} of ${nameSome(new Set(unchecked.map(({ group }) => group)))} ` +
        `(${nameSome(unchecked.map(({ key }) => key))}): whether the log was truncated below the target. The leader has ` +
        "changed or may have, and no usable leader epoch was saved with the target. If an unclean leader election is " +
        "possible, compare the records there before you execute the plan.",
    ...restored.flatMap(([group, plan]) => capturedWarnings(snapshotId, group, plan, observed.groups, picks)),
    ...negativeWarnings(liveNow, picks),
  ].filter((warning) => warning !== false);
}

type OnTopic = { readonly key: string; readonly topic: string };

/** A list of topics with more characters than this is not part of a warning. */
const LONGEST_TOPICS = 2_000;

/** The request that leaves out the topics of some of the planned partitions, and has all others of them and no more. */
function leavingOut(without: readonly OnTopic[], planned: readonly OnTopic[], { observed }: LiveState): string {
  const topics = new Set(without.map(({ topic }) => topic));
  const kept = planned.flatMap(({ key, topic }) => (topics.has(topic) ? [] : [key]));
  const byTopic = Map.groupBy([...new Set(kept)].map(placeOf), ({ topic }) => topic);
  const others = [...byTopic].map(([topic, places]) => {
    if (places.length === observed.topics.get(topic)?.partitions.size) return topic;
    const partitions = places.map(({ partition }) => partition).sort((a, b) => a - b);
    return `${topic}:${partitions.join(",")}`;
  });
  if (others.length === 0) return "All planned partitions are on such topics: leave the group out of `groups`.";
  const list = JSON.stringify(others.sort());
  return list.length > LONGEST_TOPICS
    ? `To leave them out, name in \`topics\` all topics but ${nameSome(topics, 10)}.`
    : `To leave them out, set "topics": ${list}.`;
}

/** What is special about the commits of a group in the snapshot. */
function capturedWarnings(
  snapshotId: string,
  group: string,
  { source = group, partitions }: GroupPlan,
  captured: Observed["groups"],
  picks: (key: string) => boolean,
): (string | false)[] {
  const { pending = [], negative = new Map() } = captured.get(source) ?? {};
  const targets = pending.filter((key) => partitions.has(key));
  const lacking = [...negative].filter(([key]) => picks(key));
  return [
    targets.length > 0 &&
      `The targets of ${quote(group)} on ${nameSome(targets)} were captured while a transaction was pending: they are the ` +
        "offsets from before it. What that transaction wrote may be produced a second time. If its output must not be " +
        "produced twice, use another snapshot.",
    lacking.length > 0 &&
      `${snapshotId} has no targets for ${quote(group)} on ${listSome(lacking, withOffset)}: negative offsets cannot be ` +
        "restored. A commit there now counts as one that the snapshot lacks: uncommitted decides.",
  ];
}

/** What it means to keep commits on partitions that the snapshot lacks, and what else can be done. */
function keptWarning(extra: Plan["extra"], { topics }: Pick<Observed, "topics">): string {
  const of = (figure: (uncommitted: Uncommitted) => bigint | null) =>
    records(extra.map(({ uncommitted }) => (uncommitted ? figure(uncommitted) : null)));
  const unread = new Set(extra.map(({ topic }) => topic).filter((topic) => !topics.has(topic)));
  const groups = nameSome(new Set(extra.map(({ group }) => group)));
  return (
    `The rollback keeps ${count(extra.length, "commit")} of ${groups} on partitions that the snapshot lacks. Appended after ` +
    `the snapshot, acknowledged, and not replayed: ${of(({ acknowledged }) => acknowledged)}. ` +
    (unread.size === 0 ? "" : `The snapshot has no log end of ${nameSome(unread)}: there, the whole log is counted. `) +
    `Other values of uncommitted: "snapshot_end" replays ${of((one) => one.snapshotEnd.replayed)}; "log_start" replays ` +
    `${of((one) => one.logStart.replayed)}; "delete" leaves it to auto.offset.reset (earliest replays ` +
    `${of((one) => one.delete.replayed)}, latest skips ${of((one) => one.delete.skipped)}). Figures per partition: extra.`
  );
}

/** `at most 12 records`; where one of the parts is not known, nothing is known of the sum. */
function records(parts: readonly (bigint | null)[]): string {
  const known = parts.filter((part) => part !== null);
  if (known.length < parts.length) return "a number of records that is not known";
  const total = known.reduce((sum, part) => sum + part, 0n);
  return `at most ${total} record${total === 1n ? "" : "s"}`;
}
