import { setTimeout as delay } from "node:timers/promises";
import type { Kafka } from "kafkajs";

/** What transactional producers have committed for a group, and when. */
export interface TransactionLedger {
  /**
   * Whether an offset of a partition was committed at some instant between two times (of `performance.now()`): from when its
   * commit was requested until the commit after it was answered.
   */
  stood(key: string, offset: bigint, from: number, to: number): boolean;
  /** Lets each producer end its transaction, and disconnects. Fails if one of them failed. */
  stop(): Promise<void>;
}

/** One committed transaction: its commit was requested at `from`; the commit after it was answered at `until`. */
interface Stood {
  readonly offset: bigint;
  readonly from: number;
  until: number;
}

/** False while the transaction before has not quite ended; throws any other error. kafkajs does not try again. */
function isEnding(error: unknown): false {
  if (error instanceof Error && "type" in error && error.type === "CONCURRENT_TRANSACTIONS") return false;
  throw error;
}

/**
 * Starts producers that commit offsets of a group in transactions, each on a partition of its own: open for 50 ms, closed for
 * 50 ms, as in exactly-once processing. All have committed once when it returns.
 */
export async function transactionalProducers(
  kafka: Kafka,
  group: string,
  topic: string,
  count: number,
): Promise<TransactionLedger> {
  const history = new Map<string, Stood[]>();
  let stopped = false;
  const first: Promise<void>[] = [];
  const running = Array.from({ length: count }, (_, partition) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    first.push(promise);
    const producer = kafka.producer({
      transactionalId: `${group}-${partition}`,
      maxInFlightRequests: 1,
      idempotent: true,
    });
    const stood: Stood[] = [];
    history.set(`${topic}-${partition}`, stood);
    const run = async () => {
      await producer.connect();
      for (let offset = 1n; !stopped; offset++) {
        const transaction = await producer.transaction();
        const partitions = [{ partition, offset: offset.toString() }];
        const offsets = { consumerGroupId: group, topics: [{ topic, partitions }] };
        while (!(await transaction.sendOffsets(offsets).then(() => true, isEnding))) await delay(5);
        if (offset > 1n) resolve(); // only now has the first one quite ended
        await delay(50);
        const from = performance.now();
        await transaction.commit();
        const last = stood.at(-1);
        if (last !== undefined) last.until = performance.now();
        stood.push({ offset, from, until: Number.POSITIVE_INFINITY });
        await delay(50);
      }
      await producer.disconnect();
    };
    const done = run();
    done.catch(reject);
    return done;
  });
  await Promise.all(first);
  return {
    stood: (key, offset, from, to) =>
      (history.get(key) ?? []).some((one) => one.offset === offset && one.from <= to && one.until >= from),
    async stop() {
      stopped = true;
      await Promise.all(running);
    },
  };
}
