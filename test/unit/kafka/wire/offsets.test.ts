import { describe, expect, it } from "vitest";
import { encodeRequest } from "../../../../functions/shared/kafka/wire/api.ts";
import { findOneCoordinator } from "../../../../functions/shared/kafka/wire/groups.ts";
import {
  type FetchGroup,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  offsetFetchOfOne,
} from "../../../../functions/shared/kafka/wire/offsets.ts";
import { answer, checkExamples, example, MAX } from "./examples.ts";

const examples = [
  example(
    offsetFetch,
    8,
    answer((w) => {
      w.noTags();
      w.int32(0);
      w.array(["g"], (group) => {
        w.string(group);
        w.array(["orders"], (topic) => {
          w.string(topic);
          w.array([0], (partition) => {
            w.int32(partition);
            w.int64(MAX);
            w.int32(-1);
            w.nullableString(null);
            w.int16(88);
            w.noTags();
          });
          w.noTags();
        });
        w.int16(0);
        w.noTags();
      });
      w.noTags();
    }),
    [
      {
        group: "g",
        code: 0,
        offsets: [{ topic: "orders", partition: 0, offset: MAX, leaderEpoch: -1, metadata: "", code: 88 }],
      },
    ],
  ),
  example(
    offsetFetchOfOne,
    7,
    answer((w) => {
      w.noTags();
      w.int32(0);
      w.array(["orders"], (topic) => {
        w.string(topic);
        w.array([0], (partition) => {
          w.int32(partition);
          w.int64(MAX);
          w.int32(4);
          w.nullableString("x");
          w.int16(0);
          w.noTags();
        });
        w.noTags();
      });
      w.int16(30);
      w.noTags();
    }),
    { code: 30, offsets: [{ topic: "orders", partition: 0, offset: MAX, leaderEpoch: 4, metadata: "x", code: 0 }] },
  ),
  example(
    offsetCommit,
    8,
    answer((w) => {
      w.noTags();
      w.int32(0);
      w.array(["orders"], (topic) => {
        w.string(topic);
        w.array([4], (partition) => {
          w.int32(partition);
          w.int16(25);
          w.noTags();
        });
        w.noTags();
      });
      w.noTags();
    }),
    [{ topic: "orders", partition: 4, code: 25 }],
  ),
  example(
    offsetDelete,
    0,
    answer((w) => {
      w.int16(0);
      w.int32(0);
      w.classicArray(["orders"], (topic) => {
        w.classicString(topic);
        w.classicArray([4], (partition) => {
          w.int32(partition);
          w.int16(86);
        });
      });
    }),
    { code: 0, partitions: [{ topic: "orders", partition: 4, code: 86 }] },
  ),
];

describe("codecs", () => {
  checkExamples(examples);

  it("write a commit as Kafka reads it", () => {
    const partition = { partition: 1, offset: MAX, leaderEpoch: -1, metadata: "ä" };
    const bytes = encodeRequest(offsetCommit, 8, { group: "g", topics: [{ topic: "t", partitions: [partition] }] });
    const expected = "00 0267 ffffffff 01 00 02 0274 02 00000001 7fffffffffffffff ffffffff 03c3a4 00 00 00";
    expect(bytes.toString("hex")).toBe(expected.replaceAll(" ", ""));
  });

  it("distinguish all topics from none in OffsetFetch", () => {
    const requestFor = (topics: null | []) => encodeRequest(offsetFetch, 8, [{ group: "g", topics }]).toString("hex");
    expect(requestFor(null)).toBe("00020267000001" + "00");
    expect(requestFor([])).toBe("00020267010001" + "00");
  });

  it("write requests for one group as brokers before 3.0 read them", () => {
    const topics = [{ topic: "t", partitions: [3] }];
    const requestFor = (fetch: FetchGroup) => encodeRequest(offsetFetchOfOne, 7, fetch).toString("hex");
    expect(requestFor({ group: "g", topics: null })).toBe("00" + "0267" + "00" + "01" + "00");
    expect(requestFor({ group: "g", topics })).toBe(
      "00" + "0267" + "02" + "0274" + "02" + "00000003" + "00" + "01" + "00",
    );
    expect(encodeRequest(findOneCoordinator, 3, "g").toString("hex")).toBe("00" + "0267" + "00" + "00");
  });
});
