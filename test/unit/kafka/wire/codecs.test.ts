import { describe, expect, it } from "vitest";
import { type Api, commonVersion, decodeAnswer, encodeRequest } from "../../../../functions/shared/kafka/wire/api.ts";
import { MalformedAnswer, Writer } from "../../../../functions/shared/kafka/wire/bytes.ts";
import { describeBrokerConfigs } from "../../../../functions/shared/kafka/wire/configs.ts";
import {
  consumerGroupDescribe,
  describeGroups,
  findCoordinator,
  findOneCoordinator,
  listGroups,
  streamsGroupDescribe,
} from "../../../../functions/shared/kafka/wire/groups.ts";
import { listOffsets, metadata } from "../../../../functions/shared/kafka/wire/metadata.ts";
import {
  type FetchGroup,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  offsetFetchOfOne,
} from "../../../../functions/shared/kafka/wire/offsets.ts";
import {
  alterShareGroupOffsets,
  describeShareGroupOffsets,
  shareGroupDescribe,
} from "../../../../functions/shared/kafka/wire/share.ts";

const MAX = 2n ** 63n - 1n;
const id = "_R3dOrNYSLyXVCxrrPhnOQ";

/** The bytes of an answer, written by hand according to Kafka's message definitions. */
function answer(write: (writer: Writer) => void): Buffer {
  const writer = new Writer();
  write(writer);
  return writer.bytes();
}

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

const groupAnswer = (w: Writer, group: string, state: string, member: () => void) => {
  w.string(group);
  w.string(state);
  member();
};

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

interface Example {
  readonly api: Api<never, unknown>;
  readonly version: number;
  readonly bytes: Buffer;
  readonly decoded: unknown;
}

const example = <Answer>(api: Api<never, Answer>, version: number, bytes: Buffer, decoded: Answer): Example => ({
  api,
  version,
  bytes,
  decoded,
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

const examples: Example[] = [
  example(
    describeBrokerConfigs,
    4,
    answer((w) => {
      w.noTags();
      w.int32(0);
      w.array([0], () => {
        w.int16(0);
        w.nullableString(null);
        w.int8(4);
        w.string("1");
        w.array(["10080", null], (value) => {
          w.string(value === null ? "secret" : "offsets.retention.minutes");
          w.nullableString(value);
          w.boolean(true);
          w.int8(5);
          w.boolean(value === null);
          w.array([0], () => {
            w.string("offsets.retention.minutes");
            w.nullableString(value);
            w.int8(5);
            w.noTags();
          });
          w.int8(3);
          w.nullableString(null);
          w.noTags();
        });
        w.noTags();
      });
      w.noTags();
    }),
    {
      code: 0,
      values: new Map([
        ["offsets.retention.minutes", "10080"],
        ["secret", null],
      ]),
    },
  ),
  ...[10, 11, 12].map((version) => example(metadata, version, metadataAnswer(version), metadataDecoded)),
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
  it.each(examples)("$api.name v$version is read as Kafka writes it", ({ api, version, bytes, decoded }) => {
    expect(decodeAnswer(api, version, bytes)).toEqual(decoded);
  });

  it.each(examples)("$api.name v$version cut short anywhere is malformed", ({ api, version, bytes }) => {
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeAnswer(api, version, bytes.subarray(0, length))).toThrow(MalformedAnswer);
    }
  });

  it.each(examples)("$api.name v$version with a byte too many is malformed", ({ api, version, bytes }) => {
    expect(() => decodeAnswer(api, version, Buffer.concat([bytes, Buffer.of(0)]))).toThrow(MalformedAnswer);
  });

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

describe("commonVersion", () => {
  const api = { versions: [4, 6] } as const;

  it.each([
    [{ minVersion: 0, maxVersion: 9 }, 6],
    [{ minVersion: 0, maxVersion: 5 }, 5],
    [{ minVersion: 6, maxVersion: 9 }, 6],
    [{ minVersion: 0, maxVersion: 3 }, undefined],
    [{ minVersion: 7, maxVersion: 9 }, undefined],
    [undefined, undefined],
  ])("of 4–6 and %o is %s", (broker, version) => {
    expect(commonVersion(api, broker)).toBe(version);
  });
});
