import type { Observed } from "../../core/model.ts";
import { count, nameSome } from "../../core/text.ts";
import { type Attempt, failureOfCode, type Problem } from "../calls/problems.ts";
import { chunks, settleAll } from "../calls/retry.ts";
import type { Cluster } from "../connection/cluster.ts";
import { errorCodes } from "../wire/codes.ts";
import type { TopicMetadata } from "../wire/metadata.ts";
import type { TopicsObserved } from "./topics.ts";

const PATIENCE_MS = 15_000;
const TOPICS_A_REQUEST = 2_000;
const MOST_NAMES = 10;

/**
 * Finds, among the topics that members of groups read and those that the last snapshot names, the ones that were not
 * observed because the principal may not describe them: null, with a warning. So are those of which that could not be
 * found out. Kafka says of a topic that does not exist that it may not be described, so as not to tell. Never throws, but
 * for faults of ours.
 */
export async function findHiddenTopics(
  cluster: Cluster,
  observed: Observed["topics"],
  topicsOfMembers: ReadonlyMap<string, readonly string[]>,
  formerTopics: readonly string[],
): Promise<TopicsObserved> {
  const byMembers = new Set([...topicsOfMembers.values()].flat());
  const named = new Set([...byMembers, ...formerTopics]);
  const { hidden, unknown } = await checkTopics(
    cluster,
    [...named].filter((topic) => !observed.has(topic)),
  );
  const ofMembers = new Set(hidden.filter((topic) => byMembers.has(topic)));
  const ofSnapshot = hidden.filter((topic) => !byMembers.has(topic));
  const readers = [...topicsOfMembers].filter(([, topics]) => topics.some((topic) => ofMembers.has(topic)));
  const warnings: string[] = [];
  if (ofMembers.size > 0) {
    warnings.push(hiddenWarning(ofMembers, `members of group ${nameSome(readers.map(([group]) => group))} read`));
  }
  if (ofSnapshot.length > 0) warnings.push(hiddenWarning(ofSnapshot, "the last snapshot names"));
  const [first] = unknown.values();
  if (first !== undefined) {
    warnings.push(
      `Whether commits on ${count(unknown.size, "topic")} are missing could not be found out: ` +
        `${nameSome(unknown.keys(), MOST_NAMES)} (${first.error}: ${first.message}).`,
    );
  }
  return { topics: new Map([...hidden, ...unknown.keys()].map((topic) => [topic, null])), warnings };
}

const hiddenWarning = (topics: Iterable<string>, namedBy: string): string =>
  `Commits may be missing: the principal lacks DESCRIBE on topic ${nameSome(topics, MOST_NAMES)}, which ${namedBy}, and ` +
  "Kafka leaves the commits on such topics out without a word.";

/** Which topics the principal may not describe, and of which that could not be found out. */
async function checkTopics(
  cluster: Cluster,
  names: readonly string[],
): Promise<{ readonly hidden: readonly string[]; readonly unknown: ReadonlyMap<string, Problem> }> {
  const trial = { deadline: cluster.deadline, doing: "looking for hidden topics", patienceMs: PATIENCE_MS };
  const settled = await settleAll<string, boolean>(names, trial, async (pending, report, leftMs) => {
    for (const asked of chunks(pending, TOPICS_A_REQUEST)) {
      const { topics } = await cluster.metadata(asked, undefined, leftMs());
      for (const answer of topics) report(answer.topic, isHidden(answer));
    }
  });
  const hidden: string[] = [];
  const unknown = new Map<string, Problem>();
  for (const [topic, result] of settled) {
    if ("failed" in result) unknown.set(topic, result.failed);
    else if (result.done) hidden.push(topic);
  }
  return { hidden, unknown };
}

const notHidden: readonly number[] = [
  errorCodes.NONE,
  errorCodes.UNKNOWN_TOPIC_OR_PARTITION,
  errorCodes.INVALID_TOPIC_EXCEPTION,
];

function isHidden({ topic, code: number }: TopicMetadata): Attempt<boolean> {
  if (number === errorCodes.TOPIC_AUTHORIZATION_FAILED) return { done: true };
  return notHidden.includes(number)
    ? { done: false }
    : failureOfCode(number, { doing: `describe topic ${nameSome([topic])}` });
}
