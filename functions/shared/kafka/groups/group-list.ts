import { nameSome } from "../../core/text.ts";
import { failureOfCode, RequestFailed, toError, unavailable } from "../calls/problems.ts";
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
}

const OFFSETS_TOPIC = "__consumer_offsets";

/**
 * Lists the groups of a cluster: all of them, or none.
 *
 * Kafka has no list of all groups. Each broker lists the groups that it coordinates: those on the partitions of
 * `__consumer_offsets` that it leads. Groups are silently missing if a partition has no leader, is not loaded yet, or
 * moves between brokers during the listing. So a list is accepted only if, on every broker, (1) the coordinator of each
 * partition that the broker leads has answered for an invented group id on it, (2) then the list was read, (3) then
 * leaders and leader epochs were unchanged; and if (4) all brokers agree on them. Otherwise the groups are listed
 * again, for 45 s or until the deadline is near.
 *
 * What the principal's rights do not allow to prove is a warning. The broker that lists a group is its coordinator and
 * is remembered in `cluster.coordinators`.
 *
 * @throws KafkaUnavailable with what did not answer, or which groups cannot be listed
 * @throws KafkaAuthorization, DeadlineExceeded
 */
export async function listGroups(cluster: Cluster): Promise<GroupList> {
  let unknownBefore = false;
  const limits = { deadline: cluster.deadline, doing: "listing the groups", maxMs: READ_LIMIT_MS };
  const settled = await settleAll<"groups", GroupList>(["groups"], limits, async (_, report) => {
    const { brokers } = await cluster.metadata([]);
    const nodes = brokers.map(({ nodeId }) => nodeId);
    const views = await Promise.all(nodes.map((node) => viewOf(cluster, node)));
    const { coordinators, ...list } = merge(nodes, views);
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

/** Merges the lists of all brokers if they show the same state of the cluster. */
function merge(
  asked: readonly number[],
  views: readonly View[],
): GroupList & { readonly coordinators: ReadonlyMap<string, number> } {
  const [first] = views;
  if (first === undefined) throw new RequestFailed({ again: unavailable("the cluster lists no brokers") });
  const { partitions } = first.topic;
  const nodes = new Set(asked);
  for (const { brokers, topic } of views) {
    const sameBrokers = brokers.length === nodes.size && brokers.every((broker) => nodes.has(broker));
    if (!sameBrokers || leadership(topic) !== leadership(first.topic)) throw leadershipMoved();
  }
  const leaderless = partitions.filter(({ leader }) => !nodes.has(leader)).map(({ partition }) => `${partition}`);
  if (leaderless.length > 0) {
    throw new RequestFailed({
      again: unavailable(
        `the groups on ${OFFSETS_TOPIC} partition ${nameSome(leaderless, 10)} (of ${partitions.length}) cannot be listed: ` +
          "the partition has no leader",
      ),
    });
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
  if (first.topic.code === errorCodes.TOPIC_AUTHORIZATION_FAILED) {
    warnings.push(
      `The list of groups may be incomplete: the principal may not describe ${OFFSETS_TOPIC}. Grant DESCRIBE on it.`,
    );
  }
  if (views.some(({ hidden }) => hidden)) {
    warnings.push(
      "The principal may describe only some groups (it lacks DESCRIBE on all). Patterns cannot match the others.",
    );
  }
  return { groups, coordinators, warnings };
}
