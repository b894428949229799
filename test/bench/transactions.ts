import { withCluster } from "../../functions/shared/kafka/connection/access.ts";
import { capture } from "../../functions/shared/kafka/groups/capture.ts";
import type { Say } from "../../localstack/process.ts";
import { within } from "../support/deadline.ts";
import { kafkaClient } from "../support/kafka-client.ts";
import { transactionalProducers } from "../support/transactions.ts";
import { withBed } from "./bed.ts";
import type { Figures } from "./figures.ts";

const GROUPS = 1_000;
const BROKERS = 3;
const PRODUCERS = [20, 40, 80] as const;
const TOPIC = "bench-transactions";
const LIMIT_MS = 3_000;

/**
 * Measures the Kafka part of snapshots of a group that producers commit for in transactions (open 50 ms, closed 50 ms), beside
 * groups that are quiet. Each captured offset must have stood at some instant of its capture, by what the producers recorded.
 */
export async function benchTransactions(figures: Figures, quick: boolean, say: Say): Promise<void> {
  await withBed({ brokers: BROKERS, say }, async (bed) => {
    await bed.commit(GROUPS);
    const kafkaJs = kafkaClient(bed.access.bootstrapServers.join(","));
    const admin = kafkaJs.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: Math.max(...PRODUCERS) }] });
    await admin.disconnect();
    for (const producers of PRODUCERS) {
      const group = `bench-exactly-once-${producers}`;
      const ledger = await transactionalProducers(kafkaJs, group, TOPIC, producers);
      const rounds: number[] = [];
      let mostPending = 0;
      for (let round = 0; round < (quick ? 2 : 15); round++) {
        const state = await withCluster(bed.access, within(60_000), async (cluster) => {
          const started = performance.now();
          const live = await capture(cluster, { groups: ["*"], exclude: [] });
          return { ...live, started, ended: performance.now() };
        });
        rounds.push(state.ended - state.started);
        const commits = [...(state.commits.get(group) ?? [])];
        if (state.errors.length > 0 || commits.length !== producers) {
          throw new Error(`${commits.length} of ${producers} partitions captured; ${state.errors[0]?.message}`);
        }
        const wrong = commits.find(([key, { offset }]) => !ledger.stood(key, offset, state.started, state.ended));
        if (wrong !== undefined) throw new Error(`${wrong[0]} never stood at ${wrong[1].offset} during the capture`);
        mostPending = Math.max(mostPending, state.observed.groups.get(group)?.pending?.length ?? 0);
      }
      await ledger.stop();
      const what = `Kafka part of a snapshot, ${producers} transactional producers in one group beside it`;
      const note = `slowest ${Math.max(...rounds).toFixed(0)} ms; at most ${mostPending} partitions pending`;
      figures.row({ what, brokers: BROKERS, groups: GROUPS, rounds, note });
      figures.target({ name: `slowest: ${what}`, value: Math.max(...rounds), limit: LIMIT_MS, unit: "ms" });
    }
  });
}
