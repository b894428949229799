import { describe, expect, it } from "vitest";
import { encodeRequest } from "../../../../functions/shared/kafka/wire/api.ts";
import {
  alterShareGroupOffsets,
  describeShareGroupOffsets,
  shareGroupDescribe,
} from "../../../../functions/shared/kafka/wire/share.ts";
import { answer, checkExamples, example, groupAnswer, id, MAX } from "./examples.ts";

const examples = [
  example(
    shareGroupDescribe,
    1,
    answer((w) => {
      w.noTags();
      w.int32(0);
      w.array(["g"], (group) => {
        w.int16(0);
        w.nullableString(null);
        groupAnswer(w, group, "Stable", () => {
          w.int32(3);
          w.int32(3);
          w.string("simple");
          w.array([null, "rack"], (rack) => {
            w.string("member");
            w.nullableString(rack);
            w.int32(3);
            w.string("client");
            w.string("/127.0.0.1");
            w.array(["orders", "again"], (topic) => w.string(topic));
            w.array(["orders"], (topic) => {
              w.uuid(id);
              w.string(topic);
              w.array([0, 1], (partition) => w.int32(partition));
              w.noTags();
            });
            w.noTags();
            w.noTags();
          });
        });
        w.int32(-1);
        w.noTags();
      });
      w.noTags();
    }),
    [
      {
        group: "g",
        code: 0,
        state: "Stable",
        protocolType: "share",
        members: 2,
        protocol: "",
        topics: ["orders", "again"],
      },
    ],
  ),
  ...[0, 1].map((version) =>
    example(
      describeShareGroupOffsets,
      version,
      answer((w) => {
        w.noTags();
        w.int32(0);
        w.array(["g"], (group) => {
          w.string(group);
          w.array(["orders"], (topic) => {
            w.string(topic);
            w.uuid(id);
            w.array([MAX, -1n], (offset) => {
              w.int32(4);
              w.int64(offset);
              w.int32(7);
              if (version === 1) w.int64(12n);
              w.int16(29);
              w.nullableString("no right");
              w.noTags();
            });
            w.noTags();
          });
          w.int16(16);
          w.nullableString(null);
          w.noTags();
        });
        w.noTags();
      }),
      [
        {
          group: "g",
          code: 16,
          offsets: [MAX, -1n].map((offset) => ({
            ...{ topic: "orders", partition: 4, offset, leaderEpoch: -1, metadata: "", code: 29 },
          })),
        },
      ],
    ),
  ),
  example(
    alterShareGroupOffsets,
    0,
    answer((w) => {
      w.noTags();
      w.int32(0);
      w.int16(68);
      w.nullableString("not empty");
      w.array(["orders"], (topic) => {
        w.string(topic);
        w.uuid(id);
        w.array([4], (partition) => {
          w.int32(partition);
          w.int16(3);
          w.nullableString(null);
          w.noTags();
        });
        w.noTags();
      });
      w.noTags();
    }),
    { code: 68, partitions: [{ topic: "orders", partition: 4, code: 3 }] },
  ),
];

describe("codecs", () => {
  checkExamples(examples);

  it("write requests for share group offsets as Kafka reads them", () => {
    const topics = [{ topic: "t", partitions: [3] }];
    const described = encodeRequest(describeShareGroupOffsets, 1, [
      { group: "g", topics },
      { group: "h", topics: null },
    ]);
    const named = "0267" + "02" + "0274" + "02" + "00000003" + "00" + "00";
    expect(described.toString("hex")).toBe(`0003${named}0268000000`);
    const partition = { partition: 3, offset: MAX, leaderEpoch: 5, metadata: "m" };
    const altered = { group: "g", topics: [{ topic: "t", partitions: [partition] }] };
    expect(encodeRequest(alterShareGroupOffsets, 0, altered).toString("hex")).toBe(
      "00" + "0267" + "02" + "0274" + "02" + "00000003" + "7fffffffffffffff" + "00" + "00" + "00",
    );
  });
});
