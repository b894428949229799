import { withCluster } from "../../functions/shared/kafka/connection/access.ts";
import { capture } from "../../functions/shared/kafka/groups/capture.ts";
import { kafkaVersionOf } from "../../localstack/choice.ts";
import { openKafka } from "../../localstack/kafka.ts";
import { freshStateDir, removeState, type Say } from "../../localstack/process.ts";
import { startKafkaProxy } from "../faults/support/kafka-proxy.ts";
import { within } from "../support/deadline.ts";
import { startProxiedBrokers } from "../support/faults-setup.ts";
import { expectTotal, makeBed, totalOf, wide } from "./bed.ts";
import { type Figures, inTurns, median } from "./figures.ts";

const GROUPS = 1_000;
const BROKERS = 3;
/** The time of a round trip. Requests and answers are each delayed by half of it. */
const ROUND_TRIP_MS = 20;
const ALLOWED_TRIPS = 10;

/** Measures the reads of a snapshot through proxies that delay requests and answers, and without a delay. */
export async function benchFar(figures: Figures, quick: boolean, say: Say): Promise<void> {
  const stateDir = freshStateDir("bench-far");
  try {
    const { kafka: descriptor, proxies } = await startProxiedBrokers(kafkaVersionOf(process.env), stateDir, say);
    const kafka = openKafka(descriptor);
    const proxy = await startKafkaProxy(proxies);
    try {
      const bed = await makeBed(kafka, wide);
      await bed.commit(GROUPS);
      const access = { ...bed.access, bootstrapServers: proxy.bootstrapServers.split(",") };
      const how = quick ? { rounds: 3, warmUps: 1 } : { rounds: 9, warmUps: 3 };

      /** The milliseconds of a snapshot on existing connections, and of one that connects first. */
      const readAll = async (cluster: Parameters<typeof capture>[0]) => {
        const { commits } = await capture(cluster, { groups: ["*"], exclude: [] });
        expectTotal("capture through the proxies", totalOf(commits), bed.shape, GROUPS);
      };
      const connecting = async () => {
        const started = performance.now();
        await withCluster(access, within(60_000), readAll);
        return performance.now() - started;
      };
      const at = <T>(delayMs: number, work: () => Promise<T>) => {
        proxy.setNetwork(delayMs === 0 ? "normal" : { delayMs: delayMs / 2 });
        return work();
      };
      await withCluster(access, within(300_000), async (cluster) => {
        const connected = async () => {
          cluster.coordinators.clear(); // coordinators that an earlier invocation found may have changed
          const started = performance.now();
          await readAll(cluster);
          return performance.now() - started;
        };
        const times = await inTurns(
          {
            near: () => at(0, connected),
            far: () => at(ROUND_TRIP_MS, connected),
            nearConnecting: () => at(0, connecting),
            farConnecting: () => at(ROUND_TRIP_MS, connecting),
          },
          how,
        );
        const rowOf = (what: string, near: readonly number[], far: readonly number[]) => {
          figures.row({ what: `${what}, no delay`, brokers: BROKERS, groups: GROUPS, rounds: near });
          const trips = (median(far) - median(near)) / ROUND_TRIP_MS;
          const note = `${trips.toFixed(1)} round trips`;
          figures.row({
            what: `${what}, ${ROUND_TRIP_MS} ms round trips`,
            brokers: BROKERS,
            groups: GROUPS,
            rounds: far,
            note,
          });
          return trips;
        };
        const trips = rowOf("Kafka part of a snapshot, connections stand", times("near"), times("far"));
        rowOf("Kafka part of a snapshot, connecting included", times("nearConnecting"), times("farConnecting"));
        const name = `round trips of a snapshot of ${GROUPS.toLocaleString("en")} groups, connections stand`;
        figures.target({ name, value: trips, limit: ALLOWED_TRIPS, unit: "trips" });
      });
    } finally {
      await proxy.close();
      await kafka.stop();
    }
  } finally {
    removeState(stateDir);
  }
}
