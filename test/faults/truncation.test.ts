import { randomUUID } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import { kafkaClient } from "../support/kafka-client.ts";
import { distinctValues, produce } from "../support/topics.ts";
import { faultHarness } from "./support/harness.ts";

const faults = faultHarness();
const patient = { timeout: 60_000, interval: 500 };

test("a log that was truncated below a saved offset blocks a rollback, and a Java consumer would start where it says", async () => {
  const [topic, group] = [`truncated-${randomUUID()}`, `truncated-${randomUUID()}`];
  const key = `${topic}-0`;
  const client = kafkaClient(faults.kafka.bootstrapServers);
  const partition = () =>
    faults.administer(async (admin) => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]?.partitions[0]);
  await faults.administer((admin) =>
    admin.createTopics({
      topics: [
        {
          topic,
          replicaAssignment: [{ partition: 0, replicas: [1, 2] }],
          configEntries: [
            { name: "unclean.leader.election.enable", value: "true" },
            { name: "min.insync.replicas", value: "1" },
          ],
        },
      ],
    }),
  );
  onTestFinished(() => faults.administer((admin) => admin.deleteTopics({ topics: [topic] })));
  await expect.poll(async () => (await partition())?.isr, patient).toHaveLength(2);
  await produce(client, topic, 1, distinctValues(50));
  await faults.killBroker(2);
  await expect.poll(partition, patient).toMatchObject({ leader: 1, isr: [1] });
  await produce(client, topic, 1, distinctValues(30));
  faults.deleteAfterTest([group]);
  const epoch = await leaderEpoch(topic);
  const saved = { offset: 80n, metadata: "m", leaderEpoch: epoch };
  await faults.commit(new Map([[group, new Map([[key, saved]])]]));
  const { snapshot_id } = Object(await faults.call("snapshot", { groups: [group] }));
  await faults.killBroker(1);
  await faults.startBroker(2);
  await expect.poll(partition, patient).toMatchObject({ leader: 2, isr: [2] });
  await produce(client, topic, 1, distinctValues(40));
  await faults.startBroker(1);
  await faults.commit(new Map([[group, new Map([[key, { offset: 90n, metadata: "" }]])]]));

  const request = { snapshot_id, groups: [group] };
  const plan = Object(await faults.call("rollback", { ...request, dry_run: true }));
  expect(plan.blockers).toMatchObject([{ kind: "log_truncated", group, topic, expected: 80, actual: 50 }]);
  expect(await faults.rollback(request)).toMatchObject({
    error: {
      name: "RollbackBlocked",
      message: expect.stringMatching(/leader epoch \d+, which .*, now end at offset 50; /),
    },
  });

  // What would happen without the check: the consumer, which checks it too, does not start at 80.
  await faults.commit(new Map([[group, new Map([[key, saved]])]]));
  const consumer = faults.kafka.startTool("org.apache.kafka.tools.consumer.ConsoleConsumer", [
    ...["--topic", topic, "--group", group, "--max-messages", "1"],
    ...["--formatter-property", "print.offset=true", "--command-property", "enable.auto.commit=false"],
  ]);
  onTestFinished(() => consumer.kill());
  await expect.poll(() => consumer.stdout(), patient).toMatch(/Offset:50\t/);
  consumer.kill();

  const clamped = await faults.rollback({ ...request, out_of_range: "clamp", wait_for_empty_seconds: 60 });
  expect(clamped.result).toMatchObject({ status: "success" });
  expect(await faults.commitsOf(new Map([[group, [key]]]))).toEqual(
    new Map([[group, new Map([[key, { offset: 50n, metadata: "m" }]])]]),
  );
}, 300_000);

const leaderEpoch = (topic: string): Promise<number> =>
  faults.onCluster(async (cluster) => {
    const { topics } = await cluster.metadata([topic]);
    return topics[0]?.partitions[0]?.leaderEpoch ?? -1;
  });
