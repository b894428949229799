import { describe } from "vitest";
import type { Writer } from "../../../../functions/shared/kafka/wire/bytes.ts";
import {
  consumerGroupDescribe,
  describeGroups,
  findCoordinator,
  findOneCoordinator,
  listGroups,
  streamsGroupDescribe,
} from "../../../../functions/shared/kafka/wire/groups.ts";
import { answer, checkExamples, example, groupAnswer, id, MAX } from "./examples.ts";

/** An assignment of partitions as the Java consumer encodes it. */
function assignmentOf(...topics: string[]): Buffer {
  return answer((w) => {
    w.int16(3);
    w.classicArray(topics, (topic) => {
      w.classicString(topic);
      w.classicArray([0, 1], (partition) => w.int32(partition));
    });
    w.int32(-1); // no user data
  });
}

function streamsTopology(w: Writer, whole: boolean) {
  const topicInfo = (topic: string) => {
    w.string(topic);
    w.int32(0);
    w.int16(0);
    w.array(["cleanup.policy"], (name) => {
      w.string(name);
      w.string("compact");
      w.noTags();
    });
    w.noTags();
  };
  if (!whole) {
    w.int8(1);
    w.int32(1);
    w.uvarint(0); // no subtopologies yet: null
    w.noTags();
    return;
  }
  w.int8(1);
  w.int32(1);
  w.array(["0", "1"], (id) => {
    w.string(id);
    w.array(["orders", "again"], (topic) => w.string(topic));
    w.array(["g-sink"], (topic) => w.string(topic));
    w.array(["g-changelog"], topicInfo);
    w.array(["g-repartition"], topicInfo);
    w.noTags();
  });
  w.noTags();
}

function streamsMember(w: Writer, whole: boolean) {
  const taskOffsets = () =>
    w.array(["0"], (id) => {
      w.string(id);
      w.int32(0);
      w.int64(MAX);
      w.noTags();
    });
  const assignment = () => {
    for (let i = 0; i < 3; i++) {
      w.array(["0"], (id) => {
        w.string(id);
        w.array([0, 1], (partition) => w.int32(partition));
        w.noTags();
      });
    }
    w.noTags();
  };
  w.string("member");
  w.int32(3);
  w.nullableString(null);
  w.nullableString(whole ? "rack" : null);
  w.string("client");
  w.string("/127.0.0.1");
  w.int32(1);
  w.string("process");
  w.int8(whole ? 1 : -1);
  if (whole) {
    w.string("localhost");
    w.int16(-1);
    w.noTags();
  }
  w.array(["zone"], (tag) => {
    w.string(tag);
    w.string("a");
    w.noTags();
  });
  taskOffsets();
  taskOffsets();
  assignment();
  assignment();
  w.int8(0);
  w.noTags();
}

const examples = [
  ...[4, 5].map((version) =>
    example(
      listGroups,
      version,
      answer((w) => {
        w.noTags();
        w.int32(0);
        w.int16(0);
        w.array(["__proto__"], (group) => {
          w.string(group);
          w.string("consumer");
          w.string("Stable");
          if (version === 5) w.string("classic");
          w.noTags();
        });
        w.noTags();
      }),
      {
        code: 0,
        groups: [
          { group: "__proto__", protocolType: "consumer", state: "Stable", type: version === 5 ? "classic" : null },
        ],
      },
    ),
  ),
  example(
    findCoordinator,
    4,
    answer((w) => {
      w.noTags();
      w.int32(0);
      w.array(["g"], (group) => {
        w.string(group);
        w.int32(2);
        w.string("::1");
        w.int32(9093);
        w.int16(15);
        w.nullableString("not there");
        w.noTags();
      });
      w.noTags();
    }),
    [{ group: "g", nodeId: 2, host: "::1", port: 9093, code: 15 }],
  ),
  example(
    findOneCoordinator,
    3,
    answer((w) => {
      w.noTags();
      w.int32(0);
      w.int16(15);
      w.nullableString("not there");
      w.int32(2);
      w.string("::1");
      w.int32(9093);
      w.noTags();
    }),
    { nodeId: 2, host: "::1", port: 9093, code: 15 },
  ),
  ...[
    {
      name: "consumers",
      protocolType: "consumer",
      bytes: assignmentOf("orders", "größe"),
      topics: ["orders", "größe"],
    },
    { name: "workers of Connect", protocolType: "connect", bytes: assignmentOf("orders"), topics: [] },
    { name: "unassigned", protocolType: "consumer", bytes: Buffer.alloc(0), topics: [] },
    {
      name: "clients with truncated assignments",
      protocolType: "consumer",
      bytes: assignmentOf("orders").subarray(0, 9),
      topics: [],
    },
    {
      name: "clients with a wrong length",
      protocolType: "consumer",
      bytes: Buffer.from("00017fffffff", "hex"),
      topics: [],
    },
  ].map(({ name, protocolType, bytes, topics }) =>
    example(
      describeGroups,
      5,
      answer((w) => {
        w.noTags();
        w.int32(0);
        w.array([name], (group) => {
          w.int16(0);
          groupAnswer(w, group, "Stable", () => {
            w.string(protocolType);
            w.string("range");
            w.array([1, 2], () => {
              w.string("member");
              w.nullableString(null);
              for (let i = 0; i < 3; i++) w.string("…");
              w.array([...bytes], (byte) => w.int8((byte << 24) >> 24));
              w.noTags();
            });
          });
          w.int32(-1);
          w.noTags();
        });
        w.noTags();
      }),
      [{ group: name, code: 0, state: "Stable", protocolType, members: 2, protocol: "range", topics }],
    ),
  ),
  ...[0, 1].map((version) =>
    example(
      consumerGroupDescribe,
      version,
      answer((w) => {
        w.noTags();
        w.int32(0);
        w.array(["g"], (group) => {
          w.int16(0);
          w.nullableString(null);
          groupAnswer(w, group, "Stable", () => {
            w.int32(1);
            w.int32(1);
            w.string("uniform");
            w.array([1], () => {
              w.string("member");
              w.nullableString(null);
              w.nullableString(null);
              w.int32(1);
              w.string("client");
              w.string("/127.0.0.1");
              w.array(["orders"], (topic) => w.string(topic));
              w.nullableString(null);
              for (let i = 0; i < 2; i++) {
                w.array(["orders"], (topic) => {
                  w.uuid(id);
                  w.string(topic);
                  w.array([0, 1], (partition) => w.int32(partition));
                  w.noTags();
                });
                w.noTags();
              }
              if (version === 1) w.int8(0);
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
          protocolType: "consumer",
          members: 1,
          protocol: "",
          topics: ["orders"],
        },
      ],
    ),
  ),
  ...[true, false].map((whole) =>
    example(
      streamsGroupDescribe,
      0,
      answer((w) => {
        w.noTags();
        w.int32(0);
        w.array(["g"], (group) => {
          w.int16(0);
          w.nullableString(null);
          groupAnswer(w, group, "Stable", () => {
            w.int32(3);
            w.int32(3);
            streamsTopology(w, whole);
            w.array([1, 2], () => streamsMember(w, whole));
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
          protocolType: "streams",
          members: 2,
          protocol: "",
          topics: whole ? ["orders", "again", "g-repartition"] : [],
        },
      ],
    ),
  ),
];

describe("codecs", () => {
  checkExamples(examples);
});
