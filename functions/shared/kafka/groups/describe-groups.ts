import { count, nameSome } from "../../core/text.ts";
import { type Attempt, failureOfCode, failureOfException, type Problem } from "../calls/problems.ts";
import { batchesOf, inParallel } from "../calls/retry.ts";
import type { Cluster } from "../connection/cluster.ts";
import type { Api } from "../wire/api.ts";
import { errorCodes } from "../wire/codes.ts";
import {
  consumerGroupDescribe,
  type DescribedGroup,
  describeGroups as describeGroupsApi,
  type ListedGroup,
  streamsGroupDescribe,
} from "../wire/groups.ts";
import { shareGroupDescribe } from "../wire/share.ts";
import { perCoordinator } from "./coordinators.ts";

/** Groups as described by their coordinators. */
export interface GroupDescriptions {
  /** `members` is null if unknown; the state is the newest known. */
  readonly groups: ReadonlyMap<string, { readonly state: string; readonly members: number | null }>;
  /** The groups unknown to their coordinator: state `Dead`, members unknown. */
  readonly dead: ReadonlySet<string>;
  /** The topics that the members of a group read, if known. */
  readonly topics: ReadonlyMap<string, readonly string[]>;
  readonly warnings: readonly string[];
}

const GROUPS_PER_REQUEST = 500;
const IN_FLIGHT = 8;
const LIMIT_MS = 15_000;

const apis: ReadonlyMap<string, Api<readonly string[], readonly DescribedGroup[]>> = new Map([
  ["classic", describeGroupsApi],
  ["consumer", consumerGroupDescribe],
  ["streams", streamsGroupDescribe],
  ["share", shareGroupDescribe],
]);

/**
 * Describes groups with the API of each type: DescribeGroups reports every group that is not classic as `Dead`. The
 * number of members is null, with a warning, for other types and failed descriptions. Throws internal errors only.
 */
export async function describeGroups(
  cluster: Cluster,
  groups: ReadonlyMap<string, ListedGroup>,
): Promise<GroupDescriptions> {
  const described = new Map<string, { state: string; members: number | null }>();
  const dead = new Set<string>();
  const topics = new Map<string, readonly string[]>();
  const problems = new Map<string, Problem>();
  const typeOf = (group: string) => groups.get(group)?.type ?? "classic";
  const { describable = [], others = [] } = Object.groupBy(groups.keys(), (group) =>
    apis.has(typeOf(group)) ? "describable" : "others",
  );
  const work = { groupOf: (group: string) => group, doing: "reading the members", maxMs: LIMIT_MS };
  const answers = await perCoordinator<string, DescribedGroup>(
    cluster,
    describable,
    work,
    async (node, asked, report, leftMs) => {
      const batches = [...Map.groupBy(asked, (group) => apis.get(typeOf(group)) ?? describeGroupsApi)].flatMap(
        ([api, names]) => batchesOf(names, GROUPS_PER_REQUEST).map((batch) => ({ api, batch })),
      );
      await inParallel(batches, IN_FLIGHT, async ({ api, batch }) => {
        try {
          for (const answer of await cluster.send(node, api, batch, leftMs())) report(answer.group, toAttempt(answer));
        } catch (error) {
          const attempt = failureOfException(error);
          for (const group of batch) report(group, attempt);
        }
      });
    },
  );
  for (const [group, result] of answers) {
    if ("failed" in result) {
      problems.set(group, result.failed);
    } else if (result.done.code === errorCodes.GROUP_ID_NOT_FOUND || result.done.state === "Dead") {
      dead.add(group);
      described.set(group, { state: "Dead", members: null });
    } else {
      const { state, members } = result.done;
      described.set(group, { state, members });
      topics.set(group, result.done.topics);
    }
  }
  for (const group of others) {
    const type = typeOf(group);
    const state = groups.get(group)?.state;
    if (state === "Empty") described.set(group, { state, members: 0 });
    else problems.set(group, { error: "unsupported", message: `this version cannot describe groups of type ${type}` });
  }
  for (const group of problems.keys())
    described.set(group, { state: groups.get(group)?.state ?? "Unknown", members: null });
  const warnings = [...Map.groupBy(problems, ([, { error }]) => error).values()].map(
    (same) =>
      `The members of ${count(same.length, "group")} could not be read: ${nameSome(same.map(([group]) => group))} ` +
      `(${same[0]?.[1].error}: ${same[0]?.[1].message}).`,
  );
  return { groups: described, dead, topics, warnings };
}

function toAttempt(answer: DescribedGroup): Attempt<DescribedGroup> {
  if (answer.code === errorCodes.NONE || answer.code === errorCodes.GROUP_ID_NOT_FOUND) return { done: answer };
  const group = nameSome([answer.group]);
  return failureOfCode(answer.code, {
    doing: `describe group ${group}`,
    groupRight: `DESCRIBE on group ${group}`,
    topicRight: "DESCRIBE on every topic that the group reads; otherwise Kafka also omits their commits",
  });
}
