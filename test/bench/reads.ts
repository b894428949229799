import { countOffsets, type LiveState } from "../../functions/shared/core/model.ts";
import { encodeSnapshot } from "../../functions/shared/core/snapshot.ts";
import { withCluster } from "../../functions/shared/kafka/connection/access.ts";
import type { Cluster } from "../../functions/shared/kafka/connection/cluster.ts";
import { capture } from "../../functions/shared/kafka/groups/capture.ts";
import { describeGroups } from "../../functions/shared/kafka/groups/describe-groups.ts";
import { listGroups } from "../../functions/shared/kafka/groups/group-list.ts";
import { fetchCommits } from "../../functions/shared/kafka/groups/read-commits.ts";
import { observeTopics } from "../../functions/shared/kafka/groups/topics.ts";
import { createSnapshots } from "../../functions/shared/storage/snapshots.ts";
import { freshStateDir, removeState, type Say } from "../../localstack/process.ts";
import { within } from "../support/deadline.ts";
import {
  type Bed,
  type BenchCloud,
  expectTotal,
  groupNames,
  invoke,
  PARTITIONS,
  TOPICS,
  topicNames,
  totalOf,
  withBed,
} from "./bed.ts";
import { expectSame, type Figures, inTurns, median, ratioOf, timed } from "./figures.ts";
import { type AdminClient, consumerGroupsTool, startAdminClient, startKafkaJs } from "./rivals.ts";

/** With more groups than this, Kafka's tool and kafkajs have one round with fewer groups. */
const SLOW_FROM = 2_000;

/** What to measure. */
export interface ReadsBench {
  readonly version: string;
  readonly brokers: 1 | 3;
  readonly cloud: BenchCloud;
  readonly quick: boolean;
  readonly say: Say;
}

/** Measures a snapshot and its parts, and other clients that read the same offsets from the same cluster. */
export async function benchReads(figures: Figures, { version, brokers, cloud, quick, say }: ReadsBench): Promise<void> {
  await withBed({ version, brokers, say }, async (bed) => {
    const folder = freshStateDir("bench-rivals");
    const adminClient = await startAdminClient(bed.kafka, folder);
    try {
      for (const groups of quick ? [100, 1_000] : [100, 1_000, 10_000]) {
        await bed.commit(groups);
        const scene = { figures, bed, brokers, groups, cloud, adminClient, rounds: quick ? 3 : 7 };
        await withCluster(bed.access, within(600_000), (cluster) => benchKafkaParts(scene, cluster));
        await benchWhole(scene);
        await benchSlowRivals(scene);
      }
    } finally {
      adminClient.stop();
      removeState(folder);
    }
  });
}

/** One measurement: the cluster, the sizes and the other client. */
interface Comparison {
  readonly figures: Figures;
  readonly bed: Bed;
  readonly brokers: 1 | 3;
  readonly groups: number;
  readonly cloud: BenchCloud;
  readonly adminClient: AdminClient;
  readonly rounds: number;
}

/** Measures reads on existing connections of both clients. */
async function benchKafkaParts(scene: Comparison, cluster: Cluster): Promise<void> {
  const { figures, bed, brokers, groups, adminClient, rounds } = scene;
  const names = groupNames(groups);
  const asked = names.map((group) => ({ group, topics: null }));
  const list = await listGroups(cluster);
  const theirs = async (command: string, args: readonly number[], check: (count: number, sum: number) => void) => {
    const { ms, count, sum } = await adminClient.run(command, ...args);
    check(count, sum);
    return ms;
  };
  const offsetsFound = (who: string) => (count: number, sum: number) =>
    expectTotal(`${who}, ${groups} groups`, { count, sum }, bed.shape, groups);
  const readOffsets = async (prepare: () => void) => {
    prepare();
    let commits: Awaited<ReturnType<typeof fetchCommits>> = new Map();
    const ms = await timed(async () => {
      commits = await fetchCommits(cluster, asked);
    });
    const done = [...commits].flatMap(([{ group }, result]) =>
      "done" in result ? [[group, result.done.commits] as const] : [],
    );
    const { count, sum } = totalOf(new Map(done));
    offsetsFound("fetchCommits")(count, sum);
    return ms;
  };
  const parts = [
    {
      what: "offsets of all groups",
      ours: () => readOffsets(() => {}),
      theirs: () => theirs("offsets", [groups], offsetsFound("listConsumerGroupOffsets")),
      rival: "listConsumerGroupOffsets",
      note: "as in a snapshot: coordinators are known from the list of groups, which is a separate row",
    },
    {
      what: "offsets of all groups, the coordinators to be found first",
      ours: () => readOffsets(() => cluster.coordinators.clear()),
      theirs: () => theirs("offsets", [groups], offsetsFound("listConsumerGroupOffsets")),
      rival: "listConsumerGroupOffsets",
    },
    {
      what: "list of the groups, with types and states",
      ours: () => timed(async () => expectSame("listGroups", (await listGroups(cluster)).groups.size, groups)),
      theirs: () => theirs("list", [], (count) => expectSame("AdminClient's listGroups", count, groups)),
      rival: "listGroups",
      note: "ours also checks that it is complete: Metadata before and after, and a probe of each coordinator",
    },
    {
      what: "members, as if every group had some",
      ours: () =>
        timed(async () =>
          expectSame("describeGroups", (await describeGroups(cluster, list.groups)).groups.size, groups),
        ),
      theirs: () => theirs("members", [groups], (count) => expectSame("describeConsumerGroups", count, groups)),
      rival: "describeConsumerGroups",
      note: "a snapshot asks only for groups that are not empty: here none",
    },
    {
      what: `log ranges of ${TOPICS * PARTITIONS} partitions`,
      ours: () =>
        timed(async () => {
          const { topics } = await observeTopics(cluster, new Map(topicNames.map((topic) => [topic, PARTITIONS])));
          const read = [...topics.values()].flatMap((topic) => [...(topic?.partitions.values() ?? [])]);
          const known = read.filter(({ logStartOffset, logEndOffset }) => logStartOffset === 0n && logEndOffset === 0n);
          expectSame("observeTopics", known.length, TOPICS * PARTITIONS);
        }),
      theirs: () => theirs("ranges", [TOPICS], (count) => expectSame("listOffsets", count, TOPICS * PARTITIONS)),
      rival: "describeTopics and listOffsets",
    },
    {
      what: "Kafka part of a snapshot: list, offsets, ranges",
      ours: async () => {
        cluster.coordinators.clear();
        let found: LiveState | undefined;
        const ms = await timed(async () => {
          found = await capture(cluster, { groups: ["*"], exclude: [] });
        });
        const { count, sum } = totalOf(found?.commits ?? new Map());
        offsetsFound("capture")(count, sum);
        return ms;
      },
      theirs: () => theirs("snapshot", [TOPICS], offsetsFound("AdminClient's snapshot")),
      rival: "the same calls",
    },
  ];
  for (const { what, ours, theirs: other, rival, note } of parts) {
    const requestsBefore = totalRequests(cluster);
    const times = await inTurns({ ours, theirs: other }, { rounds, warmUps: 3 });
    const requests = (totalRequests(cluster) - requestsBefore) / (rounds + 3);
    const beside = { what: "AdminClient", rounds: times("theirs") };
    const count = `${requests.toFixed(0)} requests`;
    figures.row({ what, brokers, groups, rounds: times("ours"), beside, note: note ? `${count}; ${note}` : count });
    figures.row({ what: `… AdminClient, warm: ${rival}`, brokers, groups, rounds: times("theirs") });
    if (what === "offsets of all groups" && groups === 10_000) {
      const name = `offsets of ${groups.toLocaleString("en")} groups, ${brokers} broker(s), beside the warm AdminClient`;
      figures.target({ name, value: ratioOf(times("ours"), times("theirs")), limit: 0.6, unit: "×" });
    }
  }
}

const totalRequests = ({ requests }: Cluster) => [...requests.values()].reduce((sum, n) => sum + n, 0);

/** Measures the handler as it is deployed: it connects, reads, encodes and stores. */
async function benchWhole({ figures, bed, brokers, groups, cloud, rounds }: Comparison): Promise<void> {
  const whole = await inTurns(
    {
      whole: () =>
        timed(async () => {
          const { status, groups: taken, offsets } = await invoke(bed, cloud, "snapshot", { groups: ["*"] });
          expectSame("snapshot", `${status} ${taken} ${offsets}`, `complete ${groups} ${groups * PARTITIONS}`);
        }),
    },
    { rounds, warmUps: 2 },
  );
  const rowOf = (what: string, times: readonly number[], note = "") =>
    figures.row({ what, brokers, groups, rounds: times, note });
  const live = await withCluster(bed.access, within(300_000), (cluster) =>
    capture(cluster, { groups: ["*"], exclude: [] }),
  );
  expectSame("capture", countOffsets(live.commits), groups * PARTITIONS);
  const content = contentOf(live);
  const archive = createSnapshots(cloud.archive);
  let bytes = 0;
  const parts = await inTurns(
    {
      encoding: () =>
        timed(async () => {
          bytes = encodeSnapshot({
            ...content,
            snapshotId: "snapshot-2026-01-01T00:00:00Z",
            createdAt: "2026-01-01T00:00:00Z",
          }).body.length;
        }),
      saving: () =>
        timed(async () => {
          const deadline = within(60_000);
          const { snapshot } = await archive.save(content, new Date(), deadline);
          expectSame("save", countOffsets(snapshot.consumerGroups), groups * PARTITIONS);
        }),
    },
    { rounds, warmUps: 2 },
  );
  rowOf("encoding: JSON, gzip, SHA-256", parts("encoding"), `body ${Math.round(bytes / 1000).toLocaleString("en")} kB`);
  const storing = median(parts("saving")) - median(parts("encoding"));
  rowOf(
    "encoding and storing: S3, index",
    parts("saving"),
    `storing alone about ${Math.max(0, storing).toFixed(0)} ms, MiniStack's`,
  );
  rowOf("whole snapshot: the handler, warm, connecting included", whole("whole"));
  if (groups === 10_000) {
    const name = `whole snapshot of 10,000 groups, warm, ${brokers} broker(s)`;
    figures.target({ name, value: median(whole("whole")), limit: 1_500, unit: "ms" });
  }
}

function contentOf({ cluster, commits, errors, warnings, observed }: LiveState) {
  const selection = { groups: ["*"], exclude: [] };
  return {
    description: "",
    trigger: "invoke" as const,
    selection,
    cluster,
    consumerGroups: commits,
    errors,
    warnings,
    observed,
  };
}

async function benchSlowRivals({ figures, bed, brokers, groups, rounds }: Comparison): Promise<void> {
  const slow = groups > SLOW_FROM;
  const kafkaJs = await startKafkaJs(bed.kafka);
  const fetch = () => timed(async () => expectSame("kafkajs", await kafkaJs.fetchOffsets(groups), groups * PARTITIONS));
  const how = slow ? { rounds: 1, warmUps: 0 } : { rounds: Math.min(3, rounds), warmUps: 1 };
  const times = await inTurns({ kafkaJs: fetch }, how);
  await kafkaJs.stop();
  figures.row({ what: "kafkajs' fetchOffsets, 50 in flight, offsets only", brokers, groups, rounds: times("kafkaJs") });
  if (slow) return;
  const commands = [
    {
      what: "kafka-consumer-groups --describe --all-groups",
      args: ["--describe", "--all-groups", "--offsets"],
      mark: "bench-topic-",
    },
    {
      what: "kafka-consumer-groups --reset-offsets --to-current --export",
      args: ["--reset-offsets", "--all-groups", "--all-topics", "--to-current", "--dry-run", "--export"],
      mark: "bench-topic-",
    },
  ];
  for (const { what, args, mark } of commands) {
    const { ms, output } = await consumerGroupsTool(bed.kafka, ...args);
    expectSame(what, output.split("\n").filter((line) => line.includes(mark)).length, groups * PARTITIONS);
    figures.row({ what, brokers, groups, rounds: [ms], note: "a process: start of the JVM included" });
  }
}
