import { nameSome } from "../core/text.ts";
import type { Cluster } from "./cluster.ts";
import { type Attempt, attemptFrom, attemptOf, errorOf, unavailable } from "./problems.ts";
import { settleAll } from "./retry.ts";
import { code } from "./wire/codes.ts";
import { type ListedGroup, listGroups as listGroupsApi } from "./wire/groups.ts";
import type { TopicMetadata } from "./wire/metadata.ts";
import { offsetFetch } from "./wire/offsets.ts";

/** Every group of a cluster that the principal may describe. */
export interface GroupList {
  readonly groups: ReadonlyMap<string, ListedGroup>;
  readonly warnings: readonly string[];
}

const OFFSETS_TOPIC = "__consumer_offsets";

/**
 * Lists the groups of a cluster, all of them or none.
 *
 * Kafka has no list of groups: each broker lists those that it coordinates, the ones on the partitions of
 * `__consumer_offsets` that it leads. A partition without leader, one whose leader has not loaded it, and one that moves
 * from a broker asked late to one asked early lose their groups without a word. So a list counts only when, on every
 * broker, (1) the coordinator of each partition that the broker leads has answered to a group id made up for that
 * partition, (2) then the list was read, (3) then leaders and leader epochs were the same as before; and when (4) all
 * brokers agree on them. Anything else is listed again, until the deadline is near.
 *
 * What cannot be proven with the principal's rights is a warning.
 *
 * @throws KafkaUnavailable that names what did not answer, or which groups cannot be listed
 * @throws KafkaAuthorization, DeadlineExceeded
 */
export async function listGroups(cluster: Cluster): Promise<GroupList> {
  let unknownBefore = false;
  const settled = await settleAll<"list", GroupList>(
    ["list"],
    { deadline: cluster.deadline, doing: "listing the groups" },
    async (_, tell) => {
      await cluster.metadata([]);
      const views = await Promise.all(cluster.nodes.map((node) => viewOf(cluster, node)));
      const attempt = merge(cluster, views);
      // A broker that starts does not know the topic at once. No groups is believed only when it is said twice.
      const noTopic = "done" in attempt && views.every((view) => "topic" in view && isUnknown(view.topic));
      tell("list", noTopic && !unknownBefore ? { again: unavailable("no broker knows of any group") } : attempt);
      unknownBefore = noTopic;
    },
  );
  const result = settled.get("list");
  if (result !== undefined && "done" in result) return result.done;
  throw errorOf(result?.failed ?? unavailable("the groups could not be listed"));
}

/** What one broker says, or why it does not. */
type View = Problematic | { readonly node: number; readonly topic: TopicMetadata; readonly groups: readonly ListedGroup[]; readonly hidden: boolean };
type Problematic = Exclude<Attempt<never>, { readonly done: never }>;
