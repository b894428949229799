import { count, nameSome } from "../../core/text.ts";
import { type Attempt, failureOfCode, failureOfException, type Settled, unavailable } from "../calls/problems.ts";
import { batchesOf, inParallel, type Report, settleAll, type TimeLeft } from "../calls/retry.ts";
import type { Cluster } from "../connection/cluster.ts";
import { errorCodes } from "../wire/codes.ts";
import { findCoordinator } from "../wire/groups.ts";

/** Work on groups, and its limits. */
export interface GroupWork<K> {
  readonly groupOf: (key: K) => string;
  /** `reading commits`. */
  readonly doing: string;
  readonly maxMs?: number;
  readonly stallMs?: number;
  readonly reserveMs?: number;
}

const LONGEST_GROUP_ID = 0x7fff;
const COORDINATORS_PER_REQUEST = 5_000;
/** How long a group may have no coordinator: its partition of `__consumer_offsets` has no leader. An election takes less. */
const NO_COORDINATOR_LIMIT_MS = 10_000;

/**
 * Does work on groups (or parts of groups) at their coordinators, all in parallel. If a coordinator moved, is loading
 * or stopped, retries at the group's current coordinator until the deadline is near; for 10 s if there is none. Each key
 * ends as done or failed.
 */
export function perCoordinator<K, R>(
  cluster: Cluster,
  keys: Iterable<K>,
  { groupOf, ...rest }: GroupWork<K>,
  work: (node: number, keys: readonly K[], report: Report<K, R>, leftMs: TimeLeft) => Promise<void>,
): Promise<Map<K, Settled<R>>> {
  const all = [...keys];
  const doing = `${rest.doing} of ${nameSome(new Set(all.map(groupOf)))}`;
  const limits = { deadline: cluster.deadline, ...rest, doing };
  return settleAll<K, R>(all, limits, async (pending, report, leftMs) => {
    const unanswered = new Set(pending);
    const reportAndUncache: Report<K, R> = (key, attempt) => {
      unanswered.delete(key);
      if ("again" in attempt) cluster.coordinators.delete(groupOf(key));
      report(key, attempt);
    };
    await locate(cluster, pending, groupOf, reportAndUncache, leftMs);
    const located = pending.filter((key) => unanswered.has(key));
    const byNode = Map.groupBy(located, (key) => cluster.coordinators.get(groupOf(key)) ?? -1);
    await inParallel([...byNode], byNode.size, async ([node, keysOfNode]) => {
      try {
        await work(node, keysOfNode, reportAndUncache, leftMs);
      } catch (error) {
        const attempt = failureOfException(error);
        for (const key of keysOfNode) if (unanswered.has(key)) reportAndUncache(key, attempt);
      }
    });
  });
}

/** Finds unknown coordinators; reports the groups for which that fails. */
async function locate<K>(
  cluster: Cluster,
  keys: readonly K[],
  groupOf: (key: K) => string,
  report: Report<K, never>,
  leftMs: TimeLeft,
): Promise<void> {
  const byGroup = Map.groupBy(keys, groupOf);
  const reportGroup = (group: string, attempt: Attempt<never>) => {
    for (const key of byGroup.get(group) ?? []) report(key, attempt);
  };
  const unknown = [...byGroup.keys()].filter((group) => !cluster.coordinators.has(group));
  const { tooLong = [], valid = [] } = Object.groupBy(unknown, (group) =>
    Buffer.byteLength(group) > LONGEST_GROUP_ID ? "tooLong" : "valid",
  );
  for (const group of tooLong) {
    const message = `the group id ${nameSome([group.slice(0, 40)])}… is longer than ${LONGEST_GROUP_ID} bytes`;
    reportGroup(group, { failed: { error: "InvalidRequest", message } });
  }
  for (const asked of batchesOf(valid, COORDINATORS_PER_REQUEST)) {
    const found = await cluster.sendToAny(findCoordinator, asked, leftMs());
    for (const coordinator of found) {
      const { group } = coordinator;
      if (coordinator.code === errorCodes.NONE) {
        cluster.rememberBroker(coordinator);
        cluster.coordinators.set(group, coordinator.nodeId);
        cluster.withoutCoordinator.delete(group);
        continue;
      }
      const doing = `find the coordinator of group ${nameSome([group])}`;
      const groupRight = `DESCRIBE on group ${nameSome([group])}`;
      const failure = failureOfCode(coordinator.code, { doing, groupRight });
      if (coordinator.code !== errorCodes.COORDINATOR_NOT_AVAILABLE) {
        reportGroup(group, failure);
        continue;
      }
      const now = performance.now();
      const since = cluster.withoutCoordinator.get(group) ?? now;
      cluster.withoutCoordinator.set(group, since);
      const isFinal = now - since > NO_COORDINATOR_LIMIT_MS && "again" in failure;
      reportGroup(group, isFinal ? { failed: failure.again } : failure);
    }
    const answered = new Set(found.map(({ group }) => group));
    for (const group of asked) {
      if (answered.has(group)) continue;
      const message = `Kafka's answer about ${count(asked.length, "coordinator")} omits group ${nameSome([group])}`;
      reportGroup(group, { failed: unavailable(message) });
    }
  }
}
