import { describe, expect, test } from "vitest";
import { exportSnapshot } from "../../../../functions/shared/core/formats/export.ts";
import { type TextFormat, textFormats } from "../../../../functions/shared/core/formats/names.ts";
import type { Snapshot } from "../../../../functions/shared/core/model.ts";
import { groupOf, log, snapshotOf } from "../../../support/states.ts";

const one = new Map([
  [
    "orders app",
    new Map([
      ["orders-0", { offset: 17n, metadata: "", leaderEpoch: 4 }],
      ["orders-1", { offset: 9007199254740993n, metadata: '=1+1, "x"' }],
      ["gone-0", { offset: 3n, metadata: "" }],
    ]),
  ],
]);
const several = new Map([...one, ["b,c", new Map([["orders-0", { offset: 2n, metadata: "" }]])], ["idle", new Map()]]);
const observed = {
  groups: new Map([
    ["orders app", groupOf("classic", "Empty", 0)],
    ["b,c", groupOf("share", "Empty", 0)],
  ]),
  topics: new Map([
    [
      "orders",
      {
        topicId: "id-1",
        partitions: new Map([
          [0, log(5n, 25n, 4)],
          [1, log(0n, null, null)],
        ]),
      },
    ],
    ["gone", null],
  ]),
};
const snapshot = snapshotOf(one, { observed });
const many = snapshotOf(several, { observed });
const lacking = [{ group: "secret", error: "KafkaAuthorization", message: "no right" }];
const partial: Snapshot = { ...many, errors: lacking };
const contentOf = (format: TextFormat, of: Snapshot) => exportSnapshot(format, of, undefined).content;

describe("what each format looks like", () => {
  test("rpk: topic, partition and offset, separated by one space", () => {
    expect(contentOf("rpk", snapshot)).toBe("orders 0 17\norders 1 9007199254740993\ngone 0 3\n");
  });

  test("kafka-csv: three columns for one group, four with the group first for several", () => {
    expect(contentOf("kafka-csv", snapshot)).toBe("orders,0,17\r\norders,1,9007199254740993\r\ngone,0,3\r\n");
    expect(contentOf("kafka-csv", many)).toBe(
      'orders app,orders,0,17\r\norders app,orders,1,9007199254740993\r\norders app,gone,0,3\r\n"b,c",orders,0,2\r\n',
    );
  });

  test("kafka-utils", () => {
    expect(contentOf("kafka-utils", snapshot)).toBe(
      '{"groupid":"orders app","offsets":{"gone":{"0":3},"orders":{"0":17,"1":9007199254740993}}}\n',
    );
  });

  test("kafka-backup", () => {
    const { snapshotId, createdAt, description } = snapshot;
    expect(JSON.parse(contentOf("kafka-backup", many))).toMatchObject({
      snapshot_id: snapshotId,
      created_at: createdAt,
      group_offsets: {
        "orders app": {
          group_id: "orders app",
          offsets: { orders: { "0": { offset: 17, metadata: "", timestamp: null } } },
          partition_count: 3,
        },
        idle: { group_id: "idle", offsets: {}, partition_count: 0 },
      },
      cluster_id: snapshot.cluster.clusterId,
      bootstrap_servers: [],
      description,
    });
  });

  test("report: the documented fields first, lags from the log ends, null where these are not known", () => {
    const report = JSON.parse(contentOf("report", snapshot));
    expect(Object.keys(report).slice(0, 4)).toEqual(["generated_at", "source_cluster", "topics", "consumer_groups"]);
    expect(report).toMatchObject({
      generated_at: snapshot.createdAt,
      source_cluster: snapshot.cluster.name,
      topics: {
        gone: null,
        orders: {
          partitions: { "0": { start_offset: 5, end_offset: 25 }, "1": { start_offset: 0, end_offset: null } },
        },
      },
      consumer_groups: {
        "orders app": {
          partitions: {
            "orders-0": { offset: 17, metadata: "", lag: 8 },
            "orders-1": { metadata: '=1+1, "x"', lag: null },
            "gone-0": { offset: 3, lag: null },
          },
        },
      },
      status: "complete",
    });
  });

  test("csv: a header, a row for each commit, for a group without commits, and for one that was not captured", () => {
    const rows = contentOf("csv", partial).split("\r\n");
    expect(rows[0]).toMatch(/^group,topic,partition,offset,metadata,leader_epoch,lag,/);
    expect(rows[1]).toBe(
      `orders app,orders,0,17,"",4,8,5,25,4,id-1,classic,Empty,0,,,,${snapshot.snapshotId},${snapshot.createdAt},partial,` +
        `${snapshot.cluster.name},${snapshot.cluster.clusterId}`,
    );
    expect(rows[2]).toMatch(/^orders app,orders,1,9007199254740993,"'=1\+1, ""x""",,,0,,,id-1,/);
    expect(rows[5]).toMatch(/^idle,,,,,,/);
    expect(rows[6]).toMatch(/^secret,,,.*,KafkaAuthorization,no right,/);
    expect(rows).toHaveLength(8);
  });
});

describe("nothing is left out in silence", () => {
  test.each<[TextFormat, string[]]>([
    ["csv", []],
    ["report", ["report has no leader epochs: 1 of 4 commits had one."]],
    [
      "kafka-csv",
      [
        "kafka-csv has no metadata: 1 of 4 commits had some.",
        "kafka-csv has no leader epochs: 1 of 4 commits had one.",
        'kafka-csv has no groups without commits: "idle" left out.',
        '"b,c": the start offsets of share groups stand in kafka-csv as if they were commits of consumers.',
      ],
    ],
    [
      "kafka-backup",
      [
        "kafka-backup has no leader epochs: 1 of 4 commits had one.",
        '"b,c": the start offsets of share groups stand in kafka-backup as if they were commits of consumers.',
      ],
    ],
  ])("%s says what it has no place for", (format, warnings) => {
    expect(exportSnapshot(format, many, undefined).warnings).toEqual(warnings);
  });

  test.each(textFormats)("%s: a partial snapshot never looks complete", (format) => {
    const part = format === "rpk" || format === "kafka-utils" ? { ...snapshot, errors: lacking } : partial;
    if (format === "csv" || format === "report")
      expect(contentOf(format, part)).toMatch(/partial[\s\S]*secret|secret[\s\S]*partial/);
    else {
      expect(() => contentOf(format, part)).toThrow(
        /^InvalidRequest: .* is partial, and .* cannot say so: the file would look complete\. "secret" could not be captured/,
      );
    }
  });

  test("a snapshot that could not list all groups is exported by the names of groups only", () => {
    const of = { ...snapshot, unlisted: { offsetsPartitions: [3], message: "no leader" } };
    expect(() => exportSnapshot("rpk", of, ["orders*"])).toThrow(
      /is partial, and rpk cannot say so: .*it lacks groups .*\(no leader\)\. Nothing was changed\. Name groups/,
    );
    expect(exportSnapshot("rpk", of, ["orders app"]).content).toContain("orders 0 17");
  });

  test.each(["rpk", "kafka-utils"] as const)("%s is for one group, and says how to choose it", (format) => {
    expect(() => contentOf(format, many)).toThrow(
      /format for one group, and 3 groups of .* are selected: "orders app", "b,c", "idle"\. .*"groups": \[\{"name": "…"\}\]/,
    );
    expect(() => contentOf(format, { ...snapshot, consumerGroups: new Map() })).toThrow(/and 0 groups of .*: none/);
  });

  test("kafka-csv refuses a name with a line break among several groups: Kafka's tool splits there", () => {
    const broken = new Map([...one, ["a\nb", new Map([["orders-0", { offset: 1n, metadata: "" }]])]]);
    expect(() => contentOf("kafka-csv", snapshotOf(broken))).toThrow(/line break: "a\\nb"\..*alone/);
  });
});
