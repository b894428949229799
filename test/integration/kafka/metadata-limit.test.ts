import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { readCommits } from "../../../functions/shared/kafka/groups/capture.ts";
import { commitOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { type Kafka, startKafka } from "../../../localstack/kafka.ts";
import { freshStateDir, removeState } from "../../../localstack/process.ts";
import { connect, topicOf, unique } from "./support.ts";

const { kind, version } = inject("kafka");
/** A broker of its own, because its setting is not that of the others. */
let kafka: Kafka;
const stateDir = freshStateDir("metadata-limit");

beforeAll(async () => {
  if (kind !== "processes") return;
  const extraProperties = () => ({ "offset.metadata.max.bytes": "100" });
  kafka = await startKafka({ version, way: "processes", stateDir, say: () => {}, extraProperties });
});

afterAll(async () => {
  await kafka?.stop();
  removeState(stateDir);
});

describe.skipIf(kind !== "processes")("a broker that accepts less metadata than a commit has", () => {
  it("refuses that partition only, by name and with figures, and the group can be read back", async () => {
    const cluster = await connect(100_000, kafka.bootstrapServers);
    const topic = await topicOf(3, 0, kafka.bootstrapServers, { replicas: 1 });
    const [group, alone] = [unique("metadata"), unique("alone")];
    const commits = (offset: bigint, metadata: string) =>
      new Map(
        ["", metadata, ""].map((text, partition) => [`${topic}-${partition}`, { offset, metadata: text }] as const),
      );
    await commitOffsets(cluster, new Map([[group, commits(1n, "é".repeat(100))]]));

    const outcomes = await commitOffsets(
      cluster,
      new Map([
        [group, commits(5n, "x".repeat(101))],
        [alone, new Map([[`${topic}-1`, { offset: 5n, metadata: "x".repeat(101) }]])],
      ]),
    );

    const refused = {
      kind: "refused",
      error: "OFFSET_METADATA_TOO_LARGE",
      message: expect.stringMatching(new RegExp(`${topic}-1: .* has 101 characters, more than offset.metadata.max`)),
    };
    expect([...(outcomes.get(group)?.values() ?? [])]).toEqual([{ kind: "accepted" }, refused, { kind: "accepted" }]);
    expect(outcomes.get(alone)?.get(`${topic}-1`)).toEqual(refused);
    // Kafka 2.8 and 3.0 keep the refused commit pending beside those that they accepted.
    const keys = [...commits(0n, "").keys()];
    const began = performance.now();
    const read = await readCommits(
      cluster,
      new Map([
        [group, keys],
        [alone, keys],
      ]),
    );
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(read.errors).toEqual([]);
    expect(keys.map((key) => read.commits.get(group)?.get(key)?.offset)).toEqual([5n, 1n, 5n]);
    expect(read.commits.get(alone)?.size).toBe(0);
  });
});
