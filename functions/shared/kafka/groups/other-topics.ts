import type { Observed } from "../../core/model.ts";
import { principalLacks } from "../../core/rights.ts";
import { count, nameSome } from "../../core/text.ts";
import { type Attempt, failureOfCode, type Problem } from "../calls/problems.ts";
import type { Cluster } from "../connection/cluster.ts";
import { errorCodes } from "../wire/codes.ts";
import type { TopicMetadata } from "../wire/metadata.ts";
import { askForTopics, observeTopics, type TopicsObserved } from "./topics.ts";

const MAX_NAMES = 10;

/**
 * Observes the topics without commits that members read, and finds topics that were not observed because the principal may
 * not describe them, among these and those in the last snapshot. They are null, with a warning; so are topics for which that
 * is unknown. To hide which topics exist, Kafka answers code 29 for missing topics too without that right. Throws internal
 * errors only.
 */
export async function observeOtherTopics(
  cluster: Cluster,
  observed: Observed["topics"],
  topicsOfMembers: ReadonlyMap<string, readonly string[]>,
  formerTopics: readonly string[],
): Promise<TopicsObserved> {
  const byMembers = new Set([...topicsOfMembers.values()].flat());
  const named = new Set([...byMembers, ...formerTopics]);
  const { hidden, unknown, visible } = await checkTopics(
    cluster,
    [...named].filter((topic) => !observed.has(topic)),
  );
  const read = await observeTopics(
    cluster,
    new Map(visible.filter((topic) => byMembers.has(topic)).map((topic) => [topic, 0])),
  );
  const ofMembers = new Set(hidden.filter((topic) => byMembers.has(topic)));
  const ofSnapshot = hidden.filter((topic) => !byMembers.has(topic));
  const readers = [...topicsOfMembers].filter(([, topics]) => topics.some((topic) => ofMembers.has(topic)));
  const warnings = [...read.warnings];
  if (ofMembers.size > 0) {
    warnings.push(hiddenWarning(ofMembers, `which members of group ${nameSome(readers.map(([group]) => group))} read`));
  }
  if (ofSnapshot.length > 0) warnings.push(hiddenWarning(ofSnapshot, "which the last snapshot contains"));
  const [first] = unknown.values();
  if (first !== undefined) {
    warnings.push(
      `Commits may be missing: ${count(unknown.size, "topic")} could not be checked for DESCRIBE: ` +
        `${nameSome(unknown.keys(), MAX_NAMES)} (${first.error}: ${first.message}).`,
    );
  }
  const unseen = [...hidden, ...unknown.keys()].map((topic) => [topic, null] as const);
  return { topics: new Map([...read.topics, ...unseen]), warnings };
}

const hiddenWarning = (topics: Iterable<string>, namedBy: string): string =>
  `Commits may be missing: ${principalLacks(`DESCRIBE on topic ${nameSome(topics, MAX_NAMES)}`)}, ${namedBy}. Kafka ` +
  "silently omits commits on such topics. Grant DESCRIBE on them.";

/** The topics that the principal may not describe, those that it may, and those for which that is unknown. */
async function checkTopics(
  cluster: Cluster,
  names: readonly string[],
): Promise<{
  readonly hidden: readonly string[];
  readonly visible: readonly string[];
  readonly unknown: ReadonlyMap<string, Problem>;
}> {
  const settled = await askForTopics(cluster, names, "checking DESCRIBE on topics", sight);
  const unknown = new Map<string, Problem>();
  const seen = { hidden: [] as string[], visible: [] as string[], missing: [] as string[] };
  for (const [topic, result] of settled) {
    if ("failed" in result) unknown.set(topic, result.failed);
    else seen[result.done].push(topic);
  }
  return { ...seen, unknown };
}

function sight({ topic, code }: TopicMetadata): Attempt<"hidden" | "visible" | "missing"> {
  switch (code) {
    case errorCodes.TOPIC_AUTHORIZATION_FAILED:
      return { done: "hidden" };
    case errorCodes.NONE:
      return { done: "visible" };
    case errorCodes.UNKNOWN_TOPIC_OR_PARTITION:
    case errorCodes.INVALID_TOPIC_EXCEPTION:
      return { done: "missing" };
  }
  return failureOfCode(code, { doing: `describe topic ${nameSome([topic])}` });
}
