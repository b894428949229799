import { type ChildProcess, fork } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Admin } from "kafkajs";
import type { GroupCommits } from "../../functions/shared/core/model.ts";
import { withCluster } from "../../functions/shared/kafka/connection/access.ts";
import { commitOffsets } from "../../functions/shared/kafka/groups/write-commits.ts";
import type { Kafka } from "../../localstack/kafka.ts";
import { within } from "../support/deadline.ts";
import { kafkaClient } from "../support/kafka-client.ts";
import type { Ledger } from "./ledger.ts";

/** The prefix of every group of the soak. */
export const PREFIX = "soak.";

const PERMANENT_GROUPS = 300;
const WRITERS = 3;
const TOPIC = "soak";
const PARTITIONS = 6;
/** The number of groups that are created with a topic, and deleted before or after it. */
const TEMPORARY_GROUPS = 5;
/** After this time, a broker no longer carries out a request that was not answered. */
const DOUBT_MS = 10_000;

/** The number of topics created, consumers killed and brokers restarted so far. */
interface Counts {
  topics: number;
  deaths: number;
  restarts: number;
}

/** Running consumers and writers; topics are created and deleted, and brokers restarted, until `stop`. */
export interface World {
  readonly happened: Readonly<Counts>;
  /** Stops everything, and throws if anything had failed. */
  stop(): Promise<void>;
}

/** Starts everything, and records commits in the ledger. Resolves when every permanent group has its first commit. */
export async function startWorld(kafka: Kafka, ledger: Ledger): Promise<World> {
  const over = new AbortController();
  const happened: Counts = { topics: 0, deaths: 0, restarts: 0 };
  const client = kafkaClient(kafka.bootstrapServers);
  const access = {
    clusterName: "local",
    bootstrapServers: kafka.bootstrapServers.split(","),
    protocol: "PLAINTEXT" as const,
    sasl: undefined,
    tls: undefined,
  };
  const rest = (ms: number) => delay(ms, undefined, { signal: over.signal }).catch(() => {});
  const administer = async <T>(work: (admin: Admin) => Promise<T>): Promise<T> => {
    const admin = client.admin();
    await admin.connect();
    return work(admin).finally(() => admin.disconnect());
  };
  const create = (topic: string, partitions: number) =>
    administer((admin) =>
      admin.createTopics({
        waitForLeaders: false,
        topics: [{ topic, numPartitions: partitions, replicationFactor: 3 }],
      }),
    );
  const keysOf = (topic: string, partitions: number) =>
    Array.from({ length: partitions }, (_, partition) => `${topic}-${partition}`);

  const doubtful = new Map<string, number>();
  /** Commits the next number of each group, and returns the groups whose commit was acknowledged. */
  const commit = async (groups: ReadonlyMap<string, readonly string[]>): Promise<Set<string>> => {
    const numbers = new Map<string, number>();
    const commits = new Map<string, GroupCommits>();
    for (const [group, keys] of groups) {
      if ((doubtful.get(group) ?? 0) > performance.now()) continue;
      const number = ledger.next(group, keys);
      numbers.set(group, number);
      commits.set(group, new Map(keys.map((key) => [key, { offset: BigInt(number), metadata: "" }])));
    }
    const write = () => withCluster(access, within(10_000), (cluster) => commitOffsets(cluster, commits));
    const outcomes = await write().catch(() => undefined);
    const acknowledged = new Set<string>();
    for (const [group, number] of numbers) {
      const partitions = [...(outcomes?.get(group)?.values() ?? [])];
      if (partitions.length > 0 && partitions.every(({ kind }) => kind === "accepted")) {
        ledger.acknowledge(group, number);
        acknowledged.add(group);
      } else {
        doubtful.set(group, performance.now() + DOUBT_MS);
      }
    }
    return acknowledged;
  };

  const writers = Array.from({ length: WRITERS }, (_, writer) => {
    const names = Array.from({ length: PERMANENT_GROUPS / WRITERS }, (_, i) => `${PREFIX}stays.${writer}.${i}`);
    return new Map(names.map((name) => [name, keysOf(TOPIC, PARTITIONS)]));
  });
  const commitOn = async (groups: ReadonlyMap<string, readonly string[]>) => {
    while (!over.signal.aborted) {
      const half = [...groups].filter(() => Math.random() < 0.5);
      await commit(new Map(half));
      await rest(100);
    }
  };

  /** Creates one topic after another with groups that commit on it, and deletes the groups, or first the topic. */
  const createAndDelete = async () => {
    for (let n = 0; !over.signal.aborted; n++) {
      const topic = `${TOPIC}-visit-${n}`;
      const names = Array.from({ length: TEMPORARY_GROUPS }, (_, i) => `${PREFIX}visits.${n}.${i}`);
      await untilDone(() => create(topic, 2));
      happened.topics++;
      for (let round = 0; round < 5; round++) {
        await commit(new Map(names.map((name) => [name, keysOf(topic, 2)])));
        await rest(500);
      }
      await rest(DOUBT_MS); // so that no earlier request is carried out after a deletion
      for (const name of names) ledger.mark(name, "deleting");
      const deleteTopic = () => administer((admin) => admin.deleteTopics({ topics: [topic], timeout: 5_000 }));
      if (n % 2 === 0) await untilDone(deleteTopic, "UNKNOWN_TOPIC_OR_PARTITION");
      await rest(2_000);
      for (const name of names) {
        await untilDone(() => administer((admin) => admin.deleteGroups([name])), "GROUP_ID_NOT_FOUND");
        ledger.mark(name, "deleted");
      }
      if (n % 2 === 1) await untilDone(deleteTopic, "UNKNOWN_TOPIC_OR_PARTITION");
    }
  };

  /** Retries until it succeeds, or fails because it was done before: requests fail while brokers restart. */
  const untilDone = async (work: () => Promise<unknown>, done?: string) => {
    while (!over.signal.aborted) {
      const failure = await work().then(
        () => undefined,
        (error: unknown) => `${error} ${JSON.stringify(error)}`,
      );
      if (failure === undefined || (done !== undefined && failure.includes(done))) return;
      await rest(500);
    }
  };

  const produce = async () => {
    const producer = client.producer({ retry: { retries: 2 } });
    await producer.connect();
    while (!over.signal.aborted) {
      const messages = keysOf(TOPIC, PARTITIONS).map((value, partition) => ({ partition, value }));
      await producer.send({ topic: TOPIC, messages, timeout: 2_000 }).catch(() => {});
      await rest(100);
    }
    await producer.disconnect();
  };

  /** Kills a member again and again, and starts another in its place. */
  const killAndReplace = async (start: () => { kill(): void }) => {
    while (!over.signal.aborted) {
      const member = start();
      await rest(8_000 + Math.random() * 20_000);
      member.kill();
      happened.deaths++;
      await rest(Math.random() * 5_000);
    }
  };
  const classic = (group: string) => () => {
    const child: ChildProcess = fork(
      fileURLToPath(import.meta.resolve("./member.ts")),
      [kafka.bootstrapServers, group, TOPIC],
      { execArgv: [], stdio: "ignore" },
    );
    return { kill: () => void child.kill("SIGKILL") };
  };
  const consumer = (group: string) => () => {
    const args = ["--topic", TOPIC, "--group", group, "--from-beginning"];
    const properties = ["group.protocol=consumer", "auto.commit.interval.ms=500"];
    const tool = kafka.startTool("org.apache.kafka.tools.consumer.ConsoleConsumer", [
      ...args,
      ...properties.flatMap((property) => ["--command-property", property]),
    ]);
    tool.ended.catch(() => {});
    return tool;
  };

  /** Restarts each broker in turn, and waits until all replicas have caught up. */
  const restart = async () => {
    for (let turn = 0; !over.signal.aborted; turn++) {
      await rest(12_000);
      if (over.signal.aborted) return;
      const id = (turn % 3) + 1;
      await kafka.killBroker(id);
      await rest(3_000);
      await untilDone(async () => {
        await kafka.startBroker(id); // on a slow machine, this may time out and is retried
        const { topics } = await administer((admin) =>
          admin.fetchTopicMetadata({ topics: [TOPIC, "__consumer_offsets"] }),
        );
        const behind = topics.flatMap(({ partitions }) => partitions).filter(({ isr }) => isr.length < 3);
        if (behind.length > 0) throw new Error(`${behind.length} partitions have replicas that are behind`);
      });
      happened.restarts++;
    }
  };

  await create(TOPIC, PARTITIONS);
  for (const groups of writers) {
    for (let left = groups; left.size > 0; await rest(100)) {
      const done = await commit(left);
      left = new Map([...left].filter(([group]) => !done.has(group)));
    }
  }
  const consumers = ["classic.1", "classic.2", "consumer.1"].map((name) => `${PREFIX}${name}`);
  for (const group of consumers) ledger.consumers(group);
  const [first = "", second = "", third = ""] = consumers;
  const members = [first, first, second, second].map(classic);
  const works = [
    ...writers.map(commitOn),
    createAndDelete(),
    produce(),
    ...[...members, consumer(third), consumer(third)].map(killAndReplace),
    restart(),
  ];
  const all = Promise.all(works);
  all.catch(() => over.abort());
  return {
    happened,
    async stop() {
      over.abort();
      await all;
    },
  };
}
