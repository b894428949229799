import { describe } from "vitest";
import { listOffsets, metadata } from "../../../../functions/shared/kafka/wire/metadata.ts";
import { answer, checkExamples, example, id } from "./examples.ts";

const metadataAnswer = (version: number) =>
  answer((w) => {
    w.noTags(); // header
    w.int32(0);
    w.array([7], (node) => {
      w.int32(node);
      w.string("localhost");
      w.int32(9092);
      w.nullableString(null);
      w.noTags();
    });
    w.nullableString("cluster");
    w.int32(7);
    w.array(["orders"], (topic) => {
      w.int16(0);
      w.string(topic);
      w.uuid(id);
      w.boolean(false);
      w.array([3], (partition) => {
        w.int16(5);
        w.int32(partition);
        w.int32(-1);
        w.int32(12);
        for (let i = 0; i < 3; i++) w.array([7], (node) => w.int32(node));
        w.noTags();
      });
      w.int32(-1);
      w.noTags();
    });
    if (version === 10) w.int32(-1);
    w.noTags();
  });

const metadataDecoded = {
  brokers: [{ nodeId: 7, host: "localhost", port: 9092 }],
  clusterId: "cluster",
  topics: [
    {
      code: 0,
      topic: "orders",
      topicId: id,
      internal: false,
      partitions: [{ code: 5, partition: 3, leader: -1, leaderEpoch: 12 }],
    },
  ],
};

const examples = [
  ...[10, 11, 12].map((version) => example(metadata, version, metadataAnswer(version), metadataDecoded)),
  ...[6, 7].map((version) =>
    example(
      listOffsets,
      version,
      answer((w) => {
        w.noTags();
        w.int32(0);
        w.array(["orders"], (topic) => {
          w.string(topic);
          w.array([4], (partition) => {
            w.int32(partition);
            w.int16(0);
            w.int64(-1n);
            w.int64(9007199254740993n);
            w.int32(3);
            w.noTags();
          });
          w.noTags();
        });
        w.noTags();
      }),
      [{ topic: "orders", partition: 4, code: 0, offset: 9007199254740993n }],
    ),
  ),
];

describe("codecs", () => {
  checkExamples(examples);
});
