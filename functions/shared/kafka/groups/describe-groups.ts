import { count, nameSome } from "../../core/text.ts";
import { type Attempt, failureOfCode, failureOfException, type Problem } from "../calls/problems.ts";
import { batchesOf, inParallel, type TimeLeft } from "../calls/retry.ts";
import type { Cluster } from "../connection/cluster.ts";
import type { Api } from "../wire/api.ts";
import { errorCodes } from "../wire/codes.ts";
import {
  consumerGroupDescribe,
  type DescribedGroup,
  describeGroups as describeGroupsApi,
  type ListedGroup,
  listGroups,
  streamsGroupDescribe,
} from "../wire/groups.ts";
import { shareGroupDescribe } from "../wire/share.ts";
import { perCoordinator } from "./coordinators.ts";

/** A group as its coordinator describes it. */
export interface GroupDescription extends ListedGroup {
  /** Null if unknown. */
  readonly members: number | null;
  /** As in `DescribedGroup`. */
  readonly protocol: string;
  /** The topics that the members read, if known. */
  readonly topics: readonly string[];
}

/** Groups as described by their coordinators. */
export interface GroupDescriptions {
  readonly groups: ReadonlyMap<string, GroupDescription>;
  /** The groups unknown to their coordinators, whatever their type. */
  readonly dead: ReadonlySet<string>;
  /** The groups that could not be described, why, and their types if known. */
  readonly problems: ReadonlyMap<string, Problem & { readonly type: string | null }>;
}

const GROUPS_PER_REQUEST = 500;
const IN_FLIGHT = 8;
const LIMIT_MS = 15_000;

type DescribeApi = Api<readonly string[], readonly DescribedGroup[]>;

/** The API of each type, the most frequent ones first. */
const apis: ReadonlyMap<string, DescribeApi> = new Map([
  ["classic", describeGroupsApi],
  ["consumer", consumerGroupDescribe],
  ["streams", streamsGroupDescribe],
  ["share", shareGroupDescribe],
]);

/**
 * Describes groups at their coordinators with the API of each type, and with the others where that does not know the
 * group: DescribeGroups reports every group that is not classic as `Dead`. Every group is in `groups`, `dead` or
 * `problems`. Throws internal errors only.
 *
 * @param groups what is known of them so far, from a list: the type saves requests
 */
export async function describeGroups(
  cluster: Cluster,
  groups: ReadonlyMap<string, ListedGroup | undefined>,
): Promise<GroupDescriptions> {
  const described = new Map<string, GroupDescription>();
  const problems = new Map<string, Problem & { readonly type: string | null }>();
  const types = new Map<string, string[]>(); // that are still to be tried
  for (const [group, listed] of groups) {
    const { type = null, state = "", protocolType = "" } = listed ?? {};
    if (type === null || apis.has(type)) {
      types.set(group, [...new Set([...(type === null ? [] : [type]), ...apis.keys()])]);
    } else if (state === "Empty") {
      described.set(group, { group, type, state, protocolType, members: 0, protocol: "", topics: [] });
    } else {
      problems.set(group, {
        type,
        error: "unsupported",
        message: `this version cannot describe groups of type ${type}`,
      });
    }
  }
  for (let round = 0; round < apis.size; round++) {
    const next = [...types].flatMap(([group, [type]]) => (type === undefined ? [] : [[group, type] as const]));
    for (const [group, result] of await describeAs(cluster, new Map(next))) {
      if ("failed" in result) {
        const { error } = result.failed;
        const type = types.get(group)?.[0];
        // Only a group of that type has topics that may be hidden.
        const isTyped = type !== undefined && type !== "classic" && error === "KafkaAuthorization";
        problems.set(group, { ...result.failed, type: isTyped ? type : (groups.get(group)?.type ?? null) });
        types.delete(group);
      } else if (result.done !== undefined) {
        described.set(group, result.done);
        types.delete(group);
      } else {
        types.get(group)?.shift();
      }
    }
  }
  return { groups: described, dead: new Set(types.keys()), problems };
}

/** Describes each group with the API of one type; undefined if that does not know it. */
function describeAs(cluster: Cluster, types: ReadonlyMap<string, string>) {
  const work = { groupOf: (group: string) => group, doing: "reading the members", maxMs: LIMIT_MS };
  return perCoordinator<string, GroupDescription | undefined>(
    cluster,
    types.keys(),
    work,
    async (node, asked, report, leftMs) => {
      // Most groups are empty. Of many, one list of the coordinator says so faster than their descriptions.
      const empty = asked.length > GROUPS_PER_REQUEST ? await emptyGroups(cluster, node, leftMs) : new Map();
      for (const group of asked) if (empty.has(group)) report(group, { done: empty.get(group) });
      const byType = Map.groupBy(
        asked.filter((group) => !empty.has(group)),
        (group) => types.get(group) ?? "classic",
      );
      const batches = [...byType].flatMap(([type, names]) =>
        batchesOf(names, GROUPS_PER_REQUEST).map((batch) => ({ type, batch })),
      );
      await inParallel(batches, IN_FLIGHT, async ({ type, batch }) => {
        try {
          const answers = await cluster.send(node, apis.get(type) ?? describeGroupsApi, batch, leftMs());
          for (const answer of answers) report(answer.group, toAttempt(answer, type));
        } catch (error) {
          const attempt = failureOfException(error);
          for (const group of batch) report(group, attempt);
        }
      });
    },
  );
}

/** The groups of known type that a coordinator lists as empty. */
async function emptyGroups(cluster: Cluster, node: number, leftMs: TimeLeft): Promise<Map<string, GroupDescription>> {
  const { groups } = await cluster.send(node, listGroups, null, leftMs());
  const empty = groups.filter(({ type, state }) => state === "Empty" && type !== null && apis.has(type));
  return new Map(empty.map((listed) => [listed.group, { ...listed, members: 0, protocol: "", topics: [] }]));
}

function toAttempt(answer: DescribedGroup, type: string): Attempt<GroupDescription | undefined> {
  const { code, ...described } = answer;
  // A type may be switched off: code 35.
  if (code === errorCodes.GROUP_ID_NOT_FOUND || code === errorCodes.UNSUPPORTED_VERSION) return { done: undefined };
  if (code === errorCodes.NONE) return { done: described.state === "Dead" ? undefined : { ...described, type } };
  const group = nameSome([answer.group]);
  return failureOfCode(code, {
    doing: `describe group ${group}`,
    groupRight: `DESCRIBE on group ${group}`,
    topicRight: "DESCRIBE on every topic that the group reads; otherwise Kafka also omits their commits",
  });
}

/** Says which members could not be read. */
export function memberWarnings(problems: GroupDescriptions["problems"]): string[] {
  return [...Map.groupBy(problems, ([, { error }]) => error).values()].map(
    (same) =>
      `The members of ${count(same.length, "group")} could not be read: ${nameSome(same.map(([group]) => group))} ` +
      `(${same[0]?.[1].error}: ${same[0]?.[1].message}).`,
  );
}
