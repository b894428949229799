import type { Unlisted } from "../../core/model.ts";
import { principalLacks } from "../../core/rights.ts";
import { listSome } from "../../core/text.ts";
import { failureOfCode, NoAnswer, RequestFailed, toError, unavailable } from "../calls/problems.ts";
import { READ_LIMIT_MS, settleAll } from "../calls/retry.ts";
import type { Cluster } from "../connection/cluster.ts";
import { errorCodes } from "../wire/codes.ts";
import { type ListedGroup, listGroups as listGroupsApi } from "../wire/groups.ts";
import type { TopicMetadata } from "../wire/metadata.ts";
import { offsetFetch } from "../wire/offsets.ts";

/** Every group of a cluster that the principal may describe. */
export interface GroupList {
  readonly groups: ReadonlyMap<string, ListedGroup>;
  readonly warnings: readonly string[];
  /** What cannot be listed, if that was allowed. */
  readonly unlisted?: Unlisted;
}

const OFFSETS_TOPIC = "__consumer_offsets";
/** How long a partition may have no leader: an election takes less. */
const NO_LEADER_LIMIT_MS = 10_000;

/**
 * Lists the groups of a cluster: all of them, or none; or if `allowUnlisted`, all but those that cannot be listed now.
 *
 * Kafka has no list of all groups. Each broker lists the groups that it coordinates: those on the partitions of
 * `__consumer_offsets` that it leads. Groups are silently missing if a partition has no leader, is not loaded yet, or
 * moves between brokers during the listing. So a list is accepted only if, on every broker, (1) the coordinator of each
 * partition that the broker leads has answered for an invented group id on it, (2) then the list was read, (3) then
 * leaders and leader epochs were unchanged; and if (4) all brokers agree on them. Otherwise the groups are listed
 * again, for 45 s or until the deadline is near; for 10 s where only leaders are missing. Then the groups on those
 * partitions, and on the partitions of brokers that do not answer, are unlisted.
 *
 * What the principal's rights do not allow to prove is a warning. The broker that lists a group is its coordinator and
 * is remembered in `cluster.coordinators`.
 *
 * @throws KafkaUnavailable with what did not answer, or which groups cannot be listed
 * @throws KafkaAuthorization, DeadlineExceeded
 */
export async function listGroups(cluster: Cluster, allowUnlisted = false): Promise<GroupList> {
  let unknownBefore = false;
  const started = performance.now();
  const limits = { deadline: cluster.deadline, doing: "listing the groups", maxMs: READ_LIMIT_MS };
  const settled = await settleAll<"groups", GroupList>(["groups"], limits, async (_, report) => {
    const { brokers } = await cluster.metadata([]);
    const nodes = brokers.map(({ nodeId }) => nodeId);
    const late = performance.now() - started > NO_LEADER_LIMIT_MS;
    const views = await viewsOf(cluster, nodes, allowUnlisted && late);
    const { coordinators, ...list } = merge(nodes, views);
    const { unlisted } = list;
    if (unlisted !== undefined && (!late || !allowUnlisted)) {
      const problem = unavailable(unlisted.message);
      return report("groups", late ? { failed: problem } : { again: problem });
    }
    for (const [group, node] of coordinators) cluster.coordinators.set(group, node);
    // A broker that has just started may not know the topic yet: two answers without it are required.
    const unknown = views.every(({ topic }) => topic.code === errorCodes.UNKNOWN_TOPIC_OR_PARTITION);
    const confirmed = !unknown || unknownBefore;
    unknownBefore = unknown;
    report("groups", confirmed ? { done: list } : { again: unavailable(`no broker knows ${OFFSETS_TOPIC} yet`) });
  });
  const result = settled.get("groups");
  if (result !== undefined && "done" in result) return result.done;
  throw toError(result?.failed ?? unavailable("the groups could not be listed"));
}

/**
 * Asks all brokers.
 *
 * @param allowSilent leave out those that do not answer, as long as one does
 */
async function viewsOf(cluster: Cluster, nodes: readonly number[], allowSilent: boolean): Promise<readonly View[]> {
  const asked = nodes.map((node) => viewOf(cluster, node));
  if (!allowSilent) return Promise.all(asked);
  const views: View[] = [];
  let silence: unknown;
  for (const answer of await Promise.allSettled(asked)) {
    if (answer.status === "fulfilled") views.push(answer.value);
    else if (answer.reason instanceof NoAnswer) silence = answer.reason;
    else throw answer.reason;
  }
  if (views.length === 0 && silence !== undefined) throw silence;
  return views;
}

/** One broker's answers. */
interface View {
  readonly node: number;
  /** The brokers that it knows. */
  readonly brokers: readonly number[];
  /** `__consumer_offsets`; without partitions if it does not exist or the principal may not describe it. */
  readonly topic: TopicMetadata;
  readonly groups: readonly ListedGroup[];
  /** Whether the principal may not describe every group. */
  readonly hidden: boolean;
}

async function viewOf(cluster: Cluster, node: number): Promise<View> {
  const before = await offsetsTopic(cluster, node);
  const hidden = await probe(cluster, node, before.topic);
  const { code, groups } = await cluster.send(node, listGroupsApi, null);
  if (code !== errorCodes.NONE)
    throw new RequestFailed(failureOfCode(code, { doing: `list the groups of broker ${node}` }));
  const after = await offsetsTopic(cluster, node);
  if (leadership(before.topic) !== leadership(after.topic)) throw leadershipMoved();
  return { node, ...after, groups, hidden };
}

async function offsetsTopic(cluster: Cluster, node: number): Promise<Pick<View, "topic" | "brokers">> {
  const { topics, brokers } = await cluster.metadata([OFFSETS_TOPIC], node);
  const topic = topics.find((answer) => answer.topic === OFFSETS_TOPIC);
  if (topic === undefined) {
    throw new RequestFailed({ failed: unavailable(`the Metadata answer of broker ${node} omits ${OFFSETS_TOPIC}`) });
  }
  const { NONE, UNKNOWN_TOPIC_OR_PARTITION, TOPIC_AUTHORIZATION_FAILED } = errorCodes;
  const expected: readonly number[] = [NONE, UNKNOWN_TOPIC_OR_PARTITION, TOPIC_AUTHORIZATION_FAILED];
  if (!expected.includes(topic.code)) {
    throw new RequestFailed(failureOfCode(topic.code, { doing: `describe ${OFFSETS_TOPIC}, which stores the groups` }));
  }
  return { topic, brokers: brokers.map(({ nodeId }) => nodeId) };
}

/** Asks the coordinator of each partition that a broker leads; true if the principal lacks the right. */
async function probe(cluster: Cluster, node: number, topic: TopicMetadata): Promise<boolean> {
  const names = probeNames(topic.partitions.length);
  const led = topic.partitions.filter(({ leader }) => leader === node);
  const asked = led.map(({ partition }) => ({ group: names.get(partition) ?? "", topics: null }));
  if (asked.length === 0) return false;
  const answers = await cluster.send(node, offsetFetch, asked);
  const codes = new Map(answers.map((answer) => [answer.group, answer.code]));
  let hidden = false;
  for (const { group } of asked) {
    const code = codes.get(group);
    if (code === errorCodes.GROUP_AUTHORIZATION_FAILED) {
      hidden = true;
    } else if (code !== errorCodes.NONE) {
      throw new RequestFailed(
        code === undefined
          ? { failed: unavailable(`the OffsetFetch answer of broker ${node} omits a group`) }
          : failureOfCode(code, {
              doing: `list the groups of broker ${node}, which does not yet coordinate all of them`,
            }),
      );
    }
  }
  return hidden;
}

/** Invented group ids, one for each partition of `__consumer_offsets`. */
function probeNames(partitions: number): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (let i = 0; names.size < partitions; i++) {
    // Names that differ only in their last digits would take millions of attempts for some partition counts.
    const name = `offset-rollback-probe-${Math.imul(i, 0x9e3779b1) >>> 0}-${i.toString(36)}`;
    const partition = partitionOf(name, partitions);
    if (!names.has(partition)) names.set(partition, name);
  }
  return names;
}

/** The partition of `__consumer_offsets` of a group: Java's hash code of its id, made positive as in Kafka. */
function partitionOf(group: string, partitions: number): number {
  let hash = 0;
  for (let i = 0; i < group.length; i++) hash = (Math.imul(hash, 31) + group.charCodeAt(i)) | 0;
  return (hash === -0x80000000 ? 0 : Math.abs(hash)) % partitions;
}

/** Leaders and leader epochs, to compare. */
function leadership({ code, partitions }: TopicMetadata): string {
  const leaders = partitions.map(({ partition, leader, leaderEpoch }) => `${partition}:${leader}:${leaderEpoch}`);
  return [code, ...leaders.sort()].join(" ");
}

function leadershipMoved(): RequestFailed {
  const what = `leaders of ${OFFSETS_TOPIC} changed while the groups were listed`;
  return new RequestFailed({ again: unavailable(`${what}; the list may be incomplete`) });
}

/** Merges the lists of brokers if they show the same state of the cluster. */
function merge(
  nodes: readonly number[],
  views: readonly View[],
): GroupList & { readonly coordinators: ReadonlyMap<string, number> } {
  const [first] = views;
  if (first === undefined) throw new RequestFailed({ again: unavailable("the cluster lists no brokers") });
  const { partitions } = first.topic;
  const known = new Set(nodes);
  for (const { brokers, topic } of views) {
    const sameBrokers = brokers.length === known.size && brokers.every((broker) => known.has(broker));
    if (!sameBrokers || leadership(topic) !== leadership(first.topic)) throw leadershipMoved();
  }
  const leaders = new Map(partitions.map(({ partition, leader }) => [partition, leader]));
  const groups = new Map<string, ListedGroup>();
  const coordinators = new Map<string, number>();
  for (const { node, groups: listed } of views) {
    for (const group of listed) {
      if (groups.has(group.group) && leaders.get(partitionOf(group.group, partitions.length)) !== node) continue;
      groups.set(group.group, group);
      coordinators.set(group.group, node);
    }
  }
  const warnings: string[] = [];
  const { TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_OR_PARTITION } = errorCodes;
  const incomplete = (reason: string) => warnings.push(`The list of groups may be incomplete: ${reason}.`);
  // Some hosted clusters hide the topic: it is unknown, although groups exist.
  if (first.topic.code === UNKNOWN_TOPIC_OR_PARTITION && groups.size > 0) {
    incomplete(`the cluster hides topic ${OFFSETS_TOPIC}, which would prove it`);
  }
  if (first.topic.code === TOPIC_AUTHORIZATION_FAILED) {
    incomplete(principalLacks(`DESCRIBE on topic "${OFFSETS_TOPIC}"`));
  }
  if (views.some(({ hidden }) => hidden)) {
    incomplete(`${principalLacks("DESCRIBE on all groups")}, and patterns cannot match the others`);
  }
  const unlisted = unlistedOf(first.topic, known, new Set(views.map(({ node }) => node)));
  return { groups, coordinators, warnings, ...(unlisted && { unlisted }) };
}

/** The partitions without a leader, and those whose leader did not answer: none are known where the topic is hidden. */
function unlistedOf(
  { partitions }: TopicMetadata,
  nodes: ReadonlySet<number>,
  answered: ReadonlySet<number>,
): Unlisted | undefined {
  const lacking = partitions.filter(({ leader }) => !answered.has(leader));
  const silent = [...nodes.difference(answered)].sort((a, b) => a - b);
  const reasons = [
    lacking.some(({ leader }) => !nodes.has(leader)) && "a partition has no leader",
    silent.length > 0 && `${numbered("broker", silent)} did not answer`,
  ].filter((reason) => reason !== false);
  if (reasons.length === 0) return undefined;
  if (lacking.length === 0) {
    return { offsetsPartitions: [], message: `the groups of some brokers cannot be listed: ${reasons.join(" and ")}` };
  }
  const offsetsPartitions = lacking.map(({ partition }) => partition).sort((a, b) => a - b);
  const which = `the groups on ${OFFSETS_TOPIC} ${numbered("partition", offsetsPartitions)} (of ${partitions.length})`;
  return { offsetsPartitions, message: `${which} cannot be listed: ${reasons.join(" and ")}` };
}

/** `broker 2`, `brokers 2, 3`. */
const numbered = (noun: string, numbers: readonly number[]) =>
  `${noun}${numbers.length === 1 ? "" : "s"} ${listSome(numbers, String, 10)}`;
