import { InvalidRequest } from "./errors.ts";
import { type Commits, type GroupCommits, placeOf, splitTopicPartition } from "./model.ts";
import { compileSelectors, type Globs, type Selector, type Selectors, selectNames, textOf } from "./selectors.ts";
import { nameSome, quote } from "./text.ts";

/**
 * The topics that a selector is for, and the partitions if it names some, as Kafka's own tool writes them: `orders:0,3`. No
 * topic's name has a colon.
 */
export function splitTopic(selector: Selector): { readonly topic: Selector; readonly partitions?: readonly string[] } {
  if (typeof selector !== "string" || !selector.includes(":")) return { topic: selector };
  const colon = selector.indexOf(":");
  return { topic: selector.slice(0, colon), partitions: selector.slice(colon + 1).split(",") };
}

/** Why a selector can pick no topic or partition: every reason. */
export function topicProblems(selector: Selector): string[] {
  const { topic, partitions = [] } = splitTopic(selector);
  const name = textOf(topic);
  const isTopic = (typeof topic === "string" ? /^[\w.*?-]{1,249}$/ : /^[\w.-]{1,249}$/).test(name);
  const wrong = partitions.filter((text) => splitTopicPartition(`t-${text}`)?.topic !== "t");
  const seen = new Set<string>();
  const twice = new Set(partitions.filter((text) => seen.size === seen.add(text).size));
  return [
    !isTopic && `${quote(name)} cannot be a topic: letters, digits, ".", "_" and "-", at most 249 of them`,
    wrong.length > 0 && `partition ${nameSome(wrong)} is not a number from 0 to 2147483647`,
    twice.size > 0 && `partition ${nameSome(twice)} is named twice`,
  ].filter((problem) => problem !== false);
}

/** The selectors of topics by the partition that they are for; those under undefined are for all partitions. */
function byPartition(topics: readonly Selector[]): Map<number | undefined, Selector[]> {
  const selectors = new Map<number | undefined, Selector[]>();
  for (const { topic, partitions } of topics.map(splitTopic)) {
    for (const partition of partitions?.map(Number) ?? [undefined]) {
      const named = selectors.get(partition);
      if (named === undefined) selectors.set(partition, [topic]);
      else named.push(topic);
    }
  }
  return selectors;
}

/** Compiles selectors of topics: returns whether they pick the partition of a key. */
export function compileTopics(topics: Selectors): (key: string) => boolean {
  if (topics === undefined) return () => true;
  const known: Globs = new Map();
  const matchers = new Map([...byPartition(topics)].map(([at, named]) => [at, compileSelectors(named, known).matches]));
  return (key) => {
    const { topic, partition } = placeOf(key);
    return [undefined, partition].some((at) => matchers.get(at)?.(topic));
  };
}

/** Leaves only the commits on topics, or partitions, that the selectors pick. Groups stay, with fewer commits or none. */
export const onTopics = (commits: Commits, topics: Selectors): Commits =>
  topics === undefined ? commits : onPicked(commits, compileTopics(topics));

/** Leaves only the commits on partitions that are picked, as `onTopics` does. */
export function onPicked(commits: Commits, picks: (key: string) => boolean): Commits {
  const kept = (partitions: GroupCommits) => new Map([...partitions].filter(([key]) => picks(key)));
  return new Map([...commits].map(([group, partitions]) => [group, kept(partitions)]));
}

/**
 * Says which patterns for topics pick none of the commits that there are.
 *
 * @param uncaptured groups that a snapshot could not capture: whether they had commits is not known, so nothing is an error
 * @throws InvalidRequest for a topic or partition that is named literally and has none, and where nothing is selected at
 *   all: a rollback, or a comparison, of nothing would be a success that means nothing
 */
export function topicWarnings(
  topics: Selectors,
  commits: readonly ReadonlyMap<string, ReadonlyMap<string, unknown>>[],
  where: string,
  uncaptured?: { readonly snapshotId: string; readonly groups: readonly string[] },
): string[] {
  if (topics === undefined) return [];
  const keys = new Set(commits.flatMap((groups) => [...groups.values()].flatMap((of) => [...of.keys()])));
  const places = [...keys].map(placeOf);
  const existing = new Set(places.map(({ topic }) => topic));
  const having = Map.groupBy(places, ({ partition }) => partition);
  const missing: string[] = [];
  const idleTopics: string[] = [];
  const idlePartitions: string[] = [];
  const incomplete = new Set<string>();
  const known: Globs = new Map();
  let isAnyPicked = false;
  for (const [at, selectors] of byPartition(topics)) {
    const there = at === undefined ? existing : (having.get(at) ?? []).map(({ topic }) => topic);
    const { names, missingLiterals, idlePatterns } = selectNames(selectors, there, known);
    const named = (topic: string) => (at === undefined ? topic : `${topic}:${at}`);
    isAnyPicked ||= names.length > 0;
    missing.push(...missingLiterals.map(named));
    (at === undefined ? idleTopics : idlePartitions).push(...idlePatterns.map(named));
    for (const topic of missingLiterals) if (existing.has(topic)) incomplete.add(topic);
  }
  if (missing.length > 0 || !isAnyPicked) {
    const nothing = nameSome([...missing, ...idleTopics, ...idlePartitions]);
    if (uncaptured !== undefined && uncaptured.groups.length > 0) {
      const { snapshotId, groups } = uncaptured;
      const them = groups.length === 1 ? "that group" : "those groups";
      return [
        `Whether ${nameSome(groups)} had commits on ${nothing} is not known: ${snapshotId} could not capture ${them}.`,
      ];
    }
    const something =
      incomplete.size > 0 ? [...incomplete].slice(0, 3).map((topic) => withPartitions(topic, places)) : existing;
    throw new InvalidRequest(
      `topics: in ${where} no selected group has a commit on ${nothing}; there are commits on ` +
        `${nameSome(something) || "no topic"}.`,
    );
  }
  return [
    ...idleTopics.map((pattern) => `The pattern ${quote(pattern)} matches no topic.`),
    ...(idlePartitions.length > 0 ? [`No partition matches ${nameSome(idlePartitions)}.`] : []),
  ];
}

/** A topic with its first partitions, as a request names them. */
function withPartitions(topic: string, places: readonly { topic: string; partition: number }[], most = 20): string {
  const all = places.flatMap((place) => (place.topic === topic ? [place.partition] : [])).sort((a, b) => a - b);
  return `${topic}:${all.slice(0, most).join(",")}${all.length > most ? ",…" : ""}`;
}
