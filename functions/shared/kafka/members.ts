import { count, nameSome } from "../core/text.ts";
import type { Cluster } from "./cluster.ts";
import { perCoordinator } from "./coordinators.ts";
import { attemptFrom, attemptOf, type Problem } from "./problems.ts";
import { chunks, inParallel } from "./retry.ts";
import { code } from "./wire/codes.ts";
import { consumerGroupDescribe, type DescribedGroup, describeGroups, type ListedGroup } from "./wire/groups.ts";

/** Groups as their coordinators describe them, after their commits were read. */
export interface Members {
  /** `members` is null where it could not be had; the state is the newest that is known. */
  readonly groups: ReadonlyMap<string, { readonly state: string; readonly members: number | null }>;
  /** The groups that do not exist any more. */
  readonly gone: ReadonlySet<string>;
  readonly warnings: readonly string[];
}

const GROUPS_A_REQUEST = 500;
const IN_FLIGHT = 8;
const PATIENCE_MS = 15_000;

/**
 * Counts the members of groups: classic groups with DescribeGroups (which says of every other type that it is dead),
 * groups of type `consumer` with ConsumerGroupDescribe (KIP-848). For other types, and where a description cannot be
 * had, the number is null, with a warning. Never throws, but for faults of ours.
 */
export async function countMembers(cluster: Cluster, groups: ReadonlyMap<string, ListedGroup>): Promise<Members> {
  const described = new Map<string, { state: string; members: number | null }>();
  const gone = new Set<string>();
  const problems = new Map<string, Problem>();
  const typeOf = (group: string) => groups.get(group)?.type ?? "classic";
  const [describable, others] = partition([...groups.keys()], (group) => /^(classic|consumer)$/.test(typeOf(group)));
  const work = { groupOf: (group: string) => group, doing: "counting the members", patienceMs: PATIENCE_MS };
  const answers = await perCoordinator<string, DescribedGroup>(
    cluster,
    describable,
    work,
    async (node, asked, tell) => {
      const batches = [...Map.groupBy(asked, typeOf)].flatMap(([type, names]) =>
        chunks(names, GROUPS_A_REQUEST).map((batch) => ({
          api: type === "classic" ? describeGroups : consumerGroupDescribe,
          batch,
        })),
      );
      await inParallel(batches, IN_FLIGHT, async ({ api, batch }) => {
        try {
          for (const answer of await cluster.send(node, api, batch)) {
            const { group } = answer;
            const settled = answer.code === code.NONE || answer.code === code.GROUP_ID_NOT_FOUND;
            const right = `DESCRIBE on group ${nameSome([group])}`;
            tell(
              group,
              settled
                ? { done: answer }
                : attemptOf(answer.code, { doing: `describe group ${nameSome([group])}`, right }),
            );
          }
        } catch (error) {
          const attempt = attemptFrom(error);
          for (const group of batch) tell(group, attempt);
        }
      });
    },
  );
  for (const [group, result] of answers) {
    if ("done" in result) {
      const { state, members } = result.done;
      described.set(group, { state, members });
      if (result.done.code === code.GROUP_ID_NOT_FOUND || state === "Dead") gone.add(group);
    } else {
      problems.set(group, result.failed);
    }
  }
  for (const group of others) {
    const type = typeOf(group);
    const state = groups.get(group)?.state;
    if (state === "Empty") described.set(group, { state, members: 0 });
    else problems.set(group, { error: "unsupported", message: `members of ${type} groups are not counted yet` });
  }
  for (const group of problems.keys())
    described.set(group, { state: groups.get(group)?.state ?? "Unknown", members: null });
  const [first] = problems.values();
  const warnings =
    first === undefined
      ? []
      : [
          `The members of ${count(problems.size, "group")} could not be counted: ${nameSome(problems.keys())} ` +
            `(${first.error}: ${first.message}).`,
        ];
  return { groups: described, gone, warnings };
}

function partition<T>(items: readonly T[], holds: (item: T) => boolean): [T[], T[]] {
  return [items.filter(holds), items.filter((item) => !holds(item))];
}
